// Package diag walks from the board to the internet and names the first thing
// that is broken, with what to do about it. It asks a World and touches nothing
// itself.
package diag

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The states of a node.
const (
	OK      = "ok"
	Broken  = "broken"
	Skipped = "skipped" // a node that it depends on is broken
)

// Diagnosis is the whole walk.
type Diagnosis struct {
	Nodes []Node `json:"nodes"`
	OK    bool   `json:"ok"`
}

// Node is one thing that has to work.
type Node struct {
	Name   string `json:"name"`
	Parent string `json:"parent,omitempty"` // what it depends on
	State  string `json:"state"`            // ok, broken, skipped
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
	// Details are lines behind the text: what became of each reach target.
	Details []string `json:"details,omitempty"`
}

// World is the box as the walk sees it. A method that cannot find out returns an
// error, whose Hint(), if it has one, is the advice. They are called in the order
// in which they stand here, each at most once in a walk, and none whose node
// depends on a broken one.
type World interface {
	Board(ctx context.Context) (Board, error)
	Port(ctx context.Context) (name string, err error)
	Modem(ctx context.Context) (text string, err error)
	Clock(ctx context.Context) (text string, err error)
	Card(ctx context.Context) (text string, err error)
	SIM(ctx context.Context) (SIM, error)
	Profile(ctx context.Context) (text string, err error)
	Registration(ctx context.Context) (Registration, error)
	Data(ctx context.Context) (text string, err error)
	Context(ctx context.Context) (Context, error)
	Link(ctx context.Context) (Link, error)
	Reach(ctx context.Context) (Reach, error)
}

// Board is the box around the modem.
type Board struct {
	Model string // of the box, "" if it does not tell
	// Definition is the name of what is known of it, "" for nothing.
	Definition string
	Ports      []string // that may be a modem's
	Fixed      bool     // the port is configured by name: there need not be another
}

// SIM is what the modem says of the card in its slot.
type SIM struct {
	State     string // of package modem: ready, no-profile, absent, ...
	Ready     bool
	NoProfile bool   // an eUICC without an enabled profile
	Advice    string // for a state that is not Ready
}

// Registration is the packet-switched one.
type Registration struct {
	Registered bool
	Text       string // home, roaming, searching, ..., with the technology
	Cause      int    // of a rejection (TS 24.301, 9.9.3.9), 0 if there was none
	CauseText  string // with the number
}

// Context is the connection to the operator's gateway.
type Context struct {
	Active bool
	APN    string
	Why    string // the APN's origin, or why no context is active
	Advice string
}

// Link is the interface, as it should be and as it is.
type Link struct {
	Interface string
	Addresses []string
	Private   bool     // of a bootstrap profile: the router has no route by it, and no name servers
	Usable    bool     // up, with carrier and an address
	Differs   []string // what is not as it should be: addresses, MTU
	Routes    []string // the same of routes and rules
	DNS       []string // the same of the DNS file
	Servers   []string // name servers of the link
}

// Reach is the reach check, made now.
type Reach struct {
	State   string // up, limited, down
	Cause   string // as in status.Reach
	Stage   string // of the target that says most: dns, tcp, http
	Text    string // the target that answered and its time, or what was found
	Advice  string
	Targets []string // a line each
}

// fault is a broken node.
type fault struct {
	text, advice string
	details      []string
}

func (f *fault) Error() string { return f.text }

// Hint returns the advice.
func (f *fault) Hint() string { return f.advice }

func broken(advice, format string, args ...any) error {
	return &fault{text: fmt.Sprintf(format, args...), advice: advice}
}

// nodeTime bounds the walk at one node.
const nodeTime = 20 * time.Second

// walk is one walk: what one node has found, another needs.
type walk struct {
	World
	sim   SIM
	link  Link
	reach Reach
}

