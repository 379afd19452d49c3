package dialect

// foxconn covers T77W968 (Dell DW5821e) and T99W175, which give the card by
// +CSIM alone.
func foxconn() *Dialect {
	d := family("foxconn", "Foxconn T77W968 (Dell DW5821e), T99W175",
		Match{Manufacturer: "foxconn*|dell*"},
		Match{USB: "0489:*|413c:81d7"},
		Match{Model: "T77W968*|DW5821e*|T99W*"},
	)
	d.APDU.Order = []string{CSIM}
	d.APDU.Row = Row{Field, "DW5821e-eSIM: lpac#164, lpac#184"}
	d.ICCID = []Query{d.ICCID[0], {Send: "+ICCID", Tag: "+ICCID", Row: Row{Field, "panels for T99W175"}}}
	d.Slots = Slots{
		Active: Query{Send: "^SWITCH_SLOT?", Tag: "^SWITCH_SLOT"},
		Names:  map[string]string{"SIM1 ENABLE": "0", "SIM2 ENABLE": "1"},
		Select: []Step{{Send: "^SWITCH_SLOT={slot}", Timeout: Seconds(30)}},
		Row:    Row{Field, "lpac#184; T99W175: 0 is the tray, 1 the eSIM"},
	}
	d.SIMReset[1].Row = Row{Assumed, ""}
	d.Refresh.Row = Row{Assumed, ""}
	d.Data = []DataCall{
		onContext1(standardCall([]Address{DHCP, CGCONTRDP}, Row{Assumed, ""}, ECM, NCM, RNDIS)),
		rawIPCall(Row{Assumed, ""}),
	}
	return d
}
