package dialect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// RAT is the radio technology of a cell.
type RAT string

const (
	GSM  RAT = "gsm"
	UMTS RAT = "umts"
	LTE  RAT = "lte"
	NR   RAT = "5g"
)

// CellQuery reads the cells that serve the modem: one, or with dual
// connectivity the LTE cell and the 5G cell beside it.
type CellQuery struct {
	Send string `toml:"send"`
	Tag  string `toml:"tag"` // of the answer's lines; lines without one are read too

	// Lines are the shapes of an answer of comma-separated parameters. The first
	// that fits a line reads it.
	Lines []CellLine `toml:"lines"`
	// Labels read an answer of "label: value" pairs: label -> column.
	Labels map[string]string `toml:"labels"`

	Row
}

// CellLine is one shape of a line.
type CellLine struct {
	// RAT is the technology of the cell that the line begins. Without one the
	// line tells more of the cell before it.
	RAT RAT `toml:"rat"`
	// Columns are the parameters in order, separated by blanks. A line fits that
	// has at least as many, the fixed ones as they are written:
	//
	//	*            anything
	//	=LTE         this text
	//	imsi         a subscriber's number, which is not read
	//	mcc mnc      digits; plmn: both, as 26201, 262-01 or "262 01"
	//	tac ci pci arfcn    numbers, with :x behind them hexadecimal
	//	band         the digits at the end; with :^50 without this beginning
	//	rsrp rsrq sinr rssi dBm or dB
	//	rat          the technology's name, in Labels
	//
	// Behind a number, :0.5n-20 says that the value is half of it less 20.
	Columns string `toml:"columns"`
}

// Column is one word of CellLine.Columns.
type Column struct {
	Name   string // "" for a parameter that is not read
	Equal  string // what the parameter must be
	Hex    bool
	Cut    string // what is cut off its beginning
	Factor float64
	Offset float64
}

var (
	columnNames = []string{"imsi", "mcc", "mnc", "plmn", "tac", "ci", "pci", "arfcn", "band", "rsrp", "rsrq", "sinr", "rssi", "rat"}
	hexColumns  = []string{"tac", "ci", "pci", "arfcn"}
	calculated  = []string{"band", "rsrp", "rsrq", "sinr", "rssi"}
)

// ParseColumns reads CellLine.Columns.
func ParseColumns(text string) ([]Column, error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 64 {
		return nil, fmt.Errorf("%d columns, 1 to 64 are possible", len(words))
	}
	columns := make([]Column, len(words))
	for i, word := range words {
		c, err := parseColumn(word)
		if err != nil {
			return nil, err
		}
		columns[i] = c
	}
	return columns, nil
}

func parseColumn(word string) (Column, error) {
	c := Column{Factor: 1}
	if word == "*" {
		return c, nil
	}
	if equal, ok := strings.CutPrefix(word, "="); ok {
		if equal == "" {
			return c, fmt.Errorf("column %q: nothing to compare with", word)
		}
		c.Equal = equal
		return c, nil
	}
	name, mod, hasMod := strings.Cut(word, ":")
	if !slices.Contains(columnNames, name) {
		return c, fmt.Errorf("column %q: unknown name", word)
	}
	c.Name = name
	cut, isCut := strings.CutPrefix(mod, "^")
	factor, offset, isFormula := strings.Cut(mod, "n")
	switch {
	case !hasMod:
		return c, nil
	case mod == "x" && slices.Contains(hexColumns, name):
		c.Hex = true
		return c, nil
	case isCut && cut != "" && name == "band":
		c.Cut = cut
		return c, nil
	case isFormula && slices.Contains(calculated, name):
		var err error
		if c.Factor, err = strconv.ParseFloat(factor, 64); err == nil && offset != "" {
			c.Offset, err = strconv.ParseFloat(offset, 64)
		}
		if err == nil && c.Factor > 0 && c.Factor <= 10 && c.Offset > -1000 && c.Offset < 1000 {
			return c, nil
		}
	}
	return c, fmt.Errorf("column %q: %q does not go with it", word, mod)
}

// cells checks the queries of cells.
func (c *checker) cells(queries []CellQuery) {
	for i, q := range queries {
		at := fmt.Sprintf("cells[%d]", i)
		c.send(at+".send", q.Send)
		if len(q.Lines) == 0 && len(q.Labels) == 0 {
			c.fail(at, "give lines or labels", "nothing says what the answer is like")
		}
		for j, l := range q.Lines {
			line := fmt.Sprintf("%s.lines[%d]", at, j)
			oneOf(c, line+".rat", l.RAT, "", GSM, UMTS, LTE, NR)
			if _, err := ParseColumns(l.Columns); err != nil {
				c.fail(line+".columns", strings.Join(columnNames, " "), "%v", err)
			}
		}
		for label, column := range q.Labels {
			if _, err := parseColumn(column); err != nil {
				c.fail(fmt.Sprintf("%s.labels.%q", at, label), strings.Join(columnNames, " "), "%v", err)
			}
		}
	}
}
