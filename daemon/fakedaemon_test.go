package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

const (
	newICCID = "8900000000000000018"
	oldICCID = "8900000000000000026"
	fakeEID  = "89049032123451234512345678901235"
)

// fakeDaemon is the real hook over a daemon that plays a story. The story
// begins when somebody watches, so that a test sees all of it.
type fakeDaemon struct {
	path  string
	story string // commit, consent, rollback, fail, restart, hang, busy, before, before-up, empty

	mu       sync.Mutex
	model    *status.Model
	rec      activation.Record
	req      activation.Request
	answers  chan activation.Answer
	watched  chan struct{} // a client has its first event
	ended    chan struct{} // a client has lastEvent
	told     func()        // closes ended
	hanging  chan struct{} // the story has come to where it hangs
	tasks    sync.WaitGroup
	stop     context.CancelFunc
	stopHTTP func()
	changes  []string
}

func startFake(path, story string) (*fakeDaemon, error) {
	f := &fakeDaemon{path: path, story: story, answers: make(chan activation.Answer, 1), hanging: make(chan struct{}), ended: make(chan struct{})}
	f.told = sync.OnceFunc(func() { close(f.ended) })
	var ctx context.Context
	ctx, f.stop = context.WithCancel(context.Background())
	f.model = status.New("v1", time.Now)
	f.model.Update(func(s *status.Snapshot) {
		rssi := -71.0
		s.State, s.Reason, s.Advice = status.Down, "no profile is enabled", "activate one"
		s.Modem = &status.Modem{Port: "/dev/ttyUSB2", Present: true, Manufacturer: "Quectel", Model: "EG25-G", IMEI: "8648…21"}
		s.Card = &status.Card{EID: "89049032000000000000000000000012", FreeMemory: 300 << 10, Profiles: fakeProfiles()}
		s.Registration = &status.Registration{Status: "home", AcT: "LTE", PLMN: "00101", Operator: "Test\x1b[2JNet"}
		s.Signal = &status.Signal{RSSI: &rssi}
		s.Warnings = []string{"the clock is wrong"}
	})
	if err := f.listen(); err != nil {
		return nil, err
	}
	f.tasks.Go(func() { f.play(ctx) })
	return f, nil
}

// listen serves the hook on the socket; it may be called again after stopHTTP.
func (f *fakeDaemon) listen() error {
	l, err := hook.Listen(f.path, "")
	if err != nil {
		return err
	}
	f.watched = make(chan struct{})
	watched, once, api := f.watched, sync.Once{}, hook.New(f, f.model, slog.New(slog.DiscardHandler)).Handler(l)
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{
		BaseContext: func(net.Listener) context.Context { return ctx },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/events" {
				w = &eventWriter{ResponseWriter: w, first: func() { once.Do(func() { close(watched) }) }, last: f.told}
			}
			api.ServeHTTP(w, r)
		}),
	}
	f.tasks.Go(func() { srv.Serve(l) })
	f.stopHTTP = func() { cancel(); srv.Close() }
	return nil
}

// eventWriter tells when the first event is sent, so that the subscription stands,
// and when the last one of a story is on its way to the client.
type eventWriter struct {
	http.ResponseWriter
	first, last func()
	ending      bool // the last event is written
}

func (w *eventWriter) Write(b []byte) (int, error) {
	w.first()
	w.ending = w.ending || bytes.Contains(b, []byte(lastEvent))
	return w.ResponseWriter.Write(b)
}

func (w *eventWriter) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if w.ending {
		w.last()
	}
	return err
}

