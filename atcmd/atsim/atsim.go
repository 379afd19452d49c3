// Package atsim is a simulated cellular modem that speaks AT (ITU-T V.250,
// 3GPP TS 27.007 and 27.005) on any byte stream or on a pseudo-terminal.
//
// It is written from the specifications, for clients that are not ours: other
// LPAs' AT drivers, ModemManager, a terminal program. It keeps state as a modem
// does (functionality, SIM, registration, contexts, logical channels, settings
// of each port), counts what it did and can be told to misbehave.
//
// A modem has a card slot (Card) and a radio side (Network). Make one with New,
// then give it AT channels with Serve or ServePTY; several may be open at once,
// as on a USB modem with several ttys. The modem is powered while at least one
// channel is open; nothing runs and no goroutine is left when none is.
//
// Card, Network and the data callbacks are called one at a time and with the
// modem's state held: they must not call back into Serve, Sync, SetFault or
// any other method of the same Modem except Stats.
package atsim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// ErrUnplugged is what Serve and ServePTY return when the modem was unplugged
// by a fault and will not come back.
var ErrUnplugged = errors.New("modem was unplugged")

// Card is the card in the modem's slot: a command APDU in (CLA with real
// channel bits, MANAGE CHANNEL and SELECT included), response data and status
// word out. A nil command is a power-on reset and is answered with the ATR. An
// answer shorter than a status word means that the card is mute; an empty ATR,
// that the slot is empty.
type Card func(cmd []byte) []byte

// Network is the radio network and its packet side. Core is one that knows APNs
// and refuses what a real one refuses.
type Network interface {
	// Register is asked whenever the modem tries to register or checks its
	// registration. It must be cheap.
	Register(Subscriber) Registration
	// Activate brings up a context. A *Reject error carries the cause number.
	Activate(Subscriber, PDP) (Lease, error)
	// Deactivate takes a context down; one that is not up is no error.
	Deactivate(sub Subscriber, cid int)
}

// Scanner is an optional part of a Network: what +COPS=? finds.
type Scanner interface {
	Scan() []Operator
}

// Operator is one line of a network scan.
type Operator struct {
	Status int // TS 27.007 7.3: 0 unknown, 1 available, 2 current, 3 forbidden
	PLMN   string
	Name   string
	AcT    int
}

// Subscriber is who the modem registers as, read from the card's EF_ICCID and
// EF_IMSI over channel 0.
type Subscriber struct{ ICCID, IMSI string }

// Registration is the network's answer to a registration.
type Registration struct {
	Status      int    // <stat> of TS 27.007 10.1.22: 0 idle, 1 home, 2 searching, 3 denied, 4 unknown, 5 roaming
	AcT         int    // <AcT> of TS 27.007 7.3: 0 GSM, 2 UTRAN, 7 E-UTRAN, 11 NR to a 5G core
	PLMN        string // MCC and MNC, five or six digits
	Operator    string // long name
	TAC, CellID string // hexadecimal, without 0x
	RejectCause int    // with Status 3: EMM or GMM cause of TS 24.301 or 24.008
}

// Registered reports whether the modem may use the packet side.
func (r Registration) Registered() bool { return r.Status == 1 || r.Status == 5 }

// PDP is a packet data context to be activated (TS 27.007 10.1.1, 10.1.31).
type PDP struct {
	CID            int
	APN            string
	Type           string // IP, IPV6 or IPV4V6
	User, Password string
	Auth           int // 0 none, 1 PAP, 2 CHAP
}

// Lease is what the network gave to a context.
type Lease struct {
	Addr     netip.Prefix // IPv4
	Gateway  netip.Addr
	Addr6    netip.Prefix // IPv6
	Gateway6 netip.Addr
	DNS      []netip.Addr // of either family
	MTU      int          // 0: not told
	APN      string       // that the network gave, "" for the one that was asked for
	// Cause says why a request for both address types got one: 50, 51 or 52, see
	// TS 24.301 6.5.1.3. 0 where nothing is to be said.
	Cause int
}

// Reject is a refused activation.
type Reject struct {
	Cause int // SM or ESM cause of TS 24.008 10.5.6.6 and TS 24.301 9.9.4.4
}

