package cosa

import (
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
)

// Request says what a connection is wanted for. The zero value asks for an
// internet connection without regard to roaming.
type Request struct {
	Purpose Purpose // 0: Internet
	Roaming RoamState
	AcT     AcT // 0: any

	// Explicit are connections that somebody asked for, in order: from the
	// activation request, then from the configuration. They hide the records
	// as any higher source does.
	Explicit []Given

	// Modem is the modem's own usable context, if it has one. It goes before the
	// local files' records and the database's, and hides none of them; a record
	// of a higher source hides it unless that record sets allowFallback.
	Modem *Given
	// LastGood is the Key of the connection that last worked with this ICCID;
	// it goes first among the records' connections.
	LastGood string
	// NetworkAssigned adds an empty APN as the very last try, with which the
	// network assigns one, except where a record says that the operator refuses it.
	//
	// Neither it nor Modem gets round records that know the SIM and of which no
	// connection may be used now.
	NetworkAssigned bool
}

// Given is a connection that does not come from a record.
type Given struct {
	Connection Connection
	Origin     string // for the reason: "activation request", "[apn] apn"
}

// Candidate is a connection to try, with the reason for it.
type Candidate struct {
	Connection Connection
	Profile    *OperatorProfile // nil for a Given and for the network-assigned APN
	Source     Source
	Reason     string // one line without secrets
}

// Candidates returns the connections to try, in order: the explicit ones and
// nothing else; or the last good one of the records, then by source the modem's
// own and the records' by AutoConnectOrder and list order, and the empty APN.
// Without any it returns a *NoAPNError.
func (d Decision) Candidates(req Request) ([]Candidate, error) {
	if req.Purpose == 0 {
		req.Purpose = Internet
	}
	var out []Candidate
	for _, g := range req.Explicit {
		out = append(out, Candidate{Connection: g.Connection, Source: SourceUser, Reason: "given by " + g.Origin})
	}
	if len(out) > 0 {
		return dedupe(out), nil
	}

	records, dropped := d.records(req)
	if len(dropped) > 0 && !slices.ContainsFunc(records, func(c Candidate) bool { return c.Profile != nil }) {
		return nil, d.noConnection(req, dropped)
	}
	if i := slices.IndexFunc(records, func(c Candidate) bool { return c.Profile != nil && c.Connection.Key() == req.LastGood }); i >= 0 && req.LastGood != "" {
		good := records[i]
		good.Reason += ", worked last with this ICCID"
		out = append(out, good)
		records = slices.Delete(records, i, i+1)
	}
	out = append(out, records...)
	if req.NetworkAssigned && req.Purpose == Internet && d.mayAssign() {
		out = append(out, Candidate{Source: SourceModem, Reason: "empty APN as the last try: the network assigns one"})
	}
	if len(out) > 0 {
		return dedupe(out), nil
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return nil, d.noConnection(req, nil)
}

func (d Decision) noConnection(req Request, dropped []string) *NoAPNError {
	return &NoAPNError{
		Err:  ErrNoConnection,
		What: fmt.Sprintf("%s: nothing for purpose %s", d.Reason(), req.Purpose),
		Why:  strings.Join(dropped, "; "),
		home: d.HomeNetwork, db: d.db,
	}
}

// records gives the usable connections of the winners and, where those allow
// it, of the sources below, in order, with the modem's own at its place.
func (d Decision) records(req Request) (list []Candidate, dropped []string) {
	var modem []Candidate
	if req.Modem != nil && req.Purpose == Internet && !d.bootstrap() {
		modem = []Candidate{{Connection: req.Modem.Connection, Source: SourceModem, Reason: "given by " + req.Modem.Origin}}
	}
	for group := range d.groups() {
		if group[0].Profile.Source > SourceModem {
			list, modem = append(list, modem...), nil
		}
		for _, m := range group {
			reason := d.reasonFor(m)
			for _, c := range m.Profile.inOrder() {
				if !c.For(req.Purpose) {
					continue
				}
				if why := c.unusable(req); why != "" {
					dropped = append(dropped, fmt.Sprintf("%q is %s", c.APN, why))
					continue
				}
				list = append(list, Candidate{Connection: *c, Profile: m.Profile, Source: m.Profile.Source, Reason: reason})
			}
		}
		if !fallsBack(group) {
			return list, dropped
		}
	}
	return append(list, modem...), dropped
}

// groups yields the winners and, where all of them allow it, the best matches of
// the next source, and so on.
func (d Decision) groups() iter.Seq[[]Match] {
	return func(yield func([]Match) bool) {
		for first, last := 0, d.Winners; first < last; first, last = d.nextSource(first) {
			if group := d.Matches[first:last]; !yield(group) || !fallsBack(group) {
				return
			}
		}
	}
}

// inOrder gives the connections by AutoConnectOrder, those without one last and
// in list order.
func (p *OperatorProfile) inOrder() []*Connection {
	out := make([]*Connection, len(p.Connections))
	for i := range p.Connections {
		out[i] = &p.Connections[i]
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Order, out[j].Order
		return a != 0 && (b == 0 || a < b)
	})
	return out
}

// unusable says why the connection may not be used now, "" if it may.
func (c *Connection) unusable(req Request) string {
	switch {
	case !c.Enabled.Or(true):
		return "disabled"
	case !c.Roaming.Allows(req.Roaming):
		return "not for " + req.Roaming.String()
	case !c.AcT.Has(req.AcT):
		return "not for this access technology"
	}
	return ""
}

func fallsBack(group []Match) bool {
	for _, m := range group {
		if !m.Profile.AllowFallback.Or(false) {
			return false
		}
	}
	return true
}

// nextSource returns the bounds of the best group of the source below the one
// of d.Matches[first].
func (d Decision) nextSource(first int) (from, to int) {
	from = first
	for from < len(d.Matches) && d.Matches[from].Profile.Source == d.Matches[first].Profile.Source {
		from++
	}
	return from, from + tied(d.Matches[from:])
}

func (d Decision) mayAssign() bool {
	for _, m := range d.Matches[:d.Winners] {
		if !m.Profile.NetworkAssigned.Or(true) {
			return false
		}
	}
	return !d.bootstrap()
}

// bootstrap tells that the SIM is only for fetching an operational profile
// (COSA's ESIM_PROV): whatever the network or the modem would give is no way to
// the internet.
func (d Decision) bootstrap() bool {
	return slices.ContainsFunc(d.Matches[:d.Winners], func(m Match) bool { return m.Profile.SIM.ESIMProvisioning.Or(false) })
}

// dedupe removes candidates that would ask the network for the same again.
func dedupe(list []Candidate) []Candidate {
	seen := make(map[bearer]bool, len(list))
	return slices.DeleteFunc(list, func(c Candidate) bool {
		b := c.Connection.bearer()
		again := seen[b]
		seen[b] = true
		return again
	})
}
