package board

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Identity is what a box says of itself. What it does not say is empty.
type Identity struct {
	Model string `json:"model,omitempty"` // for people
	// Compatible are its names, the closest first: of the device tree, or of OpenWrt's
	// board.json.
	Compatible []string `json:"compatible,omitempty"`
	DMI        string   `json:"dmi,omitempty"` // "maker/board/product" of its firmware
}

// Read finds out which box this is, by the files below root, which is "/".
func Read(root string) Identity {
	var id Identity
	id.Model = read(root, "proc/device-tree/model")
	for s := range strings.SplitSeq(read(root, "proc/device-tree/compatible"), "\x00") {
		id.compatible(s)
	}
	// OpenWrt writes it at the first start, also on boxes that have no device tree.
	var file struct {
		Model struct{ ID, Name string }
	}
	if json.Unmarshal([]byte(read(root, "etc/board.json")), &file) == nil {
		id.compatible(file.Model.ID)
		if id.Model == "" && isText(file.Model.Name) {
			id.Model = file.Model.Name
		}
	}
	dmi := func(name string) string { return read(root, "sys/class/dmi/id/"+name) }
	if vendor, board, product := dmi("sys_vendor"), dmi("board_name"), dmi("product_name"); board+product != "" {
		if id.DMI = vendor + "/" + board + "/" + product; id.Model == "" {
			id.Model = strings.TrimSpace(vendor + " " + product)
		}
	}
	if !isText(id.Model) {
		id.Model = ""
	}
	return id
}

func (id *Identity) compatible(s string) {
	if s != "" && isText(s) && len(id.Compatible) < 16 && !slices.Contains(id.Compatible, s) {
		id.Compatible = append(id.Compatible, s)
	}
}

// read is the text of a file without what ends it, "" if it cannot be read.
func read(root, name string) string {
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return ""
	}
	return strings.Trim(string(b), "\x00 \t\r\n")
}

// Find returns the definition that fits a box, and by what: that of its closest name
// in the device tree, else that of its firmware. It returns nil where none fits.
func Find(list []*Board, id Identity) (b *Board, why string) {
	for _, name := range id.Compatible {
		if b := closest(list, name, func(b *Board) []string { return b.Compatible }); b != nil {
			return b, name
		}
	}
	b = closest(list, id.DMI, func(b *Board) (patterns []string) {
		for _, p := range b.DMI {
			if strings.Count(p, "/") == 1 {
				p += "/*"
			}
			patterns = append(patterns, p)
		}
		return patterns
	})
	if b == nil || id.DMI == "" {
		return nil, ""
	}
	return b, id.DMI
}

// closest is the board with the longest pattern that fits a name.
func closest(list []*Board, name string, patterns func(*Board) []string) (best *Board) {
	most := -1
	for _, b := range list {
		for _, p := range patterns(b) {
			if n := len(strings.ReplaceAll(p, "*", "")); n > most && Fits(p, name) {
				best, most = b, n
			}
		}
	}
	return best
}

// Fits reports whether a pattern fits a whole text, in which '*' stands for any part.
// Case does not count.
func Fits(pattern, text string) bool {
	pattern, text = strings.ToLower(pattern), strings.ToLower(text)
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) || len(text) < len(first)+len(last) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}
