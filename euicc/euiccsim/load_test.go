package euiccsim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/bsp"
	"dynamod/euicc/sgp26"
)

const testICCID = "89001010000000000018"

// verifyResult checks the card's signature of a ProfileInstallationResult.
func verifyResult(t testing.TB, l *lab, pir bertlv.Element) {
	t.Helper()
	data, ok := pir.Find(0xBF27)
	sig, ok2 := pir.Find(0x5F37)
	if !ok || !ok2 {
		t.Fatalf("malformed result %x", pir.Raw)
	}
	if err := sgp26.VerifySignature(l.id.Cert, data.Raw, sig.Value); err != nil {
		t.Error(err)
	}
}

func TestLoad(t *testing.T) {
	for _, ownKeys := range []bool{false, true} {
		t.Run(fmt.Sprintf("ReplaceSessionKeys %v", ownKeys), func(t *testing.T) {
			l := newLab(t, nil)
			d := l.download(testICCID)
			d.ownKeys = ownKeys
			pir := d.run()
			verifyResult(t, l, pir)
			aid, ok := pir.Find(0xBF27, 0xA2, 0xA0, 0x4F)
			if !ok {
				t.Fatalf("no success: %x", pir.Raw)
			}
			got := l.card.Installed()
			if len(got) != 1 || got[0].ICCID != testICCID || got[0].Enabled || !bytes.Equal(got[0].AID, aid.Value) ||
				got[0].SHA256 != sha256.Sum256(d.upp) || !bytes.Equal(got[0].Package, d.upp) || got[0].Class != ClassOperational {
				t.Errorf("installed: %+v", got)
			}
			// Install is reported by the result and, as the metadata asks, to
			// the notification address.
			pending := l.card.Pending()
			if len(pending) != 2 || pending[0].Address != "smdpp.lab.test" || pending[1].Address != "notify.lab.test" ||
				pending[0].Sequence != 0 || pending[1].Sequence != 1 || !bytes.Equal(pending[0].Signed, pir.Raw) {
				t.Errorf("pending: %+v", pending)
			}
			// SGP.22, 2.5.6: both name the same profile.
			if pending[1].ICCID != testICCID || pending[1].Event != EventInstall {
				t.Errorf("pending: %+v", pending[1])
			}
		})
	}
}

