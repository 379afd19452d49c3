package board

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/board/boardsim"
	"dynamod/board/gpio"
)

// bench is a board with lines that record their pulses, in a bubble of its own.
type bench struct {
	chips *boardsim.Chips
	tree  gpio.Tree
}

// onBench runs f with a board whose lines begin as the map says: high or low.
func onBench(t *testing.T, lines map[string]bool, f func(t *testing.T, b *bench)) {
	t.Helper()
	dir := boardsim.Tree(t.TempDir())
	chip := &boardsim.Chip{Name: "gpiochip0", Label: "sim"}
	for name, high := range lines {
		chip.Lines = append(chip.Lines, &boardsim.Line{Name: name, Level: high, Output: true})
	}
	if err := dir.Nodes(chip); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		chips := boardsim.New(chip)
		f(t, &bench{chips, gpio.Tree{Sys: dir.Sys(), Dev: dir.Dev(), Chips: chips}})
		if n := chips.Held(); n != 0 {
			t.Errorf("%d descriptors are left open", n)
		}
	})
}

// story writes a line's changes: "low at 0s, high at 3s".
func (b *bench) story(name string) string {
	var out []string
	for _, c := range b.chips.Read(name).History {
		out = append(out, fmt.Sprintf("%s at %v", map[bool]string{true: "high", false: "low"}[c.High], c.At))
	}
	return strings.Join(out, ", ")
}

func TestCycle(t *testing.T) {
	for _, tt := range []struct {
		name  string
		board Board
		lines map[string]bool
		line  string
		want  string
	}{
		{"Teltonika RUT955: the supply, not the reset", Board{Supply: Supply{Line: "modem_vbus"}, Reset: Reset{Line: "modem_rst"}}, map[string]bool{"modem_vbus": true, "modem_rst": false}, "modem_vbus", "low at 0s, high at 3s"},
		{"a supply that is active when low", Board{Supply: Supply{Line: "!vbus", Off: Duration(time.Second)}}, map[string]bool{"vbus": false}, "vbus", "high at 0s, low at 1s"},
		{"Teltonika RUTC50: the reset", Board{Reset: Reset{Line: "modem_reset"}}, map[string]bool{"modem_reset": false}, "modem_reset", "high at 0s, low at 300ms"},
		{"a reset with a length of its own", Board{Reset: Reset{Line: "!rst", Pulse: Duration(150 * time.Millisecond)}}, map[string]bool{"rst": true}, "rst", "low at 0s, high at 150ms"},
	} {
		onBench(t, tt.lines, func(t *testing.T, b *bench) {
			if err := tt.board.Cycle(t.Context(), b.tree); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if got := b.story(tt.line); got != tt.want {
				t.Errorf("%s: %s", tt.name, got)
			}
			for name := range tt.lines {
				if name != tt.line && b.story(name) != "" {
					t.Errorf("%s: %s: %s", tt.name, name, b.story(name))
				}
			}
		})
	}
	if err := (&Board{}).Cycle(t.Context(), gpio.Tree{}); !errors.Is(err, ErrNoSwitch) {
		t.Errorf("without a line: %v", err)
	}
}

// Whoever waits no longer does not leave the modem without power.
func TestCycleCancelled(t *testing.T) {
	onBench(t, map[string]bool{"modem_vbus": true}, func(t *testing.T, b *bench) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		board := Board{Supply: Supply{Line: "modem_vbus"}}
		if err := board.Cycle(ctx, b.tree); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if got := b.story("modem_vbus"); got != "low at 0s, high at 1s" {
			t.Error(got)
		}
	})
}

// What a process that was killed has left, is set back by the next one, twice if need be.
func TestRestore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		board Board
		line  string
		left  bool
	}{
		{"supply", Board{Supply: Supply{Line: "vbus"}}, "vbus", false},
		{"reset", Board{Reset: Reset{Line: "rst"}}, "rst", true},
	} {
		onBench(t, map[string]bool{tt.line: tt.left}, func(t *testing.T, b *bench) {
			for range 2 {
				if err := tt.board.Restore(t.Context(), b.tree); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
			}
			if got := b.chips.Read(tt.line); got.Level == tt.left || len(got.History) != 1 {
				t.Errorf("%s: %+v", tt.name, got)
			}
		})
	}
}

// keyed is a modem with a power key: it turns on or off with the end of a press that
// is long enough.
func (b *bench) keyed(ctx context.Context, heeds func(on bool, long time.Duration) bool) {
	go func() {
		seen := 0
		time.Sleep(13 * time.Millisecond) // never at one instant with who looks at the status
		for ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			h := b.chips.Read("pwrkey").History
			if len(h) < seen+2 {
				continue
			}
			long := h[seen+1].At - h[seen].At
			seen += 2
			if on := b.chips.Read("status").Level; heeds(on, long) {
				time.Sleep(2 * time.Second)
				b.chips.Set("status", !on)
			}
		}
	}()
}

