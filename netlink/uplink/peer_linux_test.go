package uplink_test

import (
	"net/netip"
	"os/exec"
	"testing"

	"dynamod/netlink/internal/nstest"
	"dynamod/netlink/uplink"
)

// TestPeerAddress: a point-to-point address that another program has set with the
// address of its other end, as pppd does, is taken as it is; routes and rule are ours.
func TestPeerAddress(t *testing.T) {
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("iproute2 is not there")
	}
	nstest.Run(t, func() {
		k, ctx := nstest.Dial(t, 0), t.Context()
		tun := nstest.Tun(t, "ppp7")
		defer tun.Close()
		for _, args := range [][]string{{"addr", "add", "10.64.0.7", "peer", "10.64.64.64", "dev", "ppp7"}, {"link", "set", "ppp7", "up"}} {
			if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %v: %v: %s", args, err, out)
			}
		}
		s := uplink.Spec{Interface: "ppp7", MTU: 1430, Addrs: []netip.Prefix{prefix("10.64.0.7/32")}, DefaultRoute: true, Metric: 700, Table: 700}
		for run := range 2 {
			changes, err := uplink.Apply(ctx, k, s)
			if err != nil || (len(changes) > 0) != (run == 0) {
				t.Errorf("run %d: %v, %v", run, changes, err)
			}
		}
		st, err := uplink.Read(ctx, k, s)
		four := 0
		for _, a := range st.Addrs { // the kernel has made a link-local one
			if a.Prefix.Addr().Is4() {
				four++
			}
		}
		if err != nil || four != 1 || len(st.Rules) != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		if _, err := uplink.Down(ctx, k, s); err != nil {
			t.Error(err)
		}
	})
}
