package atsim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// packet is the modem's packet side: its contexts.
type packet struct {
	contexts map[int]*pdp
}

// maxCID is the highest context identifier.
const maxCID = 16

func (x *exec) minCID() int {
	if x.m.pers.zeroCID {
		return 0
	}
	return 1
}

// pdp is a packet data context (TS 27.007 10.1.0).
type pdp struct {
	cid    int
	typ    string
	apn    string
	addr   string // <PDP_addr> of +CGDCONT, kept but not asked for
	extra  string // parameters behind <PDP_addr>, as given
	auth   int
	user   string
	passwd string

	active bool
	used   string // APN that it is active with
	lease  Lease
	linkUp bool // the network interface carries it
	ppp    *port
}

// reset puts the factory's context in place.
func (p *packet) reset(m *Modem) {
	p.contexts = map[int]*pdp{1: {cid: 1, typ: m.pers.defaultPDP}}
}

// sorted returns the contexts in order of their identifiers.
func (p *packet) sorted() []*pdp {
	var out []*pdp
	for _, cid := range slices.Sorted(maps.Keys(p.contexts)) {
		out = append(out, p.contexts[cid])
	}
	return out
}

// packetVerbs: TS 27.007 10.1.
var packetVerbs = []verb{
	{name: "+CGDCONT", exec: nil, read: readCGDCONT, set: setCGDCONT},
	{name: "+CGAUTH", test: "(1-16),(0-2),127,127", read: readCGAUTH, set: setCGAUTH},
	{name: "+CGACT", test: "(0,1)", read: readCGACT, set: setCGACT},
	{name: "+CGPADDR", exec: cgpaddr, set: cgpaddr},
	{name: "+CGCONTRDP", exec: cgcontrdp, set: cgcontrdp},
	{name: "+CGPIAF", test: "(0,1),(0,1),(0,1),(0,1)", read: readCGPIAF, set: setCGPIAF},
	{name: "+CGEREP", test: "(0-2),(0,1)", read: readCGEREP, set: setCGEREP},
	{name: "+CGDATA", test: `("PPP")`, set: cgdata},
	{name: "+CGSMS", test: "(0-3)", read: func(x *exec) error { x.tagged("1"); return nil }, set: func(x *exec) error { _, err := x.int(0, 1, 0, 3); return err }},
}

// testCGDCONT is +CGDCONT=?: one line a type.
func testCGDCONT(x *exec) error {
	for _, typ := range []string{"IP", "IPV6", "IPV4V6"} {
		if typ == "IPV4V6" && x.m.habits.NoDual {
			continue
		}
		x.tagged(`(1-%d),"%s",,,(0,1),(0-4)`, maxCID, typ)
	}
	return nil
}

func readCGDCONT(x *exec) error {
	for _, c := range x.m.packet.sorted() {
		extra := c.extra
		if extra == "" {
			extra = "0,0"
		}
		x.tagged(`%d,%s,%s,%s,%s`, c.cid, quote(c.typ), quote(c.apn), quote(c.addr), extra)
	}
	return nil
}

// setCGDCONT is +CGDCONT=<cid>[,<PDP_type>[,<APN>[,<PDP_addr>[,...]]]]; a bare
// <cid> makes the context undefined. A context that is up keeps its parameters
// until it is activated again.
func setCGDCONT(x *exec) error {
	m := x.m
	cid, err := x.int(0, -1, x.minCID(), maxCID)
	if err != nil || cid < 0 {
		return cmeBadParameters
	}
	if cid != 1 && m.habits.OneContext {
		return cmeNotAllowed
	}
	old := m.packet.contexts[cid]
	if x.n() == 1 {
		if old != nil && old.active {
			return cmeNotAllowed
		}
		delete(m.packet.contexts, cid)
		return nil
	}
	typ := strings.ToUpper(x.str(1))
	if typ != "IP" && typ != "IPV6" && typ != "IPV4V6" || typ == "IPV4V6" && m.habits.NoDual {
		return cmeBadParameters
	}
	apn := x.str(2)
	if !validAPN(apn) {
		return cmeBadParameters
	}
	c := old
	if c == nil {
		c = &pdp{cid: cid}
		m.packet.contexts[cid] = c
	}
	c.typ, c.apn, c.addr, c.extra = typ, apn, x.str(3), ""
	if x.n() > 4 {
		var rest []string
		for i := 4; i < x.n(); i++ {
			v, err := x.int(i, 0, 0, 255)
			if err != nil {
				return err
			}
			rest = append(rest, fmt.Sprint(v))
		}
		if len(rest) == 1 {
			rest = append(rest, "0")
		}
		c.extra = strings.Join(rest, ",")
	}
	return nil
}

