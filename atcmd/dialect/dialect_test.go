package dialect

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name string
		id   Identity
		want string
	}{
		{"EG25-G", Identity{"Quectel", "EG25", "EG25GGBR07A08M2G", ""}, "quectel"},
		{"EC20, manufacturer in capitals", Identity{"QUECTEL", "EC20F", "EC20CEFAGR06A04M4G", ""}, "quectel"},
		{"RM520N", Identity{"Quectel", "RM520N-GL", "RM520NGLAAR01A07M4G", ""}, "quectel"},
		{"RM500U, Unisoc", Identity{"Quectel", "RM500U-CNV", "RM500UCNVAAR03A06M2G_01.001.01.001", ""}, "quectel-unisoc"},
		{"EC200A, LTE Standard", Identity{"Quectel", "EC200A", "EC200AEUHAR01A09M16", ""}, "quectel-standard"},
		{"EC20, not EC200A", Identity{"Quectel", "EC20F", "", ""}, "quectel"},
		{"known by USB alone", Identity{USB: "2C7C:0125"}, "quectel"},
		{"model without manufacturer", Identity{Model: "EG916Q-GL"}, "quectel"},
		{"RG650E, with an LPA of its own", Identity{"Quectel", "RG650E-EU", "RG650EEUDFR03A04M8G", ""}, "quectel-lpa"},
		{"FM350, MediaTek", Identity{"Fibocom Wireless Inc.", "FM350-GL", "81600.0000.00.29.23.05", ""}, "fibocom-mtk"},
		{"FM350 by USB alone", Identity{USB: "0e8d:7127"}, "fibocom-mtk"},
		{"L850, Intel", Identity{"Fibocom Wireless Inc.", "L850", "18500.5001.09.02.24.02", ""}, "fibocom-xmm"},
		{"FM160", Identity{"Fibocom Wireless Inc.", "FM160-EAU", "89614.1000.00.04.07.20", ""}, "fibocom"},
		{"SIM7600", Identity{"SIMCOM INCORPORATED", "SIMCOM_SIM7600G-H", "LE20B04SIM7600G22", ""}, "simcom-7600"},
		{"SIM8202G", Identity{"SIMCOM INCORPORATED", "SIM8202G-M2", "SIM8202G-M2_V1.2", ""}, "simcom"},
		{"A7672E", Identity{"INCORPORATED", "A7672E-FASE", "A7672M7_V1.11.1", ""}, "simcom-a76"},
		{"LE910C4", Identity{"Telit", "LE910C4-EU", "25.20.664", ""}, "telit-le910c"},
		{"LE910C1-WWXD", Identity{"Telit", "LE910C1-WWXD", "25.30.608", ""}, "telit"},
		{"FN990", Identity{"Telit Cinterion", "FN990A28", "45.00.064", ""}, "telit-5g"},
		{"MC7455", Identity{"Sierra Wireless, Incorporated", "MC7455", "SWI9X30C_02.33.03.00", ""}, "sierra"},
		{"EM9191", Identity{"Sierra Wireless, Incorporated", "EM9191", "SWIX55C_03.10.07.00", ""}, "sierra-5g"},
		{"LARA-R6", Identity{"u-blox", "LARA-R6001D", "00.13", ""}, "ublox"},
		{"MS2372h", Identity{"huawei", "MS2372h-153", "22.323.62.00.00", ""}, "huawei"},
		{"PLS8", Identity{"Cinterion", "PLS8-E", "REVISION 03.017", ""}, "cinterion"},
		{"nRF9160", Identity{"Nordic Semiconductor ASA", "nRF9160-SICA", "mfw_nrf9160_1.3.5", ""}, "nrf91"},
		{"T830", Identity{"MediaTek Inc.", "T830", "MOLY.NR15", ""}, "mtk"},
		{"DW5821e", Identity{"Foxconn", "T77W968", "T77W968.F1.0.0", ""}, "foxconn"},
		{"nothing known", Identity{}, "generic"},
	} {
		if got := Find(tt.id).Name; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNames(t *testing.T) {
	names := Names()
	if !slices.IsSorted(names) || !slices.Contains(names, "generic") || !slices.Contains(names, "quectel") {
		t.Fatalf("names: %q", names)
	}
	for _, name := range names {
		if d := ByName(name); d == nil || d.Name != name || d.About == "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if ByName("no such") != nil {
		t.Error("a dialect that does not exist was found")
	}
}

// What is added takes the place of the built-in of its name.
func TestSetAll(t *testing.T) {
	var s Set
	s.Add(&Dialect{Name: "telit", About: "of this site"})
	s.Add(&Dialect{Name: "site"})
	built := (*Set)(nil).All()
	list := s.All()
	if len(list) != len(built)+1 || list[0].About != "of this site" || list[1].Name != "site" || s.ByName("telit").About != "of this site" {
		t.Errorf("%d dialects of %d, the first %+v", len(list), len(built), list[0])
	}
	if names := s.Names(); len(names) != len(list) || !slices.IsSorted(names) {
		t.Errorf("names: %q", names)
	}
}

// An override of one modem must not reach the next one.
func TestDialectsAreCopies(t *testing.T) {
	d := ByName("quectel")
	d.ICCID[0].Send = "changed"
	d.Data[0].Up[0].Send = "changed"
	d.Function.Kinds["0"] = None
	if again := ByName("quectel"); reflect.DeepEqual(d, again) {
		t.Fatal("a change of one copy is in the next")
	}
}

func TestMatchPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, value string
		score          int
		ok             bool
	}{
		{"quectel*", "Quectel", 7, true},
		{"quectel", "Quectel Ltd", 0, false},
		{"EC2*|EG25*", "EG25-G", 4, true},
		{"*g*", "eg25g", 1, true},
		{"a*b*c", "aXbYc", 3, true},
		{"a*b*c", "acb", 0, false},
		{"ab*b", "ab", 0, false},
		{"*", "", 0, true},
	} {
		if score, ok := matchAny(tt.pattern, tt.value); score != tt.score || ok != tt.ok {
			t.Errorf("%q on %q: %d %v, want %d %v", tt.pattern, tt.value, score, ok, tt.score, tt.ok)
		}
	}
}

