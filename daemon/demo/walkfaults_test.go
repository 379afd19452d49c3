//go:build linux && !nodemo

package demo

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// A walkFault is one thing that goes wrong: a line for a part of the lab as `sim
// ctl` takes it, or a part and a name of this test's own.
type walkFault struct {
	part, line string
	cycle      bool // its end takes a power cycle of the modem, by hand
}

func (f walkFault) String() string { return f.part + " " + f.line }

// walkFaults are all faults of the simulators, lasting ones and where it makes a
// difference ones that strike once, and those of router and network.
func walkFaults() []walkFault {
	list := []walkFault{
		{"modem", "silent", false}, {"modem", "silent command=+CGLA", false}, {"modem", "silent command=+CGLA times=1", false},
		{"modem", "mute", false}, {"modem", "mute command=+CGLA", false}, {"modem", "mute command=+CGLA times=1", false},
		{"modem", "hang", false}, {"modem", "hang until=restart", false}, {"modem", "card-hang", true}, {"modem", "card-hang until=card", false},
		{"modem", "late delay=20s", false}, {"modem", "late command=+CGLA delay=8s", false}, {"modem", "late command=+CGLA delay=40s times=1", false},
		{"modem", "cme code=13", false}, {"modem", "cme command=+CGLA code=13", false}, {"modem", "cme command=+CGLA code=13 times=1", false},
		{"modem", "cme command=+CCHO code=13", false}, {"modem", "cme command=+QNETDEVCTL code=30", false},
		{"modem", "error-after", false}, {"modem", "error-after command=+CGLA code=13", false}, {"modem", "error-after command=+CGLA code=13 times=1", false},
		{"modem", "sim-busy", false}, {"modem", "split-echo text=+CREG:_1", false}, {"modem", "urc-mid-answer text=+QIND:_SMS_DONE", false},
		{"modem", `urc-storm times=5000 delay=1ms text=+QIND:_"csq",20,99`, false}, {"modem", "garbage", false}, {"modem", "busy-drop", false},
		{"modem", "sw code=0x6F00", false}, {"modem", "sw code=0x6F00 times=1", false}, {"modem", "drop-answer", false}, {"modem", "drop-answer times=1", false},
		{"modem", "channels", false}, {"modem", "leak", true}, {"modem", "deny code=11", false}, {"modem", "roam", false}, {"modem", "detach", false},
		{"modem", "no-data", false}, {"modem", "stale-carrier", false}, {"modem", "card-gone", true}, {"modem", "no-service", false},
		{"modem", "no-refresh", false}, {"modem", "refresh-restart", false}, {"modem", "unplug", false}, {"modem", "unplug delay=500ms", false},

		{"card", "status sw=6F00", false}, {"card", "status sw=6F00 times=1", false}, {"card", "lost", false}, {"card", "lost times=1", false},
		{"card", "lost tag=BF31 times=1", false}, {"card", "lost tag=86 block=last times=1", false}, {"card", "mute", false}, {"card", "mute times=1", false},
		{"card", "power-cut", true}, {"card", "power-cut times=1", true}, {"card", "power-cut-after", true}, {"card", "power-cut-after times=1", true},
		{"card", "slow delay=4s", false}, {"card", "slow delay=40s times=1", false},
		{"card", "no-isdr", false}, {"card", "need-capability", false}, {"card", "wrong-signature", false}, {"card", "no-memory", false},
		{"card", "pin-locked", true}, {"card", "cat-busy", false}, {"card", "refuse-refresh", false}, {"card", "keep-session", false},
		{"card", "new-key-always", false}, {"card", "surplus", false}, {"card", "delay time=3s", false},

		{"network", "no-data", false}, {"network", "blackhole", false}, {"network", "portal", false}, {"network", "data for 20 s", false},
		{"disk", "full", false}, {"clock", "20 years ahead", false}, {"clock", "20 years back", false},
	}
	with := map[string]string{"status": "status subject=8.1 reason=6.1", "redirect": "redirect location=https://login.lab.test/", "slow": "slow delay=90s", "http-status": "http-status http=503"}
	for part, faults := range map[string][][2]string{"server": smdpsim.Faults(), "smds": smdpsim.SMDSFaults()} {
		for _, f := range faults {
			line := cmp.Or(with[f[0]], f[0])
			list = append(list, walkFault{part, line, false})
			if slices.Contains([]string{"drop-request", "drop-answer", "truncate", "html", "http-status"}, f[0]) {
				list = append(list, walkFault{part, line + " times=1", false})
			}
		}
	}
	list = append(list, walkFault{"smds", "unreachable", false})
	slices.SortStableFunc(list, func(a, b walkFault) int { return cmp.Compare(a.part, b.part) })
	return list
}

