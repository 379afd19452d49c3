package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"dynamod/configs"
	"dynamod/configs/cosa"
)

func TestReferenceIsDefault(t *testing.T) {
	got, err := Parse("reference.toml", configs.Reference)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	// "[]" is there in the file and empty; the default is not there.
	if len(got.LPA.CI) == 0 {
		got.LPA.CI = nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("reference.toml gives\n%+v\nthe default is\n%+v", got, want)
	}
	empty, err := Parse("empty.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(empty, want) {
		t.Errorf("an empty file gives\n%+v\nthe default is\n%+v", empty, want)
	}
}

// optional matches a key or table of reference.toml behind "#" without a blank.
var optional = regexp.MustCompile(`(?m)^#(\[|"?[a-z])`)

func TestReferenceHasEveryKey(t *testing.T) {
	full := optional.ReplaceAll(configs.Reference, []byte("$1"))
	d := newDocument("reference.toml", full, root)
	d.walk()
	if len(d.errs) > 0 {
		t.Fatal(d.errs)
	}
	if _, err := Parse("reference.toml", full); err != nil {
		t.Errorf("with all optional keys: %v", err)
	}
	var check func(prefix string, s *schema)
	check = func(prefix string, s *schema) {
		for _, name := range s.names() {
			path, child := join(prefix, name), s.children[name]
			switch child.kind {
			case isTable:
				check(path, child)
			case isMap:
				if !strings.Contains(string(full), "["+path+"]") {
					t.Errorf("reference.toml does not have [%s]", path)
				}
			default:
				at, ok := d.values[path]
				if !ok {
					t.Errorf("reference.toml does not have %s", path)
					continue
				}
				line, _ := d.position(at)
				if above := strings.Split(string(full), "\n")[line-2]; !strings.HasPrefix(above, "# ") && path != "apn.username" {
					t.Errorf("reference.toml does not explain %s", path)
				}
			}
		}
	}
	check("", root)
}

func TestShippedFilesParse(t *testing.T) {
	for name, data := range map[string][]byte{"minimal.toml": configs.Minimal, "demo.toml": configs.Demo} {
		if _, err := Parse(name, data); err != nil {
			t.Error(err)
		}
		if _, err := Parse(name, optional.ReplaceAll(data, []byte("$1"))); err != nil {
			t.Errorf("with the optional keys: %v", err)
		}
	}
	if c, _ := Parse("demo.toml", configs.Demo); c.LPA.CISet != CITest || c.Bearer.KeepUp {
		t.Errorf("demo.toml: %+v", c)
	}
}

