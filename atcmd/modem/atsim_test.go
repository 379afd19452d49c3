package modem_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/uicc"
)

// wirePort is the modem's end of a net.Pipe as the session's port.
type wirePort struct{ net.Conn }

func (p wirePort) WriteContext(ctx context.Context, b []byte) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := p.SetWriteDeadline(deadline); err != nil {
		return atcmd.ErrGone
	}
	_, err := p.Write(b)
	return err
}

func (p wirePort) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil && n == 0 {
		err = atcmd.ErrGone
	}
	return n, err
}

// card is a UICC with a USIM and perhaps an ISD-R (TS 102 221).
type card struct {
	mu       sync.Mutex
	iccid    string // EF_ICCID, hexadecimal
	imsi     string // EF_IMSI, hexadecimal
	euicc    bool
	channels map[int]string // open channel -> selected application
	files    map[int][]byte // channel -> selected file
}

const (
	usim = "a0000000871002ff33ff018900000100"
	isdr = "a0000005591010ffffffff8900000100"
)

func (c *card) apdu(cmd []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd == nil {
		c.channels, c.files = map[int]string{0: ""}, map[int][]byte{}
		return []byte{0x3B, 0x9F, 0x96}
	}
	ch := int(cmd[0] & 3)
	if cmd[0]&0x40 != 0 {
		ch = 4 + int(cmd[0]&0xF)
	}
	if _, ok := c.channels[ch]; !ok || len(cmd) < 4 || len(cmd) < 5 && cmd[1] != 0x70 {
		return []byte{0x68, 0x81}
	}
	switch cmd[1] {
	case 0x70:
		if cmd[2] == 0x80 {
			delete(c.channels, int(cmd[3]))
			return []byte{0x90, 0x00}
		}
		for n := 1; n < 4; n++ {
			if _, ok := c.channels[n]; !ok {
				c.channels[n] = ""
				return []byte{byte(n), 0x90, 0x00}
			}
		}
		return []byte{0x6A, 0x81}
	case 0xA4:
		id := hex.EncodeToString(cmd[5 : 5+cmd[4]])
		if cmd[2] == 4 {
			switch {
			case strings.HasPrefix(usim, id):
				c.channels[ch] = usim
			case id == isdr && c.euicc:
				c.channels[ch] = isdr
			default:
				return []byte{0x6A, 0x82}
			}
			return []byte{0x62, 0x02, 0x84, 0x00, 0x90, 0x00}
		}
		file := map[string]string{
			"3f00": "", "7fff": "", "2fe2": c.iccid, "2f00": "",
			"6f07": c.imsi, "6fad": "00000002", "6f46": "00546573742053494DFFFFFFFFFFFFFFFF", "6f3e": "A1B2FF",
		}
		content, ok := file[id]
		if !ok {
			return []byte{0x6A, 0x82}
		}
		c.files[ch], _ = hex.DecodeString(content)
		return []byte{0x62, 0x04, 0x83, 0x02, cmd[5], cmd[6], 0x90, 0x00}
	case 0xB0:
		f := c.files[ch]
		if n := int(cmd[4]); n != 0 && n < len(f) {
			f = f[:n]
		}
		return append(bytes.Clone(f), 0x90, 0x00)
	case 0x20:
		return []byte{0x90, 0x00}
	case 0xE2:
		if c.channels[ch] != isdr {
			return []byte{0x69, 0x85}
		}
		return append(bytes.Clone(cmd[5:5+cmd[4]]), 0x90, 0x00)
	case 0xF2, 0x10, 0xAA:
		return []byte{0x90, 0x00}
	}
	return []byte{0x6D, 0x00}
}

type network struct {
	mu     sync.Mutex
	reject int
	pdps   []atsim.PDP
	reg    atsim.Registration // if it has a status
}

func (n *network) Register(atsim.Subscriber) atsim.Registration {
	if n.reg.Status != 0 {
		return n.reg
	}
	return atsim.Registration{Status: 1, AcT: 7, PLMN: "00101", Operator: "Test Network", TAC: "0001", CellID: "01A2D001"}
}

func (n *network) Activate(_ atsim.Subscriber, p atsim.PDP) (atsim.Lease, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pdps = append(n.pdps, p)
	if n.reject != 0 {
		return atsim.Lease{}, &atsim.Reject{Cause: n.reject}
	}
	return atsim.Lease{
		Addr: netip.MustParsePrefix("10.64.0.2/30"), Gateway: netip.MustParseAddr("10.64.0.1"),
		DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")}, MTU: 1430,
	}, nil
}

