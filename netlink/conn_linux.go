package netlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Config says which kernel a Conn speaks to. The zero value is the network namespace of the calling thread.
type Config struct {
	// NetNS is a file descriptor of a network namespace (an open /proc/PID/ns/net), or 0. It is the caller's and must
	// stay open as long as the Conn does.
	NetNS int
}

// Conn is a connection to the kernel's route netlink. Its methods may be called from several goroutines; they take
// turns.
type Conn struct {
	netns  int      // of Config, or ns's
	ns     *os.File // the dialling thread's namespace, if it is not the process's
	mu     sync.Mutex
	c      *mdnetlink.Conn // nil after an interrupted exchange, whose late answers nobody wants
	closed bool
}

// Dial opens a connection.
func Dial(cfg Config) (*Conn, error) {
	c := &Conn{netns: cfg.NetNS}
	if c.netns == 0 {
		if c.ns = threadNetNS(); c.ns != nil {
			c.netns = int(c.ns.Fd())
		}
	}
	if err := c.redial(); err != nil {
		_ = c.Close()
		return nil, &OpError{Op: "open route netlink", Err: err}
	}
	return c, nil
}

func (c *Conn) redial() error {
	nc, err := mdnetlink.Dial(unix.NETLINK_ROUTE, &mdnetlink.Config{NetNS: c.netns})
	if err != nil {
		return err
	}
	// The kernel's own words ("Nexthop has invalid gateway") come along with the error number, where it has any.
	_ = nc.SetOption(mdnetlink.ExtendedAcknowledge, true)
	c.c = nc
	return nil
}

// Close ends the connection, after a call that is under way. A Watch goes on until its context ends.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.ns != nil {
		_ = c.ns.Close()
		c.ns = nil
	}
	if c.c == nil {
		return nil
	}
	err := c.c.Close()
	c.c = nil
	return err
}

// maxDumps bounds how often a list is asked for again because it changed while it was read.
const maxDumps = 5

// errDumpInterrupted: NLM_F_DUMP_INTR, the list is a mixture of before and after.
var errDumpInterrupted = errors.New("the list changed while it was read")

// execute sends one request and returns the answers.
func (c *Conn) execute(ctx context.Context, m rtnetlink.Message, typ uint16, flags mdnetlink.HeaderFlags, extra []byte) ([]mdnetlink.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	req := mdnetlink.Message{
		Header: mdnetlink.Header{Type: mdnetlink.HeaderType(typ), Flags: mdnetlink.Request | flags},
		Data:   append(data, extra...),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.c == nil {
		if err := c.redial(); err != nil {
			return nil, err
		}
	}
	nc := c.c
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	msgs, err := nc.Execute(req)
	interrupted := !stop()
	var errno syscall.Errno
	if interrupted || err != nil && !errors.As(err, &errno) || errors.Is(err, unix.ENOBUFS) {
		// The answer may still come: nobody may take it for the next one's.
		_ = nc.Close()
		c.c = nil
	}
	if err == nil {
		return msgs, nil
	}
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, ctx.Err()
	}
	return nil, kernelError(err)
}

// kernelError cuts the library's own words off an error of the kernel: the number and the kernel's sentence remain.
func kernelError(err error) error {
	var oe *mdnetlink.OpError
	var errno syscall.Errno
	if !errors.As(err, &oe) || !errors.As(err, &errno) {
		return err
	}
	if oe.Message != "" {
		return fmt.Errorf("%w (%s)", errno, oe.Message)
	}
	return errno
}

// dump lists objects; each is called for each message. A message that does not decode is left out: one exotic
// interface must not hide all others.
func (c *Conn) dump(ctx context.Context, what string, m rtnetlink.Message, typ uint16, each func(data []byte)) error {
	var err error
	for range maxDumps {
		var msgs []mdnetlink.Message
		msgs, err = c.execute(ctx, m, typ, mdnetlink.Dump, nil)
		if err == nil {
			err = interrupted(msgs)
		}
		if errors.Is(err, errDumpInterrupted) {
			continue
		}
		if err != nil {
			break
		}
		for _, msg := range msgs {
			each(msg.Data)
		}
		return nil
	}
	return &OpError{Op: "list " + what, Err: err}
}

func interrupted(msgs []mdnetlink.Message) error {
	for _, m := range msgs {
		if m.Header.Flags&mdnetlink.DumpInterrupted != 0 {
			return errDumpInterrupted
		}
	}
	return nil
}

// Snapshot lists links, addresses, routes and rules. The four lists are read one after another: what changes in
// between is announced to a Watch that was started before.
func (c *Conn) Snapshot(ctx context.Context) (Snapshot, error) {
	var s Snapshot
	names := make(map[int]string)
	err := c.dump(ctx, "links", &rtnetlink.LinkMessage{}, unix.RTM_GETLINK, func(b []byte) {
		if l, ok := decodeLink(b); ok {
			s.Links = append(s.Links, l)
			names[l.Index] = l.Name
		}
	})
	if err != nil {
		return Snapshot{}, err
	}
	err = c.dump(ctx, "addresses", &rtnetlink.AddressMessage{}, unix.RTM_GETADDR, func(b []byte) {
		if a, ok := decodeAddr(b); ok {
			a.Dev = names[a.Index]
			s.Addrs = append(s.Addrs, a)
		}
	})
	if err != nil {
		return Snapshot{}, err
	}
	err = c.dump(ctx, "routes", &rtnetlink.RouteMessage{}, unix.RTM_GETROUTE, func(b []byte) {
		if r, ok := decodeRoute(b); ok {
			r.Dev = names[r.Index]
			s.Routes = append(s.Routes, r)
		}
	})
	if err != nil {
		return Snapshot{}, err
	}
	err = c.dump(ctx, "rules", &rtnetlink.RuleMessage{}, unix.RTM_GETRULE, func(b []byte) {
		if r, ok := decodeRule(b); ok {
			s.Rules = append(s.Rules, r)
		}
	})
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) { // a kernel without policy routing has no rules to list
		return Snapshot{}, err
	}
	return s, nil
}

// Change does one step.
func (c *Conn) Change(ctx context.Context, ch Change) error {
	typ, flags, m, extra, err := encodeChange(ch)
	if err == nil {
		_, err = c.execute(ctx, m, typ, flags|mdnetlink.Acknowledge, extra)
	}
	if err != nil {
		return &OpError{Op: ch.String(), Err: err}
	}
	return nil
}
