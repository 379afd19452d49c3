package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// console is a dynamod on a terminal of its own.
type console struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen bytes.Buffer
	more chan struct{}
	done sync.WaitGroup
	past int // how much of what was seen expect has waited for
}

func startConsole(t *testing.T, story string, size *pty.Winsize, args ...string) (*console, *fakeDaemon) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dynamod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	fake, err := startFake(filepath.Join(dir, "s"), story)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.close)
	c := &console{t: t, more: make(chan struct{}, 1)}
	c.cmd = exec.Command("dynamod", append(args, "--socket", filepath.Join(dir, "s"))...)
	if c.tty, err = pty.StartWithSize(c.cmd, size); err != nil {
		t.Fatal(err)
	}
	c.done.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := c.tty.Read(buf)
			c.mu.Lock()
			c.seen.Write(buf[:n])
			c.mu.Unlock()
			select {
			case c.more <- struct{}{}:
			default:
			}
			if err != nil { // EIO when the process has ended
				return
			}
		}
	})
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.tty.Close()
		c.done.Wait()
	})
	return c, fake
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.String()
}

// expect waits for text and then types an answer.
func (c *console) expect(want, answer string) {
	c.t.Helper()
	limit := time.After(time.Minute)
	// What was waited for before does not count: a prompt may come again.
	for !strings.Contains(c.text()[c.past:], want) {
		select {
		case <-c.more:
		case <-limit:
			c.t.Fatalf("no %q on the terminal:\n%s", want, c.text())
		}
	}
	c.past += strings.Index(c.text()[c.past:], want) + len(want)
	if _, err := io.WriteString(c.tty, answer); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the process and returns its exit code and all it wrote.
func (c *console) end() (int, string) {
	c.t.Helper()
	timer := time.AfterFunc(time.Minute, func() { c.cmd.Process.Kill() })
	defer timer.Stop()
	err := c.cmd.Wait()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		c.t.Fatal(err)
	}
	c.done.Wait()
	text := c.text()
	if strings.Contains(text, "SECRET") {
		c.t.Errorf("a secret is on the terminal:\n%s", text)
	}
	return c.cmd.ProcessState.ExitCode(), text
}

func TestActivateOnATerminal(t *testing.T) {
	c, fake := startConsole(t, "consent", &pty.Winsize{Rows: 24, Cols: 80}, "activate")
	c.expect("Activation code (not shown): ", "LPA:1$smdp.example.com$SECRET-ID\r")
	c.expect("Install and enable it? [y/N] ", "y\r")
	c.expect("Confirmation code (not shown): ", "SECRET-TYPO\r")
	c.expect("The server refuses this confirmation code; tries are counted.\r\n", "")
	c.expect("Confirmation code (not shown): ", "SECRET-CC\r")
	code, text := c.end()
	if code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	for _, want := range []string{
		`provider +Example\?\[31m Net\r\n`,
		`replaces +8900000000000000026, which stays on the card`,
		`APN +lab\.test \(operators\.d/lab\.json\)`,
		`\r\[#{20}\.{20}\]   50 %  20\.0 kB of 40\.0 kB`,
		`\r\[#{40}\]  100 %  40\.0 kB of 40\.0 kB`,
		`up: ICCID 8900000000000000018, APN lab\.test`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no match for %s in:\n%q", want, text)
		}
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\n", "\r"), "\r") {
		if strings.HasPrefix(line, "[") && len(line) > 79 {
			t.Errorf("the bar takes %d columns of 80: %q", len(line), line)
		}
	}
	if fake.req.Code.MatchingID.Reveal() != "SECRET-ID" || fake.req.Consent {
		t.Errorf("request %+v", fake.req)
	}
}

