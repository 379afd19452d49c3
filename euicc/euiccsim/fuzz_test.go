package euiccsim

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/euicc/bertlv"
)

func join(t testing.TB, lines ...string) (b []byte) {
	for _, l := range lines {
		c, err := hex.DecodeString(strings.ReplaceAll(l, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(append(b, byte(len(c))), c...)
	}
	return b
}

// FuzzAPDU sends commands, each behind its length: the card always answers with
// a status word and is usable afterwards.
func FuzzAPDU(f *testing.F) {
	f.Add(join(f, "00700000 01", selectISDR, "81E2910003BF2E00", "01C0000015"))
	f.Add(join(f, "00700000 01", selectISDR, "81E2910003BF2D00 00", "81E2910006BF2B03A00100"))
	f.Add(join(f, "00700000 01", selectISDR, "81E2910005BF34028200", "81E2910005BF30028000", "81E2910008BF3105A003040102"))
	f.Add(join(f, "00A40404 07 A0000000871002", "00A4000402 6F07", "00B0000009", "00B2010400", "80F2000000"))
	f.Add(join(f, "00700000 01", selectISDR, "81E291000ABF3607BF2304820101A0", "81E29100028600"))
	l := newLab(f, nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		l.card.Reset()
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			cmd := b[1 : 1+n : 1+n]
			b = b[1+n:]
			if resp := l.card.APDU(cmd); cmd != nil && (len(resp) < 2 || len(resp) > 258) {
				t.Fatalf("%x: answer %x", cmd, resp)
			}
		}
		l.card.Reset()
		if resp := l.card.APDU([]byte{0x00, 0xA4, 0x00, 0x0C, 0x02, 0x3F, 0x00}); !bytes.Equal(resp, []byte{0x90, 0x00}) {
			t.Fatalf("card is not usable: %x", resp)
		}
	})
}

// FuzzFunction gives the ISD-R whole functions.
func FuzzFunction(f *testing.F) {
	l := newLab(f, nil)
	d := l.download(testICCID)
	f.Add(d.authenticateRequest())
	f.Add(l.download(testICCID).md)
	f.Add(switchRequest(f, 0xBF31, testICCID, true))
	f.Add([]byte{0xBF, 0x2D, 6, 0x5C, 4, 0x9F, 0x70, 0xB6, 0x5A})
	f.Add(cancelRequest([]byte{1}, 1))
	l.card.Reset()
	f.Fuzz(func(t *testing.T, b []byte) {
		l := l.with(t)
		ch := l.open()
		defer ch.Close()
		resp, err := ch.StoreData(t.Context(), b)
		if err != nil && asSE(err) == nil && len(b) < 60000 {
			t.Fatal(err)
		}
		if err == nil && len(resp) > 0 {
			if _, err := bertlv.Parse(resp); err != nil {
				t.Fatalf("answer %x: %v", resp, err)
			}
		}
		l.card.Reset()
	})
}

// FuzzLoad changes one byte of a bound package, wherever it is, and inserts
// others: the card ends the installation or waits, and no profile is there.
func FuzzLoad(f *testing.F) {
	f.Add(uint16(0), byte(1), []byte(nil))
	f.Add(uint16(200), byte(0x80), []byte{0x86, 0})
	f.Add(uint16(260), byte(0), []byte{0xA3, 0})
	l := newLab(f, nil)
	f.Fuzz(func(t *testing.T, at uint16, flip byte, insert []byte) {
		if flip == 0 && len(insert) == 0 || len(insert) > 4096 {
			return
		}
		l := l.with(t)
		d := l.download(testICCID)
		d.upp = d.upp[:min(len(d.upp), 1200)]
		d.authenticate()
		d.prepare()
		bpp := d.bind()
		i := int(at) % len(bpp)
		bpp[i] ^= flip
		bpp = append(bpp[:i:i], append(bytes.Clone(insert), bpp[i:]...)...)
		for len(bpp) > 0 {
			n := min(255, len(bpp))
			if resp, err := d.ch.StoreData(t.Context(), bpp[:n]); err != nil && asSE(err) == nil || err == nil && len(resp) > 0 {
				break
			}
			bpp = bpp[n:]
		}
		if n := len(l.card.Installed()); n != 0 {
			t.Fatalf("%d profiles", n)
		}
		l.card.Reset()
		l.card.mu.Lock()
		l.card.nv.Notifications = nil
		l.card.mu.Unlock()
	})
}

// FuzzMetadata parses StoreMetadataRequests: what is accepted has what a card
// shows of a profile.
func FuzzMetadata(f *testing.F) {
	for _, m := range []Metadata{{ICCID: testICCID}, {ICCID: otherICCID, Provider: "Lab", Name: "Test", Class: ClassTest, Rules: PPR1 | PPR2, Notify: "n.lab.test"}} {
		b, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMetadata(b)
		if err != nil {
			return
		}
		if len(m.iccid) != 10 || len(m.provider) > 32 || len(m.name) > 64 || len(m.notify) > 64 {
			t.Errorf("accepted %+v", m)
		}
		p := &profile{Metadata: b, ICCID: m.iccid, AID: isdrAID}
		var out bertlv.Builder
		p.info(&out, append(defaultTags, 0xB6, 0xB7, 0x99, 0xB8))
		out.Close()
		if _, err := bertlv.Parse(out.Bytes()); err != nil {
			t.Errorf("shown as %x: %v", out.Bytes(), err)
		}
	})
}

// FuzzStateFile loads state files: what is accepted makes a card that works.
func FuzzStateFile(f *testing.F) {
	file := filepath.Join(f.TempDir(), "card.json")
	l := newLab(f, func(c *Config) { c.StateFile = file })
	d := l.download(testICCID)
	d.upp = testUPP(f, testICCID, 0)
	d.run()
	state, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	f.Add([]byte(`{"EID":"` + testEID + `"}`))
	f.Add([]byte(`{"EID":"` + testEID + `","Profiles":[null]}`))
	f.Add([]byte(`{"EID":"` + testEID + `","Notifications":[null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := l.config()
		cfg.StateFile = file
		card, err := New(cfg)
		if err != nil {
			return
		}
		n := l.with(t)
		n.card = card
		for _, request := range [][]byte{{0xBF, 0x22, 0}, {0xBF, 0x2D, 0}, {0xBF, 0x28, 0}} {
			if e := n.call(request); len(e.Raw) == 0 {
				t.Error("no answer")
			}
		}
	})
}

// FuzzPackage parses profile packages.
func FuzzPackage(f *testing.F) {
	f.Add(testUPP(f, testICCID, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs, err := parsePackage(b)
		if err != nil {
			if fs != nil || err.Error() == "" {
				t.Fatal("a file system beside an error")
			}
			return
		}
		if len(fs.iccid) != 10 || fs.mf == nil {
			t.Fatal("package without ICCID or MF accepted")
		}
		seen := map[*file]bool{} // a linked directory may lead back
		var walk func(f *file)
		walk = func(f *file) {
			if seen[f] {
				return
			}
			if seen[f] = true; len(seen) > maxFiles {
				t.Fatalf("more than %d files", maxFiles)
			}
			if _, err := bertlv.Expect(f.fcp(), 0x62); err != nil {
				t.Fatal(err)
			}
			for _, c := range f.children {
				walk(c)
			}
		}
		walk(fs.mf)
	})
}
