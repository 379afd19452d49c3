package cosa

import (
	"bufio"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// The embedded database is data/operators.tsv, packed: it takes a third of the
// room in a router's flash. It is reviewed as lines of columns separated by tabs,
// trailing empty columns left out.
//
//	# source	NAME VERSION
//	COUNTRY/NAME	MCCMNC,...	UIORDER	RANK	KEY=VALUE ...
//		APN	PURPOSES	PLAN	FRIENDLYNAME	USERNAME	PASSWORD	AUTH
//
// A line that begins with a tab is a connection of the operator above it.
// Operators are sorted by COUNTRY/NAME, which is the id; connections stand in the
// order in which they are tried, which the converter made. UIORDER is the
// operator's place in the country's list of the source.
// PURPOSES is i (internet), m (MMS) or im; empty is unset. PLAN is pre, post or
// both. The strings of the records point into this text.
//
//go:generate go run ./convert -o data /usr/share/mobile-broadband-provider-info/serviceproviders.xml
//go:embed data/operators.tsv.gz
var databasePacked string

// databaseText is the database's text.
func databaseText() (string, error) {
	z, err := gzip.NewReader(strings.NewReader(databasePacked))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(z, 1<<20))
	return string(text), err
}

// The overlay has corrections and additions in the format of operators.d, each
// with the page of the operator that says so in ext (ExtSource). A profile with
// the id of one in the database takes its place.
//
//go:embed data/overlay.json
var overlayText string

// ExtSource is the Ext key of an overlay's profile that names where it is from.
const ExtSource = "source"

// Load returns the embedded database. Its records take some 720 KB of memory,
// with the text that they point into; a caller that is done with a Decision may drop it. The error
// means that the binary was built from a damaged file.
func Load() (*DB, error) {
	text, err := databaseText()
	var profiles []OperatorProfile
	if err == nil {
		profiles, err = parseDatabase(text)
	}
	if err == nil {
		profiles, err = overlay(profiles, overlayText)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded operator database: %w", err)
	}
	return &DB{layers: []*layer{newLayer(profiles)}}, nil // a test checks the records
}

// overlay puts the overlay's profiles in place of those with the same id, and
// the others behind.
func overlay(profiles []OperatorProfile, text string) ([]OperatorProfile, error) {
	corrections, problems := ParseJSON("overlay.json", []byte(text))
	if len(problems) > 0 {
		return nil, problems[0]
	}
	for _, c := range corrections {
		c.Source, c.Origin = SourceDatabase, "database overlay"
		if i := slices.IndexFunc(profiles, func(p OperatorProfile) bool { return p.ID == c.ID }); i >= 0 {
			profiles[i] = c
		} else {
			profiles = append(profiles, c)
		}
	}
	return profiles, nil
}

const databaseSource = "# source\t"

var planColumns = []struct{ column, plan string }{
	{"", ""}, {"pre", PlanPrepaid}, {"post", PlanPostpaid}, {"both", PlanBoth},
}

var purposeColumns = []struct {
	column string
	set    Purposes
}{
	{"", 0}, {"i", Purposes(Internet)}, {"m", Purposes(MMS)}, {"im", Purposes(Internet | MMS)},
}

// parseDatabase reads the form above. It allocates one slab per kind of record.
func parseDatabase(text string) ([]OperatorProfile, error) {
	var operators, connections, plmns int
	for line := range strings.Lines(text) {
		switch {
		case line[0] == '\t':
			connections++
		case line[0] != '#':
			operators++
			plmns += strings.Count(line, ",") + 1 // at least as many as it has
		}
	}
	profiles := make([]OperatorProfile, 0, operators)
	targets := make([]Target, 0, operators)
	conns := make([]Connection, 0, connections)
	keys := make([]string, 0, plmns)

	origin := "database"
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, databaseSource):
			origin = "database " + line[len(databaseSource):]
		case line == "" || line[0] == '#':
		case line[0] == '\t':
			if len(profiles) == 0 {
				return nil, fmt.Errorf("line %d: connection before any operator", number)
			}
			c, err := parseConnectionLine(line[1:])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			conns = append(conns, c)
			p := &profiles[len(profiles)-1]
			n := len(p.Connections) + 1
			p.Connections = conns[len(conns)-n : len(conns) : len(conns)]
		default:
			p := OperatorProfile{Source: SourceDatabase, Origin: origin}
			uiOrder, list, err := parseOperatorLine(line, &p)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			if list != "" {
				from := len(keys)
				for plmn := range strings.SplitSeq(list, ",") {
					keys = append(keys, plmn)
				}
				targets = append(targets, Target{MCCMNC: keys[from:len(keys):len(keys)], UIOrder: uiOrder})
				p.Targets = targets[len(targets)-1 : len(targets) : len(targets)]
			}
			profiles = append(profiles, p)
		}
	}
	return profiles, nil
}

// column cuts the next column off a line.
func column(line *string) string {
	head, tail, _ := strings.Cut(*line, "\t")
	*line = tail
	return head
}

