package atsim

import (
	"net/netip"
	"slices"
	"strconv"
)

// personality is a make and model: its identity, its habits and its own
// commands. Each is made by a function in a file of its own.
type personality struct {
	Name                          string
	Manufacturer, Model, Revision string
	ati                           []string
	Habits                        Habits
	path                          Path
	source, ref                   string // of the path: "documented", "field" or "assumed", and where it is from
	note                          string // what of the simulation is not as on the model

	// Of firmwares that keep the eUICC to themselves: +CCHO of an ISD-R gets
	// hidden, and +CSIM with MANAGE CHANNEL the status word noChannelSW.
	hidden      error
	noChannelSW int

	vendor []verb   // commands beyond the standard; they replace a standard one of the same name
	absent []string // standard commands that this model does not have

	noProfile     cme    // error of commands that need a USIM when no profile is enabled
	noProfileText string // what +CPIN? says then instead of an error
	noChannel     error  // +CCHO without a free channel
	noApplication error  // +CCHO of an AID that is not there
	noSession     error  // +CGLA and +CCHC of an unknown handle

	bootURCs    []string // after a reset of the modem
	simURCs     []string // after the +CPIN line of a card that came
	readyURCs   []string // then, when its USIM can be used
	notReadyURC string   // when the card goes away

	defaultPDP  string    // type of the factory's context
	zeroCID     bool      // there is a context 0, the attach's own
	resetFun    int       // <fun> of +CFUN that restarts the modem; 0: none
	usb         *usbModes // nil for a model that has but one
	playsNet    bool      // the interface is a /24 around the address, with its .1 as the gateway
	noRefresh   bool      // a REFRESH of the card is not acted on
	linkByCGACT bool      // +CGACT gives the network interface to the context
	packedUSSD  bool      // +CUSD writes the GSM alphabet packed, in hexadecimal
	cgregInLTE  bool      // +CGREG follows +CEREG on E-UTRAN
}

// Path is a model's way to the eUICC for an LPA on the host.
type Path string

// The paths.
const (
	PathCGLA    Path = "cgla"    // +CCHO, +CGLA, +CCHC
	PathCSIM    Path = "csim"    // +CSIM alone
	PathBlocked Path = "blocked" // the firmware keeps the eUICC to itself
	PathNone    Path = "none"    // the module is not made for a host
)

// Model describes a personality.
type Model struct {
	Name   string `json:"name"`   // for Config.Personality
	Model  string `json:"model"`  // that it behaves as
	Path   Path   `json:"path"`   // to the eUICC
	Source string `json:"source"` // of the path: "documented", "field" or "assumed"
	Ref    string `json:"ref,omitempty"`
	Note   string `json:"note,omitempty"` // what of the simulation is not as on the model
}

// Models describes every personality, sorted by name.
func Models() []Model {
	var out []Model
	for _, name := range Personalities() {
		p := personalities[name]()
		out = append(out, Model{p.Name, p.Manufacturer + " " + p.Model, p.path, p.source, p.ref, p.note})
	}
	return out
}

// personalities are the models by name.
var personalities = map[string]func() personality{
	"generic":         generic,
	"quectel":         quectel,
	"quectel-eg916":   quectelEG916,
	"quectel-em05":    quectelEM05,
	"quectel-rg650e":  quectelRG650E,
	"quectel-rm500u":  quectelRM500U,
	"simcom-sim7600":  simcom7600,
	"simcom-sim8202":  simcom8202,
	"simcom-a7672":    simcomA7672,
	"telit-le910":     telitLE910,
	"telit-fn990":     telitFN990,
	"sierra-mc7455":   sierraMC7455,
	"sierra-em9191":   sierraEM9191,
	"ublox-lara-r6":   ubloxLARA,
	"fibocom-fm350":   fibocomFM350,
	"fibocom-fg132":   fibocomFG132,
	"fibocom-fm160":   fibocomFM160,
	"fibocom-l850":    fibocomL850,
	"foxconn-t77w968": foxconnT77W968,
	"huawei-ms2372":   huaweiMS2372,
	"cinterion-pls8":  cinterionPLS8,
	"nordic-nrf9160":  nordicNRF9160,
	"mediatek-t830":   mediatekT830,
}

// generic follows TS 27.007 and nothing else.
func generic() personality {
	p := personality{
		Name:          "generic",
		Manufacturer:  "Generic",
		Model:         "LTE-27007",
		Revision:      "1.0",
		path:          PathCGLA,
		source:        "documented",
		ref:           "27.007 8.43 to 8.46",
		noProfile:     cmeNoSIM,
		noChannel:     cmeMemoryFull,
		noApplication: cmeNotFound,
		noSession:     cmeInvalidIndex,
		notReadyURC:   "+CPIN: NOT READY",
		defaultPDP:    "IP",
		linkByCGACT:   true,
	}
	p.ati = []string{"Manufacturer: " + p.Manufacturer, "Model: " + p.Model, "Revision: " + p.Revision}
	return p
}

// commands puts the model's table of commands together.
func (p *personality) commands() map[string]verb {
	table := make(map[string]verb)
	tests := dynamicTests()
	for _, part := range [][]verb{
		basicVerbs(), identityVerbs(p), miscVerbs, settingVerbs(), simVerbs, apduVerbs, regVerbs, packetVerbs, smsVerbs, p.vendor,
	} {
		for _, v := range part {
			v.testFunc = tests[v.name]
			table[v.name] = v
		}
	}
	for _, name := range p.absent {
		delete(table, name)
	}
	return table
}

// onLink is a lease as the network interface has it.
func (p *personality) onLink(l Lease) Lease {
	if p.playsNet && l.Addr.Addr().Is4() {
		b := l.Addr.Addr().As4()
		b[3] = 1
		l.Addr, l.Gateway = netip.PrefixFrom(l.Addr.Addr(), 24), netip.AddrFrom4(b)
	}
	return l
}

// as makes another model of a family.
func (p personality) as(name, maker, model, revision string) personality {
	p.Name, p.Manufacturer, p.Model, p.Revision = name, maker, model, revision
	p.ati = []string{maker, model, "Revision: " + revision}
	return p
}

// from says how the way to the eUICC is known.
func (p personality) from(path Path, source, ref string) personality {
	p.path, p.source, p.ref = path, source, ref
	return p
}

// without leaves commands out.
func (p personality) without(names ...string) personality {
	p.absent = append(slices.Clone(p.absent), names...)
	return p
}

func itoa(n int) string { return strconv.Itoa(n) }
