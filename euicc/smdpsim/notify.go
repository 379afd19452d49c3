package smdpsim

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// InstallResult is the outcome in a ProfileInstallationResult (SGP.22 2.5.6).
type InstallResult struct {
	Success bool
	ISDPAID []byte // of the new profile, on success
	Command int    // bppCommandId, on failure
	Reason  int    // errorReason, on failure
}

// String gives the outcome as the specification codes it.
func (r InstallResult) String() string {
	if r.Success {
		return "installed"
	}
	return fmt.Sprintf("failed, command %d reason %d", r.Command, r.Reason)
}

// Notification is one that a card's LPA has delivered.
type Notification struct {
	Seq           int64
	Operation     Operation
	ICCID         string // digits, empty when the card told none
	Address       string // receiver as the card has it
	EID           string // of the card whose certificate verifies it, when known
	TransactionID string // upper-case hex; of an installation only
	Result        *InstallResult
	Verified      bool   // the eUICC's signature and chain are good
	Why           string // when not verified
	At            time.Time
}

// OnNotification registers f, which is called for each notification before its
// HTTP answer is sent, from the request's goroutine.
func (s *Server) OnNotification(f func(Notification)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, f)
}

// Notifications returns what was received, oldest first; the last 1,024 are kept.
func (s *Server) Notifications() []Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Notification(nil), s.notes...)
}

// handleNotification is ES9+.HandleNotification (SGP.22 5.6.4). It has no error
// of its own: what is a notification is acknowledged, verified or not.
func (s *Server) handleNotification(req *request) (response, error) {
	raw, err := decode64("pendingNotification", req.PendingNotification)
	if err != nil {
		return nil, err
	}
	e, err := bertlv.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("pendingNotification: %w", err)
	}
	var n *Notification
	var listeners []func(Notification)
	func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch e.Tag {
		case 0xBF37:
			n, err = s.installationResult(e)
		case tagSequence:
			n, err = s.otherNotification(e)
		default:
			err = fmt.Errorf("pendingNotification: unknown tag %s", e.Tag)
		}
		if err == nil {
			s.record(n)
			listeners = append(listeners, s.listeners...)
		}
	}()
	if err != nil {
		return nil, err
	}
	for _, f := range listeners {
		f(*n)
	}
	return nil, nil
}

func (s *Server) record(n *Notification) {
	n.At = s.now()
	s.log.Info("notification", "operation", n.Operation.String(), "seq", n.Seq, "iccid", short(n.ICCID), "verified", n.Verified, "why", n.Why)
	s.notes = appendBounded(s.notes, *n)
	for _, o := range s.sequence {
		if n.ICCID != "" && o.Metadata.ICCID == n.ICCID {
			o.notes = appendBounded(o.notes, *n)
		}
	}
}

func appendBounded(list []Notification, n Notification) []Notification {
	if len(list) == maxNotifications {
		list = append(list[:0], list[1:]...)
	}
	return append(list, n)
}

// installationResult reads a ProfileInstallationResult (BF37), which is verified
// with the certificate of the session that it names.
func (s *Server) installationResult(e bertlv.Element) (*Notification, error) {
	data, ok := e.Find(0xBF27)
	if !ok {
		return nil, errors.New("pendingNotification: no ProfileInstallationResultData")
	}
	sig, ok := e.Find(tagSignature)
	if !ok {
		return nil, errors.New("pendingNotification: no euiccSignPIR")
	}
	id, ok := data.Find(0x80)
	if !ok {
		return nil, errors.New("ProfileInstallationResultData has no transaction ID")
	}
	meta, ok := data.Find(0xBF2F)
	if !ok {
		return nil, errors.New("ProfileInstallationResultData has no notification metadata")
	}
	n, err := parseNotificationMetadata(meta)
	if err != nil {
		return nil, err
	}
	n.TransactionID = strings.ToUpper(hex.EncodeToString(id.Value))
	if n.Result, err = parseFinalResult(data); err != nil {
		return nil, err
	}
	o, euicc := s.findTransaction(n.TransactionID)
	if o == nil {
		n.Why = "no session had this transaction ID"
		return n, nil
	}
	n.EID = euicc.Subject.SerialNumber
	if err := sgp26.VerifySignature(euicc, data.Raw, sig.Value); err != nil {
		n.Why = err.Error()
		return n, nil
	}
	if oid, ok := data.Find(0x06); ok {
		if got, err := oidString(oid.Value); err != nil || got != s.oid {
			n.Why = "the result is for another SM-DP+ OID"
			return n, nil
		}
	}
	n.Verified = true
	delete(s.sessions, n.TransactionID)
	s.finish(o, n.Result)
	return n, nil
}

