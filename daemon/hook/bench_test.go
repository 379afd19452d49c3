package hook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// fullStatus is as much as a router ever has to say: a card full of profiles whose
// names are as long as SGP.22 allows, a run that failed, a link that limps, and a
// modem that was mended at every rung.
func fullStatus(fill string) status.Snapshot {
	text := func(n int) string { return strings.Repeat(fill, n/len(fill)) }
	now := time.Date(2026, 11, 24, 11, 50, 52, 123456789, time.UTC)
	whole, dbm := 301, -87.5
	many := slices.Repeat([]string{text(64)}, 200) // hosts and places, as many as an operator likes
	problem := &status.Problem{Code: text(30), Text: text(400), Advice: text(300), Retry: string(euicc.RetryNewCode), Stage: "authenticated", Cause: &status.Cause{Function: text(30), Subject: "8.2.6", Reason: "3.8", SW: "6A82"}}
	s := status.Snapshot{
		Version: "v1.2.3-45-g0123456-dirty", Time: now, Started: now, State: status.Limited, Reason: text(300), Advice: text(300),
		Run: &status.Run{
			ID: text(13), State: "undoing", Waiting: "link", SMDP: text(100), ICCID: text(20), Provider: text(32), Profile: text(64), Class: "operational", PolicyRules: "ppr1+ppr2",
			Previous: text(20), BackTo: text(20), Why: text(200), APN: text(100), APNReason: text(300), Progress: &status.Progress{}, Error: problem, Resumes: 5, Started: now, Ended: &now, Figures: &status.Figures{},
		},
		Modem: &status.Modem{
			Port: text(60), Present: true, Manufacturer: text(60), Model: text(60), Revision: text(60), IMEI: text(20), Dialect: text(20), SIMSlot: &whole, Error: text(200),
			Data: &status.NetFunction{Kind: "raw-ip", Interface: text(15), Driver: text(30)},
		},
		Card:         &status.Card{EID: text(32), SVN: "2.5.0", FreeMemory: 1 << 20, Default: text(100), Error: text(200)},
		SIM:          &status.SIM{State: "no-profile", ICCID: text(20), IMSI: text(15), HomePLMN: "001001", SPN: text(16), PINTries: &whole},
		Registration: &status.Registration{Status: "denied", AcT: "NR", PLMN: "001001", Operator: text(40), Cause: 15},
		Signal:       &status.Signal{RSSI: &dbm, RSRP: &dbm, RSRQ: &dbm, SINR: &dbm},
		Link:         &status.Link{Interface: text(15), Gateway: text(39), MTU: 1500, APN: text(100), APNReason: text(300), Source: "contrdp", Since: now},
		Reach:        &status.Reach{Result: "limited", Cause: "walled-garden", Target: text(100), Reason: text(200), RTTMS: 123.456, At: now},
		Outbox:       status.Outbox{Pending: 40, Oldest: &now, Error: text(200), Alarm: text(100)},
		Webhooks:     &status.Webhooks{Pending: 32, Error: text(200)},
		Recovery:     &status.Recovery{State: status.GivenUp, Symptom: text(30), Reason: text(200), Advice: text(200), Next: &now},
		Fallback:     &status.Fallback{Preferred: text(20), Reason: text(200), Next: &now},
		SIMChange:    &status.SIMChange{From: text(20), To: text(20), At: now},
		Garden:       &status.Garden{Operator: text(60), Name: text(100), Portal: text(200), Interface: "wwan0", Hosts: many, Missing: many, Error: text(100)},
		Balance: &status.Balance{
			ICCID: text(20), Text: text(200), Type: "MODIRECTPAYG", DataMB: &dbm, TimeRemaining: "P23DT23H", Locations: many, At: now, Stale: true, Error: text(100), NextIn: 1800,
		},
		Visit: &status.Visit{
			Transaction: text(26), Operator: text(32), Brand: text(32), State: status.VisitFailed, Begun: now, Plan: text(64), Due: &now, Run: text(13), Error: problem,
			Activation: &status.VisitActivation{Result: text(30), ICCID: text(20)}, Registration: &status.VisitRegistration{},
		},
		Door: &status.Door{Listen: text(30), Fingerprint: text(64), Error: text(200)},
	}
	for range 16 { // what cards hold
		s.Card.Profiles = append(s.Card.Profiles, status.Profile{ICCID: text(20), State: "disabled", Class: "operational", Provider: text(32), Name: text(64), Nickname: text(64), PolicyRules: "ppr1+ppr2"})
	}
	for range 2 {
		s.Cells = append(s.Cells, status.Cell{RAT: "lte", PLMN: "001001", AreaCode: "FFFF", CellID: text(9), PCI: &whole, ARFCN: &whole, Band: 71, RSRP: &dbm, RSRQ: &dbm, SINR: &dbm})
	}
	for range 4 {
		s.Link.Addresses = append(s.Link.Addresses, text(43))
		s.Link.DNS = append(s.Link.DNS, text(39))
		s.Warnings = append(s.Warnings, text(200))
	}
	for range 8 {
		s.Reach.Targets = append(s.Reach.Targets, status.ReachTarget{Target: text(100), Result: "limited", Stage: "http", Reason: text(200), TookMS: 1234.567})
		s.Recovery.Rungs = append(s.Recovery.Rungs, status.RungUse{Rung: "channels", Count: 100, Last: now, Reason: text(100), Error: text(100)})
	}
	return s
}

