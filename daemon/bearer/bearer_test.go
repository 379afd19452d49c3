package bearer

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/netlink"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

const (
	iccid = "8900101000000000017"
	imsi  = "001010000000017"
)

// radio is a modem in memory.
type radio struct {
	mu     sync.Mutex
	sim    modem.SIMState
	iccid  string
	reg    modem.RegState
	cause  modem.RejectCause
	accept map[string]bool // APNs with a context
	dead   map[string]bool // APNs with a context that carries nothing
	up     string
	calls  []string
	source dialect.Address
	kernel *nlsim.Kernel
	pins   []string // that were entered
	pinErr error
	tries  int
	cells  []modem.Cell
	act    modem.AcT
	ci     string
}

func (r *radio) Functionality(context.Context) (modem.Functionality, error) { return modem.Full, nil }
func (r *radio) SetFunctionality(context.Context, modem.Functionality) error {
	return errors.New("needless")
}
func (r *radio) SIM(context.Context) (modem.SIM, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return modem.SIM{State: r.sim}, nil
}
func (r *radio) EnterPIN(_ context.Context, pin modem.Secret, _ bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pins = append(r.pins, string(pin))
	if r.pinErr == nil {
		r.sim = modem.SIMReady
	}
	return r.pinErr
}
func (r *radio) PINTries(context.Context) (int, bool, error) { return r.tries, r.tries > 0, nil }
func (r *radio) SIMFacts(context.Context) (modem.SIMFacts, error) {
	return modem.SIMFacts{ICCID: r.iccid, IMSI: imsi, MNCLength: 2, MCC: "001", MNC: "01"}, nil
}
func (r *radio) ICCID(context.Context) (string, error) { return r.iccid, nil }
func (r *radio) Registration(context.Context) (modem.Registration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return modem.Registration{State: r.reg, Cause: r.cause, AcT: r.act, CellID: r.ci, AreaCode: "12AB"}, nil
}
func (r *radio) Operator(context.Context) (modem.Operator, error) {
	return modem.Operator{PLMN: "00101", Name: "Lab"}, nil
}
func (r *radio) Signal(context.Context) (modem.Signal, error)   { return modem.Signal{}, nil }
func (r *radio) Cells(context.Context) ([]modem.Cell, error)    { return r.cells, nil }
func (r *radio) Function(context.Context) (dialect.Kind, error) { return dialect.None, nil }

func (r *radio) Up(_ context.Context, c modem.Call) (modem.Lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, "up "+c.Context.APN)
	if !r.accept[c.Context.APN] {
		return modem.Lease{}, &modem.ActivationError{CID: c.Context.CID, Cause: modem.CauseAPN}
	}
	r.up = c.Context.APN
	r.kernel.SetCarrier("wwan0", true)
	return modem.Lease{Source: r.source, Config: modem.IPConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}, DNS: []netip.Addr{netip.MustParseAddr("10.0.0.53")}, MTU: 1400}}, nil
}

func (r *radio) Status(context.Context, modem.Call) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up != "", nil
}

func (r *radio) Down(context.Context, modem.Call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, "down")
	r.up = ""
	r.kernel.SetCarrier("wwan0", false)
	return nil
}

// The radio's attach is its own affair, and it carries any context to the host.
func (r *radio) Contexts(context.Context) ([]modem.Context, error)    { return nil, nil }
func (r *radio) ActiveContexts(context.Context) (map[int]bool, error) { return nil, nil }
func (r *radio) DefineContext(context.Context, modem.Context) error   { return errors.New("needless") }
func (r *radio) SetAuth(context.Context, modem.Context, modem.Auth) error {
	return errors.New("needless")
}
func (r *radio) Attach(context.Context, bool) error { return errors.New("needless") }
func (r *radio) AttachCID() int                     { return 0 }
func (r *radio) OnlyCID(dialect.Kind) int           { return 0 }
func (r *radio) DynamicParameters(context.Context, int) (modem.IPConfig, error) {
	return modem.IPConfig{}, nil
}

func (r *radio) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// keeper keeps connections in memory.
type keeper map[string]activation.APN

func (k keeper) KeptAPN(iccid string) (activation.APN, bool)  { a, ok := k[iccid]; return a, ok }
func (k keeper) KeepAPN(iccid string, a activation.APN) error { k[iccid] = a; return nil }

