package euicc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"dynamod/euicc/bertlv"
)

// State says whether a profile is the one in use (SGP.22 ProfileState, 5.7.15).
type State int

// The states of a profile.
const (
	Disabled State = 0
	Enabled  State = 1
)

// String returns "disabled" or "enabled".
func (s State) String() string { return named(int(s), "disabled", "enabled") }

// MarshalText returns the text of String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Class is what a profile is for (SGP.22 ProfileClass, 5.7.15).
type Class int

// The classes of profile. Operational is what is meant where a card or server
// leaves the class out.
const (
	ClassTest         Class = 0
	ClassProvisioning Class = 1
	ClassOperational  Class = 2
)

// String returns "test", "provisioning" or "operational".
func (c Class) String() string { return named(int(c), "test", "provisioning", "operational") }

// MarshalText returns the text of String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func named(n int, names ...string) string {
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("unknown(%d)", n)
}

// PPR is a set of profile policy rules (SGP.22 PprIds, 2.8.1).
type PPR uint16

// The profile policy rules. Bit n of the specification's BIT STRING is 1<<n.
const (
	PPRUpdateControl PPR = 1 << 0 // the rules can be changed over ES6
	PPR1             PPR = 1 << 1 // disabling the profile is not allowed
	PPR2             PPR = 1 << 2 // deleting the profile is not allowed
)

// Has reports whether all of the given rules are set.
func (p PPR) Has(rules PPR) bool { return p&rules == rules }

// String lists the rules, for example "ppr1+ppr2"; it is empty for none.
func (p PPR) String() string {
	return flags(uint16(p), "pprUpdateControl", "ppr1", "ppr2", "ppr3")
}

// MarshalText returns the text of String.
func (p PPR) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func flags(v uint16, names ...string) string {
	return strings.Join(bertlv.BitNames(uint64(v), names...), "+")
}

// Operator names the owner of a profile (SGP.22 OperatorId).
type Operator struct {
	MCC, MNC   string // digits; MNC keeps its length, 2 and 3 differ
	GID1, GID2 []byte // contents of EF_GID1 and EF_GID2, nil when absent
}

// PLMN returns MCC and MNC in one string.
func (o Operator) PLMN() string { return o.MCC + o.MNC }

// ParseOperator decodes the data objects inside an OperatorId.
func ParseOperator(value []byte) (Operator, error) {
	var o Operator
	for e, err := range bertlv.List(value) {
		if err != nil {
			return Operator{}, fmt.Errorf("profile owner: %w", err)
		}
		switch e.Tag {
		case 0x80:
			if len(e.Value) != 3 {
				return Operator{}, fmt.Errorf("profile owner: MCC and MNC of %d bytes", len(e.Value))
			}
			// 3GPP TS 24.008, 10.5.1.13: MCC1 low, MCC2 high, MCC3 low, MNC3
			// high or F, MNC1 low, MNC2 high.
			v := e.Value
			o.MCC = nibbles(v[0]&15, v[0]>>4, v[1]&15)
			o.MNC = nibbles(v[2]&15, v[2]>>4, v[1]>>4)
		case 0x81:
			o.GID1 = bytes.Clone(e.Value)
		case 0x82:
			o.GID2 = bytes.Clone(e.Value)
		}
	}
	return o, nil
}

func nibbles(ns ...byte) string {
	var s []byte
	for _, n := range ns {
		if n != 0xF {
			s = append(s, "0123456789ABCDEF"[n])
		}
	}
	return string(s)
}

// NotificationConfig says where the card reports which operations to (SGP.22
// NotificationConfigurationInformation).
type NotificationConfig struct {
	Events  Event
	Address string
}

// IconType is the format of a profile's icon.
type IconType int

// The formats of an icon.
const (
	IconJPG IconType = 0
	IconPNG IconType = 1
)

// String returns "jpg" or "png".
func (t IconType) String() string { return named(int(t), "jpg", "png") }

