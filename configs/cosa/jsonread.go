package cosa

import (
	"dynamod/configs/near"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// ParseJSON reads an operators file: one operator profile as a JSON object, or
// an array of them. The format is described in README.md beside this file; unknown
// fields are errors. file names it for errors and reasons. All problems that
// are found are returned, then without profiles.
//
// A profile without "id" gets "FILE#N", one without "source" is local, so that
// it outranks the embedded database.
func ParseJSON(file string, data []byte) ([]OperatorProfile, []*Problem) {
	d := &jsonReader{file: file, data: data}
	var out []OperatorProfile
	ids := map[string]bool{}
	profiles := 0
	var have fileSize
	err := eachProfile(data, func(n *node) bool {
		profiles++
		p := OperatorProfile{
			ID: fmt.Sprintf("%s#%d", filepath.Base(file), profiles), Source: SourceLocal,
			Origin: file, Rank: DefaultRank,
		}
		before := len(d.problems)
		if !d.profile(n, &p) || len(d.problems) > before {
			return len(d.problems) < maxProblems // checking values that could not be read would only add noise
		}
		for _, pr := range p.validate() {
			d.problem(n.find(pr.path).offset, pr.hint, "%s", pr.msg)
		}
		if ids[p.ID] {
			d.problem(n.find("id").offset, "each profile needs an id of its own", "id %q is there twice", p.ID)
		}
		if why := have.add(&p); why != "" {
			d.problem(n.offset, "", "%s in the file", why)
			return false
		}
		if len(d.problems) == 0 {
			ids[p.ID] = true
			out = append(out, p)
		}
		return len(d.problems) < maxProblems
	})
	if err != nil {
		d.problem(err.offset, err.hint, "%s", err.msg)
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return out, nil
}

// fileSize counts what is in an operators file.
type fileSize struct{ profiles, connections, targets, values int }

// add counts a profile, and says of what there are too many then.
func (s *fileSize) add(p *OperatorProfile) string {
	s.profiles++
	s.connections += len(p.Connections)
	s.targets += len(p.Targets)
	for i := range p.Targets {
		s.values += p.Targets[i].Values()
	}
	for _, l := range []struct {
		n, limit int
		what     string
	}{
		{s.profiles, MaxProfiles, "profiles"}, {s.connections, MaxConnections, "connections"},
		{s.targets, MaxFileTargets, "targets"}, {s.values, MaxTargetValues, "values of targets"},
	} {
		if l.n > l.limit {
			return fmt.Sprintf("more than %d %s", l.limit, l.what)
		}
	}
	return ""
}

// TooMany says of what there are more in profiles than one file may have, "" if
// all of them fit.
func TooMany(profiles []OperatorProfile) string {
	var s fileSize
	for i := range profiles {
		if why := s.add(&profiles[i]); why != "" {
			return why
		}
	}
	return ""
}

// maxProblems bounds what one file may report.
const maxProblems = 20

type jsonReader struct {
	file     string
	data     []byte
	problems []*Problem
}

func (d *jsonReader) problem(offset int, hint, format string, args ...any) {
	if len(d.problems) >= maxProblems {
		return
	}
	line, col := position(d.data, offset)
	d.problems = append(d.problems, &Problem{File: d.file, Line: line, Col: col, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// want reports a value of the wrong type.
func (d *jsonReader) want(n *node, k kind, name string) bool {
	if n.kind == k {
		return true
	}
	hint := ""
	if k == kindString && n.kind == kindNumber {
		hint = fmt.Sprintf("write it as a string, so that leading zeros count: %q", n.text)
	}
	d.problem(n.offset, hint, "%s must be %s, not %s", name, k, n.kind)
	return false
}

// setter reads the value of a field.
type setter struct {
	name string
	set  func(n *node, name string)
}

// object reads the fields that it is given setters for; others are errors.
func (d *jsonReader) object(n *node, what string, setters ...setter) bool {
	if !d.want(n, kindObject, what) {
		return false
	}
next:
	for _, f := range n.fields {
		for _, s := range setters {
			if s.name == f.name {
				s.set(f.value, strconv.Quote(f.name))
				continue next
			}
		}
		names := make([]string, len(setters))
		for i, s := range setters {
			names[i] = s.name
		}
		hint := "known: " + strings.Join(names, ", ")
		if name := near.Name(f.name, names); name != "" {
			hint = fmt.Sprintf("did you mean %q?", name)
		}
		d.problem(f.offset, hint, "unknown field %q", f.name)
	}
	return true
}

func (d *jsonReader) str(to *string) func(*node, string) {
	return func(n *node, name string) {
		if d.want(n, kindString, name) {
			*to = strings.TrimSpace(n.text)
		}
	}
}

func (d *jsonReader) secret(to *Secret) func(*node, string) {
	return func(n *node, name string) {
		if n.kind != kindString { // no hint: it would show the value
			d.problem(n.offset, "", "%s must be a string", name)
			return
		}
		*to = Secret(n.text)
	}
}

func (d *jsonReader) integer(to *int) func(*node, string) {
	return func(n *node, name string) {
		if !d.want(n, kindNumber, name) {
			return
		}
		v, err := strconv.ParseInt(n.text, 10, 32)
		if err != nil {
			d.problem(n.offset, "", "%s must be a whole number, not %s", name, n.text)
			return
		}
		*to = int(v)
	}
}

func (d *jsonReader) flag(to *Flag) func(*node, string) {
	return func(n *node, name string) {
		if d.want(n, kindBool, name) {
			*to = FlagOf(n.truth)
		}
	}
}

// enum reads one of the names by parse.
func enum[T ~uint8](d *jsonReader, to *T, names []string, allowed ...T) func(*node, string) {
	return func(n *node, name string) {
		if !d.want(n, kindString, name) {
			return
		}
		v, ok := parseEnum[T](names, n.text)
		known := names[1:]
		if len(allowed) > 0 {
			known = nil
			found := false
			for _, a := range allowed {
				known = append(known, names[a])
				found = found || a == v
			}
			ok = ok && found
		}
		if !ok {
			d.problem(n.offset, "one of: "+strings.Join(known, ", "), "%s has the unknown value %q", name, n.text)
			return
		}
		*to = v
	}
}

// each reads an array, or a single value in place of one.
func (d *jsonReader) each(read func(n *node, name string)) func(*node, string) {
	return func(n *node, name string) {
		if n.kind != kindArray {
			d.problem(n.offset, "put it in square brackets", "%s must be an array, not %s", name, n.kind)
			return
		}
		for _, item := range n.items {
			read(item, "each value of "+name)
		}
	}
}

func (d *jsonReader) strings(to *[]string) func(*node, string) {
	return d.each(func(n *node, name string) {
		if d.want(n, kindString, name) {
			*to = append(*to, strings.TrimSpace(n.text))
		}
	})
}

func (d *jsonReader) ext(to *Ext) func(*node, string) {
	return func(n *node, name string) {
		if !d.want(n, kindObject, name) {
			return
		}
		for _, f := range n.fields {
			if d.want(f.value, kindString, strconv.Quote(f.name)) {
				*to = append(*to, ExtField{f.name, f.value.text})
			}
		}
		to.Sort()
	}
}

func (d *jsonReader) profile(n *node, p *OperatorProfile) bool {
	return d.object(n, "an operator profile",
		setter{"id", d.str(&p.ID)},
		setter{"name", d.str(&p.Name)},
		setter{"country", func(n *node, name string) {
			d.str(&p.Country)(n, name)
			p.Country = strings.ToLower(p.Country)
		}},
		setter{"source", enum(d, &p.Source, sourceNames, SourceAdmin, SourceUser, SourceOperator, SourceLocal)},
		setter{"rank", d.integer(&p.Rank)},
		setter{"allowFallback", d.flag(&p.AllowFallback)},
		setter{"networkAssigned", d.flag(&p.NetworkAssigned)},
		setter{"targets", d.each(func(n *node, _ string) {
			var t Target
			d.target(n, &t)
			p.Targets = append(p.Targets, t)
		})},
		setter{"connections", d.each(func(n *node, _ string) {
			var c Connection
			d.connection(n, &c)
			p.Connections = append(p.Connections, c)
		})},
		setter{"sim", func(n *node, _ string) {
			d.object(n, `"sim"`,
				setter{"accountUrl", d.str(&p.SIM.AccountURL)},
				setter{"brandName", d.str(&p.SIM.BrandName)},
				setter{"brandLogo", d.str(&p.SIM.BrandLogo)},
				setter{"brandRoaming", d.code(2, func(code int) { p.SIM.BrandRoaming = BrandRoaming(code + 1) })},
				setter{"hotspot", enum(d, &p.SIM.Hotspot, hotspotNames)},
				setter{"esimProvisioning", d.flag(&p.SIM.ESIMProvisioning)},
			)
		}},
		setter{"portal", d.portal(&p.Portal)},
		setter{"moApi", d.moAPI(&p.MOAPI)},
		setter{"ext", d.ext(&p.Ext)},
	)
}

func (d *jsonReader) target(n *node, t *Target) {
	d.object(n, "a target",
		setter{"mccmnc", d.strings(&t.MCCMNC)},
		setter{"mcc", d.strings(&t.MCC)},
		setter{"iccid", d.each(d.rangeOr(&t.ICCID, func(prefix string) {
			t.ICCID = append(t.ICCID, Range{prefix, prefix})
		}))},
		setter{"imsi", d.each(d.rangeOr(&t.IMSI, func(prefix string) {
			t.IMSIPattern = append(t.IMSIPattern, Pattern(prefix))
		}))},
		setter{"gid1", d.each(d.gid(&t.GID1))},
		setter{"gid2", d.each(d.gid(&t.GID2))},
		setter{"spn", d.strings(&t.SPN)},
		setter{"pnn", d.strings(&t.PNN)},
		setter{"uiName", d.str(&t.UIName)},
		setter{"uiOrder", d.integer(&t.UIOrder)},
	)
}

// rangeOr reads {"lo": ..., "hi": ...} into to, and a string by prefix.
func (d *jsonReader) rangeOr(to *[]Range, prefix func(string)) func(*node, string) {
	return func(n *node, name string) {
		if n.kind == kindString {
			prefix(strings.TrimSpace(n.text))
			return
		}
		if n.kind != kindObject {
			d.problem(n.offset, `{"lo": "...", "hi": "..."} or a prefix as a string`, "%s must be a range or a string, not %s", name, n.kind)
			return
		}
		var r Range
		d.object(n, name, setter{"lo", d.str(&r.Lo)}, setter{"hi", d.str(&r.Hi)})
		*to = append(*to, r)
	}
}

// gid reads {"value": hex, "mode": "exact" or "prefix"}, or a string as exact.
func (d *jsonReader) gid(to *[]GID) func(*node, string) {
	return func(n *node, name string) {
		var g GID
		if n.kind == kindString {
			g.Hex = strings.TrimSpace(n.text)
		} else {
			d.object(n, name, setter{"value", d.str(&g.Hex)}, setter{"mode", func(n *node, name string) {
				switch {
				case !d.want(n, kindString, name):
				case n.text == "prefix":
					g.Prefix = true
				case n.text != "exact":
					d.problem(n.offset, "one of: exact, prefix", "%s has the unknown value %q", name, n.text)
				}
			}})
		}
		*to = append(*to, g)
	}
}

// code reads one of COSA's numeric codes 0 to top.
func (d *jsonReader) code(top int, set func(int)) func(*node, string) {
	return func(n *node, name string) {
		v := -1
		d.integer(&v)(n, name)
		if n.kind == kindNumber && (v < 0 || v > top) {
			d.problem(n.offset, "", "%s is %s, not in 0..%d", name, n.text, top)
			return
		}
		if v >= 0 {
			set(v)
		}
	}
}

func (d *jsonReader) connection(n *node, c *Connection) {
	d.object(n, "a connection",
		setter{"apn", d.str(&c.APN)},
		setter{"friendlyName", d.str(&c.FriendlyName)},
		setter{"purposes", d.each(func(n *node, name string) {
			if !d.want(n, kindString, name) {
				return
			}
			p, ok := ParsePurpose(n.text)
			if !ok {
				var known []string
				for _, e := range purposeNames {
					known = append(known, e.name)
				}
				d.problem(n.offset, "one of: "+strings.Join(known, ", "), "unknown purpose %q", n.text)
			}
			c.Purposes |= Purposes(p)
		})},
		setter{"ipType", enum(d, &c.IPType, ipTypeNames)},
		setter{"roamingIpType", enum(d, &c.RoamingIPType, ipTypeNames)},
		setter{"auth", enum(d, &c.Auth, authNames)},
		setter{"username", d.str(&c.Username)},
		setter{"password", d.secret(&c.Password)},
		setter{"alwaysOn", d.flag(&c.AlwaysOn)},
		setter{"roaming", d.code(5, func(code int) { c.Roaming, _ = RoamingFromCode(code) })},
		setter{"order", d.integer(&c.Order)},
		setter{"enabled", d.flag(&c.Enabled)},
		setter{"act", d.each(func(n *node, name string) {
			if !d.want(n, kindString, name) {
				return
			}
			a, ok := ParseAcT(n.text)
			if !ok {
				d.problem(n.offset, "one of: gsm, umts, lte, nr", "unknown access technology %q", n.text)
			}
			c.AcT |= AcTs(a)
		})},
		setter{"mtu", d.integer(&c.MTU)},
		setter{"plan", d.str(&c.Plan)},
		setter{"ext", d.ext(&c.Ext)},
	)
	if n.kind == kindObject && n.get("apn") == nil {
		d.problem(n.offset, `"apn": "" lets the network assign one`, "the connection has no apn")
	}
}
