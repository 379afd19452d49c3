package modem

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"dynamod/atcmd"
)

// USSDAnswer is what the network says.
type USSDAnswer struct {
	Text string // lines are separated by \n
	// More tells that the network waits for an answer: call USSD with it, or
	// CancelUSSD.
	More bool
}

// Errors of USSD.
var (
	ErrUSSDBusy        = errors.New("another USSD request is under way")
	ErrUSSDEnded       = errors.New("network ended the USSD session")
	ErrUSSDElsewhere   = errors.New("another program has the USSD session")
	ErrUSSDUnsupported = errors.New("network does not do this by USSD")
	ErrUSSDTimeout     = errors.New("network did not answer the USSD request")
)

// ussdTime is how long an answer may take.
const ussdTime = 90 * time.Second

// USSD sends a code such as "*100#", or the answer to a question of the
// network's, and returns what the network says (27.007, 7.15). A request that
// gets no answer, or whose ctx ends, is cancelled. The code is in no error and
// no trace: it may be that of a voucher.
func (m *Modem) USSD(ctx context.Context, code string) (USSDAnswer, error) {
	s, ok := m.s.(subscriber)
	if !ok {
		return USSDAnswer{}, errSession
	}
	if code == "" || len(code) > 160 {
		return USSDAnswer{}, errors.New("a USSD code has 1 to 160 characters")
	}
	for _, c := range []byte(code) {
		if int(c) >= len(gsm7) || gsm7[c] != rune(c) || c < ' ' || c == '"' {
			return USSDAnswer{}, errors.New("a USSD code has digits, letters, * and #")
		}
	}
	if !m.ussd.TryLock() {
		return USSDAnswer{}, ErrUSSDBusy
	}
	defer m.ussd.Unlock()
	set, err := m.charset(ctx)
	if err != nil {
		return USSDAnswer{}, err
	}
	urcs := s.Subscribe("+CUSD")
	defer urcs.Close()
	wait, stop := context.WithTimeoutCause(ctx, ussdTime, ErrUSSDTimeout)
	defer stop()
	text := fmt.Sprintf(`+CUSD=1,"%s",15`, encodeUSSD(code, set, m.d.USSD.Packed))
	if _, err := m.s.Do(wait, atcmd.Command{Text: text, Timeout: ussdTime, Secret: true}); err != nil {
		if !answered(err) && !errors.Is(err, atcmd.ErrNotSent) {
			m.cancelUSSD(ctx)
		}
		return USSDAnswer{}, fmt.Errorf("USSD: %w", err)
	}
	for {
		select {
		case urc, ok := <-urcs.C():
			if !ok {
				return USSDAnswer{}, fmt.Errorf("USSD: %w", atcmd.ErrClosed)
			}
			if a, err, ok := parseUSSD(urc.Line, set, m.d.USSD.Packed); ok {
				return a, err
			}
		case <-wait.Done():
			m.cancelUSSD(ctx)
			return USSDAnswer{}, fmt.Errorf("USSD: %w", context.Cause(wait))
		}
	}
}

// CancelUSSD ends a session that the network keeps open.
func (m *Modem) CancelUSSD(ctx context.Context) error {
	_, err := m.s.Do(ctx, atcmd.Command{Text: "+CUSD=2"})
	return err
}

// cancelUSSD does so for a caller whose ctx may have ended.
func (m *Modem) cancelUSSD(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	if err := m.CancelUSSD(ctx); err != nil {
		m.log.Debug("USSD session not cancelled", "error", err)
	}
}

// charset reads +CSCS? (27.007, 5.5), in which strings are written. A modem
// that does not tell has none but its alphabet.
func (m *Modem) charset(ctx context.Context) (string, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CSCS?"})
	if err != nil && !answered(err) {
		return "", err
	}
	f, _ := reply.Fields("+CSCS")
	set := strings.ToUpper(at(f, 0))
	if set == "0055004300530032" { // "UCS2" in itself
		set = "UCS2"
	}
	return set, nil
}

// encodeUSSD writes a code as <str> with <dcs> 15, the GSM alphabet. A code has
// only characters that ASCII and the GSM alphabet share.
func encodeUSSD(code, set string, packed bool) string {
	switch {
	case packed:
		return strings.ToUpper(hex.EncodeToString(pack7([]byte(code))))
	case set == "UCS2":
		var b strings.Builder
		for _, c := range []byte(code) {
			fmt.Fprintf(&b, "%04X", c)
		}
		return b.String()
	case set == "HEX":
		return strings.ToUpper(hex.EncodeToString([]byte(code)))
	}
	return code
}

