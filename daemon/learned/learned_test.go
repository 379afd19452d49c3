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
	want := APN{Key: "lab.test", IPType: "ipv4v6", Auth: "none", PLMN: "00101"}
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
	if err != nil || !ok || got.Key != want.Key || got.At.IsZero() {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	if err := s.Forget("8900000000000000001"); err != nil {
		t.Error(err)
	}
	if _, ok := s.LastGood("8900000000000000001"); ok {
		t.Error("not forgotten")
	}
}

// What a modem attached with before the first change is what is put back,
// however often it was changed since.
func TestAttach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	s, _ := Open(path, time.Now)
	const imei = "490154203237518"
	if _, ok := s.Attach(imei); ok {
		t.Error("something is known of a modem that was never changed")
	}
	want := Attach{CID: 1, Type: "IPV4V6", APN: "", For: "8900000000000000001", By: ByRecord}
	if err := s.SetAttach(imei, want); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, time.Now)
	got, ok := s.Attach(imei)
	got.At = time.Time{}
	if err != nil || !ok || got != want {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	for range 2 {
		if err := s.ForgetAttach(imei); err != nil {
			t.Error(err)
		}
	}
	if _, ok := s.Attach(imei); ok {
		t.Error("not forgotten")
	}
	for i := range maxModems + 3 {
		if err := s.SetAttach(fmt.Sprint(i), want); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.f.Attach) != maxModems {
		t.Errorf("%d modems, at most %d", len(s.f.Attach), maxModems)
	}
}

func TestBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	clock := time.Unix(0, 0)
	s, _ := Open(path, func() time.Time { clock = clock.Add(time.Hour); return clock })
	for i := range maxProfiles + 10 {
		if err := s.SetLastGood(fmt.Sprintf("89%017d", i), APN{Key: fmt.Sprintf("apn%d.example|someone|chap", i), IPType: "ipv4v6", Auth: "chap", PLMN: "310260"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.LastGood(fmt.Sprintf("89%017d", 9)); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := s.LastGood(fmt.Sprintf("89%017d", 10)); !ok {
		t.Error("a younger one is gone")
	}
	for i := range maxFirmwares {
		if err := s.SetFirmware(fmt.Sprintf("EC25 EC25EFAR06A%02dM4G", i), Firmware{BlockSize: 120, Transport: "cgla"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxModems {
		if err := s.SetAttach(fmt.Sprintf("49015420323%04d", i), Attach{CID: 1, Type: "IPV4V6", APN: "internet.example", For: fmt.Sprintf("89%017d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxPINs + 3 {
		if err := s.SetRefusedPIN(fmt.Sprintf("%032x", i), RefusedPIN{Left: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.RefusedPIN(fmt.Sprintf("%032x", maxPINs+2)); !ok || len(s.f.PIN) != maxPINs {
		t.Errorf("%d refused PINs, the last is known: %v", len(s.f.PIN), ok)
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

// What cannot be written is no note of how a modem was, however often it is
// tried; what worked is known all the same, and written when that is possible.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "learned.json")
	s, err := Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const key = "490154203237518"
	good := APN{Key: "lab.test"}
	for range 2 { // a second time changes nothing
		if err := s.SetAttach(key, Attach{CID: 1, APN: "lab.test"}); err == nil {
			t.Error("an attach context is noted")
		}
		if err := s.SetUSBMode(key, USBMode{Value: "1"}); err == nil {
			t.Error("a USB mode is noted")
		}
		if err := s.SetLastGood(key, good); err == nil {
			t.Error("what worked is written")
		}
	}
	_, attach := s.Attach(key)
	_, mode := s.USBMode(key)
	if got, ok := s.LastGood(key); attach || mode || !ok || got.Key != good.Key {
		t.Errorf("attach %v, mode %v, what worked %v", attach, mode, got)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.SetLastGood(key, good); err != nil {
		t.Error(err)
	}
	if s, err = Open(path, time.Now); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.LastGood(key); !ok || got.At.IsZero() {
		t.Errorf("after a restart: %v", got)
	}
}

// The date of the last traffic is written once a day, with the other facts, and at
// the end; a box that is restarted often does not wear its flash by it.
func TestWorked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(path, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	const one, other = "8900000000000000001", "8900000000000000002"
	var last os.FileInfo
	step := func(after time.Duration, iccid string, wrote bool) {
		t.Helper()
		clock = clock.Add(after)
		if err := s.SetWorked(iccid); err != nil {
			t.Fatal(err)
		}
		now, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := last == nil || !os.SameFile(last, now); got != wrote {
			t.Errorf("%v later, with %s: written %v, want %v", after, iccid, got, wrote)
		}
		last = now
		if at, ok := s.Worked(iccid); !ok || !at.Equal(clock) {
			t.Errorf("%v, %v, want %v", at, ok, clock)
		}
	}
	step(0, one, true)
	step(time.Minute, one, false)
	step(23*time.Hour, one, false)
	step(time.Hour, one, true)
	step(time.Minute, other, true)
	step(time.Minute, one, true) // back again
	step(-20*365*24*time.Hour, one, true)
	step(time.Hour, one, false)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = Open(path, func() time.Time { return clock }); err != nil {
		t.Fatal(err)
	}
	if at, ok := s.Worked(one); !ok || !at.Equal(clock) {
		t.Errorf("after Close the file has %v, %v, want %v", at, ok, clock)
	}
	if err := s.Forget(one); err != nil {
		t.Error(err)
	}
	if _, ok := s.Worked(one); ok {
		t.Error("not forgotten")
	}
}

// A restart alone is no reason to write.
func TestWorkedAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 {
		s, err := Open(path, func() time.Time { return clock })
		if err != nil {
			t.Fatal(err)
		}
		before, _ := os.Stat(path)
		if err := s.SetWorked("8900000000000000001"); err != nil {
			t.Fatal(err)
		}
		if after, err := os.Stat(path); err != nil || i > 0 && !os.SameFile(before, after) {
			t.Errorf("start %d wrote: %v", i, err)
		}
		clock = clock.Add(time.Hour)
	}
}

// How the enabled profile does is there after a restart, and written only when it
// is another.
func TestStanding(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	s, err := Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Standing(); got != (Standing{}) {
		t.Errorf("of a new card: %+v", got)
	}
	want := Standing{ICCID: "8900000000000000018", Run: "RUN1", OnMS: 3600_000, DeadMS: 1}
	if err := s.SetStanding(want); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.SetStanding(want); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the same was written twice")
	}
	want.DeadMS = 0
	if err := s.SetStanding(want); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(path, time.Now); err != nil || s.Standing() != want {
		t.Errorf("%+v, %v", s.Standing(), err)
	}
}

func TestParts(t *testing.T) {
	for key, want := range map[string][3]string{
		"":                    {"", "", ""},
		"lab.test":            {"lab.test", "", ""},
		"lab.test|me|pap":     {"lab.test", "me", "pap"},
		"lab.test|a|b|c|auto": {"lab.test", "a|b|c", "auto"},
		"lab.test||chap":      {"lab.test", "", "chap"},
		"lab.test|me":         {"lab.test", "", ""}, // no key of ours
	} {
		apn, user, auth := APN{Key: key}.Parts()
		if got := [3]string{apn, user, auth}; got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

// The classes of a card's profiles are known after a restart, and written once.
func TestClasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.json")
	classes := map[string]string{"A": "provisioning", "B": "operational"}
	for range 2 {
		s, err := Open(path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetClasses(classes); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := s.Class("A")
		_, known := s.Class("C")
		if err := s.SetClasses(classes); err != nil || a != "provisioning" || known {
			t.Errorf("%q, %v, %v", a, known, err)
		}
		if again, err := os.Stat(path); err != nil || !os.SameFile(info, again) {
			t.Error("the same is written twice")
		}
	}
	s, err := Open(path, time.Now)
	if b, _ := s.Class("B"); err != nil || b != "operational" {
		t.Errorf("forgotten: %q, %v", b, err)
	}
	err = s.SetClasses(map[string]string{"D": "test"})
	if _, known := s.Class("A"); err != nil || known {
		t.Errorf("another card's: %v", err)
	}
}
