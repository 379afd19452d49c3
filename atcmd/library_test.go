package atcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warthog618/modem/at"
)

// The tests of this file show, one by one, what at.AT does when it sits on a
// modem directly, and that a session does not. If one of them fails because a
// later version of the library behaves better, the cure may go.

// bareModem is the modem side of an at.AT without our wire.
type bareModem struct {
	answer func(line string)
	out    chan string
	rest   string
	block  chan struct{} // when set, Write waits for it
	quit   chan struct{}
}

func newBare(t *testing.T, answer func(m *bareModem, line string)) (*at.AT, *bareModem) {
	m := &bareModem{out: make(chan string, 1<<12), quit: make(chan struct{})}
	m.answer = func(line string) { answer(m, line) }
	a := at.New(m, at.WithTimeout(time.Second))
	t.Cleanup(func() { close(m.quit); <-a.Closed() })
	return a, m
}

func (m *bareModem) Read(p []byte) (int, error) {
	if m.rest == "" {
		select {
		case m.rest = <-m.out:
		case <-m.quit:
			return 0, io.EOF
		}
		if m.rest == "" {
			return 0, nil
		}
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (m *bareModem) Write(p []byte) (int, error) {
	if m.block != nil {
		<-m.block
	}
	m.answer(string(p))
	return len(p), nil
}

// ours is a session on a modem that answers the same way.
func ours(t *testing.T, answer func(send func(string), line string)) (*Session, *fakePort) {
	p := newFakePort()
	s := newTestSession(t, p, Options{})
	p.serve(t, func(line string) { answer(p.send, line) })
	return s, p
}

func TestDefect1and2URCsInAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = "\r\n+CREG: 1\r\n\r\n+CPIN: READY\r\n\r\n+CSQ: 20,99\r\n\r\nOK\r\n"
		a, _ := newBare(t, func(m *bareModem, line string) { m.out <- text })
		a.AddIndication("+CREG:", func([]string) {})
		if info, err := a.Command("+CSQ"); err != nil || len(info) != 3 {
			t.Errorf("library: %q, %v", info, err)
		}
		s, _ := ours(t, func(send func(string), line string) { send(text) })
		urcs := s.Subscribe("")
		reply, err := s.Do(t.Context(), Command{Text: "+CSQ"})
		if err != nil || !slices.Equal(reply.Lines, []string{"+CSQ: 20,99"}) || len(urcs.C()) != 2 {
			t.Errorf("session: %q, %v, %d URCs", reply.Lines, err, len(urcs.C()))
		}
	})
}

func TestDefect3OrderOfURCs(t *testing.T) {
	const n = 200
	t.Run("library", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			// It starts a goroutine for each indication. Here the handler of the first
			// is slow; where order was kept, the others would wait for it.
			a, m := newBare(t, func(*bareModem, string) {})
			var mu sync.Mutex
			var order []string
			a.AddIndication("+CREG:", func(lines []string) {
				if lines[0] == "+CREG: 0" {
					time.Sleep(time.Minute)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, lines[0])
			})
			for i := range n {
				m.out <- fmt.Sprintf("\r\n+CREG: %d\r\n", i)
			}
			time.Sleep(time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if len(order) != n || order[n-1] != "+CREG: 0" {
				t.Errorf("library: %d indications, the last is %q", len(order), order[len(order)-1])
			}
		})
	})
	synctest.Test(t, func(t *testing.T) {
		s, p := ours(t, func(func(string), string) {})
		urcs := s.Subscribe("+CREG")
		for i := range n {
			p.send(fmt.Sprintf("\r\n+CREG: %d\r\n", i))
		}
		for i := range n {
			if i == 0 {
				time.Sleep(time.Minute)
			}
			if u := <-urcs.C(); u.Line != fmt.Sprintf("+CREG: %d", i) {
				t.Fatalf("URC %d is %q", i, u.Line)
			}
		}
	})
}

func TestDefect4AnswerTakenForURC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = "\r\n+CEREG: 2,1\r\n\r\nOK\r\n"
		a, _ := newBare(t, func(m *bareModem, line string) { m.out <- text })
		var mu sync.Mutex
		var seen []string
		note := func(lines []string) { mu.Lock(); seen = append(seen, lines...); mu.Unlock() }
		a.AddIndication("+CEREG:", note)
		a.AddIndication("+CE", note)
		a.Command("+CEREG?")
		synctest.Wait()
		if len(seen) != 2 {
			t.Errorf("library: handlers saw %q", seen)
		}
		s, _ := ours(t, func(send func(string), line string) { send(text) })
		urcs := s.Subscribe("+CEREG")
		if _, err := s.Do(t.Context(), Command{Text: "+CEREG?"}); err != nil || len(urcs.C()) != 0 {
			t.Errorf("session: %v, %d URCs", err, len(urcs.C()))
		}
	})
}