func TestTS48ByteIdentical(t *testing.T) {
	profiles := ts48(t)
	l := newLab(t, nil)
	for i, name := range slices.Sorted(maps.Keys(profiles)) {
		upp := profiles[name]
		fs, perr := parsePackage(upp)
		if perr != nil {
			t.Fatal(perr)
		}
		d := l.download(testICCID)
		d.upp, d.ownKeys = upp, i%2 == 0
		d.md = testMetadata(t, Metadata{ICCID: digits(swapped(fs.iccid)), Provider: "GSMA", Name: name, Class: ClassTest})
		pir := d.run()
		verifyResult(t, l, pir)
		if _, ok := pir.Find(0xBF27, 0xA2, 0xA0); !ok {
			t.Fatalf("%s: %x", name, pir.Raw)
		}
		got := l.card.Installed()
		if len(got) != i+1 || !bytes.Equal(got[i].Package, upp) {
			t.Errorf("%s is not byte-identical on the card", name)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	skip := func(s *bsp.Session) { s.SealMAC(0x88, []byte("never sent")) }
	for _, tt := range []struct {
		name            string
		change          func(*download)
		command, reason int64
	}{
		{"5.5.1 wrong signature", func(d *download) { d.iscSign = flip }, 0, 2},
		{"5.5.1 other transaction", func(d *download) { d.iscTID = []byte{9} }, 0, 3},
		{"5.5.1 key type", func(d *download) { d.keyType = 0x80 }, 0, 4},
		{"5.5.1 key length", func(d *download) { d.keyLen = 32 }, 0, 4},
		{"5.5.1 remote operation", func(d *download) { d.remoteOp = 2 }, 0, 5},
		{"5.5.2 not a ConfigureISDP", func(d *download) { d.configure = []byte{0xBF, 0x25, 0x00} }, 1, 1},
		{"5.5.2 proprietary data too long", func(d *download) {
			d.configure = bertlv.Encode(0xBF24, bertlv.Encode(0xB8, bertlv.Encode(0x80, make([]byte, 130))))
		}, 1, 1},
		{"2.6.4 MAC of StoreMetadata", func(d *download) { d.metaSession = skip }, 2, 8},
		{"2.6.4 MAC of the profile", func(d *download) { d.profSession = skip }, 5, 8},
		{"5.5.3 no ICCID", func(d *download) { d.md = []byte{0xBF, 0x25, 0x00} }, 2, 1},
		{"5.5.3 unknown class", func(d *download) {
			d.md = testMetadata(d, Metadata{ICCID: testICCID, Class: 7})
		}, 2, 6},
		{"5.5.4 short key", func(d *download) { d.keys = bertlv.Encode(0xBF26, bertlv.Encode(0x80, []byte{1})) }, 4, 1},
		{"2.5.3 parts swapped", func(d *download) {
			d.tamper = func(b []byte) []byte { return swapParts(d, b) }
		}, 0, 7},
		{"PE malformed", func(d *download) { d.upp = d.upp[:len(d.upp)-3] }, 5, 12},
		{"PE-End missing", func(d *download) { d.upp = d.upp[:bytes.LastIndex(d.upp, []byte{0xAA})] }, 5, 12},
		{"empty profile", func(d *download) { d.upp = nil }, 5, 12},
		{"ICCID of another package", func(d *download) { d.upp = testUPP(d, "89001010000000000026", 0) }, 5, 13},
		{"no memory", func(d *download) { d.card.SetBehaviour(Behaviour{NoMemory: true}) }, 5, 10},
		{"larger than the memory", func(d *download) { d.upp = testUPP(d, testICCID, 40000) }, 5, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, func(c *Config) { c.NVM = 30000 })
			d := l.download(testICCID)
			tt.change(d)
			pir := d.run()
			verifyResult(t, l, pir)
			if c, r := code(t, pir, 0xBF27, 0xA2, 0xA1, 0x80), code(t, pir, 0xBF27, 0xA2, 0xA1, 0x81); c != tt.command || r != tt.reason {
				t.Errorf("bppCommandId %d errorReason %d, want %d and %d", c, r, tt.command, tt.reason)
			}
			if n := len(l.card.Installed()); n != 0 {
				t.Errorf("%d profiles on the card", n)
			}
			if p := l.card.Pending(); len(p) != 1 || !bytes.Equal(p[0].Signed, pir.Raw) {
				t.Errorf("pending: %+v", p)
			}
			l.card.SetBehaviour(Behaviour{})
			if pir := l.download("89001010000000000034").run(); !bytes.Contains(pir.Raw, simaOK) {
				t.Errorf("the next installation fails: %x", pir.Raw)
			}
		})
	}
}

// swapParts puts A1 before A0.
func swapParts(t testing.TB, bpp []byte) []byte {
	e, err := bertlv.Parse(bpp)
	if err != nil {
		t.Fatal(err)
	}
	p, err := children(e)
	if err != nil {
		t.Fatal(err)
	}
	p[1], p[2] = p[2], p[1]
	var b bertlv.Builder
	b.Open(0xBF36)
	for _, c := range p {
		b.Raw(c.Raw)
	}
	return b.Close().Bytes()
}

func TestDuplicateICCID(t *testing.T) {
	l := newLab(t, nil)
	l.download(testICCID).run()
	pir := l.download(testICCID).run()
	if c, r := code(t, pir, 0xBF27, 0xA2, 0xA1, 0x80), code(t, pir, 0xBF27, 0xA2, 0xA1, 0x81); c != 2 || r != 9 {
		t.Errorf("bppCommandId %d errorReason %d, want 2 and 9", c, r)
	}
	if len(l.card.Installed()) != 1 {
		t.Error("profile is there twice, or gone")
	}
}

