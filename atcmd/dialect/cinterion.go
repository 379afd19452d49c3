package dialect

// cinterion covers the modules of Cinterion, Gemalto, Thales and Telit. Which
// of them open an eUICC is not known.
//
// Some families expect the host's DHCP request while ^SWWAN still runs; those
// need a data call that is written otherwise.
func cinterion() *Dialect {
	d := family("cinterion", "Cinterion (Gemalto, Thales) PLS8, PLS6x, PLS8x, ELS61, MV31",
		Match{Manufacturer: "cinterion*|gemalto*|thales*"},
		Match{USB: "1e2d:*"},
		Match{Model: "PLS*|PHS*|ELS*|ALS*|MV3*|PLPS*"},
	)
	d.Ports = []Ports{
		{USB: "1e2d:0061", AT: []int{2, 0}, PPP: []int{0}, Row: Row{Field, "ModemManager, Cinterion port rules: PLS8"}},
		{USB: "1e2d:005b|1e2d:005d|1e2d:0069|1e2d:006f", AT: []int{0, 2}, PPP: []int{2}, Row: Row{Field, "ModemManager, Cinterion port rules: PLS62, PLS63, PLS83"}},
		{USB: "1e2d:00b3|1e2d:00f1", AT: []int{2}, Row: Row{Field, "ModemManager, Cinterion port rules: MV31, MV32"}},
	}
	d.Init = []Step{
		{Send: "^SCKS=1", Optional: true, Row: Row{Field, "ModemManager, Cinterion plugin"}},
		{Send: `^SIND="simstatus",1`, Optional: true, Row: Row{Field, "ModemManager, Cinterion plugin"}},
	}
	d.URCs = []URC{
		{"^SCKS", EventSIM, Row{Field, "ModemManager, Cinterion plugin"}},
		{"+CIEV", EventOther, Row{Documented, "Cinterion AT command sets: ^SIND"}},
		{"^SYSSTART", EventBoot, Row{Documented, "Cinterion AT command sets"}},
		{"^SHUTDOWN", EventBoot, Row{Documented, "Cinterion AT command sets"}},
	}
	d.APDU.Row = Row{Assumed, ""}
	d.ICCID = []Query{d.ICCID[0], {Send: "^SCID", Tag: "^SCID", Row: Row{Documented, "Cinterion AT command sets"}}}
	d.PINTries = append([]Query{{Send: `^SPIC="SC"`, Tag: "^SPIC", Row: Row{Field, "ModemManager, Cinterion plugin"}}}, d.PINTries...)
	d.Slots = Slots{
		Active: Query{Send: `^SCFG="SIM/CS"`, Tag: "^SCFG", Key: "SIM/CS", Field: 1},
		Names:  map[string]string{"SIM1": "1", "SIM2": "2", "SIM_1": "1", "SIM_2": "2"},
		Select: []Step{{Send: `^SCFG="SIM/CS","SIM_{slot}"`, Timeout: Seconds(30)}},
		Row:    Row{Field, "ModemManager, Cinterion plugin"},
	}
	d.SIMReset[1].Row = Row{Assumed, ""}
	d.Refresh.Row = Row{Assumed, ""}
	d.Carrier = Carrier{
		Query: Query{Send: `^SCFG="MEopMode/Prov/Cfg"`, Tag: "^SCFG", Key: "MEopMode/Prov/Cfg", Field: 1}, Generic: "fallb*|*1fallb*",
		Row: Row{Field, "ModemManager, Cinterion plugin"},
	}
	d.Auth = append([]AuthCommand{{
		Set:   `^SGAUTH={cid},{auth},"{password}","{user}"`,
		Clear: "^SGAUTH={cid},0",
		Row:   Row{Field, "ModemManager, Cinterion helpers: password before user, but in the IMT family"},
	}}, d.Auth...)
	d.Data = []DataCall{{
		Functions: []Kind{ECM, NCM, RNDIS},
		Up:        []Step{{Send: "^SWWAN=1,{cid},1", Timeout: Seconds(180)}},
		Down:      []Step{{Send: "^SWWAN=0,{cid},1", Timeout: Seconds(40)}},
		State:     []StateQuery{{Send: "^SWWAN?", Tag: "^SWWAN", CIDField: 0, StateField: 1, Up: "1", Row: Row{Field, "ModemManager, Cinterion bearer"}}},
		Address:   []Address{DHCP},
		Row:       Row{Field, "ModemManager, Cinterion bearer"},
	}, rawIPCall(Row{Assumed, ""})}
	return d
}
