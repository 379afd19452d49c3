package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"dynamod/configs/cosa"
	"dynamod/configs/cosa/importer"
	"dynamod/daemon/dynamo"
)

// operatorsCommand is the family of verbs about who sells a plan. None needs a
// daemon or a modem.
var operatorsCommand = command{
	name:    "operators",
	summary: "who sells a mobile plan here, and the records that say so",
	about: `Operators with a portal, from the same records that "apn" searches: the built-in
database with the files of operators.d over it. docs/operators.md has the fields.`,
	example: "dynamod operators list --country de\ndynamod operators check my.json",
	verbs:   []command{operatorsListCommand, operatorsShowCommand, operatorsCheckCommand},
}

var operatorsListCommand = command{
	name:    "operators list",
	summary: "list the operators with a portal, by brand",
	about: `Give the country where the router is, or the network that serves it. Where no
operator is found the exit code is 5. The built-in database has no portals.`,
	example: "dynamod operators list --country de\ndynamod operators list --mccmnc 26201 --json",
	setup: func(fs *flag.FlagSet) action {
		var o operatorFlags
		o.declare(fs)
		country := fs.String("country", "", "only those that sell in this `COUNTRY`, two letters (ISO 3166-1): de, us")
		serving := fs.String("mccmnc", "", "only those that sell where this network is, five or six `DIGITS`: 26201, 310260")
		asJSON := fs.Bool("json", false, "print a JSON array")
		return func(_ context.Context, args []string, s std) error {
			if err := noArgs("operators list", args); err != nil {
				return err
			}
			code, err := countryCode(*country)
			switch {
			case err != nil:
				return err
			case *serving != "" && !cosa.IsMCCMNC(*serving):
				return usageError{errors.New("--mccmnc is not five or six digits"), "MCC and MNC joined, for example --mccmnc 26201"}
			case code != "" && *serving != "":
				return usageError{errors.New("--country and --mccmnc exclude each other"), "a network says in which country it is"}
			}
			db, err := o.load(s)
			if err != nil {
				return err
			}
			var where []string
			if code != "" {
				where = []string{code}
			} else if *serving != "" {
				if where = db.Countries(*serving); len(where) == 0 {
					return fault{exitFailed, "no record tells in which country network " + *serving + " is", "give --country"}
				}
			}
			found := dynamo.Catalogue(db, where...)
			if *asJSON {
				list := []operatorJSON{}
				for _, p := range found {
					list = append(list, newOperatorJSON(p))
				}
				if err := printJSON(s.out, list); err != nil {
					return err
				}
				if len(list) == 0 {
					return fault{code: exitFailed}
				}
				return nil
			}
			if len(found) == 0 {
				return fault{exitFailed, "no operator with a portal is known" + onlyIf(len(where) > 0, " in "+strings.Join(where, ", ")), "add a record with a portal to operators.d"}
			}
			rows := [][]string{{"BRAND", "COUNTRIES", "PORTAL", "MAY CALL BACK", "ID"}}
			for _, p := range found {
				rows = append(rows, []string{
					dynamo.Brand(p), firstWords(cmp.Or(strings.Join(p.Portal.Countries, " "), p.Country, "all"), 24),
					p.Portal.URL, firstWords(strings.Join(p.Portal.CallbackHosts, " "), 60), p.ID,
				})
			}
			writeTable(s.out, rows)
			return nil
		}
	},
}

var operatorsShowCommand = command{
	name:    "operators show",
	args:    "ID",
	summary: "show a record whole",
	about:   `Passwords are left out. Any record has an ID, also one without a portal: "apn list --json" tells it.`,
	example: "dynamod operators show example.json#1",
	setup: func(fs *flag.FlagSet) action {
		var o operatorFlags
		o.declare(fs)
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(_ context.Context, args []string, s std) error {
			if len(args) != 1 {
				return usageError{errors.New("operators show takes one ID"), "`dynamod operators list` has them in its last column"}
			}
			db, err := o.load(s)
			if err != nil {
				return err
			}
			for p := range db.Profiles() {
				if p.ID != args[0] {
					continue
				}
				if *asJSON {
					return printJSON(s.out, newOperatorJSON(p))
				}
				writeOperator(s.out, newOperatorJSON(p))
				return nil
			}
			return fault{exitFailed, "there is no such record", "`dynamod operators list` has the IDs in its last column"}
		}
	},
}

var operatorsCheckCommand = command{
	name:    "operators check",
	args:    "FILE...",
	summary: "check files before they go into operators.d",
	about: `Everything that is wrong is told, as FILE:LINE:COLUMN with a hint. The files are
those that operators.d takes. Two files that would not go together, by an id that both have, are an error too.`,
	example: "dynamod operators check my.json",
	setup: func(fs *flag.FlagSet) action {
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(_ context.Context, args []string, s std) error {
			if len(args) == 0 {
				return usageError{errors.New("operators check needs a file"), "dynamod operators check my.json"}
			}
			return checkOperators(s, args, *asJSON)
		}
	},
}

