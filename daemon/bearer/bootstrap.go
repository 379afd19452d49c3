package bearer

import "dynamod/netlink/uplink"

// privateTable is for the link of a bootstrap profile where no table is configured.
const privateTable = 700

// isBootstrap reports whether a profile carries nothing but what is dynamod's own.
func (b *Bearer) isBootstrap(iccid string) bool { return b.Bootstrap != nil && b.Bootstrap(iccid) }

// kept is s for the link of a profile: that of a bootstrap profile is nobody's but
// ours, who ask for it by address and interface. Where the class of a profile is
// found out late, the next look makes it so.
func (b *Bearer) kept(iccid string, s uplink.Spec) uplink.Spec {
	s.Private, s.Table = b.isBootstrap(iccid), b.Spec.Table
	if s.Private && s.Table == 0 {
		s.Table = privateTable
	}
	return s
}
