package modem

import (
	"errors"
	"strings"
	"testing"

	"dynamod/atcmd"
)

func TestParseRegistration(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		answer, ok bool
		want       Registration
	}{
		{"EG25, answer", `+CEREG: 2,1,"1A2B","1A2D001",7`, true, true, Registration{EPS, RegHome, 7, "1A2B", "1A2D001", 0}},
		{"EG25, URC", `+CEREG: 1,"1A2B","1A2D001",7`, false, true, Registration{EPS, RegHome, 7, "1A2B", "1A2D001", 0}},
		{"URC of mode 1", "+CEREG: 5", false, true, Registration{EPS, RegRoaming, AcTUnknown, "", "", 0}},
		{"answer of mode 1", "+CEREG: 1,5", true, true, Registration{EPS, RegRoaming, AcTUnknown, "", "", 0}},
		{"answer, denied with cause", "+CEREG: 3,3,,,,0,15", true, true, Registration{EPS, RegDenied, AcTUnknown, "", "", 15}},
		{"URC, denied with cause", "+CEREG: 3,,,,0,15", false, true, Registration{EPS, RegDenied, AcTUnknown, "", "", 15}},
		{"cause of the manufacturer", "+CEREG: 3,,,,1,15", false, true, Registration{EPS, RegDenied, AcTUnknown, "", "", 0}},
		{"area code without quotes", "+CEREG: 1,1A2B,1A2D001,7", false, true, Registration{EPS, RegHome, 7, "1A2B", "1A2D001", 0}},
		{"short area code in quotes", `+CEREG: 1,"2","6",7`, false, true, Registration{EPS, RegHome, 7, "2", "6", 0}},
		{"RM500U, 5G", `+C5GREG: 1,"6301D","065472283",11,9,01.000000`, false, true, Registration{FiveGS, RegHome, 11, "6301D", "065472283", 0}},
		{"5G, denied", "+C5GREG: 3,3,,,,,,0,27", true, true, Registration{FiveGS, RegDenied, AcTUnknown, "", "", 27}},
		{"3G, with rac", `+CGREG: 2,1,"00C3","0000A5F1",6,"01"`, true, true, Registration{GPRS, RegHome, 6, "00C3", "0000A5F1", 0}},
		{"3G, denied", `+CGREG: 3,,,,,0,7`, false, true, Registration{GPRS, RegDenied, AcTUnknown, "", "", 7}},
		{"FM350: blank before the colon", "+CEREG : 1", false, true, Registration{EPS, RegHome, AcTUnknown, "", "", 0}},
		{"+CREG is not read", "+CREG: 1", false, false, Registration{}},
		{"state that does not exist", "+CEREG: 77", false, false, Registration{}},
		{"empty", "+CEREG:", false, false, Registration{}},
		{"another line", "+CSQ: 20,99", false, false, Registration{}},
	} {
		got, answer, ok := parseRegistration(tt.line)
		if ok != tt.ok || ok && (got != tt.want || answer != tt.answer) {
			t.Errorf("%s: %+v answer=%v ok=%v", tt.name, got, answer, ok)
		}
		if _, ok := ParseRegistration(tt.line); ok != (tt.ok && !tt.answer) {
			t.Errorf("%s: as a URC %v", tt.name, ok)
		}
	}
}

func TestRegistration(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pairs []any
		want  Registration
	}{
		{"LTE", []any{"+CEREG?", `+CEREG: 2,1,"1A2B","1A2D001",7`}, Registration{EPS, RegHome, 7, "1A2B", "1A2D001", 0}},
		{"a URC in the answer", []any{"+CEREG?", `+CEREG: 5|+CEREG: 2,1,"1A2B","1A2D001",7`}, Registration{EPS, RegHome, 7, "1A2B", "1A2D001", 0}},
		{"5G alone", []any{"+C5GREG?", `+C5GREG: 2,1,"0001","01",11`, "+CEREG?", "+CEREG: 2,0", "+CGREG?", "+CGREG: 2,0"}, Registration{FiveGS, RegHome, 11, "0001", "01", 0}},
		{"3G below LTE", []any{"+CEREG?", "+CEREG: 2,0", "+CGREG?", `+CGREG: 2,5,"0001","01",6`}, Registration{GPRS, RegRoaming, 6, "0001", "01", 0}},
		{"denied", []any{"+CEREG?", "+CEREG: 3,3,,,,0,8", "+CGREG?", "+CGREG: 2,2"}, Registration{EPS, RegDenied, AcTUnknown, "", "", 8}},
		{"searching", []any{"+CEREG?", "+CEREG: 2,0", "+CGREG?", "+CGREG: 2,2"}, Registration{GPRS, RegSearching, AcTUnknown, "", "", 0}},
	} {
		got, err := newScript(t, tt.pairs...).modem("generic").Registration(t.Context())
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v %v", tt.name, got, err)
		}
	}
	if _, err := newScript(t).modem("generic").Registration(t.Context()); err == nil {
		t.Error("a modem with no registration command has a registration")
	}
	if _, err := newScript(t, "+C5GREG?", atcmd.ErrGone).modem("generic").Registration(t.Context()); !errors.Is(err, atcmd.ErrGone) {
		t.Errorf("port gone: %v", err)
	}
}

