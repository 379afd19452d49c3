package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/daemon/config"
	"dynamod/netlink/nlsim"
)

// pipePort is a net.Pipe as a session's port.
type pipePort struct{ net.Conn }

func (p pipePort) WriteContext(_ context.Context, b []byte) error {
	_, err := p.Write(b)
	return err
}

// TestSIMSlot: the slot of the configuration is selected once, if another one is
// active, and not again in a modem that falls back to its own.
func TestSIMSlot(t *testing.T) {
	for _, tt := range []struct {
		name, dialect string
		want          int
		slot          int // active then; 0 is not told
		sent          int // changes in three openings
	}{
		{"not configured", "quectel", config.NoSlot, 1, 0},
		{"active already", "quectel", 1, 1, 0},
		{"another one", "quectel", 2, 2, 1},
		{"one that the modem does not have", "quectel", 7, 1, 1},
		{"a modem without the command", "generic", 2, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			sim, err := atsim.New(atsim.Config{Personality: tt.dialect, Card: m2mCard(), Slots: []atsim.Card{m2mCard()}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ours, theirs := net.Pipe()
			done := make(chan error, 1)
			go func() { done <- sim.Serve(ctx, theirs) }()
			s := atcmd.New(pipePort{ours}, atcmd.Options{})
			cfg := config.Default()
			cfg.Modem.SIMSlot = tt.want
			g := &Gateway{log: slog.New(slog.DiscardHandler)}
			g.conf.Store(cfg)
			for range 3 {
				now, err := g.useSlot(ctx, modem.New(s, dialect.ByName(tt.dialect), nil), modem.Identity{IMEI: "490154203237518"})
				if err != nil || (now == nil) != (tt.slot == 0) || now != nil && *now != tt.slot {
					t.Errorf("%s: slot %v, %v", tt.name, now, err)
				}
				time.Sleep(time.Minute)
			}
			if n := sim.Stats().ByName["+CFUN"] / 2; n != tt.sent {
				t.Errorf("%s: changed %d times, want %d", tt.name, n, tt.sent)
			}
			s.Close()
			cancel()
			<-done
		})
	}
}

// TestRefusedPINOutlives: what the card refused is known to the next process, and
// the file that says so tells nothing of the PIN without the device key.
func TestRefusedPINOutlives(t *testing.T) {
	cfg := labConfig(t)
	if err := os.MkdirAll(cfg.State.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	refused, other := sha256.Sum256([]byte("8900101000000000019 4711")), sha256.Sum256([]byte("8900101000000000019 0815"))
	for i := range 2 {
		g, closeAll, err := build(cfg, Options{Kernel: nlsim.New()})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			g.pins.Keep(refused[:], 2)
		}
		if left, ok := g.pins.Kept(refused[:]); !ok || left != 2 {
			t.Errorf("process %d: refused %v, %d tries left", i, ok, left)
		}
		if _, ok := g.pins.Kept(other[:]); ok {
			t.Errorf("process %d: another PIN is refused", i)
		}
		closeAll()
	}
	text, err := os.ReadFile(filepath.Join(cfg.State.Dir, "learned.json"))
	if err != nil || bytes.Contains(text, []byte(hex.EncodeToString(refused[:8]))) {
		t.Errorf("%s %v", text, err)
	}
}
