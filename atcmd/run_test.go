package atcmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warthog618/modem/at"
	"github.com/warthog618/modem/gsm"
	"github.com/warthog618/modem/info"
)

// sendMessage sends a short message through the library's own code.
func sendMessage(ctx context.Context, s *Session, limit time.Duration) error {
	return s.Run(ctx, Command{Text: "+CMGS", Timeout: limit}, func(a *at.AT) error {
		_, err := gsm.New(a).SendShortMessage("+49170123456", "hello")
		return err
	})
}

func TestMessageThroughLibrary(t *testing.T) {
	tests := []struct {
		name   string
		prompt []string
		answer string
		ref    []string
		err    error
	}{
		{"27.005 3.5.1", []string{"\r\n> "}, "\r\n+CMGS: 7\r\n\r\nOK\r\n", []string{"7", "7"}, nil},
		{"prompt in pieces", []string{"\r", "\n", ">", " "}, "\r\n+CMGS: 7\r\n\r\nOK\r\n", []string{"7", "7"}, nil},
		{"echo of command and text", []string{"AT+CMGS=%d\r\r\n> "}, "%s\r\n+CMGS: 7\r\n\r\nOK\r\n", []string{"7", "7"}, nil},
		{"URC before prompt and answer", []string{"\r\n+CREG: 1\r\n\r\n> "}, "\r\n+CREG: 2\r\n\r\n+CMGS: 7\r\nOK\r\n", []string{"7", "7"}, nil},
		{"refused after the text", []string{"\r\n> "}, "\r\n+CMS ERROR: 331\r\n", nil, &CMSError{Command: "+CMGS", Code: 331, Text: "no network service"}},
		{"refused before the text", []string{"\r\n+CMS ERROR: 302\r\n"}, "", nil, &CMSError{Command: "+CMGS", Code: 302, Text: "operation not allowed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakePort()
				s := newTestSession(t, p, Options{})
				urcs := s.Subscribe("+CREG")
				p.serve(t, func(line string) {
					if strings.HasSuffix(line, sub) {
						p.send(strings.ReplaceAll(tt.answer, "%s", line))
						return
					}
					for _, r := range tt.prompt {
						p.send(strings.ReplaceAll(r, "AT+CMGS=%d\r", line))
					}
				})
				var refs []string
				err := s.Run(ctxFor(t), Command{Text: "+CMGS"}, func(a *at.AT) (err error) {
					refs, err = gsm.New(a).SendLongMessage("+49170123456", strings.Repeat("long ", 50))
					return err
				})
				if !slices.Equal(refs, tt.ref) || (err == nil) != (tt.err == nil) || err != nil && err.Error() != tt.err.Error() {
					t.Errorf("got %q, %v", refs, err)
				}
				if tt.err == nil {
					for _, line := range p.lines() {
						if !strings.HasPrefix(line, "AT+CMGS=") && !strings.HasSuffix(line, sub) {
							t.Errorf("modem got %q", line)
						}
					}
				}
				if strings.Contains(tt.answer, "CREG") {
					if len(urcs.C()) != 4 {
						t.Errorf("%d URCs, want 4", len(urcs.C()))
					}
				}
			})
		})
	}
}

// TestRunRefuses keeps what the library would like to send on its own off the
// modem: ESC and ATZ (defect 12), and message set-up with its indications.
func TestRunRefuses(t *testing.T) {
	calls := map[string]func(a *at.AT) error{
		"gsm.Init":           func(a *at.AT) error { return gsm.New(a).Init() },
		"at.Init":            func(a *at.AT) error { return a.Init() },
		"at.Escape":          func(a *at.AT) error { a.Escape(); return errors.New("nothing was asked") },
		"gsm.StartMessageRx": func(a *at.AT) error { return gsm.New(a).StartMessageRx(func(gsm.Message) {}, func(error) {}) },
		"another command":    func(a *at.AT) error { _, err := a.Command("+CFUN=0"); return err },
		"two commands":       func(a *at.AT) error { _, err := a.Command("+CMGS=1\rAT+CFUN=0"); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakePort()
				s := newTestSession(t, p, Options{})
				p.serve(t, answers(p, nil))
				err := s.Run(ctxFor(t), Command{Text: "+CMGS"}, call)
				if !errors.Is(err, ErrCommand) || !errors.Is(err, ErrNotSent) {
					t.Errorf("error %v", err)
				}
				if got := p.lines(); len(got) != 0 {
					t.Errorf("modem got %q", got)
				}
			})
		})
	}
}

