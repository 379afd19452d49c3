package uplink_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"dynamod/netlink/uplink"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*uplink.Spec)
		want string
	}{
		{"good", func(*uplink.Spec) {}, ""},
		{"no interface", func(s *uplink.Spec) { s.Interface = "" }, `uplink: "" is no interface name`},
		{"path as interface", func(s *uplink.Spec) { s.Interface = "../x" }, `uplink: "../x" is no interface name`},
		{"long interface", func(s *uplink.Spec) { s.Interface = "wwx0123456789abc" }, `uplink: "wwx0123456789abc" is no interface name`},
		{"mtu", func(s *uplink.Spec) { s.MTU = 68 }, "uplink usb0: mtu 68 is not in 576..65535 (RFC 791: every host takes 576)"},
		{"mtu for IPv6", func(s *uplink.Spec) { s.MTU = 1000; s.Addrs = prefixes("2001:db8::1/64") }, "uplink usb0: mtu 1000 is too small for IPv6 (RFC 8200 section 5: at least 1280)"},
		{"no address", func(s *uplink.Spec) { s.Addrs = nil }, "uplink usb0: no address"},
		{"0.0.0.0 of a modem that is down", func(s *uplink.Spec) { s.Addrs = prefixes("0.0.0.0/32") }, "uplink usb0: 0.0.0.0/32 is no address that a host can have"},
		{"/0", func(s *uplink.Spec) { s.Addrs = prefixes("10.0.0.1/0") }, "uplink usb0: address 10.0.0.1/0 has no valid prefix length"},
		{"twice", func(s *uplink.Spec) { s.Addrs = prefixes("10.0.0.1/8", "10.0.0.1/32") }, "uplink usb0: address 10.0.0.1 appears twice"},
		{"gateway of the other family", func(s *uplink.Spec) { s.Gateway = addr("fe80::1") }, "uplink usb0: gateway fe80::1 is not an IPv4 host"},
		{"gateway 0.0.0.0", func(s *uplink.Spec) { s.Gateway = addr("0.0.0.0") }, "uplink usb0: gateway 0.0.0.0 is not an IPv4 host"},
		{"private without a table", func(s *uplink.Spec) { s.Private, s.Table = true, 0 }, "uplink usb0: a private link needs a table of its own"},
		{"system table", func(s *uplink.Spec) { s.Table = 254 }, "uplink usb0: table 254 belongs to the system (253 default, 254 main, 255 local); choose another one or 0"},
		{"dns server", func(s *uplink.Spec) { s.DNS = []netip.Addr{addr("0.0.0.0")} }, "uplink usb0: 0.0.0.0 is no dns server"},
		{"dns file", func(s *uplink.Spec) { s.DNSFile = "resolv.conf" }, "uplink usb0: dns file resolv.conf is not an absolute path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ethernet
			tt.edit(&s)
			err := s.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDNSFile(t *testing.T) {
	w := simWorld()
	w.furnish(t)
	ctx := context.Background()
	s := ethernet
	s.DNS = []netip.Addr{addr("10.0.0.53"), addr("2001:db8::53")}
	s.DNSFile = filepath.Join(t.TempDir(), "run", "resolv.conf")
	done, err := uplink.Apply(ctx, w.kernel, s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := done[len(done)-1].String(), "write "+s.DNSFile+": nameserver 10.0.0.53 2001:db8::53"; got != want {
		t.Errorf("got %s", got)
	}
	b, err := os.ReadFile(s.DNSFile)
	if want := "# made by dynamod for usb0: changes are overwritten\nnameserver 10.0.0.53\nnameserver 2001:db8::53\n"; err != nil || string(b) != want {
		t.Errorf("got %q, %v", b, err)
	}
	if done, err := uplink.Apply(ctx, w.kernel, s); err != nil || len(done) != 0 {
		t.Errorf("again: %q, %v", strs(done), err)
	}
	s.DNS = s.DNS[:1]
	if done, err := uplink.Apply(ctx, w.kernel, s); err != nil || len(done) != 1 {
		t.Errorf("one server less: %q, %v", strs(done), err)
	}
	// Another modem's instance does not take it over.
	other := rawIP
	other.DNS, other.DNSFile, other.Metric, other.Table = s.DNS, s.DNSFile, 300, 1701
	var de *uplink.DegradedError
	if _, err := uplink.Apply(ctx, w.kernel, other); !errors.As(err, &de) {
		t.Errorf("other instance: %v", err)
	}
	if st, err := uplink.Read(ctx, w.kernel, other); err != nil || st.DNS.State != uplink.FileForeign || !st.Usable() {
		t.Errorf("other instance: %+v, %v", st, err)
	}
	if _, err := uplink.Down(ctx, w.kernel, other); err != nil {
		t.Fatal(err)
	}
	if _, err := uplink.Down(ctx, w.kernel, s); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.DNSFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Down: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(s.DNSFile))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
