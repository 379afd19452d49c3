package gateway

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/modem"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/euiccsim"
	"dynamod/netlink"
)

// A daemon meets a card for the first time: the link of a profile for provisioning
// has no route in the main table at any moment, and a card that is no eUICC or does
// not answer keeps no link down.
func TestFirstContact(t *testing.T) {
	for _, row := range []struct {
		name      string
		bootstrap bool
		fault     func(*standing)
		within    time.Duration // to the link
		everybody bool          // has its routes
	}{
		{"a profile for provisioning", true, nil, 5 * time.Second, false},
		{"an operational profile", false, nil, 5 * time.Second, true},
		{"the card is no eUICC", true, func(s *standing) { s.card.SetBehaviour(euiccsim.Behaviour{NoISDR: true}) }, 5 * time.Second, true},
		// Each command to the card takes the time of its answer from those for the link.
		{"the card does not answer", true, func(s *standing) { s.fault("silent", atsim.Fault{Command: "+CGLA"}) }, 10 * time.Minute, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			seen := false
			stand(t, standingOptions{
				personality: "quectel", ethernet: true, bootstrap: row.bootstrap,
				before: func(s *standing) {
					if row.fault != nil {
						row.fault(s)
					}
					go s.kernel.Watch(s.t.Context(), func() {
						snap, err := s.kernel.Snapshot(context.Background())
						if err != nil {
							t.Error(err)
						}
						seen = seen || slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool {
							return r.Table == netlink.TableMain && r.Protocol == netlink.Protocol
						})
					})
				},
			}, func(s *standing) {
				begin := time.Now()
				s.await(status.Up, time.Hour)
				if took := time.Since(begin); took > row.within {
					t.Errorf("the link was up after %v", took)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if seen != row.everybody {
					t.Errorf("in the main table: %v", seen)
				}
			})
		})
	}
}

// A link waits for the class of its profile as long as somebody reads the card, and
// for 10 s at most; what was read once is known at the next start.
func TestAwaitCard(t *testing.T) {
	const iccid = "8900101000000000018"
	id, err := euicc.ParseICCID(iccid)
	if err != nil {
		t.Fatal(err)
	}
	of := func(c euicc.Class) []euicc.Profile {
		return []euicc.Profile{{ICCID: id, Metadata: euicc.Metadata{Class: c}}}
	}
	read := func(g *Gateway) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.cardToRead()
	}
	for _, row := range []struct {
		name  string
		do    func(g *Gateway) // beside the wait
		takes time.Duration
		is    bool // for bootstrap
	}{
		{"nobody reads the card", func(*Gateway) {}, 0, false},
		{"known from before", func(g *Gateway) { g.noteClasses(of(euicc.ClassProvisioning)); read(g) }, 0, true},
		{"read meanwhile", func(g *Gateway) {
			read(g)
			time.AfterFunc(3*time.Second, func() { g.noteClasses(of(euicc.ClassProvisioning)); g.cardWasRead() })
		}, 3 * time.Second, true},
		{"refused", func(g *Gateway) { read(g); time.AfterFunc(time.Second, g.cardWasRead) }, time.Second, false},
		{"no answer", read, cardTime, false},
		{"no answer, and known too late", func(g *Gateway) {
			read(g)
			time.AfterFunc(time.Minute, func() { g.noteClasses(of(euicc.ClassProvisioning)) })
		}, cardTime, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t)
				row.do(g)
				begin := time.Now()
				for range 2 { // two connections that are tried
					g.awaitCard(t.Context(), iccid)
				}
				if took := time.Since(begin); took != row.takes {
					t.Errorf("it took %v, want %v", took, row.takes)
				}
				time.Sleep(2 * time.Minute)
				if g.isBootstrap(iccid) != row.is {
					t.Errorf("for bootstrap: %v", !row.is)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				read(g)
				begin = time.Now()
				if g.awaitCard(ctx, "8900101000000000026"); time.Since(begin) != time.Second {
					t.Errorf("cancelled after a second, it took %v", time.Since(begin))
				}
			})
		})
	}
}

// A modem whose eUICC has no enabled profile says that its card fails: nobody is
// told so, not even while the card is being read.
func TestEmptyCardIsNoFailure(t *testing.T) {
	for _, personality := range []string{"quectel", "telit-le910"} {
		t.Run(personality, func(t *testing.T) {
			stand(t, standingOptions{noProfile: true, personality: personality, ethernet: true}, func(s *standing) {
				var last status.Snapshot
				for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
					if last = s.status(); last.SIM != nil && last.SIM.State != string(modem.SIMNoProfile) {
						t.Fatalf("after %v: %+v, %s; %s", time.Since(begin), last.SIM, last.Reason, last.Advice)
					}
				}
				if last.SIM == nil {
					t.Errorf("nobody is told: %s", last.Reason)
				}
			})
		})
	}
}
