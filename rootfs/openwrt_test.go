//go:build linux

package rootfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dynamod/configs"
	"dynamod/daemon/config"
)

const wrt = "openwrt/files"

// awk runs a program of the OpenWrt package on a text, as the scripts do.
func awk(t *testing.T, program, text string, args ...string) (string, error) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	args = append([]string{"awk"}, append(args, "-f", wrt+"/usr/libexec/dynamod/"+program, wrt+"/usr/share/dynamod/keys", "-")...)
	cmd := exec.Command(busybox, args...)
	cmd.Stdin = strings.NewReader(text)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return said.String(), err
	}
	return string(out), nil
}

// TestUCI takes a dynamod.toml to /etc/config and back: it says the same.
func TestUCI(t *testing.T) {
	rest := "[lpa]\naids = [\"A0000005591010FFFFFFFF8900000100\"]\nresolve = { \"smdp.example.com\" = \"192.0.2.1:443\" }\n[apn]\n" +
		"apn = 'a.b' # with a comment\nusername = \"it's \\\"quoted\\\" \\\\ # no comment\"\nauth = 'pap'\n[fallback]\norder = [\n  \"last-success\", # a comment, with ]\n]\n[time]\nntp = []\n" +
		"[uplink]\nmetric = 1_000\nmasquerade = true\n[activation.limits]\naccepted = \"6m\"\n[state]\ndir = \"/s\"\nrun = \"/r\"\n"
	for name, text := range map[string]string{
		"reference": string(configs.Reference), "minimal": string(configs.Minimal), "rest": rest,
		"map as a table": "[lpa.resolve]\n\"a.example.com\" = \"192.0.2.1:443\"\n\"b.example.com\" = \"192.0.2.2:443\"\n[log]\nlevel = \"debug\"\n",
	} {
		want, err := config.Parse(name, []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		uci, err := awk(t, "toml-uci.awk", text)
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, uci)
			continue
		}
		back, err := awk(t, "uci-toml.awk", uci)
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, back)
			continue
		}
		got, err := config.Parse(name, []byte(back))
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, back)
			continue
		}
		if !strings.Contains(text, "[state]") { // OpenWrt has another default
			got.State, got.Hook.Socket, got.Uplink.DNSFile = want.State, want.Hook.Socket, want.Uplink.DNSFile
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: it was %+v, and became %+v:\n%s", name, want, got, back)
		}
	}
}

