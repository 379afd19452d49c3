package modem

import (
	"context"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// FuzzSIM: +CPIN of any firmware is one of the states, and its text comes through.
func FuzzSIM(f *testing.F) {
	for _, text := range []string{"READY", "SIM PIN", "SIM PUK", "PH-NET PIN", "EMPTY_EUICC", "NOT INSERTED", `"READY"`, ""} {
		f.Add(text)
	}
	states := []SIMState{SIMReady, SIMNeedsPIN, SIMNeedsPUK, SIMLocked, SIMNoProfile, SIMAbsent, SIMFailure, SIMBusy, SIMUnknown}
	f.Fuzz(func(t *testing.T, text string) {
		sim := ParseSIM(text)
		if !slices.Contains(states, sim.State) || ParseSIM(sim.Text).State != sim.State && !strings.Contains(sim.Text, `"`) && strings.TrimSpace(sim.Text) == sim.Text {
			t.Errorf("%q: %+v", text, sim)
		}
	})
}

// FuzzOperator: a number is 5 or 6 digits, the name never one.
func FuzzOperator(f *testing.F) {
	f.Add(`0,0,"Telekom.de",7`)
	f.Add(`1,2,"26201",13`)
	f.Add(`0`)
	f.Fuzz(func(t *testing.T, rest string) {
		fields, ok := atcmd.Fields("+COPS: "+rest, "+COPS")
		if !ok {
			return
		}
		op := Operator{AcT: AcTUnknown}
		parseOperator(fields, &op)
		if op.PLMN != "" && (len(op.PLMN) < 5 || len(op.PLMN) > 6 || !digits(op.PLMN)) || op.PLMN != "" && op.Name != "" || int(op.AcT) >= len(actNames) {
			t.Errorf("%q: %+v", rest, op)
		}
	})
}

// FuzzCGDCONT: a context that was read can be defined again, and reads as it was.
func FuzzCGDCONT(f *testing.F) {
	f.Add(`1,"IPV4V6","internet","0.0.0.0",0,0`)
	f.Add(`0,"IP",""`)
	f.Fuzz(func(t *testing.T, rest string) {
		c, ok := parseCGDCONT("+CGDCONT: " + rest)
		if !ok {
			return
		}
		if c.CID < 0 || c.CID > 255 || len(c.APN) > 127 {
			t.Fatalf("%q: %+v", rest, c)
		}
		if dialect.CheckString(c.APN) != nil {
			return
		}
		s := newScript(t)
		_ = s.modem("generic").DefineContext(context.Background(), c)
		for _, cmd := range s.sent {
			if text, ok := strings.CutPrefix(cmd.Text, "+CGDCONT="); ok {
				if again, ok := parseCGDCONT("+CGDCONT: " + text); !ok || again != c {
					t.Errorf("%+v was defined as %q", c, text)
				}
			}
		}
	})
}

func FuzzCause(f *testing.F) {
	f.Add("SM cause: 33")
	f.Add("EMM cause 11")
	f.Add("Requested service option not subscribed (#33)")
	f.Fuzz(func(t *testing.T, text string) {
		// What it says of itself says the same again.
		if c := ParseCause(text); c != CauseUnknown && ParseCause(c.String()) != c {
			t.Errorf("%q: %v", text, c)
		}
	})
}

func FuzzCSQ(f *testing.F) {
	f.Add("23,99")
	f.Fuzz(func(t *testing.T, rest string) {
		if rssi, ok := ParseCSQ("+CSQ: " + rest); ok && rssi != nil && (*rssi < -113 || *rssi > -51) {
			t.Errorf("%q: %v", rest, *rssi)
		}
	})
}

// FuzzIdentity: ICCID and IMSI, as files and as text, are digits of the length
// that they have; what is written as a file reads back.
func FuzzIdentity(f *testing.F) {
	f.Add("98684000000000000010", "080910101032547698")
	f.Add("8944110022334455667F", "0801101010325476F8")
	f.Fuzz(func(t *testing.T, iccid, imsi string) {
		for _, crsm := range []bool{false, true} {
			v, err := parseICCID(iccid, dialect.Query{CRSM: crsm})
			if err == nil && (len(v) < 18 || len(v) > 20) {
				t.Errorf("%q: %q", iccid, v)
			}
		}
		if v, err := parseICCID(iccid, dialect.Query{}); err == nil {
			padded := v + strings.Repeat("F", 20-len(v))
			var file [10]byte
			for i := range file {
				b, err := hex.DecodeString(padded[2*i+1:2*i+2] + padded[2*i:2*i+1])
				if err != nil {
					t.Fatal(err)
				}
				file[i] = b[0]
			}
			if again, err := parseICCID(hex.EncodeToString(file[:]), dialect.Query{CRSM: true}); err != nil || again != v {
				t.Errorf("%q became %q, %v", v, again, err)
			}
		}
		if b, err := hex.DecodeString(imsi); err == nil {
			if v, ok := parseIMSI(b); ok && (len(v) < 6 || len(v) > 15 || !digits(v)) {
				t.Errorf("%q: %q", imsi, v)
			}
		}
	})
}

// FuzzSIMText: names on a card are valid text without control characters.
func FuzzSIMText(f *testing.F) {
	f.Add([]byte("Test SIM\xff\xff"))
	f.Add([]byte{0x80, 0x04, 0x11, 0x04, 0x30, 0xFF, 0xFF})
	f.Add([]byte{0x81, 0x03, 0x08, 0x91, 0xB0, 0x20})
	f.Add([]byte{0x82, 0x02, 0x04, 0x00, 0x91, 0x41})
	f.Add([]byte{0x43, 0x0A, 0x82, 0xD4, 0x32, 0xBB, 0xBC, 0x7E, 0xB7, 0x5D, 0xE4, 0x32})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, text := range []string{simText(b), parseSPN(b), parsePNN(b)} {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
				t.Errorf("%x: %q", b, text)
			}
		}
	})
}

