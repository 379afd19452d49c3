package dialect

// nrf91 is Nordic's nRF91: an application processor with a modem inside. It has
// no network interface for a Linux host, and its +CCHO is there for tests.
func nrf91() *Dialect {
	d := family("nrf91", "Nordic nRF9160, nRF9161, nRF9151",
		Match{Manufacturer: "nordic*"},
		Match{Model: "nRF91*"},
	)
	d.URCs = []URC{{"%XSIM", EventSIM, Row{Documented, "nRF91 AT commands reference"}}}
	d.Init = []Step{{Send: "%XSIM=1", Optional: true, Row: Row{Documented, "nRF91 AT commands reference"}}}
	d.APDU.Order = nil
	d.APDU.Verdict = NoHost
	d.APDU.Advice = "run the LPA in the nRF91's own application"
	d.APDU.Row = Row{Documented, "nRF91 AT commands reference: +CCHO, +CGLA and +CCHC are for testing purposes only"}
	d.ICCID = []Query{{Send: "%XICCID", Tag: "%XICCID", Row: Row{Documented, "nRF91 AT commands reference"}}, d.ICCID[0]}
	d.Cells = []CellQuery{{
		Send: "%XMONITOR", Tag: "%XMONITOR",
		Lines: []CellLine{
			{LTE, "* * * plmn tac:x =7 band ci:x pci arfcn rsrp:1n-141 sinr:1n-25"},
			{LTE, "* * * plmn tac:x =9 band ci:x pci arfcn rsrp:1n-141 sinr:1n-25"}, // NB-IoT
		},
		Row: Row{Documented, "nRF91 AT commands reference"},
	}}
	d.SIMReset = []ResetStep{d.SIMReset[0], cycle("0", "1", Row{Documented, "nRF91 AT commands reference"})}
	d.Refresh.Row = Row{Assumed, ""}
	d.Attach = AttachContext{CID: 0, Row: Row{Documented, "nRF91 AT commands reference: context 0"}}
	d.Function = NetFunction{Row: Row{Documented, "nRF91 has no network interface for a host"}}
	d.Data = nil
	return d
}
