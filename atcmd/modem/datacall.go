package modem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Call describes a data link: the context, its credentials and the modem's
// data function that carries it to the host.
type Call struct {
	Context  Context
	Auth     Auth
	Function dialect.Kind
	// Keep uses the context as it stands: neither its definition nor its
	// credentials are written. Context says what they are.
	Keep bool
}

// Lease says how the host gets its address on a data call that is up.
type Lease struct {
	// Source is dialect.DHCP when the host must ask on the interface; Config
	// then holds what the modem says of the context, for its MTU, and as the
	// fallback where no DHCP server answers. Otherwise Config is what to set.
	Source dialect.Address
	Config IPConfig
	// Interface is the network interface, "" for the modem's own.
	Interface string
}

var (
	// ErrNoCall means that AT commands cannot start a data call with the
	// modem's data function.
	ErrNoCall = errors.New("AT commands cannot start a data call with this data function")
	// ErrDefine means that the modem does not take a context's definition: it may
	// have fewer contexts.
	ErrDefine = errors.New("the modem does not take the context")
	// ErrNoAddress means that the context is up and has no address.
	ErrNoAddress = errors.New("context is active but the modem tells no address")
)

// AttachCID is the number of the context that the modem attaches to LTE with:
// the initial EPS bearer's.
func (m *Modem) AttachCID() int { return m.d.Attach.CID }

// OnlyCID is the number of the one context that the data function carries to
// the host, 0 where it carries any.
func (m *Modem) OnlyCID(function dialect.Kind) int {
	if dial := m.d.Call(function); dial != nil {
		return dial.CID
	}
	return 0
}

// Up defines the context, sets its credentials, unless call wants both kept,
// brings the data call up and says where the host's address comes from. A context that is already active
// with the same definition is used as it is. A refusal by the network is an
// *ActivationError.
func (m *Modem) Up(ctx context.Context, call Call) (Lease, error) {
	dial := m.d.Call(call.Function)
	if dial == nil {
		return Lease{}, fmt.Errorf("%w: %s", ErrNoCall, call.Function)
	}
	if !call.Keep {
		if err := m.prepare(ctx, call); err != nil {
			return Lease{}, err
		}
	}
	if _, err := m.run(ctx, dial.Up, 0, values(call.Context, call.Auth)); err != nil {
		return Lease{}, m.activationError(ctx, call.Context.CID, err)
	}
	if err := m.settle(ctx, dial, call); err != nil {
		return Lease{}, err
	}
	// Some firmwares know the address a moment after they said OK.
	for try := 1; ; try++ {
		lease, err := m.lease(ctx, dial, call.Context.CID)
		if try == leaseTries || !errors.Is(err, ErrNoAddress) {
			return lease, err
		}
		if err := pause(ctx, leasePause); err != nil {
			return Lease{}, err
		}
	}
}

// leaseTries looks for an address, leasePause apart, are made once a context
// is up.
const (
	leaseTries = 5
	leasePause = time.Second
)

// prepare defines the context, unless it is defined so already: a modem may
// drop an active context whose definition is written again. A context that the
// attach keeps up (27.007, 10.1.10: the last one cannot be deactivated) takes
// its new definition by attaching again.
func (m *Modem) prepare(ctx context.Context, call Call) error {
	defined, err := m.Contexts(ctx)
	if err != nil && !answered(err) {
		return err
	}
	if slices.Contains(defined, call.Context) {
		return m.SetAuth(ctx, call.Context, call.Auth)
	}
	cid, stays := call.Context.CID, false
	active, err := m.ActiveContexts(ctx)
	if err != nil && !answered(err) {
		return err
	}
	if active[cid] {
		if err := m.Deactivate(ctx, cid); err != nil && !answered(err) {
			return err
		}
		if active, err = m.ActiveContexts(ctx); err != nil && !answered(err) {
			return err
		}
		stays = active[cid]
	}
	if err := m.DefineContext(ctx, call.Context); err != nil {
		if answered(err) {
			err = fmt.Errorf("%w: %w", ErrDefine, err)
		}
		return fmt.Errorf("cannot define context %d: %w", cid, err)
	}
	if err := m.SetAuth(ctx, call.Context, call.Auth); err != nil || !stays {
		return err
	}
	for _, on := range []bool{false, true} {
		if err := m.Attach(ctx, on); err != nil {
			return m.activationError(ctx, cid, err)
		}
	}
	return nil
}

