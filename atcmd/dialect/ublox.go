package dialect

// ublox covers SARA, LARA, TOBY and LEXI. +CSIM is in all their manuals;
// +CCHO is in some.
func ublox() *Dialect {
	d := family("ublox", "u-blox SARA, LARA, TOBY, LEXI",
		Match{Manufacturer: "u-blox*"},
		Match{USB: "1546:*"},
		Match{Model: "SARA-*|LARA-*|TOBY-*|LEXI-*"},
	)
	d.Ports = []Ports{
		{USB: "05c6:908b", AT: []int{1, 2}, PPP: []int{2}, Row: Row{Field, "ModemManager, u-blox port rules: LARA-R6"}},
		{USB: "1546:1010", AT: []int{6}, Row: Row{Field, "ModemManager, u-blox port rules: TOBY-L4"}},
		{USB: "1546:1102|1546:1104|1546:1107|1546:110a", AT: []int{0, 2}, PPP: []int{2}, Row: Row{Field, "ModemManager, u-blox port rules: TOBY-R2, LARA-R2, SARA-U2"}},
	}
	d.Init = []Step{
		{Send: "+UPSV=0", Optional: true, Row: Row{Documented, "LEXI-R10 AT commands manual: no power saving in a SIM sequence"}},
		{Send: "+UCGED=2", Optional: true, Row: Row{Documented, "SARA-R5 AT commands manual"}}, // how +UCGED? answers
	}
	d.URCs = []URC{
		{"+UUSIMSTAT", EventSIM, Row{Assumed, ""}},
		{"+UGCNTRD", EventOther, Row{Field, "ModemManager, u-blox plugin"}},
		{"+UUPSDD", EventContext, Row{Documented, "u-blox AT commands manual"}},
	}
	d.APDU.Order = []string{CSIM, CGLA}
	d.APDU.Row = Row{Documented, "u-blox AT commands manuals: +CSIM"}
	d.ICCID = []Query{d.ICCID[0], {Send: "+CCID", Tag: "+CCID", Row: Row{Documented, "u-blox AT commands manual"}}}
	d.PINTries = append([]Query{{Send: "+UPINCNT", Tag: "+UPINCNT", Row: Row{Field, "ModemManager, u-blox plugin"}}}, d.PINTries...)
	d.Cells = []CellQuery{{
		Send: "+UCGED?", Tag: "+UCGED",
		Lines: []CellLine{
			{"", "arfcn band * * tac:x ci:x pci * * * rsrp:1n-141 rsrq:0.5n-20 sinr"},
			{LTE, "=6 * mcc mnc"},
		},
		Row: Row{Documented, "SARA-R5 AT commands manual; answers of SARA-R510, LARA-R6"},
	}}
	d.SIMReset = []ResetStep{d.SIMReset[0], restart("+CFUN=16", Row{Documented, "u-blox AT commands manual: reset of modem and SIM card"}), cycle("0", "1", Row{Assumed, ""})}
	d.Refresh.Row = Row{Assumed, ""}
	d.Carrier = Carrier{
		Query: Query{Send: "+UMNOPROF?", Tag: "+UMNOPROF"}, Auto: Query{Send: "+UMNOPROF?", Tag: "+UMNOPROF"}, AutoOn: "1",
		Generic: "90|100", // the global and the European one
		Row:     Row{Documented, "SARA-R4, SARA-R5, LARA-R6 AT commands manuals"},
	}
	d.Function = NetFunction{
		Query: Query{Send: "+UUSBCONF?", Tag: "+UUSBCONF"},
		Kinds: map[string]Kind{"0": PPP, "2": ECM, "3": RNDIS},
		Set:   []Step{{Send: "+UUSBCONF={function}"}, {Send: "+CFUN=16", Timeout: Seconds(30)}},
		Row:   Row{Field, "ModemManager, u-blox plugin: TOBY-L4, LARA-R2"},
	}
	d.Attach.Define = []Step{{Send: `+UCGDFLT=1,"{type}","{apn}"`, Optional: true}}
	d.Attach.Row = Row{Field, "programs for TOBY-L2: +UCGDFLT and context 1"}
	d.Auth = append([]AuthCommand{{
		Set:   `+UAUTHREQ={cid},{auth},"{user}","{password}"`,
		Clear: `+UAUTHREQ={cid},0,"",""`,
		Row:   Row{Field, "ModemManager, u-blox bearer"},
	}}, d.Auth...)
	d.Data[0].CID = 0
	d.Data[0].Row = Row{Field, "ModemManager, u-blox bearer: router mode (+UBMCONF: 1)"}
	return d
}
