package dialect

// huawei covers the data cards and modules on HiSilicon chips. Of those that
// were tried none gave an eUICC to the host.
func huawei() *Dialect {
	d := family("huawei", "Huawei ME909, MS2372, E3372, MT57xx",
		Match{Manufacturer: "huawei*|td tech*"},
		Match{USB: "12d1:*"},
		Match{Model: "ME909*|MU909*|MS2372*|E3372*|MT57*"},
	)
	d.Init = []Step{{Send: "^CURC=0", Optional: true, Row: Row{Field, "ModemManager, Huawei plugin: no URCs that nobody reads"}}}
	d.Finals = []string{"ERROR: DUPLICATED", "NO NETWORK SERVICE"}
	d.URCs = []URC{
		{"^SIMST", EventSIM, Row{Documented, "Huawei ME909 AT command reference"}},
		{"^NDISSTAT", EventContext, Row{Field, "ModemManager, Huawei plugin"}},
		{"^NDISEND", EventContext, Row{Field, "ModemManager, Huawei plugin"}},
		{"^RSSI", EventOther, Row{Field, "ModemManager, Huawei plugin"}},
		{"^HCSQ", EventOther, Row{Field, "ModemManager, Huawei plugin"}},
		{"^MODE", EventRegistration, Row{Field, "ModemManager, Huawei plugin"}},
		{"^SRVST", EventRegistration, Row{Field, "ModemManager, Huawei plugin"}},
		{"^BOOT", EventOther, Row{Field, "ModemManager, Huawei plugin"}},
	}
	d.APDU.Verdict = Blocked
	d.APDU.Advice = "use another modem for this card"
	d.APDU.Row = Row{Field, "MS2372h: no logical channel by +CSIM, +CCHO always ends with an error: lpac#164"}
	d.ICCID = []Query{d.ICCID[0], {Send: "^ICCID?", Tag: "^ICCID", Row: Row{Documented, "Huawei ME909 AT command reference"}}}
	// ^CPIN: READY,,10,3,10,3: state, type, tries of PUK1 and PIN1
	d.PINTries = append([]Query{{Send: "^CPIN?", Tag: "^CPIN", Field: 3, Row: Row{Field, "ModemManager, Huawei plugin"}}}, d.PINTries...)
	d.Slots = Slots{
		Active: Query{Send: "^SCICHG?", Tag: "^SCICHG"},
		Select: []Step{
			{Send: "^HVSST=1,0", Optional: true, Timeout: Seconds(30)},
			{Send: "^SCICHG={slot},{other}", Timeout: Seconds(30)},
			{Send: "^HVSST=1,1", Optional: true, Timeout: Seconds(30)},
			{Send: "+CFUN=0", Timeout: Seconds(30), Pause: Seconds(2)},
			{Send: "+CFUN=1", Timeout: Seconds(30)},
		},
		Row: Row{Field, "QModem; panels for MT5700M: slots count from 0, 1 is inside"},
	}
	d.USSD = USSD{Packed: true, Row: Row{Field, "ModemManager, Huawei plugin"}}
	d.SIMReset = []ResetStep{d.SIMReset[0], cycle("0", "1", Row{Assumed, ""}), restart("^RESET", Row{Field, "ModemManager, Huawei plugin"})}
	d.Refresh.Row = Row{Assumed, ""}
	d.Auth = append([]AuthCommand{{
		Set:   `^AUTHDATA={cid},{auth},"","{user}","{password}"`,
		Clear: "^AUTHDATA={cid},0",
		Row:   Row{Field, "QModem and others: ^AUTHDATA"},
	}}, d.Auth...)
	d.Data = []DataCall{{
		Functions: []Kind{ECM, NCM, RNDIS},
		CID:       1,
		Up: []Step{
			{Send: "^NDISDUP=1,0", Optional: true, Timeout: Seconds(30)}, // ERROR where nothing is up
			{Send: `^NDISDUP=1,1,"{apn}"`, When: WithoutAuth, Timeout: Seconds(30)},
			{Send: `^NDISDUP=1,1,"{apn}","{user}","{password}",{auth}`, When: WithAuth, Timeout: Seconds(30)},
		},
		Down:    []Step{{Send: "^NDISDUP=1,0", Optional: true, Timeout: Seconds(40)}},
		State:   []StateQuery{{Send: "^NDISSTATQRY?", Tag: "^NDISSTATQRY", CIDField: -1, StateField: 0, Up: "1", Row: Row{Field, "ModemManager, Huawei bearer"}}},
		Settle:  Seconds(180),
		Address: []Address{DHCP},
		Row:     Row{Field, "ModemManager, Huawei bearer"},
	}, rawIPCall(Row{Assumed, ""})}
	d.Cells = []CellQuery{{
		Send: "^MONSC", Tag: "^MONSC",
		Lines: []CellLine{
			{LTE, "=LTE mcc mnc arfcn ci:x pci:x tac:x rsrp rsrq rssi"},
			{NR, "=NR mcc mnc arfcn * ci:x pci:x tac:x rsrp rsrq sinr"},
		},
		Row: Row{Field, "HiSilicon modem sources; answers of E3372, MT5700M"},
	}}
	d.Signal = []SignalQuery{{
		Send: "^HCSQ?", Tag: "^HCSQ", Key: "LTE",
		RSRP: Level{Field: 2, Floor: -141, Step: 1, Min: 0, Max: 97},
		SINR: Level{Field: 3, Floor: -20.2, Step: 0.2, Min: 0, Max: 251},
		RSRQ: Level{Field: 4, Floor: -20, Step: 0.5, Min: 0, Max: 34},
		Row:  Row{Documented, "Huawei ME909 AT command reference: steps above the floor"},
	}}
	return d
}
