package activation

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/euicc"
)

func TestKeptAPN(t *testing.T) {
	dir := t.TempDir()
	v, err := OpenVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	const one, other = "8900101000000000017", "8900101000000000025"
	want := APN{APN: "mine.test", IPType: "ipv4", Auth: "pap", Username: "me", Password: "s3cret"}
	if _, ok := v.KeptAPN(one); ok {
		t.Error("something is kept before anything was")
	}
	if err := v.KeepAPN(one, want); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "apns", one)
	sealed, err := os.ReadFile(path)
	if err != nil || bytes.Contains(sealed, []byte("s3cret")) || bytes.Contains(sealed, []byte("mine")) {
		t.Errorf("on the medium: %q %v", sealed, err)
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
	if err := v.KeepAPN(one, want); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(again, sealed) {
		t.Error("the same was written again")
	}
	if v, err = OpenVault(dir); err != nil { // after a restart
		t.Fatal(err)
	}
	if got, ok := v.KeptAPN(one); !ok || got != want {
		t.Errorf("%v %v", got, ok)
	}
	// A file of one profile does not open for another, nor under another key.
	os.WriteFile(filepath.Join(dir, "apns", other), sealed, 0o600)
	if _, ok := v.KeptAPN(other); ok {
		t.Error("another profile's is taken")
	}
	stranger, err := OpenVault(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stranger.apns = v.apns
	if _, ok := stranger.KeptAPN(one); ok {
		t.Error("another device's is taken")
	}
	for range 2 {
		if err := v.ForgetAPN(one); err != nil {
			t.Error(err)
		}
	}
	if _, ok := v.KeptAPN(one); ok {
		t.Error("not forgotten")
	}
	for i := range maxKept + 5 {
		if err := v.KeepAPN(fmt.Sprintf("89%017d", i), want); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := os.ReadDir(v.apns); len(names) != maxKept {
		t.Errorf("%d files, at most %d", len(names), maxKept)
	}
}

func TestValidateAPN(t *testing.T) {
	code, err := euicc.ParseActivationCode("LPA:1$smdp.example.com$X")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("s3cret", 30)
	for _, tt := range []struct {
		apn  APN
		text string // of the error
	}{
		{APN{APN: "a.test", Auth: "pap", Username: "me", Password: strings.Repeat("x", maxLogin)}, ""},
		{APN{APN: long}, "APN"}, {APN{APN: "a", Username: long}, "user name"}, {APN{APN: "a", Password: long}, "password"},
		{APN{APN: "a", Auth: long}, "authentication"}, {APN{APN: "a", IPType: long}, "IP type"},
		// TS 23.003, 9.1: labels of letters, digits and hyphens.
		{APN{APN: "a b"}, "APN"}, {APN{APN: "a\r\nAT+CFUN=0"}, "APN"}, {APN{APN: `a"`}, "APN"},
		{APN{APN: "a", Username: "x\r"}, "user name"}, {APN{APN: "a", Password: "\xff"}, "password"},
		{APN{APN: "a", Auth: "zz"}, "authentication"}, {APN{APN: "a", IPType: "ipx"}, "IP type"},
	} {
		err := Request{Code: code, APN: &tt.apn}.Validate()
		if (err != nil) != (tt.text != "") || err != nil && (!strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v", tt.text, err)
		}
	}
}
