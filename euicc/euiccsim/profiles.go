package euiccsim

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// Class is a profile's class (SGP.22, 5.7.15).
type Class byte

// The classes of SGP.22.
const (
	ClassTest Class = iota
	ClassProvisioning
	ClassOperational
)

// String names the class as SGP.22 does.
func (c Class) String() string {
	switch c {
	case ClassTest:
		return "test"
	case ClassProvisioning:
		return "provisioning"
	case ClassOperational:
		return "operational"
	}
	return fmt.Sprintf("class %d", byte(c))
}

// Profile is an installed profile as the card knows it.
type Profile struct {
	ICCID    string // digits without padding
	AID      []byte // of its ISD-P
	Enabled  bool
	Class    Class
	Name     string // profileName of the metadata
	Provider string // serviceProviderName of the metadata
	Nickname string
	Package  []byte   // unprotected profile package, as decrypted
	SHA256   [32]byte // of Package
	Metadata []byte   // StoreMetadataRequest, tag BF25, as received
}

// Installed returns the profiles on the card in the order of their installation.
func (c *Card) Installed() []Profile {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Profile, 0, len(c.nv.Profiles))
	for _, p := range c.nv.Profiles {
		m, _ := parseMetadata(p.Metadata)
		out = append(out, Profile{
			ICCID: digits(p.ICCID), AID: bytes.Clone(p.AID), Enabled: p.Enabled, Class: m.class,
			Name: m.name, Provider: m.provider, Nickname: p.Nickname,
			Package: bytes.Clone(p.UPP), SHA256: sha256.Sum256(p.UPP), Metadata: bytes.Clone(p.Metadata),
		})
	}
	return out
}

// Preload puts a profile on the card as its maker would: no session, no
// notification. The metadata is a StoreMetadataRequest, see Metadata; its ICCID
// must be the package's. An enabled one takes the place of the one that was, and
// shows its files at once.
func (c *Card) Preload(upp, metadata []byte, enable bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := parseMetadata(metadata)
	if err != nil {
		return fmt.Errorf("cannot preload profile: %w", err)
	}
	fs, pe := parsePackage(upp)
	if pe != nil {
		return fmt.Errorf("cannot preload profile: %w", pe)
	}
	if ef := fs.mf.child(0x2FE2); ef == nil || !bytes.Equal(ef.data, m.iccid) {
		return errors.New("cannot preload profile: ICCID of the package is not the metadata's")
	}
	if c.nv.byICCID(m.iccid) != nil {
		return fmt.Errorf("cannot preload profile: %s is on the card already", short(digits(m.iccid)))
	}
	next := c.nv.clone()
	p := &profile{AID: next.newAID(), ICCID: m.iccid, Metadata: bytes.Clone(metadata), UPP: bytes.Clone(upp), Factory: true}
	next.Profiles = append(next.Profiles, p)
	if next.used() > c.cfg.NVM {
		return errors.New("cannot preload profile: no memory")
	}
	if enable {
		if old := next.enabled(); old != nil {
			old.Enabled = false
		}
		p.Enabled = true
	}
	if err := c.commit(next); err != nil {
		return fmt.Errorf("cannot preload profile: %w", err)
	}
	if enable {
		c.showFiles()
	}
	return nil
}

// metadata is a decoded StoreMetadataRequest (SGP.22, 5.5.3).
type metadata struct {
	iccid          []byte
	provider, name string
	class          Class
	rules          PolicyRules
	owner          bertlv.Element
	notify         []notifyConfig
	all            bertlv.Element
}

type notifyConfig struct {
	events  Event
	address string
}

func (p *profile) class() Class {
	m, _ := parseMetadata(p.Metadata)
	return m.class
}

func (p *profile) rules() PolicyRules {
	m, _ := parseMetadata(p.Metadata)
	return m.rules
}

func parseMetadata(b []byte) (metadata, error) {
	m := metadata{class: ClassOperational}
	e, err := bertlv.Expect(b, tagStoreMetadata)
	if err == nil {
		err = bertlv.Check(e.Value)
	}
	if err != nil {
		return m, fmt.Errorf("malformed metadata: %w", err)
	}
	m.all = e
	if m.iccid = bytes.Clone(value(e, tagICCID)); len(m.iccid) != 10 {
		return m, errors.New("malformed metadata: no ICCID of 10 bytes")
	}
	provider, name := value(e, 0x91), value(e, 0x92)
	if provider == nil || name == nil || len(provider) > 32 || len(name) > 64 || !utf8.Valid(provider) || !utf8.Valid(name) {
		return m, errors.New("malformed metadata: service provider or profile name")
	}
	m.provider, m.name = string(provider), string(name)
	icon, iconType := value(e, 0x94), value(e, 0x93)
	if len(icon) > 1024 || icon != nil && iconType == nil {
		return m, errors.New("malformed metadata: icon")
	}
	if v := value(e, 0x95); v != nil {
		if len(v) != 1 {
			return m, errors.New("malformed metadata: profile class")
		}
		m.class = Class(v[0])
	}
	m.rules = PolicyRules(namedBits(value(e, 0x99)))
	m.owner, _ = e.Find(0xB7)
	if list, ok := e.Find(0xB6); ok {
		for c, err := range list.Children() {
			if err != nil || c.Tag != 0x30 || len(m.notify) == 64 {
				return m, errors.New("malformed metadata: notification configuration")
			}
			address := value(c, 0x81)
			if address == nil || !utf8.Valid(address) {
				return m, errors.New("malformed metadata: notification address")
			}
			m.notify = append(m.notify, notifyConfig{Event(namedBits(value(c, 0x80))), string(address)})
		}
	}
	return m, nil
}

