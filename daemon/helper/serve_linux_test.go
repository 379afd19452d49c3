package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"dynamod/atcmd/modem"
	"dynamod/daemon/ppp"
)

// ordinary is a user who may do nothing, but for what he is given.
const ordinary = 54321

// TestMain makes this test binary a helper of its own, or somebody who asks it.
func TestMain(m *testing.M) {
	if role, ok := os.LookupEnv("HELPER_TEST_ROLE"); ok {
		if err := roles[role](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var roles = map[string]func() error{
	// serve is `dynamod helper serve`, with a tree of its own in place of /sys.
	"serve": func() error {
		var r Root
		if err := json.Unmarshal([]byte(os.Getenv("HELPER_TEST_ROOT")), &r); err != nil {
			return err
		}
		conn, err := FromStdin(os.Stdin)
		if err != nil {
			return err
		}
		defer conn.Close()
		return r.Serve(context.Background(), conn, ordinary)
	},
	// ask is a daemon that asks for one thing.
	"ask": func() error {
		done, err := Ask(context.Background(), os.Getenv("HELPER_TEST_SOCKET"), Request{os.Args[1], os.Args[2:]})
		fmt.Print(done)
		return err
	},
	// dial is a daemon that has pppd run on a tty until it is told to end, or killed.
	"dial": func() error {
		tty, err := os.OpenFile(os.Args[1], os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		conn, err := AskPPPD(context.Background(), os.Getenv("HELPER_TEST_SOCKET"), tty, ppp.Options{Type: modem.IPv4}.Args())
		if err != nil {
			return err
		}
		line, err := readLine(conn)
		fmt.Println(line, err)
		io.Copy(io.Discard, os.Stdin)
		return conn.Close()
	},
}

// inetd accepts connections and starts a helper for each, as systemd does.
func inetd(t *testing.T, r Root) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "helper")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	socket = filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	must(t, err)
	must(t, os.Chmod(socket, 0o666)) // what the group's right keeps off comes to the helper here
	root, err := json.Marshal(struct {
		Floor          time.Time
		Sys, PPPD, Dir string
	}{r.Floor, r.Sys, r.PPPD, r.Dir})
	must(t, err)
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			f, err := conn.File()
			conn.Close()
			if err != nil {
				t.Error(err)
				return
			}
			cmd := role(t, "serve", 0)
			cmd.Env = append(cmd.Env, "HELPER_TEST_ROOT="+string(root))
			cmd.Stdin, cmd.Stderr = f, t.Output()
			if err := cmd.Start(); err != nil {
				t.Error(err)
			}
			f.Close()
			t.Cleanup(func() { cmd.Wait() })
		}
	}()
	return socket
}

// role is this test binary as one of roles, by a user.
func role(t *testing.T, name string, uid uint32, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "HELPER_TEST_ROLE="+name)
	if uid != 0 {
		// The tests' own program is in a directory of root's.
		text, err := os.ReadFile(self)
		must(t, err)
		dir, err := os.MkdirTemp("", "helper")
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		must(t, os.Chmod(dir, 0o755))
		cmd.Path = filepath.Join(dir, "self")
		must(t, os.WriteFile(cmd.Path, text, 0o755))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	return cmd
}

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
}

