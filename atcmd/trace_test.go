package atcmd

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestTrace(t *testing.T) {
	const pin, password = "4711", "s3cret-password"
	tests := []struct {
		name   string
		cmd    Command
		answer string
		want   []string // sent, then received
	}{
		{"plain", Command{Text: "+CSQ"}, "AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n", []string{"AT+CSQ", "+CSQ: 20,99", "OK"}},
		{"PIN marked secret, with its echo", Command{Text: `+CPIN="` + pin + `"`, Secret: true}, "AT+CPIN=\"" + pin + "\"\r\r\nOK\r\n", []string{"AT+CPIN<7 characters>", "OK"}},
		{"PIN not marked", Command{Text: `+CPIN="` + pin + `"`}, "\r\n+CPIN: READY\r\n\r\n+CME ERROR: 16\r\n", []string{"AT+CPIN<7 characters>", "+CPIN: READY", "+CME ERROR: 16"}},
		{"APN password", Command{Text: `+CGAUTH=1,1,"u","` + password + `"`}, "\r\nOK\r\n", []string{"AT+CGAUTH<26 characters>", "OK"}},
		{"APN password read back", Command{Text: "+CGAUTH?"}, "\r\n+CGAUTH: 1,1,\"u\",\"" + password + "\"\r\nOK\r\n", []string{"AT+CGAUTH?", "+CGAUTH: <27 characters>", "OK"}},
		{"password later in the line", Command{Text: `E0;+CGAUTH=1,1,"u","` + password + `"`}, "\r\nOK\r\n", []string{"ATE0;+CGAUTH<26 characters>", "OK"}},
		{"activation code for a modem's own LPA", Command{Text: `+QESIM="download","LPA:1$a$` + password + `"`}, "\r\nOK\r\n", []string{"AT+QESIM<37 characters>", "OK"}},
		{"APDU", Command{Text: `+CGLA=1,14,"81E2910003BF2E0000"`}, "\r\n+CGLA: 20,\"BF2E0480020102039000\"\r\nOK\r\n", []string{`AT+CGLA=1,14,"<18 hex>0000"`, `+CGLA: 20,"<20 hex>9000"`, "OK"}},
		{"APDU with a PIN", Command{Text: `+CGLA=1,26,"0020000108343731313437313100"`}, "\r\n+CGLA: 4,\"9000\"\r\nOK\r\n", []string{"AT+CGLA<36 characters>", `+CGLA: 4,"9000"`, "OK"}},
		{"password behind a test", Command{Text: `+COPS=?;+CGAUTH=1,1,"u","` + password + `"`}, "\r\nOK\r\n", []string{"AT+COPS<36 characters>", "OK"}},
		{"a login that no table knows", Command{Text: `+FTPLOGIN="account","` + password + `"`}, "\r\nOK\r\n", []string{"AT+FTPLOGIN<28 characters>", "OK"}},
		{"PIN tries", Command{Text: `+QPINC="SC"`}, "\r\n+QPINC: \"SC\",3,10\r\nOK\r\n", []string{`AT+QPINC="SC"`, `+QPINC: "SC",3,10`, "OK"}},
		{"bare APDU answer", Command{Text: `+CGLA=1,10,"80E2910003"`, Bare: true}, "\r\n20,BF2E0480020102039000\r\nOK\r\n", []string{`AT+CGLA=1,10,"<10 hex>"`, `20,<20 hex>9000`, "OK"}},
		{"IMSI", Command{Text: "+CIMI", Bare: true}, "\r\n001010123456789\r\nOK\r\n", []string{"AT+CIMI", "00101…89", "OK"}},
		{"ICCID", Command{Text: "+QCCID"}, "\r\n+QCCID: 8901234567890123456F\r\nOK\r\n", []string{"AT+QCCID", "+QCCID: 89012…6F", "OK"}},
		{"other secret answer", Command{Text: "+XKEY?", Secret: true}, "\r\n+XKEY: " + password + "\r\nOK\r\n", []string{"AT+XKEY<1 characters>", "+XKEY: <17 characters>", "OK"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakePort()
				var got []string
				s := newTestSession(t, p, Options{Trace: func(e TraceEvent) {
					if e.Sent != (len(got) == 0) {
						t.Errorf("direction of %q", e.Line)
					}
					got = append(got, e.Line)
				}})
				p.serve(t, func(string) { p.send(tt.answer) })
				_, err := s.Do(t.Context(), tt.cmd)
				synctest.Wait()
				if !slices.Equal(got, tt.want) {
					t.Errorf("trace %q, want %q", got, tt.want)
				}
				if all := strings.Join(got, "\n"); strings.Contains(all, pin) || strings.Contains(all, password) {
					t.Errorf("secret in the trace %q", all)
				}
				if err != nil && (strings.Contains(err.Error(), pin) || strings.Contains(err.Error(), password)) {
					t.Errorf("secret in the error %v", err)
				}
			})
		})
	}
}

func TestTraceAPDU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePort()
		var got []string
		s := newTestSession(t, p, Options{TraceAPDU: true, Trace: func(e TraceEvent) { got = append(got, e.Line) }})
		p.serve(t, func(string) { p.send("\r\n+CGLA: 20,\"BF2E0480020102039000\"\r\nOK\r\n") })
		s.Do(t.Context(), Command{Text: `+CGLA=1,14,"81E2910003BF2E0000"`})
		synctest.Wait()
		if want := []string{`AT+CGLA=1,14,"81E2910003BF2E0000"`, `+CGLA: 20,"BF2E0480020102039000"`, "OK"}; !slices.Equal(got, want) {
			t.Errorf("trace %q, want %q", got, want)
		}
	})
}
