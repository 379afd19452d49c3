package gpio

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"
)

// The structures and requests of include/uapi/linux/gpio.h, version 2. They are made
// so that no machine puts gaps into them; layout.go holds the compiler to that.

const (
	maxName  = 31 // GPIO_MAX_NAME_SIZE without the zero byte behind it
	maxLines = 1 << 12
)

type chipInfo struct {
	name, label [maxName + 1]byte
	lines       uint32
}

type lineAttribute struct {
	id, padding uint32
	value       uint64 // flags, values, or debounce in its first half
}

type lineInfo struct {
	name, consumer    [maxName + 1]byte
	offset, attrCount uint32
	flags             uint64
	attrs             [10]lineAttribute
	padding           [4]uint32
}

type configAttribute struct {
	attr lineAttribute
	mask uint64
}

type lineRequest struct {
	offsets  [64]uint32
	consumer [maxName + 1]byte
	config   struct {
		flags     uint64
		attrCount uint32
		padding   [5]uint32
		attrs     [10]configAttribute
	}
	lineCount, bufferSize uint32
	padding               [5]uint32
	fd                    int32
}

type lineValues struct{ bits, mask uint64 }

const (
	flagUsed      = 1 << 0
	flagActiveLow = 1 << 1
	flagOutput    = 1 << 3

	attrValues = 2 // GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES
)

const (
	getChipInfo = iocRead | 68<<16 | 0xb4<<8 | 0x01
	getLineInfo = iocRead | iocWrite | 256<<16 | 0xb4<<8 | 0x05
	getLine     = iocRead | iocWrite | 592<<16 | 0xb4<<8 | 0x07
	getValues   = iocRead | iocWrite | 16<<16 | 0xb4<<8 | 0x0e
	setValues   = iocRead | iocWrite | 16<<16 | 0xb4<<8 | 0x0f
)

// System is what chips are asked by: the kernel, or in tests what speaks as it does.
// Ioctl's argument is one of the structures of linux/gpio.h.
type System interface {
	Open(path string) (fd int, err error)
	Ioctl(fd int, request uint, arg unsafe.Pointer) error
	Close(fd int) error
}

// chip is a GPIO chip that is open.
type chip struct {
	system System
	fd     int
	path   string
	label  string
	lines  int
}

// chips opens the chips of this machine one after the other, until f is satisfied.
func (t Tree) chips(f func(*chip) (done bool, err error)) error {
	system := t.Chips
	if system == nil {
		system = kernel{}
	}
	paths, err := filepath.Glob(filepath.Join(t.dev(), "gpiochip*"))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("%w: this machine has no GPIO chip", ErrNoLine)
	}
	slices.SortFunc(paths, func(a, b string) int { // gpiochip10 comes after gpiochip9
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	var denied error
	for _, path := range paths {
		done, err := false, error(nil)
		fd, err := system.Open(path)
		if err == nil {
			var info chipInfo
			if err = system.Ioctl(fd, getChipInfo, unsafe.Pointer(&info)); err == nil {
				done, err = f(&chip{system, fd, path, text(info.label), int(min(info.lines, maxLines))})
			}
			system.Close(fd)
		}
		if done {
			return err
		}
		if err != nil {
			denied = fmt.Errorf("%s: %w", path, err)
		}
	}
	return denied
}

// findLine says where a line is.
func (t Tree) findLine(n Name) (where string, err error) {
	err = t.onLine(n, func(c *chip, offset int) error {
		info := lineInfo{offset: uint32(offset)}
		if err := c.system.Ioctl(c.fd, getLineInfo, unsafe.Pointer(&info)); err != nil {
			return err
		}
		where = fmt.Sprintf("%s line %d (%s)", filepath.Base(c.path), offset, c.label)
		if info.flags&flagUsed != 0 {
			where += ", used by " + text(info.consumer)
		}
		return nil
	})
	return where, err
}

// onLine calls f with a line's chip and its number there. Two lines of one name are
// an error: the wrong one may be anything.
func (t Tree) onLine(n Name, f func(c *chip, offset int) error) error {
	found := 0
	err := t.chips(func(c *chip) (bool, error) {
		offset, err := c.offset(n, &found)
		if err == nil && offset >= 0 && found == 1 && n.Kind == ByChip {
			return true, f(c, offset)
		}
		return false, err
	})
	switch {
	case found > 1:
		return fmt.Errorf("%d lines have that name; name the chip: chip:LABEL:NUMBER", found)
	case found == 0:
		return errors.Join(err, fmt.Errorf("%w on any GPIO chip", ErrNoLine))
	case n.Kind == ByChip:
		return err
	}
	// It is the only one; the chips that could not be asked do not matter.
	return t.chips(func(c *chip) (bool, error) {
		offset, err := c.offset(n, new(int))
		if err != nil || offset < 0 {
			return false, err
		}
		return true, f(c, offset)
	})
}

// offset is the number of a line on a chip, -1 if it has none such. found counts them.
func (c *chip) offset(n Name, found *int) (int, error) {
	if n.Kind == ByChip {
		if c.label != n.Text || n.Offset >= c.lines {
			return -1, nil
		}
		*found++
		return n.Offset, nil
	}
	at := -1
	for i := range c.lines {
		info := lineInfo{offset: uint32(i)}
		if err := c.system.Ioctl(c.fd, getLineInfo, unsafe.Pointer(&info)); err != nil {
			return -1, err
		}
		if text(info.name) == n.Text {
			*found++
			at = i
		}
	}
	return at, nil
}

// chipLine is a line of a chip that is held.
type chipLine struct {
	system System
	fd     int
}

// request takes a line: as an output with that value, or with flags 0 as it is.
func (t Tree) request(n Name, flags uint64, active bool) (l *chipLine, err error) {
	if n.Low {
		flags |= flagActiveLow
	}
	err = t.onLine(n, func(c *chip, offset int) error {
		r := lineRequest{lineCount: 1}
		r.offsets[0] = uint32(offset)
		copy(r.consumer[:], "dynamod")
		r.config.flags = flags
		if flags&flagOutput != 0 && active {
			r.config.attrCount = 1
			r.config.attrs[0] = configAttribute{lineAttribute{id: attrValues, value: 1}, 1}
		}
		if err := c.system.Ioctl(c.fd, getLine, unsafe.Pointer(&r)); err != nil {
			return c.refused(offset, err)
		}
		l = &chipLine{c.system, int(r.fd)}
		return nil
	})
	return l, err
}

// refused tells who has a line.
func (c *chip) refused(offset int, err error) error {
	info := lineInfo{offset: uint32(offset)}
	if c.system.Ioctl(c.fd, getLineInfo, unsafe.Pointer(&info)) == nil && info.flags&flagUsed != 0 {
		return fmt.Errorf("in use by %q: %w", text(info.consumer), err)
	}
	return err
}

// Set sets the line.
func (l *chipLine) Set(active bool) error {
	v := lineValues{mask: 1}
	if active {
		v.bits = 1
	}
	return l.system.Ioctl(l.fd, setValues, unsafe.Pointer(&v))
}

func (l *chipLine) get() (bool, error) {
	v := lineValues{mask: 1}
	err := l.system.Ioctl(l.fd, getValues, unsafe.Pointer(&v))
	return v.bits&1 != 0, err
}

// Close gives the line back.
func (l *chipLine) Close() error { return l.system.Close(l.fd) }

func text(b [maxName + 1]byte) string {
	s, _, _ := bytes.Cut(b[:], []byte{0})
	return string(s)
}
