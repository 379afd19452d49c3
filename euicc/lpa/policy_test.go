package lpa

import (
	"errors"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

func TestCheckPolicy(t *testing.T) {
	operator := func(mcc, mnc, gid1 string) euicc.Operator {
		return euicc.Operator{MCC: mcc, MNC: mnc, GID1: []byte(gid1)}
	}
	any := operator("EEE", "EEE", "")
	line := func(p euicc.PPR, consent bool, o ...euicc.Operator) es10.Rule {
		return es10.Rule{PPR: p, ConsentRequired: consent, Operators: o}
	}
	const both = euicc.PPR1 | euicc.PPR2
	for _, tt := range []struct {
		name      string
		rules     euicc.PPR
		owner     euicc.Operator
		table     []es10.Rule
		forbidden euicc.PPR
		ok        bool
		consent   bool
	}{
		{"no rules, no table", 0, operator("262", "02", ""), nil, both, true, false},
		{"update control alone", euicc.PPRUpdateControl, operator("262", "02", ""), nil, 0, true, false},
		{"no table", euicc.PPR1, operator("262", "02", ""), nil, 0, false, false},
		{"anybody", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, false, any)}, 0, true, false},
		{"anybody, three digits", euicc.PPR2, operator("310", "260", ""), []es10.Rule{line(both, false, any)}, 0, true, false},
		{"consent", both, operator("262", "02", ""), []es10.Rule{line(euicc.PPR1, false, any), line(euicc.PPR2, true, any)}, 0, true, true},
		{"one of two", both, operator("262", "02", ""), []es10.Rule{line(euicc.PPR1, false, any)}, 0, false, false},
		{"forbidden to all", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, false, any)}, euicc.PPR1, false, false},
		{"the operator", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, false, operator("001", "01", ""), operator("262", "02", ""))}, 0, true, false},
		{"another operator", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, false, operator("262", "03", ""))}, 0, false, false},
		{"MNC of three digits is another", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, false, operator("262", "020", ""))}, 0, false, false},
		{"country", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, false, operator("262", "EEE", ""))}, 0, true, false},
		{"group", euicc.PPR1, operator("262", "02", "AB"), []es10.Rule{line(both, false, operator("262", "02", "AB"))}, 0, true, false},
		{"another group", euicc.PPR1, operator("262", "02", "AC"), []es10.Rule{line(both, false, operator("262", "02", "AB"))}, 0, false, false},
		{"no group where one is asked for", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, false, operator("262", "02", "AB"))}, 0, false, false},
		{"any group", euicc.PPR1, operator("262", "02", "AC"), []es10.Rule{line(both, false, operator("262", "02", ""))}, 0, true, false},
		{"the first line counts", euicc.PPR1, operator("262", "02", ""), []es10.Rule{line(both, true, operator("262", "02", "")), line(both, false, any)}, 0, true, true},
		{"profile without owner", euicc.PPR1, euicc.Operator{}, []es10.Rule{line(both, false, operator("262", "02", ""))}, 0, false, false},
		{"profile without owner, anybody", euicc.PPR1, euicc.Operator{}, []es10.Rule{line(both, false, any)}, 0, true, false},
	} {
		consent, err := CheckPolicy(euicc.Metadata{PPR: tt.rules, Owner: tt.owner}, tt.table, tt.forbidden)
		if (err == nil) != tt.ok || consent != tt.consent || err != nil && euicc.CodeOf(err) != "ppr-not-allowed" {
			t.Errorf("%s: %v, %v", tt.name, consent, err)
		}
	}
}

