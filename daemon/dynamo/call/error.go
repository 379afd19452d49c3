package call

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The codes of Error; stable, for programs.
const (
	CodeNoAPI        = "no-api"       // nobody is named who could be asked
	CodeBadRequest   = "bad-request"  // 400, and what cannot be asked
	CodeUnauthorized = "unauthorized" // 401, 403
	CodeUnknown      = "unknown"      // 404: a SIM, a number
	CodeRepeated     = "repeated"     // 409
	CodeTooMany      = "too-many"     // 429
	CodeServer       = "server"       // 5xx, and any other status
	CodeUnreachable  = "unreachable"
	CodeMalformed    = "malformed"
	CodeBusy         = "busy" // the modem, where it is asked by a code
)

// Error is why a call came to nothing. Neither field nor text has an ICCID, a
// credential or the server's own words.
type Error struct {
	Op     string // "balances"
	Code   string
	Status int // HTTP; 0 where there was no answer
	// RetryAfter is how long nobody may ask again; 0 where the server said nothing
	// and did not have to.
	RetryAfter time.Duration
	Text       string
	Err        error
}

func (e *Error) Error() string {
	s := e.Op + ": " + e.Text
	if e.Status != 0 {
		s += " (HTTP " + strconv.Itoa(e.Status) + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string {
	switch e.Code {
	case CodeNoAPI:
		return "add moApi to the operator's record, docs/operators.md"
	case CodeUnauthorized:
		return "compare token, user, password and certificate with what was given out"
	case CodeUnknown:
		return "compare iccidRanges of the operator's record with its cards"
	case CodeTooMany, CodeBusy:
		return "wait"
	case CodeUnreachable, CodeServer:
		return "try again later"
	case CodeRepeated:
		return "an order may have been carried out before: look before it is repeated"
	}
	return "tell whoever runs it"
}

// maxRetryAfter bounds what a server may ask for; tooMany is where it asks for
// nothing although it has to (429).
const (
	maxRetryAfter = 24 * time.Hour
	tooMany       = time.Minute
)

// statuses are the published ones. The test plans want 401 for a missing client
// certificate where the text has 403: both are taken.
var statuses = map[int]struct{ code, text string }{
	http.StatusBadRequest:      {CodeBadRequest, "refuses a parameter"},
	http.StatusUnauthorized:    {CodeUnauthorized, "refuses the credentials"},
	http.StatusForbidden:       {CodeUnauthorized, "does not allow it, or refuses the client certificate"},
	http.StatusNotFound:        {CodeUnknown, "does not know it"},
	http.StatusConflict:        {CodeRepeated, "has seen this transaction before"},
	http.StatusTooManyRequests: {CodeTooMany, "was asked too often"},
}

func (c *Caller) statusError(op string, resp *http.Response) *Error {
	e := &Error{Op: op, Status: resp.StatusCode, Code: CodeServer, Text: c.who + " failed"}
	if s, ok := statuses[resp.StatusCode]; ok {
		e.Code, e.Text = s.code, c.who+" "+s.text
	}
	e.RetryAfter = RetryAfter(resp.Header.Get("Retry-After"), c.now())
	if e.Code == CodeTooMany && e.RetryAfter == 0 {
		e.RetryAfter = tooMany
	}
	return e
}

// RetryAfter reads the header of that name (RFC 9110, 10.2.3): seconds or a date.
// What cannot be read is 0.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
