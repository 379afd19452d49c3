//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// another puts a further profile on the card, whose line the operator knows.
func (w *crashWorld) another(number int, enable bool) (iccid string, err error) {
	iccid = fmt.Sprintf("89001010000099999%02d", number)
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: fmt.Sprintf("0010100000099%02d", number), SPN: Operator})
	if err != nil {
		return "", err
	}
	raw, err := euiccsim.Metadata{ICCID: iccid, Provider: Operator, Name: "Another profile", Class: euiccsim.ClassOperational}.Encode()
	if err != nil {
		return "", err
	}
	w.Operator.admit(iccid)
	return iccid, w.Card.Preload(upp, raw, enable)
}

func (w *crashWorld) enabled() string {
	for _, p := range w.Card.Installed() {
		if p.Enabled {
			return p.ICCID
		}
	}
	return ""
}

// TestFallback runs the whole daemon on a card with two lines, of which the first
// one dies and comes back; then on a card that switches by itself.
func TestFallback(t *testing.T) {
	story := crashStory{standing: true, set: func(c *config.Config) {
		c.Fallback = config.Fallback{Order: []string{config.LastSuccess}, After: 5 * time.Minute, Hold: 10 * time.Minute, Return: time.Hour}
	}}
	inCrashWorld(t, story, func(t *testing.T, w *crashWorld) {
		first := w.old
		second, err := w.another(2, false)
		if err != nil {
			t.Fatal(err)
		}
		life := func(f func(ctx context.Context, c *hook.Client, await func(what string, is func(status.Snapshot) bool) status.Snapshot)) {
			t.Helper()
			r := w.newReaper(nil, false)
			err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
				f(ctx, c, func(what string, is func(status.Snapshot) bool) (got status.Snapshot) {
					t.Helper()
					if _, err := r.until(ctx, c, 48*time.Hour, func(s status.Snapshot) bool { got = s; return is(s) }); err != nil {
						t.Errorf("%s: %v, fallback %+v", what, err, got.Fallback)
					}
					return got
				})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		upWith := func(iccid string) func(status.Snapshot) bool {
			return func(s status.Snapshot) bool {
				return s.State == status.Up && s.SIM != nil && s.SIM.ICCID == iccid && (s.Run == nil || s.Run.Ended != nil) && w.enabled() == iccid
			}
		}
		type awaiter = func(string, func(status.Snapshot) bool) status.Snapshot
		life(func(_ context.Context, _ *hook.Client, await awaiter) {
			await("the first line", upWith(first))
			w.Operator.SetLine(first, Line{Hollow: true})
			if err := w.n.Blackhole(true); err != nil {
				t.Fatal(err)
			}
			await("the fallback begins", func(s status.Snapshot) bool { return s.Run != nil && s.Run.ICCID == second && s.Run.Ended == nil })
		}) // and ends in the middle of it
		life(func(ctx context.Context, c *hook.Client, await awaiter) {
			await("the second line takes over", upWith(second))
			await("a return that fails", func(s status.Snapshot) bool { return s.Run.Outcome == status.RolledBack && upWith(second)(s) })
			w.Operator.SetLine(first, Line{})
			home := await("the first line is back", func(s status.Snapshot) bool {
				return upWith(first)(s) && (s.Fallback == nil || s.Fallback.Preferred == "")
			})
			if home.SIMChange != nil {
				t.Errorf("change %+v", home.SIMChange)
			}
			var runs []activation.Record
			if err := c.Do(ctx, "GET", "/v1/activations", nil, nil, &runs); err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(runs, func(a, b activation.Record) int { return a.Started.Compare(b.Started) })
			for i, r := range runs {
				reason, to, outcome := activation.Return, first, status.RolledBack
				switch i {
				case 0:
					reason, to, outcome = activation.NoTraffic, second, status.Committed
				case len(runs) - 1:
					outcome = status.Committed
				}
				if r.Fallback == nil || r.Fallback.Reason != reason || r.Fallback.Preferred != first || r.ICCID != to || r.Outcome != outcome {
					t.Errorf("run %d: %+v, %+v", i+1, r, r.Fallback)
				}
			}

			third, err := w.another(3, true) // as an applet would
			if err != nil {
				t.Fatal(err)
			}
			snap := await("the card switches by itself", func(s status.Snapshot) bool { return s.SIMChange != nil && upWith(third)(s) })
			if c := snap.SIMChange; c == nil || c.From != first || c.To != third {
				t.Errorf("change %+v", c)
			}
			var records []hook.LogRecord
			if err := c.Do(ctx, "GET", "/v1/log", nil, nil, &records); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(records, func(r hook.LogRecord) bool { return r.Kind == status.SIMChangeKind }) {
				t.Error("the change of the card is not in the journal")
			}
		})
		if t.Failed() {
			t.Log(errors.Join(w.failures()...))
		}
	})
}
