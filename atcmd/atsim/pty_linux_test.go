package atsim

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// ptyBench serves a modem on a pseudo-terminal under a link.
func ptyBench(t *testing.T, change func(*Config)) (m *Modem, link string, done chan error) {
	t.Helper()
	card := newTestCard()
	cfg := Config{Card: card.apdu, Network: newTestNetwork()}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	link = filepath.Join(t.TempDir(), "modem")
	ctx, cancel := context.WithCancel(context.Background())
	done = make(chan error, 1)
	go func() { done <- m.ServePTY(ctx, link) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("ServePTY: %v", err)
			}
		case <-time.After(patience):
			t.Error("ServePTY does not end")
		}
		if _, err := os.Lstat(link); err == nil {
			t.Error("the link stayed behind")
		}
	})
	return m, link, done
}

// openSlave opens the slave as a client does, waiting for the link.
func openSlave(t testing.TB, link string) *os.File {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		f, err := os.OpenFile(link, os.O_RDWR|unix.O_NOCTTY, 0)
		if err == nil {
			return f
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// ask writes a command and reads lines up to OK.
func ask(t *testing.T, f *os.File, line string) []string {
	t.Helper()
	if _, err := io.WriteString(f, line+"\r"); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { f.Close() })
	defer timer.Stop()
	var out []string
	for r := bufio.NewReader(f); ; {
		l, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %q, then %v", line, out, err)
		}
		if l = strings.Trim(l, "\r\n"); l != "" {
			out = append(out, l)
		}
		if l == "OK" {
			return out
		}
	}
}

func TestPTYReopen(t *testing.T) {
	m, link, _ := ptyBench(t, nil)
	b := &bench{t: t}
	for i := range 5 {
		f := openSlave(t, link)
		if i == 0 {
			ask(t, f, "ATE0") // a port keeps its settings
		}
		if got := strings.Join(ask(t, f, "AT+CIMI"), " "); got != "001010000000001 OK" {
			t.Errorf("open %d: %q", i, got)
		}
		f.Close()
		b.eventually(func() bool { // the modem has seen it
			m.state.lock()
			defer m.state.release()
			for p := range m.ports {
				return !p.open.Load()
			}
			return false
		})
		m.SetFault("urc-storm", Fault{Times: 3}) // nobody hears, nobody gets it later
	}
}

// TestPTYRaw: a client that sets nothing up gets bytes as they are.
func TestPTYRaw(t *testing.T) {
	_, link, _ := ptyBench(t, nil)
	for range 2 {
		f := openSlave(t, link)
		tio, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if tio.Lflag&(unix.ECHO|unix.ICANON) != 0 || tio.Iflag&unix.ICRNL != 0 || tio.Oflag&unix.OPOST != 0 {
			t.Errorf("not raw: %+v", tio)
		}
		tio.Lflag |= unix.ECHO | unix.ICANON // and what it leaves behind is undone
		if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, tio); err != nil {
			t.Fatal(err)
		}
		f.Close()
		time.Sleep(50 * time.Millisecond)
	}
}

