package dialect

// sierra covers the MC74xx, EM74xx and EM75xx of Sierra Wireless, now Semtech.
// Their +CCHO answers 16 hexadecimal digits that mean nothing to a host.
func sierra() *Dialect {
	d := family("sierra", "Sierra Wireless MC74xx, EM74xx, EM75xx, WP76xx, RC76xx",
		Match{Manufacturer: "sierra wireless*|semtech*"},
		Match{USB: "1199:*"},
		Match{Model: "MC7*|EM7*|WP7*|RC7*"},
	)
	d.Ports = []Ports{
		{USB: "1199:c001", AT: []int{0}, PPP: []int{2}, Row: Row{Field, "ModemManager, Sierra port rules: HL7812"}},
		{USB: "1199:*", AT: []int{3}, Row: Row{Field, "ModemManager, Sierra port rules: EM74xx, RC76xx"}},
	}
	d.APDU.Order = []string{CGLA}
	d.APDU.BareReplies = false
	d.APDU.Row = Row{Field, "MC7455: lpac#138; EM7590: lpac#139, lpac#166"}
	d.ICCID = []Query{d.ICCID[0], {Send: "!ICCID?", Tag: "!ICCID", Row: Row{Documented, "AirPrime EM74xx/MC74xx AT command reference"}}}
	d.PINTries = append([]Query{{Send: "+CPINC?", Tag: "+CPINC", Row: Row{Field, "ModemManager, Sierra plugin"}}}, d.PINTries...)
	d.Slots = Slots{
		Active: Query{Send: "!UIMS?", Tag: "!UIMS", Row: Row{Field, "maintenance scripts: !UIMS?"}},
		Select: []Step{
			{Send: `!ENTERCND="A710"`},
			{Send: `!CUSTOM="UIM2ENABLE",1`, Optional: true},
			{Send: "!UIMS={slot}"},
			{Send: "!RESET", Timeout: Seconds(30)},
		},
		Row: Row{Field, "EM74xx users: slots count from 0"},
	}
	d.Cells = []CellQuery{{
		Send: "!GSTATUS?", Tag: "!GSTATUS",
		Labels: map[string]string{
			"System mode": "rat", "TAC": "tac:x", "Cell ID": "ci:x",
			"LTE band": "band", "LTE Rx chan": "arfcn", "PCC RxM RSSI": "rssi", "RSRP (dBm)": "rsrp", "PCC RxM RSRP": "rsrp",
			"RSRQ (dB)": "rsrq", "SINR (dB)": "sinr",
			"WCDMA channel": "arfcn",
			"NR5G MCC-MNC":  "plmn", "NR5G TAC": "tac:x", "NR5G Cell ID": "ci:x", "NR5G band": "band", "NR5G Rx chan": "arfcn",
			"NR5G RSRP (dBm)": "rsrp", "NR5G RSRQ (dB)": "rsrq", "NR5G SINR (dB)": "sinr",
		},
		Row: Row{Field, "answers of MC7455, EM7565, MC8705, EM9191"},
	}}
	d.SIMReset = []ResetStep{d.SIMReset[0], cycle("0", "1", Row{Assumed, ""}), restart("!RESET", Row{Field, "ModemManager, Sierra plugin"})}
	d.Refresh.Row = Row{Assumed, ""}
	// No Carrier: !IMPREF? answers a list with a line a value, which no query
	// here reads.
	d.Function = NetFunction{Row: Row{Field, "!USBCOMP masks: 0x1009 MBIM, 0x0109 rmnet"}}
	d.Auth = append([]AuthCommand{{
		Set:   `$QCPDPP={cid},{auth},"{password}","{user}"`,
		Clear: "$QCPDPP={cid},0",
		Row:   Row{Field, "ModemManager, Sierra bearer: password before user"},
	}}, d.Auth...)
	c := call("!SCACT=1,{cid}", "!SCACT=0,{cid}",
		StateQuery{Send: "!SCACT?", Tag: "!SCACT", CIDField: 0, StateField: 1, Up: "1", Row: Row{Field, "ModemManager, Sierra bearer"}},
		Row{Field, "ModemManager, Sierra bearer: the direct-IP interface has DHCP"})
	c.Functions = append(c.Functions, RawIP)
	d.Data = []DataCall{c}
	return d
}

// sierra5G covers EM91xx, whose AT commands do not reach the ISD-R; MBIM does.
func sierra5G() *Dialect {
	d := sierra().as("sierra-5g", "Sierra Wireless EM9190, EM9191, EM9291",
		Match{Manufacturer: "sierra wireless*|semtech*", Model: "EM91*|EM92*"},
		Match{Model: "EM919*|EM929*"},
	)
	d.APDU.Verdict = Blocked
	d.APDU.Advice = "this firmware opens the eUICC by MBIM only, which this build does not speak"
	d.APDU.Row = Row{Field, "EM9191: +CCHO ends with a parameter error, +CCHC is missing: lpac#187; MBIM: lpac#166"}
	return d
}
