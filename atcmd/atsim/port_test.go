package atsim

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLineEditing: V.250 5.2.1 and 5.2.2, byte by byte.
func TestLineEditing(t *testing.T) {
	b := newBench(t, nil)
	rows := []struct{ name, send, want string }{
		{"CR LF", "AT+CGMM\r\n", "LTE-27007 OK"},
		{"lower case", "at+cgmm\r", "LTE-27007 OK"},
		{"backspace", "AT+CGMX\bM\r", "LTE-27007 OK"},
		{"junk before AT", "\x1b\x00xyAT+CGMM\r", "LTE-27007 OK"},
		{"A/ repeats the line", "A/", "LTE-27007 OK"},
		{"spaces", "AT +CGMM\r", "LTE-27007 OK"},
		{"ATV0", "ATV0\r", "0\r"},
		{"numeric error", "AT+NOPE\r", "4\r"},
		{"information text with V0", "AT+CGMM\r", "LTE-27007\r\n0\r"},
		{"ATV1", "ATV1\r", "OK"},
		{"ATQ1", "ATQ1\r", ""},
		{"quiet", "AT+NOPE\r", ""},
		{"ATQ0", "ATQ0\r", "OK"},
	}
	// Raw reading: numeric result codes have no line feed.
	ours, theirs := net.Pipe()
	go b.m.Serve(t.Context(), theirs)
	defer ours.Close()
	got := make(chan string, 100)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := ours.Read(buf)
			if err != nil {
				return
			}
			got <- string(buf[:n])
		}
	}()
	read := func(marker string) string {
		var s string
		for !strings.HasSuffix(s, marker) {
			select {
			case part := <-got:
				s += part
			case <-time.After(patience):
				t.Fatalf("got %q, waited for %q", s, marker)
			}
		}
		return s
	}
	io.WriteString(ours, "ATE0\r")
	read("OK\r\n")
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			io.WriteString(ours, r.send)
			switch {
			case r.want == "": // silence: proved by the next answer
			case strings.HasSuffix(r.want, "\r"):
				if s := read(r.want); s != r.want {
					t.Errorf("got %q, want %q", s, r.want)
				}
			default:
				if s := strings.Join(strings.Fields(read("OK\r\n")), " "); s != r.want {
					t.Errorf("got %q, want %q", s, r.want)
				}
			}
		})
	}
}

// TestLongLine: a line that no buffer holds gets ERROR, and the port goes on.
func TestLongLine(t *testing.T) {
	b := newBench(t, nil)
	b.want("AT+CSIM=9,\""+strings.Repeat("0", 100_000)+"\"", "ERROR")
	b.want("AT", "OK")
}

// TestDataMode: TS 27.007 10.2.1.1 and V.250 6.1.5 to 6.1.8, in bubble time.
func TestDataMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []byte
		ended := make(chan struct{})
		b := newBench(t, func(c *Config) {
			c.RegisterEvery = -1
			c.DataUp = func(int, Lease) error { t.Error("PPP took the network interface"); return nil }
			c.Data = func(ctx context.Context, cid int, l Lease, rw io.ReadWriter) error {
				defer close(ended)
				io.WriteString(rw, "from afar\n")
				buf := make([]byte, 100)
				for {
					n, err := rw.Read(buf)
					got = append(got, buf[:n]...)
					if err != nil {
						return err
					}
				}
			}
		})
		b.ok(`AT+CGDCONT=2,"IP","internet";+CGEREP=2,1`)
		b.want("ATD*99***7#", "NO CARRIER")
		b.want("ATDT*99***2#", "CONNECT 150000000")
		if l := b.next(); l != "from afar" {
			t.Errorf("got %q", l)
		}
		b.write("AT+CSQ\r+++x") // not an escape: no silence
		b.m.SetFault("urc-storm", Fault{Text: "+X: 1", Times: 1})
		time.Sleep(2 * time.Second)
		b.write("+++")
		if l := b.next(); l != "OK" {
			t.Errorf("after +++ %q", l)
		}
		b.want("AT+CGACT?", "+CGACT: 1,0\n+CGACT: 2,1\nOK")
		b.want("ATO", "CONNECT 150000000")
		b.write("more")
		time.Sleep(2 * time.Second)
		if err := b.m.Drop(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		b.until("NO CARRIER")
		<-ended
		if string(got) != "AT+CSQ\r+++xmore" {
			t.Errorf("the far side got %q", got)
		}
		b.want("ATO", "NO CARRIER")
		b.want("AT+CGACT?", "+CGACT: 1,0\n+CGACT: 2,0\nOK")
	})
}

