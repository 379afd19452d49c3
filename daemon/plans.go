package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// plansCommand is the family of verbs about buying a plan.
var plansCommand = command{
	name:    "plans",
	summary: "buy a mobile plan in an operator's portal",
	about: `Who sells one where the router is, the visit to the operator's portal, and what
becomes of it. docs/dynamo.md has the whole of it.`,
	example: "dynamod plans list\ndynamod plans open contoso",
	verbs:   []command{plansListCommand, plansOpenCommand, plansCancelCommand},
	bare:    "list",
}

var plansListCommand = command{
	name:    "plans list",
	summary: "list the operators that sell a plan here",
	about: `By the country of the network that serves the modem, else by [dynamo] country: the
records of operators.d, and what the directory service lists. Where that cannot be
asked it is its last list, or the signed one of [dynamo] catalogue. Where there is
none at all the exit code is 5.`,
	example: "dynamod plans list\ndynamod plans list --phone +14255550100",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		phone := fs.String("phone", "", "only the operator of this phone `NUMBER`, such as +14255550100")
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("plans list", args); err != nil {
				return err
			}
			path := "/v1/dynamo/operators"
			if *phone != "" {
				path += "?msisdn=" + url.QueryEscape(*phone)
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				o, err := tell(ctx, s, c, r.json, path, writeSellers)
				if err == nil && len(o.Operators) == 0 {
					err = fault{code: exitFailed}
					if !r.json {
						err = fault{exitFailed, noSeller(o), "`dynamod activate` takes a code that was bought elsewhere"}
					}
				}
				return err
			})
		}
	},
}

func noSeller(o hook.Operators) string {
	switch {
	case o.Network != "":
		return "the number is network " + o.Network + "'s, whose operator has no portal that is known"
	case o.Offline:
		return "there is no connection to the internet, and no list of operators is kept here"
	}
	return "no operator with a portal is known" + onlyIf(o.Country != "", " in "+o.Country)
}

func writeSellers(w io.Writer, o hook.Operators) {
	if len(o.Operators) == 0 {
		return
	}
	rows := [][]string{{"BRAND", "PORTAL", "ITS ANSWER", "ID"}}
	for _, p := range o.Operators {
		answer := "by itself"
		if !p.MayAnswer {
			answer = "a code, by hand"
		}
		rows = append(rows, []string{p.Brand, p.Portal, answer, p.ID})
	}
	writeTable(w, rows)
	if o.Error != "" {
		at := ""
		if !o.At.IsZero() {
			at = " as of " + o.At.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "this is the list of the %s%s: %s\n", o.Source, at, clean(o.Error, ""))
	}
	if o.Offline {
		fmt.Fprintln(w, "the router has no connection to the internet now: a portal opens only where the browser has another one")
	}
}

var plansOpenCommand = command{
	name:    "plans open",
	args:    "ID",
	summary: "begin a visit to an operator's portal",
	about: `It prints the portal's address, and shows it as a QR on a terminal that has room, for a
telephone. The portal's answer comes by the directory service; a code or an lpa: link that
the portal shows instead goes into "dynamod activate". The command waits for the answer and
follows it; when it is interrupted the daemon goes on. A visit from the router's own page is
answered there.`,
	example: "dynamod plans open contoso\ndynamod plans open contoso --no-wait --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		noWait := fs.Bool("no-wait", false, "return when the visit has begun")
		return func(ctx context.Context, args []string, s std) error {
			if len(args) != 1 {
				return usageError{errors.New("plans open takes the ID of one operator"), "`dynamod plans list` has the IDs in its last column"}
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				v, err := tellAfter(ctx, s, c, r.json, http.MethodPost, "/v1/dynamo/visits", hook.VisitRequest{Operator: args[0]}, writeVisit)
				if err != nil || *noWait {
					return err
				}
				return followVisit(ctx, s, &r, c, v.Transaction)
			})
		}
	},
}

// qrText draws a text as a QR for a terminal, "" where there is no room for it; nil in a
// program without the screen for people.
var qrText func(out io.Writer, text string) string

func writeVisit(w io.Writer, v hook.PortalVisit) {
	if qrText != nil {
		fmt.Fprint(w, qrText(w, v.URL))
	}
	fmt.Fprintf(w, "%s\n", clean(v.URL, ""))
	fmt.Fprintf(w, "visit %s to %s\n", clean(v.Transaction, ""), clean(v.Brand, ""))
	if v.Way == "" {
		fmt.Fprintln(w, "nothing comes back by itself: `dynamod activate` takes the code or lpa: link that the portal shows")
	}
}

// followVisit tells how a visit goes until it has come to its end.
func followVisit(ctx context.Context, s std, r *reach, c *hook.Client, id string) error {
	var (
		last string
		end  error
	)
	note := func(text string) { fmt.Fprintf(s.err, "%s\n", text) }
	err := attached(ctx, c, r.direct, note, func(kind string, data []byte) bool {
		var snap status.Snapshot
		if kind != "status" || json.Unmarshal(data, &snap) != nil || snap.Visit == nil {
			return true
		}
		v := snap.Visit
		if v.Transaction != id {
			end = fault{exitFailed, "another visit has begun since", "`dynamod status` shows the last one"}
			return false
		}
		if text := wording.Visit(v); text != last && !r.json {
			last = text
			fmt.Fprintf(s.out, "%s\n", clean(text, ""))
		}
		var ended bool
		if ended, end = visitEnded(v); ended && r.json {
			if end != nil {
				end = fault{code: exitFailed}
			}
			end = errors.Join(printJSON(s.out, v), end)
		}
		return !ended
	})
	return cmp.Or(err, end)
}

// visitEnded reports whether nothing more comes of a visit, and with what error.
func visitEnded(v *status.Visit) (bool, error) {
	switch v.State {
	case status.VisitDone, status.VisitNoChange, status.VisitTopUp:
		return true, nil
	case status.VisitFailed:
		f := fault{exitFailed, "it could not be carried out", "the portal is told of it at the next visit"}
		if v.Error != nil {
			f.text, f.hint = v.Error.Text, strings.Join(fields(v.Error.Advice, f.hint), "; ")
		}
		return true, f
	}
	return false, nil
}

var plansCancelCommand = command{
	name:    "plans cancel",
	args:    "VISIT",
	summary: "forget a download that the portal wanted later",
	about:   `As long as it has not begun. What was bought stays bought: the operator has to be told.`,
	example: "dynamod plans cancel dynamod-0b5d2c11-7f42-4a1e-9b7c-3d1f0a8e6c52",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if len(args) != 1 {
				return usageError{errors.New("plans cancel takes one visit"), "`dynamod plans open` has printed it, `dynamod status --json` has the last one"}
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				if err := c.Do(ctx, http.MethodDelete, "/v1/dynamo/visits/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
					return err
				}
				if r.json {
					return printJSON(s.out, map[string]string{"transaction_id": args[0], "done": "cancelled"})
				}
				fmt.Fprintln(s.out, "the download is not wanted any more")
				return nil
			})
		}
	},
}
