package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"dynamod/daemon/hook/access"
)

// TestTokenOfAnother: root edits the callers of another user's daemon with that user's
// rights, whatever he has put in his state directory.
func TestTokenOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		make func(hook, victim string) error // in the state directory
		exit int
	}{
		{"nothing", func(string, string) error { return nil }, exitOK},
		{"a directory", func(hook, _ string) error { return os.Mkdir(hook, 0o700) }, exitOK},
		{"a link to root's directory", func(hook, victim string) error { return os.Symlink(victim, hook) }, exitFailed},
		{"a link to root's file", func(hook, victim string) error {
			return errors.Join(os.Mkdir(hook, 0o700), os.Symlink(filepath.Join(victim, "secret"), filepath.Join(hook, "keys")))
		}, exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
				must(t, os.Chmod(d, 0o755)) // the other user has to get there
			}
			state, victim, conf := filepath.Join(dir, "state"), filepath.Join(dir, "victim"), filepath.Join(dir, "dynamod.toml")
			must(t, os.Mkdir(state, 0o755))
			must(t, os.Mkdir(victim, 0o700))
			must(t, os.WriteFile(filepath.Join(victim, "secret"), []byte("SECRET\n"), 0o600))
			must(t, os.WriteFile(conf, []byte("[state]\ndir = \""+state+"\"\n"), 0o600))
			must(t, tt.make(filepath.Join(state, "hook"), victim))
			must(t, exec.Command("chown", "-Rh", "54321:54321", state).Run())
			for _, verb := range [][]string{{"token", "add", "noc"}, {"token", "list"}} {
				cmd := exec.Command("dynamod", append(verb, "--config", conf)...)
				out, _ := cmd.CombinedOutput()
				if cmd.ProcessState.ExitCode() != tt.exit {
					t.Errorf("%s: exit %d: %s", verb, cmd.ProcessState.ExitCode(), out)
				}
				if bytes.Contains(out, []byte("SECRET")) {
					t.Errorf("%s tells %s", verb, out)
				}
			}
			left, err := os.ReadDir(victim)
			must(t, err)
			info, err := os.Lstat(filepath.Join(victim, "secret"))
			must(t, err)
			if s := info.Sys().(*syscall.Stat_t); len(left) != 1 || s.Uid != 0 {
				t.Errorf("root's directory has %v, of user %d", left, s.Uid)
			}
			if tt.exit != exitOK {
				return
			}
			for _, name := range []string{"hook", "hook/keys"} {
				info, err := os.Lstat(filepath.Join(state, name))
				must(t, err)
				if s := info.Sys().(*syscall.Stat_t); s.Uid != 54321 || s.Gid != 54321 {
					t.Errorf("%s is user %d's", name, s.Uid)
				}
			}
			if keys, err := access.OpenFile(filepath.Join(state, "hook", "keys")).Keys(); err != nil || len(keys) != 1 {
				t.Errorf("callers %v, %v", keys, err)
			}
		})
	}
}
