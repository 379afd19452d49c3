// Package dialect holds what differs between modem families, as data: the
// commands, limits and habits that 3GPP TS 27.007 leaves to the vendor or that
// a vendor changed. It sends nothing.
//
// A Dialect is found by what the modem says of itself (Find) or by name
// (ByName). Each row says where it comes from; a row that no source confirms is
// Assumed and shown as such. All fields are exported and carry TOML keys, so
// that one row can be replaced for one firmware without a release.
//
// Commands are written without "AT" and without a terminator, with placeholders
// in braces that Expand fills in: {cid} {apn} {type} {ptype} (1 IPv4, 2 IPv6, 3
// both) {user} {password} {auth} (1 PAP, 2 CHAP) {function} {slot} {other}.
package dialect

import "time"

// Source says how a row is known.
type Source string

const (
	Documented Source = "documented" // a standard's or the vendor's own document
	Field      Source = "field"      // seen working in public reports or programs
	Assumed    Source = "assumed"    // inferred; no source found
)

// Row names the origin of one part of a dialect.
type Row struct {
	Source Source `toml:"source"`
	Ref    string `toml:"ref"` // "27.007 10.1.10", "lpac#186"; empty when assumed
}

// Dialect is one modem family.
type Dialect struct {
	Name  string  `toml:"name"`  // "quectel"
	About string  `toml:"about"` // what it covers, one line
	Match []Match `toml:"match"` // one of them is enough; see Find
	Ports []Ports `toml:"ports"` // by composition; the first that fits is used

	Init   []Step   `toml:"init"`   // after the standard's own initialisation, each at most once a port opening
	Finals []string `toml:"finals"` // final result codes beyond the session's own list
	URCs   []URC    `toml:"urcs"`   // unsolicited result codes beyond 27.007's

	APDU     APDU        `toml:"apdu"`
	ICCID    []Query     `toml:"iccid"`     // tried in order
	PINTries []Query     `toml:"pin_tries"` // remaining tries of PIN1, tried in order
	Slots    Slots       `toml:"slots"`
	SIMReset []ResetStep `toml:"sim_reset"` // the ladder, mildest rung first
	Refresh  Refresh     `toml:"refresh"`
	Carrier  Carrier     `toml:"carrier"`

	Function NetFunction   `toml:"function"`
	Attach   AttachContext `toml:"attach"`
	Auth     []AuthCommand `toml:"auth"`   // tried in order
	Data     []DataCall    `toml:"data"`   // the first that lists the function is used
	Dial     Step          `toml:"dial"`   // puts a port into data mode for PPP; empty: D*99***{cid}#
	Signal   []SignalQuery `toml:"signal"` // beyond +CSQ and +CESQ, tried in order
	USSD     USSD          `toml:"ussd"`
	Cells    []CellQuery   `toml:"cells"` // beyond +CEREG and its kin, tried in order
}

// Match is one pattern of identity. Empty fields match everything. A pattern
// is compared without regard to case; '*' stands for any text, '|' separates
// alternatives: "EC2*|EG2*".
type Match struct {
	Manufacturer string `toml:"manufacturer"` // +CGMI
	Model        string `toml:"model"`        // +CGMM
	Revision     string `toml:"revision"`     // +CGMR
	USB          string `toml:"usb"`          // "2c7c:0125", hexadecimal
}

// Ports says which interfaces of a USB device take AT commands. Names of ttys
// move when a modem comes back; the numbers of its interfaces do not.
type Ports struct {
	USB string `toml:"usb"` // as in Match; empty fits every composition
	AT  []int  `toml:"at"`  // bInterfaceNumber, the best port first
	PPP []int  `toml:"ppp"` // ports for a dialled connection, the best first

	Row
}

// Step is one command of a sequence.
type Step struct {
	Send     string   `toml:"send"`
	When     When     `toml:"when"`     // empty: always
	Optional bool     `toml:"optional"` // an error result does not end the sequence, unless it tells the network's refusal
	Finals   []string `toml:"finals"`   // further final result codes of this command: "CONNECT"
	Timeout  Duration `toml:"timeout"`  // 0 = the session's default
	Pause    Duration `toml:"pause"`    // to wait after it

	Row // empty inside a sequence that has its own
}

// When says for which calls a step is sent.
type When string

const (
	WithAuth    When = "auth"    // the context has credentials
	WithoutAuth When = "no-auth" // it has none
)

// Event says what an unsolicited result code is about.
type Event string

const (
	EventSIM          Event = "sim"          // the card changed or became ready
	EventRegistration Event = "registration" // network registration
	EventContext      Event = "context"      // a PDP context or the data call
	EventBoot         Event = "boot"         // the modem started again
	EventOther        Event = "other"
)

// URC is a tag of an unsolicited result code, "+QUSIM", or a whole line
// without a tag, "RDY".
type URC struct {
	Tag   string `toml:"tag"`
	Event Event  `toml:"event"`

	Row
}

// Names of the ways to the card in APDU.Order.
const (
	CGLA = "cgla" // +CCHO, +CGLA, +CCHC (27.007 8.43 to 8.46)
	CSIM = "csim" // +CSIM with MANAGE CHANNEL (27.007 8.17, TS 102 221 11.1.17)
)

