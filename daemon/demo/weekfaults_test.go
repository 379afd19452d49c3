//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
	"dynamod/netlink"
)

// A weekFault is something that goes wrong for a while on a box in the field.
type weekFault struct {
	part, name string
	class      *weekClass
	lines      []string // of sim ctl, to choose from; the part's name comes before
	mend       []string // of sim ctl, when it is over and clearing alone does not end it
	begin, end func(*week) error
	use        func(*week, context.Context, *hook.Client) error // what meets it, beside day-two work
	daemon     func(*week) error                                // the daemon ends, and this happens before it is started again
}

// weekClass has the limit for the time from a fault's end until traffic crosses.
type weekClass struct {
	name  string
	limit time.Duration
}

// The classes of docs/recovery.md.
var (
	classNoise   = &weekClass{"modem's answers are disturbed", 8 * time.Minute}
	classHang    = &weekClass{"modem or card hangs", 15 * time.Minute}
	classGone    = &weekClass{"modem is away", 2 * time.Minute}
	classReset   = &weekClass{"card is lost until a reset", 2*time.Hour + 15*time.Minute}
	classRadio   = &weekClass{"network is away or denies the modem", 8 * time.Minute}
	classSwallow = &weekClass{"contexts carry nothing", 70 * time.Minute}
	classRefuse  = &weekClass{"network refuses contexts", 2*time.Hour + 20*time.Minute}
	classCard    = &weekClass{"eUICC misbehaves in a switch", 8 * time.Minute}
	classServer  = &weekClass{"servers misbehave in an activation", 8 * time.Minute}
	classProcess = &weekClass{"daemon or box starts again", 2 * time.Minute}
	classKernel  = &weekClass{"kernel's objects are meddled with", time.Minute}
	classClock   = &weekClass{"clock jumps", time.Minute}
)

// modemFaults are those of atsim.Faults, with values as in the field. Commands
// are such as day-two work uses.
var modemFaults = map[string]weekFault{
	"silent":          {class: classHang, lines: []string{"silent command=+CEREG", "silent command=+CGACT", "silent command=+CPIN times=3", "silent command=+CSQ"}},
	"mute":            {class: classHang, lines: []string{"mute command=+CEREG", "mute command=+QNETDEVCTL", "mute command=+CPIN times=3"}},
	"hang":            {class: classHang, lines: []string{"hang", "hang until=restart", "hang until=port"}},
	"card-hang":       {class: classHang, lines: []string{"card-hang"}},
	"late":            {class: classNoise, lines: []string{"late command=+CEREG delay=8s", "late delay=1s", "late command=+CGACT delay=40s times=2"}},
	"cme":             {class: classNoise, lines: []string{"cme command=+CGACT code=30 times=3", "cme command=+CEREG code=100", "cme command=+CPIN code=14 times=5"}},
	"error-after":     {class: classNoise, lines: []string{"error-after command=+CGLA code=13 times=1", "error-after command=+CGACT times=2"}},
	"sim-busy":        {class: classNoise, lines: []string{"sim-busy", "sim-busy times=5"}},
	"split-echo":      {class: classNoise, lines: []string{"split-echo text=+CREG:_1"}},
	"urc-mid-answer":  {class: classNoise, lines: []string{"urc-mid-answer text=+QIND:_SMS_DONE"}},
	"urc-storm":       {class: classNoise, lines: []string{`urc-storm times=20000 delay=1ms text=+QIND:_"csq",20,99`}},
	"garbage":         {class: classNoise, lines: []string{"garbage"}},
	"busy-drop":       {class: classNoise, lines: []string{"busy-drop"}},
	"sw":              {class: classNoise, lines: []string{"sw code=0x6F00"}},
	"drop-answer":     {class: classNoise, lines: []string{"drop-answer times=2"}},
	"channels":        {class: classNoise, lines: []string{"channels"}},
	"leak":            {class: classNoise, lines: []string{"leak times=3"}},
	"deny":            {class: classRadio, lines: []string{"deny code=11", "deny code=15", "deny code=17"}},
	"roam":            {class: classRadio, lines: []string{"roam"}},
	"detach":          {class: classRadio, lines: []string{"detach"}},
	"no-data":         {class: classSwallow, lines: []string{"no-data"}, begin: (*week).dropContexts},
	"stale-carrier":   {class: classRadio, lines: []string{"stale-carrier"}, use: (*week).switchOver},
	"card-gone":       {class: classReset, lines: []string{"card-gone", "card-gone until=radio", "card-gone until=restart"}},
	"no-service":      {class: classRadio, lines: []string{"no-service", "no-service until=radio"}},
	"no-refresh":      {class: classCard, lines: []string{"no-refresh"}, use: (*week).switchOver},
	"refresh-restart": {class: classCard, lines: []string{"refresh-restart delay=5s"}, use: (*week).switchOver},
	"unplug":          {class: classGone, begin: (*week).unplug, end: (*week).plugIn},
}

