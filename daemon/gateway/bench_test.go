package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/apdu"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// A reader of the trace that does not read loses the oldest lines, sees how many,
// and holds up nobody.
func TestTraceSlowReader(t *testing.T) {
	var tr tracer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow, quick := tr.watch(ctx), tr.watch(ctx)
	const lines = 4 * traceQueue
	for i := range lines {
		tr.tell(time.Time{}, "sent", fmt.Sprint(i+1))
		if l := <-quick; l.Seq != uint64(i+1) || l.Line != fmt.Sprint(i+1) {
			t.Fatalf("the quick one got %+v", l)
		}
	}
	if len(slow) != traceQueue {
		t.Errorf("%d lines wait for the slow one", len(slow))
	}
	if first := <-slow; first.Seq != lines-traceQueue+1 {
		t.Errorf("the slow one begins with %d", first.Seq)
	}
	cancel()
	for gone := false; !gone; { // its own goroutine takes the reader off
		tr.mu.Lock()
		gone = len(tr.readers) == 0
		tr.mu.Unlock()
	}
	tr.tell(time.Time{}, "sent", "x")
}

func TestCommandText(t *testing.T) {
	for _, tt := range []struct{ line, want, refused string }{
		{"AT+CSQ", "+CSQ", ""},
		{" at +csq ", "+csq", ""},
		{"AT", "", ""},
		{"^SYSINFOEX", "^SYSINFOEX", ""},
		{"ATD*99#", "", "data mode"},
		{"ATE0D*99#", "", "data mode"},
		{"AT+CGDATA=\"PPP\",1", "", "data mode"},
		{"AT+CGDATA=?", "+CGDATA=?", ""},
		{"ATO", "", "data mode"},
		{"ATA", "", "data mode"},
		{"AT+CMUX=0", "", "frames"},
		{"AT+CMGS=24", "", "wait for a text"},
		{"A/", "", "repeats"},
		{"+++", "", "data mode"},
		{"", "", "empty"},
		{"SECRET", "", "no AT command"},
		{"AT+CPIN=\"SECRET\"\rAT", "", "control character"},
		{"AT\x1bSECRET", "", "control character"},
		{"AT+CMGL\x1a", "", "control character"},
	} {
		got, err := commandText(tt.line)
		if got != tt.want || (err != nil) != (tt.refused != "") || err != nil && (!strings.Contains(err.Error(), tt.refused) || strings.Contains(err.Error(), "SECRET")) {
			t.Errorf("%q: %q, %v", tt.line, got, err)
		}
	}
}

// What would fight the daemon needs force; questions do not.
func TestFight(t *testing.T) {
	for _, tt := range []struct{ dialect, line, want string }{
		{"generic", "+CFUN=0", "+CFUN"},
		{"generic", "+CSQ;+CFUN=1,1", "+CFUN"},
		{"generic", "+CFUN?", ""},
		{"generic", "+COPS=?", ""},
		{"generic", "+COPS=2", "+COPS"},
		{"generic", "Z", "Z"},
		{"generic", "&F0", "&F"},
		{"generic", "E0", ""},
		{"generic", "+CGACT=0,1", "+CGACT"},
		{"generic", "+CGACT?", ""},
		{"generic", "+CCHC=1", "+CCHC"},
		{"generic", "+CPIN=\"1234\"", ""},
		{"generic", "^RESET", ""},
		{"huawei", "^RESET", "^RESET"},
		{"quectel", "+QNETDEVCTL=1,1,1", "+QNETDEVCTL"},
		{"quectel", "+QNETDEVCTL?", ""},
		{"quectel", "+QCFG=\"usbnet\",1", "+QCFG"},
		{"quectel", "+QUIMSLOT=2", "+QUIMSLOT"},
	} {
		if name, why := fight(tt.line, dialect.ByName(tt.dialect)); name != tt.want || (why == "") != (name == "") {
			t.Errorf("%s AT%s: %q, %s", tt.dialect, tt.line, name, why)
		}
	}
}

