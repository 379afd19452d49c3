package cosa

// Undecided tells whether a record that does not match sim could do so once the
// facts are known that sim lacks: before a download the metadata of a profile
// (SGP.22 OperatorId) tell ICCID, home network and at most the GIDs, and the
// card tells the rest. Facts that are there count as they are. The profile's
// serviceProviderName is none: it need not be what EF_SPN or EF_PNN say.
func (db *DB) Undecided(sim SIM) bool {
	home, _ := db.HomeNetwork(sim)
	for p := range db.Profiles() {
		for i := range p.Targets {
			if p.Targets[i].undecided(&sim, home) {
				return true
			}
		}
	}
	return false
}

func (t *Target) undecided(sim *SIM, home string) bool {
	if _, miss := t.match(sim, home); miss == 0 {
		return false // decided
	}
	known := *t
	if sim.IMSI == "" && len(t.IMSI)+len(t.IMSIPattern) > 0 {
		if !t.imsiOf(home) {
			return false
		}
		known.IMSI, known.IMSIPattern = nil, nil
	}
	if sim.GID1 == "" {
		known.GID1 = nil
	}
	if sim.GID2 == "" {
		known.GID2 = nil
	}
	if sim.SPN == "" {
		known.SPN = nil
	}
	if sim.PNN == "" {
		known.PNN = nil
	}
	_, miss := known.match(sim, home)
	return miss == 0
}

// imsiOf tells whether an IMSI of the network home may be among the target's.
func (t *Target) imsiOf(home string) bool {
	for _, r := range t.IMSI {
		if n := min(len(home), len(r.Lo)); home[:n] >= r.Lo[:n] && home[:n] <= r.Hi[:n] {
			return true
		}
	}
	for _, p := range t.IMSIPattern {
		if p[:min(len(home), len(p))].match(home) {
			return true
		}
	}
	return false
}
