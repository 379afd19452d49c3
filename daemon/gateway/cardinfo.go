package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dynamod/atcmd/modem"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/ci"
	"dynamod/euicc/es10"
	"dynamod/euicc/lpa"
)

// Card reads everything that the card says about itself.
func (g *Gateway) Card(ctx context.Context) (out hook.Card, err error) {
	err = g.withCard(ctx, func(c *lpa.Card) error {
		info, err := c.Info(ctx)
		if err != nil {
			return err
		}
		rules, err := c.RAT(ctx)
		if err != nil {
			// Cards from before SGP.22 v2.1 do not know the command.
			g.log.Warn("the card's rules authorisation table cannot be read", "error", err)
		}
		out = viewCard(info, rules)
		return nil
	})
	return out, err
}

func viewCard(info *lpa.Info, rules []es10.Rule) hook.Card {
	i := info.Info2
	version := func(v es10.Version) string {
		if v == (es10.Version{}) {
			return ""
		}
		return v.String()
	}
	out := hook.Card{
		EID: info.EID.String(), SVN: i.SVN.String(), HighestSVN: version(i.HighestSVN), ProfileVersions: []string{i.ProfileVersion.String()},
		Firmware: i.Firmware.String(), Category: i.Category.String(), Apps: max(i.InstalledApps, 0), FreeNVM: i.FreeNVM, FreeRAM: i.FreeRAM,
		RSP: i.RSPCapability.Names(), UICC: i.UICCCapability.Names(), TS102241: version(i.TS102241), GlobalPlatform: version(i.GlobalPlatform),
		PPVersion: i.PPVersion.String(), SASNumber: i.SASNumber, PlatformLabel: i.Certification.PlatformLabel, DiscoveryURL: i.Certification.DiscoveryURL,
		TREReference: i.TREProductReference, DefaultSMDP: info.DefaultSMDP, RootSMDS: info.RootSMDS,
		Issuers: []hook.Issuer{}, ForbiddenRules: i.ForbiddenPPR.String(), Rules: []hook.Rule{}, Extra: viewObjects(i.Extra),
	}
	if i.TREProperties != 0 {
		out.TRE = i.TREProperties.Names()
	}
	for _, v := range i.FurtherProfileVersions {
		out.ProfileVersions = append(out.ProfileVersions, v.String())
	}
	for _, id := range slices.Concat(i.VerificationCIs, i.SigningCIs) {
		key := strings.ToUpper(hex.EncodeToString(id))
		if slices.ContainsFunc(out.Issuers, func(x hook.Issuer) bool { return x.KeyID == key }) {
			continue
		}
		out.Issuers = append(out.Issuers, hook.Issuer{
			KeyID: key, Name: ci.Name(id), Verifies: ci.Offered(i.VerificationCIs, id), Signs: ci.Offered(i.SigningCIs, id),
			Trusted: slices.ContainsFunc(info.Issuers, func(r ci.Root) bool { return bytes.Equal(r.KeyID, id) }),
		})
	}
	for _, r := range rules {
		rule := hook.Rule{Rules: r.PPR.String(), Consent: r.ConsentRequired, Operators: []hook.Operator{}}
		for _, o := range r.Operators {
			rule.Operators = append(rule.Operators, viewOperator(o))
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func viewOperator(o euicc.Operator) hook.Operator {
	return hook.Operator{MCC: o.MCC, MNC: o.MNC, GID1: strings.ToUpper(hex.EncodeToString(o.GID1)), GID2: strings.ToUpper(hex.EncodeToString(o.GID2))}
}

func viewObjects(list []bertlv.Element) (out []hook.Object) {
	for _, e := range list {
		out = append(out, hook.Object{Tag: e.Tag.String(), Value: strings.ToUpper(hex.EncodeToString(e.Value))})
	}
	return out
}

// Profile reads everything that the card has about one profile.
func (g *Gateway) Profile(ctx context.Context, iccid string) (out hook.Profile, err error) {
	id, err := euicc.ParseICCID(iccid)
	if err != nil {
		return out, err
	}
	err = g.withCard(ctx, func(c *lpa.Card) error {
		p, err := c.Profile(ctx, id)
		if errors.Is(err, es10.ErrNotFound) {
			return noProfile(iccid)
		}
		if err != nil {
			return err
		}
		out = hook.Profile{Profile: viewProfile(*p), AID: strings.ToUpper(hex.EncodeToString(p.AID)), SMDPData: strings.ToUpper(hex.EncodeToString(p.DPProprietary)), Extra: viewObjects(p.Extra)}
		if p.Owner.MCC != "" {
			owner := viewOperator(p.Owner)
			out.Owner = &owner
		}
		for _, n := range p.Notifications {
			out.Notifications = append(out.Notifications, hook.Notified{Operations: n.Events.String(), Address: n.Address})
		}
		if p.Icon != nil {
			out.Icon = &hook.Icon{Type: p.IconMediaType(), Data: p.Icon}
		}
		return nil
	})
	return out, err
}

// SetDefaultSMDP sets the card's default SM-DP+, "" for none.
func (g *Gateway) SetDefaultSMDP(ctx context.Context, address string) error {
	return g.withCard(ctx, func(c *lpa.Card) error {
		if err := c.SetDefaultSMDP(ctx, address); err != nil {
			return err
		}
		return g.showCard(ctx, c)
	})
}

// resetKinds are what a reset of the card can be asked for.
var resetKinds = map[string]es10.ResetOptions{
	"operational": es10.ResetOperational, "test": es10.ResetFieldTest, "default-smdp": es10.ResetDefaultSMDP,
}

// ResetCard deletes profiles by kind for good, or sets the default SM-DP+ back.
// The profile that carries the link goes only by force.
func (g *Gateway) ResetCard(ctx context.Context, eid euicc.EID, what []string, force bool) error {
	var options es10.ResetOptions
	for _, w := range what {
		o, ok := resetKinds[w]
		if !ok {
			return &activation.Fault{Code: "bad-reset", Text: "a card cannot be reset in that way", Advice: "operational, test, default-smdp"}
		}
		options |= o
	}
	if options == 0 {
		return &activation.Fault{Code: "bad-reset", Text: "it is not said what to reset", Advice: "operational, test, default-smdp"}
	}
	return g.alone(ctx, func(ctx context.Context) error { return g.resetCard(ctx, eid, options, force) })
}

// resetCard carries a reset out. The card token is held.
func (g *Gateway) resetCard(ctx context.Context, eid euicc.EID, options es10.ResetOptions, force bool) error {
	d, err := g.waitDevice(ctx, deviceWait)
	if err != nil {
		return err
	}
	before, enabled, err := g.profilesToReset(ctx, eid, options)
	if err != nil {
		return err
	}
	if !enabled.IsZero() {
		if !force {
			return &activation.Fault{Code: "last-profile", Text: "this deletes the enabled profile: without it the modem has no link", Advice: "enable one of another kind first, or force it", Retry: euicc.RetryNever}
		}
		defer g.bearer.Hold()()
		g.bearer.Down(ctx)
	}
	lost := g.resetMemory(ctx, options)
	if e, ok := errors.AsType[*euicc.Error](lost); lost != nil && !(ok && e.Unknown) {
		return lost
	}
	if !enabled.IsZero() {
		// The card asks for a REFRESH, which ends its channels.
		d.card.Invalidate()
		if err := g.resetSIM(ctx, d, modem.ResetGoal{Not: enabled.String()}, modem.Rung{}); err != nil {
			return err
		}
	}
	c, err := g.openCard(ctx, nil)
	if err != nil {
		return err
	}
	defer g.closeCard(c)
	after, err := c.Profiles(ctx)
	if err != nil {
		return err
	}
	for _, p := range before {
		if !slices.ContainsFunc(after, func(q euicc.Profile) bool { return q.ICCID == p.ICCID }) {
			g.forgetProfile(p.ICCID.String())
			lost = nil // its answer is: done
		}
	}
	if _, err := g.collect(ctx, c); err != nil {
		g.log.Warn("cannot copy notifications off the card yet", "error", err)
	}
	return errors.Join(lost, g.showCard(ctx, c))
}

// profilesToReset reads the profiles before a reset, and which of them is
// enabled and may go with it. The card token is held.
func (g *Gateway) profilesToReset(ctx context.Context, eid euicc.EID, options es10.ResetOptions) (before []euicc.Profile, enabled euicc.ICCID, err error) {
	c, err := g.openCard(ctx, nil)
	if err != nil {
		return nil, enabled, err
	}
	defer g.closeCard(c)
	if c.EID() != eid {
		return nil, enabled, &activation.Fault{Code: "other-card", Text: fmt.Sprintf("another card is in the slot: its EID ends in %s", c.EID().String()[28:]), Advice: "`dynamod card` shows its EID", Retry: euicc.RetryAsk}
	}
	if before, err = c.Profiles(ctx); err != nil {
		return nil, enabled, err
	}
	for _, p := range before {
		kind := map[euicc.Class]es10.ResetOptions{euicc.ClassOperational: es10.ResetOperational, euicc.ClassTest: es10.ResetFieldTest}[p.Class]
		if p.State == euicc.Enabled && options&kind != 0 {
			enabled = p.ICCID
		}
	}
	// What the card has to report about the profiles goes with them.
	return before, enabled, g.copyAll(ctx, c)
}

// resetMemory carries the reset out on the card. The card token is held.
func (g *Gateway) resetMemory(ctx context.Context, options es10.ResetOptions) error {
	c, err := g.openCard(ctx, nil)
	if err != nil {
		return err
	}
	defer g.closeCard(c)
	return c.ResetMemory(ctx, options)
}

// forgetProfile forgets what was learned of a profile that is deleted.
func (g *Gateway) forgetProfile(iccid string) {
	if err := g.learned.Forget(iccid); err != nil {
		g.log.Warn("learned", "error", err)
	}
	if err := g.vault.ForgetAPN(iccid); err != nil {
		g.log.Warn("the APN of the deleted profile is still kept", "error", err)
	}
	if err := g.runs.Forget(iccid); err != nil {
		g.log.Warn("the code of the deleted profile is still taken for used", "error", err)
	}
}

func viewProfile(p euicc.Profile) status.Profile {
	return status.Profile{
		ICCID: p.ICCID.String(), State: p.State.String(), Class: p.Class.String(), Provider: p.ServiceProvider, Name: p.Name, Nickname: p.Nickname,
		PolicyRules: (p.PPR & (euicc.PPR1 | euicc.PPR2)).String(),
	}
}
