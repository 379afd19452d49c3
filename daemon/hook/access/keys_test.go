package access

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseKeys(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	secret := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, row := range []struct{ name, text, err string }{
		{"nothing", "", ""},
		{"comments", "# who\n\n  \n", ""},
		{"each kind", "noc admin token " + sum + "\nfleet activate signature " + secret + "\nca-1 read certificate Fleet CA 1\n", ""},
		{"no value", "noc admin token\n", "line 1: not NAME SCOPE KIND VALUE"},
		{"the second line", "# x\nnoc admin token SECRET\n", "line 2: a token's value is its SHA-256"},
		{"upper-case hex", "noc admin token " + strings.ToUpper(sum), "lower-case hex"},
		{"a scope", "noc root token " + sum, `scope "root" is none of read, activate, admin`},
		{"no scope", "noc none token " + sum, `scope "none"`},
		{"a kind", "noc read password SECRET", "kind is none of token, signature, certificate"},
		{"a short key", "noc read signature SECRETSECRET", "base64 of 32 to 64 bytes"},
		{"a name", "N\x1b[2J read token " + sum, "is not 1 to 32 of a-z"},
		{"twice", "a read token " + sum + "\na admin token " + sum, "a is there twice"},
		{"too many", strings.Repeat("x", 0) + manyKeys(65, sum), "more than 64 callers"},
	} {
		t.Run(row.name, func(t *testing.T) {
			keys, err := ParseKeys(row.text)
			if row.err == "" && err != nil || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)) {
				t.Fatalf("got %v, want %q", err, row.err)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error tells a secret: %v", err)
			}
			if again, err := ParseKeys(keys.String()); err != nil || again.String() != keys.String() {
				t.Errorf("written and read again: %v", err)
			}
		})
	}
}

func manyKeys(n int, sum string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "c%d read token %s\n", i, sum)
	}
	return b.String()
}

func FuzzParseKeys(f *testing.F) {
	f.Add("noc admin token " + strings.Repeat("0a", 32) + "\n# c\nx read certificate A  B")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text)
		if err != nil {
			return
		}
		if again, err := ParseKeys(keys.String()); err != nil || again.String() != keys.String() {
			t.Errorf("%v, was %q, is %q", err, keys, again)
		}
	})
}

func TestToken(t *testing.T) {
	token, k := NewToken("noc", Read)
	other, o := NewToken("other", Admin)
	keys, err := ParseKeys(Keys{k, o}.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(token) < len(tokenPrefix)+43 || strings.Contains(keys.String(), token) {
		t.Errorf("token of %d characters, or kept", len(token))
	}
	for given, want := range map[string]string{token: "noc", other: "other", token + "x": "", token[:len(token)-1]: "", "": "", k.Value: ""} {
		got := ""
		if k := keys.ofToken(given); k != nil {
			got = k.Name
		}
		if got != want {
			t.Errorf("known as %q, want %q", got, want)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	f := OpenFile(path)
	if keys, err := f.Keys(); err != nil || len(keys) != 0 {
		t.Errorf("missing: %v %v", keys, err)
	}
	_, k := NewToken("noc", Read)
	write := func(text string, mode fs.FileMode, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
		os.Chtimes(path, at, at)
	}
	at := time.Unix(1e9, 0)
	write(Keys{k}.String(), 0o600, at)
	for range 2 {
		if keys, err := f.Keys(); err != nil || len(keys) != 1 {
			t.Errorf("there: %v %v", keys, err)
		}
	}
	write(Keys{k}.String()+"x", 0o600, at.Add(1))
	if keys, err := f.Keys(); err == nil || len(keys) != 0 {
		t.Errorf("damaged: %v %v", keys, err)
	}
	write(Keys{k}.String(), 0o644, at.Add(2))
	if _, err := f.Keys(); err == nil || !strings.Contains(err.Error(), "others may read") {
		t.Errorf("readable: %v", err)
	}
	// Another token of the same length within one tick of the file system's clock.
	_, k2 := NewToken("noc", Read)
	write(Keys{k}.String(), 0o600, at.Add(3))
	f.Keys()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	write(Keys{k2}.String(), 0o600, at.Add(3))
	if keys, err := f.Keys(); err != nil || len(keys) != 1 || keys[0] != k2 {
		t.Errorf("exchanged at once: %v %v", keys, err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Keys(); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("somebody else's: %v", err)
		}
		os.Chown(path, 0, 0)
	}
	write("", 0o600, at.Add(4))
	if keys, err := f.Keys(); err != nil || len(keys) != 0 {
		t.Errorf("removed: %v %v", keys, err)
	}
}

// An edit waits for another one, and not for ever.
func TestEditWaits(t *testing.T) {
	for _, held := range []time.Duration{lockTime / 2, 2 * lockTime} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			other, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(held, func() { other.Close() })
			_, k := NewToken("noc", Read)
			begin := time.Now()
			err = Add(filepath.Join(dir, "keys"), k, os.WriteFile)
			if waited := time.Since(begin); (err == nil) != (held < lockTime) || waited < min(held, lockTime) || waited > lockTime+lockTime/50 {
				t.Errorf("held for %v: after %v %v", held, waited, err)
			}
			time.Sleep(held)
		})
	}
}

// What is added is one caller, and the same when it is read.
func TestKeyCheck(t *testing.T) {
	for value, ok := range map[string]bool{
		"site.example": true, "Site 7": true, "two  blanks": true, "Müller": true, strings.Repeat("x", 128): true,
		"": false, " ": false, " x": false, "x ": false, "x\t": false, "a\tb": false, "\u00a0x": false, strings.Repeat("x", 129): false,
		"x\nevil admin certificate y": false, "x\r": false, "x\x1b[2J": false,
	} {
		k := Key{Name: "site", Scope: Admin, Kind: Certificate, Value: value}
		path := filepath.Join(t.TempDir(), "keys")
		if err := Add(path, k, os.WriteFile); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
		keys, err := OpenFile(path).Keys()
		if err != nil || ok && (len(keys) != 1 || keys[0] != k) || !ok && len(keys) != 0 {
			t.Errorf("%q: the file has %v, %v", value, keys, err)
		}
	}
}