func TestValues(t *testing.T) {
	c, err := Parse("t.toml", []byte(`
uplink.metric = 5
uplink.dns = ["9.9.9.9", "2620:fe::fe"]
hook = { socket = "/run/x/../y.sock", group = "dial", listen = "[::1]:8443", hosts = ["Router7.Example"] }
[modem]
port = "/dev/ttyUSB2"
dialect = "quectel"
[lpa]
aids = ["A0000005591010FFFFFFFF8900050500"]
smds = ["SMDS.example.com", "smds.lab.test:8443"]
proxy = "http://proxy.example.com"
[lpa.resolve]
"SMDP.example.com" = "192.0.2.1:8443"
v6 = "[2001:db8::1]:443"
[apn]
apn = ""
iccid = "8949020000012345678F"
ip_type = "ipv4"
[bearer]
network_assigned = false
data_apn_in_attach = true
[fallback]
order = ["8949020000012345678F", "last-success"]
bootstrap = ["8988303000000000001F"]
return = "0s"
[state]
run = "/tmp/lab/run"
[reach]
interval = "0s"
[log]
level = "debug"
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"dotted key", c.Uplink.Metric, 5},
		{"inline table, cleaned path", c.Hook.Socket, "/run/y.sock"},
		{"group", c.Hook.Group, "dial"},
		{"listen", c.Hook.Listen, "[::1]:8443"},
		{"host names in lower case", fmt.Sprint(c.Hook.Hosts), "[router7.example]"},
		{"port", c.Modem.Port, "/dev/ttyUSB2"},
		{"aid", fmt.Sprintf("%X", c.LPA.AIDs), "[A0000005591010FFFFFFFF8900050500]"},
		{"discovery servers", fmt.Sprint(c.LPA.SMDS), "[smds.example.com smds.lab.test:8443]"},
		{"proxy with port", c.LPA.Proxy.String(), "http://proxy.example.com:80"},
		{"host folded", c.LPA.Resolve["smdp.example.com"].String(), "192.0.2.1:8443"},
		{"v6", c.LPA.Resolve["v6"].String(), "[2001:db8::1]:443"},
		{"empty APN is set", c.APN.Set, true},
		{"filler dropped", c.APN.ICCID, "8949020000012345678"},
		{"ip type", c.APN.IPType, cosa.IPv4},
		{"auth unset", c.APN.Auth, cosa.AuthUnset},
		{"network assigned", c.Bearer.NetworkAssigned, false},
		{"data APN in the attach", c.Bearer.DataAPNInAttach, true},
		{"name servers", fmt.Sprint(c.Uplink.DNS), "[9.9.9.9 2620:fe::fe]"},
		{"dns file follows run", c.Uplink.DNSFile, "/tmp/lab/run/resolv.conf"},
		{"fallback", strings.Join(c.Fallback.Order, " "), "8949020000012345678 last-success"},
		{"bootstrap", strings.Join(c.Fallback.Bootstrap, " "), "8988303000000000001"},
		{"no return", c.Fallback.Return, time.Duration(0)},
		{"interval", c.Reach.Interval, time.Duration(0)},
		{"level", c.Log.Level.String(), "DEBUG"},
	} {
		if check.got != check.want {
			t.Errorf("%s: %v, want %v", check.what, check.got, check.want)
		}
	}
	if n, ok := c.APN.Connection(); !ok || n.APN != "" || n.IPType != cosa.IPv4 {
		t.Errorf("[apn] asks for %+v, %v", n, ok)
	}
	if n, ok := Default().APN.Connection(); ok {
		t.Errorf("without [apn] it asks for %+v", n)
	}
}

func TestPortNames(t *testing.T) {
	for in, want := range map[string]string{
		"auto": "auto", "/dev//ttyUSB2": "/dev/ttyUSB2", "usb:1-1.2:3": "usb:1-1.2:3", "usb:1-1.2:1.3": "usb:1-1.2:1.3",
		"unix:@modem": "unix:@modem", "unix:/run/modem": "unix:/run/modem", "tcp:192.0.2.1:4001": "tcp:192.0.2.1:4001", "tcp:[::1]:4001": "tcp:[::1]:4001",
	} {
		c, err := Parse("t.toml", []byte("[modem]\nport = \""+in+"\"\n"))
		if err != nil || c.Modem.Port != want {
			t.Errorf("%s: %q, %v", in, c.Modem.Port, err)
		}
	}
	for _, in := range []string{"", "unix:", "unix:@", "unix:modem", "tcp::4001", "tcp:host:", "tcp:host:0", "tcp:host:99999", "serial:1", "usb:"} {
		if _, err := Parse("t.toml", []byte("[modem]\nport = \""+in+"\"\n")); err == nil {
			t.Errorf("%q passed", in)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"unknown key, near", "[uplink]\nmetrik = 5\n", "t.toml:2:1: unknown key \"metrik\"\nhint: did you mean \"metric\"?"},
		{"unknown key, exchanged letters", "[modem]\n  prot = \"auto\"\n", "t.toml:2:3: unknown key \"prot\"\nhint: did you mean \"port\"?"},
		{"port without a kind", "[modem]\nport = \"ttyUSB2\"\n", "t.toml:2:8: \"ttyUSB2\" is not the name of a modem port\nhint: \"auto\", a path such as \"/dev/ttyUSB2\", a place on USB such as \"usb:1-1.2:3\", \"unix:@NAME\", \"unix:/PATH\" or \"tcp:HOST:PORT\""},
		{"port that is no place", "[modem]\nport = \"usb:modem:3\"\n", "t.toml:2:8: \"usb:modem:3\" is not a place on USB, such as usb:1-1.2:3\nhint: see /sys/bus/usb/devices, or `dynamod diag`"},
		{"port that is no server", "[modem]\nport = \"tcp:4001\"\n", "t.toml:2:8: \"tcp:4001\" does not name host and port\nhint: such as \"tcp:192.0.2.1:4001\""},
		{"key of another table", "[modem]\nmetric = 5\n", "t.toml:2:1: unknown key \"metric\"\nhint: \"metric\" belongs to [uplink]"},
		{"secret inline", "[modem]\npin = \"1234\"\n", "t.toml:2:1: unknown key \"pin\"\nhint: did you mean \"pin_file\"?"},
		{"password inline", "[apn]\napn = \"a\"\npassword = \"hush\"\n", "t.toml:3:1: unknown key \"password\"\nhint: did you mean \"password_file\"?"},
		{"unknown table", "[uplnk]\nmetric = 5\nfoo = 1\n", "t.toml:1:2: unknown table [uplnk]\nhint: did you mean \"uplink\"?"},
		{"array of tables", "[[modem]]\nport = \"auto\"\n", "t.toml:1:3: [[modem]] must be a table, not an array of tables\nhint: write [modem]"},
		{"key as table", "[modem.port]\nx = 1\n", "t.toml:1:2: [modem.port] is not a table\nhint: write it as a key of [modem]"},
		{"string for number", "[modem]\nbaud = \"9600\"\n", "t.toml:2:8: \"modem.baud\" must be a whole number, not a string\nhint: without quotes"},
		{"number for duration", "[reach]\ntimeout = 30\n", "t.toml:2:11: \"reach.timeout\" must be a duration, not a whole number\nhint: a string with a unit, such as \"90s\" or \"5m\""},
		{"string for array", "[lpa]\nci = \"/a.pem\"\n", "t.toml:2:6: \"lpa.ci\" must be an array of strings, not a string\nhint: such as [\"a\", \"b\"]"},
		{"number in array", "[lpa]\nci = [\n \"/a.pem\",\n 5]\n", "t.toml:4:2: each value of \"lpa.ci\" must be a string, not a whole number\nhint: put it in quotes"},
		{"number for bool", "[uplink]\nmasquerade = 1\n", "t.toml:2:14: \"uplink.masquerade\" must be true or false, not a whole number\nhint: without quotes"},
		{"out of range", "[modem]\nbaud = 5\n", "t.toml:2:8: modem.baud = 5 is not in 1200..4000000 bit/s"},
		{"mtu", "[uplink]\nmtu = 100\n", "t.toml:2:7: uplink.mtu = 100 is not in 576..9000 bytes; 0 takes the network's"},
		{"name server by name", "[uplink]\ndns = [\"9.9.9.9\", \"dns.example\"]\n", "t.toml:2:19: \"dns.example\" is not the address of a name server\nhint: such as \"9.9.9.9\" or \"2620:fe::fe\""},
		{"name server nowhere", "[uplink]\ndns = [\"0.0.0.0\"]\n", "t.toml:2:8: \"0.0.0.0\" is not the address of a name server\nhint: such as \"9.9.9.9\" or \"2620:fe::fe\""},
		{"many name servers", "[uplink]\ndns = [\"::1\", \"::1\", \"::1\", \"::1\"]\n", "t.toml:2:1: 4 name servers are not in 0..3\nhint: the C library asks the first three"},
		{"network assigned", "[bearer]\nnetwork_assigned = \"no\"\n", "t.toml:2:20: \"bearer.network_assigned\" must be true or false, not a string\nhint: without quotes"},
		{"local table", "[uplink]\ntable = 254\n", "t.toml:2:9: table 254 is not ours to use\nhint: 253 to 255 are the kernel's default, main and local tables"},
		{"bad duration", "[reach]\ntimeout = \"10 sec\"\n", "t.toml:2:11: \"10 sec\" is not a duration\nhint: a number with a unit: \"500ms\", \"90s\", \"5m\", \"1h30m\""},
		{"impatient with the card", "[modem]\napdu_timeout = \"1s\"\n", "t.toml:2:16: modem.apdu_timeout = \"1s\" is not in 5s..10m"},
		{"polling", "[reach]\ninterval = \"5s\"\n", "t.toml:2:12: reach.interval = \"5s\" is not in 30s..24h\nhint: \"0s\" checks only after a change"},
		{"long duration", "[reach]\ntimeout = \"10m\"\n", "t.toml:2:11: reach.timeout = \"10m\" is not in 1s..2m"},
		{"bad address", "[lpa.resolve]\n\"smdp.example.com\" = \"192.0.2.300:1\"\n", "t.toml:2:22: \"192.0.2.300:1\" is not an address with a port\nhint: address and port: \"192.0.2.1:8443\", \"[2001:db8::1]:8443\""},
		{"host without quotes", "[lpa.resolve]\nsmdp.example.com = \"192.0.2.1:1\"\n", "t.toml:2:1: [lpa.resolve] has no tables inside\nhint: put names with dots in quotes: \"smdp.example.com\" = ..."},
		{"bad ICCID", "[apn]\napn = \"a\"\niccid = \"12345\"\n", "t.toml:3:9: ICCID of 5 characters is not valid\nhint: 18 to 20 digits that begin with 89 (ITU-T E.118)"},
		{"bad ICCID to fall back to", "[fallback]\norder = [\"last-success\", \"last\"]\n", "t.toml:2:26: ICCID of 4 characters is not valid\nhint: \"last-success\", or 18 to 20 digits that begin with 89 (ITU-T E.118)"},
		{"twice the same", "[fallback]\norder = [\"last-success\", \"last-success\"]\n", "t.toml:2:26: profile 2 is there twice\nhint: name each profile once"},
		{"bootstrap and netifd", "[uplink]\napply = \"netifd\"\n[fallback]\nbootstrap = [\"8988303000000000001\"]\n", "t.toml:4:1: netifd gives the link of a bootstrap profile to everybody\nhint: with [uplink] apply = \"self\" it is kept to what is dynamod's own"},
		{"bad ICCID for bootstrap", "[fallback]\nbootstrap = [\"last-success\"]\n", "t.toml:2:14: ICCID of 12 characters is not valid\nhint: 18 to 20 digits that begin with 89 (ITU-T E.118)"},
		{"return too often", "[fallback]\nreturn = \"30m\"\n", "t.toml:2:10: fallback.return = \"30m\" is not in 1h..720h\nhint: \"0s\" never returns; each return interrupts a link that works"},
		{"bad APN", "[apn]\napn = \"http://x\"\n", "t.toml:2:7: APN \"http://x\" has the character ':'\nhint: letters, digits, dot and hyphen; \"\" lets the network assign one"},
		{"apn missing", "[apn]\nauth = \"pap\"\n", "t.toml:2:8: apn.auth needs [apn] apn\nhint: add apn = \"...\"; without it the operator settings are used"},
		{"enum", "[lpa]\nci_set = \"both\"\n", "t.toml:2:10: \"both\" is not a value of lpa.ci_set\nhint: one of \"live\", \"test\""},
		{"relative path", "[state]\ndir = \"state\"\n", "t.toml:2:7: \"state\" is not an absolute path\nhint: such as \"/etc/dynamod/file\""},
		{"interface", "[lpa]\nvia = \"a/b\"\n", "t.toml:2:7: \"a/b\" is not an interface name of 1 to 15 characters\nhint: such as \"wwan0\", or \"auto\""},
		{"aid", "[lpa]\naids = [\"A000\"]\n", "t.toml:2:9: \"A000\" is not an AID of 5 to 16 bytes in hex\nhint: such as \"A0000005591010FFFFFFFF8900000100\""},
		{"discovery server", "[lpa]\nsmds = [\"https://x.example\"]\n", "t.toml:2:9: \"https://x.example\" is not a discovery server\nhint: a host name: \"smds.example.com\""},
		{"proxy with a password", "[lpa]\nproxy = \"http://u:p@proxy.example.com:3128\"\n", "t.toml:2:9: the proxy is not an http URL of host and port\nhint: such as \"http://proxy.example.com:3128\"; \"\" for none"},
		{"target", "[reach]\ntargets = [\"ftp://x\"]\n", "t.toml:2:12: reach target: not of the form http://HOST/PATH, tcp:HOST:PORT or dns:NAME\nhint: such as \"http://example.com/generate_204\", \"tcp:9.9.9.9:443\" or \"dns:example.com@9.9.9.9\""},
		{"listen without a port", "[hook]\nlisten = \"192.0.2.1\"\n", "t.toml:2:10: \"192.0.2.1\" is not an address to listen on\nhint: an address of this router and a port: \"192.168.8.1:8443\", or \":8443\" for all"},
		{"listen on a name", "[hook]\nlisten = \"router:8443\"\n", "t.toml:2:10: \"router:8443\" is not an address to listen on\nhint: an address of this router and a port: \"192.168.8.1:8443\", or \":8443\" for all"},
		{"certificate without its key", "[hook]\ncertificate = \"/a.pem\"\n", "t.toml:2:15: certificate and key go together\nhint: name both, or neither for a self-made certificate"},
		{"key without its certificate", "[hook]\nkey = \"/a.pem\"\n", "t.toml:2:7: certificate and key go together\nhint: name both, or neither for a self-made certificate"},
		{"webhook without a key", "[webhook]\nurl = \"https://a.example/x\"\n", "t.toml:2:7: there is nothing to sign with\nhint: name the file with the key in secret_file"},
		{"webhook by http", "[webhook]\nsecret_file = \"/k\"\nurl = \"http://a.example/x\"\n", "t.toml:3:7: the URL is not https\nhint: allow_http = true takes http, too"},
		{"webhook with a password", "[webhook]\nsecret_file = \"/k\"\nurl = \"https://u:SECRET@a.example/x\"\n", "t.toml:3:7: the URL is not of scheme, host and path\nhint: such as \"https://example.com/hook\"; who knows the receiver is told by the signature"},
		{"webhook that is no URL", "[webhook]\nsecret_file = \"/k\"\nurl = \"a.example\"\n", "t.toml:3:7: the URL is not of scheme, host and path\nhint: such as \"https://example.com/hook\"; who knows the receiver is told by the signature"},
		{"directory without a token", "[dynamo]\ndirectory = \"https://d.example\"\n", "t.toml:2:13: there is no token to show\nhint: name the file with this router's token in token_file"},
		{"directory by http", "[dynamo]\ntoken_file = \"/k\"\ndirectory = \"http://d.example\"\n", "t.toml:3:13: the URL is not of https, host and path\nhint: such as \"https://directory.example.com\"; the token has a file of its own"},
		{"directory with a token in it", "[dynamo]\ntoken_file = \"/k\"\ndirectory = \"https://u:SECRET@d.example\"\n", "t.toml:3:13: the URL is not of https, host and path\nhint: such as \"https://directory.example.com\"; the token has a file of its own"},
		{"no country", "[dynamo]\ncountry = \"Germany\"\n", "t.toml:2:11: \"Germany\" is not a country\nhint: two letters of ISO 3166-1: \"de\", \"us\""},
		{"catalogue without a key", "[dynamo]\ncatalogue = \"/c\"\n", "t.toml:2:13: a catalogue needs a key\nhint: name the key of who signs it in catalogue_key"},
		{"key that is none", "[dynamo]\ncatalogue_key = \"AAAA\"\n", "t.toml:2:17: this is not an Ed25519 public key\nhint: 32 bytes in base64, as who signs the catalogue gives them"},
		{"host with a port", "[hook]\nhosts = [\"a.example\", \"b:8443\"]\n", "t.toml:2:23: \"b:8443\" is not a host name\nhint: a name without port: \"router7.example.net\""},
		{"no targets", "[reach]\ntargets = []\n", "t.toml:2:1: 0 targets are not in 1..8\nhint: a list of 1 to 8 targets"},
		{"columns are characters", "[lpa]\n\"ü\" = 1\n", "t.toml:2:1: unknown key \"ü\"\nhint: known here: aids, allow_private, ci, ci_set, min_free, overlap, proxy, resolve, smds, via"},
		{"not UTF-8", "[lpa]\nvia = \"\xff\"\n", "t.toml:2:8: not UTF-8\nhint: save the file as UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("t.toml", []byte(tt.in))
			if err == nil {
				t.Fatalf("no error, %+v", c)
			}
			if err.Error() != tt.want {
				t.Errorf("error:\n%s\nwant:\n%s", err, tt.want)
			}
		})
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		place    string
	}{
		{"no value", "[modem]\nport =\n", "t.toml:2:"},
		{"no quotes", "[modem]\nport = auto\n", "t.toml:2:8: "},
		{"open string", "[modem]\nport = \"auto\n", "t.toml:2:"},
		{"twice", "[modem]\nbaud = 9600\nbaud = 9600\n", "t.toml:3:"},
		{"table twice", "[modem]\n[lpa]\n[modem]\n", "t.toml:3:"},
		{"junk", "\x00\x01", "t.toml:1:1: "},
		{"number too large", "[modem]\nbaud = 99999999999999999999\n", "t.toml:2:8: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("t.toml", []byte(tt.in))
			if err == nil || !strings.HasPrefix(err.Error(), tt.place) || strings.Contains(err.Error(), "toml: ") {
				t.Errorf("error %v, want at %s", err, tt.place)
			}
		})
	}
}

func TestSeveralErrors(t *testing.T) {
	_, err := Parse("t.toml", []byte(`[modem]
baud = "fast"
prot = "auto"
[uplnk]
metric = 1
[lpa]
via = "much too long a name"
ci = [ "a",
  5,
]
[reach]
timeout = "1h"
`))
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("%T", err)
	}
	var lines []int
	for _, e := range errs {
		lines = append(lines, e.Line)
	}
	if want := []int{2, 3, 4, 7, 9, 12}; !reflect.DeepEqual(lines, want) {
		t.Errorf("lines %v, want %v:\n%v", lines, want, err)
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 2 {
		t.Errorf("the first error is %v", one)
	}
}

// No error shows the value of a key that somebody could take for a secret's.
func TestErrorsHideSecrets(t *testing.T) {
	for _, in := range []string{
		"[modem]\npin = \"hunter2\"\n",
		"[modem]\npin_file = [\"hunter2\"]\n",
		"[apn]\napn = \"a\"\npassword = \"hunter2\"\n",
		"[apn]\npassword = \"hunter2\n",
		"[apn]\napn = \"a\"\niccid = \"hunter2\"\n",
		"[apn]\nusername = \"hunter2\"\n",
		"[reach]\ntargets = [\"http://user:hunter2@example.com/\"]\n",
	} {
		if _, err := Parse("t.toml", []byte(in)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.toml"))
	if want := filepath.Join(dir, "none.toml") + ": cannot read the file: no such file or directory\nhint: `dynamod init` writes one"; err == nil || err.Error() != want {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("directory: %v", err)
	}
	path := filepath.Join(dir, "dynamod.toml")
	if err := os.WriteFile(path, configs.Minimal, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("#\n", maxFileBytes)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("a huge file was read")
	}
}

func TestForInstance(t *testing.T) {
	c, err := Default().ForInstance("lte2")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct{ got, want string }{
		{c.Instance, "lte2"},
		{c.State.Dir, "/var/lib/dynamod@lte2"},
		{c.State.Run, "/run/dynamod@lte2"},
		{c.Hook.Socket, "/run/dynamod@lte2/dynamod.sock"},
		{c.Uplink.DNSFile, "/run/dynamod@lte2/resolv.conf"},
		{c.Operators.Dir, "/etc/dynamod/operators.d"},
	} {
		if check.got != check.want {
			t.Errorf("%s, want %s", check.got, check.want)
		}
	}
	own := Default()
	own.Hook.Socket, own.Uplink.DNSFile = "/srv/api.sock", ""
	if c, _ = own.ForInstance("b"); c.Hook.Socket != "/srv/api@b.sock" || c.Uplink.DNSFile != "" {
		t.Errorf("socket %s, DNS file %q", c.Hook.Socket, c.Uplink.DNSFile)
	}
	if path, err := PathFor("lte2"); err != nil || path != "/etc/dynamod/dynamod@lte2.toml" {
		t.Error(path, err)
	}
	for _, bad := range []string{"", "../x", "A", "a b", strings.Repeat("a", 17)} {
		if _, err := Default().ForInstance(bad); err == nil {
			t.Errorf("name %q was taken", bad)
		}
	}
}

func TestReadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	write := func(content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("1234\n", 0o600)
	if s, err := ReadSecret(path); s != "1234" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{"everybody can read", "1234", 0o604},
		{"a group can write", "1234", 0o620},
		{"empty", "\n", 0o600},
		{"two lines", "1234\n5678\n", 0o600},
		{"too long", strings.Repeat("1234", 100), 0o600},
	} {
		write(tt.content, tt.mode)
		if s, err := ReadSecret(path); s != "" || err == nil || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: %q, %v", tt.name, s, err)
		}
	}
}

// TestPrivate: who may own a file with a secret, and with which mode.
func TestPrivate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		uid  int
		mode os.FileMode
		good bool
	}{
		{"its owner's", 54321, 0o600, true},
		{"systemd's LoadCredential=, without ACLs", 54321, 0o400, true},
		{"systemd's LoadCredential=, with an ACL", 0, 0o440, true},
		{"root's, for the daemon's group", 0, 0o640, true},
		{"a user's, and his group reads", 54321, 0o640, false},
		{"a user's, and his group reads alone", 54321, 0o440, false},
		{"root's, and a group writes", 0, 0o660, false},
		{"root's, and everybody reads", 0, 0o444, false},
		{"root's, and everybody writes", 0, 0o602, false},
	} {
		if err := os.Chown(path, tt.uid, 54321); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if err := Private(path); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(configs.Reference)
	f.Add(configs.Minimal)
	f.Add(configs.Demo)
	f.Add([]byte("[modem]\nprot = 1\n[lpa.resolve]\na.b = 1\n[[x]]\ny = {a = {b = 1}}\n"))
	f.Add([]byte("lpa = { ci = [1, [2]], resolve = { \"a\" = \"b\" } }\nlpa.via = 1979-05-27\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.toml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
		var errs Errors
		known, kerr := parseKnown("f.toml", data)
		if (known == nil) == (kerr == nil) || err == nil && (kerr != nil || len(known.Unknown) > 0) || err != nil && kerr == nil && len(known.Unknown) == 0 {
			t.Fatalf("known: %v, %v; strictly: %v", known, kerr, err)
		}
		if err == nil {
			return
		}
		if !errors.As(err, &errs) || len(errs) == 0 || len(errs) > maxErrors {
			t.Fatalf("errors %v", err)
		}
		for _, e := range errs {
			if e.Line < 1 || e.Col < 1 || e.Msg == "" || e.Line > strings.Count(string(data), "\n")+1 {
				t.Fatalf("error without a place: %+v", e)
			}
		}
	})
}
