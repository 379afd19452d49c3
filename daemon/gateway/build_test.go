package gateway

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/outbox"
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

// Each part that cannot be opened is an error with a way on, and what was opened
// before it is closed again.
func TestStartFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, cfg *config.Config)
		code  string
		text  string
	}{
		{"journal is a directory", func(t *testing.T, cfg *config.Config) { mkdir(t, cfg.State.Dir, "journal") }, "state-unwritable", "journal"},
		{"outbox is a file", func(t *testing.T, cfg *config.Config) { write(t, cfg.State.Dir, "outbox", "x") }, "state-unwritable", "outbox"},
		{"device key cut short", func(t *testing.T, cfg *config.Config) { write(t, cfg.State.Dir, "device.key", "short") }, "state-unwritable", "device.key"},
		{"requests is a file", func(t *testing.T, cfg *config.Config) { write(t, cfg.State.Dir, "requests", "x") }, "state-unwritable", "requests"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := labConfig(t)
			if err := os.MkdirAll(cfg.State.Dir, 0o755); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, cfg)
			err := Direct(t.Context(), cfg, Options{Kernel: nlsim.New()}, nil)
			f, ok := errors.AsType[*activation.Fault](err)
			if !ok || f.Code != tt.code || !strings.Contains(f.Error(), tt.text) || f.Advice == "" {
				t.Errorf("%v", err)
			}
		})
	}
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
	if _, err := g.runs.Switch("8900000000000000018", ""); err != nil {
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
