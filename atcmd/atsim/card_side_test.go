package atsim

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// cgla sends an APDU by +CGLA and returns the response APDU in hexadecimal.
func (b *bench) cgla(session, apdu string) string {
	b.t.Helper()
	out := b.ok(fmt.Sprintf(`AT+CGLA=%s,%d,"%s"`, session, len(apdu), apdu))
	f := strings.Split(out, `"`)
	if len(f) != 3 {
		b.t.Fatalf("+CGLA answered %q", out)
	}
	return f[1]
}

func storeData(content string) string {
	return fmt.Sprintf("80E29100%02X%s", len(content)/2, content)
}

// TestLogicalChannels: TS 27.007 8.43 to 8.46.
func TestLogicalChannels(t *testing.T) {
	b := newBench(t, nil)
	b.ok("AT+CMEE=1")
	b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 1\nOK")
	if got := b.cgla("1", storeData("BF2E00")); got != "BF2E009000" {
		t.Errorf("STORE DATA on channel 1: %s", got)
	}
	// The client's channel bits do not matter; the modem's are right.
	if got := b.cgla("1", "83E2910003BF2E00"); got != "BF2E009000" {
		t.Errorf("STORE DATA with foreign channel bits: %s", got)
	}
	long := strings.Repeat("AB", 200)
	b.card.with(func() { b.card.store = func(d []byte) []byte { return append(append(d, d...), d...) } })
	if got := b.cgla("1", storeData(long)); got != strings.Repeat(long, 3)+"9000" {
		t.Errorf("600 bytes by several GET RESPONSE: %d digits", len(got))
	}
	b.want(`AT+CCHO="A000000000"`, "+CME ERROR: 22")
	b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 2\nOK")
	b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 3\nOK")
	b.want(`AT+CCHO="`+isdrAID+`"`, "+CME ERROR: 20")
	b.want("AT+CCHC=2", "OK")
	b.want("AT+CCHC=2", "+CME ERROR: 21")
	b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 2\nOK")
	b.want(`AT+CGLA=9,10,"80E2910000"`, "+CME ERROR: 21")
	b.want(`AT+CGLA=1,12,"80E2910000"`, "+CME ERROR: 50")
	for _, ch := range "123" {
		b.ok("AT+CCHC=" + string(ch))
	}
	if s := b.m.Stats(); s.ChannelsOpened != 4 || s.ChannelsClosed != 4 {
		t.Errorf("opened %d, closed %d", s.ChannelsOpened, s.ChannelsClosed)
	}
}

// TestSupplementaryChannels: channels 4 and above have another CLA (TS 102 221 10.1.1).
func TestSupplementaryChannels(t *testing.T) {
	b := newBench(t, nil)
	b.card.with(func() { b.card.max = 19 })
	for i := 1; i <= 19; i++ {
		b.want(`AT+CCHO="`+isdrAID+`"`, fmt.Sprintf("+CCHO: %d\nOK", i))
	}
	for _, ch := range []string{"3", "4", "19"} {
		if got := b.cgla(ch, storeData("BF2E00")); got != "BF2E009000" {
			t.Errorf("channel %s: %s", ch, got)
		}
	}
}