// TestRegistrationNoURCs: a modem that answers +CGREG? and refuses +CGREG=1.
func TestRegistrationNoURCs(t *testing.T) {
	m := newScript(t, "+CGREG?", "+CGREG: 0,1").modem("generic")
	if err := m.EnableEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reg, err := m.Registration(t.Context()); err != nil || reg.State != RegHome || reg.Domain != GPRS {
		t.Errorf("%+v, %v", reg, err)
	}
}

func TestEnableEvents(t *testing.T) {
	s := newScript(t, "+CEREG=2", "", "+CGREG=3", "", "+CGEREP=2,1", "", "+CEREG?", "+CEREG: 2,1", "+CGREG?", "+CGREG: 3,1")
	m := s.modem("generic")
	if err := m.EnableEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := s.texts(), "+C5GREG=3|+C5GREG=2|+C5GREG=1|+CEREG=3|+CEREG=2|+CGREG=3|+CGEREP=2,1"; got != want {
		t.Errorf("sent %s", got)
	}
	if reg, err := m.Registration(t.Context()); err != nil || reg.Domain != EPS {
		t.Errorf("%+v %v", reg, err)
	}
	if s.count("+C5GREG?") != 0 {
		t.Error("a command that the modem does not have was sent again")
	}
}

func TestStates(t *testing.T) {
	for s := RegState(-1); s < 15; s++ {
		if s.String() == "" || s.Registered() && s == RegDenied || s.Roaming() && !s.Registered() && s != RegRoamingSMS {
			t.Errorf("state %d: %s", int(s), s)
		}
	}
	if AcT(7).String() != "LTE" || AcTUnknown.String() != "unknown" || AcT(99).String() != "unknown" {
		t.Error("names of technologies")
	}
}

func TestOperator(t *testing.T) {
	s := newScript(t, "+COPS=3,0", "", "+COPS=3,2", "", "+COPS?", `+COPS: 0,0,"Test Network",7`, "+COPS?", `+COPS: 0,2,"00101",7`)
	got, err := s.modem("generic").Operator(t.Context())
	if err != nil || got != (Operator{Name: "Test Network", PLMN: "00101", AcT: 7}) {
		t.Errorf("%+v %v", got, err)
	}
	got, err = newScript(t, "+COPS?", "+COPS: 1").modem("generic").Operator(t.Context())
	if err != nil || got != (Operator{Manual: true, AcT: AcTUnknown}) {
		t.Errorf("not registered: %+v %v", got, err)
	}
}

func TestAttach(t *testing.T) {
	m := newScript(t, "+CGATT?", "+CGATT: 1", "+CGATT=1", "", "+CGATT=0", 30).modem("generic")
	if on, err := m.Attached(t.Context()); err != nil || !on {
		t.Errorf("%v %v", on, err)
	}
	if err := m.Attach(t.Context(), true); err != nil {
		t.Error(err)
	}
	if err := m.Attach(t.Context(), false); cmeCode(err) != 30 {
		t.Error(err)
	}
}

func FuzzRegistration(f *testing.F) {
	f.Add(`+CEREG: 2,1,"1A2B","1A2D001",7`)
	f.Add(`+C5GREG: 1,"6301D","065472283",11,9,01.000000`)
	f.Fuzz(func(t *testing.T, line string) {
		reg, _, ok := parseRegistration(line)
		if ok && (reg.State < 0 || int(reg.State) >= len(regNames) || len(reg.AreaCode) > 16 || strings.ContainsAny(reg.CellID, "\",")) {
			t.Fatalf("%q gives %+v", line, reg)
		}
	})
}
