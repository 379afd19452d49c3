package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
	"dynamod/euicc"
)

var profilesCommand = command{
	name:    "profiles",
	summary: "list the profiles on the card, and enable, disable, delete or name one",
	about:   "Without a verb it is `dynamod profiles list`. `dynamod card reset` deletes all profiles of a kind.",
	example: "dynamod profiles\ndynamod profiles enable 8949000000000000018",
	bare:    "list",
	verbs: []command{
		profilesListCommand,
		profileVerb("show", "tell all that the card has about a profile", "", func(ctx context.Context, s std, p *profileChange, iccid string, _ []string) error {
			return p.do(ctx, s, func(c *hook.Client) error {
				_, err := tell(ctx, s, c, p.json, "/v1/profiles/"+iccid, writeProfile)
				return err
			})
		}),
		profileVerb("enable", "switch to a profile, and back if it gives no link", "It ends when the link is up, with exit code 6 if it is up on the previous profile.", func(ctx context.Context, s std, p *profileChange, iccid string, _ []string) error {
			query := url.Values{}
			if p.noWayBack {
				query.Set("no_way_back", "true")
			}
			if p.acceptLimited {
				query.Set("accept_limited", "true")
			}
			return p.change(ctx, s, "POST", iccid, "/enable", query, nil, "enabled")
		}),
		profileVerb("disable", "disable a profile", "The enabled one, which carries the link, only with --force.", func(ctx context.Context, s std, p *profileChange, iccid string, _ []string) error {
			return p.change(ctx, s, "POST", iccid, "/disable", url.Values{}, nil, "disabled")
		}),
		profileVerb("delete", "delete a profile for good", `Its activation code may be used up. The ICCID is asked for again, or --yes is given; the
enabled profile is deleted with --force only.`, func(ctx context.Context, s std, p *profileChange, iccid string, _ []string) error {
			if err := p.confirmDelete(ctx, s, iccid); err != nil {
				return err
			}
			return p.change(ctx, s, "DELETE", iccid, "", url.Values{"confirm": {iccid}}, nil, "deleted")
		}),
		profileVerb("nickname", "name a profile", "An empty NAME takes the nickname away.", func(ctx context.Context, s std, p *profileChange, iccid string, rest []string) error {
			return p.change(ctx, s, "PUT", iccid, "/nickname", nil, map[string]string{"nickname": rest[0]}, "named")
		}),
	},
}

var profilesListCommand = command{
	name:    "profiles list",
	summary: "list the profiles on the card",
	example: "dynamod profiles list --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("profiles list", args); err != nil {
				return err
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				_, err := tell(ctx, s, c, r.json, "/v1/profiles", writeProfiles)
				return err
			})
		}
	},
}

type profileChange struct {
	reach
	yes, force, noWayBack, acceptLimited bool
}

// profileVerb is a verb about one profile; rest are its arguments behind the
// ICCID.
func profileVerb(verb, summary, about string, run func(ctx context.Context, s std, p *profileChange, iccid string, rest []string) error) command {
	name, args, more := "profiles "+verb, "ICCID", ""
	if verb == "nickname" {
		args, more = "ICCID NAME", " \"spare, prepaid\""
	}
	return command{
		name: name, args: args, summary: summary, about: about, example: "dynamod " + name + " 8949000000000000018" + more,
		setup: func(fs *flag.FlagSet) action {
			var p profileChange
			p.declare(fs)
			if verb == "delete" {
				fs.BoolVar(&p.yes, "yes", false, "delete without asking")
			}
			if verb == "enable" {
				fs.BoolVar(&p.noWayBack, "no-way-back", false, "also a profile that can never be disabled again (policy rule PPR1)")
				fs.BoolVar(&p.acceptLimited, "accept-limited", false, "keep a profile that only reaches a portal, as to top it up there")
			}
			if verb == "delete" || verb == "disable" {
				fs.BoolVar(&p.force, "force", false, "also where it cuts the link")
			}
			want := len(strings.Fields(args))
			return func(ctx context.Context, given []string, s std) error {
				hint := "`dynamod " + name + " --help` shows how it is called"
				if len(given) == 0 {
					return usageError{errors.New(name + " needs an ICCID"), "`dynamod profiles` lists them"}
				}
				if len(given) != want {
					return usageError{fmt.Errorf("%s takes %s, got %d arguments", name, args, len(given)), hint}
				}
				id, err := euicc.ParseICCID(given[0])
				if err != nil {
					return usageError{err, "`dynamod profiles` lists the ICCIDs"}
				}
				return run(ctx, s, &p, id.String(), given[1:])
			}
		},
	}
}

// change asks the daemon for a change of one profile. query is nil where the
// route knows no force.
func (p *profileChange) change(ctx context.Context, s std, method, iccid, route string, query url.Values, body any, done string) error {
	if p.force {
		query.Set("force", "true")
	}
	path := "/v1/profiles/" + iccid + route
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
	for _, r := range wording.Profile(p) {
		row(r[0], r[1])
	}
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
