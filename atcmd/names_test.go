package atcmd

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		text        string
		names, sets []string
		secret      bool
	}{
		{"", nil, nil, false},
		{"+CSQ", []string{"+CSQ"}, []string{"+CSQ"}, false},
		{"+cpin?", []string{"+CPIN"}, nil, false},
		{"+CPIN=?", []string{"+CPIN"}, nil, false},
		{"+cpin=1234", []string{"+CPIN"}, []string{"+CPIN"}, true},
		{"E0V1+CMEE=1;+CREG?;&F0", []string{"E", "V", "+CMEE", "+CREG", "&F"}, []string{"E", "V", "+CMEE", "&F"}, false},
		{"S3=13S3?Z", []string{"S3", "S3", "Z"}, []string{"S3", "Z"}, false},
		{"I", []string{"I"}, []string{"I"}, false},
		{"DT*99#;+CSQ", []string{"D"}, []string{"D"}, false},
		{`E0;+QCFG="a;b";d123`, []string{"E", "+QCFG", "D"}, []string{"E", "+QCFG", "D"}, false},
		{`^SYSINFOEX;!GSTATUS?;$QCPDPP=1,1,"p","u"`, []string{"^SYSINFOEX", "!GSTATUS", "$QCPDPP"}, []string{"^SYSINFOEX", "$QCPDPP"}, true},
		{`\Q3`, []string{`\Q`}, []string{`\Q`}, false},
		{"+COPS=?;+CLCK=\"SC\",1,\"1234\"", []string{"+COPS", "+CLCK"}, []string{"+CLCK"}, true},
		{`+QPING=1,"8.8.8.8"`, []string{"+QPING"}, []string{"+QPING"}, false},
		{`+QFTPCFG="account","u","p"`, []string{"+QFTPCFG"}, []string{"+QFTPCFG"}, true},
		{`+XPIN2=1`, []string{"+XPIN2"}, []string{"+XPIN2"}, true},
		{`+QESIM="download","LPA:1$a$b"`, []string{"+QESIM"}, []string{"+QESIM"}, true},
		{`+CSIM=26,"0020000108313233340A0A0A0A"`, []string{"+CSIM"}, []string{"+CSIM"}, true},
		{`+CGLA=1,26,"002C000108313233340A0A0A0A"`, []string{"+CGLA"}, []string{"+CGLA"}, true},
		{`+CGLA=1,26,0020000108313233340A0A0A0A`, []string{"+CGLA"}, []string{"+CGLA"}, true},
		{`+CGLA=1,10,"80E2910003"`, []string{"+CGLA"}, []string{"+CGLA"}, false},
		{`+CSIM=4,"00"`, []string{"+CSIM"}, []string{"+CSIM"}, true},
		{`+CRSM=176,28486,0,0,17`, []string{"+CRSM"}, []string{"+CRSM"}, false},
	} {
		if got := Names(tt.text); !slices.Equal(got, tt.names) {
			t.Errorf("AT%s names %q, want %q", tt.text, got, tt.names)
		}
		if got := Sets(tt.text); !slices.Equal(got, tt.sets) {
			t.Errorf("AT%s sets %q, want %q", tt.text, got, tt.sets)
		}
		if got := CarriesSecret(tt.text); got != tt.secret {
			t.Errorf("AT%s carries a secret: %v", tt.text, got)
		}
	}
}

// FuzzNames: the names are in the text, in its order, and nothing is said twice
// about one place; a command that the wire waits for is among them.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"", "E0V1;+CSQ", `+A="x;y";&F`, "S3=1Z", "D1;+C", "^X=?", `+CSIM=4,"00`, "\\Q3&", "+A/B.C?;;I"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i := range len(text) {
			if text[i] >= 0x80 { // capitals of others may be longer
				return
			}
		}
		names := Names(text)
		rest := strings.ToUpper(text)
		for _, n := range names {
			i := strings.Index(rest, n)
			if n == "" || i < 0 {
				t.Fatalf("%q has no %q", text, n)
			}
			rest = rest[i+len(n):]
		}
		if len(Sets(text)) > len(names) {
			t.Errorf("%q sets more than it names", text)
		}
		if CarriesSecret(text) && !CarriesSecret("+CSQ;"+text) {
			t.Errorf("%q hides its secret behind another command", text)
		}
	})
}

// TestRaw takes what a modem answers to a person: lines with foreign tags, and
// those before an error.
func TestRaw(t *testing.T) {
	for _, tt := range []struct {
		name, text, answer string
		want               []string
		final              string
		urc                string
		err                any
	}{
		{"SIMCom ATI", "I", "\r\nManufacturer: SIMCOM\r\n+GCAP: +CGSM\r\n\r\nOK\r\n", []string{"Manufacturer: SIMCOM", "+GCAP: +CGSM"}, "OK", "", nil},
		{"URC in between", "I", "\r\nX\r\n+CEREG: 5\r\nY\r\nOK\r\n", []string{"X", "Y"}, "OK", "+CEREG: 5", nil},
		{"lines before an error", "!GSTATUS?", "\r\n!GSTATUS:\r\nTime 1\r\n\r\n+CME ERROR: 10\r\n", []string{"!GSTATUS:", "Time 1"}, "+CME ERROR: 10", "", new(*CMEError)},
		{"plain error", "+FOO", "\r\nERROR\r\n", nil, "ERROR", "", new(*FinalError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakePort()
				s := newTestSession(t, p, Options{})
				urcs := s.Subscribe("")
				p.serve(t, func(string) { p.send(tt.answer) })
				x, err := s.Exclusive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				r, err := x.Raw(t.Context(), Command{Text: tt.text})
				x.Release()
				if !slices.Equal(r.Lines, tt.want) || r.Final != tt.final || (err != nil) != (tt.err != nil) || err != nil && !errors.As(err, tt.err) {
					t.Errorf("%q %q, %v", r.Lines, r.Final, err)
				}
				urc := ""
				select {
				case u := <-urcs.C():
					urc = u.Line
				default:
				}
				if urc != tt.urc {
					t.Errorf("URC %q, want %q", urc, tt.urc)
				}
				if _, err := x.Raw(t.Context(), Command{Text: tt.text}); !errors.Is(err, ErrNotSent) {
					t.Errorf("after its release: %v", err)
				}
			})
		})
	}
}