func parseOperatorLine(line string, p *OperatorProfile) (uiOrder int, plmns string, err error) {
	p.ID = column(&line)
	country, name, ok := strings.Cut(p.ID, "/")
	if !ok || !IsCountry(country) || name == "" {
		return 0, "", fmt.Errorf("%q is not COUNTRY/NAME", p.ID)
	}
	p.Country, p.Name = country, name
	plmns = column(&line)
	if s := column(&line); s != "" {
		if uiOrder, err = strconv.Atoi(s); err != nil {
			return 0, "", fmt.Errorf("uiOrder %q is not a number", s)
		}
	}
	p.Rank = DefaultRank
	if s := column(&line); s != "" {
		if p.Rank, err = strconv.Atoi(s); err != nil {
			return 0, "", fmt.Errorf("rank %q is not a number", s)
		}
	}
	for line != "" {
		key, value, ok := strings.Cut(column(&line), "=")
		if !ok || key == "" || value == "" {
			return 0, "", fmt.Errorf("%q has a column that is not KEY=VALUE", p.ID)
		}
		p.Ext = append(p.Ext, ExtField{key, value})
	}
	return uiOrder, plmns, nil
}

func parseConnectionLine(line string) (c Connection, err error) {
	c.APN = column(&line)
	col := column(&line)
	i := 0
	for i < len(purposeColumns) && purposeColumns[i].column != col {
		i++
	}
	if i == len(purposeColumns) {
		return c, fmt.Errorf("purposes %q are not known", col)
	}
	c.Purposes = purposeColumns[i].set
	col = column(&line)
	for i = 0; i < len(planColumns) && planColumns[i].column != col; {
		i++
	}
	if i == len(planColumns) {
		return c, fmt.Errorf("plan %q is not known", col)
	}
	c.Plan = planColumns[i].plan
	c.FriendlyName = column(&line)
	c.Username = column(&line)
	c.Password = Secret(column(&line))
	if col = column(&line); col != "" {
		var ok bool
		if c.Auth, ok = ParseAuth(col); !ok {
			return c, fmt.Errorf("authentication %q is not known", col)
		}
	}
	if line != "" {
		return c, fmt.Errorf("APN %q has too many columns", c.APN)
	}
	return c, nil
}

// WriteDatabase writes profiles in the form of the embedded database. source
// names where they come from and its version. A profile that uses a field which
// the form does not have is an error.
func WriteDatabase(w io.Writer, source string, profiles []OperatorProfile) error {
	sorted := slices.Clone(profiles)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].ID < sorted[j].ID })
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s%s\n", databaseSource, source)
	fmt.Fprintf(b, "# operator: country/name, MCC+MNC, place in the country's list, rank, further facts\n")
	fmt.Fprintf(b, "# connection: APN, purposes, plan, friendly name, user name, password, authentication\n")
	for i := range sorted {
		p := &sorted[i]
		line, err := operatorLine(p)
		if err != nil {
			return fmt.Errorf("operator %q: %w", p.ID, err)
		}
		fmt.Fprintln(b, line)
		for j := range p.Connections {
			line, err := connectionLine(&p.Connections[j])
			if err != nil {
				return fmt.Errorf("operator %q: connection %d: %w", p.ID, j+1, err)
			}
			fmt.Fprintln(b, line)
		}
	}
	return b.Flush()
}

func operatorLine(p *OperatorProfile) (string, error) {
	if p.ID != p.Country+"/"+p.Name {
		return "", fmt.Errorf("the id is not country/name")
	}
	columns := []string{p.ID, "", "", ""}
	if len(p.Targets) > 1 {
		return "", fmt.Errorf("more than one target")
	}
	if len(p.Targets) == 1 {
		t := &p.Targets[0]
		if len(t.ICCID)+len(t.IMSI)+len(t.IMSIPattern)+len(t.GID1)+len(t.GID2)+len(t.SPN)+len(t.PNN)+len(t.MCC) > 0 {
			return "", fmt.Errorf("a key other than MCC+MNC")
		}
		columns[1] = strings.Join(t.MCCMNC, ",")
		if t.UIOrder != 0 {
			columns[2] = strconv.Itoa(t.UIOrder)
		}
	}
	if p.Rank != DefaultRank {
		columns[3] = strconv.Itoa(p.Rank)
	}
	for _, e := range p.Ext {
		columns = append(columns, e.Key+"="+e.Value)
	}
	return joinColumns(columns)
}

func connectionLine(c *Connection) (string, error) {
	if c.IPType != IPTypeUnset || c.RoamingIPType != IPTypeUnset || c.AlwaysOn != FlagUnset || c.Roaming != RoamingUnset ||
		c.Order != 0 || c.Enabled != FlagUnset || c.AcT != 0 || c.MTU != 0 || len(c.Ext) > 0 {
		return "", fmt.Errorf("a field that the form does not have")
	}
	columns := []string{c.APN, "?", "?", c.FriendlyName, c.Username, c.Password.Reveal(), c.Auth.String()}
	for _, e := range purposeColumns {
		if e.set == c.Purposes {
			columns[1] = e.column
		}
	}
	for _, e := range planColumns {
		if e.plan == c.Plan {
			columns[2] = e.column
		}
	}
	if columns[1] == "?" || columns[2] == "?" {
		return "", fmt.Errorf("a purpose or plan that the form does not have")
	}
	line, err := joinColumns(columns)
	return "\t" + line, err
}

func joinColumns(columns []string) (string, error) {
	for _, c := range columns {
		if strings.ContainsAny(c, "\t\r\n") {
			return "", fmt.Errorf("a tab or line end inside a column")
		}
	}
	return strings.TrimRight(strings.Join(columns, "\t"), "\t"), nil
}
