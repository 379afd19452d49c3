// Package recovery decides what is done about a modem that fails, and when: a
// ladder of rungs from closing a channel to cutting the power, with a budget for
// each, so that nothing is ever done in a loop. It touches no modem. Those who
// look at the modem tell a Ladder what they saw, and one task asks it what is due
// and does that.
package recovery

import (
	"slices"
	"time"
)

// Rung is one thing to do, mildest first in Rungs.
type Rung string

// The rungs.
const (
	Channel Rung = "channel" // close card channels that an earlier process left open
	Sweep   Rung = "sweep"   // close every card channel that is not ours
	Card    Rung = "card"    // take the card's power away for a moment
	Radio   Rung = "radio"   // radio and card off and on, +CFUN=0 and 1
	Modem   Rung = "modem"   // start the modem again, +CFUN=1,1
	Port    Rung = "port"    // close the modem's port and open it again
	Power   Rung = "power"   // cut the modem's power, by a line of the board
)

// Rungs lists them, mildest first.
var Rungs = []Rung{Channel, Sweep, Card, Radio, Modem, Port, Power}

// budgets says how often a rung may be taken within Window, whatever is wrong; a
// modem that was well for Hold has its budgets back; settle is how long the
// modem is left alone after the rung, before anything that it shows counts.
// Channel and Sweep are the card transport's own and only counted.
var budgets = map[Rung]struct {
	uses   int
	settle time.Duration
}{
	Card:  {8, time.Minute},
	Radio: {8, 3 * time.Minute},
	Modem: {6, 5 * time.Minute},
	Port:  {8, 2 * time.Minute},
	Power: {4, 5 * time.Minute},
}

const (
	// Window is what the budgets are for.
	Window = 24 * time.Hour
	// Hold is how long a modem has to be well until what was tried is forgotten.
	Hold = time.Hour
	// steady is how long a symptom has to be away to be gone: less is a flicker.
	steady = 5 * time.Minute
	// firstRest is the pause after the whole ladder was climbed in vain, and
	// lastRest the longest: it doubles each time.
	firstRest, lastRest = time.Hour, 24 * time.Hour
	// fresh is how long what was seen may be ago to count. The bearer looks at
	// least once an hour.
	fresh = 2 * time.Hour
)

// Symptom is what is wrong with a modem.
type Symptom string

// The symptoms. "No enabled profile", a PIN that is missing, a refusal by the
// operator and a modem that is not plugged in are none.
const (
	Silent        Symptom = "modem-silent"   // AT commands are not answered
	SIMLost       Symptom = "sim-lost"       // the card was there and is not, or fails
	CardSilent    Symptom = "card-silent"    // commands that need the card are not answered
	NoChannel     Symptom = "no-channel"     // the card has no free channel, also after a sweep
	NotRegistered Symptom = "not-registered" // for long, the SIM is fine, and no network gives a cause
	NoContext     Symptom = "no-context"     // registered, no context comes up, and no network gives a cause
	NoTraffic     Symptom = "no-traffic"     // an address, and no answer to any reach check
)

// class says when a symptom begins to count, and which rungs may help.
type class struct {
	symptom Symptom
	times   int           // it has to be seen so often
	after   time.Duration // over at least so long
	rungs   []Rung
	advice  string
}

// classes are in the order of their importance: where several things are wrong,
// the first is mended first, since the others may come of it.
var classes = []class{
	{Silent, 2, 20 * time.Second, []Rung{Modem, Port, Power}, "cut the modem's power; if that helps only for a while, look for newer firmware"},
	{SIMLost, 2, 20 * time.Second, []Rung{Card, Radio, Modem, Power}, "take the SIM out and in again, or try another one"},
	{CardSilent, 2, 20 * time.Second, []Rung{Card, Radio, Modem, Power}, "take the SIM out and in again, or cut the modem's power"},
	{NoChannel, 1, 0, []Rung{Card, Radio, Modem}, "restart the modem"},
	{NotRegistered, 4, 15 * time.Minute, []Rung{Radio, Modem, Power}, "check antenna and coverage, and that the line is active"},
	{NoContext, 4, 2 * time.Minute, []Rung{Radio, Modem, Power}, "check the APN, and ask the operator whether the line is active"},
	{NoTraffic, 3, 5 * time.Minute, []Rung{Radio, Modem, Power}, "check the APN, the line's credit, and [reach] targets"},
}

func classOf(s Symptom) *class {
	i := slices.IndexFunc(classes, func(c class) bool { return c.symptom == s })
	if i < 0 {
		panic("recovery: unknown symptom " + s)
	}
	return &classes[i]
}
