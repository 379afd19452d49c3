package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"

	"dynamod/daemon/hook"
)

var answerCommand = command{
	name:    "answer",
	args:    "[ID]",
	summary: "answer what an activation waits for",
	about: `Without ID it is the activation that is under way. The question is in the status.
An activation that nobody answers within 120 s puts its order off and waits for a
day; an answer begins one new session with the server.`,
	example: "dynamod answer --yes\ndynamod answer HEMVAGVO3JRKP --no-way-back",
	setup: func(fs *flag.FlagSet) action {
		var a answerRun
		a.declare(fs)
		fs.BoolVar(&a.yes, "yes", false, "install the profile and enable it")
		fs.BoolVar(&a.noWayBack, "no-way-back", false, "the same, also if it can never be disabled again (policy rule PPR1)")
		fs.BoolVar(&a.no, "no", false, "refuse the profile")
		fs.StringVar(&a.confirmationFile, "confirmation-code-file", "", "read the confirmation code from a `FILE`")
		return a.run
	},
}

type answerRun struct {
	reach
	yes, no, noWayBack bool
	confirmationFile   string
}

func (a *answerRun) run(ctx context.Context, args []string, s std) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("answer takes one ID, got %d arguments", len(args)), "`dynamod status` shows the activation that waits"}
	}
	var body hook.AnswerRequest
	yes, no := true, false
	if a.yes {
		body.Consent = &yes
	}
	if a.noWayBack {
		body.NoWayBack = &yes
	}
	if a.no {
		if a.yes || a.noWayBack || a.confirmationFile != "" {
			return usageError{errors.New("--no excludes the other answers"), "it refuses the profile"}
		}
		body.Consent, body.NoWayBack = &no, &no
	}
	if a.confirmationFile != "" {
		var err error
		if body.ConfirmationCode, err = readSecret(a.confirmationFile, s.err); err != nil {
			return err
		}
	}
	if body == (hook.AnswerRequest{}) {
		return usageError{errors.New("no answer is given"), "--yes, --no-way-back, --no or --confirmation-code-file FILE"}
	}
	return a.do(ctx, s, func(c *hook.Client) error {
		id := ""
		if len(args) == 1 {
			id = args[0]
		} else {
			run, err := underWay(ctx, c)
			if err != nil {
				return err
			}
			id = run.ID
		}
		if err := c.Do(ctx, http.MethodPost, "/v1/activations/"+url.PathEscape(id)+"/answer", nil, body, nil); err != nil {
			return err
		}
		if a.json {
			return printJSON(s.out, map[string]string{"id": id, "done": "answered"})
		}
		fmt.Fprintf(s.out, "answered %s; `dynamod status` shows how it goes\n", clean(id, ""))
		return nil
	})
}
