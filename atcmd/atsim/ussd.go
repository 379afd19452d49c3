package atsim

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// gsmAlphabet is the GSM 7 bit default alphabet without its extension (TS
// 23.038, 6.2.1).
const gsmAlphabet = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// cusd is +CUSD=[<n>[,<str>[,<dcs>]]] (TS 27.007 7.15): n 1 shows the network's
// answers, 2 cancels the session. The answer comes as a URC, after the OK.
func cusd(x *exec) error {
	m := x.m
	n, err := x.int(0, 0, 0, 2)
	if err != nil {
		return err
	}
	if n == 2 {
		m.cancel("ussd")
		m.ussd = false
		return nil
	}
	x.p.set.values["+CUSD"] = strconv.Itoa(n)
	if !x.has(1) {
		return nil
	}
	sub, ok := m.card.subscriber()
	if !ok || !m.radio.reg.Registered() {
		return cmeNoNetwork
	}
	text, ok := x.ussdText()
	if !ok || text == "" {
		return cmeBadParameters
	}
	m.after("ussd", m.cfg.USSDTime, func(context.Context) {
		var reply USSDReply
		if m.cfg.USSD != nil {
			reply = m.cfg.USSD(sub, text)
		}
		m.ussd = reply.More
		for p := range m.ports {
			switch {
			case p.set.values["+CUSD"] != "1":
			case reply.Text == "":
				p.urc("+CUSD: 4")
			default:
				p.urc(fmt.Sprintf("+CUSD: %d,%s", btoi(reply.More), p.ussdString(reply.Text)))
			}
		}
	})
	return nil
}

// ussdText decodes <str> by <dcs> (TS 23.038, clause 5): 15 is the GSM alphabet,
// 72 UCS2 in hexadecimal.
func (x *exec) ussdText() (string, bool) {
	dcs, err := x.int(2, 15, 0, 255)
	if err != nil {
		return "", false
	}
	raw, hexErr := hex.DecodeString(x.str(1))
	switch {
	case dcs == 72:
		if hexErr != nil || len(raw)%2 != 0 {
			return "", false
		}
		var units []uint16
		for i := 0; i < len(raw); i += 2 {
			units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
		}
		return string(utf16.Decode(units)), true
	case dcs != 15:
		return "", false
	case x.m.pers.packedUSSD:
		return unpackUSSD(raw), hexErr == nil
	}
	return x.text(1), true
}

// ussdString is <str>,<dcs> of an answer: in the GSM alphabet where that has
// its characters, else in UCS2.
func (p *port) ussdString(text string) string {
	septets, ok := toGSM(text)
	if !ok {
		return fmt.Sprintf(`"%s",72`, utf16Hex(text))
	}
	switch {
	case p.m.pers.packedUSSD:
		return fmt.Sprintf(`"%X",15`, packUSSD(septets))
	case p.set.charset == "UCS2":
		return fmt.Sprintf(`"%s",15`, utf16Hex(text))
	case p.set.charset == "GSM": // the alphabet's own codes, quotes and line ends among them
		return `"` + string(septets) + `",15`
	}
	return `"` + strings.ReplaceAll(text, "\n", "\r\n") + `",15`
}

func utf16Hex(text string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}

// toGSM codes text in the default alphabet; ok is false when it lacks a character.
func toGSM(text string) (septets []byte, ok bool) {
	codes := make(map[rune]byte)
	for i, r := range []rune(gsmAlphabet) {
		codes[r] = byte(i)
	}
	for _, r := range text {
		c, ok := codes[r]
		if !ok {
			return nil, false
		}
		septets = append(septets, c)
	}
	return septets, true
}

// packUSSD packs septets (TS 23.038, 6.1.2.3.1): bit i of the stream is bit i%7
// of septet i/7; seven bits that are left are filled with CR.
func packUSSD(septets []byte) []byte {
	if len(septets)%8 == 7 {
		septets = append(septets, 0x0D)
	}
	out := make([]byte, (len(septets)*7+7)/8)
	for i := range len(septets) * 7 {
		out[i/8] |= septets[i/7] >> (i % 7) & 1 << (i % 8)
	}
	return out
}

// unpackUSSD is the way back, to text.
func unpackUSSD(b []byte) string {
	alphabet := []rune(gsmAlphabet)
	var out []rune
	for i := range len(b) * 8 / 7 {
		var c byte
		for bit := range 7 {
			at := 7*i + bit
			c |= b[at/8] >> (at % 8) & 1 << bit
		}
		out = append(out, alphabet[c])
	}
	return strings.TrimSuffix(string(out), "\r")
}
