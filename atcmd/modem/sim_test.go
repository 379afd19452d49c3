package modem

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

func TestSIM(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer any
		want   SIMState
	}{
		{"ready", "+CPIN: READY", SIMReady},
		{"PIN", "+CPIN: SIM PIN", SIMNeedsPIN},
		{"PUK", "+CPIN: SIM PUK", SIMNeedsPUK},
		{"PIN2", "+CPIN: SIM PIN2", SIMLocked},
		{"network lock", "+CPIN: PH-NET PIN", SIMLocked},
		{"FM350 without enabled profile", "+CPIN: EMPTY_EUICC", SIMNoProfile},
		{"quoted", `+CPIN:"READY"`, SIMReady},
		{"CME 10", 10, SIMAbsent},
		{"CME 11", 11, SIMNeedsPIN},
		{"CME 12", 12, SIMNeedsPUK},
		{"CME 13", 13, SIMFailure},
		{"CME 14", 14, SIMBusy},
		{"bare ERROR", &atcmd.FinalError{Command: "+CPIN", Final: "ERROR"}, SIMUnknown},
	} {
		got, err := newScript(t, "+CPIN?", tt.answer).modem("generic").SIM(t.Context())
		if err != nil || got.State != tt.want {
			t.Errorf("%s: %+v %v", tt.name, got, err)
		}
	}
	if _, err := newScript(t, "+CPIN?", atcmd.ErrTimeout).modem("generic").SIM(t.Context()); !errors.Is(err, atcmd.ErrTimeout) {
		t.Errorf("silence: %v", err)
	}
}

var errBusy = errors.New("+CME ERROR: 14")

func TestEnterPIN(t *testing.T) {
	const pin = "4711"
	for _, tt := range []struct {
		name    string
		dialect string
		pairs   []any
		lastTry bool
		err     error
		sent    int
		text    string
	}{
		{"right", "quectel", []any{"+CPIN?", "+CPIN: SIM PIN", `+QPINC="SC"`, `+QPINC: "SC",3,10`, `+CPIN="4711"`, ""}, false, nil, 1, ""},
		{"not asked for", "generic", []any{"+CPIN?", "+CPIN: READY"}, false, nil, 0, ""},
		{"wrong, tries told", "quectel", []any{"+CPIN?", "+CPIN: SIM PIN", `+QPINC="SC"`, `+QPINC: "SC",3,10`, `+QPINC="SC"`, `+QPINC: "SC",2,10`, `+CPIN="4711"`, 16}, false, ErrPIN, 1, "2 tries left"},
		{"wrong, nothing told", "generic", []any{"+CPIN?", "+CPIN: SIM PIN", `+CPIN="4711"`, &atcmd.FinalError{Command: "+CPIN", Final: "ERROR"}}, false, ErrPIN, 1, ""},
		{"one try left", "generic", []any{"+CPIN?", "+CPIN: SIM PIN", "+CPINR", "+CPINR: SIM PIN,1,3|+CPINR: SIM PUK,10,10", `+CPIN="4711"`, ""}, false, ErrLastTry, 0, ""},
		{"one try left, told to", "generic", []any{"+CPIN?", "+CPIN: SIM PIN", "+CPINR", `+CPINR: "SIM PIN",1,3`, `+CPIN="4711"`, ""}, true, nil, 1, ""},
		{"none left", "generic", []any{"+CPIN?", "+CPIN: SIM PIN", "+CPINR", "+CPINR: SIM PIN,0"}, true, ErrPUK, 0, ""},
		{"blocked before", "generic", []any{"+CPIN?", "+CPIN: SIM PUK"}, false, ErrPUK, 0, ""},
		{"blocked now", "generic", []any{"+CPIN?", "+CPIN: SIM PIN", `+CPIN="4711"`, 12}, false, ErrPUK, 1, ""},
		{"busy, and the card has not counted it", "generic", []any{"+CPIN?", "+CPIN: SIM PIN", "+CPINR", "+CPINR: SIM PIN,3,3", `+CPIN="4711"`, 14}, false, errBusy, 1, "did not reach the card"},
		{"no answer", "generic", []any{"+CPIN?", "+CPIN: SIM PIN", `+CPIN="4711"`, atcmd.ErrTimeout}, false, atcmd.ErrTimeout, 1, "outcome unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, tt.pairs...)
			err := s.modem(tt.dialect).EnterPIN(t.Context(), pin, tt.lastTry)
			if tt.err == errBusy && cmeCode(err) == 14 {
				tt.err = err
			}
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if n := s.count(`+CPIN="4711"`); n != tt.sent {
				t.Errorf("sent %d times, want %d", n, tt.sent)
			}
			if err != nil && (strings.Contains(err.Error(), pin) || !strings.Contains(err.Error(), tt.text)) {
				t.Errorf("error %q", err)
			}
			for _, c := range s.sent {
				if strings.Contains(c.Text, pin) && !c.Secret {
					t.Errorf("AT%s is not marked secret", c.Name())
				}
			}
		})
	}
}