// TestFromUCI has what people write in /etc/config.
func TestFromUCI(t *testing.T) {
	const ends = "\n[state]\ndir = \"/etc/dynamod/state\"\nrun = \"/var/run/dynamod\"\n"
	const head = "# Made from /etc/config by /etc/init.d/dynamod: change that.\n"
	for _, tt := range []struct {
		name, uci, toml string
		args            []string
		fault           string
	}{
		{name: "nothing", toml: head + ends},
		{name: "as netifd's", toml: head + ends + "\n[uplink]\napply = \"netifd\"\n", args: []string{"-v", "netifd=1"}},
		{name: "as netifd's, but the file says otherwise", uci: "config uplink\n\toption apply 'self'\n", toml: head + "\n[uplink]\napply = \"self\"\n" + ends, args: []string{"-v", "netifd=1"}},
		{name: "export with its package", uci: "package dynamod\n\nconfig service 'service'\n\toption enabled '1'\n\nconfig modem 'modem'\n\toption port '/dev/ttyUSB2'\n", toml: head + "\n[modem]\nport = \"/dev/ttyUSB2\"\n" + ends},
		{name: "quotes", uci: "config apn\n option apn \"a \\\"b\\\"\"\n option username it\\'s\n option password_file '/x'\\''y'\n", toml: head + "\n[apn]\napn = \"a \\\"b\\\"\"\nusername = \"it's\"\npassword_file = \"/x'y\"\n" + ends},
		{name: "booleans and numbers", uci: "config uplink\n\toption masquerade 'on'\n\toption default_route '0'\n\toption metric '20'\n\toption mtu 'many'\n", toml: head + "\n[uplink]\nmasquerade = true\ndefault_route = false\nmetric = 20\nmtu = \"many\"\n" + ends},
		{name: "a key of a later version goes through", uci: "config modem\n\toption voice 'off'\nconfig gnss\n\toption on '1'\n", toml: head + "\n[modem]\nvoice = \"off\"\n\n[gnss]\non = \"1\"\n" + ends},
		{name: "the last one counts", uci: "config log\n\toption level 'info'\nconfig log\n\toption level 'debug'\n", toml: head + "\n[log]\nlevel = \"debug\"\n" + ends},
		{name: "comments", uci: "# x\nconfig log # y\n\toption level debug # z\n", toml: head + "\n[log]\nlevel = \"debug\"\n" + ends},
		{name: "a quote that stays open", uci: "config log\n\toption level 'debug\n", fault: "line 2: a quote is not closed"},
		{name: "no section", uci: "option level 'debug'\n", fault: "line 1: neither package"},
		{name: "a line of another kind", uci: "config log\nlevel = debug\n", fault: "line 2: neither package"},
		{name: "a name with a blank", uci: "config log\n\toption 'le vel' debug\n", fault: "line 2: write: option NAME"},
		{name: "a list for one value", uci: "config log\n\tlist level info\n\tlist level debug\n", fault: "line 3: level takes one value"},
		{name: "a map without =", uci: "config lpa\n\tlist resolve smdp.example.com\n", fault: "line 2: write 'NAME=VALUE'"},
	} {
		got, err := awk(t, "uci-toml.awk", tt.uci, tt.args...)
		if tt.fault != "" && (err == nil || !strings.HasPrefix(got, tt.fault)) || tt.fault == "" && (err != nil || got != tt.toml) {
			t.Errorf("%s: %v\n%s", tt.name, err, got)
		}
	}
	for text, fault := range map[string]string{
		"port = \"x\"\n":                    "line 1: a key above",
		"[modem]\nport = \"\"\"x\n\"\"\"\n": "line 2: strings over several lines",
		"[modem]\nport = \"x\n":             "line 2: a quote is not closed",
		"[modem]\nport = \"\\u0041\"\n":     "line 2: \\u in a string",
		"[modem]\nport.x = 1\n":             "line 2: no =",
		"[modem]\n\nport = {a = 1}\n":       "line 3: no value",
		"[lpa]\naids = [\"a\"\n\"b\"]\n":    "line 3: no , or ]",
		"[lpa]\naids = [\"a\"] x\n":         "line 2: something behind",
		"[[dialect]]\nname = \"x\"\n":       "line 1: write [TABLE]",
		"[lpa]\nresolve = { a }\n":          "line 2: no =",
		"[lpa]\nresolve = { a = 1\n":        "line 3: no value",
		"[lpa]\naids = [":                   "line 3: no value",
		"[modem]\nport =\n":                 "line 2: no value",
		"[modem]\n[x":                       "line 2: write [TABLE]",
	} {
		if got, err := awk(t, "toml-uci.awk", text); err == nil || !strings.HasPrefix(got, fault) {
			t.Errorf("%q: %v, %s", text, err, got)
		}
	}
}

// fakeOpenWrt is a box with the scripts of the package, and in place of OpenWrt's own
// shell libraries ones that write down what they are asked.
func fakeOpenWrt(t *testing.T) *box {
	b := newBox(t)
	b.must(os.CopyFS(b.dir, os.DirFS(wrt)))
	b.file("lib/functions.sh", "")
	b.file("lib/netifd/netifd-proto.sh", `for f in proto_init_update proto_send_update proto_add_ipv4_address proto_add_ipv6_address proto_add_ipv4_route proto_add_ipv6_route proto_add_dns_server; do
	eval "$f() { echo $f \"\$*\" >>\"\$BOX/netifd\"; }"
done
`)
	b.must(os.MkdirAll(filepath.Join(b.dir, "usr/bin"), 0o755))
	b.must(os.Mkdir(filepath.Join(b.dir, "tmp"), 0o755))
	b.must(os.Symlink(filepath.Join(b.bin, "dynamod"), filepath.Join(b.dir, "usr/bin/dynamod")))
	b.program("ip", `echo "ip $*" >>"$BOX/netifd"`)
	b.program("mktemp", `mkdir "$BOX/tmp/pipes" && echo "$BOX/tmp/pipes"`)
	b.vars = append(b.vars, "ROOT="+b.dir)
	return b
}

