package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/port"
	"dynamod/board"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/diag"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/lpa"
	"dynamod/netlink"
	"dynamod/netlink/uplink"
)

// Diagnose walks from the board to the reach check.
func (g *Gateway) Diagnose(ctx context.Context) (diag.Diagnosis, error) {
	return diag.Walk(ctx, &box{g: g})
}

// box is the daemon as a walk sees it.
type box struct {
	g    *Gateway
	dev  *device
	err  error // why there is none
	spec uplink.Spec
}

var _ diag.World = (*box)(nil)

func (b *box) Board(ctx context.Context) (diag.Board, error) {
	if b.dev, b.err = b.g.waitDevice(ctx, time.Second); b.dev == nil {
		b.g.mu.Lock()
		if b.g.deviceErr != nil {
			b.err = b.g.deviceErr // without the advice to ask for a diagnosis
		}
		b.g.mu.Unlock()
	}
	name := b.g.config().Modem.Port
	out := diag.Board{Model: b.g.box.Model, Definition: definition(&b.g.board), Ports: b.g.opts.Tree.Candidates(), Fixed: name != config.Auto || b.dev != nil}
	if strings.HasPrefix(name, "usb:") && b.dev == nil && errors.Is(b.err, port.ErrNoDevice) {
		return out, b.err
	}
	return out, nil
}

// definition names what is known of the board, "" where no definition fits it.
func definition(b *board.Board) string {
	switch {
	case b.Name == "", b.Name == "generic-usb":
		return ""
	case b.Untested:
		return b.Name + " (untested)"
	}
	return b.Name
}

func (b *box) Port(context.Context) (string, error) {
	switch {
	case b.dev != nil:
		return b.dev.path, nil
	case answersWrongly(b.err):
		return cmp.Or(b.g.config().Modem.Port, config.Auto) + " can be opened", nil
	}
	return "", b.err
}

// answersWrongly reports whether a port could be opened and what is behind it does
// not answer as a modem.
func answersWrongly(err error) bool {
	if errors.Is(err, atcmd.ErrDesync) { // it did, until a moment ago
		return true
	}
	f, ok := errors.AsType[*activation.Fault](err)
	return ok && f.Code == "modem-silent"
}

func (b *box) Modem(context.Context) (string, error) {
	if b.dev == nil {
		return "", b.err
	}
	return fmt.Sprintf("%s %s on %s, dialect %s", b.dev.id.Manufacturer, b.dev.id.Model, b.dev.path, b.dev.modem.Dialect().Name), nil
}

func (b *box) Clock(context.Context) (string, error) {
	c := b.g.clock
	if !c.sane() {
		return "", fmt.Errorf("the date is %s, before this program was built", c.now().Format(time.DateOnly))
	}
	return c.now().UTC().Format(time.RFC3339), nil
}

func (b *box) Card(ctx context.Context) (string, error) {
	if b.g.busy() {
		return "in use by a running activation", nil
	}
	err := b.g.withCard(ctx, func(c *lpa.Card) error { return b.g.showCard(ctx, c) })
	if e, ok := errors.AsType[*euicc.Error](err); ok && e.Code == "not-euicc" {
		return "no eUICC: its one profile cannot be changed", nil // a link works without
	}
	if err != nil {
		return "", err
	}
	c := b.g.status.Snapshot().Card
	return fmt.Sprintf("eUICC, SGP.22 %s, %d bytes free, profiles: %d", c.SVN, c.FreeMemory, len(c.Profiles)), nil
}

func (b *box) SIM(ctx context.Context) (diag.SIM, error) {
	sim, err := b.dev.modem.SIM(ctx)
	if err != nil {
		return diag.SIM{}, err
	}
	state := b.g.bearer.SIMState(sim.State)
	return diag.SIM{State: string(state), Ready: state == modem.SIMReady, NoProfile: state == modem.SIMNoProfile, Advice: bearer.SIMAdvice(state)}, nil
}

func (b *box) Profile(ctx context.Context) (string, error) {
	facts, err := b.dev.modem.SIMFacts(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s of network %s", facts.ICCID, facts.MCC+facts.MNC), nil
}

func (b *box) Registration(ctx context.Context) (diag.Registration, error) {
	reg, err := b.dev.modem.Registration(ctx)
	if err != nil {
		return diag.Registration{}, err
	}
	out := diag.Registration{Registered: reg.State.Registered(), Text: reg.State.String(), Cause: int(reg.Cause)}
	if out.Registered {
		out.Text += ", " + reg.AcT.String()
	}
	if out.Cause != 0 {
		out.CauseText = reg.Cause.String()
	}
	return out, nil
}

func (b *box) Data(context.Context) (string, error) {
	f, err := b.g.netFunction(b.dev)
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Kind, f.Interface, f.Driver)), err
}

func (b *box) Context(context.Context) (diag.Context, error) {
	s := b.g.status.Snapshot()
	if s.Link == nil {
		return diag.Context{Why: s.Reason, Advice: s.Advice}, nil
	}
	return diag.Context{Active: true, APN: s.Link.APN, Why: s.Link.APNReason}, nil
}

func (b *box) Link(ctx context.Context) (diag.Link, error) {
	var ok bool
	if b.spec, ok = b.g.bearer.Active(); !ok {
		return diag.Link{}, errors.New("no interface is configured")
	}
	st, err := uplink.Read(ctx, b.g.kernel, b.spec)
	if err != nil {
		return diag.Link{}, err
	}
	out := diag.Link{Interface: b.spec.Interface, Private: b.spec.Private, Usable: st.Usable()}
	for _, a := range b.spec.Addrs {
		out.Addresses = append(out.Addresses, a.String())
	}
	for _, s := range b.spec.DNS {
		out.Servers = append(out.Servers, s.String())
	}
	for _, c := range uplink.Diff(b.spec, st) {
		list := &out.Differs
		switch c.Kernel.Object.(type) {
		case nil:
			list = &out.DNS
		case netlink.Route, netlink.Rule:
			list = &out.Routes
		}
		*list = append(*list, c.String())
	}
	return out, nil
}

func (b *box) Reach(ctx context.Context) (diag.Reach, error) {
	r := b.g.bearer.Probe(ctx, b.spec)
	out := diag.Reach{State: string(r.State), Cause: r.Cause, Text: fmt.Sprintf("%s in %.1f ms", r.Target, float64(r.RTT.Microseconds())/1000)}
	if r.State != status.Up {
		out.Text, out.Advice = r.Text(), r.Advice()
	}
	for _, t := range r.Targets {
		out.Targets = append(out.Targets, strings.TrimSuffix(fmt.Sprintf("%s: %s, %s", t.Target, t.Result, t.Reason), ", "))
		if t.Target == r.Target {
			out.Stage = t.Stage
		}
	}
	return out, nil
}