func (e *Reject) Error() string { return fmt.Sprintf("activation rejected, cause %d", e.Cause) }

// Config is what a modem is made of. Card is required.
type Config struct {
	Personality string // one of Personalities; empty means "generic"
	Card        Card
	Slots       []Card  // the further SIM slots; Card is in the first, and a slot without a card is empty
	Network     Network // nil: no cell is found
	IMEI        string  // 15 digits; empty means 490154203237518
	Logger      *slog.Logger
	Now         func() time.Time // the network's clock, for +CCLK; nil means time.Now
	Habits      Habits           // added to the personality's own

	Baud         int           // bits a second at 8N1, both ways; 0 is unpaced
	APDUDelay    time.Duration // time that the card takes for each APDU
	RefreshDelay time.Duration // from a REFRESH to the reset of the card
	RegisterTime time.Duration // from switching the radio on to the network's answer

	// RegisterEvery is how often the modem asks the network again by itself,
	// registered or not. 0 means 10 s; negative means never.
	RegisterEvery time.Duration

	// DataUp is called when the modem's network interface gets a context's
	// traffic, DataDown when it no longer does. An error of DataUp fails the
	// command that caused it. Not called for a context that runs over PPP.
	DataUp   func(cid int, l Lease) error
	DataDown func(cid int)

	// Data gets the bytes of a port in data mode after CONNECT and may send.
	// When it returns the call ends with NO CARRIER; when the call ends its
	// reads fail. Nil discards what comes.
	Data func(ctx context.Context, cid int, l Lease, rw io.ReadWriter) error

	// Wrap stands between the modem and each client of a port; nil is fine.
	Wrap func(io.ReadWriteCloser) io.ReadWriteCloser

	// USBMode is called when the modem starts with another USB composition than
	// before, as its vendor numbers it. Nil for a host that does not look.
	USBMode func(value string)
	// FirstUSBMode is the composition to begin with; "" is the factory's.
	FirstUSBMode string

	// RawIP tells the personality that its network function has no Ethernet
	// header: the host takes its address from +CGCONTRDP, not from DHCP.
	RawIP bool

	// AttachBearer makes the attach to E-UTRAN bring context 1 up, as TS 23.401
	// has it: a network that refuses its APN refuses the registration with EMM
	// cause 19, and the last context cannot be deactivated (+CME ERROR: 171).
	// Off, every context waits for its own activation.
	AttachBearer bool

	// SMSSent gets each short message that a client sends, a SUBMIT TPDU in
	// hexadecimal with its service centre address. Nil discards them.
	SMSSent func(pdu string)

	// USSD is the operator's service behind +CUSD: it gets what a subscriber
	// sends, a code such as "*100#" or the answer to a question, and answers. Nil,
	// and an answer without a text, is "operation not supported".
	USSD func(sub Subscriber, text string) USSDReply
	// USSDTime is how long the network takes to answer.
	USSDTime time.Duration
}

// USSDReply is what the operator's service answers.
type USSDReply struct {
	Text string // \n separates lines
	More bool   // it waits for an answer
}

// Habits are deviations that real firmware shows. The zero value follows the
// standard.
type Habits struct {
	HexHandle     bool // +CCHO answers an opaque handle of 16 hexadecimal digits (Sierra MC74xx)
	BareAnswers   bool // +CCHO and +CGLA answer without their tag (Fibocom FM350)
	BlankColon    bool // a blank before the colon of a tag: "+CCHO : 1"
	QuotesNeeded  bool // an APDU without quotes gets ERROR (Quectel)
	NoQuotes      bool // response APDUs come without quotes
	NoTestForms   bool // +CCHO=?, +CGLA=?, +CCHC=? and +CSIM=? get ERROR although the commands work
	HandUp61      bool // 61xx and 6Cxx are handed up instead of being served by the modem
	StrictCLA     bool // +CGLA refuses a CLA with channel bits
	NoEcho        bool // echo is off from the start
	NoCME         bool // +CMEE is accepted and ignored: every error is ERROR
	OldContrdp    bool // +CGCONTRDP as before TS 27.007 v9.4.0: address and mask apart
	APNWithOI     bool // +CGCONTRDP appends mncXXX.mccYYY.gprs to the APN
	Reenumerate   bool // +CFUN=1,1 makes the port vanish for ReplugAfter
	DropWhileBusy bool // what arrives while a command runs is lost
	OneContext    bool // context 1 is the only one
	NoDual        bool // no PDP type IPV4V6, as before TS 27.007 Release 8

	SplitBytes   int           // answers leave in writes of at most so many bytes
	SplitGap     time.Duration // pause between those writes
	URCMidAnswer string        // a URC that comes in the middle of each answer
	ReplugAfter  time.Duration // 0 means one second
}