// Every part of every dialect says where it is known from, and a part that is
// not assumed names its source.
func TestRowsNameTheirSource(t *testing.T) {
	for _, d := range all() {
		var walk func(path string, v reflect.Value, inherited bool)
		walk = func(path string, v reflect.Value, inherited bool) {
			switch v.Kind() {
			case reflect.Pointer:
				walk(path, v.Elem(), inherited)
			case reflect.Slice:
				for i := range v.Len() {
					walk(path+"["+string(rune('0'+i))+"]", v.Index(i), inherited)
				}
			case reflect.Struct:
				if f := v.FieldByName("Row"); f.IsValid() && !v.IsZero() {
					row := f.Interface().(Row)
					switch row.Source {
					case Documented, Field:
						if row.Ref == "" {
							t.Errorf("%s %s: %s without a reference", d.Name, path, row.Source)
						}
						inherited = true
					case Assumed:
						inherited = true
					case "":
						if !inherited {
							t.Errorf("%s %s: no source", d.Name, path)
						}
					default:
						t.Errorf("%s %s: source %q", d.Name, path, row.Source)
					}
				}
				for i := range v.NumField() {
					if name := v.Type().Field(i).Name; name != "Row" && name != "Match" {
						walk(path+"."+name, v.Field(i), inherited)
					}
				}
			}
		}
		walk("", reflect.ValueOf(d), false)
	}
}

