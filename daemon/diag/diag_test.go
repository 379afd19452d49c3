package diag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a box that works but for what a row breaks.
type fake struct {
	board        Board
	sim          SIM
	registration Registration
	apn          Context
	link         Link
	reach        Reach
	errs         map[string]error
	hangs        string
	asked        []string
}

func healthy() *fake {
	return &fake{
		board: Board{Model: "Test board", Ports: []string{"/dev/ttyUSB2"}}, sim: SIM{State: "ready", Ready: true},
		registration: Registration{Registered: true, Text: "home, LTE"}, apn: Context{Active: true, APN: "internet", Why: "by MCC+MNC 00101"},
		link:  Link{Interface: "wwan0", Addresses: []string{"10.64.3.6/30"}, Usable: true, Servers: []string{"10.64.3.5"}},
		reach: Reach{State: "up", Stage: "http", Text: "http://reach.test/ in 20.0 ms", Targets: []string{"http://reach.test/: ok"}},
		errs:  map[string]error{},
	}
}

func (f *fake) ask(ctx context.Context, name string) error {
	f.asked = append(f.asked, name)
	if f.hangs == name {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.errs[name]
}

func (f *fake) text(ctx context.Context, name string) (string, error) {
	return name + " is well", f.ask(ctx, name)
}

func (f *fake) Board(ctx context.Context) (Board, error)     { return f.board, f.ask(ctx, "board") }
func (f *fake) Port(ctx context.Context) (string, error)     { return f.text(ctx, "port") }
func (f *fake) Modem(ctx context.Context) (string, error)    { return f.text(ctx, "modem") }
func (f *fake) Clock(ctx context.Context) (string, error)    { return f.text(ctx, "clock") }
func (f *fake) Card(ctx context.Context) (string, error)     { return f.text(ctx, "card") }
func (f *fake) SIM(ctx context.Context) (SIM, error)         { return f.sim, f.ask(ctx, "sim") }
func (f *fake) Profile(ctx context.Context) (string, error)  { return f.text(ctx, "profile") }
func (f *fake) Data(ctx context.Context) (string, error)     { return f.text(ctx, "data") }
func (f *fake) Context(ctx context.Context) (Context, error) { return f.apn, f.ask(ctx, "context") }
func (f *fake) Link(ctx context.Context) (Link, error)       { return f.link, f.ask(ctx, "link") }
func (f *fake) Reach(ctx context.Context) (Reach, error)     { return f.reach, f.ask(ctx, "check") }
func (f *fake) Registration(ctx context.Context) (Registration, error) {
	return f.registration, f.ask(ctx, "registration")
}

type hinted struct{ error }

func (hinted) Hint() string { return "do this" }

// each node is broken in each way once: the first broken one of the chain is
// named, with advice, and what depends on it is neither asked nor told as broken.
func TestWalk(t *testing.T) {
	no := errors.New("it does not")
	fails := func(name string) func(*fake) { return func(f *fake) { f.errs[name] = no } }
	rejected := func(cause int) func(*fake) {
		return func(f *fake) {
			f.registration = Registration{Text: "denied", Cause: cause, CauseText: "as the network says"}
		}
	}
	unreached := func(state, cause, stage string) func(*fake) {
		return func(f *fake) {
			f.reach = Reach{State: state, Cause: cause, Stage: stage, Text: "what was found", Advice: "what to do", Targets: []string{"one: none", "two: none"}}
		}
	}
	for _, tt := range []struct {
		name   string
		harm   func(f *fake)
		broken string // the node, "" for none
		text   string
		advice string // a part of it
	}{
		{"all is well", func(*fake) {}, "", "", ""},
		{"no port of a modem", func(f *fake) { f.board.Ports = nil }, "board", "the kernel knows no port of a modem", "check power and cable"},
		{"a socket in place of a port", func(f *fake) { f.board = Board{Fixed: true} }, "", "", ""},
		{"the board cannot be looked at", fails("board"), "board", "it does not", "check power and cable"},
		{"the port cannot be opened", fails("port"), "port", "it does not", "[modem] port"},
		{"an error with a hint of its own", func(f *fake) { f.errs["port"] = fmt.Errorf("in use: %w", hinted{no}) }, "port", "in use: it does not", "do this"},
		{"the modem is silent", fails("modem"), "modem", "it does not", "restart the modem"},
		{"the modem hangs", func(f *fake) { f.hangs = "sim" }, "sim", "no answer within 20s: context deadline exceeded", "take the card out"},
		{"a clock of 1970", fails("clock"), "clock", "it does not", "set the system's clock"},
		{"the card cannot be read", fails("card"), "card", "it does not", "dynamod card"},
		{"the slot is empty", func(f *fake) { f.sim = SIM{State: "absent", Advice: "insert a SIM"} }, "sim", "the modem says absent", "insert a SIM"},
		{"the SIM wants its PIN", func(f *fake) { f.sim = SIM{State: "pin", Advice: "pin_file"} }, "sim", "the modem says pin", "pin_file"},
		{"the SIM cannot be asked", fails("sim"), "sim", "it does not", "take the card out"},
		{"an eUICC without an enabled profile", func(f *fake) { f.sim = SIM{State: "no-profile", NoProfile: true, Advice: "enable one"} }, "profile", "no profile is enabled", "enable one"},
		{"the profile's files cannot be read", fails("profile"), "profile", "it does not", "restart the modem"},
		{"no coverage", func(f *fake) { f.registration = Registration{Text: "searching"} }, "registration", "searching", "antenna and coverage"},
		{"24.301 cause 2", rejected(2), "registration", "denied, as the network says", "whether the line is active"},
		{"24.301 cause 6", rejected(6), "registration", "denied, as the network says", "IMEI"},
		{"24.301 cause 13", rejected(13), "registration", "denied, as the network says", "roaming"},
		{"24.301 cause 19", rejected(19), "registration", "denied, as the network says", "purpose attach"},
		{"a cause without advice", rejected(96), "registration", "denied, as the network says", "ask the operator"},
		{"the registration cannot be asked", fails("registration"), "registration", "it does not", "restart the modem"},
		{"no interface for data", fails("data"), "data", "it does not", "usb-mode"},
		{"no APN works", func(f *fake) { f.apn = Context{Why: "cause 33", Advice: "ask"} }, "context", "no context is active: cause 33", "ask"},
		{"no APN, and no reason", func(f *fake) { f.apn = Context{} }, "context", "no context is active", "dynamod apn explain"},
		{"no interface", fails("link"), "link", "it does not", "[uplink] interface"},
		{"no carrier", func(f *fake) { f.link.Usable = false }, "link", "wwan0 is not up with an address and carrier", "next look"},
		{"somebody took the address", func(f *fake) { f.link.Differs = []string{"ip addr add 10.64.3.6/30 dev wwan0"} }, "link", "wwan0 differs: ip addr add 10.64.3.6/30 dev wwan0", "NetworkManager"},
		{"somebody took the route", func(f *fake) { f.link.Routes = []string{"ip route add default dev wwan0"} }, "route", "a route or rule is missing: ip route add default dev wwan0", "ip monitor"},
		{"somebody writes the DNS file", func(f *fake) { f.link.DNS = []string{"write resolv.conf"} }, "dns", "the DNS file differs: write resolv.conf", "dns_file"},
		{"name servers dead", unreached("limited", "name-servers", "dns"), "dns", "what was found", "what to do"},
		{"names unknown", unreached("down", "walled-garden", "dns"), "dns", "what was found", "what to do"},
		{"the check itself fails", fails("check"), "dns", "it does not", "[reach] targets"},
		{"connections refused", unreached("down", "walled-garden", "tcp"), "reach", "what was found", "what to do"},
		{"nothing answers", unreached("down", "no-link", "tcp"), "reach", "what was found", "what to do"},
		{"a portal", unreached("limited", "portal", "http"), "reach", "what was found", "what to do"},
		{"a portal's name server", unreached("limited", "portal", "dns"), "reach", "what was found", "what to do"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := healthy()
				tt.harm(f)
				begin := time.Now()
				d, err := Walk(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took > nodeTime {
					t.Errorf("it took %s", took)
				}
				if d.OK != (tt.broken == "") || len(d.Nodes) != len(tree) {
					t.Errorf("got %+v", d)
				}
				for _, n := range d.Nodes {
					below := under(n.Name, tt.broken)
					switch {
					case n.Name == tt.broken:
						if n.State != Broken || n.Text != tt.text || !strings.Contains(n.Advice, tt.advice) || n.Advice == "" && tt.advice != "" {
							t.Errorf("%+v", n)
						}
					case below && (n.State != Skipped || n.Text != "depends on "+tt.broken || n.Advice != ""):
						t.Errorf("below the broken one: %+v", n)
					case !below && (n.State != OK || n.Advice != "" || n.Text == ""):
						t.Errorf("beside the broken one: %+v", n)
					}
					if below && slices.Contains(f.asked, n.Name) {
						t.Errorf("%s was asked", n.Name)
					}
				}
			})
		})
	}
}

