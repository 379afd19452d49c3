// Package board knows the box around a modem: where on it the modem sits, which
// lines take its power, start it again and choose its SIM, and which lights show
// what it does.
//
// A Board is one definition, as configs/boards and boards.d have them; Read finds
// out which box this is, Find which definition fits it. A definition is for one
// modem, as a daemon is: the second modem of a box has a definition of its own that
// inherits from the first one's.
package board

import (
	"time"
)

// Board is one definition. All names of lines have a form that gpio.Parse reads.
type Board struct {
	Name   string `toml:"-" json:"name"` // of its file, without the ending
	About  string `toml:"about" json:"about,omitzero"`
	Source string `toml:"source" json:"source,omitzero"` // where its facts are from
	// Untested says that nobody has had this definition on the box itself.
	Untested bool `toml:"untested" json:"untested,omitzero"`

	// Compatible are names of the box as its device tree has them, or board.json of
	// OpenWrt; DMI is "maker/board", or "maker/board/product", of its firmware. In
	// both '*' stands for any text. Without either a definition is only taken by name.
	Compatible []string `toml:"compatible" json:"compatible,omitzero"`
	DMI        []string `toml:"dmi" json:"dmi,omitzero"`

	Modem  Modem  `toml:"modem" json:"modem,omitzero"`
	Supply Supply `toml:"supply" json:"supply,omitzero"`
	Reset  Reset  `toml:"reset" json:"reset,omitzero"`
	Key    Key    `toml:"key" json:"key,omitzero"`
	Status Status `toml:"status" json:"status,omitzero"`
	SIM    SIM    `toml:"sim" json:"sim,omitzero"`
	LEDs   LEDs   `toml:"leds" json:"leds,omitzero"`
	Quirks Quirks `toml:"quirks" json:"quirks,omitzero"`
}

// Modem is where the modem sits. What is not told is found out.
type Modem struct {
	USB []string `toml:"usb" json:"usb,omitzero"` // places on USB as the kernel names them, "1-1.2"
	IDs []string `toml:"ids" json:"ids,omitzero"` // maker and model on USB, "2c7c:0125"; '*' stands for any text
	AT  []int    `toml:"at" json:"at,omitzero"`   // bInterfaceNumber of the AT ports, the best first
	PPP int      `toml:"ppp" json:"ppp,omitzero"` // bInterfaceNumber of the port that is dialled on, 0 where the modem's family knows
	Net int      `toml:"net" json:"net,omitzero"` // bInterfaceNumber of the network function, 0 where there is but one

	Port      string `toml:"port" json:"port,omitzero"`           // the node of a modem on a serial line, SPI or shared memory: "/dev/ttyS1"
	Baud      int    `toml:"baud" json:"baud,omitzero"`           // bit/s of that line
	Interface string `toml:"interface" json:"interface,omitzero"` // the network interface, where it has one name for ever
}

// Supply is a line that takes the modem's power.
type Supply struct {
	Line string `toml:"line" json:"line,omitzero"`
	// Off is how long the power is taken; 0 is DefaultOff.
	Off Duration `toml:"off" json:"off,omitzero"`
}

// Reset is a line that starts the modem again.
type Reset struct {
	Line  string   `toml:"line" json:"line,omitzero"`
	Pulse Duration `toml:"pulse" json:"pulse,omitzero"` // 0 is DefaultPulse
}

// Key is the modem's power key. It needs Status: a key turns off what is on.
type Key struct {
	Line string   `toml:"line" json:"line,omitzero"`
	On   Duration `toml:"on" json:"on,omitzero"`   // how long it is pressed to turn the modem on; 0 is DefaultOn
	Off  Duration `toml:"off" json:"off,omitzero"` // and to turn it off; 0 is DefaultKeyOff
}

// Status is a line that is active while the modem is on.
type Status struct {
	Line string `toml:"line" json:"line,omitzero"`
}

// SIM is a switch between card slots outside the modem.
type SIM struct {
	Line string `toml:"line" json:"line,omitzero"`
	// Slots are the line's values, 0 or 1, for the slots, counted from 1.
	Slots []int `toml:"slots" json:"slots,omitzero"`
}

// LEDs are names below /sys/class/leds.
type LEDs struct {
	Registered string `toml:"registered" json:"registered,omitzero"` // on while the modem is registered, blinking while it looks for a network
	Link       string `toml:"link" json:"link,omitzero"`             // on while traffic crosses the link, blinking while it does not
}

// Quirks are what a box needs beyond that.
type Quirks struct {
	// On are lines that have to be active for the modem to be seen at all, such as the
	// power of the hub it hangs on.
	On []string `toml:"on" json:"on,omitzero"`
	// Boot is how long the modem takes from power to its ports; 0 is DefaultBoot.
	Boot Duration `toml:"boot" json:"boot,omitzero"`
	// Whole is how long no further port may come for the modem to count as whole; 0 is
	// DefaultWhole.
	Whole Duration `toml:"whole" json:"whole,omitzero"`
}

// Times that hold where a definition tells none. Those of reset and key fit the
// Quectel EC2x, whose reset wants 150 to 460 ms, and whose key 500 ms to turn it on
// and 650 ms to turn it off.
const (
	DefaultOff    = 3 * time.Second
	DefaultPulse  = 300 * time.Millisecond
	DefaultOn     = 700 * time.Millisecond
	DefaultKeyOff = time.Second
	DefaultBoot   = 40 * time.Second
	DefaultWhole  = 200 * time.Millisecond
)

// Duration is written with a unit: "300ms", "3s".
type Duration time.Duration

// Or is d, or that of a definition that does not tell.
func (d Duration) Or(other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return time.Duration(d)
}

// UnmarshalText reads "300ms".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil {
		*d = Duration(v)
	}
	return err
}

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
