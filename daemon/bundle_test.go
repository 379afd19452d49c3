//go:build linux && !nodemo

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dynamod/daemon/demo"
	"dynamod/euicc/smdpsim"
)

// bundleFiles unpacks what `dynamod bundle` wrote.
func (b *bench) bundleFiles(path string) map[string]string {
	b.t.Helper()
	text, err := os.ReadFile(path)
	b.must(err)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		b.t.Errorf("mode %v, %v", info.Mode(), err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(text))
	b.must(err)
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		b.must(err)
		text, err := io.ReadAll(r)
		b.must(err)
		files[strings.TrimPrefix(h.Name, "dynamod-bundle/")] = string(text)
	}
}

// TestBundle takes an activation with a confirmation code and an APN password, and
// searches the archive for all that must not be in it, with the daemon and without.
func TestBundle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const confirmation, pin = "C0NFIRM-4711", "24681357"
	pinFile := filepath.Join(b.dir, "pin")
	b.must(os.WriteFile(pinFile, []byte(pin+"\n"), 0o600))
	b.config("[modem]\n", fmt.Sprintf("[modem]\npin_file = %q\n", pinFile))
	b.config("\n[uplink]\n", "\n[log]\nlevel = \"debug\"\n[uplink]\n")
	b.start()
	b.waitUp()
	password := filepath.Join(b.dir, "password")
	b.must(os.WriteFile(password, []byte(demo.LoginPassword+"\n"), 0o600))
	confirmed := filepath.Join(b.dir, "confirmation")
	b.must(os.WriteFile(confirmed, []byte(confirmation+"\n"), 0o600))
	p := demo.Profile{ICCID: "8900101000000000033", ID: "MATCH-ME-1234"}
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: p.ICCID, IMSI: "001010000000033"})
	b.must(err)
	p.Code, err = b.w.Server.AddOrder(smdpsim.Order{MatchingID: p.ID, UPP: upp, ConfirmationCode: confirmation})
	b.must(err)
	got := b.dynamod(p.Code, "activate", "-", "--yes", "--confirmation-code-file", confirmed, "--apn", demo.LoginAPN, "--apn-user", demo.LoginUser, "--apn-password-file", password, "--config", b.configPath())
	if got.exit != exitOK {
		t.Fatalf("exit %d\n%s%s", got.exit, got.stdout, got.stderr)
	}
	secrets := map[string]string{
		"matching ID": p.ID, "APN password": demo.LoginPassword, "activation code": p.Code, "IMSI": "001010000000033", "confirmation code": confirmation, "PIN": pin, "ICCID": p.ICCID,
		"another ICCID": earlierICCID, "EID": b.w.Card.EID(), "device key": "device.key",
	}
	search := func(files map[string]string) {
		t.Helper()
		for name, text := range files {
			for what, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("the %s is in %s", what, name)
				}
			}
		}
	}
	path := filepath.Join(b.dir, "bundle.tar.gz")
	if got := b.dynamod("", "bundle", path, "--config", b.configPath()); got.exit != exitOK || got.stdout != path+"\n" {
		t.Fatalf("exit %d\n%s%s", got.exit, got.stdout, got.stderr)
	}
	files := b.bundleFiles(path)
	search(files)
	for name, part := range map[string]string{
		"version.txt": "dynamod ", "config.toml": "[reach]", "journal.txt": "activation ", "journal.jsonl": `"state":"committed"`, "learned.json": "{",
		"outbox.json": "[", "status.json": `"state": "up"`, "settings.json": `"Reach"`, "kernel.txt": "proto 215", "trace.txt": "> AT", "diag.json": `"ok": true`,
		"apn.json": demo.LoginAPN, "log.txt": "level=",
	} {
		if !strings.Contains(files[name], part) {
			t.Errorf("%s has no %q: %.300s", name, part, files[name])
		}
	}
	if text, ok := files["errors.txt"]; ok {
		t.Errorf("errors: %s", text)
	}
	if got := b.dynamod("", "bundle", path, "--config", b.configPath()); got.exit != exitRefused {
		t.Errorf("a file that is there: exit %d\n%s", got.exit, got.stderr)
	}

	// Without the daemon it has what the disk tells.
	b.stop()
	path = filepath.Join(b.dir, "disk.tar.gz")
	if got := b.dynamod("", "bundle", path, "--config", b.configPath()); got.exit != exitOK || !strings.Contains(got.stderr, "what is on disk") {
		t.Fatalf("exit %d\n%s%s", got.exit, got.stdout, got.stderr)
	}
	files = b.bundleFiles(path)
	search(files)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "config.toml crash.txt journal.jsonl journal.txt learned.json outbox.json version.txt" {
		t.Errorf("files: %s\n%s", got, files["errors.txt"])
	}
}
