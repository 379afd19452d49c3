package atcmd

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// benchPort answers at once, so that only the session's own work is measured.
type benchPort struct{ out chan string }

func (p *benchPort) Read(b []byte) (int, error) {
	text, ok := <-p.out
	if !ok {
		return 0, io.EOF
	}
	return copy(b, text), nil
}

func (p *benchPort) WriteContext(context.Context, []byte) error {
	p.out <- "\r\n+CREG: 1\r\n\r\n+CSQ: 20,99\r\n\r\nOK\r\n"
	return nil
}

func (p *benchPort) Close() error { close(p.out); return nil }

func BenchmarkDo(b *testing.B) {
	s := New(&benchPort{out: make(chan string, 1)}, Options{})
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Do(context.Background(), Command{Text: "+CSQ"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkURCs is what a session makes of URCs beside a command that runs, with
// one subscriber who takes them.
func BenchmarkURCs(b *testing.B) {
	ours, modem := net.Pipe()
	s := New(pipePort{ours}, Options{Timeout: time.Hour})
	sub := s.Subscribe("+QIND")
	var taken int
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range sub.C() {
			taken++
		}
	}()
	answered := make(chan error, 1)
	go func() { _, err := s.Do(context.Background(), Command{Text: "+COPS?"}); answered <- err }()
	if _, err := modem.Read(make([]byte, 64)); err != nil {
		b.Fatal(err)
	}
	const burst = 100
	text := bytes.Repeat([]byte("\r\n+QIND: \"csq\",20,99\r\n"), burst)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := modem.Write(text); err != nil {
			b.Fatal(err)
		}
		n += burst
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "URC/s")
	if _, err := modem.Write([]byte("\r\n+COPS: 0\r\n\r\nOK\r\n")); err != nil {
		b.Fatal(err)
	}
	if err := <-answered; err != nil {
		b.Fatal(err)
	}
	s.Close()
	<-done
	if st := s.Stats(); st.URCs != uint64(n) || uint64(taken)+st.Dropped != st.URCs {
		b.Errorf("%d sent, %d taken, %+v", n, taken, st)
	}
}
