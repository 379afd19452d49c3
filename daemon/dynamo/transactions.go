package dynamo

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/durable"
	"dynamod/daemon/seal"
)

// Transactions are the visits to portals that may still be answered. Each visit
// has a state that only its portal was told; with it one callback that changes what
// is on the card is taken, and that it was is on the disk before anything is done.
//
// A callback that was taken stays here, sealed, until Done: so a download that the
// portal wants delayed, or a power cut between the callback and the journal of the
// activation, loses nothing.
type Transactions struct {
	path  string
	state []byte // key of the states
	aead  cipher.AEAD
	now   func() time.Time

	mu   sync.Mutex
	list []visit
	bad  []failure
}

// visit is a transaction as it is on the disk.
type visit struct {
	ID       string    `json:"id"`
	Operator string    `json:"operator"` // ID of its record
	EID      string    `json:"eid,omitempty"`
	Begun    time.Time `json:"begun"`
	// Taken is set by the callback that was taken.
	Taken *taken `json:"taken,omitempty"`
}

type taken struct {
	At        time.Time `json:"at"`
	Operation string    `json:"operation,omitempty"`
	Kind      Kind      `json:"kind,omitempty"`
	Plan      string    `json:"plan,omitempty"`
	// Sealed is the callback, until it is done with.
	Sealed []byte `json:"sealed,omitempty"`
	// Run is the activation that it led to, until its end was noted.
	Run string `json:"run,omitempty"`
}

// stateFile is what is on the disk.
type stateFile struct {
	Visits   []visit   `json:"visits"`
	Failures []failure `json:"failures,omitempty"`
}

const (
	maxVisits    = 32
	visitTime    = 24 * time.Hour // a portal may want to see papers
	maxStateFile = 64 << 10
)

// OpenTransactions reads the file at path. The key is the device's, of 32 bytes;
// with another one what the file holds is void. A file that cannot be read is an
// error, and there are no open visits then: their callbacks are refused. The
// result can be used in spite of the error.
func OpenTransactions(path string, key []byte, now func() time.Time) (*Transactions, error) {
	t := &Transactions{path: path, now: now, state: seal.Subkey(key, "dynamod portal state"), aead: seal.New(key, "dynamod portal callback")}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxStateFile) {
		err = errors.New("it is not a file of ours")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err == nil {
		var f stateFile
		if err = json.Unmarshal(data, &f); err == nil {
			t.list, t.bad = f.Visits, f.Failures
		}
	}
	if err != nil {
		return t, fmt.Errorf("portal visits: %s cannot be used, open visits are lost: %w", path, err)
	}
	return t, nil
}

// Begin writes a new visit down and returns its transaction ID and state, and the
// downloads of the operator's that came to nothing, which its portal is to be told of.
func (t *Transactions) Begin(op *cosa.OperatorProfile, eid string) (id, state string, failed []Failure, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().UTC().Truncate(time.Second)
	list := slices.DeleteFunc(slices.Clone(t.list), func(v visit) bool { return v.over(now) })
	for len(list) >= maxVisits {
		at := slices.IndexFunc(list, func(v visit) bool { return !v.open() })
		if at < 0 {
			return "", "", nil, errors.New("there are too many downloads that a portal wants delayed")
		}
		list = slices.Delete(list, at, at+1)
	}
	v := visit{ID: NewTransactionID(), Operator: op.ID, EID: eid, Begun: now}
	if err := t.write(append(list, v), t.bad); err != nil {
		return "", "", nil, err
	}
	return v.ID, t.stateOf(&v), t.failures(op.ID), nil
}

// open tells whether something is still to be done, or to be told, about a callback.
func (v *visit) open() bool { return v.Taken != nil && (v.Taken.Sealed != nil || v.Taken.Run != "") }

// over tells whether a visit can be forgotten. A clock that was set back lets it
// live longer, one that has no battery does not end it.
func (v *visit) over(now time.Time) bool {
	return now.Sub(v.Begun) > visitTime && !v.open()
}

