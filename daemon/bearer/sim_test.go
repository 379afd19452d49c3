package bearer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

func TestPIN(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sim    modem.SIMState
		pin    func() (modem.Secret, error)
		err    error // of the card
		tries  int
		state  status.State
		reason string
		advice string
		told   int // tries in the status
	}{
		{"right", modem.SIMNeedsPIN, pinOf("4711"), nil, 3, status.Up, "", "", 0},
		{"wrong", modem.SIMNeedsPIN, pinOf("4711"), fmt.Errorf("%w, 2 tries left", modem.ErrPIN), 2, status.Down, "pin, card refused the PIN, 2 tries left", "right PIN", 2},
		{"one try left", modem.SIMNeedsPIN, pinOf("4711"), modem.ErrLastTry, 1, status.Down, "one try of the PIN is left", "telephone", 1},
		{"no file", modem.SIMNeedsPIN, pinOf(""), nil, 3, status.Down, "no SIM can be used: pin, tries left: 3", "pin_file", 3},
		{"a file that cannot be read", modem.SIMNeedsPIN, func() (modem.Secret, error) { return "", errors.New("cannot read the secret in /x") }, nil, 0, status.Down, "cannot read the secret", "pin_file", 0},
		{"PUK", modem.SIMNeedsPUK, pinOf("4711"), nil, 0, status.Down, "no SIM can be used: puk", "PUK, and a new PIN", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, func(c *Config, r *radio) {
				r.sim, r.pinErr, r.tries, c.PIN = tt.sim, tt.err, tt.tries, tt.pin
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- b.Run(ctx) }()
			time.Sleep(5 * time.Minute)
			s := b.model.Snapshot()
			if s.State != tt.state || !strings.Contains(s.Reason, tt.reason) || !strings.Contains(s.Advice, tt.advice) {
				t.Errorf("%s: %s, %q, %q", tt.name, s.State, s.Reason, s.Advice)
			}
			if tt.told != 0 && (s.SIM == nil || s.SIM.PINTries == nil || *s.SIM.PINTries != tt.told) || tt.told == 0 && s.SIM != nil && s.SIM.PINTries != nil {
				t.Errorf("%s: %+v", tt.name, s.SIM)
			}
			if text := fmt.Sprintf("%+v", s); strings.Contains(text, "4711") {
				t.Errorf("%s: the PIN is in the status", tt.name)
			}
			cancel()
			<-done
		})
	}
}

func pinOf(pin modem.Secret) func() (modem.Secret, error) {
	return func() (modem.Secret, error) { return pin, nil }
}

// A run ends at once, with the reason, on a card that will not let it in.
func TestLockedCardEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(_ *Config, r *radio) { r.sim, r.reg = modem.SIMNeedsPUK, modem.RegSearching })
		_, err := b.Up(t.Context(), &plan{}, func(activation.State) {})
		var f *activation.Fault
		if !errors.As(err, &f) || f.Code != "no-sim" || f.Advice == "" {
			t.Errorf("%v", err)
		}
	})
}

// A card that is busy for long takes nothing from a link that carries traffic, and
// does not hide the end of one.
func TestBusyCardBesideALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		defer func() { cancel(); <-done }()
		time.Sleep(10 * time.Second)
		if s := b.model.Snapshot(); s.State != status.Up {
			t.Fatalf("the link is %s: %s", s.State, s.Reason)
		}
		b.radio.set(func() { b.radio.sim = modem.SIMBusy })
		for range 10 {
			b.Kick()
			time.Sleep(time.Minute)
			if s := b.model.Snapshot(); s.State != status.Up || s.Link == nil || b.routes(t) == 0 {
				t.Fatalf("the link is %s: %s", s.State, s.Reason)
			}
		}
		b.radio.set(func() { b.radio.reg, b.radio.up = modem.RegSearching, "" })
		b.Kick()
		time.Sleep(time.Minute)
		if s := b.model.Snapshot(); s.State != status.Down || !strings.Contains(s.Reason, "busy") || b.routes(t) != 0 {
			t.Errorf("the link is %s: %q, %d routes", s.State, s.Reason, b.routes(t))
		}
		b.radio.set(func() { b.radio.sim, b.radio.reg = modem.SIMReady, modem.RegHome })
		b.Kick()
		time.Sleep(10 * time.Second)
		if s := b.model.Snapshot(); s.State != status.Up {
			t.Errorf("the link is %s: %s", s.State, s.Reason)
		}
	})
}
