package modem

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseUSSD(t *testing.T) {
	for _, tt := range []struct {
		name, line, set string
		packed          bool
		want            string
		more            bool
		err             error
	}{
		{"27.007 7.15", `+CUSD: 0,"Balance: 5.00 EUR",15`, "IRA", false, "Balance: 5.00 EUR", false, nil},
		{"a question", `+CUSD: 1,"1 Balance` + "\n" + `2 Top up",15`, "IRA", false, "1 Balance\n2 Top up", true, nil},
		{"quotes and commas in it", `+CUSD: 0,"Your "best", offer",15`, "IRA", false, `Your "best", offer`, false, nil},
		{"UCS2 by its coding", `+CUSD: 0,"04110430043B0430043D0441",72`, "IRA", false, "Баланс", false, nil},
		{"UCS2 with a language before it", `+CUSD: 0,"00480069",17`, "GSM", false, "Hi", false, nil},
		{"UCS2 that the modem translated", `+CUSD: 0,"Баланс 5",72`, "UTF-8", false, "Баланс 5", false, nil},
		{"GSM alphabet in a modem's UCS2", `+CUSD: 0,"00480069",15`, "UCS2", false, "Hi", false, nil},
		{"digits alone are no code", `+CUSD: 0,"12345678",15`, "IRA", false, "12345678", false, nil},
		{"HEX", `+CUSD: 0,"4869",15`, "HEX", false, "Hi", false, nil},
		{"GSM codes", "+CUSD: 0,\"5 \x1be\",15", "GSM", false, "5 €", false, nil},
		{"Huawei E3372: packed", `+CUSD: 0,"AA180C3602",15`, "IRA", true, "*100#", false, nil},
		{"eight bits", `+CUSD: 0,"4772FC6E",68`, "IRA", false, "Grün", false, nil},
		{"without a coding", `+CUSD: 0,"Hi"`, "IRA", false, "Hi", false, nil},
		{"without quotes", "+CUSD: 0,Hi,15", "IRA", false, "Hi", false, nil},
		{"blanks", `+CUSD : 0, "Hi", 15`, "IRA", false, "Hi", false, nil},
		{"the network's last words", `+CUSD: 2,"Bye",15`, "IRA", false, "Bye", false, nil},
		{"ended", "+CUSD: 2", "IRA", false, "", false, ErrUSSDEnded},
		{"elsewhere", "+CUSD: 3", "IRA", false, "", false, ErrUSSDElsewhere},
		{"not supported", "+CUSD: 4", "IRA", false, "", false, ErrUSSDUnsupported},
		{"time-out", "+CUSD: 5", "IRA", false, "", false, ErrUSSDTimeout},
		{"SIM7600: nothing said", `+CUSD: 0,"",0`, "IRA", false, "", false, nil},
	} {
		a, err, ok := parseUSSD(tt.line, tt.set, tt.packed)
		if !ok || a.Text != tt.want || a.More != tt.more || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v %v %v", tt.name, a, err, ok)
		}
	}
	for _, line := range []string{"", "+CUSD", "+CUSD: ", "+CUSD: 9", "+CUSD: x", "+CREG: 1"} {
		if a, _, ok := parseUSSD(line, "IRA", false); ok {
			t.Errorf("%q: %+v", line, a)
		}
	}
}

func TestEncodeUSSD(t *testing.T) {
	for _, tt := range []struct {
		name, code, set string
		packed          bool
		want            string
	}{
		{"plain", "*100#", "IRA", false, "*100#"},
		{"no set told", "*100#", "", false, "*100#"},
		{"UCS2", "*1#", "UCS2", false, "002A00310023"},
		{"HEX", "*1#", "HEX", false, "2A3123"},
		{"Huawei", "*100#", "IRA", true, "AA180C3602"},
		{"Huawei: seven bits left", "*12345#", "IRA", true, "AA986C46AB8D1A"},
	} {
		if got := encodeUSSD(tt.code, tt.set, tt.packed); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	m := newScript(t).modem("generic")
	if _, err := m.USSD(t.Context(), "*100#"); !errors.Is(err, errSession) {
		t.Errorf("a session that cannot: %v", err)
	}
}

func FuzzUSSD(f *testing.F) {
	f.Add(`0,"Balance",15`, "IRA", false)
	f.Add(`1,"04110430043B",72`, "UCS2", true)
	f.Fuzz(func(t *testing.T, rest, set string, packed bool) {
		a, err, ok := parseUSSD("+CUSD: "+rest, set, packed)
		if ok && (!utf8.ValidString(a.Text) || a.More && err != nil && a.Text != "" || strings.ContainsAny(a.Text, "\r\x00\x1b")) {
			t.Errorf("%+v %v", a, err)
		}
		// What is written is read back.
		text := strings.Map(func(r rune) rune {
			if r > ' ' && r < 0x7F && r != '"' && int(r) < len(gsm7) && gsm7[r] == r {
				return r
			}
			return -1
		}, rest)
		if text == "" {
			return
		}
		for _, set := range []string{"IRA", "UCS2", "HEX", "GSM"} {
			a, err, ok := parseUSSD(`+CUSD: 0,"`+encodeUSSD(text, set, packed)+`",15`, set, packed)
			if !ok || err != nil || a.Text != text {
				t.Errorf("%s: %q became %q, %v %v", set, text, a.Text, err, ok)
			}
		}
	})
}

func FuzzPack7(f *testing.F) {
	f.Add([]byte("*100#"))
	f.Add([]byte("1234567"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := range b {
			b[i] &= 0x7F
		}
		packed := pack7(b)
		if got := unpack7(packed, len(b)); !bytes.Equal(got, b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}
