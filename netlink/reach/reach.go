// Package reach finds out whether the internet is behind a link: it looks a name up, connects and asks for a page that is
// known to be empty (HTTP 204), all over that link alone. Whatever else answers is a captive portal or a walled garden,
// where the account has no data yet. A check costs less than 2 kB on the wire, whatever answers or does not: many lines
// pay for each byte. (Only a portal that sends a long page, behind a target that was not there, can make that 2.5 kB.)
package reach

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// State is what a link is good for.
type State uint8

const (
	None    State = iota // nothing answers as it should
	Limited              // a portal answers, or addresses can be reached and names cannot be looked up
	OK                   // the target answered as it should
)

func (s State) String() string {
	switch s {
	case Limited:
		return "limited"
	case OK:
		return "ok"
	}
	return "none"
}

// Cause says what stands between the link and the internet.
type Cause string

const (
	Portal       Cause = "portal"        // somebody else answers the request: a log-in, or an account without data
	WalledGarden Cause = "walled-garden" // the network answers, and refuses: unknown names, refused connections, addresses of its own
	NameServers  Cause = "name-servers"  // addresses can be reached, the link's name servers do not answer
	NoLink       Cause = "no-link"       // nothing answers
)

// Stage is one of the three steps.
type Stage string

const (
	StageDNS  Stage = "dns"
	StageTCP  Stage = "tcp"
	StageHTTP Stage = "http"
)

// stages in the order in which they are taken.
var stages = []Stage{StageDNS, StageTCP, StageHTTP}

// Dialer opens connections over the link. uplink.Dialer is one; with RecvBuffer a portal's long page stays with the portal.
type Dialer interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// DefaultTargets are of four parties that do not depend on each other. The first three answer 204 with nothing behind it,
// to everybody, without TLS; the last two are asked when these failed, and tell dead name servers from a dead link.
var DefaultTargets = []string{
	"http://connectivitycheck.gstatic.com/generate_204",
	"http://cp.cloudflare.com/generate_204",
	"http://connectivity-check.ubuntu.com/",
	"tcp:9.9.9.9:443",
	"tcp:[2620:fe::fe]:443",
}

// Config says what to ask. Dialer is needed, the rest has sane defaults.
type Config struct {
	Dialer  Dialer
	Targets []string      // see Check; tried in order until one is OK; DefaultTargets if empty
	Timeout time.Duration // for each target; 10 s if 0. All together have three times as long
	// First says with which page to begin, counted round: whoever adds 1 after a Result with Left hears all of them in
	// the course of some checks.
	First int
}

// Step is one stage of an attempt.
type Step struct {
	Stage  Stage
	Took   time.Duration
	Detail string // what it gave: an address, a status
	Failed string // why it failed, in words; empty if it did not
}

// Attempt is what became of one target.
type Attempt struct {
	Target string
	State  State
	Cause  Cause         // empty if it is OK
	Stage  Stage         // the stage that failed; the last one if none did
	Reason string        // why it is not OK, in words; empty if it is
	RTT    time.Duration // how long the TCP handshake took; 0 if it did not succeed
	Took   time.Duration
	Bytes  int // what was sent and received over TCP, without headers of packets
	Wire   int // an estimate of what it cost, with all headers and what the name servers were asked
	Steps  []Step

	asksNames, noNames bool // it needs the link's name servers, and they did not serve
}

// Result is the best attempt, with all of them.
type Result struct {
	Attempt
	Attempts []Attempt
	Left     bool // targets were not asked, for what that would have cost
}

// Bounds of a probe.
const (
	MaxTargets     = 8
	defaultTimeout = 10 * time.Second
	wholeFactor    = 3
	maxReceived    = 1024 // bytes of an answer; a 204 needs a half of that
	maxSent        = 512

	// MaxWire is what a Probe costs at most, in bytes with all headers. A further target is asked when there is room for
	// what one of its kind costs that answers as it should.
	MaxWire = 2000
	// RecvBuffer is for the Dialer: the least that kernels have, longer than any 204.
	RecvBuffer = 1024
)

// Probe asks the targets in turn until one is OK. A link that is not OK is a Result, not an error; errors are a bad
// Config and ctx's, which ends a Probe at once.
func Probe(ctx context.Context, cfg Config) (Result, error) {
	names := cfg.Targets
	if len(names) == 0 {
		names = DefaultTargets
	}
	if len(names) > MaxTargets {
		return Result{}, fmt.Errorf("%d reach targets, at most %d", len(names), MaxTargets)
	}
	var targets []target
	for _, n := range names {
		t, err := parse(n)
		if err != nil {
			return Result{}, err
		}
		targets = append(targets, t)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	whole, done := context.WithTimeout(ctx, wholeFactor*cfg.Timeout)
	defer done()
	rotate(targets, cfg.First)
	var r Result
	spent := 0
	end := time.Now().Add(wholeFactor * cfg.Timeout)
	silent := false // the link's name servers do not answer
	portal := false // somebody has answered in the place of a page: now only a page counts
	for _, t := range targets {
		if silent && t.asksNames() || portal && t.kind != StageHTTP || !time.Now().Before(end) {
			continue
		}
		if len(r.Attempts) > 0 && spent+t.usual() > MaxWire {
			r.Left = true
			continue
		}
		a := cfg.attempt(whole, t)
		if err := ctx.Err(); err != nil {
			return Result{}, fmt.Errorf("reach check: %w", err)
		}
		r.Attempts = append(r.Attempts, a)
		spent += a.Wire
		if a.State == OK {
			break
		}
		silent = silent || a.noNames && a.Cause == NoLink
		portal = portal || a.State == Limited && t.kind == StageHTTP
	}
	r.judge()
	return r, nil
}

// judge picks the attempt that says most about the link.
func (r *Result) judge() {
	r.Attempt = slices.MaxFunc(r.Attempts, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(weight(a), weight(b)), cmp.Compare(len(a.Steps), len(b.Steps)))
	})
	// An address that answers where no name could be looked up: traffic crosses, but hardly anybody is served.
	others := r.Attempts[:len(r.Attempts)-1]
	if i := slices.IndexFunc(others, func(a Attempt) bool { return a.noNames }); r.State == OK && i >= 0 &&
		!slices.ContainsFunc(others, func(a Attempt) bool { return a.asksNames && !a.noNames }) && !r.asksNames {
		r.State, r.Cause, r.Stage = Limited, NameServers, StageDNS
		r.Reason = r.Attempts[i].Reason + ", but " + r.Target + " answers: the link works, its name servers do not"
	}
}

// weight puts who was answered, if not as wanted, before who was not.
func weight(a Attempt) int {
	if a.Cause == NoLink {
		return 0
	}
	return 1
}
