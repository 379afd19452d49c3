package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// ErrNoDaemon means that no daemon answers on the socket.
var ErrNoDaemon = errors.New("no daemon answers")

// silence is the longest time in which a stream tells nothing: more than two of the
// comments that keep it alive. What waits for nothing is answered sooner.
const (
	silence    = 70 * time.Second
	answerTime = 30 * time.Second
)

// errSilent means a daemon that hangs or is stopped: the kernel still takes requests
// for its socket then.
var errSilent = &activation.Fault{
	Code: "daemon-silent", Text: "the daemon has taken the request and says nothing", Retry: euicc.RetryLater,
	Advice: "see whether its process hangs or is stopped, and start it again: the link stays up meanwhile",
}

// limited ends a request with errSilent when the timer fires and alive, if there is one,
// has no answer either.
func limited(ctx context.Context, d time.Duration, alive func(context.Context) error) (_ context.Context, t *time.Timer, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	t = time.NewTimer(d)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if alive == nil || alive(ctx) != nil {
				cancel(errSilent)
				return
			}
			t.Reset(d)
		}
	}()
	return ctx, t, func() {
		t.Stop()
		cancel(nil)
		<-ended
	}
}

// Client is a client of the API.
type Client struct {
	http *http.Client
}

// Dial returns a client of the daemon behind a unix socket.
func Dial(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, "unix", path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
				return nil, fmt.Errorf("%w on %s", ErrNoDaemon, path)
			}
			return c, err
		},
	}}}
}

// InProcess returns a client of a server in this process, for --direct, and the
// listener that the server has to serve.
func InProcess() (*Client, net.Listener) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	return &Client{&http.Client{Transport: &http.Transport{DialContext: l.dial}}}, l
}

// pipeListener hands one end of a net.Pipe to the server for each dial.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, ErrNoDaemon
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "in-process", Net: "unix"} }

// Do sends in as JSON and decodes the answer into out; both may be nil. An
// answer that is a problem is returned as an *Error.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, in, out any) error {
	var alive func(context.Context) error
	if path != "/healthz" { // which waits for nothing
		alive = func(ctx context.Context) error { return c.Do(ctx, http.MethodGet, "/healthz", nil, nil, nil) }
	}
	ctx, _, stop := limited(ctx, answerTime, alive)
	defer stop()
	resp, err := c.send(ctx, method, path, header, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return silent(ctx, err)
	}
	if err := silent(ctx, json.NewDecoder(resp.Body).Decode(out)); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// silent is err, or what a request was ended for.
func silent(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

func (c *Client) send(ctx context.Context, method, path string, header http.Header, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://dynamod"+path, body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, ErrNoDaemon) {
			return nil, errors.Unwrap(err) // without the URL, which is only ours
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, &activation.Fault{Code: "not-allowed", Text: "this user may not use the daemon's socket", Err: errors.Unwrap(err), Advice: "run it as root, or as a member of the group that [hook] group names", Retry: euicc.RetryNever}
		}
		return nil, silent(ctx, err)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return nil, &Error{&status.Problem{Code: p.Code, Text: p.Detail, Advice: p.Advice, Retry: p.Retry, Stage: p.Stage, Cause: p.Cause}, resp.StatusCode, p.Outcome}
}

// Error is a problem that the daemon answered with; errors.As finds the
// *status.Problem in it.
type Error struct {
	*status.Problem
	Status int // of HTTP: below 500 the request was turned down, from there on it failed
	// Outcome is that of a switch of profiles which the request waited for.
	Outcome status.Outcome
}

// Unwrap returns the problem.
func (e *Error) Unwrap() error { return e.Problem }

// Events calls f for each event until f returns false, ctx ends or the daemon
// goes. The first event is the present status.
func (c *Client) Events(ctx context.Context, f func(kind string, data []byte) bool) error {
	return c.EventsFrom(ctx, 0, func(_ uint64, kind string, data []byte) bool { return f(kind, data) })
}

// EventsFrom is Events for who has seen the event with the ID after: those that
// followed it and are still kept come first. With 0 it is the present status, under
// the ID of the event before it, 0 if there was none.
func (c *Client) EventsFrom(ctx context.Context, after uint64, f func(id uint64, kind string, data []byte) bool) error {
	return c.stream(ctx, "/v1/events", after, f)
}

// Trace calls f for each line between the daemon and the modem until f returns
// false, ctx ends or the daemon goes.
func (c *Client) Trace(ctx context.Context, f func(TraceLine) bool) error {
	return c.stream(ctx, "/v1/modem/trace", 0, func(_ uint64, kind string, data []byte) bool {
		var l TraceLine
		return kind != "at" || json.Unmarshal(data, &l) != nil || f(l)
	})
}

// stream calls f for each Server-Sent Event.
func (c *Client) stream(ctx context.Context, path string, after uint64, f func(id uint64, kind string, data []byte) bool) error {
	header := http.Header{}
	if after > 0 {
		header.Set("Last-Event-ID", strconv.FormatUint(after, 10))
	}
	ctx, timer, stop := limited(ctx, silence, nil)
	defer stop()
	resp, err := c.send(ctx, http.MethodGet, path, header, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var (
		id   uint64
		kind string
	)
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		timer.Stop() // f may take its time
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "id":
			id, _ = strconv.ParseUint(value, 10, 64) // ours are numbers
		case "event":
			kind = value
		case "data":
			if !f(id, kind, []byte(value)) {
				return nil
			}
		}
		timer.Reset(silence)
	}
	if err := silent(ctx, lines.Err()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return io.ErrUnexpectedEOF
}
