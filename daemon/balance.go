package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/dynamo/moapi"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

var balanceCommand = command{
	name:    "balance",
	summary: "what the operator says is left on the line in use",
	about: `It asks the operator, where its record of operators.d has an API with credentials,
else the service of [dynamo] directory: at most once a minute, and not before the
operator allows it. In between, and where nobody answers, it is the last balance
with its time. Where none was ever known the exit code is 5.`,
	example: "dynamod balance\ndynamod balance --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("balance", args); err != nil {
				return err
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				_, err := tell(ctx, s, c, r.json, "/v1/balance", writeBalance)
				return err
			})
		}
	},
}

func writeBalance(w io.Writer, b status.Balance) {
	fmt.Fprintf(w, "%s\n", clean(balanceText(b), ""))
	fmt.Fprintf(w, "as of %s, ICCID %s\n", b.At.Local().Format(time.DateTime), clean(b.ICCID, ""))
	if b.Error != "" {
		fmt.Fprintf(w, "nothing newer is known: %s\n", clean(b.Error, ""))
	}
}

// balanceText says in words what is left.
func balanceText(b status.Balance) string {
	switch moapi.Type(b.Type) {
	case moapi.TypePostpaid:
		return "a contract: there is no balance to count"
	case moapi.TypeNotSupported:
		return "the operator has no balance for this SIM"
	}
	if b.UsedUp {
		return "nothing is left"
	}
	var parts []string
	if b.DataMB != nil {
		parts = append(parts, strconv.FormatFloat(*b.DataMB, 'f', -1, 64)+" MB left")
	}
	if d, err := moapi.ParseDuration(b.TimeRemaining); err == nil {
		parts = append(parts, "for another "+days(d))
	}
	if len(b.Locations) > 0 {
		parts = append(parts, "in "+strings.Join(b.Locations, " "))
	}
	return cmp.Or(strings.Join(parts, ", "), "there is a balance, and the operator does not say how much")
}

// days writes a time in days, hours and minutes, the two largest that are there.
func days(d time.Duration) string {
	d = d.Truncate(time.Minute)
	h := d % (24 * time.Hour) / time.Hour
	switch n := d / (24 * time.Hour); {
	case n > 0 && h > 0:
		return fmt.Sprintf("%d d %d h", n, h)
	case n > 0:
		return fmt.Sprintf("%d d", n)
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}
