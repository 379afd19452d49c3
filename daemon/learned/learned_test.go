package learned

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { clock = clock.Add(time.Hour); return clock }
	s, err := Open(path, now)
	if err != nil {
		t.Fatal(err)
	}
	want := APN{APN: "lab.test", IPType: "ipv4v6"}
	for range 2 { // applied twice
		if err := s.SetLastGood("8900000000000000001", want); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := os.Stat(path)
	if err := s.SetLastGood("8900000000000000001", want); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.Stat(path); !os.SameFile(first, second) {
		t.Error("the file was written again for an equal fact")
	}
	s, err = Open(path, now)
	got, ok := s.LastGood("8900000000000000001")
	if err != nil || !ok || got.APN != want.APN || got.At.IsZero() {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	if err := s.Forget("8900000000000000001"); err != nil {
		t.Error(err)
	}
	if _, ok := s.LastGood("8900000000000000001"); ok {
		t.Error("not forgotten")
	}
}

func TestBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	clock := time.Unix(0, 0)
	s, _ := Open(path, func() time.Time { clock = clock.Add(time.Hour); return clock })
	for i := range maxProfiles + 10 {
		if err := s.SetLastGood(fmt.Sprintf("89%017d", i), APN{APN: fmt.Sprintf("apn%d.example", i), User: "someone"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.LastGood(fmt.Sprintf("89%017d", 9)); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := s.LastGood(fmt.Sprintf("89%017d", 10)); !ok {
		t.Error("a younger one is gone")
	}
	if fi, _ := os.Stat(path); fi.Size() > 32<<10 {
		t.Errorf("%d bytes, at most 32 KiB", fi.Size())
	}
}

func TestDamagedFileIsAnEmptyStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	os.WriteFile(path, []byte(`{"last_good":`), 0o600)
	s, err := Open(path, time.Now)
	if err == nil {
		t.Error("no error for a damaged file")
	}
	if err := s.SetFirmware("EC25 01", Firmware{BlockSize: 255}); err != nil {
		t.Error(err)
	}
	if s, err = Open(path, time.Now); err != nil {
		t.Error(err)
	}
	if f, ok := s.Firmware("EC25 01"); !ok || f.BlockSize != 255 {
		t.Errorf("%+v %v", f, ok)
	}
}
