package atcmd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCommandTags(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{"I", nil},
		{"+CSQ", []string{"+CSQ"}},
		{"+CREG?", []string{"+CREG"}},
		{`+CGDCONT=1,"IP","a;b+c=d"`, []string{"+CGDCONT"}},
		{"E0V1+CMEE=1;+CREG=2;&C1", []string{"+CMEE", "+CREG"}},
		{"+CREG?;+CGREG?;+CEREG?", []string{"+CREG", "+CGREG", "+CEREG"}},
		{"^SYSCFGEX=\"00\",3FFFFFFF,1", []string{"^SYSCFGEX"}},
		{"#QSS?", []string{"#QSS"}},
		{"!GSTATUS?", []string{"!GSTATUS"}},
		{"$QCPDPP=1,0", []string{"$QCPDPP"}},
		{`+X="unclosed;+Y?`, []string{"+X"}},
		{"+;+", nil},
	}
	for _, tt := range tests {
		if got := commandTags(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestIsCall(t *testing.T) {
	for _, text := range []string{"D*99#", "d123;", "E0D*99***1#", "A", "O", "O1", "+CGDATA=\"PPP\",1"} {
		if !isCall(text) {
			t.Errorf("AT%s is a call", text)
		}
	}
	for _, text := range []string{"", "I", "E0", "E0V1Q0", "H", "Z", "+CSQ", "+CGATT=1", "&D2", "S0=0", "^SWWAN=1", "+CGDATA=?", "\\Q3"} {
		if isCall(text) {
			t.Errorf("AT%s is not a call", text)
		}
	}
}

func TestRegistrationAnswer(t *testing.T) {
	tests := []struct {
		params string
		answer bool
	}{
		{"1", false},
		{"0,1", true},
		{"2, 5", true},
		{"2,11", true},
		{`2,1,"1A2B","01A2B3C4",7`, true},
		{`1,"1A2B","01A2B3C4",7`, false},
		{`5,1A2B,01A2B3C4,7`, false},
		{`3,,,,0,13`, false},
		{`3,0,,,,0,13`, true},
	}
	for _, tt := range tests {
		if got := isRegistrationAnswer(tt.params); got != tt.answer {
			t.Errorf("%q: %v", tt.params, got)
		}
	}
}

func TestCodeNames(t *testing.T) {
	tests := []struct {
		line string
		code int
		text string
	}{
		{"+CME ERROR: 10", 10, "SIM not inserted"},
		{"+CME ERROR : 171", 171, "last PDN disconnection not allowed"},
		{"+CME ERROR: SIM not inserted", 10, "SIM not inserted"},
		{"+CME ERROR: USIM NOT INSERTED", 10, "USIM NOT INSERTED"},
		{"+CME ERROR: (U)SIM busy", 14, "(U)SIM busy"},
		{"+cme error: incorrect  PASSWORD.", 16, "incorrect  PASSWORD."},
		{"+CME ERROR: congestion", 122, "congestion"},
		{"+CME ERROR: unknown error", 100, "unknown error"},
		{"+CME ERROR: 774", 774, "unnamed code"},
		{"+CME ERROR:", -1, ""},
		{"+CME ERROR: -3", -1, "-3"},
		{"+CME ERROR: 99999999999999999999", -1, "99999999999999999999"},
	}
	for _, tt := range tests {
		err, ok := finalErr("+X", tt.line).(*CMEError)
		if !ok || err.Code != tt.code || err.Text != tt.text {
			t.Errorf("%s: %+v", tt.line, err)
		}
	}
	for code, name := range cmeNames {
		if CMEName(code) != name {
			t.Errorf("%d is named %q", code, CMEName(code))
		}
		err := finalErr("+X", "+CME ERROR: "+strings.ToUpper(name)).(*CMEError)
		if bareName(cmeNames[err.Code]) != bareName(name) {
			t.Errorf("%q has the code %d (%s)", name, err.Code, cmeNames[err.Code])
		}
	}
	for code, name := range cmsNames {
		err := finalErr("+X", fmt.Sprintf("+CMS ERROR: %d", code)).(*CMSError)
		if err.Code != code || err.Text != name || CMSName(code) != name {
			t.Errorf("%d: %+v", code, err)
		}
	}
}

func TestFields(t *testing.T) {
	tests := []struct {
		line, tag string
		want      []string
		ok        bool
	}{
		{`+CREG: 2,1,"00C3","01A2B3C4",7`, "+CREG", []string{"2", "1", "00C3", "01A2B3C4", "7"}, true},
		{`+GTDUALSIM : 1, "SUB2", "LTE"`, "+GTDUALSIM", []string{"1", "SUB2", "LTE"}, true},
		{`+COPS: 0,0,"a, b",7`, "+COPS", []string{"0", "0", "a, b", "7"}, true},
		{`+CMT: ,24`, "+CMT", []string{"", "24"}, true},
		{`+X:`, "+X", []string{""}, true},
		{`+X: "unclosed,1`, "+X", []string{"unclosed,1"}, true},
		{`+XY: 1`, "+X", nil, false},
		{`+X 1`, "+X", nil, false},
		{``, "+X", nil, false},
	}
	for _, tt := range tests {
		got, ok := Fields(tt.line, tt.tag)
		if ok != tt.ok || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v", tt.line, got, ok)
		}
	}
}
