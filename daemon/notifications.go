package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"dynamod/daemon/hook"
)

var notificationsCommand = command{
	name:    "notifications",
	args:    "[list | deliver]",
	summary: "list the reports that operators are still owed, or deliver them now",
	about: `A report that cannot be delivered is kept and tried again; nothing else waits
for it.`,
	example: "dynamod notifications\ndynamod notifications deliver",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			verb := "list"
			if len(args) > 0 {
				verb = args[0]
			}
			if len(args) > 1 || verb != "list" && verb != "deliver" {
				return usageError{errors.New("notifications takes list or deliver"), "`dynamod notifications --help` shows how it is called"}
			}
			return r.do(ctx, s, func(c *hook.Client) error {
				if verb == "deliver" {
					if err := c.Do(ctx, "POST", "/v1/notifications/deliver", nil, nil, nil); err != nil {
						return err
					}
				}
				_, err := tell(ctx, s, c, r.json, "/v1/notifications", writeNotifications)
				return err
			})
		}
	},
}

func writeNotifications(w io.Writer, list []hook.Notification) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no notifications are waiting")
		return
	}
	rows := [][]string{{"SEQ", "OPERATION", "ICCID", "RECEIVER", "WHERE", "TRIES", "NEXT", "ERROR"}}
	for _, n := range list {
		where, next := "card", ""
		switch {
		case n.Delivered:
			where = "delivered"
		case n.OnCard && n.Stored:
			where = "card+outbox"
		case n.Stored:
			where = "outbox"
		}
		if !n.Next.IsZero() {
			next = n.Next.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{strconv.FormatInt(n.Seq, 10), n.Operation, n.ICCID, n.Address, where, strconv.Itoa(n.Tries), next, n.Error})
	}
	writeTable(w, rows)
}
