//go:build linux && !nodemo && !notui

package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPictures draws the terminal interface for the README, from the running
// program. `make pictures` asks for it.
func TestPictures(t *testing.T) {
	dir := os.Getenv("DYNAMOD_PICTURES")
	if dir == "" {
		t.Skip("DYNAMOD_PICTURES names no directory; `make pictures` does")
	}
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatal("tmux is not installed")
	}
	b := newBench(t)
	b.start()
	b.waitUp()
	p := startPane(b, "tmux-256color", "C.UTF-8", 80, 24)
	p.sees("UP")
	p.keys("3", "Enter")
	p.typed(b.w.Profiles[0].Code)
	p.sees("SM-DP+ smdp.lab.test")
	p.keys("Enter")
	p.sees("waiting for consent")
	b.must(os.WriteFile(filepath.Join(dir, "tui-activate.svg"), svg(p.coloured(), 80, 24), 0o644))
	p.keys("y")
	p.sees("up: ICCID")
	p.keys("1")
	p.sees("Last events")
	b.must(os.WriteFile(filepath.Join(dir, "tui.svg"), svg(p.coloured(), 80, 24), 0o644))
}

// coloured is the screen with its attributes, and without the lab's directory.
func (p *pane) coloured() string {
	p.b.t.Helper()
	return strings.ReplaceAll(p.tmux("capture-pane", "-p", "-e", "-N"), p.b.dir, "/etc/dynamod")
}

// A character's size in a picture.
const (
	charWidth  = 8.4
	charHeight = 18
)

// svg draws a screen of tmux's capture-pane -e: text with the attributes that the
// interface uses.
func svg(screen string, width, height int) []byte {
	const light, dark = "#d4d4d4", "#1e1e1e"
	colours := map[string]string{"31": "#f48771", "32": "#89d185", "33": "#e2c08d", "39": light}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="14">`+"\n", float64(width+2)*charWidth, (height+1)*charHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="6" fill="%s"/>`+"\n", dark)
	style := map[string]string{"colour": light}
	for y, line := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		x := 0
		for i, piece := range strings.Split(line, "\x1b[") { // attributes go on in the next line
			codes, text, found := strings.Cut(piece, "m")
			if i == 0 || !found {
				codes, text = "-", piece
			}
			for code := range strings.SplitSeq(codes, ";") {
				switch code {
				case "", "0":
					style = map[string]string{"colour": light}
				case "1", "2", "7":
					style[code] = "on"
				default:
					if c := colours[code]; c != "" {
						style["colour"] = c
					}
				}
			}
			n := utf8.RuneCountInString(text)
			if n == 0 || strings.TrimSpace(text) == "" && style["7"] == "" {
				x += n
				continue
			}
			fill, more := style["colour"], ""
			left := float64(x+1) * charWidth
			if style["7"] != "" {
				fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y*charHeight+charHeight/2, float64(n)*charWidth, charHeight, fill)
				fill = dark
			}
			if style["1"] != "" {
				more += ` font-weight="bold"`
			}
			if style["2"] != "" {
				more += ` opacity="0.65"`
			}
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" textLength="%.1f" xml:space="preserve" fill="%s"%s>`, left, (y+1)*charHeight+charHeight/4, float64(n)*charWidth, fill, more)
			_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
			b.WriteString("</text>\n")
			x += n
		}
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

func TestSVG(t *testing.T) {
	got := string(svg("a <b> \x1b[1m\x1b[32mup\x1b[0m & \x1b[7mbar\x1b[27m\x1b[0m\n\n\x1b[2mx\x1b[0m\n", 20, 3))
	for _, want := range []string{`>a &lt;b&gt; </text>`, `fill="#89d185" font-weight="bold">up</text>`, `<rect x="100.8" y="9" width="25.2"`, `fill="#1e1e1e">bar</text>`, `y="58" textLength="8.4" xml:space="preserve" fill="#d4d4d4" opacity="0.65">x</text>`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if err := xml.Unmarshal([]byte(got), new(struct{})); err != nil {
		t.Error(err)
	}
}
