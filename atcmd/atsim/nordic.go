package atsim

// nordicNRF9160 is an nRF9160: +CCHO and its kin are for tests, and there is no
// network interface for a host. It has no echo and no registration but LTE's.
func nordicNRF9160() personality {
	p := generic().as("nordic-nrf9160", "Nordic Semiconductor ASA", "nRF9160-SICA", "mfw_nrf9160_1.3.5").
		from(PathNone, "documented", "nRF91 AT commands reference: for testing purposes only").without("+CREG", "+CGREG", "+C5GREG", "+CSIM", "+CCID")
	p.Habits = Habits{NoEcho: true, HandUp61: true}
	p.zeroCID = true
	p.linkByCGACT = false
	p.notReadyURC = "%XSIM: 0"
	p.simURCs = []string{"%XSIM: 1"}
	p.vendor = []verb{
		iccidVerb("%XICCID", "%XICCID"),
		{name: "%XMONITOR", test: "-", exec: xmonitor},
		{name: "%XSIM", test: "(0,1)", set: storedSet, read: func(x *exec) error {
			x.tagged("%d", btoi(x.m.card.present))
			return nil
		}},
	}
	return p
}
