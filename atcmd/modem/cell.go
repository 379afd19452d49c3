package modem

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Cell is a cell that serves the modem. Strings are empty and pointers nil
// where the modem does not tell.
type Cell struct {
	RAT      dialect.RAT `json:"rat"`
	MCC      string      `json:"mcc,omitempty"`
	MNC      string      `json:"mnc,omitempty"`       // 2 or 3 digits
	AreaCode string      `json:"area_code,omitempty"` // TAC or LAC, hexadecimal, upper case
	CellID   string      `json:"cell_id,omitempty"`   // hexadecimal, upper case, without zeros before it
	PCI      *int        `json:"pci,omitempty"`       // physical cell; scrambling code of UMTS
	ARFCN    *int        `json:"arfcn,omitempty"`     // EARFCN, NR-ARFCN, UARFCN
	Band     int         `json:"band,omitempty"`      // 3 for B3 and for n3
	RSRP     *float64    `json:"rsrp,omitempty"`      // dBm
	RSRQ     *float64    `json:"rsrq,omitempty"`      // dB
	SINR     *float64    `json:"sinr,omitempty"`      // dB
	RSSI     *float64    `json:"rssi,omitempty"`      // dBm
}

// maxCells bounds what an answer is read for; a modem has one cell, or two.
const maxCells = 8

// Cells asks for the cells that serve the modem by the dialect's own command:
// one, or an LTE cell and the 5G cell beside it. There are none where the
// dialect has no command, or the modem no cell; Registration tells its cell, too.
func (m *Modem) Cells(ctx context.Context) ([]Cell, error) {
	for _, q := range m.d.Cells {
		reply, err := m.s.Do(ctx, atcmd.Command{Text: q.Send, Tags: []string{q.Tag}, Bare: true})
		if err != nil {
			if answered(err) {
				continue
			}
			return nil, err
		}
		if cells := ParseCells(reply.Lines, q); len(cells) > 0 {
			return cells, nil
		}
	}
	return nil, nil
}

// Cell is the serving cell as the registration tells it, and false when it does
// not. plmn is the serving network, or empty.
func (r Registration) Cell(plmn string) (Cell, bool) {
	c := Cell{AreaCode: r.AreaCode, CellID: strings.TrimLeft(r.CellID, "0")}
	switch r.AcT {
	case 0, 1, 3, 8:
		c.RAT = dialect.GSM
	case 2, 4, 5, 6:
		c.RAT = dialect.UMTS
	case 7, 9, 13, 14, 15: // 13: the LTE cell of a 5G NSA connection
		c.RAT = dialect.LTE
	case 10, 11, 12, 16:
		c.RAT = dialect.NR
	}
	if len(plmn) >= 5 {
		c.MCC, c.MNC = plmn[:3], plmn[3:]
	}
	return c, r.State.Registered() && c.RAT != "" && c.CellID != ""
}

// ParseCells reads the answer to a dialect's query. Lines that do not fit and
// values that no cell has are left out.
func ParseCells(lines []string, q dialect.CellQuery) []Cell {
	if len(q.Labels) > 0 {
		return parseLabels(lines, q.Labels)
	}
	var cells []Cell
	for _, line := range lines {
		f, ok := atcmd.Fields(line, q.Tag)
		if !ok {
			f, _ = atcmd.Fields(q.Tag+": "+line, q.Tag)
		}
		for _, shape := range q.Lines {
			columns, err := dialect.ParseColumns(shape.Columns)
			if err != nil || !fits(f, columns) {
				continue
			}
			if shape.RAT != "" && len(cells) < maxCells {
				cells = append(cells, Cell{RAT: shape.RAT})
			}
			if len(cells) > 0 {
				c := &cells[len(cells)-1]
				for i, column := range columns {
					c.set(column, f[i])
				}
			}
			break
		}
	}
	return slices.DeleteFunc(cells, func(c Cell) bool { return c == Cell{RAT: c.RAT} })
}

func fits(f []string, columns []dialect.Column) bool {
	if len(f) < len(columns) {
		return false
	}
	for i, c := range columns {
		if c.Equal != "" && !strings.EqualFold(f[i], c.Equal) {
			return false
		}
		if c.Name == "imsi" && (len(f[i]) < 14 || len(f[i]) > 15 || !digits(f[i])) {
			return false
		}
	}
	return true
}

