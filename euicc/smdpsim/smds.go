package smdpsim

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"dynamod/euicc/sgp26"
)

// DefaultSMDSOID is the object identifier of an SM-DS whose config has none.
const DefaultSMDSOID = "2.999.15"

// SMDSConfig says who an SM-DS is. Address is required, and CI unless both
// identities are given; the fields are those of Config.
type SMDSConfig struct {
	Address     string // of the SM-DS (FQDN), which the server signs
	OID         string // empty is DSauth's, else DefaultSMDSOID
	CI          *sgp26.Authority
	DSauth, TLS *sgp26.Authority
	Hosts       []string
	CardCIs     []*x509.Certificate
	SessionTime time.Duration
	Logger      *slog.Logger // no event ID is ever logged
	Now         func() time.Time
}

// SMDS is a running SM-DS: it tells a card's LPA which servers have something
// for the card (SGP.22 3.6 and 5.8). Its methods may be called from any
// goroutine.
type SMDS struct {
	endpoint
	events []Event // guarded by endpoint.mu
}

// Event is an event record (SGP.22 3.6.1): the server at Address has something
// for the card. What an LPA sends as the matching ID there is ID.
type Event struct {
	EID     string // 32 digits
	ID      string // the matching ID of an SM-DP+'s order, or an event of another SM-DS
	Address string // of the SM-DP+, or of another SM-DS
	Shown   int    // how often it was given out
}

// String leaves the ID out, which is as good as an activation code.
func (e Event) String() string {
	return fmt.Sprintf("event for the card %s at %s", short(e.EID), e.Address)
}

// GoString is String.
func (e Event) GoString() string { return e.String() }

// NewSMDS makes an SM-DS, and the certificates that cfg does not bring.
func NewSMDS(cfg SMDSConfig) (*SMDS, error) {
	var err error
	if cfg.OID, err = ownOID(cfg.OID, cfg.DSauth, DefaultSMDSOID); err != nil {
		return nil, err
	}
	d := new(SMDS)
	return d, d.open(endpointConfig{
		role: roleSMDS, address: cfg.Address, oid: cfg.OID, ci: cfg.CI, auth: cfg.DSauth, tls: cfg.TLS, hosts: cfg.Hosts,
		cardCIs: cfg.CardCIs, sessionTime: cfg.SessionTime, log: cfg.Logger, now: cfg.Now,
	})
}

// Identities returns the server's two identities, for Export.
func (d *SMDS) Identities() (dsAuth, tlsServer *sgp26.Authority) { return d.auth, d.tls }

// Handler serves the ES11 functions, which have the paths of ES9+.
func (d *SMDS) Handler() http.Handler {
	return d.handler(map[Function]func(*request) (response, error){
		InitiateAuthentication: d.initiateAuthentication,
		AuthenticateClient:     d.authenticateClient,
	})
}

// Register takes an event, as ES12.RegisterEvent does (SGP.22 5.9.1): a pair of
// EID and event ID is there once.
func (d *SMDS) Register(e Event) error {
	if err := checkEID(e.EID); err != nil {
		return err
	}
	if err := checkAddress(e.Address); err != nil {
		return err
	}
	if err := checkMatchingID(e.ID); err != nil || e.ID == "" {
		return fmt.Errorf("event ID: %w", errMatchingID)
	}
	e.Shown = 0
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.find(e.EID, e.ID) >= 0 {
		return fail(codeEventHere, "the card has this event already")
	}
	if len(d.events) >= maxOrders {
		return fmt.Errorf("there are already %d events", maxOrders)
	}
	d.events = append(d.events, e)
	return nil
}

// Delete removes an event, as ES12.DeleteEvent does (SGP.22 5.9.2).
func (d *SMDS) Delete(eid, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.find(eid, id)
	if i < 0 {
		return fail(codeNoEvent, "the card has no such event")
	}
	d.events = slices.Delete(d.events, i, i+1)
	return nil
}

// Events returns the events in the order of their registration.
func (d *SMDS) Events() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

func (d *SMDS) find(eid, id string) int {
	return slices.IndexFunc(d.events, func(e Event) bool { return e.EID == eid && e.ID == id })
}

// authenticateClient is ES11.AuthenticateClient (SGP.22 5.8.2): the events of the
// card, or the one that it names. The session ends with it.
func (d *SMDS) authenticateClient(req *request) (response, error) {
	raw, err := decode64("authenticateServerResponse", req.AuthenticateServerResponse)
	if err != nil {
		return nil, err
	}
	answer, err := parseAuthenticateServerResponse(raw)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ss, err := d.findSession(req.TransactionID)
	if err != nil {
		return nil, err
	}
	if answer.refused {
		delete(d.sessions, ss.name)
		return nil, fail(codeSignature, fmt.Sprintf("the eUICC did not accept this server: error %d", answer.errorCode))
	}
	eid, err := d.verifyCard(ss, answer)
	if err != nil {
		return nil, err
	}
	delete(d.sessions, ss.name)
	if answer.matchingID != "" && d.find(eid, answer.matchingID) < 0 {
		return nil, fail(codeNoEvent, "the card has no such event")
	}
	entries := []response{}
	for i := range d.events {
		e := &d.events[i]
		if e.EID == eid && (answer.matchingID == "" || answer.matchingID == e.ID) {
			e.Shown++
			entries = append(entries, response{"eventId": e.ID, "rspServerAddress": e.Address})
		}
	}
	d.log.Info("discovery", "eid", short(eid), "events", len(entries))
	return response{"transactionId": ss.name, "eventEntries": entries}, nil
}

func checkEID(eid string) error {
	if len(eid) != 32 || strings.Trim(eid, "0123456789") != "" {
		return fmt.Errorf("EID has %d characters, want 32 digits", len(eid))
	}
	return nil
}
