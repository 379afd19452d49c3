package tui

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"

	"dynamod/daemon/status"
)

// recorder is a terminal that keeps what is written to it, write by write.
type recorder struct {
	screen
	frames chan []byte
}

func (r recorder) Write(b []byte) (int, error) {
	r.frames <- bytes.Clone(b)
	return r.screen.Write(b)
}

// started is the interface on a pseudo-terminal.
type started struct {
	t      *testing.T
	daemon *fakeDaemon
	tty    *os.File // the other end, with the person
	frames chan []byte
	end    func() error
}

func startScreen(t *testing.T, term string) *started {
	t.Helper()
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(person, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	s := &started{t: t, daemon: &fakeDaemon{answers: map[string]any{}, events: make(chan feedEvent)}, tty: person, frames: make(chan []byte, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	env := map[string]string{"TERM": term, "LC_ALL": "C.UTF-8"}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, Options{Client: s.daemon, Socket: "/x", In: tty, Getenv: func(n string) string { return env[n] }, Now: time.Now}, recorder{screen{tty}, s.frames})
	}()
	go func() { // a terminal takes everything
		buf := make([]byte, 4096)
		for {
			if _, err := person.Read(buf); err != nil {
				return
			}
		}
	}()
	s.end = func() error { cancel(); return <-done }
	t.Cleanup(func() {
		cancel()
		tty.Close()
		person.Close()
	})
	return s
}

// frame is the next write.
func (s *started) frame() []byte {
	s.t.Helper()
	select {
	case b := <-s.frames:
		return b
	case <-time.After(time.Minute):
		s.t.Fatal("nothing was written")
		return nil
	}
}

// until reads writes up to one with the text, and returns their number of bytes.
func (s *started) until(text string) (n int) {
	s.t.Helper()
	for {
		b := s.frame()
		if n += len(b); bytes.Contains(b, []byte(text)) {
			return n
		}
	}
}

// On a line of 9600 baud a character takes a millisecond. What does not change is
// not written, and a change costs no more than itself.
func TestBytesOnALine(t *testing.T) {
	for term, limit := range map[string]int{"vt100": 100, "linux": 100, "dumb": 100, "xterm-256color": 150} {
		t.Run(term, func(t *testing.T) {
			s := startScreen(t, term)
			snap := upSnapshot()
			s.daemon.events <- feedEvent{0, "status", snap, nil}
			s.daemon.events <- feedEvent{0, "status", snap, nil}
			first := s.until("10.64.3.6")
			if first > 24*80*2 {
				t.Errorf("the first screen takes %d bytes", first)
			}
			tell := func(rsrp, rsrq float64) int {
				for range 50 { // an idle tick: the daemon's time goes on, and nothing else
					snap.Time = snap.Time.Add(time.Second)
					s.daemon.events <- feedEvent{1, "status", snap, nil}
				}
				snap.Signal = &status.Signal{RSSI: snap.Signal.RSSI, RSRP: &rsrp, RSRQ: &rsrq, SINR: snap.Signal.SINR}
				s.daemon.events <- feedEvent{1, "status", snap, nil}
				return len(s.frame())
			}
			most := 0
			for i, level := range []float64{-88, -95, -110, -87, -125, -80, -99, -101, -87, -119, -88, -130, -87, -95, -80, -90, -91, -92, -93, -120} {
				n := tell(level, -8-float64(i%5))
				if most = max(most, n); n >= limit {
					t.Errorf("signal change %d, to %.0f dBm, takes %d bytes", i, level, n)
				}
			}
			if n := len(s.frames); n > 0 {
				t.Errorf("%d writes more than changes", n)
			}
			s.daemon.events <- feedEvent{1, "log", "MARK", nil}
			event := s.until("MARK")
			t.Logf("first screen %d bytes, signal change at most %d, an event %d", first, most, event)
			if err := s.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is written has nothing that an old terminal would show as text, and asks the
// terminal nothing. In the end everything that was switched on is off.
func TestSequences(t *testing.T) {
	s := startScreen(t, "vt100")
	s.daemon.events <- feedEvent{0, "status", upSnapshot(), nil}
	s.until("10.64.3.6")
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for len(s.frames) > 0 {
		all = append(all, <-s.frames...)
	}
	if !bytes.Contains(all, []byte("\x1b[?1049l")) || !bytes.Contains(all, []byte("\x1b[?25h")) || !bytes.Contains(all, []byte("\x1b[?2004l")) {
		t.Errorf("the end does not restore the screen: %q", all)
	}
	dir, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := (screen{dir}).Write([]byte("\x1b[>4;2m\x1b[>1u\x1b[?ua\x1b[<1u\x1b[>4m\x1b[1mb")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dir.Name()); err != nil || string(got) != "a\x1b[1mb" {
		t.Errorf("%q is written, %v", got, err)
	}
}
