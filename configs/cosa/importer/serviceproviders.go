package importer

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

// Ranks for the provider's attribute "primary": true marks the owner of a
// network that others share, false one that must not be taken for it.
const (
	rankPrimary    = cosa.DefaultRank - 10
	rankNotPrimary = cosa.DefaultRank + 10
)

// providers reads the serviceproviders.xml of mobile-broadband-provider-info
// (serviceproviders.2.dtd), GNOME's public domain list of operators and APNs.
// The ids are providers:COUNTRY/NAME; the file's order within a country is the UIOrder.
type providers struct {
	*reader
	file *File
	ids  map[string]int

	country  string
	uiOrder  int
	provider string // name of the current one
}

func readServiceProviders(rd *reader, file *File) error {
	s := &providers{reader: rd, file: file, ids: map[string]int{}}
	for {
		tok, err := s.next()
		if errors.Is(err, io.EOF) {
			if len(s.ids) == 0 {
				return errors.New("no providers")
			}
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := tok.(xml.StartElement)
		switch {
		case !ok:
		case start.Name.Local == "country" && s.depth == 2:
			s.country, s.uiOrder = strings.ToLower(strings.TrimSpace(attrOf(start.Attr, "code"))), 0
		case start.Name.Local == "provider" && s.depth == 3:
			e, err := s.tree(start)
			if err != nil {
				return err
			}
			if err := s.takeProvider(&e); err != nil {
				return err
			}
		}
	}
}

// what names a part of the current provider for the report.
func (s *providers) what(part string) string { return s.country + ", " + s.provider + ": " + part }

func (s *providers) refuse(line int, part, why string) { s.file.Report.refuse(line, s.what(part), why) }
func (s *providers) lose(line int, part, why string)   { s.file.Report.lose(line, s.what(part), why) }

// inDefaultLanguage returns the text of the first child of that name without a
// language, or "".
func (e *element) inDefaultLanguage(name string) string {
	for c := range e.all(name) {
		if c.attr("lang") == "" {
			return c.text
		}
	}
	return ""
}

func (s *providers) takeProvider(e *element) error {
	s.uiOrder++
	s.provider = e.inDefaultLanguage("name")
	if s.provider == "" {
		s.provider = "operator " + strconv.Itoa(s.uiOrder)
	}
	p := cosa.OperatorProfile{
		Name: oneLine(s.provider), Country: s.country,
		Source: cosa.SourceLocal, Origin: s.file.Report.File, Rank: cosa.DefaultRank,
	}
	// The id is the name's own, so two of one name are numbered.
	base := p.Country + "/" + p.Name
	s.ids[base]++
	if n := s.ids[base]; n > 1 {
		p.Name += " (" + strconv.Itoa(n) + ")"
	}
	p.ID = "providers:" + p.Country + "/" + p.Name
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
			s.takeGSM(&p, &plmns, &g.children[j])
		}
	}
	if !gsm {
		s.refuse(e.line, "provider", "CDMA only: no MCC+MNC to find it by")
		return s.file.bounded()
	}
	p.Ext.Sort()
	if len(plmns) > 0 {
		slices.Sort(plmns)
		p.Targets = []cosa.Target{{MCCMNC: slices.Compact(plmns), UIOrder: s.uiOrder}}
	} else {
		s.lose(e.line, "network-id", "none given: kept for manual choice, never matched")
	}
	if len(p.Connections) == 0 && len(p.Ext) == 0 {
		s.refuse(e.line, "provider", "no connection of it can be used")
		return s.file.bounded()
	}
	connections := p.Connections
	p.Connections = nil
	if why := p.Check(); why != "" {
		s.refuse(e.line, "provider", why)
		return s.file.bounded()
	}
	if err := s.file.add(p); err != nil {
		return err
	}
	for _, c := range connections {
		why, err := s.file.addConnection(len(s.file.Profiles)-1, c)
		if err != nil {
			return err
		}
		if why != "" {
			s.refuse(e.line, fmt.Sprintf("apn %q", c.APN), why)
		}
	}
	return nil
}

func (s *providers) takeGSM(p *cosa.OperatorProfile, plmns *[]string, e *element) {
	switch e.name {
	case "network-id":
		mcc, mnc := strings.TrimSpace(e.attr("mcc")), strings.TrimSpace(e.attr("mnc"))
		if !isDigits(mcc, 3, 3) || !isDigits(mnc, 2, 3) {
			s.refuse(e.line, fmt.Sprintf("network-id %q %q", mcc, mnc), "not three digits and two or three digits")
			return
		}
		*plmns = append(*plmns, mcc+mnc)
	case "balance-check", "balance-top-up":
		s.takeBalance(p, e)
	case "apn":
		if c, ok := s.connection(e); ok {
			p.Connections = append(p.Connections, c)
		}
	}
}

// takeBalance keeps the codes that a modem can send: USSD and SMS.
func (s *providers) takeBalance(p *cosa.OperatorProfile, e *element) {
	for i := range e.children {
		c := &e.children[i]
		key, sep, value := "", " ", c.text
		switch {
		case c.name == "ussd" && e.name == "balance-check":
			key = cosa.ExtBalanceUSSD
		case c.name == "ussd" && c.attr("replacement") == "CODE":
			key = cosa.ExtTopUpUSSD
		case c.name == "sms" && e.name == "balance-check":
			key, sep, value = cosa.ExtBalanceSMS, "; ", strings.TrimSpace(c.text+" "+oneLine(c.attr("text")))
		default:
			continue
		}
		if c.name == "ussd" && (value == "" || strings.Trim(strings.ReplaceAll(value, "CODE", ""), "0123456789*#") != "") {
			s.refuse(c.line, fmt.Sprintf("ussd %q", value), "not a USSD code")
			continue
		}
		if at := slices.IndexFunc(p.Ext, func(f cosa.ExtField) bool { return f.Key == key }); at >= 0 {
			p.Ext[at].Value += sep + value
		} else {
			p.Ext = append(p.Ext, cosa.ExtField{Key: key, Value: value})
		}
	}
}

func (s *providers) connection(e *element) (c cosa.Connection, ok bool) {
	raw := e.attr("value")
	what := fmt.Sprintf("apn %q", raw)
	c.APN = strings.TrimSpace(raw)
	if c.APN == "" {
		s.refuse(e.line, what, "empty")
		return c, false
	}
	if why := cosa.CheckAPN(c.APN); why != "" {
		s.refuse(e.line, what, why)
		return c, false
	}
	usage := ""
	for u := range e.all("usage") {
		usage = u.attr("type")
		break
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
		s.refuse(e.line, what, "usage wap: leads to a proxy, not to the internet")
		return c, false
	default:
		s.refuse(e.line, what, fmt.Sprintf("usage %q is not known", usage))
		return c, false
	}
	if c.APN != raw {
		s.lose(e.line, what, "blanks around it removed, kept")
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
	c.FriendlyName = oneLine(e.inDefaultLanguage("name"))
	c.Username = oneLine(e.inDefaultLanguage("username"))
	c.Password = cosa.Secret(oneLine(e.inDefaultLanguage("password")))
	for a := range e.all("authentication") {
		if c.Username != "" || c.Password != "" {
			c.Auth, _ = cosa.ParseAuth(a.attr("method"))
		}
		break
	}
	if why := c.Check(); why != "" {
		s.refuse(e.line, what, why)
		return c, false
	}
	return c, true
}
