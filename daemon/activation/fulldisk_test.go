package activation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// disk is a state directory that can be full.
type disk struct {
	t   *testing.T
	dir string
}

func smallDisk(t *testing.T) disk {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("cannot mount a small tmpfs: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return disk{t, dir}
}

// fill leaves no room, nor what is left of the journal's last page.
func (d disk) fill(o *Orchestrator) {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Error(err)
		return
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Error(err)
	}
	for err = nil; err == nil; {
		_, err = o.Journal.Append("pad", strings.Repeat("x", 100))
	}
}

func (d disk) filler() string { return filepath.Join(d.dir, "filler") }

// room makes some.
func (d disk) room() {
	if err := os.Remove(d.filler()); err != nil {
		d.t.Error(err)
	}
}

// A run whose end cannot be written ends when there is room, and before another one
// begins: else it would go on for ever in the eyes of the next start.
func TestEndIsOwed(t *testing.T) {
	d := smallDisk(t)
	synctest.Test(t, func(t *testing.T) {
		w, req := newWorld(t), request(t)
		w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
		o, shutdown := boot(t, d.dir, w)
		once := sync.OnceFunc(func() { d.fill(o) })
		w.mu.Lock()
		w.block = func(_ context.Context, call string) {
			if call == "download" {
				once()
			}
		}
		w.mu.Unlock()
		a, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		if a = ended(t, o, a.ID); a.Outcome != status.Committed {
			t.Fatalf("%+v", a)
		}
		synctest.Wait()
		d.fill(o) // what its request has left
		back := Switching{ICCID: oldICCID, Previous: newICCID}
		if _, err := o.Switch(back); faultCode(err) != "state-unwritable" {
			t.Errorf("on a full disk: %v", err)
		}
		d.room()
		b, err := o.Switch(back)
		if err != nil {
			t.Fatal(err)
		}
		ended(t, o, b.ID)
		synctest.Wait()
		shutdown()
		o, shutdown = boot(t, d.dir, w)
		defer shutdown()
		runs := o.Runs()
		if len(runs) != 2 || runs[0].State != Done || runs[0].Outcome != status.Committed || !runs[1].State.Ended() {
			t.Errorf("%+v", runs)
		}
	})
}

// A profile that is on the card already is not switched to where the way back cannot
// be written: after a power cut nobody would know it.
func TestWayBackIsOwed(t *testing.T) {
	d := smallDisk(t)
	synctest.Test(t, func(t *testing.T) {
		w, req := newWorld(t), request(t)
		w.profiles[oldICCID], w.class = euicc.Enabled, euicc.ClassOperational
		w.linkFails[newICCID] = &Fault{Code: "registration-denied", Text: "denied"}
		o, shutdown := boot(t, d.dir, w)
		defer func() { shutdown() }()
		rec, err := o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		if rec = ended(t, o, rec.ID); rec.Outcome != status.RolledBack || w.enabledNow() != oldICCID {
			t.Fatalf("%+v", rec)
		}
		synctest.Wait()
		w.mu.Lock()
		w.log = nil
		w.block = func(_ context.Context, call string) {
			if call == "choose" {
				d.fill(o)
			}
		}
		w.mu.Unlock()
		rec, err = o.Submit(req)
		if err != nil {
			t.Fatal(err)
		}
		rec = ended(t, o, rec.ID)
		if rec.Outcome != status.Failed || rec.Error == nil || rec.Error.Code != "state-unwritable" || w.enabledNow() != oldICCID {
			t.Errorf("%+v, %+v, enabled is %s", rec, rec.Error, w.enabledNow())
		}
		for _, call := range w.calls() {
			if call == "enable" {
				t.Error("switched without a way back")
			}
		}
	})
}

// A journal of a version that lost an end has it ended at the next start.
func TestOrphanIsEnded(t *testing.T) {
	for _, row := range []struct {
		name    string
		outcome status.Outcome
		state   State
		code    string
	}{
		{"in the middle", "", Failed, "interrupted"},
		{"committed", status.Committed, Done, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, w := t.TempDir(), newWorld(t)
				o, shutdown := boot(t, dir, w)
				for _, rec := range []Record{
					{ID: "A", State: Probing, Outcome: row.outcome, ICCID: newICCID, Started: time.Now()},
					{ID: "B", State: Done, Outcome: status.Committed, ICCID: oldICCID, Started: time.Now()},
				} {
					if _, err := o.Journal.Append(Kind, rec); err != nil {
						t.Fatal(err)
					}
				}
				shutdown()
				for range 2 { // written the first time
					o, shutdown = boot(t, dir, w)
					rec, err := o.Get("A")
					code := ""
					if rec.Error != nil {
						code = rec.Error.Code
					}
					if err != nil || rec.State != row.state || rec.Ended == nil || code != row.code || len(o.Runs()) != 2 || o.taken() {
						t.Errorf("%+v, %v", rec, err)
					}
					shutdown()
				}
			})
		})
	}
}