// validAPN: TS 23.003 9.1, at most 100 octets of labels.
func validAPN(s string) bool {
	if len(s) > 100 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func setCGAUTH(x *exec) error {
	cid, err := x.int(0, -1, 1, maxCID)
	if err != nil || cid < 0 {
		return cmeBadParameters
	}
	auth, err := x.int(1, 0, 0, 2)
	if err != nil || len(x.str(2)) > 127 || len(x.str(3)) > 127 {
		return cmeBadParameters
	}
	c := x.m.packet.contexts[cid]
	if c == nil {
		return cmeInvalidIndex
	}
	c.auth, c.user, c.passwd = auth, x.str(2), x.str(3)
	if auth == 0 {
		c.user, c.passwd = "", ""
	}
	return nil
}

func readCGAUTH(x *exec) error {
	for _, c := range x.m.packet.sorted() {
		if c.auth != 0 {
			x.tagged("%d,%d,%s,%s", c.cid, c.auth, quote(c.user), quote(c.passwd))
		}
	}
	return nil
}

func readCGACT(x *exec) error {
	for _, c := range x.m.packet.sorted() {
		x.tagged("%d,%d", c.cid, btoi(c.active))
	}
	return nil
}

// setCGACT is +CGACT=[<state>[,<cid>[,<cid>[,...]]]]; without <cid> it means
// every defined context.
func setCGACT(x *exec) error {
	m := x.m
	state, err := x.int(0, 1, 0, 1)
	if err != nil {
		return err
	}
	var cids []int
	for i := 1; i < x.n(); i++ {
		cid, err := x.int(i, -1, 1, maxCID)
		if err != nil || cid < 0 {
			return cmeBadParameters
		}
		cids = append(cids, cid)
	}
	if len(cids) == 0 {
		cids = slices.Sorted(maps.Keys(m.packet.contexts))
	}
	for _, cid := range cids {
		if state == 0 {
			if m.packet.contexts[cid] == nil {
				return cmeInvalidIndex
			}
			if m.lastContext(cid) {
				return cmeLastPDN
			}
			m.deactivate(cid, "ME PDN DEACT")
			continue
		}
		if err := m.activate(x, cid); err != nil {
			return err
		}
		if m.pers.linkByCGACT {
			if err := m.linkUp(cid); err != nil {
				return err
			}
		}
	}
	return nil
}

// activate brings a context up; one that is up stays as it is (TS 27.007
// 10.1.10). The modem attaches first if it has to.
func (m *Modem) activate(x *exec, cid int) error {
	c := m.packet.contexts[cid]
	if c == nil {
		return cmeInvalidIndex
	}
	if c.active {
		return nil
	}
	if err := x.needSIM(); err != nil {
		return err
	}
	if err := m.attachNow(x.ctx); err != nil {
		return err
	}
	sub, _ := m.card.subscriber()
	return m.activateContext(sub, cid)
}

// activateContext asks the network for a context of a modem that is attached,
// or attaches with it.
func (m *Modem) activateContext(sub Subscriber, cid int) error {
	c := m.packet.contexts[cid]
	if c == nil {
		return cmeInvalidIndex
	}
	if c.active {
		return nil
	}
	m.stats.activations.Add(1)
	lease, err := m.cfg.Network.Activate(sub, PDP{CID: cid, APN: c.apn, Type: c.typ, User: c.user, Password: c.passwd, Auth: c.auth})
	if err != nil {
		m.log.Debug("activation failed", "cid", cid, "err", err)
		var reject *Reject
		if !errors.As(err, &reject) {
			m.lastErr = "activation failed"
			return cmeGPRSUnspecified
		}
		m.lastErr = fmt.Sprintf("SM cause %d", reject.Cause)
		if code, ok := smCauses[reject.Cause]; ok {
			return code
		}
		return cmeGPRSUnspecified
	}
	c.active, c.lease, c.used = true, lease, cmp.Or(lease.APN, c.apn)
	event := fmt.Sprintf("ME PDN ACT %d", cid)
	if lease.Cause >= 50 && lease.Cause <= 52 { // <reason> 0 to 2: IPv4 only, IPv6 only, single addresses only
		event += fmt.Sprintf(",%d", lease.Cause-50)
	}
	m.cgev(event)
	return nil
}

// lastContext reports whether a context is the last one of an attach that
// needs one.
func (m *Modem) lastContext(cid int) bool {
	if !m.cfg.AttachBearer || m.radio.reg.AcT < 7 || !m.packet.contexts[cid].active {
		return false
	}
	for _, c := range m.packet.contexts {
		if c.active && c.cid != cid {
			return false
		}
	}
	return true
}

// linkUp gives the network interface to an active context.
func (m *Modem) linkUp(cid int) error {
	c := m.packet.contexts[cid]
	if c == nil || !c.active {
		return cmeNotAllowed
	}
	if c.linkUp || m.faults.on("no-data") || !m.carriesByAT() {
		return nil
	}
	if m.cfg.DataUp != nil {
		if err := m.cfg.DataUp(cid, m.pers.onLink(c.lease)); err != nil {
			m.log.Debug("network interface stays down", "cid", cid, "err", err)
			m.deactivate(cid, "ME PDN DEACT")
			return cmeUnknown
		}
	}
	c.linkUp = true
	return nil
}

// linkDown takes the network interface away from a context.
func (m *Modem) linkDown(c *pdp) {
	if !c.linkUp {
		return
	}
	c.linkUp = false
	if m.cfg.DataDown != nil {
		m.cfg.DataDown(c.cid)
	}
}

// deactivate takes a context down; event is the +CGEV text without the cid.
func (m *Modem) deactivate(cid int, event string) {
	c := m.packet.contexts[cid]
	if c == nil || !c.active {
		return
	}
	c.active = false
	m.linkDown(c)
	if m.cfg.Network != nil {
		sub, _ := m.card.subscriber()
		m.stats.deactivations.Add(1)
		m.cfg.Network.Deactivate(sub, cid)
	}
	c.lease, c.used = Lease{}, ""
	if c.ppp != nil {
		c.ppp.hangUp()
		c.ppp = nil
	}
	if event != "" {
		m.cgev(fmt.Sprintf("%s %d", event, cid))
	}
}

// dropContexts takes all contexts down at once, as a detach does.
func (m *Modem) dropContexts(event string) {
	for _, c := range m.packet.sorted() {
		m.deactivate(c.cid, "")
	}
	if event != "" {
		m.cgev(event)
	}
}

// cgev sends an event to the ports that asked for it (TS 27.007 10.1.19).
func (m *Modem) cgev(text string) {
	m.urcTo("+CGEV: "+text, func(s *settings) bool { return s.cgerep > 0 })
}

func setCGEREP(x *exec) error {
	mode, err := x.int(0, 0, 0, 2)
	if err != nil {
		return err
	}
	if _, err := x.int(1, 0, 0, 1); err != nil {
		return err
	}
	x.p.set.cgerep = mode
	return nil
}

func readCGEREP(x *exec) error {
	x.tagged("%d,0", x.p.set.cgerep)
	return nil
}
