package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/status"
)

// programs are what this test binary is under other names.
var programs = map[string]func(){"dynamod": main}

// TestMain makes this test binary a dynamod of its own: scripts and terminal
// tests run the real main in a process of its own.
func TestMain(m *testing.M) {
	// A process under -race sleeps for a second before it ends.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=10"))
	testscript.Main(m, programs)
}

type fakeKey struct{}

// TestScripts runs testdata/*.txt. Beside testscript's own commands there are
//
//	daemon STORY       start a daemon that answers on $SOCK, see fakedaemon_test.go
//	exits CODE ARG...  run dynamod, which has to end with this code
//	changed WORD...    the daemon was asked for this
//	watched            a client watches, and the story has come to where it hangs
//	journal DIR        write a journal there
//
// Nothing that is printed may hold SECRET.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(5 * time.Minute),
		Setup: func(e *testscript.Env) error {
			dir, err := os.MkdirTemp("", "dynamod") // $WORK is too long for a socket
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(dir) })
			e.Setenv("SOCK", filepath.Join(dir, "s"))
			e.Setenv("TZ", "UTC")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Values[fakeKey{}] = &struct{ *fakeDaemon }{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"daemon":  cmdDaemon,
			"exits":   cmdExits,
			"changed": cmdChanged,
			"watched": cmdWatched,
			"journal": cmdJournal,
		},
	})
}

func fakeOf(ts *testscript.TestScript) *struct{ *fakeDaemon } {
	return ts.Value(fakeKey{}).(*struct{ *fakeDaemon })
}

func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: daemon STORY")
	}
	f := fakeOf(ts)
	if f.fakeDaemon != nil {
		f.close()
		f.fakeDaemon = nil
	}
	fake, err := startFake(ts.Getenv("SOCK"), args[0])
	ts.Check(err)
	f.fakeDaemon = fake
	ts.Defer(func() {
		if f.fakeDaemon == fake {
			fake.close()
		}
	})
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec("dynamod", args[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(stream), "SECRET") {
			ts.Fatalf("a secret is on %s", stream)
		}
	}
}

func cmdChanged(ts *testscript.TestScript, neg bool, args []string) {
	f := fakeOf(ts)
	f.mu.Lock()
	defer f.mu.Unlock()
	want := strings.Join(args, " ")
	if got := strings.Join(f.changes, "; "); (got == want) == neg {
		ts.Fatalf("the daemon was asked for %q", got)
	}
	f.changes = nil
}

func cmdWatched(ts *testscript.TestScript, neg bool, args []string) {
	select {
	case <-fakeOf(ts).hanging:
	case <-time.After(time.Minute):
		ts.Fatalf("nobody watches")
	}
}

func cmdJournal(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	path := filepath.Join(dir, "journal")
	j, err := journal.Open(path, 0, time.Now)
	ts.Check(err)
	defer j.Close()
	records, err := (&fakeDaemon{}).Log()
	ts.Check(err)
	for _, r := range records {
		_, err := j.Append(r.Kind, r.Data)
		ts.Check(err)
	}
}

// TestHelp holds every verb to a help text with an example that names it.
func TestHelp(t *testing.T) {
	all := commands()
	for _, c := range all {
		all = append(all, c.verbs...)
	}
	for _, c := range all {
		var out, errs strings.Builder
		if code := run(context.Background(), append(strings.Fields(c.name), "--help"), std{strings.NewReader(""), &out, &errs}); code != exitOK || errs.Len() > 0 {
			t.Errorf("%s --help: exit code %d, %s", c.name, code, &errs)
		}
		text := out.String()
		for _, want := range []string{"usage: dynamod " + c.name, "example:\n  dynamod " + c.name} {
			if !strings.Contains(text, want) {
				t.Errorf("%s --help has no %q:\n%s", c.name, want, text)
			}
		}
		for line := range strings.Lines(text) {
			if n := len(strings.TrimRight(line, "\n")); n > 80 && !strings.HasPrefix(line, "usage:") {
				t.Errorf("%s --help: a line of %d columns: %s", c.name, n, line)
			}
		}
		out.Reset()
		if code := run(context.Background(), append(strings.Fields(c.name), "--no-such-flag=SECRET"), std{strings.NewReader(""), &out, &errs}); code != exitUsage || strings.Contains(errs.String(), "SECRET") {
			t.Errorf("%s with an unknown flag: exit code %d, %s", c.name, code, &errs)
		}
	}
}

func TestExtraVerbs(t *testing.T) {
	before := extra
	defer func() { extra = before }()
	want := fmt.Sprintf("%d", len(commands())+1)
	extra = append(extra[:len(extra):len(extra)], command{name: "more", summary: "do more"})
	all := commands()
	if got := fmt.Sprint(len(all)); got != want || all[len(all)-1].name != "version" || !slices.ContainsFunc(all, func(c command) bool { return c.name == "more" }) {
		t.Errorf("%s commands, want %s, with the extra one before version", got, want)
	}
}

// TestSettle sees the link that comes up while it waits.
func TestSettle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fake, err := startFake(path, "commit")
	if err != nil {
		t.Fatal(err)
	}
	defer fake.close()
	if snap := settle(t.Context(), hook.Dial(path), linkTime); snap.State != status.Up {
		t.Errorf("it gave up on %+v", snap)
	}
}
