//go:build linux && !nodemo

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"dynamod/daemon/hook"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// Orders without an activation code: each way ends in a link of the profile that
// was meant, and none is tried in place of another.
func TestWaysWithoutCode(t *testing.T) {
	b := newBench(t)
	b.start()
	b.waitUp()
	bound := func(iccid, imsi string, o smdpsim.Order) {
		t.Helper()
		var err error
		o.UPP, err = smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: imsi})
		b.must(err)
		o.EID, o.Metadata = b.w.Card.EID(), smdpsim.Metadata{Provider: "Lab Mobile", Name: "Lab profile", Owner: []byte{0x00, 0xF1, 0x10}}
		_, err = b.w.Server.AddOrder(o)
		b.must(err)
	}
	activate := func(want int, text string, args ...string) {
		t.Helper()
		v := b.dynamod("", slices.Concat([]string{"activate", "--yes", "--config", b.configPath()}, args)...)
		if v.exit != want || !strings.Contains(v.stdout+v.stderr, text) {
			t.Fatalf("%v: exit %d, want %d with %q\n%s%s\n%s", args, v.exit, want, text, v.stdout, v.stderr, b.log())
		}
		b.noSecrets("what the command prints", v.stdout+v.stderr)
	}

	// Nobody knows a profile for this card.
	activate(exitFailed, "no discovery server knows a profile", "--discover")
	activate(exitFailed, "8.1.1", "--default-smdp")
	activate(exitFailed, "no discovery server (SM-DS)", "--discover", "--smds", "smdp.lab.test")
	activate(exitFailed, "is a discovery server", "--smdp", "smds.lab.test")

	bound("8900101000000000090", "001010000000090", smdpsim.Order{MatchingID: secretID, Discover: "smdp.lab.test"})
	activate(exitOK, "ICCID 8900101000000000090", "--discover")
	bound("8900101000000000108", "001010000000108", smdpsim.Order{})
	activate(exitOK, "ICCID 8900101000000000108", "--default-smdp")
	bound("8900101000000000116", "001010000000116", smdpsim.Order{})
	activate(exitOK, "ICCID 8900101000000000116", "--smdp", "SMDP.lab.test")

	// Discovery servers of the configuration go before the card's own, in turn.
	b.stop()
	b.config("[lpa]\n", "[lpa]\nsmds = [\"smdp.lab.test\", \"smds.lab.test\"]\n")
	b.start()
	b.waitUp()
	bound("8900101000000000124", "001010000000124", smdpsim.Order{MatchingID: secretID + "2", Discover: "smdp.lab.test"})
	activate(exitOK, "ICCID 8900101000000000124", "--discover")
	b.noSecrets("the daemon's log", b.log())
	b.noSecretFiles()
}

// What `dynamod card` shows and does, on a card with two profiles.
func TestCardVerbs(t *testing.T) {
	b := newBench(t)
	b.start()
	b.waitUp()
	run := func(want int, text string, args ...string) verdict {
		t.Helper()
		v := b.dynamod("", append(args, "--config", b.configPath())...)
		if v.exit != want || !strings.Contains(v.stdout+v.stderr, text) {
			t.Fatalf("%v: exit %d, want %d with %q\n%s%s\n%s", args, v.exit, want, text, v.stdout, v.stderr, b.log())
		}
		return v
	}
	var card hook.Card
	b.must(json.Unmarshal([]byte(run(exitOK, "", "card", "--json").stdout), &card))
	if card.EID != b.w.Card.EID() || card.FreeNVM <= 0 || card.RootSMDS != "smds.lab.test" || len(card.Issuers) != 1 || !card.Issuers[0].Trusted || len(card.Rules) != 1 || !card.Rules[0].Consent {
		t.Errorf("card %+v", card)
	}
	run(exitOK, "Earlier profile", "profiles", "show", earlierICCID)
	run(exitOK, "is other.example.com", "card", "default-smdp", "other.example.com")
	run(exitOK, "other.example.com", "card")
	run(exitOK, "reset default-smdp", "card", "reset", "default-smdp", "--yes")
	run(exitOK, "default SM-DP+   smdp.lab.test", "card")

	// The link's own profile goes by force only, and then the link is gone.
	run(exitRefused, "without it the modem has no link", "card", "reset", "operational", "--yes")
	b.onlyEarlier(0)
	run(exitOK, "reset operational", "card", "reset", "operational", "--yes", "--force")
	if n := len(b.w.Card.Installed()); n != 0 {
		t.Errorf("%d profiles are left", n)
	}
	run(exitOK, "no profiles on the card", "profiles")

	// An answer that is lost is settled by what the card has then.
	b.w.Card.SetFault(euiccsim.Fault{Tag: 0xBF34, Kind: euiccsim.FaultLost})
	run(exitFailed, "card", "card", "reset", "default-smdp", "--yes")
}
