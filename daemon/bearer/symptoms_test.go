package bearer

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/recovery"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// mute is a radio whose card commands are not answered.
type mute struct{ *radio }

func (m mute) SIM(context.Context) (modem.SIM, error) {
	return modem.SIM{}, atcmd.ErrTimeout
}

// TestSymptoms: what the ladder is told of, and what it is not.
func TestSymptoms(t *testing.T) {
	card := func(state string) func(*bench) {
		return func(b *bench) {
			b.model.Update(func(s *status.Snapshot) {
				s.Card = &status.Card{EID: "89049032000001000000000000000017", Profiles: []status.Profile{{ICCID: iccid, State: state}}}
			})
		}
	}
	sim := func(state modem.SIMState) func(*bench) {
		return func(b *bench) { b.radio.set(func() { b.radio.sim = state }) }
	}
	for _, tt := range []struct {
		name   string
		change func(*Config, *radio)
		before func(*bench) // the first look
		after  func(*bench) // the link is up
		want   recovery.Symptom
	}{
		{"nothing is wrong", nil, nil, nil, ""},
		{"empty slot", nil, sim(modem.SIMAbsent), nil, ""},
		{"an eUICC's profile is enabled, and the modem sees no card", nil, func(b *bench) { card(euicc.Enabled.String())(b); sim(modem.SIMAbsent)(b) }, nil, recovery.SIMLost},
		{"no enabled profile, which the modem takes for no card", nil, func(b *bench) { card("disabled")(b); sim(modem.SIMAbsent)(b) }, nil, ""},
		{"card gone", nil, nil, sim(modem.SIMAbsent), recovery.SIMLost},
		{"card fails", nil, nil, sim(modem.SIMFailure), recovery.SIMLost},
		{"profile disabled", nil, nil, sim(modem.SIMNoProfile), ""},
		{"PIN wanted", nil, nil, sim(modem.SIMNeedsPIN), ""},
		{"PUK wanted", nil, nil, sim(modem.SIMNeedsPUK), ""},
		{"card busy", nil, nil, sim(modem.SIMBusy), ""},
		{"card commands not answered", nil, nil, func(b *bench) { b.SetRadio(mute{b.radio}) }, recovery.CardSilent},
		{"searching", nil, nil, func(b *bench) { b.radio.set(func() { b.radio.reg, b.radio.up = modem.RegSearching, "" }) }, recovery.NotRegistered},
		{"searching, and a cause was told", nil, nil, func(b *bench) {
			b.radio.set(func() { b.radio.reg, b.radio.cause, b.radio.up = modem.RegSearching, 15, "" })
		}, ""},
		{"denied", nil, nil, func(b *bench) {
			b.radio.set(func() { b.radio.reg, b.radio.cause, b.radio.up = modem.RegDenied, 8, "" })
		}, ""},
		{"APN refused with a cause", nil, nil, func(b *bench) { b.radio.set(func() { b.radio.accept, b.radio.up = nil, "" }) }, ""},
		{"one APN refused with a cause, one carries nothing", nil, nil, func(b *bench) {
			b.radio.set(func() { b.radio.accept["first.test"], b.radio.dead["second.test"], b.radio.up = false, true, "" })
		}, recovery.NoTraffic},
		{"no traffic", nil, nil, func(b *bench) {
			b.radio.set(func() { b.radio.dead["first.test"], b.radio.dead["second.test"] = true, true })
		}, recovery.NoTraffic},
		{"DHCP is not answered", func(_ *Config, r *radio) { r.source = dialect.DHCP }, nil, nil, recovery.NoContext},
		{"DHCP cannot be sent", func(c *Config, r *radio) {
			r.source = dialect.DHCP
			c.DHCP = func(context.Context, string) (Lease, error) {
				return Lease{}, errors.Join(errors.New("dhcp"), syscall.EPERM)
			}
		}, nil, nil, ""},
		{"no modem", nil, nil, func(b *bench) { b.SetRadio(nil) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(c *Config, r *radio) {
					c.Ladder = recovery.New(recovery.Config{Limit: func() recovery.Rung { return "" }, Status: c.Status})
					if tt.change != nil {
						tt.change(c, r)
					}
				})
				if tt.before != nil {
					tt.before(b)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- b.Run(ctx) }()
				defer func() { cancel(); <-done }()
				time.Sleep(10 * time.Minute)
				if tt.after != nil {
					if b.model.Snapshot().State != status.Up {
						t.Fatal("the link is not up")
					}
					tt.after(b)
					b.Kick()
					time.Sleep(30 * time.Minute)
				}
				var got status.Recovery
				if r := b.model.Snapshot().Recovery; r != nil {
					got = *r
				}
				if got.Symptom != string(tt.want) {
					t.Errorf("the ladder was told of %q (%s), want %q", got.Symptom, got.Reason, tt.want)
				}
				// It passes, and the link comes back at the bearer's own pace.
				if tt.want == "" && tt.after == nil {
					return
				}
				b.radio.set(func() {
					b.radio.sim, b.radio.reg, b.radio.cause, b.radio.source = modem.SIMReady, modem.RegHome, 0, dialect.CGCONTRDP
					b.radio.accept = map[string]bool{"first.test": true}
					clear(b.radio.dead)
				})
				b.SetRadio(b.radio)
				time.Sleep(3 * time.Hour)
				if r := b.model.Snapshot().Recovery; b.model.Snapshot().State != status.Up || r != nil && r.State != "" {
					t.Errorf("afterwards the link is %s, %+v", b.model.Snapshot().State, r)
				}
			})
		})
	}
}

// After a reset nothing waits but for what the operator has refused.
func TestSeize(t *testing.T) {
	for _, tt := range []struct {
		name      string
		spoil     func(r *radio)
		restarted bool
		most      time.Duration // until the next try
		least     time.Duration
	}{
		{"no traffic, the modem was restarted", func(r *radio) { r.dead["first.test"], r.dead["second.test"] = true, true }, true, 10 * time.Second, 0},
		{"no traffic, nothing was done", func(r *radio) { r.dead["first.test"], r.dead["second.test"] = true, true }, false, lastBackoff + time.Minute, 5 * time.Minute},
		{"refused, the modem was restarted", func(r *radio) { r.accept, r.up = nil, "" }, true, lastSlow, 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- b.Run(ctx) }()
				defer func() { cancel(); <-done }()
				time.Sleep(time.Minute)
				b.radio.set(func() { tt.spoil(b.radio) })
				b.Kick()
				time.Sleep(2 * time.Hour) // the pauses are long by now
				calls := func() (n int) { b.radio.set(func() { n = len(b.radio.calls) }); return n }
				for was := calls(); calls() == was; { // a try has just been made
					time.Sleep(time.Second)
				}
				time.Sleep(10 * time.Second)
				release := b.Seize()
				was := calls()
				time.Sleep(time.Hour)
				if calls() != was {
					t.Error("the modem was used while it was seized")
				}
				for k, p := range b.pace.tries { // as if the pauses began now
					p.at = time.Now().Add(p.wait)
					b.pace.tries[k] = p
				}
				release(tt.restarted)
				start := time.Now()
				for calls() == was && time.Since(start) <= tt.most {
					time.Sleep(time.Second)
				}
				if took := time.Since(start); took > tt.most || took < tt.least {
					t.Errorf("tried again after %v, want %v to %v", took, tt.least, tt.most)
				}
			})
		})
	}
}
