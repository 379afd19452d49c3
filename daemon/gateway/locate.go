package gateway

import (
	"context"
	"fmt"

	"dynamod/daemon/activation"
	"dynamod/euicc"
	"dynamod/euicc/lpa"
)

// locate finds the server and the order of a request without activation code.
func (g *Gateway) locate(ctx context.Context, c *lpa.Card, info *lpa.Info, req activation.Request) (euicc.ActivationCode, error) {
	if info == nil || info.EID != c.EID() {
		var err error
		if info, err = c.Info(ctx); err != nil {
			return euicc.ActivationCode{}, err
		}
	}
	if req.DefaultSMDP {
		return defaultSMDP(info.DefaultSMDP)
	}
	servers := g.config().LPA.SMDS
	switch {
	case req.SMDS != "":
		servers = []string{req.SMDS}
	case len(servers) == 0 && info.RootSMDS != "":
		servers = append([]string{info.RootSMDS}, info.FurtherSMDS...)
	case len(servers) == 0:
		return euicc.ActivationCode{}, &activation.Fault{Code: "no-smds", Text: "the card names no discovery server", Advice: "name one in [lpa] smds, or use an activation code", Retry: euicc.RetryAsk}
	}
	var first error
	for _, s := range servers {
		events, err := c.Discover(ctx, s)
		if err != nil {
			g.log.Warn("discovery failed", "server", s, "error", err)
			if first == nil {
				first = err
			}
			continue
		}
		g.status.Log(fmt.Sprintf("%s knows %d profiles for this card", s, len(events)))
		if len(events) > 0 {
			return events[0].Code(), nil // the others are found by the next request
		}
	}
	if first != nil {
		return euicc.ActivationCode{}, first
	}
	return euicc.ActivationCode{}, &activation.Fault{
		Code: "no-event", Text: "no discovery server knows a profile for this card", Retry: euicc.RetryLater,
		Advice: "the operator registers the order for this card's EID there, see `dynamod card`; or use an activation code",
	}
}

func defaultSMDP(address string) (euicc.ActivationCode, error) {
	if address == "" {
		return euicc.ActivationCode{}, &activation.Fault{Code: "no-default-smdp", Text: "the card has no default SM-DP+", Advice: "set one with `dynamod card default-smdp`, or use an activation code", Retry: euicc.RetryAsk}
	}
	address, err := euicc.ParseAddress(address)
	if err != nil {
		return euicc.ActivationCode{}, &activation.Fault{Code: "no-default-smdp", Text: "the address of the card's default SM-DP+ cannot be one", Err: err, Advice: "set another with `dynamod card default-smdp`", Retry: euicc.RetryAsk}
	}
	return euicc.ActivationCode{Address: address}, nil
}