func (n *network) Deactivate(atsim.Subscriber, int) {}

type lab struct {
	sim   *atsim.Modem
	close func() // also at the end of the test
	card  *card
	net   *network
	*atcmd.Session
}

func newLab(t *testing.T, change func(*atsim.Config)) *lab {
	t.Helper()
	l := &lab{card: &card{iccid: "980010000000000010f2", imsi: "080910100000000010", euicc: true}, net: &network{}}
	cfg := atsim.Config{Card: l.card.apdu, Network: l.net, Now: func() time.Time {
		return time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	}}
	if change != nil {
		change(&cfg)
	}
	var err error
	if l.sim, err = atsim.New(cfg); err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.sim.Serve(ctx, theirs) }()
	l.Session = atcmd.New(wirePort{ours}, atcmd.Options{})
	l.close = sync.OnceFunc(func() {
		l.Session.Close()
		cancel()
		<-done
	})
	t.Cleanup(l.close)
	return l
}

// start identifies the modem, finds its dialect and waits for registration.
func (l *lab) start(t *testing.T) *modem.Modem {
	t.Helper()
	id, err := modem.Identify(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	m := modem.New(l, dialect.Find(id.Identity), nil)
	if err := m.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.EnableEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		reg, err := m.Registration(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if reg.State.Registered() {
			return m
		}
		time.Sleep(time.Millisecond)
	}
}

// The typed verbs against a modem that was written from the standard by
// somebody else, in each of its personalities.
func TestVerbsOnSimulatedModem(t *testing.T) {
	for _, personality := range atsim.Personalities() {
		t.Run(personality, func(t *testing.T) {
			l := newLab(t, func(c *atsim.Config) { c.Personality = personality; c.Habits.APNWithOI = true })
			m := l.start(t)
			ctx := t.Context()
			if maker, _, _ := strings.Cut(personality, "-"); m.Dialect().Name == "generic" != (maker == "generic") {
				t.Errorf("dialect %s", m.Dialect().Name)
			}
			sim, err := m.SIM(ctx)
			if err != nil || sim.State != modem.SIMReady {
				t.Errorf("SIM %+v %v", sim, err)
			}
			facts, err := m.SIMFacts(ctx)
			if want := (modem.SIMFacts{ICCID: "8900010000000000012", IMSI: "001010000000001", MNCLength: 2, MCC: "001", MNC: "01", SPN: "Test SIM", GID1: "A1B2"}); personality != "quectel-eg916" && (err != nil || facts != want) {
				t.Errorf("facts %+v %v", facts, err)
			}
			reg, err := m.Registration(ctx)
			if err != nil || reg.State != modem.RegHome || reg.AcT != 7 || reg.AreaCode != "0001" || reg.CellID != "01A2D001" {
				t.Errorf("registration %+v %v", reg, err)
			}
			op, err := m.Operator(ctx)
			if err != nil || op.PLMN != "00101" || op.Name != "Test Network" {
				t.Errorf("operator %+v %v", op, err)
			}
			if on, err := m.Attached(ctx); err != nil || !on {
				t.Errorf("attached %v %v", on, err)
			}
			if f, err := m.Functionality(ctx); err != nil || f != modem.Full {
				t.Errorf("functionality %v %v", f, err)
			}
			if s, err := m.Signal(ctx); err != nil || s.RSSI == nil && s.RSRP == nil {
				t.Errorf("signal %+v %v", s, err)
			}
			clock, err := m.Clock(ctx)
			if d := clock.Sub(time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)); err != nil || d < 0 || d > time.Hour {
				t.Errorf("clock %v %v", clock, err)
			}
			call := modem.Call{Context: modem.Context{CID: 1, Type: modem.IPv4, APN: "lab.test"}, Auth: modem.Auth{Method: modem.CHAP, User: "me", Password: "s3cret"}, Function: dialect.ECM}
			source := dialect.DHCP
			switch personality {
			case "nordic-nrf9160":
				return // no interface for a host
			case "fibocom-fm350", "mediatek-t830":
				source = dialect.CGPADDRNet
			case "fibocom-l850":
				source = dialect.CGCONTRDP
			}
			lease, err := m.Up(ctx, call)
			if err != nil || lease.Source != source || lease.Config.APN != "lab.test" {
				t.Fatalf("lease %+v %v", lease, err)
			}
			if p := l.net.pdps[len(l.net.pdps)-1]; p.APN != "lab.test" || p.User != "me" || p.Password != "s3cret" || p.Auth != 2 {
				t.Errorf("the network was asked for %+v", p)
			}
			if up, err := m.Status(ctx, call); err != nil || !up {
				t.Errorf("status %v %v", up, err)
			}
			if addrs, err := m.Addresses(ctx, 1); err != nil || len(addrs) != 1 || addrs[0].String() != "10.64.0.2" {
				t.Errorf("addresses %v %v", addrs, err)
			}
			if err := m.Down(ctx, call); err != nil {
				t.Errorf("down: %v", err)
			}
			if up, err := m.Status(ctx, call); err != nil || up {
				t.Errorf("status after down %v %v", up, err)
			}
		})
	}
}

