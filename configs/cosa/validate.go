package cosa

import (
	"fmt"
	"strings"
)

// Limits of a record's fields. APN: COSA's schema (100); user name and password: the
// same (255), which is also half of MBIM's 510 bytes of UTF-16.
const (
	maxAPN        = 100
	maxCredential = 255
	maxName       = 200

	MaxTargets            = 256
	MaxValues             = 512 // of one condition
	MaxProfileConnections = 64
	MinMTU                = 576 // RFC 791: every host takes a datagram of this size
	MaxMTU                = 65535
)

// Limits of an operators file. A file of that size, however it is filled, is
// read within 100 MB of memory.
const (
	MaxFileBytes    = 10 << 20
	MaxProfiles     = 20_000
	MaxConnections  = 40_000
	MaxFileTargets  = 40_000
	MaxTargetValues = 400_000 // of all targets
)

// Values counts the values of the target's conditions.
func (t *Target) Values() int {
	return len(t.MCCMNC) + len(t.MCC) + len(t.ICCID) + len(t.IMSI) + len(t.IMSIPattern) + len(t.GID1) + len(t.GID2) + len(t.SPN) + len(t.PNN)
}

// Check says what is wrong with the profile, "" if nothing is.
func (p *OperatorProfile) Check() string { return first(p.validate()) }

// Check says what is wrong with the target, "" if nothing is.
func (t *Target) Check() string {
	c := &checker{}
	c.target("", t)
	return first(c.problems)
}

// Check says what is wrong with the connection, "" if nothing is. It never
// shows a user name or password.
func (n *Connection) Check() string {
	c := &checker{}
	c.connection("", n)
	return first(c.problems)
}

func first(problems []problem) string {
	if len(problems) == 0 {
		return ""
	}
	return problems[0].msg
}

// problem is something wrong in a record; path leads to it from the record's
// root, such as "targets[0].mccmnc[1]".
type problem struct{ path, msg, hint string }

type checker struct{ problems []problem }

func (c *checker) add(path, hint, format string, args ...any) {
	c.problems = append(c.problems, problem{path, fmt.Sprintf(format, args...), hint})
}

// validate checks a record. It never shows a user name or password.
func (p *OperatorProfile) validate() []problem {
	c := &checker{}
	if p.ID == "" {
		c.add("id", "", "the profile has no id")
	}
	c.text("id", p.ID, maxName)
	c.text("name", p.Name, maxName)
	if p.Country != "" && !IsCountry(p.Country) {
		c.add("country", `ISO 3166-1 alpha-2, such as "de"`, "country %q is not two letters", p.Country)
	}
	if p.Source == SourceUnset {
		c.add("source", "", "the profile has no source")
	}
	if p.Rank < 0 {
		c.add("rank", "lower goes first", "rank %d is negative", p.Rank)
	}
	c.count("targets", len(p.Targets), MaxTargets)
	for i := range p.Targets {
		c.target(fmt.Sprintf("targets[%d]", i), &p.Targets[i])
	}
	c.count("connections", len(p.Connections), MaxProfileConnections)
	for i := range p.Connections {
		c.connection(fmt.Sprintf("connections[%d]", i), &p.Connections[i])
	}
	c.text("sim.brandName", p.SIM.BrandName, maxName)
	c.url("sim.accountUrl", p.SIM.AccountURL)
	c.url("sim.brandLogo", p.SIM.BrandLogo)
	c.portal(&p.Portal)
	c.moAPI(&p.MOAPI)
	return c.problems
}

func (c *checker) target(path string, t *Target) {
	c.plmns(path+".mccmnc", t.MCCMNC)
	for i, s := range t.MCC {
		if !isDigits(s) || len(s) != 3 {
			c.add(fmt.Sprintf("%s.mcc[%d]", path, i), "", "%q is not three digits", s)
		}
	}
	c.ranges(path+".iccid", t.ICCID, fullICCID)
	c.ranges(path+".imsi", t.IMSI, fullIMSI)
	for i, p := range t.IMSIPattern {
		if digits := strings.NewReplacer("x", "0", "X", "0").Replace(string(p)); !isDigits(digits) || len(p) > fullIMSI || strings.Trim(string(p), "xX") == "" {
			c.add(fmt.Sprintf("%s.imsi[%d]", path, len(t.IMSI)+i), `digits with x for any digit: "302720x83"`, "%q is not an IMSI pattern of at most 15 digits", p)
		}
	}
	c.gids(path+".gid1", t.GID1)
	c.gids(path+".gid2", t.GID2)
	c.names(path+".spn", t.SPN)
	c.names(path+".pnn", t.PNN)
	for _, n := range []int{len(t.MCCMNC), len(t.MCC), len(t.ICCID), len(t.IMSI) + len(t.IMSIPattern), len(t.GID1), len(t.GID2), len(t.SPN), len(t.PNN)} {
		c.count(path, n, MaxValues)
	}
	c.text(path+".uiName", t.UIName, maxName)

	switch {
	case t.Values() == 0:
		c.add(path, `give mccmnc or another key`, "the target has no condition, it would match every SIM")
	case len(t.MCCMNC) == 0 && len(t.ICCID) == 0 && len(t.IMSI)+len(t.IMSIPattern) == 0 && len(t.GID1)+len(t.GID2)+len(t.SPN)+len(t.PNN) > 0:
		c.add(path, "add mccmnc", "gid1, gid2, spn and pnn are not unique in the world and need mccmnc beside them")
	}
}

