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
)

func trimmed(lines []string) []string {
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r\n")
	}
	return lines
}

// TestLateAnswer is defect 5 of the library: after a time-out the late answer
// went to the next command.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, func(line string) {
			switch strings.TrimSpace(line) {
			case "AT+COPS?":
				time.Sleep(4 * time.Second)
				p.send("\r\n+COPS: 0\r\n\r\nOK\r\n")
			case "AT+CIMI":
				p.send("\r\n001010123456789\r\n\r\nOK\r\n")
			default:
				a, _ := resyncAnswer(line)
				p.send(a)
			}
		})
		_, err := s.Do(t.Context(), Command{Text: "+COPS?", Timeout: time.Second})
		if !errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotSent) || err.Error() != "AT+COPS: modem did not answer in time" {
			t.Fatalf("error %v", err)
		}
		reply, err := s.Do(t.Context(), Command{Text: "+CIMI", Bare: true})
		if err != nil || !slices.Equal(reply.Lines, []string{"001010123456789"}) {
			t.Fatalf("got %q, %v", reply.Lines, err)
		}
		if got := trimmed(p.lines()); !slices.Equal(got, []string{"AT+COPS?", "AT+CMEE?", "AT+CIMI"}) {
			t.Errorf("modem got %q", got)
		}
		if st := s.Stats(); st.Resyncs != 1 || st.GivenUp != 1 || st.Commands != 2 || st.Late != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestLateAnswerDuringQuestion lets the late answer come when the question was
// asked already: its OK must not count as the question's.
func TestLateAnswerDuringQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		sub := s.Subscribe("")
		p.serve(t, func(line string) {
			switch strings.TrimSpace(line) {
			case "AT+CMEE?":
				p.send("\r\n+CSQ: 1,1\r\n\r\n+CREG: 5\r\n\r\nOK\r\n")
				time.Sleep(time.Second)
				p.send("\r\n+CMEE: 1\r\n")
				time.Sleep(500 * time.Millisecond)
				p.send("\r\nOK\r\n")
			case "AT+CSQ":
				p.send("\r\n+CSQ: 2,2\r\n\r\nOK\r\n")
			}
		})
		if _, err := s.Do(t.Context(), Command{Text: "+CSQ=1", Tags: []string{"+CSQ"}, Timeout: time.Second}); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
		start := time.Now()
		reply, err := s.Do(t.Context(), Command{Text: "+CSQ"})
		if err != nil || !slices.Equal(reply.Lines, []string{"+CSQ: 2,2"}) {
			t.Fatalf("got %q, %v", reply.Lines, err)
		}
		if d := time.Since(start); d != 6500*time.Millisecond {
			t.Errorf("in step after %v, want 5 s for the late answer and 1.5 s for the question", d)
		}
		sub.Close()
		if u := <-sub.C(); u.Line != "+CREG: 5" {
			t.Errorf("URC between late lines: %+v", u)
		}
	})
}