// bench is a bearer with everything in memory.
type bench struct {
	*Bearer
	radio  *radio
	kernel *nlsim.Kernel
	model  *status.Model
}

func newBench(t *testing.T, change func(*Config, *radio)) *bench {
	t.Helper()
	k := nlsim.New()
	k.AddLink(netlink.Link{Name: "wwan0", Type: 65534, NoARP: true})
	r := &radio{
		sim: modem.SIMReady, iccid: iccid, reg: modem.RegHome, kernel: k, source: dialect.CGCONTRDP,
		accept: map[string]bool{"first.test": true, "second.test": true}, dead: map[string]bool{},
	}
	store, err := learned.Open(filepath.Join(t.TempDir(), "learned.json"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	db, err := cosa.New([]cosa.OperatorProfile{{
		ID: "lab", Name: "Lab", Source: cosa.SourceLocal, Targets: []cosa.Target{{MCCMNC: []string{"00101"}}},
		Connections: []cosa.Connection{{APN: "first.test"}, {APN: "second.test"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	model := status.New("test", time.Now)
	cfg := Config{
		Kernel: k, Operators: func() *cosa.DB { return db }, Learned: store, Status: model, Now: time.Now,
		DHCP: func(context.Context, string) (Lease, error) { return Lease{}, errors.New("no server") },
		Probe: func(ctx context.Context, s uplink.Spec) Reach {
			st, err := uplink.Read(ctx, k, s)
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil || !st.Usable() || r.up == "" || r.dead[r.up] {
				return Reach{State: status.Down, Reason: "no answer"}
			}
			return Reach{State: status.Up}
		},
		Keeper: keeper{}, Interface: func() (string, error) { return "wwan0", nil },
		Spec:  uplink.Spec{DefaultRoute: true, Metric: 700, Table: 700},
		Apply: true, Settings: Settings{Interval: time.Minute, Try: 30 * time.Second, KeepUp: true},
	}
	if change != nil {
		change(&cfg, r)
	}
	b := New(cfg)
	b.SetRadio(r)
	return &bench{b, r, k, model}
}

func (b *bench) bringUp(ctx context.Context) (activation.Up, error) {
	p, err := b.Plan(ctx, iccid, nil)
	if err != nil {
		return activation.Up{}, err
	}
	return b.Up(ctx, p, func(activation.State) {})
}

func TestUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config, *radio)
		apn    string
		code   string
		calls  []string
	}{
		{"the first connection works", nil, "first.test", "", []string{"up first.test"}},
		{"the first is unknown to the network", func(_ *Config, r *radio) { r.accept["first.test"] = false }, "second.test", "", []string{"up first.test", "up second.test"}},
		{"the first carries nothing", func(_ *Config, r *radio) { r.dead["first.test"] = true }, "second.test", "", []string{"up first.test", "down", "up second.test"}},
		{"none works", func(_ *Config, r *radio) { r.accept = nil }, "", "no-data", []string{"up first.test", "up second.test"}},
		{"registration denied", func(_ *Config, r *radio) { r.reg, r.cause = modem.RegDenied, 8 }, "", "registration-denied", nil},
		{"never registered", func(_ *Config, r *radio) { r.reg = modem.RegSearching }, "", "not-registered", nil},
		{"another SIM", func(_ *Config, r *radio) { r.iccid = "8900101000000000025" }, "", "wrong-sim", nil},
		{"roaming is off", func(c *Config, r *radio) {
			r.reg = modem.RegRoaming
			c.Roaming = func(cosa.RoamState) bool { return false }
		}, "", "roaming-off", nil},
		{"[apn] outranks the records", func(c *Config, r *radio) {
			r.accept["given.test"] = true
			c.Given = configured(cosa.Given{Connection: cosa.Connection{APN: "given.test"}, Origin: "[apn] apn"})
		}, "given.test", "", []string{"up given.test"}},
		{"[apn] of another profile", func(c *Config, r *radio) {
			c.Given, c.GivenFor = configured(cosa.Given{Connection: cosa.Connection{APN: "given.test"}}), "8900101000000000025"
		}, "first.test", "", []string{"up first.test"}},
		{"no interface", func(c *Config, _ *radio) { c.Interface = func() (string, error) { return "wwan9", nil } }, "", "no-interface", nil},
		{"DHCP server is dead", func(_ *Config, r *radio) { r.source = dialect.DHCP }, "", "no-data", []string{"up first.test", "down", "up second.test", "down"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tt.change)
				ctx, done := context.WithTimeout(t.Context(), 2*time.Minute)
				defer done()
				up, err := b.bringUp(ctx)
				var code string
				if f, ok := errors.AsType[*activation.Fault](err); ok {
					code = f.Code
					if f.Advice == "" {
						t.Errorf("no advice with %v", err)
					}
				}
				if up.APN != tt.apn || code != tt.code || (err == nil) != (tt.code == "") {
					t.Errorf("APN %q, error %v", up.APN, err)
				}
				if !slices.Equal(b.radio.calls, tt.calls) {
					t.Errorf("calls %q, want %q", b.radio.calls, tt.calls)
				}
				if err != nil {
					if st, _ := uplink.Read(ctx, b.kernel, uplink.Spec{Interface: "wwan0", Table: 700}); len(st.Addrs)+len(st.Rules) > 0 {
						t.Errorf("left behind: %v %v", st.Addrs, st.Rules)
					}
				}
			})
		})
	}
}

func TestUpTwiceChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		if _, err := b.bringUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := b.kernel.Counts().Changes
		if _, err := b.bringUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := b.kernel.Counts().Changes; after != before {
			t.Errorf("%d changes of the kernel the second time", after-before)
		}
	})
}

func TestLastGoodGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(_ *Config, r *radio) { r.accept["first.test"] = false })
		if _, err := b.bringUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.radio.accept["first.test"] = true
		b.radio.calls = nil
		if up, err := b.bringUp(t.Context()); err != nil || up.APN != "second.test" {
			t.Errorf("%+v %v", up, err)
		}
	})
}

// TestAPNOfTheRequestComesBack: what only the activation's request named serves
// after it too, or the link would not survive a restart.
func TestAPNOfTheRequestComesBack(t *testing.T) {
	for _, operators := range []string{"known", "unknown"} {
		t.Run(operators+" operator", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(c *Config, r *radio) {
					r.accept = map[string]bool{"mine.test": true}
					if operators == "unknown" {
						db, err := cosa.New(nil)
						if err != nil {
							t.Fatal(err)
						}
						c.Operators = func() *cosa.DB { return db }
					}
				})
				p, err := b.Plan(t.Context(), iccid, &activation.APN{APN: "mine.test", IPType: "ipv4", Username: "me", Password: "secret"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.Up(t.Context(), p, func(activation.State) {}); err != nil {
					t.Fatal(err)
				}
				up, err := b.bringUp(t.Context())
				if err != nil || up.APN != "mine.test" || !strings.Contains(up.APNReason, "the activation of this profile") {
					t.Errorf("%+v %v", up, err)
				}
				if a := b.current(); a == nil || a.call.Context.Type != modem.IPv4 || a.call.Auth.User != "me" || string(a.call.Auth.Password) != "secret" {
					t.Errorf("brought up as %+v", a)
				}
			})
		})
	}
}

// configured is what [apn] gives.
func configured(g cosa.Given) func() []cosa.Given {
	return func() []cosa.Given { return []cosa.Given{g} }
}

// The order of what somebody asked for: the more particular first.
func TestGivenInOrder(t *testing.T) {
	for _, tt := range []struct {
		name     string
		givenFor string
		request  *activation.APN
		want     []string
	}{
		{"request, [apn] for this profile", iccid, &activation.APN{APN: "request"}, []string{"request", "config"}},
		{"[apn] for this profile, kept", iccid, nil, []string{"config", "kept"}},
		{"kept, [apn] for all", "", nil, []string{"kept", "config"}},
		{"[apn] of another profile", "8900101000000000025", nil, []string{"kept"}},
		{"the request takes the place of the kept one", "", &activation.APN{APN: "request"}, []string{"request", "config"}},
	} {
		b := New(Config{
			Keeper: keeper{iccid: {APN: "kept"}}, Settings: Settings{GivenFor: tt.givenFor},
			Given: configured(cosa.Given{Connection: cosa.Connection{APN: "config"}}),
		})
		given, err := b.given(iccid, tt.request)
		var got []string
		for _, g := range given {
			got = append(got, g.Connection.APN)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q %v", tt.name, got, err)
		}
	}
}

