package atsim

// sierraMC7455 is an MC7455: handles of 16 digits that mean nothing, a +CGLA
// that refuses channel bits in CLA, no +CSIM, and commands that need a password.
func sierraMC7455() personality {
	p := generic().as("sierra-mc7455", "Sierra Wireless, Incorporated", "MC7455", "SWI9X30C_02.33.03.00").
		from(PathCGLA, "field", "lpac#138, lpac#139").without("+CSIM", "+CCID")
	p.Habits = Habits{HexHandle: true, StrictCLA: true, NoTestForms: true}
	p.noProfile = cmeSIMFailure
	p.defaultPDP = "IPV4V6"
	p.linkByCGACT = false
	p.cgregInLTE = true
	slots := slotVerb("!UIMS", 0, 0, "%d")
	p.vendor = []verb{
		iccidVerb("!ICCID", "!ICCID"),
		triesVerb("+CPINC", "%[1]d,%[1]d,%[2]d,%[2]d"),
		authVerb("$QCPDPP", 3, 2),
		{name: "!ENTERCND", test: "-", set: storedSet},
		{name: "!CUSTOM", test: "-", set: accepted},
		{name: "!UIMS", test: "(0,1)", read: slots.read, set: func(x *exec) error {
			if x.p.set.values["!ENTERCND"] != quote("A710") {
				return resError
			}
			return slots.set(x)
		}},
		{name: "!GSTATUS", test: "-", read: gstatus},
		{name: "!SCACT", test: "(0,1),(1-16)", set: sierraSCACT, read: func(x *exec) error {
			for _, c := range x.m.packet.sorted() {
				x.tagged("%d,%d", c.cid, btoi(c.linkUp))
			}
			return nil
		}},
		restartVerb("!RESET"),
	}
	return p
}

func sierraSCACT(x *exec) error {
	on, err := x.int(0, -1, 0, 1)
	if err != nil || on < 0 {
		return cmeBadParameters
	}
	cid, err := x.int(1, 1, 1, maxCID)
	if err != nil {
		return err
	}
	if on == 1 {
		return x.dialUp(cid)
	}
	x.hangDown(cid)
	return nil
}

// sierraEM9191 is an EM9191: +CCHO of the ISD-R is a parameter error, and
// +CCHC is not there.
func sierraEM9191() personality {
	p := sierraMC7455().as("sierra-em9191", "Sierra Wireless, Incorporated", "EM9191", "SWIX55C_03.10.07.00").
		from(PathBlocked, "field", "lpac#187; by MBIM it opens, lpac#166").without("+CCHC", "+CGLA")
	p.hidden = cmeBadParameters
	p.note = "data by !SCACT on an Ethernet-like interface is made up: the model itself has MBIM alone"
	return p
}
