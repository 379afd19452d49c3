// Package boardsim is a board in memory: GPIO chips that are asked as the kernel's
// are, and record what becomes of their lines, and a tree of sysfs and /dev in a
// directory. It is written from include/uapi/linux/gpio.h, by the places of the bytes,
// and knows nothing of package gpio's structures.
package boardsim

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Line is one line of a chip.
type Line struct {
	Name     string
	Consumer string // who has it; it cannot be requested then
	Level    bool   // high
	Output   bool

	// History is each change of its level, with the time since New.
	History []Change
	held    bool
}

// Change is one change of a line's level.
type Change struct {
	High bool
	At   time.Duration
}

// Chip is a GPIO chip, in /dev under its name.
type Chip struct {
	Name  string // "gpiochip0"
	Label string
	Lines []*Line
	// Denied is the error of opening it, 0 for none.
	Denied syscall.Errno
	// Released is called when a line is given back; some drivers make it an input then.
	Released func(*Line)
}

// Chips are the chips of a board, and a gpio.System.
type Chips struct {
	mu    sync.Mutex
	chips []*Chip
	fds   map[int]any // *Chip, *request
	next  int
	began time.Time
}

type request struct {
	chip *Chip
	line *Line
	low  bool
}

// New returns chips that are asked by their names.
func New(chips ...*Chip) *Chips {
	return &Chips{chips: chips, fds: map[int]any{}, next: 1000, began: time.Now()}
}

// Open opens a chip by its name in /dev.
func (c *Chips) Open(path string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, chip := range c.chips {
		if chip.Name == filepath.Base(path) {
			if chip.Denied != 0 {
				return -1, chip.Denied
			}
			return c.fd(chip), nil
		}
	}
	return -1, syscall.ENXIO
}

func (c *Chips) fd(of any) int {
	c.next++
	c.fds[c.next] = of
	return c.next
}

// Close closes a chip or gives a line back.
func (c *Chips) Close(fd int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	of, ok := c.fds[fd]
	if !ok {
		return syscall.EBADF
	}
	delete(c.fds, fd)
	if r, ok := of.(*request); ok {
		r.line.held, r.line.Consumer = false, ""
		if r.chip.Released != nil {
			r.chip.Released(r.line)
		}
	}
	return nil
}

// Held reports how many chips and lines are open.
func (c *Chips) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.fds)
}

// Read is a copy of a line by its name, as it is now.
func (c *Chips) Read(name string) Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, chip := range c.chips {
		for _, l := range chip.Lines {
			if l.Name == name {
				out := *l
				out.History = append([]Change(nil), l.History...)
				return out
			}
		}
	}
	return Line{}
}

// Set sets the level of a line from outside, as the modem does with its status.
func (c *Chips) Set(name string, high bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, chip := range c.chips {
		for _, l := range chip.Lines {
			if l.Name == name {
				c.set(l, high)
			}
		}
	}
}

func (c *Chips) set(l *Line, high bool) {
	if l.Level != high {
		l.Level = high
		l.History = append(l.History, Change{high, time.Since(c.began)})
	}
}

// Ioctl answers as drivers/gpio/gpiolib-cdev.c does.
func (c *Chips) Ioctl(fd int, req uint, arg unsafe.Pointer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := unsafe.Slice((*byte)(arg), req>>16&0x1fff) // sizes need 13 bits on all machines
	of, ok := c.fds[fd]
	if !ok {
		return syscall.EBADF
	}
	if req>>8&0xff != 0xb4 {
		return syscall.ENOTTY
	}
	n := struct{ nr, size int }{int(req & 0xff), len(b)}
	switch of := of.(type) {
	case *Chip:
		switch n {
		case struct{ nr, size int }{0x01, 68}: // GPIO_GET_CHIPINFO_IOCTL
			put(b[0:32], of.Name)
			put(b[32:64], of.Label)
			u32(b[64:], uint32(len(of.Lines)))
			return nil
		case struct{ nr, size int }{0x05, 256}: // GPIO_V2_GET_LINEINFO_IOCTL
			return of.info(b)
		case struct{ nr, size int }{0x07, 592}: // GPIO_V2_GET_LINE_IOCTL
			return c.request(of, b)
		}
	case *request:
		switch n {
		case struct{ nr, size int }{0x0e, 16}: // GPIO_V2_LINE_GET_VALUES_IOCTL
			if binary.NativeEndian.Uint64(b[8:]) != 1 {
				return syscall.EINVAL
			}
			var bits uint64
			if of.line.Level != of.low {
				bits = 1
			}
			binary.NativeEndian.PutUint64(b, bits)
			return nil
		case struct{ nr, size int }{0x0f, 16}: // GPIO_V2_LINE_SET_VALUES_IOCTL
			if binary.NativeEndian.Uint64(b[8:]) != 1 {
				return syscall.EINVAL
			}
			if !of.line.Output {
				return syscall.EPERM
			}
			c.set(of.line, binary.NativeEndian.Uint64(b)&1 != 0 != of.low)
			return nil
		}
	}
	return syscall.EINVAL
}

const (
	used   = 1 << 0
	low    = 1 << 1
	input  = 1 << 2
	output = 1 << 3
)

func (chip *Chip) info(b []byte) error {
	at := binary.NativeEndian.Uint32(b[64:])
	if int(at) >= len(chip.Lines) || !zero(b[240:256]) {
		return syscall.EINVAL
	}
	l := chip.Lines[at]
	put(b[0:32], l.Name)
	put(b[32:64], l.Consumer)
	flags := uint64(input)
	if l.Output {
		flags = output
	}
	if l.held || l.Consumer != "" {
		flags |= used
	}
	binary.NativeEndian.PutUint64(b[72:], flags)
	return nil
}

// request takes one line: offsets at 0, consumer at 256, flags at 288, the attributes
// from 320 on, the number of lines at 560, what must be zero at 568, the descriptor
// at 588.
func (c *Chips) request(chip *Chip, b []byte) error {
	at, flags, attrs := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint64(b[288:]), binary.NativeEndian.Uint32(b[296:])
	if binary.NativeEndian.Uint32(b[560:]) != 1 || int(at) >= len(chip.Lines) || attrs > 1 || !zero(b[300:320]) || !zero(b[568:588]) ||
		flags&^(low|input|output) != 0 || flags&(input|output) == input|output {
		return syscall.EINVAL
	}
	l := chip.Lines[at]
	if l.held || l.Consumer != "" {
		return syscall.EBUSY
	}
	isLow := flags&low != 0
	if flags&output != 0 {
		on := false
		if attrs == 1 {
			if binary.NativeEndian.Uint32(b[320:]) != 2 || !zero(b[324:328]) || binary.NativeEndian.Uint64(b[336:]) != 1 {
				return syscall.EINVAL
			}
			on = binary.NativeEndian.Uint64(b[328:])&1 != 0
		}
		l.Output = true
		c.set(l, on != isLow)
	} else if flags&input != 0 {
		l.Output = false
	}
	name, _, _ := bytes.Cut(b[256:288], []byte{0})
	l.held, l.Consumer = true, string(name)
	u32(b[588:], uint32(c.fd(&request{chip, l, isLow})))
	return nil
}

func put(b []byte, s string) {
	clear(b)
	copy(b[:len(b)-1], s)
}

func u32(b []byte, v uint32) { binary.NativeEndian.PutUint32(b, v) }

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
