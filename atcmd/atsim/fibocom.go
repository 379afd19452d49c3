package atsim

import "strings"

// fibocomBase has what Fibocom's models share.
func fibocomBase() personality {
	p := generic()
	p.noProfile = cmeSIMFailure
	p.defaultPDP = "IPV4V6"
	p.linkByCGACT = false
	p.cgregInLTE = true
	p.resetFun = 15
	p.simURCs = []string{"+SIM: Inserted"}
	p.readyURCs = []string{"+SIM READY"}
	p.absent = []string{"+CCID"}
	p.vendor = []verb{
		iccidVerb("+ICCID", "+ICCID"),
		authVerb("+MGAUTH", 2, 3),
		{name: "+GTCCINFO", test: "-", read: gtccinfo("%X")},
		{name: "+GTDUALSIM", test: "(0,1)", set: slotVerb("+GTDUALSIM", 0, 0, "").set, read: func(x *exec) error {
			x.info(`+GTDUALSIM : %d, "SUB%d", "LTE"`, x.m.slot, x.m.slot+1) // with a blank before the colon
			return nil
		}},
		{name: "+GTRNDIS", test: "(0,1),(1-16)", set: fibocomRNDIS, read: func(x *exec) error {
			if c := x.m.linked(); c != nil {
				x.tagged(`1,%d,"%s"`, c.cid, c.lease.Addr.Addr())
				return nil
			}
			x.tagged("0")
			return nil
		}},
	}
	return p
}

// fibocomRNDIS is +GTRNDIS=<on>[,<cid>]; a call that is up already is an error.
func fibocomRNDIS(x *exec) error {
	on, err := x.int(0, -1, 0, 1)
	if err != nil || on < 0 {
		return cmeBadParameters
	}
	cid, err := x.int(1, 1, 1, maxCID)
	if err != nil {
		return err
	}
	c := x.m.linked()
	switch {
	case on == 1 && c != nil, on == 0 && c == nil:
		return cmeNotAllowed
	case on == 1:
		return x.dialUp(cid)
	}
	x.hangDown(c.cid)
	return nil
}

// fibocomFM350 is an FM350-GL on MediaTek's T700: answers without tags, no
// +CSIM, no DHCP.
func fibocomFM350() personality {
	p := fibocomBase().as("fibocom-fm350", "Fibocom Wireless Inc.", "FM350-GL", "81600.0000.00.29.23.05").
		from(PathCGLA, "field", "lpac#179, lpac#209, lpac#442 to #448").without("+GTRNDIS", "+MGAUTH", "+CSIM")
	p.Habits = Habits{BareAnswers: true, NoTestForms: true}
	p.noProfileText = "EMPTY_EUICC"
	p.playsNet = true
	p.linkByCGACT = true
	p.vendor = append(p.vendor,
		verb{name: "+GTCCINFO", test: "-", read: gtccinfo("%d")},
		verb{name: "+EIAAPN", test: "-", set: accepted},
		verb{name: "+GTUSBMODE", test: "-", read: constant("41"), set: accepted},
		verb{name: "+SIMTYPE", test: "-", read: constant("1")},
	)
	return p
}

// fibocomFG132 is an FG132-GL, whose test commands fail.
func fibocomFG132() personality {
	p := fibocomBase().as("fibocom-fg132", "Fibocom Wireless Inc.", "FG132-GL", "FG132-GL.V1.0").from(PathCGLA, "field", "lpac#300")
	p.Habits.NoTestForms = true
	return p
}

// fibocomFM160 is an FM160-EAU.
func fibocomFM160() personality {
	return fibocomBase().as("fibocom-fm160", "Fibocom Wireless Inc.", "FM160-EAU", "89614.1000.00.04.07.20").from(PathCGLA, "assumed", "")
}

// fibocomL850 is an L850-GL on Intel's XMM7360: its attach has context 0, and
// +CGDATA ends with CONNECT without taking the port away.
func fibocomL850() personality {
	p := fibocomBase().as("fibocom-l850", "Fibocom Wireless Inc.", "L850", "18500.5001.09.02.24.02").
		from(PathCGLA, "field", "oFono, XMM7xxx driver").without("+GTRNDIS", "+MGAUTH", "+GTCCINFO")
	p.zeroCID = true
	p.usb = &usbModes{factory: "0", values: []string{"0", "7"}, other: []string{"7"}}
	p.vendor = append(p.vendor,
		usbVerb("+GTUSBMODE", "%s", false),
		authVerb("+XGAUTH", 2, 3),
		verb{name: "+XDNS", test: "-", set: accepted},
		verb{name: "+XCESQ", test: "-", read: constant("0,99,99,255,255,24,51,18"), set: accepted},
		verb{name: "+XDATACHANNEL", test: "-", set: func(x *exec) error {
			on, err := x.int(0, 0, 0, 1)
			if err != nil {
				return err
			}
			x.m.channelFor = 0
			if on == 1 {
				if x.m.channelFor, err = x.int(5, -1, 0, maxCID); err != nil {
					return err
				}
			}
			return nil
		}},
		verb{name: "+CGDATA", test: `("M-RAW_IP")`, set: func(x *exec) error {
			cid, err := x.int(1, 1, 0, maxCID)
			if err != nil || strings.ToUpper(x.str(0)) != "M-RAW_IP" {
				return cmeNotSupported
			}
			if c := x.m.packet.contexts[cid]; c == nil || !c.active || x.m.channelFor != cid {
				return resNoCarrier
			}
			if err := x.m.linkUp(cid); err != nil {
				return err
			}
			x.stop, x.suffix = true, x.p.set.code(resConnect)
			return nil
		}},
	)
	return p
}

// foxconnT77W968 is Dell's DW5821e with the eSIM: +CSIM alone.
func foxconnT77W968() personality {
	p := generic().as("foxconn-t77w968", "Foxconn", "T77W968", "T77W968.F1.0.0.5.2").
		from(PathCSIM, "field", "lpac#164, lpac#184").without("+CCHO", "+CGLA", "+CCHC", "+CCID")
	p.noProfile = cmeSIMFailure
	p.defaultPDP = "IPV4V6"
	p.cgregInLTE = true
	p.vendor = []verb{
		iccidVerb("+ICCID", "+ICCID"),
		{name: "^SWITCH_SLOT", test: "(0,1)", set: slotVerb("^SWITCH_SLOT", 0, 0, "").set, read: func(x *exec) error {
			x.info("SIM%d ENABLE", x.m.slot+1)
			return nil
		}},
	}
	return p
}

// mediatekT830 is a T830 in a vendor's hands of whom nothing is known, assumed
// to be like FM350.
func mediatekT830() personality {
	p := generic().as("mediatek-t830", "MediaTek Inc.", "T830", "MOLY.NR15.R3.TC8").from(PathCGLA, "assumed", "").without("+CSIM")
	p.Habits = Habits{BareAnswers: true, NoTestForms: true}
	p.noProfile = cmeSIMFailure
	p.defaultPDP = "IPV4V6"
	p.playsNet = true
	p.vendor = []verb{{name: "+EIAAPN", test: "-", set: accepted}}
	return p
}