func TestHabits(t *testing.T) {
	open := `AT+CCHO="` + isdrAID + `"`
	send := func(h string) string { return `AT+CGLA=` + h + `,16,"80E2910003BF2E00"` }
	t.Run("Sierra MC7455 opaque handle", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Habits = Habits{HexHandle: true, StrictCLA: true, NoTestForms: true} })
		b.ok("AT+CMEE=1")
		h := strings.TrimPrefix(b.ok(open), "+CCHO: ")
		if raw, err := hex.DecodeString(h); err != nil || len(raw) != 8 {
			t.Fatalf("handle %q", h)
		}
		b.want(send(h), `+CGLA: 10,"BF2E009000"`+"\nOK")
		b.want(`AT+CGLA=`+h+`,16,"81E2910003BF2E00"`, "+CME ERROR: 50")
		b.want("AT+CGLA=?", "ERROR")
		b.want("AT+CCHC=1", "+CME ERROR: 21")
		b.want("AT+CCHC="+h, "OK")
		if h2 := strings.TrimPrefix(b.ok(open), "+CCHO: "); h2 == h {
			t.Error("the handle came again")
		}
	})
	t.Run("Fibocom FM350 bare answers", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Habits = Habits{BareAnswers: true} })
		b.want(open, "1\nOK")
		b.want(send("1"), `10,"BF2E009000"`+"\nOK")
	})
	t.Run("Fibocom blank before the colon", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Habits = Habits{BlankColon: true} })
		b.want(open, "+CCHO : 1\nOK")
	})
	t.Run("Quectel needs quotes", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Personality = "quectel" })
		b.want(open, "+CCHO: 1\nOK")
		b.want(`AT+CGLA=1,16,80E2910003BF2E00`, "ERROR")
		b.want(send("1"), `+CGLA: 10,"BF2E009000"`+"\nOK")
	})
	t.Run("61xx handed up", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Habits = Habits{HandUp61: true, NoQuotes: true} })
		b.ok(open)
		b.want(send("1"), `+CGLA: 4,6103`+"\nOK")
		b.want(`AT+CGLA=1,10,"00C0000003"`, `+CGLA: 10,BF2E009000`+"\nOK")
	})
	t.Run("firmware without CME errors", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Habits = Habits{NoCME: true} })
		b.want("AT+CMEE=1;+CFUN=50", "ERROR")
	})
	t.Run("echo, split writes, URC in mid-answer", func(t *testing.T) {
		b := newBench(t, func(c *Config) {
			c.Habits = Habits{SplitBytes: 3, URCMidAnswer: "+QIND: \"csq\",20,99"}
		})
		b.write("ATE1\r")
		b.until("OK")
		b.want("AT+CGSN=1", "AT+CGSN=1\n+QIND: \"csq\",20,99\n+CGSN: \"490154203237518\"\nOK")
	})
	t.Run("pre 27.007 v9.4.0 CGCONTRDP with OI", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Habits = Habits{OldContrdp: true, APNWithOI: true} })
		b.ok(`AT+CGDCONT=1,"IP","internet"`)
		b.want("AT+CGACT=1,1", "OK")
		b.want("AT+CGCONTRDP=1", `+CGCONTRDP: 1,5,"internet.mnc001.mcc001.gprs","10.64.0.2","255.255.255.252","10.64.0.1","10.64.0.1","9.9.9.9"`+"\nOK")
	})
}

// TestCSIM drives the card as a client does that manages channels itself.
func TestCSIM(t *testing.T) {
	b := newBench(t, nil)
	b.want(`AT+CSIM=10,"0070000001"`, `+CSIM: 6,"019000"`+"\nOK")
	b.want(`AT+CSIM=42,"01A4040010`+isdrAID+`"`, `+CSIM: 12,"620284009000"`+"\nOK")
	b.want(`AT+CSIM=16,"81E2910003BF2E00"`, `+CSIM: 4,"6103"`+"\nOK")
	b.want(`AT+CSIM=10,"01C0000003"`, `+CSIM: 10,"BF2E009000"`+"\nOK")
	b.want(`AT+CSIM=10,"0070800100"`, `+CSIM: 4,"9000"`+"\nOK")
	b.want(`AT+CSIM=16,"81E2910003BF2E00"`, `+CSIM: 4,"6881"`+"\nOK")
	if s := b.m.Stats(); s.APDUs != 6 || s.APDUBytesIn != 5+21+8+5+5+8 {
		t.Errorf("counted %d APDUs, %d bytes", s.APDUs, s.APDUBytesIn)
	}
}

