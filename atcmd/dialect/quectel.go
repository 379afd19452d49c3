package dialect

// quectel covers EC2x, EG2x, EG9x, EP06, EM, RM and RG. What differs inside
// the family is tried in order: the LTE Standard models need +QNETDEVCTL to
// carry a context to USB, the Qualcomm models answer ERROR to it and carry
// context 1 by themselves.
func quectel() *Dialect {
	d := family("quectel", "Quectel EC2x, EG2x, EG9x, EP06, EM, RM, RG",
		Match{Manufacturer: "quectel*"},
		Match{USB: "2c7c:*"},
		Match{Model: "EC20*|EC21*|EC25*|EC200*|EG21*|EG25*|EG91*|EG95*|EG800*|EG915*|EG916*|EG06*|EP06*|EM05*|EM06*|EM12*|EM16*|EM20*|RM50*|RM52*|RM55*|RG50*|RG52*|RG65*"},
	)
	d.Ports = []Ports{
		{USB: "2c7c:0121|2c7c:0125|2c7c:0191|2c7c:0195|2c7c:0296|2c7c:0306|2c7c:0512|2c7c:0800|2c7c:0801", AT: []int{2, 3}, PPP: []int{3}, Row: Row{Field, "ModemManager, Quectel port rules"}},
		{USB: "2c7c:0128", AT: []int{5}, Row: Row{Field, "ModemManager, Quectel port rules: EM060K-GL"}},
		{USB: "2c7c:*", AT: []int{2, 3}, PPP: []int{3}, Row: Row{Assumed, ""}},
	}
	d.Init = []Step{
		// URCs on the port that is open, wherever the last one was.
		{Send: `+QURCCFG="urcport","all"`, Optional: true, Row: Row{Assumed, ""}},
		{Send: "+QSIMSTAT=1", Optional: true, Row: Row{Field, "ModemManager, Quectel plugin"}},
		// The clock follows the network and holds local time, as 27.007 says.
		{Send: "+CTZU=3", Optional: true, Row: Row{Field, "vendor examples of EC20, EC800, M95"}},
	}
	d.URCs = []URC{
		{"+QUSIM", EventSIM, Row{Field, "ModemManager, Quectel plugin"}},
		{"+QSIMSTAT", EventSIM, Row{Field, "ModemManager, Quectel plugin"}},
		{"+QNETDEVSTATUS", EventContext, Row{Field, "ModemManager, Quectel plugin"}},
		{"+QIURC", EventOther, Row{Assumed, ""}},
		{"+QIND", EventOther, Row{Assumed, ""}},
		{"RDY", EventBoot, Row{Field, "modem reports"}},
		{"POWERED DOWN", EventBoot, Row{Assumed, ""}},
	}
	d.Carrier = Carrier{
		Query:   Query{Send: `+QMBNCFG="List"`, Tag: "+QMBNCFG", Key: "List", Field: 4, Where: "3=1"},
		Auto:    Query{Send: `+QMBNCFG="AutoSel"`, Tag: "+QMBNCFG", Key: "AutoSel", Field: 1},
		AutoOn:  "1",
		Generic: "ROW_*|*Generic*",
		Row:     Row{Field, "EC20 after a profile switch: VoCat PR#110; lists of EC25, RM500Q"},
	}
	d.Signal = []SignalQuery{{
		Send: "+QCSQ", Tag: "+QCSQ", Key: "LTE",
		RSRP: Level{Field: 2, Step: 1, Min: -140, Max: -44},
		RSRQ: Level{Field: 4, Step: 1, Min: -20, Max: -3},
		SINR: Level{Field: 3, Floor: -20, Step: 0.2, Min: 0, Max: 250},
		Row:  Row{Documented, "Quectel EC2x AT commands manual: sinr in fifths of a dB above -20"},
	}}
	// <sinr> of the LTE line is left to +QCSQ: its unit differs by model.
	d.Cells = []CellQuery{{
		Send: `+QENG="servingcell"`, Tag: "+QENG",
		Lines: []CellLine{
			{LTE, "=servingcell * =LTE * mcc mnc ci:x pci arfcn band * * tac:x rsrp rsrq rssi"},
			{NR, "=servingcell * =NR5G-SA * mcc mnc ci:x pci tac:x arfcn band * rsrp rsrq sinr"},
			{UMTS, "=servingcell * =WCDMA mcc mnc tac:x ci:x arfcn pci"},
			{GSM, "=servingcell * =GSM mcc mnc tac:x ci:x * arfcn"},
			{LTE, "=LTE * mcc mnc ci:x pci arfcn band * * tac:x rsrp rsrq rssi"}, // EN-DC: two lines behind one with the state
			{NR, "=NR5G-NSA mcc mnc pci rsrp sinr rsrq arfcn band"},
		},
		Row: Row{Documented, "Quectel EC2x and RG50xQ/RM5xxQ AT commands manuals"},
	}}
	d.APDU.BareReplies = false
	d.APDU.Row = Row{Field, "openpilot on EG25 and EG916Q; EC20: lpac#186"}
	d.ICCID = []Query{
		d.ICCID[0],
		// EG916Q answers CME 3 to reads of files.
		{Send: "+QCCID", Tag: "+QCCID", Row: Row{Documented, "Quectel AT commands manual"}},
	}
	d.PINTries = append([]Query{
		{Send: `+QPINC="SC"`, Tag: "+QPINC", Key: "SC", Field: 1, Row: Row{Documented, "Quectel AT commands manual"}},
	}, d.PINTries...)
	d.Slots = Slots{
		Active: Query{Send: "+QUIMSLOT?", Tag: "+QUIMSLOT|+QUSIMSLOT", Row: Row{Field, "QModem: some firmwares answer with the other tag"}},
		Select: slotsByCFUN("0", "+QUIMSLOT={slot}"),
		Row:    Row{Field, "QModem"},
	}
	d.SIMReset[1].Row = Row{Field, "EG916Q: openpilot lpa.py"}
	d.Refresh.Row = Row{Field, "EG25: openpilot lpa.py"}
	d.Function = NetFunction{
		Query: Query{Send: `+QCFG="usbnet"`, Tag: "+QCFG", Key: "usbnet", Field: 1, Row: Row{Field, "QModem"}},
		Kinds: map[string]Kind{"0": QMI, "1": ECM, "2": MBIM, "3": RNDIS, "5": NCM},
		Set:   []Step{{Send: `+QCFG="usbnet",{function}`}, {Send: "+CFUN=1,1", Timeout: Seconds(30)}},
		Row:   Row{Field, "QModem"},
	}
	d.Attach.Row = Row{Field, "ModemManager: lowest context of Qualcomm modems"}
	d.Auth = append(d.Auth, AuthCommand{
		Set:   `+QICSGP={cid},{ptype},"{apn}","{user}","{password}",{auth}`,
		Clear: `+QICSGP={cid},{ptype},"{apn}","","",0`,
		Row:   Row{Field, "EC20 and EC200 scripts"},
	})
	// Connect type 1 is "once"; type 3 would dial again by itself behind the
	// bearer's back.
	d.Data = []DataCall{
		{
			Functions: []Kind{ECM, NCM, RNDIS},
			CID:       1, // Qualcomm models have no choice
			Up: []Step{
				{Send: "+QNETDEVCTL=1,{cid},1", Optional: true, Timeout: Seconds(30)},
				{Send: "+CGACT=1,{cid}", Timeout: Seconds(150)},
			},
			Down: []Step{
				{Send: "+QNETDEVCTL=0,{cid},0", Optional: true, Timeout: Seconds(30)},
				{Send: "+CGACT=0,{cid}", Timeout: Seconds(40)},
			},
			State: []StateQuery{
				{Send: "+QNETDEVCTL?", Tag: "+QNETDEVCTL", CIDField: 1, StateField: 3, Up: "1", Row: Row{Field, "ModemManager, Quectel plugin"}},
				contextState(),
			},
			Address: []Address{DHCP},
			Row:     Row{Field, "EC200A, EC801E, RG255: type, context, URC switch, state"},
		},
		rawIPCall(Row{Assumed, ""}),
	}
	return d
}

