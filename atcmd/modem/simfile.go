package modem

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// File identifiers of elementary files (TS 102 221, 13.2; TS 31.102, 4.2).
const (
	efICCID uint16 = 0x2FE2
	efIMSI  uint16 = 0x6F07 // 4.2.2
	efGID1  uint16 = 0x6F3E // 4.2.10
	efGID2  uint16 = 0x6F3F // 4.2.11
	efSPN   uint16 = 0x6F46 // 4.2.12
	efAD    uint16 = 0x6FAD // 4.2.18
	efPNN   uint16 = 0x6FC5 // 4.2.58
)

// statusWord is SW1 SW2 of a file access that did not work.
type statusWord uint16

func (s statusWord) Error() string {
	switch {
	case s.absent():
		return fmt.Sprintf("file not found (%04X)", uint16(s))
	case s == 0x6982 || s>>8 == 0x98:
		return fmt.Sprintf("access not allowed (%04X)", uint16(s))
	}
	return fmt.Sprintf("status word %04X", uint16(s))
}

// absent reports whether the profile does not have the file, which stays so.
func (s statusWord) absent() bool { return s == 0x6A82 || s>>8 == 0x94 }

func (s statusWord) ok() bool {
	return s == 0x9000 || s>>8 == 0x91 || s>>8 == 0x92 || s>>8 == 0x9F
}

// parseCRSM reads the parameters of +CRSM (27.007, 8.18): `sw1,sw2[,response]`
// in decimal, decimal and hexadecimal.
func parseCRSM(f []string) ([]byte, statusWord, error) {
	sw1, ok1 := number(at(f, 0), 255)
	sw2, ok2 := number(at(f, 1), 255)
	if !ok1 || !ok2 || len(f) > 3 {
		return nil, 0, fmt.Errorf("AT+CRSM: %w", ErrAnswer)
	}
	sw := statusWord(sw1<<8 | sw2)
	if len(at(f, 2)) > 512 {
		return nil, sw, fmt.Errorf("AT+CRSM: %w: response of more than 256 bytes", ErrAnswer)
	}
	data, err := hex.DecodeString(at(f, 2))
	if err != nil {
		return nil, sw, fmt.Errorf("AT+CRSM: %w: response is not hexadecimal", ErrAnswer)
	}
	return data, sw, nil
}

// crsm runs one restricted SIM access command. p1 and p2 are an offset or, of a
// record, its number and the mode.
func (m *Modem) crsm(ctx context.Context, cmd int, file uint16, p1, p2, length int) ([]byte, statusWord, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: fmt.Sprintf("+CRSM=%d,%d,%d,%d,%d", cmd, file, p1, p2, length), Tags: []string{"+CRSM"}})
	if err != nil {
		return nil, 0, err
	}
	f, ok := reply.Fields("+CRSM")
	if !ok {
		return nil, 0, fmt.Errorf("AT+CRSM: %w", ErrAnswer)
	}
	return parseCRSM(f)
}

// Commands of +CRSM.
const (
	readBinary  = 176
	readRecord  = 178
	getResponse = 192
)

