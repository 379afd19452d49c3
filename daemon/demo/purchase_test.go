//go:build linux && !nodemo

package demo

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/dynamo"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// shop is a router whose user buys in the lab operator's portal.
type shop struct {
	*crashWorld
	*shopper
	r   *reaper
	c   *hook.Client
	ctx context.Context
}

// inShop calls each of lives with a daemon of its own, one after the other, each of
// which the power cut ends that comes next.
func inShop(t *testing.T, prepare func(*crashWorld), lives ...func(*testing.T, *shop)) {
	t.Helper()
	inCrashWorld(t, crashStory{standing: true, power: true}, func(t *testing.T, w *crashWorld) {
		if err := WritePortal(w.dir); err != nil {
			t.Fatal(err)
		}
		operator := w.Seller(time.Now)
		w.shopOperator = operator
		if prepare != nil {
			prepare(w)
		}
		s := &shop{crashWorld: w, shopper: &shopper{browser: inProcess{operator.Portal()}}}
		for i, life := range lives {
			s.live(t, i < len(lives)-1, func() { life(t, s) })
		}
	})
}

// live calls f with a daemon of its own; the power is cut then, or the daemon told to end.
func (s *shop) live(t *testing.T, cut bool, f func()) {
	t.Helper()
	s.r = s.newReaper(nil, false)
	err := s.daemon(s.r, func(ctx context.Context, c *hook.Client) error {
		s.ctx, s.c = ctx, c
		if err := s.settled(ctx, s.r, c); err != nil {
			return err
		}
		f()
		if cut {
			s.r.Kill()
		}
		return nil
	})
	if err != nil && !s.r.Dead() {
		t.Fatal(err)
	}
	if err := s.stopped(s.r); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) visit(t *testing.T) hook.PortalVisit {
	t.Helper()
	var v hook.PortalVisit
	if err := s.c.Do(s.ctx, http.MethodPost, "/v1/dynamo/visits", nil, hook.VisitRequest{Operator: "lab-portal", ReturnURL: "https://192.168.8.1:8443/"}, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *shop) give(envelope string) (a hook.CallbackAnswer, err error) {
	err = s.c.Do(s.ctx, http.MethodPost, "/v1/dynamo/callbacks", nil, hook.CallbackRequest{Way: dynamo.WayOpener, Origin: "https://" + PortalHost, Top: true, Envelope: envelope}, &a)
	return a, err
}

// take opens the portal, buys a ware and gives the router what comes back.
func (s *shop) take(t *testing.T, ware string) (hook.PortalVisit, bought, hook.CallbackAnswer) {
	t.Helper()
	v := s.visit(t)
	b, err := s.buy(v.URL, ware)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.give(b.envelope)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.give(b.envelope); a.Kind != dynamo.KindNoPurchase && a.Kind != dynamo.KindBalance && (err == nil || !strings.Contains(err.Error(), "was taken before")) {
		t.Errorf("taken twice: %v", err)
	}
	return v, b, a
}

func (s *shop) await(t *testing.T, what string, is func(status.Snapshot) bool) (got status.Snapshot) {
	t.Helper()
	if _, err := s.r.until(s.ctx, s.c, 3*time.Hour, func(n status.Snapshot) bool { got = n; return is(n) }); err != nil {
		t.Fatalf("%s: %v; visit %+v", what, err, got.Visit)
	}
	return got
}

func visitIs(state status.VisitState) func(status.Snapshot) bool {
	return func(n status.Snapshot) bool { return n.Visit != nil && n.Visit.State == state }
}

// done is a purchase that has come to traffic by the profile of an ICCID.
func (s *shop) done(t *testing.T, iccid string) {
	t.Helper()
	got := s.await(t, "the purchase is carried out", func(n status.Snapshot) bool { return visitIs(status.VisitDone)(n) && n.State == status.Up })
	if s.enabled() != iccid || got.SIM.ICCID != iccid {
		t.Errorf("%s is enabled, want %s", s.enabled(), iccid)
	}
	v := got.Visit
	if v.Activation == nil || *v.Activation != (status.VisitActivation{Result: "success", ICCID: iccid}) || v.Registration == nil || *v.Registration != (status.VisitRegistration{State: "home", ICCID: iccid}) {
		t.Errorf("the listeners get %+v and %+v", v.Activation, v.Registration)
	}
}

// newest is the ICCID of the youngest order at the SM-DP+.
func (s *shop) newest() string {
	orders := s.Server.Orders()
	return orders[len(orders)-1].ICCID
}

// TestPurchases buys in the portal of the lab's operator, and has what comes back
// carried out by the whole daemon, with the orders at the lab's SM-DP+.
func TestPurchases(t *testing.T) {
	t.Run("new profile, prepaid", func(t *testing.T) {
		inShop(t, nil, func(t *testing.T, s *shop) {
			v, _, a := s.take(t, "new")
			if q, err := url.Parse(v.URL); err != nil || q.Query().Get("iccids") != s.old || q.Query().Get("eid") != s.Card.EID() || q.Query().Get("location") != "DE" || q.Query().Get("imei") == "" {
				t.Errorf("%s %v", v.URL, err)
			}
			if a.Run == "" || a.Kind != dynamo.KindDownload {
				t.Errorf("%+v", a)
			}
			s.done(t, s.newest())
		})
	})
	t.Run("new profile, postpaid, the power is cut at once", func(t *testing.T) {
		inShop(t, nil, func(t *testing.T, s *shop) { s.take(t, "postpaid") }, func(t *testing.T, s *shop) { s.done(t, s.newest()) })
	})
	t.Run("by the calls of generation 2", func(t *testing.T) {
		inShop(t, nil, func(t *testing.T, s *shop) { s.take(t, "old"); s.done(t, s.newest()) })
	})
	t.Run("existing profile re-used", func(t *testing.T) {
		second := ""
		inShop(t, func(w *crashWorld) {
			var err error
			if second, err = w.another(2, false); err != nil {
				w.t.Fatal(err)
			}
			w.shopOperator.AddLine(second, "prepaid", 0, 0)
		}, func(t *testing.T, s *shop) {
			orders := len(s.Server.Orders())
			if _, _, a := s.take(t, "existing"); a.Kind != dynamo.KindUseProfile || a.Run == "" {
				t.Errorf("%+v", a)
			}
			s.done(t, second)
			if n := len(s.Server.Orders()); n != orders {
				t.Errorf("%d orders were made", n-orders)
			}
		})
	})
	t.Run("existing profile re-used, while another run waits, and the power is cut", func(t *testing.T) {
		second := ""
		inShop(t, func(w *crashWorld) {
			var err error
			if second, err = w.another(2, false); err != nil {
				w.t.Fatal(err)
			}
			w.shopOperator.AddLine(second, "prepaid", 0, 0)
		}, func(t *testing.T, s *shop) {
			if err := s.c.Do(s.ctx, http.MethodPost, "/v1/activations", nil, hook.ActivationRequest{Code: s.Profiles[0].Code}, nil); err != nil {
				t.Fatal(err)
			}
			s.await(t, "it waits for consent", func(n status.Snapshot) bool { return n.Run != nil && n.Run.Waiting == "consent" })
			if _, _, a := s.take(t, "existing"); a.Run != "" {
				t.Errorf("%+v", a)
			}
		}, func(t *testing.T, s *shop) {
			time.Sleep(10 * time.Minute)
			got := s.await(t, "it is still wanted", visitIs(status.VisitBusy))
			if s.enabled() != s.old {
				t.Errorf("%s is enabled", s.enabled())
			}
			if err := s.c.Do(s.ctx, http.MethodDelete, "/v1/activations/"+got.Run.ID, nil, nil, nil); err != nil {
				t.Fatal(err)
			}
			s.done(t, second)
		})
	})
	t.Run("existing profile that could never be disabled again", func(t *testing.T) {
		const second = "8900101000009999902"
		inShop(t, func(w *crashWorld) {
			upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: second, IMSI: "001010000009902", SPN: Operator})
			if err != nil {
				w.t.Fatal(err)
			}
			raw, err := euiccsim.Metadata{ICCID: second, Provider: Operator, Name: "For good", Class: euiccsim.ClassOperational, Rules: euiccsim.PPR1}.Encode()
			if err == nil {
				err = w.Card.Preload(upp, raw, false)
			}
			if err != nil {
				w.t.Fatal(err)
			}
			w.shopOperator.AddLine(second, "prepaid", 0, 0)
		}, func(t *testing.T, s *shop) {
			s.take(t, "existing")
			got := s.await(t, "it is refused", visitIs(status.VisitFailed))
			if got.Visit.Error.Code != "no-way-back" || got.Visit.Activation.Result != "policyViolation" || s.enabled() != s.old {
				t.Errorf("%+v %+v", got.Visit.Error, got.Visit.Activation)
			}
		})
	})
	for _, ware := range []string{"cancel", "billing"} {
		t.Run("cancelled purchase, "+ware, func(t *testing.T) {
			inShop(t, nil, func(t *testing.T, s *shop) {
				if _, _, a := s.take(t, ware); a.Kind != dynamo.KindNoPurchase || a.Run != "" {
					t.Errorf("%+v", a)
				}
				time.Sleep(time.Hour)
				got := s.await(t, "nothing", visitIs(status.VisitNoChange))
				if got.Run != nil || len(s.Card.Installed()) != 1 || s.enabled() != s.old {
					t.Errorf("run %+v, %d profiles", got.Run, len(s.Card.Installed()))
				}
			})
		})
	}
	t.Run("failed download, told at the next visit", func(t *testing.T) {
		inShop(t, nil, func(t *testing.T, s *shop) {
			good := s.shopOperator.NewProfile
			s.shopOperator.NewProfile = func(eid string) (string, string, error) {
				code, iccid, err := good(eid)
				return code + "-WRONG", iccid, err
			}
			s.take(t, "new")
			s.shopOperator.NewProfile = good
			got := s.await(t, "it fails", visitIs(status.VisitFailed))
			if got.Visit.Activation == nil || got.Visit.Activation.Result != "invalidMatchingId" || got.Visit.Error == nil || s.enabled() != s.old {
				t.Errorf("%+v %+v", got.Visit.Activation, got.Visit.Error)
			}
		}, func(t *testing.T, s *shop) { // also after a power cut
			for range 2 { // it is told until the portal has answered
				v := s.visit(t)
				u, _ := url.Parse(v.URL)
				at, err := time.Parse("1/2/2006 3:04:05 PM", u.Query().Get("X-MP-LPAError-TimeStamps"))
				if u.Query().Get("X-MP-LPAError-Codes") != "InvalidMatchingId" || err != nil || time.Since(at) > time.Hour {
					t.Errorf("%s %v", v.URL, err)
				}
				if b, err := s.buy(v.URL, "cancel"); err != nil || !strings.Contains(b.page, "The last download failed: InvalidMatchingId") {
					t.Errorf("%s %v", b.page, err)
				}
			}
			s.take(t, "new")
			s.done(t, s.newest())
			if v := s.visit(t); strings.Contains(v.URL, "LPAError") {
				t.Errorf("told again: %s", v.URL)
			}
		})
	})
	t.Run("delayed download, across restarts", func(t *testing.T) {
		var taken time.Time
		inShop(t, nil, func(t *testing.T, s *shop) {
			s.take(t, "delayed")
			taken = time.Now()
			got := s.await(t, "it waits", visitIs(status.VisitWaiting))
			if got.Visit.Due == nil || got.Visit.Due.Sub(taken).Round(time.Minute) != 30*time.Minute {
				t.Errorf("due %v", got.Visit.Due)
			}
			time.Sleep(10 * time.Minute)
		}, func(t *testing.T, s *shop) {
			s.await(t, "it waits still", visitIs(status.VisitWaiting))
			time.Sleep(29*time.Minute - time.Since(taken))
			if n := len(s.Card.Installed()); n != 1 {
				t.Errorf("%d profiles before its time", n)
			}
		}, func(t *testing.T, s *shop) {
			s.done(t, s.newest())
			if took := time.Since(taken); took > 40*time.Minute {
				t.Errorf("after %v", took)
			}
		})
	})
	t.Run("delayed download, cancelled", func(t *testing.T) {
		for _, who := range []string{"portal", "person"} {
			inShop(t, nil, func(t *testing.T, s *shop) {
				v, b, _ := s.take(t, "delayed")
				u, _ := url.Parse(v.URL)
				if who == "portal" {
					cancel, err := s.envelope(u, map[string]any{"call": "MobilePlansInlineOperations.notifyOperationCancel", "args": []any{map[string]string{"Id": b.operation}}})
					if err != nil {
						t.Fatal(err)
					}
					if a, err := s.give(cancel.envelope); err != nil || a.Kind != dynamo.KindCancel {
						t.Errorf("%+v %v", a, err)
					}
				} else {
					for _, want := range []bool{true, false} {
						if err := s.c.Do(s.ctx, http.MethodDelete, "/v1/dynamo/visits/"+v.Transaction, nil, nil, nil); (err == nil) != want {
							t.Errorf("%v, want %v", err, want)
						}
					}
				}
				time.Sleep(2 * time.Hour)
				if n := len(s.Card.Installed()); n != 1 {
					t.Errorf("%d profiles", n)
				}
				s.await(t, "nothing", visitIs(status.VisitNoChange))
			})
		}
	})
	t.Run("the network takes it later, across a restart", func(t *testing.T) {
		var taken time.Time
		inShop(t, nil, func(t *testing.T, s *shop) {
			s.take(t, "registration")
			taken = time.Now()
			s.await(t, "it waits", visitIs(status.VisitWaiting))
			if len(s.Card.Installed()) != 2 || s.enabled() != s.old {
				t.Errorf("%d profiles, %s is enabled", len(s.Card.Installed()), s.enabled())
			}
		}, func(t *testing.T, s *shop) {
			s.done(t, s.newest())
			if took := time.Since(taken); took < 15*time.Minute || took > 25*time.Minute {
				t.Errorf("after %v", took)
			}
		})
	})
	t.Run("top-up", func(t *testing.T) {
		inShop(t, func(w *crashWorld) { w.shopOperator.AddLine(w.old, "prepaid", 0, 0) }, func(t *testing.T, s *shop) {
			if _, _, a := s.take(t, "topup"); a.Kind != dynamo.KindBalance || a.Run != "" {
				t.Errorf("%+v", a)
			}
			s.await(t, "it is told", visitIs(status.VisitTopUp))
		})
	})
}

