//go:build linux && !nodemo

package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// strangerTraits are what modems do differently.
type strangerTraits struct {
	few        bool   // knows few commands, and no error numbers
	handle     string // of +CCHO: "" a number, "hex" 16 digits that mean nothing, "bare" a number without its tag
	csim       bool   // +CSIM only
	noRefresh  bool   // leaves the card's proactive commands alone
	maxAPDU    int    // longer ones are an ERROR; 0 takes all
	split      bool   // writes single bytes
	urcs       bool   // unsolicited lines before, inside and after answers
	end        string // of a line; "" is CR LF
	before     string // comes before each line of an answer
	late       bool   // +CGPADDR has no address at first
	dnsAnswers bool   // +CGCONTRDP tells the name servers
}

// strangerNetwork is what the modem is attached to.
type strangerNetwork interface {
	register(imsi, iccid string) bool
	activate(apn string) (addr string, dns []string, err error)
	deactivate()
}

// strangerModem is an AT modem written from V.250, 27.007 and TS 102 221 alone.
// It shares no code with the simulator that the other tests use, so that no
// mistake can hide on both sides of the port.
type strangerModem struct {
	strangerTraits
	card    func([]byte) []byte
	network strangerNetwork
	master  *os.File
	slave   *os.File
	wg      sync.WaitGroup

	// What follows belongs to the goroutine that serves the port.
	echo      bool
	errors    bool // +CMEE=1
	radio     bool
	iccid     string // as digits; "" without a profile
	imsi      string
	apn, kind string
	addr      string
	dns       []string
	channels  map[string]byte // handle to logical channel
	opened    int
	asked     int // of +CGPADDR
	unknown   []string
}

func openStranger(t *testing.T, path string, traits strangerTraits, card func([]byte) []byte, network strangerNetwork) *strangerModem {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(slave.Name(), path); err != nil {
		t.Fatal(err)
	}
	if traits.end == "" {
		traits.end = "\r\n"
	}
	m := &strangerModem{strangerTraits: traits, card: card, network: network, master: master, slave: slave, echo: true, channels: map[string]byte{}}
	m.powerOn()
	m.wg.Go(m.serve)
	return m
}

func (m *strangerModem) close() {
	m.slave.Close() // kept open so that the port lives between two clients
	m.master.Close()
	m.wg.Wait()
}

func (m *strangerModem) serve() {
	var line []byte
	buf := make([]byte, 512)
	for {
		n, err := m.master.Read(buf)
		if err != nil {
			return
		}
		for _, c := range buf[:n] {
			if m.echo {
				m.write(string(c))
			}
			switch {
			case c == '\r':
				text := strings.TrimSpace(string(line))
				line = line[:0]
				if i := strings.Index(strings.ToUpper(text), "AT"); i >= 0 {
					m.line(text[i+2:])
				}
			case c == '\n' || c == 0x1b:
			default:
				line = append(line, c)
			}
		}
	}
}

func (m *strangerModem) write(s string) {
	if !m.split {
		m.master.WriteString(s)
		return
	}
	for i := range len(s) {
		m.master.WriteString(s[i : i+1])
	}
}

// say writes one line of an answer in verbose form (V.250, 5.7.1).
func (m *strangerModem) say(line string) { m.write(m.before + m.end + line + m.end) }

func (m *strangerModem) urc() {
	if m.urcs {
		m.opened++
		m.say([]string{"+CIEV: 2,4", "^RSSI: 19", "+XSIGNAL: 1,\"x,y\"", "RING", `+CREG: 1,"00A1","0012F0"`}[m.opened%5])
	}
}

// line carries out a command line and ends it with a result code.
func (m *strangerModem) line(cmd string) {
	m.urc()
	lines, after, ok := m.execute(cmd)
	if !ok {
		lines = nil
		m.unknown = append(m.unknown, cmd)
	}
	for _, l := range lines {
		m.say(l)
		m.urc()
	}
	switch {
	case ok:
		m.say("OK")
	case m.errors:
		m.say("+CME ERROR: 100")
	default:
		m.say("ERROR")
	}
	m.urc()
	if after != nil {
		after()
	}
}

func reply(lines ...string) ([]string, func(), bool) { return lines, nil, true }

func refuse() ([]string, func(), bool) { return nil, nil, false }

