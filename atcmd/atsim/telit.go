package atsim

import "context"

// telitLE910 is an LE910C4-EU. Sources: Telit's AT commands manual for the
// ME910 and LE910Cx, and how ModemManager dials it.
func telitLE910() personality {
	p := generic().as("telit-le910", "Telit", "LE910C4-EU", "25.20.664").from(PathCGLA, "documented", "Telit ME910, LE910Cx AT commands manuals")
	p.noProfile = cmeSIMFailure
	p.noApplication = cmeSIMFailure
	p.defaultPDP = "IPV4V6"
	p.linkByCGACT = false
	p.simURCs = []string{"#QSS: 1", "#QSS: 3"}
	p.notReadyURC = "#QSS: 0"
	p.usb = &usbModes{factory: "4", values: []string{"0", "4"}, other: []string{"0"}}
	p.vendor = []verb{
		iccidVerb("#CCID", "#CCID"),
		{name: "#QSS", test: "(0-2)", set: storedSet, read: func(x *exec) error {
			state := 0
			if x.m.card.present {
				state = 1
				if x.needSIM() == nil {
					state = 3
				}
			}
			x.tagged("%s,%d", storedOr(x, "0"), state)
			return nil
		}},
		{name: "+CSIM", test: "-", set: telitCSIM},
		{name: "#SIMDET", test: "(0-2)", set: simDetect, read: func(x *exec) error { x.tagged("%s,%d", storedOr(x, "2"), btoi(x.m.card.present)); return nil }},
		slotVerb("#SIMSELECT", 1, 0, "%d"),
		{name: "#RFSTS", test: "-", exec: rfsts, read: rfsts},
		{name: "#FWSWITCH", test: "(0-40),(0,1)", read: constant("40,1"), set: accepted},
		usbVerb("#USBCFG", "%s", false),
		restartVerb("#REBOOT"),
		authVerb("#PDPAUTH", 2, 3),
		{name: "#ECM", test: "(1-16),(0)", set: telitECM, read: func(x *exec) error {
			x.tagged("0,%d", btoi(x.m.linked() != nil))
			return nil
		}},
		{name: "#ECMD", test: "(0)", set: func(x *exec) error {
			if c := x.m.linked(); c != nil {
				x.hangDown(c.cid)
			}
			return nil
		}},
	}
	return p
}

// telitECM is #ECM=<cid>,<did>; a call that is up already is an error.
func telitECM(x *exec) error {
	cid, err := x.int(0, -1, 1, maxCID)
	if err != nil || cid < 0 {
		return cmeBadParameters
	}
	if x.m.linked() != nil {
		return cmeNotAllowed
	}
	return x.dialUp(cid)
}

// telitCSIM is +CSIM with Telit's trap: +CSIM=1 and +CSIM=0 lock and unlock the
// card, and a locked card is reported as taken out.
func telitCSIM(x *exec) error {
	if x.n() != 1 {
		return csim(x)
	}
	lock, err := x.int(0, -1, 0, 1)
	if err != nil {
		return err
	}
	line := "#QSS: 3"
	if lock == 1 {
		line = "#QSS: 0"
	}
	x.m.after("csim-lock", 0, func(context.Context) { x.m.urc(line) })
	return nil
}

// storedOr is what the running command was set to on this port, or def.
func storedOr(x *exec, def string) string {
	if v, ok := x.p.set.values[x.cmd.name]; ok {
		return v
	}
	return def
}

// telitFN990 is an FN990A28.
func telitFN990() personality {
	p := telitLE910().as("telit-fn990", "Telit Cinterion", "FN990A28", "45.00.064").from(PathCGLA, "assumed", "").without("#ECM", "#ECMD", "#FWSWITCH")
	p.usb = &usbModes{factory: "3", values: []string{"0", "1", "2", "3"}, other: []string{"1", "2"}} // QModem
	p.vendor = append(p.vendor, verb{name: "#ICMAUTOCONN", test: "(0,1),(1-16)", set: func(x *exec) error {
		on, err := x.int(0, 0, 0, 1)
		if err != nil {
			return err
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
	}})
	return p
}
