package ppp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/atcmd/modem"
)

const secret = `p w#%'x`

// nearAndFar runs a test with a pppd of this process's, and with one of another's.
func nearAndFar(t *testing.T, f func(t *testing.T, newBench func(orders) *bench)) {
	for _, place := range []string{"near", "far"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			f(t, func(o orders) *bench {
				b := newBench(t, o)
				if place == "far" {
					b.afar()
				}
				return b
			})
		})
	}
}

// TestUp: what pppd is given, where it speaks, and that the port takes commands
// again after it.
func TestUp(t *testing.T) {
	t.Parallel()
	nearAndFar(t, func(t *testing.T, newBench func(orders) *bench) {
		b := newBench(orders{Says: up("10.64.0.2"), Hangs: true})
		b.noDTR = true
		for run := range 2 { // the second shows that the first has hung up
			link, err := b.Up(t.Context(), b.port, callOf(modem.IPv4v6, modem.Auth{Method: modem.CHAP, User: "me@net", Password: secret}))
			must(t, err)
			want := Link{
				Interface: "ppp7", Local: netip.MustParseAddr("10.64.0.2"), Identifier: netip.MustParseAddr("fe80::1"),
				DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("149.112.112.112")},
			}
			if fmt.Sprint(link) != fmt.Sprint(want) {
				t.Errorf("link %+v", link)
			}
			if name, ok := b.Active(); name != "ppp7" || !ok {
				t.Errorf("active: %q, %v", name, ok)
			}
			s := b.saw()[run]
			if all := strings.Join(append(s.Args, s.Env...), " "); strings.Contains(all, "me@net") || strings.Contains(all, secret) {
				t.Errorf("a secret is in %q", all)
			}
			if s.Mode != 0o600 || s.PGID != s.PID || s.TTY != b.port || len(s.Inherited) > 0 {
				t.Errorf("options have mode %v, group %d of %d, terminal %s, further descriptors %v", s.Mode, s.PGID, s.PID, s.TTY, s.Inherited)
			}
			for name, value := range map[string]string{
				"user": "me@net", "password": secret, "refuse-pap": "", "+ipv6": "", "noauth": "", "nodetach": "", "nodefaultroute": "", "usepeerdns": "",
				"noipdefault": "", "ipcp-accept-local": "", "ipcp-accept-remote": "", "local": "", "nocrtscts": "", "ip-up-script": "/bin/true", "refuse-chap": "-", "noip": "-",
			} {
				got, ok := s.Options[name]
				if ok != (value != "-") || ok && strings.Join(got, " ") != value {
					t.Errorf("option %s: %q, there: %v", name, got, ok)
				}
			}
			if _, err := os.Stat(s.Args[1]); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the options are still there: %v", err)
			}
			b.await("pppd's bytes", func() bool {
				b.mu.Lock()
				defer b.mu.Unlock()
				return strings.Contains(string(b.heard), s.Greeting)
			})
			b.mu.Lock()
			if p := b.pdp[3]; p == nil || p.APN != "internet" || p.Auth != 2 || p.User != "me@net" || len(b.pdp) != 1 {
				t.Errorf("the network was asked for %+v", b.pdp)
			}
			b.mu.Unlock()
			b.Down(t.Context())
			if _, ok := b.Active(); ok || !b.saw()[run].Terminated {
				t.Errorf("after the end: active %v, terminated %v", ok, b.saw()[run].Terminated)
			}
			b.await("the end of the context", func() bool { return b.active() == 0 })
		}
		if len(b.lost) > 0 {
			t.Error("an end that was asked for counts as lost")
		}
	})
}