// defaultTags are what GetProfilesInfo returns without a tag list (SGP.22, 5.7.15).
var defaultTags = []bertlv.Tag{tagICCID, tagAID, 0x9F70, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95}

// getProfilesInfo is ES10c.GetProfilesInfo (SGP.22, 5.7.15).
func (c *Card) getProfilesInfo(e bertlv.Element) []byte {
	incorrect := new(bertlv.Builder).Open(tagGetProfilesInfo).Int(0x81, 1).Close().Bytes()
	if bertlv.Check(e.Value) != nil {
		return incorrect
	}
	tags := defaultTags
	if list := value(e, 0x5C); list != nil {
		tags = nil
		for len(list) > 0 {
			tag, n := tagAt(list)
			if n == 0 || len(tags) == 256 {
				return incorrect
			}
			tags, list = append(tags, tag), list[n:]
		}
	}
	match := func(*profile) bool { return true }
	if criteria, ok := e.Find(0xA0); ok {
		k, err := bertlv.Parse(criteria.Value)
		if err != nil {
			return incorrect
		}
		switch k.Tag {
		case tagAID:
			match = func(p *profile) bool { return bytes.Equal(p.AID, k.Value) }
		case tagICCID:
			match = func(p *profile) bool { return bytes.Equal(p.ICCID, k.Value) }
		case 0x95:
			match = func(p *profile) bool { return len(k.Value) == 1 && p.class() == Class(k.Value[0]) }
		default:
			return incorrect
		}
	}
	var b bertlv.Builder
	b.Open(tagGetProfilesInfo).Open(0xA0)
	for _, p := range c.nv.Profiles {
		if match(p) {
			p.info(&b, tags)
			c.putSurplus(&b)
			b.Close()
		}
	}
	return b.Close().Close().Bytes()
}

// tagAt reads one tag of a tag list; 0 bytes when it is malformed.
func tagAt(b []byte) (bertlv.Tag, int) {
	tag, n := bertlv.Tag(b[0]), 1
	if b[0]&0x1F != 0x1F {
		return tag, n
	}
	for n < len(b) && n < 4 {
		tag = tag<<8 | bertlv.Tag(b[n])
		n++
		if b[n-1]&0x80 == 0 {
			return tag, n
		}
	}
	return 0, 0
}

// info begins ProfileInfo with the given tags; the caller closes it.
func (p *profile) info(b *bertlv.Builder, tags []bertlv.Tag) {
	m, _ := parseMetadata(p.Metadata)
	b.Open(0xE3)
	for _, tag := range tags {
		switch tag {
		case tagICCID:
			b.Put(tag, p.ICCID)
		case tagAID:
			b.Put(tag, p.AID)
		case 0x9F70:
			state := int64(0)
			if p.Enabled {
				state = 1
			}
			b.Int(tag, state)
		case 0x90:
			if p.Nickname != "" {
				b.String(tag, p.Nickname)
			}
		case 0x95:
			b.Int(tag, int64(m.class))
		case 0xB8:
			b.Raw(p.DPOID)
		case 0x91, 0x92, 0x93, 0x94, 0xB6, 0xB7, 0x99:
			if f, ok := m.all.Find(tag); ok {
				b.Raw(f.Raw)
			}
		}
	}
}

// setNickname is ES10c.SetNickname (SGP.22, 5.7.21).
func (c *Card) setNickname(e bertlv.Element) ([]byte, apdu.Status) {
	nick := value(e, 0x90)
	if nick == nil || len(nick) > 64 || !utf8.Valid(nick) {
		return result(tagSetNickname, undefinedError), swOK
	}
	next := c.nv.clone()
	p := next.byICCID(value(e, tagICCID))
	if p == nil {
		return result(tagSetNickname, 1), swOK
	}
	p.Nickname = string(nick)
	if c.commit(next) != nil {
		return nil, swMemory
	}
	return result(tagSetNickname, 0), swOK
}

// Metadata is what Preload needs to know about a profile.
type Metadata struct {
	ICCID          string // 18 to 20 digits
	Provider, Name string
	Class          Class
	Rules          PolicyRules
	Notify         string // address for the notifications of all events; none when empty
}

// Encode returns the StoreMetadataRequest (SGP.22, 5.5.3).
func (m Metadata) Encode() ([]byte, error) {
	if len(m.ICCID) < 18 || len(m.ICCID) > 20 {
		return nil, fmt.Errorf("ICCID of %d digits, want 18 to 20", len(m.ICCID))
	}
	iccid := bytes.Repeat([]byte{0xFF}, 10)
	for i, d := range []byte(m.ICCID) {
		if d < '0' || d > '9' {
			return nil, fmt.Errorf("ICCID: character %d is no digit", i+1)
		}
		shift := 4 * (i % 2)
		iccid[i/2] = iccid[i/2]&^(0xF<<shift) | (d-'0')<<shift
	}
	var b bertlv.Builder
	b.Open(tagStoreMetadata).Put(tagICCID, iccid).String(0x91, m.Provider).String(0x92, m.Name).Int(0x95, int64(m.Class))
	if m.Notify != "" {
		b.Open(0xB6).Open(0x30).Put(0x80, bitString(0xF0)).String(0x81, m.Notify).Close().Close()
	}
	if m.Rules != 0 {
		b.Put(0x99, m.Rules.bits())
	}
	out := b.Close().Bytes()
	_, err := parseMetadata(out)
	return out, err
}
