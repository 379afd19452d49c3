package atsim

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/warthog618/modem/at"
	"github.com/warthog618/modem/gsm"
)

// abstractPair is a connection over an abstract unix socket.
func abstractPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", fmt.Sprintf("@atsim-stranger-%d", os.Getpid()))
	if err != nil {
		t.Skip("no abstract unix sockets here: ", err)
	}
	defer l.Close()
	if ours, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// TestWarthog drives the modem with an AT library that was not written for it:
// identity, the card by +CCHO, +CGLA and by +CSIM, errors, short messages.
func TestWarthog(t *testing.T) {
	for _, row := range []struct {
		name   string
		habits Habits
		by     string // what it is reached by; "" is a pipe
	}{
		{"as the standard says", Habits{}, ""},
		{"on an abstract socket", Habits{}, "abstract"},
		{"on a pty", Habits{}, "pty"},
		{"split in writes of 5", Habits{SplitBytes: 5}, ""},
		{"opaque handle", Habits{HexHandle: true}, ""},
		{"echo stays off", Habits{NoEcho: true}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			card := newTestCard()
			var sent []string
			m, err := New(Config{Card: card.apdu, Network: newTestNetwork(), Habits: row.habits, SMSSent: func(p string) { sent = append(sent, p) }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			var ours io.ReadWriteCloser
			if row.by == "pty" {
				ours = openStrangersPTY(t, m)
				go func() { done <- m.ServePTY(ctx, "") }()
			} else {
				near, far := net.Pipe()
				if row.by == "abstract" {
					near, far = abstractPair(t)
				}
				ours = near
				go func() { done <- m.Serve(ctx, far) }()
			}
			defer func() {
				ours.Close()
				cancel()
				<-done
			}()
			g := gsm.New(at.New(ours, at.WithTimeout(patience)))
			if err := g.Init(at.WithTimeout(patience)); err != nil {
				t.Fatalf("Init: %v", err)
			}
			do := func(cmd string) []string {
				t.Helper()
				info, err := g.Command(cmd)
				if err != nil {
					t.Fatalf("%s: %v", cmd, err)
				}
				return info
			}
			if got := do("+CIMI"); len(got) != 1 || got[0] != "001010000000001" {
				t.Errorf("+CIMI %q", got)
			}
			h := strings.TrimPrefix(do(`+CCHO="` + isdrAID + `"`)[0], "+CCHO: ")
			long := strings.Repeat("5A", 255)
			got := do(fmt.Sprintf(`+CGLA=%s,%d,"%s"`, h, 10+len(long), storeData(long)))
			if want := fmt.Sprintf(`+CGLA: %d,"%s9000"`, len(long)+4, long); len(got) != 1 || got[0] != want {
				t.Errorf("+CGLA %q", got)
			}
			do("+CCHC=" + h)
			apdu := func(cmd string) string {
				t.Helper()
				_, answer, _ := strings.Cut(do(fmt.Sprintf(`+CSIM=%d,"%s"`, len(cmd), cmd))[0], ",")
				return strings.Trim(answer, `"`)
			}
			if got := apdu("0070000001"); got != "019000" {
				t.Errorf("MANAGE CHANNEL %s", got)
			}
			if got := apdu("01A4040010" + isdrAID); !strings.HasPrefix(got, "61") && !strings.HasSuffix(got, "9000") {
				t.Errorf("SELECT ISD-R %s", got)
			}
			if got := apdu("81E2910001A5"); got != "A59000" && !strings.HasPrefix(got, "61") {
				t.Errorf("STORE DATA %s", got)
			}
			if got := apdu("0070800100"); got != "9000" {
				t.Errorf("MANAGE CHANNEL close %s", got)
			}
			if _, err := g.Command("+CFUN=99"); err == nil || !strings.Contains(err.Error(), "arameter") {
				t.Errorf("+CMEE=2 error: %v", err)
			}
			if _, err := g.SendShortMessage("+12345", "hello from the bench", at.WithTimeout(10*time.Second)); err != nil {
				t.Errorf("SMS: %v", err)
			}
			if len(sent) != 1 {
				t.Errorf("sent %q", sent)
			}
		})
	}
}
