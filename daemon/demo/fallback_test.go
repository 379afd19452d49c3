//go:build linux && !nodemo

package demo

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
	"dynamod/netlink/uplink"
)

// TestFallback runs the whole daemon on a card with two lines, of which the first
// one dies and comes back; then on a card that switches by itself.
func TestFallback(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("DYNAMOD_TEST_LOG") == t.Name() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := netlab.NewSimulated(netlab.Options{Log: log})
	must(err)
	defer n.Close()
	dir, err := os.MkdirTemp("", "lab") // a socket's path is short
	must(err)
	defer os.RemoveAll(dir)
	line := func(number int) (iccid string, upp []byte) {
		iccid = fmt.Sprintf("89001010000099999%02d", number)
		upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: fmt.Sprintf("0010100000099%02d", number), SPN: Operator})
		must(err)
		return iccid, upp
	}
	first, upp := line(1)
	w, err := Open(ctx, n, Options{Dir: dir, Dialect: "quectel", Log: log, Earlier: upp})
	must(err)
	defer w.Close()
	install := func(number int, enable bool) string {
		iccid, upp := line(number)
		raw, err := euiccsim.Metadata{ICCID: iccid, Provider: Operator, Name: "Another profile", Class: euiccsim.ClassOperational}.Encode()
		must(err)
		w.Operator.admit(iccid)
		must(w.Card.Preload(upp, raw, enable))
		return iccid
	}
	second := install(2, false)
	enabled := func() string {
		for _, p := range w.Card.Installed() {
			if p.Enabled {
				return p.ICCID
			}
		}
		return ""
	}

	cfg, err := config.Load(filepath.Join(dir, "dynamod.toml"))
	must(err)
	cfg.Bearer.Deadline, cfg.Activation.Deadline, cfg.Reach.Interval = 4*time.Second, 20*time.Second, time.Second
	cfg.Activation.Hold = 500 * time.Millisecond
	cfg.Fallback = config.Fallback{Order: []string{config.LastSuccess}, After: 2 * time.Second, Hold: time.Second, Return: 2 * time.Second}
	opts := w.gatewayOptions(log, "test", time.Time{}, cfg)
	var dead atomic.Bool // the first line
	probe := opts.Probe
	opts.Probe = func(ctx context.Context, spec uplink.Spec) bearer.Reach {
		if dead.Load() && enabled() == first {
			return bearer.Reach{State: status.Down, Reason: "nothing answers"}
		}
		return probe(ctx, spec)
	}
	client := hook.Dial(cfg.Hook.Socket)
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- gateway.Run(ctx, cfg, opts) }()
		return func() {
			cancel()
			must(<-ended)
		}
	}
	await := func(what string, ok func(status.Snapshot) bool) status.Snapshot {
		t.Helper()
		for {
			var snap status.Snapshot
			if err := client.Do(ctx, "GET", "/v1/status", nil, nil, &snap); err == nil && ok(snap) {
				return snap
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: %+v, run %+v, fallback %+v", what, snap, snap.Run, snap.Fallback)
			}
			if err := wait(ctx); err != nil {
				t.Fatalf("%s: %s %s, run %+v, fallback %+v", what, snap.State, snap.Reason, snap.Run, snap.Fallback)
			}
		}
	}
	upWith := func(iccid string) func(status.Snapshot) bool {
		return func(s status.Snapshot) bool {
			return s.State == status.Up && s.SIM != nil && s.SIM.ICCID == iccid && (s.Run == nil || s.Run.Ended != nil) && enabled() == iccid
		}
	}

	stop := start()
	await("the first line", upWith(first))
	dead.Store(true)
	await("the fallback begins", func(s status.Snapshot) bool { return s.Run != nil && s.Run.ICCID == second })
	stop() // in the middle of it
	stop = start()
	defer func() { stop() }()
	await("the second line takes over", upWith(second))
	await("a return that fails", func(s status.Snapshot) bool { return s.Run.Outcome == status.RolledBack && upWith(second)(s) })
	dead.Store(false)
	home := await("the first line is back", func(s status.Snapshot) bool {
		return upWith(first)(s) && (s.Fallback == nil || s.Fallback.Preferred == "")
	})
	if home.SIMChange != nil {
		t.Errorf("change %+v", home.SIMChange)
	}
	var runs []activation.Record
	must(client.Do(ctx, "GET", "/v1/activations", nil, nil, &runs))
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

	third := install(3, true) // as an applet would
	snap := await("the card switches by itself", func(s status.Snapshot) bool { return s.SIMChange != nil && upWith(third)(s) })
	if c := snap.SIMChange; c.From != first || c.To != third {
		t.Errorf("change %+v", c)
	}

	var records []hook.LogRecord
	must(client.Do(ctx, "GET", "/v1/log", nil, nil, &records))
	if !slices.ContainsFunc(records, func(r hook.LogRecord) bool { return r.Kind == status.SIMChangeKind }) {
		t.Error("the change of the card is not in the journal")
	}
}
