package atsim

import (
	"context"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	lineport "dynamod/atcmd/port"
)

// managerBus starts ModemManager 1.20's test mode on a bus of its own, with the
// PolicyKit that it asks whether a caller may inhibit. Root may do everything.
const managerBus = `
export DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS
[ -x /usr/lib/polkit-1/polkitd ] && /usr/lib/polkit-1/polkitd --no-debug >/dev/null 2>&1 &
ModemManager --test-session --test-enable --test-no-udev --test-no-suspend-resume --test-no-qrtr >"$DIR/log" 2>&1 &
MM=$!
name=org.freedesktop.ModemManager1
for i in 1 2 3 4 5 6 7 8 9 10; do
	gdbus call --session -d $name -o /org/freedesktop/ModemManager1 -m $name.Test.SetProfile p0 generic "['$SOCKET']" >/dev/null 2>&1 && break
	sleep 0.5
done
echo "$DBUS_SESSION_BUS_ADDRESS $MM" >"$DIR/bus"
cat >/dev/null
`

const managerPolicy = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
`

// callers counts the mmcli that this process started.
func callers(t *testing.T) (n int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if _, rest, ok := strings.Cut(string(b), " (mmcli) "); err == nil && ok {
			if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(os.Getpid()) {
				n++
			}
		}
	}
	return n
}

// TestModemManagerLetsGo: it has the modem, is asked, and lets it go.
func TestModemManagerLetsGo(t *testing.T) {
	need(t, "ModemManager", "mmcli", "gdbus", "dbus-run-session")
	if _, err := os.Stat("/usr/lib/polkit-1/polkitd"); err != nil || os.Geteuid() != 0 {
		t.Skip("ModemManager asks PolicyKit who may inhibit: needs polkitd and root")
	}
	m, err := New(Config{Card: newTestCard().apdu, Network: newTestNetwork()})
	if err != nil {
		t.Fatal(err)
	}
	socket := fmt.Sprintf("abstract:port-%d", os.Getpid())
	l, err := net.Listen("unix", "@"+socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var served sync.WaitGroup
	connected := make(chan int, 1) // how many have the port open
	connected <- 0
	count := func(by int) int {
		n := <-connected + by
		connected <- n
		return n
	}
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count(1)
			served.Go(func() { defer count(-1); m.Serve(ctx, c) })
		}
	})
	defer served.Wait()
	defer cancel()
	defer l.Close()

	dir := t.TempDir()
	if err := os.WriteFile(dir+"/bus.conf", []byte(managerPolicy), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(ctx, "dbus-run-session", "--config-file="+dir+"/bus.conf", "--", "sh", "-c", managerBus)
	cmd.Env = append(os.Environ(), "SOCKET="+socket, "DIR="+dir)
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer cmd.Wait()
	defer in.Close()
	await := func(what string, done func() bool) {
		t.Helper()
		for !done() {
			if ctx.Err() != nil {
				log, _ := os.ReadFile(dir + "/log")
				t.Fatalf("not in time: %s\n%s", what, log[max(0, len(log)-2000):])
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	var bus string
	await("bus", func() bool {
		b, _ := os.ReadFile(dir + "/bus")
		bus, _, _ = strings.Cut(string(b), " ")
		return bus != ""
	})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
	listed := func() bool {
		out, err := osexec.CommandContext(ctx, "mmcli", "-L").Output()
		return err == nil && strings.Contains(string(out), "Modem/")
	}
	await("ModemManager has the modem", listed)

	i, err := lineport.Inhibit(ctx, "unix:@"+socket, lineport.InhibitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	await("ModemManager lets it go", func() bool { return count(0) == 0 && !listed() })
	p, err := lineport.Open(ctx, "unix:@"+socket, lineport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := callers(t); n != 1 {
		t.Errorf("%d mmcli hold the wish", n)
	}
	await("we have it", func() bool { return count(0) == 1 })
	p.Close()
	await("we gave it back", func() bool { return count(0) == 0 })
	i.Close()
	// It does not take a modem of its test interface back, so that only the end
	// of the wish can be seen.
	if n := callers(t); n != 0 {
		t.Errorf("%d mmcli outlive the wish", n)
	}
}
