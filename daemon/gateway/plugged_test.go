package gateway

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/board"
	"dynamod/netlink/uevent"
)

// The pauses before a modem is opened again grow, and a port that the kernel adds
// ends the one that is under way, and their growth.
func TestPluggedEndsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gateway{mute: make(chan muteRestart), plugged: make(chan struct{}, 1)}
		begun, wait := time.Now(), firstReopen
		for range 8 {
			wait = g.pauseModem(t.Context(), wait, false)
		}
		if wait != lastReopen || time.Since(begun) != 183*time.Second {
			t.Errorf("the next pause is %v after %v", wait, time.Since(begun))
		}
		go func() {
			for range 4 { // ports
				time.Sleep(20 * time.Millisecond)
				select {
				case g.plugged <- struct{}{}:
				default:
				}
			}
		}()
		begun = time.Now()
		if wait = g.pauseModem(t.Context(), wait, false); wait != firstReopen || time.Since(begun) != 80*time.Millisecond+board.DefaultWhole {
			t.Errorf("the next pause is %v after %v", wait, time.Since(begun))
		}
		begun = time.Now()
		if g.pauseModem(t.Context(), wait, false); time.Since(begun) != firstReopen {
			t.Errorf("the ports of one modem ended two pauses: %v", time.Since(begun))
		}
	})
}

// A modem that goes as soon as it is opened, and comes back as another port each
// time, is opened ever more seldom.
func TestPluggedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gateway{mute: make(chan muteRestart), plugged: make(chan struct{}, 1)}
		wait := firstReopen
		var pauses []time.Duration
		for range 8 {
			go func() {
				time.Sleep(500 * time.Millisecond)
				select {
				case g.plugged <- struct{}{}:
				default:
				}
			}()
			begun := time.Now()
			wait = g.pauseModem(t.Context(), wait, true)
			pauses = append(pauses, time.Since(begun))
		}
		early := 500*time.Millisecond + board.DefaultWhole
		want := []time.Duration{early, early, early, early, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}
		if !slices.Equal(pauses, want) || wait != lastReopen {
			t.Errorf("the pauses are %v, the next is %v", pauses, wait)
		}
	})
}

// A modem is opened once it is whole: after its last port and its network function,
// by the time that its board gives it, and not for ever.
func TestPluggedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			whole time.Duration // of the board, 0 for none
			gap   time.Duration // between two ports
			ports int
			want  time.Duration // from the first port on
		}{
			{"Quectel EC25: four ports and wwan0", 0, 100 * time.Millisecond, 5, 400*time.Millisecond + board.DefaultWhole},
			{"a board whose hub is slow", 2 * time.Second, time.Second, 3, 4 * time.Second},
			{"a port that comes and goes", 0, 50 * time.Millisecond, 1000, plugging},
		} {
			g := &Gateway{plugged: make(chan struct{}, 1)}
			g.board.Quirks.Whole = board.Duration(tt.whole)
			go func() {
				for range tt.ports - 1 {
					time.Sleep(tt.gap)
					select {
					case g.plugged <- struct{}{}:
					default:
					}
				}
			}()
			begun := time.Now()
			g.awaitWhole(t.Context())
			if took := time.Since(begun); took != tt.want {
				t.Errorf("%s: whole after %v, want %v", tt.name, took, tt.want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestOfModem(t *testing.T) {
	const usb = "/devices/pci0000:00/0000:00:14.0/usb1/1-2/"
	for _, tt := range []struct {
		name string
		e    uevent.Event
		want bool
	}{
		{"a port", uevent.Event{Action: "add", Path: usb + "1-2:1.2/ttyUSB2/tty/ttyUSB2", Subsystem: "tty"}, true},
		{"a port of the wwan class", uevent.Event{Action: "add", Path: "/devices/pci0000:00/0000:01:00.0/mhi0/wwan/wwan0/wwan0at0", Subsystem: "wwan"}, true},
		{"a network function", uevent.Event{Action: "add", Path: usb + "1-2:1.4/net/wwan0", Subsystem: "net"}, true},
		{"events that were lost", uevent.Event{}, true},
		{"another interface", uevent.Event{Action: "add", Path: "/devices/virtual/net/veth0", Subsystem: "net"}, false},
		{"a driver is bound", uevent.Event{Action: "bind", Path: usb + "1-2:1.2", Subsystem: "usb"}, false},
		{"a port that goes", uevent.Event{Action: "remove", Path: usb + "1-2:1.2/ttyUSB2/tty/ttyUSB2", Subsystem: "tty"}, false},
	} {
		if ofModem(tt.e) != tt.want {
			t.Errorf("%s: want %v", tt.name, tt.want)
		}
	}
}
