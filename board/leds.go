package board

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Light is what an LED shows.
type Light int

// What an LED shows.
const (
	Off Light = iota
	Blinking
	On
)

// Show sets an LED by its triggers. With a network interface, On is left to the
// kernel, which lights it while that interface has a carrier and dims it with its
// traffic, where it has that trigger. sys is /sys.
func Show(sys, led string, light Light, ifname string) error {
	dir := filepath.Join(sys, "class/leds", led)
	write := func(file, text string) error {
		f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}
	switch {
	case light == Blinking && write("trigger", "timer") == nil:
		return nil
	case light == On && ifname != "" && write("trigger", "netdev") == nil:
		return errors.Join(write("device_name", ifname), write("link", "1"), write("tx", "1"), write("rx", "1"))
	}
	if err := write("trigger", "none"); err != nil {
		return err
	}
	value := "0"
	if light != Off {
		value = "1"
		if b, err := os.ReadFile(filepath.Join(dir, "max_brightness")); err == nil {
			value = strings.TrimSpace(string(b))
		}
	}
	return write("brightness", value)
}