// TestDataCallEnds: the ways out of data mode leave no context behind.
func TestDataCallEnds(t *testing.T) {
	dial := func(c *Config) {
		c.Data = func(ctx context.Context, cid int, l Lease, rw io.ReadWriter) error {
			buf := make([]byte, 3)
			_, err := io.ReadFull(rw, buf)
			return err
		}
	}
	t.Run("by the far side", func(t *testing.T) {
		b := newBench(t, dial)
		b.want("ATD*99#", "CONNECT 150000000")
		b.write("bye")
		b.until("NO CARRIER")
		b.want("AT+CGACT?", "+CGACT: 1,0\nOK")
	})
	t.Run("by ATH", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, dial)
			b.want("ATD*99#", "CONNECT 150000000")
			time.Sleep(2 * time.Second)
			b.write("+++")
			b.until("OK")
			b.want("ATH", "OK")
			time.Sleep(time.Second)
			b.want("AT+CGACT?", "+CGACT: 1,0\nOK")
		})
	})
	t.Run("by closing the port", func(t *testing.T) {
		b := newBench(t, dial)
		other := b.open()
		other.ok("ATE0")
		b.want("ATD*99#", "CONNECT 150000000")
		other.want("AT+CGACT?", "+CGACT: 1,1\nOK")
		b.rw.Close()
		b.eventually(func() bool { return strings.Contains(other.ok("AT+CGACT?"), "1,0") })
	})
}

// TestPorts: settings belong to a port, state to the modem.
func TestPorts(t *testing.T) {
	b := newBench(t, nil)
	other := b.open()
	other.ok("ATE0")
	b.ok("AT+CMEE=1;+CEREG=2")
	other.want("AT+CEREG?", "+CEREG: 0,1\nOK")
	other.want("AT+CFUN=99", "ERROR")
	b.ok(`AT+CGDCONT=4,"IP","x"`)
	other.want("AT+CGDCONT?", `+CGDCONT: 1,"IP","","",0,0`+"\n"+`+CGDCONT: 4,"IP","x","",0,0`+"\nOK")
	b.ok("ATZ")
	b.want("AT+CEREG?", "AT+CEREG?\n+CEREG: 0,1\nOK")
}

// TestServeLeavesNothing: in a bubble a goroutine that stays behind is an error.
func TestServeLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		card, network := newTestCard(), newTestNetwork()
		m, err := New(Config{Card: card.apdu, Network: network, RegisterEvery: time.Second, APDUDelay: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			ours, theirs := net.Pipe()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- m.Serve(ctx, theirs) }()
			io.WriteString(ours, "AT+CIMI\r")
			if i == 1 {
				ours.Close() // while the answer is on its way
			}
			time.Sleep(500 * time.Millisecond)
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
			ours.Close()
		}
	})
}

// TestPacing: Baud and APDUDelay take their time, in bubble time.
func TestPacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Baud, c.APDUDelay, c.RegisterEvery = 9600, time.Second, -1 })
		start := time.Now()
		b.want(`AT+CSIM=14,"00A40004023F00"`, `+CSIM: 16,"620483023F009000"`+"\nOK")
		// 28 characters there, 38 back, at 960 a second, and the card's second.
		want := time.Second + 28*time.Second/960 + 38*time.Second/960
		if took := time.Since(start); took < want-10*time.Millisecond || took > want+10*time.Millisecond {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}

func TestSMS(t *testing.T) {
	var sent []string
	b := newBench(t, func(c *Config) { c.SMSSent = func(pdu string) { sent = append(sent, pdu) } })
	const deliver = "07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37"
	b.ok("AT+CNMI=2,1,0,0,0")
	if !b.m.ReceiveSMS(deliver) {
		t.Fatal("no room")
	}
	b.until(`+CMTI: "ME",1`)
	b.want("AT+CMGL=4", "+CMGL: 1,0,,28\n"+deliver+"\nOK")
	b.want("AT+CMGR=1", "+CMGR: 1,,28\n"+deliver+"\nOK")
	b.want("AT+CMGD=1", "OK")
	b.want("AT+CMGR=1", "+CMS ERROR: 321")
	b.write("AT+CMGS=14\r")
	b.write("0001000B916407281553F80000AA\x1a")
	b.until("+CMS ERROR: 304") // the length is another
	b.write("AT+CMGS=13\r\n0001000B916407281553F80000AA\x1a")
	b.until("+CMGS: 1")
	b.until("OK")
	b.write("AT+CMGS=13\r0001\x1b")
	b.until("OK")
	b.want("AT", "OK")
	if len(sent) != 1 || sent[0] != "0001000B916407281553F80000AA" {
		t.Errorf("sent %q", sent)
	}
}
