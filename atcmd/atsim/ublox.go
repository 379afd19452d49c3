package atsim

// ubloxLARA is a LARA-R6001D, which gives the card by +CSIM. Sources: u-blox's
// AT commands manuals and ModemManager's plugin.
func ubloxLARA() personality {
	p := generic().as("ublox-lara-r6", "u-blox", "LARA-R6001D", "00.13").
		from(PathCSIM, "documented", "u-blox AT commands manuals: +CSIM").without("+CCHO", "+CGLA", "+CCHC")
	p.noProfile = cmeSIMFailure
	p.defaultPDP = "IPV4V6"
	p.resetFun = 16
	p.cgregInLTE = true
	p.usb = &usbModes{factory: "2", values: []string{"0", "2", "3"}, other: []string{"0"}}
	p.vendor = []verb{
		triesVerb("+UPINCNT", "%[1]d,%[1]d,%[2]d,%[2]d"),
		authVerb("+UAUTHREQ", 2, 3),
		{name: "+UPSV", test: "(0-4)", read: storedRead("0"), set: storedSet},
		{name: "+UCGED", test: "(0,2)", read: ucged, set: storedSet},
		usbVerb("+UUSBCONF", `%s,"",,"0x1313"`, false),
		{name: "+UBMCONF", test: "(1,2)", read: constant("1"), set: accepted},
		{name: "+UMNOPROF", test: "-", read: constant("1"), set: accepted},
		{name: "+UCGDFLT", test: "-", set: func(x *exec) error {
			if c := x.m.packet.contexts[1]; c != nil && !c.active && validAPN(x.str(2)) {
				c.apn = x.str(2)
			}
			return nil
		}},
	}
	return p
}