// The card itself is asked, and its answer agrees with what it does at the
// installation.
func TestCardPolicy(t *testing.T) {
	l := newLab(t, func(c *euiccsim.Config) {
		c.RAT = []euiccsim.AuthorisationRule{{Rules: euiccsim.PPR1, Operators: []euiccsim.Operator{euiccsim.AnyOperator}}}
	})
	c := l.open()
	o, err := c.Authenticate(t.Context(), l.order(smdpsim.Order{Metadata: smdpsim.Metadata{Name: "X", Owner: []byte{0, 0xF1, 0x10}, Rules: smdpsim.PPR2}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CheckPolicy(t.Context(), o.Metadata); euicc.CodeOf(err) != "ppr-not-allowed" {
		t.Errorf("got %v", err)
	}
	if _, err := o.Download(t.Context(), "", nil); euicc.CodeOf(err) != "install-ppr-not-allowed" {
		t.Errorf("the card: %v", err)
	}
	before := c.Stats().APDUs
	if consent, err := c.CheckPolicy(t.Context(), euicc.Metadata{}); err != nil || consent || c.Stats().APDUs != before {
		t.Errorf("without rules: %v", err)
	}
}

func TestCheckMemory(t *testing.T) {
	for _, tt := range []struct {
		free int64
		size int
		ok   bool
	}{{-1, 1 << 20, true}, {100, 100, true}, {99, 100, false}, {0, 1, false}} {
		if err := CheckMemory(tt.free, tt.size); (err == nil) != tt.ok || err != nil && (euicc.CodeOf(err) != "memory" || euicc.RetryOf(err) != euicc.RetryAsk) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	// The card is asked beforehand, gets no segment, and the order lives on.
	l := newLab(t, func(c *euiccsim.Config) { c.NVM = 2000 })
	code := l.order(smdpsim.Order{})
	c := l.open()
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	if free := c.FreeMemory(); free != 2000 {
		t.Errorf("free %d", free)
	}
	o, err := c.Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.Download(t.Context(), "", func(p Progress) {
		if p.Stage == euicc.StageLoadBPP {
			t.Error("a segment was sent")
		}
	})
	if r != nil || euicc.CodeOf(err) != "memory" {
		t.Errorf("got %v, %v", r, err)
	}
	if x := o.Cancellation(); x == nil || x.Reason != euicc.CancelPostponed || !x.Delivered {
		t.Errorf("cancellation %+v", x)
	}
}

// What an earlier Card has read is known to the next one, and not read again.
func TestUseInfo(t *testing.T) {
	l := newLab(t, func(c *euiccsim.Config) { c.NVM = 2000 })
	code := l.order(smdpsim.Order{})
	c := l.open()
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = l.open()
	c.UseInfo(info)
	before := c.Stats().APDUs
	if got, err := c.readInfo1(t.Context()); err != nil || got != info.Info1 || c.Stats().APDUs != before {
		t.Errorf("EUICCInfo1 is read again: %v", err)
	}
	o, err := c.Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Download(t.Context(), "", nil); euicc.CodeOf(err) != "memory" {
		t.Errorf("got %v", err)
	}
	other := *info
	other.EID[15] ^= 1
	c = &Card{eid: info.EID}
	if c.UseInfo(&other); c.FreeMemory() != -1 {
		t.Error("another card's information is used")
	}
	c.UseInfo(nil)
}

func TestManage(t *testing.T) {
	l := newLab(t)
	c := l.open()
	ctx := t.Context()
	o, err := c.Authenticate(ctx, l.order(smdpsim.Order{Metadata: smdpsim.Metadata{Name: "X", IconType: smdpsim.IconPNG, Icon: make([]byte, 900), Owner: []byte{0, 0xF1, 0x10}, Rules: smdpsim.PPR2}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Download(ctx, "", nil); err != nil {
		t.Fatal(err)
	}
	p, err := c.Profile(ctx, o.Metadata.ICCID)
	if err != nil || len(p.Icon) != 900 || p.PPR != euicc.PPR2 || p.Owner.PLMN() != "00101" {
		t.Errorf("got %+v, %v", p, err)
	}
	other, err := euicc.ParseICCID("8900101000000000099")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Profile(ctx, other); !errors.Is(err, es10.ErrNotFound) {
		t.Errorf("no such profile: %v", err)
	}

	for _, tt := range []struct{ address, want, code string }{
		{"SMDP.example.com", "smdp.example.com", ""}, {"", "", ""}, {"not an address", "", "bad-address"},
	} {
		err := c.SetDefaultSMDP(ctx, tt.address)
		if euicc.CodeOf(err) != tt.code || (err == nil) != (tt.code == "") {
			t.Errorf("%q: %v", tt.address, err)
		}
		if info, err := c.Info(ctx); err != nil || info.DefaultSMDP != tt.want {
			t.Errorf("%q: card holds %q, %v", tt.address, info.DefaultSMDP, err)
		}
	}
	l.card.SetFault(euiccsim.Fault{Tag: 0xBF3F, Kind: euiccsim.FaultLost})
	err = c.SetDefaultSMDP(ctx, "lost.example.com")
	if e, ok := errors.AsType[*euicc.Error](err); !ok || !e.Unknown {
		t.Errorf("answer lost: %v", err)
	}

	// Not even PPR2 keeps a profile from a memory reset.
	if err := c.ResetMemory(ctx, es10.ResetOperational); err != nil {
		t.Fatal(err)
	}
	if ps, err := c.Profiles(ctx); err != nil || len(ps) != 0 {
		t.Errorf("left: %v, %v", ps, err)
	}
	if err := c.ResetMemory(ctx, es10.ResetFieldTest); err != nil {
		t.Errorf("nothing to delete: %v", err)
	}
	if n, err := c.Notifications(ctx); err != nil || len(n) != 2 || n[1].Event != euicc.EventDelete {
		t.Errorf("reports %+v, %v", n, err)
	}
}

// Who never asked for the card's information gets the same check.
func TestPolicyWithoutInfo(t *testing.T) {
	l := newLab(t, func(c *euiccsim.Config) {
		c.Forbidden = euiccsim.PPR1
		c.RAT = []euiccsim.AuthorisationRule{{Rules: euiccsim.PPR1, Operators: []euiccsim.Operator{euiccsim.AnyOperator}}}
	})
	c := l.open()
	if _, err := c.CheckPolicy(t.Context(), euicc.Metadata{PPR: euicc.PPR1}); euicc.CodeOf(err) != "ppr-not-allowed" {
		t.Errorf("forbidden rule: %v", err)
	}
	before := c.Stats().APDUs
	if err := c.needInfo2(t.Context()); err != nil || c.Stats().APDUs != before {
		t.Errorf("read again: %v", err)
	}
}
