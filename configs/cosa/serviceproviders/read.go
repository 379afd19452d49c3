// Package serviceproviders reads the serviceproviders.xml of
// mobile-broadband-provider-info (serviceproviders.2.dtd), GNOME's public
// domain list of operators and APNs, into operator profiles.
package serviceproviders

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"dynamod/configs/cosa"
)

// Limits of a file. The one of 2023 has 362 kB and 700 providers.
const (
	maxBytes     = 10 << 20
	maxProviders = 20000
	maxDepth     = 12
	maxElements  = 4096 // of one provider
	maxText      = 4096 // bytes of one element
)

// Ranks for the provider's attribute "primary": true marks the owner of a
// network that others share, false one that must not be taken for it.
const (
	rankPrimary    = cosa.DefaultRank - 10
	rankNotPrimary = cosa.DefaultRank + 10
)

// Refused is something of the file that is not in the result, or not as it
// stands there.
type Refused struct {
	Line     int    // of the provider or APN element
	Country  string // code
	Provider string
	What     string // such as `apn "http://172.18.83.129"`
	Why      string
}

// String writes one line: "line 12: bh, Zain BH: apn ...: has the character ':'".
func (r Refused) String() string {
	return fmt.Sprintf("line %d: %s, %s: %s: %s", r.Line, r.Country, r.Provider, r.What, r.Why)
}

// Read reads a file. The profiles have Source db, ids of the form COUNTRY/NAME
// and the file's order within a country as UIOrder; origin names the file for
// reasons. Rows that cannot be used are listed, as are rows that were repaired.
// A file that is not well formed, too large or too deep is an error.
func Read(r io.Reader, origin string) ([]cosa.OperatorProfile, []Refused, error) {
	limited := &io.LimitedReader{R: r, N: maxBytes + 1}
	rd := &reader{dec: xml.NewDecoder(limited), origin: origin, ids: map[string]int{}}
	rd.dec.CharsetReader = func(label string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("encoding %q is not read, only UTF-8", label)
	}
	err := rd.file()
	if limited.N <= 0 {
		err = fmt.Errorf("the file is larger than %d bytes", maxBytes)
	}
	if err != nil {
		line, column := rd.dec.InputPos()
		return nil, nil, fmt.Errorf("serviceproviders: line %d:%d: %w", line, column, err)
	}
	return rd.profiles, rd.refused, nil
}

type reader struct {
	dec      *xml.Decoder
	origin   string
	profiles []cosa.OperatorProfile
	refused  []Refused
	ids      map[string]int

	country  string
	uiOrder  int
	provider string // name of the current one
	elements int    // of the current provider
}

func (rd *reader) refuse(line int, what, why string) {
	rd.refused = append(rd.refused, Refused{Line: line, Country: rd.country, Provider: rd.provider, What: what, Why: why})
}

// element is one element with its children; the tree of a provider is small.
type element struct {
	name     string
	attrs    []xml.Attr
	text     string
	line     int
	children []element
}