// TestCardSession: what the modem itself sends to a card (TS 102 221 14, TS 102 223 5.2).
func TestCardSession(t *testing.T) {
	b := newBench(t, nil)
	b.card.with(func() {
		log := strings.Join(b.card.log, " ")
		if b.card.log[0] != "ATR" || !strings.Contains(log, "8010000003") || strings.Contains(log, "80aa") {
			t.Errorf("card session: %s", log)
		}
		b.card.termCap, b.card.log = true, nil
	})
	b.ok("AT+CFUN=0")
	b.until("+CPIN: NOT READY")
	b.want("AT+CPIN?", "ERROR")
	b.ok("AT+CFUN=1")
	b.card.with(func() {
		if log := strings.Join(b.card.log, " "); !strings.Contains(log, "80aa") {
			t.Errorf("a card that wants TERMINAL CAPABILITY did not get it: %s", log)
		}
	})
	t.Run("no EF_DIR, exact Le", func(t *testing.T) {
		card := newTestCard()
		card.noDIR, card.le = true, true
		b := newBench(t, func(c *Config) { c.Card = card.apdu })
		b.want("AT+CIMI", "001010000000001\nOK")
		b.want("AT+CCID", "+CCID: 8900010000000000012\nOK")
	})
	t.Run("empty slot", func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Card = func([]byte) []byte { return nil } })
		b.ok("AT+CMEE=1")
		b.want("AT+CPIN?", "+CME ERROR: 10")
		b.want(`AT+CCHO="`+isdrAID+`"`, "+CME ERROR: 10")
		b.want("AT+CEREG?", "+CEREG: 0,0\nOK")
	})
	t.Run("no enabled profile", func(t *testing.T) {
		for name, cpin := range map[string]string{"generic": "+CME ERROR: 10", "quectel": "+CME ERROR: 13"} {
			card := newTestCard()
			card.imsi, card.iccid = "", ""
			b := newBench(t, func(c *Config) { c.Card, c.Personality = card.apdu, name })
			b.ok("AT+CMEE=1")
			b.want("AT+CPIN?", cpin)
			b.want("AT+CIMI", cpin)
			b.want(`AT+CCHO="`+isdrAID+`"`, "+CCHO: 1\nOK") // the LPA works without a profile
			b.want("AT+CEREG?", "+CEREG: 0,0\nOK")
		}
	})
	t.Run("mute card", func(t *testing.T) {
		b := newBench(t, func(c *Config) {
			c.Card = func(cmd []byte) []byte {
				if cmd == nil {
					return []byte{0x3B, 0x00}
				}
				return nil
			}
		})
		b.ok("AT+CMEE=1")
		b.want(`AT+CCHO="`+isdrAID+`"`, "+CME ERROR: 13")
		b.want(`AT+CSIM=10,"0070000001"`, "+CME ERROR: 13")
	})
}

// TestPIN: TS 27.007 8.3 and TS 102 221 11.1.9.
func TestPIN(t *testing.T) {
	card := newTestCard()
	card.pin = "1234"
	b := newBench(t, func(c *Config) { c.Card, c.Personality = card.apdu, "quectel" })
	b.ok("AT+CMEE=1;+CEREG=1")
	b.want("AT+CPIN?", "+CPIN: SIM PIN\nOK")
	b.want("AT+CEREG?", "+CEREG: 1,0\nOK")
	b.want("AT+CIMI", "+CME ERROR: 11")
	b.want("AT+QPINC?", `+QPINC: "SC",3,10`+"\nOK")
	b.want(`AT+CPIN="9999"`, "+CME ERROR: 16")
	b.want(`AT+CPINR="SIM PIN"`, "+CPINR: SIM PIN,2,3\nOK")
	b.want(`AT+CPIN="12"`, "+CME ERROR: 50")
	b.want("AT+CPIN=1234", "OK")
	b.until("+CPIN: READY")
	b.until("+CEREG: 1")
	b.want("AT+CIMI", "001010000000001\nOK")
	b.ok("AT+CEREG=0;+CFUN=0;+CFUN=1")
	b.until("+CPIN: SIM PIN")
	b.until("+QUSIM: 1")
	for range 2 {
		b.want(`AT+CPIN="9999"`, "+CME ERROR: 16")
	}
	b.want(`AT+CPIN="9999"`, "+CME ERROR: 12")
	b.want("AT+CPIN?", "+CPIN: SIM PUK\nOK")
	b.want(`AT+CPIN="1234"`, "+CME ERROR: 12")
	b.want(`AT+CPIN="12345678","4321"`, "OK")
	b.until("+QIND: PB DONE")
	b.want("AT+CPIN?", "+CPIN: READY\nOK")
}

