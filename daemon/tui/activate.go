package tui

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
	"dynamod/euicc"
)

// activateView begins an activation, and shows the one that goes on, whoever has
// begun it.
type activateView struct {
	m       *model
	form    bool // the form is shown although there is a run
	cursor  int  // row of the form
	apn     string
	only    bool // the profile is installed, and not enabled
	sending bool // a request is on its way
	sellers []hook.Seller

	run     string // the one that was seen while it went on
	pace    wording.Pace
	told    time.Time
	rate    float64
	refused string // run whose confirmation code was asked for before
	given   string // question of a run that was answered, as about names it
}

func (v *activateView) title() string { return "Activate" }

func (v *activateView) enter() tea.Cmd { return v.follow() }

// formShown reports whether a code can be given.
func (v *activateView) formShown() bool {
	r := v.m.snap.Run
	return !v.sending && (r == nil || r.Ended != nil && v.form || r.Ended != nil && v.run != r.ID)
}

var keyAgain = hint("enter", "another one")

func (v *activateView) keys() []key.Binding {
	switch r := v.m.snap.Run; {
	case v.formShown():
		return []key.Binding{hint("enter", "choose"), hint("up/down", "move"), hint("Q", "EID as QR")}
	case r == nil:
		return nil
	case r.Ended != nil:
		return []key.Binding{keyAgain}
	case consented(r):
		return []key.Binding{hint("y", "install it"), hint("n", "refuse it"), hint("c", "cancel")}
	case r.Waiting == activation.WaitConfirmationCode:
		return []key.Binding{hint("enter", "give the code"), hint("c", "cancel")}
	}
	return []key.Binding{hint("c", "cancel")}
}

// choice is a row of the form.
type choice struct {
	name, text string
	do         func() tea.Cmd
}

func (v *activateView) choices() []choice {
	smdp := "the card names none"
	if c := v.m.snap.Card; c != nil && c.Default != "" {
		smdp = "ask " + c.Default + ", which the card names"
	}
	visit := ""
	if s := v.m.snap.Visit; s != nil {
		visit = wording.Visit(s)
	}
	enable := "yes, and bring its link up"
	if v.only {
		enable = "no, install it only"
	}
	rows := []choice{
		{"Activation code", "type or paste it, it is not shown", func() tea.Cmd { v.askCode(); return nil }},
		{"Discovery server", "ask an SM-DS for the profile that waits for this card", func() tea.Cmd { return v.submit(hook.ActivationRequest{Discover: true}) }},
		{"Default SM-DP+", smdp, func() tea.Cmd { return v.submit(hook.ActivationRequest{DefaultSMDP: true}) }},
		{"APN", wording.OnlyIf(v.apn == "", "as the operator settings say") + v.apn, func() tea.Cmd {
			v.m.prompt = &prompt{title: "APN, empty for the settings'", done: func(value string) tea.Cmd { v.apn = strings.TrimSpace(value); return nil }}
			v.m.prompt.insert(v.apn)
			return nil
		}},
		{"Enable it", enable, func() tea.Cmd { v.only = !v.only; return nil }},
		{"Buy a plan", cmp.Or(visit, "in the portal of an operator, on a telephone: its QR is shown"), v.askSellers},
	}
	for _, s := range v.sellers[:min(len(v.sellers), maxSellers)] {
		rows = append(rows, choice{"  Portal", "of " + s.Brand + ", as a QR", func() tea.Cmd { return v.openPortal(s) }})
	}
	return rows
}

// maxSellers is how many operators the form lists; `dynamod plans list` has all.
const maxSellers = 8

// askSellers lists who sells a plan here.
func (v *activateView) askSellers() tea.Cmd {
	var o hook.Operators
	return v.m.ask(func(ctx context.Context) error {
		return v.m.client.Do(ctx, http.MethodGet, "/v1/dynamo/operators", nil, nil, &o)
	}, func(err error) tea.Cmd {
		if err != nil {
			return v.m.fail(err)
		}
		v.sellers = o.Operators
		switch {
		case len(v.sellers) > maxSellers:
			v.m.say(normal, fmt.Sprintf("the first %d of %d; `dynamod plans list` has all", maxSellers, len(v.sellers)))
		case len(v.sellers) == 0 && o.Offline:
			v.m.say(warn, "there is no connection to the internet, and no list of operators is kept here")
		case len(v.sellers) == 0:
			v.m.say(warn, "no operator with a portal is known here")
		}
		return nil
	})
}

