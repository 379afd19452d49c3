package ppp

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dynamod/atcmd/modem"
)

// afar has the bench's pppd run by a Host at the other end of a wire, as a daemon
// without root has it run.
func (b *bench) afar() {
	b.Far = func(_ context.Context, tty *os.File, o Options) (net.Conn, error) {
		again, err := ParseOptions(o.Args())
		must(b.t, err)
		near, far := net.Pipe()
		dir := b.t.TempDir()
		b.wg.Go(func() {
			defer far.Close()
			if err := Host(context.Background(), far, filepath.Join(b.dir, fakePPPD), dir, tty, again, slog.New(slog.DiscardHandler)); err != nil {
				b.t.Error(err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				b.t.Errorf("left behind: %v", left)
			}
		})
		return near, nil
	}
	b.Program, b.Dir = filepath.Join(b.dir, "none"), filepath.Join(b.dir, "none")
}

// TestWireLost: who runs pppd ends it when the line is gone, and a line whose
// pppd is out of reach takes it for ended.
func TestWireLost(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{"line", "host"} {
		t.Run(gone, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, orders{Says: up("10.64.0.2"), Hangs: true})
			b.afar()
			var wire net.Conn
			far := b.Far
			b.Far = func(ctx context.Context, tty *os.File, o Options) (net.Conn, error) {
				if gone == "host" {
					near, host := net.Pipe()
					wire = host
					go host.Write([]byte("log Using interface ppp0\nlog local  IP address 10.0.0.2\n"))
					return near, nil
				}
				var err error
				wire, err = far(ctx, tty, o)
				return wire, err
			}
			_, err := b.Up(t.Context(), b.port, callOf(modem.IPv4, modem.Auth{}))
			must(t, err)
			wire.Close()
			<-b.lost
			if _, ok := b.Active(); ok {
				t.Error("still active")
			}
			if gone == "line" {
				b.await("pppd's end", func() bool { return b.saw()[0].Terminated })
			}
		})
	}
}

// TestHostEnds: the helper that is told to end takes its pppd along, and a tty has its
// group's rights back even from a pppd that was killed.
func TestHostEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, orders{Says: up("10.64.0.2"), Hangs: true, Restricts: true})
	tty, err := openTTY(b.port)
	must(t, err)
	defer tty.Close()
	must(t, tty.Chmod(0o660))
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- Host(ctx, far, filepath.Join(b.dir, fakePPPD), b.dir, tty, Options{Type: modem.IPv4}, slog.New(slog.DiscardHandler))
	}()
	p := follow(near, b.Log)
	b.await("an address", func() bool { return p.says().Local.IsValid() })
	if info, err := os.Stat(b.port); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the fake has not done what pppd does: %v, %v", info.Mode(), err)
	}
	cancel()
	must(t, <-ended)
	<-p.over
	if p.err.Code != codeSignal || !b.saw()[0].Terminated {
		t.Errorf("end %v", p.err)
	}
	if info, err := os.Stat(b.port); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the tty has mode %v, %v", info.Mode(), err)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("IP", "0", "", "")
	f.Add("IPV4V6", "2", "me@net", "p w#%'x\n")
	f.Add("IPV6", "1", "u", "p")
	f.Add("PPP", "3", "", "x")
	f.Add("IP", "1", "u\"\nplugin /tmp/x.so\n", "\\")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		args := []string{a, b, c, d}
		o, err := ParseOptions(args)
		if err != nil {
			if len(d) > 3 && strings.Contains(err.Error(), d) {
				t.Errorf("a password in %q", err)
			}
			return
		}
		if !slices.Equal(o.Args(), args) {
			t.Errorf("%q became %q", args, o.Args())
		}
		// Whatever the credentials are, pppd reads back these and no option more.
		plain := o
		plain.Auth.User, plain.Auth.Password = "x", "x"
		got, err := readOptions(o.text(nil))
		must(t, err)
		want, err := readOptions(plain.text(nil))
		must(t, err)
		if len(got) != len(want) {
			t.Errorf("options %v, not %v", got, want)
		}
		for name := range want {
			if _, ok := got[name]; !ok {
				t.Errorf("without %s", name)
			}
		}
		if o.Auth.Method != modem.NoAuth && (got["user"][0] != c || got["password"][0] != d) {
			t.Errorf("pppd reads %q %q", got["user"], got["password"])
		}
		if o.Auth.Method == modem.NoAuth && strings.Contains(o.text(nil), "password") {
			t.Error("a password for nothing")
		}
	})
}
