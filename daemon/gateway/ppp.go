package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/port"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/helper"
	"dynamod/daemon/ppp"
	"dynamod/euicc"
)

// dialled is a modem whose data comes by PPP on a second port. Everything else is
// asked on its AT port. The line outlives it: the AT port may be opened again below a
// connection that works.
type dialled struct {
	*modem.Modem
	g *Gateway
	d *device
}

var _ bearer.Radio = (*dialled)(nil)

// radio is the modem as the bearer gets it.
func (g *Gateway) radio(d *device) bearer.Radio {
	if g.line == nil {
		return d.modem
	}
	return &dialled{d.modem, g, d}
}

// usesPPP reports whether data comes by PPP.
func (g *Gateway) usesPPP() bool { return g.config().Bearer.PPP != config.PPPOff }

// buildLine makes the line where PPP is configured.
func (g *Gateway) buildLine() {
	if !g.usesPPP() {
		return
	}
	g.line = ppp.New(ppp.Config{
		Program: g.opts.PPPD, Dir: g.config().State.Run, Log: g.log, Lost: g.bearer.Kick,
		Open: func(ctx context.Context, path string) (atcmd.Port, error) {
			p, err := port.Open(ctx, path, port.Options{Baud: g.config().Modem.Baud, Logger: g.log, Tree: g.opts.Tree})
			if err != nil {
				return nil, fmt.Errorf("modem: %w", err) // a nil *port.Port is no nil atcmd.Port
			}
			return p, nil
		},
		Dial: g.dialPPP,
	})
	if g.root() == nil {
		g.line.Far = func(ctx context.Context, tty *os.File, o ppp.Options) (net.Conn, error) {
			conn, err := helper.AskPPPD(ctx, g.config().State.Helper, tty, o.Args())
			if helper.Code(err) == helper.Missing {
				err = noPPPD()
			}
			return conn, helperFault(err)
		}
	}
}

// dialPPP has the modem's family dial on a port.
func (g *Gateway) dialPPP(ctx context.Context, p atcmd.Port, call modem.Call) error {
	d := g.getDevice()
	if d == nil {
		return &activation.Fault{Code: "no-modem", Text: "no modem is there", Retry: euicc.RetryLater}
	}
	family := d.modem.Dialect()
	s := atcmd.New(p, atcmd.Options{Logger: g.log, Trace: g.trace, Dirty: true, URCs: family.URCTags(), Finals: family.Finals})
	defer s.Close()
	m := modem.New(s, family, g.log)
	if err := m.Init(ctx); err != nil {
		return err
	}
	// DTR is to hang up. What its default is, is the maker's choice (V.250, 6.2.9).
	if _, err := s.Do(ctx, atcmd.Command{Text: "&D2"}); modem.NoAnswer(err) {
		return err
	}
	return m.Dial(ctx, call)
}

// pppPort is the port that is dialled on: the configured one, or the one that the
// tables of the modem's family have for it.
func (g *Gateway) pppPort(d *device) (string, error) {
	fault := func(text string) error {
		return &activation.Fault{
			Code: "ppp-no-port", Text: "PPP: " + text, Retry: euicc.RetryAsk,
			Advice: "name a second AT port of the modem in [bearer] ppp: `dynamod modem ports` lists them",
		}
	}
	tree, name := g.opts.Tree, g.config().Bearer.PPP
	var path string
	switch {
	case name == config.Auto:
		at, ok := tree.Place(d.path)
		if !ok {
			return "", fault(d.path + " is not on USB, so that its other ports are not known")
		}
		ports, _ := d.modem.Dialect().PortsOf(tree.USB(d.path))
		for _, n := range slices.Concat(g.board.Modem.PPP, ports.PPP, ports.AT) {
			if n == at.Interface {
				continue
			}
			if found, err := tree.Find(port.Place{Device: at.Device, Interface: n}); err == nil {
				return found, nil
			}
		}
		return "", fault("the table of " + d.modem.Dialect().Name + " names no second port that is there")
	case strings.HasPrefix(name, "usb:"):
		place, err := port.ParsePlace(name)
		if err == nil {
			path, err = tree.Find(place)
		}
		if err != nil {
			return "", fault(err.Error())
		}
	default:
		path = name
	}
	if same(path, d.path) {
		return "", fault(path + " is the port for AT commands, which stay possible beside the connection")
	}
	if _, err := filepath.EvalSymlinks(path); err != nil {
		return "", fault(path + " is not there")
	}
	return path, nil
}

