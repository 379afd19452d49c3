package smdpsim

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is where a download order stands (SGP.22 3.1.6).
type State string

// The states that this server knows.
const (
	StateConfirmed  State = "confirmed"  // the operator has not released it yet
	StateReleased   State = "released"   // may be downloaded
	StateDownloaded State = "downloaded" // bound for a card, no result yet
	StateInstalled  State = "installed"  // a verified result said so
	StateError      State = "error"      // ended: installation failed or too many attempts
	StateCanceled   State = "canceled"   // ended: by CancelSession
	StateExpired    State = "expired"    // ended: by its date
)

// Rebind is what a server does when a profile that it has bound already is asked
// for again (SGP.22 3.1.3 and 5.6.2).
type Rebind string

// The ways. The specification leaves the choice to the SM-DP+.
const (
	// RebindReuse offers the card its earlier one-time key (bppEuiccOtpk). A card
	// that uses it gets the same binding again, one that made a new key a new one.
	RebindReuse Rebind = ""
	// RebindNew offers nothing and binds anew each time.
	RebindNew Rebind = "new"
	// RebindSameKey offers the earlier key, and refuses another with 8.2/3.7.
	RebindSameKey Rebind = "same-key"
	// RebindFinal refuses every further download with 8.2/3.7.
	RebindFinal Rebind = "final"
)

const (
	// maxAttempts and maxConfirmations are what an order allows unless it says otherwise.
	maxAttempts      = 10
	maxConfirmations = 3
	// maxTransactions bounds the past sessions of an order whose late results
	// can still be verified.
	maxTransactions = 16
)

// Order is a profile waiting for a card.
type Order struct {
	// MatchingID is the activation code's token: capital letters, digits and
	// hyphens (SGP.22 4.1). A random one is made when empty.
	MatchingID string
	// UPP is the unprotected profile package, bound exactly as it is.
	UPP      []byte
	Metadata Metadata
	// EID binds the order to one card; empty lets the first card take it.
	EID string
	// ConfirmationCode, when set, must be given by the user.
	ConfirmationCode string
	// State may be StateConfirmed or StateReleased, which empty means.
	State State
	// Expires, when set, is when the order ends.
	Expires time.Time
	// Attempts is how many AuthenticateClient the order allows; 10 when 0.
	Attempts int
	// Confirmations is how many wrong confirmation codes end the order; 3 when 0.
	Confirmations int
	// SessionKeys protects the profile with the session keys. Otherwise it has
	// keys of its own, which ReplaceSessionKeys hands over (SGP.22 2.5.3).
	SessionKeys bool
	// Rebind is what happens at a second download of the same profile.
	Rebind Rebind
	// Discover, when set, registers an event for the order's EID at Config.SMDS,
	// which names this address, one of the server's. It is deleted when the order
	// has come to its end.
	Discover string
	// OIDInCode puts the server's OID into the activation code.
	OIDInCode bool
}

// String tells nothing that would let somebody take the order.
func (o Order) String() string {
	return fmt.Sprintf("order for ICCID %s", short(o.Metadata.ICCID))
}

// GoString is String.
func (o Order) GoString() string { return o.String() }

// order is an Order at work; Server.mu guards it.
type order struct {
	Order
	sum           [32]byte // of the UPP
	eid           string   // the card it belongs to, once known
	tac           string   // of the last device
	device        []byte   // the same, as it described itself
	attempts      int
	confirmations int // wrong confirmation codes
	downloads     int
	bound         *binding
	transactions  []transaction
	result        *InstallResult
	canceled      bool
	cancelReason  int64
	notes         []Notification
}

// transaction remembers whose signature a late result must carry.
type transaction struct {
	id    string
	euicc *x509.Certificate
}

