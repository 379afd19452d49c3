package euiccsim

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// PolicyRules are profile policy rules, the bits of PprIds (SGP.22, 2.9).
type PolicyRules byte

// The policy rules of SGP.22 v2.
const (
	PPR1 PolicyRules = 0x40 // disabling of this profile is not allowed
	PPR2 PolicyRules = 0x20 // deletion of this profile is not allowed
)

// bits encodes the rules as a BIT STRING value.
func (r PolicyRules) bits() []byte { return bitString(byte(r)) }

// AuthorisationRule is a line of the rules authorisation table (SGP.22, 2.9.2).
type AuthorisationRule struct {
	Rules           PolicyRules
	Operators       []Operator
	ConsentRequired bool
}

// Operator names a profile owner: MCC and MNC as 3GPP TS 24.008 codes them, with
// E for any digit, and optional GIDs.
type Operator struct {
	PLMN       [3]byte
	GID1, GID2 []byte
}

// AnyOperator matches every profile owner.
var AnyOperator = Operator{PLMN: [3]byte{0xEE, 0xEE, 0xEE}}

func (o Operator) matches(owner bertlv.Element) bool {
	plmn := value(owner, 0x80)
	if o.PLMN != AnyOperator.PLMN {
		if len(plmn) != 3 {
			return false
		}
		for i := range plmn {
			for _, shift := range [2]byte{0, 4} {
				want, have := o.PLMN[i]>>shift&0xF, plmn[i]>>shift&0xF
				if want != 0xE && want != have {
					return false
				}
			}
		}
	}
	return (o.GID1 == nil || bytes.Equal(o.GID1, value(owner, 0x81))) &&
		(o.GID2 == nil || bytes.Equal(o.GID2, value(owner, 0x82)))
}

// bitString encodes up to eight named bits: unused bits, then the byte; an empty
// string when none is set (X.690, 11.2.2).
func bitString(b byte) []byte {
	if b == 0 {
		return []byte{0}
	}
	unused := byte(0)
	for b>>unused&1 == 0 {
		unused++
	}
	return []byte{unused, b}
}

// namedBits returns the first byte of a BIT STRING value.
func namedBits(v []byte) byte {
	if len(v) < 2 || v[0] > 7 {
		return 0
	}
	return v[1]
}

// svn is the version of SGP.22 that the card shows.
func (c *Card) svn() []byte {
	if c.cfg.Version == "2.2" {
		return []byte{2, 2, 0}
	}
	return []byte{2, 5, 0}
}

// putRoots writes the lists of CI Public Key Identifiers.
func (c *Card) putRoots(b *bertlv.Builder) {
	b.Open(0xA9)
	for _, ci := range c.cfg.CI {
		b.Put(0x04, ci.SubjectKeyId)
	}
	b.Close().Open(0xAA).Put(0x04, c.cfg.EUM.AuthorityKeyId).Close()
}

// info1 is ES10b.GetEUICCInfo, EUICCInfo1 (SGP.22, 5.7.8).
func (c *Card) info1() []byte {
	var b bertlv.Builder
	b.Open(tagGetEUICCInfo1).Put(0x82, c.svn())
	c.putRoots(&b)
	c.putSurplus(&b)
	return b.Close().Bytes()
}

// putSurplus ends an answer with what a reader of SGP.22 v2 has to pass over.
func (c *Card) putSurplus(b *bertlv.Builder) {
	if c.behaviour.Surplus {
		b.Put(0x9F7E, []byte{0x2A}).Open(0xBF7E).Put(0x80, nil).Put(0x0C, []byte("later")).Close()
	}
}

// freeNVM is the memory that is left for a profile.
func (c *Card) freeNVM() int {
	if c.behaviour.NoMemory {
		return 0
	}
	return max(0, c.cfg.NVM-c.nv.used())
}

