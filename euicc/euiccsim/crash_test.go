package euiccsim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

type killed struct{}

// TestKillAtEveryByte ends the process, as kill -9 does, before each step of the
// state's way to the disk and after each byte that is written: the next start
// finds the old state or the new one, whole, and leaves nothing behind.
func TestKillAtEveryByte(t *testing.T) {
	file := filepath.Join(t.TempDir(), "card.json")
	l := newLab(t, func(c *Config) { c.StateFile = file })
	upp := testUPP(t, testICCID, 0)
	if err := l.card.Preload(upp, testMetadata(t, Metadata{ICCID: testICCID, Name: "Test", Class: ClassOperational}), false); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next := l.card.nv.clone()
	next.Profiles[0].Enabled = true
	changed, err := json.Marshal(next)
	if err != nil {
		t.Fatal(err)
	}
	cut := func(step string, bytes int) {
		t.Helper()
		if err := os.WriteFile(file, old, 0o600); err != nil {
			t.Fatal(err)
		}
		died := func() (died bool) {
			defer func() {
				switch r := recover().(type) {
				case nil:
				case killed:
					died = true
				default:
					panic(r)
				}
			}()
			if err := next.store(file, func(at string, f *os.File, data []byte) {
				if at != step {
					return
				}
				if f != nil {
					defer f.Close() // as the kernel does for the dead
				}
				if at == "write" {
					if _, err := f.Write(data[:bytes]); err != nil {
						t.Fatal(err)
					}
				}
				panic(killed{})
			}); err != nil {
				t.Fatal(err)
			}
			return false
		}()
		if !died {
			t.Fatalf("there is no step %q", step)
		}
		m, err := loadMemory(file, testEID)
		if err != nil {
			t.Fatalf("%s, byte %d: %v", step, bytes, err)
		}
		got, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want := string(old)
		if step == "sync directory" {
			want = string(changed)
		}
		if string(got) != want {
			t.Fatalf("%s, byte %d: neither the old nor the new state: %s", step, bytes, got)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
			t.Fatalf("%s, byte %d: left behind %v", step, bytes, left)
		}
	}
	for _, step := range []string{"create", "sync", "rename", "sync directory"} {
		cut(step, 0)
	}
	for n := range len(changed) + 1 {
		cut("write", n)
	}
	t.Logf("%d bytes of state, killed %d times", len(changed), len(changed)+5)
}

// A card that is killed in the middle of a function comes back as it was before
// or after it.
func TestKillInFunction(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "rename", "sync directory"} {
		file := filepath.Join(t.TempDir(), "card.json")
		l := newLab(t, func(c *Config) { c.StateFile = file })
		l.download(testICCID).run()
		l.card.kill = func(at string, f *os.File, _ []byte) {
			if at == step {
				panic(killed{})
			}
		}
		func() {
			defer func() {
				if _, ok := recover().(killed); !ok {
					t.Errorf("%s: nobody was killed", step)
				}
			}()
			l.call(switchRequest(t, 0xBF31, testICCID, false))
		}()
		again := l.restart(file)
		enabled, events := len(again.enabled()) == 1, len(again.card.Pending())
		if after := step == "sync directory"; enabled != after || (events == 3) != after {
			t.Errorf("%s: enabled %v, %d notifications", step, enabled, events)
		}
	}
}