// TestRefresh: a card that changes its profile and asks for a REFRESH gets its
// reset, and the modem becomes another subscriber (TS 102 223 6.4.7).
func TestRefresh(t *testing.T) {
	for _, row := range []struct {
		name string
		mode byte
		trs  int // TERMINAL RESPONSEs: a UICC reset is its own
	}{
		{"NAA initialization and full file change", 0x00, 1}, {"NAA initialization", 0x03, 1},
		{"UICC reset", 0x04, 0}, {"NAA session reset", 0x06, 1}, {"eUICC profile state change", 0x09, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			var up, down int
			b := newBench(t, func(c *Config) {
				c.Personality = "quectel"
				c.DataUp = func(int, Lease) error { up++; return nil }
				c.DataDown = func(int) { down++ }
			})
			b.ok("AT+CMEE=1;+CEREG=1;+CGEREP=2,1")
			b.ok(`AT+CGDCONT=1,"IP","lab.test"`)
			b.ok("AT+QNETDEVCTL=1,1,1")
			b.until("+QNETDEVSTATUS: 1,1")
			b.ok(`AT+CCHO="` + isdrAID + `"`)
			b.card.with(func() {
				b.card.store = func(d []byte) []byte {
					b.card.refresh(row.mode)
					return d
				}
				b.card.onReset = func() { b.card.imsi, b.card.iccid = "080910100000000020", "980010000000000020f2" }
			})
			// The answer comes first, with the status word as the card gave it.
			if got := b.cgla("1", storeData("BF3100")); !strings.HasPrefix(got, "BF310091") {
				t.Errorf("answer %s", got)
			}
			var seen []string
			for len(seen) == 0 || seen[len(seen)-1] != "+CEREG: 1" {
				seen = append(seen, b.next())
			}
			want := "+CGEV: ME DETACH|+CEREG: 0|+CPIN: NOT READY|+CPIN: READY|+QUSIM: 1|+QIND: SMS DONE|+QIND: PB DONE|+CEREG: 1"
			if got := strings.Join(seen, "|"); got != want {
				t.Errorf("URCs:\n got %s\nwant %s", got, want)
			}
			b.want("AT+CIMI", "001010000000002\nOK")
			b.want("AT+QCCID", "+QCCID: 8900010000000000022F\nOK")
			b.want(`AT+CGLA=1,10,"80E2910000"`, "+CME ERROR: 13") // the handle died
			b.want("AT+CGACT?", "+CGACT: 1,0\nOK")
			b.card.with(func() {
				if len(b.card.trs) != row.trs {
					t.Errorf("%d TERMINAL RESPONSEs, want %d", len(b.card.trs), row.trs)
				}
			})
			b.net.set(func() {
				if last := b.net.subs[len(b.net.subs)-1]; last.IMSI != "001010000000002" || last.ICCID != "8900010000000000022" {
					t.Errorf("registered as %+v", last)
				}
			})
			b.ok("AT") // the callbacks have run
			if up != 1 || down != 1 {
				t.Errorf("link up %d, down %d times", up, down)
			}
			if s := b.m.Stats(); s.Refreshes != 1 || s.CardResets != 2 {
				t.Errorf("%d refreshes, %d resets", s.Refreshes, s.CardResets)
			}
		})
	}
	t.Run("other proactive commands", func(t *testing.T) {
		b := newBench(t, nil)
		b.card.with(func() { b.card.pending = unhex("D00D8103010300820281828402010A") })
		b.ok(`AT+CSIM=14,"00A40004023F00"`)
		b.ok(`AT+CSIM=14,"00A40004023F00"`)
		b.eventually(func() bool {
			n := 0
			b.card.with(func() { n = len(b.card.trs) })
			return n == 1
		})
		if b.m.Stats().CardResets != 1 {
			t.Error("POLL INTERVAL reset the card")
		}
	})
	t.Run("ignored by the firmware", func(t *testing.T) {
		b := newBench(t, nil)
		if err := b.m.SetFault("no-refresh", Fault{}); err != nil {
			t.Fatal(err)
		}
		b.card.with(func() { b.card.refresh(0x04) })
		b.ok(`AT+CSIM=14,"00A40004023F00"`)
		b.eventually(func() bool {
			n := 0
			b.card.with(func() { n = len(b.card.trs) })
			return n == 1
		})
		if b.m.Stats().CardResets != 1 {
			t.Error("the card was reset")
		}
	})
}
