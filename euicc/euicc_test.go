package euicc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// The numbers are pySim's tests/unittests/test_euicc.py.
func TestEID(t *testing.T) {
	for _, s := range []string{"89049032123451234512345678901235", "89086030202200000022000023022943", "89044045116727494800000004479366"} {
		e, err := ParseEID(s)
		if err != nil || e.String() != s || !e.Valid() {
			t.Errorf("%s: %s, %v", s, e, err)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"89049032123451234512345678901234", "check digits"},
		{"8904903212345123451234567890123", "31 digits"},
		{"890490321234512345123456789012350", "more than 32"},
		{"8904903212345123451234567890123A", "character 32"},
		{"", "0 digits"},
	} {
		if _, err := ParseEID(tt.in); !errors.Is(err, ErrEID) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.in, err)
		}
	}
	e, err := ParseEID("8904 9032 1234 5123 4512 3456 7890 1235")
	if err != nil || e.Short() != "8904…1235" {
		t.Errorf("with blanks: %s, %v", e.Short(), err)
	}
	if (EID{}).Valid() || (EID{}).String() != "" || !(EID{}).IsZero() {
		t.Error("the zero EID is something")
	}
	roundTripText(t, e)
}

// A type that is not shortened in JSON, but is in logs.
func roundTripText[T interface {
	comparable
	slog.LogValuer
	Short() string
}](t *testing.T, v T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var again T
	if err := json.Unmarshal(b, &again); err != nil || again != v {
		t.Errorf("%s: %v, %v", b, again, err)
	}
	if v.LogValue().String() != v.Short() {
		t.Errorf("log shows %s", v.LogValue())
	}
}

func TestICCID(t *testing.T) {
	for _, tt := range []struct{ digits, octets string }{
		{"8944478600004573128", "984474680000543721F8"},  // euicc-go v2/identifier_test.go
		{"89000101000000000001", "98001010000000000010"}, // 20 digits
		{"890010100000000001", "980001010000000010FF"},   // 18 digits
	} {
		c, err := ParseICCID(tt.digits)
		if err != nil || hex.EncodeToString(c[:]) != strings.ToLower(tt.octets) || c.String() != tt.digits {
			t.Errorf("%s: %X %s %v", tt.digits, c[:], c, err)
		}
		d, err := ICCIDFromBytes(unhex(tt.octets))
		if err != nil || d != c {
			t.Errorf("%s: %s", tt.octets, d)
		}
		roundTripText(t, c)
	}
	// 89860110F9900160570 is a card in the field (euicc-go v2/identifier_test.go).
	if c, err := ICCIDFromBytes(unhex("986810019F09100675F0")); err != nil || c.String() != "89860110F9900160570" {
		t.Errorf("hexadecimal digit: %s, %v", c, err)
	}
	if c, err := ParseICCID(" 8944478600004573128F "); err != nil || c.String() != "8944478600004573128" {
		t.Errorf("padding as modems print it: %v", err)
	}
	for _, bad := range []string{"", "89444786000045731", "894447860000457312812", "89444786000045731x8", "8944478600F04573128", "00000000000000000000"} {
		if _, err := ParseICCID(bad); !errors.Is(err, ErrICCID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ICCIDFromBytes(make([]byte, 9)); !errors.Is(err, ErrICCID) {
		t.Errorf("nine octets: %v", err)
	}
}

func FuzzICCID(f *testing.F) {
	f.Add("8944478600004573128")
	f.Add("890010100000000001")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseICCID(s)
		if err != nil {
			return
		}
		if d, err := ParseICCID(c.String()); err != nil || d != c || !strings.Contains(s, c.String()) {
			t.Fatalf("%q: %s", s, c)
		}
	})
}

