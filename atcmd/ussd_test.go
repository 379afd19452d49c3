package atcmd

import (
	"testing"
	"testing/synctest"
)

// A USSD answer has the line ends that the network sent.
func TestTextOverSeveralLines(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       []string
	}{
		{"one line", "\r\n+CUSD: 0,\"Balance 5\",15\r\n", []string{`+CUSD: 0,"Balance 5",15`}},
		{"without a coding", "\r\n+CUSD: 0,\"Balance 5\"\r\n", []string{`+CUSD: 0,"Balance 5"`}},
		{"three lines", "\r\n+CUSD: 1,\"1 Balance\n2 Top up\r\n0 Back\",15\r\n", []string{"+CUSD: 1,\"1 Balance\n2 Top up\n0 Back\",15"}},
		{"a URC behind it", "\r\n+CUSD: 0,\"a\nb\",15\r\n\r\n+CREG: 1\r\n", []string{"+CUSD: 0,\"a\nb\",15", "+CREG: 1"}},
		{"never closed, a URC behind it", "\r\n+CUSD: 0,\"a\r\n\r\n+CREG: 1\r\n", []string{`+CUSD: 0,"a`, "+CREG: 1"}},
		{"no text", "\r\n+CUSD: 2\r\n", []string{"+CUSD: 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakePort()
				s := newTestSession(t, p, Options{})
				urcs := s.Subscribe("")
				p.serve(t, func(string) { p.send(tt.wire + "\r\nOK\r\n") })
				if r, err := s.Do(ctxFor(t), Command{Text: `+CUSD=1,"*100#",15`}); err != nil || len(r.Lines) != 0 {
					t.Fatalf("%q %v", r.Lines, err)
				}
				for _, want := range tt.want {
					if got := <-urcs.C(); got.Line != want {
						t.Errorf("got %q, want %q", got.Line, want)
					}
				}
				if len(urcs.C()) != 0 {
					t.Errorf("one more: %q", (<-urcs.C()).Line)
				}
			})
		})
	}
}