// lease tries the dialect's sources of addresses in order.
func (m *Modem) lease(ctx context.Context, dial *dialect.DataCall, cid int) (Lease, error) {
	for _, source := range dial.Address {
		lease := Lease{Source: source, Config: IPConfig{CID: cid}}
		var err error
		switch source {
		case dialect.DHCP:
			// The network's MTU and DNS are good to know; not all modems tell.
			lease.Config, err = m.DynamicParameters(ctx, cid)
			if err != nil && !answered(err) {
				return Lease{}, err
			}
			return lease, nil
		case dialect.CGCONTRDP:
			lease.Config, err = m.DynamicParameters(ctx, cid)
		case dialect.CGPADDR:
			addrs, aerr := m.Addresses(ctx, cid)
			lease.Config, err = leaseOf(cid, addrs), aerr
		case dialect.CGPADDRNet:
			lease.Config, err = m.madeUpNet(ctx, cid)
		default:
			err = fmt.Errorf("dialect %s: unknown address source %q: %w", m.d.Name, source, ErrAnswer)
		}
		if err != nil && !answered(err) {
			return Lease{}, err
		}
		if err == nil && (len(lease.Config.Addrs) > 0 || lease.Config.Identifier.IsValid()) {
			return lease, nil
		}
	}
	return Lease{}, fmt.Errorf("context %d: %w", cid, ErrNoAddress)
}

// Lease says where the host's address comes from on a call that is up already,
// one that an earlier process started for instance.
func (m *Modem) Lease(ctx context.Context, call Call) (Lease, error) {
	dial := m.d.Call(call.Function)
	if dial == nil {
		return Lease{}, fmt.Errorf("%w: %s", ErrNoCall, call.Function)
	}
	return m.lease(ctx, dial, call.Context.CID)
}

// Down ends the data call. The context stays defined.
func (m *Modem) Down(ctx context.Context, call Call) error {
	dial := m.d.Call(call.Function)
	if dial == nil {
		return fmt.Errorf("%w: %s", ErrNoCall, call.Function)
	}
	_, err := m.run(ctx, dial.Down, 0, values(call.Context, call.Auth))
	if causeOfCME(cmeCode(err)) == CauseLastPDN {
		return nil
	}
	return err
}

// Status reports whether the data call is up.
func (m *Modem) Status(ctx context.Context, call Call) (bool, error) {
	dial := m.d.Call(call.Function)
	if dial == nil {
		return false, fmt.Errorf("%w: %s", ErrNoCall, call.Function)
	}
	var last error = ErrAnswer
	for _, q := range dial.State {
		up, err := m.callState(ctx, q, call.Context.CID)
		if err == nil {
			return up, nil
		}
		if !answered(err) {
			return false, err
		}
		last = err
	}
	return false, fmt.Errorf("cannot read the state of context %d: %w", call.Context.CID, last)
}

// callState runs one query. A context that is not in the answer is down.
func (m *Modem) callState(ctx context.Context, q dialect.StateQuery, cid int) (bool, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: q.Send, Tags: []string{q.Tag}})
	if err != nil {
		return false, err
	}
	for _, line := range reply.Lines {
		f, ok := atcmd.Fields(line, q.Tag)
		if !ok || q.StateField >= len(f) {
			continue
		}
		if n, ok := number(at(f, q.CIDField), 255); q.CIDField >= 0 && (!ok || n != cid) {
			continue
		}
		return f[q.StateField] == q.Up, nil
	}
	return false, nil
}