func TestParseActivationCode(t *testing.T) {
	type want struct {
		address, id, oid string
		cc               bool
	}
	good := map[string]want{
		"LPA:1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815":                     {"smdp.gsma.com", "04386-AGYFT-A74Y8-3F815", "", false}, // SGP.22 4.1
		"LPA:1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$$1":                  {"smdp.gsma.com", "04386-AGYFT-A74Y8-3F815", "", true},
		"LPA:1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746$1": {"smdp.gsma.com", "04386-AGYFT-A74Y8-3F815", "1.3.6.1.4.1.31746", true},
		"LPA:1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746":   {"smdp.gsma.com", "04386-AGYFT-A74Y8-3F815", "1.3.6.1.4.1.31746", false},
		"LPA:1$SMDP.GSMA.COM$":                                            {"smdp.gsma.com", "", "", false},
		"1$smdp.gsma.com$TOKEN":                                           {"smdp.gsma.com", "TOKEN", "", false},
		"lpa:1$smdp.gsma.com$TOKEN":                                       {"smdp.gsma.com", "TOKEN", "", false},
		" \tLPA:1$smdp.gsma.com$TOKEN\r\n":                                {"smdp.gsma.com", "TOKEN", "", false},
		"LPA:1$ smdp.gsma.com. $TOKEN":                                    {"smdp.gsma.com", "TOKEN", "", false},
		"LPA:1$smdp.lab.test:8443$TOKEN":                                  {"smdp.lab.test:8443", "TOKEN", "", false},
		"LPA:1$127.0.0.1:8443$TOKEN":                                      {"127.0.0.1:8443", "TOKEN", "", false},
		"LPA:1$localhost:8443$TOKEN":                                      {"localhost:8443", "TOKEN", "", false},
		"1$smdp.lab.test:8443$TOKEN":                                      {"smdp.lab.test:8443", "TOKEN", "", false},
		"LPA:1$smdp.gsma.com$tok:en/with.others_!":                        {"smdp.gsma.com", "tok:en/with.others_!", "", false},
		"LPA:1$smdp.gsma.com$TOKEN$$":                                     {"smdp.gsma.com", "TOKEN", "", false},
		"\ufeffLPA:1$smdp.gsma.com$TOKEN":                                 {"smdp.gsma.com", "TOKEN", "", false}, // byte order mark of a text file
		"\u200fLPA:1$smdp.\u200bgsma.com$TO\u00adKEN\u200e":               {"smdp.gsma.com", "TOKEN", "", false}, // copied from a mail
		"\u202dLPA:1$smdp.gsma.com$TOKEN\u202c":                           {"smdp.gsma.com", "TOKEN", "", false}, // and from a chat
		"\u00a0\u3000LPA: 1$smdp.gsma.com$TOKEN\u2003\u2028":              {"smdp.gsma.com", "TOKEN", "", false},
		"lpa:1%24smdp.gsma.com%24TOKEN%24%241":                            {"smdp.gsma.com", "TOKEN", "", true},
		"LPA%3A1%24smdp.gsma.com%24TOKEN":                                 {"smdp.gsma.com", "TOKEN", "", false},
		"lpa:1$smdp.gsma.com$A%2dB":                                       {"smdp.gsma.com", "A-B", "", false},
	}
	for text, w := range good {
		c, err := ParseActivationCode(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := (want{c.Address, c.MatchingID.Reveal(), c.OID, c.ConfirmationRequired}); got != w {
			t.Errorf("%q: %+v", text, got)
		}
		if again, err := ParseActivationCode(c.Reveal()); err != nil || again != c {
			t.Errorf("%q: does not round-trip: %v", text, err)
		}
	}
	long := "LPA:1$smdp.gsma.com$" + strings.Repeat("A", 236)
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "it is empty"},
		{"blanks", "  \n", "it is empty"},
		{"wrong prefix", "LPB:1$smdp.gsma.com$SECRET", "prefix is not LPA:"},
		{"another URI", "https://1$smdp.gsma.com$SECRET", "prefix is not LPA:"},
		{"empty prefix", ":1$smdp.gsma.com$SECRET", "prefix is not LPA:"},
		{"empty format (lpac accepts it)", "LPA:$smdp.gsma.com$SECRET", "format field is empty"},
		{"unknown format", "LPA:2$smdp.gsma.com$SECRET", "unknown format"},
		{"format 1x (euicc-go accepts it)", "LPA:1x$smdp.gsma.com$SECRET", "unknown format"},
		{"no separator", "LPA:1", "no $"},
		{"no address", "LPA:1$$SECRET", "no SM-DP+ address"},
		{"address only", "LPA:1$smdp.gsma.com", "ends in $"},
		{"one label", "LPA:1$smdp$SECRET", "no fully qualified"},
		{"bad character", "LPA:1$smdp_1.gsma.com$SECRET", "part 1 of the host name"},
		{"empty label", "LPA:1$smdp..com$SECRET", "part 2 of the host name"},
		{"hyphen", "LPA:1$-smdp.gsma.com$SECRET", "part 1"},
		{"URL as address", "LPA:1$https://smdp.gsma.com$SECRET", "port is not a number"},
		{"port 0", "LPA:1$smdp.gsma.com:0$SECRET", "port is not a number"},
		{"port too large", "LPA:1$smdp.gsma.com:65536$SECRET", "port is not a number"},
		{"bad IPv4", "LPA:1$192.0.2.300$SECRET", "no IPv4"},
		{"long label", "LPA:1$" + strings.Repeat("a", 64) + ".com$SECRET", "part 1"},
		{"OID", "LPA:1$smdp.gsma.com$SECRET$1.3.x", "field 4"},
		{"flag", "LPA:1$smdp.gsma.com$SECRET$1.3.6$2", "field 5"},
		{"six fields", "LPA:1$smdp.gsma.com$SECRET$1.3.6$1$", "6 fields"},
		{"percent at the end", "lpa:1$smdp.gsma.com$SECRET%2", "percent-encoding"},
		{"percent twice encoded", "lpa:1$smdp.gsma.com$SECRET%2524", "percent-encoding"},
		{"encoded line feed", "lpa:1$smdp.gsma.com$SEC%0ARET", "not printable"},
		{"encoded non-ASCII", "lpa:1$smdp.gsma.com$SECRET%c3%a9", "not printable"},
		{"invisible marks only", "\u200b\ufeff", "it is empty"},
		{"endless invisible marks", strings.Repeat("\u200b", 2000), "6000 bytes"},
		{"blank in matching ID", "LPA:1$smdp.gsma.com$SEC RET", "field 3"},
		{"non-ASCII", "LPA:1$smdp.gsma.com$SECRETé", "byte 27 is not printable ASCII"},
		{"NUL", "LPA:1$smdp.gsma.com$\x00", "not printable"},
		{"over-long", long, "256 bytes, more than 255"},
		{"junk", "hello world SECRET", "no $"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseActivationCode(tt.text)
			if !errors.Is(err, ErrActivationCode) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("secret in %v", err)
			}
		})
	}
	if c, n, err := ParseLaterActivationCode("LPA:1$smdp.gsma.com$SECRET$$1$x$y"); err != nil || n != 2 || c.MatchingID.Reveal() != "SECRET" || !c.ConfirmationRequired {
		t.Errorf("later code: %v, %d, %v", c, n, err)
	}
	if c, n, err := ParseLaterActivationCode("LPA:1$smdp.gsma.com$SECRET"); err != nil || n != 0 || c.MatchingID.Reveal() != "SECRET" {
		t.Errorf("present code: %v, %d, %v", c, n, err)
	}
	if _, _, err := ParseLaterActivationCode("LPA:1$smdp.gsma.com$SECRET$$2$x"); !errors.Is(err, ErrActivationCode) {
		t.Errorf("later code with a wrong flag: %v", err)
	}
	if _, err := ParseActivationCode("LPA:1$smdp.gsma.com$SECRET$$1$x"); !errors.Is(err, ErrSurplusFields) {
		t.Errorf("surplus fields: %v", err)
	}
	if _, err := ParseActivationCode(long[:255]); err != nil {
		t.Errorf("255 bytes: %v", err)
	}
}