// TestQuestions checks which questions are asked: never the one given up, none
// twice in a search, not the same twice in a row.
func TestQuestions(t *testing.T) {
	tests := []struct {
		name, given string
		deaf        int // questions that stay unanswered
		want        []string
		desync      bool
	}{
		{"first answered", "+COPS?", 0, []string{"+CMEE?"}, false},
		{"one lost", "+COPS?", 1, []string{"+CMEE?", "+CSCS?"}, false},
		{"two lost", "+COPS?", 2, []string{"+CMEE?", "+CSCS?", "+CFUN?"}, false},
		{"all lost", "+COPS?", 3, []string{"+CMEE?", "+CSCS?", "+CFUN?"}, true},
		{"given up is a question", "+CMEE?", 0, []string{"+CSCS?"}, false},
		{"given up sets what a question asks", "+CFUN=1", 2, []string{"+CMEE?", "+CSCS?"}, true},
		{"given up line holds a question", "+CSQ;+cmee?", 0, []string{"+CSCS?"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakePort()
				s := newTestSession(t, p, Options{})
				deaf, first := tt.deaf, true
				p.serve(t, func(line string) {
					if first {
						first = false
						return
					}
					if deaf--; deaf < 0 {
						a, _ := resyncAnswer(line)
						p.send(a)
					}
				})
				s.Do(t.Context(), Command{Text: tt.given, Timeout: time.Second})
				_, err := s.Do(t.Context(), Command{Text: "+CSCS?", Timeout: time.Minute})
				got := trimmed(p.lines())[1:]
				if !tt.desync {
					got = got[:len(got)-1]
				}
				for i := range got {
					got[i] = strings.TrimPrefix(got[i], "AT")
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("asked %q, want %q", got, tt.want)
				}
				if tt.desync {
					if !errors.Is(err, ErrDesync) || !errors.Is(err, ErrNotSent) || !errors.Is(s.Err(), ErrDesync) {
						t.Errorf("error %v, session %v", err, s.Err())
					}
					<-s.Done()
				} else if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestNotTheSameQuestionTwiceInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{Resync: ResyncOptions{Late: time.Second}})
		p.serve(t, func(line string) {
			a, _ := resyncAnswer(line)
			p.send(a)
		})
		for range 4 {
			s.Do(t.Context(), Command{Text: "+COPS?", Timeout: time.Second})
		}
		time.Sleep(time.Minute)
		var asked []string
		for _, line := range trimmed(p.lines()) {
			if line != "AT+COPS?" {
				asked = append(asked, line)
			}
		}
		if len(asked) != 4 {
			t.Fatalf("asked %q", asked)
		}
		for i := 1; i < len(asked); i++ {
			if asked[i] == asked[i-1] {
				t.Errorf("asked %q", asked)
			}
		}
	})
}

// TestQuestionOutlivesCaller cancels everybody who waits for the wire.
func TestQuestionOutlivesCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, func(line string) {
			time.Sleep(1500 * time.Millisecond)
			a, _ := resyncAnswer(line)
			p.send(a)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Do(ctx, Command{Text: "+COPS=?", Timeout: 3 * time.Minute})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
			t.Fatalf("error %v", err)
		}
		for range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, err := s.Do(ctx, Command{Text: "+CSQ"})
			cancel()
			if !errors.Is(err, ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("error %v", err)
			}
		}
		if _, err := s.Do(t.Context(), Command{Text: "+CMEE?"}); err != nil {
			t.Fatal(err)
		}
		if got := trimmed(p.lines()); !slices.Equal(got, []string{"AT+COPS=?", "AT+CMEE?", "AT+CMEE?"}) {
			t.Errorf("modem got %q", got)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, func(line string) {
			a, _ := resyncAnswer(line)
			p.send(a)
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the user had enough")
		time.AfterFunc(time.Second, func() { cancel(why) })
		_, err := s.Do(ctx, Command{Text: "+COPS=?", Timeout: time.Hour})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotSent) {
			t.Fatalf("error %v", err)
		}
		_, err = s.Do(ctx, Command{Text: "+CSQ"})
		if !errors.Is(err, ErrNotSent) {
			t.Errorf("error %v", err)
		}
	})
}

// TestNeverWrittenIsNotDirty: nothing was sent, so nothing has to be found.
func TestNeverWrittenIsNotDirty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, answers(p, map[string]string{"AT": "\r\nOK\r\n"}))
		p.stuck = make(chan struct{})
		_, err := s.Do(t.Context(), Command{Text: "+CSQ", Timeout: time.Second})
		if !errors.Is(err, ErrTimeout) || !errors.Is(err, ErrNotSent) {
			t.Fatalf("error %v", err)
		}
		close(p.stuck)
		if _, err := s.Do(t.Context(), Command{}); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Resyncs != 0 || st.GivenUp != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestStuckPort is defect 6: a write that blocks blocked for ever.
func TestStuckPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, func(string) {})
		if _, err := s.Do(t.Context(), Command{Text: "+CSQ", Timeout: time.Second}); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.stuck = make(chan struct{})
		p.mu.Unlock()
		start := time.Now()
		_, err := s.Do(t.Context(), Command{Text: "+CSQ"})
		if !errors.Is(err, ErrDesync) {
			t.Errorf("error %v", err)
		}
		if d := time.Since(start); d > 12*time.Second {
			t.Errorf("stuck for %v", d)
		}
	})
}

