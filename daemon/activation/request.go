// Package activation turns an activation code into a data link, in journalled
// steps that a power cut may interrupt anywhere. table.go holds the states and
// the picture of how they follow each other.
package activation

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dynamod/configs/cosa"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Request asks for one activation. Every face of the daemon builds one and
// submits it to the Runner.
type Request struct {
	// Key makes a request idempotent: the same key always names the same run.
	// Empty is allowed; the code itself then tells repeats.
	Key string
	// Caller is whose key that is, "" for this box's own: two who count their keys
	// up have nothing to do with each other.
	Caller string
	// Code names the server and the order; without matching ID the server looks
	// for an order that is bound to the EID. Without an address it is empty, and
	// one of the two below says where the profile is found: nothing falls back
	// to them by itself.
	Code euicc.ActivationCode
	// Discover asks a discovery server (SM-DS) for the profile that waits for
	// this card: SMDS, or when that is "" those that are configured, or else the
	// card's own.
	Discover bool
	SMDS     string
	// DefaultSMDP asks the SM-DP+ whose address the card holds.
	DefaultSMDP      bool
	ConfirmationCode euicc.ConfirmationCode
	// Consent says that whoever asks has agreed to install whatever profile
	// the code gives. Without it the run waits for an answer once the profile's
	// metadata are known.
	Consent bool
	// NoWayBack is the consent to a profile whose policy rules forbid that it is
	// ever disabled (PPR1), so that the router cannot go back to the one that is
	// enabled now. Without it the run waits for an answer.
	NoWayBack bool
	// AcceptLimited is the consent to a new profile that reaches a portal and no
	// more, as one that has to be topped up there, in place of one that worked.
	AcceptLimited bool
	// Again asks the server once more for an order that it has refused for good.
	Again bool
	// KeepTrying leaves the new profile enabled when it gives no data and there
	// is none to go back to.
	KeepTrying bool
	// InstallOnly leaves the new profile disabled.
	InstallOnly bool
	// APN, when set, outranks every other source of connection settings.
	APN *APN
	// Deadline is the time from the switch to traffic, after which the run goes
	// back. Zero means the configured one.
	Deadline time.Duration
}

