package netlink

import (
	"fmt"
	"strconv"
)

// Op says what a Change does to its object.
type Op uint8

const (
	Add    Op = iota + 1 // an Addr, Route or Rule; it is an error (EEXIST) if it is there
	Delete               // an Addr, Route or Rule; it is an error (ESRCH, EADDRNOTAVAIL, ENOENT) if it is not there
	Set                  // an UpDown or MTU of a link that is there
)

func (o Op) String() string {
	switch o {
	case Add:
		return "add"
	case Delete:
		return "del"
	case Set:
		return "set"
	}
	return "Op(" + strconv.Itoa(int(o)) + ")"
}

// An Object is what a Change is about: [Addr], [Route], [Rule], [UpDown] or [MTU].
type Object interface {
	fmt.Stringer
	object() string // iproute2's name of the kind
}

func (Addr) object() string   { return "addr" }
func (Route) object() string  { return "route" }
func (Rule) object() string   { return "rule" }
func (UpDown) object() string { return "link" }
func (MTU) object() string    { return "link" }

// UpDown is the administrative state of a link.
type UpDown struct {
	Index int
	Dev   string
	Up    bool
}

func (u UpDown) String() string {
	if u.Up {
		return "dev " + u.Dev + " up"
	}
	return "dev " + u.Dev + " down"
}

// MTU is the largest packet that a link takes, in bytes.
type MTU struct {
	Index int
	Dev   string
	MTU   int
}

func (m MTU) String() string { return fmt.Sprintf("dev %s mtu %d", m.Dev, m.MTU) }

// Change is one step that the kernel takes or refuses as a whole.
type Change struct {
	Op     Op
	Object Object
}

// String gives the change as an ip(8) command line.
func (c Change) String() string {
	if c.Object == nil {
		return "nothing"
	}
	s := "ip "
	switch o := c.Object.(type) {
	case Addr:
		if o.Prefix.Addr().Is6() {
			s += "-6 "
		}
	case Route:
		if o.Dst.Addr().Is6() {
			s += "-6 "
		}
	case Rule:
		if o.IPv6 {
			s += "-6 "
		}
	}
	return s + c.Object.object() + " " + c.Op.String() + " " + c.Object.String()
}

// OpError is the error of every call that the kernel (or nlsim) refused. Err holds the kernel's error number as a
// syscall.Errno, so that errors.Is(err, syscall.EEXIST) works, or what went wrong on the way to the kernel, a context's
// error included.
type OpError struct {
	Op  string // what was wanted: "ip route add default dev wwan0 scope link", "list routes"
	Err error
}

func (e *OpError) Error() string { return e.Op + ": " + e.Err.Error() }

func (e *OpError) Unwrap() error { return e.Err }
