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
	// Sealed is the callback, until it is done with.
	Sealed []byte `json:"sealed,omitempty"`
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
		err = json.Unmarshal(data, &t.list)
	}
	if err != nil {
		t.list = nil
		return t, fmt.Errorf("portal visits: %s cannot be used, open visits are lost: %w", path, err)
	}
	return t, nil
}

// Begin writes a new visit down and returns its transaction ID and state.
func (t *Transactions) Begin(op *cosa.OperatorProfile, eid string) (id, state string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().UTC().Truncate(time.Second)
	list := slices.DeleteFunc(slices.Clone(t.list), func(v visit) bool { return v.over(now) })
	for len(list) >= maxVisits {
		at := slices.IndexFunc(list, func(v visit) bool { return v.Taken == nil || v.Taken.Sealed == nil })
		if at < 0 {
			return "", "", errors.New("there are too many downloads that a portal wants delayed")
		}
		list = slices.Delete(list, at, at+1)
	}
	v := visit{ID: NewTransactionID(), Operator: op.ID, EID: eid, Begun: now}
	if err := t.write(append(list, v)); err != nil {
		return "", "", err
	}
	return v.ID, t.stateOf(&v), nil
}

// over tells whether a visit can be forgotten. A clock that was set back lets it
// live longer, one that has no battery does not end it.
func (v *visit) over(now time.Time) bool {
	return now.Sub(v.Begun) > visitTime && (v.Taken == nil || v.Taken.Sealed == nil)
}

// stateOf is the state of a visit: whoever was not told it cannot make it.
func (t *Transactions) stateOf(v *visit) string {
	h := hmac.New(sha256.New, t.state)
	for _, s := range []string{v.ID, v.Operator, v.EID, v.Begun.UTC().Format(time.RFC3339)} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// write replaces the file, then the list. t.mu is held.
func (t *Transactions) write(list []visit) error {
	data, err := json.Marshal(list)
	if err == nil && len(data) > maxStateFile {
		err = errors.New("the list is too long")
	}
	if err == nil {
		err = durable.WriteFile(t.path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("portal visits: %w", err)
	}
	t.list = list
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
		if held, err := t.open(&v); err != nil || held.Delay == 0 {
			return Callback{}, ErrNoOperation
		}
		return c, t.replace(at, visit{v.ID, v.Operator, v.EID, v.Begun, &taken{At: v.Taken.At}})
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
	v.Taken = &taken{At: now, Operation: c.Operation, Sealed: t.aead.Seal(nil, nil, c.Envelope(), []byte(v.ID))}
	if err := t.replace(at, v); err != nil {
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
	return t.write(list)
}

func (t *Transactions) open(v *visit) (Callback, error) {
	plain, err := t.aead.Open(nil, nil, v.Taken.Sealed, []byte(v.ID))
	if err != nil {
		return Callback{}, fmt.Errorf("portal visits: a callback of %s was not sealed by this device", v.ID)
	}
	return ParseCallback(plain)
}

// Pending is a callback that was taken and is not done with.
type Pending struct {
	Callback
	Operator string // ID of its record
	// Wait is how long it is until its download, 0 for at once. It is never more
	// than the portal asked for, whatever became of the clock.
	Wait time.Duration
}

// Pending lists what was taken and is not done with, the oldest first. A callback
// that cannot be opened any more is told as an error beside the others.
func (t *Transactions) Pending() (list []Pending, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for i := range t.list {
		v := &t.list[i]
		if v.Taken == nil || v.Taken.Sealed == nil {
			continue
		}
		c, oerr := t.open(v)
		if oerr != nil {
			err = errors.Join(err, oerr)
			continue
		}
		wait := min(max(v.Taken.At.Add(c.Delay).Sub(now), 0), c.Delay)
		list = append(list, Pending{c, v.Operator, wait})
	}
	return list, err
}

// Done forgets the callback of a visit: it is in the journal now, or not wanted. A
// visit that is not known is no error.
func (t *Transactions) Done(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, v := range t.list {
		if v.ID == id && v.Taken != nil && v.Taken.Sealed != nil {
			return t.replace(i, visit{v.ID, v.Operator, v.EID, v.Begun, &taken{At: v.Taken.At, Operation: v.Taken.Operation}})
		}
	}
	return nil
}