// readFile reads a transparent file of at most 255 bytes. length is what is
// expected; cards that insist on the exact length say it, or have it in the
// file's control parameters.
func (m *Modem) readFile(ctx context.Context, file uint16, length int) ([]byte, error) {
	data, sw, err := m.crsm(ctx, readBinary, file, 0, 0, length)
	if err == nil && sw>>8 == 0x6C {
		data, sw, err = m.crsm(ctx, readBinary, file, 0, 0, int(sw&0xFF))
	}
	if err == nil && (sw == 0x6700 || sw>>8 == 0x6B || sw.ok() && len(data) == 0) {
		var fcp []byte
		if fcp, sw, err = m.crsm(ctx, getResponse, file, 0, 0, 0); err == nil && sw.ok() {
			if n := fileSize(fcp); n > 0 && n <= 255 {
				data, sw, err = m.crsm(ctx, readBinary, file, 0, 0, n)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if !sw.ok() {
		return nil, fmt.Errorf("file %04X: %w", file, sw)
	}
	return data, nil
}

// readFirst reads the first record of a linear fixed file (absolute mode, 04:
// TS 102 221, 11.1.5). The length of its records is in the control parameters.
func (m *Modem) readFirst(ctx context.Context, file uint16) ([]byte, error) {
	fcp, sw, err := m.crsm(ctx, getResponse, file, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	length := 0
	if sw.ok() {
		length = recordLength(fcp)
	} else if sw.absent() {
		return nil, fmt.Errorf("file %04X: %w", file, sw)
	}
	data, sw, err := m.crsm(ctx, readRecord, file, 1, 4, length)
	if err == nil && sw>>8 == 0x6C {
		data, sw, err = m.crsm(ctx, readRecord, file, 1, 4, int(sw&0xFF))
	}
	if err != nil {
		return nil, err
	}
	if !sw.ok() {
		return nil, fmt.Errorf("file %04X: %w", file, sw)
	}
	return data, nil
}

// recordLength returns the length of a file's records: in the file descriptor,
// tag 82, of the FCP template (TS 102 221, 11.1.1.4.3), or byte 15 of the old
// form (TS 51.011, 9.2.1). 0 when it is not told.
func recordLength(b []byte) int {
	if len(b) >= 2 && b[0] == 0x62 {
		if d := fcpField(b, 0x82); len(d) >= 5 && d[2] == 0 {
			return int(d[3])
		}
		return 0
	}
	if len(b) >= 15 {
		return int(b[14])
	}
	return 0
}

// fcpField returns the value of a one-byte tag in an FCP template, or nil.
func fcpField(b []byte, tag byte) []byte {
	if len(b) < 2 {
		return nil
	}
	for b = b[2:]; len(b) >= 2; {
		n := int(b[1])
		if n > len(b)-2 {
			return nil
		}
		if b[0] == tag {
			return b[2 : 2+n]
		}
		b = b[2+n:]
	}
	return nil
}

// fileSize returns the file size in the answer to GET RESPONSE: tag 80 in the
// FCP template 62 (TS 102 221, 11.1.1.3), or bytes 3 and 4 of the old form
// (TS 51.011, 9.2.1).
func fileSize(b []byte) int {
	if len(b) < 2 || b[0] != 0x62 {
		if len(b) >= 4 {
			return int(b[2])<<8 | int(b[3])
		}
		return 0
	}
	if size := fcpField(b, 0x80); len(size) == 2 {
		return int(size[0])<<8 | int(size[1])
	}
	return 0
}

// ICCID reads the identity of the enabled profile: 18 to 20 digits, a few of
// them A to E on cards of some operators.
func (m *Modem) ICCID(ctx context.Context) (string, error) {
	var errs []error
	for _, q := range m.d.ICCID {
		v, err := m.query(ctx, q)
		if err == nil {
			if v, err = parseICCID(v, q); err == nil {
				return v, nil
			}
		}
		if !answered(err) && !isStatus(err) {
			return "", err
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return "", errors.New("cannot read ICCID: the dialect has no command for it")
	}
	return "", fmt.Errorf("cannot read ICCID: %w", errs[0])
}

func isStatus(err error) bool {
	var sw statusWord
	return errors.As(err, &sw)
}

func parseICCID(v string, q dialect.Query) (string, error) {
	if q.CRSM {
		b, err := hex.DecodeString(v)
		if err != nil || len(b) != 10 {
			return "", fmt.Errorf("ICCID: %w: EF_ICCID has 10 bytes", ErrAnswer)
		}
		v = nibbles(b)
	}
	v = strings.TrimRight(strings.ToUpper(v), "F")
	if len(v) < 18 || len(v) > 20 || strings.Trim(v, "0123456789ABCDE") != "" {
		return "", fmt.Errorf("ICCID: %w: not 18 to 20 digits", ErrAnswer)
	}
	return v, nil
}

// nibbles writes semi-octets, the low one first.
func nibbles(b []byte) string {
	const digit = "0123456789ABCDEF"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digit[c&0xF], digit[c>>4])
	}
	return string(out)
}

// IMSI reads the subscriber's identity, 6 to 15 digits.
func (m *Modem) IMSI(ctx context.Context) (string, error) {
	v, err := text(ctx, m.s, "+CIMI")
	if err == nil && len(v) >= 6 && len(v) <= 15 && digits(v) {
		return v, nil
	}
	if err != nil && !answered(err) {
		return "", err
	}
	b, ferr := m.readFile(ctx, efIMSI, 9)
	if ferr == nil {
		if v, ok := parseIMSI(b); ok {
			return v, nil
		}
		ferr = ErrAnswer
	}
	if err == nil {
		err = ferr
	}
	return "", fmt.Errorf("cannot read IMSI: %w", err)
}

// parseIMSI decodes EF_IMSI (TS 31.102, 4.2.2): a length, then the type in the
// low nibble and the digits behind it.
func parseIMSI(b []byte) (string, bool) {
	if len(b) < 2 || b[0] < 1 || int(b[0]) > len(b)-1 || b[0] > 8 {
		return "", false
	}
	v := strings.TrimRight(nibbles(b[1 : 1+b[0]])[1:], "F")
	return v, len(v) >= 6 && len(v) <= 15 && digits(v)
}

// SIMFacts are what the enabled profile says and the choice of an APN needs.
// A file that the profile does not have leaves its field empty.
type SIMFacts struct {
	ICCID string
	IMSI  string
	// MNCLength is 2 or 3 from EF_AD, 0 when the card does not say; MCC and MNC
	// are then empty.
	MNCLength int
	MCC, MNC  string
	SPN       string // service provider name
	PNN       string // full name in the first record of the PLMN network names
	GID1      string // group identifiers, hexadecimal, upper case, padding cut off
	GID2      string
	// Incomplete tells that a file that may be there could not be read now: the
	// card was busy, for one. It may be read later.
	Incomplete bool
}

// SIMFacts reads the enabled profile's facts. It fails when ICCID or IMSI
// cannot be read, or the modem stops answering.
func (m *Modem) SIMFacts(ctx context.Context) (SIMFacts, error) {
	var f SIMFacts
	var err error
	if f.ICCID, err = m.ICCID(ctx); err != nil {
		return f, err
	}
	if f.IMSI, err = m.IMSI(ctx); err != nil {
		return f, err
	}
	transparent := func(id uint16, length int) func() ([]byte, error) {
		return func() ([]byte, error) { return m.readFile(ctx, id, length) }
	}
	for _, file := range []struct {
		id   uint16
		read func() ([]byte, error)
		take func([]byte)
	}{
		{efAD, transparent(efAD, 4), func(b []byte) { f.MNCLength = mncLength(b) }},
		{efSPN, transparent(efSPN, 17), func(b []byte) { f.SPN = parseSPN(b) }},
		{efGID1, transparent(efGID1, 0), func(b []byte) { f.GID1 = parseGID(b) }},
		{efGID2, transparent(efGID2, 0), func(b []byte) { f.GID2 = parseGID(b) }},
		{efPNN, func() ([]byte, error) { return m.readFirst(ctx, efPNN) }, func(b []byte) { f.PNN = parsePNN(b) }},
	} {
		b, err := file.read()
		switch {
		case err == nil:
			file.take(b)
		case answered(err) || isStatus(err):
			f.Incomplete = f.Incomplete || passing(err)
			m.log.Debug("SIM file not read", "file", fmt.Sprintf("%04X", file.id), "error", err)
		default:
			return f, err
		}
	}
	if f.MNCLength != 0 && len(f.IMSI) >= 3+f.MNCLength {
		f.MCC, f.MNC = f.IMSI[:3], f.IMSI[3:3+f.MNCLength]
	}
	return f, nil
}

// passing reports whether a file may be read later that cannot be read now: the
// modem says that the SIM is busy (+CME ERROR 14), or the SIM does (9300: TS 102
// 221, 10.2.1.2). A modem that refuses to read files at all does so the next
// time, too.
func passing(err error) bool {
	var sw statusWord
	return cmeCode(err) == 14 || errors.As(err, &sw) && sw == 0x9300
}

// mncLength decodes EF_AD (TS 31.102, 4.2.18): the low nibble of the fourth
// byte, where cards from before it existed have nothing or FF.
func mncLength(b []byte) int {
	if len(b) >= 4 {
		if n := int(b[3] & 0xF); n == 2 || n == 3 {
			return n
		}
	}
	return 0
}

// parseGID decodes EF_GID1 or EF_GID2 (TS 31.102, 4.2.10): bytes padded with FF.
func parseGID(b []byte) string {
	for len(b) > 0 && b[len(b)-1] == 0xFF {
		b = b[:len(b)-1]
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

// parseSPN decodes EF_SPN (TS 31.102, 4.2.12): a display condition, then the
// name.
func parseSPN(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	return simText(b[1:])
}

// parsePNN decodes the full name, tag 43, of a record of EF_PNN (TS 31.102,
// 4.2.58). It is coded as in a Network Name element (TS 24.008, 10.5.3.5a): the
// first byte has the coding scheme in bits 7 to 5 and the number of spare bits
// of the last byte in bits 3 to 1.
func parsePNN(b []byte) string {
	if len(b) < 3 || b[0] != 0x43 || int(b[1]) > len(b)-2 || b[1] < 1 {
		return ""
	}
	head, text := b[2], b[3:2+b[1]]
	switch head >> 4 & 7 {
	case 0: // default alphabet, packed: TS 23.038, 6.1.2.2
		return simText(unpack7(text, max(8*len(text)-int(head&7), 0)/7))
	case 1:
		return simText(append([]byte{0x80}, text...))
	}
	return ""
}