// stateOf is the state of a visit: whoever was not told it cannot make it.
func (t *Transactions) stateOf(v *visit) string {
	h := hmac.New(sha256.New, t.state)
	for _, s := range []string{v.ID, v.Operator, v.EID, v.Begun.UTC().Format(time.RFC3339)} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// write replaces the file, then what is in memory. t.mu is held.
func (t *Transactions) write(list []visit, bad []failure) error {
	data, err := json.Marshal(stateFile{list, bad})
	if err == nil && len(data) > maxStateFile {
		err = errors.New("the list is too long")
	}
	if err == nil {
		err = durable.WriteFile(t.path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("portal visits: %w", err)
	}
	t.list, t.bad = list, bad
	return nil
}

// Way is how a callback reached the router.
type Way string

// The ways.
const (
	// WayOpener: the portal's page posted a message to the page that opened it.
	WayOpener Way = "opener"
	// WayReturn: the portal sent the browser to the return URL.
	WayReturn Way = "return"
	// WayDirectory: the directory service had it, for a portal that was opened on
	// another device.
	WayDirectory Way = "directory"
)

// Arrival is what the browser, not the portal, says of a callback.
type Arrival struct {
	Way Way
	// Origin is the message's origin (RFC 6454, 6.2), for WayOpener.
	Origin string
	// Top says that the message came from the window that was opened and not from
	// a frame in it, for WayOpener.
	Top bool
	// Dest is Sec-Fetch-Dest of the visit to the return URL, for WayReturn; "" from
	// browsers that do not send it.
	Dest string
}

// Card is what is in the router now.
type Card struct {
	EID      string
	Profiles []string // ICCIDs on the eUICC
	SIM      string   // ICCID of the SIM that is in use
}

// Refusal says why a callback is dropped, for the log and the audit; the portal is
// told no more than that it was.
type Refusal struct{ Code, Text string }

func (e *Refusal) Error() string { return e.Text }

// Hint says what to do.
func (e *Refusal) Hint() string {
	return "open the portal again from the router's page; a code that you have can be given to `dynamod activate`"
}

// The refusals.
var (
	ErrWrongOrigin  = &Refusal{"wrong-origin", "a page that may not call back did; nothing was done"}
	ErrFramed       = &Refusal{"framed", "the callback came from a frame in another page; nothing was done"}
	ErrForeign      = &Refusal{"foreign-transaction", "the callback is of a visit that this router did not begin, or whose time is over; nothing was done"}
	ErrWrongState   = &Refusal{"wrong-state", "the callback does not have the state that its visit began with; nothing was done"}
	ErrReplayed     = &Refusal{"replayed", "a callback of this visit was taken before; nothing was done"}
	ErrNoSuchRecord = &Refusal{"no-operator", "the operator of this visit is not in the records any more; nothing was done"}
	ErrOtherEID     = &Refusal{"other-eid", "the callback is for another card; nothing was done"}
	ErrOtherProfile = &Refusal{"other-profile", "the callback names a profile that is not on the card, or not that operator's; nothing was done"}
	ErrNoOperation  = &Refusal{"no-operation", "there is no delayed download that could be cancelled; nothing was done"}
)

// Accept reads a callback and takes it, or says why not: then it is a *Refusal, a
// *CallbackError, or an error of the disk, and nothing may be done about it.
// operator finds the record by its ID, nil for none.
func (t *Transactions) Accept(data []byte, from Arrival, card Card, operator func(id string) *cosa.OperatorProfile) (Callback, error) {
	c, err := ParseCallback(data)
	if err != nil {
		return Callback{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().UTC().Truncate(time.Second)
	at := slices.IndexFunc(t.list, func(v visit) bool { return v.ID == c.TransactionID })
	if at < 0 || t.list[at].over(now) {
		return Callback{}, ErrForeign
	}
	v := t.list[at]
	op := operator(v.Operator)
	if op == nil {
		return Callback{}, ErrNoSuchRecord
	}
	if refused := checkArrival(op, from); refused != nil {
		return Callback{}, refused
	}
	if !hmac.Equal([]byte(c.State), []byte(t.stateOf(&v))) {
		return Callback{}, ErrWrongState
	}
	if v.EID != card.EID || c.EID != "" && c.EID != card.EID {
		return Callback{}, ErrOtherEID
	}
	if c.Kind == KindCancel {
		if v.Taken == nil || v.Taken.Sealed == nil || v.Taken.Operation == "" || v.Taken.Operation != c.Operation {
			return Callback{}, ErrNoOperation
		}
		if held, err := t.unseal(&v); err != nil || held.Delay == 0 || v.Taken.Run != "" {
			return Callback{}, ErrNoOperation
		}
		return c, t.replace(at, visit{v.ID, v.Operator, v.EID, v.Begun, &taken{At: v.Taken.At, Kind: KindCancel}})
	}
	if v.Taken != nil {
		return Callback{}, ErrReplayed
	}
	if c.Kind == KindUseProfile {
		onCard := slices.ContainsFunc(card.Profiles, func(s string) bool { return stripF(s) == c.ICCID })
		if card.EID == "" {
			onCard = stripF(card.SIM) == c.ICCID
		}
		if !onCard || !op.Portal.Serves(c.ICCID) {
			return Callback{}, ErrOtherProfile
		}
	}
	if c.Kind == KindNoPurchase || c.Kind == KindBalance {
		return c, nil // nothing on the card changes, and the person may go on in the portal
	}
	v.Taken = &taken{At: now, Operation: c.Operation, Kind: c.Kind, Plan: c.Metadata.PlanName, Sealed: t.aead.Seal(nil, nil, c.Envelope(), []byte(v.ID))}
	list := slices.Clone(t.list)
	list[at] = v
	// The portal was told of what had failed before, and has answered.
	told := slices.DeleteFunc(slices.Clone(t.bad), func(f failure) bool { return f.Operator == v.Operator && !f.Time.After(v.Begun) })
	if err := t.write(list, told); err != nil {
		return Callback{}, err
	}
	return c, nil
}

// checkArrival holds what the browser says against the record.
func checkArrival(op *cosa.OperatorProfile, from Arrival) error {
	switch from.Way {
	case WayOpener:
		// Browsers write an origin in one way only: lower case, no port where it is
		// the scheme's own, no path. Whatever differs is another origin.
		if !slices.ContainsFunc(op.Portal.CallbackHosts, func(h string) bool { return cosa.CheckHost(h) == "" && from.Origin == "https://"+h }) {
			return ErrWrongOrigin
		}
		if !from.Top {
			return ErrFramed
		}
	case WayReturn:
		if from.Dest != "" && from.Dest != "document" {
			return ErrFramed
		}
		if len(op.Portal.CallbackHosts) == 0 {
			return ErrWrongOrigin
		}
	case WayDirectory:
		if len(op.Portal.CallbackHosts) == 0 {
			return ErrWrongOrigin
		}
	default:
		return ErrWrongOrigin
	}
	return nil
}

func (t *Transactions) replace(at int, v visit) error {
	list := slices.Clone(t.list)
	list[at] = v
	return t.write(list, t.bad)
}

func (t *Transactions) unseal(v *visit) (Callback, error) {
	plain, err := t.aead.Open(nil, nil, v.Taken.Sealed, []byte(v.ID))
	if err != nil {
		return Callback{}, fmt.Errorf("portal visits: a callback of %s was not sealed by this device", v.ID)
	}
	return ParseCallback(plain)
}
