package dialect

// mtk covers MediaTek's T7xx and T8xx where no vendor's own dialect fits. Their
// data goes through MBIM beside the AT port.
func mtk() *Dialect {
	d := family("mtk", "MediaTek T700, T830 and others",
		Match{Manufacturer: "mediatek*|mtk*"},
		Match{USB: "0e8d:*"},
		Match{Model: "T700*|T750*|T830*"},
	)
	d.APDU.Order = []string{CGLA}
	d.APDU.MaxChannel = 10
	d.APDU.Row = Row{Assumed, ""} // as FM350, which has the same platform
	d.SIMReset[1].Row = Row{Assumed, ""}
	d.Refresh.Row = Row{Assumed, ""}
	d.Attach.Define = mtkAttach()
	d.Attach.Row = Row{Field, "FM350 scripts: +EIAAPN"}
	d.Function = NetFunction{Row: Row{Documented, "Linux, mtk_t7xx: an MBIM port beside the AT port"}}
	d.Data = []DataCall{
		onContext1(standardCall([]Address{CGPADDRNet, CGCONTRDP}, Row{Assumed, ""}, ECM, NCM, RNDIS)),
	}
	return d
}

// mtkAttach tells the platform the context of its attach.
func mtkAttach() []Step {
	return []Step{{Send: `+EIAAPN="{apn}",0,"{type}","{type}",{auth},"{user}","{password}"`, Optional: true}}
}
