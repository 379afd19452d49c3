package euiccsim

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each line of the list can be set, is shown as it was set, and can be cleared.
func TestControl(t *testing.T) {
	l := newLab(t, nil)
	values := map[string]string{"status": "status sw=6F00 tag=BF31 at=2", "lost": "lost tag=BF38 block=last at=2 times=3", "slow": "slow tag=BF38 delay=47s", "delay": "delay time=1s"}
	var all []string
	for _, c := range Controls() {
		line := c[0]
		if v := values[line]; v != "" {
			line = v
		}
		if err := l.card.Set(line); err != nil || c[1] == "" {
			t.Errorf("%s: %v", line, err)
		}
		if got := l.card.Active(); !slices.Equal(got, []string{line}) {
			t.Errorf("%s: active %q", line, got)
		}
		all = append(all, line)
		if err := l.card.Clear(c[0]); err != nil || len(l.card.Active()) != 0 {
			t.Errorf("clear %s: %v, %q", c[0], err, l.card.Active())
		}
	}
	for _, line := range all {
		if err := l.card.Set(line); err != nil {
			t.Error(err)
		}
	}
	if got := l.card.Active(); len(got) != len(all) {
		t.Errorf("active %q", got)
	}
	if b := l.card.Behaviour(); !b.CATBusy || !b.NewKeyAlways || b.Delay != time.Second || len(l.card.FaultsSet()) != 6 {
		t.Errorf("behaviour %+v, faults %v", b, l.card.FaultsSet())
	}
	if err := l.card.Clear(""); err != nil || len(l.card.Active()) != 0 {
		t.Errorf("clear all: %v, %q", err, l.card.Active())
	}
	for _, line := range []string{"", "melt", "status", "status sw=zz", "lost sw=6F00", "lost at=-1", "lost at", "slow", "slow delay=-1s", "mute tag=123456789", "lost colour=red", "lost block=last", "lost tag=BF38 block=2", "lost times=-1", "lost times=x", "cat-busy now", "delay", "delay time=-1s"} {
		if err := l.card.Set(line); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q was taken: %v", line, err)
		}
	}
	if l.card.Clear("melt") == nil {
		t.Error("an unknown name was cleared")
	}
}

// A slow function takes its time once, and others do not.
func TestSlowFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		if err := l.card.Set("slow tag=BF2E delay=47s at=2"); err != nil {
			t.Fatal(err)
		}
		took := func(request []byte) time.Duration {
			start := time.Now()
			l.call(request)
			return time.Since(start)
		}
		challenge := []byte{0xBF, 0x2E, 0}
		for i, want := range []time.Duration{0, 47 * time.Second, 0} {
			if got := took(challenge); got != want {
				t.Errorf("challenge %d took %v, want %v", i+1, got, want)
			}
			if got := took([]byte{0xBF, 0x20, 0}); got != 0 {
				t.Errorf("EUICCInfo1 took %v", got)
			}
		}
		// Who gives up waiting has sent nothing.
		l.card.SetFault(Fault{Kind: FaultSlow, Tag: 0xBF2E, Delay: time.Hour})
		ch := l.open()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := l.card.Stats().APDUs
		if _, err := ch.StoreData(ctx, challenge); err == nil || l.card.Stats().APDUs != before {
			t.Errorf("%v after %d APDUs", err, l.card.Stats().APDUs-before)
		}
	})
}

// A fault acts once, or as often as it says, and on the block that it says.
func TestFaultTimesAndBlock(t *testing.T) {
	for _, tt := range []struct {
		line string
		bad  []int // which of 15 commands fail: five times a function of three blocks
	}{
		{"status sw=6F00 tag=BF38", []int{0}},
		{"status sw=6F00 tag=BF38 block=first", []int{0}},
		{"status sw=6F00 tag=BF38 block=last", []int{2}},
		{"status sw=6F00 tag=BF38 times=2", []int{0, 3}},
		{"status sw=6F00 tag=BF38 block=last at=2 times=3", []int{5, 8, 11}},
		{"status sw=6F00 at=2 times=3", []int{1, 2, 3}},
		{"status sw=6F00 tag=BF21 block=last", nil},
	} {
		l := newLab(t, nil)
		if err := l.card.Set(tt.line); err != nil {
			t.Fatal(err)
		}
		var bad []int
		for i := range 15 {
			block := [][]byte{{0x81, 0xE2, 0x11, 0, 4, 0xBF, 0x38, 3, 1}, {0x81, 0xE2, 0x11, 1, 1, 2}, {0x81, 0xE2, 0x91, 2, 1, 3}}[i%3]
			if l.card.nextFault(block, false).Kind == FaultStatus {
				bad = append(bad, i)
			}
		}
		if !slices.Equal(bad, tt.bad) {
			t.Errorf("%s: hit %v, want %v", tt.line, bad, tt.bad)
		}
		if len(tt.bad) > 0 && len(l.card.Active()) != 0 {
			t.Errorf("%s: still active %q", tt.line, l.card.Active())
		}
	}
}

// Two faults for the same command act one after the other, and show as they can be set.
func TestFaultsInTurn(t *testing.T) {
	l := newLab(t, nil)
	l.card.SetFault(Fault{Kind: FaultMute, Times: 2}, Fault{Kind: FaultLost})
	for i, want := range []FaultKind{FaultMute, FaultMute, FaultLost, FaultNone} {
		if got := l.card.nextFault([]byte{0x80, 0xF2, 0, 0}, false).Kind; got != want {
			t.Errorf("command %d: %v, want %v", i, got, want)
		}
		for _, f := range l.card.FaultsSet() {
			if _, err := ParseFault(f.String()); err != nil {
				t.Error(err)
			}
		}
	}
}

// FuzzControl reads what a control channel sends: a fault that is accepted is
// written and read back to the same, and no line breaks the card.
func FuzzControl(f *testing.F) {
	for _, c := range Controls() {
		f.Add(c[0])
	}
	f.Add("status sw=6985 tag=BF31 at=2")
	f.Add("lost tag=BF38 block=last at=2 times=3")
	f.Add("slow delay=1m0.5s")
	l := newLab(f, nil)
	f.Fuzz(func(t *testing.T, line string) {
		if fault, err := ParseFault(line); err == nil {
			if again, err := ParseFault(fault.String()); err != nil || again != fault {
				t.Errorf("%q became %q: %+v, %v", line, fault, again, err)
			}
		}
		if l.card.Set(line) == nil {
			for _, a := range l.card.Active() {
				if err := l.card.Set(a); err != nil {
					t.Errorf("%q is active as %q: %v", line, a, err)
				}
			}
		}
		if err := l.card.Clear(""); err != nil || len(l.card.Active()) != 0 {
			t.Error("not cleared")
		}
	})
}
