package smdpsim

import (
	"errors"
	"fmt"
	"strings"

	"dynamod/euicc/bertlv"
)

// ProfileData is what TestProfile personalises.
type ProfileData struct {
	ICCID     string // 18 to 20 digits
	IMSI      string // 6 to 15 digits
	MNCDigits int    // 2 or 3; 2 when 0
	SPN       string // service provider name, at most 16 bytes of ASCII
	PIN       string // 4 to 8 digits, which the modem asks for; "" disables it
	GID1      []byte // group identifier level 1; FF FF when empty
	Filler    int    // bytes of a non-standard element, to make the package larger
}

// templateMF, templateUSIM and templateOptUSIM are the file system templates
// 2.23.143.1.2.1, .4 and .5 of the TCA Profile Package specification.
var (
	templateMF      = []byte{0x67, 0x81, 0x0F, 0x01, 0x02, 0x01}
	templateUSIM    = []byte{0x67, 0x81, 0x0F, 0x01, 0x02, 0x04}
	templateOptUSIM = []byte{0x67, 0x81, 0x0F, 0x01, 0x02, 0x05}
)

// The key and OPc of 3GPP TS 35.207 test set 1: public, for a test network.
var (
	testKey = []byte{0x46, 0x5B, 0x5C, 0xE8, 0xB1, 0x99, 0xB4, 0x9F, 0xAA, 0x5F, 0x0A, 0x2E, 0xE2, 0x38, 0xA6, 0xBC}
	testOPc = []byte{0xCD, 0x63, 0xCB, 0x71, 0x95, 0x4A, 0x9F, 0x4E, 0x48, 0xA5, 0x99, 0x4E, 0x37, 0xA0, 0x2B, 0xAF}
)

