package dialect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Problem is one value of a dialect that no reader of it understands.
type Problem struct {
	Path string // TOML path below the dialect: "data[0].up[1].send"
	Msg  string
	Hint string
}

func (p *Problem) Error() string { return p.Path + ": " + p.Msg }

// trial holds a value for each placeholder.
var trial = Values{
	"cid": "1", "apn": "internet", "type": "IP", "ptype": "1", "user": "u", "password": "p", "auth": "1",
	"slot": "1", "other": "0", "function": "1",
}

// Check finds what Expand and the readers of the tables would stumble over. It
// returns nil, or the first problem.
func (d *Dialect) Check() error {
	if problems := d.Problems(); len(problems) > 0 {
		return problems[0]
	}
	return nil
}

// Problems lists everything that Check looks for.
func (d *Dialect) Problems() []*Problem {
	c := &checker{}
	if d.Name == "" || strings.Trim(d.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(d.Name) > 32 {
		c.fail("name", "up to 32 of a-z, 0-9 and hyphen", "%q is not the name of a dialect", d.Name)
	}
	for i, m := range d.Match {
		if m == (Match{}) {
			c.fail(fmt.Sprintf("match[%d]", i), "give manufacturer, model, revision or usb", "an empty match fits nothing")
		}
	}
	for i, p := range d.Ports {
		c.interfaces(fmt.Sprintf("ports[%d].at", i), p.AT)
		c.interfaces(fmt.Sprintf("ports[%d].ppp", i), p.PPP)
	}
	c.steps("init", d.Init)
	for i, u := range d.URCs {
		oneOf(c, fmt.Sprintf("urcs[%d].event", i), u.Event, EventSIM, EventRegistration, EventContext, EventBoot, EventOther)
		if strings.TrimSpace(u.Tag) == "" {
			c.fail(fmt.Sprintf("urcs[%d].tag", i), `such as "+QUSIM"`, "the tag is empty")
		}
	}
	for i, way := range d.APDU.Order {
		oneOf(c, fmt.Sprintf("apdu.order[%d]", i), way, CGLA, CSIM)
	}
	oneOf(c, "apdu.verdict", d.APDU.Verdict, "", Blocked, NoHost)
	if n := d.APDU.MaxChannel; n < 0 || n > 19 { // TS 102 221, 11.1.17
		c.fail("apdu.max_channel", "0 to 19", "%d channels are more than a card has", n)
	}
	if n := d.APDU.BlockSize; n < 0 || n > 255 {
		c.fail("apdu.block_size", "1 to 255, 0 for unknown", "%d bytes are no block of a short APDU", n)
	}
	c.queries("iccid", d.ICCID)
	c.queries("pin_tries", d.PINTries)
	c.query("slots.active", d.Slots.Active)
	for v, n := range d.Slots.Names {
		if len(n) != 1 || !isNumber(n) {
			c.fail("slots.names."+v, "a digit", "%q is no slot", n)
		}
	}
	c.steps("slots.select", d.Slots.Select)
	for i, r := range d.SIMReset {
		at := fmt.Sprintf("sim_reset[%d]", i)
		c.steps(at+".steps", r.Steps)
		oneOf(c, at+".restarts", r.Restarts, "", CardPart, RadioPart, ModemPart)
		if r.Settle <= 0 {
			c.fail(at+".settle", `such as "30s"`, "a rung without time to settle is never seen to work")
		}
	}
	c.query("carrier.query", d.Carrier.Query)
	c.query("carrier.auto", d.Carrier.Auto)
	c.query("function.query", d.Function.Query)
	c.steps("function.set", d.Function.Set)
	for v, k := range d.Function.Kinds {
		oneOf(c, "function.kinds."+v, k, ECM, NCM, RNDIS, RawIP, QMI, MBIM, PPP, None)
	}
	if d.Attach.CID < 0 || d.Attach.CID > 255 {
		c.fail("attach.cid", "0 or 1 on most modems", "%d is no context number", d.Attach.CID)
	}
	c.steps("attach.define", d.Attach.Define)
	for i, a := range d.Auth {
		c.send(fmt.Sprintf("auth[%d].set", i), a.Set)
		c.send(fmt.Sprintf("auth[%d].clear", i), a.Clear)
	}
	for i, call := range d.Data {
		at := fmt.Sprintf("data[%d]", i)
		for j, k := range call.Functions {
			oneOf(c, fmt.Sprintf("%s.functions[%d]", at, j), k, ECM, NCM, RNDIS, RawIP, QMI, MBIM, PPP, None)
		}
		c.steps(at+".up", call.Up)
		c.steps(at+".down", call.Down)
		for j, q := range call.State {
			state := fmt.Sprintf("%s.state[%d]", at, j)
			c.send(state+".send", q.Send)
			c.field(state+".state_field", q.StateField)
			if q.CIDField != -1 { // which is none
				c.field(state+".cid_field", q.CIDField)
			}
		}
		for j, a := range call.Address {
			oneOf(c, fmt.Sprintf("%s.address[%d]", at, j), a, DHCP, CGCONTRDP, CGPADDR, CGPADDRNet)
		}
		if len(call.Address) == 0 {
			c.fail(at+".address", `such as ["dhcp"]`, "the host would get no address")
		}
	}
	if d.Dial.Send != "" {
		c.steps("dial", []Step{d.Dial})
	}
	for i, q := range d.Signal {
		at := fmt.Sprintf("signal[%d]", i)
		c.send(at+".send", q.Send)
		c.field(at+".rsrp.field", q.RSRP.Field)
		c.field(at+".rsrq.field", q.RSRQ.Field)
		c.field(at+".sinr.field", q.SINR.Field)
	}
	c.cells(d.Cells)
	return c.problems
}

type checker struct{ problems []*Problem }

func (c *checker) fail(path, hint, format string, args ...any) {
	c.problems = append(c.problems, &Problem{path, fmt.Sprintf(format, args...), hint})
}

func oneOf[T ~string](c *checker, path string, v T, allowed ...T) {
	if slices.Contains(allowed, v) {
		return
	}
	var names []string
	for _, a := range allowed {
		if a != "" {
			names = append(names, strconv.Quote(string(a)))
		}
	}
	c.fail(path, "one of "+strings.Join(names, ", "), "%q has no meaning here", string(v))
}

func (c *checker) send(path, send string) {
	text, _, err := Expand(send, trial)
	switch {
	case err != nil:
		c.fail(path, "{cid} {apn} {type} {ptype} {user} {password} {auth} {slot} {other} {function}", "%v", err)
	case text == "":
		c.fail(path, `without AT: "+CFUN=1"`, "the command is empty")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		c.fail(path, "printable ASCII on one line", "the command has characters that no AT command has")
	case len(text) > 1 && strings.EqualFold(text[:2], "AT"):
		c.fail(path, `without AT: "+CFUN=1"`, "%q begins with AT, which is put before it anyway", send)
	}
}

func (c *checker) steps(path string, steps []Step) {
	for i, s := range steps {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.send(at+".send", s.Send)
		oneOf(c, at+".when", s.When, "", WithAuth, WithoutAuth)
		if s.Timeout < 0 || s.Pause < 0 {
			c.fail(at, "", "a negative time")
		}
	}
}

// query checks one that may be absent.
func (c *checker) query(path string, q Query) {
	if q.Send == "" {
		return
	}
	c.send(path+".send", q.Send)
	if n, _, ok := strings.Cut(q.Where, "="); q.Where != "" && (!ok || !isNumber(n)) {
		c.fail(path+".where", `a parameter's number and its value: "3=1"`, "%q picks no line", q.Where)
	}
	c.field(path+".field", q.Field)
}

func (c *checker) field(path string, n int) {
	if n < 0 || n > 63 {
		c.fail(path, "counted from 0", "%d is no parameter", n)
	}
}

func (c *checker) interfaces(path string, numbers []int) {
	for _, n := range numbers {
		if n < 0 || n > 255 {
			c.fail(path, "bInterfaceNumber, 0 to 255", "%d is no interface number", n)
		}
	}
}

func (c *checker) queries(path string, list []Query) {
	for i, q := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if q.Send == "" {
			c.fail(at+".send", `such as "+CCID"`, "the command is empty")
		}
		c.query(at, q)
	}
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 6)
	return err == nil
}
