package dialect

// fibocom covers the models on Qualcomm and Unisoc chips: FM150, FM160, FG132,
// FG150, NL668, L716.
func fibocom() *Dialect {
	d := family("fibocom", "Fibocom FM101, FM135, FM150, FM160, FG132, FG150, NL668, L716",
		Match{Manufacturer: "fibocom*"},
		Match{USB: "2cb7:*"},
		Match{Model: "FM1*|FG1*|NL668*|L716*"},
	)
	d.Ports = []Ports{
		{USB: "2cb7:0007", AT: []int{2, 6}, PPP: []int{6}, Row: Row{Field, "ModemManager, Fibocom port rules: L850-GL"}},
		{USB: "2cb7:01a0", AT: []int{2, 3}, PPP: []int{3}, Row: Row{Field, "ModemManager, Fibocom port rules: NL668"}},
		{USB: "2cb7:0104|2cb7:0106", AT: []int{1, 2}, PPP: []int{2}, Row: Row{Field, "ModemManager, Fibocom port rules: FM150, MA510"}},
		{USB: "2cb7:01a2", AT: []int{2}, Row: Row{Field, "ModemManager, Fibocom port rules: FM101"}},
		{USB: "2cb7:0115|2cb7:01a4", AT: []int{3}, Row: Row{Field, "ModemManager, Fibocom port rules: FM135, FM101 with ADB"}},
		{USB: "0e8d:7126", AT: []int{2}, Row: Row{Field, "FM350-GL on OpenWrt 25"}},
		{USB: "0e8d:7127", AT: []int{3}, Row: Row{Field, "FM350-GL on OpenWrt 25"}},
	}
	d.URCs = []URC{
		{"+SIM", EventSIM, Row{Field, "ModemManager, Fibocom plugin: inserted, removed, drop"}},
		{"+SIM READY", EventSIM, Row{Field, "ModemManager, Fibocom plugin"}},
		{"+SIM DROP", EventSIM, Row{Field, "ModemManager, Fibocom plugin"}},
		{"+GTDUALSIM", EventOther, Row{Field, "FM160: sent by itself from time to time"}},
	}
	d.APDU.Row = Row{Field, "FG132-GL: lpac#300, +CCHO works though +CCHO=? is an error"}
	d.ICCID = []Query{d.ICCID[0], {Send: "+ICCID", Tag: "+ICCID", Row: Row{Field, "FM160: +CCID takes 10 s without a card, +ICCID does not"}}}
	d.Slots = Slots{
		Active: Query{Send: "+GTDUALSIM?", Tag: "+GTDUALSIM"},
		Select: []Step{{Send: "+GTDUALSIM={slot}", Timeout: Seconds(30)}},
		Row:    Row{Field, "FM350-GL: slots count from 0, 1 is the eSIM"},
	}
	d.Cells = gtccinfo(":x", "answers of FM160-CN, FM150: <earfcn> and <physicalcellId> are hexadecimal")
	d.SIMReset = []ResetStep{d.SIMReset[0], cycle("0", "1", Row{Assumed, ""}), restart("+CFUN=15", Row{Field, "ModemManager, Fibocom plugin"})}
	d.Refresh.Row = Row{Assumed, ""}
	d.Function = NetFunction{Row: Row{Field, "+GTUSBMODE: the numbers differ by model"}}
	d.Auth = append([]AuthCommand{{
		Set:   `+MGAUTH={cid},{auth},"{user}","{password}"`,
		Clear: "+MGAUTH={cid},0",
		Row:   Row{Field, "QModem"},
	}}, d.Auth...)
	d.Data = []DataCall{{
		Functions: []Kind{ECM, NCM, RNDIS},
		Up: []Step{
			{Send: "+GTRNDIS=0,{cid}", Optional: true, Timeout: Seconds(40)},
			{Send: "+GTRNDIS=1,{cid}", Timeout: Seconds(150)},
		},
		Down:    []Step{{Send: "+GTRNDIS=0,{cid}", Timeout: Seconds(40)}},
		State:   []StateQuery{{Send: "+GTRNDIS?", Tag: "+GTRNDIS", CIDField: 1, StateField: 0, Up: "1", Row: Row{Field, "ModemManager, Fibocom ECM bearer"}}},
		Address: []Address{DHCP},
		Row:     Row{Field, "ModemManager, Fibocom ECM bearer"},
	}, rawIPCall(Row{Assumed, ""})}
	return d
}

// gtccinfo is +GTCCINFO?, whose levels are coded as in +CESQ. LTE bands count
// from 101 and 5G bands have 50 before them.
func gtccinfo(hex, ref string) []CellQuery {
	return []CellQuery{{
		Send: "+GTCCINFO?", Tag: "+GTCCINFO",
		Lines: []CellLine{
			{LTE, "=1 =4 mcc mnc tac:x ci:x arfcn" + hex + " pci" + hex + " band:1n-100 * * * rsrp:1n-141 rsrq:0.5n-20"},
			{NR, "=1 =9 mcc mnc tac:x ci:x arfcn" + hex + " pci" + hex + " band:^50 * sinr:0.5n-23.5 * rsrp:1n-157 rsrq:0.5n-43.5"},
			{UMTS, "=1 =2 mcc mnc tac:x ci:x arfcn" + hex + " pci" + hex},
		},
		Row: Row{Field, ref},
	}}
}

