package atsim

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestRegistrationURCs: the formats of n=1..3 (TS 27.007 7.2, 10.1.20, 10.1.22, 10.1.47).
func TestRegistrationURCs(t *testing.T) {
	rows := []struct {
		name, set string
		reg       Registration
		want      string
	}{
		{"CEREG n=1", "+CEREG=1", Registration{Status: 5, AcT: 7, TAC: "0002", CellID: "0B"}, "+CEREG: 5"},
		{"CEREG n=2", "+CEREG=2", Registration{Status: 5, AcT: 7, TAC: "0002", CellID: "0B"}, `+CEREG: 5,"0002","0B",7`},
		{"CEREG n=2 another cell", "+CEREG=2", Registration{Status: 1, AcT: 7, TAC: "0003", CellID: "0C"}, `+CEREG: 1,"0003","0C",7`},
		{"CEREG n=2 lost", "+CEREG=2", Registration{Status: 2, AcT: 7}, "+CEREG: 2"},
		{"CEREG n=3 denied", "+CEREG=3", Registration{Status: 3, AcT: 7, RejectCause: 11}, "+CEREG: 3,,,,0,11"},
		{"CREG n=3 denied", "+CREG=3", Registration{Status: 3, AcT: 7, RejectCause: 15}, "+CREG: 3,,,,0,15"},
		{"CGREG n=2 UTRAN", "+CGREG=2", Registration{Status: 1, AcT: 2, TAC: "10", CellID: "11"}, `+CGREG: 1,"10","11",2,"01"`},
		{"CGREG n=3 denied", "+CGREG=3", Registration{Status: 3, AcT: 2, RejectCause: 7}, "+CGREG: 3,,,,,0,7"},
		{"C5GREG n=2", "+C5GREG=2", Registration{Status: 1, AcT: 11, TAC: "000001", CellID: "000000001"}, `+C5GREG: 1,"000001","000000001",11`},
		{"C5GREG n=3 denied", "+C5GREG=3", Registration{Status: 3, AcT: 11, RejectCause: 72}, "+C5GREG: 3,,,,,,0,72"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.ok("AT" + r.set)
			b.net.set(func() { b.net.reg = r.reg })
			if err := b.m.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := b.next(); got != r.want {
				t.Errorf("got %q, want %q", got, r.want)
			}
		})
	}
}

func TestDenied(t *testing.T) {
	b := newBench(t, func(c *Config) { c.RegisterEvery = time.Millisecond })
	b.ok("AT+CMEE=1;+CEREG=1")
	b.net.set(func() { b.net.reg = Registration{Status: 3, AcT: 7, RejectCause: 11} })
	b.until("+CEREG: 3") // by itself
	b.want("AT+CGACT=1,1", "+CME ERROR: 111")
	b.want("AT+COPS=0", "+CME ERROR: 111")
	b.want("AT+CEER", "+CEER: EMM cause 11\nOK")
	b.want("AT+CGATT?", "+CGATT: 0\nOK")
	b.net.set(func() { b.net.reg = Registration{Status: 1, AcT: 7, PLMN: "00101"} })
	b.until("+CEREG: 1")
	b.ok("AT+CEREG=0")
	b.want("AT+CGATT=1", "OK")
	b.want("AT+CGATT=0;+CEREG?", "+CEREG: 0,0\nOK")
	b.want("AT+CGATT=1;+CEREG?", "+CEREG: 0,1\nOK")
	b.want("AT+COPS=2;+COPS?", "+COPS: 2\nOK")
	b.want(`AT+COPS=1,2,"26201"`, "+CME ERROR: 30")
	b.want(`AT+COPS=1,2,"00101"`, "OK")
	b.want(`AT+COPS=4,2,"26201"`, "OK") // manual, then automatic
	b.want("AT+CFUN=4;+CEREG?", "+CEREG: 0,0\nOK")
	b.want("AT+CGACT=1,1", "+CME ERROR: 3")
}

