package atcmd

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
)

// TestAnswer has one row for each shape of an answer that is known from a modem.
func TestAnswer(t *testing.T) {
	tests := []struct {
		name  string
		cmd   Command
		reads []string // what the modem sends, read by read
		want  []string
		urcs  []string
		err   error
	}{
		{"V.250 5.7.1", Command{Text: "+CSQ"}, []string{"\r\n+CSQ: 20,99\r\n\r\nOK\r\n"}, []string{"+CSQ: 20,99"}, nil, nil},
		{"no lines", Command{Text: ""}, []string{"\r\nOK\r\n"}, nil, nil, nil},
		{"echo", Command{Text: "+CSQ"}, []string{"AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n"}, []string{"+CSQ: 20,99"}, nil, nil},
		{"split anywhere", Command{Text: "+CSQ"}, []string{"A", "T+C", "SQ\r", "\r\n+CS", "Q: 2", "0,99\r", "\n\r\nO", "K\r", "\n"}, []string{"+CSQ: 20,99"}, nil, nil},
		{"URC splits the echo", Command{Text: "+CSQ"}, []string{"AT+C\r\n+CREG: 1\r\nSQ\r\r\n+CSQ: 20,99\r\nOK\r\n"}, []string{"+CSQ: 20,99"}, []string{"+CREG: 1"}, nil},
		{"URC splits the echo without a line end", Command{Text: "+CREG?"}, []string{"AT+CREG: 1\r\n+CREG?\r\r\n+CREG: 0,1\r\nOK\r\n"}, []string{"+CREG: 0,1"}, []string{"+CREG: 1"}, nil},
		{"LF only", Command{Text: "+CSQ"}, []string{"+CSQ: 20,99\nOK\n"}, []string{"+CSQ: 20,99"}, nil, nil},
		{"CR only", Command{Text: "+CSQ"}, []string{"+CSQ: 20,99\rOK\r"}, []string{"+CSQ: 20,99"}, nil, nil},
		{"Fibocom FM350: blank before the colon", Command{Text: "+GTDUALSIM?"}, []string{"\r\n+GTDUALSIM : 1, \"SUB2\", \"LTE\"\r\n\r\nOK\r\n"}, []string{`+GTDUALSIM : 1, "SUB2", "LTE"`}, nil, nil},
		{"Fibocom FM350: bare handle", Command{Text: `+CCHO="A0"`, Bare: true}, []string{"\r\n1\r\n\r\nOK\r\n"}, []string{"1"}, nil, nil},
		{"Sierra EM7590: 16 digits", Command{Text: `+CCHO="A0"`, Bare: true}, []string{"\r\n00000000038aa32f\r\n\r\nOK\r\n"}, []string{"00000000038aa32f"}, nil, nil},
		{"bare and URC", Command{Text: "+CGMI", Bare: true}, []string{"\r\nQuectel\r\n\r\n+CPIN: READY\r\n\r\nRDY\r\n\r\nOK\r\n"}, []string{"Quectel"}, []string{"+CPIN: READY", "RDY"}, nil},
		{"no bare line without Bare", Command{Text: "+CSQ"}, []string{"\r\nRING\r\n+CSQ: 1,1\r\nOK\r\n"}, []string{"+CSQ: 1,1"}, []string{"RING"}, nil},
		{"query and URC of one name", Command{Text: "+CEREG?"}, []string{"\r\n+CEREG: 5\r\n\r\n+CEREG: 2,1,\"1A2B\",\"01A2B3C4\",7\r\n\r\n+CEREG: 1,\"1A2B\",\"01A2B3C4\",7\r\n\r\nOK\r\n"}, []string{`+CEREG: 2,1,"1A2B","01A2B3C4",7`}, []string{"+CEREG: 5", `+CEREG: 1,"1A2B","01A2B3C4",7`}, nil},
		{"set command does not own a URC", Command{Text: "+CREG=2"}, []string{"\r\n+CREG: 1\r\nOK\r\n"}, nil, []string{"+CREG: 1"}, nil},
		{"set command owns its name", Command{Text: "+CGLA=1,10,\"80\""}, []string{"\r\n+CGLA: 4,\"9000\"\r\nOK\r\n"}, []string{`+CGLA: 4,"9000"`}, nil, nil},
		{"set command owns what it lists", Command{Text: "+CUSD=1,\"*100#\"", Tags: []string{"+CUSD"}}, []string{"\r\n+CUSD: 0,\"x\",15\r\nOK\r\n"}, []string{`+CUSD: 0,"x",15`}, nil, nil},
		{"several commands in a line", Command{Text: "E0;+CREG?;+CGREG?"}, []string{"\r\n+CREG: 0,1\r\n+CGREG: 0,1\r\nOK\r\n"}, []string{"+CREG: 0,1", "+CGREG: 0,1"}, nil, nil},
		{"NO CARRIER of another call", Command{Text: "+CSQ"}, []string{"\r\nNO CARRIER\r\n+CSQ: 1,1\r\nOK\r\n"}, []string{"+CSQ: 1,1"}, []string{"NO CARRIER"}, nil},
		{"NUL and garbage", Command{Text: "+CSQ"}, []string{"\x00\x00\xff\xfe\r\n\x00+CSQ: 20,99\r\n\xf0\xffOK\r\n"}, []string{"+CSQ: 20,99"}, []string{"\xff\xfe"}, nil},
		{"stray prompt", Command{Text: "+CSQ"}, []string{"> AT+CSQ\r\r\n+CSQ: 20,99\r\nOK\r\n"}, []string{"+CSQ: 20,99"}, nil, nil},
		{"message as URC with its PDU", Command{Text: "+CSQ"}, []string{"\r\n+CMT: ,24\r\n07911326040000F0\r\n+CSQ: 20,99\r\nOK\r\n"}, []string{"+CSQ: 20,99"}, []string{"+CMT: ,24|07911326040000F0"}, nil},
		{"message whose text is OK", Command{Text: "+CSQ"}, []string{"\r\n+CMT: \"+49\",,\"x\"\r\nOK\r\n+CSQ: 20,99\r\nOK\r\n"}, []string{"+CSQ: 20,99"}, []string{"+CMT: \"+49\",,\"x\"|OK"}, nil},
		{"numeric CME", Command{Text: "+CPIN?"}, []string{"\r\n+CME ERROR: 14\r\n"}, nil, nil, &CMEError{Command: "+CPIN", Code: 14, Text: "SIM busy"}},
		{"verbose CME", Command{Text: "+CPIN?"}, []string{"\r\n+CME ERROR: SIM busy\r\n"}, nil, nil, &CMEError{Command: "+CPIN", Code: 14, Text: "SIM busy"}},
		{"verbose CME, Sierra EM9191", Command{Text: "+CCHO=\"A0\""}, []string{"\r\n+CME ERROR: Parameters error\r\n"}, nil, nil, &CMEError{Command: "+CCHO", Code: 50, Text: "Parameters error"}},
		{"verbose CME without a number", Command{Text: "+CCHO=\"A0\""}, []string{"\r\n+CME ERROR: out of cheese\r\n"}, nil, nil, &CMEError{Command: "+CCHO", Code: -1, Text: "out of cheese"}},
		{"CMS", Command{Text: "+CMGS=1"}, []string{"\r\n+CMS ERROR: 500\r\n"}, nil, nil, &CMSError{Command: "+CMGS", Code: 500, Text: "unknown error"}},
		{"plain ERROR", Command{Text: "+FOO"}, []string{"\r\nERROR\r\n"}, nil, nil, &FinalError{Command: "+FOO", Final: "ERROR"}},
		{"Huawei MT57xx", Command{Text: "^SETAUTODIAL=1,1"}, []string{"\r\nERROR: DUPLICATED\r\n"}, nil, nil, &FinalError{Command: "^SETAUTODIAL", Final: "ERROR: DUPLICATED"}},
		{"COMMAND NOT SUPPORT", Command{Text: "+FOO"}, []string{"\r\nCOMMAND NOT SUPPORT\r\n"}, nil, nil, &FinalError{Command: "+FOO", Final: "COMMAND NOT SUPPORT"}},
		{"ABORTED", Command{Text: "+COPS=?"}, []string{"\r\nABORTED\r\n"}, nil, nil, &FinalError{Command: "+COPS", Final: "ABORTED"}},
		{"CIS", Command{Text: "+FOO"}, []string{"\r\n+CIS ERROR: 3\r\n"}, nil, nil, &FinalError{Command: "+FOO", Final: "+CIS ERROR: 3"}},
		{"dialect's final", Command{Text: "+FOO"}, []string{"\r\nNICHT JETZT\r\n"}, nil, nil, &FinalError{Command: "+FOO", Final: "NICHT JETZT"}},
		{"call refused", Command{Text: "D*99#"}, []string{"\r\nNO CARRIER\r\n"}, nil, nil, &FinalError{Command: "D*99#", Final: "NO CARRIER"}},
		{"set command, prefix of an echo as answer", Command{Text: "+CGSN", Bare: true}, []string{"AT+CGSN\r\r\n490154203237518\r\n\r\nOK\r\n"}, []string{"490154203237518"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakePort()
				s := newTestSession(t, p, Options{Finals: []string{"NICHT JETZT"}})
				sub := s.Subscribe("")
				p.serve(t, func(string) {
					for _, r := range tt.reads {
						p.send(r)
					}
				})
				reply, err := s.Do(ctxFor(t), tt.cmd)
				synctest.Wait()
				if tt.err != nil {
					if !errors.As(err, reflect.New(reflect.TypeOf(tt.err)).Interface()) || err.Error() != tt.err.Error() {
						t.Fatalf("error %v, want %v", err, tt.err)
					}
				} else if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(reply.Lines, tt.want) {
					t.Errorf("lines %q, want %q", reply.Lines, tt.want)
				}
				sub.Close()
				var urcs []string
				for u := range sub.C() {
					line := u.Line
					if u.Data != "" {
						line += "|" + u.Data
					}
					urcs = append(urcs, line)
				}
				if !reflect.DeepEqual(urcs, tt.urcs) {
					t.Errorf("URCs %q, want %q", urcs, tt.urcs)
				}
				if st := s.Stats(); st.Resyncs != 0 || st.Late != 0 {
					t.Errorf("out of step after a plain answer: %+v", st)
				}
				// The wire is in step: the next command gets its own answer.
				if got := p.lines(); len(got) != 1 || got[0] != "AT"+tt.cmd.Text+"\r" {
					t.Errorf("modem got %q", got)
				}
			})
		})
	}
}
