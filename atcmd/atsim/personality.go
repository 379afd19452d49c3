package atsim

import "strconv"

// personality is a make and model: its identity, its habits and its own
// commands. Each is made by a function in a file of its own.
type personality struct {
	Name                          string
	Manufacturer, Model, Revision string
	ati                           []string
	Habits                        Habits

	vendor []verb   // commands beyond the standard; they replace a standard one of the same name
	absent []string // standard commands that this model does not have

	noProfile     cme    // error of commands that need a USIM when no profile is enabled
	noProfileText string // what +CPIN? says then instead of an error
	noChannel     error  // +CCHO without a free channel
	noApplication error  // +CCHO of an AID that is not there
	noSession     error  // +CGLA and +CCHC of an unknown handle

	bootURCs    []string // after a reset of the modem
	simURCs     []string // after the +CPIN line of a card that came
	readyURCs   []string // then, when its USIM can be used
	notReadyURC string   // when the card goes away

	defaultPDP  string // type of the factory's context
	linkByCGACT bool   // +CGACT gives the network interface to the context
	cgregInLTE  bool   // +CGREG follows +CEREG on E-UTRAN
}

// personalities are the models by name.
var personalities = map[string]func() personality{
	"generic": generic,
	"quectel": quectel,
}

// generic follows TS 27.007 and nothing else.
func generic() personality {
	p := personality{
		Name:          "generic",
		Manufacturer:  "Generic",
		Model:         "LTE-27007",
		Revision:      "1.0",
		noProfile:     cmeNoSIM,
		noChannel:     cmeMemoryFull,
		noApplication: cmeNotFound,
		noSession:     cmeInvalidIndex,
		notReadyURC:   "+CPIN: NOT READY",
		defaultPDP:    "IP",
		linkByCGACT:   true,
	}
	p.ati = []string{"Manufacturer: " + p.Manufacturer, "Model: " + p.Model, "Revision: " + p.Revision}
	return p
}

// commands puts the model's table of commands together.
func (p *personality) commands() map[string]verb {
	table := make(map[string]verb)
	tests := dynamicTests()
	for _, part := range [][]verb{
		basicVerbs(), identityVerbs(p), miscVerbs, settingVerbs(), simVerbs, apduVerbs, regVerbs, packetVerbs, smsVerbs, p.vendor,
	} {
		for _, v := range part {
			v.testFunc = tests[v.name]
			table[v.name] = v
		}
	}
	for _, name := range p.absent {
		delete(table, name)
	}
	return table
}

func itoa(n int) string { return strconv.Itoa(n) }