// TestPurchaseRefused has callbacks that nobody may send: nothing is installed.
func TestPurchaseRefused(t *testing.T) {
	inShop(t, nil, func(t *testing.T, s *shop) {
		v := s.visit(t)
		b, err := s.buy(v.URL, "new")
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, code string
			change     func(*hook.CallbackRequest)
		}{
			{"another origin", "wrong-origin", func(r *hook.CallbackRequest) { r.Origin = "https://evil.example" }},
			{"http", "wrong-origin", func(r *hook.CallbackRequest) { r.Origin = "http://" + PortalHost }},
			{"a port", "wrong-origin", func(r *hook.CallbackRequest) { r.Origin = "https://" + PortalHost + ":444" }},
			{"mixed case", "wrong-origin", func(r *hook.CallbackRequest) { r.Origin = "https://Portal.lab.test" }},
			{"a look-alike", "wrong-origin", func(r *hook.CallbackRequest) { r.Origin = "https://p\u043ertal.lab.test" }},
			{"its page in a frame", "framed", func(r *hook.CallbackRequest) { r.Top = false }},
			{"return in a frame", "framed", func(r *hook.CallbackRequest) { r.Way, r.Top = dynamo.WayReturn, false }},
			{"another state", "wrong-state", func(r *hook.CallbackRequest) { r.Envelope = strings.Replace(r.Envelope, `"state":"`, `"state":"x`, 1) }},
			{"another transaction", "foreign-transaction", func(r *hook.CallbackRequest) {
				r.Envelope = strings.Replace(r.Envelope, `"transactionId":"`, `"transactionId":"x`, 1)
			}},
			{"no JSON", "bad-callback", func(r *hook.CallbackRequest) { r.Envelope = "{" }},
			{"a way of its own", "bad-way", func(r *hook.CallbackRequest) { r.Way = "directory" }},
		} {
			r := hook.CallbackRequest{Way: dynamo.WayOpener, Origin: "https://" + PortalHost, Top: true, Envelope: b.envelope}
			tt.change(&r)
			err := s.c.Do(s.ctx, http.MethodPost, "/v1/dynamo/callbacks", nil, r, nil)
			if e, ok := err.(*hook.Error); !ok || e.Code != tt.code {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
			}
		}
		time.Sleep(time.Hour)
		if len(s.Card.Installed()) != 1 {
			t.Error("one came through")
		}
		r := hook.CallbackRequest{Way: dynamo.WayReturn, Top: true, Envelope: b.envelope} // by the return URL
		if err := s.c.Do(s.ctx, http.MethodPost, "/v1/dynamo/callbacks", nil, r, nil); err != nil {
			t.Error(err)
		}
		s.done(t, s.newest())
	})
}