func TestPTYReplug(t *testing.T) {
	m, link, _ := ptyBench(t, nil)
	f := openSlave(t, link)
	ask(t, f, "ATE0")
	before, _ := os.Readlink(link)
	if err := m.SetFault("unplug", Fault{Delay: 30 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for {
		if _, err := f.Read(buf); err != nil {
			break
		}
	}
	// f stays open, so the old number cannot come again.
	g := openSlave(t, link)
	defer g.Close()
	if after, _ := os.Readlink(link); after == before {
		t.Errorf("still %s", after)
	}
	if got := strings.Join(ask(t, g, "AT+CIMI"), " "); got != "AT+CIMI 001010000000001 OK" {
		t.Errorf("%q", got)
	}
	f.Close()
}

// TestRefreshRestart: a modem that restarts for a REFRESH of the card comes back
// with the new subscriber.
func TestRefreshRestart(t *testing.T) {
	card := newTestCard()
	m, link, _ := ptyBench(t, func(c *Config) { c.Card = card.apdu })
	f := openSlave(t, link)
	defer f.Close()
	before, _ := os.Readlink(link)
	ask(t, f, "ATE0")
	if err := m.SetFault("refresh-restart", Fault{Delay: 20 * time.Millisecond, Times: 1}); err != nil {
		t.Fatal(err)
	}
	card.with(func() {
		card.refresh(0x04)
		card.onReset = func() { card.imsi, card.iccid = "080910100000000020", "980010000000000020f2" }
	})
	ask(t, f, `AT+CSIM=14,"00A40004023F00"`)
	buf := make([]byte, 100)
	for {
		if _, err := f.Read(buf); err != nil {
			break
		}
	}
	g := openSlave(t, link)
	defer g.Close()
	if after, _ := os.Readlink(link); after == before {
		t.Errorf("still %s", after)
	}
	if got := strings.Join(ask(t, g, "AT+CIMI"), " "); got != "AT+CIMI 001010000000002 OK" {
		t.Errorf("%q", got)
	}
}

func TestPTYUnplugged(t *testing.T) {
	m, link, done := ptyBench(t, nil)
	f := openSlave(t, link)
	defer f.Close()
	ask(t, f, "AT")
	m.SetFault("unplug", Fault{})
	if err := <-done; !errors.Is(err, ErrUnplugged) {
		t.Errorf("ServePTY: %v", err)
	}
	done <- nil
	if _, err := io.WriteString(f, "AT\r"); err == nil {
		t.Error("the slave still takes bytes")
	}
}

// TestReenumerate: a modem whose +CFUN=1,1 takes the port away.
func TestReenumerate(t *testing.T) {
	_, link, _ := ptyBench(t, func(c *Config) { c.Habits = Habits{Reenumerate: true, ReplugAfter: 20 * time.Millisecond} })
	f := openSlave(t, link)
	ask(t, f, "AT+CFUN=1,1")
	io.Copy(io.Discard, f) // ends when the port vanishes
	g := openSlave(t, link)
	defer g.Close()
	ask(t, g, "AT")
	f.Close()
}

func TestOpenPTY(t *testing.T) {
	card := newTestCard()
	m, err := New(Config{Card: card.apdu})
	if err != nil {
		t.Fatal(err)
	}
	path, err := m.OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.ServePTY(ctx, "") }()
	f := openSlave(t, path)
	ask(t, f, "AT")
	f.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestShellClient: the simplest client there is, a shell.
func TestShellClient(t *testing.T) {
	_, link, _ := ptyBench(t, nil)
	openSlave(t, link).Close()
	sh := osexec.CommandContext(t.Context(), "sh", "-c", `exec 3<>"$1"; printf 'ATE0\r' >&3; while read -r l <&3; do case "$l" in OK*) break;; esac; done
printf 'AT+CGMM\r' >&3; while read -r l <&3; do echo "$l"; case "$l" in OK*) break;; esac; done`, "sh", link)
	tty, err := pty.Start(sh) // a shell at a terminal of its own
	if err != nil {
		t.Skipf("no shell: %v", err)
	}
	defer tty.Close()
	out, _ := io.ReadAll(tty)
	sh.Wait()
	if !strings.Contains(string(out), "LTE-27007") {
		t.Errorf("the shell saw %q", out)
	}
}

// A signal that is pending when a poll begins ends it with EINTR, and the
// runtime sends such to its own threads. It once counted as the client's going,
// in the middle of an answer.
func TestSignalIsNoHangup(t *testing.T) {
	pair, err := openPTY()
	if err != nil {
		t.Fatal(err)
	}
	defer pair.master.Close()
	if !pair.hungUp() {
		t.Error("nobody has the slave open, and it is not hung up")
	}
	slave, err := os.OpenFile(pair.path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, tid := os.Getpid(), unix.Gettid()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Tgkill(pid, tid, unix.SIGURG)
			}
		}
	}()
	for range 100_000 {
		if pair.hungUp() {
			t.Error("hung up while the slave is open")
			break
		}
	}
	close(stop)
	<-stopped
}

// openStrangersPTY opens the modem's pty as any program would, without line
// settings of its own.
func openStrangersPTY(t *testing.T, m *Modem) io.ReadWriteCloser {
	t.Helper()
	path, err := m.OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
