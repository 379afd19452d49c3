package atsim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// chosen returns the contexts that a command names, all of them if it names none.
func (x *exec) chosen() ([]*pdp, error) {
	var cids []int
	for i := range x.n() {
		cid, err := x.int(i, -1, 1, maxCID)
		if err != nil || cid < 0 {
			return nil, cmeBadParameters
		}
		cids = append(cids, cid)
	}
	if len(cids) == 0 {
		cids = slices.Sorted(maps.Keys(x.m.packet.contexts))
	}
	var out []*pdp
	for _, cid := range cids {
		if c := x.m.packet.contexts[cid]; c != nil {
			out = append(out, c)
		}
	}
	return out, nil
}

// cgpaddr is +CGPADDR[=<cid>[,<cid>[,...]]] (TS 27.007 10.1.14).
func cgpaddr(x *exec) error {
	cs, err := x.chosen()
	if err != nil {
		return err
	}
	for _, c := range cs {
		var addrs []string
		if c.active && c.lease.Addr.IsValid() {
			addrs = append(addrs, x.addr(c.lease.Addr.Addr()))
		}
		if c.active && c.lease.Addr6.IsValid() {
			addrs = append(addrs, x.addr(c.lease.Addr6.Addr()))
		}
		line := strconv.Itoa(c.cid)
		for _, a := range addrs {
			line += `,"` + a + `"`
		}
		x.tagged("%s", line)
	}
	return nil
}

// testActive is the =? of +CGPADDR and +CGCONTRDP: the contexts that are up.
func testActive(all bool) func(*exec) error {
	return func(x *exec) error {
		var cids []string
		for _, c := range x.m.packet.sorted() {
			if all || c.active {
				cids = append(cids, strconv.Itoa(c.cid))
			}
		}
		x.tagged("(%s)", strings.Join(cids, ","))
		return nil
	}
}

// cgcontrdp is +CGCONTRDP[=<cid>] (TS 27.007 10.1.23): a line for IPv4 and one
// for IPv6. Gateway, DNS and MTU stand where the network gave them.
func cgcontrdp(x *exec) error {
	if x.n() > 1 {
		return cmeBadParameters
	}
	cs, err := x.chosen()
	if err != nil {
		return err
	}
	for _, c := range cs {
		if !c.active {
			continue
		}
		l := c.lease
		if l.Addr.IsValid() {
			x.contrdpLine(c, l.Addr, l.Gateway)
		}
		if l.Addr6.IsValid() {
			x.contrdpLine(c, l.Addr6, l.Gateway6)
		}
	}
	return nil
}

// contrdpLine writes cid, bearer, APN, address and mask, gateway, two DNS
// servers, two P-CSCF, the IM CN and LIPA flags and, for IPv4, the MTU.
func (x *exec) contrdpLine(c *pdp, addr netip.Prefix, gw netip.Addr) {
	apn := c.used
	if x.m.habits.APNWithOI {
		if mccmnc := x.m.card.imsi; len(mccmnc) >= 6 {
			mnc := "0" + mccmnc[3:5]
			if x.m.card.mncLen == 3 {
				mnc = mccmnc[3:6]
			}
			apn += ".mnc" + mnc + ".mcc" + mccmnc[:3] + ".gprs"
		}
	}
	fields := []string{strconv.Itoa(c.cid), strconv.Itoa(4 + c.cid), quote(apn)}
	if x.m.habits.OldContrdp {
		fields = append(fields, `"`+x.addr(addr.Addr())+`"`, `"`+x.mask(addr)+`"`)
	} else {
		fields = append(fields, `"`+x.addrMask(addr)+`"`)
	}
	opt := func(a netip.Addr) {
		if a.IsValid() {
			fields = append(fields, `"`+x.addr(a)+`"`)
		} else {
			fields = append(fields, "")
		}
	}
	opt(gw)
	n := 0
	for _, d := range c.lease.DNS {
		if d.Is4() == addr.Addr().Is4() && n < 2 {
			opt(d)
			n++
		}
	}
	if c.lease.MTU > 0 && addr.Addr().Is4() && !x.m.habits.OldContrdp {
		for ; n < 2; n++ {
			fields = append(fields, "")
		}
		fields = append(fields, "", "", "0", "0", strconv.Itoa(c.lease.MTU)) // P-CSCF, IM CN, LIPA, IPv4 MTU
	}
	for len(fields) > 4 && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	x.tagged("%s", strings.Join(fields, ","))
}

// addr writes an address in the form that +CGPIAF chose: IPv6 as sixteen
// decimal numbers, or with colons.
func (x *exec) addr(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	if x.p.set.piaf[0] == 0 {
		return dotted(a.AsSlice())
	}
	switch zeros, compress := x.p.set.piaf[2], x.p.set.piaf[3]; {
	case compress == 1:
		return a.String()
	case zeros == 0:
		var parts []string
		b := a.As16()
		for i := 0; i < 16; i += 2 {
			parts = append(parts, strconv.FormatUint(uint64(b[i])<<8|uint64(b[i+1]), 16))
		}
		return strings.Join(parts, ":")
	}
	return a.StringExpanded()
}

// addrMask is <local_addr and subnet_mask>.
func (x *exec) addrMask(p netip.Prefix) string {
	switch {
	case p.Addr().Is4() || x.p.set.piaf[0] == 0:
		return x.addr(p.Addr()) + "." + x.mask(p)
	case x.p.set.piaf[1] == 1:
		return fmt.Sprintf("%s/%d", x.addr(p.Addr()), p.Bits())
	}
	return x.addr(p.Addr()) + " " + x.mask(p)
}

func (x *exec) mask(p netip.Prefix) string {
	b := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return x.addr(a)
}

func dotted(b []byte) string {
	parts := make([]string, len(b))
	for i, v := range b {
		parts[i] = strconv.Itoa(int(v))
	}
	return strings.Join(parts, ".")
}

func readCGPIAF(x *exec) error {
	p := x.p.set.piaf
	x.tagged("%d,%d,%d,%d", p[0], p[1], p[2], p[3])
	return nil
}

func setCGPIAF(x *exec) error {
	var piaf [4]int
	for i := range piaf {
		v, err := x.int(i, 0, 0, 1)
		if err != nil {
			return err
		}
		piaf[i] = v
	}
	x.p.set.piaf = piaf
	return nil
}
