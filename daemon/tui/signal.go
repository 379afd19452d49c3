package tui

import (
	"strings"

	"dynamod/daemon/status"
)

// trendLength is how many levels the trend shows. It is short, because on a serial
// line each level that moves one to the left costs a byte or three.
const trendLength = 12

// level is the signal in one number: RSRP, which LTE and 5G tell, or RSSI.
func level(g *status.Signal) (dBm float64, name string, ok bool) {
	switch {
	case g == nil:
		return 0, "", false
	case g.RSRP != nil:
		return *g.RSRP, "RSRP", true
	case g.RSSI != nil:
		return *g.RSSI, "RSSI", true
	}
	return 0, "", false
}

// bars are 0 to 4, at the levels at which telephones draw them.
func bars(g *status.Signal) int {
	steps := [4]float64{-128, -118, -108, -98} // RSRP
	dBm, name, ok := level(g)
	if name == "RSSI" {
		steps = [4]float64{-107, -103, -97, -89}
	}
	n := 0
	for _, s := range steps {
		if ok && dBm >= s {
			n++
		}
	}
	return n
}

// barsText draws them.
func (t theme) barsText(g *status.Signal) string {
	n := bars(g)
	if t.ascii {
		return "[" + strings.Repeat("#", n) + strings.Repeat(".", 4-n) + "]"
	}
	all := []rune("▂▄▆█")
	k := good
	if n < 2 {
		k = warn
	}
	return t.style(k, string(all[:n])) + t.style(faint, strings.Repeat("_", 4-n))
}

// trendText draws the last levels, the youngest at the right.
func (t theme) trendText(levels []float64) string {
	if len(levels) < 2 {
		return ""
	}
	steps := []rune("▁▂▃▄▅▆▇█")
	if t.ascii {
		steps = []rune("_.-=+*#@")
	}
	lowest, highest := -125.0, -75.0
	var b strings.Builder
	for _, l := range levels {
		i := int((l - lowest) / (highest - lowest) * float64(len(steps)))
		b.WriteRune(steps[min(max(i, 0), len(steps)-1)])
	}
	return b.String()
}

// direction says where the level goes: the mean of the younger half against that
// of the older one.
func (t theme) direction(levels []float64) string {
	if len(levels) < 4 {
		return ""
	}
	half := len(levels) / 2
	mean := func(part []float64) (m float64) {
		for _, l := range part {
			m += l
		}
		return m / float64(len(part))
	}
	d := mean(levels[half:]) - mean(levels[:half])
	arrows := "→↗↘"
	if t.ascii {
		arrows = "=/\\"
	}
	switch signs := []rune(arrows); {
	case d >= 3:
		return string(signs[1])
	case d <= -3:
		return string(signs[2])
	default:
		return string(signs[0])
	}
}