func (c *checker) connection(path string, n *Connection) {
	if why := CheckAPN(n.APN); why != "" {
		c.add(path+".apn", "letters, digits, dot and hyphen (TS 23.003 9.1)", "APN %q %s", n.APN, why)
	}
	c.text(path+".friendlyName", n.FriendlyName, maxName)
	if len(n.Username) > maxCredential || hasControl(n.Username) {
		c.add(path+".username", "", "the user name is longer than %d bytes or has control characters", maxCredential)
	}
	if len(n.Password) > maxCredential || hasControl(string(n.Password)) {
		c.add(path+".password", "", "the password is longer than %d bytes or has control characters", maxCredential)
	}
	if n.Auth > AuthNone && n.Username == "" && n.Password == "" {
		c.add(path+".auth", `add username and password, or leave auth out`, "authentication %s needs a user name or password", n.Auth)
	}
	if n.Order < 0 {
		c.add(path+".order", "from 1; leave it out for list order", "order %d is negative", n.Order)
	}
	if n.MTU != 0 && (n.MTU < MinMTU || n.MTU > MaxMTU) {
		c.add(path+".mtu", "leave it out to use what the network says", "mtu %d is not in %d..%d", n.MTU, MinMTU, MaxMTU)
	}
	switch n.Plan {
	case "", PlanPrepaid, PlanPostpaid, PlanBoth:
	default:
		c.add(path+".plan", "prepaid, postpaid, or prepaid,postpaid", "plan %q is not known", n.Plan)
	}
}

// The values of Connection.Plan.
const (
	PlanPrepaid  = "prepaid"
	PlanPostpaid = "postpaid"
	PlanBoth     = "prepaid,postpaid"
)

// CheckAPN says why s cannot be an APN, or "" if it can. The empty APN can: the
// network assigns one. Blanks around it are the caller's to trim.
func CheckAPN(s string) string {
	if len(s) > maxAPN {
		return fmt.Sprintf("has %d characters, at most %d are allowed", len(s), maxAPN)
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
		default:
			return fmt.Sprintf("has the character %q", r)
		}
	}
	return ""
}

func (c *checker) text(path, s string, limit int) {
	if len(s) > limit {
		c.add(path, "", "text of %d bytes, at most %d are allowed", len(s), limit)
	}
	if hasControl(s) {
		c.add(path, "", "text has control characters")
	}
}

func (c *checker) names(path string, list []string) {
	for i, s := range list {
		if strings.TrimSpace(s) == "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "", "the name is empty")
		}
		c.text(fmt.Sprintf("%s[%d]", path, i), s, maxName)
	}
}

func (c *checker) count(path string, n, limit int) {
	if n > limit {
		c.add(path, "", "%d entries, at most %d are allowed", n, limit)
	}
}

func (c *checker) url(path, s string) {
	if s == "" {
		return
	}
	if why := CheckURL(s); why != "" {
		c.add(path, `such as "https://example.com/plans"`, "URL %s", why)
	}
}

func (c *checker) plmns(path string, list []string) {
	for i, s := range list {
		if !IsMCCMNC(s) {
			c.add(fmt.Sprintf("%s[%d]", path, i), `MCC and MNC joined, as a string: "26201", "310260"`, "%q is not five or six digits", s)
		}
	}
}

func (c *checker) ranges(path string, list []Range, full int) {
	for i, r := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !isDigits(r.Lo) || !isDigits(r.Hi):
			c.add(at, "", "range %q..%q is not of digits", r.Lo, r.Hi)
		case len(r.Lo) != len(r.Hi):
			c.add(at, "write both with the same number of digits", "range %q..%q has two lengths", r.Lo, r.Hi)
		case len(r.Lo) > full:
			c.add(at, "", "range %q..%q is longer than %d digits", r.Lo, r.Hi, full)
		case r.Lo > r.Hi:
			c.add(at, "", "range %q..%q ends before it begins", r.Lo, r.Hi)
		}
	}
}

func (c *checker) gids(path string, list []GID) {
	for i, g := range list {
		ok := g.Hex != "" && len(g.Hex) <= 64
		for _, r := range g.Hex {
			ok = ok && strings.ContainsRune("0123456789abcdefABCDEF", r)
		}
		if !ok {
			c.add(fmt.Sprintf("%s[%d]", path, i), `such as "2AC9"`, "%q is not hex of at most 64 digits", g.Hex)
			continue
		}
		if !g.Prefix && (len(g.Hex)%2 != 0 || trimFF(g.Hex) == "") {
			c.add(fmt.Sprintf("%s[%d]", path, i), `whole bytes; give "mode": "prefix" for the beginning of a value`, "%q cannot be the whole value of the file", g.Hex)
		}
	}
}

// IsMCCMNC tells whether s has the form of a network's code, MCC and MNC joined.
func IsMCCMNC(s string) bool { return isDigits(s) && (len(s) == 5 || len(s) == 6) }

// IsCountry tells whether s has the form of an ISO 3166-1 alpha-2 code in lower case.
func IsCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'a' && s[0] <= 'z' && s[1] >= 'a' && s[1] <= 'z'
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}
