package tui

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	"github.com/charmbracelet/x/ansi"
	"github.com/skip2/go-qrcode"

	"dynamod/daemon/wording"
)

// help lists the keys.
func (m *model) help(width, height int) (lines []string) {
	t := m.theme
	group := func(title string, keys []key.Binding) {
		lines = append(lines, t.style(strong, title))
		for _, b := range keys {
			lines = append(lines, " "+t.pad(b.Help().Key, 14)+b.Help().Desc)
		}
	}
	group(m.views[m.at].title(), append(slices.Clone(m.views[m.at].keys()), hint("up, down", "move by a line")))
	lines = append(lines, "")
	group("Everywhere", []key.Binding{keyView, keyNext, keyPrev, keyDown, keyUp, keyMore, hint("Q", "QR of EID and API"), keyFull, keyHelp, keyQuit})
	keys := len(lines)
	lines = append(lines, "")
	lines = append(lines, t.para(width, 0, normal, "Leaving this screen stops nothing: an activation goes on in the daemon.")...)
	rows := height - 2
	switch {
	case len(lines) < height:
	case width >= 60 && len(lines) <= 2*rows:
		left := lines[:rows]
		for i, line := range lines[rows:] {
			left[i] = t.pad(left[i], width/2) + line
		}
		lines = left
	default: // the keys in as little room as there is
		var parts []string
		for _, line := range lines[:keys] {
			parts = append(parts, wording.Fields(strings.Join(strings.Fields(line), " "))...)
		}
		lines = strings.Split(ansi.Wrap(strings.Join(parts, ", "), width, " "), "\n")
	}
	for i := range lines {
		lines[i] = t.cut(lines[i], width)
	}
	return append(fill(lines, height-1), t.style(faint, t.cut("any key goes back", width)))
}

// codes shows the next of what there is as a QR: the EID, then the API's address.
func (m *model) codes() {
	type code struct{ name, text string }
	var all []code
	if c := m.snap.Card; c != nil && c.EID != "" {
		all = append(all, code{"EID", c.EID})
	}
	if d := m.snap.Door; d != nil && d.Error == "" {
		if url := doorURL(d.Listen, m.linkAddresses()); url != "" {
			all = append(all, code{"API", url})
		}
	}
	if len(all) == 0 {
		m.say(normal, "neither the card's EID nor an API over TCP is known")
		return
	}
	c, more := all[m.page%len(all)], len(all)-m.page-1
	if m.page++; more <= 0 {
		m.page = 0
	}
	m.cover = func(width, height int) []string { return m.code(c.name, c.text, more > 0, width, height) }
}

// code is a QR, with what it says beside it or, on a narrow screen, below.
func (m *model) code(name, text string, more bool, width, height int) (lines []string) {
	t := m.theme
	back := "any key goes back"
	if more {
		back = "Q is the next one, any other key goes back"
	}
	short := text
	if url, ok := strings.CutPrefix(text, "https://"); ok && !strings.Contains(url, "?") {
		short = "HTTPS://" + strings.ToUpper(url) // the letters of a smaller code
	}
	q, err := qrcode.New(short, qrcode.Low)
	if err != nil {
		return append(t.para(width, 0, normal, name+" "+text), t.para(width, 0, faint, back)...)
	}
	q.DisableBorder = true
	lines = t.qr(framed(q.Bitmap()))
	w := ansi.StringWidth(lines[0])
	if len(lines) > height || w > width {
		lines = append(t.para(width, 0, normal, name+" "+text), t.para(width, 0, normal, fmt.Sprintf("Its QR needs %d rows and %d columns.", len(lines), w))...)
		return append(lines, t.para(width, 0, faint, back)...)
	}
	words := []string{t.style(strong, name), ""}
	if width-w < 14 {
		return append(append(lines, words...), append(t.para(width, 0, normal, text), t.para(width, 0, faint, back)...)...)
	}
	words = append(append(words, t.para(width-w-2, 0, normal, text)...), "")
	words = append(words, t.para(width-w-2, 0, faint, back)...)
	for i := range words[:min(len(words), len(lines))] {
		lines[i] = t.pad(lines[i], w+2) + words[i]
	}
	return lines
}

// QR draws a text as a QR for a terminal of that size with light text on a dark
// ground, "" where it has no room for it.
func QR(text string, width, height int, getenv func(string) string) string {
	q, err := qrcode.New(text, qrcode.Low)
	if err != nil {
		return ""
	}
	q.DisableBorder = true
	lines := themeFor(getenv).qr(framed(q.Bitmap()))
	if len(lines) >= height || ansi.StringWidth(lines[0]) > width {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// framed puts a light module around a code. The standard wants four; readers do
// with one, and a serial console has no rows for more.
func framed(bits [][]bool) [][]bool {
	n := len(bits) + 2
	out := make([][]bool, n)
	for i := range out {
		out[i] = make([]bool, n)
		if i > 0 && i < n-1 {
			copy(out[i][1:], bits[i-1])
		}
	}
	return out
}

// qr draws a code, dark modules true, for a terminal with light text on a dark
// ground: two rows in one line where there are half blocks, or two columns for a
// module.
func (t theme) qr(bits [][]bool) (lines []string) {
	if t.ascii {
		modules := map[bool]string{true: "  ", false: t.style(bar, "  ")}
		if t.plain {
			modules[false] = "##"
		}
		for _, row := range bits {
			var b strings.Builder
			for _, dark := range row {
				b.WriteString(modules[dark])
			}
			lines = append(lines, b.String())
		}
		return lines
	}
	for y := 0; y < len(bits); y += 2 {
		var b strings.Builder
		for x := range bits[y] {
			above, below := !bits[y][x], y+1 < len(bits) && !bits[y+1][x]
			switch {
			case above && below:
				b.WriteRune('█')
			case above:
				b.WriteRune('▀')
			case below:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}

// linkAddresses are those of the modem's link, where no telephone comes in.
func (m *model) linkAddresses() []string {
	if m.snap.Link == nil {
		return nil
	}
	return m.snap.Link.Addresses
}

// doorURL is where the API is, for somebody beside the box: with an address of its
// own in place of none.
func doorURL(listen string, not []string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return ""
		}
		var texts []string
		for _, a := range addrs {
			texts = append(texts, a.String())
		}
		host = ownAddress(texts, not)
	}
	return wording.OnlyIf(host != "", "https://"+net.JoinHostPort(host, port))
}

// ownAddress is the first IPv4 address, as ADDRESS/BITS, that is neither this
// machine's alone nor in not.
func ownAddress(addrs, not []string) string {
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a)
		if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !slices.Contains(not, a) {
			return p.Addr().String()
		}
	}
	return ""
}
