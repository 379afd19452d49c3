package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/netlink/nlsim"
)

// A verb that does its work without a daemon leaves an interrupted activation as it
// is, and says who ends it; one that gives it up has it carried out.
func TestVerbLeavesRun(t *testing.T) {
	cfg := labConfig(t)
	if err := os.MkdirAll(cfg.State.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.State.Dir, "journal")
	j, err := journal.Open(path, 0, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(activation.Kind, activation.Record{ID: "CUTOFF", State: activation.Accepted, Started: time.Now()}); err != nil {
		t.Fatal(err)
	}
	j.Close()
	opts := Options{Kernel: nlsim.New(), Tree: port.Tree{Sys: t.TempDir(), Dev: t.TempDir()}, LeaveRun: true}
	verb := func(f func(c *hook.Client) error) {
		t.Helper()
		if err := Direct(t.Context(), cfg, opts, f); err != nil {
			t.Fatal(err)
		}
	}
	for range 7 { // more often than a run is taken up
		verb(func(c *hook.Client) error {
			err := c.Do(t.Context(), "POST", "/v1/modem/at", nil, hook.ATRequest{Commands: []string{"AT+CSQ"}}, nil)
			var hint interface{ Hint() string }
			if !errors.As(err, &hint) || !strings.Contains(err.Error(), "activation CUTOFF is in state accepted") || !strings.Contains(hint.Hint(), "dynamod run") {
				t.Errorf("AT+CSQ: %v", err)
			}
			return nil
		})
	}
	records, err := journal.Read(path)
	if runs := activation.Runs(records); err != nil || len(runs) != 1 || runs[0].Resumes != 0 || runs[0].State != activation.Accepted {
		t.Errorf("after the verbs: %+v, %v", runs, err)
	}
	verb(func(c *hook.Client) error {
		if err := c.Do(t.Context(), "DELETE", "/v1/activations/CUTOFF", nil, nil, nil); err != nil {
			return err
		}
		var rec activation.Record
		for rec.Ended == nil {
			if err := c.Do(t.Context(), "GET", "/v1/activations/CUTOFF", nil, nil, &rec); err != nil {
				return err
			}
		}
		return nil
	})
}