// Commands of the tables fill in and hold nothing that only a shell of a modem
// would need.
func TestCommandsExpand(t *testing.T) {
	v := Values{"cid": "1", "apn": "internet", "type": "IP", "ptype": "1", "user": "u", "password": "p", "auth": "1", "slot": "2", "other": "1", "function": "1"}
	for _, d := range all() {
		steps := slices.Concat(d.Init, d.Slots.Select, d.Function.Set, d.Attach.Define)
		for _, r := range d.SIMReset {
			steps = append(steps, r.Steps...)
		}
		for _, c := range d.Data {
			steps = append(steps, slices.Concat(c.Up, c.Down)...)
		}
		for _, a := range d.Auth {
			steps = append(steps, Step{Send: a.Set}, Step{Send: a.Clear})
		}
		for _, s := range steps {
			got, _, err := Expand(s.Send, v)
			if err != nil || strings.ContainsAny(got, "{}\r\n") || strings.HasPrefix(strings.ToUpper(got), "AT") || strings.HasSuffix(got, "=?") {
				t.Errorf("%s: %q becomes %q, %v", d.Name, s.Send, got, err)
			}
		}
	}
}

func TestExpand(t *testing.T) {
	for _, tt := range []struct {
		name, send string
		v          Values
		want       string
		secret     bool
		err        string
	}{
		{"plain", "+CGACT?", nil, "+CGACT?", false, ""},
		{"credentials", `+CGAUTH={cid},{auth},"{user}","{password}"`, Values{"cid": "1", "auth": "2", "user": "me", "password": "s3cret"}, `+CGAUTH=1,2,"me","s3cret"`, true, ""},
		{"quote", `X="{apn}"`, Values{"apn": `a"b`}, "", false, "{apn}"},
		{"line end", `X={apn}`, Values{"apn": "a\rATD"}, "", false, "{apn}"},
		{"missing", `X={apn}`, nil, "", false, "no value for {apn}"},
		{"unclosed", `X={apn`, nil, "", false, "without '}'"},
		{"a value is not expanded again", `X={apn}`, Values{"apn": "{cid}", "cid": "1"}, "X={cid}", false, ""},
	} {
		got, secret, err := Expand(tt.send, tt.v)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want || secret != tt.secret {
			t.Errorf("%s: %q %v %v", tt.name, got, secret, err)
		}
	}
	_, _, err := Expand(`X="{password}"`, Values{"password": "hunter2\""})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error about a password: %v", err)
	}
}

func TestCall(t *testing.T) {
	for _, name := range Names() {
		d := ByName(name)
		for _, k := range []Kind{ECM, NCM, RNDIS, RawIP} {
			// Raw IP is MBIM's there; nRF91 has no interface at all.
			none := name == "nrf91" || k == RawIP && (name == "mtk" || name == "fibocom-mtk")
			if (d.Call(k) == nil) != none {
				t.Errorf("%s: data call for %s: %v", name, k, d.Call(k))
			}
		}
		for _, k := range []Kind{QMI, MBIM, None} {
			if d.Call(k) != nil {
				t.Errorf("%s: data call by AT for %s", name, k)
			}
		}
	}
}

func TestDuration(t *testing.T) {
	var d Duration
	if err := d.UnmarshalText([]byte("4m")); err != nil || d.Std() != 4*time.Minute {
		t.Errorf("4m: %v %v", d, err)
	}
	if text, err := d.MarshalText(); err != nil || string(text) != "4m0s" {
		t.Errorf("%s %v", text, err)
	}
	if err := d.UnmarshalText([]byte("4 minutes")); err == nil {
		t.Error("4 minutes is a duration")
	}
}

func FuzzExpand(f *testing.F) {
	f.Add(`+CGDCONT={cid},"{apn}"`, "internet")
	f.Add("{", "")
	f.Fuzz(func(t *testing.T, send, value string) {
		got, _, err := Expand(send, Values{"apn": value, "cid": "1"})
		if err != nil {
			return
		}
		if strings.Contains(send, "{apn}") && strings.ContainsAny(value, "\"\r\n") {
			t.Errorf("%q with %q became %q", send, value, got)
		}
	})
}

