//go:build linux && !nodemo && !notui

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var updateScreens = flag.Bool("update", false, "write testdata/tui anew from what the terminal shows")

// pane is dynamod tui in a tmux of its own.
type pane struct {
	b      *bench
	socket string // of tmux
	golden string // directory
	tick   *time.Ticker
}

// startPane starts the interface for the bench's daemon.
func startPane(b *bench, term, locale string, width, height int) *pane {
	b.t.Helper()
	p := &pane{b: b, socket: filepath.Base(b.dir), tick: time.NewTicker(20 * time.Millisecond)}
	b.t.Cleanup(p.tick.Stop)
	command := fmt.Sprintf(`LC_ALL=%s TERM=%s NO_COLOR= TZ=UTC dynamod tui --config %s; echo "exit code $?"; exec cat`, locale, term, b.configPath())
	start := exec.CommandContext(b.ctx, "tmux", "-L", p.socket, "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), command)
	start.Env = append(os.Environ(), "LC_ALL=C.UTF-8") // tmux's own, whatever the program in it has
	if out, err := start.CombinedOutput(); err != nil {
		b.t.Fatalf("tmux: %v: %s", err, out)
	}
	b.t.Cleanup(func() { exec.Command("tmux", "-L", p.socket, "kill-server").Run() })
	return p
}

// tmux runs a command of tmux's and returns what it prints.
func (p *pane) tmux(args ...string) string {
	p.b.t.Helper()
	out, err := exec.CommandContext(p.b.ctx, "tmux", append([]string{"-L", p.socket, "-f", "/dev/null"}, args...)...).Output()
	if err != nil {
		p.b.t.Fatalf("tmux %s: %v", args[0], err)
	}
	return string(out)
}

func (p *pane) keys(names ...string) {
	p.b.t.Helper()
	p.tmux(append([]string{"send-keys"}, names...)...)
}
func (p *pane) typed(text string) { p.b.t.Helper(); p.tmux("send-keys", "-l", text) }
func (p *pane) shows() string     { p.b.t.Helper(); return p.tmux("capture-pane", "-p") }

// wait waits until f is content with the screen.
func (p *pane) wait(f func(screen string) bool) (screen string, ok bool) {
	p.b.t.Helper()
	for limit := time.After(30 * time.Second); ; {
		if screen = p.shows(); f(screen) {
			return screen, true
		}
		select {
		case <-p.tick.C:
		case <-limit:
			return screen, false
		}
	}
}

func (p *pane) sees(want string) {
	p.b.t.Helper()
	if screen, ok := p.wait(func(s string) bool { return strings.Contains(s, want) }); !ok {
		p.b.t.Fatalf("no %q on the screen:\n%s\n%s", want, screen, p.b.log())
	}
}

func (p *pane) gone(bad string) {
	p.b.t.Helper()
	if screen, ok := p.wait(func(s string) bool { return !strings.Contains(s, bad) }); !ok {
		p.b.t.Fatalf("%q stays on the screen:\n%s", bad, screen)
	}
}

// matches waits until the screen is the golden one, but for what changes.
func (p *pane) matches(name string) {
	p.b.t.Helper()
	path := filepath.Join(p.golden, name+".txt")
	if *updateScreens {
		last := ""
		screen, _ := p.wait(func(s string) bool {
			same := s == last
			last = s
			return same
		})
		p.b.must(os.MkdirAll(p.golden, 0o755))
		p.b.must(os.WriteFile(path, []byte(p.steady(screen)), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	p.b.must(err)
	if screen, ok := p.wait(func(s string) bool { return p.steady(s) == string(want) }); !ok {
		p.b.t.Errorf("%s is\n%s\nwant\n%s", path, p.steady(screen), want)
	}
}

// changing is what differs from one run to the next, with what stands for it. A
// number may have more digits and move a line break, so that white space in and
// behind it is one blank.
var changing = []struct {
	re   *regexp.Regexp
	repl string
}{
	{regexp.MustCompile(`890[34]\d{28}`), strings.Repeat("9", 32)}, // EID
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "2026-01-02T03:04:05Z"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "2026-01-02"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d`), "03:04:05"},
	{regexp.MustCompile(`\d+ ms`), "1 ms"},
	{regexp.MustCompile(`in [\d.]+ ms`), "in 1 ms"},
	{regexp.MustCompile(`\d+ bytes free`), "500000 bytes free"},
	{regexp.MustCompile(`\d+\.\d kB free`), "500.0 kB free"},
	{regexp.MustCompile(`[\d.]+\s+s\s+from\s+code(\s+to(\s+traffic)?)?`), "1 s from code to traffic"},
	{regexp.MustCompile(`\d+\s+APDUs\s+with\s+[\d.]+\s+kB,\s+\d+\s+requests,\s+\d+\s+TLS\s+handshakes`), "30 APDUs"},
	{regexp.MustCompile(`-- \d+ more`), "-- 9 more"},
	{regexp.MustCompile(`\S*[…>](\s|$)`), "…$1"}, // where a line was cut
	{regexp.MustCompile(`(?m)^Trend .*$`), "Trend"},
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
	{regexp.MustCompile(`\n{2,}`), "\n\n"},
}

func (p *pane) steady(screen string) string {
	screen = strings.ReplaceAll(screen, p.b.dir, "DIR")
	screen = strings.TrimRight(screen, " \n")
	if above, events, ok := strings.Cut(screen, "Last events\n"); ok { // their order is not always the same
		screen = above + "Last events\n" + events[strings.LastIndexByte(events, '\n')+1:]
	}
	for _, c := range changing {
		screen = c.re.ReplaceAllString(screen, c.repl)
	}
	return strings.TrimRight(screen, "\n") + "\n"
}

// TestTUIGolden does a whole activation through the terminal interface, on the
// real program in tmux, and compares the screens with those in testdata/tui. In the
// middle the daemon is killed, and the screen comes back to the run.
func TestTUIGolden(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	for _, tt := range []struct {
		term, locale string
		width        int
		height       int
	}{
		{"tmux-256color", "C.UTF-8", 80, 24},
		{"tmux-256color", "C.UTF-8", 40, 12},
		{"tmux-256color", "C.UTF-8", 200, 60},
		{"vt100", "C", 80, 24},
	} {
		name := fmt.Sprintf("%dx%d-%s", tt.width, tt.height, tt.term)
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.start()
			b.waitUp()
			p := startPane(b, tt.term, tt.locale, tt.width, tt.height)
			p.golden = filepath.Join("testdata", "tui", name)

			p.sees("UP")
			p.matches("overview")
			p.keys("3")
			p.sees("Discovery")
			p.matches("form")
			p.keys("Enter")
			p.typed(b.w.Profiles[0].Code)
			p.sees("SM-DP+ smdp.lab.test")
			p.matches("code")
			p.keys("Enter")
			p.sees("waiting for consent")
			p.matches("offer")

			b.stop() // kill -9
			p.sees("daemon since")
			b.start()
			p.sees("the daemon was started again")
			p.keys("3")
			p.gone("started again")
			p.matches("offer")
			p.keys("y")
			p.sees("up: ICCID")
			p.matches("result")

			p.keys("2")
			p.sees("Earlier profile")
			p.matches("profiles")
			p.keys("x")
			p.sees("digits:")
			p.matches("delete")
			p.keys("Escape") // and a key behind it would be one with Alt
			p.gone("digits:")
			p.keys("4")
			p.sees("SIM")
			p.matches("apn")
			p.keys("5")
			p.sees("board")
			p.matches("diagnosis")
			p.keys("7")
			p.sees("For who knows")
			p.matches("console")
			p.keys("?")
			p.sees("Everywhere")
			p.matches("help")
			p.keys("x")
			p.gone("Everywhere")
			p.keys("6")
			p.sees("TLS handshakes")
			p.keys("q")
			p.sees("exit code 0")
			b.noSecrets("the screen", p.tmux("capture-pane", "-p", "-S", "-"))
			b.noSecrets("the daemon's log", b.log())
			b.noSecretFiles()
		})
	}
}
