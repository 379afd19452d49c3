package importer

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"dynamod/configs/cosa"
)

// customizations reads the customizations.xml of a COSA provisioning package:
//
//	WindowsCustomizations / Settings / Customizations
//	  Targets / Target Id= / TargetState / Condition Name= Value=
//	  Profile Name= / TargetRefs / TargetRef Id=, Settings / ...
//	  Replace Name= / TargetRefs, Settings
//
// Conditions are joined by AND into a TargetState, TargetStates by OR into a
// Target; any TargetRef makes the profile apply. Of Replace, Name is the name
// or GUID of the profile of the package below that is replaced; without Settings
// it is taken away.
//
// Microsoft's own samples spell names in several cases, repeat elements, leave
// some unclosed and put Targets on either side of the profiles. So names are
// compared without case, an element that is there twice counts the last time
// (as with Windows, where the later definition overwrites), and references are
// looked up at the end.
type customizations struct {
	*reader
	file    *File
	targets map[string]*cosaTarget // by Id in lower case
	refs    [][]string             // of each profile: Ids in lower case
	lines   []int                  // of each profile
	named   map[string][]int       // the profiles of a name or GUID that are in
	gone    map[int]bool           // profiles that a Replace took away; they count until the end
	ids     map[string]bool        // of the profiles that are in
	again   map[string]int         // the last number behind an id, of names that are there twice
	used    int                    // targets of all profiles
}

// cosaTarget is a Target that was read: a cosa.Target for each of its states.
type cosaTarget struct{ states []cosa.Target }