// info2 is ES10b.GetEUICCInfo, EUICCInfo2 (SGP.22, 5.7.8).
func (c *Card) info2() []byte {
	var b bertlv.Builder
	b.Open(tagGetEUICCInfo2)
	if c.cfg.Version == "2.2" {
		b.Put(0x81, []byte{2, 1, 0}) // profile package version
	} else {
		b.Put(0x81, []byte{2, 3, 1})
	}
	b.Put(0x82, c.svn())
	b.Put(0x83, []byte{1, 0, 0}) // firmware

	// Extended card resources: number of applications, free non-volatile and
	// volatile memory (ETSI TS 102 226, 8.2.1.7.2).
	res := bertlv.Encode(0x81, []byte{byte(len(c.nv.Profiles))})
	res = bertlv.Append(res, 0x82, binary.BigEndian.AppendUint32(nil, uint32(c.freeNVM())))
	res = bertlv.Append(res, 0x83, binary.BigEndian.AppendUint32(nil, 8<<10))
	b.Put(0x84, res)

	// USIM, ISIM, CSIM, Milenage, TUAK-128; GBA in USIM and ISIM, Java Card.
	b.Put(0x85, []byte{0x01, 0x7A, 0x32})
	b.Put(0x86, []byte{3, 0, 5})
	b.Put(0x87, []byte{2, 3, 0})
	capability := byte(0x10) // test profiles
	if c.freeNVM() > profileOverhead {
		capability |= 0x80 // room for at least one more profile
	}
	if c.cfg.Version != "2.2" {
		capability |= 0x08 // deviceInfo may have fields that the card does not know
	}
	b.Put(0x88, bitString(capability))
	c.putRoots(&b)
	b.Int(0x8B, 2) // category: medium eUICC
	if c.cfg.Forbidden != 0 {
		b.Put(0x99, c.cfg.Forbidden.bits())
	}
	b.Put(0x04, []byte{1, 0, 0}) // protection profile version
	b.String(0x0C, "DY-LAB-SIM-0001")
	if c.cfg.Version != "2.2" {
		b.Open(0xAC).String(0x80, "1.2.840.1234567/dynamodLabCard").String(0x81, "https://dloa.lab.test").Close()
	}
	c.putSurplus(&b)
	return b.Close().Bytes()
}

// addresses is ES10a.GetEuiccConfiguredAddresses (SGP.22, 5.7.3).
func (c *Card) addresses() []byte {
	var b bertlv.Builder
	b.Open(tagGetAddresses)
	if c.nv.DefaultDP != "" {
		b.String(0x80, c.nv.DefaultDP)
	}
	b.String(0x81, c.cfg.RootDS)
	c.putSurplus(&b)
	return b.Close().Bytes()
}

// setDefaultDP is ES10a.SetDefaultDpAddress (SGP.22, 5.7.4). An empty address
// removes it.
func (c *Card) setDefaultDP(e bertlv.Element) ([]byte, apdu.Status) {
	address := value(e, 0x80)
	if address == nil || len(address) > 255 || !utf8.Valid(address) {
		return result(tagSetDefaultDP, undefinedError), swOK
	}
	next := c.nv.clone()
	next.DefaultDP = string(address)
	if c.commit(next) != nil {
		return nil, swMemory
	}
	return result(tagSetDefaultDP, 0), swOK
}

// getEID is ES10c.GetEID (SGP.22, 5.7.20).
func (c *Card) getEID(e bertlv.Element) ([]byte, apdu.Status) {
	if !bytes.Equal(value(e, 0x5C), []byte{0x5A}) {
		return nil, swWrongData
	}
	return new(bertlv.Builder).Open(tagGetEUICCData).Put(0x5A, c.eid).Close().Bytes(), swOK
}

// getRAT is ES10b.GetRAT (SGP.22, 5.7.22).
func (c *Card) getRAT() []byte {
	var b bertlv.Builder
	b.Open(tagGetRAT).Open(0xA0)
	for _, r := range c.cfg.RAT {
		b.Open(0x30).Put(0x80, r.Rules.bits()).Open(0xA1)
		for _, o := range r.Operators {
			b.Open(0x30).Put(0x80, o.PLMN[:])
			if o.GID1 != nil {
				b.Put(0x81, o.GID1)
			}
			if o.GID2 != nil {
				b.Put(0x82, o.GID2)
			}
			b.Close()
		}
		b.Close()
		var flags byte
		if r.ConsentRequired {
			flags = 0x80
		}
		b.Put(0x82, bitString(flags)).Close()
	}
	return b.Close().Close().Bytes()
}

// allowed reports whether a profile of this owner may have the rules: each one
// must stand in a line of the RAT for it and not be forbidden (SGP.22, 2.9.2).
func (c *Card) allowed(rules PolicyRules, owner bertlv.Element) bool {
	if rules&c.cfg.Forbidden != 0 {
		return false
	}
	for _, rule := range [...]PolicyRules{PPR1, PPR2} {
		if rules&rule == 0 {
			continue
		}
		found := false
		for _, line := range c.cfg.RAT {
			if line.Rules&rule == 0 {
				continue
			}
			for _, o := range line.Operators {
				found = found || o.matches(owner)
			}
		}
		if !found {
			return false
		}
	}
	return true
}
