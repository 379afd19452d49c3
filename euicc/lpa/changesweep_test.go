package lpa

import (
	"context"
	"errors"
	"slices"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

const secondICCID = "8900101000000000026"

// changeLab is a card with two operational profiles, the first one enabled.
func changeLab(t *testing.T, change ...func(*euiccsim.Config)) *lab {
	t.Helper()
	l := newLab(t, append([]func(*euiccsim.Config){func(c *euiccsim.Config) { c.GetResponse, c.DefaultDP = true, "first.lab.test" }}, change...)...)
	for i, iccid := range []string{testICCID, secondICCID} {
		upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: "001010000000001"})
		if err != nil {
			t.Fatal(err)
		}
		md, err := euiccsim.Metadata{ICCID: iccid, Name: "Test", Class: euiccsim.ClassOperational, Notify: testHost}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.card.Preload(upp, md, i == 0); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// TestEveryAPDUOfAChange hits each command of a change on the card in each way:
// without an error it is done, an error that is not Unknown left the card as it
// was, and reading tells what an unknown one came to.
func TestEveryAPDUOfAChange(t *testing.T) {
	state := func(l *lab) string {
		s := ""
		for _, p := range l.card.Installed() {
			s += p.ICCID + "=" + p.Nickname
			if p.Enabled {
				s += "+"
			}
			s += " "
		}
		return s
	}
	first, err1 := euicc.ParseICCID(testICCID)
	second, err2 := euicc.ParseICCID(secondICCID)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct {
		name string
		do   func(ctx context.Context, c *Card) error
		want string
	}{
		{"enable", func(ctx context.Context, c *Card) error { return c.Enable(ctx, second, false) }, testICCID + "= " + secondICCID + "=+ "},
		{"disable", func(ctx context.Context, c *Card) error { return c.Disable(ctx, first, false) }, testICCID + "= " + secondICCID + "= "},
		{"delete", func(ctx context.Context, c *Card) error { return c.Delete(ctx, second) }, testICCID + "=+ "},
		{"nickname", func(ctx context.Context, c *Card) error { return c.SetNickname(ctx, second, "mast 7") }, testICCID + "=+ " + secondICCID + "=mast 7 "},
		{"memory reset", func(ctx context.Context, c *Card) error { return c.ResetMemory(ctx, es10.ResetOperational) }, ""},
	} {
		for _, kind := range []euiccsim.FaultKind{euiccsim.FaultStatus, euiccsim.FaultLost, euiccsim.FaultMute, euiccsim.FaultPowerCut, euiccsim.FaultPowerCutAfter} {
			t.Run(change.name+", "+kind.String(), func(t *testing.T) {
				hit := true
				for n := 1; hit; n++ {
					l := changeLab(t)
					before := state(l)
					c := l.open()
					f := euiccsim.Fault{Kind: kind, At: n}
					if kind == euiccsim.FaultStatus {
						f.SW = 0x6F00
					}
					l.card.SetFault(f)
					err := change.do(t.Context(), c)
					hit = len(l.card.FaultsSet()) == 0
					l.card.SetFault()
					after := state(l)
					e, _ := errors.AsType[*euicc.Error](err)
					switch {
					case !slices.Contains([]string{before, change.want}, after):
						t.Errorf("APDU %d: the card is left as %q", n, after)
					case err == nil && after != change.want:
						t.Errorf("APDU %d: it is done, they say, and the card holds %q", n, after)
					case err != nil && e == nil:
						t.Errorf("APDU %d: an error of another type: %v", n, err)
					case err != nil && !e.Unknown && after != before:
						t.Errorf("APDU %d: nothing was done, they say (%v), and the card holds %q", n, err, after)
					case err != nil && e.Unknown && kind == euiccsim.FaultStatus && after == before:
						t.Errorf("APDU %d: the card said no, and the outcome is unknown: %v", n, err)
					}
					if n > 20 {
						t.Fatal("no end")
					}
				}
			})
		}
	}
}