func readCustomizations(rd *reader, file *File) error {
	c := &customizations{reader: rd, file: file, targets: map[string]*cosaTarget{}, named: map[string][]int{}, gone: map[int]bool{}, ids: map[string]bool{}, again: map[string]int{}}
	for {
		tok, err := c.next()
		if errors.Is(err, io.EOF) {
			return c.resolve()
		}
		if err != nil {
			return err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch strings.ToLower(start.Name.Local) {
		case "target":
			err = c.target(start)
		case "profile", "variant":
			err = c.profile(start, false)
		case "replace":
			err = c.profile(start, true)
		case "common":
			err = c.common(start)
		}
		if err != nil {
			return err
		}
	}
}

func (c *customizations) target(start xml.StartElement) error {
	e, err := c.tree(start)
	if err != nil {
		return err
	}
	id := strings.TrimSpace(e.attr("id"))
	what := "target " + strconv.Quote(id)
	t := c.targets[strings.ToLower(id)]
	if t == nil {
		t = &cosaTarget{}
		c.targets[strings.ToLower(id)] = t
	} else {
		c.file.Report.lose(e.line, what, "the Id is there twice: the states of both count")
	}
	for state := range e.each("targetstate") {
		if err := c.state(state, t, what); err != nil {
			return err
		}
	}
	if len(t.states) == 0 { // it takes room all the same
		if err := c.file.count(&cosa.Target{}); err != nil {
			return err
		}
	}
	return c.file.bounded()
}

// state adds a TargetState, or those that it is but a wrapper of.
func (c *customizations) state(e *element, t *cosaTarget, what string) error {
	own := slices.ContainsFunc(e.children, func(c element) bool { return c.name == "condition" })
	if inner := slices.Collect(e.all("targetstate")); len(inner) > 0 && !own {
		for _, i := range inner {
			if err := c.state(i, t, what); err != nil {
				return err
			}
		}
		return nil
	}
	s, why := targetOf(e, func(line int, why string) { c.file.Report.lose(line, what, why) })
	if why != "" {
		c.file.Report.refuse(e.line, what, why)
		return nil
	}
	t.states = append(t.states, s)
	return c.file.count(&s)
}

// common refuses the connections of a section that applies without a target.
func (c *customizations) common(start xml.StartElement) error {
	e, err := c.tree(start)
	if err != nil {
		return err
	}
	for n := range e.each("connection") {
		c.file.Report.refuse(n.line, fmt.Sprintf("Common: connection %q", oneLine(n.attr("connectionname"))), "for every SIM: it would hide the settings of all operators; use [apn] for that")
	}
	return c.file.bounded()
}

func (c *customizations) profile(start xml.StartElement, replace bool) error {
	e, err := c.tree(start)
	if err != nil {
		return err
	}
	name := oneLine(e.attr("name"))
	if name == "" {
		name = fmt.Sprintf("profile %d", len(c.file.Profiles)+1)
	}
	what := "profile " + strconv.Quote(name)
	key := replaceKey(name)
	if replace {
		removes := !has(&e, "settings")
		if err := c.file.replace(key, Replace{Line: e.line, What: what, Removes: removes, Done: c.drop(key)}); err != nil {
			return err
		}
		if removes {
			return c.file.bounded()
		}
	}
	base := "cosa:" + strings.ToLower(name)
	id := base
	for c.ids[id] {
		c.again[base]++
		id = fmt.Sprintf("%s (%d)", base, c.again[base]+1)
	}

	p := cosa.OperatorProfile{ID: id, Name: name, Source: cosa.SourceLocal, Origin: c.file.Report.File, Rank: cosa.DefaultRank}
	guid := replaceKey(cmp.Or(e.attr("guid"), e.attr("id")))
	if guid != "" {
		p.Ext = cosa.Ext{{Key: extGUID, Value: guid}}
	}
	lose := func(line int, why string) { c.file.Report.lose(line, what, why) }
	var connections []cosa.Connection
	for settings := range e.each("settings") {
		simSettings(settings, &p, lose)
		for n := range settings.each("connection") {
			conn, why := connection(n, lose)
			if why == "" {
				why = conn.Check()
			}
			if why != "" {
				c.file.Report.refuse(n.line, fmt.Sprintf("%s: connection %q", what, oneLine(n.attr("connectionname"))), why)
				continue
			}
			connections = append(connections, conn)
		}
	}
	if why := p.Check(); why != "" {
		c.file.Report.refuse(e.line, what, why)
		return c.file.bounded()
	}
	if err := c.file.add(p); err != nil {
		return err
	}
	at := len(c.file.Profiles) - 1
	c.ids[id] = true
	c.named[key] = append(c.named[key], at)
	if guid != "" && guid != key {
		c.named[guid] = append(c.named[guid], at)
	}
	var refs []string
	for r := range e.each("targetref") {
		refs = append(refs, strings.ToLower(strings.TrimSpace(r.attr("id"))))
	}
	c.refs, c.lines = append(c.refs, refs), append(c.lines, e.line)
	for _, conn := range connections {
		why, err := c.file.addConnection(at, conn)
		if err != nil {
			return err
		}
		if why != "" {
			c.file.Report.refuse(e.line, fmt.Sprintf("%s: apn %q", what, conn.APN), why)
		}
	}
	return nil
}

// drop takes the profiles of a name or GUID out of this file, and tells whether
// there were any.
func (c *customizations) drop(key string) (any bool) {
	for _, at := range c.named[key] {
		any = any || !c.gone[at]
		c.gone[at] = true
		delete(c.ids, c.file.Profiles[at].ID)
	}
	delete(c.named, key)
	return any
}

// resolve gives the profiles the targets that they refer to.
func (c *customizations) resolve() error {
	kept := c.file.Profiles[:0]
	for i, p := range c.file.Profiles {
		if c.gone[i] {
			continue
		}
		what := "profile " + strconv.Quote(p.Name)
		lose := func(why string) { c.file.Report.lose(c.lines[i], what, why) }
		for _, ref := range c.refs[i] {
			t := c.targets[ref]
			if t == nil {
				lose(fmt.Sprintf("there is no target %q", ref))
				continue
			}
			for _, state := range t.states {
				if len(p.Targets) == cosa.MaxTargets {
					lose(fmt.Sprintf("more than %d target states", cosa.MaxTargets))
					break
				}
				p.Targets = append(p.Targets, state)
				if c.used++; c.used > cosa.MaxFileTargets {
					return fmt.Errorf("more than %d targets of all profiles", cosa.MaxFileTargets)
				}
			}
		}
		if len(p.Targets) == 0 {
			lose("no target can be matched: kept for manual choice")
		}
		kept = append(kept, p)
		if err := c.file.bounded(); err != nil {
			return err
		}
	}
	clear(c.file.Profiles[len(kept):])
	c.file.Profiles = kept
	return nil
}

// setting returns the text of the last descendant of one of these names. An
// earlier one of another value is told to lose.
func setting(e *element, lose func(int, string), names ...string) string {
	value, there := "", false
	for _, name := range names {
		for c := range e.each(name) {
			if there && c.text != value && lose != nil {
				lose(c.line, c.name+" is there twice, the last one counts")
			}
			value, there = c.text, true
		}
	}
	return value
}

func has(e *element, name string) bool {
	for range e.each(name) {
		return true
	}
	return false
}

// connection maps a Connection. The names of the CM_CellularEntries CSP are
// taken as well.
func connection(e *element, lose func(int, string)) (c cosa.Connection, why string) {
	get := func(names ...string) string { return setting(e, lose, names...) }
	at := func(format string, args ...any) { lose(e.line, fmt.Sprintf(format, args...)) }

	names := []string{"accesspointname", "gprsinfoaccesspointname", "accessstring", "apnname"}
	if !slices.ContainsFunc(names, func(name string) bool { return has(e, name) }) {
		return c, "no AccessPointName; an empty one lets the network assign the APN"
	}
	c.APN = strings.TrimSpace(get(names...))
	c.FriendlyName = oneLine(get("friendlyname"))
	unknown := ""
	for guid := range strings.FieldsFuncSeq(get("purposegroups"), func(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) }) {
		if p, ok := cosa.ParsePurpose(guid); ok {
			c.Purposes |= cosa.Purposes(p)
		} else {
			unknown = guid
			at("purpose group %.40q is not known", guid)
		}
	}
	if unknown != "" && c.Purposes == 0 {
		return c, "it is for no purpose that is known"
	}
	switch ip := strings.ToLower(get("iptype")); ip {
	case "":
	case "ipv4v6xlat":
		c.IPType = cosa.IPv4v6
		at("IPType IPv4v6xlat: there is no 464XLAT, IPv4v6 is asked for")
	default:
		var ok bool
		if c.IPType, ok = cosa.ParseIPType(ip); !ok {
			at("IPType %.20q is not known", ip)
		}
	}
	c.Username, c.Password = get("username"), cosa.Secret(get("password"))
	if s := get("authtype", "authprotocol"); s != "" {
		var ok bool
		if c.Auth, ok = cosa.ParseAuth(s); !ok {
			at("AuthType %.20q is not known", s)
		}
	}
	if c.Auth > cosa.AuthNone && c.Username == "" && c.Password == "" {
		at("AuthType %s without UserName and Password", c.Auth)
		c.Auth = cosa.AuthUnset
	}
	c.AlwaysOn, c.Enabled = flag(get("alwayson"), at, "AlwaysOn"), flag(get("enabled"), at, "Enabled")
	if s := get("roaming"); s != "" {
		code, err := strconv.Atoi(s)
		rule, ok := cosa.RoamingFromCode(code)
		if err != nil || !ok {
			return c, fmt.Sprintf("Roaming %.20q is not 0 to 5", s)
		}
		c.Roaming = rule
	}
	if s := get("autoconnectorder"); s != "" {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 1<<16 {
			c.Order = n
		} else {
			at("AutoConnectOrder %.20q is not a number", s)
		}
	}
	switch s := strings.ToLower(get("connectiontype")); s {
	case "", "gprs": // any of 3GPP's
	case "lte":
		c.AcT = cosa.AcTs(cosa.LTE)
	case "cdma", "iwlan":
		return c, "ConnectionType " + s + ": only for CDMA or Wi-Fi"
	default:
		at("ConnectionType %.20q is not told apart", s)
	}
	for _, name := range []string{"compression", "ipheadercompression", "swcompression", "idledisconnecttimeout", "tetheringnai", "hardwareid"} {
		if get(name) != "" {
			at("%s is not used", name)
		}
	}
	return c, ""
}

