package bearer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/netlink"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// pipePort is the host's end of a modem's port.
type pipePort struct{ net.Conn }

func (p pipePort) WriteContext(ctx context.Context, b []byte) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := p.SetWriteDeadline(deadline); err != nil {
		return atcmd.ErrGone
	}
	_, err := p.Write(b)
	return err
}

func (p pipePort) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil && n == 0 {
		err = atcmd.ErrGone
	}
	return n, err
}

const (
	simICCID, simIMSI     = "8900101000000000017", "001010000000017"
	otherICCID, otherIMSI = "8900101000000000025", "001010000000025"
)

// simBench is a bearer on a simulated modem in an operator's network, all of it
// in memory: only the AT commands are between them.
type simBench struct {
	*Bearer
	t       *testing.T
	core    *atsim.Core
	card    *simCard
	sim     *atsim.Modem
	session *atcmd.Session
	kernel  *nlsim.Kernel
	model   *status.Model
	store   *learned.Store
	dir     string // that it is in

	mu      sync.Mutex
	records *cosa.DB
	carries string                  // APN of the context that the interface carries
	lease   atsim.Lease             // of it
	answers map[string]status.State // of the reach check, by APN; Up where it is not there
	written int                     // definitions of context 1 that were sent
}

// lease4 and lease6 is what every APN of the tests gives.
var simLease = atsim.Lease{
	Addr: netip.MustParsePrefix("10.64.0.2/32"), Addr6: netip.MustParsePrefix("2001:db8::2/64"), MTU: 1430,
	DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")},
}

// apns makes APNs that ask nothing of anybody.
func apns(names ...string) []atsim.APN {
	var out []atsim.APN
	for _, n := range names {
		out = append(out, atsim.APN{Name: n, Lease: simLease})
	}
	return out
}

type simOptions struct {
	records  string // of operators.d, JSON
	core     func(*atsim.Core)
	modem    func(*atsim.Config)
	card     func(*simCard)
	bearer   func(*Config)
	ethernet bool
	first    bool // the interface carries the first context alone
}

// newSimBench builds it. It is called inside of a synctest bubble.
func newSimBench(t *testing.T, o simOptions) *simBench {
	t.Helper()
	b := &simBench{
		t: t, card: newSIM(simICCID, simIMSI, 2), kernel: nlsim.New(), model: status.New("test", time.Now), answers: map[string]status.State{},
		core: &atsim.Core{Home: "00101", Cell: atsim.Registration{AcT: 7, PLMN: "00101", Operator: "Test Network", TAC: "0001", CellID: "01"}},
	}
	if o.core != nil {
		o.core(b.core)
	}
	if o.card != nil {
		o.card(b.card)
	}
	b.setRecords(o.records)
	ifname := "wwan0"
	link := netlink.Link{Name: ifname, Type: netlink.TypeNone, NoARP: true}
	if o.ethernet {
		link.Type, link.HWAddr, link.NoARP = netlink.TypeEthernet, net.HardwareAddr{2, 0, 0, 0, 0, 1}, false
	}
	b.kernel.AddLink(link)
	cfg := atsim.Config{
		Card: b.card.apdu, Network: b.core, RawIP: !o.ethernet,
		DataUp: func(cid int, l atsim.Lease) error {
			if o.first && cid != 1 {
				return nil
			}
			b.mu.Lock()
			b.carries, b.lease = l.APN, l
			b.mu.Unlock()
			b.kernel.SetCarrier(ifname, true)
			return nil
		},
		DataDown: func(int) {
			b.mu.Lock()
			b.carries = ""
			b.mu.Unlock()
			b.kernel.SetCarrier(ifname, false)
		},
	}
	if o.modem != nil {
		o.modem(&cfg)
	}
	var err error
	if b.sim, err = atsim.New(cfg); err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.sim.Serve(ctx, theirs) }()
	b.session = atcmd.New(pipePort{ours}, atcmd.Options{Trace: b.note})
	t.Cleanup(func() {
		b.session.Close()
		cancel()
		<-served
	})
	id, err := modem.Identify(t.Context(), b.session)
	if err != nil {
		t.Fatal(err)
	}
	m := modem.New(b.session, dialect.Find(id.Identity), nil)
	if err := errors.Join(m.Init(t.Context()), m.EnableEvents(t.Context())); err != nil {
		t.Fatal(err)
	}
	b.dir = t.TempDir()
	if b.store, err = learned.Open(filepath.Join(b.dir, "learned.json"), time.Now); err != nil {
		t.Fatal(err)
	}
	bc := Config{
		Kernel: b.kernel, Operators: func() *cosa.DB { b.mu.Lock(); defer b.mu.Unlock(); return b.records }, Learned: b.store, Keeper: keeper{},
		ModemID: func() string { return "490154203237518" }, Status: b.model, Now: time.Now, DHCP: b.dhcp, Probe: b.reach,
		Interface: func() (string, error) { return ifname, nil },
		Spec:      uplink.Spec{DefaultRoute: true, Metric: 700, Table: 700}, Apply: true,
		Settings: Settings{Interval: 5 * time.Minute, Try: 30 * time.Second, KeepUp: true, NetworkAssigned: true},
	}
	if o.bearer != nil {
		o.bearer(&bc)
	}
	b.Bearer = New(bc)
	b.SetRadio(m)
	return b
}

