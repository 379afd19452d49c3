package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/wording"
)

// modemCommand is the family of verbs for the bench: the modem itself, past what
// activation and link need of it.
var modemCommand = command{
	name:    "modem",
	summary: "the modem at the bench: what it is, its ports, AT commands, APDUs, reset, USB mode",
	about:   "Without a verb it is `dynamod modem status`.",
	example: "dynamod modem\ndynamod modem at AT+CSQ\ndynamod modem reset --sim",
	bare:    "status",
	verbs:   []command{modemStatusCommand, modemPortsCommand, modemATCommand, modemAPDUCommand, modemResetCommand, modemTraceCommand, modemUSBModeCommand},
}

var modemStatusCommand = command{
	name:    "modem status",
	summary: "show everything about the modem, and which of its rows no source confirms",
	about: `Rows are what the tables know of a family of modems; an assumed one was inferred
and may be wrong, see docs/dialects.md. While an eSIM operation uses the modem it
is not asked. The exit code is 5 when no modem is there.`,
	example: "dynamod modem status\ndynamod modem status --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("modem status", args); err != nil {
				return err
			}
			return r.atBench(ctx, s, func(c *hook.Client) error {
				m, err := tell(ctx, s, c, r.json, "/v1/modem", writeModem)
				if err == nil && !m.Present {
					return fault{code: exitFailed} // the table has said it
				}
				return err
			})
		}
	},
}

// atBench is do for what the modem is needed for: with --direct it waits until the
// modem was looked for.
func (r *reach) atBench(ctx context.Context, s std, f func(*hook.Client) error) error {
	return r.do(ctx, s, func(c *hook.Client) error {
		if r.direct {
			settle(ctx, c, 0)
		}
		return f(c)
	})
}

func writeModem(w io.Writer, m hook.Modem) {
	row := func(name string, values ...string) {
		if text := strings.Join(fields(values...), ", "); text != "" {
			fmt.Fprintf(w, "%-13s %s\n", name, clean(text, ""))
		}
	}
	row("modem", strings.Join(fields(m.Manufacturer, m.Model), " "), onlyIf(!m.Present, "not there"), m.Error)
	row("  advice", m.Advice)
	row("  firmware", m.Revision)
	row("  IMEI", m.IMEI)
	row("  port", m.Port, m.Place, prefix("USB ", m.USB))
	row("  power", m.Power)
	if d := m.Data; d != nil {
		row("  data", d.Kind, d.Interface, prefix("driver ", d.Driver), onlyIf(m.Function != "" && m.Function != d.Kind, "set to "+m.Function))
	} else {
		row("  data", m.Function)
	}
	row("  carrier", m.Carrier)
	row("  busy", m.Busy)
	if m.Dialect != "" && m.Present {
		writeRows(row, m)
	}
	if c := m.CardWay; c != nil {
		way := cmp.Or(onlyIf(c.Way != "", "by +"+strings.ToUpper(c.Way)), onlyIf(len(c.Order) == 0, "no way by AT commands"), "no way found yet of "+strings.ReplaceAll(strings.ToUpper(strings.Join(c.Order, "+")), "+", " and "))
		row("card", way, onlyIf(c.Remembered, "remembered"), onlyIf(c.Way != "", fmt.Sprintf("%d bytes a block", c.BlockSize)+onlyIf(c.Learned, " (learned)")), verdictText(c.Verdict))
		row("  error", c.Error)
	}
	if sim := m.SIM; sim != nil {
		text := onlyIf(!strings.EqualFold(sim.Text, sim.State), sim.Text)
		tries, slot := "", ""
		if sim.PINTries != nil {
			tries = fmt.Sprintf("PIN tries left: %d", *sim.PINTries)
		}
		if sim.Slot != nil {
			slot = fmt.Sprintf("slot %d", *sim.Slot)
		}
		row("SIM", sim.State, text, tries, slot)
		row("  profile", prefix("ICCID ", sim.ICCID), prefix("IMSI ", sim.IMSI), prefix("home network ", sim.HomePLMN), sim.SPN)
	}
	if r := m.Registration; r != nil {
		row("registration", r.Status, r.AcT, number("reject cause ", r.Cause)+parens(m.CauseText))
		row("  operator", r.Operator, r.PLMN)
	}
	for _, c := range m.Cells {
		row("  cell", wording.Cell(c)...)
	}
	if m.Signal != nil {
		row("signal", wording.Signal(m.Signal))
	}
	for i, c := range m.Contexts {
		row(onlyIf(i == 0, "contexts"), fmt.Sprintf("%d  %s", c.CID, c.Type), strconv.Quote(c.APN), onlyIf(c.Active, "active"), strings.Join(c.Addresses, " "), onlyIf(c.Attach, "of the attach"))
	}
	writeRecovery(row, m.Recovery)
	if c := m.Counters; c != nil {
		row("counters", "since "+c.Since.Local().Format(time.DateTime), times(c.Opened, "port opened once", "port opened %d times"))
		row("  commands", fmt.Sprintf("%d sent", c.Commands), fmt.Sprintf("%d given up", c.GivenUp), times(int(c.Resyncs), "1 resync", "%d resyncs"), fmt.Sprintf("%d late lines", c.Late), many(c.TooLong, "%d lines too long"))
		row("  events", fmt.Sprintf("%d received", c.URCs), fmt.Sprintf("%d dropped", c.Dropped))
		row("  card", times(int(c.APDUs), "1 APDU", "%d APDUs"), fmt.Sprintf("%d bytes", c.APDUBytes), times(int(c.Channels), "1 channel opened", "%d channels opened"), fmt.Sprintf("%d swept", c.Swept), many(c.Retries, "%d waits for a busy card"))
	}
	for i, text := range m.Errors {
		row(onlyIf(i == 0, "not told"), text)
	}
}

