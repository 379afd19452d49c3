package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// minRetry is the shortest wait between two tries to extend a lease: RFC 2131 4.4.5.
const minRetry = time.Minute

// extender asks for more time: a server that is known, or any.
type extender interface {
	Renew(ctx context.Context, l Lease) (Lease, error)
	Rebind(ctx context.Context, l Lease) (Lease, error)
}

// keep is Client.Keep with any extender.
func keep(ctx context.Context, x extender, l Lease, changed func(Lease), log *slog.Logger) error {
	for {
		if l.Valid == 0 {
			<-ctx.Done()
			return nil
		}
		next, err := extend(ctx, x, l, log)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		log.Debug("dhcp lease extended", "lease", next)
		if !next.Equal(l) {
			changed(next)
		}
		l = next
	}
}

// extend waits until it is time, and asks until there is an answer or the lease is over.
func extend(ctx context.Context, x extender, l Lease, log *slog.Logger) (Lease, error) {
	for wait := until(l, l.Renew); ; {
		if err := sleep(ctx, wait); err != nil {
			return Lease{}, err
		}
		left := until(l, l.Valid)
		if left <= 0 {
			return Lease{}, fmt.Errorf("%w: %s from %s", ErrExpired, l, l.Server)
		}
		ask, limit, renewing := x.Renew, until(l, l.Rebind), true
		if limit <= 0 {
			ask, limit, renewing = x.Rebind, left, false
		}
		tctx, cancel := context.WithTimeout(ctx, limit)
		next, err := ask(tctx, l)
		cancel()
		if err == nil || errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return next, err
		}
		log.Debug("dhcp lease not extended yet", "lease", l, "err", err)
		// Half of the time that is left in this phase, and the next phase in time.
		phase := until(l, l.Rebind)
		if !renewing {
			phase = until(l, l.Valid)
		}
		wait = min(max(phase/2, minRetry), max(phase, 0))
	}
}

// until is how long it takes from now until d after the lease began.
func until(l Lease, d time.Duration) time.Duration { return time.Until(l.Obtained.Add(d)) }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
