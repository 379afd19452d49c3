package lpa

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"dynamod/euicc"
	"dynamod/euicc/es10"
)

// RAT reads the card's rules authorisation table.
func (c *Card) RAT(ctx context.Context) ([]es10.Rule, error) {
	r, err := es10.GetRAT{}.Execute(ctx, c.ch)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageInfo, err)
	}
	return r.Rules, nil
}

// CheckPolicy reports whether the card allows the policy rules of an offered
// profile, which is the LPA's to check before the download (SGP.22 2.9.2, 3.1.3).
// consent says that the table wants the user's own consent to them. A profile
// without rules costs no command. A refusal has the code "ppr-not-allowed": the
// order is then to be cancelled with euicc.CancelPPRNotAllowed.
func (c *Card) CheckPolicy(ctx context.Context, m euicc.Metadata) (consent bool, err error) {
	if m.PPR&(euicc.PPR1|euicc.PPR2) == 0 {
		return false, nil
	}
	rules, err := c.RAT(ctx)
	if err != nil {
		return false, err
	}
	if err := c.needInfo2(ctx); err != nil {
		return false, err
	}
	return CheckPolicy(m, rules, c.info2.ForbiddenPPR)
}

// needInfo2 reads EUICCInfo2 unless that was done.
func (c *Card) needInfo2(ctx context.Context) error {
	if c.info2 != nil {
		return nil
	}
	_, err := c.Info2(ctx)
	return err
}

// CheckPolicy is Card.CheckPolicy for who has read the card's table and its
// forbidden rules (EUICCInfo2) already. Each rule needs a line of the table that
// has it for the profile's owner, and must not be forbidden.
func CheckPolicy(m euicc.Metadata, table []es10.Rule, forbidden euicc.PPR) (consent bool, err error) {
	refuse := func(rule euicc.PPR, why string) error {
		return &euicc.Error{
			Stage: euicc.StageAuthenticateClient, Code: "ppr-not-allowed", Retry: euicc.RetryNever,
			Text:   fmt.Sprintf("policy rule %s of the profile is not allowed: %s", strings.ToUpper(rule.String()), why),
			Advice: "the operator of this profile may not set policy rules on this card; ask for a profile without them",
		}
	}
	for _, rule := range []euicc.PPR{euicc.PPR1, euicc.PPR2} {
		if !m.PPR.Has(rule) {
			continue
		}
		if forbidden.Has(rule) {
			return false, refuse(rule, "the card forbids it to everybody")
		}
		line := authorisation(table, rule, m.Owner)
		if line == nil {
			return false, refuse(rule, "the card does not authorise the operator to it")
		}
		consent = consent || line.ConsentRequired
	}
	return consent, nil
}

// authorisation finds the line for a rule and an operator; the first one counts.
func authorisation(table []es10.Rule, rule euicc.PPR, owner euicc.Operator) *es10.Rule {
	for i := range table {
		if !table[i].PPR.Has(rule) {
			continue
		}
		for _, o := range table[i].Operators {
			if operatorMatches(o, owner) {
				return &table[i]
			}
		}
	}
	return nil
}

// operatorMatches compares a table's operator with a profile's owner: a digit E
// stands for any, a missing third digit of the MNC included, and group
// identifiers that are absent or empty for all (SGP.22 2.9.2.1).
func operatorMatches(line, owner euicc.Operator) bool {
	digits := func(o euicc.Operator) string { return o.MCC + (o.MNC + "FFF")[:3] }
	want, have := digits(line), digits(owner)
	if len(want) != len(have) {
		return want == "EEEEEE"
	}
	for i := range want {
		if want[i] != 'E' && want[i] != have[i] {
			return false
		}
	}
	return (len(line.GID1) == 0 || bytes.Equal(line.GID1, owner.GID1)) &&
		(len(line.GID2) == 0 || bytes.Equal(line.GID2, owner.GID2))
}

// CheckMemory reports whether a package of the given size can fit into the free
// memory that the card has told, -1 for one that does not tell. The package is
// about as long as what is stored, so that a larger one certainly does not fit;
// a smaller one may still be refused by the card. It fails with the code
// "memory", and the order is then to be cancelled with euicc.CancelPostponed:
// when room was made, it can be downloaded.
func CheckMemory(free int64, size int) error {
	if free < 0 || int64(size) <= free {
		return nil
	}
	return &euicc.Error{
		Stage: euicc.StageGetBPP, Code: "memory", Retry: euicc.RetryAsk,
		Text:   fmt.Sprintf("the profile package has %d bytes, and the card has %d bytes of memory left", size, free),
		Advice: "delete a profile that is not needed and try again; the order is kept",
	}
}

// FreeMemory returns the bytes of memory that the card had left when Info was
// last called, -1 if it was not, or if the card does not tell.
func (c *Card) FreeMemory() int64 {
	if c.info2 == nil {
		return -1
	}
	return c.info2.FreeNVM
}
