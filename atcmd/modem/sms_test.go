package modem

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
)

// PDUs of the standard's kind: DELIVER, GSM alphabet, from +31624000000.
const (
	deliver = "07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07"
	report  = "07911326040000F006D60B911346610089F6208062917314402080629173344000"
)

func TestParseStored(t *testing.T) {
	for _, tt := range []struct {
		name, tag string
		lines     []string
		want      string // index, read and text of each
	}{
		{"27.005 4.1", "+CMGL", []string{"+CMGL: 1,1,,29", deliver, "+CMGL: 7,0,,29", deliver}, "1 true How are you?; 7 false How are you?"},
		{"with an empty alpha", "+CMGL", []string{`+CMGL: 3,1,"",29`, deliver}, "3 true How are you?"},
		{"a sent one and a report are left out", "+CMGL", []string{"+CMGL: 1,3,,29", deliver, "+CMGL: 2,1,,32", report, "+CMGL: 4,1,,29", deliver}, "4 true How are you?"},
		{"27.005 4.3", "+CMGR", []string{"+CMGR: 0,,29", deliver}, "0 false How are you?"},
		{"no PDU", "+CMGL", []string{"+CMGL: 1,1,,29"}, ""},
		{"no hexadecimal", "+CMGL", []string{"+CMGL: 1,1,,29", "hello"}, ""},
		{"empty place", "+CMGR", []string{"+CMGR: 0,,0", ""}, ""},
		{"index out of range", "+CMGL", []string{"+CMGL: 99999999,1,,29", deliver}, ""},
	} {
		var got []string
		for _, s := range parseStored(tt.lines, tt.tag) {
			b, _ := sms.Decode([]*tpdu.TPDU{s.pdu})
			got = append(got, strings.Join([]string{itoa(s.index), map[bool]string{true: "true", false: "false"}[s.read], string(b)}, " "))
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// deliverParts makes received parts of a message.
func deliverParts(t *testing.T, from, text string, ref int) []stored {
	t.Helper()
	e := sms.NewEncoder(sms.AsDeliver, sms.From(from))
	c := &sms.Counter{}
	for range ref {
		c.Count()
	}
	e.ConcatRef = c
	list, err := e.Encode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []stored
	for i := range list {
		list[i].SCTS.Time = list[i].SCTS.AddDate(2026, 0, i)
		b, err := list[i].MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		p := pdumode.PDU{TPDU: b}
		text, err := p.MarshalHexString()
		if err != nil {
			t.Fatal(err)
		}
		pdu, err := parseSMS(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, stored{index: i + 1, read: i > 0, pdu: pdu})
	}
	return out
}

func TestAssemble(t *testing.T) {
	long := strings.Repeat("0123456789", 40)
	smile := strings.Repeat("ж", 66) + strings.Repeat("😀", 20) // a surrogate pair may be cut in two
	a, b := deliverParts(t, "+4915112345", long, 1), deliverParts(t, "+4915112345", smile, 2)
	if len(a) != 3 || len(b) != 2 {
		t.Fatalf("%d and %d parts", len(a), len(b))
	}
	all := slices.Concat(a, b)
	slices.Reverse(all)
	got := assemble(append(all, all[0])) // and one twice
	texts := map[string]int{}
	for _, m := range got {
		texts[m.Text] = m.Missing
		if m.From != "+4915112345" || m.Read && m.Missing == 0 {
			t.Errorf("%+v", m)
		}
	}
	if n, ok := texts[long]; !ok || n != 0 {
		t.Errorf("long: %v", texts)
	}
	if n, ok := texts[smile]; !ok || n != 0 {
		t.Errorf("UCS2: %v", texts)
	}
	some := assemble([]stored{a[0], a[2]})
	if len(some) != 1 || some[0].Missing != 1 || !strings.HasPrefix(long, some[0].Text[:153]) || !slices.Equal(some[0].Indexes, []int{1, 3}) {
		t.Errorf("a part that did not come: %+v", some)
	}
	var c collector
	for i := range 3 * maxOpen {
		c.add(deliverParts(t, "+49"+strings.Repeat("1", i%10+1)+itoa(i), long, i)[0])
	}
	if len(c.open) != maxOpen {
		t.Errorf("%d long messages are waited for", len(c.open))
	}
}

func TestEncodeSMS(t *testing.T) {
	m := newScript(t).modem("generic")
	for _, tt := range []struct {
		name, to, text string
		parts          int
		ucs2           bool
	}{
		{"GSM alphabet", "+4915112345", "Grüße @ €5 {x}", 1, false},
		{"160 characters", "1150", strings.Repeat("a", 160), 1, false},
		{"161 characters", "1150", strings.Repeat("a", 161), 2, false},
		{"Cyrillic", "1150", "Баланс", 1, true},
		{"71 characters of UCS2", "1150", strings.Repeat("ж", 71), 2, true},
	} {
		parts, err := m.encodeSMS(tt.to, tt.text)
		if err != nil || len(parts) != tt.parts {
			t.Errorf("%s: %d parts, %v", tt.name, len(parts), err)
			continue
		}
		var tpdus []*tpdu.TPDU
		for _, b := range parts {
			p, err := sms.Unmarshal(b, sms.AsMO)
			if err != nil || p.DA.Number() != tt.to || p.MR != 0 {
				t.Fatalf("%s: %+v %v", tt.name, p, err)
			}
			if a, _ := p.Alphabet(); (a == tpdu.AlphaUCS2) != tt.ucs2 {
				t.Errorf("%s: alphabet %v", tt.name, a)
			}
			tpdus = append(tpdus, p)
		}
		if text, err := sms.Decode(tpdus); err != nil || string(text) != tt.text {
			t.Errorf("%s: %q %v", tt.name, text, err)
		}
	}
	one, _ := m.encodeSMS("1150", strings.Repeat("a", 161))
	two, _ := m.encodeSMS("1150", strings.Repeat("a", 161))
	p, _ := sms.Unmarshal(one[0], sms.AsMO)
	q, _ := sms.Unmarshal(two[0], sms.AsMO)
	if _, _, ref, _ := p.ConcatInfo(); true {
		if _, _, next, _ := q.ConcatInfo(); next == ref {
			t.Error("two long messages have one reference")
		}
	}
	for _, tt := range [][2]string{{"", "x"}, {"+", "x"}, {"12a", "x"}, {strings.Repeat("1", 21), "x"}, {"1150", ""}, {"1150", strings.Repeat("x", 4097)}, {"1\r\nAT", "x"}, {"1150", "escape \x1b"}, {"1150", "\xff"}} {
		if _, err := m.encodeSMS(tt[0], tt[1]); err == nil || len(tt[0]) > 2 && strings.Contains(err.Error(), tt[0]) {
			t.Errorf("to %q: %v", tt[0], err)
		}
	}
	if _, err := m.SendSMS(t.Context(), "1150", "x"); !errors.Is(err, errSession) {
		t.Errorf("a session that cannot: %v", err)
	}
}

func TestSMSC(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"international", `+CSCA: "+491710760000",145`, "+491710760000"},
		{"by its type", `+CSCA: "491710760000",145`, "+491710760000"},
		{"national", `+CSCA: "01710760000",129`, "01710760000"},
		{"none", `+CSCA: "",129`, ""},
	} {
		got, err := newScript(t, "+CSCA?", tt.answer).modem("generic").SMSC(t.Context())
		if err != nil || got != tt.want {
			t.Errorf("%s: %q %v", tt.name, got, err)
		}
	}
	for _, bad := range []string{"+CSCA: \"+12x\",145", "", "+CSCA: \"" + strings.Repeat("1", 21) + "\",129"} {
		if got, err := newScript(t, "+CSCA?", bad).modem("generic").SMSC(t.Context()); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

// FuzzSMS: whatever the store holds, decoding and assembling end with valid
// text and within their bounds.
func FuzzSMS(f *testing.F) {
	f.Add("1,1,,29", deliver, deliver)
	f.Add("2,0,\"\",29", report, deliver)
	f.Add("1,1", "0001", "00040B911346610089F6000820806291731408080500037F0201D83D")
	f.Fuzz(func(t *testing.T, head, one, two string) {
		if _, err := hex.DecodeString(one); err != nil {
			one = hex.EncodeToString([]byte(one))
		}
		list := parseStored([]string{"+CMGL: " + head, one, "+CMGL: 9,0,,1", two, "+CMGL: 10,0,,1", one}, "+CMGL")
		parts := 0
		for _, m := range assemble(list) {
			parts += len(m.Indexes)
			if !utf8.ValidString(m.Text) || m.Missing < 0 || m.Missing > 255 || len(m.Text) > 3*8*140*256 {
				t.Errorf("%+v", m)
			}
		}
		if parts > len(list) {
			t.Errorf("%d parts of %d", parts, len(list))
		}
	})
}

// FuzzSendSMS: what is sent reads back as it was.
func FuzzSendSMS(f *testing.F) {
	for _, text := range []string{"hello", "Grüße €[]", strings.Repeat("ж", 150), strings.Repeat("😀", 40), strings.Repeat("{", 170)} {
		f.Add("+4915112345", text)
	}
	f.Fuzz(func(t *testing.T, to, text string) {
		if !utf8.ValidString(text) {
			return
		}
		parts, err := newScript(t).modem("generic").encodeSMS(to, text)
		if err != nil {
			return
		}
		var tpdus []*tpdu.TPDU
		for _, b := range parts {
			p, err := sms.Unmarshal(b, sms.AsMO)
			if err != nil || len(b) > 164 || p.DA.Number() != to {
				t.Fatalf("%x: %v", b, err)
			}
			tpdus = append(tpdus, p)
		}
		if got, err := sms.Decode(tpdus); err != nil || string(got) != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	})
}

func FuzzSMSC(f *testing.F) {
	f.Add(`"+491710760000",145`)
	f.Fuzz(func(t *testing.T, rest string) {
		v, err := newScript(t, "+CSCA?", "+CSCA: "+rest).modem("generic").SMSC(t.Context())
		if err == nil && v != "" && !digits(strings.TrimPrefix(v, "+")) {
			t.Errorf("%q", v)
		}
	})
}
