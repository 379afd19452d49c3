package ppp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"dynamod/atcmd/modem"
)

// TestReport: what pppd says, by its version.
func TestReport(t *testing.T) {
	for _, tt := range []struct {
		name, log, want string
	}{
		{"2.4.9, both families", "Using interface ppp0\nConnect: ppp0 <--> /dev/ttyUSB3\nlocal  LL address fe80::1d00:0000:0000:0001\nremote LL address fe80::2\nlocal  IP address 10.1.2.3\nremote IP address 10.64.64.64\nprimary   DNS address 9.9.9.9\nsecondary DNS address 9.9.9.10",
			"ppp0 10.1.2.3 fe80::1d00:0:0:1 [9.9.9.9 9.9.9.10]"},
		{"the same server twice", "primary   DNS address 9.9.9.9\nsecondary DNS address 9.9.9.9", " invalid IP invalid IP [9.9.9.9]"},
		{"Huawei: servers that are none", "primary   DNS address 10.11.12.13\nsecondary DNS address 10.11.12.14", " invalid IP invalid IP []"},
		{"no address at all", "local  IP address 0.0.0.0\nlocal  IP address fe80::1\nlocal  LL address 10.0.0.1\nlocal  LL address 2001:db8::1", " invalid IP invalid IP []"},
		{"a name that no interface has", "Using interface aaaaaaaaaaaaaaaa", " invalid IP invalid IP []"},
		{"an address that changes", "local  IP address 10.0.0.1\nlocal  IP address 10.0.0.2", " 10.0.0.2 invalid IP []"},
		{"an authenticator's text", "Remote message: local  IP address 6.6.6.6\nCHAP authentication succeeded: primary   DNS address 6.6.6.6", " invalid IP invalid IP []"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r report
			for line := range strings.Lines(tt.log) {
				r.line(line)
			}
			if got := fmt.Sprint(r.Interface, " ", r.Local, " ", r.Identifier, " ", r.DNS); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzReport: whatever is said, what is taken from it can be used.
func FuzzReport(f *testing.F) {
	for _, line := range append(up("10.0.0.2"), "In file /x: unrecognized option 'ifname'", "PAP authentication failed", "local  LL address fe80::1%ppp0") {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var r report
		changed := r.line(line)
		if changed != (r.Interface != "" || r.Local.IsValid() || r.Identifier.IsValid() || len(r.DNS) > 0) {
			t.Errorf("changed: %v, %+v", changed, r)
		}
		if len(r.Interface) > 15 || len(r.last) > 160 || r.Identifier.Zone() != "" || r.Local.IsValid() && !r.Local.Is4() || r.Identifier.IsValid() && !netip.MustParsePrefix("fe80::/10").Contains(r.Identifier) {
			t.Errorf("%+v", r)
		}
		e := &EndError{Code: codeAuth, Text: r.last}
		if strings.ContainsAny(e.Error(), "\r\n\x00") {
			t.Errorf("error %q", e)
		}
	})
}

// FuzzQuote: a user name and a password come out of the options file as they went
// in, and nothing of them is an option.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a b", `"`, `\`, "#", "'", "a\nnoauth", "\x00", "ä", `\"`, "x\n\"y", "9\x019"} {
		f.Add(s, "p")
	}
	f.Fuzz(func(t *testing.T, user, password string) {
		text := Options{Auth: modem.Auth{Method: modem.PAP, User: user, Password: modem.Secret(password)}}.text(nil)
		o, err := readOptions(text)
		if err != nil || o["user"][0] != user || o["password"][0] != password {
			t.Errorf("%q, %q: %v, %q", user, password, err, text)
		}
		if plain, _ := readOptions(Options{Auth: modem.Auth{Method: modem.PAP}}.text(nil)); len(plain) != len(o) {
			t.Errorf("%d options, want %d", len(o), len(plain))
		}
	})
}
