package modem

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"dynamod/atcmd"
)

func show(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

func TestParseCESQ(t *testing.T) {
	for _, tt := range []struct {
		name, line, want string // rssi rscp ecno rsrp rsrq sinr
	}{
		{"LTE", "+CESQ: 99,99,255,255,20,53", "- - - -88 -10 -"},
		{"GSM", "+CESQ: 60,99,255,255,255,255", "-51 - - - - -"},
		{"UMTS", "+CESQ: 99,99,40,31,255,255", "- -81 -9 - - -"},
		{"5G, RM500U", "+CESQ: 99,99,255,255,255,255,65,70,80", "- - - -87 -11 16.5"},
		{"floors", "+CESQ: 0,0,0,0,0,0", "-111 -121 -24.5 -141 -20 -"},
		{"out of range", "+CESQ: 64,99,97,50,35,98", "- - - - - -"},
	} {
		s, ok := ParseCESQ(tt.line)
		got := fmt.Sprint(show(s.RSSI), " ", show(s.RSCP), " ", show(s.EcNo), " ", show(s.RSRP), " ", show(s.RSRQ), " ", show(s.SINR))
		if !ok || got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	for _, line := range []string{"", "+CESQ: 1,2,3", "+CESQ: a,b,c,d,e,f", "+CESQ: 99,99,999,255,20,53"} {
		if _, ok := ParseCESQ(line); ok {
			t.Errorf("%q was read", line)
		}
	}
}

func TestSignal(t *testing.T) {
	for _, tt := range []struct {
		name       string
		pairs      []any
		rssi, rsrp string
	}{
		{"both", []any{"+CESQ", "+CESQ: 99,99,255,255,20,53", "+CSQ", "+CSQ: 20,99"}, "-73", "-88"},
		{"+CSQ alone", []any{"+CSQ", "+CSQ: 31,99"}, "-51", "-"},
		{"+CESQ alone", []any{"+CESQ", "+CESQ: 99,99,255,255,20,53"}, "-", "-88"},
		{"no signal", []any{"+CESQ", "+CESQ: 99,99,255,255,255,255", "+CSQ", "+CSQ: 99,99"}, "-", "-"},
	} {
		s, err := newScript(t, tt.pairs...).modem("generic").Signal(t.Context())
		if err != nil || show(s.RSSI) != tt.rssi || show(s.RSRP) != tt.rsrp {
			t.Errorf("%s: %s %s %v", tt.name, show(s.RSSI), show(s.RSRP), err)
		}
	}
	if _, err := newScript(t).modem("generic").Signal(t.Context()); err == nil {
		t.Error("neither command, and a signal")
	}
	if _, err := newScript(t, "+CESQ", atcmd.ErrGone).modem("generic").Signal(t.Context()); !errors.Is(err, atcmd.ErrGone) {
		t.Errorf("port gone: %v", err)
	}
}

func TestClock(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"summer in Berlin", `+CCLK: "26/07/14,15:04:05+08"`, "2026-07-14T15:04:05+02:00"},
		{"west", `+CCLK: "26/01/02,03:04:05-20"`, "2026-01-02T03:04:05-05:00"},
		{"quarter of an hour, Nepal", `+CCLK: "26/01/02,03:04:05+23"`, "2026-01-02T03:04:05+05:45"},
		{"no zone", `+CCLK: "26/01/02,03:04:05"`, "2026-01-02T03:04:05Z"},
		{"factory date", `+CCLK: "80/01/06,00:00:05+00"`, "1980-01-06T00:00:05Z"},
		{"four digits", `+CCLK: "2026/01/02,03:04:05+04"`, "2026-01-02T03:04:05+01:00"},
		{"no quotes", `+CCLK: 26/01/02,03:04:05+04`, "2026-01-02T03:04:05+01:00"},
	} {
		got, err := newScript(t, "+CCLK?", tt.line).modem("generic").Clock(t.Context())
		if err != nil || got.Format(time.RFC3339) != tt.want {
			t.Errorf("%s: %v %v", tt.name, got, err)
		}
	}
	for _, line := range []string{"", "+CCLK: ", `+CCLK: "26/13/02,03:04:05+04"`, `+CCLK: "26/01/02,03:04:05+99"`, `+CCLK: "26/01/02,03:04:05*04"`, `+CCLK: "26/01/02"`, `+CCLK: "26/01/02,03:04:05+"`} {
		if got, err := newScript(t, "+CCLK?", line).modem("generic").Clock(t.Context()); !errors.Is(err, ErrAnswer) {
			t.Errorf("%q: %v %v", line, got, err)
		}
	}
}

func FuzzCESQ(f *testing.F) {
	f.Add("+CESQ: 99,99,255,255,20,53")
	f.Add("+CESQ: 99,99,255,255,255,255,65,70,80")
	f.Fuzz(func(t *testing.T, line string) {
		s, _ := ParseCESQ(line)
		for _, v := range []*float64{s.RSSI, s.RSCP, s.EcNo, s.RSRP, s.RSRQ, s.SINR} {
			if v != nil && (*v < -160 || *v > 41) {
				t.Fatalf("%q gives %v", line, *v)
			}
		}
		ParseCSQ(line)
	})
}

func FuzzCCLK(f *testing.F) {
	f.Add("26/07/14,15:04:05+08")
	f.Add("2026/01/02,03:04:05-20")
	f.Fuzz(func(t *testing.T, s string) {
		at, ok := ParseClock(s)
		if !ok {
			return
		}
		_, offset := at.Zone()
		sign := '+'
		if offset < 0 {
			sign, offset = '-', -offset
		}
		if y := at.Year(); y < 1969 || y > 2068 {
			return // four digits
		}
		again, ok := ParseClock(fmt.Sprintf("%s%c%02d", at.Format("06/01/02,15:04:05"), sign, offset/900))
		if !ok || !again.Equal(at) {
			t.Fatalf("%q is %v and comes back as %v", s, at, again)
		}
	})
}
