package atsim

// cinterionPLS8 is a PLS8-E. Whether it opens an eUICC is not known. Sources of
// the rest: ModemManager's plugin and its vectors.
func cinterionPLS8() personality {
	p := generic().as("cinterion-pls8", "Cinterion", "PLS8-E", "REVISION 03.017").from(PathCGLA, "assumed", "").without("+CCID")
	p.noProfile = cmeSIMFailure
	p.defaultPDP = "IPV4V6"
	p.linkByCGACT = false
	p.cgregInLTE = true
	p.bootURCs = []string{"^SYSSTART"}
	p.simURCs = []string{"^SCKS: 1"}
	p.notReadyURC = "^SCKS: 0"
	p.vendor = []verb{
		iccidVerb("^SCID", "^SCID"),
		triesVerb("^SPIC", "%[1]d"),
		authVerb("^SGAUTH", 3, 2),
		{name: "^SCKS", test: "(0,1)", set: storedSet, read: func(x *exec) error {
			x.tagged("%s,%d", storedOr(x, "0"), btoi(x.m.card.present))
			return nil
		}},
		{name: "^SIND", test: "-", set: accepted},
		{name: "^SMONI", test: "-", exec: constant("4G,1300,3,10,10,FDD,001,01,0001,0000101,301,35,-87,-9,NOCONN")},
		{name: "^SCFG", test: "-", set: func(x *exec) error {
			switch x.str(0) {
			case "SIM/CS":
				switch {
				case x.n() == 1:
					x.tagged(`"SIM/CS","SIM%d"`, x.m.slot+1)
				case x.str(1) == "SIM_1", x.str(1) == "SIM_2":
					x.m.switchSlot(int(x.str(1)[4] - '1'))
				default:
					return cmeBadParameters
				}
				return nil
			case "MEopMode/Prov/Cfg":
				x.tagged(`"MEopMode/Prov/Cfg","fallb3gpp*"`)
				return nil
			}
			return cmeBadParameters
		}},
		{name: "^SWWAN", test: "(0,1),(1-16),(1,2)", set: sierraSCACT, read: func(x *exec) error {
			for _, c := range x.m.packet.sorted() {
				if c.linkUp {
					x.tagged("%d,1,1", c.cid)
				}
			}
			return nil
		}},
	}
	return p
}
