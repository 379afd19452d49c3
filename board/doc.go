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
	Name   string `toml:"-"` // of its file, without the ending
	About  string `toml:"about"`
	Source string `toml:"source"` // where its facts are from
	// Untested says that nobody has had this definition on the box itself.
	Untested bool `toml:"untested"`

	// Compatible are names of the box as its device tree has them, or board.json of
	// OpenWrt; DMI is "maker/board", or "maker/board/product", of its firmware. In
	// both '*' stands for any text. Without either a definition is only taken by name.
	Compatible []string `toml:"compatible"`
	DMI        []string `toml:"dmi"`

	Modem  Modem  `toml:"modem"`
	Supply Supply `toml:"supply"`
	Reset  Reset  `toml:"reset"`
	Key    Key    `toml:"key"`
	Status Status `toml:"status"`
	SIM    SIM    `toml:"sim"`
	LEDs   LEDs   `toml:"leds"`
	Quirks Quirks `toml:"quirks"`
}

// Modem is where the modem sits. What is not told is found out.
type Modem struct {
	USB []string `toml:"usb"` // places on USB as the kernel names them, "1-1.2"
	IDs []string `toml:"ids"` // maker and model on USB, "2c7c:0125"; '*' stands for any text
	AT  []int    `toml:"at"`  // bInterfaceNumber of the AT ports, the best first
	PPP []int    `toml:"ppp"` // of the ports that may be dialled on, the best first
	Net []int    `toml:"net"` // of the network function, where there are several

	Port      string `toml:"port"`      // the node of a modem on a serial line, SPI or shared memory: "/dev/ttyS1"
	Baud      int    `toml:"baud"`      // bit/s of that line
	Interface string `toml:"interface"` // the network interface, where it has one name for ever
}

// Supply is a line that takes the modem's power.
type Supply struct {
	Line string `toml:"line"`
	// Off is how long the power is taken; 0 is DefaultOff.
	Off Duration `toml:"off"`
}

// Reset is a line that starts the modem again.
type Reset struct {
	Line  string   `toml:"line"`
	Pulse Duration `toml:"pulse"` // 0 is DefaultPulse
}

// Key is the modem's power key. It needs Status: a key turns off what is on.
type Key struct {
	Line string   `toml:"line"`
	On   Duration `toml:"on"`  // how long it is pressed to turn the modem on; 0 is DefaultOn
	Off  Duration `toml:"off"` // and to turn it off; 0 is DefaultKeyOff
}

// Status is a line that is active while the modem is on.
type Status struct {
	Line string `toml:"line"`
}

// SIM is a switch between card slots outside the modem.
type SIM struct {
	Line string `toml:"line"`
	// Slots are the line's values, 0 or 1, for the slots, counted from 1.
	Slots []int `toml:"slots"`
}

// LEDs are names below /sys/class/leds.
type LEDs struct {
	Registered string `toml:"registered"` // on while the modem is registered, blinking while it looks for a network
	Link       string `toml:"link"`       // on while traffic crosses the link, blinking while it does not
}

// Quirks are what a box needs beyond that.
type Quirks struct {
	// On are lines that have to be active for the modem to be seen at all, such as the
	// power of the hub it hangs on.
	On []string `toml:"on"`
	// Boot is how long the modem takes from power to its ports; 0 is DefaultBoot.
	Boot Duration `toml:"boot"`
	// Whole is how long no further port may come for the modem to count as whole; 0 is
	// DefaultWhole.
	Whole Duration `toml:"whole"`
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