func TestDefect5LateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		modem := func(send func(string), line string) {
			switch strings.TrimSpace(line) {
			case "AT+COPS?":
				time.AfterFunc(1500*time.Millisecond, func() { send("\r\n+COPS: 0\r\n\r\nOK\r\n") })
			case "AT+CIMI":
				time.AfterFunc(time.Second, func() { send("\r\n001010123456789\r\n\r\nOK\r\n") })
			default:
				a, _ := resyncAnswer(line)
				send(a)
			}
		}
		a, _ := newBare(t, func(m *bareModem, line string) { modem(func(s string) { m.out <- s }, line) })
		if _, err := a.Command("+COPS?"); err != at.ErrDeadlineExceeded {
			t.Fatal(err)
		}
		if info, err := a.Command("+CIMI"); err != nil || !slices.Equal(info, []string{"+COPS: 0"}) {
			t.Errorf("library: %q, %v", info, err)
		}
		time.Sleep(time.Minute)
		s, _ := ours(t, modem)
		if _, err := s.Do(t.Context(), Command{Text: "+COPS?", Timeout: time.Second}); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
		reply, err := s.Do(t.Context(), Command{Text: "+CIMI", Bare: true})
		if err != nil || !slices.Equal(reply.Lines, []string{"001010123456789"}) {
			t.Errorf("session: %q, %v", reply.Lines, err)
		}
	})
}

func TestDefect6BlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m := newBare(t, func(m *bareModem, line string) { m.out <- "\r\nOK\r\n" })
		m.block = make(chan struct{})
		done := make(chan error, 1)
		go func() { _, err := a.Command("", at.WithTimeout(100*time.Millisecond)); done <- err }()
		time.Sleep(time.Hour)
		if len(done) != 0 {
			t.Error("library: the time-out counts from the start")
		}
		close(m.block)
		<-done
		s, p := ours(t, func(func(string), string) {})
		p.stuck = make(chan struct{})
		start := time.Now()
		_, err := s.Do(t.Context(), Command{Timeout: 100 * time.Millisecond})
		if !errors.Is(err, ErrTimeout) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("session: %v after %v", err, time.Since(start))
		}
	})
}

func TestDefect7Finals(t *testing.T) {
	tests := []struct {
		command, final string
		ok             bool
	}{
		{"+CSIM=1", "COMMAND NOT SUPPORT", false},
		{"+FOO", "NOT SUPPORTED", false},
		{"+FOO", "TOO MANY PARAMETERS", false},
		{"+COPS=?", "ABORTED", false},
		{"+FOO", "+CIS ERROR: 1", false},
		{"^NDISDUP=1,1", "NO NETWORK SERVICE", false},
		{"+CGDATA=\"PPP\",1", "CONNECT 150000000", true},
		{"+CGDATA=\"PPP\",1", "NO CARRIER", false},
	}
	for _, tt := range tests {
		t.Run(tt.final, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := "\r\n" + tt.final + "\r\n"
				a, _ := newBare(t, func(m *bareModem, line string) { m.out <- text })
				if _, err := a.Command(tt.command); err != at.ErrDeadlineExceeded {
					t.Errorf("library: %v", err)
				}
				s, _ := ours(t, func(send func(string), line string) { send(text) })
				reply, err := s.Do(t.Context(), Command{Text: tt.command})
				var final *FinalError
				if tt.ok && (err != nil || reply.Final != tt.final) || !tt.ok && (!errors.As(err, &final) || final.Final != tt.final) {
					t.Errorf("session: %q, %v", reply.Final, err)
				}
			})
		})
	}
}

func TestDefect8EmptyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m := newBare(t, func(m *bareModem, line string) { m.out <- "\r\nOK\r\n" })
		for range 101 {
			m.out <- ""
		}
		synctest.Wait()
		if _, err := a.Command(""); err != at.ErrClosed {
			t.Errorf("library: %v", err)
		}
		s, p := ours(t, func(send func(string), line string) { send("\r\nOK\r\n") })
		for range 1000 {
			p.send("")
		}
		if _, err := s.Do(t.Context(), Command{}); err != nil {
			t.Errorf("session: %v", err)
		}
	})
}

