package euiccsim

import (
	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// proactive is the card application toolkit: at most one proactive command, the
// REFRESH after a profile switch (ETSI TS 102 223, 6.4.7; SGP.22, 3.2).
type proactive struct {
	command []byte // D0 template waiting to be fetched; nil: none
	fetched bool   // fetched, TERMINAL RESPONSE still to come
}

func (p *proactive) pending() bool { return p.command != nil && !p.fetched }

// busy reports that a proactive session goes on, so that no other can begin.
func (p *proactive) busy() bool { return p.command != nil }

// refresh queues REFRESH, mode "UICC reset".
func (c *Card) refresh() {
	var b bertlv.Builder
	b.Open(0xD0)
	b.Put(0x81, []byte{0x01, 0x01, 0x04}) // command details: number 1, REFRESH, UICC reset
	b.Put(0x82, []byte{0x81, 0x82})       // device identities: UICC to terminal
	c.proactive = proactive{command: b.Close().Bytes()}
}

// terminalCapability is TERMINAL CAPABILITY (ETSI TS 102 221, 11.1.19).
func (c *Card) terminalCapability(cmd apdu.Command) ([]byte, apdu.Status) {
	if cmd.P1 != 0 || cmd.P2 != 0 {
		return nil, swWrongP1P2
	}
	if _, err := bertlv.Expect(cmd.Data, 0xA9); err != nil {
		return nil, swWrongData
	}
	c.capability = true
	return nil, swOK
}

// terminalProfile is TERMINAL PROFILE (ETSI TS 102 221, 11.2.1).
func (c *Card) terminalProfile(number int) ([]byte, apdu.Status) {
	if number != 0 {
		return nil, swChannel
	}
	return nil, swOK
}

// fetch is FETCH (ETSI TS 102 221, 11.2.3).
func (c *Card) fetch(number int) ([]byte, apdu.Status) {
	if number != 0 {
		return nil, swChannel
	}
	if !c.proactive.pending() {
		return nil, swConditions
	}
	c.proactive.fetched = true
	return c.proactive.command, swOK
}

// terminalResponse is TERMINAL RESPONSE (ETSI TS 102 221, 11.2.4). After a
// REFRESH that the terminal performed the new profile's files are there; a
// terminal that resets the card instead never sends it.
func (c *Card) terminalResponse(number int, cmd apdu.Command) ([]byte, apdu.Status) {
	if number != 0 {
		return nil, swChannel
	}
	if !c.proactive.fetched {
		return nil, swConditions
	}
	performed, found := false, false
	for e, err := range bertlv.List(cmd.Data) {
		if err != nil {
			return nil, swWrongData
		}
		if e.Tag&0x7F == 0x03 && len(e.Value) > 0 { // result; comprehension bit either way
			found, performed = true, e.Value[0] < 0x10
		}
	}
	if !found {
		return nil, swWrongData
	}
	c.proactive = proactive{}
	if performed {
		c.showFiles()
	}
	return nil, swOK
}
