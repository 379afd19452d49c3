package atcmd

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// dataModem goes to data mode at ATD and echoes what it gets there, byte by
// byte inverted, until it is told to stop.
type dataModem struct {
	p    *fakePort
	mu   sync.Mutex
	data bool
}

func (m *dataModem) write(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.data && line == "+++":
		m.data = false
		m.p.send("\r\nOK\r\n")
	case m.data:
		m.p.send(strings.ToUpper(line))
	case strings.HasPrefix(line, "ATD"):
		m.data = true
		m.p.send("\r\nCONNECT 150000000\r\n~early~")
	case line == "ATH\r":
		m.p.send("\r\nNO CARRIER\r\n\r\nOK\r\n")
	default:
		answers(m.p, map[string]string{"AT": "\r\nOK\r\n"})(line)
	}
}

type dtrPort struct {
	*fakePort
	dropped func() error
}

func (p *dtrPort) DropDTR(context.Context, time.Duration) error { return p.dropped() }

func TestData(t *testing.T) {
	for _, how := range []string{"escape sequence", "DTR", "DTR not supported", "carrier lost"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakePort()
				m := &dataModem{p: fake}
				fake.serve(t, m.write)
				var port Port = fake
				switch how {
				case "DTR":
					port = &dtrPort{fake, func() error {
						m.mu.Lock()
						m.data = false
						m.mu.Unlock()
						fake.send("\r\nNO CARRIER\r\n")
						return nil
					}}
				case "DTR not supported":
					port = &dtrPort{fake, func() error { return errors.New("no modem control lines") }}
				}
				s := New(port, Options{})
				defer s.Close()
				urcs := s.Subscribe("+CREG")

				conn, err := s.Data(t.Context(), Command{Text: "D*99***1#"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Do(t.Context(), Command{}); !errors.Is(err, ErrDataMode) || !errors.Is(err, ErrNotSent) {
					t.Errorf("command in data mode: %v", err)
				}
				b := make([]byte, 64)
				if n, err := io.ReadFull(conn, b[:7]); err != nil || string(b[:n]) != "~early~" {
					t.Errorf("read %q, %v", b[:n], err)
				}
				if _, err := conn.Write([]byte("~ok\r\nerror\r\n\x00~")); err != nil {
					t.Error(err)
				}
				want := "~OK\r\nERROR\r\n\x00~"
				if n, err := io.ReadFull(conn, b[:len(want)]); err != nil || string(b[:n]) != want {
					t.Errorf("read %q, %v", b[:n], err)
				}
				if how == "carrier lost" {
					m.mu.Lock()
					m.data = false
					m.mu.Unlock()
					fake.send("~\r\nNO CAR")
					fake.send("RIER\r\n")
					rest, err := io.ReadAll(conn)
					if err != nil || string(rest) != "~"+noCarrier {
						t.Errorf("read %q, %v", rest, err)
					}
					if _, err := conn.Write([]byte("x")); err == nil {
						t.Error("write after the carrier was lost")
					}
				}
				if err := conn.Close(); err != nil {
					t.Fatal(err)
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
				if _, err := conn.Read(b); err == nil {
					t.Error("read after close")
				}
				fake.send("\r\n+CREG: 1\r\n")
				if u := <-urcs.C(); u.Line != "+CREG: 1" {
					t.Errorf("URC %+v", u)
				}
				if _, err := s.Do(t.Context(), Command{}); err != nil {
					t.Errorf("command after the call: %v", err)
				}
				plus := slices.Contains(fake.lines(), "+++")
				if want := how == "escape sequence" || how == "DTR not supported"; plus != want {
					t.Errorf("modem got %q", fake.lines())
				}
			})
		})
	}
}

func TestDataRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, answers(p, map[string]string{
			"ATD1": "\r\nNO CARRIER\r\n", "ATD2": "\r\n+CME ERROR: 30\r\n", "ATD3": "\r\nOK\r\n", "AT": "\r\nOK\r\n",
		}))
		for _, number := range []string{"D1", "D2", "D3"} {
			if _, err := s.Data(t.Context(), Command{Text: number}); err == nil {
				t.Errorf("AT%s connected", number)
			}
			if _, err := s.Do(t.Context(), Command{}); err != nil {
				t.Errorf("after AT%s: %v", number, err)
			}
		}
	})
}

// TestDialGivenUp: the call comes up when nobody waits any more. Questions would
// go to the other end of the call.
func TestDialGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		m := &dataModem{p: p}
		s := newTestSession(t, p, Options{})
		p.serve(t, func(line string) {
			if strings.HasPrefix(line, "ATD") {
				time.Sleep(3 * time.Second)
			}
			m.write(line)
		})
		if _, err := s.Data(t.Context(), Command{Text: "D*99#", Timeout: time.Second}); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
		if _, err := s.Do(t.Context(), Command{}); err != nil {
			t.Fatalf("%v; modem got %q", err, p.lines())
		}
	})
}

func TestSessionEndsDataCall(t *testing.T) {
	for _, ours := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newFakePort()
			m := &dataModem{p: p}
			s := newTestSession(t, p, Options{})
			p.serve(t, m.write)
			conn, err := s.Data(t.Context(), Command{Text: "D*99#"})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, conn); done <- err }()
			want := ErrGone
			if ours {
				want = ErrClosed
				s.Close()
			} else {
				close(p.gone)
			}
			if err := <-done; !errors.Is(err, want) {
				t.Errorf("read: %v", err)
			}
			<-s.Done()
			if _, err := conn.Write([]byte("x")); !errors.Is(err, want) {
				t.Errorf("write: %v", err)
			}
			if err := conn.Close(); !errors.Is(err, want) {
				t.Errorf("close: %v", err)
			}
		})
	}
}
