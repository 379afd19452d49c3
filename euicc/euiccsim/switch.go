package euiccsim

import (
	"bytes"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// Results of enable, disable and delete (SGP.22, 5.7.16 to 5.7.18).
const (
	switchOK              = 0
	switchNotFound        = 1
	switchWrongState      = 2
	switchPolicy          = 3
	switchWrongReenabling = 4
	switchCATBusy         = 5
)

// wanted finds the profile that e names by AID or ICCID.
func (m *memory) wanted(e bertlv.Element) *profile {
	if aid := value(e, tagAID); aid != nil {
		return m.byAID(aid)
	}
	if iccid := value(e, tagICCID); iccid != nil {
		return m.byICCID(iccid)
	}
	return nil
}

// request decodes EnableProfileRequest and DisableProfileRequest.
func (c *Card) request(e bertlv.Element) (target bertlv.Element, refresh, ok bool) {
	target, ok = e.Find(0xA0)
	flag := value(e, 0x81)
	if !ok || len(flag) != 1 {
		return target, false, false
	}
	return target, flag[0] != 0, true
}

// refreshResult says whether a REFRESH can be started.
func (c *Card) refreshResult(refresh bool) int64 {
	switch {
	case !refresh:
	case c.behaviour.RefuseRefresh:
		c.strike("refuse-refresh")
		return undefinedError
	case c.behaviour.CATBusy:
		c.strike("cat-busy")
		return switchCATBusy
	case c.proactive.busy():
		return switchCATBusy
	}
	return switchOK
}

// enableProfile is ES10c.EnableProfile (SGP.22, 5.7.16). The profile that was
// enabled is disabled in the same step. The card's files change at the next
// reset or REFRESH.
func (c *Card) enableProfile(e bertlv.Element) ([]byte, apdu.Status) {
	target, refresh, ok := c.request(e)
	if !ok {
		return nil, swWrongData
	}
	next := c.nv.clone()
	p, old := next.wanted(target), next.enabled()
	code := c.refreshResult(refresh)
	switch {
	case p == nil:
		code = switchNotFound
	case p.Enabled:
		code = switchWrongState
	case old != nil && old.rules()&PPR1 != 0:
		code = switchPolicy
	case old != nil && old.class() == ClassTest && p.class() != ClassTest &&
		next.Previous != nil && next.byAID(next.Previous) != nil && !bytes.Equal(next.Previous, p.AID):
		code = switchWrongReenabling // a test profile gives way to the one before it
	}
	if code != switchOK {
		return result(tagEnableProfile, code), swOK
	}
	switch {
	case p.class() != ClassTest:
		next.Previous = nil
	case old != nil && old.class() != ClassTest:
		next.Previous = old.AID
	}
	if old != nil {
		old.Enabled = false
		if err := c.addNotifications(next, old, EventDisable); err != nil {
			return nil, swMemory
		}
	}
	p.Enabled = true
	if err := c.addNotifications(next, p, EventEnable); err != nil {
		return nil, swMemory
	}
	return c.switched(next, tagEnableProfile, refresh)
}

// disableProfile is ES10c.DisableProfile (SGP.22, 5.7.17).
func (c *Card) disableProfile(e bertlv.Element) ([]byte, apdu.Status) {
	target, refresh, ok := c.request(e)
	if !ok {
		return nil, swWrongData
	}
	next := c.nv.clone()
	p := next.wanted(target)
	code := c.refreshResult(refresh)
	switch {
	case p == nil:
		code = switchNotFound
	case !p.Enabled:
		code = switchWrongState
	case p.rules()&PPR1 != 0:
		code = switchPolicy
	}
	if code != switchOK {
		return result(tagDisableProfile, code), swOK
	}
	p.Enabled = false
	if err := c.addNotifications(next, p, EventDisable); err != nil {
		return nil, swMemory
	}
	return c.switched(next, tagDisableProfile, refresh)
}

func (c *Card) switched(next *memory, tag bertlv.Tag, refresh bool) ([]byte, apdu.Status) {
	if c.commit(next) != nil {
		return nil, swMemory
	}
	if refresh {
		c.refresh()
	}
	return result(tag, switchOK), swOK
}

// deleteProfile is ES10c.DeleteProfile (SGP.22, 5.7.18).
func (c *Card) deleteProfile(e bertlv.Element) ([]byte, apdu.Status) {
	next := c.nv.clone()
	p := next.wanted(e)
	switch {
	case p == nil:
		return result(tagDeleteProfile, switchNotFound), swOK
	case p.Enabled:
		return result(tagDeleteProfile, switchWrongState), swOK
	case p.rules()&PPR2 != 0:
		return result(tagDeleteProfile, switchPolicy), swOK
	}
	if err := c.addNotifications(next, p, EventDelete); err != nil {
		return nil, swMemory
	}
	next.remove(p)
	if c.commit(next) != nil {
		return nil, swMemory
	}
	return result(tagDeleteProfile, switchOK), swOK
}

func (m *memory) remove(p *profile) {
	for i, q := range m.Profiles {
		if q == p {
			m.Profiles = append(m.Profiles[:i:i], m.Profiles[i+1:]...)
			return
		}
	}
}

// Options of memory reset, named bits of resetOptions (SGP.22, 5.7.19).
const (
	resetOperational = 0x80
	resetFieldTest   = 0x40
	resetDefaultDP   = 0x20
)

// memoryReset is ES10c.eUICCMemoryReset (SGP.22, 5.7.19). Policy rules do not
// protect against it. When the enabled profile goes, a REFRESH follows.
func (c *Card) memoryReset(e bertlv.Element) ([]byte, apdu.Status) {
	bits := value(e, 0x82)
	if bits == nil {
		return nil, swWrongData
	}
	options := namedBits(bits)
	next := c.nv.clone()
	done, enabledGone := false, false
	for _, p := range append([]*profile(nil), next.Profiles...) {
		class := p.class()
		if !(options&resetOperational != 0 && class == ClassOperational ||
			options&resetFieldTest != 0 && class == ClassTest && !p.Factory) {
			continue
		}
		if err := c.addNotifications(next, p, EventDelete); err != nil {
			return nil, swMemory
		}
		enabledGone = enabledGone || p.Enabled
		next.remove(p)
		done = true
	}
	if options&resetDefaultDP != 0 && next.DefaultDP != c.cfg.DefaultDP {
		next.DefaultDP, done = c.cfg.DefaultDP, true
	}
	if !done {
		return result(tagMemoryReset, 1), swOK // nothingToDelete
	}
	if enabledGone && (c.proactive.busy() || c.behaviour.CATBusy) {
		code := int64(switchCATBusy)
		if c.cfg.Version == "2.2" {
			code = undefinedError // this function got the result later than the others
		}
		return result(tagMemoryReset, code), swOK
	}
	return c.switched(next, tagMemoryReset, enabledGone)
}
