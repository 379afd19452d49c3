package wording

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dynamod/daemon/status"
)

// Pace measures how fast a download goes.
type Pace struct {
	began time.Time
	from  int // bytes that were there when it began: a resumed one has some
}

// Rate returns bytes per second at the time now since the first call, 0 while it
// is not known.
func (p *Pace) Rate(done int, now time.Time) float64 {
	if p.began.IsZero() {
		p.began, p.from = now, done
	}
	d := now.Sub(p.began).Seconds()
	if d < 0.5 {
		return 0
	}
	return float64(done-p.from) / d
}

// Bar draws a progress bar of at most width columns, in ASCII for serial
// consoles. What does not fit is left out from the right, the bar first.
func Bar(p *status.Progress, rate float64, width int) string {
	done := min(max(p.Done, 0), p.Total)
	percent := fmt.Sprintf("%3d %%", int64(done)*100/int64(p.Total))
	parts := []string{percent, fmt.Sprintf("%s of %s", Size(done), Size(p.Total))}
	if rate > 0 {
		parts = append(parts, Size(int(rate))+"/s")
		if left := float64(p.Total-done) / rate; left >= 1 && left < 24*3600 {
			parts = append(parts, (time.Duration(left)*time.Second).String()+" left")
		}
	}
	text := strings.Join(parts, "  ")
	for len(text) > width && len(parts) > 1 {
		parts = parts[:len(parts)-1]
		text = strings.Join(parts, "  ")
	}
	if room := min(width-len(text)-4, 40); room >= 8 {
		full := int(int64(done) * int64(room) / int64(p.Total))
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "]  " + text
	}
	return text[:min(len(text), max(width, 0))]
}

// Size writes bytes as a person reads them.
func Size(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// Signal writes the levels that are known.
func Signal(g *status.Signal) string {
	var parts []string
	for _, v := range []struct {
		name, unit string
		value      *float64
	}{{"RSSI", "dBm", g.RSSI}, {"RSRP", "dBm", g.RSRP}, {"RSRQ", "dB", g.RSRQ}, {"SINR", "dB", g.SINR}} {
		if v.value != nil {
			parts = append(parts, fmt.Sprintf("%s %.0f %s", v.name, *v.value, v.unit))
		}
	}
	return strings.Join(parts, ", ")
}

// Cell tells what is known of a cell.
func Cell(c status.Cell) []string {
	return Fields(
		strings.ToUpper(c.RAT)+Number(" band ", c.Band), c.PLMN, Prefix("area ", c.AreaCode), Prefix("cell ", c.CellID),
		Pointed("PCI ", c.PCI), Pointed("channel ", c.ARFCN), Signal(&status.Signal{RSRP: c.RSRP, RSRQ: c.RSRQ, SINR: c.SINR}),
	)
}

// Fingerprint is hex as browsers and openssl show it: pairs with colons.
func Fingerprint(hex string) string {
	var pairs []string
	for pair := range slices.Chunk([]byte(strings.ToUpper(hex)), 2) {
		pairs = append(pairs, string(pair))
	}
	return strings.Join(pairs, ":")
}