// setRecords reads operators.d, as at SIGHUP.
func (b *simBench) setRecords(json string) {
	b.t.Helper()
	var list []cosa.OperatorProfile
	if json != "" {
		var problems []*cosa.Problem
		if list, problems = cosa.ParseJSON("test.json", []byte(json)); len(problems) > 0 {
			b.t.Fatal(problems[0])
		}
	}
	db, err := cosa.New(list)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.records = db
	b.mu.Unlock()
}

func (b *simBench) dhcp(context.Context, string) (Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.carries == "" || !b.lease.Addr.IsValid() {
		return Lease{}, errors.New("no answer")
	}
	return Lease{Addrs: []netip.Prefix{b.lease.Addr}, DNS: b.lease.DNS, MTU: b.lease.MTU}, nil
}

func (b *simBench) reach(ctx context.Context, s uplink.Spec) Reach {
	st, err := uplink.Read(ctx, b.kernel, s)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil || !st.Usable() || b.carries == "" {
		return Reach{State: status.Down, Reason: "no answer"}
	}
	if answer, ok := b.answers[b.carries]; ok {
		return Reach{State: answer, Reason: "so the test wants it"}
	}
	return Reach{State: status.Up}
}

// up brings the link up once, as an activation does.
func (b *simBench) up() (activation.Up, error) { return b.upWith(nil) }

// upWith does so with the APN of a request.
func (b *simBench) upWith(apn *activation.APN) (activation.Up, error) {
	ctx, done := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer done()
	p, err := b.Plan(ctx, "", apn)
	if err != nil {
		return activation.Up{}, err
	}
	return b.Up(ctx, p, func(activation.State) {})
}

// run keeps the link, with the modem's events, for as long as the test is in f.
func (b *simBench) run(f func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	for _, tag := range []string{"+CEREG", "+CGEV"} {
		s := b.session.Subscribe(tag)
		wg.Go(func() {
			defer s.Close()
			for {
				select {
				case <-ctx.Done():
					return
				case <-s.C():
					b.Kick()
				}
			}
		})
	}
	wg.Go(func() { b.Run(ctx) })
	f()
	cancel()
	wg.Wait()
}

// asked tells what the network was asked for since the last call: APN, type and
// method of each, such as "lab.test IPV4V6" or "lab.test IP pap".
func (b *simBench) asked() string {
	var out []string
	for _, p := range b.core.Asked() {
		s := fmt.Sprintf("%s %s", p.APN, p.Type)
		if p.Auth != 0 {
			s += " " + []string{"", "pap", "chap"}[p.Auth]
		}
		out = append(out, strings.TrimSpace(s))
	}
	return strings.Join(out, ", ")
}

// context tells how the modem has a context: type and APN.
func (b *simBench) context(cid int) string {
	b.t.Helper()
	reply, err := b.session.Do(b.t.Context(), atcmd.Command{Text: "+CGDCONT?"})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, line := range reply.Lines {
		if f, ok := atcmd.Fields(line, "+CGDCONT"); ok && f[0] == fmt.Sprint(cid) {
			return f[1] + " " + f[2]
		}
	}
	return "none"
}

// note counts them.
func (b *simBench) note(e atcmd.TraceEvent) {
	if e.Sent && strings.HasPrefix(strings.TrimSpace(e.Line), "AT+CGDCONT=1") {
		b.mu.Lock()
		b.written++
		b.mu.Unlock()
	}
}

// writes counts the definitions of the attach's context since the last call.
func (b *simBench) writes() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, b.written = b.written, 0
	return n
}

// at sends a command by hand.
func (b *simBench) at(cmd string) {
	b.t.Helper()
	if _, err := b.session.Do(b.t.Context(), atcmd.Command{Text: cmd}); err != nil {
		b.t.Fatal(err)
	}
}

// swapSIM puts another card into the modem.
func (b *simBench) swapSIM(o *simCard) {
	b.t.Helper()
	b.at("+CFUN=0")
	b.card.become(o)
	b.at("+CFUN=1")
}

func (b *simBench) answer(apn string, s status.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[apn] = s
}

func (b *simBench) state() status.State { return b.model.Snapshot().State }

// active returns the APN and address families of the link.
func (b *simBench) link() string {
	a := b.current()
	if a == nil {
		return "down"
	}
	var families []string
	for _, p := range a.spec.Addrs {
		f := "v4"
		if p.Addr().Is6() {
			f = "v6"
		}
		if !slices.Contains(families, f) {
			families = append(families, f)
		}
	}
	return strings.TrimSpace(a.candidate.Connection.APN + " " + strings.Join(families, "+"))
}
