package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"dynamod/netlink"
)

// undoTimeout bounds how long a half-applied Spec is taken back after the caller's context has ended.
const undoTimeout = 5 * time.Second

// maxPasses is how often Apply looks again whether the kernel holds what it was told. The second pass is for what
// somebody else changed in between; more would be a fight.
const maxPasses = 2

// ApplyError is Apply's error when the link is not as the Spec wants it. What had been done is undone, unless Undo says
// that this failed too. Err holds the kernel's syscall.Errno where there is one, ErrNoInterface, or a context's error.
type ApplyError struct {
	Interface string
	Err       error
	Undo      error
}

func (e *ApplyError) Error() string {
	s := "uplink " + e.Interface + ": " + e.Err.Error()
	if e.Undo != nil {
		s += "; taking back what was done before failed too: " + e.Undo.Error()
	}
	return s
}

func (e *ApplyError) Unwrap() error { return e.Err }

// DegradedError says that the link is up as the Spec wants it, except for parts that do not stop traffic: the DNS file
// could not be written, or the kernel refuses IPv6 while there is an IPv4 address.
type DegradedError struct {
	Interface string
	Errs      []error
}

func (e *DegradedError) Error() string {
	var ss []string
	for _, err := range e.Errs {
		ss = append(ss, err.Error())
	}
	return "uplink " + e.Interface + " is up, but: " + strings.Join(ss, "; ")
}

func (e *DegradedError) Unwrap() []error { return e.Errs }

// Apply makes the kernel hold what the Spec says and returns the steps that it took: none if everything was so already.
// Its error is an *ApplyError, then nothing has changed; a *DegradedError, then the link is up; or Validate's.
func Apply(ctx context.Context, k Kernel, s Spec) ([]Change, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	a := application{k: k, spec: s}
	if err := a.run(ctx); err != nil {
		return nil, &ApplyError{Interface: s.Interface, Err: err, Undo: a.undo(ctx)}
	}
	a.writeDNS()
	if len(a.soft) > 0 {
		return a.done, &DegradedError{Interface: s.Interface, Errs: a.soft}
	}
	return a.done, nil
}

// application is one Apply under way.
type application struct {
	k    Kernel
	spec Spec
	done []Change
	no6  bool    // the kernel refuses IPv6
	soft []error // what does not stop traffic
	dns  []Change
}

func (a *application) run(ctx context.Context) error {
	for range maxPasses {
		left, err := a.left(ctx)
		if err != nil || len(left) == 0 {
			return err
		}
		for _, c := range left {
			if a.no6 && c.ipv6() {
				continue
			}
			if err := a.step(ctx, c); err != nil {
				return err
			}
		}
	}
	left, err := a.left(ctx)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("the kernel still wants %q after it was done: another program may manage this interface", left[0])
	}
	return nil
}

// left lists the kernel's changes that remain.
func (a *application) left(ctx context.Context) ([]Change, error) {
	snap, err := a.k.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	st := newStatus(a.spec, snap)
	if !st.Present {
		return nil, ErrNoInterface
	}
	var cs []Change
	a.dns = nil
	for _, c := range Diff(a.spec, st) {
		switch {
		case c.DNS != nil:
			a.dns = append(a.dns, c)
		case !(a.no6 && c.ipv6()):
			cs = append(cs, c)
		}
	}
	return cs, nil
}

func (a *application) step(ctx context.Context, c Change) error {
	err := a.k.Change(ctx, c.Kernel)
	switch {
	case err == nil:
		a.done = append(a.done, c)
		return nil
	case c.Kernel.Op == netlink.Delete && gone(err):
		return nil // deleting an address takes routes along, for one
	case c.Kernel.Op == netlink.Add && errors.Is(err, syscall.EEXIST):
		return a.exists(ctx, c, err)
	case c.ipv6() && noIPv6(err) && a.has4():
		a.no6 = true
		a.soft = append(a.soft, fmt.Errorf("no IPv6 on this interface: %w", err))
		return nil
	}
	return err
}

// exists settles an EEXIST: either the very thing is there by now, or something else has its place.
func (a *application) exists(ctx context.Context, c Change, err error) error {
	left, lerr := a.left(ctx)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	if !slices.ContainsFunc(left, func(o Change) bool { return o.Kernel == c.Kernel }) {
		return nil
	}
	r, ok := c.Kernel.Object.(netlink.Route)
	if !ok {
		return err
	}
	snap, lerr := a.k.Snapshot(ctx)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	for _, o := range snap.Routes {
		if o.Dst == r.Dst && o.Metric == r.Metric && o.Table == r.Table {
			return fmt.Errorf("%w: its place is taken by %q, choose another metric", err, o)
		}
	}
	return err
}

func (a *application) has4() bool {
	_, ok := a.spec.source(false)
	return ok
}

// undo takes back what was done, the last step first, also when ctx has ended.
func (a *application) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var errs []error
	for _, c := range slices.Backward(a.done) {
		if err := a.k.Change(ctx, c.Undo); err != nil && !gone(err) && !errors.Is(err, syscall.EEXIST) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (a *application) writeDNS() {
	for _, c := range a.dns {
		if err := c.DNS.do(); err != nil {
			a.soft = append(a.soft, err)
			continue
		}
		a.done = append(a.done, c)
	}
}

// Down takes away what is ours: rules, routes, addresses, the DNS file; the link is set down if nobody else has
// anything on it. Of the Spec it uses Interface, Table, Addrs and DNSFile. A missing interface is fine. It goes on
// after an error and returns all of them, with the steps that were taken.
func Down(ctx context.Context, k Kernel, s Spec) ([]Change, error) {
	st, err := Read(ctx, k, s)
	if err != nil {
		return nil, err
	}
	var done []Change
	var errs []error
	for _, c := range diffDown(s, st) {
		if c.DNS != nil {
			err = c.DNS.do()
		} else {
			err = k.Change(ctx, c.Kernel)
		}
		switch {
		case err == nil:
			done = append(done, c)
		case !gone(err):
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return done, fmt.Errorf("uplink %s: %w", s.Interface, errors.Join(errs...))
	}
	return done, nil
}

// gone is how the kernel says that the thing to delete is not there.
func gone(err error) bool {
	return errors.Is(err, syscall.ESRCH) || // routes
		errors.Is(err, syscall.EADDRNOTAVAIL) || // addresses
		errors.Is(err, syscall.ENOENT) || // rules
		errors.Is(err, syscall.ENODEV) // the whole interface
}

// noIPv6 is how the kernel says that it has no IPv6, or none on this interface (the disable_ipv6 sysctl).
func noIPv6(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EOPNOTSUPP)
}
