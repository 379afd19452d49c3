package modem

import (
	"errors"
	"strings"
	"testing"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

func TestIdentify(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pairs []any
		want  Identity
	}{
		{"EG25-G", []any{"+CGMI", "Quectel", "+CGMM", "EG25", "+CGMR", "EG25GGBR07A08M2G", "+CGSN", "867698040000001"},
			Identity{dialect.Identity{Manufacturer: "Quectel", Model: "EG25", Revision: "EG25GGBR07A08M2G"}, "867698040000001"}},
		{"FM350: with tags", []any{"+CGMI", `+CGMI: "Fibocom Wireless Inc."`, "+CGMM", "+CGMM: FM350-GL", "+CGMR", "ERR", "+CGSN", `+CGSN: "867698040000001"`},
			Identity{dialect.Identity{Manufacturer: "Fibocom Wireless Inc.", Model: "FM350-GL", Revision: "ERR"}, "867698040000001"}},
		{"a URC between, no IMEI", []any{"+CGMI", "+CREG: 1|Telit", "+CGMM", 100},
			Identity{dialect.Identity{Manufacturer: "Telit"}, ""}},
		{"serial number that is no IMEI", []any{"+CGMI", "x", "+CGSN", "SN-1234"},
			Identity{dialect.Identity{Manufacturer: "x"}, ""}},
	} {
		got, err := Identify(t.Context(), newScript(t, tt.pairs...))
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v %v", tt.name, got, err)
		}
	}
	if _, err := Identify(t.Context(), newScript(t)); !errors.Is(err, ErrAnswer) {
		t.Errorf("nothing but ERROR: %v", err)
	}
	if _, err := Identify(t.Context(), newScript(t, "+CGMI", atcmd.ErrTimeout)); !errors.Is(err, atcmd.ErrTimeout) {
		t.Errorf("silent port: %v", err)
	}
}

func TestInit(t *testing.T) {
	s := newScript(t, "E0V1", "", "+CMEE=1", "", "+CTZU=3", 4)
	if err := s.modem("quectel").Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.texts(); !strings.HasPrefix(got, "E0V1|+CMEE=1|") || strings.Contains(got, "Z|") {
		t.Errorf("sent %s", got)
	}
	if err := newScript(t, "E0V1", atcmd.ErrGone).modem("generic").Init(t.Context()); !errors.Is(err, atcmd.ErrGone) {
		t.Errorf("port gone: %v", err)
	}
	if err := newScript(t).modem("generic").Init(t.Context()); err != nil {
		t.Errorf("a modem that takes nothing: %v", err)
	}
}

func TestFunctionality(t *testing.T) {
	s := newScript(t, "+CFUN?", "+CFUN: 4", "+CFUN=1", "")
	m := s.modem("generic")
	if f, err := m.Functionality(t.Context()); err != nil || f != RadioOff {
		t.Errorf("%v %v", f, err)
	}
	if err := m.SetFunctionality(t.Context(), Full); err != nil {
		t.Error(err)
	}
	if _, err := newScript(t, "+CFUN?", "nonsense").modem("generic").Functionality(t.Context()); !errors.Is(err, ErrAnswer) {
		t.Errorf("nonsense: %v", err)
	}
}
