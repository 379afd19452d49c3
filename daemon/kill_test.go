//go:build linux && !nodemo

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/demo"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// TestKill kills a real daemon with SIGKILL at many moments of an activation,
// starts it again and expects the run to end on a link that works, with one
// whole profile on the card. The moments are spread over the run by its own
// progress, not by a clock: after the nth event that the daemon tells.
func TestKill(t *testing.T) {
	const events = 40 // of a run, about
	kills := 60
	if os.Getenv("DYNAMOD_SOAK") != "" {
		kills = 240
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range kills {
		after := i
		if i >= events {
			after = random.IntN(events)
		}
		t.Run(fmt.Sprintf("after event %d", after), func(t *testing.T) { killAfter(t, after) })
	}
}

func killAfter(t *testing.T, events int) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := netlab.New(ctx, netlab.Options{})
	if errors.Is(err, netlab.ErrForbidden) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	w, err := demo.Open(ctx, n, demo.Options{Dir: dir, Dialect: "quectel", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	client := hook.Dial(filepath.Join(dir, "run", "dynamod.sock"))
	start := func() *daemonProcess {
		p := &daemonProcess{cmd: exec.Command("dynamod", "run", "--config", filepath.Join(dir, "dynamod.toml"))}
		p.cmd.Stderr = &p.log
		if p.done, err = n.Start(ctx, p.cmd); err != nil {
			t.Fatal(err)
		}
		for {
			err := client.Do(ctx, http.MethodGet, "/healthz", nil, nil, nil)
			if err == nil {
				return p
			}
			select {
			case werr := <-p.done:
				t.Fatalf("the daemon ended: %v\n%s", werr, p.log.String())
			case <-ctx.Done():
				t.Fatal(err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	p := start()
	var rec activation.Record
	req := hook.ActivationRequest{Code: w.Profiles[0].Code, Consent: true}
	if err := client.Do(ctx, http.MethodPost, "/v1/activations", nil, req, &rec); err != nil {
		t.Fatalf("%v\n%s", err, p.log.String())
	}
	seen := 0
	err = client.Events(ctx, func(kind string, _ []byte) bool {
		if kind == "run" {
			seen++
		}
		return seen <= events && kind != "end" && !ended(ctx, client, rec.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	p = start()
	for !ended(ctx, client, rec.ID) {
		select {
		case <-ctx.Done():
			t.Fatalf("the run does not end\n%s", p.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := client.Do(ctx, http.MethodGet, "/v1/activations/"+rec.ID, nil, nil, &rec); err != nil {
		t.Fatal(err)
	}
	if rec.Outcome != status.Committed {
		t.Errorf("outcome %s, error %+v\n%s", rec.Outcome, rec.Error, p.log.String())
	}
	var snap status.Snapshot
	for snap.State != status.Up && ctx.Err() == nil {
		if err := client.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if snap.State != status.Up {
		t.Errorf("the link is %s: %s", snap.State, snap.Reason)
	}
	installed := w.Card.Installed()
	if len(installed) != 1 || !installed[0].Enabled || fmt.Sprintf("%x", installed[0].SHA256) != w.Profiles[0].SHA256 {
		t.Errorf("on the card: %d profiles", len(installed))
	}
	p.kill()
}

func ended(ctx context.Context, c *hook.Client, id string) bool {
	var rec activation.Record
	return c.Do(ctx, http.MethodGet, "/v1/activations/"+id, nil, nil, &rec) == nil && rec.Ended != nil
}

// daemonProcess is a daemon in a process of its own.
type daemonProcess struct {
	cmd  *exec.Cmd
	done <-chan error
	log  lockedBuffer
}

func (p *daemonProcess) kill() {
	if p.cmd.Process.Kill() == nil {
		<-p.done
	}
}

// lockedBuffer collects what a child writes while the test may read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