func TestRawIPOnSimulatedModem(t *testing.T) {
	for _, old := range []bool{false, true} {
		l := newLab(t, func(c *atsim.Config) { c.RawIP = true; c.Habits.OldContrdp = old })
		m := l.start(t)
		lease, err := m.Up(t.Context(), modem.Call{Context: modem.Context{CID: 1, Type: modem.IPv4, APN: "lab.test"}, Function: dialect.RawIP})
		c := lease.Config
		if err != nil || lease.Source != dialect.CGCONTRDP || len(c.Addrs) != 1 || c.Addrs[0].Addr().String() != "10.64.0.2" || len(c.DNS) != 1 || !old && c.MTU != 1430 {
			t.Errorf("old format %v: %+v %v", old, lease, err)
		}
	}
}

func TestRefusedOnSimulatedModem(t *testing.T) {
	for cause, want := range map[int]modem.Cause{33: modem.CauseNotSubscribed, 29: modem.CauseAuth, 27: modem.CauseAPN} {
		l := newLab(t, nil)
		m := l.start(t)
		l.net.mu.Lock()
		l.net.reject = cause
		l.net.mu.Unlock()
		_, err := m.Up(t.Context(), modem.Call{Context: modem.Context{CID: 2, Type: modem.IPv4, APN: "no"}, Function: dialect.ECM})
		var e *modem.ActivationError
		if !errors.As(err, &e) || e.Cause != want {
			t.Errorf("cause %d: %v", cause, err)
		}
	}
}

// The card through the simulated modem, with each habit that field reports
// tell of.
func TestCardOnSimulatedModem(t *testing.T) {
	aid, _ := hex.DecodeString(isdr)
	for _, tt := range []struct {
		name   string
		change func(*atsim.Config)
		card   func(*card)
		order  []string
		err    error
	}{
		{"quectel", func(c *atsim.Config) { c.Personality = "quectel" }, nil, nil, nil},
		{"opaque handle", func(c *atsim.Config) { c.Habits.HexHandle = true }, nil, nil, nil},
		{"bare answers", func(c *atsim.Config) { c.Habits.BareAnswers = true }, nil, nil, nil},
		{"blank before the colon", func(c *atsim.Config) { c.Habits.BlankColon = true }, nil, nil, nil},
		{"no quotes", func(c *atsim.Config) { c.Habits.NoQuotes = true }, nil, nil, nil},
		{"no test forms", func(c *atsim.Config) { c.Habits.NoTestForms = true }, nil, nil, nil},
		{"strict CLA", func(c *atsim.Config) { c.Habits.StrictCLA = true }, nil, nil, nil},
		{"split answers, URC in the middle", func(c *atsim.Config) { c.Habits.SplitBytes = 7; c.Habits.URCMidAnswer = "+CREG: 5" }, nil, nil, nil},
		{"+CSIM", nil, nil, []string{dialect.CSIM}, nil},
		{"+CSIM, quectel", func(c *atsim.Config) { c.Personality = "quectel" }, nil, []string{dialect.CSIM}, nil},
		{"ordinary SIM", nil, func(c *card) { c.euicc = false }, nil, uicc.ErrNotEUICC},
		{"ordinary SIM, quectel", func(c *atsim.Config) { c.Personality = "quectel" }, func(c *card) { c.euicc = false }, nil, uicc.ErrNotEUICC},
		{"ordinary SIM, no codes", func(c *atsim.Config) { c.Habits.NoCME = true }, func(c *card) { c.euicc = false }, nil, uicc.ErrNotEUICC},
		{"ordinary SIM by +CSIM", nil, func(c *card) { c.euicc = false }, []string{dialect.CSIM}, uicc.ErrNotEUICC},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.change)
			if tt.card != nil {
				tt.card(l.card)
			}
			m := l.start(t)
			p := m.Dialect().APDU
			if tt.order != nil {
				p.Order = tt.order
			}
			tr := uicc.New(l, p, uicc.Options{})
			for range 2 {
				session, err := tr.Open(t.Context(), aid)
				if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
					t.Fatal(err)
				}
				if err != nil {
					continue
				}
				for _, n := range []int{1, 120, 250} {
					cmd := append([]byte{0x80, 0xE2, 0x91, 0, byte(n)}, bytes.Repeat([]byte{0x5A}, n)...)
					resp, err := tr.Transmit(t.Context(), session, cmd)
					if err != nil || !bytes.Equal(resp, append(cmd[5:], 0x90, 0x00)) {
						t.Errorf("%d bytes: %X %v", n, resp, err)
					}
				}
				if err := tr.Close(t.Context(), session); err != nil {
					t.Error(err)
				}
			}
			l.card.mu.Lock()
			defer l.card.mu.Unlock()
			if len(l.card.channels) != 1 {
				t.Errorf("channels left open: %v", l.card.channels)
			}
		})
	}
}