// TestWalkFaultsAreAll holds the list to what the simulators can do.
func TestWalkFaultsAreAll(t *testing.T) {
	has := map[string]bool{}
	for _, f := range walkFaults() {
		name, _, _ := strings.Cut(f.line, " ")
		has[f.part+" "+name] = true
	}
	for part, faults := range map[string][][2]string{"modem": atsim.Faults(), "card": euiccsim.Controls(), "server": smdpsim.Faults(), "smds": smdpsim.SMDSFaults()} {
		for _, f := range faults {
			if !has[part+" "+f[0]] {
				t.Errorf("the fault walk leaves out %s %s", part, f[0])
			}
		}
	}
}

// begin makes the fault happen.
func (w *crashWorld) begin(f walkFault) error {
	name, rest, _ := strings.Cut(f.line, " ")
	switch {
	case f.part == "modem" && name == "unplug":
		_, fault, err := atsim.ParseFault(f.line)
		if err != nil {
			return err
		}
		return w.unplug(fault.Delay)
	case f.part == "network" && name == "blackhole":
		return w.n.Blackhole(true)
	case f.part == "network" && name == "portal":
		w.n.Portal("http://login.lab.test/")
		return nil
	case f.part == "network" && name == "data":
		w.wg.Go(func() {
			time.Sleep(20 * time.Second)
			_ = w.n.Blackhole(true)
		})
		return nil
	case f.line == "unreachable":
		w.noSMDS.Store(true)
		return nil
	case f.part == "disk":
		file, err := os.Create(w.filler())
		if err != nil {
			return err
		}
		defer file.Close()
		for page := make([]byte, 4096); err == nil; {
			_, err = file.Write(page)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		return nil
	case f.part == "clock":
		const years = 20 * 365 * 24 * time.Hour
		w.ahead.Store(int64(years))
		if strings.HasSuffix(rest, "back") {
			w.ahead.Store(int64(-years))
		}
		return nil
	}
	return w.parts()[f.part].set(f.line)
}

// unplug takes the modem away, for d or until it is plugged in again.
func (w *crashWorld) unplug(d time.Duration) error {
	w.gone.Store(int64(d))
	w.away.Store(true)
	return w.Modem.SetFault("unplug", atsim.Fault{})
}

func (w *crashWorld) filler() string { return filepath.Join(w.dir, "box", "state", "filler") }

// mend ends it, with what a person on the spot has to do.
func (w *crashWorld) mend(f walkFault) error {
	name, _, _ := strings.Cut(f.line, " ")
	switch {
	case f.line == "unplug":
		w.replug <- struct{}{}
		return nil
	case f.part == "modem" && name == "unplug":
		return nil
	case f.part == "network" && name != "no-data":
		w.n.Portal("")
		return w.n.Blackhole(false)
	case f.line == "unreachable":
		w.noSMDS.Store(false)
		return nil
	case f.part == "disk":
		return os.Remove(w.filler())
	case f.part == "clock":
		w.ahead.Store(0)
		return nil
	}
	err := w.parts()[f.part].clear("")
	if f.cycle {
		w.gone.Store(int64(5 * time.Second))
		w.Modem.PowerCycle(5 * time.Second)
	}
	return err
}

// cleanup ends what a fault that outlives its own end would do to the checks.
func (w *crashWorld) cleanup() {
	_ = w.n.Blackhole(false)
}

// restart is how long a modem's ports are away when it starts again.
const restart = time.Second

// keepOn is somebody else who keeps the modem on, but while it is unplugged.
func (w *crashWorld) keepOn(ctx context.Context) {
	w.wg.Go(func() {
		for {
			ours, theirs := net.Pipe()
			w.away.Store(false)
			err := w.Modem.Serve(ctx, theirs)
			ours.Close()
			if !errors.Is(err, atsim.ErrUnplugged) {
				return
			}
			w.away.Store(true)
			var back <-chan time.Time
			if d := w.gone.Load(); d > 0 {
				back = time.After(time.Duration(d))
			}
			select {
			case <-w.replug:
			case <-back:
			case <-ctx.Done():
				return
			}
			w.gone.Store(int64(restart))
		}
	})
}

// denied is a line that is never activated.
func denied(l *Lab) { l.Operator.SetLine(l.Profiles[0].ICCID, Line{Denied: true}) }
