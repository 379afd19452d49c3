package atsim

// quectelEG916 is an EG916Q-GL, which keeps its files from +CRSM and acts on no
// REFRESH.
func quectelEG916() personality {
	p := quectel().as("quectel-eg916", "Quectel", "EG916Q-GL", "EG916QGLLGR01A04M04").from(PathCGLA, "field", "openpilot lpa.py, openpilot#37847")
	p.noRefresh = true
	p.vendor = append(p.vendor, verb{name: "+CRSM", test: "-", set: func(*exec) error { return cmeNotAllowed }})
	return p
}

// quectelEM05 is an EM05-G, whose test commands fail.
func quectelEM05() personality {
	p := quectel().as("quectel-em05", "Quectel", "EM05-G", "EM05GFAR07A07M1G").from(PathCGLA, "field", "lpac#300")
	p.Habits.NoTestForms = true
	return p
}

// quectelRM500U is an RM500U-CNV on a Unisoc chip.
func quectelRM500U() personality {
	p := quectel().as("quectel-rm500u", "Quectel", "RM500U-CNV", "RM500UCNVAAR03A06M2G").from(PathCGLA, "assumed", "")
	p.vendor = append(p.vendor, verb{name: "+QNETDEVCTL", test: "(1-8),(0-3),(0,1)", set: func(x *exec) error {
		cid, err := x.int(0, -1, 1, 8)
		if err != nil || cid < 0 {
			return cmeBadParameters
		}
		op, err := x.int(1, -1, 0, 3)
		if err != nil || op < 0 {
			return cmeBadParameters
		}
		if op == 1 || op == 3 {
			return x.dialUp(cid)
		}
		x.hangDown(cid)
		return nil
	}})
	return p
}

// quectelRG650E is an RG650E, whose own LPA has the ISD-R until +QESIM gives it
// up and the modem restarts.
func quectelRG650E() personality {
	p := quectel().as("quectel-rg650e", "Quectel", "RG650E-EU", "RG650EEUDFR03A04M8G").from(PathBlocked, "field", "RG650E users: +QESIM")
	p.hidden, p.noChannelSW = cmeSIMFailure, 0x6881
	p.vendor = append(p.vendor, verb{name: "+QESIM", test: `("lpa_enable","list","eid")`, set: func(x *exec) error {
		m := x.m
		if x.str(0) != "lpa_enable" {
			return resError
		}
		if x.n() == 1 {
			x.tagged(`"lpa_enable",%d`, btoi(m.pers.hidden != nil))
			return nil
		}
		on, err := x.int(1, 1, 0, 1)
		if err != nil {
			return err
		}
		m.onReboot = func() { // kept over a restart, and of effect from there
			m.pers.hidden, m.pers.noChannelSW = nil, 0
			if on == 1 {
				m.pers.hidden, m.pers.noChannelSW = cmeSIMFailure, 0x6881
			}
		}
		return nil
	}})
	return p
}