func FuzzActivationCode(f *testing.F) {
	f.Add("LPA:1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746$1")
	f.Add("1$a.b:1$")
	f.Add("lpa:1$a.b.$x$$1")
	f.Add("lpa:1%24a.b%24x%2d\u200b")
	f.Add("1$a.b$x$$1$later$")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseActivationCode(s)
		later, surplus, lerr := ParseLaterActivationCode(s)
		if err == nil && (lerr != nil || surplus != 0 || later != c) || lerr == nil && surplus > 0 && !errors.Is(err, ErrSurplusFields) {
			t.Fatalf("%q: %v, and as a later code %v with %d fields more, %v", s, err, later, surplus, lerr)
		}
		if err != nil {
			return
		}
		again, err := ParseActivationCode(c.Reveal())
		if err != nil || again != c {
			t.Fatalf("%q: %q: %v", s, c.Reveal(), err)
		}
		if id := c.MatchingID.Reveal(); len(id) > 3 && !strings.Contains("LPA:1$"+c.Address+"$"+c.OID+"$1(redacted)", id) && strings.Contains(c.String(), id) {
			t.Fatalf("%q shows the matching ID", c)
		}
	})
}

// No way of printing shows a secret.
func TestSecrets(t *testing.T) {
	c, err := ParseActivationCode("LPA:1$smdp.gsma.com$SECRET$$1")
	if err != nil {
		t.Fatal(err)
	}
	cc := ConfirmationCode("SECRET")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "code", c, "id", c.MatchingID, "cc", cc, "all", map[string]any{"c": c, "cc": cc})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "code", c, "id", c.MatchingID, "cc", cc, "ptr", &c)
	js, err := json.Marshal(map[string]any{"c": c, "id": c.MatchingID, "cc": cc, "p": &c})
	if err != nil {
		t.Fatal(err)
	}
	out := log.String() + string(js)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		out += fmt.Sprintf(verb+" "+verb+" "+verb+" "+verb, c, &c, c.MatchingID, cc)
	}
	if strings.Contains(out, "SECRET") {
		t.Errorf("secret in %s", out)
	}
	if !strings.Contains(out, "LPA:1$smdp.gsma.com$(redacted)$$1") {
		t.Errorf("nothing is left of the code in %s", out)
	}
}