// Leaked channels do not keep the next process out, and a busy card is waited
// for.
func TestFaultsOnSimulatedModem(t *testing.T) {
	aid, _ := hex.DecodeString(isdr)
	l := newLab(t, nil)
	m := l.start(t)
	for range 3 {
		if _, err := l.Do(t.Context(), atcmd.Command{Text: `+CCHO="` + isdr + `"`}); err != nil {
			t.Fatal(err)
		}
	}
	p := m.Dialect().APDU
	p.BusyPause = dialect.Duration(time.Millisecond)
	tr := uicc.New(l, p, uicc.Options{})
	session, err := tr.Open(t.Context(), aid)
	if err != nil {
		t.Fatalf("after a leak: %v", err)
	}
	if err := tr.Close(t.Context(), session); err != nil {
		t.Error(err)
	}
	if err := l.sim.SetFault("sim-busy", atsim.Fault{Times: 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Open(t.Context(), aid); err != nil {
		t.Errorf("busy: %v", err)
	}
}

// A profile is switched on a modem that ignores REFRESH: the ladder makes it
// read the card again, in simulated time. The port stays, since it is no USB.
func TestResetSIMOnSimulatedModem(t *testing.T) {
	for _, personality := range atsim.Personalities() {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, func(c *atsim.Config) { c.Personality = personality })
			m := l.start(t)
			imsi, err := m.IMSI(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			l.card.mu.Lock()
			l.card.iccid, l.card.imsi = "980010000000000020f2", "080910100000000020"
			l.card.mu.Unlock()
			const want = "8900010000000000022"
			start := time.Now()
			rung, err := m.ResetSIM(t.Context(), modem.ResetGoal{ICCID: want, OldIMSI: imsi}, modem.Rung{}, nil)
			if err != nil {
				t.Fatalf("%s: %v", personality, err)
			}
			if got, err := m.ICCID(t.Context()); err != nil || got != want {
				t.Errorf("%s: ICCID %q %v", personality, got, err)
			}
			if got, err := m.IMSI(t.Context()); err != nil || got == imsi {
				t.Errorf("%s: IMSI %q %v", personality, got, err)
			}
			t.Logf("%s: rung %d after %v", personality, rung.Index, time.Since(start))
			l.close()
		})
	}
}

// A leak that no +CCHC closes ends with a channel by the other way, not with a
// hang.
func TestExhaustedChannelsOnSimulatedModem(t *testing.T) {
	aid, _ := hex.DecodeString(isdr)
	l := newLab(t, nil)
	m := l.start(t)
	if err := l.sim.SetFault("leak", atsim.Fault{Times: 3}); err != nil {
		t.Fatal(err)
	}
	tr := uicc.New(l, m.Dialect().APDU, uicc.Options{})
	for i := range 5 {
		session, err := tr.Open(t.Context(), aid)
		if err != nil {
			t.Fatalf("opening %d: %v", i+1, err)
		}
		if err := tr.Close(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
}
