package gateway

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/outbox"
	"dynamod/daemon/status"
	"dynamod/netlink/nlsim"
)

func labConfig(t *testing.T) *config.Config {
	t.Helper()
	cfg := config.Default()
	dir := t.TempDir()
	cfg.State.Dir, cfg.State.Run = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	cfg.Operators.Dir = filepath.Join(dir, "operators.d")
	cfg.Hook.Socket = filepath.Join(dir, "s")
	return cfg
}

// A router comes up whatever became of its flash, and says what is wrong. What could
// not survive a power cut is refused.
func TestBrokenState(t *testing.T) {
	mount := func(t *testing.T, cfg *config.Config, flags uintptr, data string) {
		err := syscall.Mount("none", cfg.State.Dir, "tmpfs", flags, data)
		if err != nil {
			t.Skip("cannot mount a tmpfs: ", err)
		}
		t.Cleanup(func() { syscall.Unmount(cfg.State.Dir, syscall.MNT_DETACH) })
	}
	for _, tt := range []struct {
		name    string
		spoil   func(t *testing.T, cfg *config.Config)
		text    string // of the warning
		refused bool   // what begins with a journal record
	}{
		{"journal is a directory", func(t *testing.T, cfg *config.Config) { mkdir(t, cfg.State.Dir, "journal") }, "journal", true},
		{"journal of a newer dynamod", func(t *testing.T, cfg *config.Config) {
			body := `{"seq":1,"time":"2026-11-23T11:50:17.819Z","kind":"journal","data":9}`
			write(t, cfg.State.Dir, "journal", fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)), body))
		}, "newer format", true},
		{"outbox is a file", func(t *testing.T, cfg *config.Config) { write(t, cfg.State.Dir, "outbox", "x") }, "outbox", false},
		{"device key cut short", func(t *testing.T, cfg *config.Config) { write(t, cfg.State.Dir, "device.key", "short") }, "device.key", false},
		{"requests is a file", func(t *testing.T, cfg *config.Config) { write(t, cfg.State.Dir, "requests", "x") }, "", true},
		{"read-only from the first start", func(t *testing.T, cfg *config.Config) { mount(t, cfg, syscall.MS_RDONLY, "") }, "read-only file system", true},
		{"read-only after a start", func(t *testing.T, cfg *config.Config) {
			mount(t, cfg, 0, "")
			if err := Direct(t.Context(), cfg, Options{Kernel: nlsim.New()}, func(*hook.Client) error { return nil }); err != nil {
				t.Fatal(err)
			}
			mount(t, cfg, syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
		}, "read-only file system", true},
		{"full from the first start", func(t *testing.T, cfg *config.Config) {
			mount(t, cfg, 0, "size=4096")
			write(t, cfg.State.Dir, "filler", strings.Repeat("x", 4096))
		}, "no space left", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := labConfig(t)
			if err := os.MkdirAll(cfg.State.Dir, 0o755); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, cfg)
			for range 2 {
				err := Direct(t.Context(), cfg, Options{Kernel: nlsim.New()}, func(c *hook.Client) error {
					var snap status.Snapshot
					if err := c.Do(t.Context(), http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
						return err
					}
					if warned := strings.Contains(strings.Join(snap.Warnings, "; "), tt.text); !warned {
						t.Errorf("status warns of %q", snap.Warnings)
					}
					err := c.Do(t.Context(), http.MethodPost, "/v1/activations", nil, hook.ActivationRequest{Code: "LPA:1$smdp.example.com$X", Consent: true}, nil)
					p, ok := errors.AsType[*status.Problem](err)
					if tt.refused && (!ok || p.Code != "state-unwritable" || p.Advice == "") {
						t.Errorf("the activation: %v", err)
					}
					if !tt.refused && err != nil {
						t.Errorf("the activation: %v", err)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if tt.name == "device key cut short" {
					break // it is mended
				}
			}
		})
	}
}

