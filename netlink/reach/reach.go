// Package reach finds out whether the internet is behind a link: it looks a name up, connects and asks for a page that is
// known to be empty (HTTP 204), all over that link alone. Whatever else answers is a captive portal or a walled garden,
// where the account has no data yet. One target costs less than 2 kB.
package reach

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// State is what a link is good for.
type State uint8

const (
	None    State = iota // nothing answers
	Limited              // something answers, but not the target: a portal, or a walled garden
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

// Stage is how far an attempt came.
type Stage string

const (
	StageDNS  Stage = "dns"
	StageTCP  Stage = "tcp"
	StageHTTP Stage = "http"
)

// Dialer opens connections over the link. uplink.Dialer is one; with a RecvBuffer of 4096 a portal's long page stays with
// the portal.
type Dialer interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// DefaultTargets answer 204 with nothing behind it, to everybody, without TLS.
var DefaultTargets = []string{
	"http://connectivitycheck.gstatic.com/generate_204",
	"http://cp.cloudflare.com/generate_204",
}

// Config says what to ask. Dialer is needed, the rest has sane defaults.
type Config struct {
	Dialer  Dialer
	Targets []string      // http URLs, tried in order until one is OK; DefaultTargets if empty
	Timeout time.Duration // for each target; 10 s if 0
}

// Attempt is what became of one target.
type Attempt struct {
	Target string
	State  State
	Stage  Stage         // the stage that failed; StageHTTP if none did
	Reason string        // why it is not OK, in words; empty if it is
	RTT    time.Duration // how long the TCP handshake took; 0 if it did not succeed
	Took   time.Duration
	Bytes  int // what was sent and received over TCP, without headers of packets
}

// Result is the best attempt, with all of them.
type Result struct {
	Attempt
	Attempts []Attempt
}

// Bounds of a probe.
const (
	maxTargets  = 8
	maxReceived = 1024 // bytes of an answer; a 204 needs a fifth of that
	maxSent     = 512
)

// Check reports what is wrong with a target.
func Check(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return fmt.Errorf("reach target: %w", err)
	case u.Scheme != "http":
		return fmt.Errorf("reach target %s: only http: a portal cannot answer for https, and the handshake costs 4 kB", target)
	case u.Hostname() == "", u.User != nil, len(target) > maxSent/2:
		return fmt.Errorf("reach target %s: not of the form http://host/path", target)
	}
	return nil
}

// Probe asks the targets in turn until one is OK. A link that is not OK is a Result, not an error; errors are a bad
// Config and ctx's, which ends a Probe at once.
func Probe(ctx context.Context, cfg Config) (Result, error) {
	targets := cfg.Targets
	if len(targets) == 0 {
		targets = DefaultTargets
	}
	if len(targets) > maxTargets {
		return Result{}, fmt.Errorf("%d reach targets, at most %d", len(targets), maxTargets)
	}
	for _, t := range targets {
		if err := Check(t); err != nil {
			return Result{}, err
		}
	}
	var r Result
	for _, t := range targets {
		a := cfg.attempt(ctx, t)
		if err := ctx.Err(); err != nil {
			return Result{}, fmt.Errorf("reach check: %w", err)
		}
		r.Attempts = append(r.Attempts, a)
		if a.State == OK {
			break
		}
	}
	r.Attempt = slices.MaxFunc(r.Attempts, func(a, b Attempt) int { return cmp.Compare(a.State, b.State) })
	return r, nil
}

func (cfg Config) attempt(ctx context.Context, target string) Attempt {
	timeout := cfg.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begin := time.Now()
	a := Attempt{Target: target}
	err := cfg.ask(ctx, &a)
	a.Took = time.Since(begin)
	if err != nil && a.Reason == "" {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s", timeout)
		}
		a.Reason = string(a.Stage) + ": " + err.Error()
	}
	return a
}

// ask fills in what became of it.
func (cfg Config) ask(ctx context.Context, a *Attempt) error {
	u, err := url.Parse(a.Target)
	if err != nil {
		return err
	}
	a.Stage = StageDNS
	addrs, err := cfg.Dialer.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		return errors.New("no address")
	}
	a.Stage = StageTCP
	port := u.Port()
	if port == "" {
		port = "80"
	}
	begin := time.Now()
	conn, err := cfg.Dialer.DialContext(ctx, "tcp", net.JoinHostPort(addrs[0].String(), port))
	if err != nil {
		return err
	}
	defer conn.Close()
	a.RTT = time.Since(begin)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	a.Stage = StageHTTP
	n, err := io.WriteString(conn, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUser-Agent: dynamod\r\nConnection: close\r\n\r\n")
	a.Bytes += n
	if err != nil {
		return err
	}
	in := &counter{r: io.LimitReader(conn, maxReceived)}
	resp, err := http.ReadResponse(bufio.NewReaderSize(in, 256), &http.Request{Method: http.MethodGet})
	defer func() { a.Bytes += in.n }()
	if err != nil {
		if in.n >= maxReceived {
			// Longer headers than any empty page has: somebody else's page.
			a.State, a.Reason = Limited, "http: an answer of more than 1 kB instead of an empty one"
			return nil
		}
		return err
	}
	defer resp.Body.Close()
	a.judge(resp)
	return nil
}

// judge tells the target's answer from anybody else's.
func (a *Attempt) judge(resp *http.Response) {
	if resp.StatusCode == http.StatusNoContent {
		a.State = OK
		return
	}
	a.State = Limited
	status := fmt.Sprintf("http: status %d instead of 204", resp.StatusCode)
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		a.Reason = status + ", sent on to a captive portal" + portal(resp.Header.Get("Location"))
	case resp.StatusCode == http.StatusNetworkAuthenticationRequired: // RFC 6585 section 6
		a.Reason = status + ", a captive portal wants a log-in"
	case resp.StatusCode == http.StatusOK:
		a.Reason = status + ", a captive portal answers for the target"
	default:
		a.Reason = status
	}
}

// portal names the host of a redirect. The rest of the address may hold a session or the subscriber's number.
func portal(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || len(u.Host) > 64 || strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return " at " + u.Host
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}