// AddOrder takes an order and returns its activation code
// (LPA:1$address$matchingID[$OID][$1], SGP.22 4.1) for Config.Address.
func (s *Server) AddOrder(o Order) (activationCode string, err error) {
	iccid, err := UPPICCID(o.UPP)
	if err != nil {
		return "", err
	}
	if o.Metadata.ICCID == "" {
		o.Metadata.ICCID = iccid
	}
	if o.Metadata.Provider == "" {
		o.Metadata.Provider = "Lab"
	}
	if o.Metadata.Name == "" {
		o.Metadata.Name = "Lab profile"
	}
	if err := o.Metadata.check(); err != nil {
		return "", err
	}
	if o.State == "" {
		o.State = StateReleased
	}
	if o.Attempts == 0 {
		o.Attempts = maxAttempts
	}
	if o.Confirmations == 0 {
		o.Confirmations = maxConfirmations
	}
	if o.MatchingID == "" {
		o.MatchingID = newMatchingID()
	}
	switch {
	case o.State != StateReleased && o.State != StateConfirmed:
		return "", fmt.Errorf("an order cannot begin as %s", o.State)
	case !slices.Contains([]Rebind{RebindReuse, RebindNew, RebindSameKey, RebindFinal}, o.Rebind):
		return "", fmt.Errorf("unknown way to bind again %q", o.Rebind)
	case o.Attempts < 0 || o.Confirmations < 0:
		return "", errors.New("a number of tries is negative")
	case o.Discover != "" && s.cfg.SMDS == nil:
		return "", errors.New("this server knows no SM-DS")
	}
	if err := checkMatchingID(o.MatchingID); err != nil {
		return "", err
	}
	if o.EID != "" || o.Discover != "" {
		if err := checkEID(o.EID); err != nil {
			return "", err
		}
	}
	o.UPP = bytes.Clone(o.UPP)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders[o.MatchingID] != nil {
		return "", errors.New("another order has this matching ID")
	}
	if len(s.orders) >= maxOrders {
		return "", fmt.Errorf("there are already %d orders", maxOrders)
	}
	if o.Discover != "" {
		own := s.address(o.Discover)
		if own == "" {
			return "", fmt.Errorf("%s is not an address of this server", o.Discover)
		}
		if err := s.cfg.SMDS.Register(Event{EID: o.EID, ID: o.MatchingID, Address: own}); err != nil {
			return "", err
		}
	}
	od := &order{Order: o, sum: sha256.Sum256(o.UPP), eid: o.EID}
	s.orders[o.MatchingID] = od
	s.sequence = append(s.sequence, od)
	return s.activationCode(od, s.cfg.Address), nil
}

// ActivationCode returns the activation code of an order for one of the server's
// addresses, such as host:port.
func (s *Server) ActivationCode(matchingID, address string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[matchingID]
	if o == nil {
		return "", errors.New("no order has this matching ID")
	}
	own := s.address(address)
	if own == "" {
		return "", fmt.Errorf("%s is not an address of this server", address)
	}
	return s.activationCode(o, own), nil
}

func (s *Server) activationCode(o *order, address string) string {
	c := "LPA:1$" + address + "$" + o.MatchingID
	if o.OIDInCode {
		c += "$" + s.oid
	}
	if o.ConfirmationCode != "" {
		if !o.OIDInCode {
			c += "$"
		}
		c += "$1"
	}
	return c
}

// Release lets a confirmed order be downloaded, as ES2+.ReleaseProfile does.
func (s *Server) Release(matchingID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[matchingID]
	if o == nil {
		return errors.New("no order has this matching ID")
	}
	if o.State != StateConfirmed {
		return fmt.Errorf("order is %s, not %s", o.State, StateConfirmed)
	}
	o.State = StateReleased
	return nil
}

// Expire ends an order as its date would. One that has ended stays as it is.
func (s *Server) Expire(matchingID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[matchingID]
	if o == nil {
		return errors.New("no order has this matching ID")
	}
	if !o.live() {
		return fmt.Errorf("order is %s", o.State)
	}
	s.end(o, StateExpired)
	return nil
}

// live reports whether an order has not come to an end.
func (o *order) live() bool {
	return o.State == StateConfirmed || o.State == StateReleased || o.State == StateDownloaded
}

// end brings an order to its end, and its event with it (SGP.22 3.6.3).
func (s *Server) end(o *order, state State) {
	o.State = state
	if o.Discover != "" {
		if err := s.cfg.SMDS.Delete(o.EID, o.MatchingID); err != nil {
			s.log.Info("event is gone already", "iccid", short(o.Metadata.ICCID))
		}
	}
}

