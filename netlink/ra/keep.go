package ra

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// Config says where to listen.
type Config struct {
	Interface string
	// IID is an address whose low 64 bits are the interface identifier to use: the one that the network has given
	// (3GPP TS 23.401, 5.3.1.2.2). The zero value takes that of the interface's own link-local address.
	IID netip.Addr
	Log *slog.Logger
}

// Intervals of solicitations. RFC 4861, 10: 4 s apart; here they go on, more and more seldom, for as long as there is
// no answer: a network may be slow with a new bearer. An interface that has no link-local address yet is asked again
// soon.
const (
	solicitFirst = 4 * time.Second
	solicitLast  = 2 * time.Minute
	solicitSoon  = 250 * time.Millisecond
)

// conn is an interface's ICMPv6.
type conn interface {
	// solicit sends a router solicitation to all routers.
	solicit() error
	// receive returns the next advertisement with a hop limit of 255, until ctx ends.
	receive(ctx context.Context) (b []byte, from netip.Addr, err error)
	// iid is the low half of the interface's link-local address.
	iid() ([8]byte, error)
}

// keep is Keep with any conn.
func keep(ctx context.Context, c conn, cfg Config, changed func(Link)) error {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	type heard struct {
		b    []byte
		from netip.Addr
		err  error
	}
	in := make(chan heard)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			b, from, err := c.receive(ctx)
			select {
			case in <- heard{b, from, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() { cancel(); <-done }()

	h, last, known := &host{}, Link{}, false
	if cfg.IID.Is6() {
		ip := cfg.IID.As16()
		h.iid, known = [8]byte(ip[8:]), true
	}
	ask, asked := time.NewTimer(0), solicitFirst
	expire := time.NewTimer(time.Hour)
	expire.Stop()
	defer ask.Stop()
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ask.C:
			iid, err := c.iid()
			if err == nil && !known {
				h.iid, known = iid, true
			}
			if err == nil {
				err = c.solicit()
			}
			if err != nil {
				log.Debug("no router solicitation yet", "interface", cfg.Interface, "error", err)
				ask.Reset(solicitSoon)
				continue
			}
			ask.Reset(asked)
			asked = min(2*asked, solicitLast)
		case m := <-in:
			if m.err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return m.err
			}
			a, err := Parse(m.b, m.from)
			if err != nil {
				log.Debug("ignored", "interface", cfg.Interface, "error", err)
				continue
			}
			if !known {
				continue // the interface has no address yet to have been asked from
			}
			h.hear(a, time.Now())
		case <-expire.C:
		}
		now := time.Now()
		l := h.link(now)
		if len(l.Addrs) > 0 {
			ask.Stop()
			asked = solicitFirst
		} else if len(last.Addrs) > 0 {
			ask.Reset(0) // a router whose time was over may only have been silent
		}
		if next := h.next(); next.IsZero() {
			expire.Stop()
		} else {
			expire.Reset(next.Sub(now))
		}
		if !l.Equal(last) {
			last = l
			log.Debug("router advertisement", "interface", cfg.Interface, "addresses", l.Addrs, "router", l.Gateway)
			changed(l)
		}
	}
}

// errNoLinkLocal means that the interface has no link-local address, or not yet.
var errNoLinkLocal = errors.New("the interface has no link-local address")