func (m *strangerModem) execute(cmd string) (lines []string, after func(), ok bool) {
	name, args, set := strings.Cut(cmd, "=")
	switch strings.ToUpper(name) {
	case "":
		return reply()
	case "E0":
		m.echo = false
		return reply()
	case "E0V1":
		if m.few {
			return refuse()
		}
		m.echo = false
		return reply()
	case "+CGMI":
		return reply("Stranger Ltd")
	case "+CGMM":
		return reply("S-1")
	case "+CGMR":
		return reply("S1 v1.02")
	case "+CGSN":
		return reply("355000000000013")
	case "+CPIN?":
		if m.iccid == "" || !m.radio {
			return refuse()
		}
		return reply("+CPIN: READY")
	case "+CIMI":
		if m.imsi == "" || !m.radio {
			return refuse()
		}
		return reply(m.imsi)
	case "+CCID":
		if m.iccid == "" || !m.radio {
			return refuse()
		}
		return reply("+CCID: " + m.iccid)
	case "+CREG?", "+CGREG?", "+CEREG?":
		if m.few && name == "+CEREG?" {
			return refuse()
		}
		stat := "2"
		if m.radio && m.imsi != "" && m.network.register(m.imsi, m.iccid) {
			stat = "1"
		}
		return reply(strings.TrimSuffix(name, "?") + ": 0," + stat)
	case "+CFUN?":
		if m.radio {
			return reply("+CFUN: 1")
		}
		return reply("+CFUN: 0")
	case "+CFUN":
		switch args {
		case "0":
			m.release()
			m.radio, m.iccid, m.imsi = false, "", ""
		case "1":
			if !m.radio {
				m.powerOn()
			}
		default:
			return refuse()
		}
		return reply()
	case "+CGDCONT?":
		if m.kind == "" {
			return reply()
		}
		return reply(fmt.Sprintf(`+CGDCONT: 1,%q,%q,"",0,0`, m.kind, m.apn))
	case "+CGDCONT":
		f := strings.Split(strings.ReplaceAll(args, `"`, ""), ",")
		if f[0] != "1" {
			return refuse()
		}
		f = append(f, "", "")
		m.kind, m.apn = f[1], f[2]
		return reply()
	case "+CGACT?":
		if m.addr == "" {
			return reply("+CGACT: 1,0")
		}
		return reply("+CGACT: 1,1")
	case "+CGACT":
		switch args {
		case "1,1":
			if m.kind == "" || !m.radio || !m.network.register(m.imsi, m.iccid) {
				return refuse()
			}
			addr, dns, err := m.network.activate(m.apn)
			if err != nil {
				return refuse()
			}
			m.addr, m.dns, m.asked = addr, dns, 0
			return reply()
		case "0,1":
			m.release()
			return reply()
		}
		return refuse()
	case "+CGPADDR":
		m.asked++
		if m.addr == "" || m.late && m.asked == 1 {
			return reply("+CGPADDR: 1")
		}
		return reply(fmt.Sprintf("+CGPADDR: 1,%q", m.addr))
	}
	if m.csim && strings.EqualFold(name, "+CSIM") && set {
		return m.simAccess(args)
	}
	if !m.csim {
		switch strings.ToUpper(name) {
		case "+CCHO":
			return m.openChannel(strings.Trim(args, `"`))
		case "+CGLA":
			return m.transmit(args)
		case "+CCHC":
			return m.closeChannel(strings.Trim(args, `"`))
		}
	}
	if m.few {
		return refuse()
	}
	switch strings.ToUpper(name) {
	case "+CMEE":
		m.errors = args == "1"
		return reply()
	case "+CEREG", "+CGREG", "+CSQ?":
		return reply()
	case "+CSQ":
		return reply("+CSQ: 17,99")
	case "+CGCONTRDP":
		if m.addr == "" || !m.dnsAnswers {
			return refuse()
		}
		return reply(fmt.Sprintf(`+CGCONTRDP: 1,5,%q,"%s.255.255.255.255","","%s"`, m.apn, m.addr, strings.Join(m.dns, `","`)))
	}
	return refuse()
}

func (m *strangerModem) release() {
	if m.addr != "" {
		m.network.deactivate()
		m.addr = ""
	}
}

// apdu gives a command to the card. After 91xx the modem fetches the proactive
// command when its own answer has gone up (TS 102 221, 7.4.2).
func (m *strangerModem) apdu(cmd []byte) (resp []byte, after func()) {
	resp = m.card(cmd)
	if n := len(resp); n >= 2 && resp[n-2] == 0x91 && !m.noRefresh {
		length := resp[n-1]
		after = func() { m.fetch(length) }
	}
	return resp, after
}

// fetch carries out REFRESH (TS 102 223, 6.4.7), the only proactive command it
// knows.
func (m *strangerModem) fetch(length byte) {
	resp := m.card([]byte{0x80, 0x12, 0, 0, length})
	i := bytes.Index(resp, []byte{0x81, 0x03})
	if i < 0 || i+5 > len(resp) {
		return
	}
	done := append([]byte{0x80, 0x14, 0, 0, 12}, resp[i:i+5]...)
	m.card(append(done, 0x82, 0x02, 0x82, 0x81, 0x83, 0x01, 0x00))
	if resp[i+3] == 0x01 {
		m.release()
		m.powerOn()
	}
}

