package lpa

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/es9p"
)

// The AT line of the slow world: 115200 baud with eight data bits, and what modem
// and card need for each command.
const (
	slowBaud    = 115200
	slowCommand = 15 * time.Millisecond
)

// slowRun is a download in the slow world.
type slowRun struct {
	total    time.Duration
	alone    time.Duration // of it the card, up to the package and after it
	chall    time.Duration // of that GetEUICCChallenge
	load     time.Duration // of it the card with the package
	traffic  int64         // bytes on the network up to the request for the package
	asked    int64         // bytes of that request
	answered int64         // and of its answer
}

// slowly downloads and measures. naive is what a client does that opens a connection
// for each request, takes small blocks and one thing after the other.
func (l *lab) slowly(code euicc.ActivationCode, n *slowNet, sequential, naive bool) (r slowRun) {
	l.Helper()
	var c *Card
	m := &meter{Transport: l.card, slow: func(tag string, line int) {
		d := slowCommand + time.Duration(line)*10*time.Second/slowBaud
		time.Sleep(d)
		switch tag {
		case "BF36", "A0", "A1", "A2", "A3", "86", "87", "88":
			r.load += d
			return
		case "BF2E":
			r.chall += d
		}
		r.alone += d
	}}
	cfg := l.cfg
	cfg.Transport, cfg.HTTP.Dial, cfg.HTTP.Timeout = m, n.dial, 10*time.Minute
	cfg.Sequential = sequential || naive
	cfg.BlockSize = 255
	hangUp := func() {}
	if naive {
		cfg.BlockSize = 120
		hangUp = func() {
			synctest.Wait() // until the connection is given back
			c.client.Close()
		}
	}
	cfg.Begin = func(string, euicc.TransactionID) error { hangUp(); return nil }
	ctx := context.Background()
	start := time.Now()
	var err error
	if c, err = Open(ctx, cfg); err != nil {
		l.Fatal(err)
	}
	o, err := c.Authenticate(ctx, code)
	if err != nil {
		l.Fatal(err)
	}
	hangUp()
	var before es9p.Stats
	if _, err := o.Download(ctx, "", func(p Progress) {
		if p.Stage == euicc.StageGetBPP {
			before = c.client.Stats()
		}
	}); err != nil {
		l.Fatal(err)
	}
	after := c.client.Stats()
	if err := c.Close(); err != nil {
		l.Fatal(err)
	}
	r.total = time.Since(start)
	r.traffic, r.asked, r.answered = before.Sent+before.Received, after.Sent-before.Sent, after.Received-before.Received
	return r
}

// In a slow world the time of a download is what card and network cannot do
// without: they alternate up to the package, and overlap while it is loaded.
func TestSlowWorld(t *testing.T) {
	for _, name := range []string{"TS48V2-SAIP2-1-BERTLV-UNIQUE", "60kB"} {
		order := measuredOrder(t, name)
		for _, net := range []struct {
			name string
			rtt  time.Duration
			rate int
		}{
			{"400 ms, 60 kbit/s", 400 * time.Millisecond, 60_000},
			{"60 ms, 5 Mbit/s", 60 * time.Millisecond, 5_000_000},
		} {
			t.Run(name+", "+net.name, func(t *testing.T) {
				download := func(sequential, naive bool) (r slowRun) {
					l := newLab(t)
					code := l.order(order)
					synctest.Test(t, func(t *testing.T) {
						n, stop := serveSlow(l.server.Handler(), l.server.TLSConfig(), net.rtt, net.rate)
						defer stop()
						r = l.slowly(code, n, sequential, naive)
					})
					return r
				}
				fast, inTurn, naive := download(false, false), download(true, false), download(false, true)

				// Up to the package card and network alternate: TCP, TLS and two
				// requests take a round trip each, and only the challenge is made
				// meanwhile. The third request takes another one.
				wire := func(bytes int64) time.Duration {
					return time.Duration(bytes) * 8 * time.Second / time.Duration(net.rate)
				}
				apart := fast.alone - fast.chall + 4*net.rtt + wire(fast.traffic) + net.rtt + wire(fast.asked)
				bound := apart + max(fast.load, wire(fast.answered))
				sum := apart + fast.load + wire(fast.answered)
				ratio := func(a, b time.Duration) float64 { return float64(a) / float64(b) }
				t.Logf("%.2f s, %.3f of the least possible %.2f s; one after the other %.2f s, %.3f of the sum %.2f s; a naive client %.2f s, %.1f times as long",
					fast.total.Seconds(), ratio(fast.total, bound), bound.Seconds(), inTurn.total.Seconds(), ratio(inTurn.total, sum), sum.Seconds(),
					naive.total.Seconds(), ratio(naive.total, fast.total))
				if r := ratio(fast.total, bound); r < 1 || r > 1.10 {
					t.Errorf("%v is %.3f of the bound %v", fast.total, r, bound)
				}
				if r := ratio(inTurn.total, sum); r > 1.05 || fast.total > inTurn.total {
					t.Errorf("one after the other %v is %.3f of the sum %v", inTurn.total, r, sum)
				}
			})
		}
	}
}
