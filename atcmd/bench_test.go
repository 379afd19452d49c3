package atcmd

import (
	"context"
	"io"
	"testing"
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
