package es9p

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"dynamod/euicc"
)

// Limits and times that hold unless Config says otherwise.
const (
	// DefaultProtocol is the version in X-Admin-Protocol: the one that the most
	// servers have been seen to accept. 6.5.1.1 asks for the highest one that
	// the sender supports, and nothing on the wire differs up to v2.5.
	DefaultProtocol = "2.2.2"

	DefaultTimeout = 90 * time.Second
	// DefaultTotal is for the slowest line on which a download makes sense: 60 kB
	// at 1 kbit/s with room to spare.
	DefaultTotal = 20 * time.Minute
	// DefaultMaxBody bounds a response. Profile packages have 10 to 60 kB, a
	// few some 100 kB, and base64 adds a third.
	DefaultMaxBody = 4 << 20

	dialTimeout      = 20 * time.Second
	handshakeTimeout = 30 * time.Second
	maxHeader        = 32 << 10
	// A server may keep the connection over the minutes that a card
	// takes for a package, so that the report needs no second handshake.
	idleTimeout = 5 * time.Minute
)

// Config says how to reach servers and whom to trust.
type Config struct {
	// Roots are the certificate issuers that a server's chain has to end in.
	// They are required; see package ci.
	Roots *x509.CertPool
	// Resolve replaces name resolution: host, or host:port, to ip or ip:port.
	// The certificate is still checked against the host's name.
	Resolve map[string]string
	// Dial opens a TCP connection, for example bound to an interface. Nil means
	// a plain net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds one function, from name resolution to the last byte, and
	// of one whose answer is streamed each wait for the network. 0 means
	// DefaultTimeout.
	Timeout time.Duration
	// Total bounds the waits of a function whose answer is streamed, taken
	// together. The time that the card takes meanwhile is not counted. 0 means
	// DefaultTotal.
	Total time.Duration
	// MaxBody bounds a response's body. 0 means DefaultMaxBody.
	MaxBody int64
	// Protocol is the version of SGP.22 that is announced. "" means
	// DefaultProtocol.
	Protocol string
	// Now is the clock that certificates are checked with. Nil means time.Now.
	Now func() time.Time
	// Floor is a date that the clock is never before when it is right, such as the
	// program's own build. An earlier clock is a *ClockError before anything is
	// sent, and no certificate is blamed for it. Zero checks nothing.
	Floor time.Time
	// Log gets one line per request. Nil discards.
	Log *slog.Logger
}

// Client posts to servers. It keeps one connection to each alive between
// requests. It may be used by several goroutines.
type Client struct {
	http     *http.Client
	tr       *http.Transport
	dialer   *dialer
	now      func() time.Time
	log      *slog.Logger
	timeout  time.Duration
	total    time.Duration
	maxBody  int64
	protocol string

	requests, handshakes atomic.Int64
	sent, received       atomic.Int64
}

// Stats count what a Client did.
type Stats struct {
	Requests, Handshakes int
	Sent, Received       int64 // bytes on the wire, TLS included
}

// NewClient returns a client. The only error is a Config without Roots: a
// server is never trusted unchecked.
func NewClient(c Config) (*Client, error) {
	if c.Roots == nil {
		return nil, errors.New("no certificate issuers are configured to check servers with")
	}
	cl := &Client{now: c.Now, log: c.Log, timeout: c.Timeout, maxBody: c.MaxBody, protocol: c.Protocol}
	if cl.now == nil {
		cl.now = time.Now
	}
	if cl.log == nil {
		cl.log = slog.New(slog.DiscardHandler)
	}
	if cl.timeout <= 0 {
		cl.timeout = DefaultTimeout
	}
	if cl.total = c.Total; cl.total <= 0 {
		cl.total = DefaultTotal
	}
	if cl.maxBody <= 0 {
		cl.maxBody = DefaultMaxBody
	}
	if cl.protocol == "" {
		cl.protocol = DefaultProtocol
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	resolve := make(map[string]string, len(c.Resolve))
	for host, address := range c.Resolve {
		resolve[strings.ToLower(host)] = address
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // a download is four requests; HTTP/2 adds only code
	cl.dialer = &dialer{
		dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, redirect(resolve, address))
			if err != nil {
				return nil, err
			}
			return &countingConn{conn, cl}, nil
		},
		tls:    &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12, Time: cl.now},
		shaken: func() { cl.handshakes.Add(1) },
		clock: func() error {
			if now := cl.now(); now.Before(c.Floor) {
				return &ClockError{Now: now, Floor: c.Floor}
			}
			return nil
		},
		ahead: map[string]*aheadConn{},
		live:  map[string]int{},
	}
	cl.tr = &http.Transport{
		DialTLSContext:         cl.dialer.DialTLS,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              &protocols,
	}
	cl.http = &http.Client{Transport: cl.tr, CheckRedirect: checkRedirect}
	return cl, nil
}

