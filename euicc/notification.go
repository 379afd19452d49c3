package euicc

import (
	"bytes"
	"fmt"
	"strings"

	"dynamod/euicc/bertlv"
)

// Event is a set of profile operations that a card reports (SGP.22
// NotificationEvent, 5.7.9). A notification has exactly one.
type Event uint16

// The operations. Bit n of the specification's BIT STRING is 1<<n.
const (
	EventInstall Event = 1 << 0
	EventEnable  Event = 1 << 1
	EventDisable Event = 1 << 2
	EventDelete  Event = 1 << 3
)

// String lists the operations, for example "install".
func (e Event) String() string { return flags(uint16(e), "install", "enable", "disable", "delete") }

// MarshalText returns the text of String.
func (e Event) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Bits returns the contents octets of the shortest BIT STRING for e (ISO/IEC
// 8825-1, 11.2.2), for requests that ask for one kind of notification.
func (e Event) Bits() []byte { return bertlv.BitString(uint64(e)) }

// Notification is one entry of the card's list of reports (SGP.22
// NotificationMetadata, 5.7.9). Numbers start at 0 on some cards.
type Notification struct {
	Seq     int64
	Event   Event
	Address string // receiver; blanks around it are dropped, cards hold such
	ICCID   ICCID  // zero when the card does not say
}

// PendingNotification is a report that the card has signed, ready to be sent to
// its receiver (SGP.22 PendingNotification, 5.7.10).
type PendingNotification struct {
	Notification
	// Raw is the signed data object as it came: ES9+.HandleNotification takes
	// it unchanged.
	Raw []byte
	// Install is the decoded result of an installation, nil for other events.
	Install *InstallResult
}

// ParseNotification decodes a NotificationMetadata (tag BF2F).
func ParseNotification(b []byte) (Notification, error) {
	e, err := bertlv.Expect(b, 0xBF2F)
	if err != nil {
		return Notification{}, fmt.Errorf("notification: %w", err)
	}
	return parseNotification(e)
}

func parseNotification(e bertlv.Element) (Notification, error) {
	n := Notification{Seq: -1}
	for c, err := range e.Children() {
		if err == nil {
			err = n.set(c)
		}
		if err != nil {
			return Notification{}, fmt.Errorf("notification: %w", err)
		}
	}
	if n.Seq < 0 {
		return Notification{}, fmt.Errorf("notification: no sequence number")
	}
	return n, nil
}

func (n *Notification) set(e bertlv.Element) (err error) {
	switch e.Tag {
	case 0x80:
		if n.Seq, err = bertlv.Int(e.Value); err == nil && n.Seq < 0 {
			err = fmt.Errorf("negative sequence number")
		}
	case 0x81:
		var v uint16
		v, err = bertlv.Bits(e.Value)
		n.Event = Event(v)
	case 0x0C:
		err = text(&n.Address, e)
		n.Address = strings.TrimSpace(n.Address)
	case 0x5A:
		n.ICCID, err = ICCIDFromBytes(e.Value)
	}
	if err != nil {
		return fmt.Errorf("tag %s: %w", e.Tag, err)
	}
	return nil
}

// ParsePendingNotification decodes a signed report: a ProfileInstallationResult
// (tag BF37) or an OtherSignedNotification (tag 30). Raw is a copy of b.
func ParsePendingNotification(b []byte) (PendingNotification, error) {
	b = bytes.Clone(b)
	e, err := bertlv.Parse(b)
	if err != nil {
		return PendingNotification{}, fmt.Errorf("pending notification: %w", err)
	}
	switch e.Tag {
	case 0xBF37:
		r, err := ParseInstallResult(b)
		if err != nil {
			return PendingNotification{}, err
		}
		return PendingNotification{Notification: r.Notification, Raw: b, Install: &r}, nil
	case 0x30:
		m, ok := e.Find(0xBF2F)
		if !ok {
			return PendingNotification{}, fmt.Errorf("pending notification: it holds no notification metadata")
		}
		n, err := parseNotification(m)
		if err != nil {
			return PendingNotification{}, fmt.Errorf("pending %w", err)
		}
		return PendingNotification{Notification: n, Raw: b}, nil
	}
	return PendingNotification{}, fmt.Errorf("pending notification: unknown tag %s", e.Tag)
}

// InstallResult is the card's signed account of one installation (SGP.22
// ProfileInstallationResult, 2.5.6). It is also a pending notification.
type InstallResult struct {
	TransactionID TransactionID
	Notification  Notification
	OID           string // the SM-DP+'s, empty when absent
	// Success says that the profile is on the card. AID is then its ISD-P's.
	Success bool
	AID     []byte
	// Command and Reason say what failed.
	Command BPPCommand
	Reason  BPPReason
	// SIMA is the profile package interpreter's own answer, undecoded
	// (TCA Profile Interoperability, EUICCResponse).
	SIMA []byte
	// Raw is the whole data object as it came.
	Raw []byte
}

// ParseInstallResult decodes a ProfileInstallationResult (tag BF37). Nothing in
// the result aliases b.
func ParseInstallResult(b []byte) (InstallResult, error) {
	b = bytes.Clone(b)
	r := InstallResult{Raw: b}
	fail := func(err error) (InstallResult, error) {
		return InstallResult{}, fmt.Errorf("profile installation result: %w", err)
	}
	e, err := bertlv.Expect(b, 0xBF37)
	if err != nil {
		return fail(err)
	}
	data, ok := e.Find(0xBF27)
	if !ok {
		return fail(fmt.Errorf("no result data"))
	}
	var final, metadata bool
	for c, err := range data.Children() {
		if err != nil {
			return fail(err)
		}
		switch c.Tag {
		case 0x80:
			if r.TransactionID, err = NewTransactionID(c.Value); err != nil {
				return fail(err)
			}
		case 0xBF2F:
			if r.Notification, err = parseNotification(c); err != nil {
				return fail(err)
			}
			metadata = true
		case 0x06:
			r.OID = bertlv.OID(c.Value)
		case 0xA2:
			if err := r.final(c); err != nil {
				return fail(err)
			}
			final = true
		}
	}
	if !final || !metadata {
		return fail(fmt.Errorf("no final result or no notification metadata"))
	}
	return r, nil
}

func (r *InstallResult) final(e bertlv.Element) error {
	if ok, found := e.Find(0xA0); found {
		r.Success = true
		if aid, found := ok.Find(0x4F); found {
			r.AID = aid.Value
		}
		if sima, found := ok.Find(0x04); found {
			r.SIMA = sima.Value
		}
		return nil
	}
	bad, found := e.Find(0xA1)
	if !found {
		return fmt.Errorf("the final result is neither success nor error")
	}
	r.Command, r.Reason = -1, -1
	for c, err := range bad.Children() {
		if err != nil {
			return err
		}
		if c.Tag == 0x82 {
			r.SIMA = c.Value
			continue
		}
		n, err := bertlv.Int(c.Value)
		switch {
		case c.Tag != 0x80 && c.Tag != 0x81:
		case err != nil:
			return fmt.Errorf("error result: %w", err)
		case c.Tag == 0x80:
			r.Command = BPPCommand(n)
		default:
			r.Reason = BPPReason(n)
		}
	}
	return nil
}
