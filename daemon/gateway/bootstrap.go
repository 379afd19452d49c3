package gateway

import (
	"slices"

	"dynamod/euicc"
)

// isBootstrap reports whether a profile is the last resort, and its link for what is
// dynamod's own: it is configured so, or of the class provisioning.
func (g *Gateway) isBootstrap(iccid string) bool {
	return slices.Contains(g.config().Fallback.Bootstrap, iccid) || g.learned.Provisioning(iccid)
}

// noteClasses remembers which profiles are for provisioning. A link that is up has to
// heed it at once.
func (g *Gateway) noteClasses(profiles []euicc.Profile) {
	enabled, was := "", false
	var list []string
	for _, p := range profiles {
		if p.State == euicc.Enabled {
			enabled = p.ICCID.String()
			was = g.isBootstrap(enabled)
		}
		if p.Class == euicc.ClassProvisioning {
			list = append(list, p.ICCID.String())
		}
	}
	if err := g.learned.SetProvisioning(list); err != nil {
		g.log.Warn("cannot remember which profiles are for provisioning", "error", err)
	}
	if enabled != "" && g.isBootstrap(enabled) != was {
		g.bearer.Kick()
	}
}
