package bearer

import (
	"context"
	"fmt"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

const (
	registerPoll = time.Second
	registerWait = 2 * time.Minute  // of a modem that scans all its bands
	deniedFor    = 45 * time.Second // a denial may be about one cell, or too early
)

// attach registers with the attach context that the SIM and the place want. Where
// the place is known by the registration alone, it is looked at once more.
func (b *Bearer) attach(ctx context.Context, r Radio, p *plan, kind dialect.Kind, bounded bool) (reg modem.Registration, plmn string, err error) {
	for range 2 {
		again, err := b.settleAttach(ctx, r, p, kind)
		if err != nil {
			return reg, "", err
		}
		reg, plmn, err = b.registerIn(ctx, r, bounded)
		if err != nil && reg.Cause == modem.RejectESM && ctx.Err() == nil {
			reg, plmn, err = b.registerWithout(ctx, r, err)
		}
		if err != nil || !again {
			return reg, plmn, err
		}
	}
	return reg, plmn, nil
}

// registerIn is register, which on day two has an end of its own: the back-off
// is the bearer's, and who asks has to be told meanwhile that there is no link.
func (b *Bearer) registerIn(ctx context.Context, r Radio, bounded bool) (modem.Registration, string, error) {
	if bounded {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, registerWait)
		defer done()
	}
	return b.register(ctx, r)
}

// denied is the error of a network that refuses the modem.
func (b *Bearer) denied(reg modem.Registration) *activation.Fault {
	f := &activation.Fault{
		Code: "registration-denied", Text: fmt.Sprintf("the network denies the registration (cause %d, %v)", int(reg.Cause), reg.Cause),
		Advice: "ask the operator whether the line is active and this device allowed", Retry: euicc.RetryLater,
	}
	if reg.Cause == modem.RejectESM {
		f.Advice = "the network may not take the APN of the attach: put it into operators.d, with the purpose attach"
	}
	return b.unregistered(f)
}

// unregistered adds what else may keep a modem from registering.
func (b *Bearer) unregistered(f *activation.Fault) *activation.Fault {
	if b.StaleCarrier != nil {
		if name := b.StaleCarrier(); name != "" {
			f.Advice = fmt.Sprintf("the modem keeps carrier configuration %q, chosen by hand, which may not suit this profile: let the SIM choose it, and restart the modem; else %s", name, f.Advice)
		}
	}
	return f
}

// register waits until the network offers packet data.
func (b *Bearer) register(ctx context.Context, r Radio) (reg modem.Registration, plmn string, err error) {
	var denied time.Time
	var last modem.Registration
	locked := false // it was asked whether the SIM is
	var idle idleness
	for {
		reg, err := r.Registration(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return reg, "", err
		case err == nil:
			last = reg
			plmn := b.showRegistration(ctx, r, reg)
			if reg.State.Registered() {
				return reg, plmn, nil
			}
			if !locked {
				locked = true
				if err := b.lockedSIM(ctx, r); err != nil {
					return reg, "", err
				}
			}
			if idle.tooLong(reg.State) {
				b.Log.Info("the modem does not look for a network; it is told to")
				if err := r.Attach(ctx, true); err != nil && ctx.Err() == nil {
					b.Log.Debug("attach", "on", true, "error", err)
				}
			}
			if reg.State != modem.RegDenied {
				denied = time.Time{}
			} else if denied.IsZero() {
				denied = time.Now()
			} else if time.Since(denied) > deniedFor {
				return reg, "", b.denied(reg)
			}
		}
		select {
		case <-ctx.Done():
			if last.State == modem.RegDenied {
				return last, "", b.denied(last)
			}
			return last, "", b.unregistered(&activation.Fault{
				Code: "not-registered", Text: fmt.Sprintf("the modem did not register in time, last state: %v", last.State), Err: ctx.Err(),
				Advice: "check antenna and coverage, and that the line is active", Retry: euicc.RetryLater,
			})
		case <-time.After(registerPoll):
		}
	}
}

// showRegistration returns the network that serves the modem, "" if it does not
// tell.
func (b *Bearer) showRegistration(ctx context.Context, r Radio, reg modem.Registration) string {
	out := &status.Registration{Status: reg.State.String(), Cause: int(reg.Cause)}
	if reg.AcT != modem.AcTUnknown {
		out.AcT = reg.AcT.String()
	}
	if reg.State.Registered() {
		if op, err := r.Operator(ctx); err == nil {
			out.PLMN, out.Operator = op.PLMN, op.Name
		}
	}
	cells := ServingCells(ctx, r, reg, out.PLMN)
	b.Status.Update(func(s *status.Snapshot) { s.Registration, s.Cells = out, cells })
	return out.PLMN
}