func TestPolicyRules(t *testing.T) {
	md := func(t testing.TB, iccid string, rules PolicyRules) []byte {
		return testMetadata(t, Metadata{ICCID: iccid, Provider: "Lab", Name: "PPR", Class: ClassOperational, Rules: rules})
	}
	t.Run("2.9.2 forbidden on this card", func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Forbidden = PPR1 })
		d := l.download(testICCID)
		d.md = md(t, testICCID, PPR1)
		if r := code(t, d.run(), 0xBF27, 0xA2, 0xA1, 0x81); r != 15 {
			t.Errorf("errorReason %d, want 15", r)
		}
	})
	t.Run("2.9.2 not in the RAT", func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.RAT = []AuthorisationRule{} })
		d := l.download(testICCID)
		d.md = md(t, testICCID, PPR2)
		if r := code(t, d.run(), 0xBF27, 0xA2, 0xA1, 0x81); r != 15 {
			t.Errorf("errorReason %d, want 15", r)
		}
	})
	t.Run("PPR1 and PPR2 hold", func(t *testing.T) {
		l := newLab(t, nil)
		d := l.download(testICCID)
		d.md = md(t, testICCID, PPR1|PPR2)
		d.run()
		l.download("89001010000000000026").run()
		enable := func(iccid string) int64 {
			return code(t, l.call(switchRequest(t, 0xBF31, iccid, false)), 0x80)
		}
		if r := enable(testICCID); r != 0 {
			t.Fatalf("enable: %d", r)
		}
		if r := enable("89001010000000000026"); r != 3 {
			t.Errorf("enable of another: %d, want disallowedByPolicy", r)
		}
		if r := code(t, l.call(switchRequest(t, 0xBF32, testICCID, false)), 0x80); r != 3 {
			t.Errorf("disable: %d, want disallowedByPolicy", r)
		}
	})
}

// TestSegmentsOfOtherLPAs sends the package cut as other clients cut it.
func TestSegmentsOfOtherLPAs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		whole map[bertlv.Tag]bool
	}{
		{"lpac: A0 and A2 whole", map[bertlv.Tag]bool{0xA0: true, 0xA2: true}},
		{"each sequence whole", map[bertlv.Tag]bool{0xA0: true, 0xA1: true, 0xA2: true, 0xA3: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, nil)
			d := l.download(testICCID)
			d.ownKeys = true
			d.configure = bertlv.Encode(0xBF24, bertlv.Encode(0xB8, bertlv.Encode(0x80, []byte{0x88, 0x37})))
			defer d.ch.Close()
			d.authenticate()
			d.prepare()
			bpp := d.bind()
			e, _ := bertlv.Parse(bpp)
			var last []byte
			send := func(b []byte) { last = l.raw(d.ch, b) }
			for c := range e.Children() {
				header := c.Raw[:len(c.Raw)-len(c.Value)]
				switch {
				case c.Tag == 0xBF23:
					send(append(bytes.Clone(bpp[:len(bpp)-len(e.Value)]), c.Raw...))
				case tt.whole[c.Tag]:
					send(c.Raw)
				default:
					send(header)
					for x := range c.Children() {
						send(x.Raw)
					}
				}
			}
			if !bytes.Contains(last, simaOK) {
				t.Errorf("last answer %x", last)
			}
		})
	}
}

func (l *lab) raw(ch *apdu.Channel, b []byte) []byte {
	l.Helper()
	resp, err := ch.StoreData(l.Context(), b)
	if err != nil {
		l.Fatal(err)
	}
	return resp
}

// TestSegmentAfterTheEnd: field experience is that cards answer 6A88.
func TestSegmentAfterTheEnd(t *testing.T) {
	l := newLab(t, nil)
	d := l.download(testICCID)
	d.authenticate()
	d.prepare()
	bpp := d.bind()
	segs := segments(t, bpp)
	d.load(bpp)
	_, err := d.ch.StoreData(t.Context(), segs[len(segs)-1])
	if se := asSE(err); se == nil || se.SW != 0x6A88 {
		t.Errorf("error %v, want 6A88", err)
	}
}

// TestSessionBoundToChannel: a segment on another channel than that of
// AuthenticateServer is refused with 6985.
func TestSessionBoundToChannel(t *testing.T) {
	l := newLab(t, nil)
	d := l.download(testICCID)
	d.authenticate()
	d.prepare()
	segs := segments(t, d.bind())
	l.raw(d.ch, segs[0])
	other := l.open()
	_, err := other.StoreData(t.Context(), segs[1])
	if se := asSE(err); se == nil || se.SW != 0x6985 {
		t.Errorf("error %v, want 6985", err)
	}
	d.ch.Close()
	// The session outlives its channel and can be cancelled from another one.
	if _, ok := l.on(other, cancelRequest(d.tid, 5)).Find(0xA0); !ok {
		t.Error("session cannot be cancelled")
	}
	if c := code(t, l.on(other, cancelRequest(d.tid, 5)), 0x81); c != 5 {
		t.Errorf("second cancel: %d, want invalidTransactionId", c)
	}
}