func TestTransactionID(t *testing.T) {
	id, err := ParseTransactionID("0aB1")
	if err != nil || !bytes.Equal(id.Bytes(), []byte{0x0A, 0xB1}) || !id.Equal("0Ab1") || id.Equal("0A") {
		t.Errorf("%s: %v", id, err)
	}
	for _, bad := range []string{"", "0", "xy", strings.Repeat("00", 17)} {
		if _, err := ParseTransactionID(bad); !errors.Is(err, ErrTransactionID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := NewTransactionID(nil); err == nil {
		t.Error("empty")
	}
}

func TestParseMetadata(t *testing.T) {
	b := bertlv.Encode(0xBF25,
		unhex("5A0A984474680000543721F8 910454657374 9203544C54 930101 9402FFD8 950101"),
		bertlv.Encode(0xB6, unhex("3009 80020410 8103 612E62"), unhex("3007 80020780 810162")),
		bertlv.Encode(0xB7, unhex("800362F220 8101AA 8202BBCC")),
		unhex("99020640 DF010107"))
	m, err := ParseMetadata(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.ICCID.String() != "8944478600004573128" || m.ServiceProvider != "Test" || m.Name != "TLT" || m.IconType != IconPNG || len(m.Icon) != 2 ||
		m.Class != ClassProvisioning || m.PPR != PPR1 || len(m.Notifications) != 2 || m.Notifications[0].Events != EventDelete ||
		m.Notifications[0].Address != "a.b" || m.Owner.MCC != "262" || m.Owner.MNC != "02" || len(m.Owner.GID2) != 2 || len(m.Extra) != 1 {
		t.Errorf("got %+v", m)
	}
	again, err := ParseMetadata(b)
	if err != nil || !m.Equal(again) {
		t.Error("not equal to itself")
	}
	again.Name = "other"
	if m.Equal(again) {
		t.Error("another name is equal")
	}
	least, err := ParseMetadata(unhex("BF250C 5A0A984474680000543721F8"))
	if err != nil || least.Class != ClassOperational {
		t.Errorf("class when there is none: %v, %v", least.Class, err)
	}
	for _, bad := range []string{"", "BF2500", "BF2503 5A0101", "BF250F 5A0A984474680000543721F8 990108", "BF2605 9103414243"} {
		if _, err := ParseMetadata(unhex(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if o, err := ParseOperator(unhex("800313 0062")); err != nil || o.PLMN() != "310260" {
		t.Errorf("three digit MNC: %s, %v", o.PLMN(), err)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(unhex("BF250C 5A0A984474680000543721F8"))
	f.Add(unhex("E30E 5A0A984474680000543721F8 9F7000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMetadata(b); err == nil {
			if again, err := ParseMetadata(b); err != nil || !m.Equal(again) {
				t.Fatal("not stable")
			}
		}
		if p, err := ParseProfile(b); err == nil && p.ICCID != p.Metadata.ICCID {
			t.Fatal("two ICCIDs")
		}
	})
}

func FuzzNotification(f *testing.F) {
	f.Add(unhex("BF2F0E 80020080 81020640 0C04612E6263"))
	f.Add(unhex("BF371C BF2717 800101 BF2F06 800107 810100 A208 A106 800105 81010A 5F3700"))
	f.Add(unhex("3014 BF2F0E 80020080 81020640 0C04612E6263 5F3700"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseNotification(b); err == nil && n.Seq < 0 {
			t.Fatal("negative number")
		}
		p, err := ParsePendingNotification(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Raw, b) {
			t.Fatal("Raw is not what came")
		}
		if p.Install != nil && !bytes.Equal(p.Install.Raw, b) {
			t.Fatal("Raw of the result is not what came")
		}
	})
}

func TestEvents(t *testing.T) {
	for e, want := range map[Event]string{0: "00", EventInstall: "0780", EventDelete: "0410", EventInstall | EventDisable: "05A0"} {
		if got := hex.EncodeToString(e.Bits()); got != strings.ToLower(want) {
			t.Errorf("%s: %s, want %s", e, got, want)
		}
	}
	if s := (EventEnable | EventDelete | 1<<9).String(); s != "enable+delete+bit9" {
		t.Error(s)
	}
}

// Every code that reference material lists has a row, and 3.10 is not 3.1.
func TestDiagnose(t *testing.T) {
	for _, tt := range []struct {
		subject, reason string
		retry           Retry
		text            string
	}{
		{"8.1", "4.8", RetryAsk, "memory"},
		{"8.1", "6.1", RetryNow, "signature"},
		{"8.1.1", "3.8", RetryNewCode, "another card"},
		{"8.1.1", "3.10", RetryNewCode, "another card"},
		{"8.2", "1.2", RetryLater, "released"},
		{"8.2", "3.7", RetryNewCode, "bind"},
		{"8.2.5", "3.7", RetryLater, "left"},
		{"8.2.5", "4.3", RetryNever, "kind of device"},
		{"8.2.6", "3.8", RetryNewCode, "matching ID"},
		{"8.2.6", "3.10", RetryNewCode, "another profile"},
		{"8.2.7", "2.2", RetryAsk, "confirmation code"},
		{"8.2.7", "3.8", RetryAsk, "confirmation code"},
		{"8.2.7", "6.4", RetryNewCode, "too often"},
		{"8.8.5", "4.10", RetryNewCode, "expired"},
		{"8.8.5", "6.4", RetryNewCode, "too often"},
		{"8.10.1", "3.9", RetryNow, "session"},
		{"8.11.1", "3.9", RetryNever, "issuer"},
		{"9.9", "4.2", RetryLater, "the server answers"},
		{"9.9", "9.9", RetryNever, "not in the specification"},
	} {
		if d := DiagnoseStatus(tt.subject, tt.reason); d.Retry != tt.retry || !strings.Contains(d.Text, tt.text) || d.Advice == "" {
			t.Errorf("%s/%s: %+v", tt.subject, tt.reason, d)
		}
	}
	for pair, d := range statusCodes {
		if d.Text == "" || d.Retry == "" || d.Advice == "" {
			t.Errorf("%v is incomplete", pair)
		}
		if _, ok := reasons[pair.reason]; !ok {
			t.Errorf("%v: its reason alone is unknown", pair)
		}
	}
	seen := make(map[string]bool)
	for r := range BPPReason(16) {
		code, d := DiagnoseInstall(r)
		if r > 0 && (seen[code] || d.Text == "" || d.Advice == "" || d.Retry == "" || strings.HasSuffix(code, fmt.Sprint(int(r)))) {
			t.Errorf("install reason %d: %s %+v", r, code, d)
		}
		seen[code] = true
	}
	if d := DiagnoseSW(0x6A82); !strings.Contains(d.Text, "no such application") {
		t.Errorf("6A82: %+v", d)
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Stage: StageAuthenticateClient, Code: "es9p-8.2.6-3.8", Subject: "8.2.6", Reason: "3.8"}
	DiagnoseStatus(e.Subject, e.Reason).Apply(e)
	if got := e.Error(); got != "authenticateClient: the server refuses the matching ID (8.2.6/3.8)" {
		t.Error(got)
	}
	cause := &apdu.StatusError{SW: 0x6985, INS: 0xE2, Block: 3}
	f := &Error{Stage: StageLoadBPP, Code: "sw-6985", SW: 0x6985, Text: "refused", Err: cause}
	wrapped := fmt.Errorf("x: %w", f)
	if got := f.Error(); got != "loadBoundProfilePackage: refused: card answered 6985 to block 3 of STORE DATA" {
		t.Error(got)
	}
	if _, ok := errors.AsType[*apdu.StatusError](wrapped); !ok || CodeOf(wrapped) != "sw-6985" || RetryOf(wrapped) != RetryNever || CodeOf(cause) != "" {
		t.Error("the cause is lost")
	}
	g := &Error{Stage: StageLoadBPP, Install: true, Command: LoadProfileElements, BPPReason: ReasonMemory, Text: "no room"}
	if got := g.Error(); got != "loadBoundProfilePackage: no room (loadProfileElements 5, error 10)" {
		t.Error(got)
	}
}

// Only an interrupted installation leaves the order as it was, and only room on
// the card can be made; whatever else the card says, the order is used up.
func TestInstallRetry(t *testing.T) {
	may := map[BPPReason]Retry{ReasonInterruption: RetryNow, ReasonMemory: RetryAsk}
	for r := range installReasons {
		_, d := DiagnoseInstall(r)
		if want, ok := may[r]; ok && d.Retry != want || !ok && d.Retry != RetryNewCode && d.Retry != RetryNever {
			t.Errorf("reason %d: %s", int(r), d.Retry)
		}
	}
}

func TestErrorSaysTheStageOnce(t *testing.T) {
	e := &Error{Stage: StageGetBPP, Text: "the server's answer broke off", Err: errors.New("after 6 segments: getBoundProfilePackage: answer is cut off")}
	if got, want := e.Error(), "getBoundProfilePackage: the server's answer broke off: after 6 segments: answer is cut off"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if e.Text = ""; e.Error() != "getBoundProfilePackage: after 6 segments: answer is cut off" {
		t.Errorf("without text: %q", e.Error())
	}
	// What the layer below found is the text, and is not said again.
	for below, want := range map[string]string{
		"card open by csim: this firmware blocks it: modem error 3": "open: this firmware blocks it: card open by csim: modem error 3",
		"card open by csim: this firmware blocks it":                "open: this firmware blocks it: card open by csim",
		"card open: this firmware blocks it: status word 6881":      "open: this firmware blocks it: card open: status word 6881",
		"this firmware blocks it":                                   "open: this firmware blocks it",
	} {
		e := &Error{Stage: StageOpen, Text: "this firmware blocks it", Err: errors.New(below)}
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