// FuzzQuery: a dialect's query reads a parameter of the answer or fails.
func FuzzQuery(f *testing.F) {
	f.Add(`+QPINC: "SC",3,10`)
	f.Add("SIM1 ENABLE")
	f.Add(`^SCFG: "SIM/CS","SIM1"`)
	f.Fuzz(func(t *testing.T, line string) {
		for _, name := range dialect.Names() {
			d := dialect.ByName(name)
			queries := append(slices.Concat(d.ICCID, d.PINTries), d.Slots.Active, d.Carrier.Query, d.Carrier.Auto, d.Function.Query)
			for _, q := range queries {
				if q.Send == "" {
					continue
				}
				v, err := newScript(t, q.Send, line).modem(name).query(t.Context(), q)
				if err == nil && (v == "" || !strings.Contains(line, v)) {
					t.Errorf("%s: AT%s with %q: %q", name, q.Send, line, v)
				}
			}
		}
	})
}

func FuzzTechnologies(f *testing.F) {
	f.Add("(12,22,25,28,29,30,31)")
	f.Fuzz(func(t *testing.T, rest string) {
		v, err := newScript(t, "+WS46=?", "+WS46: "+rest).modem("generic").Technologies(t.Context())
		if (err == nil) != (v.GSM || v.UTRAN || v.EUTRAN) {
			t.Errorf("%q: %+v %v", rest, v, err)
		}
	})
}

// FuzzCauseNumber holds the numbers that are found against regular expressions of
// what ParseCause says of them.
func FuzzCauseNumber(f *testing.F) {
	numbered := regexp.MustCompile(`(?i)(?:cause|esm|\bsm\b)[^0-9]{0,12}([0-9]{1,3})\b|#([0-9]{1,3})\b`)
	mobility := regexp.MustCompile(`(?i)\b(?:e|g|5g)?mm\b`)
	for _, s := range []string{
		"SM cause 27", "esm: 33", "#50", "EMM cause 11", "cause 1234", "cause:12a", "5GMM cause #9", "smm 3",
		"cause cause 300 #27", "sm_1 sm 2", "emm_cause 8", "cause abcdefghijkl12", "cause abcdefghijklm12",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain := letters(text)
		named := func(words string) bool { return strings.Contains(plain, words) }
		if len(text) > 512 || strings.IndexFunc(text, func(r rune) bool { return r > '~' }) >= 0 || slices.ContainsFunc(slices.Collect(maps.Keys(causeWords)), named) {
			t.Skip()
		}
		want := CauseUnknown
		if m := numbered.FindStringSubmatch(text); m != nil && !mobility.MatchString(text) {
			if n, ok := number(m[1]+m[2], 255); ok {
				want = Cause(n)
			}
		}
		if got := ParseCause(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	})
}
