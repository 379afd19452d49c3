package es10

import (
	"bytes"
	"context"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// Version is a VersionType: major, minor and revision.
type Version [3]byte

// String returns the version as the specifications write it, "2.2.2".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// MarshalText returns the text of String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Before reports whether v is less than w.
func (v Version) Before(w Version) bool { return bytes.Compare(v[:], w[:]) < 0 }

// GetEUICCInfo1 reads what an SM-DP+ needs before it is authenticated (SGP.22
// 5.7.8, ES10b).
type GetEUICCInfo1 struct{}

// EUICCInfo1 is the answer to GetEUICCInfo1.
type EUICCInfo1 struct {
	SVN Version // highest version of SGP.22 that the card supports
	// VerificationCIs and SigningCIs are the subject key identifiers of the CI
	// keys that the card can verify with and has certificates under, in its
	// order of preference.
	VerificationCIs, SigningCIs [][]byte
	// Raw is the response as it came: ES9+.InitiateAuthentication takes it
	// unchanged.
	Raw []byte
}

// Bytes returns the encoded request.
func (GetEUICCInfo1) Bytes() []byte { return bertlv.Encode(0xBF20) }

// Execute sends the request to the card.
func (r GetEUICCInfo1) Execute(ctx context.Context, ch Channel) (*EUICCInfo1, error) {
	return execute[EUICCInfo1](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *EUICCInfo1) UnmarshalBinary(b []byte) error {
	b = bytes.Clone(b)
	e, err := expect("getEUICCInfo1", b, 0xBF20)
	if err != nil {
		return err
	}
	*r = EUICCInfo1{Raw: b}
	for c, err := range e.Children() {
		if err == nil {
			switch c.Tag {
			case 0x82:
				r.SVN, err = version(c)
			case 0xA9:
				r.VerificationCIs, err = keyIDs(c)
			case 0xAA:
				r.SigningCIs, err = keyIDs(c)
			}
		}
		if err != nil {
			return fmt.Errorf("getEUICCInfo1: %w", err)
		}
	}
	return nil
}

// GetEUICCInfo2 reads what the card is and can (SGP.22 5.7.8, ES10b).
type GetEUICCInfo2 struct{}

// EUICCInfo2 is the answer to GetEUICCInfo2.
type EUICCInfo2 struct {
	ProfileVersion Version // highest supported version of the profile package (SIMalliance, TCA)
	SVN            Version
	Firmware       Version
	// InstalledApps, FreeNVM and FreeRAM come from the extended card resource
	// information (ETSI TS 102 226, 8.2.1.7.2), the memories in bytes; -1 when
	// the card does not say.
	InstalledApps, FreeNVM, FreeRAM int64
	UICCCapability                  UICCCapability
	TS102241, GlobalPlatform        Version
	RSPCapability                   RSPCapability
	VerificationCIs, SigningCIs     [][]byte
	Category                        Category
	ForbiddenPPR                    euicc.PPR
	PPVersion                       Version // of the protection profile
	SASNumber                       string
	Certification                   Certification
	// The tamper resistant element that the eUICC is in, and further versions of
	// the profile package that it takes; since SGP.22 v2.3.
	TREProperties          TREProperties
	TREProductReference    string
	FurtherProfileVersions []Version
	// HighestSVN is a v3 card's, which gives a v2 number in SVN.
	HighestSVN Version
	// Extra are the data objects that this version does not know, among them
	// those that only SGP.22 v3 and SGP.32 define.
	Extra []bertlv.Element
	Raw   []byte
}

// Bytes returns the encoded request.
func (GetEUICCInfo2) Bytes() []byte { return bertlv.Encode(0xBF22) }

// Execute sends the request to the card.
func (r GetEUICCInfo2) Execute(ctx context.Context, ch Channel) (*EUICCInfo2, error) {
	return execute[EUICCInfo2](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *EUICCInfo2) UnmarshalBinary(b []byte) error {
	b = bytes.Clone(b)
	e, err := expect("getEUICCInfo2", b, 0xBF22)
	if err != nil {
		return err
	}
	*r = EUICCInfo2{Raw: b, InstalledApps: -1, FreeNVM: -1, FreeRAM: -1}
	for c, err := range e.Children() {
		if err == nil {
			err = r.set(c)
		}
		if err != nil {
			return fmt.Errorf("getEUICCInfo2: %w", err)
		}
	}
	return nil
}

func (r *EUICCInfo2) set(c bertlv.Element) (err error) {
	var n int64
	switch c.Tag {
	case 0x81:
		r.ProfileVersion, err = version(c)
	case 0x82:
		r.SVN, err = version(c)
	case 0x83:
		r.Firmware, err = version(c)
	case 0x84:
		err = r.resources(c)
	case 0x85:
		var v uint64
		v, err = bertlv.Bits64(c.Value)
		r.UICCCapability = UICCCapability(v)
	case 0x86:
		r.TS102241, err = version(c)
	case 0x87:
		r.GlobalPlatform, err = version(c)
	case 0x88:
		var v uint64
		v, err = bertlv.Bits64(c.Value)
		r.RSPCapability = RSPCapability(v)
	case 0xA9:
		r.VerificationCIs, err = keyIDs(c)
	case 0xAA:
		r.SigningCIs, err = keyIDs(c)
	case 0x8B:
		n, err = bertlv.Int(c.Value)
		r.Category = Category(n)
	case 0x99:
		var v uint16
		v, err = bertlv.Bits(c.Value)
		r.ForbiddenPPR = euicc.PPR(v)
	case 0x04:
		r.PPVersion, err = version(c)
	case 0x0C:
		r.SASNumber = utf8Text(c.Value)
	case 0xAC:
		err = r.Certification.set(c)
	case 0x8D:
		var v uint64
		v, err = bertlv.Bits64(c.Value)
		r.TREProperties = TREProperties(v)
	case 0x8E:
		r.TREProductReference = utf8Text(c.Value)
	case 0xAF:
		for v, verr := range c.Children() {
			if err = verr; err != nil {
				break
			}
			var further Version
			if further, err = version(v); err != nil {
				break
			}
			r.FurtherProfileVersions = append(r.FurtherProfileVersions, further)
		}
	case 0x93:
		r.HighestSVN, err = version(c)
	default:
		r.Extra = append(r.Extra, c)
	}
	if err != nil {
		return fmt.Errorf("tag %s: %w", c.Tag, err)
	}
	return nil
}

// resources decodes the extended card resource information: data objects 81
// (number of applications), 82 (free NVM) and 83 (free RAM), each a number of
// any length.
func (r *EUICCInfo2) resources(e bertlv.Element) error {
	for c, err := range e.Children() {
		if err != nil {
			return err
		}
		if len(c.Value) > 7 {
			return fmt.Errorf("number of %d bytes", len(c.Value))
		}
		var n int64
		for _, b := range c.Value {
			n = n<<8 | int64(b)
		}
		switch c.Tag {
		case 0x81:
			r.InstalledApps = n
		case 0x82:
			r.FreeNVM = n
		case 0x83:
			r.FreeRAM = n
		}
	}
	return nil
}

func version(e bertlv.Element) (Version, error) {
	if len(e.Value) != 3 {
		return Version{}, fmt.Errorf("version of %d bytes, not 3", len(e.Value))
	}
	return Version(e.Value), nil
}

func keyIDs(e bertlv.Element) ([][]byte, error) {
	var ids [][]byte
	for c, err := range e.Children() {
		if err != nil {
			return nil, err
		}
		if c.Tag == 0x04 {
			ids = append(ids, c.Value)
		}
	}
	return ids, nil
}
