package atsim

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseLine(t *testing.T) {
	rows := []struct {
		name, line string
		want       string // the commands written out, separated by " | "; "!" for an error
	}{
		{"V.250 5.3.1 basic commands in a row", "E0V1Q0", "E0 | V1 | Q0"},
		{"V.250 5.3.1 missing number is 0", "EVZ", "E0 | V0 | Z0"},
		{"V.250 5.3.1 ampersand", "&F&C1", "&F0 | &C1"},
		{"V.250 5.4.1 a space does not end a parameter", "E0 V1 +CMEE=1 X4", "E0 | V1 | +CMEE=1 X4"},
		{"ModemManager's init", "E0V1+CMEE=1;X4;&C1", "E0 | V1 | +CMEE=1 | X4 | &C1"},
		{"V.250 5.4.4 extended", "+CSQ;+CREG?;+COPS=?", "+CSQ | +CREG? | +COPS=?"},
		{"semicolon in quotes", `+CUSD=1,"*100;1#",15`, `+CUSD=1,"*100;1#",15`},
		{"comma in quotes", `+CGAUTH=1,1,"a,b","c"`, `+CGAUTH=1,1,"a,b","c"`},
		{"V.250 5.4.2.2 escape", `+CGAUTH=1,1,"a\22b\5C"`, `+CGAUTH=1,1,"a\22b\5C"`},
		{"empty parameters", "+CRSM=176,12258,0,0,10,,", "+CRSM=176,12258,0,0,10,,"},
		{"question mark as parameter", `+X="?"`, `+X="?"`},
		{"space before the question mark", "!0= ?", "!0=?"},
		{"dial string takes the rest", "D*99***1#;+CSQ", "D*99***1#;+CSQ"},
		{"vendor prefixes", "^SYSINFO;#QSS?;!GSTATUS?;$QCRMCALL=1,0;%IPSYS?", "^SYSINFO | #QSS? | !GSTATUS? | $QCRMCALL=1,0 | %IPSYS?"},
		{"unterminated string", `+CPIN="1234`, "!"},
		{"text behind a string", `+CPIN="1234"5`, "!"},
		{"control character", "+CSQ=\x01", "!"},
		{"bare plus", "+", "!"},
		{"junk", "(", "!"},
		{"too many commands", strings.Repeat("+A;", 41), "!"},
		{"too many parameters", "+A=" + strings.Repeat(",", 64), "!"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cmds, err := parseLine(r.line)
			got := "!"
			if err == nil {
				var parts []string
				for _, c := range cmds {
					parts = append(parts, c.String())
				}
				got = strings.Join(parts, " | ")
			}
			if got != r.want {
				t.Errorf("%q: got %q, want %q", r.line, got, r.want)
			}
		})
	}
}

// FuzzCommand: what parses is written back and parses to the same.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"", "E0V1", "+CGLA=1,16,\"80E2910003BF2E00\"", "S7=30S7?", "&F", "D*99***1#", "+COPS=?", "+CREG?;+CSQ",
		`+CGAUTH=1,1,"a\22b","\"`, "^X=1;#Y?", "+A= 1 , \"x\" ;", "S99999999?", "+CGDCONT=1,\"IP\",\"a\";;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cmds, err := parseLine(line)
		if err != nil {
			return
		}
		parts := make([]string, len(cmds))
		for i, c := range cmds {
			parts[i] = c.String()
		}
		back := strings.Join(parts, ";")
		again, err := parseLine(back)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", line, back, err)
		}
		if len(cmds) != len(again) || len(cmds) > 0 && !reflect.DeepEqual(cmds, again) {
			t.Fatalf("%q: %+v was written as %q: %+v", line, cmds, back, again)
		}
	})
}