func TestActivation(t *testing.T) {
	for cause, want := range map[int]string{27: "127", 29: "129", 33: "133", 8: "177", 50: "192", 26: "126", 111: "148"} {
		b := newBench(t, nil)
		b.ok(`AT+CMEE=1;+CGDCONT=1,"IP","internet"`)
		b.net.set(func() { b.net.reject = cause })
		b.want("AT+CGACT=1,1", "+CME ERROR: "+want)
		b.want("AT+CGACT?", "+CGACT: 1,0\nOK")
	}
	var up []Lease
	var down []int
	b := newBench(t, func(c *Config) {
		c.DataUp = func(cid int, l Lease) error { up = append(up, l); return nil }
		c.DataDown = func(cid int) { down = append(down, cid) }
	})
	b.ok(`AT+CMEE=1;+CGEREP=2,1;+CGDCONT=3,"IPV4V6","lab.test";+CGAUTH=3,2,"u","p"`)
	b.want("AT+CGACT=1,3", "OK")
	if got := b.next(); got != "+CGEV: ME PDN ACT 3" {
		t.Errorf("URC %q", got)
	}
	b.want("AT+CGACT=1,3", "OK") // already: no change
	if want := (PDP{CID: 3, APN: "lab.test", Type: "IPV4V6", User: "u", Password: "p", Auth: 2}); len(b.net.pdps) != 1 || b.net.pdps[0] != want {
		t.Errorf("activated %+v", b.net.pdps)
	}
	if len(up) != 1 || up[0].Addr != netip.MustParsePrefix("10.64.0.2/30") {
		t.Errorf("link up with %v", up)
	}
	if err := b.m.Drop(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if got := b.next(); got != "+CGEV: NW PDN DEACT 3" {
		t.Errorf("URC %q", got)
	}
	if len(down) != 1 {
		t.Errorf("link down %v", down)
	}
	b.ok("AT+CGACT=1,3")
	b.until("+CGEV: ME PDN ACT 3")
	b.m.SetFault("detach", Fault{})
	b.until("+CGEV: NW DETACH")
	b.eventually(func() bool { return strings.Contains(b.ok("AT+CEREG?"), "0,1") })
	b.want("AT+CGACT?", "+CGACT: 1,0\n+CGACT: 3,0\nOK")
}

// TestAddresses: the IPv6 forms of +CGPIAF (TS 27.007 10.1.40).
func TestAddresses(t *testing.T) {
	b := newBench(t, nil)
	b.m.cfg.Network = leaseNetwork{b.net, Lease{
		Addr: netip.MustParsePrefix("10.1.2.3/32"), Addr6: netip.MustParsePrefix("2001:db8::17/64"),
		DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")},
	}}
	b.ok(`AT+CGDCONT=1,"IPV4V6","six"`)
	b.ok("AT+CGACT=1,1")
	b.want("AT+CGPADDR=1", `+CGPADDR: 1,"10.1.2.3","32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.23"`+"\nOK")
	b.want("AT+CGCONTRDP=1", `+CGCONTRDP: 1,5,"six","10.1.2.3.255.255.255.255"`+"\n"+
		`+CGCONTRDP: 1,5,"six","32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.23.255.255.255.255.255.255.255.255.0.0.0.0.0.0.0.0",,"32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.83"`+"\nOK")
	b.ok("AT+CGPIAF=1,1,0,1")
	b.want("AT+CGCONTRDP=1", `+CGCONTRDP: 1,5,"six","10.1.2.3.255.255.255.255"`+"\n"+
		`+CGCONTRDP: 1,5,"six","2001:db8::17/64",,"2001:db8::53"`+"\nOK")
	b.ok("AT+CGPIAF=1,0,1,0")
	b.want("AT+CGPADDR=1", `+CGPADDR: 1,"10.1.2.3","2001:0db8:0000:0000:0000:0000:0000:0017"`+"\nOK")
}

type leaseNetwork struct {
	Network
	lease Lease
}

func (n leaseNetwork) Activate(Subscriber, PDP) (Lease, error) { return n.lease, nil }

// TestReset: +CFUN=1,1 makes the port forget its settings.
func TestReset(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Personality = "quectel" })
	b.ok("AT+CMEE=1;+CEREG=2")
	b.want("AT+CFUN=1,1", "OK")
	for _, want := range []string{"RDY", "+CFUN: 1", "+CPIN: READY", "+QUSIM: 1"} {
		if got := b.until(want[:3]); got != want {
			t.Errorf("boot: %q, want %q", got, want)
		}
	}
	b.until("+QIND: PB DONE")
	b.want("AT+CEREG?", "AT+CEREG?\n+CEREG: 0,1\nOK")
}

