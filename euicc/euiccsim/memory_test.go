package euiccsim

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func (l *lab) restart(file string) *lab {
	l.Helper()
	cfg := l.config()
	cfg.StateFile = file
	card, err := New(cfg)
	if err != nil {
		l.Fatal(err)
	}
	n := l.with(l.TB)
	n.card = card
	return n
}

func TestStateFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "card.json")
	l := newLab(t, func(c *Config) { c.StateFile = file })
	d := l.download(testICCID)
	d.run()
	l.call(switchRequest(t, 0xBF31, testICCID, false))
	l.call([]byte{0xBF, 0x3F, 3, 0x80, 1, 'x'})
	again := l.restart(file)
	got := again.card.Installed()
	if len(got) != 1 || !got[0].Enabled || !bytes.Equal(got[0].Package, d.upp) || again.card.ICCIDSelected() != testICCID {
		t.Errorf("after a restart: %+v", got)
	}
	if fmt.Sprint(again.card.Pending()) != fmt.Sprint(l.card.Pending()) || again.card.nv.DefaultDP != "x" {
		t.Error("notifications or address are not what they were")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestStateFileRefused(t *testing.T) {
	good := func(t *testing.T) string {
		file := filepath.Join(t.TempDir(), "card.json")
		newLab(t, func(c *Config) { c.StateFile = file }).download(testICCID).run()
		return file
	}
	for _, tt := range []struct {
		name   string
		change func([]byte) []byte
		want   string
	}{
		{"torn", func(b []byte) []byte { return b[:len(b)/2] }, "damaged"},
		{"empty", func(b []byte) []byte { return nil }, "damaged"},
		{"another card's", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(testEID), []byte(strings.Repeat("1", 32))) }, "another card's"},
		{"a package that does not parse", func(b []byte) []byte { return bytes.Replace(b, []byte(`"UPP":"`), []byte(`"UPP":"AAAA`), 1) }, "profile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := good(t)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, tt.change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			l := newLab(t, nil)
			cfg := l.config()
			cfg.StateFile = file
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestFullDisk: a state that cannot be written is a memory error, and nothing
// has changed.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, func(c *Config) { c.StateFile = filepath.Join(dir, "card.json") })
	l.download(testICCID).run()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, err := l.open().StoreData(t.Context(), switchRequest(t, 0xBF31, testICCID, false))
	if se := asSE(err); se == nil || se.SW != swMemory {
		t.Errorf("error %v, want 6581", err)
	}
	if len(l.enabled()) != 0 {
		t.Error("profile is enabled all the same")
	}
}

// checkWhole reports what must hold at any moment: whole packages, at most one
// enabled, and a result or none for each.
func checkWhole(t *testing.T, c *Card, upp map[string][]byte) {
	t.Helper()
	enabled := 0
	for _, p := range c.Installed() {
		if !bytes.Equal(p.Package, upp[p.ICCID]) {
			t.Errorf("%s is not whole", p.ICCID)
		}
		if p.Enabled {
			enabled++
		}
	}
	if enabled > 1 {
		t.Errorf("%d profiles are enabled", enabled)
	}
}

const killEnv = "EUICCSIM_TEST_STATE_FILE"

// TestKill kills a process that uses a card at moments of all kinds and looks
// at what its state file holds.
func TestKill(t *testing.T) {
	upp := map[string][]byte{testICCID: testUPP(t, testICCID, 3000)}
	if file := os.Getenv(killEnv); file != "" {
		useUntilKilled(t, file)
	}
	file := filepath.Join(t.TempDir(), "card.json")
	l := newLab(t, nil)
	for round := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), killEnv+"="+file)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		steps := 0
		for lines := bufio.NewScanner(out); steps <= round%7 && lines.Scan(); {
			if lines.Text() == "step" {
				steps++
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		if steps <= round%7 {
			t.Fatalf("round %d: the process ended by itself", round)
		}
		checkWhole(t, l.restart(file).card, upp)
		if left, _ := filepath.Glob(file + ".*.tmp"); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// useUntilKilled installs, enables, disables and deletes for ever.
func useUntilKilled(t *testing.T, file string) {
	l := newLab(t, func(c *Config) { c.StateFile = file })
	for {
		for _, f := range []func(){
			func() { l.download(testICCID).run() },
			func() { l.call(switchRequest(t, 0xBF31, testICCID, false)) },
			func() { l.call(switchRequest(t, 0xBF32, testICCID, false)) },
			func() { l.call(deleteRequest(t, testICCID)) },
		} {
			f()
			fmt.Println("step")
		}
		for _, n := range l.card.Pending() {
			l.call([]byte{0xBF, 0x30, 4, 0x80, 2, byte(n.Sequence >> 8), byte(n.Sequence)})
		}
	}
}

// stopTB ends a step at the first failure without failing the test.
type stopTB struct{ testing.TB }

type stopped struct{}

func (stopTB) Fatal(...any)          { panic(stopped{}) }
func (stopTB) Fatalf(string, ...any) { panic(stopped{}) }

// attempt runs f and reports whether it came to its end.
func attempt(f func()) (done bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(stopped); !ok {
				panic(r)
			}
		}
	}()
	f()
	return true
}

// TestPowerCutEverywhere cuts the power before and after each APDU of a download
// with switch and holds the card to: no half profile, a result for each profile,
// and a download that succeeds when it is tried again.
func TestPowerCutEverywhere(t *testing.T) {
	upp := map[string][]byte{testICCID: testUPP(t, testICCID, 3000)}
	for _, kind := range []FaultKind{FaultPowerCut, FaultPowerCutAfter, FaultLost} {
		cut := true
		n := 1
		for ; cut; n++ {
			l := newLab(t, nil)
			l.card.SetFault(Fault{Kind: kind, At: n})
			soft := l.with(stopTB{t})
			cut = !attempt(func() {
				soft.download(testICCID).run()
				soft.call(switchRequest(soft.TB, 0xBF31, testICCID, false))
			})
			l.card.Reset()
			checkWhole(t, l.card, upp)
			installed, results := len(l.card.Installed()), 0
			for _, p := range l.card.Pending() {
				if p.Event == EventInstall && p.Address == "smdpp.lab.test" {
					results++
				}
			}
			if installed != results {
				t.Errorf("fault %d at APDU %d: %d profiles, %d results", kind, n, installed, results)
			}
			if installed == 0 {
				l.card.SetFault()
				if pir := l.download(testICCID).run(); !bytes.Contains(pir.Raw, simaOK) {
					t.Errorf("fault %d at APDU %d: the second try fails: %x", kind, n, pir.Raw)
				}
			}
			if n > 200 {
				t.Fatal("the download takes more than 200 APDUs")
			}
		}
		if n < 20 {
			t.Errorf("only %d APDUs were tried", n)
		}
	}
}
