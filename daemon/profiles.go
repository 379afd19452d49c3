package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

var profilesCommand = command{
	name:    "profiles",
	args:    "[list | show ICCID | enable ICCID | disable ICCID | delete ICCID | nickname ICCID NAME]",
	summary: "list the profiles on the card, and enable, disable, delete or name one",
	about: `A profile is deleted for good, and its activation code may be used up; delete
asks for the ICCID again, or takes --yes. ` + "`dynamod card reset`" + ` deletes all of a kind. The only working profile is disabled
or deleted with --force only. An empty NAME takes the nickname away.`,
	example: "dynamod profiles\ndynamod profiles enable 8949000000000000018\ndynamod profiles nickname 8949000000000000018 \"spare, prepaid\"",
	setup: func(fs *flag.FlagSet) action {
		var p profileChange
		p.declare(fs)
		fs.BoolVar(&p.yes, "yes", false, "delete without asking")
		fs.BoolVar(&p.force, "force", false, "also where it cuts the link")
		return p.run
	},
}

type profileChange struct {
	reach
	yes, force bool
}

func (p *profileChange) run(ctx context.Context, args []string, s std) error {
	usage := func(text string) error {
		return usageError{errors.New(text), "`dynamod profiles --help` shows how it is called"}
	}
	if len(args) == 0 {
		args = []string{"list"}
	}
	verb, args := args[0], args[1:]
	want, known := map[string]int{"list": 0, "show": 1, "enable": 1, "disable": 1, "delete": 1, "nickname": 2}[verb]
	switch {
	case !known:
		return usage("profiles cannot do that" + parens(verbShown(verb)))
	case len(args) < want && verb == "nickname":
		return usage("profiles nickname needs an ICCID and a name")
	case len(args) < want:
		return usage("profiles " + verb + " needs an ICCID")
	case len(args) > want:
		return usage(fmt.Sprintf("profiles %s takes %d arguments, got %d", verb, want, len(args)))
	case verb == "list":
		return p.do(ctx, s, func(c *hook.Client) error {
			_, err := tell(ctx, s, c, p.json, "/v1/profiles", writeProfiles)
			return err
		})
	}
	id, err := euicc.ParseICCID(args[0])
	if err != nil {
		return usageError{err, "`dynamod profiles` lists the ICCIDs"}
	}
	iccid := id.String()
	if verb == "show" {
		return p.do(ctx, s, func(c *hook.Client) error {
			_, err := tell(ctx, s, c, p.json, "/v1/profiles/"+iccid, writeProfile)
			return err
		})
	}
	method, path, body, query, done := "POST", "/v1/profiles/"+iccid+"/"+verb, any(nil), url.Values{}, verb+"d"
	if p.force {
		query.Set("force", "true")
	}
	switch verb {
	case "delete":
		if err := p.confirmDelete(ctx, s, iccid); err != nil {
			return err
		}
		method, path = "DELETE", "/v1/profiles/"+iccid
		query.Set("confirm", iccid)
	case "nickname":
		method, body, done = "PUT", map[string]string{"nickname": args[1]}, "named"
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return p.do(ctx, s, func(c *hook.Client) error {
		if err := c.Do(ctx, method, path, nil, body, nil); err != nil {
			return err
		}
		if p.json {
			return printJSON(s.out, map[string]string{"iccid": iccid, "done": done})
		}
		fmt.Fprintf(s.out, "%s %s\n", done, iccid)
		return nil
	})
}

func verbShown(verb string) string {
	if text := shown(verb); text != "" {
		return text[1:]
	}
	return ""
}

func (p *profileChange) confirmDelete(ctx context.Context, s std, iccid string) error {
	if p.yes {
		return nil
	}
	again, err := askAgain(ctx, s, "delete", "The profile is deleted for good, and its activation code may be used up.", "Type its ICCID again to delete it: ")
	if err != nil {
		return err
	}
	if id, err := euicc.ParseICCID(again); err != nil || id.String() != iccid {
		return fault{exitRefused, "the two ICCIDs differ, nothing was deleted", "`dynamod profiles` lists them"}
	}
	return nil
}

func writeProfile(w io.Writer, p hook.Profile) {
	row := rower(w, 13)
	row("ICCID", p.ICCID)
	row("state", p.State)
	row("class", p.Class)
	row("provider", p.Provider)
	row("name", p.Name)
	row("nickname", p.Nickname)
	row("policy rules", rulesText(p.PolicyRules))
	if p.Owner != nil {
		row("owner", operatorsText([]hook.Operator{*p.Owner}))
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
}

// rulesText says what policy rules mean.
func rulesText(rules string) string {
	var out []string
	for rule, meaning := range map[string]string{"ppr1": "PPR1, it cannot be disabled", "ppr2": "PPR2, it cannot be deleted"} {
		if strings.Contains(rules, rule) {
			out = append(out, meaning)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func writeProfiles(w io.Writer, profiles []status.Profile) {
	if len(profiles) == 0 {
		fmt.Fprintln(w, "no profiles on the card; `dynamod activate` installs one")
		return
	}
	rows := [][]string{{"ICCID", "STATE", "CLASS", "RULES", "PROVIDER", "NAME", "NICKNAME"}}
	for _, p := range profiles {
		rows = append(rows, []string{p.ICCID, p.State, p.Class, strings.ToUpper(p.PolicyRules), p.Provider, p.Name, p.Nickname})
	}
	writeTable(w, rows)
}

// writeTable writes rows in columns; "-" stands for what is empty.
func writeTable(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cmp.Or(clean(cell, ""), "-"))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}