// tree is the order of the walk, each node behind its parent. clock and card are
// no links of the chain: a link works without.
var tree = []struct {
	name, parent string
	advice       string // for an error that has none of its own
	ask          func(w *walk, ctx context.Context) (text string, err error)
}{
	{"board", "", "check power and cable of the modem; `lsusb` and `ls /dev/wwan* /dev/ttyUSB* /dev/ttyACM*` show what the kernel has", (*walk).board},
	{"port", "board", "name the modem's AT port in [modem] port; dynamod needs the rights to open it, and to be the only one", func(w *walk, ctx context.Context) (string, error) { return w.Port(ctx) }},
	{"modem", "port", "restart the modem; it may also be another of its ports that speaks AT", func(w *walk, ctx context.Context) (string, error) { return w.Modem(ctx) }},
	{"clock", "", "set the system's clock, or name servers in [time] ntp: until then servers cannot be verified", func(w *walk, ctx context.Context) (string, error) { return w.Clock(ctx) }},
	{"card", "modem", "the eUICC cannot be read: `dynamod card` tells more", func(w *walk, ctx context.Context) (string, error) { return w.Card(ctx) }},
	{"sim", "modem", "take the card out and in again, or restart the modem", (*walk).slot},
	{"profile", "sim", "the card's files cannot be read: restart the modem", (*walk).profile},
	{"registration", "profile", "restart the modem", (*walk).registration},
	{"data", "registration", "name the modem's interface in [uplink] interface, or put its USB mode right with `dynamod modem usb-mode`", func(w *walk, ctx context.Context) (string, error) { return w.Data(ctx) }},
	{"context", "data", "`dynamod apn explain` tells which APNs are tried, and when", (*walk).context},
	{"link", "context", "name the modem's interface in [uplink] interface", (*walk).device},
	{"route", "link", "", (*walk).route},
	{"dns", "route", "the check cannot be made: `dynamod check` tells whether [reach] targets are right", (*walk).dns},
	{"reach", "dns", "", (*walk).internet},
}

// Walk asks node after node. What depends on a broken node is not asked. The error
// is ctx's.
func Walk(ctx context.Context, world World) (Diagnosis, error) {
	d, w := Diagnosis{OK: true}, &walk{World: world}
	down := map[string]string{} // node -> the broken node that it is, or depends on
	for _, n := range tree {
		node := Node{Name: n.name, Parent: n.parent, State: OK}
		if culprit, ok := down[n.parent]; ok {
			down[n.name] = culprit
			node.State, node.Text = Skipped, "depends on "+culprit
			d.Nodes = append(d.Nodes, node)
			continue
		}
		nodeCtx, done := context.WithTimeout(ctx, nodeTime)
		text, err := n.ask(w, nodeCtx)
		late := nodeCtx.Err() != nil
		done()
		if ctx.Err() != nil {
			return d, ctx.Err()
		}
		node.Text = text
		if err != nil {
			d.OK = false
			down[n.name] = n.name
			node.State, node.Text, node.Advice = Broken, err.Error(), n.advice
			if late {
				node.Text = fmt.Sprintf("no answer within %s: %s", nodeTime, node.Text)
			}
			if h, ok := errors.AsType[interface {
				error
				Hint() string
			}](err); ok && h.Hint() != "" {
				node.Advice = h.Hint()
			}
			if f, ok := errors.AsType[*fault](err); ok {
				node.Details = f.details
			}
		}
		d.Nodes = append(d.Nodes, node)
	}
	return d, nil
}

func (w *walk) board(ctx context.Context) (string, error) {
	b, err := w.Board(ctx)
	switch {
	case err != nil:
		return "", err
	case len(b.Ports) == 0 && !b.Fixed:
		return "", broken("", "the kernel knows no port of a modem")
	}
	text := b.Model
	if b.Definition != "" {
		text = strings.TrimPrefix(text+", board "+b.Definition, ", ")
	}
	if text == "" {
		text = "unknown board"
	}
	if n := len(b.Ports); n > 0 {
		text += fmt.Sprintf(", ports that may be a modem's: %d", n)
	}
	return text, nil
}

func (w *walk) slot(ctx context.Context) (string, error) {
	var err error
	if w.sim, err = w.SIM(ctx); err != nil {
		return "", err
	}
	if !w.sim.Ready && !w.sim.NoProfile {
		return "", broken(w.sim.Advice, "the modem says %s", w.sim.State)
	}
	if w.sim.NoProfile {
		return "an eUICC", nil
	}
	return w.sim.State, nil
}

