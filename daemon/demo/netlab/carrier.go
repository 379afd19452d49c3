package netlab

import (
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// endpoint is the carrier's HTTP server: it answers 204, or sends everybody on to a portal.
type endpoint struct {
	reached atomic.Int64
	portal  atomic.Value // string
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if to, _ := e.portal.Load().(string); to != "" {
		http.Redirect(w, r, to, http.StatusFound)
		return
	}
	e.reached.Add(1)
	w.WriteHeader(http.StatusNoContent)
}

// names is a name server's zone; names are in lower case and without the final dot.
type names map[string]netip.Addr

func (o Options) names() names {
	n := names{ReachName: ReachAddr, SMDPName: SMDPAddr, PortalName: PortalAddr}
	for name, a := range o.Names {
		n[strings.ToLower(strings.TrimSuffix(name, "."))] = a
	}
	return n
}

func (n names) find(name string) (netip.Addr, bool) {
	a, ok := n[strings.ToLower(strings.TrimSuffix(name, "."))]
	return a, ok
}

// answer is the reply to a query (RFC 1035), or nil to what is none.
func (n names) answer(query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil || h.Response || h.OpCode != 0 {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	a, known := n.find(q.Name.String())
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: h.ID, Response: true, Authoritative: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	rh := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	switch {
	case q.Type == dnsmessage.TypeAAAA && strings.EqualFold(q.Name.String(), ReachName+"."):
		m.Answers = []dnsmessage.Resource{{Header: rh, Body: &dnsmessage.AAAAResource{AAAA: ReachAddr6.As16()}}}
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA && a.Is4():
		m.Answers = []dnsmessage.Resource{{Header: rh, Body: &dnsmessage.AResource{A: a.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && a.Is6():
		m.Answers = []dnsmessage.Resource{{Header: rh, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}
