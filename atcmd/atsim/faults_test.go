package atsim

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (b *bench) fault(name string, f Fault) {
	b.t.Helper()
	if err := b.m.SetFault(name, f); err != nil {
		b.t.Fatal(err)
	}
}

func TestFaults(t *testing.T) {
	rows := map[string]func(t *testing.T, b *bench){
		"cme once on a verb": func(t *testing.T, b *bench) {
			b.fault("cme", Fault{Command: "+cgla", Code: 14, Times: 1})
			b.want("AT+CSQ", "+CSQ: 23,99\nOK")
			b.want(`AT+CGLA=1,10,"80E2910000"`, "+CME ERROR: 14")
			b.want(`AT+CGLA=1,10,"80E2910000"`, "+CME ERROR: 21")
		},
		"cme as unknown final": func(t *testing.T, b *bench) {
			b.fault("cme", Fault{Text: "COMMAND NOT SUPPORT", Times: 1})
			b.write("AT+CSQ\r")
			b.until("COMMAND NOT SUPPORT")
		},
		"error after execution": func(t *testing.T, b *bench) {
			b.ok(`AT+CCHO="` + isdrAID + `"`)
			var got int
			b.card.with(func() { b.card.store = func([]byte) []byte { got++; return nil } })
			b.fault("error-after", Fault{Command: "+CGLA", After: 1, Times: 1})
			if b.cgla("1", storeData("01")) != "9000" {
				t.Error("struck too early")
			}
			b.want(`AT+CGLA=1,12,"80E291000102"`, "ERROR")
			if got != 2 {
				t.Errorf("the card got %d commands", got)
			}
		},
		"answer of the APDU lost": func(t *testing.T, b *bench) {
			b.ok(`AT+CCHO="` + isdrAID + `"`)
			b.fault("drop-answer", Fault{Times: 1})
			b.want(`AT+CGLA=1,16,"80E2910003BF2E00"`, "+CME ERROR: 13")
		},
		"status word at the third APDU": func(t *testing.T, b *bench) {
			b.fault("sw", Fault{After: 2, Times: 1, Code: 0x6F00})
			for range 2 {
				b.want(`AT+CSIM=14,"00A40004023F00"`, `+CSIM: 16,"620483023F009000"`+"\nOK")
			}
			b.want(`AT+CSIM=14,"00A40004023F00"`, `+CSIM: 4,"6F00"`+"\nOK")
		},
		"SIM busy twice": func(t *testing.T, b *bench) {
			b.fault("sim-busy", Fault{Times: 2})
			b.want("AT+CPIN?", "+CME ERROR: 14")
			b.want("AT+CSQ", "+CSQ: 23,99\nOK")
			b.want("AT+CIMI", "+CME ERROR: 14")
			b.want("AT+CPIN?", "+CPIN: READY\nOK")
		},
		"no channel free": func(t *testing.T, b *bench) {
			b.fault("channels", Fault{})
			b.want(`AT+CCHO="`+isdrAID+`"`, "+CME ERROR: 20")
			b.want(`AT+CSIM=10,"0070000001"`, `+CSIM: 4,"6A81"`+"\nOK")
			b.m.ClearFault("channels")
			b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 1\nOK")
		},
		"channels leak": func(t *testing.T, b *bench) {
			b.fault("leak", Fault{Times: 1})
			b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 1\nOK")
			b.ok("AT+CCHC=1")
			b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 2\nOK")
		},
		"registration denied": func(t *testing.T, b *bench) {
			b.ok("AT+CEREG=3")
			b.fault("deny", Fault{Code: 7})
			b.until("+CEREG: 3,,,,0,7")
			b.m.ClearFault("deny")
			b.until("+CEREG: 1")
		},
		"roaming": func(t *testing.T, b *bench) {
			b.ok("AT+CEREG=1")
			b.fault("roam", Fault{})
			b.until("+CEREG: 5")
			b.want("AT+COPS=3,2", "OK")
			b.want("AT+COPS?", `+COPS: 0,2,"99970",7`+"\nOK")
			b.ok("AT+CGACT=1,1")
			b.m.ClearFault("roam")
			b.until("+CEREG: 1")
			b.fault("roam", Fault{Text: "310260"})
			b.until("+CEREG: 5")
			b.want("AT+COPS?", `+COPS: 0,2,"310260",7`+"\nOK")
		},
		"URC in mid-answer": func(t *testing.T, b *bench) {
			b.fault("urc-mid-answer", Fault{Text: "+CREG: 2", Times: 1})
			b.want("AT+CGACT?", "+CREG: 2\n+CGACT: 1,0\nOK")
			b.ok(`AT+CGDCONT=2,"IP","a"`)
			b.fault("urc-mid-answer", Fault{Times: 1})
			b.want("AT+CGACT?", "+CGACT: 1,0\n+CREG: 1\n+CGACT: 2,0\nOK")
		},
		"garbage": func(t *testing.T, b *bench) {
			b.fault("garbage", Fault{Times: 1})
			out := b.cmd("AT+CGMM")
			if len(out) != 3 || !strings.Contains(out[0], "\xff") || out[1] != "LTE-27007" {
				t.Errorf("%q", out)
			}
		},
		"split echo": func(t *testing.T, b *bench) {
			b.write("ATE1\r")
			b.until("OK")
			b.fault("split-echo", Fault{Text: "+CREG: 2", Times: 1})
			b.want("AT+CGMM", "AT+C\n+CREG: 2\nGMM\nLTE-27007\nOK")
			b.want("AT+CGMM", "AT+CGMM\nLTE-27007\nOK")
		},
		"URC storm beside a command": func(t *testing.T, b *bench) {
			b.fault("urc-storm", Fault{Text: "+STORM: 1", Times: 10000})
			n := 0
			b.write("AT+CGMM\r")
			for l := b.next(); l != "LTE-27007"; l = b.next() {
				n++
			}
			b.until("OK")
			b.eventually(func() bool { s := b.m.Stats(); return s.URCs+s.URCsDropped >= 10000 })
		},
		"unknown": func(t *testing.T, b *bench) {
			if b.m.SetFault("gremlins", Fault{}) == nil {
				t.Error("accepted")
			}
		},
	}
	for name, f := range rows {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.ok("AT+CMEE=1")
			f(t, b)
		})
	}
}