// TestEnds: how pppd may end before there is an address.
func TestEnds(t *testing.T) {
	t.Parallel()
	says := []string{"Using interface ppp0", "Connect: ppp0 <--> /dev/ttyUSB3"}
	for _, tt := range []struct {
		name string
		o    orders
		code int
		text string
		auth bool
		ours bool
	}{
		{"2.4.9: CHAP refused", orders{Says: says, Last: "CHAP authentication failed: bad password", Exit: 19}, 19, "pppd: authentication failed: CHAP authentication failed: bad password", true, false},
		{"the modem hangs up", orders{Says: says, Last: "Modem hangup", Exit: 16}, 16, "pppd: the modem has hung up: Modem hangup", false, false},
		{"LCP never answered", orders{Says: says, Last: "LCP: timeout sending Config-Requests", Exit: 10}, 10, "pppd: the negotiation failed: LCP: timeout sending Config-Requests", false, false},
		{"no IP", orders{Says: says, Last: "LCP terminated by peer (No network protocols running)", Exit: 10}, 10, "pppd: the negotiation failed: LCP terminated by peer (No network protocols running)", false, false},
		{"a kernel without PPP", orders{Last: "Sorry - this system lacks PPP kernel support", Exit: 4}, 4, "pppd: the kernel has no PPP: Sorry - this system lacks PPP kernel support", false, true},
		{"in command mode", orders{Says: says, Last: "Serial line is looped back.", Exit: 17}, 17, "pppd: the port sends back what it gets: it is not in data mode", false, false},
		{"an option that it needs", orders{Unknown: []string{"usepeerdns"}}, 2, "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nearAndFar(t, func(t *testing.T, newBench func(orders) *bench) {
				b := newBench(tt.o)
				_, err := b.Up(t.Context(), b.port, callOf(modem.IPv4v6, modem.Auth{}))
				end, ok := errors.AsType[*EndError](err)
				if !ok || end.Code != tt.code || end.Auth() != tt.auth || end.Ours() != tt.ours || tt.text != "" && end.Error() != tt.text {
					t.Fatalf("error %v", err)
				}
				// The port is free, and the next one has its chance.
				b.order(orders{Says: up("10.64.0.9"), Hangs: true})
				link, err := b.Up(t.Context(), b.port, callOf(modem.IPv4v6, modem.Auth{}))
				if err != nil || link.Local.String() != "10.64.0.9" {
					t.Errorf("the next: %+v, %v", link, err)
				}
			})
		})
	}
}

// TestOldPPPD: builds that lack options which it works without: upstream's 2.4.9,
// which has no ip-up-script, and one without MS-CHAP and IPv6.
func TestOldPPPD(t *testing.T) {
	t.Parallel()
	nearAndFar(t, func(t *testing.T, newBench func(orders) *bench) {
		b := newBench(orders{
			Unknown: []string{"ip-up-script", "ip-down-script", "ipv6-up-script", "ipv6-down-script", "nodefaultroute6", "refuse-mschap", "refuse-mschap-v2", "+ipv6"},
			Says:    []string{"Using interface ppp0", "local  IP address 10.0.0.2"}, Hangs: true,
		})
		call := callOf(modem.IPv4v6, modem.Auth{Method: modem.PAP, User: "u", Password: "p"})
		link, err := b.Up(t.Context(), b.port, call)
		if err != nil || link.Local.String() != "10.0.0.2" || link.Identifier.IsValid() {
			t.Fatalf("%+v, %v", link, err)
		}
		runs := len(b.saw())
		if runs != 9 {
			t.Errorf("%d runs", runs)
		}
		more := 1
		if b.Far != nil {
			more = runs // a helper lives for one connection
		}
		if _, err := b.Up(t.Context(), b.port, call); err != nil || len(b.saw()) != runs+more {
			t.Errorf("the second time: %v, %d runs more", err, len(b.saw())-runs)
		}
	})
}

// TestFamilies: the network gives what it gives.
func TestFamilies(t *testing.T) {
	t.Parallel()
	const four, six = "local  IP address 10.0.0.2", "local  LL address fe80::5"
	for _, tt := range []struct {
		name  string
		asked modem.PDPType
		says  []string
		noip  bool
		six   string // the option about it
	}{
		{"IPv4", modem.IPv4, []string{four}, false, "noipv6"},
		{"IPv6", modem.IPv6, []string{six}, true, "+ipv6"},
		{"both, IPv4 given", modem.IPv4v6, []string{four}, false, "+ipv6"},
		{"both, IPv6 given", modem.IPv4v6, []string{six}, false, "+ipv6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, orders{Says: append([]string{"Using interface ppp0"}, tt.says...), Hangs: true})
			link, err := b.Up(t.Context(), b.port, callOf(tt.asked, modem.Auth{}))
			must(t, err)
			if link.Local.IsValid() != slices.Contains(tt.says, four) || link.Identifier.IsValid() != slices.Contains(tt.says, six) {
				t.Errorf("%+v", link)
			}
			o := b.saw()[0].Options
			if _, noip := o["noip"]; noip != tt.noip || o[tt.six] == nil || o["user"] != nil {
				t.Errorf("options %v", o)
			}
		})
	}
}

// TestGivenUp: LCP that stays silent is given up with the caller's time.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	nearAndFar(t, func(t *testing.T, newBench func(orders) *bench) {
		b := newBench(orders{Says: []string{"Using interface ppp0"}, Hangs: true})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			b.await("pppd", func() bool { return len(b.saw()) > 0 })
			cancel()
		}()
		_, err := b.Up(ctx, b.port, callOf(modem.IPv4, modem.Auth{}))
		if !errors.Is(err, context.Canceled) || !b.saw()[0].Terminated {
			t.Errorf("error %v, terminated %v", err, b.saw()[0].Terminated)
		}
		b.await("the end of the context", func() bool { return b.active() == 0 })
	})
}