// TestStandingWatch lets the link break in the ways of a year, and expects it
// back each time.
func TestStandingWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		state := func() status.State { return b.model.Snapshot().State }
		await := func(what string, want status.State) {
			t.Helper()
			for range 20000 {
				if state() == want {
					return
				}
				time.Sleep(time.Second)
			}
			t.Fatalf("%s: the link is %s, want %s (%s)", what, state(), want, b.model.Snapshot().Reason)
		}
		await("start", status.Up)
		for _, fault := range []struct {
			name       string
			begin, end func()
		}{
			{"context taken away", func() { b.radio.set(func() { b.radio.up = "" }) }, func() {}},
			{"coverage lost", func() { b.radio.set(func() { b.radio.reg = modem.RegSearching }) }, func() { b.radio.set(func() { b.radio.reg = modem.RegHome }) }},
			{"traffic lost", func() { b.radio.set(func() { b.radio.dead["first.test"], b.radio.dead["second.test"] = true, true }) }, func() { b.radio.set(func() { clear(b.radio.dead) }) }},
			{"no profile enabled", func() { b.radio.set(func() { b.radio.sim = modem.SIMNoProfile }) }, func() { b.radio.set(func() { b.radio.sim = modem.SIMReady }) }},
			{"modem unplugged", func() { b.SetRadio(nil) }, func() { b.SetRadio(b.radio) }},
		} {
			fault.begin()
			time.Sleep(10 * time.Minute)
			fault.end()
			b.Kick()
			time.Sleep(time.Minute)
			await(fault.name, status.Up)
		}
		release := b.Hold()
		b.radio.set(func() { b.radio.calls, b.radio.up = nil, "" })
		time.Sleep(time.Hour)
		b.radio.set(func() {
			if len(b.radio.calls) > 0 {
				t.Errorf("while held: %q", b.radio.calls)
			}
		})
		release()
		release() // a second call does nothing
		time.Sleep(time.Minute)
		await("after the hold", status.Up)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if b.radio.up == "" {
			t.Error("the link went down with the daemon, though on_exit is keep")
		}
	})
}

func TestPlanRefusesABadAPN(t *testing.T) {
	b := newBench(t, nil)
	for _, apn := range []activation.APN{{APN: "a b"}, {APN: "a.test", IPType: "ipx"}, {APN: "a.test", Auth: "secret"}} {
		if _, err := b.Plan(t.Context(), iccid, &apn); err == nil {
			t.Errorf("%+v is accepted", apn)
		}
	}
}

// An order is not spent on a profile for which no record has an APN.
func TestChooseBeforeTheDownload(t *testing.T) {
	id, err := euicc.ParseICCID(iccid)
	if err != nil {
		t.Fatal(err)
	}
	strange := euicc.Operator{MCC: "999", MNC: "99"}
	for _, tt := range []struct {
		name  string
		owner euicc.Operator
		apn   *activation.APN
		given bool // [apn] apn = ""
		first string
		code  string
	}{
		{"known operator", euicc.Operator{MCC: "001", MNC: "01"}, nil, false, "first.test", ""},
		{"unknown operator", strange, nil, false, "", "no-apn"},
		{"unknown operator, APN with the request", strange, &activation.APN{APN: "mine.test"}, false, "mine.test", ""},
		{"unknown operator, left to the network", strange, nil, true, "", ""},
		{"no operator in the metadata", euicc.Operator{}, nil, false, "", ""},
	} {
		b := newBench(t, func(c *Config, _ *radio) {
			c.NetworkAssigned = true
			if tt.given {
				c.Given = configured(cosa.Given{Origin: "[apn] apn"})
			}
		})
		p, err := b.Choose(t.Context(), euicc.Metadata{ICCID: id, Owner: tt.owner}, tt.apn)
		code := ""
		if f, ok := errors.AsType[*activation.Fault](err); ok {
			code = f.Code
		}
		if code != tt.code || (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err == nil {
			if apn, _ := p.First(); apn != tt.first {
				t.Errorf("%s: %q first", tt.name, apn)
			}
		}
	}
}
