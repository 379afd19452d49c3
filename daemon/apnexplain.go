package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/hook"
)

var apnExplainCommand = command{
	name:    "apn explain",
	summary: "which APNs are tried for the SIM in the modem, and why",
	about: `It asks the daemon, or with --direct the modem, and changes nothing. "when" is
the time from which a connection that failed is tried again. The exit code is 5
where nothing is tried, with the reason.`,
	example: "dynamod apn explain\ndynamod apn explain --direct --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("apn explain", args); err != nil {
				return err
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				if r.direct {
					settle(ctx, c, linkTime)
				}
				a, err := tell(ctx, s, c, r.json, "/v1/apn", writeAPN)
				if err != nil {
					return err
				}
				switch p := a.Problem; {
				case p == nil:
					return nil
				case r.json:
					return fault{code: exitFailed}
				default:
					return fault{exitFailed, p.Text, p.Advice}
				}
			})
		}
	},
}

// writeAPN tells what is known, what follows from it, and what is tried.
func writeAPN(w io.Writer, a hook.APN) {
	row := rower(w, 11)
	line := func(name string, values ...string) { row(name, strings.Join(fields(values...), ", ")) }
	named := func(name, value string) string { return prefix(name+" ", value) }
	line("sim", named("ICCID", a.SIM.ICCID), named("IMSI", a.SIM.IMSI), named("SPN", a.SIM.SPN), named("PNN", a.SIM.PNN),
		named("GID1", a.SIM.GID1), named("GID2", a.SIM.GID2), onlyIf(a.SIM.Incomplete, "part of it cannot be read yet"))
	line("network", a.Network.Registration, a.Network.PLMN, a.Network.Roaming)
	for _, reason := range a.Reasons {
		fmt.Fprintln(w, clean(reason, ""))
	}
	if t := a.Attach; t != nil {
		used := onlyIf(!strings.EqualFold(t.Used, t.APN), named("the network made it", t.Used))
		line("attach", fmt.Sprintf("context %d", t.Context), apnShown(t.APN), t.IPType, used, onlyIf(t.Shared, "data takes it, too"), t.Reason)
		if t.Record != nil {
			line("", "record: "+apnShown(t.Record.APN), t.Record.Reason)
		}
	}
	rows := [][]string{{"TRY", "APN", "IP", "AUTH", "USER", "WHEN", "WHY"}}
	for i, c := range a.Candidates {
		when, why := "its turn", c.Reason
		switch {
		case c.NotTried != "":
			when, why = "not tried", why+"; "+c.NotTried
		case c.Active:
			when = "up"
		case c.NotBefore != nil:
			when = c.NotBefore.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{strconv.Itoa(i + 1), apnShown(c.APN), c.IPType, c.Auth, c.Username, when, why})
	}
	if len(a.Candidates) > 0 {
		writeTable(w, rows)
	}
}