// redirect applies Config.Resolve to host:port.
func redirect(resolve map[string]string, address string) string {
	address = strings.ToLower(address)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	to, ok := resolve[address]
	if !ok {
		to, ok = resolve[host]
	}
	if !ok {
		return address
	}
	if _, _, err := net.SplitHostPort(to); err != nil {
		return net.JoinHostPort(strings.Trim(to, "[]"), port)
	}
	return to
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 3 || next.Method != first.Method || next.URL.Scheme != "https" || !strings.EqualFold(next.URL.Host, first.URL.Host) {
		return ErrRedirect
	}
	return nil
}

// Stats returns what was done so far.
func (c *Client) Stats() Stats {
	return Stats{int(c.requests.Load()), int(c.handshakes.Load()), c.sent.Load(), c.received.Load()}
}

// Connect opens the connection to server ahead of the first request, which then
// takes it; a failure is that request's too. A second call for the same server
// does nothing.
func (c *Client) Connect(ctx context.Context, server string) error {
	server, err := euicc.ParseAddress(server)
	if err != nil {
		return &NetworkError{Function: "connect", Server: "server", Err: fmt.Errorf("address: %w", err)}
	}
	address := server
	if _, _, err := net.SplitHostPort(server); err != nil {
		address = net.JoinHostPort(server, "443")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.dialer.connect(ctx, address); err != nil {
		return c.diagnose("connect", server, err)
	}
	return nil
}

// Close closes the idle connections. The client stays usable.
func (c *Client) Close() {
	c.dialer.close()
	c.tr.CloseIdleConnections()
}

// countingConn counts bytes on the wire.
type countingConn struct {
	net.Conn
	c *Client
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.c.received.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.c.sent.Add(int64(n))
	return n, err
}

// post sends req as JSON to function at server and decodes the answer into
// resp. A nil resp is for functions without output data.
func (c *Client) post(ctx context.Context, server, function string, req, resp any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	log := c.logged(ctx, server, function)
	defer func() { log(err) }()
	answer, err := c.send(ctx, server, function, req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, c.maxBody+1))
	if err != nil {
		return &BodyError{Function: function, Truncated: true, Err: err}
	}
	if int64(len(data)) > c.maxBody {
		return &BodyError{Function: function, Err: c.tooLong()}
	}
	return decode(function, answer, data, resp)
}

// logged returns what writes the line of one request at its end.
func (c *Client) logged(ctx context.Context, server, function string) func(error) {
	start := time.Now()
	return func(err error) {
		c.log.LogAttrs(ctx, slog.LevelDebug, "es9+", slog.String("function", function), slog.String("server", server),
			slog.Duration("took", time.Since(start)), slog.Any("err", err))
	}
}

// repeatable are the functions that may come twice to a server. A server that
// closes a connection that has waited for a request leaves open whether it has
// seen that: these are then sent once more, over a new connection. The others end
// their session as lost.
var repeatable = map[string]bool{"initiateAuthentication": true, "handleNotification": true}

