package dialect

// simcom covers the Qualcomm models SIM82xx and SIM83xx. How their firmware
// treats an eUICC is not known.
func simcom() *Dialect {
	d := family("simcom", "SIMCom SIM82xx, SIM83xx",
		Match{Manufacturer: "simcom*"},
		Match{USB: "1e0e:*"},
		Match{Model: "SIM82*|SIM83*|SIMCOM_SIM8*"},
	)
	d.Ports = []Ports{
		{USB: "1e0e:9001|1e0e:9018", AT: []int{2, 3}, PPP: []int{3}, Row: Row{Field, "ModemManager, SimTech port rules: 9001"}},
		{USB: "1e0e:9011", AT: []int{4}, PPP: []int{5}, Row: Row{Field, "ModemManager, SimTech port rules: A7600E-H, A7602E-H"}},
	}
	d.URCs = []URC{
		{"+SIMCARD", EventSIM, Row{Assumed, ""}},
		{"SMS DONE", EventSIM, Row{Field, "SIM7600 boot logs"}},
		{"PB DONE", EventSIM, Row{Field, "SIM7600 boot logs"}},
		{"*ATREADY", EventBoot, Row{Field, "A7600 boot logs"}},
		{"RDY", EventBoot, Row{Assumed, ""}},
		{"+CNSMOD", EventRegistration, Row{Field, "ModemManager, SimTech plugin"}},
	}
	d.APDU.Row = Row{Assumed, ""}
	d.ICCID = []Query{d.ICCID[0], {Send: "+CICCID", Tag: "+ICCID", Row: Row{Field, "programs for SIM7600 and A7600"}}}
	d.Slots = Slots{
		Active: Query{Send: "+SMSIMCFG?", Tag: "+SMSIMCFG", Field: 1},
		Select: []Step{{Send: "+SMSIMCFG=1,{slot}", Timeout: Seconds(30), Pause: Seconds(2)}},
		Row:    Row{Field, "QModem: SIM82xx, SIM83xx; router programs for SIM8200: slots count from 1"},
	}
	d.Cells = []CellQuery{{
		Send: "+CPSI?", Tag: "+CPSI",
		Lines: []CellLine{
			{LTE, "=LTE * plmn tac:x ci pci band arfcn * * rsrq:0.1n rsrp:0.1n rssi:0.1n sinr"},
			{NR, "=NR5G_SA * plmn tac:x ci pci band arfcn rsrp:0.1n rsrq:0.1n sinr:0.1n"},
			{NR, "=NR5G_NSA pci band arfcn rsrp:0.1n rsrq:0.1n sinr:0.1n"},
			{UMTS, "=WCDMA * plmn tac:x ci * pci arfcn"},
			{GSM, "=GSM * plmn tac:x ci arfcn"},
		},
		Row: Row{Field, "SIM7500/SIM7600 AT command manual for the order; tenths of a dB: answers of SIM7600, SIM8202, SIM8260"},
	}}
	d.SIMReset[1].Row = Row{Assumed, ""}
	d.Refresh.Row = Row{Assumed, ""}
	d.Data = []DataCall{
		onContext1(standardCall([]Address{DHCP, CGCONTRDP}, Row{Field, "QModem: the ECM and RNDIS compositions carry context 1 by themselves"}, ECM, NCM, RNDIS)),
		rawIPCall(Row{Assumed, ""}),
	}
	return d
}

// simcom7600 is the SIM7600 and its kin SIM7500.
func simcom7600() *Dialect {
	d := simcom().as("simcom-7600", "SIMCom SIM7500, SIM7600",
		Match{Manufacturer: "simcom*", Model: "SIMCOM_SIM75*|SIMCOM_SIM76*|SIM75*|SIM76*"},
		Match{Model: "SIMCOM_SIM75*|SIMCOM_SIM76*|SIM7500*|SIM7600*"},
	)
	d.APDU.Order = []string{CSIM}
	d.APDU.Verdict = Blocked
	d.APDU.Advice = "use another modem for this card: by QMI, too, this firmware denies the eUICC's channel"
	d.APDU.Row = Row{Documented, "SIM7500/SIM7600 AT command manual V1.03 has +CSIM and +CRSM alone; lpac#168, lpac#221"}
	d.Slots = Slots{}
	d.Refresh = Refresh{Row: Row{Field, "lpac#236: REFRESH is not acted on"}}
	d.SIMReset = []ResetStep{cycle("0", "1", Row{Assumed, ""}), restart("+CRESET", Row{Field, "ModemManager, SimTech plugin"})}
	d.Function = NetFunction{
		Query: Query{Send: "+CUSBPIDSWITCH?", Tag: "+CUSBPIDSWITCH"},
		Kinds: map[string]Kind{"9001": QMI, "9011": RNDIS, "9018": ECM},
		Set:   []Step{{Send: "+CUSBPIDSWITCH={function},1,1", Timeout: Seconds(30)}},
		Row:   Row{Field, "SIM7600 in ECM mode on OpenWrt: PID 9018, 192.168.225.x"},
	}
	return d
}

// simcomA76 covers the models on ASR chips.
func simcomA76() *Dialect {
	d := simcom().as("simcom-a76", "SIMCom A7600, A7602, A7670, A7672",
		Match{Manufacturer: "simcom*|incorporated*", Model: "A76*"},
		Match{Model: "A7600*|A7602*|A7608*|A7670*|A7672*|A7680*"},
	)
	d.Slots = Slots{}
	d.Function = NetFunction{
		Query: Query{Send: "$MYCONFIG?", Tag: "$MYCONFIG", Key: "usbnetmode", Field: 1},
		Kinds: map[string]Kind{"0": RNDIS, "1": ECM},
		Set:   []Step{{Send: `$MYCONFIG="usbnetmode",{function}`}, {Send: "+CFUN=1,1", Timeout: Seconds(30)}},
		Row:   Row{Field, "QModem"},
	}
	d.Data[0].Row = Row{Field, "QModem: A76xx"}
	return d
}
