package cosa

import "testing"

func TestUndecided(t *testing.T) {
	sim := SIM{ICCID: "8900101000000000017", MCCMNC: "00101"}
	with := func(f func(*SIM)) SIM { s := sim; f(&s); return s }
	plmn := []string{"00101"}
	for _, tt := range []struct {
		name   string
		target Target
		sim    SIM
		want   bool
	}{
		{"SPN, not known yet", Target{MCCMNC: plmn, SPN: []string{"Virtual"}}, sim, true},
		{"SPN, another", Target{MCCMNC: plmn, SPN: []string{"Virtual"}}, with(func(s *SIM) { s.SPN = "Host" }), false},
		{"PNN", Target{MCCMNC: plmn, PNN: []string{"Virtual"}}, sim, true},
		{"GID1, not in the metadata", Target{MCCMNC: plmn, GID1: []GID{{Hex: "2A"}}}, sim, true},
		{"GID1, another", Target{MCCMNC: plmn, GID1: []GID{{Hex: "2A"}}}, with(func(s *SIM) { s.GID1 = "2B" }), false},
		{"GID2", Target{MCCMNC: plmn, GID2: []GID{{Hex: "2A"}}}, sim, true},
		{"of another network", Target{MCCMNC: []string{"00102"}, SPN: []string{"Virtual"}}, sim, false},
		{"of another country", Target{MCC: []string{"002"}, IMSI: []Range{{"0010155", "0010156"}}}, sim, false},
		{"of another ICCID", Target{MCCMNC: plmn, ICCID: []Range{{"890020", "890020"}}, SPN: []string{"Virtual"}}, sim, false},
		{"IMSI range of the network", Target{IMSI: []Range{{"0010155", "0010156"}}}, sim, true},
		{"IMSI range across networks", Target{IMSI: []Range{{"001", "001"}}}, sim, true},
		{"IMSI range of another", Target{IMSI: []Range{{"0010255", "0010256"}}}, sim, false},
		{"IMSI pattern of the network", Target{IMSIPattern: []Pattern{"00x0155x7"}}, sim, true},
		{"IMSI pattern of another", Target{IMSIPattern: []Pattern{"00x02"}}, sim, false},
		{"matches already", Target{MCCMNC: plmn}, sim, false},
	} {
		db, err := New([]OperatorProfile{{ID: "op", Name: "Op", Source: SourceUser, Origin: "test", Targets: []Target{tt.target}, Connections: []Connection{{APN: "data.test"}}}})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := db.Undecided(tt.sim); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