func TestKey(t *testing.T) {
	board := Board{Key: Key{Line: "pwrkey"}, Status: Status{Line: "status"}}
	ec25 := func(on bool, long time.Duration) bool {
		return on && long >= 650*time.Millisecond || !on && long >= 500*time.Millisecond
	}
	presses := 0
	for _, tt := range []struct {
		name  string
		on    bool
		do    func(ctx context.Context, lines Lines) error
		heeds func(bool, time.Duration) bool
		want  string // of the key's presses
		ends  bool
		err   string
	}{
		{"off and on", true, board.Cycle, ec25, "high at 0s, low at 1s, high at 3.5s, low at 4.2s", true, ""},
		{"is off: on alone", false, board.Cycle, ec25, "high at 0s, low at 700ms", true, ""},
		{"at the start: off", false, func(ctx context.Context, l Lines) error { _, err := board.Prepare(ctx, l); return err }, ec25, "high at 0s, low at 700ms", true, ""},
		{"at the start: on", true, func(ctx context.Context, l Lines) error { _, err := board.Prepare(ctx, l); return err }, ec25, "", true, ""},
		{"heeds the second press", true, board.Cycle, func(on bool, long time.Duration) bool { presses++; return presses != 1 && ec25(on, long) }, "high at 0s, low at 1s, high at 31s, low at 32s, high at 34.5s, low at 35.2s", true, ""},
		{"hangs", true, board.Cycle, func(bool, time.Duration) bool { return false }, "high at 0s, low at 1s, high at 31s, low at 32s", true, "does not heed its key pwrkey: its status is still on"},
	} {
		onBench(t, map[string]bool{"pwrkey": false, "status": tt.on}, func(t *testing.T, b *bench) {
			ctx, stop := context.WithCancel(t.Context())
			b.keyed(ctx, tt.heeds)
			err := tt.do(ctx, b.tree)
			if err == nil && tt.err != "" || err != nil && (tt.err == "" || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%s: %v", tt.name, err)
			}
			if got := b.story("pwrkey"); got != tt.want {
				t.Errorf("%s: %s", tt.name, got)
			}
			if got := b.chips.Read("status").Level; got != tt.ends {
				t.Errorf("%s: on %v", tt.name, got)
			}
			stop()
			synctest.Wait()
			time.Sleep(5 * time.Second)
		})
	}
}

// The lines that a modem needs to be seen are taken and held.
func TestPrepare(t *testing.T) {
	onBench(t, map[string]bool{"hub": false, "ctl": true}, func(t *testing.T, b *bench) {
		board := Board{Quirks: Quirks{On: []string{"hub", "none", "ctl"}}}
		held, err := board.Prepare(t.Context(), b.tree)
		if len(held) != 2 || !errors.Is(err, gpio.ErrNoLine) {
			t.Errorf("%d lines, %v", len(held), err)
		}
		if l := b.chips.Read("hub"); !l.Level || l.Consumer != "dynamod" {
			t.Errorf("%+v", l)
		}
		for _, l := range held {
			l.Close()
		}
	})
}

func TestShow(t *testing.T) {
	dir := boardsim.Tree(t.TempDir())
	led := "sys/class/leds/green:4g/"
	clear := func(files map[string]string) {
		for _, f := range []string{"trigger", "brightness", "device_name", "link", "tx", "rx"} {
			if err := dir.Write(led+f, files[f]); err != nil {
				t.Fatal(err)
			}
		}
		if err := dir.Write(led+"max_brightness", "255\n"); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		light  Light
		ifname string
		want   map[string]string
	}{
		{"off", Off, "", map[string]string{"trigger": "none", "brightness": "0"}},
		{"on", On, "", map[string]string{"trigger": "none", "brightness": "255"}},
		{"blinking", Blinking, "", map[string]string{"trigger": "timer"}},
		{"a link", On, "wwan0", map[string]string{"trigger": "netdev", "device_name": "wwan0", "link": "1", "tx": "1", "rx": "1"}},
	} {
		clear(nil)
		if err := Show(dir.Sys(), "green:4g", tt.light, tt.ifname); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		got := map[string]string{}
		for _, f := range []string{"trigger", "brightness", "device_name", "link", "tx", "rx"} {
			if text := dir.Read(led + f); text != "" {
				got[f] = text
			}
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if err := Show(dir.Sys(), "red:none", On, ""); err == nil {
		t.Error("an LED that is not there is lit")
	}
}
