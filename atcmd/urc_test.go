package atcmd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
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

// TestURCFloodMemory: what a flood leaves behind is what the queues hold, ten
// times the flood leaves no more, and it all happened beside one command.
func TestURCFloodMemory(t *testing.T) {
	live := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	a, b := net.Pipe()
	defer b.Close()
	s := New(pipePort{a}, Options{Queue: 64, Timeout: time.Hour})
	defer s.Close()
	sub := s.Subscribe("+QIND") // nobody takes them
	started := make(chan struct{})
	answered := make(chan error, 1)
	go func() {
		close(started)
		reply, err := s.Do(t.Context(), Command{Text: "+COPS?"})
		if err == nil && !slices.Equal(reply.Lines, []string{"+COPS: 0"}) {
			err = fmt.Errorf("answer %q", reply.Lines)
		}
		answered <- err
	}()
	<-started
	line := make([]byte, 64)
	if n, err := b.Read(line); err != nil || string(line[:n]) != "AT+COPS?\r" {
		t.Fatalf("modem got %q, %v", line[:n], err)
	}
	text := bytes.Repeat([]byte("\r\n+QIND: \"cell\",0123456789ABCDEF0123456789ABCDEF\r\n"), 100)
	flood := func(n int) {
		for range n / 100 {
			if _, err := b.Write(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	flood(1000)
	before := live()
	flood(10_000)
	once := live() - before
	flood(100_000)
	more := live() - before
	if const64k := int64(64 << 10); once > const64k || more > const64k {
		t.Errorf("%d bytes after 10,000 URCs, %d after 110,000", once, more)
	}
	if _, err := b.Write([]byte("\r\n+COPS: 0\r\n\r\nOK\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.URCs != 111_000 || st.Dropped != 111_000-64 || sub.Dropped() != st.Dropped {
		t.Errorf("%+v, %d dropped", st, sub.Dropped())
	}
	t.Logf("live heap grew by %d bytes after 10,000 URCs and %d after 110,000", once, more)
}

// pipePort is one end of a net.Pipe, which is as slow as its reader.
type pipePort struct{ net.Conn }

func (p pipePort) WriteContext(_ context.Context, b []byte) error {
	_, err := p.Write(b)
	return err
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