// maxSessions is the number of logical channels beside channel 0 that a card
// can have (TS 102 221 11.1.17).
const maxSessions = 19

// or returns h with the habits of o added.
func (h Habits) or(o Habits) Habits {
	for _, p := range []struct{ to, from *bool }{
		{&h.HexHandle, &o.HexHandle}, {&h.BareAnswers, &o.BareAnswers}, {&h.BlankColon, &o.BlankColon},
		{&h.QuotesNeeded, &o.QuotesNeeded}, {&h.NoQuotes, &o.NoQuotes}, {&h.NoTestForms, &o.NoTestForms},
		{&h.HandUp61, &o.HandUp61}, {&h.StrictCLA, &o.StrictCLA}, {&h.NoEcho, &o.NoEcho}, {&h.NoCME, &o.NoCME},
		{&h.OldContrdp, &o.OldContrdp}, {&h.APNWithOI, &o.APNWithOI}, {&h.Reenumerate, &o.Reenumerate},
		{&h.DropWhileBusy, &o.DropWhileBusy}, {&h.OneContext, &o.OneContext}, {&h.NoDual, &o.NoDual},
	} {
		*p.to = *p.to || *p.from
	}
	if o.SplitBytes != 0 {
		h.SplitBytes = o.SplitBytes
	}
	if o.SplitGap != 0 {
		h.SplitGap = o.SplitGap
	}
	if o.URCMidAnswer != "" {
		h.URCMidAnswer = o.URCMidAnswer
	}
	if o.ReplugAfter != 0 {
		h.ReplugAfter = o.ReplugAfter
	}
	return h
}

// Personalities returns the names that Config.Personality takes, sorted.
func Personalities() []string {
	names := make([]string, 0, len(personalities))
	for name := range personalities {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// New returns a modem that is switched off until its first channel opens.
func New(cfg Config) (*Modem, error) {
	if cfg.Card == nil {
		return nil, errors.New("atsim: no card: Config.Card is required")
	}
	if cfg.Personality == "" {
		cfg.Personality = "generic"
	}
	build, ok := personalities[cfg.Personality]
	if !ok {
		return nil, fmt.Errorf("atsim: unknown personality %q; known are %v", cfg.Personality, Personalities())
	}
	if cfg.IMEI == "" {
		cfg.IMEI = "490154203237518"
	}
	if len(cfg.IMEI) != 15 || !allDigits(cfg.IMEI) {
		return nil, errors.New("atsim: IMEI must have 15 digits")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RegisterEvery == 0 {
		cfg.RegisterEvery = 10 * time.Second
	}
	pers := build()
	m := &Modem{
		cfg:    cfg,
		log:    cfg.Logger,
		pers:   pers,
		habits: pers.Habits.or(cfg.Habits),
		state:  newSemaphore(),
		wake:   make(chan struct{}, 1),
		ports:  make(map[*port]bool),
		fun:    1,
	}
	if m.habits.ReplugAfter == 0 {
		m.habits.ReplugAfter = time.Second
	}
	if u := m.pers.usb; u != nil {
		m.usbNow = u.factory
		if cfg.RawIP {
			m.usbNow = u.other[0]
		}
		m.usbNow = cmp.Or(cfg.FirstUSBMode, m.usbNow)
		m.usbNext = m.usbNow
	}
	m.verbs = m.pers.commands()
	m.packet.reset(m)
	m.sms.init()
	return m, nil
}