// Function tells what keeps PPP from being tried at all before anything is asked of
// the network.
func (r *dialled) Function(context.Context) (dialect.Kind, error) {
	if _, err := ppp.Find(r.g.opts.PPPD); err != nil {
		return "", noPPPD()
	}
	if r.g.root() == nil {
		if _, err := os.Stat(r.g.config().State.Helper); err != nil {
			return "", helperFault(fmt.Errorf("%w: %w", helper.ErrNone, err))
		}
	}
	_, err := r.g.pppPort(r.d)
	return dialect.PPP, err
}

func noPPPD() error {
	return &activation.Fault{
		Code: "ppp-no-pppd", Text: "PPP is configured, and there is no pppd", Retry: euicc.RetryAsk,
		Advice: "install the package ppp, or set [bearer] ppp = \"off\"",
	}
}

// OnlyCID: every context can be dialled.
func (r *dialled) OnlyCID(dialect.Kind) int { return 0 }

// Up dials. The other end refuses as pppd tells it, or the modem does before.
func (r *dialled) Up(ctx context.Context, call modem.Call) (modem.Lease, error) {
	path, err := r.g.pppPort(r.d)
	if err != nil {
		return modem.Lease{}, err
	}
	link, err := r.g.line.Up(ctx, path, call)
	if end, ok := errors.AsType[*ppp.EndError](err); ok {
		cid := call.Context.CID
		switch {
		case end.Auth():
			return modem.Lease{}, &modem.ActivationError{CID: cid, Cause: modem.CauseAuth, Err: end}
		case end.Ours():
			return modem.Lease{}, &activation.Fault{Code: "ppp-failed", Text: "PPP does not start", Err: end, Advice: cmp.Or(end.Hint(), "see the log with [log] level = \"debug\""), Retry: euicc.RetryLater}
		}
		return modem.Lease{}, r.Refused(ctx, cid, end)
	}
	if err != nil {
		return modem.Lease{}, err
	}
	lease := modem.Lease{Source: dialect.IPCP, Interface: link.Interface, Config: modem.IPConfig{CID: call.Context.CID, Identifier: link.Identifier, DNS: link.DNS}}
	if link.Local.IsValid() {
		lease.Config.Addrs = []netip.Prefix{netip.PrefixFrom(link.Local, 32)}
	}
	// The network's MTU is not part of PPP, and some modems tell its name servers
	// only here.
	if told, err := r.DynamicParameters(ctx, call.Context.CID); err == nil {
		lease.Config.MTU = told.MTU
		if len(lease.Config.DNS) == 0 {
			lease.Config.DNS = told.DNS
		}
	}
	return lease, nil
}

// Status reports whether the connection stands. A modem that lost its network and
// does not say so is found by the reach check.
func (r *dialled) Status(context.Context, modem.Call) (bool, error) {
	_, ok := r.g.line.Active()
	return ok, nil
}

// Down hangs up.
func (r *dialled) Down(ctx context.Context, _ modem.Call) error {
	r.g.line.Down(ctx)
	return nil
}

// endLine hangs up at the daemon's end, whatever [bearer] on_exit says: pppd does
// not outlive it.
func (g *Gateway) endLine() {
	if g.line == nil {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), lineEnds)
	defer done()
	g.line.Down(ctx)
}

// lineEnds is how long pppd may take at the daemon's end.
const lineEnds = 2 * time.Second