// TestLost: the far end goes. The owner is told once the port can be dialled again.
func TestLost(t *testing.T) {
	t.Parallel()
	nearAndFar(t, func(t *testing.T, newBench func(orders) *bench) {
		b := newBench(orders{Says: up("10.64.0.2"), Hangs: true, Reads: true})
		for range 2 {
			_, err := b.Up(t.Context(), b.port, callOf(modem.IPv4, modem.Auth{}))
			must(t, err)
			b.talk <- "bye"
			<-b.lost
			if _, ok := b.Active(); ok {
				t.Error("still active")
			}
		}
		_, err := b.Up(t.Context(), b.port, callOf(modem.IPv4, modem.Auth{}))
		must(t, err)
		must(t, syscall.Kill(b.saw()[2].PID, syscall.SIGKILL))
		<-b.lost
		b.Down(t.Context()) // twice is no more than once
		b.Down(t.Context())
	})
}

// TestLingers: one that does not heed is killed.
func TestLingers(t *testing.T) {
	t.Parallel()
	nearAndFar(t, func(t *testing.T, newBench func(orders) *bench) {
		b := newBench(orders{Says: up("10.64.0.2"), Hangs: true, Lingers: true})
		_, err := b.Up(t.Context(), b.port, callOf(modem.IPv4, modem.Auth{}))
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			b.await("SIGTERM", func() bool { return b.saw()[0].Terminated })
			cancel()
		}()
		b.Down(ctx)
		if err := syscall.Kill(b.saw()[0].PID, 0); err != syscall.ESRCH {
			t.Errorf("it is still there: %v", err)
		}
	})
}

// TestRefused: the modem does not connect, and pppd is not started.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, orders{})
	b.sim.SetFault("deny-registration", atsim.Fault{})
	call := callOf(modem.IPv4, modem.Auth{})
	call.Context.APN = "nowhere"
	_, err := b.Up(t.Context(), b.port, call)
	if _, ok := errors.AsType[*modem.ActivationError](err); !ok || len(b.saw()) != 0 {
		t.Errorf("error %v, %d runs", err, len(b.saw()))
	}
	for name, want := range map[string]error{filepath.Join(b.dir, "none"): os.ErrNotExist} {
		if _, err := b.Up(t.Context(), name, call); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.Program = filepath.Join(b.dir, "none")
	if _, err := b.Up(t.Context(), b.port, call); err == nil || len(b.saw()) != 0 {
		t.Errorf("without pppd: %v", err)
	}
}

// TestKilled: nobody is left on the port when the daemon is killed, and the next one
// dials on it.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t, orders{Says: up("10.64.0.2"), Hangs: true})
	must(t, os.Symlink(self(t), filepath.Join(b.dir, "dynamod-killed")))
	cmd := exec.Command(filepath.Join(b.dir, "dynamod-killed"), b.port)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line := make([]byte, 100)
	n, err := out.Read(line)
	if string(line[:n]) != "up\n" {
		cmd.Process.Kill()
		t.Fatalf("it says %q, %v", line[:n], err)
	}
	must(t, cmd.Process.Kill())
	cmd.Wait()
	b.await("pppd's end", func() bool { return b.saw()[0].Terminated })
	_, err = b.Up(t.Context(), b.port, callOf(modem.IPv4, modem.Auth{}))
	must(t, err)
}

func beKilled() {
	dir := filepath.Dir(os.Args[0])
	l := New(Config{Program: filepath.Join(dir, fakePPPD), Dir: dir, Open: openPort, Dial: dial})
	l.found = os.Args[1]
	if _, err := l.Up(context.Background(), os.Args[1], modem.Call{Context: modem.Context{CID: 3, APN: "internet", Type: modem.IPv4}}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	time.Sleep(time.Minute)
	os.Exit(1)
}

// TestLeftInDataMode: a port that an earlier user left in data mode, with the
// terminal still open, is escaped from.
func TestLeftInDataMode(t *testing.T) {
	t.Parallel()
	b := newBench(t, orders{Says: up("10.64.0.2"), Hangs: true})
	b.noDTR = true
	hold, err := openTTY(b.port)
	must(t, err)
	defer hold.Close()
	for _, b.found = range []string{"", b.port} { // the second as if DTR had done nothing
		found := b.found
		b.found = b.port
		must(t, b.dial(t.Context(), b.port, hold, callOf(modem.IPv4, modem.Auth{})))
		b.found = found
		_, err = b.Up(t.Context(), b.port, callOf(modem.IPv4, modem.Auth{}))
		must(t, err)
		b.Down(t.Context())
	}
}
