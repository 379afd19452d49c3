package lpa

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/euicc"
)

// The AT line of the slow world: 115200 baud with eight data bits, and what modem
// and card need for each command.
const (
	slowBaud    = 115200
	slowCommand = 15 * time.Millisecond
)

// exchange is what goes over the AT line: commands, and bytes both ways.
type exchange struct{ commands, bytes int }

// time is what an exchange takes at the slow line.
func (e exchange) time() time.Duration {
	return time.Duration(e.commands)*slowCommand + time.Duration(e.bytes)*10*time.Second/slowBaud
}

// slowModel is what a download cannot do without. The figures are written down
// and not taken from the run, so that waste cannot raise the bound. Signatures
// differ by a few bytes from run to run.
type slowModel struct {
	alone, chall exchange // the card up to the package and after it, and of that GetEUICCChallenge
	load         exchange // the card with the package
	traffic      int64    // bytes on the network up to the request for the package
	asked        int64    // bytes of that request
	answered     int64    // and of its answer
}

// slowModels are by profile. Commands alone and loading make up the APDUs
// of docs/bench.md, opening to closing: 79 and 273.
var slowModels = map[string]slowModel{
	"TS48V2-SAIP2-1-BERTLV-UNIQUE": {exchange{23, 7659}, exchange{2, 151}, exchange{56, 28928}, 9160, 538, 17502},
	"60kB":                         {exchange{23, 7659}, exchange{2, 151}, exchange{250, 137994}, 9160, 538, 83596},
}

// slowly downloads and measures. naive is what a client does that opens a connection
// for each request, takes small blocks and one thing after the other.
func (l *lab) slowly(code euicc.ActivationCode, n *slowNet, sequential, naive bool) time.Duration {
	l.Helper()
	var c *Card
	m := &meter{Transport: l.card, slow: func(_ string, line int) { time.Sleep(exchange{1, line}.time()) }}
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
	if _, err := o.Download(ctx, "", nil); err != nil {
		l.Fatal(err)
	}
	if err := c.Close(); err != nil {
		l.Fatal(err)
	}
	return time.Since(start)
}

// In a slow world the time of a download is what card and network cannot do
// without: they alternate up to the package, and overlap while it is loaded.
func TestSlowWorld(t *testing.T) {
	for _, name := range []string{"TS48V2-SAIP2-1-BERTLV-UNIQUE", "60kB"} {
		order, need := measuredOrder(t, name), slowModels[name]
		for _, net := range []struct {
			name string
			rtt  time.Duration
			rate int
		}{
			{"400 ms, 60 kbit/s", 400 * time.Millisecond, 60_000},
			{"60 ms, 5 Mbit/s", 60 * time.Millisecond, 5_000_000},
		} {
			t.Run(name+", "+net.name, func(t *testing.T) {
				download := func(sequential, naive bool) (d time.Duration) {
					l := newLab(t)
					code := l.order(order)
					synctest.Test(t, func(t *testing.T) {
						n, stop := serveSlow(l.server.Handler(), l.server.TLSConfig(), net.rtt, net.rate)
						defer stop()
						d = l.slowly(code, n, sequential, naive)
					})
					return d
				}
				fast, inTurn, naive := download(false, false), download(true, false), download(false, true)

				// Up to the package card and network alternate: TCP, TLS and two
				// requests take a round trip each, and only the challenge is made
				// meanwhile. The third request takes another one.
				wire := func(bytes int64) time.Duration {
					return time.Duration(bytes) * 8 * time.Second / time.Duration(net.rate)
				}
				apart := need.alone.time() - need.chall.time() + 4*net.rtt + wire(need.traffic) + net.rtt + wire(need.asked)
				bound := apart + max(need.load.time(), wire(need.answered))
				sum := apart + need.load.time() + wire(need.answered)
				ratio := func(a, b time.Duration) float64 { return float64(a) / float64(b) }
				t.Logf("%.2f s, %.3f of the least possible %.2f s; one after the other %.2f s, %.3f of the sum %.2f s; a naive client %.2f s, %.1f times as long",
					fast.Seconds(), ratio(fast, bound), bound.Seconds(), inTurn.Seconds(), ratio(inTurn, sum), sum.Seconds(),
					naive.Seconds(), ratio(naive, fast))
				if r := ratio(fast, bound); r < 0.995 || r > 1.10 {
					t.Errorf("%v is %.3f of the bound %v", fast, r, bound)
				}
				if r := ratio(inTurn, sum); r < 0.995 || r > 1.05 || fast > inTurn {
					t.Errorf("one after the other %v is %.3f of the sum %v", inTurn, r, sum)
				}
			})
		}
	}
}