// APN is a connection that came with the request.
type APN struct {
	APN      string `json:"apn"`
	IPType   string `json:"ip_type,omitempty"` // ipv4, ipv6, ipv4v6
	Auth     string `json:"auth,omitempty"`    // none, pap, chap
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// String hides the credentials.
func (a APN) String() string { return a.APN }

// GoString hides the credentials.
func (a APN) GoString() string { return fmt.Sprintf("%q", a.APN) }

// Connection reads the APN; the error is a Fault, bad-apn.
func (a APN) Connection() (cosa.Connection, error) {
	c := cosa.Connection{APN: a.APN, Username: a.Username, Password: cosa.Secret(a.Password)}
	bad := func(text, advice string) (cosa.Connection, error) {
		return c, &Fault{Code: "bad-apn", Text: text, Advice: advice}
	}
	const see = "see what the operator gave"
	if why := cosa.CheckAPN(a.APN); why != "" {
		return bad("the APN of the request cannot be one: it "+why, see)
	}
	for _, login := range []string{a.Username, a.Password} {
		if len(login) > maxLogin || strings.ContainsFunc(login, unicode.IsControl) || !utf8.ValidString(login) {
			return bad(fmt.Sprintf("the user name or password of the request has more than %d bytes, or control characters", maxLogin), see)
		}
	}
	var ok bool
	if c.IPType, ok = cosa.ParseIPType(a.IPType); !ok && a.IPType != "" {
		return bad("the IP type of the request is none", "ipv4, ipv6 or ipv4v6")
	}
	if c.Auth, ok = cosa.ParseAuth(a.Auth); !ok && a.Auth != "" {
		return bad("the authentication of the request is none", "none, pap or chap")
	}
	return c, nil
}

// Answer is what a waiting run is told.
type Answer struct {
	Consent          *bool // nil leaves the question open
	NoWayBack        *bool // the same; true is consent to the profile, too
	ConfirmationCode euicc.ConfirmationCode
}

// Limits of a request. A key comes from outside and is journalled.
const (
	maxKey      = 128
	maxLogin    = 127 // of a user name or password: what modems take
	minDeadline = 10 * time.Second
	maxDeadline = 24 * time.Hour
	maxWait     = 30 * 24 * time.Hour // for an answer
)

// Errors of Submit, Answer and Cancel.
var (
	ErrBusy       = errors.New("another activation is running")
	ErrKeyReused  = errors.New("the key names another order")
	ErrNoRun      = errors.New("no such activation")
	ErrNotWaiting = errors.New("the activation is not waiting for an answer")
	ErrTooLate    = errors.New("the profile is on the card already; the activation goes on to its end")
	ErrClosed     = errors.New("the daemon is shutting down")
)

// Validate checks what does not need the card or the network.
func (r Request) Validate() error {
	ways := 0
	for _, given := range []bool{r.Code.Address != "", r.Discover, r.DefaultSMDP} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		return &Fault{Code: "no-code", Text: "the request has no activation code", Advice: "give a code such as LPA:1$smdp.example.com$..., the SM-DP+ address, or say that the profile is to be discovered"}
	case ways > 1 || r.SMDS != "" && !r.Discover:
		return &Fault{Code: "bad-way", Text: "the request names more than one way to the profile", Advice: "an activation code, an SM-DP+ address, discovery and the default SM-DP+ exclude each other"}
	}
	if r.SMDS != "" {
		if _, err := euicc.ParseAddress(r.SMDS); err != nil {
			return &Fault{Code: "bad-address", Text: "the address of the discovery server cannot be one", Advice: "a host name such as smds.example.com", Err: err}
		}
	}
	if len(r.Key) > maxKey {
		return &Fault{Code: "bad-key", Text: fmt.Sprintf("the idempotency key has %d bytes, at most %d", len(r.Key), maxKey), Advice: "use a UUID"}
	}
	// The code is sealed as text and has to come back as it is now: a matching ID with
	// a $ would be two fields.
	if r.Code.Address != "" {
		if code, err := euicc.ParseActivationCode(r.Code.Reveal()); err != nil || code != r.Code {
			return &Fault{Code: "bad-activation-code", Text: "the matching ID of the request cannot be one", Advice: "it is what stands behind the second $ of an activation code: letters, digits and hyphens"}
		}
	}
	if r.APN != nil {
		if _, err := r.APN.Connection(); err != nil {
			return err
		}
	}
	if r.Deadline != 0 && (r.Deadline < minDeadline || r.Deadline > maxDeadline) {
		return &Fault{Code: "bad-deadline", Text: fmt.Sprintf("the deadline is %v, it must be from %v to %v", r.Deadline, minDeadline, maxDeadline), Advice: "leave it out for that of the configuration"}
	}
	return nil
}

// hasWay reports whether the request is there: it is lost with its seal.
func (r Request) hasWay() bool { return r.Code.Address != "" || r.Discover || r.DefaultSMDP }

// Fault is an error of ours with a stable code and advice.
type Fault struct {
	Code   string
	Text   string
	Advice string
	Retry  euicc.Retry
	Err    error
}

func (f *Fault) Error() string {
	if f.Err != nil {
		return f.Text + ": " + f.Err.Error()
	}
	return f.Text
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Hint returns the advice.
func (f *Fault) Hint() string { return f.Advice }

// EndError is a run that did not end as it was meant to.
type EndError struct {
	Problem  *status.Problem
	Outcome  status.Outcome
	Previous string // ICCID of the profile that is enabled again, after a roll-back
}

// NewEndError returns the error of a run that has ended, nil if it came to what
// was asked for.
func NewEndError(rec Record) error {
	if rec.Succeeded() {
		return nil
	}
	e := &EndError{Problem: rec.Error, Outcome: rec.Outcome}
	if e.Problem == nil {
		e.Problem = &status.Problem{Code: string(rec.Outcome), Text: "the reason is not known", Advice: "see `dynamod log`"}
	}
	if rec.Outcome == status.RolledBack {
		e.Previous = cmp.Or(rec.BackTo, rec.Previous)
	}
	return e
}

// Error says how it ended and why.
func (e *EndError) Error() string {
	if e.Previous != "" {
		return "rolled back to profile " + e.Previous + ", which is enabled again: " + e.Problem.Text
	}
	return string(e.Outcome) + ": " + e.Problem.Text
}

// Hint returns the advice.
func (e *EndError) Hint() string { return e.Problem.Advice }