func TestCommandAPDU(t *testing.T) {
	for _, tt := range []struct {
		hex     string
		force   bool
		want    string
		refused string
	}{
		{"80E2910003BF2E00", false, "80e2910003bf2e00", ""},
		{"80 e2:91 00 03 bf 2e 00", false, "80e2910003bf2e00", ""},
		{"00C0000000", false, "00c0000000", ""},
		{"00A40004026F0700", false, "00a40004026f0700", ""},
		{"00200001", false, "00200001", ""},
		{"80E2", false, "", "2 bytes"},
		{"80E2910003BF2E", false, "", "Lc says 3 bytes, and 2 follow"},
		{"80E2910003BF2E000000", false, "", "Lc says 3 bytes, and 5 follow"},
		{strings.Repeat("00", 262), false, "", "262 bytes"},
		{"0xSECRET", false, "", "not hexadecimal"},
		{"81E2910003BF2E00", false, "", "logical channel"},
		{"40A40004026F07", false, "", "logical channel"},
		{"0070000001", false, "", "MANAGE CHANNEL"},
		{"80E2910006BF3103810100", false, "", "EnableProfile would go past"},
		{"80E2910006BF3103810100", true, "80e2910006bf3103810100", ""},
		{"80E2110106BF3103810100", false, "80e2110106bf3103810100", ""}, // a later block: no tag
		{"80E2910003BF3400", false, "", "eUICCMemoryReset"},
	} {
		got, err := commandAPDU(tt.hex, tt.force)
		if fmt.Sprintf("%x", got) != tt.want || (err != nil) != (tt.refused != "") || err != nil && (!strings.Contains(err.Error(), tt.refused) || strings.Contains(err.Error(), "SECRET")) {
			t.Errorf("%s: %x, %v", tt.hex, got, err)
		}
	}
	for sw, want := range map[uint16]string{0x9000: "done", 0x9114: "REFRESH", 0x63C2: "tries left: 2", 0x6C10: "Le is 10", 0x6983: "blocked", 0x6A82: "no such application", 0x6285: "warning", 0x6FFF: "refuses"} {
		if text, _ := statusText(apdu.Status(sw)); !strings.Contains(text, want) {
			t.Errorf("%04X: %s", sw, text)
		}
	}
}

// FuzzRaw: what is taken from a person is one command line, or one short APDU.
func FuzzRaw(f *testing.F) {
	for _, s := range []string{"AT+CSQ", "+CSQ", "A/", "80E2910003BF2E00", "AT\r", "00 20"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if line, err := commandText(text); err == nil {
			if strings.ContainsAny(line, "\r\n\x1a\x1b\x00") {
				t.Errorf("%q became %q", text, line)
			}
			for _, n := range atcmd.Sets(line) {
				if nevers[n] != "" {
					t.Errorf("%q sets %s", text, n)
				}
			}
		}
		if cmd, err := commandAPDU(text, true); err == nil && (len(cmd) < 4 || len(cmd) > 261 || cmd[0]&3 != 0) {
			t.Errorf("%q became %X", text, cmd)
		}
	})
}

// Each family has a row for what a person asks for, or none and says so.
func TestPartFor(t *testing.T) {
	for _, name := range dialect.Names() {
		d := dialect.ByName(name)
		if p := partFor(d, hook.ResetSIM); p == "" || p == dialect.ModemPart {
			t.Errorf("%s: the card by %q", name, p)
		}
		if p := partFor(d, hook.ResetRadio); p != dialect.RadioPart {
			t.Errorf("%s: the radio by %q", name, p)
		}
		if p := partFor(d, hook.ResetModem); (p == "") != (name == "nrf91") {
			t.Errorf("%s: the modem by %q", name, p)
		}
	}
}