func flag(s string, lose func(string, ...any), name string) cosa.Flag {
	switch strings.ToLower(s) {
	case "":
		return cosa.FlagUnset
	case "1", "true", "yes":
		return cosa.FlagOn
	case "0", "false", "no":
		return cosa.FlagOff
	}
	lose("%s %.20q is neither true nor false", name, s)
	return cosa.FlagUnset
}

// simSettings maps what is not a connection.
func simSettings(e *element, p *cosa.OperatorProfile, lose func(int, string)) {
	get := func(name string) string { return oneLine(setting(e, lose, name)) }
	at := func(format string, args ...any) { lose(e.line, fmt.Sprintf(format, args...)) }

	if s := get("accountexperienceurl"); s != "" {
		if why := cosa.CheckURL(s); why != "" {
			at("AccountExperienceURL %s", why)
		} else {
			p.SIM.AccountURL = s
		}
	}
	if s := get("brandingname"); s != "" {
		p.SIM.BrandName = s
	}
	if s := get("usebrandingnameonroaming"); s != "" {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 && n <= 2 {
			p.SIM.BrandRoaming = cosa.BrandRoaming(n + 1)
		} else {
			at("UseBrandingNameOnRoaming %.20q is not 0 to 2", s)
		}
	}
	if f := flag(get("esim_prov"), at, "ESIM_PROV"); f != cosa.FlagUnset {
		p.SIM.ESIMProvisioning = f
	}
	for h := range e.each("hotspot") {
		switch s := strings.ToLower(setting(h, lose, "enabled")); s {
		case "":
		case "always", "1", "true":
			p.SIM.Hotspot = cosa.HotspotAlways
		case "never", "0", "false":
			p.SIM.Hotspot = cosa.HotspotNever
		case "entitlementcheckrequired":
			p.SIM.Hotspot = cosa.HotspotEntitlement
		default:
			at("HotSpot/Enabled %.20q is not known", s)
		}
	}
	for _, x := range []struct{ name, key string }{
		{"supportdatamarketplace", "supportDataMarketplace"}, {"datamarketplaceroaminguienabled", "dataMarketplaceRoamingUIEnabled"},
		{"appid", "appId"}, {"dedicatedconnections", "hotspotDedicatedConnections"},
	} {
		if s := get(x.name); s != "" && len(s) <= maxExtra && p.Ext.Get(x.key) == "" {
			p.Ext = append(p.Ext, cosa.ExtField{Key: x.key, Value: s})
			p.Ext.Sort()
		}
	}
	for _, name := range []string{"brandingicon", "wifiprofiles", "networkblocklist", "simblocklist", "enableautoslotswitch"} {
		if get(name) != "" {
			at("%s is not used", name)
		}
	}
}
