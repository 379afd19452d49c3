package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"dynamod/daemon/hook"
)

var notificationsCommand = command{
	name:    "notifications",
	summary: "list the reports that operators are still owed, or deliver them now",
	about: `A report that cannot be delivered is kept and tried again; nothing else waits
for it. Without a verb it is ` + "`dynamod notifications list`.",
	example: "dynamod notifications\ndynamod notifications deliver",
	bare:    "list",
	verbs: []command{
		notificationsVerb("list", "list the reports that operators are still owed", false),
		notificationsVerb("deliver", "offer those that are due to their servers now, and list the rest", true),
	},
}

func notificationsVerb(verb, summary string, deliver bool) command {
	name := "notifications " + verb
	return command{
		name: name, summary: summary, example: "dynamod " + name,
		setup: func(fs *flag.FlagSet) action {
			var r reach
			r.declare(fs)
			return func(ctx context.Context, args []string, s std) error {
				if err := noArgs(name, args); err != nil {
					return err
				}
				return r.do(ctx, s, func(c *hook.Client) error {
					if deliver {
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