// send sends req as JSON and returns the answer as soon as its header is there.
func (c *Client) send(ctx context.Context, server, function string, req any) (*http.Response, error) {
	server, err := euicc.ParseAddress(server)
	if err != nil {
		return nil, &NetworkError{Function: function, Server: "server", Err: fmt.Errorf("address: %w", err)}
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", function, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+server+"/gsma/rsp2/es9plus/"+function, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", function, err)
	}
	r.Header.Set("User-Agent", "gsma-rsp-lpad")
	r.Header.Set("X-Admin-Protocol", "gsma/rsp/v"+c.protocol)
	r.Header.Set("Content-Type", "application/json")
	if repeatable[function] {
		// Without a value it tells net/http alone, and is not sent.
		r.Header["Idempotency-Key"] = nil
	}
	answer, hungUp, err := c.do(r)
	if err != nil && hungUp && repeatable[function] && ctx.Err() == nil {
		// net/http repeats on connections that have served a request, not on one
		// that was opened ahead.
		if r.Body, err = r.GetBody(); err == nil {
			answer, _, err = c.do(r)
		}
	}
	if err != nil {
		return nil, c.diagnose(function, server, err)
	}
	return answer, nil
}

// do sends r. hungUp tells that nothing came back on a connection that was opened
// ahead.
func (c *Client) do(r *http.Request) (answer *http.Response, hungUp bool, err error) {
	c.requests.Add(1)
	var ahead, answered atomic.Bool
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn:              func(got httptrace.GotConnInfo) { ahead.Store(!got.Reused && waited(got.Conn)) },
		GotFirstResponseByte: func() { answered.Store(true) },
	})
	answer, err = c.http.Do(r.WithContext(ctx))
	return answer, ahead.Load() && !answered.Load(), err
}

// header is what every JSON response begins or ends with (SGP.22 6.5.1.4).
type header struct {
	Header *struct {
		Status *struct {
			Status string `json:"status"`
			Data   *struct {
				Subject string `json:"subjectCode"`
				Reason  string `json:"reasonCode"`
				Message string `json:"message"`
			} `json:"statusCodeData"`
		} `json:"functionExecutionStatus"`
	} `json:"header"`
}

// errNoStatus is an answer that does not say how it went.
var errNoStatus = errors.New("the JSON text has no functionExecutionStatus")

func (h *header) there() bool { return h != nil && h.Header != nil && h.Header.Status != nil }

// refused returns the *StatusError of a function that was not executed, else nil.
func (h *header) refused(function string) error {
	// Executed-WithWarning is success too (SGP.22 5.2.6.3).
	if !h.there() || strings.HasPrefix(h.Header.Status.Status, "Executed-") {
		return nil
	}
	s := h.Header.Status
	e := &StatusError{Function: function, Status: clean(s.Status)}
	if s.Data != nil {
		e.Subject, e.Reason, e.Message = clean(s.Data.Subject), clean(s.Data.Reason), clean(s.Data.Message)
	}
	return e
}

// bom is the byte order mark that some servers put in front of the JSON text.
const bom = "\xEF\xBB\xBF"

func decode(function string, answer *http.Response, data []byte, resp any) error {
	data = bytes.TrimPrefix(data, []byte(bom))
	good := answer.StatusCode/100 == 2
	if resp == nil && good && len(bytes.TrimSpace(data)) == 0 {
		return nil // 204, as HandleNotification answers (SGP.22 6.5.1.2)
	}
	mediaType, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	var h header
	if err := json.Unmarshal(data, &h); err != nil {
		var syntax *json.SyntaxError
		looksJSON := len(data) > 0 && data[0] == '{'
		if good && looksJSON && errors.As(err, &syntax) && syntax.Offset >= int64(len(data)) {
			return &BodyError{Function: function, Truncated: true, Err: errors.New("the JSON text ends too early")}
		}
		if good && looksJSON {
			return &BodyError{Function: function, Err: err}
		}
		if good && resp == nil {
			return nil // 2xx with something else for a body: it was taken
		}
		return &HTTPError{Function: function, Status: answer.StatusCode, ContentType: clean(mediaType)}
	}
	if err := h.refused(function); err != nil {
		return err
	}
	if !good {
		return &HTTPError{Function: function, Status: answer.StatusCode, ContentType: clean(mediaType)}
	}
	if resp == nil {
		return nil
	}
	if !h.there() {
		return &BodyError{Function: function, Err: errNoStatus}
	}
	if err := json.Unmarshal(data, resp); err != nil {
		return &BodyError{Function: function, Err: err}
	}
	return nil
}

// clean makes a server's text fit for a log line.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7F || r == 0xFFFD {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return s
}
