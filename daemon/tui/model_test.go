package tui

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/activation"
	"dynamod/daemon/diag"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

var (
	full   = theme{colour: true}
	vt100  = theme{ascii: true}
	dumb   = theme{ascii: true, plain: true}
	themes = map[string]theme{"xterm": full, "vt100": vt100, "dumb": dumb}
)

func TestThemeFor(t *testing.T) {
	for _, tt := range []struct {
		name, term, lcAll, lang, noColour string
		want                              theme
	}{
		{"a desktop's terminal", "xterm-256color", "", "de_DE.UTF-8", "", theme{colour: true}},
		{"ssh to a router without a locale", "xterm-256color", "", "", "", theme{ascii: true, colour: true}},
		{"LC_ALL goes before LANG", "screen", "C", "C.UTF-8", "", theme{ascii: true, colour: true}},
		{"no-color.org", "xterm", "C.utf8", "", "1", theme{}},
		{"a serial console by systemd", "vt220", "", "C.UTF-8", "", theme{ascii: true}},
		{"VT100", "vt100", "", "", "", theme{ascii: true}},
		{"VT100 without wrap", "vt100-nav", "", "", "", theme{ascii: true}},
		{"gnome's library is no VT", "vte-256color", "", "C.UTF-8", "", theme{colour: true}},
		{"the kernel's console", "linux", "C.UTF-8", "", "", theme{ascii: true}},
		{"dumb", "dumb", "C.UTF-8", "", "", theme{ascii: true, plain: true}},
		{"no TERM at all", "", "C.UTF-8", "", "", theme{ascii: true, plain: true}},
	} {
		env := map[string]string{"TERM": tt.term, "LC_ALL": tt.lcAll, "LANG": tt.lang, "NO_COLOR": tt.noColour}
		if got := themeFor(func(name string) string { return env[name] }); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// Every view is drawn in every look and size with what the daemon may tell, and
// with nothing.
func TestEveryViewFits(t *testing.T) {
	for name, look := range themes {
		for _, size := range [][2]int{{80, 24}, {40, 12}, {200, 60}, {20, 6}, {19, 5}, {1, 1}, {132, 43}} {
			s := newScreen(t, look, size[0], size[1])
			answerAll(s.daemon)
			for _, prepared := range []func(){func() {}, func() { s.send(attachedMsg{}) }, func() {
				s.send(attachedMsg{status.Snapshot{Card: &status.Card{}, Link: &status.Link{}, SIM: &status.SIM{}, Signal: &status.Signal{}, Run: &status.Run{}, Door: &status.Door{}}})
			}, func() { s.send(attachedMsg{upSnapshot()}) }, func() { s.send(goneMsg{errLine}) }} {
				prepared()
				for _, k := range []string{"1", "2", "3", "4", "5", "6", "7", "?", " ", "Q", "Q", " ", "tab", "left", "down", "pgdown", "up", "pgup", "r"} {
					s.keys(k)
				}
			}
			if t.Failed() {
				t.Fatalf("%s, %dx%d", name, size[0], size[1])
			}
		}
	}
}

func answerAll(d *fakeDaemon) {
	d.answers["GET /v1/apn"] = hook.APN{
		SIM: hook.APNSIM{ICCID: "8900000000000000018", SPN: "Exämple Net"}, Network: hook.APNNetwork{Registration: "home", PLMN: "00101", Roaming: "at home", Allowed: true},
		Reasons: []string{"home network 00101", "chosen: operators.d/example.json"},
		Candidates: []hook.APNCandidate{
			{APN: "iot.example", IPType: "ipv4", Auth: "none", Source: "operators.d", Reason: "operators.d/example.json by MCC+MNC 00101", Active: true},
			{APN: "", IPType: "ipv4v6", Auth: "none", Reason: "the network may assign one", NotTried: "this modem cannot"},
		},
	}
	d.answers["GET /v1/diag"] = diag.Diagnosis{Nodes: []diag.Node{
		{Name: "board", State: diag.OK, Text: "Example Box"}, {Name: "port", Parent: "board", State: diag.OK, Text: "/dev/ttyUSB2"},
		{Name: "registration", Parent: "port", State: diag.Broken, Text: "denied, cause 8", Advice: "ask the operator to activate the line"},
		{Name: "link", Parent: "registration", State: diag.Skipped, Text: "depends on registration"},
	}}
	d.answers["GET /v1/log"] = []hook.LogRecord{{Seq: 1, Time: began, Kind: "started", Data: []byte(`{"version":"v1.2.3"}`)}}
}

func TestOverview(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.sees("connecting to /run/dynamod/dynamod.sock")
	s.send(goneMsg{hook.ErrNoDaemon})
	s.sees("no daemon since 13:00:00", "no daemon answers", "dynamod run")
	s.send(attachedMsg{upSnapshot()})
	s.sees("UP  Exämple Net LTE", "▂▄▆█ RSSI -67 dBm, RSRP -87 dBm", "wwan0 10.64.3.6/30, gateway 10.64.3.5", "iot.example (operators.d/example.json",
		"ok, 21 ms, 12:50:00, http://reach.example/generate_204", "home, LTE, Exämple Net", "Quectel EG25, /dev/ttyUSB2", "IoT 1, Exämple Net")
	s.seesNot("no daemon")

	// The link goes, and the screen says why and what to do.
	snap := upSnapshot()
	snap.State, snap.Reason, snap.Advice, snap.Link, snap.Reach = status.Down, "registration denied", "ask the operator", nil, nil
	snap.Recovery = &status.Recovery{State: status.Climbing, Symptom: "no-network", Reason: "not registered for 5 minutes"}
	snap.Warnings = []string{"the clock is wrong"}
	s.clock = s.clock.Add(time.Minute)
	s.send(snapshotMsg{snap: snap})
	s.sees("DOWN", "down, registration denied", "ask the operator", "climbing, no-network: not registered", "the clock is wrong", "13:01:00  link down, registration denied")

	// What has no words is not drawn: a terminal sequence of the card's.
	s.keys("2")
	s.sees("Other?[2JNet")
}

// The trend begins with what the daemon has kept, and shows the youngest level last.
func TestSignalTrend(t *testing.T) {
	s := newScreen(t, vt100, 80, 24)
	at := func(rsrp float64) status.Snapshot {
		snap := upSnapshot()
		snap.Signal = &status.Signal{RSRP: &rsrp}
		return snap
	}
	s.send(attachedMsg{at(-80)})
	for _, l := range []float64{-120, -110, -100, -80} {
		s.send(snapshotMsg{at(l), true})
	}
	s.sees("Trend       _-+@         /", "[####] RSRP -80 dBm")
	s.send(snapshotMsg{at(-80), false}) // the same once more is no new level
	s.sees("Trend       _-+@ ")
	for range 2 * trendLength {
		s.send(snapshotMsg{at(-120), false}, snapshotMsg{at(-119), false})
	}
	s.sees("Trend       ____________ =", "[#...] RSRP -119 dBm")
	for _, tt := range []struct {
		name string
		g    *status.Signal
		bars int
	}{
		{"not known", nil, 0}, {"no levels", &status.Signal{}, 0}, {"GSM, far away", &status.Signal{RSSI: pointer(-109.0)}, 0},
		{"GSM", &status.Signal{RSSI: pointer(-100.0)}, 2}, {"LTE at the cell's edge", &status.Signal{RSRP: pointer(-127.0)}, 1}, {"LTE beside the mast", &status.Signal{RSSI: pointer(-110.0), RSRP: pointer(-60.0)}, 4},
	} {
		if got := bars(tt.g); got != tt.bars {
			t.Errorf("%s: %d bars, want %d", tt.name, got, tt.bars)
		}
	}
}

// What happened before the attach has the time of the status before it, if there
// was one.
func TestEventsOfThePast(t *testing.T) {
	s := newScreen(t, full, 132, 43)
	s.send(attachedMsg{upSnapshot()}, logMsg{"before all", true}, snapshotMsg{upSnapshot(), true}, runMsg{status.Run{ID: "RUN0", State: "done", Outcome: status.Committed, Ended: &began}, true}, logMsg{"now", false})
	s.sees("13:00:00  now", "13:00:00  activation: committed", "13:00:00  link up, wwan0", "          before all")
	if s.snap.Run != nil {
		t.Error("a run of the past is shown as the present one")
	}
}

func TestReattach(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.send(attachedMsg{upSnapshot()})
	s.keys("3")
	s.state(activation.Downloading)
	s.send(goneMsg{errLine})
	s.clock = s.clock.Add(time.Minute)
	s.send(goneMsg{errLine})
	s.sees("no daemon since 13:00:00", "downloading profile") // what was known stays
	snap := upSnapshot()
	snap.Run = s.snap.Run
	s.send(attachedMsg{snap})
	s.sees("connected again", "downloading profile")
	s.send(goneMsg{errLine})
	snap.Started = began.Add(2 * time.Hour)
	snap.Run = &status.Run{ID: "RUN1", State: string(activation.Attaching), Resumes: 1, Started: began}
	s.send(attachedMsg{snap})
	s.sees("the daemon was started again; connected", "registering with the network", "taken up again after an interruption")
	s.keys("up")
	s.seesNot("connected")
}

func TestKeys(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.send(attachedMsg{upSnapshot()})
	s.keys("tab")
	s.sees("[2 Profiles]")
	s.keys("left")
	s.sees("[1 Overview]")
	s.keys("?")
	s.sees("Everywhere", "quit", "any key goes back")
	s.keys("x")
	s.sees("[1 Overview]")
	s.keys("q")
	if !s.quit {
		t.Error("q does not leave it")
	}
	s = newScreen(t, full, 80, 24)
	s.keys("ctrl+c")
	if !s.quit {
		t.Error("Ctrl-C does not leave it")
	}
}

func TestQR(t *testing.T) {
	for name, want := range map[string][2]int{"xterm": {12, 23}, "vt100": {23, 46}, "dumb": {23, 46}} {
		s := newScreen(t, themes[name], 80, 24)
		s.keys("Q")
		s.sees("neither the card's EID nor an API")
		s.send(attachedMsg{upSnapshot()})
		s.keys("Q")
		s.sees("EID", "89049032123451234512345678901235", "Q is the next one")
		lines, _ := s.draw()
		n := 0
		for _, line := range lines {
			if line != "" {
				n++
			}
		}
		if n != want[0] {
			t.Errorf("%s: the EID's QR has %d lines, want %d", name, n, want[0])
		}
		s.keys("Q")
		s.sees("API", "https://192.0.2.1:8443")
		s.keys("Q")
		s.sees("[1 Overview]")
	}
	s := newScreen(t, vt100, 40, 12)
	s.send(attachedMsg{upSnapshot()})
	s.keys("Q")
	s.sees("Its QR needs 23 rows and 46 columns", "EID 8904903212345")
}

func TestDoorURL(t *testing.T) {
	for _, tt := range []struct{ listen, want string }{
		{"192.0.2.1:8443", "https://192.0.2.1:8443"}, {"[2001:db8::1]:8443", "https://[2001:db8::1]:8443"}, {"router.example:443", "https://router.example:443"}, {"nonsense", ""},
	} {
		if got := doorURL(tt.listen, nil); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.listen, got, tt.want)
		}
	}
	all := []string{"127.0.0.1/8", "::1/128", "10.64.3.6/30", "192.168.1.1/24"}
	if got := ownAddress(all, []string{"10.64.3.6/30"}); got != "192.168.1.1" {
		t.Errorf("own address %s", got)
	}
}

func TestResize(t *testing.T) {
	s := newScreen(t, full, 200, 60)
	s.send(attachedMsg{upSnapshot()})
	s.keys("pgdown", "pgdown")
	for _, size := range [][2]int{{80, 24}, {40, 12}, {200, 60}, {0, 0}, {80, 24}} {
		s.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
	}
	s.sees("[1 Overview]", "Link")
}