// parseLabels reads "label: value" pairs, several a line with tabs or more than
// one blank between them. Of a value the first word counts, and of two with the
// same meaning the first.
func parseLabels(lines []string, labels map[string]string) []Cell {
	var c Cell
	seen := map[string]bool{}
	for _, line := range lines {
		for line = strings.TrimLeft(line, " \t"); line != ""; {
			label, rest, ok := strings.Cut(line, ":")
			if !ok {
				break
			}
			rest = strings.TrimLeft(rest, " ")
			end := strings.IndexByte(rest, '\t')
			if blanks := strings.Index(rest, "  "); blanks >= 0 && (end < 0 || blanks < end) {
				end = blanks
			}
			if end < 0 {
				end = len(rest)
			}
			value, _, _ := strings.Cut(rest[:end], " ")
			line = strings.TrimLeft(rest[end:], " \t")
			columns, err := dialect.ParseColumns(labels[strings.TrimSpace(label)])
			if err != nil || len(columns) != 1 || seen[columns[0].Name] {
				continue
			}
			if columns[0].Name == "rat" {
				c.RAT = ratOf(value)
			} else if !c.set(columns[0], value) {
				continue
			}
			seen[columns[0].Name] = true
		}
	}
	if c.RAT == "" || c == (Cell{RAT: c.RAT}) {
		return nil
	}
	return []Cell{c}
}

// ratOf knows what vendors call the technologies.
func ratOf(name string) dialect.RAT {
	switch name = strings.ToUpper(name); {
	case strings.HasPrefix(name, "NR"), strings.HasPrefix(name, "5G"):
		return dialect.NR
	case strings.HasPrefix(name, "LTE"), name == "ENDC":
		return dialect.LTE
	case name == "WCDMA", name == "UMTS", strings.HasPrefix(name, "HSPA"):
		return dialect.UMTS
	case name == "GSM", name == "GPRS", name == "EDGE":
		return dialect.GSM
	}
	return ""
}

// set takes one parameter over and reports whether it says anything.
func (c *Cell) set(column dialect.Column, text string) bool {
	level := func(to **float64, low, high float64) bool {
		v, err := strconv.ParseFloat(text, 64)
		if v = v*column.Factor + column.Offset; err != nil || !(v >= low && v <= high) {
			return false
		}
		v = math.Round(v*10) / 10
		*to = &v
		return true
	}
	whole := func(to **int, limit uint64) bool {
		base := 10
		if column.Hex {
			base = 16
		}
		v, err := strconv.ParseUint(text, base, 32)
		if err != nil || v > limit || v == 0xFFFF { // all ones stand for none
			return false
		}
		n := int(v)
		*to = &n
		return true
	}
	switch column.Name {
	case "mcc":
		return setCode(&c.MCC, text, 3, 3)
	case "mnc":
		if len(text) == 1 {
			text = "0" + text // some print a number
		}
		return setCode(&c.MNC, text, 2, 3)
	case "plmn":
		text = strings.NewReplacer("-", "", " ", "").Replace(text)
		if len(text) < 5 {
			return false
		}
		mcc, mnc := "", ""
		if !setCode(&mcc, text[:3], 3, 3) || !setCode(&mnc, text[3:], 2, 3) {
			return false
		}
		c.MCC, c.MNC = mcc, mnc
		return true
	case "tac":
		return setHex(&c.AreaCode, text, column.Hex, 0xFFFFFF)
	case "ci":
		return setHex(&c.CellID, text, column.Hex, 1<<36-1) // NR: TS 23.003, 19.6A
	case "pci":
		return whole(&c.PCI, 1007) // TS 38.211, 7.4.2.1
	case "arfcn":
		return whole(&c.ARFCN, 3279165) // TS 38.104, 5.4.2.1
	case "band":
		if text = strings.TrimPrefix(text, column.Cut); text == "" {
			return false
		}
		digit := strings.LastIndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) + 1
		n, ok := number(text[digit:], 999)
		if v := float64(n)*column.Factor + column.Offset; ok && v >= 1 && v <= 512 && v != 255 && v == math.Trunc(v) {
			c.Band = int(v)
			return true
		}
		return false
	case "rsrp":
		return level(&c.RSRP, -157, -30)
	case "rsrq": // a level coded in another way is positive
		return level(&c.RSRQ, -43.5, 0)
	case "sinr":
		return level(&c.SINR, -30, 50)
	case "rssi":
		return level(&c.RSSI, -125, -15)
	}
	return false
}

func setCode(to *string, text string, low, high int) bool {
	if len(text) < low || len(text) > high || !digits(text) {
		return false
	}
	*to = text
	return true
}

// setHex takes a number over as upper case hexadecimal. All ones stand for
// none; so does 0 as an area.
func setHex(to *string, text string, isHex bool, limit uint64) bool {
	base := 10
	if isHex {
		base = 16
		text = strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
	}
	v, err := strconv.ParseUint(text, base, 64)
	if err != nil || v == 0 || v > limit || v == limit || v == 0xFFFF || v == 0xFFFFFFF {
		return false
	}
	*to = strings.ToUpper(strconv.FormatUint(v, 16))
	return true
}