// An engineer's commands are held off while a run uses the modem, and told what
// it is.
func TestBenchWhileBusy(t *testing.T) {
	cfg := labConfig(t)
	for _, dir := range []string{cfg.State.Dir, cfg.State.Run} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g, closeAll, err := build(cfg, Options{Kernel: nlsim.New(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	release, err := g.acquireCard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := g.acquireBench(soon); !errors.Is(err, activation.ErrBusy) || !strings.Contains(err.Error(), "an operation has the card") {
		t.Errorf("while somebody has the card: %v", err)
	}
	g.status.Update(func(s *status.Snapshot) { s.Run = &status.Run{ID: "RUN1", State: string(activation.Waiting)} })
	if _, err := g.acquireBench(soon); !errors.Is(err, activation.ErrBusy) || !strings.Contains(err.Error(), "waits for an answer") {
		t.Errorf("while a run holds a session: %v", err)
	}
	release()
	if release, err = g.acquireBench(t.Context()); err != nil {
		t.Errorf("while a run waits without a session: %v", err)
	} else {
		release()
	}
	if _, err := g.runs.Switch(activation.Switching{ICCID: "8900000000000000018"}); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func() error{
		"at": func() error { _, err := g.AT(t.Context(), hook.ATRequest{Commands: []string{"AT"}}); return err },
		"apdu": func() error {
			_, err := g.APDU(t.Context(), hook.APDURequest{Commands: []string{"80CA006600"}})
			return err
		},
		"reset": func() error { _, err := g.ResetModem(t.Context(), hook.ResetSIM); return err },
	} {
		err := f()
		if fault, ok := errors.AsType[*activation.Fault](err); !ok || fault.Code != "busy" || !errors.Is(err, activation.ErrBusy) || !strings.Contains(err.Error(), "is in state enabling") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := g.ResetModem(t.Context(), "everything"); err == nil || errors.Is(err, activation.ErrBusy) {
		t.Errorf("a reset that is none: %v", err)
	}
}

// Two modems, of which one is ours: the other's ports are listed and never opened.
func TestBenchPorts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	u := newUSBTree(t)
	m, err := atsim.New(atsim.Config{Card: m2mCard()})
	u.must(err)
	ours := u.plug("1-2", map[int]string{1: "ttyUSB1", 2: "ttyUSB2", 3: "ttyUSB3"})
	other := u.plug("1-4", map[int]string{2: "ttyUSB4", 3: "ttyUSB5"})
	serveModem(ctx, &wg, m, ours[2])
	cfg := labConfig(t)
	cfg.Uplink.DNSFile = filepath.Join(t.TempDir(), "resolv.conf")
	opts := Options{
		Version: "test", Tree: u.Tree, Kernel: nlsim.New(),
		DHCP:  func(context.Context, string) (bearer.Lease, error) { return bearer.Lease{}, errors.New("no server") },
		Probe: func(context.Context, uplink.Spec) bearer.Reach { return bearer.Reach{State: status.Down} },
	}
	var got []hook.ModemPort
	var modem hook.Modem
	u.must(Direct(ctx, cfg, opts, func(c *hook.Client) error {
		for !modem.Present && ctx.Err() == nil {
			if err := c.Do(ctx, "GET", "/v1/modem", nil, nil, &modem); err != nil {
				return err
			}
		}
		return c.Do(ctx, "GET", "/v1/modem/ports", nil, nil, &got)
	}))
	for _, l := range ours {
		l.Close()
	}
	for _, l := range other {
		l.(*net.UnixListener).SetDeadline(time.Unix(1, 0))
		if c, err := l.Accept(); err == nil {
			c.Close()
			t.Errorf("%s was opened", l.Addr())
		}
	}
	if modem.Place != "usb:1-2:2" || modem.USB != "2c7c:0125" || modem.Power != "full" || modem.Counters == nil || modem.Counters.Commands == 0 || len(modem.Rows) == 0 {
		t.Errorf("modem %+v", modem)
	}
	check := func(ports []hook.ModemPort, want []string) {
		t.Helper()
		var lines []string
		for _, p := range ports {
			lines = append(lines, fmt.Sprintf("%s %s %d %s %v %s", filepath.Base(p.Path), p.Device, *p.Interface, p.Role, p.Ours, p.Why))
		}
		if all := strings.Join(lines, "\n"); all != strings.Join(want, "\n") {
			t.Errorf("ports:\n%s\nwant:\n%s", all, strings.Join(want, "\n"))
		}
	}
	check(got, []string{
		"ttyUSB1 1-2 1 other false another port of our modem, left alone",
		"ttyUSB2 1-2 2 at true interface 2 is an AT port by the table of quectel, and it answered",
		"ttyUSB3 1-2 3 at false another port of our modem, left alone",
		"ttyUSB4 1-4 2 at false not our modem, never opened",
		"ttyUSB5 1-4 3 at false not our modem, never opened",
	})
	// Where no daemon runs, what one would do.
	u.unplug("1-2", ours)
	check(Ports(cfg, opts), []string{
		"ttyUSB4 1-4 2 at false [modem] port is auto: number 1 to be tried",
		"ttyUSB5 1-4 3 at false [modem] port is auto: number 2 to be tried",
	})
	cfg.Modem.Port = "usb:1-4:3"
	check(Ports(cfg, opts), []string{
		"ttyUSB4 1-4 2 at false [modem] port names another, never opened",
		"ttyUSB5 1-4 3 at false [modem] port names it",
	})
}
