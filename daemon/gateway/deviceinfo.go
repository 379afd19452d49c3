package gateway

import (
	"context"

	"dynamod/atcmd/modem"
	"dynamod/euicc/es10"
)

// capabilities fills deviceCapabilities (SGP.22 4.2) from what the modem says it
// can use. A modem that does not tell is taken for an LTE one, as every router
// modem of today is. None tells which release it supports in full, so that the
// lowest is named that all of its kind do.
func (g *Gateway) capabilities(ctx context.Context, m *modem.Modem) es10.Capabilities {
	t, err := m.Technologies(ctx)
	if err != nil {
		g.log.Debug("the modem does not tell its radio technologies", "error", err)
		t = modem.Technologies{EUTRAN: true}
	}
	var c es10.Capabilities
	if t.GSM {
		c.GSM = es10.Release{5, 0, 0}
	}
	if t.UTRAN {
		c.UTRAN = es10.Release{5, 0, 0}
	}
	if t.EUTRAN {
		c.EUTRAN = es10.Release{9, 0, 0}
	}
	return c
}

// fullIMEI makes 15 digits of what modems answer to +CGSN: some leave the check
// digit out, and some put the software version in its place (IMEISV, 16 digits).
// What is none of these is returned as it came.
func fullIMEI(s string) string {
	if len(s) != 14 && len(s) != 16 {
		return s
	}
	sum := 0
	for i, c := range []byte(s[:14]) {
		if c < '0' || c > '9' {
			return s
		}
		d := int(c - '0')
		if i%2 == 1 { // Luhn, 3GPP TS 23.003, annex B
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	return s[:14] + string(byte('0'+(10-sum%10)%10))
}