// TestStaleCarrier: a carrier configuration chosen by hand serves its own profile
// and no other, until the modem is told to choose another one and restarts.
func TestStaleCarrier(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Personality = "quectel" })
	generic := `+QMBNCFG: "List",0,1,1,"ROW_Generic_3GPP",0x0501080B,201909271`
	b.want(`AT+QMBNCFG="AutoSel"`, `+QMBNCFG: "AutoSel",1`+"\nOK")
	if got := b.cmd(`AT+QMBNCFG="List"`); got[0] != generic {
		t.Errorf("%q", got)
	}
	b.fault("stale-carrier", Fault{})
	b.eventually(func() bool { return strings.Contains(b.ok(`AT+QMBNCFG="AutoSel"`), `"AutoSel",0`) })
	b.want("AT+CEREG?", "+CEREG: 0,1\nOK")
	b.want(`AT+QMBNCFG="Select"`, `+QMBNCFG: "Select","hVoLTE-Verizon"`+"\nOK")
	b.card.with(func() { b.card.imsi, b.card.iccid = "080910100000000020", "980010000000000020f2" })
	b.ok("AT+CFUN=0")
	b.ok("AT+CFUN=1")
	b.eventually(func() bool { return strings.Contains(b.ok("AT+CREG?"), "+CREG: 0,2") })
	b.want(`AT+QMBNCFG="Select","no such"`, "ERROR")
	b.ok(`AT+QMBNCFG="Select","ROW_Generic_3GPP"`)
	b.ok("AT+CFUN=1,1")
	b.ok("ATE0")
	b.eventually(func() bool { return strings.Contains(b.ok("AT+CEREG?"), "+CEREG: 0,1") })
	if got := b.cmd(`AT+QMBNCFG="List"`); got[0] != generic {
		t.Errorf("%q", got)
	}
	if got := b.m.Active(); len(got) != 0 {
		t.Errorf("active %q", got)
	}
	b.fault("stale-carrier", Fault{})
	b.m.ClearFault("stale-carrier")
	b.want(`AT+QMBNCFG="AutoSel"`, `+QMBNCFG: "AutoSel",1`+"\nOK")
}