// quectelUnisoc covers the 5G models on Unisoc chips, whose +QNETDEVCTL has the
// same name and other parameters.
func quectelUnisoc() *Dialect {
	d := quectel().as("quectel-unisoc", "Quectel RM500U, RG200U, RG500U",
		Match{Manufacturer: "quectel*", Model: "RM500U*|RG200U*|RG500U*"},
		Match{Manufacturer: "quectel*", Revision: "RM500U*|RG200U*|RG500U*"},
		Match{Model: "RM500U*|RG200U*|RG500U*"},
	)
	d.APDU.Row = Row{Assumed, ""} // the reports are of the models on Qualcomm chips
	d.Data[0] = call("+QNETDEVCTL={cid},1,1", "+QNETDEVCTL={cid},2,1", contextState(),
		Row{Field, "QModem; an RM500U's own ranges, context first: (1-8),(0-3),(0,1); programs that dial context 2"})
	return d
}

// quectelStandard covers the LTE Standard models whose +QNETDEVCTL is known to
// take any context, so that data need not share the attach's.
func quectelStandard() *Dialect {
	d := quectel().as("quectel-standard", "Quectel EC200A, EC801E (LTE Standard A and E)",
		Match{Manufacturer: "quectel*", Model: "EC200A*|EC801E*"},
		Match{Model: "EC200A*|EC801E*"},
	)
	d.APDU.Row = Row{Assumed, ""} // the reports are of other models
	d.Data[0].CID = 0
	d.Data[0].Row = Row{Field, "programs after the AT manuals of LTE Standard A and E: operation (0,1,3), context (1-15), URC switch"}
	return d
}

// quectelOwnLPA covers models whose firmware holds the ISD-R with an LPA of its
// own, until that is switched off.
func quectelOwnLPA() *Dialect {
	d := quectel().as("quectel-lpa", "Quectel RG650E: an LPA in the firmware",
		Match{Manufacturer: "quectel*", Model: "RG650E*"},
		Match{Model: "RG650E*"},
	)
	d.APDU.Verdict = Blocked
	d.APDU.Advice = `the firmware's own LPA holds the eUICC: AT+QESIM="lpa_enable",0 and AT+CFUN=1,1 give it up`
	d.APDU.Row = Row{Field, "reports of RG650E users: +QESIM"}
	return d
}