// expire ends an order whose date has passed.
func (s *Server) expire(o *order) {
	if o.live() && !o.Expires.IsZero() && s.now().After(o.Expires) {
		s.end(o, StateExpired)
	}
}

// OrderStatus is a copy of how an order stands.
type OrderStatus struct {
	MatchingID    string
	ICCID         string // digits
	EID           string // of the card that it belongs to, empty while any may come
	TAC           string // of the last device that asked, as deviceInfo coded it, hex
	Device        []byte // DeviceInfo of that device as the card signed it, tag A1
	State         State
	Attempts      int            // AuthenticateClient calls that reached it
	WrongCodes    int            // wrong confirmation codes
	Downloads     int            // BPPs handed out
	Result        *InstallResult // the last verified one
	Canceled      bool           // a CancelSession was verified
	CancelReason  int            // of the last one
	Notifications []Notification // about its ICCID, oldest first
	SHA256        string         // of the UPP, hex
	Size          int            // of the UPP, bytes
}

// String leaves the matching ID out.
func (o OrderStatus) String() string {
	return fmt.Sprintf("order for ICCID %s: %s, %d downloads", short(o.ICCID), o.State, o.Downloads)
}

// GoString is String.
func (o OrderStatus) GoString() string { return o.String() }

// Orders returns every order's status in the order of AddOrder.
func (s *Server) Orders() []OrderStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]OrderStatus, 0, len(s.sequence))
	for _, o := range s.sequence {
		s.expire(o)
		st := OrderStatus{
			MatchingID: o.MatchingID, ICCID: o.Metadata.ICCID, EID: o.eid, TAC: o.tac, Device: bytes.Clone(o.device), State: o.State,
			Attempts: o.attempts, WrongCodes: o.confirmations, Downloads: o.downloads, Canceled: o.canceled, CancelReason: int(o.cancelReason),
			Notifications: append([]Notification(nil), o.notes...),
			SHA256:        hex.EncodeToString(o.sum[:]), Size: len(o.UPP),
		}
		if o.result != nil {
			r := *o.result
			st.Result = &r
		}
		out = append(out, st)
	}
	return out
}

// findOrder returns the order that an eUICC asks for (SGP.22 5.6.3). Without a
// matching ID it is one that was bound to the EID beforehand.
func (s *Server) findOrder(matchingID, eid string) (*order, error) {
	var o *order
	if matchingID == "" {
		for _, c := range s.sequence {
			s.expire(c)
			if c.EID == eid && (c.State == StateReleased || c.State == StateDownloaded) {
				o = c
				break
			}
		}
		if o == nil {
			return nil, fail(codeEID, "no order waits for this eUICC")
		}
	} else if o = s.orders[matchingID]; o == nil {
		return nil, fail(codeMatchingID, "no order has this matching ID")
	}
	s.expire(o)
	switch {
	case o.eid != "" && o.eid != eid:
		return nil, fail(codeEID, "the order belongs to another eUICC")
	case o.State == StateExpired:
		return nil, fail(codeOrderExpired, "the order has expired")
	case o.State == StateConfirmed || s.faulty(FaultNotReleased):
		return nil, fail(codeNotReleased, "the profile has not been released")
	case o.attempts >= o.Attempts:
		if o.live() {
			s.end(o, StateError)
		}
		return nil, fail(codeOrderRetries, "too many attempts to download")
	case o.State != StateReleased && o.State != StateDownloaded:
		return nil, fail(codeMatchingID, "the order is "+string(o.State))
	}
	o.attempts++
	return o, nil
}

func (o *order) remember(id string, euicc *x509.Certificate) {
	if len(o.transactions) == maxTransactions {
		o.transactions = o.transactions[1:]
	}
	o.transactions = append(o.transactions, transaction{id, euicc})
}

var errMatchingID = errors.New("not of capital letters, digits and hyphens")

func checkMatchingID(id string) error {
	if len(id) > 255 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return fmt.Errorf("matching ID: %w", errMatchingID)
	}
	return nil
}

func newMatchingID() string {
	t := rand.Text()
	return t[:4] + "-" + t[4:9] + "-" + t[9:14] + "-" + t[14:19]
}