func TestDefect9LongLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		modem := func(send func(string), line string) {
			n := 70_000
			if strings.Contains(line, "=1") {
				n = maxLine - len("+LONG: ")
			}
			send("\r\n+LONG: " + strings.Repeat("x", n) + "\r\n\r\nOK\r\n")
		}
		a, _ := newBare(t, func(m *bareModem, line string) { modem(func(s string) { m.out <- s }, line) })
		if _, err := a.Command("+LONG"); err != at.ErrClosed {
			t.Errorf("library: %v", err)
		}
		s, p := ours(t, modem)
		reply, err := s.Do(t.Context(), Command{Text: "+LONG=1"})
		if err != nil || len(reply.Lines) != 1 || len(reply.Lines[0]) != maxLine {
			t.Errorf("session: %d lines, %v", len(reply.Lines), err)
		}
		if _, err := s.Do(t.Context(), Command{Text: "+LONG"}); !errors.Is(err, ErrTooLong) {
			t.Errorf("session: %v", err)
		}
		p.send("\r\n+URC: " + strings.Repeat("x", 10*maxLine) + "\r\n")
		if _, err := s.Do(t.Context(), Command{Text: "+LONG=1"}); err != nil {
			t.Errorf("session: %v", err)
		}
		if st := s.Stats(); st.TooLong != 2 || st.URCs != 0 || st.Resyncs != 0 {
			t.Errorf("stats %+v", st)
		}
		if cap(s.in.line) > 2*maxLine {
			t.Errorf("line buffer grew to %d", cap(s.in.line))
		}
	})
}

func TestLongAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := ours(t, func(send func(string), line string) {
			if line == "AT\r" {
				send("\r\nOK\r\n")
				return
			}
			row := "\r\n+LONG: " + strings.Repeat("x", 60_000) + "\r\n"
			for range 20 {
				send(row)
			}
			send("\r\nOK\r\n")
		})
		if _, err := s.Do(t.Context(), Command{Text: "+LONG"}); !errors.Is(err, ErrTooLong) {
			t.Errorf("error %v", err)
		}
		if _, err := s.Do(t.Context(), Command{}); err != nil {
			t.Error(err)
		}
	})
}

func TestDefect10Context(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := ours(t, func(func(string), string) {})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := s.Do(ctx, Command{Text: "+COPS=?", Timeout: time.Hour}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestDefect11Terminator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		a, _ := newBare(t, func(m *bareModem, line string) { got = line; m.out <- "\r\nOK\r\n" })
		a.Command("+CSQ")
		if got != "AT+CSQ\r\n" {
			t.Errorf("library wrote %q", got)
		}
		for _, end := range []string{"", "\r\n"} {
			p := newFakePort()
			s := newTestSession(t, p, Options{Terminator: end})
			p.serve(t, func(string) { p.send("\r\nOK\r\n") })
			s.Do(t.Context(), Command{Text: "+CSQ"})
			want := "AT+CSQ" + end
			if end == "" {
				want += "\r"
			}
			if got := p.lines(); len(got) != 1 || got[0] != want {
				t.Errorf("session wrote %q, want %q", got, want)
			}
		}
	})
}

// The library's Init resets the modem and sends it an ESC; a session sends what
// it was asked to, from the first byte on. TestRunRefuses keeps Init off it.
func TestDefect12Init(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		a, _ := newBare(t, func(m *bareModem, line string) { got = append(got, line); m.out <- "\r\nOK\r\n" })
		a.Init()
		if all := strings.Join(got, ""); !strings.Contains(all, escape) || !strings.Contains(all, "ATZ") {
			t.Errorf("library wrote %q", got)
		}
		s, p := ours(t, func(send func(string), line string) { send("\r\nOK\r\n") })
		time.Sleep(time.Hour)
		if got := p.lines(); len(got) != 0 {
			t.Errorf("session wrote %q unasked", got)
		}
		s.Do(t.Context(), Command{Text: "+CSQ"})
		if got := p.lines(); !slices.Equal(got, []string{"AT+CSQ\r"}) {
			t.Errorf("session wrote %q", got)
		}
	})
}
