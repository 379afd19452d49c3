package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"dynamod/atcmd/modem"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/lpa"
	"dynamod/netlink/uplink"
)

// check is one node of the chain from the port to the reach check.
type check struct {
	name string
	do   func(ctx context.Context) (text, advice string, err error)
}

const checkTime = 20 * time.Second

// Diagnose walks the chain. The first node that is broken is the answer; those
// behind it depend on it and are not asked.
func (g *Gateway) Diagnose(ctx context.Context) (hook.Diagnosis, error) {
	d := hook.Diagnosis{OK: true}
	for _, c := range g.checks() {
		if !d.OK {
			d.Nodes = append(d.Nodes, hook.Node{Name: c.name, State: "skipped", Text: "depends on what is broken above"})
			continue
		}
		nodeCtx, done := context.WithTimeout(ctx, checkTime)
		text, advice, err := c.do(nodeCtx)
		done()
		if ctx.Err() != nil {
			return d, ctx.Err()
		}
		n := hook.Node{Name: c.name, State: "ok", Text: text}
		if err != nil {
			d.OK = false
			n.State, n.Text, n.Advice = "broken", err.Error(), advice
			if h := hintOf(err); h != "" {
				n.Advice = h
			}
		}
		d.Nodes = append(d.Nodes, n)
	}
	return d, nil
}

func (g *Gateway) checks() []check {
	var (
		dev  *device
		spec uplink.Spec
	)
	return []check{
		{"modem", func(ctx context.Context) (string, string, error) {
			var err error
			if dev, err = g.waitDevice(ctx, time.Second); err != nil {
				return "", "", err
			}
			return fmt.Sprintf("%s %s on %s, dialect %s", dev.id.Manufacturer, dev.id.Model, dev.path, dev.modem.Dialect().Name), "", nil
		}},
		{"clock", func(context.Context) (string, string, error) {
			if !g.clock.sane() {
				return "", "set the system's clock, or name servers in [time] ntp", fmt.Errorf("the date is %s, before this program was built", g.clock.now().Format(time.DateOnly))
			}
			return g.clock.now().UTC().Format(time.RFC3339), "", nil
		}},
		{"card", func(ctx context.Context) (text, _ string, err error) {
			if g.busy() {
				return "in use by a running activation", "", nil
			}
			err = g.withCard(ctx, func(c *lpa.Card) error { return g.showCard(ctx, c) })
			if c := g.status.Snapshot().Card; err == nil && c != nil {
				text = fmt.Sprintf("eUICC, SGP.22 %s, %d bytes free, profiles: %d", c.SVN, c.FreeMemory, len(c.Profiles))
			}
			return text, "", err
		}},
		{"sim", func(ctx context.Context) (string, string, error) {
			sim, err := dev.modem.SIM(ctx)
			if err != nil {
				return "", "", err
			}
			if sim.State != modem.SIMReady {
				return "", "enable a profile with `dynamod profiles enable`, or activate one with `dynamod activate`", fmt.Errorf("the modem says %s", g.bearer.SIMState(sim.State))
			}
			facts, err := dev.modem.SIMFacts(ctx)
			if err != nil {
				return "", "", err
			}
			return fmt.Sprintf("profile %s of network %s", facts.ICCID, facts.MCC+facts.MNC), "", nil
		}},
		{"registration", func(ctx context.Context) (string, string, error) {
			reg, err := dev.modem.Registration(ctx)
			if err != nil {
				return "", "", err
			}
			if !reg.State.Registered() {
				text := reg.State.String()
				if reg.Cause != 0 {
					text += fmt.Sprintf(", cause %d (%v)", int(reg.Cause), reg.Cause)
				}
				return "", "check antenna and coverage, and that the line is active", errors.New(text)
			}
			return fmt.Sprintf("%s, %s", reg.State, reg.AcT), "", nil
		}},
		{"data", func(context.Context) (string, string, error) {
			f, err := g.netFunction(dev)
			return strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Kind, f.Interface, f.Driver)), "", err
		}},
		{"apn", func(context.Context) (string, string, error) {
			s := g.status.Snapshot()
			if s.Link == nil {
				return "", cmp.Or(s.Advice, "`dynamod apn explain` tells which APNs are tried, and when"), errors.New(strings.TrimSpace("no context is active: " + s.Reason))
			}
			return fmt.Sprintf("%q: %s", s.Link.APN, s.Link.APNReason), "", nil
		}},
		{"link", func(ctx context.Context) (string, string, error) {
			var ok bool
			if spec, ok = g.bearer.Active(); !ok {
				return "", "", errors.New("no interface is configured")
			}
			st, err := uplink.Read(ctx, g.kernel, spec)
			if err != nil {
				return "", "", err
			}
			if !st.Usable() {
				return "", "`dynamod run` sets it right at its next look", fmt.Errorf("%s is not up with an address and carrier", spec.Interface)
			}
			if left := uplink.Diff(spec, st); len(left) > 0 {
				return "", "something else changes the interface: let NetworkManager, networkd and dhcpcd leave it alone", fmt.Errorf("%s differs: %s", spec.Interface, left[0])
			}
			return strings.Join(append([]string{spec.Interface}, prefixes(spec.Addrs)...), " "), "", nil
		}},
		{"reach", func(ctx context.Context) (string, string, error) {
			r := g.bearer.Probe(ctx, spec)
			switch r.State {
			case status.Down:
				return "", "the operator's network lets nothing through; check the APN and the credit", errors.New(r.Reason)
			case status.Limited:
				return "", "the line may have no credit; see the operator's portal", fmt.Errorf("only a portal answers: %s", r.Reason)
			}
			return fmt.Sprintf("%s in %.1f ms", r.Target, float64(r.RTT.Microseconds())/1000), "", nil
		}},
	}
}

func prefixes(addrs []netip.Prefix) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}
