package euiccsim

import (
	"bytes"
	"slices"
	"testing"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

const otherICCID = "89001010000000000026"

// twoProfiles is a card with two installed profiles whose metadata ask for all
// notifications; those of the installation are removed.
func twoProfiles(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, nil)
	l.download(testICCID).run()
	l.download(otherICCID).run()
	for _, n := range l.card.Pending() {
		if c := code(t, l.call(new(bertlv.Builder).Open(0xBF30).Int(0x80, n.Sequence).Close().Bytes()), 0x80); c != 0 {
			t.Fatalf("remove: %d", c)
		}
	}
	return l
}

func (l *lab) enabled() (iccids []string) {
	for _, p := range l.card.Installed() {
		if p.Enabled {
			iccids = append(iccids, p.ICCID)
		}
	}
	return iccids
}

func TestSwitch(t *testing.T) {
	l := twoProfiles(t)
	for _, tt := range []struct {
		name    string
		request []byte
		want    int64
		enabled []string
		events  []Event
	}{
		{"5.7.17 disable, nothing enabled", switchRequest(t, 0xBF32, testICCID, false), 2, nil, nil},
		{"5.7.16 enable, unknown", switchRequest(t, 0xBF31, "89001010000000000099", false), 1, nil, nil},
		{"5.7.16 enable", switchRequest(t, 0xBF31, testICCID, false), 0, []string{testICCID}, []Event{EventEnable}},
		{"5.7.16 enable again", switchRequest(t, 0xBF31, testICCID, false), 2, []string{testICCID}, nil},
		{"5.7.16 enable the other", switchRequest(t, 0xBF31, otherICCID, false), 0, []string{otherICCID}, []Event{EventDisable, EventEnable}},
		{"5.7.18 delete the enabled", deleteRequest(t, otherICCID), 2, []string{otherICCID}, nil},
		{"5.7.18 delete", deleteRequest(t, testICCID), 0, []string{otherICCID}, []Event{EventDelete}},
		{"5.7.18 delete again", deleteRequest(t, testICCID), 1, []string{otherICCID}, nil},
		{"5.7.17 disable", switchRequest(t, 0xBF32, otherICCID, false), 0, nil, []Event{EventDisable}},
		{"5.7.19 memory reset", []byte{0xBF, 0x34, 4, 0x82, 2, 7, 0x80}, 0, nil, []Event{EventDelete}},
		{"5.7.19 memory reset, nothing there", []byte{0xBF, 0x34, 4, 0x82, 2, 5, 0xE0}, 1, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(l.card.Pending())
			if c := code(t, l.call(tt.request), 0x80); c != tt.want {
				t.Errorf("result %d, want %d", c, tt.want)
			}
			if e := l.enabled(); !slices.Equal(e, tt.enabled) {
				t.Errorf("enabled %v, want %v", e, tt.enabled)
			}
			var events []Event
			for _, n := range l.card.Pending()[before:] {
				events = append(events, n.Event)
				if n.Address != "notify.lab.test" {
					t.Errorf("address %s", n.Address)
				}
			}
			if !slices.Equal(events, tt.events) {
				t.Errorf("notifications %v, want %v", events, tt.events)
			}
		})
	}
	if n := len(l.card.Installed()); n != 0 {
		t.Errorf("%d profiles are left", n)
	}
}

func TestEnableByAID(t *testing.T) {
	l := twoProfiles(t)
	aid := l.card.Installed()[1].AID
	request := new(bertlv.Builder).Open(0xBF31).Open(0xA0).Put(0x4F, aid).Close().Put(0x81, []byte{0}).Close().Bytes()
	if c := code(t, l.call(request), 0x80); c != 0 || !slices.Equal(l.enabled(), []string{otherICCID}) {
		t.Errorf("result %d, enabled %v", c, l.enabled())
	}
}

// TestFilesChangeAtReset: the ISD-R shows the switch at once, the USIM after the
// reset.
func TestFilesChangeAtReset(t *testing.T) {
	l := twoProfiles(t)
	l.call(switchRequest(t, 0xBF31, testICCID, false))
	if got := l.card.ICCIDSelected(); got != "" {
		t.Errorf("files of %s before the reset", got)
	}
	l.card.Reset()
	if got := l.card.ICCIDSelected(); got != testICCID {
		t.Errorf("files of %s after the reset", got)
	}
}

func TestRefresh(t *testing.T) {
	l := twoProfiles(t)
	exchange(t, l.card, "80 10 00 00 02 FFFF -> 9000", "00 70 00 00 01 -> 01 9000", selectISDR+" -> 61*")
	send := func(request []byte) []byte {
		return l.card.APDU(append(append([]byte{0x81, 0xE2, 0x91, 0x00, byte(len(request))}, request...), 0))
	}
	if got := send(switchRequest(t, 0xBF31, testICCID, true)); !bytes.Equal(got, []byte{0xBF, 0x31, 3, 0x80, 1, 0, 0x91, 0x0B}) {
		t.Fatalf("enable: %x", got)
	}
	// ETSI TS 102 223, 6.4.7: another toolkit session cannot begin meanwhile.
	if got := send(switchRequest(t, 0xBF31, otherICCID, true)); !bytes.Equal(got, []byte{0xBF, 0x31, 3, 0x80, 1, 5, 0x91, 0x0B}) {
		t.Fatalf("enable while a proactive command waits: %x, want catBusy", got)
	}
	exchange(t, l.card,
		"80 F2 00 0C 00 -> 910B", // it is announced until it is fetched
		"81 12 00 00 0B -> 6881",
		"80 12 00 00 0B -> D009 8103010104 82028182 9000", // REFRESH, UICC reset
		"80 12 00 00 0B -> 6985",
		"80 14 00 00 0C 810301010482028281830120 -> 9000", // terminal is unable to
	)
	if got := l.card.ICCIDSelected(); got != "" {
		t.Errorf("a REFRESH that was not performed changed the files to %s", got)
	}
	send(switchRequest(t, 0xBF31, otherICCID, true))
	exchange(t, l.card, "80 12 00 00 0B -> D0*", "80 14 00 00 0C 810301010482028281830100 -> 9000", "80 14 00 00 0C 810301010482028281830100 -> 6985")
	if got := l.card.ICCIDSelected(); got != otherICCID {
		t.Errorf("files of %s after the REFRESH", got)
	}
}