// A PIN that a card refused is not sent to it again; another card may have it.
func TestRefusedPINIsNotRepeated(t *testing.T) {
	const card1, card2 = `+CRSM: 144,0,"98101032547698103214"`, `+CRSM: 144,0,"98101032547698103254"`
	s := newScript(t, "+CPIN?", "+CPIN: SIM PIN", `+CPIN="4711"`, 16, `+CPIN="0815"`, "",
		"+CRSM=176,12258,0,0,10", card1, "+CRSM=176,12258,0,0,10", card1, "+CRSM=176,12258,0,0,10", card1, "+CRSM=176,12258,0,0,10", card2)
	m := s.modem("generic")
	for i := range 2 {
		if err := m.EnterPIN(t.Context(), "4711", true); !errors.Is(err, ErrPIN) {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	if n := s.count(`+CPIN="4711"`); n != 1 {
		t.Errorf("sent %d times", n)
	}
	if err := m.EnterPIN(t.Context(), "0815", true); err != nil {
		t.Errorf("another PIN: %v", err)
	}
	_ = m.EnterPIN(t.Context(), "4711", true)
	if n := s.count(`+CPIN="4711"`); n != 2 {
		t.Errorf("another card: sent %d times in all", n)
	}
	for _, pin := range []Secret{"", "123", "123456789", "12a4", "12\"4"} {
		if err := m.EnterPIN(t.Context(), pin, true); err == nil || pin != "" && strings.Contains(err.Error(), string(pin)) {
			t.Errorf("%d characters: %v", len(pin), err)
		}
	}
}

// A modem that comes back is another Modem and the same card: what it did not
// accept, or may have seen, is not sent again. What never left may be.
func TestPINMemory(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer any
		sent   int // by three modems, one after the other
	}{
		{"refused", 16, 1},
		{"no answer: it may have been one try", atcmd.ErrTimeout, 1},
		{"port gone while it was sent", atcmd.ErrGone, 1},
		{"nothing left", fmt.Errorf("%w: %w", atcmd.ErrNotSent, atcmd.ErrGone), 3},
		{"accepted, and locked again by a power cut", "", 3},
	} {
		var memory PINMemory
		sent := 0
		for range 3 {
			s := newScript(t, "+CPIN?", "+CPIN: SIM PIN", `+CPIN="4711"`, tt.answer)
			m := s.modem("generic")
			m.SharePINs(&memory)
			_ = m.EnterPIN(t.Context(), "4711", false)
			sent += s.count(`+CPIN="4711"`)
		}
		if sent != tt.sent {
			t.Errorf("%s: sent %d times, want %d", tt.name, sent, tt.sent)
		}
		if text := fmt.Sprintf("%+v", &memory); strings.Contains(text, "4711") {
			t.Errorf("the memory holds the PIN: %s", text)
		}
	}
}

// A refused PIN is not sent by the next process either, unless the card has
// accepted one elsewhere since; a refusal that is only guessed is not kept.
func TestPINRefusedBefore(t *testing.T) {
	const dialect, tries = "quectel", `+QPINC="SC"`
	count := func(n int) string { return fmt.Sprintf(`+QPINC: "SC",%d,10`, n) }
	for _, tt := range []struct {
		name  string
		first []any // how the first process fares
		then  []any // the second
		sent  int   // by both
	}{
		{"tries are not told", []any{`+CPIN="4711"`, 16}, []any{`+CPIN="4711"`, 16}, 1},
		{"a try less", []any{tries, count(3), `+CPIN="4711"`, 16, tries, count(2)}, []any{tries, count(2), `+CPIN="4711"`, 16}, 1},
		{"a try less, and no code", []any{tries, count(3), `+CPIN="4711"`, &atcmd.FinalError{Command: "+CPIN", Final: "ERROR"}, tries, count(2)}, []any{tries, count(2), `+CPIN="4711"`, 16}, 1},
		{"accepted in a telephone since", []any{tries, count(3), `+CPIN="4711"`, 16, tries, count(2)}, []any{tries, count(3), `+CPIN="4711"`, ""}, 2},
		{"an error that may be anything", []any{`+CPIN="4711"`, 100}, []any{`+CPIN="4711"`, ""}, 2},
		{"no answer", []any{`+CPIN="4711"`, atcmd.ErrTimeout}, []any{`+CPIN="4711"`, ""}, 2},
	} {
		kept := map[string]int{}
		sent := 0
		for _, fares := range [][]any{tt.first, tt.then} {
			memory := PINMemory{
				Keep: func(digest []byte, left int) { kept[string(digest)] = left },
				Kept: func(digest []byte) (int, bool) { left, ok := kept[string(digest)]; return left, ok },
			}
			s := newScript(t, append([]any{"+CPIN?", "+CPIN: SIM PIN"}, fares...)...)
			m := s.modem(dialect)
			m.SharePINs(&memory)
			_ = m.EnterPIN(t.Context(), "4711", false)
			sent += s.count(`+CPIN="4711"`)
		}
		if sent != tt.sent {
			t.Errorf("%s: sent %d times, want %d", tt.name, sent, tt.sent)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	type holder struct{ Password Secret }
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", Secret("hunter2"), "h", holder{"hunter2"})
	text, err := json.Marshal(holder{"hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %s %q %x %d %#v %+v", Secret("hunter2"), Secret("hunter2"), Secret("hunter2"), Secret("hunter2"), Secret("hunter2"), holder{"hunter2"}, Auth{Password: "hunter2"}) + string(text) + log.String()
	if strings.Contains(all, "hunter2") || strings.Contains(all, "68756e746572") {
		t.Error(all)
	}
}

func TestICCID(t *testing.T) {
	const crsm = "+CRSM=176,12258,0,0,10"
	for _, tt := range []struct {
		name, dialect string
		pairs         []any
		want          string
	}{
		{"20 digits", "generic", []any{crsm, `+CRSM: 144,0,"98684000000000000010"`}, "89860400000000000001"},
		{"19 digits", "generic", []any{crsm, `+CRSM: 144,0,"984411002233445566F7"`}, "8944110022334455667"},
		{"18 digits", "generic", []any{crsm, `+CRSM: 144,0,984411002233445566FF`}, "894411002233445566"},
		{"China Mobile: a letter", "generic", []any{crsm, `+CRSM: 144,0,"986800A1000000000010"`}, "8986001A000000000001"},
		{"EG916Q: CME 3, then +QCCID", "quectel", []any{crsm, 3, "+QCCID", "+QCCID: 8944110022334455667F"}, "8944110022334455667"},
		{"file refused, then +CCID bare", "generic", []any{crsm, "+CRSM: 106,130", "+CCID", "89860400000000000001"}, "89860400000000000001"},
	} {
		got, err := newScript(t, tt.pairs...).modem(tt.dialect).ICCID(t.Context())
		if err != nil || got != tt.want {
			t.Errorf("%s: %q %v, want %q", tt.name, got, err, tt.want)
		}
	}
	for name, pairs := range map[string][]any{
		"no profile":     {crsm, 13},
		"too short":      {crsm, `+CRSM: 144,0,"9868"`},
		"17 digits":      {"+CCID", "+CCID: 12345678901234567"},
		"not a number":   {"+CCID", "+CCID: unknown"},
		"filled with FF": {crsm, `+CRSM: 144,0,"FFFFFFFFFFFFFFFFFFFF"`},
	} {
		if got, err := newScript(t, pairs...).modem("generic").ICCID(t.Context()); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := newScript(t, crsm, atcmd.ErrGone).modem("generic").ICCID(t.Context()); !errors.Is(err, atcmd.ErrGone) {
		t.Errorf("port gone: %v", err)
	}
}

func TestIMSI(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pairs []any
		want  string
	}{
		{"bare", []any{"+CIMI", "001010123456789"}, "001010123456789"},
		{"tagged", []any{"+CIMI", `+CIMI: "001010123456789"`}, "001010123456789"},
		{"from EF_IMSI", []any{"+CIMI", 3, "+CRSM=176,28423,0,0,9", `+CRSM: 144,0,"080910101032547698"`}, "001010123456789"},
		{"14 digits", []any{"+CIMI", 3, "+CRSM=176,28423,0,0,9", `+CRSM: 144,0,"0801101010325476F8"`}, "0101012345678"},
	} {
		got, err := newScript(t, tt.pairs...).modem("generic").IMSI(t.Context())
		if err != nil || tt.name != "14 digits" && got != tt.want || tt.name == "14 digits" && len(got) != 14 {
			t.Errorf("%s: %q %v", tt.name, got, err)
		}
	}
	if _, err := newScript(t, "+CIMI", 13).modem("generic").IMSI(t.Context()); cmeCode(err) != 13 {
		t.Errorf("no profile: %v", err)
	}
}

func TestSIMFacts(t *testing.T) {
	s := newScript(t,
		"+CRSM=176,12258,0,0,10", `+CRSM: 144,0,"98684000000000000010"`,
		"+CIMI", "310260123456789",
		"+CRSM=176,28589,0,0,4", `+CRSM: 144,0,"00000003"`,
		"+CRSM=176,28486,0,0,17", `+CRSM: 144,0,"01546573742053494DFFFFFFFFFFFFFFFF"`,
		"+CRSM=176,28478,0,0,0", "+CRSM: 108,4", "+CRSM=176,28478,0,0,4", `+CRSM: 144,0,"6d38FFFF"`,
		"+CRSM=176,28479,0,0,0", 14, "+CRSM=176,28479,0,0,0", "+CRSM: 106,130",
		"+CRSM=192,28613,0,0,0", "+CRSM: 106,130", "+CRSM=192,28613,0,0,0", `+CRSM: 144,0,"62168205422100180283026FC58A01058B036F060280020030"`,
		"+CRSM=178,28613,1,4,24", `+CRSM: 144,0,"430A82D432BBBC7EB75DE432FFFFFFFFFFFFFFFFFFFFFFFF"`,
	)
	m := s.modem("generic")
	got, err := m.SIMFacts(t.Context())
	want := SIMFacts{
		ICCID: "89860400000000000001", IMSI: "310260123456789", MNCLength: 3, MCC: "310", MNC: "260", SPN: "Test SIM", GID1: "6D38",
		Incomplete: true, // the card was busy when GID2 was asked for
	}
	if err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	want.Incomplete, want.PNN = false, "Telekom.de"
	if got, err = m.SIMFacts(t.Context()); err != nil || got != want {
		t.Errorf("the second time: %+v %v", got, err)
	}
}

// The packed names are from real cards, as pySim notes them.
func TestPNN(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"full and short name", "430A82D432BBBC7EB75DE432450A82D432BBBC7EB75DE432FFFFFFFF", "Telekom.de"},
		{"full name", "430A82C596B34CBFBFE5EB39FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "E-Networks"},
		{"UCS2", "43079004120438043BFFFF", "Вил"},
		{"another coding", "4302F041", ""},
		{"short name alone", "450A82D432BBBC7EB75DE432", ""},
		{"longer than the record", "430F82D432", ""},
		{"spare bits alone", "430187", ""},
		{"empty", "FFFFFFFF", ""},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(tt.in, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := parsePNN(b); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Where the length of a record is told, it is in the FCP template or in byte 15
// of the old form.
func TestRecordLength(t *testing.T) {
	for in, want := range map[string]int{
		"62078205422100180283": 24, "620982054221001C0283026F": 28, "000000306FC5040011FF4401020118": 24, "6204820241 21": 0, "62": 0, "": 0,
	} {
		b, _ := hex.DecodeString(strings.ReplaceAll(in, " ", ""))
		if got := recordLength(b); got != want {
			t.Errorf("%s: %d, want %d", in, got, want)
		}
	}
}

// A card that wants the exact length has it in its control parameters.
func TestReadFileOfUnknownLength(t *testing.T) {
	for name, fcp := range map[string]string{
		"FCP":      "621E8202412183026F3EA506800171C00100 8A01058B036F0602 80020003 880130",
		"2G":       "000000036F3E040000000000000000",
		"no clue":  "6200",
		"cut off":  "62048002",
		"too long": "62068002FFFF8800",
	} {
		fcp = strings.ReplaceAll(fcp, " ", "")
		s := newScript(t, "+CRSM=176,28478,0,0,0", "+CRSM: 103,0", "+CRSM=192,28478,0,0,0", `+CRSM: 144,0,"`+fcp+`"`,
			"+CRSM=176,28478,0,0,3", `+CRSM: 144,0,"0102FF"`)
		got, err := s.modem("generic").readFile(t.Context(), efGID1, 0)
		if good := name == "FCP" || name == "2G"; good != (hex.EncodeToString(got) == "0102ff") || err != nil && good {
			t.Errorf("%s: %X %v", name, got, err)
		}
	}
}

func TestMNCLength(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int
	}{{"00000002", 2}, {"80000003", 3}, {"000000F3", 3}, {"000000", 0}, {"000000FF", 0}, {"", 0}, {"0100000200", 2}} {
		b, _ := hex.DecodeString(tt.in)
		if got := mncLength(b); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.in, got, tt.want)
		}
	}
}

func TestSPN(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"default alphabet", "00547275706869756DFFFFFF", "Truphium"},
		{"umlaut and at sign", "01004B7E7CFFFF", "@Küö"},
		{"extension", "001B65FF", "€"},
		{"UCS2, 80", "008004120438043BFFFF", "Вил"},
		{"UCS2, 81", "0081030883845Fff", "ЃЄ§"},
		{"UCS2, 82", "00820205308D2DFF", "Խ-"},
		{"empty", "00FFFFFFFF", ""},
		{"none", "00", ""},
		{"control characters", "000D0A41FF", "A"},
		{"cut off", "0082", ""},
	} {
		b, err := hex.DecodeString(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseSPN(b); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, "+QUIMSLOT?", "+QUIMSLOT: 1", "+CFUN=0", "", "+QUIMSLOT=2", "", "+CFUN=1", "")
		m := s.modem("quectel")
		if n, err := m.Slot(t.Context()); err != nil || n != 1 {
			t.Errorf("%d %v", n, err)
		}
		if err := m.SelectSlot(t.Context(), 2); err != nil || !strings.HasSuffix(s.texts(), "+CFUN=0|+QUIMSLOT=2|+CFUN=1") {
			t.Errorf("%v, sent %s", err, s.texts())
		}
		if _, err := newScript(t).modem("generic").Slot(t.Context()); !errors.Is(err, ErrNoSlots) {
			t.Error(err)
		}
		if err := newScript(t).modem("generic").SelectSlot(t.Context(), 1); !errors.Is(err, ErrNoSlots) {
			t.Error(err)
		}
	})
}

func FuzzCRSM(f *testing.F) {
	f.Add(`+CRSM: 144,0,"98684000000000000010"`)
	f.Add(`+CRSM: 106,130`)
	f.Fuzz(func(t *testing.T, line string) {
		fields, ok := atcmd.Fields(line, "+CRSM")
		if !ok {
			return
		}
		data, _, err := parseCRSM(fields)
		if err != nil {
			return
		}
		if len(data) > 256 {
			t.Fatalf("%d bytes", len(data))
		}
		fileSize(data)
		mncLength(data)
		parseSPN(data)
		parsePNN(data)
		recordLength(data)
		parseGID(data)
		parseIMSI(data)
		if id, err := parseICCID(hex.EncodeToString(data), dialect.Query{CRSM: true}); err == nil && (len(id) < 18 || len(id) > 20) {
			t.Fatalf("ICCID %q", id)
		}
	})
}
