package atsim

// simcomBase has what SIMCom's models share: a context that is up is on the
// network interface.
func simcomBase() personality {
	p := generic()
	p.noProfile = cmeSIMFailure
	p.bootURCs = []string{"*ATREADY: 1"}
	p.readyURCs = []string{"SMS DONE", "PB DONE"}
	p.defaultPDP = "IPV4V6"
	p.cgregInLTE = true
	p.absent = []string{"+CCID"}
	p.vendor = []verb{
		iccidVerb("+CICCID", "+ICCID"),
		{name: "+CPSI", test: "-", read: cpsi},
		{name: "+CNSMOD", test: "(0,1)", read: constant("0,8"), set: accepted},
		{name: "+AUTOCSQ", test: "(0,1),(0,1)", read: constant("0,0"), set: accepted},
		restartVerb("+CRESET"),
	}
	return p
}

// simcom7600 is a SIM7600G-H. Its manual has +CSIM and +CRSM and no +CCHO; no
// logical channel was ever got through it. It does not act on REFRESH.
func simcom7600() personality {
	p := simcomBase().as("simcom-sim7600", "SIMCOM INCORPORATED", "SIMCOM_SIM7600G-H", "LE20B04SIM7600G22").
		from(PathBlocked, "documented", "SIM7500/SIM7600 AT command manual V1.03; lpac#168, lpac#221").without("+CCHO", "+CGLA", "+CCHC")
	p.noChannelSW, p.noRefresh = 0x6881, true
	p.usb = &usbModes{factory: "9018", values: []string{"9001", "9011", "9018"}, other: []string{"9001"}}
	p.vendor = append(p.vendor, usbVerb("+CUSBPIDSWITCH", "%s", true))
	return p
}

// simcom8202 is a SIM8202G-M2.
func simcom8202() personality {
	p := simcomBase().as("simcom-sim8202", "SIMCOM INCORPORATED", "SIM8202G-M2", "SIM8202G-M2_V1.2").from(PathCGLA, "assumed", "")
	p.vendor = append(p.vendor, slotVerb("+SMSIMCFG", 1, 1, "1,%d"))
	return p
}

// simcomA7672 is an A7672E on an ASR chip.
func simcomA7672() personality {
	p := simcomBase().as("simcom-a7672", "INCORPORATED", "A7672E-FASE", "A7672M7_V1.11.1").from(PathCGLA, "assumed", "")
	p.vendor = append(p.vendor, verb{name: "$MYCONFIG", test: "-", read: constant(`"usbnetmode",1`), set: accepted})
	return p
}