// powerOn resets the card and reads who the subscriber is.
func (m *strangerModem) powerOn() {
	clear(m.channels)
	m.radio, m.iccid, m.imsi = true, "", ""
	m.card(nil)
	m.card([]byte{0x80, 0x10, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF})
	read := func(length byte, path ...[]byte) string {
		for _, p := range path {
			p1 := byte(0)
			if len(p) > 2 {
				p1 = 4
			}
			resp := m.card(append([]byte{0, 0xA4, p1, 0x0C, byte(len(p))}, p...))
			if len(resp) != 2 || resp[0] != 0x90 && resp[0] != 0x91 {
				return ""
			}
		}
		resp := m.card([]byte{0, 0xB0, 0, 0, length})
		if len(resp) != int(length)+2 {
			return ""
		}
		digits := ""
		for _, b := range resp[:length] {
			digits += fmt.Sprintf("%X%X", b&0xF, b>>4)
		}
		return strings.TrimRight(digits, "F")
	}
	m.iccid = read(10, []byte{0x3F, 0}, []byte{0x2F, 0xE2})
	if imsi := read(9, []byte{0xA0, 0, 0, 0, 0x87, 0x10, 0x02}, []byte{0x6F, 0x07}); len(imsi) > 3 {
		m.imsi = imsi[3:] // behind its length and the type
	}
	if m.imsi == "" {
		m.iccid = ""
	}
}

func (m *strangerModem) openChannel(aid string) (lines []string, after func(), ok bool) {
	name, err := hex.DecodeString(aid)
	if err != nil || !m.radio {
		return refuse()
	}
	resp := m.card([]byte{0, 0x70, 0, 0, 1})
	if len(resp) != 3 || resp[1] != 0x90 {
		return refuse()
	}
	ch := resp[0]
	resp = m.card(append([]byte{ch, 0xA4, 4, 0, byte(len(name))}, name...))
	if n := len(resp); n < 2 || resp[n-2] != 0x90 && resp[n-2] != 0x61 {
		m.card([]byte{0, 0x70, 0x80, ch, 0})
		return refuse()
	}
	m.opened++
	handle := strconv.Itoa(int(ch))
	if m.handle == "hex" {
		handle = fmt.Sprintf("%016x", 0x38aa32f+m.opened*0x11)
	}
	m.channels[handle] = ch
	if m.handle == "bare" {
		return reply(handle)
	}
	return reply("+CCHO: " + handle)
}

func (m *strangerModem) closeChannel(handle string) (lines []string, after func(), ok bool) {
	ch, ok := m.channels[handle]
	if !ok {
		return refuse()
	}
	delete(m.channels, handle)
	_, after = m.apdu([]byte{0, 0x70, 0x80, ch, 0})
	return nil, after, true
}

// parseAPDU reads `<length>,"<hex>"`, where length counts digits.
func (m *strangerModem) parseAPDU(length, digits string) []byte {
	digits = strings.Trim(digits, `"`)
	n, err := strconv.Atoi(length)
	cmd, herr := hex.DecodeString(digits)
	if err != nil || herr != nil || n != len(digits) || len(cmd) < 5 || m.maxAPDU > 0 && len(cmd) > m.maxAPDU {
		return nil
	}
	return cmd
}

func (m *strangerModem) transmit(args string) (lines []string, after func(), ok bool) {
	f := strings.Split(args, ",")
	if len(f) != 3 {
		return refuse()
	}
	ch, ok := m.channels[strings.Trim(f[0], `"`)]
	cmd := m.parseAPDU(f[1], f[2])
	if !ok || cmd == nil {
		return refuse()
	}
	cmd[0] |= ch // a card of this test has channels 1 to 3 only
	resp, after := m.apdu(cmd)
	text := fmt.Sprintf(`%d,"%X"`, 2*len(resp), resp)
	if m.handle != "bare" {
		text = "+CGLA: " + text
	}
	return []string{text}, after, len(resp) >= 2
}

func (m *strangerModem) simAccess(args string) (lines []string, after func(), ok bool) {
	length, digits, _ := strings.Cut(args, ",")
	cmd := m.parseAPDU(length, digits)
	if cmd == nil || !m.radio {
		return refuse()
	}
	resp, after := m.apdu(cmd)
	return []string{fmt.Sprintf(`+CSIM: %d,"%X"`, 2*len(resp), resp)}, after, len(resp) >= 2
}

// TestStrangerModem makes sure that the stranger itself is what a terminal
// program would expect.
func TestStrangerModem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "modem")
	m := openStranger(t, path, strangerTraits{few: true}, func([]byte) []byte { return []byte{0x6F, 0} }, nil)
	defer m.close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("AT+CGMM\r")
	got, want := []byte{}, "AT+CGMM\r\r\nS-1\r\n\r\nOK\r\n"
	buf := make([]byte, 64)
	for deadline := time.Now().Add(time.Minute); len(got) < len(want) && time.Now().Before(deadline); {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if !slices.Equal(got, []byte(want)) {
		t.Errorf("%q, want %q", got, want)
	}
}