// TestRunMarks: a line that at.AT would take for something else arrives whole.
func TestRunMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		lines := []string{"> hello", "AT+CMGR=1", "ERRORs happen", "CONNECTED", "BUSY bees", "+CMGR: 1", strings.Repeat("x", 60000)}
		p.serve(t, func(string) {
			for _, line := range lines {
				p.send("\r\n" + line + "\r\n")
			}
			p.send("\r\nOK\r\n")
		})
		cmd := Command{Text: "+CMGR=1", Bare: true}
		want := slices.Delete(slices.Clone(lines), 4, 5) // BUSY is a call's result code, so a URC here
		reply, err := s.Do(ctxFor(t), cmd)
		if err != nil || !slices.Equal(reply.Lines, want) {
			t.Fatalf("got %.100q, %v", reply.Lines, err)
		}
		var got []string
		err = s.Run(ctxFor(t), cmd, func(a *at.AT) (err error) {
			got, err = a.Command(cmd.Text)
			return err
		})
		if err != nil || len(got) != len(reply.Lines) {
			t.Fatalf("%d lines, %v", len(got), err)
		}
		for i, line := range got {
			rest, marked := strings.CutPrefix(line, Mark)
			if marked == info.HasPrefix(line, "+CMGR") || !strings.HasPrefix(reply.Lines[i], rest) {
				t.Errorf("line %.40q became %.40q", reply.Lines[i], line)
			}
		}
	})
}

// TestRunStopsAfterGiveUp: a long message of which one part was given up is not
// continued on a wire that is out of step.
func TestRunStopsAfterGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, func(line string) {
			a, _ := resyncAnswer(line)
			p.send(a)
		})
		var second error
		err := s.Run(t.Context(), Command{Text: "+CSQ", Timeout: time.Second}, func(a *at.AT) error {
			a.Command("+CSQ")
			_, second = a.Command("+CSQ")
			return second
		})
		if !errors.Is(err, ErrNotSent) || second == nil {
			t.Errorf("error %v, %v", err, second)
		}
		if got := trimmed(p.lines()); len(got) != 1 {
			t.Errorf("modem got %q", got)
		}
	})
}

func TestCommandText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		for _, text := range []string{"+CGDCONT=1,\"IP\",\"a\rAT+CFUN=0\"", "+X\n", "+X\x1a", "+X\x1b", "+X\x00", "+X=" + strings.Repeat("1", maxLine)} {
			_, err := s.Do(ctxFor(t), Command{Text: text})
			if !errors.Is(err, ErrCommand) || !errors.Is(err, ErrNotSent) || strings.ContainsAny(err.Error(), "\r\n\x1a") || len(err.Error()) > 200 {
				t.Errorf("%.20q: %v", text, err)
			}
		}
		if got := p.lines(); len(got) != 0 {
			t.Errorf("modem got %q", got)
		}
	})
}

func TestExclusive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, func(string) { p.send("\r\nOK\r\n") })
		x, err := s.Exclusive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		others := make(chan error, 3)
		for i := range 3 {
			go func() {
				_, err := s.Do(t.Context(), Command{Text: fmt.Sprintf("+OTHER=%d", i)})
				others <- err
			}()
		}
		for i := range 3 {
			synctest.Wait()
			if _, err := x.Do(t.Context(), Command{Text: fmt.Sprintf("+MINE=%d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		x.Release()
		x.Release()
		for range 3 {
			if err := <-others; err != nil {
				t.Error(err)
			}
		}
		for i, line := range p.lines() {
			if strings.HasPrefix(line, "AT+MINE") != (i < 3) {
				t.Errorf("order %q", p.lines())
				break
			}
		}
		if _, err := x.Do(t.Context(), Command{Text: "+MINE=9"}); !errors.Is(err, ErrNotSent) {
			t.Errorf("after release: %v", err)
		}
		// A section that was given up waiting for leaves the turn to the others.
		x, _ = s.Exclusive(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Exclusive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		x.Release()
		if _, err := s.Do(t.Context(), Command{Text: "+LAST"}); err != nil {
			t.Error(err)
		}
	})
}