// APDU says how command APDUs reach the card.
type APDU struct {
	Order       []string `toml:"order"`        // ways in the order to try; empty: this firmware offers none
	Open        Duration `toml:"open"`         // limit of +CCHO and of opening a channel by +CSIM
	Transmit    Duration `toml:"transmit"`     // limit of one APDU
	Close       Duration `toml:"close"`        // limit of +CCHC
	BareReplies bool     `toml:"bare_replies"` // answers may come without "+CCHO:" or "+CGLA:"
	Unquoted    bool     `toml:"unquoted"`     // the APDU goes out without quotes
	MaxChannel  int      `toml:"max_channel"`  // handles 1..n are closed when channels have leaked
	BlockSize   int      `toml:"block_size"`   // STORE DATA bytes known to pass; 0 = unknown
	BusyTries   int      `toml:"busy_tries"`   // times that "SIM busy" is waited out when opening
	BusyPause   Duration `toml:"busy_pause"`

	// TerminalCapability sends TERMINAL CAPABILITY (TS 102 221, 11.1.19) once
	// before the first channel is opened by +CSIM.
	TerminalCapability bool `toml:"terminal_capability"`

	// Verdict is what it means when no way leads to the eUICC, for firmwares
	// that are known to have none; Advice is what can be done about it.
	Verdict Verdict `toml:"verdict"`
	Advice  string  `toml:"advice"`

	Row
}

// Verdict says why a firmware has no way to the eUICC by AT commands.
type Verdict string

const (
	Blocked Verdict = "blocked" // the firmware keeps the eUICC to itself
	NoHost  Verdict = "no-host" // the module is not made for a host with an LPA
)

// Query is a command whose answer holds one value.
type Query struct {
	Send  string `toml:"send"`
	Tag   string `toml:"tag"`   // of the information line, "+QCCID"; '|' between two; a bare line is taken too
	Key   string `toml:"key"`   // if set, the first parameter must equal it
	Field int    `toml:"field"` // parameter that holds the value, from 0
	// Where picks one line of several: "3=1", the line whose parameter 3 is 1.
	Where string `toml:"where"`
	// CRSM marks an answer of +CRSM: status words before the value, which is
	// the file's content in hexadecimal.
	CRSM bool `toml:"crsm"`

	Row
}

// Slots reads and changes the active SIM slot. Send is empty when unknown. Slots
// are counted as the vendor counts, from 0 or from 1.
type Slots struct {
	Active Query             `toml:"active"`
	Names  map[string]string `toml:"names"`  // value of Active -> slot, where it is not the number
	Select []Step            `toml:"select"` // with {slot}, and {other} for the other one of 0 and 1

	Row
}

// ResetStep is one rung of the SIM reset ladder. After its commands the new
// ICCID is awaited for Settle.
type ResetStep struct {
	Name   string   `toml:"name"`
	Steps  []Step   `toml:"steps"` // none: only wait for the modem to act on REFRESH
	Settle Duration `toml:"settle"`
	Drops  bool     `toml:"drops"` // the port may vanish and come back under another name
	// Restarts is what starts again; empty where that is not known. A modem that
	// fails is helped with the rows that say it.
	Restarts Part `toml:"restarts"`

	Row
}

// Part is what a rung of the SIM reset ladder starts again. Each includes those
// before it.
type Part string

const (
	CardPart  Part = "card"  // the card alone is powered off and on
	RadioPart Part = "radio" // radio and card; contexts go
	ModemPart Part = "modem" // the whole firmware
)

// Reset returns the first rung that starts the part again and no more, or nil.
func (d *Dialect) Reset(p Part) *ResetStep {
	for i := range d.SIMReset {
		if r := &d.SIMReset[i]; r.Restarts == p && len(r.Steps) > 0 {
			return r
		}
	}
	return nil
}

// Refresh says whether the modem acts on the proactive command REFRESH that
// the eUICC sends when a profile is enabled with refreshFlag (SGP.22, 5.7.16).
type Refresh struct {
	Flag bool `toml:"flag"`

	Row
}

// Carrier reads which carrier configuration the modem's firmware uses: the
// operator's radio and IMS settings, which Quectel calls MBN. One that stays
// behind from the last profile keeps the next one from registering.
type Carrier struct {
	Query   Query  `toml:"query"`   // name of the configuration in use
	Auto    Query  `toml:"auto"`    // whether the SIM chooses it
	AutoOn  string `toml:"auto_on"` // value of Auto that means yes
	Generic string `toml:"generic"` // pattern of those that suit every operator, as in Match

	Row
}

// USSD says how the strings of +CUSD are written.
type USSD struct {
	// Packed: text of the GSM alphabet is packed and in hexadecimal, whatever
	// the character set.
	Packed bool `toml:"packed"`

	Row
}

