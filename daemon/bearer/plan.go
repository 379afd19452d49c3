package bearer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/euicc"
)

// plan is a list of connections to try for one profile.
type plan struct {
	iccid string
	list  []cosa.Candidate
	sim   cosa.SIM
	given []cosa.Given
}

// First returns the connection that is tried first.
func (p *plan) First() (apn, reason string) {
	if len(p.list) == 0 {
		return "", ""
	}
	return p.list[0].Connection.APN, p.list[0].Reason
}

// Choose finds connections by what the metadata tell of a profile that is not
// enabled yet. Where they tell no home network the choice is made when the SIM
// can be read.
func (b *Bearer) Choose(_ context.Context, md euicc.Metadata, apn *activation.APN) (activation.Plan, error) {
	given, err := b.given(md.ICCID.String(), apn)
	if err != nil {
		return nil, err
	}
	p := &plan{iccid: md.ICCID.String(), given: given, sim: cosa.SIM{
		ICCID: md.ICCID.String(), MCCMNC: md.Owner.PLMN(), GID1: fmt.Sprintf("%X", md.Owner.GID1), GID2: fmt.Sprintf("%X", md.Owner.GID2),
	}}
	p.list, err = b.candidates(p.sim, given, cosa.RoamUnknown)
	if errors.Is(err, cosa.ErrNoMatch) && p.sim.MCCMNC == "" {
		return p, nil // nothing is known yet, so nothing is wrong yet
	}
	if err != nil {
		return nil, noAPN(err)
	}
	return p, nil
}

// Plan finds connections for the enabled profile.
func (b *Bearer) Plan(_ context.Context, iccid string, apn *activation.APN) (activation.Plan, error) {
	given, err := b.given(iccid, apn)
	if err != nil {
		return nil, err
	}
	return &plan{iccid: iccid, given: given}, nil
}

func (b *Bearer) given(iccid string, apn *activation.APN) ([]cosa.Given, error) {
	var given []cosa.Given
	if apn != nil {
		c := cosa.Connection{APN: apn.APN, Username: apn.Username, Password: cosa.Secret(apn.Password)}
		var ok bool
		if why := cosa.CheckAPN(apn.APN); why != "" {
			return nil, &activation.Fault{Code: "bad-apn", Text: "the APN of the request cannot be one: " + why}
		}
		if c.IPType, ok = cosa.ParseIPType(apn.IPType); !ok && apn.IPType != "" {
			return nil, &activation.Fault{Code: "bad-apn", Text: fmt.Sprintf("unknown IP type %q in the request", apn.IPType), Advice: "ipv4, ipv6 or ipv4v6"}
		}
		if c.Auth, ok = cosa.ParseAuth(apn.Auth); !ok && apn.Auth != "" {
			return nil, &activation.Fault{Code: "bad-apn", Text: fmt.Sprintf("unknown authentication %q in the request", apn.Auth), Advice: "none, pap or chap"}
		}
		given = append(given, cosa.Given{Connection: c, Origin: "activation request"})
	}
	if b.GivenFor == "" || b.GivenFor == iccid {
		given = append(given, b.Given...)
	}
	return given, nil
}

func (b *Bearer) candidates(sim cosa.SIM, given []cosa.Given, roam cosa.RoamState) ([]cosa.Candidate, error) {
	req := cosa.Request{Explicit: given, Roaming: roam}
	good, ok := b.Learned.LastGood(sim.ICCID)
	c := cosa.Connection{APN: good.APN, Username: good.User}
	if ok {
		c.Auth, _ = cosa.ParseAuth(good.Auth)
		c.IPType, _ = cosa.ParseIPType(good.IPType)
		req.LastGood = c.Key()
	}
	match := b.Operators().Match(sim)
	list, err := match.Candidates(req)
	same := func(k cosa.Candidate) bool { return k.Connection.Key() == req.LastGood }
	if !ok || len(given) > 0 || good.APN == "" || good.User != "" || slices.ContainsFunc(list, same) {
		return list, err
	}
	// It came with the request of an activation and stands nowhere else. The
	// link has to come back without that request, after a restart too. One with
	// a user name cannot: its password is kept nowhere.
	req.Explicit, req.ExplicitFallback = []cosa.Given{{Connection: c, Origin: "an earlier activation: it worked last with this ICCID"}}, true
	return match.Candidates(req)
}

func noAPN(err error) error {
	f := &activation.Fault{Code: "no-apn", Text: err.Error(), Retry: euicc.RetryNow, Advice: "give an APN with the request, set [apn] apn, or add a file to operators.d"}
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		f.Advice = h.Hint()
	}
	return f
}
