package netlab

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

func query(t testing.TB, name string, typ dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNameServer(t *testing.T) {
	zone := Options{Names: map[string]netip.Addr{"Six.Lab.Test.": netip.MustParseAddr("2001:db8::1")}}.names()
	for _, tt := range []struct {
		name  string
		typ   dnsmessage.Type
		rcode dnsmessage.RCode
		want  []string
	}{
		{"reach.lab.test.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, []string{"198.51.100.1"}},
		{"REACH.lab.test.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, []string{"198.51.100.1"}},
		{"reach.lab.test.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, []string{"2001:db8:51:100::1"}},
		{"smdp.lab.test.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, nil},
		{"reach.lab.test.", dnsmessage.TypeTXT, dnsmessage.RCodeSuccess, nil},
		{"six.lab.test.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, []string{"2001:db8::1"}},
		{"nowhere.test.", dnsmessage.TypeA, dnsmessage.RCodeNameError, nil},
	} {
		var m dnsmessage.Message
		if err := m.Unpack(zone.answer(query(t, tt.name, tt.typ))); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range m.Answers {
			switch r := a.Body.(type) {
			case *dnsmessage.AResource:
				got = append(got, netip.AddrFrom4(r.A).String())
			case *dnsmessage.AAAAResource:
				got = append(got, netip.AddrFrom16(r.AAAA).String())
			}
		}
		if m.ID != 7 || !m.Response || m.RCode != tt.rcode || !slices.Equal(got, tt.want) {
			t.Errorf("%s %s: %+v", tt.name, tt.typ, m)
		}
	}
}

func FuzzNameServer(f *testing.F) {
	zone := Options{}.names()
	f.Add(query(f, "reach.lab.test.", dnsmessage.TypeA))
	f.Add(zone.answer(query(f, "reach.lab.test.", dnsmessage.TypeA)))
	f.Fuzz(func(t *testing.T, b []byte) {
		out := zone.answer(b)
		if out == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(out); err != nil || !m.Response || len(m.Questions) != 1 {
			t.Errorf("%+v, %v", m, err)
		}
		if zone.answer(out) != nil {
			t.Error("an answer was answered")
		}
	})
}

// TestSimulatedTime: the simulated network lives in a bubble of its own time; what is lost there costs no real time.
func TestSimulatedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := NewSimulated(Options{RawIP: true})
		if err != nil {
			t.Fatal(err)
		}
		lease := n.Options().Lease()
		s := uplink.Spec{Interface: "wwan0", Addrs: []netip.Prefix{lease.Addr}, DefaultRoute: true, Metric: 100, DNS: lease.DNS}
		if err := n.Activate(lease); err != nil {
			t.Fatal(err)
		}
		if _, err := uplink.Apply(t.Context(), n.Kernel(), s); err != nil {
			t.Fatal(err)
		}
		for _, swallow := range []bool{false, true} {
			if err := n.Blackhole(swallow); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			r, err := reach.Probe(t.Context(), reach.Config{Dialer: n.Dialer(s), Targets: []string{ReachTarget}, Timeout: 30 * time.Second})
			if err != nil || (r.State == reach.OK) == swallow || swallow != (time.Since(begin) == 30*time.Second) {
				t.Errorf("swallow %v: %+v, %v, after %s", swallow, r, err, time.Since(begin))
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}