// SignalQuery reads levels that the standard's commands do not tell.
type SignalQuery struct {
	Send string `toml:"send"`
	Tag  string `toml:"tag"`
	Key  string `toml:"key"` // if set, the first parameter must equal it
	RSRP Level  `toml:"rsrp"`
	RSRQ Level  `toml:"rsrq"`
	SINR Level  `toml:"sinr"`

	Row
}

// Level is one level of a SignalQuery in dBm or dB: floor + step * parameter.
// A Step of 0 means that it is not there.
type Level struct {
	Field int     `toml:"field"`
	Floor float64 `toml:"floor"`
	Step  float64 `toml:"step"`
	// Min and Max bound the parameter; others mean "unknown".
	Min int `toml:"min"`
	Max int `toml:"max"`
}

// Kind is a modem's data function: how IP packets reach the host.
type Kind string

const (
	ECM   Kind = "ecm"
	NCM   Kind = "ncm"
	RNDIS Kind = "rndis"
	RawIP Kind = "raw-ip"
	QMI   Kind = "qmi"
	MBIM  Kind = "mbim"
	PPP   Kind = "ppp"
	None  Kind = "none"
)

// Ethernet reports whether the interface carries Ethernet frames, so that DHCP
// can be used on it.
func (k Kind) Ethernet() bool { return k == ECM || k == NCM || k == RNDIS }

// NetFunction reads and changes the modem's data function. Send is empty when
// there is no known way.
type NetFunction struct {
	Query Query           `toml:"query"`
	Kinds map[string]Kind `toml:"kinds"` // value of Query -> function
	Set   []Step          `toml:"set"`   // with {function}, the value from Kinds; the modem restarts

	Row
}

// AttachContext is the context of the initial EPS bearer (TS 23.401, 4.7.2.1:
// default bearer made by the attach).
type AttachContext struct {
	CID    int    `toml:"cid"`
	Define []Step `toml:"define"` // beyond +CGDCONT

	Row
}

// AuthCommand sets user name and password of a context. {auth} is 1 for PAP, 2
// for CHAP.
type AuthCommand struct {
	Set   string `toml:"set"`
	Clear string `toml:"clear"`

	Row
}

// Address says where the host's address comes from.
type Address string

const (
	DHCP      Address = "dhcp"    // ask on the interface
	CGCONTRDP Address = "contrdp" // +CGCONTRDP: address, gateway, DNS, MTU
	CGPADDR   Address = "paddr"   // +CGPADDR: address alone
	// CGPADDRNet is +CGPADDR on an Ethernet-like interface without DHCP: the
	// modem plays a /24 around the address, with its first host as the gateway.
	CGPADDRNet Address = "paddr-net"
	// IPCP is what the two ends of a PPP connection agree on (RFC 1332, RFC 5072).
	// No data call has it: it comes with the dialled connection.
	IPCP Address = "ipcp"
)

// DataCall brings a context to the host's interface.
type DataCall struct {
	Functions []Kind       `toml:"functions"` // functions that it serves; empty: any
	CID       int          `toml:"cid"`       // the only context that it carries; 0: any one
	Up        []Step       `toml:"up"`
	Down      []Step       `toml:"down"`
	State     []StateQuery `toml:"state"`  // tried in order
	Settle    Duration     `toml:"settle"` // Up answers before the call is up: State is asked for so long
	Address   []Address    `toml:"address"`

	Row
}

// StateQuery reads whether a data call is up.
type StateQuery struct {
	Send       string `toml:"send"`
	Tag        string `toml:"tag"`
	CIDField   int    `toml:"cid_field"` // parameter with the context number, -1: none
	StateField int    `toml:"state_field"`
	Up         string `toml:"up"` // value that means up

	Row
}

// Call returns the data call for the function, or nil when AT commands cannot
// start one there (QMI and MBIM need their own protocols).
func (d *Dialect) Call(k Kind) *DataCall {
	for i := range d.Data {
		c := &d.Data[i]
		if len(c.Functions) == 0 {
			return c
		}
		for _, f := range c.Functions {
			if f == k {
				return c
			}
		}
	}
	return nil
}

// PortsOf returns the ports of the USB device with the given identity,
// "2c7c:0125", and false when they are not known.
func (d *Dialect) PortsOf(usb string) (Ports, bool) {
	for _, p := range d.Ports {
		if _, ok := matchAny(p.USB, usb); ok || p.USB == "" {
			return p, true
		}
	}
	return Ports{}, false
}

// SuitsAll reports whether a carrier configuration suits every operator.
func (c *Carrier) SuitsAll(name string) bool {
	_, ok := matchAny(c.Generic, name)
	return c.Generic != "" && ok
}

// URCTags returns the tags of the dialect's unsolicited result codes.
func (d *Dialect) URCTags() []string {
	tags := make([]string, len(d.URCs))
	for i, u := range d.URCs {
		tags[i] = u.Tag
	}
	return tags
}

// Duration is a time.Duration that TOML writes as "1m30s".
type Duration time.Duration

// Seconds makes a Duration of n seconds.
func Seconds(n int) Duration { return Duration(n) * Duration(time.Second) }

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalText reads "250ms" or "4m".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil {
		*d = Duration(v)
	}
	return err
}

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
