//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/dynamo/dynamosim"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// A prepaid line uses its credit up, is walled in by the network, and gets out by a
// top-up, in one session from beginning to end. While it is walled in, the box lets
// nothing out of it but to the portal.
func TestCreditIsUsedUp(t *testing.T) {
	inCrashWorld(t, crashStory{}, func(t *testing.T, w *crashWorld) {
		ln, err := w.n.ListenInternet("tcp", netip.AddrPortFrom(netlab.PortalAddr, 443).String())
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go takeAll(ln)
		record := fmt.Sprintf(`{"id": "lab-portal", "name": %q, "rank": 200, "targets": [{"mccmnc": [%q]}], "connections": [],
			"portal": {"url": "https://%s/mp", "callbackHosts": [%[3]q], "iccidRanges": [{"lo": %[4]q, "hi": %[4]q}]}}`, Operator, PLMN, netlab.PortalName, w.old)
		if err := os.WriteFile(filepath.Join(w.dir, "operators.d", "portal.json"), []byte(record), 0o644); err != nil {
			t.Fatal(err)
		}
		operator := dynamosim.New(Operator, time.Now)
		operator.AddLine(w.old, dynamosim.Prepaid, 0.2, 30*24*time.Hour)
		w.Operator.Meter(w.old, operator)
		r := w.newReaper(nil, false)
		err = w.daemon(r, func(ctx context.Context, c *hook.Client) error {
			state := func(want status.State) error {
				_, err := r.until(ctx, c, time.Hour, func(s status.Snapshot) bool { return s.State == want && s.SIM != nil && s.SIM.ICCID == w.old })
				return err
			}
			send := func(to netip.Addr, bytes int) error {
				conn, err := w.n.Dial(ctx, "tcp", net.JoinHostPort(to.String(), "443"))
				if err != nil {
					return err
				}
				defer conn.Close()
				_, err = conn.Write(make([]byte, bytes))
				return err
			}
			if err := state(status.Up); err != nil {
				return err
			}
			calls := w.Modem.Stats().Activations
			if err := send(netlab.PortalAddr, 100_000); err != nil {
				return err
			}
			time.Sleep(2 * meterPause)
			if w.Operator.Walled() {
				t.Error("walled in with half of the credit left")
			}
			if err := send(netlab.PortalAddr, 100_000); err != nil {
				return err
			}
			if err := state(status.Limited); err != nil {
				return fmt.Errorf("used up: %w", err)
			}
			want := status.Garden{Operator: "lab-portal", Name: Operator, Portal: "https://" + netlab.PortalName + "/mp", Interface: "usb0", Hosts: []string{netlab.PortalName, netlab.ReachName, SMDP}}
			snap := status.Snapshot{}
			if _, err := r.until(ctx, c, time.Hour, func(s status.Snapshot) bool {
				snap = s
				return s.Garden != nil && s.Garden.Interface != ""
			}); err != nil {
				return fmt.Errorf("no wall: %w", err)
			}
			if !reflect.DeepEqual(*snap.Garden, want) {
				t.Errorf("the garden is %+v", *snap.Garden)
			}
			for _, s := range []struct {
				to   netip.Addr
				pass bool
			}{{netlab.PortalAddr, true}, {netlab.ReachAddr, true}, {netlab.DNSAddr, true}, {netlab.SMDPAddr, true}, {netip.MustParseAddr("192.0.2.99"), false}} {
				if got := w.n.NLSim().Passes("usb0", s.to); got != s.pass {
					t.Errorf("%s passes the wall: %v", s.to, got)
				}
			}
			if err := send(netlab.SMDPAddr, 1); err == nil {
				t.Error("the internet is reached without credit")
			}
			if err := send(netlab.PortalAddr, 100_000); err != nil {
				return fmt.Errorf("the portal: %w", err)
			}
			if err := operator.TopUp(w.old, 1, time.Hour); err != nil {
				return err
			}
			if err := state(status.Up); err != nil {
				return fmt.Errorf("topped up: %w", err)
			}
			if _, err := r.until(ctx, c, time.Minute, func(s status.Snapshot) bool { return s.Garden == nil }); err != nil || len(w.n.NLSim().Walls()) > 0 {
				t.Errorf("the wall stands: %v", err)
			}
			if err := send(netlab.SMDPAddr, 1); err != nil {
				t.Errorf("topped up: %v", err)
			}
			if n := w.Modem.Stats().Activations; n != calls {
				t.Errorf("%d data calls were made after the first", n-calls)
			}
			// What the garden carried was free, and the operator takes the rest.
			if !operator.Use(w.old, 0.9) || operator.Use(w.old, 0.1) {
				t.Error("not what was used was charged")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A line whose operator has no API is asked about by the code of its record, by a
// person's wish alone, and not while the eUICC is used.
func TestBalanceByCode(t *testing.T) {
	for _, tt := range []struct {
		name, ext, problem, text string
		mb                       float64
	}{
		{"a pattern", `"balance-ussd": "*100# *999#", "balance-pattern": "Data: {MB} MB"`, "", "Credit: 12,50 EUR Data: 250.00 MB", 250},
		{"no pattern", `"balance-ussd": "*100#"`, "", "Credit: 12,50 EUR Data: 250.00 MB", -1},
		{"a pattern of other words", `"balance-ussd": "*100#", "balance-pattern": "{GB} GB"`, "", "Credit: 12,50 EUR Data: 250.00 MB", -1},
		{"a menu", `"balance-ussd": "*101#", "balance-pattern": "Data: {MB} MB"`, "", "Credit: 12,50 EUR Data: 250.00 MB 1 Top up", 250},
		{"an unknown code", `"balance-ussd": "*999#"`, "balance-unknown", "", -1},
		{"none", `"topup-ussd": "*1*CODE#"`, "no-balance-source", "", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCrashWorld(t, crashStory{}, func(t *testing.T, w *crashWorld) {
				record := fmt.Sprintf(`{"id": "lab", "name": %q, "targets": [{"mccmnc": [%q]}], "connections": [{"apn": %q}], "ext": {%s}}`, Operator, PLMN, APN, tt.ext)
				if err := os.WriteFile(filepath.Join(w.dir, "operators.d", "lab.json"), []byte(record), 0o644); err != nil {
					t.Fatal(err)
				}
				w.Operator.SetCredit(w.old, 250)
				r := w.newReaper(nil, false)
				err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
					if err := w.settled(ctx, r, c); err != nil {
						return err
					}
					time.Sleep(time.Hour)
					var s status.Snapshot
					if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &s); err != nil {
						return err
					}
					if s.Balance != nil {
						t.Errorf("without being asked for: %+v", s.Balance)
					}
					var b status.Balance
					err := c.Do(ctx, "GET", "/v1/balance", nil, nil, &b)
					if tt.problem != "" {
						if p, ok := errors.AsType[*hook.Error](err); !ok || p.Code != tt.problem {
							t.Errorf("%+v, %v", b, err)
						}
						return nil
					}
					if err != nil {
						return err
					}
					if b.Text != tt.text || b.Source != status.BalanceUSSD || !strings.Contains(b.Words, "EUR\nData") || (b.DataMB != nil) != (tt.mb >= 0) || b.DataMB != nil && *b.DataMB != tt.mb || b.UsedUp || b.Low {
						t.Errorf("%+v", b)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// countingCarrier is one whose traffic the test makes up.
type countingCarrier struct {
	noTraffic
	bytes int64
}

func (c *countingCarrier) Traffic() (int64, error) { return c.bytes, nil }

// What crosses between the last look and the end of a data connection is charged.
func TestCreditOfTheLastMoment(t *testing.T) {
	c := &countingCarrier{}
	o := newOperator(c, atsim.Lease{}, slog.New(slog.DiscardHandler))
	defer o.stopMeter()
	o.caller = "8900101000000000019"
	o.SetCredit(o.caller, 1)
	for _, left := range []float64{0.7, 0.4} {
		if err := o.dataUp(1, atsim.Lease{}); err != nil {
			t.Fatal(err)
		}
		c.bytes += 300_000
		o.dataDown(1)
		c.bytes += 300_000 // of a line that does not pay by volume
		if got := o.own.mb[o.caller]; math.Abs(got-left) > 1e-9 {
			t.Errorf("%v MB are left, not %v", got, left)
		}
	}
}