// fibocomMTK is FM350-GL on MediaTek's T700. +CCHO and +CGLA answer without
// their tags there, on one tty only, and channels leak with every client that
// was killed.
func fibocomMTK() *Dialect {
	d := fibocom().as("fibocom-mtk", "Fibocom FM350",
		Match{Manufacturer: "fibocom*", Model: "FM350*"},
		Match{Model: "FM350*"},
		Match{USB: "0e8d:7126|0e8d:7127"},
	)
	d.APDU.Order = []string{CGLA}
	d.APDU.MaxChannel = 10
	d.Cells = gtccinfo("", "answers of FM350-GL: <earfcn> and <physicalcellId> are decimal")
	d.APDU.Row = Row{Field, "lpac#179, lpac#209, lpac#442 to #448"}
	d.Function = NetFunction{
		Query: Query{Send: "+GTUSBMODE?", Tag: "+GTUSBMODE"}, Kinds: map[string]Kind{"40": RNDIS, "41": RNDIS},
		Row: Row{Field, "FM350-GL on OpenWrt: 40 is 0e8d:7126, 41 is 0e8d:7127"},
	}
	d.Attach.Define = mtkAttach()
	d.Attach.Row = Row{Field, "FM350 scripts: +EIAAPN and context 1"}
	d.Auth = d.Auth[1:]
	// Other contexts than 1 were seen to be unstable.
	d.Data = []DataCall{
		onContext1(standardCall([]Address{CGPADDRNet, CGCONTRDP}, Row{Field, "QModem and others: no DHCP, /24 and gateway .1 around the address"}, ECM, NCM, RNDIS)),
	}
	return d
}

// fibocomXMM covers L850 and L860 on Intel's XMM7360 and XMM7560.
func fibocomXMM() *Dialect {
	d := fibocom().as("fibocom-xmm", "Fibocom L850, L860",
		Match{Manufacturer: "fibocom*|intel*", Model: "L850*|L860*"},
		Match{Model: "L850*|L860*|*XMM7360*|*XMM7560*"},
		Match{USB: "2cb7:0007|8087:095a"},
	)
	d.Function = NetFunction{
		Query: Query{Send: "+GTUSBMODE?", Tag: "+GTUSBMODE"}, Kinds: map[string]Kind{"0": NCM, "7": MBIM},
		Set: []Step{{Send: "+GTUSBMODE={function}"}, {Send: "+CFUN=15", Timeout: Seconds(30)}},
		Row: Row{Field, "L850-GL on OpenWrt and xmm7360-usb-modeswitch"},
	}
	d.APDU.Order = []string{CGLA, CSIM}
	d.APDU.Row = Row{Field, "oFono, XMM7xxx driver: +CCHO and +CGLA; L860 failed: lpac#434"}
	d.Cells = nil // +GTCCINFO is of other platforms
	d.Attach = AttachContext{CID: 0, Define: []Step{{Send: "+XDNS=0,1", Optional: true}}, Row: Row{Field, "L850 scripts: context 0"}}
	d.Auth = append([]AuthCommand{{
		Set:   `+XGAUTH={cid},{auth},"{user}","{password}"`,
		Clear: `+XGAUTH={cid},0,"",""`,
		Row:   Row{Field, "modemfeed, L850 scripts"},
	}}, d.Auth[1:]...)
	// +CGDATA ends with CONNECT and the port stays a port for commands.
	d.Data = []DataCall{{
		Functions: []Kind{ECM, NCM, RNDIS, RawIP},
		Up: []Step{
			{Send: "+CGACT=1,{cid}", Timeout: Seconds(150)},
			{Send: `+XDATACHANNEL=1,1,"/USBCDC/0","/USBHS/NCM/0",2,{cid}`},
			{Send: `+CGDATA="M-RAW_IP",{cid}`, Finals: []string{"CONNECT"}, Timeout: Seconds(30)},
		},
		Down: []Step{
			{Send: "+CGACT=0,{cid}", Timeout: Seconds(40)},
			{Send: `+XDATACHANNEL=0`, Optional: true},
		},
		State:   []StateQuery{contextState()},
		Address: []Address{CGCONTRDP, CGPADDR},
		Row:     Row{Field, "modemfeed, xmm-modem: static address on NCM"},
	}}
	d.Signal = []SignalQuery{{
		Send: "+XCESQ?", Tag: "+XCESQ",
		RSRQ: Level{Field: 5, Floor: -20, Step: 0.5, Min: 0, Max: 34},
		RSRP: Level{Field: 6, Floor: -141, Step: 1, Min: 0, Max: 97},
		SINR: Level{Field: 7, Step: 0.5, Min: -100, Max: 100},
		Row:  Row{Field, "ModemManager, XMM helpers"},
	}}
	return d
}