// A disk that gets full while the daemon runs is warned of, and no longer than it is.
func TestDiskGetsFull(t *testing.T) {
	cfg := labConfig(t)
	if err := os.MkdirAll(cfg.State.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", cfg.State.Dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("cannot mount a tmpfs: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(cfg.State.Dir, syscall.MNT_DETACH) })
	synctest.Test(t, func(t *testing.T) {
		opts := Options{Kernel: nlsim.New(), Tree: port.Tree{Sys: t.TempDir(), Dev: t.TempDir()}}
		err := Direct(t.Context(), cfg, opts, func(c *hook.Client) error {
			warns := func(want string) {
				t.Helper()
				time.Sleep(outboxTick + time.Second)
				var snap status.Snapshot
				if err := c.Do(t.Context(), http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
					t.Error(err)
				}
				if got := strings.Join(snap.Warnings, "; "); (got == "") != (want == "") || !strings.Contains(got, want) {
					t.Errorf("status warns of %q, want %q", got, want)
				}
			}
			submit := func(id string) error {
				return c.Do(t.Context(), http.MethodPost, "/v1/activations", nil, hook.ActivationRequest{Code: "LPA:1$smdp.example.com$" + id, Consent: true}, nil)
			}
			warns("")
			filler := filepath.Join(cfg.State.Dir, "filler")
			if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
			// A request is sealed first, the journal is next: both are full.
			p, ok := errors.AsType[*status.Problem](submit("A"))
			if !ok || p.Code != "state-unwritable" || p.Advice == "" {
				t.Errorf("%+v", p)
			}
			warns("no space left")
			return errors.Join(os.Remove(filler), func() error { time.Sleep(5 * time.Minute); warns(""); return submit("B") }())
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A router whose password file is missing starts, says so, and takes the password
// once it is there.
func TestPasswordFileMissing(t *testing.T) {
	cfg := labConfig(t)
	if err := os.MkdirAll(cfg.State.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(cfg.State.Dir, "password")
	cfg.APN = config.APN{Set: true, Name: "internet", Username: "web", PasswordFile: file}
	g, closeAll, err := build(cfg, Options{Kernel: nlsim.New()})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	if w := g.status.Snapshot().Warnings; len(w) != 1 || !strings.Contains(w[0], "[apn] password_file") || !strings.Contains(w[0], file) {
		t.Errorf("status warns of %q", w)
	}
	for _, password := range []string{"", "hush"} {
		if password != "" {
			write(t, cfg.State.Dir, "password", password)
		}
		given := g.configuredAPN()
		if len(given) != 1 || given[0].Connection.APN != "internet" || given[0].Connection.Username != "web" || given[0].Connection.Password.Reveal() != password {
			t.Errorf("with the password %q the connection is %+v", password, given)
		}
	}
	if w := g.status.Snapshot().Warnings; len(w) != 0 {
		t.Errorf("status still warns of %q", w)
	}
}

func mkdir(t *testing.T, dir, name string) {
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, text string) {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// While a run is under way nobody takes its way back from the card.
func TestCardIsNotChangedInARun(t *testing.T) {
	cfg := labConfig(t)
	for _, dir := range []string{cfg.State.Dir, cfg.State.Run} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g, closeAll, err := build(cfg, Options{Kernel: nlsim.New(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	release, err := g.acquireIdle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting, started := make(chan error, 1), make(chan struct{})
	go func() {
		close(started)
		_, err := g.acquireIdle(t.Context())
		waiting <- err
	}()
	<-started
	if _, err := g.runs.Switch(activation.Switching{ICCID: "8900000000000000018"}); err != nil {
		t.Fatal(err)
	}
	release()
	// Both who came before the run and waited for the card, and who comes now.
	for _, err := range []error{<-waiting, func() error { _, err := g.acquireIdle(t.Context()); return err }()} {
		if !errors.Is(err, activation.ErrBusy) {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if release, err = g.acquireCard(ctx); err != nil {
		t.Errorf("the card is still held: %v", err)
	} else {
		release()
	}
}

// Delivered is not done: the card has to forget it as well, and what is on the
// card alone has to be copied.
func TestOutboxWaits(t *testing.T) {
	l := newCardLab(t)
	if l.outboxWaits() {
		t.Error("without a modem there is nothing to do")
	}
	l.device = &device{}
	l.uncollected.Store(true)
	if !l.outboxWaits() {
		t.Error("a card that was not read yet")
	}
	c := l.start(t)
	l.device = &device{}
	order, err := c.Authenticate(t.Context(), l.code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := order.Download(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.collect(t.Context(), c); err != nil || l.uncollected.Load() {
		t.Fatal(err)
	}
	e := l.outbox.Entries()[0]
	if err := l.outbox.Delivered(e); err != nil {
		t.Fatal(err)
	}
	l.showEID(c)
	if !l.outboxWaits() {
		t.Error("a delivered report is on the card still")
	}
	l.status.Update(func(s *status.Snapshot) { s.Card = &status.Card{Error: "no channel"} })
	if !l.outboxWaits() {
		t.Error("a delivered report is on a card that could not be opened since")
	}
	l.showEID(c)
	if err := l.deliver(t.Context(), c); err != nil || l.outboxWaits() || len(l.outbox.Entries()) != 0 {
		t.Errorf("%v, %d left", err, len(l.outbox.Entries()))
	}
	if n, err := c.Notifications(t.Context()); err != nil || len(n) != 0 {
		t.Errorf("%d on the card, %v", len(n), err)
	}
	if err := l.outbox.Put(outbox.Entry{EID: "other", Pending: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	if err := l.outbox.Delivered(l.outbox.Entries()[0]); err != nil || l.outboxWaits() {
		t.Errorf("another card's report is waited for: %v", err)
	}
}