// A profile that can never be left again is asked for in words of its own, also
// where --yes has said yes to any profile.
func TestNoWayBackOnATerminal(t *testing.T) {
	for answer, want := range map[string]int{"y\r": exitOK, "\r": exitRefused} {
		c, _ := startConsole(t, "bound", &pty.Winsize{Rows: 24, Cols: 80}, "activate", "--yes")
		c.expect("Activation code (not shown): ", "LPA:1$smdp.example.com$SECRET-ID\r")
		c.expect("Install and enable it for good? [y/N] ", answer)
		code, text := c.end()
		if code != want || !strings.Contains(text, "8900000000000000026, with no way back\r\n") || !strings.Contains(text, "cannot go back to profile 8900000000000000026.\r\n") {
			t.Errorf("%q: exit code %d:\n%s", answer, code, text)
		}
	}
	c, _ := startConsole(t, "bound", &pty.Winsize{Rows: 24, Cols: 80}, "activate")
	c.expect("Activation code (not shown): ", "LPA:1$smdp.example.com$SECRET-ID\r")
	c.expect("Install and enable it? [y/N] ", "y\r")
	c.expect("Install and enable it for good? [y/N] ", "y\r")
	if code, text := c.end(); code != exitOK || strings.Count(text, "provider ") != 1 {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

func TestRefuseOnATerminal(t *testing.T) {
	c, _ := startConsole(t, "commit", &pty.Winsize{}, "activate")
	c.expect("Activation code (not shown): ", "LPA:1$smdp.example.com$SECRET-ID\r")
	c.expect("Install and enable it? [y/N] ", "\r")
	if code, text := c.end(); code != exitRefused || !strings.Contains(text, "dynamod: activation failed: the profile was refused by the user") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

// TestInterruptOnATerminal presses Ctrl-C at each kind of prompt, and sends the
// signal to a process that waits at one.
func TestInterruptOnATerminal(t *testing.T) {
	c, _ := startConsole(t, "commit", &pty.Winsize{Rows: 24, Cols: 80}, "activate")
	c.expect("Activation code (not shown): ", "LPA:1$SECRET\x03")
	if code, text := c.end(); code != exitRefused || !strings.Contains(text, "interrupted, nothing was done") {
		t.Errorf("at the code: exit code %d:\n%s", code, text)
	}
	c, _ = startConsole(t, "commit", &pty.Winsize{Rows: 24, Cols: 80}, "activate")
	c.expect("Activation code (not shown): ", "LPA:1$smdp.example.com$SECRET-ID\r")
	c.expect("Install and enable it? [y/N] ", "\x03")
	if code, text := c.end(); code != exitWaiting || !strings.Contains(text, "`dynamod status` shows") {
		t.Errorf("at the question: exit code %d:\n%s", code, text)
	}
	c, _ = startConsole(t, "commit", &pty.Winsize{Rows: 24, Cols: 80}, "activate")
	c.expect("Activation code (not shown): ", "")
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, text := c.end(); code != exitRefused {
		t.Errorf("SIGTERM: exit code %d:\n%s", code, text)
	}
}

// TestAnsweredElsewhere takes the question off the terminal when another client
// has answered it.
func TestAnsweredElsewhere(t *testing.T) {
	c, fake := startConsole(t, "commit", &pty.Winsize{Rows: 24, Cols: 80}, "activate")
	c.expect("Activation code (not shown): ", "LPA:1$smdp.example.com$SECRET-ID\r")
	c.expect("Install and enable it? [y/N] ", "")
	yes := true
	if err := fake.Answer("RUN1", answerYes(&yes)); err != nil {
		t.Fatal(err)
	}
	if code, text := c.end(); code != exitOK || !strings.Contains(text, "up: ICCID") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

// At the prompt a secret is asked for without showing it, an error does not end
// it, and no line that was typed comes back.
func TestATOnATerminal(t *testing.T) {
	c, fake := startConsole(t, "commit", &pty.Winsize{Rows: 24, Cols: 80}, "modem", "at")
	c.expect("Ctrl-D ends.\r\n", "")
	c.expect("> ", "AT+CSQ\r")
	c.expect("OK\r\n", "")
	c.expect("> ", "AT+CMEERR\r")
	c.expect("SIM not inserted", "")
	c.expect("> ", "AT+CPIN=\r")
	c.expect("the rest (not shown): ", "SECRET\r")
	c.expect("OK\r\n", "")
	c.expect("> ", "\x1b[A\r") // arrow up: there is nothing
	c.expect("> ", "\x04")
	code, text := c.end()
	if code != exitOK {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	fake.mu.Lock()
	defer fake.mu.Unlock()
	if got := strings.Join(fake.changes, "; "); got != "at AT+CSQ 10s; at AT+CMEERR 10s; at AT+CPIN=SECRET 10s" {
		t.Errorf("the daemon was asked for %s", got)
	}
}
