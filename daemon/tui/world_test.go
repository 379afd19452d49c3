package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// fakeDaemon answers from memory, and remembers what it was asked for.
type fakeDaemon struct {
	mu      sync.Mutex
	answers map[string]any // by "GET /v1/x"; an error is returned
	asked   []string       // "POST /v1/x {body}"
	keys    []string       // Idempotency-Keys
	events  chan feedEvent
}

// feedEvent is one of the stream; an error ends the stream.
type feedEvent struct {
	id   uint64
	kind string
	v    any
	err  error
}

func (d *fakeDaemon) Do(_ context.Context, method, path string, header http.Header, in, out any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := method + " " + path
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		line += " " + string(b)
	}
	d.asked = append(d.asked, line)
	if k := header.Get("Idempotency-Key"); k != "" {
		d.keys = append(d.keys, k)
	}
	switch a := d.answers[method+" "+path].(type) {
	case nil:
		if out != nil {
			return fmt.Errorf("%s %s: nothing there", method, path)
		}
		return nil
	case error:
		return a
	default:
		b, err := json.Marshal(a)
		if err != nil || out == nil {
			return err
		}
		return json.Unmarshal(b, out)
	}
}

func (d *fakeDaemon) EventsFrom(ctx context.Context, _ uint64, f func(uint64, string, []byte) bool) error {
	for {
		select {
		case e := <-d.events:
			if e.err != nil {
				return e.err
			}
			b, err := json.Marshal(e.v)
			if err != nil {
				return err
			}
			if !f(e.id, e.kind, b) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// screenOf is a model with its daemon and a clock that stands still.
type screenOf struct {
	*model
	t      *testing.T
	daemon *fakeDaemon
	clock  time.Time
	quit   bool
}

// The screens are compared, so the times on them are those of one place.
func init() { time.Local = time.UTC }

var began = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newScreen(t *testing.T, look theme, width, height int) *screenOf {
	t.Helper()
	d := &fakeDaemon{answers: map[string]any{}}
	s := &screenOf{t: t, daemon: d, clock: began.Add(time.Hour)}
	s.model = newModel(t.Context(), d, "/run/dynamod/dynamod.sock", look, func() time.Time { return s.clock })
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// send gives the model a message and does what it asks for, to its end.
func (s *screenOf) send(msgs ...tea.Msg) {
	s.t.Helper()
	for _, msg := range msgs {
		for msg != nil {
			var cmd tea.Cmd
			if _, cmd = s.Update(msg); cmd == nil {
				break
			}
			msg = cmd()
			if _, ok := msg.(tea.QuitMsg); ok {
				s.quit = true
			}
		}
		s.holds()
	}
}

// holds checks what is true of each screen, whatever it shows.
func (s *screenOf) holds() {
	s.t.Helper()
	lines, cursor := s.draw()
	if len(lines) != s.height {
		s.t.Errorf("%d lines of %d", len(lines), s.height)
	}
	for i, line := range lines {
		if w := ansi.StringWidth(line); w > s.width {
			s.t.Errorf("line %d takes %d columns of %d: %q", i, w, s.width, line)
		}
		if s.theme.ascii && strings.Trim(ansi.Strip(line), printable) != "" {
			s.t.Errorf("line %d is not ASCII: %q", i, line)
		}
		if s.theme.plain && ansi.Strip(line) != line {
			s.t.Errorf("line %d has attributes: %q", i, line)
		}
	}
	if text := strings.Join(lines, "\n"); strings.Contains(text, "SECRET") {
		s.t.Errorf("a secret is on the screen:\n%s", text)
	}
	if cursor != nil && (cursor.X < 0 || cursor.X >= s.width || cursor.Y < 0 || cursor.Y >= s.height) {
		s.t.Errorf("the cursor is at %d, %d of %dx%d", cursor.X, cursor.Y, s.width, s.height)
	}
}

var printable = func() string {
	var b strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}()

// keys presses keys by their names, or types a text that is none.
func (s *screenOf) keys(names ...string) {
	s.t.Helper()
	named := map[string]tea.KeyPressMsg{
		"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft},
		"tab": {Code: tea.KeyTab}, "pgdown": {Code: tea.KeyPgDown}, "pgup": {Code: tea.KeyPgUp}, "backspace": {Code: tea.KeyBackspace},
		"ctrl+u": {Code: 'u', Mod: tea.ModCtrl}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "home": {Code: tea.KeyHome}, "delete": {Code: tea.KeyDelete},
	}
	for _, name := range names {
		if k, ok := named[name]; ok {
			s.send(k)
			continue
		}
		for _, r := range name {
			s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

// text is what is seen, without colours.
func (s *screenOf) text() string {
	lines, _ := s.draw()
	return ansi.Strip(strings.Join(lines, "\n"))
}

func (s *screenOf) sees(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if !strings.Contains(s.text(), w) {
			s.t.Errorf("no %q on the screen:\n%s", w, s.text())
		}
	}
}

func (s *screenOf) seesNot(bad ...string) {
	s.t.Helper()
	for _, b := range bad {
		if strings.Contains(s.text(), b) {
			s.t.Errorf("%q is on the screen:\n%s", b, s.text())
		}
	}
}

// asked is what the daemon was asked for since the last call.
func (s *screenOf) asked(want ...string) {
	s.t.Helper()
	s.daemon.mu.Lock()
	defer s.daemon.mu.Unlock()
	if got := strings.Join(s.daemon.asked, "\n"); got != strings.Join(want, "\n") {
		s.t.Errorf("the daemon was asked for\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	s.daemon.asked = nil
}

// run changes the run that the daemon tells of.
func (s *screenOf) run(change func(*status.Run)) {
	s.t.Helper()
	r := status.Run{ID: "RUN1", SMDP: "smdp.example.com", Started: began.Add(time.Hour)}
	if old := s.snap.Run; old != nil && old.ID == "RUN1" {
		r = *old
	}
	change(&r)
	s.send(runMsg{run: r})
}

func (s *screenOf) state(state activation.State) {
	s.t.Helper()
	s.run(func(r *status.Run) { r.State, r.Waiting = string(state), "" })
}

func pointer[T any](v T) *T { return &v }

// upSnapshot is a box with a link, two profiles and a door.
func upSnapshot() status.Snapshot {
	return status.Snapshot{
		Version: "v1.2.3", Time: began.Add(time.Hour), Started: began, State: status.Up,
		Modem: &status.Modem{Port: "/dev/ttyUSB2", Present: true, Manufacturer: "Quectel", Model: "EG25", Dialect: "quectel"},
		Card: &status.Card{EID: "89049032123451234512345678901235", FreeMemory: 300_000, Default: "smdp.example.com", Profiles: []status.Profile{
			{ICCID: "8900000000000000018", State: "enabled", Class: "operational", Provider: "Exämple Net", Name: "IoT 1"},
			{ICCID: "8900000000000000026", State: "disabled", Class: "operational", Provider: "Other\x1b[2JNet", Name: "IoT 2", Nickname: "mast 7", PolicyRules: "ppr1"},
		}},
		SIM:          &status.SIM{State: "ready", ICCID: "8900000000000000018", SPN: "Exämple Net"},
		Registration: &status.Registration{Status: "home", AcT: "LTE", PLMN: "00101", Operator: "Exämple Net"},
		Signal:       &status.Signal{RSSI: pointer(-67.0), RSRP: pointer(-87.0), RSRQ: pointer(-10.0), SINR: pointer(12.0)},
		Link:         &status.Link{Interface: "wwan0", Addresses: []string{"10.64.3.6/30"}, Gateway: "10.64.3.5", DNS: []string{"198.51.100.53"}, MTU: 1430, APN: "iot.example", APNReason: "operators.d/example.json: \"Example Net\" by MCC+MNC 00101", Since: began},
		Reach:        &status.Reach{Result: "ok", Target: "http://reach.example/generate_204", RTTMS: 21, At: began.Add(50 * time.Minute)},
		Door:         &status.Door{Listen: "192.0.2.1:8443", Fingerprint: strings.Repeat("ab", 32)},
	}
}

var errLine = errors.New("unexpected EOF")

func problem(code, text, advice string, httpStatus int) *hook.Error {
	return &hook.Error{Problem: &status.Problem{Code: code, Text: text, Advice: advice}, Status: httpStatus}
}
