package bearer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/status"
)

// asked is a radio that notes when it is asked for anything.
type asked struct {
	*radio
	at []time.Time
}

func (a *asked) note() {
	a.set(func() { a.at = append(a.at, time.Now()) })
}

func (a *asked) Functionality(ctx context.Context) (modem.Functionality, error) {
	a.note()
	return a.radio.Functionality(ctx)
}
func (a *asked) SIM(ctx context.Context) (modem.SIM, error) { a.note(); return a.radio.SIM(ctx) }
func (a *asked) SIMFacts(ctx context.Context) (modem.SIMFacts, error) {
	a.note()
	return a.radio.SIMFacts(ctx)
}
func (a *asked) ICCID(ctx context.Context) (string, error) { a.note(); return a.radio.ICCID(ctx) }
func (a *asked) Registration(ctx context.Context) (modem.Registration, error) {
	a.note()
	return a.radio.Registration(ctx)
}
func (a *asked) Operator(ctx context.Context) (modem.Operator, error) {
	a.note()
	return a.radio.Operator(ctx)
}
func (a *asked) Signal(ctx context.Context) (modem.Signal, error) {
	a.note()
	return a.radio.Signal(ctx)
}
func (a *asked) EnterPIN(ctx context.Context, pin modem.Secret, lastTry bool) error {
	a.note()
	return a.radio.EnterPIN(ctx, pin, lastTry)
}
func (a *asked) PINTries(ctx context.Context) (int, bool, error) {
	a.note()
	return a.radio.PINTries(ctx)
}
func (a *asked) Cells(ctx context.Context) ([]modem.Cell, error) {
	a.note()
	return a.radio.Cells(ctx)
}
func (a *asked) Function(ctx context.Context) (dialect.Kind, error) {
	a.note()
	return a.radio.Function(ctx)
}
func (a *asked) Status(ctx context.Context, c modem.Call) (bool, error) {
	a.note()
	return a.radio.Status(ctx, c)
}

// TestIdleCost: while the link is up and the modem announces nothing, it is
// asked at each look and not in between, whatever the look needs.
func TestIdleCost(t *testing.T) {
	for _, interval := range []time.Duration{0, 30 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, func(c *Config, _ *radio) { c.Interval = interval })
			a := &asked{radio: b.radio}
			b.SetRadio(a)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- b.Run(ctx) }()
			time.Sleep(time.Minute)
			if s := b.model.Snapshot(); s.State != status.Up {
				t.Fatalf("the link is %s: %s", s.State, s.Reason)
			}
			a.set(func() { a.at = nil })
			const hours = 4
			time.Sleep(hours * time.Hour)
			looks, last := 0, time.Time{}
			a.set(func() {
				for _, at := range a.at {
					switch pause := at.Sub(last); {
					case last.IsZero() || pause >= 30*time.Second:
						looks++
					case pause > time.Second:
						t.Errorf("interval %v: asked again after %v", interval, pause)
					}
					last = at
				}
				every := interval
				if every == 0 {
					every = time.Hour
				}
				if want := int(hours * time.Hour / every); looks < want-1 || looks > want+1 || len(a.at) > 8*looks {
					t.Errorf("interval %v: %d questions in %d looks in %d hours, want %d looks", interval, len(a.at), looks, hours, want)
				}
				t.Logf("interval %v: %d questions in %d looks in %d hours", interval, len(a.at), looks, hours)
			})
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
