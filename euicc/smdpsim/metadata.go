package smdpsim

import (
	"fmt"

	"dynamod/euicc/bertlv"
)

// Operation is a set of profile management operations, coded as the bits of
// NotificationEvent and its unused-bits octet leave them (SGP.22 annex H):
// the first bit is the highest.
type Operation byte

// The operations that a notification reports.
const (
	OpInstall Operation = 0x80
	OpEnable  Operation = 0x40
	OpDisable Operation = 0x20
	OpDelete  Operation = 0x10
)

// String names one operation.
func (o Operation) String() string {
	switch o {
	case OpInstall:
		return "install"
	case OpEnable:
		return "enable"
	case OpDisable:
		return "disable"
	case OpDelete:
		return "delete"
	}
	return fmt.Sprintf("operation %02X", byte(o))
}

// Class is a profile's class (SGP.22 annex H, ProfileClass).
type Class int

// The profile classes, with the usual one first.
const (
	ClassOperational Class = iota
	ClassTest
	ClassProvisioning
)

func (c Class) code() (int64, error) {
	switch c {
	case ClassTest:
		return 0, nil
	case ClassProvisioning:
		return 1, nil
	case ClassOperational:
		return 2, nil
	}
	return 0, fmt.Errorf("unknown profile class %d", int(c))
}

// PPR is a set of profile policy rules.
type PPR byte

// The rules (SGP.22 2.4.5.1), coded as the bits of PprIds.
const (
	PPR1 PPR = 0x40 // may not be disabled
	PPR2 PPR = 0x20 // may not be deleted
)

// IconType is the format of an icon.
type IconType int

// The formats of an icon, which has 64 x 64 pixels.
const (
	IconJPEG IconType = 0
	IconPNG  IconType = 1
)

// NotificationConfig asks the card for notifications of some operations.
type NotificationConfig struct {
	Operations Operation
	Address    string // receiver; the session's SM-DP+ address when empty
}

// Metadata is what StoreMetadata tells a card about a profile (SGP.22 5.5.3).
type Metadata struct {
	ICCID    string // digits; from the profile package when empty
	Provider string // serviceProviderName, at most 32 bytes
	Name     string // profileName, at most 64 bytes
	IconType IconType
	Icon     []byte // at most 1,024 bytes; none when empty
	Class    Class
	// Notifications: nil asks for enable, disable and delete to be reported to
	// the SM-DP+; an empty slice asks for none. Installation is always reported.
	Notifications []NotificationConfig
	// Owner is mccMnc as EF_IMSI-style BCD (3GPP TS 24.008), 3 bytes; with GID1 and
	// GID2 if set. Required for a profile with policy rules.
	Owner      []byte
	GID1, GID2 []byte
	Rules      PPR
	// Extra are further data objects, as a later SGP.22 may have: complete TLVs.
	Extra []byte
}

func (m *Metadata) check() error {
	if err := checkICCID(m.ICCID); err != nil {
		return err
	}
	if _, err := m.Class.code(); err != nil {
		return err
	}
	switch {
	case len(m.Provider) > 32:
		return fmt.Errorf("service provider name has %d bytes, at most 32 are allowed", len(m.Provider))
	case len(m.Name) > 64:
		return fmt.Errorf("profile name has %d bytes, at most 64 are allowed", len(m.Name))
	case len(m.Icon) > 1024:
		return fmt.Errorf("icon has %d bytes, at most 1024 are allowed", len(m.Icon))
	case m.Owner != nil && len(m.Owner) != 3:
		return fmt.Errorf("profile owner has %d bytes, want the 3 of MCC and MNC", len(m.Owner))
	case m.Rules != 0 && m.Owner == nil:
		return fmt.Errorf("policy rules need a profile owner")
	case bertlv.Check(m.Extra) != nil:
		return fmt.Errorf("extra data are no data objects")
	}
	for _, n := range m.Notifications {
		if n.Address != "" {
			if err := checkAddress(n.Address); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode returns the StoreMetadataRequest (BF25); address receives notifications
// that name no other.
func (m *Metadata) encode(address string) []byte {
	var b bertlv.Builder
	b.Open(0xBF25)
	b.Put(0x5A, packBCD(m.ICCID, 10, true))
	b.String(0x91, m.Provider)
	b.String(0x92, m.Name)
	if len(m.Icon) > 0 {
		b.Int(0x93, int64(m.IconType))
		b.Put(0x94, m.Icon)
	}
	class, _ := m.Class.code() // checked when the order was added
	b.Int(0x95, class)
	notifications := m.Notifications
	if notifications == nil {
		notifications = []NotificationConfig{{Operations: OpEnable}, {Operations: OpDisable}, {Operations: OpDelete}}
	}
	if len(notifications) > 0 {
		b.Open(0xB6)
		for _, n := range notifications {
			to := n.Address
			if to == "" {
				to = address
			}
			b.Open(0x30).Put(0x80, bits(byte(n.Operations))).String(0x81, to).Close()
		}
		b.Close()
	}
	if m.Owner != nil {
		b.Open(0xB7).Put(0x80, m.Owner)
		if m.GID1 != nil {
			b.Put(0x81, m.GID1)
		}
		if m.GID2 != nil {
			b.Put(0x82, m.GID2)
		}
		b.Close()
	}
	if m.Rules != 0 {
		b.Put(0x99, bits(byte(m.Rules)))
	}
	b.Raw(m.Extra)
	return b.Close().Bytes()
}

// bits codes a named BIT STRING of up to eight bits as DER wants it: without
// trailing zero bits.
func bits(v byte) []byte {
	if v == 0 {
		return []byte{0}
	}
	unused := byte(0)
	for v>>unused&1 == 0 {
		unused++
	}
	return []byte{unused, v}
}