// TestProfile makes a small unprotected profile package (TCA eUICC Profile
// Package 2.1, PEDefinitions): header, MF with EF_ICCID, PUK, PIN, USIM, optional
// USIM files with EF_GID1, Milenage with test keys, end. A profile of the test
// network 001-01 needs an IMSI that begins with 00101.
func TestProfile(d ProfileData) ([]byte, error) {
	if err := checkICCID(d.ICCID); err != nil {
		return nil, err
	}
	if d.MNCDigits == 0 {
		d.MNCDigits = 2
	}
	if d.GID1 == nil {
		d.GID1 = []byte{0xFF, 0xFF}
	}
	switch {
	case len(d.IMSI) < 6 || len(d.IMSI) > 15 || strings.Trim(d.IMSI, "0123456789") != "":
		return nil, fmt.Errorf("IMSI of %d characters, want 6 to 15 digits", len(d.IMSI))
	case d.MNCDigits != 2 && d.MNCDigits != 3:
		return nil, fmt.Errorf("MNC of %d digits, want 2 or 3", d.MNCDigits)
	case len(d.SPN) > 16 || strings.ContainsFunc(d.SPN, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, errors.New("service provider name is not at most 16 characters of ASCII")
	case d.PIN != "" && (len(d.PIN) < 4 || len(d.PIN) > 8 || strings.Trim(d.PIN, "0123456789") != ""):
		return nil, errors.New("PIN is not 4 to 8 digits")
	case len(d.GID1) > 20:
		return nil, fmt.Errorf("GID1 has %d bytes, at most 20 are allowed", len(d.GID1))
	case d.Filler < 0 || d.Filler > MaxUPP/2:
		return nil, fmt.Errorf("filler of %d bytes is not within 0 to %d", d.Filler, MaxUPP/2)
	}
	p := &profileBuilder{}
	p.header(d)
	p.mf(d)
	p.codes(d)
	p.usim(d)
	p.optUSIM(d)
	p.aka()
	if d.Filler > 0 {
		p.open(0xA9, false)
		p.Put(0x81, []byte{0x88, 0x37, 0x0A}) // issuer 2.999.10
		p.Put(0x82, make([]byte, d.Filler))
		p.Close()
	}
	p.open(0xAA, true)
	p.Close()
	return p.Bytes(), nil
}

// profileBuilder numbers the profile elements as it writes them.
type profileBuilder struct {
	bertlv.Builder
	id int64
}

// open begins a profile element with its PEHeader.
func (p *profileBuilder) open(tag bertlv.Tag, mandated bool) {
	p.id++
	p.Open(tag).Open(0xA0)
	if mandated {
		p.Put(0x80, nil)
	}
	p.Int(0x81, p.id)
	p.Close()
}

// file is an elementary file of a template: descriptor, ID, access rule, size
// where the template has none, and content.
type file struct {
	descriptor []byte
	id, arr    []byte
	size       []byte
	content    [][]byte // records of equal length, or one transparent body
}

var transparent = []byte{0x41, 0x21}

func (p *profileBuilder) file(tag bertlv.Tag, f file) {
	p.Open(tag).Open(0xA1)
	p.Put(0x82, f.descriptor).Put(0x83, f.id).Put(0x8B, f.arr)
	if f.size != nil {
		p.Put(0x80, f.size)
	}
	p.Close()
	for _, c := range f.content {
		p.Put(0x83, c)
	}
	p.Close()
}

func (p *profileBuilder) header(d ProfileData) {
	p.Open(0xA0).Int(headerVersion, 2).Int(0x81, 1).String(0x82, "Test profile")
	p.Put(headerICCID, packBCD(d.ICCID, 10, false))
	p.Open(0xA5).Put(0x81, nil).Put(0x84, nil).Close() // usim, milenage
	p.Open(0xA6).Put(0x06, templateMF).Put(0x06, templateUSIM).Put(0x06, templateOptUSIM).Close()
	p.Close()
}

// arrRecord lets everybody read and ADM1 do the rest (ETSI TS 102 221 9.2.7).
var arrRecord = []byte{0x80, 0x01, 0x01, 0x90, 0x00, 0x80, 0x01, 0x5A, 0xA4, 0x06, 0x83, 0x01, 0x0A, 0x95, 0x01, 0x08}

func (p *profileBuilder) mf(d ProfileData) {
	p.open(0xB0, true)
	p.Put(0x81, templateMF)
	p.Open(0xA2).Open(0xA1).Put(0x8B, []byte{0x2F, 0x06, 0x01}).Put(0xC6, []byte{0x01, 0x0A}).Close().Close()
	arr := []byte{0x2F, 0x06, 0x01}
	p.file(0xA4, file{transparent, []byte{0x2F, 0xE2}, arr, nil, [][]byte{packBCD(d.ICCID, 10, true)}})
	dir := append([]byte{0x61, 0x14, 0x4F, 0x0C}, usimAID...)
	dir = append(dir, 0x50, 0x04, 'U', 'S', 'I', 'M')
	p.file(0xA5, file{[]byte{0x42, 0x21, 0x00, byte(len(dir))}, []byte{0x2F, 0x00}, arr, []byte{byte(len(dir))}, [][]byte{dir}})
	p.file(0xA6, file{[]byte{0x42, 0x21, 0x00, byte(len(arrRecord))}, []byte{0x2F, 0x06}, arr, []byte{byte(len(arrRecord))}, [][]byte{arrRecord}})
	p.Close()
}

// codes writes PUK and PIN; a disabled PIN is 1234, so that a modem starts
// without.
func (p *profileBuilder) codes(d ProfileData) {
	pin, attributes := "1234", int64(6)
	if d.PIN != "" {
		pin, attributes = d.PIN, 7
	}
	p.open(0xA3, true)
	p.Open(0xA1).Open(0x30).Int(0x80, 1).String(0x81, "12345678").Close().Close()
	p.Close()
	p.open(0xA2, true)
	p.Open(0xA1).Open(0xA0)
	p.Open(0x30).Int(0x80, 1).Put(0x81, []byte(pin+strings.Repeat("\xFF", 8-len(pin)))).Int(0x82, 1).Int(0x83, attributes).Close()
	p.Open(0x30).Int(0x80, 10).String(0x81, "55555555").Int(0x83, 3).Close()
	p.Close().Close()
	p.Close()
}

var usimAID = []byte{0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0x49, 0xFF, 0x05, 0x89}

func (p *profileBuilder) usim(d ProfileData) {
	p.open(0xB3, true)
	p.Put(0x81, templateUSIM)
	p.Open(0xA2).Open(0xA1).
		Put(0x83, []byte{0x7F, 0xD0}).Put(0x84, usimAID).Put(0x8B, []byte{0x2F, 0x06, 0x01}).Put(0xC6, []byte{0x01, 0x0A}).
		Close().Close()
	arr := []byte{0x6F, 0x06, 0x01}
	ef := func(tag bertlv.Tag, id byte, content []byte) {
		p.file(tag, file{transparent, []byte{0x6F, id}, arr, nil, [][]byte{content}})
	}
	ef(0xA3, 0x07, codeIMSI(d.IMSI))
	p.file(0xA4, file{[]byte{0x42, 0x21, 0x00, byte(len(arrRecord))}, []byte{0x6F, 0x06}, arr, []byte{byte(len(arrRecord))}, [][]byte{arrRecord}})
	// EF_UST (3GPP TS 31.102 4.2.8): services 17 (GID1) and 19 (SPN).
	p.file(0xA8, file{transparent, []byte{0x6F, 0x38}, arr, []byte{4}, [][]byte{{0x00, 0x00, 0x05, 0x00}}})
	spn := append([]byte{0x01}, d.SPN...) // the registered PLMN need not be displayed with it
	spn = append(spn, []byte(strings.Repeat("\xFF", 17-len(spn)))...)
	ef(0xAD, 0x46, spn)
	ef(0xAE, 0x56, []byte{0x00})
	ef(0xB2, 0x78, []byte{0x00, 0x01})
	ef(0xB5, 0xAD, []byte{0x00, 0x00, 0x00, byte(d.MNCDigits)})
	p.file(0xB6, file{[]byte{0x42, 0x21, 0x00, 0x0E}, []byte{0x6F, 0xB7}, arr, []byte{0x0E}, [][]byte{append([]byte{0x11, 0xF2, 0xFF}, "Emergency\xFF\x00"...)}})
	p.Close()
}

func (p *profileBuilder) optUSIM(d ProfileData) {
	p.open(0xB4, false)
	p.Put(0x81, templateOptUSIM)
	p.file(0xA5, file{transparent, []byte{0x6F, 0x3E}, []byte{0x6F, 0x06, 0x01}, []byte{byte(len(d.GID1))}, [][]byte{d.GID1}})
	p.Close()
}

func (p *profileBuilder) aka() {
	p.open(0xA4, true)
	p.Open(0xA1).Open(0xA1).
		Int(0x80, 1).Put(0x81, []byte{0x01}).Put(0x82, testKey).Put(0x83, testOPc).
		Close().Close()
	p.Close()
}

// codeIMSI codes EF_IMSI (3GPP TS 31.102 4.2.2): length, then digits two to a
// byte, low nibble first, behind a nibble that tells odd from even.
func codeIMSI(imsi string) []byte {
	first := byte('1')
	if len(imsi)%2 == 1 {
		first = '9'
	}
	nibbles := string(first) + imsi
	n := (len(nibbles) + 1) / 2
	out := append([]byte{byte(n)}, packBCD(nibbles, n, true)...)
	for len(out) < 9 {
		out = append(out, 0xFF)
	}
	return out
}
