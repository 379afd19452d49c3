package dialect

import (
	"slices"
	"strings"
	"testing"

	"dynamod/atcmd"
)

func TestWhy(t *testing.T) {
	for _, tt := range []struct {
		name string
		id   Identity
		want string
	}{
		{"EG25-G", Identity{"Quectel", "EG25", "", "2c7c:0125"}, `manufacturer "quectel*"`},
		{"RM500U", Identity{"Quectel", "RM500U-CNV", "", ""}, `manufacturer "quectel*", model "RM500U*"`},
		{"FM350 by USB alone", Identity{USB: "0e8d:7127"}, `USB "0e8d:7127"`},
		{"nothing known", Identity{}, ""},
	} {
		if got := Find(tt.id).Why(tt.id); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Rows in use are told with their sources, those that have none among them.
func TestUses(t *testing.T) {
	for _, d := range all() {
		uses := d.Uses("", "")
		for _, u := range uses {
			if u.What == "" || (u.Source == Assumed) != (u.Ref == "") {
				t.Errorf("%s: %+v", d.Name, u)
			}
		}
		if !slices.ContainsFunc(uses, func(u Use) bool { return u.What == "card" && u.Row == d.APDU.Row }) {
			t.Errorf("%s: no row for the card", d.Name)
		}
	}
	d := ByName("quectel")
	has := func(uses []Use, what string, s Source) bool {
		return slices.ContainsFunc(uses, func(u Use) bool { return u.What == what && u.Source == s })
	}
	known, other := d.Uses("2c7c:0125", ECM), d.Uses("2c7c:ffff", RawIP)
	for _, tt := range []struct {
		uses   []Use
		what   string
		source Source
	}{
		{known, "ports", Field}, {other, "ports", Assumed},
		{known, "data call ecm", Field}, {other, "data call raw-ip", Assumed},
		{known, "init +QURCCFG", Assumed}, {known, "URC +QUSIM", Field}, {known, "SIM reset +CFUN=1,1", Documented},
	} {
		if !has(tt.uses, tt.what, tt.source) {
			t.Errorf("%s is not %s in %+v", tt.what, tt.source, tt.uses)
		}
	}
}

// Whatever a dialect sends with a login in it is known to carry a secret by its
// name alone.
func TestLoginsAreSecret(t *testing.T) {
	for _, d := range all() {
		var sends []string
		for _, a := range d.Auth {
			sends = append(sends, a.Set)
		}
		for _, steps := range append([][]Step{d.Init, d.Attach.Define, d.Function.Set, d.Slots.Select}, upAndDown(d)...) {
			for _, s := range steps {
				sends = append(sends, s.Send)
			}
		}
		for _, send := range sends {
			text, secret, err := Expand(send, trial)
			if err != nil {
				t.Fatal(err)
			}
			if secret && !atcmd.CarriesSecret(text) {
				t.Errorf("%s: AT%s can be shown", d.Name, text)
			}
		}
	}
}

func upAndDown(d *Dialect) (list [][]Step) {
	for _, c := range d.Data {
		list = append(list, c.Up, c.Down)
	}
	return list
}

func TestCommands(t *testing.T) {
	got := ByName("huawei").Commands()
	for _, want := range []string{"^RESET", "+CFUN=0"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
	if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "^NDISDUP=") }) {
		t.Errorf("no data call in %q", got)
	}
}
