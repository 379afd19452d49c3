package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

var balanceCommand = command{
	name:    "balance",
	summary: "what the operator says is left on the line in use",
	about: `It asks the operator, where its record of operators.d has an API with credentials,
else the service of [dynamo] directory, else it dials the USSD code of the record:
at most once a minute, and not before the operator allows it. In between, and where
nobody answers, it is the last balance with its time. Where none was ever known the
exit code is 5.`,
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
	fmt.Fprintf(w, "%s\n", clean(b.Text, ""))
	fmt.Fprintf(w, "as of %s, ICCID %s\n", b.At.Local().Format(time.DateTime), clean(b.ICCID, ""))
	if b.Error != "" {
		fmt.Fprintf(w, "nothing newer is known: %s\n", clean(b.Error, ""))
	}
}
