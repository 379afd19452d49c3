//go:build linux && !nodemo

package demo

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

// TestPersonalities gives every simulated modem the main job: from an activation
// code to traffic over the new profile. Where the firmware keeps the eUICC to
// itself the run must end with the reason, and the profile that was enabled
// before must carry the link. It prints one table.
func TestPersonalities(t *testing.T) {
	models := atsim.Models()
	rows := make([][]string, len(models))
	t.Run("models", func(t *testing.T) {
		for i, m := range models {
			t.Run(m.Name, func(t *testing.T) {
				t.Parallel()
				begun := time.Now()
				how := mainJob(t, m)
				rows[i] = []string{m.Name, m.Model, string(m.Path), m.Source, how, fmt.Sprintf("%.1f s", time.Since(begun).Seconds())}
			})
		}
	})
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PERSONALITY\tMODEL\tPATH\tSOURCE\tMAIN JOB\tTIME")
	for _, r := range rows {
		if r == nil {
			r = []string{"", "", "", "", "not run", ""}
		}
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
	publish(t, "main job on each personality", b.String())
}

// mainJob runs one row, and says how it ended.
func mainJob(t *testing.T, m atsim.Model) string {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("DYNAMOD_TEST_LOG") == m.Name {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n, err := netlab.NewSimulated(netlab.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	o := Options{Dir: t.TempDir(), Dialect: m.Name, Log: log}
	reachable := m.Path == atsim.PathCGLA || m.Path == atsim.PathCSIM
	const earlier = "8900101000009999991"
	if !reachable {
		if o.Earlier, err = smdpsim.TestProfile(smdpsim.ProfileData{ICCID: earlier, IMSI: "001010000009999", MNCDigits: 2, SPN: Operator}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := Open(ctx, n, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cfg, err := config.Load(filepath.Join(o.Dir, "dynamod.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var rec activation.Record
	var snap status.Snapshot
	err = gateway.Direct(ctx, cfg, w.gatewayOptions(log, "test", time.Time{}, cfg), func(c *hook.Client) error {
		if err := c.Do(ctx, "POST", "/v1/activations", nil, hook.ActivationRequest{Code: w.Profiles[0].Code, Consent: true}, &rec); err != nil {
			return err
		}
		if err := await(ctx, c, "/v1/activations/"+rec.ID, &rec, func() bool { return rec.Ended != nil }); err != nil {
			return err
		}
		if m.Path == atsim.PathNone {
			return c.Do(ctx, "GET", "/v1/status", nil, nil, &snap)
		}
		return awaitUp(ctx, c, &snap)
	})
	if err != nil {
		t.Fatalf("%v; the run: %s %+v", err, rec.State, rec.Error)
	}
	counters, err := n.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if snap.Modem == nil || !strings.Contains(m.Model, snap.Modem.Model) {
		t.Errorf("the daemon met %+v", snap.Modem)
	}
	if reachable {
		installed := w.Card.Installed()
		if rec.Outcome != status.Committed || rec.ICCID != w.Profiles[0].ICCID || counters.Reached == 0 || len(installed) != 1 || !installed[0].Enabled {
			t.Fatalf("%s, %+v; card %+v; %d requests crossed the link", rec.Outcome, rec.Error, installed, counters.Reached)
		}
		if m.Source == "assumed" {
			return "up (assumed)"
		}
		return "up"
	}
	want := "this firmware blocks it"
	if m.Path == atsim.PathNone {
		want = "not an eSIM host"
	}
	if rec.Error == nil || !strings.HasPrefix(rec.Error.Text, "open: "+want) || strings.Count(rec.Error.Text, want) != 1 || rec.Error.Code != "esim-blocked" || rec.Error.Advice == "" {
		t.Fatalf("the run ended as %s with %+v, want %q", rec.Outcome, rec.Error, want)
	}
	if m.Path == atsim.PathNone {
		return want + "; no interface for a host"
	}
	if counters.Reached == 0 || snap.Link == nil {
		t.Fatalf("no traffic on the profile that is enabled: %+v", snap.Link)
	}
	if m.Note != "" {
		want += " (" + m.Note + ")"
	}
	return want + "; link on the enabled profile"
}

// await asks for what is at path until it is as wanted.
func await(ctx context.Context, c *hook.Client, path string, into any, is func() bool) error {
	for {
		if err := c.Do(ctx, "GET", path, nil, nil, into); err != nil || is() {
			return err
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
}

func awaitUp(ctx context.Context, c *hook.Client, s *status.Snapshot) error {
	if err := await(ctx, c, "/v1/status", s, func() bool { return s.State == status.Up }); err != nil {
		return fmt.Errorf("the link stays %s: %s: %w", s.State, s.Reason, err)
	}
	return nil
}

func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}
