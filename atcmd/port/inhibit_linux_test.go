package port

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeManager is a ModemManager to look at, and an mmcli that writes down how it
// was called. Answers come from files, so that a test can change them.
type fakeManager struct {
	*fakeTree
	opts InhibitOptions
}

// mmcliScript answers as mmcli 1.20 does, word by word.
const mmcliScript = `#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >>calls
case "$1" in
-L) cat list;;
-m) cat modem;;
--inhibit-device=*)
	if [ -s refusals ]; then
		head -n1 refusals >&2
		sed -i 1d refusals
		exit 1
	fi
	echo $$ >>children
	echo "successfully inhibited device with uid '${1#*=}'"
	echo "type Ctrl+C to abort this program and remove the inhibition"
	exec sleep 600;;
esac
`

func newFakeManager(t *testing.T, pid int) *fakeManager {
	t.Helper()
	f := &fakeManager{fakeTree: newFakeTree(t)}
	f.write("modem-list.length : 0\n", "bin/list")
	f.write("", "bin/modem")
	f.write("", "bin/calls")
	f.write("", "bin/children")
	f.write(mmcliScript, "bin/mmcli")
	if err := os.Chmod(f.path("bin/mmcli"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.write("init\n", "proc/1/comm")
	f.write("", "proc/uptime")
	f.run(pid)
	f.opts = InhibitOptions{Tree: f.Tree, Mmcli: f.path("bin/mmcli"), Proc: f.path("proc")}
	return f
}

// run starts ModemManager, or with 0 stops it.
func (f *fakeManager) run(pid int) {
	entries, _ := os.ReadDir(f.path("proc"))
	for _, e := range entries {
		if e.Name() != "1" && e.IsDir() {
			os.RemoveAll(f.path("proc", e.Name()))
		}
	}
	if pid > 0 {
		f.write("ModemManager\n", "proc", strconv.Itoa(pid), "comm")
	}
}

func (f *fakeManager) lines(file string) []string {
	b, err := os.ReadFile(f.path("bin", file))
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// wished returns the devices that mmcli was called to inhibit.
func (f *fakeManager) wished() (uids []string) {
	for _, word := range f.lines("calls") {
		if uid, ok := strings.CutPrefix(word, "--inhibit-device="); ok {
			uids = append(uids, uid)
		}
	}
	return uids
}

func processLives(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func poll(fd int, limit time.Duration) (n int, err error) {
	for err = unix.EINTR; err == unix.EINTR; { // Go's own signals cut it short
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
	}
	return n, err
}

func (f *fakeManager) inhibit(name string) (*Inhibition, error) {
	i, err := Inhibit(within(f.t), name, f.opts)
	f.t.Cleanup(i.Close)
	return i, err
}

func TestInhibit(t *testing.T) {
	const listed = "modem-list.length : 1\nmodem-list.value[1] : /org/freedesktop/ModemManager1/Modem/3\n"
	about := func(device, port string) string {
		return fmt.Sprintf("modem.generic.device : %s\nmodem.generic.ports.length : 2\nmodem.generic.ports.value[1] : cdc-wdm0 (qmi)\nmodem.generic.ports.value[2] : %s (at)\n", device, port)
	}
	for _, tt := range []struct {
		name        string
		list, modem string
		port        func(f *fakeManager) string
		uid         func(f *fakeManager) string
	}{
		{"known by a name of its own (ID_MM_PHYSDEV_UID)", listed, about("slot-a", "ttyUSB2"), func(f *fakeManager) string { return f.path("dev/ttyUSB2") }, func(*fakeManager) string { return "slot-a" }},
		{"known by a link", listed, about("slot-a", "ttyUSB2"), func(f *fakeManager) string { return f.path("dev/modem") }, func(*fakeManager) string { return "slot-a" }},
		{"not listed yet", "modem-list.length : 0\n", "", func(f *fakeManager) string { return f.path("dev/ttyUSB2") }, func(f *fakeManager) string { return f.path(usbRoot, "1-1.2") }},
		{"another modem is listed", listed, about("slot-b", "ttyUSB7"), func(f *fakeManager) string { return f.path("dev/ttyUSB2") }, func(f *fakeManager) string { return f.path(usbRoot, "1-1.2") }},
		{"port without a device of its own", "modem-list.length : 0\n", "", func(f *fakeManager) string { return f.path("dev/smd8") }, nil},
		{"simulated modem", listed, about("/virtual/p0", "abstract:mmport0"), func(*fakeManager) string { return "unix:@abstract:mmport0" }, func(*fakeManager) string { return "/virtual/p0" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeManager(t, 4711)
			f.plug("1-1.2", map[int]string{2: "ttyUSB2", 3: "ttyUSB3"})
			f.link("ttyUSB2", "dev/modem")
			f.write("", "dev/smd8")
			f.write(tt.list, "bin/list")
			f.write(tt.modem, "bin/modem")
			i, err := f.inhibit(tt.port(f))
			if err != nil {
				t.Fatal(err)
			}
			var want string
			if tt.uid != nil {
				want = tt.uid(f)
			}
			if got := strings.Join(f.wished(), " "); got != want {
				t.Errorf("inhibited %q, want %q", got, want)
			}
			children := f.lines("children")
			for _, pid := range children {
				if !processLives(pid) {
					t.Error("the child is gone while the modem is ours")
				}
			}
			i.Close()
			i.Close()
			for _, pid := range children {
				if processLives(pid) {
					t.Error("the child outlives the wish")
				}
			}
		})
	}
}

func TestInhibitAnswers(t *testing.T) {
	const refused = "error: couldn't inhibit device: 'GDBus.Error:org.freedesktop.ModemManager1.Error.Core."
	for _, tt := range []struct {
		name, answers string
		text          string // of the error; "" for none
		tries, held   int
	}{
		{"agrees", "", "", 1, 1},
		{"is still probing", refused + "WrongState: Modem not exported in the bus'\n", "", 2, 1},
		{"has not got it", refused + "NotFound: No device found with uid '/sys/devices/x''\n", "", 1, 0},
		{"was asked by somebody else", refused + "WrongState: Device '/virtual/p0' is already inhibited'\n", "", 1, 0},
		{"is not allowed to", refused + "Failed: PolicyKit authorization failed: not authorized'\n", "PolicyKit authorization failed", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeManager(t, 4711)
			f.plug("1-1.2", map[int]string{2: "ttyUSB2"})
			f.write(tt.answers, "bin/refusals")
			_, err := f.inhibit(f.path("dev/ttyUSB2"))
			if tt.text == "" && err != nil || tt.text != "" && (!errors.Is(err, ErrManaged) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("error %v, want %q", err, tt.text)
			}
			if n := len(f.wished()); n != tt.tries {
				t.Errorf("asked %d times, want %d", n, tt.tries)
			}
			if n := len(f.lines("children")); n != tt.held {
				t.Errorf("%d children, want %d", n, tt.held)
			}
		})
	}
}

func TestInhibitWithoutManager(t *testing.T) {
	f := newFakeManager(t, 0)
	f.plug("1-1.2", map[int]string{2: "ttyUSB2"})
	if _, err := f.inhibit(f.path("dev/ttyUSB2")); err != nil {
		t.Error(err)
	}
	if calls := f.lines("calls"); len(calls) != 0 {
		t.Errorf("mmcli was called: %q", calls)
	}
	// Without mmcli there is nothing that could be done, and nothing to look after.
	f.opts.Mmcli = f.path("bin/nothing")
	if i, err := f.inhibit(f.path("dev/ttyUSB2")); err != nil || i != nil {
		t.Errorf("%v, %v", i, err)
	}
	f.run(815)
	if i, err := f.inhibit(f.path("dev/ttyUSB2")); !errors.Is(err, ErrManaged) || i != nil || !strings.Contains(err.Error(), "pid 815") {
		t.Errorf("%v, %v", i, err)
	}
}

// TestInhibitFollowsManager: ModemManager starts later, is restarted, ends; the
// child is killed.
func TestInhibitFollowsManager(t *testing.T) {
	f := newFakeManager(t, 0)
	f.plug("1-1.2", map[int]string{2: "ttyUSB2"})
	// Not by Inhibit, whose goroutine would look at a time of its own.
	i := &Inhibition{opts: f.opts, log: slog.New(slog.DiscardHandler), name: f.path("dev/ttyUSB2")}
	look := func(what string, children int) []string {
		t.Helper()
		if err := i.look(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		all := f.lines("children")
		if len(all) != children {
			t.Errorf("%s: %d children, want %d", what, len(all), children)
		}
		for n, pid := range all {
			if lives := processLives(pid); lives != (n == children-1 && i.child != nil) {
				t.Errorf("%s: child %d lives: %v", what, n, lives)
			}
		}
		return all
	}
	look("not running", 0)
	f.run(10)
	look("started later", 1)
	look("still there", 1)
	f.run(11)
	look("restarted", 2)
	i.child.cmd.Process.Kill()
	<-i.child.over
	look("child killed", 3)
	f.run(0)
	if look("ended", 3); i.child != nil {
		t.Error("a child without ModemManager")
	}
	f.run(12)
	look("started again", 4)
	i.child.end()
}

// TestInhibitorProcess is not a test: it is the daemon of the test below.
func TestInhibitorProcess(t *testing.T) {
	dir := os.Getenv("PORT_TEST_INHIBIT")
	if dir == "" {
		t.Skip("only run by other tests")
	}
	_, err := Inhibit(context.Background(), filepath.Join(dir, "dev/ttyUSB2"), InhibitOptions{
		Tree: Tree{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev")}, Mmcli: filepath.Join(dir, "bin/mmcli"), Proc: filepath.Join(dir, "proc"),
	})
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("holding\n")
	io.Copy(io.Discard, os.Stdin)
}

// A daemon that is killed must not leave the modem without anybody.
func TestInhibitEndsWithTheProcess(t *testing.T) {
	f := newFakeManager(t, 4711)
	f.plug("1-1.2", map[int]string{2: "ttyUSB2"})
	cmd := exec.Command(os.Args[0], "-test.run=^TestInhibitorProcess$")
	cmd.Env = append(os.Environ(), "PORT_TEST_INHIBIT="+f.path())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len("holding"))
	_, err = io.ReadFull(out, b)
	children := f.lines("children")
	child := -1
	if len(children) == 1 {
		if pid, err := strconv.Atoi(children[0]); err == nil {
			if child, err = unix.PidfdOpen(pid, 0); err != nil {
				t.Errorf("mmcli before its daemon's end: %v", err)
			} else {
				defer unix.Close(child)
			}
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || string(b) != "holding" || child < 0 {
		t.Fatalf("the daemon says %q, %v; children %q", b, err, children)
	}
	// A process's descriptor can be read when it has ended.
	if n, err := poll(child, time.Minute); n != 1 || err != nil {
		t.Errorf("mmcli outlives the daemon that was killed: %v", err)
	}
}

func TestBusyHint(t *testing.T) {
	for _, tt := range []struct{ program, want string }{{"ModemManager", "mmcli"}, {"minicom", "stop it"}} {
		e := &BusyError{PID: 1, Program: tt.program}
		if !strings.Contains(e.Hint(), tt.want) || !strings.Contains(e.Error(), tt.program+" (pid 1)") {
			t.Errorf("%v; %s", e, e.Hint())
		}
	}
	if own := (&BusyError{PID: os.Getpid()}); own.Hint() != "" {
		t.Errorf("%v; %s", own, own.Hint())
	}
}

// FuzzMmcli reads what mmcli prints with --output-keyvalue.
func FuzzMmcli(f *testing.F) {
	f.Add("modem-list.length   : 1\nmodem-list.value[1] : /org/freedesktop/ModemManager1/Modem/0\n")
	f.Add("modem.generic.device : /sys/devices/platform/x/usb1/1-1\nmodem.generic.ports.value[1]: ttyUSB2 (at)\n")
	f.Add("modem.generic.device : --\n")
	f.Fuzz(func(t *testing.T, out string) {
		for _, v := range append(mmValues(out, "modem-list.value"), mmValue(out, "modem.generic.device")) {
			if strings.ContainsAny(v, "\n") || v == "--" || !strings.Contains(out, v) {
				t.Errorf("%q has %q", out, v)
			}
		}
		if v := mmValue("k.x : a:b\n"+out, "k.x"); v != "a:b" {
			t.Errorf("value %q", v)
		}
	})
}