// cardFaults are those of euiccsim.Controls: a switch meets them.
var cardFaults = map[string]weekFault{
	"status":          {lines: []string{"status sw=6F00", "status sw=6F00 tag=BF31", "status sw=6985 tag=BF2D times=2"}},
	"lost":            {lines: []string{"lost tag=BF31 block=last", "lost times=3", "lost tag=BF2D"}},
	"mute":            {lines: []string{"mute tag=BF31", "mute times=2"}},
	"power-cut":       {lines: []string{"power-cut tag=BF31"}},
	"power-cut-after": {lines: []string{"power-cut-after tag=BF31"}},
	"slow":            {lines: []string{"slow delay=2s times=20", "slow delay=20s tag=BF31"}},
	"no-isdr":         {lines: []string{"no-isdr"}},
	"need-capability": {lines: []string{"need-capability"}},
	"wrong-signature": {lines: []string{"wrong-signature"}, use: (*week).activate},
	"no-memory":       {lines: []string{"no-memory"}, use: (*week).activate},
	"pin-locked":      {lines: []string{"pin-locked"}, mend: []string{"pin-locked"}},
	"cat-busy":        {lines: []string{"cat-busy"}},
	"refuse-refresh":  {lines: []string{"refuse-refresh"}},
	"keep-session":    {lines: []string{"keep-session"}, use: (*week).activate},
	"new-key-always":  {lines: []string{"new-key-always"}, use: (*week).activate},
	"surplus":         {lines: []string{"surplus"}},
	"delay":           {lines: []string{"delay time=2s"}},
}

// serverValues are what faults of a server need beside their names.
var serverValues = map[string]string{
	"status": "status subject=8.1 reason=4.8 times=2", "redirect": "redirect location=https://elsewhere.lab.test/", "drop-answer": "drop-answer after=300 times=2",
	"truncate": "truncate after=200 times=2", "slow": "slow delay=10s bandwidth=20000", "form": `form lines=76 slash=\/`,
	"drop-request": "drop-request times=1", "huge-header": "huge-header times=1", "huge-body": "huge-body times=1",
}

