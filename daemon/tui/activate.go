package tui

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
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

func (v *activateView) body(width int) ([]string, int) {
	t, r := v.m.theme, v.m.snap.Run
	switch {
	case v.sending:
		return t.para(width, 1, normal, "Giving it to the daemon ..."), -1
	case v.formShown():
		return v.formBody(width)
	}
	var lines []string
	if r.Ended != nil {
		return v.result(width, r), -1
	}
	lines = append(lines, t.para(width, 1, strong, wording.State(r))...)
	if p := r.Progress; p != nil && p.Total > 0 && r.State == string(activation.Downloading) {
		lines = append(lines, " "+v.bar(p, width-2))
		if p.Segments > 0 {
			lines = append(lines, " segment "+fmt.Sprint(p.Segments)+wording.Number(" of ", p.TotalSegments))
		}
	}
	asks := consented(r) || r.Waiting == activation.WaitConfirmationCode
	if asks {
		lines = append(lines, v.offer(width, r)...)
	}
	lines = append(lines, "")
	lines = append(lines, v.steps(r)...)
	lines = append(lines, "")
	lines = append(lines, t.row(width, " begun", normal, r.Started.Local().Format(time.DateTime)+wording.Prefix(", ", r.Why)+wording.OnlyIf(r.Resumes > 0, ", taken up again after "+wording.Times(r.Resumes, "an interruption", "%d interruptions")))...)
	if !asks {
		lines = append(lines, v.known(width, r)...)
	}
	return lines, -1
}

func (v *activateView) bar(p *status.Progress, width int) string {
	text := wording.Bar(p, v.rate, width)
	if v.m.theme.ascii {
		return text
	}
	drawn, rest, found := strings.Cut(text, "]")
	if !found {
		return text // there was no room for a bar
	}
	return strings.NewReplacer("#", "█", ".", "░", "[", "").Replace(drawn) + rest
}

// offer is what a person should know before consent, the worst first.
func (v *activateView) offer(width int, r *status.Run) (lines []string) {
	warning, question := wording.Consent(r)
	if warning != "" {
		lines = v.m.theme.para(width, 1, bad, warning)
	}
	lines = append(lines, v.known(width, r)...)
	if r.Waiting == activation.WaitConfirmationCode {
		return lines
	}
	return append(lines, "", v.m.theme.style(strong, " "+question+"  y yes, n no"))
}

// known are the rows of what is known of the profile.
func (v *activateView) known(width int, r *status.Run) (lines []string) {
	for _, row := range wording.Offer(r) {
		k := normal
		if row[0] == "rules" {
			k = warn
		}
		lines = append(lines, v.m.theme.row(width, " "+row[0], k, row[1])...)
	}
	return lines
}

// step of a run, with the states that it has.
type step struct {
	name   string
	states []activation.State
}

var steps = []step{
	{"check modem, card and the way to the server", []activation.State{activation.Accepted}},
	{"authenticate", []activation.State{activation.Authenticated}},
	{"check the profile, choose the APN", []activation.State{activation.Agreed, activation.Waiting}},
	{"download", []activation.State{activation.Downloading}},
	{"report the installation", []activation.State{activation.Installed, activation.Reporting}},
	{"switch to the profile", []activation.State{activation.Enabling}},
	{"register", []activation.State{activation.Attaching}},
	{"configure the link", []activation.State{activation.Configuring}},
	{"does traffic cross it?", []activation.State{activation.Probing}},
	{"deliver notifications", []activation.State{activation.Committed, activation.Notifying}},
}

func (v *activateView) steps(r *status.Run) (lines []string) {
	t := v.m.theme
	at := slices.IndexFunc(steps, func(s step) bool { return slices.Contains(s.states, activation.State(r.State)) })
	if r.State == string(activation.Undoing) || at < 0 || r.Error != nil {
		line := t.mark(warn) + " the way back"
		if r.Error != nil {
			line += ": " + t.clean(r.Error.Text)
		}
		return []string{" " + line}
	}
	for i, s := range steps {
		switch {
		case r.InstallOnly && i > 4 && i < len(steps)-1: // from the switch on
		case i < at:
			lines = append(lines, " "+t.mark(good)+" "+s.name)
		case i == at:
			lines = append(lines, " "+t.mark(warn)+" "+t.style(strong, s.name))
		default:
			lines = append(lines, " "+t.mark(faint)+" "+t.style(faint, s.name))
		}
	}
	return lines
}

// result is what came of a run, and what to do now.
func (v *activateView) result(width int, r *status.Run) (lines []string) {
	t := v.m.theme
	k, mark := good, good
	if r.Outcome != status.Committed && r.Outcome != status.Installed {
		k, mark = bad, bad
	}
	end := t.para(width-3, 0, k, wording.End(r, wording.LinkOf(&v.m.snap, r.ICCID)))
	for i, line := range end {
		head := "   "
		if i == 0 {
			head = " " + t.mark(mark) + " "
		}
		lines = append(lines, head+line)
	}
	if e := r.Error; e != nil {
		lines = append(lines, "")
		lines = append(lines, t.row(width, " code", normal, e.Code)...)
		lines = append(lines, t.row(width, " advice", strong, e.Advice)...)
		lines = append(lines, t.row(width, " again?", normal, retryText(e.Retry))...)
	}
	lines = append(lines, "")
	lines = append(lines, v.known(width, r)...)
	if f := r.Figures; f != nil {
		lines = append(lines, t.row(width, " cost", normal, fmt.Sprintf("%d APDUs with %s, %d requests, %d TLS handshakes", f.APDUs, wording.Size(f.APDUBytes), f.HTTPRequests, f.TLSHandshakes))...)
	}
	return lines
}

// retryText says what the retry class of an error means.
func retryText(retry string) string {
	return map[euicc.Retry]string{
		euicc.RetryNow: "yes, at once", euicc.RetryLater: "yes, later", euicc.RetryAsk: "after that",
		euicc.RetryNewCode: "with another code", euicc.RetryNever: "not as it is",
	}[euicc.Retry(retry)]
}

func (v *activateView) formBody(width int) (lines []string, focus int) {
	t := v.m.theme
	lines = t.para(width, 1, normal, "A profile comes to the card, and its link comes up.")
	lines = append(lines, "")
	for i, c := range v.choices() {
		if i == v.cursor {
			focus = len(lines)
		}
		text := wrap(t.clean(c.text), width-20)
		for j, line := range text {
			head := strings.Repeat(" ", 20)
			if j == 0 {
				head = " " + t.selected(i == v.cursor) + t.pad(c.name, 17)
			}
			lines = append(lines, head+t.style(faint, line))
		}
	}
	lines = append(lines, "")
	if c := v.m.snap.Card; c != nil {
		lines = append(lines, t.row(width, " EID", normal, c.EID)...)
		lines = append(lines, t.row(width, " free", normal, wording.OnlyIf(c.FreeMemory > 0, wording.Size(c.FreeMemory)))...)
	}
	if r := v.m.snap.Run; r != nil {
		lines = append(lines, t.row(width, " last one", normal, wording.End(r, nil)+", "+r.Started.Local().Format(time.DateTime))...)
	}
	return lines, focus
}