// parseUSSD reads `+CUSD: <m>[,<str>,<dcs>]`; ok is false for other lines. A
// text may have quotes, commas and line ends in it.
func parseUSSD(line, set string, packed bool) (a USSDAnswer, err error, ok bool) {
	rest, ok := atcmd.CutTag(line, "+CUSD")
	if !ok || len(line) > 4096 {
		return a, nil, false
	}
	head, rest, has := strings.Cut(rest, ",")
	n, ok := number(strings.TrimSpace(head), 5)
	if !ok {
		return a, nil, false
	}
	if has {
		text, dcs := strings.TrimSpace(rest), 15
		if i := strings.LastIndexByte(text, ','); i >= 0 {
			if v, ok := number(strings.TrimSpace(text[i+1:]), 255); ok {
				text, dcs = strings.TrimSpace(text[:i]), v
			}
		}
		if body, quoted := strings.CutPrefix(text, `"`); quoted {
			text = strings.TrimSuffix(body, `"`)
		}
		a.Text = cleanUSSD(decodeUSSD(text, dcs, set, packed))
	}
	a.More = n == 1
	switch {
	case a.Text != "" && n <= 2:
		return a, nil, true // also the last words of a session that the network ended
	case n == 3:
		return a, ErrUSSDElsewhere, true
	case n == 4:
		return a, ErrUSSDUnsupported, true
	case n == 5:
		return a, ErrUSSDTimeout, true
	case n == 2:
		return a, ErrUSSDEnded, true
	}
	return a, nil, true
}

// decodeUSSD decodes <str> by <dcs> (TS 23.038, clause 5): text of the GSM
// alphabet in the modem's character set, the others in hexadecimal.
func decodeUSSD(text string, dcs int, set string, packed bool) string {
	raw, err := hex.DecodeString(text)
	isHex := err == nil && len(raw) > 0
	switch ussdAlphabet(dcs) {
	case "ucs2":
		if isHex && len(raw)%2 == 0 {
			return utf16Text(raw)
		}
		return text // some modems translate it
	case "8bit":
		if isHex {
			runes := make([]rune, len(raw))
			for i, c := range raw {
				runes[i] = rune(c)
			}
			return string(runes)
		}
		return text
	}
	switch {
	case packed && isHex:
		septets := unpack7(raw, 8*len(raw)/7)
		if n := len(septets); n > 0 && septets[n-1] == '\r' { // filling: TS 23.038, 6.1.2.3.1
			septets = septets[:n-1]
		}
		return string(pointed(septets, len(septets), 0))
	case set == "UCS2" && isHex && len(raw)%2 == 0:
		return utf16Text(raw)
	case set == "HEX" && isHex:
		return string(pointed(raw, len(raw), 0))
	case set == "GSM":
		return gsmText(text)
	}
	return text
}

func ussdAlphabet(dcs int) string {
	bits := dcs >> 2 & 3
	switch {
	case dcs == 0x11, (dcs>>6 == 1 || dcs>>4 == 9) && bits == 2:
		return "ucs2"
	case (dcs>>6 == 1 || dcs>>4 == 9) && bits == 1, dcs>>4 == 0xF && dcs&4 != 0:
		return "8bit"
	}
	return "gsm7"
}

// gsmText reads text whose bytes are codes of the GSM alphabet. A modem that
// says so and writes UTF-8 all the same is believed in that.
func gsmText(text string) string {
	for _, c := range []byte(text) {
		if c >= 0x80 {
			return text
		}
	}
	return string(pointed([]byte(text), len(text), 0))
}

func utf16Text(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, uint16(b[0])<<8|uint16(b[1]))
	}
	return string(utf16.Decode(units))
}

// cleanUSSD keeps printable characters and line ends.
func cleanUSSD(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, ""))
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7F && r < 0xA0 || r == 0xFFFD {
			return -1
		}
		return r
	}, text))
}

// unpack7 takes n septets out of octets (TS 23.038, 6.1.2.1).
func unpack7(b []byte, n int) []byte {
	septets := make([]byte, n)
	for i := range septets {
		bit := 7 * i
		v := uint(b[bit/8]) >> (bit % 8)
		if bit%8 > 1 && bit/8+1 < len(b) {
			v |= uint(b[bit/8+1]) << (8 - bit%8)
		}
		septets[i] = byte(v & 0x7F)
	}
	return septets
}

// pack7 packs septets for USSD (TS 23.038, 6.1.2.3.1): seven bits that are left
// are filled with a carriage return.
func pack7(septets []byte) []byte {
	if len(septets)%8 == 7 {
		septets = append(septets[:len(septets):len(septets)], '\r')
	}
	b := make([]byte, (7*len(septets)+7)/8)
	for i, s := range septets {
		bit := 7 * i
		b[bit/8] |= s << (bit % 8)
		if bit%8 > 1 {
			b[bit/8+1] |= s >> (8 - bit%8)
		}
	}
	return b
}