// TestLateAndSilent: time-outs, in bubble time.
func TestLateAndSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.RegisterEvery = -1 })
		b.fault("late", Fault{Command: "+CIMI", Delay: time.Minute, Times: 1})
		start := time.Now()
		b.write("AT+CIMI\r")
		b.write("AT+CGMM\r") // the client gave up and asks something else
		for _, want := range []string{"001010000000001", "OK", "LTE-27007", "OK"} {
			if got := b.wait(2 * time.Minute); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if d := time.Since(start); d < time.Minute {
			t.Errorf("after %v", d)
		}
		b.fault("silent", Fault{Command: "+CGATT", Times: 1})
		b.write("AT+CGATT=0\r")
		b.want("AT+CGATT?", "+CGATT: 1\nOK") // not executed
		b.fault("mute", Fault{Command: "+CGATT", Times: 1})
		b.write("AT+CGATT=0\r")
		b.want("AT+CGATT?", "+CGATT: 0\nOK") // executed
		b.fault("hang", Fault{Command: "+CGMI", Holds: "x"})
		b.want("AT+CGMI", "Generic\nOK")
		b.fault("hang", Fault{Command: "+CGMI"})
		b.write("AT+CGMI\r")
		b.write("AT+CGMM\r")
		if got := b.wait(time.Hour); got != "(silence)" {
			t.Errorf("got %q of a modem that hangs", got)
		}
		b.m.ClearFault("hang")
		b.fault("card-hang", Fault{Command: "+CIMI"})
		b.write("AT+CIMI\r")
		b.want("AT+CGMM", "LTE-27007\nOK") // the modem itself is well
		b.write("AT+CPIN?\r")
		b.want("AT+CGMM", "LTE-27007\nOK")
		b.ok("AT+CFUN=0")
		b.ok("AT+CFUN=1")
		b.write("AT+CIMI\r")
		b.until("001010000000001")
		b.until("OK")
		b.want("AT+CGMM", "LTE-27007\nOK")
		b.fault("silent", Fault{Command: "+CGATT", Holds: "0", Times: 1})
		b.ok("AT+CGATT=1")
		b.write("AT+CGATT=0\r")
		b.want("AT+CGATT?", "+CGATT: 1\nOK") // not executed
		b.fault("busy-drop", Fault{})
		b.fault("late", Fault{Delay: time.Second, Times: 1})
		b.write("AT+CGMI\r")
		time.Sleep(500 * time.Millisecond)
		b.write("AT+CGMM\r")
		if got := b.next(); got != "Generic" {
			t.Errorf("got %q", got)
		}
		b.until("OK")
		b.want("AT+CGMR", "1.0\nOK")
	})
}

// wait is next with a longer patience, for bubble time.
func (c *lineClient) wait(d time.Duration) string {
	select {
	case l := <-c.lines:
		return l
	case <-time.After(d):
		return "(silence)"
	}
}

func TestUnplug(t *testing.T) {
	b := newBench(t, nil)
	other := b.open()
	other.ok("ATE0") // it is plugged in
	b.ok(`AT+CGDCONT=1,"IP","a"`)
	b.ok("AT+CGACT=1,1")
	b.fault("unplug", Fault{})
	for _, c := range []*lineClient{b.lineClient, other} {
		err := <-c.done
		if !errors.Is(err, ErrUnplugged) {
			t.Errorf("Serve: %v", err)
		}
		c.done <- err // for the clean-up
	}
	if _, err := io.WriteString(b.rw, "AT\r"); err == nil {
		t.Error("the stream is still open")
	}
	b.net.set(func() {
		if len(b.net.down) != 1 {
			t.Errorf("contexts taken down: %v", b.net.down)
		}
	})
}

// TestUnplugMidCommand pulls the plug while a command waits for its turn: what has
// no power answers nothing, least of all that it has no card.
func TestUnplugMidCommand(t *testing.T) {
	b := newBench(t, nil)
	p := newPort(b.m)
	if err := b.m.state.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 1)
	go func() {
		executed := false
		p.answer(t.Context(), func(*exec) error { executed = true; return nil })
		done <- executed
	}()
	for !p.executing.Load() {
		runtime.Gosched()
	}
	p.unplug(0)
	b.m.state.release()
	if <-done {
		t.Error("the command was executed without power")
	}
	if len(p.out) != 0 {
		t.Errorf("the modem without power says %q", <-p.out)
	}
}

func TestParseFault(t *testing.T) {
	name, f, err := ParseFault("late command=+CGLA delay=2s times=1 after=3 code=0x6F00 text=+CREG:_2")
	if err != nil || name != "late" || f != (Fault{Command: "+CGLA", Delay: 2 * time.Second, Times: 1, After: 3, Code: 0x6F00, Text: "+CREG: 2"}) {
		t.Errorf("%q %+v %v", name, f, err)
	}
	for _, s := range []string{"", "gremlins", "late delay", "late delay=soon", "late x=1", "hang until=dawn"} {
		if _, _, err := ParseFault(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if len(Faults()) != len(faultDocs) {
		t.Error("Faults is not complete")
	}
}

// FuzzParseFault reads what a control channel sends: what is accepted is shown by
// Active and read back to the same.
func FuzzParseFault(f *testing.F) {
	f.Add("late command=+CGLA delay=2s times=1 after=3 code=0x6F00 text=+CREG:_2")
	f.Add("hang command=+CGLA holds=80E21100FF86")
	f.Add("card-gone until=radio")
	f.Add("unplug delay=1h0.5s")
	f.Add("cme text=A=B code=-1")
	f.Fuzz(func(t *testing.T, s string) {
		name, fault, err := ParseFault(s)
		if err != nil {
			return
		}
		again, same, err := ParseFault(fault.format(name))
		if err != nil || again != name || same != fault {
			t.Errorf("%q became %q: %+v, %v", s, fault.format(name), same, err)
		}
	})
}