// TestHelperProcess: a helper of its own process does for the daemon's user and for root
// what it does for nobody else.
func TestHelperProcess(t *testing.T) {
	onlyRoot(t)
	sys := usbTree(t)
	must(t, os.Chmod(sys, 0o755))
	socket := inetd(t, Root{Sys: sys, Floor: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	disable := filepath.Join(sys, "devices/usb1/1-0:1.0/usb1-port2/disable")
	must(t, os.WriteFile(disable, []byte("1\n"), 0o644))
	for _, tt := range []struct {
		uid  uint32
		args []string
		out  string
		err  string
		port string
	}{
		{ordinary + 1, []string{USBPower, "1-2", "on"}, "", "user 54322 may not ask, only 54321 and root", "1"},
		{ordinary, []string{USBPower, "1-2", "on"}, "the USB port of 1-2 is switched on", "", "0"},
		{ordinary, []string{USBPower, "1-2", "off"}, "", "off is for root's own hand", "0"},
		{0, []string{USBPower, "1-2", "off"}, "", "off is for root's own hand", "0"},
		{ordinary + 1, []string{USBPower, "1-2", "cycle"}, "", "user 54322 may not ask, only 54321 and root", "0"},
		{ordinary, []string{USBPower, "1-1", "cycle"}, "", "1-1 is a hub", "0"},
		{ordinary, []string{Clock, "1795521600"}, "", "which may be right: it is left alone", "0"}, // this machine's own
		{ordinary, []string{"sh", "-c", "id"}, "", "no such verb", "0"},
	} {
		cmd := role(t, "ask", tt.uid, tt.args...)
		cmd.Env = append(cmd.Env, "HELPER_TEST_SOCKET="+socket)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		port, rerr := os.ReadFile(disable)
		must(t, rerr)
		if string(out) != tt.out || (err != nil) != (tt.err != "") || !strings.Contains(stderr.String(), tt.err) || strings.TrimSpace(string(port)) != tt.port {
			t.Errorf("user %d, %q: %s, %v %s; the port has %s", tt.uid, tt.args, out, err, stderr.String(), port)
		}
	}
}

// TestHelperPPPD: pppd lives as long as the daemon that has it run, and as the helper.
func TestHelperPPPD(t *testing.T) {
	onlyRoot(t)
	dir := t.TempDir()
	pppd := filepath.Join(dir, "pppd")
	must(t, os.WriteFile(pppd, []byte(`#!/bin/sh
trap 'echo "Terminating on signal 15"; rm "$0.pid"; exit 5' TERM
echo $$ >"$0.pid"
echo "Using interface ppp7"
while :; do sleep 0.1; done
`), 0o755))
	sys := usbTree(t)
	master, tty, err := pty.Open()
	must(t, err)
	defer master.Close()
	defer tty.Close()
	must(t, os.Chown(tty.Name(), ordinary, ordinary))
	asUSB(t, sys, tty, "devices/usb1/1-2/1-2:1.4/ttyUSB3/tty/ttyUSB3")
	socket := inetd(t, Root{Sys: sys, PPPD: pppd, Dir: dir})
	for _, end := range []string{"hangs up", "killed"} {
		cmd := role(t, "dial", ordinary, tty.Name())
		cmd.Env = append(cmd.Env, "HELPER_TEST_SOCKET="+socket)
		cmd.Stderr = t.Output()
		in, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		if line, err := readLine(out); line != "log Using interface ppp7 <nil>" {
			t.Fatalf("%s: %q, %v", end, line, err)
		}
		if end == "killed" {
			must(t, cmd.Process.Kill())
		} else {
			must(t, in.Close())
		}
		cmd.Wait()
		for try := 0; ; try++ {
			if _, err := os.Stat(pppd + ".pid"); errors.Is(err, os.ErrNotExist) {
				break
			} else if try == 500 {
				t.Fatalf("%s: pppd is still there", end)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "ppp-options*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// asUSB has the tree know a device by a place in it.
func asUSB(t *testing.T, sys string, f *os.File, place string) {
	t.Helper()
	var stat unix.Stat_t
	must(t, unix.Stat(f.Name(), &stat))
	must(t, os.MkdirAll(filepath.Join(sys, place), 0o755))
	must(t, os.MkdirAll(filepath.Join(sys, "dev/char"), 0o755))
	link := filepath.Join(sys, "dev/char", fmt.Sprintf("%d:%d", unix.Major(uint64(stat.Rdev)), unix.Minor(uint64(stat.Rdev))))
	os.Remove(link)
	must(t, os.Symlink(filepath.Join(sys, place), link))
}

// TestAttacks: what a caller who is let in may send, and gets nothing for.
func TestAttacks(t *testing.T) {
	dir := t.TempDir()
	pppd := filepath.Join(dir, "pppd")
	must(t, os.WriteFile(pppd, []byte("#!/bin/sh\n>\"$0.ran\"\n"), 0o755))
	sys := usbTree(t)
	master, tty, err := pty.Open()
	must(t, err)
	defer master.Close()
	defer tty.Close()
	must(t, os.MkdirAll(filepath.Join(sys, "class/tty/console"), 0o755))
	must(t, os.WriteFile(filepath.Join(sys, "class/tty/console/active"), []byte("tty0 ttyS0\n"), 0o644))
	open := func(name string, flags int) *os.File {
		f, err := os.OpenFile(name, flags|syscall.O_NOCTTY, 0)
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	link := filepath.Join(dir, "ttyUSB0")
	must(t, os.Symlink("/dev/null", link))
	regular := filepath.Join(dir, "file")
	must(t, os.WriteFile(regular, nil, 0o666))
	good := "pppd IPV4V6 0  \n"
	const usb = "devices/usb1/1-2/1-2:1.4/ttyUSB3/tty/ttyUSB3"
	for _, tt := range []struct {
		name, line string
		place      string // of the pty in /sys
		fds        []*os.File
		want       string // of the answer; the code is refused
	}{
		{name: "nothing", line: "", want: "no request came"},
		{name: "no end of the line", line: "clock 1", want: "no request came"},
		{name: "an empty line", line: "\n", want: "no such verb"},
		{name: "another verb", line: "sh -c id\n", want: "no such verb"},
		{name: "a verb in capitals", line: "CLOCK 1\n", want: "no such verb"},
		{name: "two requests", line: "clock 1\nclock 2\n", want: "more than one line"},
		{name: "10 kB", line: strings.Repeat("a", 10<<10) + "\n", want: "a line that is too long"},
		{name: "an argument more", line: "clock 1 2\n", want: "clock has 1 arguments, not 2"},
		{name: "badly escaped", line: "clock %g\n", want: "badly escaped"},
		{name: "escaped without need", line: "cloc%6B 1\n", want: "not written as this program does"},
		{name: "a device with a path", line: "usb-power 1-2%2F..%2F1-1 cycle\n", want: "is not a USB device"},
		{name: "no tty", line: good, want: "pppd comes without a tty"},
		{name: "the clock with a tty", line: "clock 1\n", fds: []*os.File{tty}, want: "clock comes with a tty"},
		{name: "two ttys", line: good, place: usb, fds: []*os.File{tty, tty}, want: "too many descriptors"},
		{name: "a hundred descriptors", line: good, place: usb, fds: slicesOf(tty, 100), want: "too many descriptors"},
		{name: "a pseudo-terminal", line: good, fds: []*os.File{tty}, want: "no serial port of this machine's hardware"},
		{name: "a virtual terminal", line: good, place: "devices/virtual/tty/tty1", fds: []*os.File{tty}, want: "no serial port of this machine's hardware"},
		{name: "a device that is no tty", line: good, place: "devices/usb1/1-2/1-2:1.4/usbmisc/cdc-wdm0", fds: []*os.File{tty}, want: "no serial port of this machine's hardware"},
		{name: "the console", line: good, place: "devices/platform/serial8250/tty/ttyS0", fds: []*os.File{tty}, want: "ttyS0 is the system's console"},
		{name: "a link to another device", line: good, place: usb, fds: []*os.File{open(link, os.O_RDWR)}, want: "no serial port of this machine's hardware"},
		{name: "a file", line: good, place: usb, fds: []*os.File{open(regular, os.O_RDWR)}, want: "no device that is open for reading and writing"},
		{name: "a directory", line: good, place: usb, fds: []*os.File{open(dir, os.O_RDONLY)}, want: "no device that is open for reading and writing"},
		{name: "open for reading alone", line: good, place: usb, fds: []*os.File{open(tty.Name(), os.O_RDONLY)}, want: "no device that is open for reading and writing"},
		{name: "a name without rights", line: good, place: usb, fds: []*os.File{open(tty.Name(), unix.O_PATH)}, want: "no device that is open for reading and writing"},
		{name: "pppd without an option", line: "pppd IP 0   ip-up-script\n", place: usb, fds: []*os.File{tty}, want: "pppd has 4 arguments, not 5"},
		{name: "a password with a NUL", line: "pppd IP 2 u p%00\n", place: usb, fds: []*os.File{tty}, want: "a byte that pppd does not take"},
		{name: "a long password", line: "pppd IP 2 u " + strings.Repeat("p", 256) + "\n", place: usb, fds: []*os.File{tty}, want: "is too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			os.RemoveAll(filepath.Join(sys, "dev"))
			if tt.place != "" {
				asUSB(t, sys, tty, tt.place)
			}
			before := descriptors(t)
			caller, helper := pair(t)
			r := &Root{Sys: sys, PPPD: pppd, Dir: dir, Floor: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), SetClock: func(time.Time) error { t.Error("the clock was set"); return nil }}
			served := make(chan error, 1)
			go func() {
				err := r.Serve(t.Context(), helper, os.Geteuid())
				helper.Close()
				served <- err
			}()
			var fds []int
			for _, f := range tt.fds {
				raw, err := f.SyscallConn()
				must(t, err)
				must(t, raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }))
			}
			if len(fds) > 0 {
				_, _, err := caller.WriteMsgUnix([]byte(tt.line), unix.UnixRights(fds...), nil)
				must(t, err)
			} else if _, err := caller.Write([]byte(tt.line)); err != nil {
				t.Fatal(err)
			}
			must(t, caller.CloseWrite())
			got, err := readLine(caller)
			must(t, err)
			if _, err := parseAnswer(got); Code(err) != Refused || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("answer %q", got)
			}
			if err := <-served; err == nil {
				t.Error("no error")
			}
			caller.Close()
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
			if _, err := os.Stat(pppd + ".ran"); err == nil {
				t.Error("pppd was run")
				os.Remove(pppd + ".ran")
			}
			for name, text := range files(t, sys) {
				if strings.HasSuffix(name, "disable") && text != "0\n" {
					t.Errorf("%s has %q", name, text)
				}
			}
		})
	}
}

func slicesOf(f *os.File, n int) (all []*os.File) {
	for range n {
		all = append(all, f)
	}
	return all
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		conns[i], err = FromStdin(f)
		must(t, err)
		f.Close()
	}
	return conns[0], conns[1]
}