// FuzzMatch compares patterns, which come from files, with regular expressions
// that mean the same.
func FuzzMatch(f *testing.F) {
	f.Add("EC2*|EG2*", "EG25")
	f.Add("*a*ab*b", "xaabb")
	f.Add("a*a", "a")
	f.Add("|", "")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(value) || len(pattern) > 100 || len(value) > 100 {
			return
		}
		var alternatives []string
		for alt := range strings.SplitSeq(strings.ToLower(pattern), "|") {
			alternatives = append(alternatives, strings.ReplaceAll(regexp.QuoteMeta(alt), `\*`, `.*`))
		}
		oracle := regexp.MustCompile(`(?s)^(?:` + strings.Join(alternatives, "|") + `)$`)
		score, ok := matchAny(pattern, value)
		if want := oracle.MatchString(strings.ToLower(strings.TrimSpace(value))); ok != want {
			t.Errorf("%q fits %q: %v, want %v", value, pattern, ok, want)
		}
		if score < 0 || score > len(strings.ToLower(pattern)) || !ok && score != 0 {
			t.Errorf("%q fits %q by %d characters", value, pattern, score)
		}
	})
}

func TestPortsOf(t *testing.T) {
	for _, tt := range []struct {
		dialect, usb string
		at           []int
	}{
		{"quectel", "2c7c:0125", []int{2, 3}},
		{"quectel", "2c7c:0128", []int{5}}, // EM060K-GL, MBIM
		{"telit", "1bc7:1033", []int{1, 2}},
		{"telit-5g", "1BC7:1070", []int{4, 5}},
		{"fibocom-mtk", "0e8d:7127", []int{3}},
		{"sierra", "1199:9071", []int{3}},
		{"ublox", "1546:9999", nil},
		{"generic", "1234:5678", nil},
	} {
		if p, ok := ByName(tt.dialect).PortsOf(tt.usb); !slices.Equal(p.AT, tt.at) || ok != (tt.at != nil) {
			t.Errorf("%s %s: %v %v, want %v", tt.dialect, tt.usb, p.AT, ok, tt.at)
		}
	}
}

// What a table names is one of the values that its readers know.
func TestTableValues(t *testing.T) {
	for _, d := range all() {
		if err := d.Check(); err != nil {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
}

func TestParseColumns(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []Column
		err  string
	}{
		{"* =LTE mcc", []Column{{Factor: 1}, {Equal: "LTE", Factor: 1}, {Name: "mcc", Factor: 1}}, ""},
		{"tac:x band:^50", []Column{{Name: "tac", Hex: true, Factor: 1}, {Name: "band", Cut: "50", Factor: 1}}, ""},
		{"rsrp:1n-141 rsrq:0.5n", []Column{{Name: "rsrp", Factor: 1, Offset: -141}, {Name: "rsrq", Factor: 0.5}}, ""},
		{"", nil, "0 columns"},
		{strings.Repeat("* ", 65), nil, "65 columns"},
		{"power", nil, "unknown name"},
		{"=", nil, "nothing to compare"},
		{"mcc:x", nil, "does not go with it"},
		{"rsrp:x", nil, "does not go with it"},
		{"rsrp:0n", nil, "does not go with it"},
		{"rsrp:1n-1e9", nil, "does not go with it"},
		{"rsrp:", nil, "does not go with it"},
		{"ci:1n", nil, "does not go with it"},
	} {
		got, err := ParseColumns(tt.text)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v %v", tt.text, got, err)
		}
	}
}

// FuzzColumns: what was read can be written and is read as the same again.
func FuzzColumns(f *testing.F) {
	for _, d := range all() {
		for _, q := range d.Cells {
			for _, l := range q.Lines {
				f.Add(l.Columns)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		columns, err := ParseColumns(text)
		if err != nil {
			return
		}
		var words []string
		for _, c := range columns {
			word := c.Name
			switch {
			case c.Equal != "":
				word = "=" + c.Equal
			case c.Name == "":
				word = "*"
			case c.Hex:
				word += ":x"
			case c.Cut != "":
				word += ":^" + c.Cut
			default:
				if c.Factor != 1 || c.Offset != 0 {
					word += fmt.Sprintf(":%vn%+v", c.Factor, c.Offset)
				}
			}
			words = append(words, word)
		}
		again, err := ParseColumns(strings.Join(words, " "))
		if err != nil || !slices.Equal(again, columns) {
			t.Errorf("%q: %v became %v, %v", text, columns, again, err)
		}
	})
}
