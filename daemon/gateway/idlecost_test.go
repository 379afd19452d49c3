package gateway

import (
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/config"
	"dynamod/daemon/status"
)

// work is what the daemon has done so far to others than itself.
type work struct {
	lines  int64 // AT command lines
	card   int64 // APDUs that the card got from us
	kernel int   // requests
	probes int   // reach checks
	opened int   // the modem's port
}

func (s *standing) work() (w work) {
	st := s.sim.Stats()
	w.lines, w.card = st.Lines, st.APDUs
	c := s.kernel.Counts()
	w.kernel = c.Snapshots + c.Changes
	s.ether.set(func() { w.probes, w.opened = s.ether.probes, s.ether.openings })
	return w
}

// TestIdleCost counts, with the link up and nothing going on, all that the daemon
// asks of modem, card, kernel and network in an hour, second by second: it does
// so all at once every [reach] interval, and at no other time. Without the
// modem's URCs it is the same; what the modem does not announce is noticed at the
// next look.
func TestIdleCost(t *testing.T) {
	for _, tt := range []struct {
		name     string
		interval time.Duration
		silent   bool // the modem announces no context's end
		looks    int  // in an hour
	}{
		{"as configured by default", 5 * time.Minute, false, 12},
		{"every 30 s", 30 * time.Second, false, 120},
		{"only after changes", 0, false, 1},
		{"without URCs", 5 * time.Minute, true, 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := standingOptions{config: func(c *config.Config) { c.Reach.Interval = tt.interval }}
			if tt.silent {
				o.before = func(s *standing) { s.fault("cme", atsim.Fault{Command: "+CGEREP"}) }
			}
			stand(t, o, func(s *standing) {
				s.await(status.Up, time.Minute)
				time.Sleep(10 * time.Minute)
				begun := s.work()
				last, was := time.Time{}, begun
				looks := 0
				for range 3600 {
					time.Sleep(time.Second)
					now := s.work()
					if now == was {
						continue
					}
					was = now
					// What is seen a second after a look began belongs to it.
					if pause := time.Since(last); pause > time.Second {
						if looks++; pause < 29*time.Second { // it is looked at every second, before or after
							t.Errorf("asked again after %v", pause)
						}
						last = time.Now()
					}
				}
				lines, kernel := was.lines-begun.lines, was.kernel-begun.kernel
				t.Logf("in an hour %d looks: %d AT lines, %d APDUs, %d requests to the kernel, %d reach checks, %d openings of the port",
					looks, lines, was.card-begun.card, kernel, was.probes-begun.probes, was.opened-begun.opened)
				if looks > tt.looks+1 || looks < tt.looks-1 || lines > int64(13*looks) || kernel > 2*looks || was.probes-begun.probes > looks ||
					was.card > begun.card+int64(3*looks) || was.opened != begun.opened {
					t.Errorf("%d looks, %+v, then %+v", looks, begun, was)
				}
				lost := time.Now()
				s.loseContext()
				for s.status().Link == nil || s.status().Link.Since.Before(lost) {
					if time.Since(lost) > time.Hour {
						t.Fatal("the link does not come back")
					}
					time.Sleep(time.Second)
				}
				if limit := 5 * time.Second; time.Since(lost) > limit && (!tt.silent || time.Since(lost) > tt.interval+limit) {
					t.Errorf("the end of the context was noticed after %v", time.Since(lost))
				}
			})
		})
	}
}

// TestCostWithoutCard: a card that cannot be opened is asked ever less often.
func TestCostWithoutCard(t *testing.T) {
	stand(t, standingOptions{before: func(s *standing) {
		s.fault("cme", atsim.Fault{Command: "+CCHO"})
		s.fault("sw", atsim.Fault{Code: 0x6F00})
	}}, func(s *standing) {
		time.Sleep(2 * time.Hour)
		begun := s.sim.Stats()
		time.Sleep(8 * time.Hour)
		opened := s.sim.Stats().ByName["+CCHO"] - begun.ByName["+CCHO"]
		t.Logf("in eight hours %d +CCHO", opened)
		if opened == 0 || opened > 8*20 {
			t.Errorf("in eight hours %d +CCHO", opened)
		}
	})
}
