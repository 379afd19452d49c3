// Package call makes the HTTP calls of the Mobile Plans API and of the directory
// service in front of it: each with a transaction ID of its own, bounded in time
// and size, without redirects, and with one kind of error.
package call

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// TransactionHeader names a call. No two have the same value: a repeated one is
// answered by 409.
const TransactionHeader = "X-MS-DM-TransactionId"

// Limits of a call, ours.
const (
	MaxBody = 256 << 10
	Timeout = 15 * time.Second
)

// Caller makes calls. It is safe for concurrent use.
type Caller struct {
	http      *http.Client
	who       string
	authorize func(*http.Request)
	newID     func() string
	now       func() time.Time
}

// New returns a caller of somebody, such as "the operator's API". Each request
// passes through authorize and gets an ID of newID's.
func New(who string, rt http.RoundTripper, authorize func(*http.Request), newID func() string, now func() time.Time) *Caller {
	return &Caller{
		http:      &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		who:       who,
		authorize: authorize,
		newID:     newID,
		now:       now,
	}
}

// Request is one call.
type Request struct {
	Op     string // for errors: "balances"
	Method string
	URL    string
	Query  url.Values
	Body   any // JSON; nil for none
	Header http.Header
}

// Answer is what came of it.
type Answer struct {
	Status int // 2xx, or 304 where the request had If-None-Match
	Header http.Header
	Body   []byte
}

// Do makes the call. An error is an *Error.
func (c *Caller) Do(ctx context.Context, r Request) (*Answer, error) {
	fail := func(code, text string, err error) (*Answer, error) {
		return nil, &Error{Op: r.Op, Code: code, Text: text, Err: err}
	}
	if len(r.Query) > 0 {
		r.URL += "?" + r.Query.Encode()
	}
	var body io.Reader
	if r.Body != nil {
		b, err := json.Marshal(r.Body)
		if err != nil {
			return fail(CodeBadRequest, "the request cannot be written", err)
		}
		body = bytes.NewReader(b)
	}
	ctx, done := context.WithTimeout(ctx, Timeout)
	defer done()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return fail(CodeBadRequest, "the address of "+c.who+" cannot be asked", nil) // the cause has the URL
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	id := c.newID()
	req.Header.Set(TransactionHeader, id)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.authorize(req)
	resp, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // without the URL, which has the ICCID
		}
		return fail(CodeUnreachable, c.who+" gave no answer", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	notModified := resp.StatusCode == http.StatusNotModified && req.Header.Get("If-None-Match") != ""
	switch {
	case !notModified && (resp.StatusCode < 200 || resp.StatusCode > 299):
		return nil, c.statusError(r.Op, resp)
	case err != nil:
		return fail(CodeUnreachable, "the answer of "+c.who+" broke off", err)
	case len(data) > MaxBody:
		return fail(CodeMalformed, fmt.Sprintf("the answer of %s has more than %d bytes", c.who, MaxBody), nil)
	}
	// The published answers have it in quotation marks.
	if echo := strings.Trim(resp.Header.Get(TransactionHeader), `"`); echo != "" && echo != id {
		return fail(CodeMalformed, "the answer of "+c.who+" is to another call", nil)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: data}, nil
}

// Decode makes the call and reads its answer, JSON, into out.
func (c *Caller) Decode(ctx context.Context, r Request, out any) error {
	a, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return &Error{Op: r.Op, Code: CodeMalformed, Text: "the answer of " + c.who + " cannot be decoded", Err: err}
	}
	return nil
}

// SIMPath is the place of something of a SIM's, which the published examples write
// as iccid:8988247000100003319.
func SIMPath(base, iccid, what string) string {
	return Join(base, "sims", SIMID(iccid), what)
}

// SIMID is the SIM in it.
func SIMID(iccid string) string { return "iccid:" + strings.TrimRight(iccid, "Ff") }

// Join puts segments behind a base that may end in a slash.
func Join(base string, segments ...string) string {
	base = strings.TrimSuffix(base, "/")
	for _, s := range segments {
		base += "/" + url.PathEscape(s)
	}
	return base
}