// openPortal begins a visit, and shows where it is.
func (v *activateView) openPortal(s hook.Seller) tea.Cmd {
	var visit hook.PortalVisit
	return v.m.ask(func(ctx context.Context) error {
		return v.m.client.Do(ctx, http.MethodPost, "/v1/dynamo/visits", nil, hook.VisitRequest{Operator: s.ID}, &visit)
	}, func(err error) tea.Cmd {
		if err != nil {
			return v.m.fail(err)
		}
		v.m.cover = func(width, height int) []string { return v.m.code("Portal", visit.URL, false, width, height) }
		if visit.Way == "" {
			v.m.say(normal, "nothing comes back by itself: give the code that the portal shows")
		}
		return nil
	})
}

func (v *activateView) press(k string) tea.Cmd {
	r := v.m.snap.Run
	if v.formShown() {
		rows := v.choices()
		switch k {
		case "up", "k":
			v.cursor = (v.cursor + len(rows) - 1) % len(rows)
		case "down", "j":
			v.cursor = (v.cursor + 1) % len(rows)
		case "enter":
			return rows[v.cursor].do()
		case "esc":
			v.form = false
		}
		return nil
	}
	switch {
	case r == nil:
	case r.Ended != nil && k == "enter":
		v.form = true
	case r.Ended != nil:
	case k == "c":
		v.m.confirm = &confirm{"Cancel this activation? With the profile on the card already it cannot be cancelled.", func() tea.Cmd {
			return v.m.ask(func(ctx context.Context) error {
				return v.m.client.Do(ctx, http.MethodDelete, "/v1/activations/"+r.ID, nil, nil, nil)
			}, v.failed)
		}}
	case consented(r) && (k == "y" || k == "n"):
		yes := k == "y"
		if r.Waiting == activation.WaitNoWayBack {
			return v.answer(r, hook.AnswerRequest{NoWayBack: &yes})
		}
		return v.answer(r, hook.AnswerRequest{Consent: &yes})
	case r.Waiting == activation.WaitConfirmationCode && k == "enter":
		v.askConfirmation(r)
	}
	return nil
}

// consented reports whether a run waits for a yes or a no.
func consented(r *status.Run) bool {
	return r.Waiting == activation.WaitConsent || r.Waiting == activation.WaitNoWayBack
}

func (v *activateView) failed(err error) tea.Cmd {
	if err != nil {
		return v.m.fail(err)
	}
	return nil
}

// askCode opens the prompt for the activation code.
func (v *activateView) askCode() {
	v.m.prompt = &prompt{title: "Activation code", masked: true, hint: codeHint, done: v.code}
}

// codeHint says what a code that is being typed leads to; never any secret of it.
func codeHint(text string) string {
	if len(text) < len("LPA:1$a") {
		return "LPA:1$smdp.example.com$MATCHING-ID"
	}
	code, surplus, err := euicc.ParseLaterActivationCode(text)
	if err != nil {
		return err.Error()
	}
	out := "SM-DP+ " + code.Address
	if code.ConfirmationRequired {
		out += ", with a confirmation code"
	}
	if surplus > 0 {
		out += fmt.Sprintf(", and %d fields of a later version", surplus)
	}
	return out
}

// code takes the activation code that was given.
func (v *activateView) code(text string) tea.Cmd {
	_, err := euicc.ParseActivationCode(text)
	if errors.Is(err, euicc.ErrSurplusFields) {
		v.m.confirm = &confirm{"The code has fields of a later version of SGP.22 behind its fifth. Leave them out?", func() tea.Cmd {
			return v.submit(hook.ActivationRequest{Code: text, IgnoreSurplus: true})
		}}
		return nil
	}
	if err != nil {
		v.m.say(bad, err.Error())
		return nil
	}
	return v.submit(hook.ActivationRequest{Code: text})
}

// submitTime bounds how long a request is tried to be given to a daemon that goes
// away meanwhile.
const submitTime = 2 * time.Minute

