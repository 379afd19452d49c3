//go:build linux && !nodemo

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dynamod/daemon/demo"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// TestAPNStory gives an APN with its credentials to an activation and nothing
// to anybody else: the link comes back with them after the daemon was killed,
// as long as the profile is there, and they stand nowhere in the clear. Then
// operators.d is read again, with a file in it that is none.
func TestAPNStory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.secrets = append(b.secrets, demo.LoginPassword)
	b.start()
	b.waitUp()
	code, password := filepath.Join(b.dir, "code"), filepath.Join(b.dir, "password")
	b.must(os.WriteFile(code, []byte(b.w.Profiles[0].Code), 0o600))
	b.must(os.WriteFile(password, []byte(demo.LoginPassword+"\n"), 0o600))
	got := b.dynamod("", "activate", "--code-file", code, "--yes", "--apn", demo.LoginAPN, "--apn-user", demo.LoginUser, "--apn-password-file", password, "--config", b.configPath())
	if got.exit != exitOK || !strings.Contains(got.stdout, "APN "+demo.LoginAPN) && !strings.Contains(got.stdout, `APN "`+demo.LoginAPN) {
		t.Fatalf("exit %d\n%s%s\n%s", got.exit, got.stdout, got.stderr, b.log())
	}
	for range 2 {
		b.stop() // with SIGKILL
		b.start()
		b.waitUp()
	}
	explain := func() (a hook.APN) {
		t.Helper()
		got := b.dynamod("", "apn", "explain", "--json", "--config", b.configPath())
		b.noSecrets("apn explain", got.stdout+got.stderr)
		if err := json.Unmarshal([]byte(got.stdout), &a); err != nil || got.exit != exitOK {
			t.Fatalf("exit %d, %v\n%s%s", got.exit, err, got.stdout, got.stderr)
		}
		return a
	}
	a := explain()
	if len(a.Candidates) != 1 {
		t.Fatalf("candidates %+v", a.Candidates)
	}
	if c := a.Candidates[0]; c.APN != demo.LoginAPN || !c.Active || !c.LastGood || c.Username != demo.LoginUser || c.Auth != "pap" || !strings.Contains(c.Reason, "the activation of this profile") {
		t.Errorf("after the restarts: %+v", c)
	}
	iccid := b.w.Profiles[0].ICCID
	if _, err := os.Stat(filepath.Join(b.dir, "state", "apns", iccid)); err != nil {
		t.Error(err)
	}

	// A file that is none is named, and the others are used. The link stays.
	var before, after status.Snapshot
	b.must(b.client.Do(b.ctx, http.MethodGet, "/v1/status", nil, nil, &before))
	b.must(os.WriteFile(filepath.Join(b.dir, "operators.d", "broken.json"), []byte("{"), 0o600))
	b.must(os.WriteFile(filepath.Join(b.dir, "operators.d", "more.json"), []byte(`{"id": "more", "name": "More", "rank": 1, "targets": [{"mccmnc": ["00101"]}], "connections": [{"apn": "more.test"}]}`), 0o600))
	b.must(b.running.cmd.Process.Signal(syscall.SIGHUP))
	for !strings.Contains(b.log(), "broken.json") {
		select {
		case <-b.ctx.Done():
			t.Fatalf("the broken file is not named\n%s", b.log())
		case <-time.After(10 * time.Millisecond):
		}
	}
	found := func(a hook.APN) bool {
		for _, r := range a.Settings.Records {
			if r.ID == "more" {
				return true
			}
		}
		return false
	}
	for !found(explain()) {
		if b.ctx.Err() != nil {
			t.Fatal("the new file is not used")
		}
	}
	b.must(b.client.Do(b.ctx, http.MethodGet, "/v1/status", nil, nil, &after))
	if before.Link == nil || after.Link == nil || !before.Link.Since.Equal(after.Link.Since) || after.Link.APN != demo.LoginAPN {
		t.Errorf("the link was %+v and is %+v", before.Link, after.Link)
	}

	// The credentials go with the profile.
	if got := b.dynamod("", "profiles", "delete", iccid, "--force", "--yes", "--config", b.configPath()); got.exit != exitOK {
		t.Errorf("delete: exit %d\n%s%s", got.exit, got.stdout, got.stderr)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "state", "apns", iccid)); !os.IsNotExist(err) {
		t.Errorf("the APN of a deleted profile is still kept: %v", err)
	}
	b.stop()
	b.noSecrets("the daemon's log", b.log())
	b.noSecretFiles()
}