// TestStatusSize: a status is small enough for a poll over the cellular link itself,
// whatever others choose for names: there is nothing but texts to cut off.
func TestStatusSize(t *testing.T) {
	for _, row := range []struct{ name, fill string }{
		{"letters", "x"}, {"of HTML", "&"}, {"quotes", `"`}, {"control characters", "\x01"}, {"two bytes", "ü"}, {"line separators", "\u2028"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, m, _ := serve(t, &fakeDaemon{})
			full := fullStatus(row.fill)
			m.Update(func(s *status.Snapshot) { *s = full })
			var text json.RawMessage
			if err := c.Do(t.Context(), "GET", "/v1/status", nil, nil, &text); err != nil {
				t.Fatal(err)
			}
			var got status.Snapshot
			if err := json.Unmarshal(text, &got); err != nil || len(got.Card.Profiles) != 16 || got.Webhooks == nil || got.Visit == nil || len(got.Recovery.Rungs) != 8 {
				t.Fatalf("not what was put in: %v", err)
			}
			if row.fill == "x" && (got.Door.Fingerprint != full.Door.Fingerprint || got.Card.EID != full.Card.EID || got.Link.APN != full.Link.APN) {
				t.Errorf("an identity is cut off: %+v %+v %+v", got.Door, got.Card, got.Link)
			}
			if t.Logf("%d bytes", len(text)); len(text) > status.MaxJSON {
				t.Errorf("a status has %d bytes", len(text))
			}
		})
	}
}

// opened serves the API on a network and gives clients of it.
func opened(b *testing.B, network string) (*status.Model, func() *Client) {
	b.Helper()
	dir, err := os.MkdirTemp("", "dynamod") // b.TempDir is too long for a socket
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	model := status.New("test", time.Now)
	s := New(&fakeDaemon{}, model, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	if network == "socket" {
		path := filepath.Join(dir, "s")
		l, err := Listen(path, "")
		if err != nil {
			b.Fatal(err)
		}
		go func() { ended <- s.Serve(ctx, l) }()
		return model, func() *Client { return Dial(path) }
	}
	cert, err := access.OwnCertificate(dir, time.Now().Add(-time.Hour), nil, os.WriteFile)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	// Without the guard, whose rate would be what is measured.
	go func() { ended <- s.serve(ctx, tls.NewListener(l, access.TLS(cert, nil, time.Now)), s.Handler(l)) }()
	return model, func() *Client {
		return &Client{&http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { // the client's URLs are http
				d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // what is measured is the server
				return d.DialContext(ctx, "tcp", l.Addr().String())
			},
		}}}
	}
}

// BenchmarkStatus is GET /v1/status, one after the other on one connection, of a router
// that has as much to say as ever.
func BenchmarkStatus(b *testing.B) {
	for _, network := range []string{"socket", "TLS"} {
		b.Run(network, func(b *testing.B) {
			model, client := opened(b, network)
			full := fullStatus("x")
			model.Update(func(s *status.Snapshot) { *s = full })
			c := client()
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Do(b.Context(), http.MethodGet, "/v1/status", nil, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// BenchmarkEvents is the time until each of some clients of /v1/events has an event.
func BenchmarkEvents(b *testing.B) {
	for _, network := range []string{"socket", "TLS"} {
		for _, clients := range []int{1, 20} {
			b.Run(fmt.Sprintf("%s/%d", network, clients), func(b *testing.B) {
				model, client := opened(b, network)
				ctx, stop := context.WithCancel(b.Context())
				got := make(chan struct{}, clients)
				var all sync.WaitGroup
				for range clients {
					all.Go(func() {
						client().Events(ctx, func(string, []byte) bool {
							got <- struct{}{}
							return true
						})
					})
				}
				everybody := func() {
					for range clients {
						<-got
					}
				}
				everybody() // has the first
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					model.Log("SIM reset: wait for REFRESH")
					everybody()
					n++
				}
				b.ReportMetric(float64(n*clients)/b.Elapsed().Seconds(), "events/s")
				stop()
				all.Wait()
			})
		}
	}
}