// submit gives a request to the daemon. Its key is the same in each try, so a
// daemon that went away before it could answer begins no second run.
func (v *activateView) submit(req hook.ActivationRequest) tea.Cmd {
	if v.apn != "" {
		req.APN = &activation.APN{APN: v.apn}
	}
	if v.only {
		req.Enable = new(bool)
	}
	v.sending = true
	var rec activation.Record
	header := http.Header{"Idempotency-Key": {"tui-" + rand.Text()}}
	return v.m.ask(func(ctx context.Context) error {
		ctx, done := context.WithTimeout(ctx, submitTime)
		defer done()
		for {
			err := v.m.client.Do(ctx, http.MethodPost, "/v1/activations", header, req, &rec)
			if _, answered := errors.AsType[*hook.Error](err); err == nil || answered || ctx.Err() != nil {
				return err
			}
			select {
			case <-time.After(reattachPause):
			case <-ctx.Done():
				return err
			}
		}
	}, func(err error) tea.Cmd {
		v.sending = false
		if err != nil {
			return v.m.fail(err)
		}
		v.form, v.run = false, rec.ID
		if rec.Ended != nil {
			v.m.say(warn, "this order was activated before")
		}
		// An event may have told more already.
		if r := v.m.snap.Run; r == nil || r.ID != rec.ID {
			v.m.snap.Run = rec.View()
		}
		return v.follow()
	})
}

// about names the question that a run waits with.
func about(r *status.Run) string { return r.ID + " " + r.Waiting }

// follow asks what the run waits for, and takes a question away that nobody waits
// for any more.
func (v *activateView) follow() tea.Cmd {
	r := v.m.snap.Run
	if p := v.m.prompt; p != nil && p.about != "" && (r == nil || p.about != about(r)) {
		p.forget()
		v.m.prompt = nil
		v.m.say(normal, "the question was answered elsewhere, or is over")
	}
	if r == nil {
		return nil
	}
	if r.Ended == nil {
		v.run, v.form = r.ID, false
	}
	if v.given != "" && v.given != about(r) {
		v.given = ""
	}
	if v.m.at == viewActivate && r.Ended == nil && r.Waiting == activation.WaitConfirmationCode && v.m.prompt == nil && v.m.confirm == nil && v.given == "" {
		v.askConfirmation(r)
	}
	return nil
}

func (v *activateView) askConfirmation(r *status.Run) {
	title := "Confirmation code"
	if v.refused == r.ID {
		title = "The server refused it, tries are counted. Confirmation code"
	}
	v.m.prompt = &prompt{title: title, masked: true, about: about(r), done: func(value string) tea.Cmd {
		if value == "" {
			return nil
		}
		v.refused = r.ID
		return v.answer(r, hook.AnswerRequest{ConfirmationCode: value})
	}}
	v.given = about(r) // not by itself once more, when it was left
}

// answer gives an answer; one that comes too late is no error, the run tells.
func (v *activateView) answer(r *status.Run, a hook.AnswerRequest) tea.Cmd {
	return v.m.ask(func(ctx context.Context) error {
		return v.m.client.Do(ctx, http.MethodPost, "/v1/activations/"+r.ID+"/answer", nil, a, nil)
	}, func(err error) tea.Cmd {
		if e, ok := errors.AsType[*hook.Error](err); ok && e.Status == http.StatusConflict {
			return nil
		}
		return v.failed(err)
	})
}

// redraw is how often the figures of a download are drawn anew: a card takes many
// blocks in a second, and a slow line has other things to carry.
const redraw = 500 * time.Millisecond

// progress decides what is shown of a run that goes on, before r takes the place
// of what was known.
func (v *activateView) progress(r *status.Run) {
	p := r.Progress
	if p == nil || r.State != string(activation.Downloading) {
		v.pace, v.told, v.rate = wording.Pace{}, time.Time{}, 0 // another session begins at its own beginning
		return
	}
	now := v.m.now()
	old := v.m.snap.Run
	if old != nil && old.ID == r.ID && old.State == r.State && old.Progress != nil && p.Done < p.Total && now.Sub(v.told) < redraw {
		r.Progress = old.Progress
		return
	}
	v.told, v.rate = now, v.pace.Rate(p.Done, now)
}
