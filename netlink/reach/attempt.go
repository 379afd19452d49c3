package reach

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"dynamod/netlink/uplink"
)

// attempt takes a target's steps until one fails.
func (cfg Config) attempt(ctx context.Context, t target) Attempt {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	begin := time.Now()
	a := Attempt{Target: t.text, asksNames: t.asksNames()}
	err := cfg.ask(ctx, t, &a)
	a.Took = time.Since(begin)
	a.Wire = a.cost(t)
	switch {
	case err == nil && a.Reason == "":
		a.State, a.Cause = OK, ""
		return a
	case err != nil && a.Reason == "":
		_, isDNS := errors.AsType[*net.DNSError](err)
		a.noNames = t.asksNames() && a.Stage == StageDNS &&
			(ctx.Err() != nil || isDNS || errors.Is(err, uplink.ErrNoDNS))
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s", cfg.Timeout)
		}
		a.Reason = string(a.Stage) + ": " + err.Error()
	}
	if a.Cause == "" {
		a.Cause = NoLink
		if answered(err) {
			a.Cause = WalledGarden
		}
	}
	a.Steps[len(a.Steps)-1].Failed = strings.TrimPrefix(a.Reason, string(a.Stage)+": ")
	return a
}

// answered reports whether an error is somebody's answer. A name server that knows no such name was reached, and so was
// who refuses or resets a connection.
func answered(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// step begins a stage and returns what ends it.
func (a *Attempt) step(s Stage) (done func(detail string)) {
	a.Stage = s
	a.Steps = append(a.Steps, Step{Stage: s})
	i, begin := len(a.Steps)-1, time.Now()
	return func(detail string) { a.Steps[i].Took, a.Steps[i].Detail = time.Since(begin), detail }
}

// ask fills in what became of it.
func (cfg Config) ask(ctx context.Context, t target, a *Attempt) error {
	addr, err := cfg.lookUp(ctx, t, a)
	if err != nil || t.kind == StageDNS {
		return err
	}
	done := a.step(StageTCP)
	begin := time.Now()
	conn, err := cfg.Dialer.DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), t.port))
	done(net.JoinHostPort(addr.String(), t.port))
	if err != nil {
		if local(addr) && t.asksNames() {
			a.Cause = WalledGarden
			a.Reason = fmt.Sprintf("tcp: %v; the name server's answer %s is an address of the operator's own", err, addr)
		}
		return err
	}
	defer conn.Close()
	a.RTT = time.Since(begin)
	if t.kind == StageTCP {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	done = a.step(StageHTTP)
	status, err := a.get(conn, t.url)
	done(status)
	return err
}

// lookUp is the first step. An address stands for itself.
func (cfg Config) lookUp(ctx context.Context, t target, a *Attempt) (netip.Addr, error) {
	done := a.step(StageDNS)
	var addrs []netip.Addr
	var err error
	if t.server.IsValid() {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return cfg.Dialer.DialContext(ctx, network, netip.AddrPortFrom(t.server, 53).String())
		}}
		addrs, err = r.LookupNetIP(ctx, "ip", strings.TrimSuffix(t.host, ".")+".")
	} else {
		addrs, err = cfg.Dialer.LookupNetIP(ctx, "ip", t.host)
	}
	if t.mustFail() {
		if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
			done("no such name, as it should be")
			return netip.Addr{}, nil
		}
		if err == nil {
			done(fmt.Sprint(addrs))
			a.State, a.Cause, a.Reason = Limited, Portal, "dns: the name servers have an address for a name that cannot exist: a portal's"
			return netip.Addr{}, nil
		}
	}
	if err == nil && len(addrs) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		done("")
		return netip.Addr{}, err
	}
	done(addrs[0].Unmap().String())
	return addrs[0], nil
}

// shared is the space of addresses between operators and their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// local reports whether an address is none of the internet's.
func local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

// get asks for the page, judges the answer and returns its status.
func (a *Attempt) get(conn net.Conn, u *url.URL) (status string, err error) {
	n, err := io.WriteString(conn, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUser-Agent: dynamod\r\nConnection: close\r\n\r\n")
	a.Bytes += n
	if err != nil {
		return "", err
	}
	in := &counter{r: io.LimitReader(conn, maxReceived)}
	resp, err := http.ReadResponse(bufio.NewReaderSize(in, 256), &http.Request{Method: http.MethodGet})
	defer func() { a.Bytes += in.n }()
	if err != nil {
		if in.n >= maxReceived {
			// Longer headers than any empty page has: somebody else's page.
			a.State, a.Cause, a.Reason = Limited, Portal, "http: an answer of more than 1 kB instead of an empty one"
			return "", nil
		}
		if in.n > 0 {
			a.Cause = WalledGarden // somebody answers, in whatever protocol
		}
		return "", err
	}
	defer resp.Body.Close()
	a.judge(resp)
	return fmt.Sprintf("status %d", resp.StatusCode), nil
}

// judge tells the target's answer from anybody else's.
func (a *Attempt) judge(resp *http.Response) {
	if resp.StatusCode == http.StatusNoContent {
		return
	}
	a.State, a.Cause = Limited, Portal
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
