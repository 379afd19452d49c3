package gpio

import (
	"bytes"
	"fmt"
	"path/filepath"
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

func (t Tree) system() System {
	if t.Chips != nil {
		return t.Chips
	}
	return kernel{}
}

// place is where a line is.
type place struct {
	path, label string // of its chip
	info        lineInfo
}

// lookup finds a line. Two of one name are an error: the wrong one may be anything.
func (t Tree) lookup(n Name) (p place, err error) {
	paths, err := filepath.Glob(filepath.Join(t.dev(), "gpiochip*"))
	found := 0
	for _, path := range paths {
		if bad := t.scan(path, n, &p, &found); bad != nil {
			err = fmt.Errorf("%s: %w", path, bad)
		}
	}
	switch {
	case found == 1: // chips that could not be asked do not matter
		return p, nil
	case found > 1:
		return p, fmt.Errorf("%d lines have that name; name the chip: chip:LABEL:NUMBER", found)
	case err == nil:
		err = fmt.Errorf("%w on the GPIO chips, of which there are %d", ErrNoLine, len(paths))
	}
	return p, err
}

// scan looks for a line on one chip.
func (t Tree) scan(path string, n Name, p *place, found *int) error {
	s := t.system()
	fd, err := s.Open(path)
	if err != nil {
		return err
	}
	defer s.Close(fd)
	var chip chipInfo
	if err := s.Ioctl(fd, getChipInfo, unsafe.Pointer(&chip)); err != nil {
		return err
	}
	first, last := uint32(0), min(chip.lines, maxLines)
	if n.Kind == ByChip {
		if text(chip.label) != n.Text || uint32(n.Offset) >= last {
			return nil
		}
		first, last = uint32(n.Offset), uint32(n.Offset)+1
	}
	for i := first; i < last; i++ {
		info := lineInfo{offset: i}
		if err := s.Ioctl(fd, getLineInfo, unsafe.Pointer(&info)); err != nil {
			return err
		}
		if n.Kind == ByChip || text(info.name) == n.Text {
			*found++
			*p = place{path, text(chip.label), info}
		}
	}
	return nil
}

// user is who has the line, in a form for behind the line's place; "" for nobody.
func (p *place) user() string {
	if p.info.flags&flagUsed == 0 {
		return ""
	}
	return ", used by " + text(p.info.consumer)
}

// chipLine is a line of a chip that is held.
type chipLine struct {
	system System
	fd     int
}

// request takes a line: as an output with that value, or with flags 0 as it is.
func (t Tree) request(n Name, flags uint64, active bool) (*chipLine, error) {
	p, err := t.lookup(n)
	if err != nil {
		return nil, err
	}
	s := t.system()
	fd, err := s.Open(p.path)
	if err != nil {
		return nil, err
	}
	defer s.Close(fd)
	r := lineRequest{lineCount: 1}
	r.offsets[0] = p.info.offset
	copy(r.consumer[:], "dynamod")
	if r.config.flags = flags; n.Low {
		r.config.flags |= flagActiveLow
	}
	if active {
		r.config.attrCount = 1
		r.config.attrs[0] = configAttribute{lineAttribute{id: attrValues, value: 1}, 1}
	}
	if err := s.Ioctl(fd, getLine, unsafe.Pointer(&r)); err != nil {
		return nil, fmt.Errorf("%w%s", err, p.user())
	}
	return &chipLine{s, int(r.fd)}, nil
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
