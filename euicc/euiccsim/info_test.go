package euiccsim

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"dynamod/euicc/bertlv"
)

func TestInfo(t *testing.T) {
	for _, tt := range []struct {
		version string
		svn     []byte
	}{{"2.2", []byte{2, 2, 0}}, {"2.5", []byte{2, 5, 0}}} {
		t.Run(tt.version, func(t *testing.T) {
			l := newLab(t, func(c *Config) { c.Version = tt.version; c.NVM = 100000 })
			one, two := l.call([]byte{0xBF, 0x20, 0}), l.call([]byte{0xBF, 0x22, 0})
			for _, e := range []bertlv.Element{one, two} {
				if !bytes.Equal(value(e, 0x82), tt.svn) {
					t.Errorf("svn %x", value(e, 0x82))
				}
				for _, tag := range []bertlv.Tag{0xA9, 0xAA} {
					if id, ok := e.Find(tag, 0x04); !ok || !bytes.Equal(id.Value, l.ci.PKID()) {
						t.Errorf("%s: PKId %x", tag, id.Value)
					}
				}
			}
			free, _ := two.Find(0x84)
			before := binary.BigEndian.Uint32(value(bertlv.Element{Value: free.Value}, 0x82))
			if before != 100000 {
				t.Errorf("free memory %d", before)
			}
			l.download(testICCID).run()
			free, _ = l.call([]byte{0xBF, 0x22, 0}).Find(0x84)
			if after := binary.BigEndian.Uint32(value(free, 0x82)); after >= before-3000 {
				t.Errorf("free memory %d after a profile of more than 3000 bytes", after)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	l := newLab(t, func(c *Config) { c.DefaultDP, c.RootDS = "dp.lab.test", "ds.lab.test" })
	get := func() (dp, ds string) {
		e := l.call([]byte{0xBF, 0x3C, 0})
		return string(value(e, 0x80)), string(value(e, 0x81))
	}
	if dp, ds := get(); dp != "dp.lab.test" || ds != "ds.lab.test" {
		t.Errorf("%s, %s", dp, ds)
	}
	for _, dp := range []string{"other.lab.test", ""} {
		if c := code(t, l.call(new(bertlv.Builder).Open(0xBF3F).String(0x80, dp).Close().Bytes()), 0x80); c != 0 {
			t.Errorf("set: %d", c)
		}
		if got, _ := get(); got != dp {
			t.Errorf("%q, want %q", got, dp)
		}
	}
	if _, ok := l.call([]byte{0xBF, 0x3C, 0}).Find(0x80); ok {
		t.Error("a removed address is shown as an empty one")
	}
	// Memory reset brings the configured one back (SGP.22, 5.7.19).
	if c := code(t, l.call([]byte{0xBF, 0x34, 4, 0x82, 2, 5, 0x20}), 0x80); c != 0 {
		t.Errorf("reset: %d", c)
	}
	if dp, _ := get(); dp != "dp.lab.test" {
		t.Errorf("after reset %s", dp)
	}
}

func TestGetEID(t *testing.T) {
	l := newLab(t, nil)
	e := l.call([]byte{0xBF, 0x3E, 3, 0x5C, 1, 0x5A})
	if got := hex.EncodeToString(value(e, 0x5A)); got != testEID {
		t.Errorf("EID %s", got)
	}
}

func TestGetRAT(t *testing.T) {
	l := newLab(t, nil)
	// PPR1 and PPR2 for everybody, with consent.
	want := "bf4315a01330118002056" + "0a1073005" + "8003eeeeee" + "82020780"
	if got := hex.EncodeToString(l.call([]byte{0xBF, 0x43, 0}).Raw); got != want {
		t.Errorf("RAT %s, want %s", got, want)
	}
}

func TestGetProfilesInfo(t *testing.T) {
	l := twoProfiles(t)
	l.call(switchRequest(t, 0xBF31, otherICCID, false))
	nick := new(bertlv.Builder).Open(0xBF29).Put(0x5A, iccidBytes(t, testICCID)).String(0x90, "mast 7").Close().Bytes()
	if c := code(t, l.call(nick), 0x80); c != 0 {
		t.Fatalf("SetNickname: %d", c)
	}
	aid := l.card.Installed()[0].AID
	for _, tt := range []struct {
		name    string
		request []byte
		want    []string // per profile: tags in order
	}{
		{"default", []byte{0xBF, 0x2D, 0}, []string{"5A 4F 9F70 90 91 92 95 ", "5A 4F 9F70 91 92 95 "}},
		{"tag list", []byte{0xBF, 0x2D, 6, 0x5C, 4, 0x9F, 0x70, 0xB6, 0x5A}, []string{"9F70 B6 5A ", "9F70 B6 5A "}},
		{"unknown tag", []byte{0xBF, 0x2D, 4, 0x5C, 2, 0x5A, 0x9E}, []string{"5A ", "5A "}},
		{"by ICCID", bertlv.Encode(0xBF2D, bertlv.Encode(0xA0, bertlv.Encode(0x5A, iccidBytes(t, otherICCID))), []byte{0x5C, 1, 0x90}), []string{""}},
		{"by AID", bertlv.Encode(0xBF2D, bertlv.Encode(0xA0, bertlv.Encode(0x4F, aid)), []byte{0x5C, 1, 0x90}), []string{"90 "}},
		{"by class", []byte{0xBF, 0x2D, 5, 0xA0, 3, 0x95, 1, 0}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a0, ok := l.call(tt.request).Find(0xA0)
			if !ok {
				t.Fatal("no list")
			}
			var got []string
			for e := range a0.Children() {
				s := ""
				for c := range e.Children() {
					s += c.Tag.String() + " "
				}
				got = append(got, s)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	for _, bad := range [][]byte{{0xBF, 0x2D, 3, 0x5C, 1, 0x9F}, {0xBF, 0x2D, 4, 0xA0, 2, 0x81, 0}} {
		if c := code(t, l.call(bad), 0x81); c != 1 {
			t.Errorf("%x: %d, want incorrectInputValues", bad, c)
		}
	}
	if c := code(t, l.call(new(bertlv.Builder).Open(0xBF29).Put(0x5A, make([]byte, 10)).String(0x90, "x").Close().Bytes()), 0x80); c != 1 {
		t.Errorf("nickname of nobody: %d", c)
	}
}
