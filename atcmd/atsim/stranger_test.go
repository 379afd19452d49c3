package atsim

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/warthog618/modem/at"
	"github.com/warthog618/modem/gsm"
)

// TestWarthog drives the modem with an AT library that was not written for it.
func TestWarthog(t *testing.T) {
	for _, row := range []struct {
		name   string
		habits Habits
	}{
		{"as the standard says", Habits{}},
		{"split in writes of 5", Habits{SplitBytes: 5}},
		{"opaque handle", Habits{HexHandle: true}},
		{"echo stays off", Habits{NoEcho: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			card := newTestCard()
			var sent []string
			m, err := New(Config{Card: card.apdu, Network: newTestNetwork(), Habits: row.habits, SMSSent: func(p string) { sent = append(sent, p) }})
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := net.Pipe()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- m.Serve(ctx, theirs) }()
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
