package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/port"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/status"
	"dynamod/daemon/task"
	"dynamod/netlink/nlsim"
)

// brokenKernel fails the first watches.
type brokenKernel struct {
	*nlsim.Kernel
	left int
}

func (k *brokenKernel) Watch(ctx context.Context, changed func()) error {
	if k.left--; k.left >= 0 {
		var none []int
		_ = none[k.left]
	}
	return k.Kernel.Watch(ctx, changed)
}

// newGateway builds the parts, and nothing runs.
func newGateway(t *testing.T) *Gateway {
	t.Helper()
	cfg := labConfig(t)
	if err := os.MkdirAll(cfg.State.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	g, closeAll, err := build(cfg, Options{Kernel: nlsim.New()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAll)
	return g
}

// A daemon goes on after the panic of a task, tells it, and ends for good when it
// happens too often.
func TestPanickingTask(t *testing.T) {
	for _, tt := range []struct {
		name   string
		panics int
		given  bool // the daemon gives up
	}{{"once", 1, false}, {"as often as the budget has", task.Budget, false}, {"too often", task.Budget + 1, true}} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := labConfig(t)
			synctest.Test(t, func(t *testing.T) {
				opts := Options{Kernel: &brokenKernel{nlsim.New(), tt.panics}, Tree: port.Tree{Sys: t.TempDir(), Dev: t.TempDir()}}
				err := Direct(t.Context(), cfg, opts, func(c *hook.Client) error {
					time.Sleep(10 * time.Minute)
					var s status.Snapshot
					return c.Do(t.Context(), http.MethodGet, "/v1/status", nil, nil, &s)
				})
				budget, gaveUp := errors.AsType[*task.BudgetError](err)
				if gaveUp != tt.given || err != nil && !gaveUp {
					t.Errorf("it ended with %v", err)
				}
				if gaveUp && (budget.Panic.Task != "kernel" || budget.Hint() == "") {
					t.Errorf("%+v", budget.Panic)
				}
			})
			records, err := journal.Read(filepath.Join(cfg.State.Dir, "journal"))
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			for _, r := range records {
				var p task.Panic
				if r.Kind != PanicKind {
					continue
				}
				if err := json.Unmarshal(r.Data, &p); err != nil || p.Task != "kernel" || !strings.HasPrefix(p.Value, "runtime error: index out of range") ||
					len(p.Stack) == 0 || !strings.Contains(p.Stack[0], "brokenKernel") {
					t.Errorf("journalled %s, %v", r.Data, err)
				}
				told++
			}
			if told != tt.panics {
				t.Errorf("%d panics in the journal", told)
			}
		})
	}
}

// A task that does not end holds up nobody: what was meant is on disk.
func TestTaskThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gateway{log: slog.New(slog.DiscardHandler), bearer: nil}
		g.conf.Store(config.Default())
		ctx, cancel := context.WithCancel(t.Context())
		stuck := make(chan struct{})
		begin := time.Now()
		cancel()
		err := g.runTasks(ctx, []task.Task{
			{Name: "good", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }},
			{Name: "stuck", Run: func(context.Context) error { <-stuck; return nil }},
		})
		if took := time.Since(begin); !errors.Is(err, errLeft) || took != exitTime {
			t.Errorf("after %s: %v", took, err)
		}
		close(stuck)
		synctest.Wait()
	})
}

// What ended an earlier process is journalled by the next, once.
func TestCrashIsKept(t *testing.T) {
	cfg := labConfig(t)
	if err := os.MkdirAll(cfg.State.Run, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "panic: LPA:1$smdp.example.com$SECRET-ID\n\ngoroutine 7 [running]:\ndynamod/atcmd.(*Session).read(0xc000, {0x98, 0x10})\n\t/src/dynamod/atcmd/reader.go:12 +0x1d\n"
	if err := os.WriteFile(filepath.Join(cfg.State.Run, "crash"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		opts := Options{Kernel: nlsim.New(), Tree: port.Tree{Sys: t.TempDir(), Dev: t.TempDir()}}
		if err := Direct(t.Context(), cfg, opts, func(*hook.Client) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	records, err := journal.Read(filepath.Join(cfg.State.Dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range records {
		if r.Kind == PanicKind {
			told = append(told, string(r.Data))
		}
	}
	if want := `{"task":"process","value":"a value that is not shown","stack":["dynamod/atcmd.(*Session).read atcmd/reader.go:12"],"count":1}`; len(told) != 1 || told[0] != want {
		t.Errorf("journalled %q", told)
	}
}

// The watchdog is fed only while somebody who needs the daemon would be served.
func TestAlive(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(g *Gateway) (mend func())
		want string
	}{
		{"all is well", nil, ""},
		{"the modem's loop hangs", func(g *Gateway) func() {
			g.modemPulse.Work("opening the modem", time.Nanosecond)
			return g.modemPulse.Rest
		}, "opening the modem takes"},
		{"the bearer's loop hangs", func(g *Gateway) func() {
			g.linkPulse.Work("looking after the link", time.Nanosecond)
			return g.linkPulse.Rest
		}, "looking after the link takes"},
		{"a lock is never given back", func(g *Gateway) func() { g.mu.Lock(); return g.mu.Unlock }, "a lock is held for too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t)
			client, l := hook.InProcess()
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- g.hook.Serve(ctx, l) }()
			defer func() { stop(); <-ended }()
			if tt.harm != nil {
				mend := tt.harm(g)
				defer mend()
			}
			ask, done := context.WithTimeout(ctx, time.Second)
			defer done()
			got := ""
			if err := g.alive(ask, client); err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("alive: %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("nobody answers on the socket", func(t *testing.T) {
		client, _ := hook.InProcess()
		ask, done := context.WithTimeout(t.Context(), time.Millisecond)
		defer done()
		if err := newGateway(t).alive(ask, client); err == nil {
			t.Error("alive")
		}
	})
}