func (e *element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// child returns the first child of that name without a language, or nil.
func (e *element) child(name string) *element {
	for i := range e.children {
		if c := &e.children[i]; c.name == name && c.attr("lang") == "" {
			return c
		}
	}
	return nil
}

func (e *element) childText(name string) string {
	if c := e.child(name); c != nil {
		return c.text
	}
	return ""
}

// file walks to the providers and reads each on its own, so that no more than
// one is in memory as a tree.
func (rd *reader) file() error {
	depth := 0
	for {
		tok, err := rd.dec.Token()
		if errors.Is(err, io.EOF) {
			if depth == 0 && rd.uiOrder == 0 && len(rd.ids) == 0 {
				return errors.New("no providers")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			switch {
			case depth == 0 && t.Name.Local != "serviceproviders":
				return fmt.Errorf("the root element is %q, not serviceproviders", t.Name.Local)
			case t.Name.Local == "country" && depth == 1:
				rd.country, rd.uiOrder = "", 0
				for _, a := range t.Attr {
					if a.Name.Local == "code" {
						rd.country = strings.ToLower(strings.TrimSpace(a.Value))
					}
				}
			case t.Name.Local == "provider" && depth == 2:
				rd.elements = 0
				e, err := rd.element(t, depth)
				if err != nil {
					return err
				}
				if len(rd.ids) >= maxProviders {
					return fmt.Errorf("more than %d providers", maxProviders)
				}
				rd.takeProvider(&e)
				continue // its end is read
			}
			if depth++; depth > maxDepth {
				return fmt.Errorf("elements are nested deeper than %d", maxDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
}

func (rd *reader) element(start xml.StartElement, depth int) (element, error) {
	e := element{name: start.Name.Local, attrs: slices.Clone(start.Attr)}
	e.line, _ = rd.dec.InputPos()
	if depth > maxDepth {
		return e, fmt.Errorf("elements are nested deeper than %d", maxDepth)
	}
	if rd.elements++; rd.elements > maxElements {
		return e, fmt.Errorf("a provider has more than %d elements", maxElements)
	}
	for {
		tok, err := rd.dec.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return e, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			c, err := rd.element(t, depth+1)
			if err != nil {
				return e, err
			}
			e.children = append(e.children, c)
		case xml.CharData:
			if len(e.text)+len(t) > maxText {
				return e, fmt.Errorf("an element has more than %d bytes of text", maxText)
			}
			e.text += string(t)
		case xml.EndElement:
			e.text = strings.TrimSpace(e.text)
			return e, nil
		}
	}
}

func (rd *reader) takeProvider(e *element) {
	rd.uiOrder++
	rd.provider = e.childText("name")
	if rd.provider == "" {
		rd.provider = "operator " + strconv.Itoa(rd.uiOrder)
	}
	p := cosa.OperatorProfile{
		Name: clean(rd.provider), Country: rd.country,
		Source: cosa.SourceDatabase, Origin: rd.origin, Rank: cosa.DefaultRank,
	}
	// The id is the name's own, so two of one name are numbered.
	base := p.Country + "/" + p.Name
	rd.ids[base]++
	if n := rd.ids[base]; n > 1 {
		p.Name += " (" + strconv.Itoa(n) + ")"
	}
	p.ID = p.Country + "/" + p.Name
	switch e.attr("primary") {
	case "true":
		p.Rank = rankPrimary
	case "false":
		p.Rank = rankNotPrimary
	}

	var plmns []string
	gsm := false
	for i := range e.children {
		g := &e.children[i]
		if g.name != "gsm" {
			continue
		}
		gsm = true
		for j := range g.children {
			rd.takeGSM(&p, &plmns, &g.children[j])
		}
	}
	if !gsm {
		rd.refuse(e.line, "provider", "CDMA only: no MCC+MNC to find it by")
		return
	}
	slices.SortFunc(p.Ext, func(a, b cosa.ExtField) int { return strings.Compare(a.Key, b.Key) })
	if len(plmns) > 0 {
		slices.Sort(plmns)
		p.Targets = []cosa.Target{{MCCMNC: slices.Compact(plmns), UIOrder: rd.uiOrder}}
	} else {
		rd.refuse(e.line, "network-id", "none given: kept for manual choice, never matched")
	}
	if len(p.Connections) == 0 && len(p.Ext) == 0 {
		rd.refuse(e.line, "provider", "no connection of it can be used")
		return
	}
	rd.profiles = append(rd.profiles, p)
}

func (rd *reader) takeGSM(p *cosa.OperatorProfile, plmns *[]string, e *element) {
	switch e.name {
	case "network-id":
		mcc, mnc := e.attr("mcc"), e.attr("mnc")
		if !digits(mcc, 3, 3) || !digits(mnc, 2, 3) {
			rd.refuse(e.line, fmt.Sprintf("network-id %q %q", mcc, mnc), "not three digits and two or three digits")
			return
		}
		*plmns = append(*plmns, mcc+mnc)
	case "balance-check", "balance-top-up":
		rd.takeBalance(p, e)
	case "apn":
		if c, ok := rd.connection(e); ok {
			p.Connections = append(p.Connections, c)
		}
	}
}

// takeBalance keeps the codes that a modem can send: USSD and SMS.
func (rd *reader) takeBalance(p *cosa.OperatorProfile, e *element) {
	for i := range e.children {
		c := &e.children[i]
		key, sep, value := "", " ", c.text
		switch {
		case c.name == "ussd" && e.name == "balance-check":
			key = cosa.ExtBalanceUSSD
		case c.name == "ussd" && c.attr("replacement") == "CODE":
			key = cosa.ExtTopUpUSSD
		case c.name == "sms" && e.name == "balance-check":
			key, sep, value = cosa.ExtBalanceSMS, "; ", strings.TrimSpace(c.text+" "+clean(c.attr("text")))
		default:
			continue
		}
		if c.name == "ussd" && (value == "" || strings.Trim(strings.ReplaceAll(value, "CODE", ""), "0123456789*#") != "") {
			rd.refuse(c.line, fmt.Sprintf("ussd %q", value), "not a USSD code")
			continue
		}
		if at := slices.IndexFunc(p.Ext, func(f cosa.ExtField) bool { return f.Key == key }); at >= 0 {
			p.Ext[at].Value += sep + value
		} else {
			p.Ext = append(p.Ext, cosa.ExtField{Key: key, Value: value})
		}
	}
}

func (rd *reader) connection(e *element) (c cosa.Connection, ok bool) {
	raw := ""
	for _, a := range e.attrs {
		if a.Name.Local == "value" {
			raw = a.Value
		}
	}
	what := fmt.Sprintf("apn %q", raw)
	c.APN = strings.TrimSpace(raw)
	if c.APN == "" {
		rd.refuse(e.line, what, "empty")
		return c, false
	}
	if why := cosa.CheckAPN(c.APN); why != "" {
		rd.refuse(e.line, what, why)
		return c, false
	}
	usage := ""
	if u := e.child("usage"); u != nil {
		usage = u.attr("type")
	}
	switch usage {
	case "":
	case "internet":
		c.Purposes = cosa.Purposes(cosa.Internet)
	case "mms":
		c.Purposes = cosa.Purposes(cosa.MMS)
	case "mms-internet-hipri", "mms-internet-hipri-fota":
		c.Purposes = cosa.Purposes(cosa.Internet | cosa.MMS)
	case "wap":
		rd.refuse(e.line, what, "usage wap: leads to a proxy, not to the internet")
		return c, false
	default:
		rd.refuse(e.line, what, fmt.Sprintf("usage %q is not known", usage))
		return c, false
	}
	if c.APN != raw {
		rd.refuse(e.line, what, "blanks around it removed, kept")
	}
	for i := range e.children {
		if t := e.children[i].attr("type"); e.children[i].name == "plan" {
			switch {
			case t != cosa.PlanPrepaid && t != cosa.PlanPostpaid:
			case c.Plan == "" || c.Plan == t:
				c.Plan = t
			default:
				c.Plan = cosa.PlanBoth
			}
		}
	}
	c.FriendlyName = clean(e.childText("name"))
	c.Username = clean(e.childText("username"))
	c.Password = cosa.Secret(clean(e.childText("password")))
	if a := e.child("authentication"); a != nil && (c.Username != "" || c.Password != "") {
		c.Auth, _ = cosa.ParseAuth(a.attr("method"))
	}
	return c, true
}

// clean makes one line of a text.
func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

func digits(s string, min, max int) bool {
	return len(s) >= min && len(s) <= max && strings.Trim(s, "0123456789") == ""
}
