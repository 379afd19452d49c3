package euiccsim

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"dynamod/euicc/bertlv"
)

// fullCard is a card with a profile of each kind: the ICCIDs tell which.
const (
	operationalICCID  = "89001010000000000117"
	ppr2ICCID         = "89001010000000000125"
	provisioningICCID = "89001010000000000133"
	fieldTestICCID    = "89001010000000000141"
	factoryTestICCID  = "89001010000000000158"
)

func fullCard(t *testing.T, change func(*Config)) *lab {
	l := newLab(t, change)
	for _, p := range []struct {
		iccid   string
		class   Class
		rules   PolicyRules
		factory bool
	}{
		{operationalICCID, ClassOperational, 0, false},
		{ppr2ICCID, ClassOperational, PPR2, false},
		{provisioningICCID, ClassProvisioning, 0, false},
		{fieldTestICCID, ClassTest, 0, false},
		{factoryTestICCID, ClassTest, 0, true},
	} {
		md := testMetadata(t, Metadata{ICCID: p.iccid, Name: "Test", Class: p.class, Rules: p.rules, Notify: "notify.lab.test"})
		if p.factory {
			if err := l.card.Preload(testUPP(t, p.iccid, 0), md, false); err != nil {
				t.Fatal(err)
			}
			continue
		}
		d := l.download(p.iccid)
		d.upp, d.md = testUPP(t, p.iccid, 0), md
		d.run()
	}
	l.card.mu.Lock()
	l.card.nv.Notifications = nil
	l.card.mu.Unlock()
	return l
}

// SGP.22, 5.7.19: what each option deletes, what it reports, and what it leaves.
func TestMemoryReset(t *testing.T) {
	all := []string{operationalICCID, ppr2ICCID, provisioningICCID, fieldTestICCID, factoryTestICCID}
	for _, tt := range []struct {
		name    string
		options byte
		gone    []string
	}{
		{"operational profiles, policy rules or not", resetOperational, all[:2]},
		{"test profiles loaded in the field", resetFieldTest, all[3:4]},
		{"both", resetOperational | resetFieldTest, []string{all[0], all[1], all[3]}},
		{"default SM-DP+ address", resetDefaultDP, nil},
		{"everything", resetOperational | resetFieldTest | resetDefaultDP, []string{all[0], all[1], all[3]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := fullCard(t, func(c *Config) { c.DefaultDP = "dp.lab.test" })
			l.call(new(bertlv.Builder).Open(0xBF3F).String(0x80, "other.lab.test").Close().Bytes())
			l.call(switchRequest(t, 0xBF31, operationalICCID, false))
			before := len(l.card.Pending())
			request := new(bertlv.Builder).Open(0xBF34).Put(0x82, bitString(tt.options)).Close().Bytes()
			if c := code(t, l.call(request), 0x80); c != 0 {
				t.Fatalf("result %d", c)
			}
			var left, told []string
			for _, p := range l.card.Installed() {
				left = append(left, p.ICCID)
			}
			for _, n := range l.card.Pending()[before:] {
				if n.Event != EventDelete || n.Address != "notify.lab.test" {
					t.Errorf("notification %+v", n)
				}
				told = append(told, n.ICCID)
			}
			want := slices.DeleteFunc(slices.Clone(all), func(i string) bool { return slices.Contains(tt.gone, i) })
			if !slices.Equal(left, want) || !slices.Equal(told, tt.gone) {
				t.Errorf("left %v, told of %v; want %v gone", left, told, tt.gone)
			}
			wantDP := "other.lab.test"
			if tt.options&resetDefaultDP != 0 {
				wantDP = "dp.lab.test"
			}
			if dp := string(value(l.call([]byte{0xBF, 0x3C, 0}), 0x80)); dp != wantDP {
				t.Errorf("default SM-DP+ %s, want %s", dp, wantDP)
			}
			// The enabled profile went: its files go with a REFRESH.
			if pending := l.card.proactive.pending(); pending != slices.Contains(tt.gone, operationalICCID) {
				t.Errorf("REFRESH pending: %v", pending)
			}
		})
	}
}

// catBusy came to this function after v2.2 (SGP.22, 5.7.19).
func TestMemoryResetBusy(t *testing.T) {
	for version, want := range map[string]int64{"2.2": 127, "2.5": 5} {
		l := fullCard(t, func(c *Config) { c.Version = version })
		l.call(switchRequest(t, 0xBF31, operationalICCID, false))
		l.card.SetBehaviour(Behaviour{CATBusy: true})
		if c := code(t, l.call([]byte{0xBF, 0x34, 4, 0x82, 2, 7, 0x80}), 0x80); c != want || len(l.card.Installed()) != 5 {
			t.Errorf("v%s: result %d with %d profiles left, want %d", version, c, len(l.card.Installed()), want)
		}
	}
}

// What a profile and its reports take of the memory comes back when they go.
func TestMemoryAccounting(t *testing.T) {
	l := newLab(t, nil)
	free := func() int {
		res, _ := l.call([]byte{0xBF, 0x22, 0}).Find(0x84)
		return int(binary.BigEndian.Uint32(value(bertlv.Element{Value: res.Value}, 0x82)))
	}
	before := free()
	d := l.download(testICCID)
	d.run()
	after := free()
	if used := before - after; used < len(d.upp)+len(d.md) || used > len(d.upp)+len(d.md)+8<<10 {
		t.Errorf("a package of %d bytes takes %d", len(d.upp), used)
	}
	l.call(deleteRequest(t, testICCID))
	for _, n := range l.card.Pending() {
		l.call(new(bertlv.Builder).Open(0xBF30).Int(0x80, n.Sequence).Close().Bytes())
	}
	if got := free(); got != before {
		t.Errorf("%d bytes free in the end, %d before", got, before)
	}
	// A card that has just not enough says so and stays as it is.
	small := newLab(t, func(c *Config) { c.NVM = before - after - 3000 })
	pir := small.download(testICCID).run()
	if c := code(t, pir, 0xBF27, 0xA2, 0xA1, 0x81); c != reasonInsufficientMemory || len(small.card.Installed()) != 0 {
		t.Errorf("errorReason %d, %d profiles", c, len(small.card.Installed()))
	}
}

