package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"dynamod/atcmd/dialect"
)

func parseDialects(t *testing.T, text string) []*dialect.Dialect {
	t.Helper()
	list, err := ParseDialects("x.toml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Every field of every built-in dialect survives the way through a file.
func TestDialectsRoundTrip(t *testing.T) {
	for _, name := range dialect.Names() {
		want := dialect.ByName(name)
		list, err := ParseDialects(name+".toml", writeDialect(t, want), nil)
		if err != nil || len(list) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		list[0].Name = name
		if a, b := string(writeDialect(t, list[0])), string(writeDialect(t, want)); a != b {
			t.Errorf("%s: came back otherwise at %s", name, firstDifference(a, b))
		}
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range as {
		if i >= len(bs) || as[i] != bs[i] {
			return fmt.Sprintf("line %d: %q", i+1, as[max(0, i-6):i+1])
		}
	}
	return "its end"
}

// writeDialect writes a dialect with all its fields, so that nothing of it is
// inherited from generic.
func writeDialect(t testing.TB, d *dialect.Dialect) []byte {
	t.Helper()
	d = dialect.Clone(d)
	if len(d.Match) == 0 {
		d.Match = []dialect.Match{{Model: "none"}} // a file's dialect must fit something
	}
	explicit(reflect.ValueOf(d).Elem())
	name := d.Name
	d.Name = "copy-of-" + name // not the built-in one, from which it would inherit
	b, err := toml.Marshal(map[string]any{"dialect": []*dialect.Dialect{d}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// explicit makes empty arrays and maps of those that are not there.
func explicit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			explicit(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			explicit(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	}
}

func TestDialectOverride(t *testing.T) {
	list := parseDialects(t, `
[[dialect]]
name = "rm520-site"
inherits = "quectel"
match = [{model = "RM520N*", revision = "RM520NGLAAR03*"}]

[dialect.apdu]
order = ["csim", "cgla"]
transmit = "5m"

[dialect.refresh]
flag = false

[dialect.function.kinds]
7 = "mbim"

[[dialect.sim_reset]]
name = "slot bounce"
settle = "20s"
steps = [{send = "+QUIMSLOT=2", pause = "1s"}, {send = "+QUIMSLOT=1"}]
drops = true

[[dialect.sim_reset]]
name = "restart"
settle = "1m"
steps = [{send = "+CFUN=1,1", timeout = "30s"}]
source = "field"
ref = "our bench, 2026"

# A built-in one, by its name.
[[dialect]]
name = "telit"
[dialect.apdu]
max_channel = 8
`)
	d, base := list[0], dialect.ByName("quectel")
	if d.Name != "rm520-site" || d.About != "quectel, from x.toml" || !slices.Equal(d.APDU.Order, []string{"csim", "cgla"}) || d.APDU.Transmit.Std() != 5*time.Minute {
		t.Errorf("%s %s: %+v", d.Name, d.About, d.APDU)
	}
	if d.APDU.Open != base.APDU.Open || !slices.EqualFunc(d.Data, base.Data, func(a, b dialect.DataCall) bool { return reflect.DeepEqual(a, b) }) {
		t.Error("what the file does not name is not inherited")
	}
	// What was changed has the file as its source, and nothing else has.
	for _, tt := range []struct {
		what      string
		got, want dialect.Row
	}{
		{"apdu", d.APDU.Row, dialect.Row{Source: dialect.Configured, Ref: "x.toml:7"}},
		{"refresh", d.Refresh.Row, dialect.Row{Source: dialect.Configured, Ref: "x.toml:11"}},
		{"first rung", d.SIMReset[0].Row, dialect.Row{Source: dialect.Configured, Ref: "x.toml:17"}},
		{"second rung", d.SIMReset[1].Row, dialect.Row{Source: dialect.Field, Ref: "our bench, 2026"}},
		{"attach", d.Attach.Row, base.Attach.Row},
		{"slots", d.Slots.Row, base.Slots.Row},
	} {
		if tt.got != tt.want && !(tt.got.Source == tt.want.Source && strings.HasPrefix(tt.got.Ref, "x.toml:") && strings.HasPrefix(tt.want.Ref, "x.toml:")) {
			t.Errorf("%s: %+v, want %+v", tt.what, tt.got, tt.want)
		}
	}
	if d.Refresh.Flag || d.Function.Kinds["7"] != dialect.MBIM || d.Function.Kinds["1"] != dialect.ECM || len(d.SIMReset) != 2 || len(d.SIMReset[0].Steps) != 2 {
		t.Errorf("%+v %+v %+v", d.Refresh, d.Function, d.SIMReset)
	}
	set := &dialect.Set{}
	for _, d := range list {
		set.Add(d)
	}
	for _, tt := range []struct {
		id   dialect.Identity
		want string
	}{
		{dialect.Identity{Manufacturer: "Quectel", Model: "RM520N-GL", Revision: "RM520NGLAAR03A03M4G"}, "rm520-site"},
		{dialect.Identity{Manufacturer: "Quectel", Model: "RM520N-GL", Revision: "RM520NGLAAR01A07M4G"}, "quectel"},
		{dialect.Identity{Manufacturer: "Telit", Model: "LE910C4-EU"}, "telit"},
	} {
		if got := set.Find(tt.id); got.Name != tt.want {
			t.Errorf("%+v: %s", tt.id, got.Name)
		}
	}
	if got := set.ByName("telit"); got.APDU.MaxChannel != 8 || dialect.ByName("telit").APDU.MaxChannel == 8 {
		t.Errorf("telit: %+v", got.APDU)
	}
}

func TestDialectErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "[[dialect]]\nname = \"x\"\ninherit = \"quectel\"\n", `x.toml:3:1: unknown key "inherit"` + "\nhint: did you mean \"inherits\"?"},
		{"unknown parent", "[[dialect]]\nname = \"x\"\ninherits = \"quectle\"\n", `x.toml:3:12: there is no dialect "quectle" to inherit from` + "\nhint: did you mean \"quectel\"?"},
		{"a table in place of an array", "[dialect]\nname = \"x\"\n", "x.toml:1:2: [dialect] must be an array of tables"},
		{"an array in place of a table", "[[dialect]]\nname = \"x\"\n[[dialect.apdu]]\n", "x.toml:3:3: [[dialect.apdu]] must be a table, not an array of tables"},
		{"a table below none", "[dialect.apdu]\n", "x.toml:1:2: there is no [[dialect]] above"},
		{"unknown way", "[[dialect]]\nname = \"telit\"\n[dialect.apdu]\norder = [\"cgla\", \"qmi\"]\n", `x.toml:4:18: "qmi" has no meaning here` + "\nhint: one of \"cgla\", \"csim\""},
		{"unknown placeholder", "[[dialect]]\nname = \"telit\"\n[[dialect.data]]\nup = [{send = \"#ECM={context},0\"}]\naddress = [\"dhcp\"]\n", `x.toml:4:15: command "#ECM={context},0": no value for {context}`},
		{"a command with AT", "[[dialect]]\nname = \"telit\"\ninit = [{send = \"AT#QSS=1\"}]\n", `x.toml:3:17: "AT#QSS=1" begins with AT`},
		{"two commands in one", "[[dialect]]\nname = \"telit\"\ninit = [{send = \"#QSS=1\\rATD112\"}]\n", "x.toml:3:17: the command has characters"},
		{"no duration", "[[dialect]]\nname = \"telit\"\n[dialect.apdu]\nopen = \"soon\"\n", "x.toml:4:8: not valid TOML"},
		{"whole number", "[[dialect]]\nname = \"telit\"\n[dialect.apdu]\nmax_channel = 3.5\n", `x.toml:4:15: "dialect[0].apdu.max_channel" must be a whole number, not a number with a fraction`},
		{"interface numbers", "[[dialect]]\nname = \"telit\"\nports = [{at = [4, \"5\"]}]\n", `x.toml:3:20: each value of "dialect[0].ports[0].at" must be a whole number, not a string`},
		{"no such interface", "[[dialect]]\nname = \"telit\"\nports = [{at = [4], ppp = [256]}]\n", "x.toml:3:21: 256 is no interface number"},
		{"no such parameter", "[[dialect]]\nname = \"telit\"\n[[dialect.data]]\naddress = [\"dhcp\"]\nstate = [{send = \"#ECM?\", state_field = -1}]\n", "x.toml:5:41: -1 is no parameter"},
		{"fits nothing", "[[dialect]]\nname = \"x\"\n", `x.toml:1:3: dialect "x" fits no modem`},
		{"no settle", "[[dialect]]\nname = \"telit\"\n[[dialect.sim_reset]]\nname = \"r\"\n", "x.toml:3:3: a rung without time to settle"},
		{"name", "[[dialect]]\nname = \"My Modem\"\nmatch = [{model = \"x\"}]\n", `x.toml:2:8: "My Modem" is not the name of a dialect`},
	} {
		_, err := ParseDialects("x.toml", []byte(tt.text), nil)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

func TestLoadDialects(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("10-site.toml", "[[dialect]]\nname = \"site\"\ninherits = \"fibocom\"\nmatch = [{usb = \"1234:*\"}]\n")
	write("20-bad.toml", "[[dialect]]\nname = \"bad\"\ncolour = \"red\"\n")
	write("30-more.toml", "[[dialect]]\nname = \"more\"\ninherits = \"site\"\nmatch = [{usb = \"1234:5678\"}]\n")
	write("notes.txt", "no TOML")
	set, errs := LoadDialects(dir)
	if len(errs) != 1 || errs[0].File != filepath.Join(dir, "20-bad.toml") || errs[0].Line != 3 {
		t.Errorf("errors: %v", errs)
	}
	if d := set.Find(dialect.Identity{USB: "1234:5678"}); d.Name != "more" || d.Data[0].Up[1].Send != "+GTRNDIS=1,{cid}" {
		t.Errorf("found %s", d.Name)
	}
	if set.ByName("bad") != nil {
		t.Error("a bad file is used")
	}
	if set, errs := LoadDialects(filepath.Join(dir, "none")); errs != nil || set.Find(dialect.Identity{}).Name != "generic" {
		t.Errorf("no directory: %v", errs)
	}
}

// The examples of the documentation are files that work.
func TestDocumentedDialects(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dialects.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for block := range strings.SplitSeq(string(doc), "```toml\n") {
		text, _, ok := strings.Cut(block, "```")
		if !ok || !strings.Contains(text, "[[dialect]]") {
			continue
		}
		n++
		if list := parseDialects(t, text); len(list) == 0 {
			t.Errorf("example %d has no dialect", n)
		}
	}
	if n < 2 {
		t.Errorf("%d examples", n)
	}
	// Every key of a dialect is in its table of keys.
	var walk func(path string, s *schema)
	walk = func(path string, s *schema) {
		for _, name := range s.names() {
			child, key := s.children[name], join(path, name)
			if name == "source" || name == "ref" {
				continue
			}
			if !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("docs/dialects.md does not name %s", key)
			}
			if child.kind == isTable || child.kind == isTables {
				walk(key, child)
			}
		}
	}
	walk("", dialectRoot.children["dialect"])
}

func FuzzDialects(f *testing.F) {
	f.Add("[[dialect]]\nname = \"ec20\"\ninherits = \"quectel\"\nmatch = [{revision = \"EC20*\"}]\n[dialect.apdu]\norder = [\"csim\"]\nopen = \"9s\"\n[dialect.function.kinds]\n7 = \"mbim\"\n")
	f.Add("[[dialect]]\nname = \"x\"\n[[dialect.data]]\n[[dialect.data.up]]\nsend = \"+X\"\n")
	f.Add("dialect = [{name = \"telit\", apdu = {order = [\"csim\"]}}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseDialects("f.toml", []byte(text), nil)
		if err != nil {
			for _, e := range err.(Errors) {
				if e.Line < 1 || e.Col < 1 || strings.Contains(e.Msg, "\n") {
					t.Fatalf("place or text of %q", e)
				}
			}
			return
		}
		for i, d := range list {
			if err := d.Check(); err != nil {
				t.Fatal(err)
			}
			again, err := ParseDialects("g.toml", writeDialect(t, d), nil)
			if err != nil {
				t.Fatalf("dialect %d does not come back: %v\n%s", i, err, writeDialect(t, d))
			}
			again[0].Name = d.Name
			if a, b := string(writeDialect(t, again[0])), string(writeDialect(t, d)); a != b {
				t.Fatalf("came back otherwise at %s", firstDifference(a, b))
			}
		}
	})
}

// The table of the documentation has each family, with its way to the eUICC and
// where that is known from as the dialect has them.
func TestDocumentedFamilies(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dialects.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	way := ""
	for line := range strings.SplitSeq(string(doc), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if name := strings.TrimSpace(cells[0]); len(cells) == 4 && strings.HasPrefix(name, "`") {
			if !strings.Contains(cells[2], "the same") {
				way = cells[2]
			}
			rows[strings.Trim(name, "`")] = []string{way, strings.TrimSpace(cells[3])}
		}
	}
	for _, name := range dialect.Names() {
		d, row := dialect.ByName(name), rows[name]
		if row == nil {
			t.Errorf("%s is not in the table", name)
			continue
		}
		first := ""
		if len(d.APDU.Order) > 0 {
			first = map[string]string{dialect.CGLA: " +CGLA", dialect.CSIM: " +CSIM"}[d.APDU.Order[0]]
		}
		switch d.APDU.Verdict {
		case dialect.Blocked:
			first = " blocked"
		case dialect.NoHost:
			first = " not an eSIM host"
		}
		second := len(d.APDU.Order) > 1 && d.APDU.Verdict == ""
		if !strings.HasPrefix(row[0], first) || strings.Contains(row[0], "else") != second || row[1] != string(d.APDU.Source) {
			t.Errorf("%s: the table has %q, the dialect has %v, verdict %q, %s", name, row, d.APDU.Order, d.APDU.Verdict, d.APDU.Source)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("the table has %s, which is no dialect", name)
	}
}
