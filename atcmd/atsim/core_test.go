package atsim

import (
	"net/netip"
	"strings"
	"testing"
)

// testCore is a network with one APN of each kind.
func testCore() *Core {
	lease := Lease{
		Addr: netip.MustParsePrefix("10.64.0.2/32"), Addr6: netip.MustParsePrefix("2001:db8::2/64"), MTU: 1430,
		DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")},
	}
	return &Core{
		Home: "00101", Cell: Registration{AcT: 7, PLMN: "00101", Operator: "Test Network", TAC: "0001", CellID: "01"}, Default: "dual.test",
		APNs: []APN{
			{Name: "dual.test", Lease: lease},
			{Name: "four.test", Types: []string{"IP"}, Lease: lease},
			{Name: "six.test", Types: []string{"IPV6"}, RoamingTypes: []string{"IP"}, Lease: lease},
			{Name: "old.test", Types: []string{"IP"}, DualCause: 28, Lease: lease},
			{Name: "login.test", User: "me", Password: "secret", Methods: []int{1}, Lease: lease},
			{Name: "home.test", HomeOnly: true, Lease: lease},
			{Name: "other.test", NotSubscribed: true, Lease: lease},
		},
	}
}

// Each refusal has the cause that TS 24.301 gives it, and reaches the client as
// the +CME ERROR of TS 27.007 9.2.2.
func TestCore(t *testing.T) {
	for _, tt := range []struct {
		name, define, auth string
		change             func(*Core)
		want               string // result of +CGACT and, if it works, addresses
		event              string // +CGEV behind "ME PDN ACT 2"
	}{
		{"both", `"IPV4V6","dual.test"`, "0", nil, `"10.64.0.2","2001:db8::2"`, ""},
		{"APN in capitals", `"IP","DUAL.TEST"`, "0", nil, `"10.64.0.2"`, ""},
		{"no APN: the default", `"IPV6"`, "0", nil, `"2001:db8::2"`, ""},
		{"no APN and no default", `"IP"`, "0", func(c *Core) { c.Default = "" }, "127", ""},
		{"unknown APN", `"IP","nothing.test"`, "0", nil, "127", ""},
		{"both, of an IPv4 APN", `"IPV4V6","four.test"`, "0", nil, `"10.64.0.2"`, ",0"},
		{"both, of an IPv6 APN", `"IPV4V6","six.test"`, "0", nil, `"2001:db8::2"`, ",1"},
		{"IPv6 of an IPv4 APN", `"IPV6","four.test"`, "0", nil, "192", ""},
		{"IPv4 of an IPv6 APN", `"IP","six.test"`, "0", nil, "193", ""},
		{"IPv4 of an IPv6 APN, roaming", `"IP","six.test"`, "0", func(c *Core) { c.Cell.PLMN = "00102" }, `"10.64.0.2"`, ""},
		{"both, of an old core", `"IPV4V6","old.test"`, "0", nil, "128", ""},
		{"no credentials", `"IP","login.test"`, "0", nil, "129", ""},
		{"wrong password", `"IP","login.test"`, `1,"me","wrong"`, nil, "129", ""},
		{"method that the server does not take", `"IP","login.test"`, `2,"me","secret"`, nil, "129", ""},
		{"credentials", `"IP","login.test"`, `1,"me","secret"`, nil, `"10.64.0.2"`, ""},
		{"home only, at home", `"IP","home.test"`, "0", nil, `"10.64.0.2"`, ""},
		{"home only, roaming", `"IP","home.test"`, "0", func(c *Core) { c.Cell.PLMN = "00102" }, "179", ""},
		{"not subscribed", `"IP","other.test"`, "0", nil, "133", ""},
		{"barred", `"IP","dual.test"`, "0", func(c *Core) { c.Barred = 26 }, "126", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			core := testCore()
			if tt.change != nil {
				tt.change(core)
			}
			b := newBench(t, func(c *Config) { c.Network = core })
			b.ok("AT+CMEE=1;+CGEREP=2,1;+CGPIAF=1,1,0,1")
			b.ok("AT+CGDCONT=2," + tt.define)
			b.ok("AT+CGAUTH=2," + tt.auth)
			if code := strings.Trim(tt.want, "0123456789"); code == "" {
				b.want("AT+CGACT=1,2", "+CME ERROR: "+tt.want)
				return
			}
			if got := b.ok("AT+CGACT=1,2"); !strings.Contains(got+b.ok("AT")+"\n", "+CGEV: ME PDN ACT 2"+tt.event+"\n") {
				t.Errorf("event: %q", got)
			}
			b.want("AT+CGPADDR=2", "+CGPADDR: 2,"+tt.want+"\nOK")
			if core.Up(2) == "" || len(core.Asked()) != 1 {
				t.Error("the network does not know of it")
			}
			b.ok("AT+CGACT=0,2")
			if core.Up(2) != "" {
				t.Error("the network has kept it")
			}
		})
	}
}

// The network's answers to a registration, and a second context of one APN.
func TestCoreRegistration(t *testing.T) {
	core := testCore()
	for plmn, want := range map[string]int{"00101": 1, "00102": 5} {
		core.Set(func(c *Core) { c.Cell.PLMN = plmn })
		if r := core.Register(Subscriber{IMSI: "001010000000001"}); r.Status != want {
			t.Errorf("%s: %+v", plmn, r)
		}
	}
	if r := core.Register(Subscriber{IMSI: "262010000000001"}); r.Status != 3 || r.RejectCause != 11 {
		t.Errorf("a stranger: %+v", r)
	}
	core.OnePerAPN = true
	for cid, want := range []int{0, 55} {
		_, err := core.Activate(Subscriber{}, PDP{CID: cid + 1, APN: "dual.test", Type: "IP"})
		if r, ok := err.(*Reject); ok != (want != 0) || ok && r.Cause != want {
			t.Errorf("context %d: %v", cid+1, err)
		}
	}
}