// boxFaults are what no simulator of its own does.
var boxFaults = []weekFault{
	{name: "daemon stopped and started", class: classProcess, daemon: func(*week) error { return nil }},
	{name: "daemon killed", class: classProcess, daemon: func(w *week) error { return w.restart(false) }},
	{name: "power cut", class: classProcess, daemon: func(w *week) error { return w.restart(true) }},
	{name: "modem's power cut", class: classGone, begin: (*week).cutModem},
	{name: "clock ten years ahead", class: classClock, begin: func(w *week) error { w.ahead.Store(int64(87600 * time.Hour)); return nil }, end: (*week).rightTime},
	{name: "clock ten years behind", class: classClock, begin: func(w *week) error { w.ahead.Store(-int64(87600 * time.Hour)); return nil }, end: (*week).rightTime},
	{name: "addresses and routes taken away", class: classKernel, begin: (*week).clearKernel},
	{name: "interface set down", class: classKernel, begin: (*week).setDown},
	{name: "context ended by the network", class: classRadio, begin: (*week).dropContexts},
	{name: "traffic swallowed", class: classSwallow, begin: func(w *week) error { return w.n.Blackhole(true) }, end: func(w *week) error { return w.n.Blackhole(false) }},
	{name: "traffic swallowed, also of new contexts", class: classSwallow, begin: func(w *week) error { return errors.Join(w.lines(Line{Hollow: true}), w.n.Blackhole(true)) }, end: func(w *week) error { return w.lines(Line{}) }},
	{name: "portal", class: classSwallow, begin: func(w *week) error { w.n.Portal("http://pay.lab.test/"); return nil }, end: func(w *week) error { w.n.Portal(""); return nil }},
	{name: "line blocked, #8", class: classRadio, begin: func(w *week) error { return w.lines(Line{Denied: true}) }, end: func(w *week) error { return w.lines(Line{}) }},
	{name: "data blocked, #33", class: classRefuse, begin: func(w *week) error { return errors.Join(w.lines(Line{NoData: true}), w.dropContexts()) }, end: func(w *week) error { return w.lines(Line{}) }},
	{name: "activation of a line that carries 20 s", class: classServer, use: (*week).activatePoor},
}

// weekFaults is the list: what `dynamod sim ctl faults` lists, and boxFaults.
func (w *week) weekFaults() (list []weekFault, err error) {
	add := func(part string, names [][2]string, table map[string]weekFault, class *weekClass, use func(*week, context.Context, *hook.Client) error) {
		for _, n := range names {
			f, ok := table[n[0]]
			if !ok {
				err = fmt.Errorf("the %s's fault %q is not in the week's table", part, n[0])
			}
			f.part, f.name = part, n[0]
			if f.class == nil {
				f.class = class
			}
			if f.use == nil {
				f.use = use
			}
			list = append(list, f)
		}
	}
	servers := func(names [][2]string) map[string]weekFault {
		out := map[string]weekFault{}
		for _, n := range names {
			line := n[0]
			if v, ok := serverValues[line]; ok {
				line = v
			}
			out[n[0]] = weekFault{lines: []string{line}}
		}
		return out
	}
	parts := w.parts()
	add("modem", atsim.Faults(), modemFaults, nil, nil)
	add("card", euiccsim.Controls(), cardFaults, classCard, (*week).switchOver)
	add("server", parts["server"].faults, servers(parts["server"].faults), classServer, (*week).activate)
	add("smds", parts["smds"].faults, servers(parts["smds"].faults), classServer, (*week).discover)
	list = append(list, weekFault{part: "network", name: "no-data", class: classRefuse, lines: []string{"no-data"}, begin: (*week).dropContexts})
	for _, f := range boxFaults {
		f.part = "box"
		list = append(list, f)
	}
	return list, err
}

// unplug takes the modem away until plugIn.
func (w *week) unplug() error {
	w.gone.Store(0)
	w.away.Store(true)
	return w.Modem.SetFault("unplug", atsim.Fault{})
}

func (w *week) plugIn() error { return w.Replug(w.t.Context()) }

// cutModem takes the modem's power for as long as it takes to start.
func (w *week) cutModem() error {
	w.away.Store(true)
	w.Modem.PowerCycle(restart)
	return nil
}

func (w *week) rightTime() error { w.ahead.Store(0); return nil }

// restart is the end of a daemon without notice, of the whole box with power.
func (w *week) restart(power bool) error {
	if err := w.reaper.restore(); err != nil || !power {
		return err
	}
	return errors.Join(w.cutModem(), w.reboot())
}