// withOwner is metadata with a profile owner, rules and an icon (SGP.22, 5.5.3).
func withOwner(t *testing.T, iccid string, rules PolicyRules, plmn [3]byte, gid1, icon []byte) []byte {
	var b bertlv.Builder
	b.Open(tagStoreMetadata).Put(tagICCID, iccidBytes(t, iccid)).String(0x91, "Lab").String(0x92, "Test")
	if icon != nil {
		b.Int(0x93, 1).Put(0x94, icon)
	}
	b.Int(0x95, int64(ClassOperational)).Open(0xB7).Put(0x80, plmn[:])
	if gid1 != nil {
		b.Put(0x81, gid1)
	}
	b.Close()
	if rules != 0 {
		b.Put(0x99, rules.bits())
	}
	return b.Close().Bytes()
}

// SGP.22, 2.9.2: the rules authorisation table names operators, with E for any
// digit and GIDs where it wants them.
func TestRATOperators(t *testing.T) {
	lab001, lab2 := [3]byte{0x00, 0xF1, 0x10}, [3]byte{0x09, 0xF1, 0x07}
	for _, tt := range []struct {
		name string
		rat  []AuthorisationRule
		plmn [3]byte
		gid1 []byte
		want bool
	}{
		{"the operator itself", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: lab001}}}}, lab001, nil, true},
		{"another operator", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: lab001}}}}, lab2, nil, false},
		{"the other rule", []AuthorisationRule{{Rules: PPR2, Operators: []Operator{AnyOperator}}}, lab001, nil, false},
		{"any network of the country", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: [3]byte{0x00, 0xE1, 0xEE}}}}}, lab001, nil, true},
		{"any MNC of two digits", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: [3]byte{0x00, 0xF1, 0xEE}}}}}, lab001, nil, true},
		{"any network of another country", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: [3]byte{0x00, 0xE1, 0xEE}}}}}, lab2, nil, false},
		{"with its GID1", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: lab001, GID1: []byte{0x12}}}}}, lab001, []byte{0x12}, true},
		{"with another GID1", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: lab001, GID1: []byte{0x12}}}}}, lab001, []byte{0x13}, false},
		{"without the GID1", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: lab001, GID1: []byte{0x12}}}}}, lab001, nil, false},
		{"in the second line", []AuthorisationRule{{Rules: PPR1, Operators: []Operator{{PLMN: lab2}}}, {Rules: PPR1 | PPR2, Operators: []Operator{{PLMN: lab001}}}}, lab001, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, func(c *Config) { c.RAT = tt.rat })
			d := l.download(testICCID)
			d.md = withOwner(t, testICCID, PPR1, tt.plmn, tt.gid1, nil)
			pir := d.run()
			if installed := len(l.card.Installed()) == 1; installed != tt.want {
				t.Errorf("installed: %v", installed)
			}
			if !tt.want && (code(t, pir, 0xBF27, 0xA2, 0xA1, 0x80) != cmdStoreMetadata || code(t, pir, 0xBF27, 0xA2, 0xA1, 0x81) != reasonPPRNotAllowed) {
				t.Errorf("result %x", pir.Raw)
			}
		})
	}
}

// SGP.22, 2.9.1: PPR1 does not come to a card that has an operational profile,
// and PPR2 holds a profile against deletion.
func TestRulesOnTheCard(t *testing.T) {
	l := newLab(t, nil)
	l.download(testICCID).run()
	d := l.download(otherICCID)
	d.md = withOwner(t, otherICCID, PPR1, [3]byte{0x00, 0xF1, 0x10}, nil, nil)
	if c := code(t, d.run(), 0xBF27, 0xA2, 0xA1, 0x81); c != reasonPPRNotAllowed {
		t.Errorf("PPR1 beside another profile: errorReason %d", c)
	}
	d = l.download(otherICCID)
	d.md = withOwner(t, otherICCID, PPR2, [3]byte{0x00, 0xF1, 0x10}, nil, nil)
	d.run()
	if c := code(t, l.call(deleteRequest(t, otherICCID)), 0x80); c != switchPolicy {
		t.Errorf("deleting against PPR2: %d", c)
	}
}

// An icon of the largest size is kept and shown as it came.
func TestIcon(t *testing.T) {
	icon := bytes.Repeat([]byte{0x89, 'P', 'N', 'G'}, 256)
	l := newLab(t, nil)
	d := l.download(testICCID)
	d.md = withOwner(t, testICCID, 0, [3]byte{0x00, 0xF1, 0x10}, nil, icon)
	d.run()
	info, ok := l.call([]byte{0xBF, 0x2D, 0}).Find(0xA0, 0xE3)
	if !ok || !bytes.Equal(value(info, 0x94), icon) || !bytes.Equal(value(info, 0x93), []byte{1}) {
		t.Errorf("icon %x", value(info, 0x94))
	}
	d = l.download(otherICCID)
	d.md = withOwner(t, otherICCID, 0, [3]byte{0x00, 0xF1, 0x10}, nil, append(icon, 0))
	if c := code(t, d.run(), 0xBF27, 0xA2, 0xA1, 0x80); c != cmdStoreMetadata {
		t.Errorf("an icon of 1025 bytes: command %d", c)
	}
}
