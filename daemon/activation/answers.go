package activation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"dynamod/euicc"
)

// What a run can wait for.
const (
	WaitConsent          = "consent"
	WaitNoWayBack        = "no-way-back" // consent to a profile that can never be left again (PPR1)
	WaitConfirmationCode = "confirmation-code"
	WaitCard             = "card" // while it is downloading, to tell what became of that
	WaitLink             = "link" // while it is undoing, between two rounds
)

// ask holds the session until somebody answers, but not for long: the server
// counts sessions, and its profile is held back from others meanwhile. Then the
// order is put off and the question stays; an answer begins one new session.
func (r *run) ask(ctx context.Context, what string) error {
	err := r.wait(ctx, what, waitTime)
	if faultCode(err) != codeNoAnswer {
		return err
	}
	if err := r.cancelOrder(ctx, euicc.CancelTimeout); err != nil {
		r.o.Log.Warn("cannot end the session that waited for an answer", "run", r.rec.ID, "error", err)
	}
	r.change(func(rec *Record) { rec.TransactionID = "" })
	r.o.Card.Release()
	r.asked = time.Now()
	return r.waitOn(ctx, what)
}

func (r *run) answerTime() time.Duration { return cmp.Or(r.o.Limits[Waiting], answerTime) }

// await goes on waiting after a restart, without a session.
func (r *run) await(ctx context.Context) (State, error) {
	r.abandon(ctx)
	r.o.Card.Release()
	if r.rec.Waiting == "" {
		return Accepted, nil
	}
	return Accepted, r.waitOn(ctx, r.rec.Waiting)
}

// waitOn waits without a session. How long is journalled from time to time, so that
// a box which is restarted every day does not wait for ever.
func (r *run) waitOn(ctx context.Context, what string) error {
	defer func() { r.asked = time.Time{} }()
	limit := r.answerTime()
	for {
		left := time.Until(r.asked.Add(limit))
		if left <= 0 {
			return noAnswer(what, limit)
		}
		err := r.wait(ctx, what, min(left, limit/spentEvery))
		if faultCode(err) != codeNoAnswer {
			return err
		}
	}
}

// take does what an answer says.
func (r *run) take(what string, a Answer) error {
	if a.ConfirmationCode != "" {
		r.req.ConfirmationCode, r.typed = a.ConfirmationCode, true
	}
	if what == WaitConfirmationCode {
		return nil
	}
	id, err := r.iccid()
	switch {
	case is(a.Consent, false):
		return rejected("the profile was refused by the user")
	case is(a.NoWayBack, true): // which says yes to the profile, too
		r.boundTo, r.agreed = id, id
	case what == WaitNoWayBack:
		return rejected("the profile, which could never be disabled again, was refused by the user")
	default:
		r.agreed = id
	}
	return err
}

// says reports whether the answer has something to say to a question.
func (a Answer) says(what string) bool {
	switch what {
	case WaitConsent:
		return a.Consent != nil || is(a.NoWayBack, true)
	case WaitNoWayBack:
		return a.NoWayBack != nil || is(a.Consent, false)
	case WaitConfirmationCode:
		return a.ConfirmationCode != ""
	}
	return true
}

func is(b *bool, want bool) bool { return b != nil && *b == want }

func rejected(text string) error {
	return &Fault{Code: codeRejected, Text: text, Retry: euicc.RetryNow, Advice: "nothing was installed; if it is wanted after all begin it again, with a new code if the server takes the refusal for the order's end"}
}

// rejection is what an order is cancelled with when a question has not had the
// answer that lets the run go on.
func rejection(err error) euicc.CancelReason {
	if faultCode(err) == codeRejected {
		return euicc.CancelEndUserRejection
	}
	return euicc.CancelPostponed // the daemon's own end
}

// askAgain asks for another confirmation code after the server has refused one
// that somebody has typed. One that came with the request is not asked for
// again: nobody may be there, and each try counts against the order. The next
// try is a new session, which the answer begins.
func (r *run) askAgain(ctx context.Context, refused error) (State, error) {
	if euicc.CodeOf(refused) != codeConfirmationRefused || !r.typed || r.tries >= maxConfirmations {
		return "", refused
	}
	r.tries++
	r.o.Status.Log("the server refused the confirmation code")
	r.req.ConfirmationCode = ""
	if err := r.wait(ctx, WaitConfirmationCode, waitTime); err != nil {
		return "", errors.Join(refused, err)
	}
	return Authenticated, nil
}

// codeConfirmationRefused is the server's answer to a wrong confirmation code
// (SGP.22 5.6.2).
const codeConfirmationRefused = "es9p-8.2.7-3.8"

// faultCode is the code of a Fault of ours, "" for any other error.
func faultCode(err error) string {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Code
	}
	return ""
}

// codeNoAnswer is a question that nobody answered, codeRejected one that was
// answered with no.
const (
	codeNoAnswer = "no-answer"
	codeRejected = "rejected"
)

// wait waits until somebody answers, and does what the answer says.
func (r *run) wait(ctx context.Context, what string, limit time.Duration) error {
	r.change(func(rec *Record) { rec.Waiting = what })
	defer r.change(func(rec *Record) { rec.Waiting = "" })
	if err := r.enter(Waiting); err != nil {
		return stateFault(err)
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case a := <-r.answers:
		return r.take(what, a)
	case <-t.C:
		return noAnswer(what, limit)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func noAnswer(what string, limit time.Duration) error {
	return &Fault{
		Code: codeNoAnswer, Text: fmt.Sprintf("nobody answered the question for %s within %v", what, limit),
		Advice: "give the answer with the request, or stay attached; the order is kept", Retry: euicc.RetryNow,
	}
}