// under reports whether a node depends on another.
func under(name, on string) bool {
	for _, n := range tree {
		if n.name == name && n.parent != "" {
			return n.parent == on || under(n.parent, on)
		}
	}
	return false
}

// The tree is one: each node stands behind its parent and once, and the chain is
// the way that a packet depends on.
func TestTree(t *testing.T) {
	var chain, seen []string
	for _, n := range tree {
		if slices.Contains(seen, n.name) || n.parent != "" && !slices.Contains(seen, n.parent) {
			t.Errorf("%s stands in the wrong place", n.name)
		}
		seen = append(seen, n.name)
		if n.name == "reach" || under("reach", n.name) {
			chain = append(chain, n.name)
		}
	}
	if got := strings.Join(chain, " "); got != "board port modem sim profile registration data context link route dns reach" {
		t.Errorf("the chain is %s", got)
	}
}

// A walk ends with its context.
func TestWalkCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := healthy()
		f.hangs = "port"
		if _, err := Walk(ctx, f); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// The first node says which box it is and what is known of it.
func TestBoardText(t *testing.T) {
	for _, tt := range []struct {
		board Board
		want  string
	}{
		{Board{Model: "Teltonika RUT955", Definition: "teltonika-rut955 (untested)", Ports: []string{"a", "b"}}, "Teltonika RUT955, board teltonika-rut955 (untested), ports that may be a modem's: 2"},
		{Board{Model: "LENOVO 20L6", Fixed: true}, "LENOVO 20L6"},
		{Board{Definition: "acme-m1", Fixed: true}, "board acme-m1"},
		{Board{Fixed: true}, "unknown board"},
	} {
		w := &walk{World: &fake{board: tt.board, errs: map[string]error{}}}
		if got, err := w.board(t.Context()); got != tt.want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, tt.want)
		}
	}
}