// writeRows says which dialect the modem has, and which of its rows are assumed.
func writeRows(row func(string, ...string), m hook.Modem) {
	row("dialect", m.Dialect, cmp.Or(m.Matched, "no table fits more closely"))
	counts := map[string]int{}
	var assumed []string
	for _, r := range m.Rows {
		counts[r.Source]++
		if r.Source == "assumed" {
			assumed = append(assumed, r.What)
		}
	}
	var text []string
	for _, source := range []string{"documented", "field", "configured", "assumed"} {
		if n := counts[source]; n > 0 {
			text = append(text, fmt.Sprintf("%d %s", n, source))
		}
	}
	row("  rows", text...)
	for i, what := range assumed {
		row(onlyIf(i == 0, "  no source"), what)
	}
}

func verdictText(v string) string {
	return map[string]string{"blocked": "this firmware is known to block it", "no-host": "not an eSIM host"}[v]
}

// many is "" for none.
func many(n uint64, format string) string { return onlyIf(n > 0, fmt.Sprintf(format, n)) }

var modemPortsCommand = command{
	name:    "modem ports",
	summary: "list what may be a modem's AT port, whose it is, and which one is ours",
	about: `No port is opened for it, and it works where no daemon runs as well. "*" is ours.
Behind the interface stands what the tables say it is for: at, ppp, other, with
"?" where no source confirms it.`,
	example: "dynamod modem ports\ndynamod modem ports --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("modem ports", args); err != nil {
				return err
			}
			if !r.direct {
				path, err := r.socketPath()
				if err != nil {
					return err
				}
				_, err = tell(ctx, s, hook.Dial(path), r.json, "/v1/modem/ports", writePorts)
				if !errors.Is(err, hook.ErrNoDaemon) {
					return err
				}
				fmt.Fprintln(s.err, "no daemon runs; this is what one would find")
			}
			cfg, err := r.loadOrDefault()
			if err != nil {
				return err
			}
			ports := gateway.Ports(cfg, gatewayOptions(cfg, s.err))
			if r.json {
				return printJSON(s.out, append([]hook.ModemPort{}, ports...))
			}
			writePorts(s.out, ports)
			return nil
		}
	},
}

func writePorts(w io.Writer, ports []hook.ModemPort) {
	if len(ports) == 0 {
		fmt.Fprintln(w, "no port that may be a modem's; plug one in, or name it in [modem] port")
		return
	}
	var rows [][]string
	flush := func() {
		writeTable(w, rows)
		rows = nil
	}
	device := "none yet"
	for _, p := range ports {
		if p.Device != device {
			flush()
			device = p.Device
			fmt.Fprintln(w, clean(strings.Join(fields(cmp.Or(prefix("USB ", p.Device), "not on USB"), p.USB, p.Product), "  "), ""))
		}
		iface, holder := "", "free"
		if p.Interface != nil {
			iface = "interface " + strconv.Itoa(*p.Interface)
		}
		if h := p.Holder; h != nil {
			holder = "held by " + cmp.Or(h.Program, "somebody") + parens(number("pid ", h.PID))
		}
		ours := " "
		if p.Ours {
			ours = "*"
		}
		rows = append(rows, []string{ours, p.Path, iface, p.Role + onlyIf(p.Source == "assumed", "?"), p.Driver, holder, p.Why})
	}
	flush()
}