func (w *week) clearKernel() error {
	k := w.n.NLSim()
	snap, err := k.Snapshot(w.t.Context())
	if err != nil {
		return err
	}
	for _, a := range snap.Addrs {
		if a.Dev == w.n.Options().Interface() {
			if err := k.Change(w.t.Context(), netlink.Change{Op: netlink.Delete, Object: a}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *week) setDown() error {
	snap, err := w.n.NLSim().Snapshot(w.t.Context())
	if err != nil {
		return err
	}
	l, _ := snap.Link(w.n.Options().Interface())
	return w.n.NLSim().Change(w.t.Context(), netlink.Change{Op: netlink.Set, Object: netlink.UpDown{Index: l.Index, Dev: l.Name, Up: false}})
}

func (w *week) dropContexts() error {
	for _, cid := range []int{1, 2} {
		if err := w.Modem.Drop(w.t.Context(), cid); err != nil {
			return err
		}
	}
	return nil
}

func (w *week) lines(l Line) error {
	for _, p := range w.Card.Installed() {
		w.Operator.SetLine(p.ICCID, l)
	}
	return w.Modem.Sync(w.t.Context())
}

// switchOver enables the first profile that is disabled. What comes of it is the
// activation's tests' affair.
func (w *week) switchOver(ctx context.Context, c *hook.Client) error {
	for _, p := range w.Card.Installed() {
		if !p.Enabled {
			_ = c.Do(ctx, "POST", "/v1/profiles/"+p.ICCID+"/enable", nil, nil, nil)
			return nil
		}
	}
	return nil
}

func (w *week) activate(ctx context.Context, c *hook.Client) error {
	p, err := w.newOrder(Line{})
	if err != nil {
		return err
	}
	return w.submitted(ctx, c, hook.ActivationRequest{Code: p.Code, Consent: true})
}

func (w *week) activatePoor(ctx context.Context, c *hook.Client) error {
	p, err := w.newOrder(Line{Lasts: 20 * time.Second})
	if err != nil {
		return err
	}
	return w.submitted(ctx, c, hook.ActivationRequest{Code: p.Code, Consent: true})
}

func (w *week) newOrder(l Line) (Profile, error) {
	upp, err := w.newProfile("")
	if err != nil {
		return Profile{}, err
	}
	p, err := w.offer("", smdpsim.Order{UPP: upp, Metadata: smdpsim.Metadata{Provider: Operator, Name: "Lab profile", Owner: owner}})
	w.Operator.SetLine(p.ICCID, l)
	return p, err
}

func (w *week) discover(ctx context.Context, c *hook.Client) error {
	if _, _, err := w.command(ctx, ctlRequest{Args: []string{"order", "add", "discover=inside"}}); err != nil {
		return err
	}
	return w.submitted(ctx, c, hook.ActivationRequest{Discover: true, Consent: true})
}

func (w *week) submitted(ctx context.Context, c *hook.Client, req hook.ActivationRequest) error {
	if err := c.Do(ctx, "POST", "/v1/activations", nil, req, nil); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	w.settle(ctx, c)
	return nil
}

// settle waits for the end of a run, or for its rest on the way back.
func (w *week) settle(ctx context.Context, c *hook.Client) {
	for begin := time.Now(); time.Since(begin) < 2*time.Hour; time.Sleep(5 * time.Second) {
		var snap status.Snapshot
		if c.Do(ctx, "GET", "/v1/status", nil, nil, &snap) == nil && (snap.Run == nil || snap.Run.Ended != nil || snap.Run.Waiting != "") {
			return
		}
	}
}

// tidy deletes what is disabled, but for one profile to switch to.
func (w *week) tidy(ctx context.Context, c *hook.Client) {
	kept := 0
	for _, p := range w.Card.Installed() {
		if p.Enabled {
			continue
		}
		good := w.Operator.Line(p.ICCID) == Line{}
		if kept++; kept > 1 || !good {
			_ = c.Do(ctx, "DELETE", "/v1/profiles/"+p.ICCID, nil, nil, nil)
			if !good {
				kept--
			}
		}
	}
}

func (f weekFault) String() string { return strings.TrimSpace(f.part + " " + f.name) }
