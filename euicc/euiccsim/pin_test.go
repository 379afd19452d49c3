package euiccsim

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/euicc/smdpsim"
)

// TestPIN: ETSI TS 102 221, 11.1.9 to 11.1.13, of a profile package that enables
// PIN1, over a loss of power.
func TestPIN(t *testing.T) {
	const (
		right = "31323334FFFFFFFF"
		other = "3938373635FFFFFF"
		puk   = "3132333435363738"
		wrong = "30303030FFFFFFFF"
	)
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: testICCID, IMSI: "001010000000001", PIN: "1234"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "card.json")
	l := newLab(t, func(c *Config) { c.StateFile = file })
	if err := l.card.Preload(upp, testMetadata(t, Metadata{ICCID: testICCID, Name: "Test", Class: ClassOperational}), true); err != nil {
		t.Fatal(err)
	}
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	asks := func(c *Card, want bool) {
		t.Helper()
		fcp := hex.EncodeToString(c.APDU(must(hex.DecodeString("00A4040407A000000087100200"))))
		if on, off := strings.Contains(fcp, "c60990018083010183"), strings.Contains(fcp, "c60990010083010183"); on == off || on != want {
			t.Errorf("PIN status of the USIM %s, want PIN1 enabled %v", fcp, want)
		}
	}
	asks(l.card, true)
	exchange(t, l.card,
		"00 20 00 01 -> 63C3",
		"00 20 00 02 08 "+right+" -> 6A88",
		"00 20 01 01 08 "+right+" -> 6A86",
		"00 20 00 01 04 31323334 -> 6700",
		"00 28 00 01 08 "+right+" -> 6984", // it is enabled
		"00 20 00 01 08 "+wrong+" -> 63C2",
		"00 20 00 01 08 "+right+" -> 9000",
		"00 20 00 01 -> 63C3",
		"00 24 00 01 10 "+right+other+" -> 9000",
		"00 20 00 01 08 "+right+" -> 63C2",
		"00 26 00 01 08 "+other+" -> 9000",
		"00 20 00 01 -> 6984", // it is disabled
		"00 20 00 01 08 "+other+" -> 6984",
		"00 28 00 01 08 "+wrong+" -> 63C2",
		"00 28 00 01 08 "+other+" -> 9000",
		"00 20 00 01 08 "+wrong+" -> 63C2",
		"00 20 00 01 08 "+wrong+" -> 63C1",
	)
	// Its tries outlive power, as all of this does.
	again := newLab(t, func(c *Config) { *c = l.card.cfg })
	exchange(t, again.card,
		"00 20 00 01 -> 63C1",
		"00 20 00 01 08 "+wrong+" -> 6983",
		"00 20 00 01 08 "+other+" -> 6983",
		"00 20 00 01 -> 6983",
		"00 2C 00 01 -> 63CA",
		"00 2C 00 01 10 "+wrong+right+" -> 63C9",
		"00 2C 00 01 10 "+puk+right+" -> 9000",
		"00 20 00 01 08 "+right+" -> 9000",
		"00 26 00 01 08 "+right+" -> 9000",
	)
	asks(again.card, false)
	if err := again.card.Set("pin-locked"); err != nil {
		t.Fatal(err)
	}
	again.card.Reset()
	exchange(t, again.card,
		"00 20 00 01 08 "+right+" -> 9000",
	)
	asks(again.card, true)
	for range pukTries {
		again.card.APDU(must(hex.DecodeString("002C000110" + wrong + right)))
	}
	// What the lock did goes with it.
	if err := again.card.Clear("pin-locked"); err != nil {
		t.Fatal(err)
	}
	again.card.Reset()
	asks(again.card, false)
	exchange(t, again.card, "00 2C 00 01 10 "+puk+right+" -> 6983")

	exchange(t, newLab(t, nil).card, "00 20 00 01 -> 6A88") // no profile, no PIN
}