// Reasons after which a download may be tried again: what was wrong may have
// gone (SGP.22 2.5.6, errorReason).
const (
	reasonMemory       = 10
	reasonInterruption = 11
)

// finish moves the order on by a verified result.
func (s *Server) finish(o *order, r *InstallResult) {
	if o.State == StateInstalled {
		return
	}
	o.result = r
	if o.Rebind == RebindReuse || o.Rebind == RebindNew {
		o.bound = nil // the card has spent its one-time key
	}
	switch {
	case r.Success:
		s.end(o, StateInstalled)
	case r.Reason == reasonMemory || r.Reason == reasonInterruption:
		o.State = StateReleased
	default:
		s.end(o, StateError)
	}
}

func (s *Server) findTransaction(id string) (*order, *x509.Certificate) {
	for _, o := range s.sequence {
		for _, t := range o.transactions {
			if t.id == id {
				return o, t.euicc
			}
		}
	}
	// A card can fail before it was given a package.
	if ss := s.sessions[id]; ss != nil && ss.authenticated {
		return ss.order, ss.euicc
	}
	return nil, nil
}

func parseFinalResult(data bertlv.Element) (*InstallResult, error) {
	if ok, found := data.Find(0xA2, 0xA0); found {
		r := &InstallResult{Success: true}
		if aid, ok := ok.Find(0x4F); ok {
			r.ISDPAID = append([]byte(nil), aid.Value...)
		}
		return r, nil
	}
	if bad, found := data.Find(0xA2, 0xA1); found {
		return &InstallResult{Command: int(findInt(bad, 0x80)), Reason: int(findInt(bad, 0x81))}, nil
	}
	return nil, errors.New("ProfileInstallationResultData has no final result")
}

// otherNotification reads an OtherSignedNotification, which brings its chain.
func (s *Server) otherNotification(e bertlv.Element) (*Notification, error) {
	parts, err := list(e, 4)
	if err != nil {
		return nil, fmt.Errorf("pendingNotification: %w", err)
	}
	n, err := parseNotificationMetadata(parts[0])
	if err != nil {
		return nil, err
	}
	if n.Why = s.verifyOther(parts, n); n.Why == "" {
		n.Verified = true
	}
	return n, nil
}

// verifyOther returns what is wrong with a notification, or "".
func (s *Server) verifyOther(parts []bertlv.Element, n *Notification) string {
	euicc, err := x509.ParseCertificate(parts[2].Raw)
	if err != nil {
		return "the eUICC certificate cannot be read"
	}
	eum, err := x509.ParseCertificate(parts[3].Raw)
	if err != nil {
		return "the EUM certificate cannot be read"
	}
	n.EID = euicc.Subject.SerialNumber
	if err := sgp26.VerifyEUICC(s.roots, eum, euicc, "", s.now()); err != nil {
		return err.Error()
	}
	if parts[1].Tag != tagSignature {
		return "it has no signature"
	}
	if err := sgp26.VerifySignature(euicc, parts[0].Raw, parts[1].Value); err != nil {
		return err.Error()
	}
	return ""
}

// parseNotificationMetadata reads NotificationMetadata (BF2F).
func parseNotificationMetadata(e bertlv.Element) (*Notification, error) {
	if e.Tag != 0xBF2F {
		return nil, fmt.Errorf("tag %s where notification metadata (BF2F) was expected", e.Tag)
	}
	seq, ok := e.Find(0x80)
	if !ok {
		return nil, errors.New("notification metadata has no sequence number")
	}
	n := new(Notification)
	var err error
	if n.Seq, err = bertlv.Int(seq.Value); err != nil {
		return nil, fmt.Errorf("notification sequence number: %w", err)
	}
	op, ok := e.Find(0x81)
	if !ok || len(op.Value) != 2 {
		return nil, errors.New("notification metadata has no operation")
	}
	n.Operation = Operation(op.Value[1])
	if a, ok := e.Find(0x0C); ok {
		n.Address = string(a.Value)
	}
	if iccid, ok := e.Find(0x5A); ok {
		if len(iccid.Value) != 10 {
			return nil, errors.New("notification metadata has an ICCID that is not of 10 bytes")
		}
		n.ICCID = unpackSwapped(iccid.Value)
	}
	return n, nil
}
