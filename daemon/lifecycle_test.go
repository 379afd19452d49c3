//go:build linux && !nodemo

package main

import (
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/status"
	"dynamod/netlink"
)

// exitLimit is how long an init system has to wait for the daemon's end at most.
const exitLimit = 5 * time.Second

// TestExit ends a real daemon by SIGTERM in the middle of what may take for ever,
// and looks at what it leaves in the kernel.
func TestExit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		down  bool           // [bearer] on_exit = "down"
		ask   string         // what is asked for then, to be at it
		sent  string         // what the log has when it is
		hangs func(b *bench) // sets the fault
	}{
		{name: "the link is kept"},
		{name: "the link goes down", down: true},
		{name: "the modem hangs", down: true, ask: "/v1/diag", sent: "at > ",
			hangs: func(b *bench) { b.must(b.w.Modem.SetFault("hang", atsim.Fault{})) }},
		{name: "an APDU takes its 240 seconds", ask: "/v1/profiles", sent: "at > AT+C",
			hangs: func(b *bench) { b.must(b.w.Modem.SetFault("card-hang", atsim.Fault{})) }},
		{name: "an APDU takes its 240 seconds, the link goes down", down: true, ask: "/v1/profiles", sent: "at > AT+C",
			hangs: func(b *bench) { b.must(b.w.Modem.SetFault("card-hang", atsim.Fault{})) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append("\n[log]\nlevel = \"debug\"\n")
			if tt.down {
				b.append("\n[bearer]\non_exit = \"down\"\n")
			}
			b.start()
			b.waitUp()
			if tt.hangs != nil {
				tt.hangs(b)
			}
			var asked sync.WaitGroup
			if tt.ask != "" {
				before := len(b.log())
				asked.Go(func() { _ = b.client.Do(b.ctx, http.MethodGet, tt.ask, nil, nil, nil) })
				b.await("the log", func() string { return b.log()[before:] }, tt.sent)
			}
			took, err := b.terminate()
			if err != nil || took > exitLimit {
				t.Errorf("it ended after %s with %v\n%s", took, err, b.log())
			}
			t.Logf("ended after %s", took.Round(time.Millisecond))
			asked.Wait()
			if routes := b.routes(); (len(routes) == 0) != tt.down {
				t.Errorf("left in the kernel: %v\n%s", routes, b.log())
			}
			if tt.down && tt.hangs == nil && strings.Contains(b.log(), "cannot end the data call") {
				t.Errorf("the modem keeps its data call\n%s", b.log())
			}
			// The next start finds a whole state.
			b.w.Modem.ClearFault("")
			b.start()
			b.waitUp()
		})
	}
}

// terminate sends SIGTERM and returns how long the daemon took, and an error if it
// did not end as it should.
func (b *bench) terminate() (time.Duration, error) {
	b.t.Helper()
	begin := time.Now()
	b.must(b.running.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-b.running.done:
		b.running = nil
		if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() == exitOK {
			err = nil
		}
		return time.Since(begin), err
	case <-b.ctx.Done():
		b.t.Fatalf("it does not end\n%s", b.log())
		return 0, nil
	}
}

// append adds to the configuration.
func (b *bench) append(text string) { b.config("\n[uplink]\n", text+"\n[uplink]\n") }

// routes are the default routes over the modem's interface.
func (b *bench) routes() []netlink.Route {
	b.t.Helper()
	snap, err := b.n.Kernel().Snapshot(b.ctx)
	b.must(err)
	var out []netlink.Route
	for _, r := range snap.Routes {
		if r.Default() && r.Dev == (netlab.Options{}).Interface() {
			out = append(out, r)
		}
	}
	return out
}

// notifySocket listens as an init system does, and collects what it is told.
func (b *bench) notifySocket() (said func() string) {
	path := filepath.Join(b.dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	b.must(err)
	b.t.Cleanup(func() { c.Close() })
	var all lockedBuffer
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			_, _ = all.Write(append(buf[:n:n], '\n'))
		}
	}()
	b.env = append(b.env, "NOTIFY_SOCKET="+path)
	return all.String
}

// await waits until a text holds a line.
func (b *bench) await(what string, text func() string, line string) {
	b.t.Helper()
	for !strings.Contains(text(), line) {
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("%s has no %q:\n%s\n%s", what, line, text(), b.log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestInitSystem is told what the daemon does, by a real one, which starts as the
// service files start it, on a configuration of another version, and reads that again
// at SIGHUP.
func TestInitSystem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	said := b.notifySocket()
	b.env = append(b.env, "WATCHDOG_USEC=200000")
	b.flags = []string{"--ignore-unknown"}
	b.config("[modem]\n", "[modem]\nantenna = 2\n")
	b.start()
	b.waitUp()
	b.wait("a warning", func(s status.Snapshot) bool {
		return len(s.Warnings) == 1 && strings.Contains(s.Warnings[0], `unknown key "antenna"`)
	})
	b.await("the init system", said, "READY=1\nSTATUS=down")
	b.await("the init system", said, "\nSTATUS=up on usb0 10.64.3.6/30\n")
	b.await("the init system", said, "\nWATCHDOG=1\n")

	// A file with a mistake changes nothing.
	b.config("\n[uplink]\n", "\n[reach]\ninterval = 7\n[uplink]\n")
	b.must(b.running.cmd.Process.Signal(syscall.SIGHUP))
	b.await("the log", b.log, "the configuration stays as it was")
	b.await("the init system", said, "RELOADING=1\nMONOTONIC_USEC=")
	b.waitUp()

	// What can change does, the rest is named, and the link stays.
	b.config("\n[reach]\ninterval = 7\n[uplink]\n", "\n[bearer]\non_exit = \"down\"\n[log]\nlevel = \"debug\"\n[uplink]\nmetric = 33\n")
	b.must(b.running.cmd.Process.Signal(syscall.SIGHUP))
	b.await("the log", b.log, `msg="the new value needs a restart" key=uplink.metric`)
	b.await("the log", b.log, "level=DEBUG")
	if n := strings.Count(b.log(), "needs a restart"); n != 1 {
		t.Errorf("%d values need a restart\n%s", n, b.log())
	}
	if len(b.routes()) == 0 {
		t.Error("the link has gone")
	}
	if took, err := b.terminate(); err != nil || took > exitLimit {
		t.Errorf("it ended after %s with %v\n%s", took, err, b.log())
	}
	b.await("the init system", said, "STOPPING=1")
	if routes := b.routes(); len(routes) > 0 {
		t.Errorf("on_exit was not read again: %v\n%s", routes, b.log())
	}
}