func TestSwitchFaults(t *testing.T) {
	for _, tt := range []struct {
		name      string
		behaviour Behaviour
		refresh   bool
		want      int64
	}{
		{"catBusy", Behaviour{CATBusy: true}, true, 5},
		{"catBusy without refresh", Behaviour{CATBusy: true}, false, 0},
		{"refresh refused", Behaviour{RefuseRefresh: true}, true, 127},
		{"refresh refused, not asked", Behaviour{RefuseRefresh: true}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := twoProfiles(t)
			l.card.SetBehaviour(tt.behaviour)
			if c := code(t, l.call(switchRequest(t, 0xBF31, testICCID, tt.refresh)), 0x80); c != tt.want {
				t.Errorf("result %d, want %d", c, tt.want)
			}
			if on := len(l.enabled()) == 1; on != (tt.want == 0) {
				t.Errorf("enabled %v", l.enabled())
			}
		})
	}
}

// TestTestProfileGivesWay: after a test profile only the operational profile
// that was enabled before it may be enabled (SGP.22, 5.7.16).
func TestTestProfileGivesWay(t *testing.T) {
	l := twoProfiles(t)
	const test = "89001010000000000042"
	d := l.download(test)
	d.md = testMetadata(t, Metadata{ICCID: test, Provider: "Lab", Name: "Test", Class: ClassTest})
	d.run()
	for _, step := range []struct {
		iccid string
		want  int64
	}{{testICCID, 0}, {test, 0}, {otherICCID, 4}, {testICCID, 0}, {otherICCID, 0}} {
		if c := code(t, l.call(switchRequest(t, 0xBF31, step.iccid, false)), 0x80); c != step.want {
			t.Errorf("enable %s: %d, want %d", step.iccid, c, step.want)
		}
	}
}

func TestNotifications(t *testing.T) {
	l := twoProfiles(t)
	l.call(switchRequest(t, 0xBF31, testICCID, false))
	l.call(switchRequest(t, 0xBF31, otherICCID, false))
	list := func(request []byte) (seqs []int64) {
		a0, ok := l.call(request).Find(0xA0)
		if !ok {
			t.Fatal("no list")
		}
		for e := range a0.Children() {
			if m, ok := e.Find(0xBF2F); ok {
				e = m // OtherSignedNotification
			}
			n, err := bertlv.Int(value(e, 0x80))
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, n)
		}
		return seqs
	}
	first := l.card.Pending()[0].Sequence
	for _, tt := range []struct {
		name    string
		request []byte
		want    []int64
	}{
		{"5.7.9 all", []byte{0xBF, 0x28, 0}, []int64{first, first + 1, first + 2}},
		{"5.7.9 enable", []byte{0xBF, 0x28, 4, 0x81, 2, 6, 0x40}, []int64{first, first + 2}},
		{"5.7.9 delete", []byte{0xBF, 0x28, 4, 0x81, 2, 4, 0x10}, nil},
		{"5.7.10 all", []byte{0xBF, 0x2B, 0}, []int64{first, first + 1, first + 2}},
		{"5.7.10 disable", []byte{0xBF, 0x2B, 6, 0xA0, 4, 0x81, 2, 5, 0x20}, []int64{first + 1}},
		{"5.7.10 by number", new(bertlv.Builder).Open(0xBF2B).Open(0xA0).Int(0x80, first+2).Close().Close().Bytes(), []int64{first + 2}},
	} {
		if got := list(tt.request); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if c := code(t, l.call([]byte{0xBF, 0x2B, 5, 0xA0, 3, 0x80, 1, 0x7F}), 0x81); c != 1 {
		t.Errorf("unknown number: %d, want noResultAvailable", c)
	}
	// The signature covers NotificationMetadata with its tag (SGP.22, 5.7.10).
	n, err := bertlv.Parse(l.card.Pending()[0].Signed)
	if err != nil {
		t.Fatal(err)
	}
	tbs, _ := n.Find(0xBF2F)
	sig, _ := n.Find(0x5F37)
	if err := sgp26.VerifySignature(l.id.Cert, tbs.Raw, sig.Value); err != nil {
		t.Error(err)
	}
	remove := new(bertlv.Builder).Open(0xBF30).Int(0x80, first).Close().Bytes()
	if c := code(t, l.call(remove), 0x80); c != 0 {
		t.Errorf("remove: %d", c)
	}
	if c := code(t, l.call(remove), 0x80); c != 1 {
		t.Errorf("remove again: %d, want nothingToDelete", c)
	}
}

func TestWrongSignature(t *testing.T) {
	l := newLab(t, nil)
	l.card.SetBehaviour(Behaviour{WrongSignature: true})
	d := l.download(testICCID)
	d.authenticate()
	if err := sgp26.VerifySignature(l.id.Cert, d.signed1, d.sig1); err == nil {
		t.Error("signature verifies")
	}
}
