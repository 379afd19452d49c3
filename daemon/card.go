package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"dynamod/daemon/hook"
	"dynamod/daemon/wording"
	"dynamod/euicc"
)

var cardCommand = command{
	name:    "card",
	summary: "show what the eUICC is and can; set its default SM-DP+; reset its memory",
	about:   "Without a verb it is `dynamod card show`.",
	example: "dynamod card\ndynamod card default-smdp smdp.example.com\ndynamod card reset operational",
	bare:    "show",
	verbs:   []command{cardShowCommand, cardDefaultCommand, cardResetCommand},
}

var cardShowCommand = command{
	name:    "card show",
	summary: "show what the eUICC is and can",
	example: "dynamod card show --json",
	setup: func(fs *flag.FlagSet) action {
		var r reach
		r.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("card show", args); err != nil {
				return err
			}
			return r.do(ctx, s, func(h *hook.Client) error {
				_, err := tell(ctx, s, h, r.json, "/v1/card", writeCard)
				return err
			})
		}
	},
}

var cardDefaultCommand = command{
	name:    "card default-smdp",
	args:    "ADDRESS | none",
	summary: "set the server that `dynamod activate --default-smdp` asks",
	example: "dynamod card default-smdp smdp.example.com\ndynamod card default-smdp none",
	setup: func(fs *flag.FlagSet) action {
		var c cardChange
		c.declare(fs)
		return func(ctx context.Context, args []string, s std) error {
			if len(args) != 1 {
				return usageError{errors.New("card default-smdp takes one address, or none"), "`dynamod card default-smdp --help` shows how it is called"}
			}
			return c.setDefault(ctx, s, args[0])
		}
	},
}

var cardResetCommand = command{
	name:    "card reset",
	args:    "KIND...",
	summary: "delete the profiles of a kind for good",
	about: `Whatever their policy rules say. KIND is operational, test (those that were loaded in the field) or
default-smdp. It asks for the EID's last four digits, or takes --yes; the
profile that carries the link is deleted with --force only.`,
	example: "dynamod card reset operational\ndynamod card reset test default-smdp --yes",
	setup: func(fs *flag.FlagSet) action {
		var c cardChange
		c.declare(fs)
		fs.BoolVar(&c.yes, "yes", false, "reset without asking")
		fs.BoolVar(&c.force, "force", false, "also where it cuts the link")
		return func(ctx context.Context, args []string, s std) error {
			if len(args) == 0 {
				return usageError{errors.New("card reset needs to be told what: operational, test or default-smdp"), "`dynamod card reset --help` shows how it is called"}
			}
			return c.reset(ctx, s, args)
		}
	},
}

type cardChange struct {
	reach
	yes, force bool
}

func (c *cardChange) setDefault(ctx context.Context, s std, address string) error {
	if address == "none" {
		address = ""
	} else {
		var err error
		if address, err = euicc.ParseAddress(address); err != nil {
			return usageError{err, "a host name such as smdp.example.com, or none"}
		}
	}
	return c.do(ctx, s, func(h *hook.Client) error {
		if err := h.Do(ctx, "PUT", "/v1/card/default-smdp", nil, map[string]string{"address": address}, nil); err != nil {
			return err
		}
		if c.json {
			return printJSON(s.out, map[string]string{"default_smdp": address})
		}
		if address == "" {
			fmt.Fprintln(s.out, "the card has no default SM-DP+ now")
			return nil
		}
		fmt.Fprintf(s.out, "the card's default SM-DP+ is %s\n", address)
		return nil
	})
}

func (c *cardChange) reset(ctx context.Context, s std, what []string) error {
	for _, w := range what {
		if w != "operational" && w != "test" && w != "default-smdp" {
			return usageError{errors.New("card reset cannot do that" + parens(verbShown(w))), "operational, test or default-smdp"}
		}
	}
	return c.do(ctx, s, func(h *hook.Client) error {
		var card hook.Card
		if err := h.Do(ctx, "GET", "/v1/card", nil, nil, &card); err != nil {
			return err
		}
		if err := c.confirmReset(ctx, s, what, card.EID); err != nil {
			return err
		}
		if err := h.Do(ctx, "POST", "/v1/card/reset", nil, hook.ResetRequest{What: what, Confirm: card.EID, Force: c.force}, nil); err != nil {
			return err
		}
		if c.json {
			return printJSON(s.out, map[string]any{"eid": card.EID, "reset": what})
		}
		fmt.Fprintf(s.out, "reset %s\n", strings.Join(what, ", "))
		return nil
	})
}

func (c *cardChange) confirmReset(ctx context.Context, s std, what []string, eid string) error {
	if c.yes {
		return nil
	}
	again, err := askAgain(ctx, s, "card reset",
		fmt.Sprintf("Card %s: %s is reset. Profiles are deleted for good, and their activation codes may be used up.", clean(eid, ""), strings.Join(what, " and ")),
		"Type the last four digits of the EID to go on: ")
	if err != nil {
		return err
	}
	if len(eid) < 4 || again != eid[len(eid)-4:] {
		return fault{exitRefused, "these are not the last four digits, nothing was reset", "`dynamod card` shows the EID"}
	}
	return nil
}

func writeCard(w io.Writer, c hook.Card) {
	row := rower(w, 16)
	bytes := func(n int64) string {
		if n < 0 {
			return ""
		}
		return strconv.FormatInt(n, 10) + " bytes"
	}
	row("EID", c.EID)
	row("SGP.22", c.SVN+onlyIf(c.HighestSVN != "", ", up to "+c.HighestSVN))
	row("firmware", c.Firmware)
	row("category", c.Category)
	row("profile package", strings.Join(c.ProfileVersions, ", "))
	row("free memory", bytes(c.FreeNVM))
	row("free RAM", bytes(c.FreeRAM))
	row("RSP", strings.Join(c.RSP, ", "))
	row("UICC", strings.Join(c.UICC, ", "))
	row("Java Card", c.TS102241)
	row("GlobalPlatform", c.GlobalPlatform)
	row("protection", c.PPVersion)
	row("SAS", c.SASNumber)
	row("platform", strings.Join(fields(c.PlatformLabel, c.DiscoveryURL), ", "))
	row("element", strings.Join(fields(append(c.TRE, c.TREReference)...), ", "))
	row("default SM-DP+", c.DefaultSMDP)
	row("SM-DS", c.RootSMDS)
	for _, i := range c.Issuers {
		uses := fields(onlyIf(!i.Trusted, "not trusted here"), onlyIf(!i.Signs, "for verification only"), onlyIf(!i.Verifies, "for signing only"))
		row("issuer", strings.Join(fields(i.KeyID, i.Name), ", ")+parens(strings.Join(uses, ", ")))
	}
	row("forbidden rules", c.ForbiddenRules)
	for _, r := range c.Rules {
		row("allowed rules", r.Rules+" for "+wording.Operators(r.Operators)+onlyIf(r.Consent, ", with consent"))
	}
	for _, o := range c.Extra {
		row("object "+o.Tag, o.Value)
	}
}