// TestNetifd tells netifd what the daemon says, through the daemon's restart and its end.
func TestNetifd(t *testing.T) {
	t.Parallel()
	b := fakeOpenWrt(t)
	// A daemon that is not there at first, then has no link, then one, and is restarted.
	b.program("dynamod", `echo "$*" >>"$BOX/runs"
event() { echo '{"type":"status","data":{"version":"v","state":"x","reason":"}{\"","link":'"$1"',"outbox":{"pending":0}}}'; }
link='{"interface":"wwan0","addresses":["10.64.3.7/32","2001:db8::7/64"],"dns":["198.51.100.53","2001:db8::53"],"mtu":1430,"apn":"x","apn_reason":"/x: \"Lab\""}'
case $(wc -l <"$BOX/runs") in
1) exit 3 ;;
2) echo '{"type":"log","data":"a line"}'; echo '{"type":"status","data":{"version":"v","state":"down"}}'; event "$link"; event "$link" ;;
*) echo '{"type":"status","data":{"version":"v","state":"down"}}'; event "$link"; echo $$ >"$BOX/daemon"
until [ -e "$BOX/next" ]; do sleep 0.1; done
event '{"interface":"usb0","addresses":["10.0.0.2/30"],"gateway":"10.0.0.1","dns":[],"apn":"x"}'
until [ -e "$BOX/end" ]; do sleep 0.1; done
echo '{"type":"status","data":{"version":"v","state":"down"}}'; exec "$BOX/bin/busybox" sleep 1000 ;;
esac`)
	b.vars = append(b.vars, "GRACE=60")
	script := filepath.Join(b.dir, "usr/libexec/dynamod/netifd")
	cmd := exec.Command(filepath.Join(b.bin, "ash"), script, "wwan", "lte2")
	cmd.Env = b.vars
	b.must(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	first := "ip link set dev wwan0 mtu 1430\nproto_init_update wwan0 1\nproto_add_ipv4_address 10.64.3.7 32\nproto_add_ipv6_address 2001:db8::7 64\n" +
		"proto_add_ipv4_route 0.0.0.0 0 \nproto_add_ipv6_route :: 0\nproto_add_dns_server 198.51.100.53\nproto_add_dns_server 2001:db8::53\nproto_send_update wwan\n"
	b.wait("netifd", first)
	b.wait("daemon", "\n")
	b.file("next", "")
	second := "proto_init_update usb0 1\nproto_add_ipv4_address 10.0.0.2 30\nproto_add_ipv4_route 0.0.0.0 0 10.0.0.1\nproto_send_update wwan\n"
	b.wait("netifd", second)
	// The restart may have told the same again, and nothing else.
	if got := b.read("netifd"); strings.ReplaceAll(got, first, "") != second {
		t.Errorf("netifd was told\n%s", got)
	}
	if want := "status --watch --json --instance lte2\n"; !strings.HasPrefix(b.read("runs"), want+want) {
		t.Errorf("runs:\n%s", b.read("runs"))
	}
	b.file("end", "")
	daemon := strings.TrimSpace(b.read("daemon"))
	b.must(cmd.Process.Signal(os.Interrupt))
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	b.until("what it started is still there", func() bool {
		line, _ := os.ReadFile("/proc/" + daemon + "/cmdline")
		return len(line) == 0
	})
}

// TestNetifdGone tells netifd of a link that stays away.
func TestNetifdGone(t *testing.T) {
	t.Parallel()
	b := fakeOpenWrt(t)
	b.program("dynamod", `echo '{"type":"status","data":{"version":"v","state":"down"}}'; exec "$BOX/bin/busybox" sleep 1000`)
	b.vars = append(b.vars, "GRACE=0")
	cmd := exec.Command(filepath.Join(b.bin, "ash"), filepath.Join(b.dir, "usr/libexec/dynamod/netifd"), "wwan")
	cmd.Env = b.vars
	b.must(cmd.Start())
	b.wait("netifd", "proto_init_update * 0\nproto_send_update wwan\n")
	b.must(cmd.Process.Signal(os.Interrupt))
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestProcd runs what /etc/rc.common would run of the init script.
func TestProcd(t *testing.T) {
	t.Parallel()
	b := fakeOpenWrt(t)
	b.program("procd", `echo "$*" >>"$BOX/procd"`)
	b.program("uci", `shift 3
case $1 in
export) cat "$BOX/etc/config/$2" ;;
show) cat "$BOX/etc/config/network.shown" 2>/dev/null ;;
get) sed -n "s/^[[:space:]]*option ${2##*.} '\(.*\)'.*/\1/p" "$BOX/etc/config/${2%%.*}" | grep . ;;
esac`)
	b.program("dynamod", `[ "$1" = check ] && ! grep -q bad "$4"`)
	b.file("rc", `for f in procd_add_jail procd_add_jail_mount procd_add_jail_mount_rw procd_open_instance procd_set_param procd_close_instance procd_add_reload_trigger procd_send_signal; do
	eval "$f() { procd $f \"\$*\"; }"
done
procd_running() { [ -e "$BOX/running" ]; }
start() { start_service; }
. "$BOX/etc/init.d/dynamod"
"$@"
`)
	call := func(args ...string) string {
		t.Helper()
		_ = os.Remove(filepath.Join(b.dir, "procd"))
		cmd := exec.Command(filepath.Join(b.bin, "ash"), append([]string{filepath.Join(b.dir, "rc")}, args...)...)
		cmd.Env = b.vars
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		return strings.ReplaceAll(string(out)+b.read("procd"), b.dir, "")
	}
	instance := func(name, file, flags string) string {
		return "procd_open_instance " + name + "\nprocd_set_param command /usr/bin/dynamod run --ignore-unknown --config " + file + flags +
			"\nprocd_set_param respawn 3600 10 0\nprocd_set_param stdout 1\nprocd_set_param stderr 1\nprocd_set_param term_timeout 10\nprocd_close_instance \n"
	}
	if got, want := call("start_service"), instance("main", "/etc/dynamod/dynamod.toml", ""); got != want {
		t.Errorf("start:\n%s", got)
	}
	if got := b.read("etc/dynamod/dynamod.toml"); !strings.Contains(got, "port = \"auto\"") {
		t.Errorf("the configuration is\n%s", got)
	}
	if _, err := config.Load(filepath.Join(b.dir, "etc/dynamod/dynamod.toml")); err != nil {
		t.Error(err)
	}
	b.file("etc/config/dynamod-shut", "config service 'service'\n\toption jail '1'\n")
	jailed := strings.ReplaceAll(instance("shut", "/etc/dynamod/dynamod@shut.toml", " --instance shut"), "procd_close_instance \n",
		"procd_set_param no_new_privs 1\nprocd_add_jail dynamod-shut log procfs sysfs\nprocd_add_jail_mount /usr/bin/dynamod /etc/dynamod/dynamod@shut.toml /etc/passwd /etc/group /etc/resolv.conf /etc/ssl/certs /etc/board.json /etc/ppp /usr/sbin/pppd /tmp/sysinfo /tmp/resolv.conf.d\n"+
			"procd_add_jail_mount_rw /etc/dynamod /var/run/dynamod@shut /dev /sys/devices /proc/sys/net\nprocd_close_instance \n")
	if got, want := call("start_service"), instance("main", "/etc/dynamod/dynamod.toml", "")+jailed; got != want {
		t.Errorf("in a jail:\n%s\nwant\n%s", got, want)
	}
	if err := os.Remove(filepath.Join(b.dir, "etc/config/dynamod-shut")); err != nil {
		t.Fatal(err)
	}
	// A second modem, and an interface of netifd's.
	b.file("etc/config/dynamod-lte2", "config modem\n\toption port '/dev/ttyUSB7'\n")
	b.file("etc/config/dynamod-off", "config service 'service'\n\toption enabled '0'\n")
	b.file("etc/config/dynamod-mine", "config service 'service'\n\toption file '/etc/mine.toml'\n")
	b.file("etc/config/network.shown", "network.wwan.proto='dynamod'\n")
	if got, want := call("start_service"), instance("main", "/etc/dynamod/dynamod.toml", "")+instance("lte2", "/etc/dynamod/dynamod@lte2.toml", " --instance lte2")+instance("mine", "/etc/mine.toml", " --instance mine"); got != want {
		t.Errorf("start:\n%s", got)
	}
	lte2 := b.read("etc/dynamod/dynamod@lte2.toml")
	if !strings.Contains(lte2, "port = \"/dev/ttyUSB7\"") || !strings.Contains(lte2, "apply = \"netifd\"") {
		t.Errorf("the configuration of the second is\n%s", lte2)
	}
	if got := call("toml", "lte2"); got != lte2 {
		t.Errorf("toml:\n%s", got)
	}
	// A mistake keeps the last good one, and a file that was not there is empty.
	b.file("etc/config/dynamod-lte2", "config modem\n\toption port 'bad'\n")
	b.file("etc/config/dynamod-lte3", "config modem 'a quote\n")
	call("start_service")
	if got := b.read("etc/dynamod/dynamod@lte2.toml"); got != lte2 {
		t.Errorf("after a mistake:\n%s", got)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "etc/dynamod/dynamod@lte3.toml")); err != nil || b.read("etc/dynamod/dynamod@lte3.toml") != "" {
		t.Errorf("first configuration with a mistake: %v", err)
	}
	b.wait("syslog", "line 1: a quote is not closed")
	b.must(os.Remove(filepath.Join(b.dir, "etc/config/dynamod-lte3")))
	b.file("running", "")
	if got, want := call("reload_service"), "procd_send_signal dynamod main HUP\nprocd_send_signal dynamod lte2 HUP\nprocd_send_signal dynamod mine HUP\n"; got != want {
		t.Errorf("reload:\n%s", got)
	}
	if got := call("service_triggers"); !strings.Contains(got, "procd_add_reload_trigger dynamod-lte2\n") {
		t.Errorf("triggers:\n%s", got)
	}
	if got := call("import", filepath.Join(b.dir, "etc/dynamod/dynamod@lte2.toml")); !strings.Contains(got, "option port '/dev/ttyUSB7'") {
		t.Errorf("import:\n%s", got)
	}
}