// TestMessageGivenUp: a modem that waits for a message text takes commands for
// text, so it gets an ESC first (27.005, 3.5.1).
func TestMessageGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{})
		p.serve(t, func(line string) {
			if line == escape {
				p.send("\r\nOK\r\n")
				return
			}
			a, _ := resyncAnswer(line)
			p.send(a)
		})
		err := sendMessage(t.Context(), s, time.Second)
		if !errors.Is(err, ErrTimeout) {
			t.Fatalf("error %v", err)
		}
		if _, err := s.Do(t.Context(), Command{Text: "+CFUN?"}); err != nil {
			t.Fatal(err)
		}
		got := trimmed(p.lines())
		if len(got) != 4 || got[1] != escape || got[2] != "AT+CMEE?" {
			t.Errorf("modem got %q", got)
		}
	})
}

// TestDirtyStart: the answers of a killed process do not reach its successor.
func TestDirtyStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		p.send("\r\n+CGLA: 4,\"6A82\"\r\n\r\nOK\r\n\r\nOK\r\n")
		s := newTestSession(t, p, Options{Dirty: true})
		p.serve(t, answers(p, map[string]string{"AT+CGMI": "\r\nQuectel\r\n\r\nOK\r\n"}))
		reply, err := s.Do(t.Context(), Command{Text: "+CGMI", Bare: true})
		if err != nil || !slices.Equal(reply.Lines, []string{"Quectel"}) {
			t.Errorf("got %q, %v", reply.Lines, err)
		}
	})
}

// TestIgnorantModem does not know the questions and answers each by one result
// code. It is in step if nothing else comes; a silent one is not.
func TestIgnorantModem(t *testing.T) {
	for _, dirty := range []bool{false, true} {
		for _, result := range []string{"ERROR", "OK", ""} {
			t.Run(fmt.Sprintf("dirty %v, %q", dirty, result), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newFakePort()
					if dirty {
						p.send("\r\n+COPS: 0\r\n\r\nOK\r\n")
					}
					s := newTestSession(t, p, Options{Dirty: dirty})
					p.serve(t, func(line string) {
						switch {
						case strings.Contains(line, "COPS"):
							time.AfterFunc(8*time.Second, func() { p.send("\r\n+COPS: 0\r\n\r\nOK\r\n") })
						case strings.Contains(line, "CSQ"):
							p.send("\r\n+CSQ: 1,1\r\n\r\nOK\r\n")
						case result != "":
							p.send("\r\n" + result + "\r\n")
						}
					})
					if !dirty {
						if _, err := s.Do(t.Context(), Command{Text: "+COPS?", Timeout: 7 * time.Second}); !errors.Is(err, ErrTimeout) {
							t.Fatal(err)
						}
					}
					reply, err := s.Do(t.Context(), Command{Text: "+CSQ"})
					if result == "" {
						if !errors.Is(err, ErrDesync) {
							t.Errorf("silent modem: %v", err)
						}
					} else if err != nil || !slices.Equal(reply.Lines, []string{"+CSQ: 1,1"}) {
						t.Errorf("got %q, %v", reply.Lines, err)
					}
				})
			})
		}
	}
}

