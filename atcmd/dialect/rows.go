package dialect

import "strings"

// Use is a row of a dialect that one modem is handled by.
type Use struct {
	What string // "card", "SIM reset +CFUN=0, +CFUN=1", "data call ecm"
	Row
}

// Uses lists the rows of the dialect for a modem with the given USB identity, ""
// if it has none, and data function, "" if it is not known. What a row takes from
// 27.007 alone, with nothing of a vendor's, is in it too.
func (d *Dialect) Uses(usb string, function Kind) []Use {
	var list []Use
	add := func(what string, row Row) {
		if row.Source != "" {
			list = append(list, Use{what, row})
		}
	}
	name := func(send string) string {
		if i := strings.IndexAny(send, "=?"); i > 0 {
			send = send[:i]
		}
		return send
	}
	if p, ok := d.PortsOf(usb); ok && usb != "" {
		add("ports", p.Row)
	}
	for _, s := range d.Init {
		add("init "+name(s.Send), s.Row)
	}
	for _, u := range d.URCs {
		add("URC "+u.Tag, u.Row)
	}
	add("card", d.APDU.Row)
	for _, q := range d.ICCID {
		add("ICCID "+name(q.Send), q.Row)
	}
	for _, q := range d.PINTries {
		add("PIN tries "+name(q.Send), q.Row)
	}
	add("slots", d.Slots.Row)
	for _, r := range d.SIMReset {
		add("SIM reset "+r.Name, r.Row)
	}
	add("REFRESH", d.Refresh.Row)
	add("carrier configuration", d.Carrier.Row)
	add("data function", d.Function.Row)
	add("attach context", d.Attach.Row)
	for _, a := range d.Auth {
		add("APN login "+name(a.Set), a.Row)
	}
	if function != "" {
		if c := d.Call(function); c != nil {
			add("data call "+string(function), c.Row)
		}
	} else {
		for _, c := range d.Data {
			add("data call "+kinds(c.Functions), c.Row)
		}
	}
	for _, s := range d.Signal {
		add("signal "+name(s.Send), s.Row)
	}
	for _, c := range d.Cells {
		add("cells "+name(c.Send), c.Row)
	}
	add("USSD", d.USSD.Row)
	return list
}

func kinds(list []Kind) string {
	var names []string
	for _, k := range list {
		names = append(names, string(k))
	}
	if len(names) == 0 {
		return "any"
	}
	return strings.Join(names, "/")
}

// Commands lists the commands that the dialect itself sends to reset the card or
// the modem, to choose a slot or a data function, and to start or end a data
// call: what a person must not send behind its back.
func (d *Dialect) Commands() []string {
	var list []string
	add := func(steps []Step) {
		for _, s := range steps {
			list = append(list, s.Send)
		}
	}
	for _, r := range d.SIMReset {
		add(r.Steps)
	}
	add(d.Slots.Select)
	add(d.Function.Set)
	add(d.Attach.Define)
	for _, c := range d.Data {
		add(c.Up)
		add(c.Down)
	}
	return list
}
