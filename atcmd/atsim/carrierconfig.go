package atsim

import (
	"slices"
	"strings"
)

// carrierConfig is which operator's settings the firmware works with, which
// Quectel calls MBN. It survives a restart. The zero value follows the SIM.
type carrierConfig struct {
	byHand bool
	name   string // chosen by hand
	next   string // chosen for after the next restart
	iccid  string // of the profile that it is for, under the stale-carrier fault
}

// carrierNames are configurations that lists of an EC25 show.
var carrierNames = []string{"ROW_Generic_3GPP", "VoLTE-ATT", "hVoLTE-Verizon", "Telstra-Commercial_VoLTE"}

func (c *carrierConfig) release() { *c = carrierConfig{} }

// stale is the stale-carrier fault: the first profile that asks chose the
// configuration, by hand, and any other finds no network with it.
func (c *carrierConfig) stale(iccid string) bool {
	if c.iccid == "" {
		*c = carrierConfig{byHand: true, name: carrierNames[2], iccid: iccid}
	}
	return c.iccid != iccid
}

// restart makes a choice real, and reports whether there was one: it ends what
// was stale.
func (c *carrierConfig) restart() bool {
	if c.next == "" && c.byHand {
		return false
	}
	*c = carrierConfig{byHand: c.byHand, name: c.next}
	return true
}

// active is the configuration in use.
func (c *carrierConfig) active() string {
	if c.byHand && c.name != "" {
		return c.name
	}
	return carrierNames[0]
}

// qmbncfg is +QMBNCFG="List" | "Select"[,name] | "Deactivate" |
// "AutoSel"[,0|1] of EC2x and EG25. What is chosen acts after a restart.
func qmbncfg(x *exec) error {
	c := &x.m.carrier
	switch strings.ToLower(x.str(0)) {
	case "list":
		for i, name := range carrierNames {
			on := btoi(name == c.active())
			x.tagged(`"List",%d,%d,%d,%s,0x0501080B,201909271`, i, on, on, quote(name))
		}
		return nil
	case "autosel":
		if x.n() == 1 {
			x.tagged(`"AutoSel",%d`, btoi(!c.byHand))
			return nil
		}
		on, err := x.int(1, 0, 0, 1)
		if err != nil {
			return err
		}
		c.byHand = on == 0
		return nil
	case "select":
		if x.n() == 1 {
			x.tagged(`"Select",%s`, quote(c.active()))
			return nil
		}
		if !slices.Contains(carrierNames, x.str(1)) {
			return cmeBadParameters
		}
		c.next = x.str(1)
		return nil
	case "deactivate":
		c.next = carrierNames[0]
		return nil
	}
	return cmeBadParameters
}