func TestQuectel(t *testing.T) {
	var up, down int
	b := newBench(t, func(c *Config) {
		c.Personality = "quectel"
		c.DataUp = func(int, Lease) error { up++; return nil }
		c.DataDown = func(int) { down++ }
	})
	b.ok("AT+CMEE=1")
	b.want("ATI", "Quectel\nEG25\nRevision: EG25GGBR07A08M2G\nOK")
	b.want("AT+QCCID", "+QCCID: 8900010000000000012F\nOK")
	b.want("AT+CCID", "ERROR")
	b.want(`AT+QCFG="usbnet"`, `+QCFG: "usbnet",1`+"\nOK")
	b.want("AT+QINISTAT", "+QINISTAT: 7\nOK")
	b.want("AT+CGREG?", "+CGREG: 0,1\nOK")
	b.ok(`AT+QICSGP=1,3,"lab.test","u","p",1`)
	b.want("AT+CGDCONT?", `+CGDCONT: 1,"IPV4V6","lab.test","",0,0`+"\nOK")
	b.ok("AT+CGACT=1,1")
	if up != 0 {
		t.Error("+CGACT alone brought the link up")
	}
	b.want("AT+QNETDEVCTL=3,1,1", "OK")
	b.until("+QNETDEVSTATUS: 1,1")
	b.want("AT+QNETDEVCTL?", "+QNETDEVCTL: 3,1,1,1\nOK")
	if up != 1 {
		t.Errorf("link up %d times", up)
	}
	b.want("AT+QNETDEVCTL=2,1,1", "OK")
	b.want("AT+QNETDEVCTL=2,1,1", "+CME ERROR: 3")
	if down != 1 {
		t.Errorf("link down %d times", down)
	}
	b.want("AT+CGACT?", "+CGACT: 1,0\nOK")
}

// TestUplinkFails: an interface that cannot come up fails the command.
func TestUplinkFails(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.DataUp = func(int, Lease) error { return context.DeadlineExceeded }
	})
	b.ok(`AT+CMEE=1;+CGDCONT=1,"IP","a"`)
	b.want("AT+CGACT=1,1", "+CME ERROR: 100")
	b.want("AT+CGACT?", "+CGACT: 1,0\nOK")
	b.m.SetFault("no-data", Fault{})
	b.want("AT+CGACT=1,1", "OK")
}

// TestAttachBearer: the default bearer of an EPS attach (TS 23.401 5.3.2.1).
func TestAttachBearer(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AttachBearer, c.RegisterEvery = true, -1 })
	b.ok("AT+CMEE=1")
	b.want("AT+CGACT?", "+CGACT: 1,1\nOK")
	b.want("AT+CGACT=0,1", "+CME ERROR: 171")
	b.ok(`AT+CGDCONT=2,"IP","ims"`)
	b.want("AT+CGACT=1,2", "OK")
	b.want("AT+CGACT=0,1", "OK")
	b.ok("AT+CFUN=4")
	b.net.set(func() { b.net.reject = 27 })
	b.ok("AT+CEREG=3")
	b.ok("AT+CFUN=1")
	b.until("+CEREG: 3,,,,0,19")
	b.want("AT+CEREG?", "+CEREG: 3,3,,,,0,19\nOK")
	b.want("AT+CGATT=1", "+CME ERROR: 119")
	b.net.set(func() { b.net.reject = 0 })
	b.want("AT+CGATT=1", "OK")
	b.until("+CEREG: 1")
	b.want("AT+CGACT?", "+CGACT: 1,1\n+CGACT: 2,0\nOK")
}