// TestUnplug ends a session in each of its states, by the device and by us.
func TestUnplug(t *testing.T) {
	states := map[string]func(ctx context.Context, s *Session, pull func()) error{
		"idle": func(ctx context.Context, s *Session, pull func()) error { pull(); <-s.Done(); return s.Err() },
		"command runs": func(ctx context.Context, s *Session, pull func()) error {
			time.AfterFunc(time.Second, pull)
			_, err := s.Do(ctx, Command{Text: "+CSQ"})
			return err
		},
		"waiting for the turn": func(ctx context.Context, s *Session, pull func()) error {
			time.AfterFunc(time.Second, pull)
			x, _ := s.Exclusive(ctx)
			defer x.Release()
			_, err := s.Do(ctx, Command{Text: "+CSQ"})
			return err
		},
		"out of step": func(ctx context.Context, s *Session, pull func()) error {
			time.AfterFunc(3*time.Second, pull)
			s.Do(ctx, Command{Text: "+CSQ", Timeout: time.Second})
			_, err := s.Do(ctx, Command{Text: "+CSQ"})
			return err
		},
		"question asked": func(ctx context.Context, s *Session, pull func()) error {
			time.AfterFunc(7*time.Second, pull)
			s.Do(ctx, Command{Text: "+CSQ", Timeout: time.Second})
			_, err := s.Do(ctx, Command{Text: "+CSQ"})
			return err
		},
		"prompt awaited": func(ctx context.Context, s *Session, pull func()) error {
			time.AfterFunc(time.Second, pull)
			return sendMessage(ctx, s, time.Minute)
		},
		"section held": func(ctx context.Context, s *Session, pull func()) error {
			x, _ := s.Exclusive(ctx)
			defer x.Release()
			pull()
			<-s.Done()
			_, err := x.Do(ctx, Command{Text: "+CSQ"})
			return err
		},
		"dialling": func(ctx context.Context, s *Session, pull func()) error {
			time.AfterFunc(time.Second, pull)
			_, err := s.Data(ctx, Command{Text: "D*99#", Timeout: time.Minute})
			return err
		},
		"dial given up": func(ctx context.Context, s *Session, pull func()) error {
			time.AfterFunc(3*time.Second, pull)
			s.Data(ctx, Command{Text: "D*99#", Timeout: time.Second})
			_, err := s.Data(ctx, Command{Text: "D*99#"})
			return err
		},
		"caller has gone": func(ctx context.Context, s *Session, pull func()) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			s.Do(ctx, Command{Text: "+CSQ"})
			pull()
			<-s.Done()
			return s.Err()
		},
		"after it": func(ctx context.Context, s *Session, pull func()) error {
			pull()
			<-s.Done()
			_, err := s.Do(ctx, Command{Text: "+CSQ"})
			if !errors.Is(err, ErrNotSent) {
				return fmt.Errorf("no ErrNotSent: %w", err)
			}
			return err
		},
	}
	for name, unplug := range states {
		for _, ours := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, closed by us %v", name, ours), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newFakePort()
					s := New(p, Options{})
					sub := s.Subscribe("")
					p.serve(t, func(string) {})
					var pulled time.Time
					want, pull := ErrGone, func() { pulled = time.Now(); close(p.gone) }
					if ours {
						want, pull = ErrClosed, func() { pulled = time.Now(); s.Close() }
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					if err := unplug(ctx, s, pull); !errors.Is(err, want) || time.Since(pulled) != 0 {
						t.Errorf("error %v %v after it, want %v at once", err, time.Since(pulled), want)
					}
					<-s.Done()
					for range sub.C() {
					}
					s.Close()
				})
			})
		}
	}
}

// TestUnplugAtStart and while a call is being hung up: a session that knows
// nothing of its modem yet, and one that gives the port back to commands.
func TestUnplugAtStart(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 3 * time.Second, 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := newFakePort()
			s := New(p, Options{Dirty: true})
			p.serve(t, func(string) {})
			time.AfterFunc(after, func() { close(p.gone) })
			if _, err := s.Do(t.Context(), Command{Text: "+CSQ"}); !errors.Is(err, ErrGone) || !errors.Is(err, ErrNotSent) {
				t.Errorf("after %v: %v", after, err)
			}
			<-s.Done()
			s.Close()
		})
	}
}

func TestUnplugWhileHangingUp(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 1500 * time.Millisecond, 4 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := newFakePort()
			m := &dataModem{p: p}
			s := New(p, Options{})
			p.serve(t, func(line string) {
				if strings.HasPrefix(line, "ATD") {
					m.write(line)
				}
			})
			conn, err := s.Data(t.Context(), Command{Text: "D*99#"})
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(after, func() { close(p.gone) })
			if err := conn.Close(); !errors.Is(err, ErrGone) {
				t.Errorf("after %v: %v", after, err)
			}
			<-s.Done()
			s.Close()
		})
	}
}
