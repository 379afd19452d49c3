package dynamo

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"dynamod/configs/cosa"
)

// MaxTransactionID bounds a transaction ID, in characters.
const MaxTransactionID = 64

// NewTransactionID returns an ID that no other call or visit has. It needs no
// escaping in a URL.
func NewTransactionID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	s := hex.EncodeToString(b[:])
	return "dynamod-" + s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Device is what a portal is told of the router.
type Device struct {
	EID      string   // 32 digits; "" where there is no eUICC
	Profiles []string // ICCIDs of the profiles on the eUICC
	SIM      string   // ICCID of a SIM that is no eUICC
	IMEI     string   // "" leaves it out
	// Location is the country where the router is, Market the one whose settings
	// it has: ISO 3166-1 alpha-2. Market is Location where it is empty.
	Location, Market string
	// Language is the user's, as in Accept-Language; "" leaves it out.
	Language string
}

// Failure is a download that came to nothing, for the next visit.
type Failure struct {
	Status ESimOperationStatus
	Time   time.Time
	ICCID  string // of the profile, where it got so far that one is known
}

// Launch is a visit to an operator's portal.
type Launch struct {
	Operator      *cosa.OperatorProfile
	Device        Device
	TransactionID string
	// State and ReturnURL let a portal of the open protocol send the result by a
	// redirect to the router (docs/dynamo.md). A portal ignores parameters that it
	// does not know.
	State, ReturnURL string
	// Failures are those since the last visit, the oldest first.
	Failures []Failure
}

// URL is the portal's address for a client that can send Header as well.
func (l Launch) URL() (string, error) { return l.build(nil) }

// BrowserURL is the portal's address for a browser, which sends no header of ours:
// the failures are in the query then, under the names of the headers.
func (l Launch) BrowserURL() (string, error) { return l.build(l.failures()) }

// Header has the language, and what became of the downloads since the last visit.
func (l Launch) Header() http.Header {
	h := http.Header{}
	if s := l.Device.Language; s != "" && validLanguage(s) {
		h.Set("Accept-Language", s)
	}
	for _, f := range l.failures() {
		h.Set(f.name, f.value)
	}
	return h
}

type parameter struct{ name, value string }

// maxFailures are told at a visit; a URL has to stay short.
const maxFailures = 8

// failures are the X-MP-LPAError headers: lists of the same order and length, and
// one ICCID, that of the latest failure which has one.
func (l Launch) failures() []parameter {
	list := l.Failures[max(len(l.Failures)-maxFailures, 0):]
	if len(list) == 0 {
		return nil
	}
	var codes, times []string
	iccid := ""
	for _, f := range list {
		codes = append(codes, f.Status.String())
		times = append(times, f.Time.UTC().Format("1/2/2006 3:04:05 PM"))
		iccid = cmp.Or(stripF(f.ICCID), iccid)
	}
	out := []parameter{{"X-MP-LPAError-Codes", strings.Join(codes, ",")}, {"X-MP-LPAError-TimeStamps", strings.Join(times, ",")}}
	if iccid != "" {
		out = append(out, parameter{"X-MP-LPAError-ICCIDs", iccid})
	}
	return out
}

// Errors of a launch.
var (
	ErrNoPortal   = errors.New("the operator has no portal")
	ErrNoIdentity = errors.New("there is neither an eUICC nor a SIM that a plan could be bought for")
	ErrNoLocation = errors.New("it is not known in which country the router is")
)

func (l Launch) build(failures []parameter) (string, error) {
	d := l.Device
	if l.Operator == nil || l.Operator.Portal.URL == "" {
		return "", ErrNoPortal
	}
	if why := cosa.CheckURL(l.Operator.Portal.URL); why != "" {
		return "", fmt.Errorf("portal of %s: URL %s", Brand(l.Operator), why)
	}
	if l.TransactionID == "" || len(l.TransactionID) > MaxTransactionID {
		return "", fmt.Errorf("the transaction ID has %d characters, not 1 to %d", len(l.TransactionID), MaxTransactionID)
	}
	location, market := strings.ToLower(d.Location), strings.ToLower(cmp.Or(d.Market, d.Location))
	if !cosa.IsCountry(location) || !cosa.IsCountry(market) {
		return "", ErrNoLocation
	}
	var params []parameter
	add := func(name, value string) {
		if value != "" {
			params = append(params, parameter{name, value})
		}
	}
	switch {
	case d.EID != "":
		if len(d.EID) != 32 || strings.Trim(d.EID, "0123456789") != "" {
			return "", errors.New("the EID is not of 32 digits")
		}
		add("eid", d.EID)
		add("iccids", strings.Join(OwnProfiles(l.Operator, d.Profiles), ","))
	case d.SIM != "":
		add("iccid", stripF(d.SIM))
	default:
		return "", ErrNoIdentity
	}
	add("imei", d.IMEI)
	add("location", strings.ToUpper(location))
	add("market", strings.ToUpper(market))
	add("transactionId", l.TransactionID)
	if l.State == "" && l.ReturnURL != "" {
		return "", errors.New("a return URL needs a state")
	}
	add("returnUrl", l.ReturnURL)
	add("state", l.State)
	params = append(params, failures...)

	var b strings.Builder
	b.WriteString(l.Operator.Portal.URL)
	sep := byte('?')
	if at := strings.IndexByte(l.Operator.Portal.URL, '?'); at >= 0 {
		sep = '&'
		if at == len(l.Operator.Portal.URL)-1 {
			sep = 0
		}
	}
	for _, p := range params {
		if sep != 0 {
			b.WriteByte(sep)
		}
		b.WriteString(p.name + "=" + url.QueryEscape(p.value))
		sep = '&'
	}
	return b.String(), nil
}

// CheckReturnURL says why s cannot be where a portal's answer goes, or "" if it can,
// as nothing can: bridge/dynamo-bridge.js goes by the host, this by the form.
func CheckReturnURL(s string) string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost"):
		return "is not of https and a host, nor of http and localhost"
	case u.User != nil || u.Fragment != "" || len(s) > maxReturnURL:
		return "has a user or a fragment, or is too long"
	}
	return ""
}

const maxReturnURL = 300

// OwnProfiles are the ICCIDs that the operator has given out, without trailing F.
// A portal is told of no others.
func OwnProfiles(op *cosa.OperatorProfile, iccids []string) []string {
	var own []string
	for _, s := range iccids {
		if s = stripF(s); op.Portal.Serves(s) && !slices.Contains(own, s) {
			own = append(own, s)
		}
	}
	return own
}

// stripF removes the filler of an odd number of digits (ETSI TS 102 221, 13.2).
func stripF(iccid string) string { return strings.TrimRight(iccid, "Ff") }

// validLanguage accepts what can be in Accept-Language (RFC 9110, 12.5.4).
func validLanguage(s string) bool {
	return len(s) <= 200 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-*,;=. ") == ""
}