func (w *eventWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// lastEvent is what is logged before the connections are ended.
const lastEvent = "something happened"

func (f *fakeDaemon) close() {
	f.stop()
	f.mu.Lock()
	f.stopHTTP()
	f.mu.Unlock()
	f.tasks.Wait()
}

func (f *fakeDaemon) set(change func(*activation.Record)) {
	f.mu.Lock()
	change(&f.rec)
	rec := f.rec
	f.mu.Unlock()
	f.model.Update(func(s *status.Snapshot) { s.Run = rec.View() })
}

func (f *fakeDaemon) state(s activation.State) { f.set(func(r *activation.Record) { r.State = s }) }

func (f *fakeDaemon) end(s activation.State, outcome status.Outcome, p *status.Problem) {
	now := time.Now()
	f.set(func(r *activation.Record) {
		r.State, r.Outcome, r.Error, r.Ended = s, outcome, p, &now
		r.Figures = &status.Figures{APDUs: 300, APDUBytes: 60000, HTTPRequests: 4, TLSHandshakes: 1, ElapsedMS: 12345}
	})
}

// ask waits for an answer as a run does; false when the daemon ends.
func (f *fakeDaemon) ask(ctx context.Context, what string) (activation.Answer, bool) {
	f.set(func(r *activation.Record) { r.State, r.Waiting = activation.Waiting, what })
	select {
	case a := <-f.answers:
		f.set(func(r *activation.Record) { r.Waiting = "" })
		return a, true
	case <-ctx.Done():
		return activation.Answer{}, false
	}
}

// play waits for a client to watch a run, and tells the story.
func (f *fakeDaemon) play(ctx context.Context) {
	select {
	case <-f.watched:
	case <-ctx.Done():
		return
	}
	f.mu.Lock()
	running := f.rec.ID != ""
	consent := f.req.Consent
	f.mu.Unlock()
	if !running { // status --watch
		f.model.Update(func(s *status.Snapshot) { s.State, s.Reason = status.Up, "" })
		f.model.Log(lastEvent)
		select {
		case <-f.ended:
		case <-ctx.Done():
		}
		if f.story == "restart" {
			f.restart(ctx)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.stopHTTP()
		return
	}
	f.state(activation.Authenticated)
	f.set(func(r *activation.Record) {
		r.State, r.ICCID, r.Provider, r.Profile, r.Previous = activation.Agreed, newICCID, "Example\x1b[31m Net", "Data 10 GB", oldICCID
	})
	f.set(func(r *activation.Record) { r.APN, r.APNReason = "lab.test", "operators.d/lab.json" })
	if !consent {
		a, ok := f.ask(ctx, "consent")
		if !ok {
			return
		}
		if a.Consent == nil || !*a.Consent {
			f.end(activation.Failed, status.Failed, &status.Problem{Code: "rejected", Text: "the profile was refused by the user"})
			return
		}
	}
	if f.story == "bound" {
		f.set(func(r *activation.Record) { r.PolicyRules = "ppr1" })
		a, ok := f.ask(ctx, "no-way-back")
		if !ok {
			return
		}
		if a.NoWayBack == nil || !*a.NoWayBack {
			f.end(activation.Failed, status.Failed, &status.Problem{Code: "rejected", Text: "the profile was refused by the user"})
			return
		}
	}
	if f.story == "consent" {
		a, ok := f.ask(ctx, "confirmation-code")
		if ok && a.ConfirmationCode.Reveal() == "SECRET-TYPO" {
			f.state(activation.Downloading)
			a, ok = f.ask(ctx, "confirmation-code")
		}
		if !ok || a.ConfirmationCode.Reveal() != "SECRET-CC" {
			f.end(activation.Failed, status.Failed, &status.Problem{Code: "bad-confirmation-code", Text: "the confirmation code is wrong"})
			return
		}
	}
	f.state(activation.Downloading)
	const total = 40000
	for done := 0; done <= total; done += total / 8 {
		f.model.Update(func(s *status.Snapshot) { s.Run.Progress = &status.Progress{Done: done, Total: total} })
	}
	if f.story == "fail" {
		f.end(activation.Failed, status.Failed, &status.Problem{Code: "install-memory", Text: "the card has no room for the profile", Advice: "delete a profile"})
		return
	}
	f.state(activation.Installed)
	f.state(activation.Reporting)
	f.state(activation.Enabling)
	switch f.story {
	case "restart":
		if !f.restart(ctx) {
			return
		}
	case "hang":
		close(f.hanging)
		<-ctx.Done()
		return
	}
	f.state(activation.Attaching)
	if f.story == "rollback" {
		f.set(func(r *activation.Record) {
			r.State, r.Error = activation.Undoing, &status.Problem{Code: "no-registration", Text: "the network denies registration", Advice: "ask the operator to activate the line"}
		})
		f.end(activation.Failed, status.RolledBack, f.rec.Error)
		return
	}
	f.state(activation.Configuring)
	f.state(activation.Probing)
	f.model.Update(func(s *status.Snapshot) {
		s.State, s.Reason, s.Advice = status.Up, "", ""
		s.Link = fakeLink()
	})
	f.set(func(r *activation.Record) { r.State, r.Outcome = activation.Committed, status.Committed })
	f.state(activation.Notifying)
	f.end(activation.Done, status.Committed, nil)
}

// restart goes away and comes back with a new model, as after a kill.
func (f *fakeDaemon) restart(ctx context.Context) bool {
	f.mu.Lock()
	f.stopHTTP()
	f.mu.Unlock()
	f.mu.Lock()
	f.model = status.New("v2", time.Now)
	err := f.listen()
	watched := f.watched
	f.mu.Unlock()
	if err != nil {
		return false
	}
	f.set(func(r *activation.Record) { r.Resumes++ })
	select {
	case <-watched:
		f.model.Update(func(s *status.Snapshot) { s.Visit = fakeVisit() })
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *fakeDaemon) Submit(r activation.Request) (activation.Record, error) {
	if err := r.Validate(); err != nil {
		return activation.Record{}, err
	}
	if f.story == "busy" {
		return activation.Record{}, &activation.Fault{Code: "busy", Text: "another activation is in state downloading", Advice: "wait for its end, or cancel it", Err: activation.ErrBusy}
	}
	f.mu.Lock()
	f.req = r
	ended := time.Now()
	if err := f.changeLocked(wayText(r)); err != nil {
		return activation.Record{}, err
	}
	f.rec = activation.Record{ID: "RUN1", State: activation.Accepted, SMDP: r.Code.Address, Key: r.Key, Started: time.Now()}
	if strings.HasPrefix(f.story, "before") {
		f.rec.State, f.rec.Outcome, f.rec.ICCID, f.rec.APN, f.rec.Ended = activation.Done, status.Committed, newICCID, "lab.test", &ended
	}
	rec := f.rec
	f.mu.Unlock()
	f.model.Update(func(s *status.Snapshot) {
		s.Run = rec.View()
		if f.story == "before-up" {
			s.State, s.Link = status.Up, fakeLink()
		}
	})
	return rec, nil
}

func (f *fakeDaemon) Runs() []activation.Record { return nil }

func (f *fakeDaemon) Get(id string) (activation.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rec.ID != id {
		return activation.Record{}, activation.ErrNoRun
	}
	return f.rec, nil
}

func (f *fakeDaemon) Answer(id string, a activation.Answer) error {
	if f.story == "waits" {
		said := func(what string, b *bool) string {
			if b == nil {
				return ""
			}
			return fmt.Sprint(what, "=", *b)
		}
		return f.change("answer", id, said("consent", a.Consent), said("no-way-back", a.NoWayBack), onlyIf(a.ConfirmationCode != "", "code"))
	}
	f.mu.Lock()
	waiting := f.rec.Waiting != ""
	f.mu.Unlock()
	if !waiting {
		return activation.ErrNotWaiting
	}
	f.answers <- a
	return nil
}

func (f *fakeDaemon) Cancel(id string) error {
	if _, err := f.Get(id); err != nil {
		return err
	}
	return f.change("cancel", id)
}

func (f *fakeDaemon) SetDefaultSMDP(_ context.Context, address string) error {
	return f.change("default-smdp", onlyIf(address == "", "none"), address)
}

func (f *fakeDaemon) ResetCard(_ context.Context, eid euicc.EID, what []string, force bool) error {
	return f.change("reset", eid.Short(), strings.Join(what, "+"), forced(force))
}

// wayText is how a request says where its profile is found.
func wayText(r activation.Request) string {
	switch {
	case r.Discover:
		return strings.TrimSpace("discover " + r.SMDS)
	case r.DefaultSMDP:
		return "default SM-DP+"
	case r.Code.MatchingID == "":
		return "address " + r.Code.Address
	}
	text := "code of " + r.Code.Address
	if a := r.APN; a != nil && a.Username != "" {
		text += fmt.Sprintf(", APN %s for %s with %s by %s, %s", a.APN, a.Username, a.Password, a.Auth, a.IPType)
	}
	return text
}

// change notes what was asked for, for `changed` in a script.
func (f *fakeDaemon) change(words ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changeLocked(words...)
}

func (f *fakeDaemon) changeLocked(words ...string) error {
	f.changes = append(f.changes, strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " "))
	return nil
}

func forced(force bool) string { return onlyIf(force, "force") }

func (f *fakeDaemon) EnableProfile(_ context.Context, iccid string, o hook.EnableOptions) error {
	if f.story == "empty" {
		return &euicc.Error{Stage: euicc.StageEnable, Code: "not-found", Text: "the card has no such profile", Advice: "`dynamod profiles` lists them"}
	}
	return f.change("enable", iccid, onlyIf(o.NoWayBack, "no way back"), onlyIf(o.AcceptLimited, "limited too"))
}

func (f *fakeDaemon) DisableProfile(_ context.Context, iccid string, force bool) error {
	if !force {
		return &activation.Fault{Code: "only-profile", Text: "it is the only working profile", Advice: "--force"}
	}
	return f.change("disable", iccid, forced(force))
}

func (f *fakeDaemon) DeleteProfile(_ context.Context, iccid string, force bool) error {
	return f.change("delete", iccid, forced(force))
}

func (f *fakeDaemon) SetUSBMode(_ context.Context, r hook.USBModeRequest) (hook.USBMode, error) {
	if r.Mode == "ppp" {
		return hook.USBMode{}, &activation.Fault{Code: "bad-mode", Text: `"ppp" is no USB mode that a modem of family quectel can be given`, Advice: "one of ecm, qmi"}
	}
	return hook.USBMode{Mode: "ecm", Value: "1", Data: &status.NetFunction{Kind: "ecm", Interface: "usb0", Driver: "cdc_ether"}, Modes: []hook.USBModeChoice{}, Before: "qmi"}, f.change("usb-mode", r.Mode)
}

func (f *fakeDaemon) NicknameProfile(_ context.Context, iccid, name string) error {
	return f.change("nickname", iccid, name)
}

func (f *fakeDaemon) DeliverNotifications(context.Context) error { return f.change("deliver") }

func (f *fakeDaemon) Bundle(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "bundle")
	return err
}