func checkOperators(s std, files []string, asJSON bool) error {
	out := struct {
		OK        bool        `json:"ok"`
		Operators int         `json:"operators"`
		Portals   int         `json:"portals"`
		Errors    []fileError `json:"errors"`
	}{Errors: []fileError{}}
	var set importer.Set
	for _, path := range files {
		file, problems := importer.ReadFile(path)
		if len(problems) == 0 {
			if p := set.Add(file); p != nil {
				problems = []*cosa.Problem{p}
			}
		}
		for _, p := range problems {
			out.Errors = append(out.Errors, fileError{File: p.File, Line: p.Line, Col: p.Col, Text: p.Msg, Hint: p.Hint})
			if !asJSON {
				fmt.Fprintln(s.err, clean(p.Error(), "\n"))
			}
		}
	}
	for _, p := range set.Profiles() {
		out.Operators++
		if p.Portal.URL != "" {
			out.Portals++
		}
	}
	out.OK = len(out.Errors) == 0
	if asJSON {
		if err := printJSON(s.out, out); err != nil {
			return err
		}
	} else if out.OK {
		fmt.Fprintf(s.out, "ok: operators %d, of these with a portal %d\n", out.Operators, out.Portals)
	}
	if !out.OK {
		return fault{code: exitFailed}
	}
	return nil
}

// operatorJSON is a record as `operators list --json` and `operators show --json`
// print it. What is not there is unset.
type operatorJSON struct {
	apnOperator
	Brand      string          `json:"brand"`
	Logo       string          `json:"logo,omitempty"`
	AccountURL string          `json:"account_url,omitempty"`
	Portal     *operatorPortal `json:"portal,omitempty"`
	MOAPI      *operatorAPI    `json:"mo_api,omitempty"`
}

type operatorPortal struct {
	URL           string   `json:"url"`
	CallbackHosts []string `json:"callback_hosts"`
	Countries     []string `json:"countries"`
	ICCIDRanges   []string `json:"iccid_ranges"`
	MCCMNC        []string `json:"mccmnc"`
}

type operatorAPI struct {
	BaseURL         string `json:"base_url,omitempty"`
	BalanceURL      string `json:"balance_url,omitempty"`
	OfferURL        string `json:"offer_url,omitempty"`
	NotificationURL string `json:"notification_url,omitempty"`
	Direct          bool   `json:"direct"` // the record has credentials, so that a router may ask
}

func newOperatorJSON(p *cosa.OperatorProfile) operatorJSON {
	o := operatorJSON{apnOperator: newAPNOperator(p), Brand: dynamo.Brand(p), Logo: p.SIM.BrandLogo, AccountURL: p.SIM.AccountURL}
	if q := p.Portal; q.URL != "" {
		o.Portal = &operatorPortal{q.URL, append([]string{}, q.CallbackHosts...), append([]string{}, q.Countries...), []string{}, append([]string{}, q.MCCMNC...)}
		for _, r := range q.ICCIDRanges {
			o.Portal.ICCIDRanges = append(o.Portal.ICCIDRanges, r.String())
		}
	}
	if a := p.MOAPI; a != (cosa.MOAPI{}) {
		o.MOAPI = &operatorAPI{a.BaseURL, a.BalanceURL, a.OfferURL, a.NotificationURL, a.HasCredentials()}
	}
	return o
}

// writeOperator writes a line for each fact that the record has.
func writeOperator(w io.Writer, o operatorJSON) {
	line := func(name string, words ...string) {
		if text := strings.Join(fields(words...), " "); text != "" {
			fmt.Fprintf(w, "%-15s %s\n", name+":", clean(text, ""))
		}
	}
	line("brand", o.Brand)
	line("name", o.Name)
	line("country", o.Country)
	line("record", o.ID)
	line("from", o.Origin+parens(o.Source))
	for _, f := range o.For {
		line("for", f)
	}
	for _, c := range o.Connections {
		line("apn", strings.Join(fields(apnShown(c.APN), onlyIf(c.Purposes != cosa.Internet.String(), c.Purposes), c.IPType, c.Auth, c.Plan), ", "))
	}
	line("logo", o.Logo)
	line("account", o.AccountURL)
	if p := o.Portal; p != nil {
		line("portal", p.URL)
		line("may call back", cmp.Or(strings.Join(p.CallbackHosts, " "), "nobody; a code can be pasted"))
		line("sold in", cmp.Or(strings.Join(p.Countries, " "), o.Country, "all countries"))
		line("cards", strings.Join(p.ICCIDRanges, " "))
		line("phone numbers", strings.Join(p.MCCMNC, " "))
	}
	if a := o.MOAPI; a != nil {
		line("api", a.BaseURL+parens(onlyIf(a.Direct, "with credentials")))
		line("balances", a.BalanceURL)
		line("offers", a.OfferURL)
		line("notifications", a.NotificationURL)
	}
}
