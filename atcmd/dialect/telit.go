package dialect

import "slices"

// telit covers LE910Cx, ME910 and their kin.
//
// +CSIM=1 and +CSIM=0 lock and unlock the card there, and a locked card is
// reported as gone (#QSS: 0): nothing here sends them.
func telit() *Dialect {
	d := family("telit", "Telit LE910Cx, ME910, ML865",
		Match{Manufacturer: "telit*"},
		Match{USB: "1bc7:*"},
		Match{Model: "LE910*|ME910*|ML865*|LE922*|LM9*"},
		Match{Manufacturer: "telit*", Model: "LE910C*WWX*|LE910C*EUX*|LE910C*SAX*"}, // whose USB modes are others than LE910Cx's
	)
	d.Ports = []Ports{
		{USB: "1bc7:1031|1bc7:1033", AT: []int{1, 2}, PPP: []int{2}, Row: Row{Field, "ModemManager, Telit port rules: LE910C1-EUX"}},
		{USB: "1bc7:1201|1bc7:1040|1bc7:1050|1bc7:1060|1bc7:1070", AT: []int{4, 5}, PPP: []int{5}, Row: Row{Field, "ModemManager, Telit port rules: LE910C1, LE922, FN980, LN920, FN990"}},
		{USB: "1bc7:1204|1bc7:1041|1bc7:1051|1bc7:1061|1bc7:1071", AT: []int{5, 6}, PPP: []int{6}, Row: Row{Field, "ModemManager, Telit port rules: MBIM compositions"}},
		{USB: "1bc7:10a0", AT: []int{2}, Row: Row{Field, "ModemManager, Telit port rules: FN920C04"}},
		{USB: "1bc7:10b0|1bc7:10d0", AT: []int{2, 3}, PPP: []int{3}, Row: Row{Field, "ModemManager, Telit port rules: FE990B40, FN990B40"}},
		{USB: "1bc7:10b1|1bc7:10d1", AT: []int{3, 4}, PPP: []int{4}, Row: Row{Field, "ModemManager, Telit port rules: the same, MBIM"}},
	}
	d.Init = []Step{{Send: "#QSS=1", Optional: true, Row: Row{Field, "ModemManager, Telit plugin"}}}
	d.URCs = []URC{{"#QSS", EventSIM, Row{Documented, "Telit AT commands manual; ModemManager, Telit plugin"}}}
	d.APDU.Row = Row{Documented, "Telit ME910 and LE910Cx AT commands manuals: +CCHO, +CGLA, +CCHC"}
	d.ICCID = []Query{d.ICCID[0], {Send: "#CCID", Tag: "#CCID", Row: Row{Documented, "Telit AT commands manual"}}}
	d.Slots = Slots{
		Active: Query{Send: "#SIMSELECT?", Tag: "#SIMSELECT", Row: Row{Assumed, ""}},
		Select: slotsByCFUN("4", "#SIMSELECT={slot}"),
		Row:    Row{Field, "programs for LE910Cx: #SIMSELECT"},
	}
	// The IMSI stands in the same place only in the answer for LTE.
	d.Cells = []CellQuery{{
		Send: "#RFSTS", Tag: "#RFSTS",
		Lines: []CellLine{
			{LTE, "plmn arfcn rsrp rssi rsrq tac:x * * * * * ci:x imsi * * band * * sinr"},
			{LTE, "plmn arfcn rsrp rssi rsrq tac:x * * * * * ci:x imsi * * *"}, // no <SINR>; <ABND> may be something else there
		},
		Row: Row{Documented, "Telit ME910 and LE910Cx AT commands manuals"},
	}}
	d.SIMReset[1].Row = Row{Assumed, ""}
	d.SIMReset = slices.Insert(d.SIMReset, 1, cardPower("#SIMDET=0", "#SIMDET=1", Row{Field, "Eclipse Kura, Telit HE910; Telit application samples"}))
	d.Refresh.Row = Row{Assumed, ""}
	d.Carrier = Carrier{
		Query: Query{Send: "#FWSWITCH?", Tag: "#FWSWITCH"}, Generic: "40",
		Row: Row{Field, "LE910C4-WWXD: image 40 is the global one"},
	}
	d.Function = NetFunction{
		Query: Query{Send: "#USBCFG?", Tag: "#USBCFG"},
		Row:   Row{Field, "the numbers differ by model: ECM is 4 on LE910C1 and 3 elsewhere"},
	}
	d.Auth = append(d.Auth, AuthCommand{
		Set:   `#PDPAUTH={cid},{auth},"{user}","{password}"`,
		Clear: "#PDPAUTH={cid},0",
		Row:   Row{Field, "oFono, Telit driver"},
	})
	d.Data = []DataCall{
		{
			Functions: []Kind{ECM, NCM, RNDIS},
			Up: []Step{
				{Send: "#ECMD=0", Optional: true, Timeout: Seconds(30)}, // one that is up already is an error
				{Send: "#ECM={cid},0", Timeout: Seconds(150)},
			},
			Down:    []Step{{Send: "#ECMD=0", Timeout: Seconds(40)}},
			State:   []StateQuery{{Send: "#ECM?", Tag: "#ECM", CIDField: -1, StateField: 1, Up: "1", Row: Row{Field, "ModemManager, Telit ECM bearer"}}},
			Address: []Address{DHCP},
			Row:     Row{Field, "ModemManager, Telit ECM bearer"},
		},
		rawIPCall(Row{Assumed, ""}),
	}
	return d
}

// telitLE910C covers LE910Cx without the X at the end of its name.
func telitLE910C() *Dialect {
	d := telit().as("telit-le910c", "Telit LE910C1, LE910C4",
		Match{Manufacturer: "telit*", Model: "LE910C*"},
		Match{Model: "LE910C1*|LE910C4*"},
	)
	d.Function = NetFunction{
		Query: Query{Send: "#USBCFG?", Tag: "#USBCFG"}, Kinds: map[string]Kind{"0": QMI, "4": ECM},
		Set: []Step{{Send: "#USBCFG={function}"}, {Send: "#REBOOT", Timeout: Seconds(30), Optional: true}}, // some restart by #USBCFG
		Row: Row{Field, "Sixfab and SensorGnome: LE910C1, LE910C4"},
	}
	return d
}

// telit5G covers FN980 and FN990.
func telit5G() *Dialect {
	d := telit().as("telit-5g", "Telit FN980, FN990, FN920, FE990",
		Match{Manufacturer: "telit*", Model: "FN98*|FN99*|FN92*|FE99*"},
		Match{Model: "FN98*|FN99*|FN92*|FE99*"},
	)
	d.APDU.Row = Row{Assumed, ""}
	d.Carrier = Carrier{}
	d.Data[0] = call("#ICMAUTOCONN=1,{cid}", "#ICMAUTOCONN=0,{cid}", contextState(), Row{Field, "QModem: FN980, FN990"})
	return d
}
