//go:build linux && !nodemo

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dynamod/daemon/demo"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

// earlierICCID is of the profile that is enabled before anything goes wrong.
const earlierICCID = "8900101000000000025"

// secretID is a matching ID in codes that cannot be used.
const secretID = "SECRET-1234"

// bench is a lab of its own with a daemon in a process of its own.
type bench struct {
	t       *testing.T
	ctx     context.Context
	n       *netlab.Lab
	w       *demo.World
	dir     string
	secrets []string
	client  *hook.Client
	running *daemonProcess
	daemons []*daemonProcess
	asked   atomic.Pointer[func(path string)] // is called before each request to the server; nil is fine
	env     []string                          // of daemons, beside the test's own
	flags   []string                          // the same
	run     []string                          // what begins a daemon's command line
}

// benchTime bounds one story.
const benchTime = 6 * time.Minute

// verdict is how a command ended.
type verdict struct {
	exit           int
	stdout, stderr string
}

func newBench(t *testing.T) *bench {
	ctx, cancel := context.WithTimeout(t.Context(), benchTime)
	t.Cleanup(cancel)
	n, err := netlab.New(ctx, netlab.Options{})
	if errors.Is(err, netlab.ErrForbidden) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	dir := benchDir(t)
	earlier, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: earlierICCID, IMSI: "001010000000025"})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{run: []string{"dynamod"}, t: t, ctx: ctx, n: n, dir: dir}
	front := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked := b.asked.Load(); asked != nil {
				(*asked)(r.URL.Path)
			}
			h.ServeHTTP(w, r)
		})
	}
	b.w, err = demo.Open(ctx, n, demo.Options{Dir: dir, Dialect: "quectel", Earlier: earlier, Front: front, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.w.Close)
	b.secrets = []string{secretID, b.w.Profiles[0].ID}
	b.client = hook.Dial(filepath.Join(dir, "run", "dynamod.sock"))
	t.Cleanup(b.stop)
	return b
}

// benchDir makes a directory whose path is always of the same length, so that lines
// which name it break where they always do. It is short, as the path of a unix
// socket has to be.
func benchDir(t *testing.T) string {
	for {
		dir := fmt.Sprintf("/tmp/dynamod%08d", rand.IntN(1e8))
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// dynamod runs a verb to its end in the router's namespace.
func (b *bench) dynamod(stdin string, args ...string) verdict {
	b.t.Helper()
	var out, err lockedBuffer
	cmd := exec.Command("dynamod", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	v := verdict{}
	if e, ok := errors.AsType[*exec.ExitError](b.n.Run(b.ctx, cmd)); ok {
		v.exit = e.ExitCode()
	}
	v.stdout, v.stderr = out.String(), err.String()
	return v
}

func (b *bench) configPath() string { return filepath.Join(b.dir, "dynamod.toml") }

func (b *bench) activate(code string) verdict {
	return b.dynamod(code, "activate", "-", "--yes", "--config", b.configPath())
}

// launch starts a daemon and waits until it answers.
func (b *bench) launch(config string, client *hook.Client) *daemonProcess {
	b.t.Helper()
	program := append(append(slices.Clone(b.run), "run", "--config", config), b.flags...)
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Env = append(os.Environ(), b.env...)
	p, err := startDaemon(b.ctx, b.n, client, cmd)
	b.must(err)
	b.daemons = append(b.daemons, p)
	return p
}

func (b *bench) start() { b.running = b.launch(b.configPath(), b.client) }

func (b *bench) stop() {
	if b.running != nil {
		b.running.kill()
		b.running = nil
	}
}

func (b *bench) log() string {
	var all strings.Builder
	for _, p := range b.daemons {
		all.WriteString(p.log.String())
	}
	return all.String()
}

// waitUp waits for a link that carries traffic.
func (b *bench) waitUp() {
	b.t.Helper()
	b.wait("a link", func(s status.Snapshot) bool { return s.State == status.Up })
}

// waitEnded waits for the end of the activation: its code would find it under way.
func (b *bench) waitEnded() {
	b.t.Helper()
	b.wait("the activation's end", func(s status.Snapshot) bool { return s.Run != nil && s.Run.Ended != nil })
}

func (b *bench) wait(what string, there func(status.Snapshot) bool) {
	b.t.Helper()
	for {
		var snap status.Snapshot // anew, for what is left out of an answer
		err := b.client.Do(b.ctx, http.MethodGet, "/v1/status", nil, nil, &snap)
		if err == nil && there(snap) {
			return
		}
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("no sign of %s: the link is %s: %s, %v\n%s", what, snap.State, snap.Reason, err, b.log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// onlyEarlier checks that the card is as it was.
func (b *bench) onlyEarlier(extra int) {
	b.t.Helper()
	installed := b.w.Card.Installed()
	if len(installed) != 1+extra || installed[0].ICCID != earlierICCID || !installed[0].Enabled {
		b.t.Errorf("on the card: %d profiles, or the earlier one is not enabled", len(installed))
	}
}

func (b *bench) noSecrets(where, text string) {
	b.t.Helper()
	for _, s := range b.secrets {
		if strings.Contains(text, s) {
			b.t.Errorf("a matching ID is in %s", where)
		}
	}
}

// noSecretFiles checks what is left in the daemon's directories.
func (b *bench) noSecretFiles() {
	b.t.Helper()
	for _, dir := range []string{"state", "run"} {
		b.must(filepath.WalkDir(filepath.Join(b.dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			b.noSecrets(path, string(text))
			return err
		}))
	}
}

// config edits the configuration.
func (b *bench) config(old, repl string) {
	text, err := os.ReadFile(b.configPath())
	b.must(err)
	if !strings.Contains(string(text), old) {
		b.t.Fatalf("the configuration has no %q", old)
	}
	b.must(os.WriteFile(b.configPath(), []byte(strings.Replace(string(text), old, repl, 1)), 0o644))
}

// port names another port in the configuration.
func (b *bench) port(path string) {
	text, err := os.ReadFile(b.configPath())
	b.must(err)
	lines := strings.Split(string(text), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "port = ") })
	lines[i] = fmt.Sprintf("port = %q", path)
	b.must(os.WriteFile(b.configPath(), []byte(strings.Join(lines, "\n")), 0o644))
}
