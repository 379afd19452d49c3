package port

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSecondOpenIsBusy(t *testing.T) {
	_, name := openPTY(t)
	p := open(t, name)
	_, err := Open(t.Context(), name, Options{})
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, ErrBusy) || busy.PID != os.Getpid() {
		t.Fatalf("second open: %v", err)
	}
	link := filepath.Join(t.TempDir(), "modem")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), link, Options{}); !errors.Is(err, ErrBusy) {
		t.Errorf("open by another name: %v", err)
	}
	p.Close()
	again, err := Open(t.Context(), name, Options{})
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	again.Close()
}

// TestHolderProcess is not a test: it is the other daemon of the tests below.
func TestHolderProcess(t *testing.T) {
	name, how, ok := strings.Cut(os.Getenv("PORT_TEST_HOLD"), "|")
	if !ok {
		t.Skip("only run by other tests")
	}
	switch how {
	case "port":
		if _, err := Open(context.Background(), name, Options{}); err != nil {
			t.Fatal(err)
		}
	case "exclusive":
		fd, err := openRetry(name)
		if err != nil {
			t.Fatal(err)
		}
		unix.IoctlSetInt(fd, unix.TIOCEXCL, 0)
	}
	os.Stdout.WriteString("holding\n")
	io.Copy(io.Discard, os.Stdin)
}

// hold makes another process hold the port. The returned function kills it.
func hold(t *testing.T, name, how string) (pid int, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHolderProcess$")
	cmd.Env = append(os.Environ(), "PORT_TEST_HOLD="+name+"|"+how)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			cmd.Process.Kill()
			in.Close()
			cmd.Wait()
		}
	}
	t.Cleanup(kill)
	b := make([]byte, len("holding"))
	if _, err := io.ReadFull(out, b); err != nil || string(b) != "holding" {
		t.Fatalf("the other process says %q, %v", b, err)
	}
	return cmd.Process.Pid, kill
}

func TestBusyNamesTheOtherProcess(t *testing.T) {
	for _, how := range []string{"port", "exclusive"} {
		t.Run(how, func(t *testing.T) {
			_, name := openPTY(t)
			pid, kill := hold(t, name, how)
			_, err := Open(t.Context(), name, Options{})
			var busy *BusyError
			if !errors.As(err, &busy) || busy.PID != pid {
				t.Fatalf("open: %v, want pid %d", err, pid)
			}
			comm, _ := os.ReadFile("/proc/self/comm")
			if !strings.Contains(err.Error(), strconv.Itoa(pid)) || !strings.Contains(err.Error(), strings.TrimSpace(string(comm))) {
				t.Errorf("error %q does not name pid %d, %s", err, pid, comm)
			}
			// A killed daemon leaves nothing behind that keeps the next one out.
			kill()
			open(t, name)
		})
	}
}

func TestLockFile(t *testing.T) {
	_, name := openPTY(t)
	dir := t.TempDir()
	defer func(old []string) { lockDirs = old }(lockDirs)
	lockDirs = []string{dir}
	lock := filepath.Join(dir, "LCK.."+strings.ReplaceAll(strings.TrimPrefix(name, "/dev/"), "/", "_"))
	write := func(text string) {
		if err := os.WriteFile(lock, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("      " + strconv.Itoa(os.Getppid()) + "\n")
	var busy *BusyError
	if _, err := Open(t.Context(), name, Options{}); !errors.As(err, &busy) || busy.PID != os.Getppid() {
		t.Errorf("open: %v", err)
	}
	for _, stale := range []string{"", "junk", "-4", "999999999", strings.Repeat("9", 1000)} {
		write(stale)
		open(t, name).Close()
	}
}

// TestNotInherited keeps the port from the programs that we start, such as
// pppd: they would keep it busy after us.
func TestNotInherited(t *testing.T) {
	_, name := openPTY(t)
	open(t, name)
	var want unix.Stat_t
	if err := unix.Stat(name, &want); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if other, found := userOf(want); found {
		t.Errorf("%s (pid %d) has the port open too", other.Program, other.PID)
	}
}

// Who holds a port is told without opening it, of this process too.
func TestHolder(t *testing.T) {
	for _, how := range []string{"port", "exclusive"} {
		_, name := openPTY(t)
		pid, kill := hold(t, name, how)
		if h, ok := Holder(name); !ok || h.PID != pid || h.Program == "" {
			t.Errorf("%s: %+v %v, want pid %d", how, h, ok, pid)
		}
		kill()
		if h, ok := Holder(name); ok {
			t.Errorf("%s: still %+v", how, h)
		}
		p, err := Open(t.Context(), name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := Holder(name); !ok || h.PID != os.Getpid() {
			t.Errorf("our own: %+v %v", h, ok)
		}
		p.Close()
	}
	if h, ok := Holder("/dev/no such"); ok {
		t.Errorf("no device: %+v", h)
	}
}
