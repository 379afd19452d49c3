package activation

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestVault(t *testing.T) {
	dir := t.TempDir()
	v, err := OpenVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	req := request(t)
	req.ConfirmationCode, req.APN = "9876", &APN{APN: "a.example", Password: "SECRET-PASSWORD"}
	req.Key, req.NoWayBack, req.Again, req.KeepTrying, req.Deadline = "key", true, true, true, time.Minute
	for range 2 {
		if err := v.Put("run1", req); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := os.ReadFile(filepath.Join(dir, "requests", "run1"))
	if len(b) == 0 || strings.Contains(string(b), "SECRET") || strings.Contains(string(b), "9876") {
		t.Error("the request is not sealed")
	}
	v, err = OpenVault(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Get("run1")
	if !reflect.DeepEqual(got, req) {
		t.Errorf("something of the request is lost: %+v, want %+v", got, req)
	}
	if err != nil || got.Code.Reveal() != codeText || got.ConfirmationCode != "9876" || got.APN.Password != "SECRET-PASSWORD" {
		t.Errorf("%v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(s, "SECRET") || strings.Contains(s, "9876") {
		t.Errorf("printing a request shows a secret: %s", s)
	}
	if _, err := v.Get("run2"); err == nil {
		t.Error("a request that was never put")
	}
	os.Rename(filepath.Join(dir, "requests", "run1"), filepath.Join(dir, "requests", "run3"))
	if _, err := v.Get("run3"); err == nil {
		t.Error("a request passes for another run's")
	}
}
