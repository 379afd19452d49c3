package atcmd

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestURCFlood sends 10,000 URCs beside a running command: its answer is
// complete, order is kept, and what a slow subscriber did not take is counted.
func TestURCFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood = 10_000
		p := newFakePort()
		s := newTestSession(t, p, Options{Queue: 100})
		fast, slow := s.Subscribe("+QIND"), s.Subscribe("+qind: ")
		other := s.Subscribe("+CREG")
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for u := range fast.C() {
				got = append(got, u.Line)
			}
		}()
		p.serve(t, func(string) {
			p.send("\r\n+COPS: 0\r\n")
			for i := range flood {
				p.send(fmt.Sprintf("\r\n+QIND: %d\r\n", i))
				if i%50 == 0 {
					synctest.Wait() // the reader keeps up, the slow subscriber does not
				}
			}
			p.send("\r\n+COPS: 1\r\n\r\nOK\r\n")
		})
		reply, err := s.Do(t.Context(), Command{Text: "+COPS?", Timeout: time.Hour})
		if err != nil || !slices.Equal(reply.Lines, []string{"+COPS: 0", "+COPS: 1"}) {
			t.Fatalf("got %q, %v", reply.Lines, err)
		}
		synctest.Wait()
		fast.Close()
		<-done
		if n := uint64(len(got)) + fast.Dropped(); n != flood {
			t.Errorf("fast subscriber: %d taken, %d dropped", len(got), fast.Dropped())
		}
		if !slices.IsSortedFunc(got, func(a, b string) int {
			var i, j int
			fmt.Sscanf(a, "+QIND: %d", &i)
			fmt.Sscanf(b, "+QIND: %d", &j)
			return i - j
		}) {
			t.Error("order lost")
		}
		slow.Close()
		var kept []string
		for u := range slow.C() {
			kept = append(kept, u.Line)
		}
		if len(kept) != 100 || slow.Dropped() != flood-100 || kept[99] != fmt.Sprintf("+QIND: %d", flood-1) {
			t.Errorf("slow subscriber: kept %d to %v, dropped %d", len(kept), kept[len(kept)-1], slow.Dropped())
		}
		if len(other.C()) != 0 {
			t.Error("URC of another name")
		}
		if st := s.Stats(); st.URCs != flood || st.Dropped != slow.Dropped()+fast.Dropped() {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		s := newTestSession(t, p, Options{URCs: []string{"+QOWN", "VENDOR UP"}})
		all, vendor := s.Subscribe(""), s.Subscribe("+QVENDOR")
		p.serve(t, func(line string) {
			p.send("\r\n+QVENDOR: 1\r\n+QOWN: 2\r\n+QSET: 3\r\nVENDOR UP\r\nsomething\r\nOK\r\n")
		})
		// A set command owns its own name unless a subscription or the dialect
		// says that a URC has it.
		tests := []struct {
			cmd  Command
			want []string
		}{
			{Command{Text: "+QVENDOR=1"}, nil},
			{Command{Text: "+QVENDOR?"}, []string{"+QVENDOR: 1"}},
			{Command{Text: "+QOWN=1"}, nil},
			{Command{Text: "+QSET=1"}, []string{"+QSET: 3"}},
			{Command{Text: "+QBARE", Bare: true}, []string{"something"}},
		}
		for _, tt := range tests {
			reply, err := s.Do(t.Context(), tt.cmd)
			if err != nil || !slices.Equal(reply.Lines, tt.want) {
				t.Errorf("AT%s: %q, %v", tt.cmd.Text, reply.Lines, err)
			}
		}
		vendor.Close()
		vendor.Close()
		if n := len(all.C()); n != 5*5-3 {
			t.Errorf("%d URCs, want the lines that no command owned", n)
		}
		s.Close()
		if _, open := <-s.Subscribe("").C(); open {
			t.Error("a subscription to a session that is over is open")
		}
		if u, ok := <-all.C(); !ok || u.Line != "+QVENDOR: 1" {
			t.Errorf("the queue is lost with the session: %+v", u)
		}
	})
}
