package wording

import (
	"fmt"
	"strings"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// table collects rows of a name and a value; one without value is none.
type table [][2]string

func (t *table) row(name, value string) {
	if value != "" {
		*t = append(*t, [2]string{name, value})
	}
}

// Offer is what a person should know of a profile before consent, a row for each
// thing that is known.
func Offer(run *status.Run) [][2]string {
	var t table
	row := t.row
	row("from", run.SMDP)
	row("provider", run.Provider)
	row("profile", run.Profile)
	row("ICCID", run.ICCID)
	row("class", OnlyIf(run.Class != "operational", run.Class))
	row("rules", Rules(run.PolicyRules))
	if run.InstallOnly {
		row("then", "it stays disabled, and the link is left as it is")
		return t
	}
	row("APN", APN(run.APN)+Parens(run.APNReason))
	way := ", which stays on the card as the way back"
	if Binds(run) {
		way = ", with no way back"
	}
	row("replaces", run.Previous+OnlyIf(run.Previous != "", way))
	return t
}

// Profile is all that the card has about a profile, a row for each thing that it has.
func Profile(p hook.Profile) [][2]string {
	var t table
	row := t.row
	row("ICCID", p.ICCID)
	row("state", p.State)
	row("class", p.Class)
	row("provider", p.Provider)
	row("name", p.Name)
	row("nickname", p.Nickname)
	row("rules", Rules(p.PolicyRules))
	if p.Owner != nil {
		row("owner", Operators([]hook.Operator{*p.Owner}))
	}
	for _, n := range p.Notifications {
		row("reports", n.Operations+" to "+n.Address)
	}
	if p.Icon != nil {
		row("icon", fmt.Sprintf("%s, %d bytes", p.Icon.Type, len(p.Icon.Data)))
	}
	row("AID", p.AID)
	row("SM-DP+ data", p.SMDPData)
	for _, o := range p.Extra {
		row("object "+o.Tag, o.Value)
	}
	return t
}

// Rules says what policy rules mean.
func Rules(rules string) string {
	return strings.Join(Fields(
		OnlyIf(strings.Contains(rules, "ppr1"), "PPR1, it cannot be disabled"),
		OnlyIf(strings.Contains(rules, "ppr2"), "PPR2, it cannot be deleted"),
	), "; ")
}

// Operators names the operators of a list by their networks.
func Operators(list []hook.Operator) string {
	var out []string
	for _, o := range list {
		text := o.MCC + "-" + o.MNC
		if strings.Trim(o.MCC+o.MNC, "E") == "" {
			text = "everybody"
		}
		out = append(out, strings.Join(Fields(text, Prefix("GID1 ", o.GID1), Prefix("GID2 ", o.GID2)), " "))
	}
	if len(out) == 0 {
		return "nobody"
	}
	return strings.Join(out, ", ")
}
