package lpa

import (
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// whole holds what has to be true wherever a download was hit: the profile is
// there exactly if the card said so, an order that was not voided brings it at the
// next try, and only a card that refused can have voided it.
func (got outcome) whole(t *testing.T, refused bool) {
	t.Helper()
	fine := got.code == "" || got.unknown && got.installed
	switch {
	case got.installed != (fine && got.result):
		t.Errorf("installed and result do not agree: %s", got)
	case got.installed && (got.order != smdpsim.StateInstalled || got.reason != none):
		t.Errorf("installed, but the server thinks otherwise: %s", got)
	case !got.installed && got.result:
		t.Errorf("a result without an installation: %s", got)
	case got.installed:
	case got.reason == int(euicc.CancelLoadBPPError) && refused:
		if got.order != smdpsim.StateCanceled {
			t.Errorf("voided, and the order goes on: %s", got)
		}
	case got.reason != none && got.reason != int(euicc.CancelPostponed):
		t.Errorf("the order was voided: %s", got)
	case got.again != again:
		t.Errorf("the same code does not bring the profile: %s", got)
	}
}

// TestEveryAPDU hits each command of a download in each way.
func TestEveryAPDU(t *testing.T) {
	whole := wholeDownload(t)
	for _, kind := range []euiccsim.FaultKind{euiccsim.FaultStatus, euiccsim.FaultLost, euiccsim.FaultMute, euiccsim.FaultPowerCut, euiccsim.FaultPowerCutAfter} {
		t.Run(kind.String(), func(t *testing.T) {
			hit, installed := true, 0
			n := 1
			for ; hit; n++ {
				w := newWalk(t, whole, smdpsim.RebindReuse)
				f := euiccsim.Fault{Kind: kind, At: n}
				if kind == euiccsim.FaultStatus {
					f.SW = 0x6F00
				}
				w.afterOpen = func() { w.aim.SetFault(f) }
				w.struck = func() bool { hit = len(w.aim.FaultsSet()) == 0; return true }
				got := w.run()
				got.whole(t, kind == euiccsim.FaultStatus)
				if t.Failed() {
					t.Fatalf("at APDU %d", n)
				}
				if hit && got.installed {
					installed++
				}
				if n > 500 {
					t.Fatal("a download takes more than 500 APDUs")
				}
			}
			if n < 40 {
				t.Errorf("only %d APDUs were hit", n-1)
			}
			t.Logf("%d APDUs, %d of them hit without harm", n-2, installed)
		})
	}
}

// TestEveryCut breaks each answer of the server off at many places, on the line
// and in the body.
func TestEveryCut(t *testing.T) {
	whole := wholeDownload(t)
	for _, fn := range []smdpsim.Function{smdpsim.InitiateAuthentication, smdpsim.AuthenticateClient, smdpsim.GetBoundProfilePackage} {
		for _, kind := range []smdpsim.FaultKind{smdpsim.FaultDropAnswer, smdpsim.FaultTruncate} {
			t.Run(string(fn)+", "+string(kind), func(t *testing.T) {
				cuts, done := 0, false
				for after := 1; !done; after += 241 {
					w := newWalk(t, whole, smdpsim.RebindReuse)
					w.serverFault(smdpsim.Fault{Kind: kind, Function: fn, After: after})
					got := w.run()
					got.whole(t, false)
					if t.Failed() {
						t.Fatalf("after byte %d", after)
					}
					done = got.installed // the cut is behind the end
					if cuts++; cuts > 500 {
						t.Fatal("no end")
					}
				}
				if cuts < 4 {
					t.Errorf("only %d cuts", cuts)
				}
				t.Logf("%d cuts", cuts)
			})
		}
	}
}
