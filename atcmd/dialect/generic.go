package dialect

import "time"

// generic is 27.007 and nothing else. Other dialects start from it.
func generic() *Dialect {
	return &Dialect{
		Name:  "generic",
		About: "any modem that follows 3GPP TS 27.007",

		APDU: APDU{
			// +CCHO and +CSIM are both optional in 27.007; the handle needs no
			// knowledge of the card, so it comes first.
			Order: []string{CGLA, CSIM},
			Open:  Seconds(15),
			// A card may think for 47 s about one block, and a modem was seen
			// to need far longer (lpac#92, lpac#442).
			Transmit:           Seconds(240),
			Close:              Seconds(30),
			BareReplies:        true,
			MaxChannel:         3, // TS 102 221, 11.1.17: a card has at least channels 1 to 3 when it has any
			TerminalCapability: true,
			BusyTries:          10,
			BusyPause:          Duration(250 * time.Millisecond),
			Row:                Row{Field, "openpilot lpa.py, lpac#209, lpac#442, lpac#448"},
		},
		ICCID: []Query{
			// READ BINARY of EF_ICCID 2FE2, 10 bytes (TS 102 221, 13.2).
			{Send: "+CRSM=176,12258,0,0,10", Tag: "+CRSM", Field: 2, CRSM: true, Row: Row{Documented, "27.007 8.18"}},
			{Send: "+CCID", Tag: "+CCID", Row: Row{Assumed, ""}},
			{Send: "+ICCID", Tag: "+ICCID", Row: Row{Assumed, ""}},
		},
		PINTries: []Query{
			{Send: "+CPINR", Tag: "+CPINR", Key: "SIM PIN", Field: 1, Row: Row{Documented, "27.007 8.65"}},
		},
		SIMReset: []ResetStep{
			{Name: "wait for REFRESH", Settle: Seconds(10), Row: Row{Field, "agnos-builder#556"}},
			cycle("0", "1", Row{Field, "openpilot lpa.py"}),
			restart("+CFUN=1,1", Row{Documented, "27.007 8.2"}),
		},
		Refresh: Refresh{Flag: true, Row: Row{Documented, "SGP.22 5.7.16"}},

		Attach: AttachContext{CID: 1, Row: Row{Assumed, ""}}, // 27.007 says 0; most modems on USB use 1
		Auth: []AuthCommand{{
			Set:   `+CGAUTH={cid},{auth},"{user}","{password}"`,
			Clear: "+CGAUTH={cid},0",
			Row:   Row{Documented, "27.007 10.1.31"},
		}},
		Data: []DataCall{
			onContext1(standardCall([]Address{DHCP, CGCONTRDP}, Row{Assumed, ""}, ECM, NCM, RNDIS)),
			rawIPCall(Row{Documented, "27.007 10.1.10, 10.1.23"}),
		},
	}
}

// family is generic under another name.
func family(name, about string, match ...Match) *Dialect { return generic().as(name, about, match...) }

// as makes another family of one.
func (d *Dialect) as(name, about string, match ...Match) *Dialect {
	d.Name, d.About, d.Match = name, about, match
	return d
}

// cardPower is the rung that takes the card's power away and leaves the radio
// alone.
func cardPower(off, on string, row Row) ResetStep {
	return ResetStep{
		Name:   off + ", " + on,
		Steps:  []Step{{Send: off, Pause: Seconds(2)}, {Send: on}},
		Settle: Seconds(20),
		Row:    row, Restarts: CardPart,
	}
}

// cycle is the rung that switches radio and card off and on with the given
// +CFUN values.
func cycle(off, on string, row Row) ResetStep {
	return ResetStep{
		Name:   "+CFUN=" + off + ", +CFUN=" + on,
		Steps:  []Step{{Send: "+CFUN=" + off, Timeout: Seconds(30), Pause: Seconds(2)}, {Send: "+CFUN=" + on, Timeout: Seconds(30)}},
		Settle: Seconds(30),
		Drops:  true,
		Row:    row, Restarts: RadioPart,
	}
}

// restart is the rung that starts the modem again.
func restart(command string, row Row) ResetStep {
	return ResetStep{
		Name:   command,
		Steps:  []Step{{Send: command, Timeout: Seconds(30)}},
		Settle: Seconds(60),
		Drops:  true,
		Row:    row, Restarts: ModemPart,
	}
}

// slotsByCFUN switches slots with the radio off, as vendors want it.
func slotsByCFUN(off, command string) []Step {
	return []Step{
		{Send: "+CFUN=" + off, Timeout: Seconds(30), Pause: Seconds(2)},
		{Send: command, Pause: Seconds(2)},
		{Send: "+CFUN=1", Timeout: Seconds(30)},
	}
}

// call is one command to dial and one to hang up, on the functions that look
// like Ethernet.
func call(up, down string, state StateQuery, row Row) DataCall {
	return DataCall{
		Functions: []Kind{ECM, NCM, RNDIS},
		Up:        []Step{{Send: up, Timeout: Seconds(150)}},
		Down:      []Step{{Send: down, Timeout: Seconds(40)}},
		State:     []StateQuery{state},
		Address:   []Address{DHCP},
		Row:       row,
	}
}

// standardCall activates the context and leaves it to the modem to carry it to
// the interface.
func standardCall(address []Address, row Row, kinds ...Kind) DataCall {
	c := call("+CGACT=1,{cid}", "+CGACT=0,{cid}", contextState(), row)
	c.Functions, c.Address = kinds, address
	return c
}

// rawIPCall is the standard's call on an interface without Ethernet, where
// nobody answers DHCP.
func rawIPCall(row Row) DataCall { return standardCall([]Address{CGCONTRDP, CGPADDR}, row, RawIP) }

// onContext1 is a call of modems whose Ethernet function carries the first
// context alone, which is the attach's own.
func onContext1(c DataCall) DataCall {
	c.CID = 1
	return c
}

func contextState() StateQuery {
	return StateQuery{Send: "+CGACT?", Tag: "+CGACT", CIDField: 0, StateField: 1, Up: "1", Row: Row{Documented, "27.007 10.1.10"}}
}
