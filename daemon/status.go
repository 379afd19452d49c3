package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

var statusCommand = command{
	name:    "status",
	summary: "show the link, the modem, the profile and the last activation",
	about:   "With --watch it goes on with one line per change until it is interrupted.",
	example: "dynamod status\ndynamod status --watch --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		watch := fs.Bool("watch", false, "go on with what changes")
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("status", args); err != nil {
				return err
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				if *watch {
					return watchStatus(ctx, c, s, r.json)
				}
				if r.direct {
					settle(ctx, c, linkTime)
				}
				_, err := tell(ctx, s, c, r.json, "/v1/status", writeStatus)
				return err
			})
		}
	},
}

// watchStatus writes the status and then each change, until ctx ends.
func watchStatus(ctx context.Context, c *hook.Client, s std, asJSON bool) error {
	first, last := true, ""
	err := c.Events(ctx, func(kind string, data []byte) bool {
		if asJSON {
			printJSON(s.out, struct {
				Type string          `json:"type"`
				Data json.RawMessage `json:"data"`
			}{kind, data})
			return true
		}
		line := ""
		switch kind {
		case "status":
			var snap status.Snapshot
			if json.Unmarshal(data, &snap) != nil {
				return true
			}
			if first {
				writeStatus(s.out, snap)
				first, last = false, changeLine(snap)
				return true
			}
			line = changeLine(snap)
		case "run":
			var run status.Run
			if json.Unmarshal(data, &run) != nil {
				return true
			}
			line = "activation " + run.ID + ": " + wording.Describe(&run)
			if p := run.Progress; p != nil && p.Total > 0 {
				line += fmt.Sprintf(", %d %%", p.Done*100/p.Total)
			}
		case "log":
			var text string
			if json.Unmarshal(data, &text) != nil {
				return true
			}
			line = clean(text, "")
		}
		if line != "" && line != last {
			fmt.Fprintf(s.out, "%s %s\n", time.Now().Format(time.TimeOnly), line)
			last = line
		}
		return true
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// changeLine says in one line how the link is.
func changeLine(s status.Snapshot) string {
	parts := []string{wording.Link(s)}
	if r := s.Registration; r != nil {
		parts = append(parts, strings.Join(fields(r.Status, r.AcT, cmp.Or(r.Operator, r.PLMN)), " "))
	}
	if g := s.Signal; g != nil {
		if text := wording.Signal(g); text != "" {
			parts = append(parts, text)
		}
	}
	return clean(strings.Join(parts, ", "), "")
}

// writeStatus writes the overview: a name and a value per line, and nothing
// for what is not known.
func writeStatus(w io.Writer, s status.Snapshot) {
	row := func(name string, values ...string) {
		if text := strings.Join(fields(values...), ", "); text != "" {
			fmt.Fprintf(w, "%-13s %s\n", name, clean(text, ""))
		}
	}
	row("link", string(s.State), s.Reason)
	row("  advice", s.Advice)
	if l := s.Link; l != nil {
		row("  interface", l.Interface, strings.Join(l.Addresses, " "), prefix("gateway ", l.Gateway), prefix("DNS ", strings.Join(l.DNS, " ")), number("MTU ", l.MTU))
		if l.Bootstrap {
			row("  bootstrap", "the profile is the last resort: the router has no route and no name servers by it, dynamod's own traffic alone has")
		}
		row("  APN", wording.APN(l.APN)+parens(l.APNReason))
		if !l.Since.IsZero() {
			row("  since", l.Since.Local().Format(time.DateTime))
		}
	}
	if r := s.Reach; r != nil {
		row("  reach", r.Result, r.Reason, r.Target, fmt.Sprintf("%.0f ms", r.RTTMS), r.At.Local().Format(time.DateTime))
	}
	if g := s.Garden; g != nil {
		row("  top up", wording.Garden(g)...)
	}
	if m := s.Modem; m != nil {
		present := ""
		if !m.Present {
			present = "not there"
		}
		row("modem", m.Port, present, strings.Join(fields(m.Manufacturer, m.Model), " "), m.Revision, prefix("dialect ", m.Dialect), prefix("IMEI ", m.IMEI), pointed("SIM slot ", m.SIMSlot), m.Error)
		if d := m.Data; d != nil {
			row("  data", d.Kind, d.Interface, prefix("driver ", d.Driver))
		}
	}
	if c := s.Card; c != nil {
		row("card", prefix("EID ", c.EID), prefix("SGP.22 ", c.SVN), onlyIf(c.FreeMemory > 0, wording.Size(c.FreeMemory)+" free"), times(len(c.Profiles), "1 profile", "%d profiles"), c.Error)
		for _, p := range c.Profiles {
			row("  profile", p.ICCID, p.State, p.Class, p.Provider, cmp.Or(p.Nickname, p.Name))
		}
	}
	if m := s.SIM; m != nil {
		row("SIM", m.State, prefix("ICCID ", m.ICCID), prefix("IMSI ", m.IMSI), prefix("home network ", m.HomePLMN), m.SPN, pointed("PIN tries left: ", m.PINTries))
	}
	if b := s.Balance; b != nil && s.SIM != nil && b.ICCID == s.SIM.ICCID {
		row("  balance", b.Text, "as of "+b.At.Local().Format(time.DateTime), onlyIf(b.Stale, "nothing newer is known"))
	}
	if c := s.SIMChange; c != nil {
		row("  changed", "from ICCID "+c.From+" to "+c.To, "without an activation", c.At.Local().Format(time.DateTime))
	}
	if r := s.Registration; r != nil {
		row("registration", r.Status, r.AcT, cmp.Or(r.Operator, r.PLMN), number("reject cause ", r.Cause))
	}
	if s.Signal != nil {
		row("signal", wording.Signal(s.Signal))
	}
	for _, c := range s.Cells {
		row("cell", wording.Cell(c)...)
	}
	if n := s.Outbox.Pending; n > 0 {
		row("outbox", fmt.Sprintf("%d waiting", n), s.Outbox.Alarm, s.Outbox.Error)
	}
	writeRecovery(row, s.Recovery)
	if f := s.Fallback; f != nil {
		next := ""
		if f.Next != nil {
			next = "another profile is tried at " + f.Next.Local().Format(time.DateTime)
		}
		row("fallback", prefix("this profile stands in for ", f.Preferred), prefix("no switch: ", f.Reason), next)
	}
	if r := s.Run; r != nil {
		what := wording.State(r)
		if r.Ended != nil {
			what = string(r.Outcome)
		}
		row("activation", r.ID, what, r.Started.Local().Format(time.DateTime))
		row("  why", r.Why)
		row("  profile", prefix("ICCID ", r.ICCID), r.Provider, r.Profile)
		if p := r.Progress; p != nil && r.Ended == nil && p.Total > 0 {
			row("  download", fmt.Sprintf("%d of %d bytes", p.Done, p.Total))
		}
		if e := r.Error; e != nil {
			row("  error", e.Text+parens(e.Code))
			row("  advice", e.Advice)
		}
	}
	if v := s.Visit; v != nil {
		row("plan", wording.Visit(v), v.Begun.Local().Format(time.DateTime))
		if v.Error != nil {
			row("  advice", v.Error.Advice)
		}
	}
	if d := s.Door; d != nil {
		row("API", "TCP "+d.Listen, d.Error, prefix("certificate SHA-256 ", wording.Fingerprint(d.Fingerprint)))
	}
	for _, text := range s.Warnings {
		row("warning", text)
	}
	uptime := ""
	if !s.Started.IsZero() && s.Time.After(s.Started) {
		uptime = "running for " + s.Time.Sub(s.Started).Truncate(time.Second).String()
	}
	row("dynamod", s.Version, uptime)
}

// writeRecovery tells what is wrong with the modem, and what was done about it.
func writeRecovery(row func(string, ...string), r *status.Recovery) {
	if r == nil {
		return
	}
	next := ""
	if r.Next != nil {
		next = "begun again at " + r.Next.Local().Format(time.DateTime)
	}
	row("recovery", cmp.Or(string(r.State), "nothing is wrong"), prefix(r.Symptom+": ", r.Reason), next)
	row("  advice", r.Advice)
	for _, u := range r.Rungs {
		row("  "+u.Rung, times(u.Count, "once, ", "%d times, last ")+u.Last.Local().Format(time.DateTime), onlyIf(u.Reason != u.Rung, u.Reason), prefix("failed: ", u.Error))
	}
}