func (w *walk) profile(ctx context.Context) (string, error) {
	if w.sim.NoProfile {
		return "", broken(w.sim.Advice, "no profile is enabled")
	}
	return w.Profile(ctx)
}

// rejections say what to do about a rejection of the registration. The numbers
// are the EMM causes of TS 24.301, 9.9.3.9.
var rejections = map[int]string{
	2:  "the operator does not know this subscriber: ask whether the line is active; a new one may need hours",
	3:  "the operator has barred this SIM: ask there, with the ICCID",
	5:  "the operator does not take this device: ask there, with the IMEI",
	6:  "the operator has barred this device: ask there, with the IMEI",
	7:  "the line has no data service: ask the operator",
	8:  "the line has no service at all: ask the operator",
	11: "this network does not take the line: another place, or an operator with whom there is a roaming agreement",
	12: "the line may not be used at this place",
	13: "the line may not roam here: ask the operator for roaming",
	14: "the line has no data in this network: ask the operator for roaming",
	15: "the line may not be used in the cells of this place, perhaps because of the technology: ask the operator",
	17: "the network has a failure: wait; if it stays, ask the operator",
	19: "the network may not take the APN of the attach: put it into operators.d, with the purpose attach",
	22: "the network is overloaded: wait",
}

func (w *walk) registration(ctx context.Context) (string, error) {
	r, err := w.Registration(ctx)
	switch {
	case err != nil:
		return "", err
	case r.Registered:
		return r.Text, nil
	case r.Cause != 0:
		advice, ok := rejections[r.Cause]
		if !ok {
			advice = "ask the operator whether the line is active and this device allowed"
		}
		return "", broken(advice, "%s, %s", r.Text, r.CauseText)
	}
	return "", broken("check antenna and coverage, and that the line is active", "%s", r.Text)
}

func (w *walk) context(ctx context.Context) (string, error) {
	c, err := w.Context(ctx)
	switch {
	case err != nil:
		return "", err
	case !c.Active:
		return "", broken(c.Advice, "%s", strings.TrimSuffix("no context is active: "+c.Why, ": "))
	}
	return fmt.Sprintf("%q: %s", c.APN, c.Why), nil
}

func (w *walk) device(ctx context.Context) (string, error) {
	var err error
	if w.link, err = w.Link(ctx); err != nil {
		return "", err
	}
	const othersAdvice = "something else changes the interface: let NetworkManager, networkd and dhcpcd leave it alone"
	switch {
	case !w.link.Usable:
		return "", broken("the daemon sets it right at its next look; if it stays so, the modem gives no carrier: restart it", "%s is not up with an address and carrier", w.link.Interface)
	case len(w.link.Differs) > 0:
		return "", broken(othersAdvice, "%s differs: %s", w.link.Interface, w.link.Differs[0])
	}
	return strings.Join(append([]string{w.link.Interface}, w.link.Addresses...), " "), nil
}

func (w *walk) route(context.Context) (string, error) {
	if len(w.link.Routes) > 0 {
		return "", broken("something else changes the routes: find out with `ip monitor route rule` who, and let it leave those of protocol 215 alone", "a route or rule is missing: %s", w.link.Routes[0])
	}
	if w.link.Private {
		return "a bootstrap profile: none for the router's traffic, one for dynamod's own", nil
	}
	return "as they should be", nil
}

func (w *walk) dns(ctx context.Context) (string, error) {
	if len(w.link.DNS) > 0 {
		return "", broken("something else writes the DNS file: name another in [uplink] dns_file", "the DNS file differs: %s", w.link.DNS[0])
	}
	var err error
	if w.reach, err = w.Reach(ctx); err != nil {
		return "", err
	}
	if w.reach.State != "up" && w.reach.Stage == "dns" && w.reach.Cause != "portal" {
		return "", &fault{w.reach.Text, w.reach.Advice, w.reach.Targets}
	}
	if len(w.link.Servers) == 0 {
		return "no name server on this link", nil
	}
	return strings.Join(w.link.Servers, " "), nil
}

func (w *walk) internet(context.Context) (string, error) {
	if w.reach.State != "up" {
		return "", &fault{w.reach.Text, w.reach.Advice, w.reach.Targets}
	}
	return w.reach.Text, nil
}
