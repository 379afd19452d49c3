//go:build linux && !nodemo

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dynamod/euicc/smdpsim"
)

// controlledLab is a lab without a network, with its modem and control channel.
func controlledLab(t *testing.T) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	lab, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &World{Lab: lab, stop: stop, outside: "127.0.0.1:4433"}
	t.Cleanup(w.Close)
	if err := w.Server.AddAddress(w.outside); err != nil {
		t.Fatal(err)
	}
	l, err := listenControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.run(func() error { return w.serveControl(ctx, l) })
	w.run(func() error { return lab.ServeModem(ctx, w.modemPath()) })
	if err := waitFile(ctx, w.modemPath()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *World) ctl(t *testing.T, line string) (json.RawMessage, string, error) {
	t.Helper()
	return Control(t.Context(), w.opts.Dir, strings.Fields(line))
}

func (w *World) must(t *testing.T, line string) (json.RawMessage, string) {
	t.Helper()
	raw, text, err := w.ctl(t, line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return raw, text
}

func (w *World) look(t *testing.T) (s labState) {
	t.Helper()
	raw, _ := w.must(t, "state")
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Every fault of every part can be set by its name, is shown, and cleared.
func TestControlSetsEveryFault(t *testing.T) {
	w := controlledLab(t)
	values := map[string]string{
		"card status": " sw=6985 tag=BF38", "card slow": " delay=1s", "card delay": " time=1ms",
		"server status": " subject=8.2.6 reason=3.8", "smds status": " subject=8.9 reason=4.2",
		"server redirect": " location=https://a.test/", "smds redirect": " location=https://a.test/",
		"server form": " lines=76", "smds form": " gzip=true", "modem urc-mid-answer": " command=+CSQ after=4 times=2 delay=1s code=3 text=+CREG:_1",
	}
	n := 0
	for name, part := range w.parts() {
		for _, f := range part.faults {
			n++
			if f[1] == "" {
				t.Errorf("%s %s does nothing, it says", name, f[0])
			}
			if slices.Contains([]string{"unplug", "detach", "urc-storm"}, f[0]) {
				continue // these happen at once
			}
			line := f[0] + values[name+" "+f[0]]
			w.must(t, name+" set "+line)
			if got := part.active(); len(got) != 1 || got[0] != line {
				t.Errorf("%s set %s: active %q", name, line, got)
			}
			w.must(t, name+" clear "+f[0])
			if got := part.active(); len(got) != 0 {
				t.Errorf("%s clear %s: active %q", name, f[0], got)
			}
			w.must(t, name+" set "+line)
			w.must(t, name+" clear")
			if got := part.active(); len(got) != 0 {
				t.Errorf("%s clear: active %q", name, got)
			}
		}
	}
	raw, text := w.must(t, "faults")
	var all map[string]map[string]string
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	listed := 0
	for _, part := range all {
		listed += len(part)
	}
	if listed != n || strings.Count(text, "\n") != n || n < 70 {
		t.Errorf("%d faults listed, %d lines, %d there", listed, strings.Count(text, "\n"), n)
	}
}

// What is set acts, and the state shows it.
func TestControlActs(t *testing.T) {
	w := controlledLab(t)
	w.must(t, "card set status sw=6F00 at=2")
	read := []byte{0x80, 0xF2, 0x00, 0x0C, 0x00}
	first, second := w.Card.APDU(read), w.Card.APDU(read)
	if !bytes.Equal(first, []byte{0x90, 0}) || !bytes.Equal(second, []byte{0x6F, 0}) {
		t.Errorf("answers %x and %x", first, second)
	}
	before := w.look(t)
	w.must(t, "card reset")
	w.must(t, "network set no-data")
	after := w.look(t)
	if after.Card.Figures.Resets != before.Card.Figures.Resets+1 || !slices.Equal(after.Network.Active, []string{"no-data"}) || len(before.Network.Active) != 0 {
		t.Errorf("state %+v", after)
	}
	if after.Card.EID != w.Card.EID() || !after.Modem.Plugged || len(after.Server.Orders) != 1 || after.Server.Orders[0].State != "released" {
		t.Errorf("state %+v", after)
	}
}

func TestControlUnplugs(t *testing.T) {
	w := controlledLab(t)
	w.must(t, "modem unplug")
	if w.look(t).Modem.Plugged {
		t.Error("still plugged in")
	}
	if _, _, err := w.ctl(t, "modem unplug"); err == nil {
		t.Error("unplugged twice")
	}
	w.must(t, "modem replug")
	if !w.look(t).Modem.Plugged {
		t.Error("still unplugged")
	}
	if _, _, err := w.ctl(t, "modem replug"); err == nil {
		t.Error("plugged in twice")
	}
	w.must(t, "modem unplug for=50ms")
	if err := w.await(t.Context(), true); err != nil {
		t.Errorf("it does not come back by itself: %v", err)
	}
}

// Orders of each kind are added, announce themselves, and are released and
// expired by their number.
func TestControlOrders(t *testing.T) {
	w := controlledLab(t)
	raw, text := w.must(t, "order add discover=outside confirm=yes held=yes rebind=final attempts=2 confirmations=1 class=test oid=yes session-keys=yes name=A_name expires=1h ppr=2")
	var added ctlAdded
	if err := json.Unmarshal(raw, &added); err != nil {
		t.Fatal(err)
	}
	if added.Number != 2 || len(added.ConfirmationCode) != 4 || !strings.HasSuffix(added.CodeLocal, "$"+smdpsim.DefaultOID+"$1") ||
		!strings.HasPrefix(added.CodeLocal, "LPA:1$127.0.0.1:4433$") || !strings.HasPrefix(added.Code, "LPA:1$"+SMDP+"$") || !strings.Contains(text, added.Code) {
		t.Errorf("added %+v, %q", added, text)
	}
	s := w.look(t)
	if o := s.Server.Orders[1]; o.State != "confirmed" || o.EID != w.Card.EID() || o.ICCID != added.ICCID {
		t.Errorf("order %+v", o)
	}
	if len(s.SMDS.Events) != 1 || s.SMDS.Events[0].Address != "127.0.0.1:4433" {
		t.Errorf("events %+v", s.SMDS.Events)
	}
	if bytes.Contains(mustJSON(t, s), []byte("LAB-")) {
		t.Error("the state tells matching IDs")
	}
	w.must(t, "order release 2")
	if o := w.look(t).Server.Orders[1]; o.State != "released" {
		t.Errorf("order %+v", o)
	}
	w.must(t, "order expire 2")
	if s := w.look(t); s.Server.Orders[1].State != "expired" || len(s.SMDS.Events) != 0 {
		t.Errorf("order %+v, events %+v", s.Server.Orders[1], s.SMDS.Events)
	}
	// A package from a file, relative to where the client is; for the default
	// SM-DP+, by EID alone.
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8900101000000009992", IMSI: "001010000009999"})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("p.der", upp, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("i.png", []byte("\x89PNG\r\n\x1a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must(t, "order add upp=p.der icon=i.png eid=card")
	if o := w.look(t).Server.Orders[2]; o.ICCID != "8900101000000009992" || o.EID != w.Card.EID() {
		t.Errorf("order %+v", o)
	}
	// The PIN of the lab's own profiles can be enabled, a file's is its own.
	for _, line := range []string{"order add pin=no", "order add pin=yes"} {
		w.must(t, line)
	}
	if _, _, err := w.ctl(t, "order add pin=yes upp=p.der"); err == nil {
		t.Error("a file's PIN was changed")
	}
	var f labFile
	b, err := os.ReadFile(filepath.Join(w.opts.Dir, "lab.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &f); err != nil || len(f.Profiles) != 4 || f.Profiles[0].Code != added.Code {
		t.Errorf("lab.json has %+v, %v", f.Profiles, err)
	}
	// All these have ICCIDs with a right check digit.
	if got := withLuhn("7992739871"); got != "79927398713" {
		t.Errorf("check digit: %s", got)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestControlRefuses(t *testing.T) {
	w := controlledLab(t)
	for line, code := range map[string]int{
		"": 2, "dance": 2, "dance now": 2, "state now": 2, "card": 2, "card dance": 2, "card set": 2, "card set melt": 2, "card clear melt": 2,
		"server set status": 2, "server set form slash=x": 2, "smds set bpp-mac": 2, "modem set melt": 2, "modem unplug 5s": 2, "network set rain": 2,
		"faults kitchen": 2, "order": 2, "order add colour=red": 2, "order add held=maybe": 2, "order add rebind=often": 2, "order add attempts=0": 2,
		"order add ppr=3": 2, "order add class=x": 2, "order add discover=everywhere": 2, "order add expires=soon": 2,
		"order release 9": 2, "order release 1": 5, "order add upp=/no/such/file": 5, "order add icon=/no/such/file": 5, "order add eid=12": 5,
	} {
		_, _, err := w.ctl(t, line)
		e, ok := errors.AsType[*ExitError](err)
		if !ok || e.Code != code || strings.Contains(e.Error(), "\n") || code == 2 && e.Hint() == "" {
			t.Errorf("%q: %+v, want exit code %d with a hint", line, err, code)
		}
	}
	if n := len(w.Server.Orders()); n != 1 {
		t.Errorf("%d orders", n)
	}
	// The channel is for the lab's owner, one lab has one, and a stranger's bytes
	// do not end it.
	path := filepath.Join(w.opts.Dir, ctlSocket)
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if _, err := listenControl(w.opts.Dir); err == nil {
		t.Error("a second lab in the same directory")
	}
	for _, garbage := range []string{"hello\n", "{}\n", "", strings.Repeat("x", maxCtlRequest+1)} {
		c, err := net.DialTimeout("unix", path, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(garbage)) // the lab may have hung up by then
		_ = c.(*net.UnixConn).CloseWrite()
		var a ctlAnswer
		if err := json.NewDecoder(c).Decode(&a); err == nil && a.Error == "" {
			t.Errorf("%.10q: answer %+v", garbage, a)
		}
		c.Close()
	}
	w.must(t, "state")
	if _, _, err := Control(t.Context(), t.TempDir(), []string{"state"}); err == nil || !strings.HasPrefix(err.Error(), "no lab answers in ") {
		t.Errorf("no lab: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Control(ctx, w.opts.Dir, []string{"state"}); err == nil {
		t.Error("a cancelled context")
	}
}

// FuzzControl sends arbitrary lines: none ends the lab, and what fails says why
// in one line.
func FuzzControl(f *testing.F) {
	for _, line := range []string{"card set status sw=6985", "server set form slash=\\/", "order release 1", "faults card", "state", "modem clear late", "network clear"} {
		f.Add(line)
	}
	lab, err := New(Options{Dir: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	w := &World{Lab: lab, outside: "127.0.0.1:4433"}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		if len(args) > 1 && (args[0] == "modem" && (args[1] == "unplug" || args[1] == "replug" || args[1] == "set") || args[0] == "order" && args[1] == "add") {
			return // they wait, read files or fill the server up
		}
		result, _, err := w.command(t.Context(), ctlRequest{Args: args})
		if err != nil {
			if result != nil || err.Error() == "" {
				t.Errorf("%q: a result beside %v", line, err)
			}
			return
		}
		if len(args) > 1 && args[0] != "faults" {
			_, _, _ = w.command(t.Context(), ctlRequest{Args: []string{args[0], "clear"}}) // back to the start
		}
	})
}

func TestControlsCredit(t *testing.T) {
	w := controlledLab(t)
	const iccid = "8900101000000000016"
	for _, line := range []string{
		"network credit", "network credit 12", "network credit x 1", "network credit " + iccid + " -1", "network credit " + iccid + " NaN",
		"network garden", "network garden portal=", "network garden open=192.0.2.20", "network garden portal=http://p/ open=2001:db8::1", "network garden portal=http://p/ shut=192.0.2.1",
	} {
		if _, _, err := w.ctl(t, line); err == nil {
			t.Errorf("%s was taken", line)
		}
	}
	w.must(t, "network garden portal=http://p.lab.test/ open=192.0.2.20,192.0.2.10")
	w.must(t, "network credit "+iccid+" 1.5")
	if got := w.look(t).Network.Credits; len(got) != 1 || got[0] != (creditState{ICCID: iccid, MB: 1.5}) {
		t.Errorf("credits %+v", got)
	}
	w.must(t, "network credit "+iccid+" off")
	if got := w.look(t).Network.Credits; len(got) != 0 {
		t.Errorf("credits %+v", got)
	}
}