// IconMediaType returns what kind of image the icon is, by its first bytes and
// else by the type that came with it, which servers do not always get right:
// "image/png" or "image/jpeg"; "" without icon.
func (m Metadata) IconMediaType() string {
	switch {
	case len(m.Icon) == 0:
		return ""
	case bytes.HasPrefix(m.Icon, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(m.Icon, []byte{0xFF, 0xD8, 0xFF}), m.IconType == IconJPG:
		return "image/jpeg"
	}
	return "image/png"
}

// Profile is one profile on the card (SGP.22 ProfileInfo, 5.7.15).
type Profile struct {
	ICCID    ICCID
	AID      []byte // of its ISD-P
	State    State
	Nickname string // given by the user
	Metadata        // given by the operator; its ICCID is the same
	// DPProprietary is the SM-DP+'s own data (tag B8), undecoded.
	DPProprietary []byte
}

// Metadata is what the server says about a profile before the download, and the
// card afterwards (SGP.22 StoreMetadataRequest 5.5.3, ProfileInfo 5.7.15).
type Metadata struct {
	ICCID           ICCID
	ServiceProvider string
	Name            string
	Class           Class
	IconType        IconType
	Icon            []byte // nil when there is none
	Notifications   []NotificationConfig
	Owner           Operator
	PPR             PPR
	// Extra are the data objects that this version does not know, as they came.
	Extra []bertlv.Element
}

// limits of SGP.22's ASN.1. Servers exceed the lengths of names, so those are
// only bounded against nonsense.
const (
	maxName = 255
	maxIcon = 16 << 10
)

// ParseMetadata decodes a StoreMetadataRequest (tag BF25). Nothing in the result
// aliases b.
func ParseMetadata(b []byte) (Metadata, error) {
	e, err := bertlv.Expect(b, 0xBF25)
	if err != nil {
		return Metadata{}, fmt.Errorf("profile metadata: %w", err)
	}
	m := Metadata{Class: ClassOperational}
	for c, err := range e.Children() {
		if err == nil {
			err = m.set(c)
		}
		if err != nil {
			return Metadata{}, fmt.Errorf("profile metadata: %w", err)
		}
	}
	if m.ICCID.IsZero() {
		return Metadata{}, fmt.Errorf("profile metadata: %w: there is none", ErrICCID)
	}
	return m, nil
}

// ParseProfile decodes a ProfileInfo (tag E3). Nothing in the result aliases b.
func ParseProfile(b []byte) (Profile, error) {
	e, err := bertlv.Expect(b, 0xE3)
	if err != nil {
		return Profile{}, fmt.Errorf("profile: %w", err)
	}
	p := Profile{Metadata: Metadata{Class: ClassOperational}}
	for c, err := range e.Children() {
		if err == nil {
			err = p.set(c)
		}
		if err != nil {
			return Profile{}, fmt.Errorf("profile: %w", err)
		}
	}
	p.ICCID = p.Metadata.ICCID
	return p, nil
}

func (p *Profile) set(e bertlv.Element) error {
	switch e.Tag {
	case 0x4F:
		p.AID = bytes.Clone(e.Value)
	case 0x9F70:
		n, err := bertlv.Int(e.Value)
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
		p.State = State(n)
	case 0x90:
		return text(&p.Nickname, e)
	case 0xB8:
		p.DPProprietary = bytes.Clone(e.Raw)
	default:
		return p.Metadata.set(e)
	}
	return nil
}

func (m *Metadata) set(e bertlv.Element) (err error) {
	switch e.Tag {
	case 0x5A:
		m.ICCID, err = ICCIDFromBytes(e.Value)
	case 0x91:
		err = text(&m.ServiceProvider, e)
	case 0x92:
		err = text(&m.Name, e)
	case 0x93:
		var n int64
		n, err = bertlv.Int(e.Value)
		m.IconType = IconType(n)
	case 0x94:
		if len(e.Value) > maxIcon {
			return fmt.Errorf("icon of %d bytes, more than %d", len(e.Value), maxIcon)
		}
		// Some servers send the tag with nothing in it.
		if len(e.Value) > 0 {
			m.Icon = bytes.Clone(e.Value)
		}
	case 0x95:
		var n int64
		n, err = bertlv.Int(e.Value)
		m.Class = Class(n)
	case 0xB6:
		m.Notifications, err = notificationConfigs(e)
	case 0xB7:
		m.Owner, err = ParseOperator(e.Value)
	case 0x99:
		var v uint16
		v, err = bertlv.Bits(e.Value)
		m.PPR = PPR(v)
	default:
		raw := bytes.Clone(e.Raw)
		e, err = bertlv.Parse(raw)
		m.Extra = append(m.Extra, e)
	}
	if err != nil {
		return fmt.Errorf("tag %s: %w", e.Tag, err)
	}
	return nil
}

func notificationConfigs(e bertlv.Element) ([]NotificationConfig, error) {
	var list []NotificationConfig
	for c, err := range e.Children() {
		if err != nil {
			return nil, err
		}
		var n NotificationConfig
		for f, err := range c.Children() {
			if err != nil {
				return nil, err
			}
			switch f.Tag {
			case 0x80:
				v, err := bertlv.Bits(f.Value)
				if err != nil {
					return nil, err
				}
				n.Events = Event(v)
			case 0x81:
				if err := text(&n.Address, f); err != nil {
					return nil, err
				}
				n.Address = strings.TrimSpace(n.Address)
			}
		}
		list = append(list, n)
	}
	return list, nil
}

// text stores a UTF8String. What is not UTF-8, as some operators' names are not,
// is mended and not refused.
func text(dst *string, e bertlv.Element) error {
	if len(e.Value) > maxName {
		return fmt.Errorf("text of %d bytes, more than %d", len(e.Value), maxName)
	}
	*dst = strings.ToValidUTF8(string(e.Value), "\uFFFD")
	return nil
}

// Equal reports whether m and n say the same about a profile. The order of their
// data objects does not matter.
func (m Metadata) Equal(n Metadata) bool {
	return m.ICCID == n.ICCID && m.ServiceProvider == n.ServiceProvider && m.Name == n.Name &&
		m.Class == n.Class && m.PPR == n.PPR && bytes.Equal(m.Icon, n.Icon) &&
		m.Owner.PLMN() == n.Owner.PLMN() && bytes.Equal(m.Owner.GID1, n.Owner.GID1) && bytes.Equal(m.Owner.GID2, n.Owner.GID2) &&
		slices.Equal(m.Notifications, n.Notifications) &&
		slices.EqualFunc(m.Extra, n.Extra, func(a, b bertlv.Element) bool { return bytes.Equal(a.Raw, b.Raw) })
}
