package hook

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// ActivationRequest is the body of POST /v1/activations. One way to the profile:
// Code, or SMDP with MatchingID, or Discover, or DefaultSMDP.
type ActivationRequest struct {
	Code             string          `json:"code,omitempty"`           // activation code, LPA:1$smdp.example.com$MATCHING-ID
	SMDP             string          `json:"smdp,omitempty"`           // host name of the SM-DP+
	MatchingID       string          `json:"matching_id,omitempty"`    // with smdp; it may be empty
	Discover         bool            `json:"discover,omitempty"`       // ask a discovery server
	SMDS             string          `json:"smds,omitempty"`           // which one, with Discover
	DefaultSMDP      bool            `json:"default_smdp,omitempty"`   // ask the card's default SM-DP+
	IgnoreSurplus    bool            `json:"ignore_surplus,omitempty"` // leave out what a code has behind its fifth field
	ConfirmationCode string          `json:"confirmation_code,omitempty"`
	Consent          bool            `json:"consent,omitempty"`        // install whatever profile the code gives; without it the run waits for an answer
	NoWayBack        bool            `json:"no_way_back,omitempty"`    // consent to a profile with PPR1
	AcceptLimited    bool            `json:"accept_limited,omitempty"` // keep a profile that only reaches a portal in place of one that worked
	Again            bool            `json:"again,omitempty"`          // also if the server has refused this order for good
	KeepTrying       bool            `json:"keep_trying,omitempty"`    // where no profile was enabled before: leave the new one enabled even without traffic
	Enable           *bool           `json:"enable,omitempty"`         // false: install the profile and leave it disabled
	APN              *activation.APN `json:"apn,omitempty"`
	DeadlineSeconds  int             `json:"deadline_seconds,omitempty"` // 10 to 86400: from the switch to traffic, then back
	CallbackURL      string          `json:"callback_url,omitempty"`     // where the end of the run is told, by a signed POST
}

// EnableOptions are the query of POST /v1/profiles/{iccid}/enable; each is as in
// ActivationRequest.
type EnableOptions struct{ NoWayBack, AcceptLimited bool }

// AnswerRequest is the body of POST /v1/activations/{id}/answer.
type AnswerRequest struct {
	Consent          *bool  `json:"consent,omitempty"`
	NoWayBack        *bool  `json:"no_way_back,omitempty"` // consent to a profile with PPR1; true is consent to the profile, too
	ConfirmationCode string `json:"confirmation_code,omitempty"`
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	var body ActivationRequest
	if !s.read(w, r, &body) {
		return
	}
	var (
		code euicc.ActivationCode
		err  error
	)
	switch {
	case body.Code != "" && (body.SMDP != "" || body.MatchingID != ""):
		err = errors.New("code and smdp are both given")
	case body.Code != "" && body.IgnoreSurplus:
		code, _, err = euicc.ParseLaterActivationCode(body.Code)
	case body.Code != "":
		code, err = euicc.ParseActivationCode(body.Code)
	case body.SMDP == "" && body.MatchingID == "":
		// There is no code to parse; Submit tells whether there is another way.
	default:
		code.MatchingID = euicc.MatchingID(body.MatchingID)
		code.Address, err = euicc.ParseAddress(body.SMDP)
	}
	if err != nil {
		p := &status.Problem{
			Code: "bad-activation-code", Text: err.Error(), Retry: string(euicc.RetryNever),
			Advice: "an activation code looks like LPA:1$smdp.example.com$MATCHING-ID",
		}
		if errors.Is(err, euicc.ErrSurplusFields) {
			p.Advice += "; ignore_surplus leaves out what a code of a later version has behind its fifth field"
		}
		writeProblem(w, http.StatusUnprocessableEntity, p)
		return
	}
	if body.CallbackURL != "" {
		err := error(&activation.Fault{Code: "bad-callback", Text: "nobody is told the end of a run here", Advice: "leave callback_url out"})
		if s.Callbacks != nil {
			err = s.Callbacks.Check(body.CallbackURL)
		}
		if err != nil {
			s.fail(w, err)
			return
		}
	}
	access.Forced(r.Context(), "no_way_back", body.NoWayBack)
	access.Forced(r.Context(), "accept_limited", body.AcceptLimited)
	rec, err := s.daemon.Submit(activation.Request{
		Key: r.Header.Get("Idempotency-Key"), Caller: access.Caller(r.Context()), Code: code, Discover: body.Discover, SMDS: body.SMDS, DefaultSMDP: body.DefaultSMDP, ConfirmationCode: euicc.ConfirmationCode(body.ConfirmationCode),
		Consent: body.Consent, KeepTrying: body.KeepTrying, NoWayBack: body.NoWayBack, AcceptLimited: body.AcceptLimited, Again: body.Again, InstallOnly: body.Enable != nil && !*body.Enable, APN: body.APN, Deadline: time.Duration(body.DeadlineSeconds) * time.Second,
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	if body.CallbackURL != "" {
		// The run is on the medium, and goes on: what cannot be kept now is in memory.
		if err := s.Callbacks.Keep(rec.ID, body.CallbackURL); err != nil {
			s.log.Warn("a callback is not on the disk", "run", rec.ID, "error", err)
		}
	}
	w.Header().Set("Location", "/v1/activations/"+rec.ID)
	writeJSON(w, http.StatusAccepted, rec)
}

func (s *Server) activations(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.daemon.Runs())
}

func (s *Server) activation(w http.ResponseWriter, r *http.Request) {
	rec, err := s.daemon.Get(r.PathValue("id"))
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, rec)
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) {
	s.done(w, s.daemon.Cancel(r.PathValue("id")))
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	var body AnswerRequest
	if s.read(w, r, &body) {
		access.Forced(r.Context(), "no_way_back", body.NoWayBack != nil && *body.NoWayBack)
		s.done(w, s.daemon.Answer(r.PathValue("id"), activation.Answer{Consent: body.Consent, NoWayBack: body.NoWayBack, ConfirmationCode: euicc.ConfirmationCode(body.ConfirmationCode)}))
	}
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, s.model.JSON())
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	snap := s.model.Snapshot()
	if snap.State != status.Up {
		writeProblem(w, http.StatusServiceUnavailable, &status.Problem{Code: "link-" + string(snap.State), Text: snap.Reason, Advice: cmp.Or(snap.Advice, "`dynamod diag` finds out why"), Retry: string(euicc.RetryLater)})
		return
	}
	fmt.Fprintln(w, "ok")
}

// events streams changes as Server-Sent Events. A client that comes back names
// the last event it saw and misses none that is still kept.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(strings.TrimSpace(r.Header.Get("Last-Event-ID")), 10, 64)
	if err != nil && r.Header.Get("Last-Event-ID") != "" {
		writeProblem(w, http.StatusBadRequest, &status.Problem{Code: "bad-event-id", Text: "Last-Event-ID is not a number", Advice: "send the id of the last event that was seen, or none"})
		return
	}
	sub := s.model.Subscribe(after)
	defer sub.Close()
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if (after == 0 || sub.Lost) && s.firstEvent(w, sub.Last) != nil {
		return
	}
	s.follow(w, r, rc, sub)
}

// firstEvent is the whole status. It has the id of the event before it, from which
// a client may ask for the past, or come back to where it was.
func (s *Server) firstEvent(w http.ResponseWriter, last uint64) error {
	_, err := fmt.Fprintf(w, "id: %d\nevent: status\ndata: %s\n\n", last, s.model.JSON())
	return err
}

// follow passes events on until the client goes. Its stack is small, since there
// may be hundreds of them: below 4 KiB with all that called it, the runtime takes
// back what the first event needed.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, rc *http.ResponseController, sub *status.Subscription) {
	keepalive := time.NewTicker(30 * time.Second)
	defer keepalive.Stop()
	var err error
	for {
		if rc.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-keepalive.C:
			if !access.StillKnown(r.Context()) {
				return
			}
			_, err = io.WriteString(w, ":\n\n")
		case e := <-sub.Events():
			_, err = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Type, e.Data)
		}
		if err != nil {
			return
		}
	}
}

func (s *Server) profiles(w http.ResponseWriter, r *http.Request) {
	list(s, w, func() ([]status.Profile, error) { return s.daemon.Profiles(r.Context()) })
}

func (s *Server) notifications(w http.ResponseWriter, r *http.Request) {
	list(s, w, func() ([]Notification, error) { return s.daemon.Notifications(r.Context()) })
}

func (s *Server) journal(w http.ResponseWriter, _ *http.Request) {
	list(s, w, s.daemon.Log)
}

func list[T any](s *Server, w http.ResponseWriter, get func() ([]T, error)) {
	items, err := get()
	if err != nil {
		s.fail(w, err)
		return
	}
	if items == nil {
		items = []T{} // an empty list is [], never null
	}
	writeJSON(w, http.StatusOK, items)
}

func (s *Server) diag(w http.ResponseWriter, r *http.Request) {
	d, err := s.daemon.Diagnose(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, d)
}

func (s *Server) deliver(w http.ResponseWriter, r *http.Request) {
	s.done(w, s.daemon.DeliverNotifications(r.Context()))
}

func (s *Server) changeProfile(change func(r *http.Request, iccid string, force bool) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if iccid, ok := pathICCID(w, r); ok {
			s.done(w, change(r, iccid, r.URL.Query().Get("force") == "true"))
		}
	}
}

// deleteProfile asks for the ICCID twice: a profile that is gone is gone.
func (s *Server) deleteProfile(w http.ResponseWriter, r *http.Request) {
	iccid, ok := pathICCID(w, r)
	if !ok {
		return
	}
	if r.URL.Query().Get("confirm") != iccid {
		writeProblem(w, http.StatusPreconditionRequired, &status.Problem{
			Code: "confirm-delete", Text: "a profile is deleted for good, and its activation code may be used up",
			Advice: "repeat the ICCID: DELETE /v1/profiles/ICCID?confirm=ICCID",
		})
		return
	}
	s.done(w, s.daemon.DeleteProfile(r.Context(), iccid, r.URL.Query().Get("force") == "true"))
}

// nicknameRequest is the body of PUT /v1/profiles/{iccid}/nickname.
type nicknameRequest struct {
	Nickname *string `json:"nickname"` // at most 64 bytes; "" takes it away
}

func (s *Server) nickname(w http.ResponseWriter, r *http.Request) {
	iccid, ok := pathICCID(w, r)
	if !ok {
		return
	}
	var body nicknameRequest
	switch {
	case !s.read(w, r, &body):
	case body.Nickname == nil:
		writeProblem(w, http.StatusUnprocessableEntity, &status.Problem{Code: "bad-nickname", Text: "the body names no nickname", Advice: `{"nickname": "spare"}, or "" for none`})
	default:
		s.done(w, s.daemon.NicknameProfile(r.Context(), iccid, *body.Nickname))
	}
}

func pathICCID(w http.ResponseWriter, r *http.Request) (string, bool) {
	id, err := euicc.ParseICCID(r.PathValue("iccid"))
	if err != nil {
		writeProblem(w, http.StatusUnprocessableEntity, &status.Problem{Code: "bad-iccid", Text: err.Error(), Advice: "`dynamod profiles` lists the ICCIDs"})
		return "", false
	}
	return id.String(), true
}

// read decodes a JSON body strictly. It answers the request itself when that fails.
func (s *Server) read(w http.ResponseWriter, r *http.Request, v any) bool {
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != "application/json" {
		writeProblem(w, http.StatusUnsupportedMediaType, &status.Problem{Code: "not-json", Text: "the body is not application/json", Advice: "set Content-Type: application/json"})
		return false
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF { // More would be false before a ] or }
			err = cmp.Or(end, errors.New("more than one JSON value"))
		}
	}
	if err == nil {
		return true
	}
	code := http.StatusBadRequest
	if errors.As(err, new(*http.MaxBytesError)) {
		code = http.StatusRequestEntityTooLarge
	}
	// Decoding errors may quote the body, and the body holds a code, perhaps in the wrong
	// place: only what looks like our names is shown.
	text := "the body is not the JSON object that this route takes"
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok && len(field) < 40 && strings.Trim(field, `"_abcdefghijklmnopqrstuvwxyz`) == "" {
		text = "the body has an unknown field " + field
	}
	writeProblem(w, code, &status.Problem{Code: "bad-body", Text: text, Advice: "docs/hook.md shows the bodies"})
	return false
}

func (s *Server) done(w http.ResponseWriter, err error) {
	if err != nil {
		s.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// fail answers with an error of the daemon's.
func (s *Server) fail(w http.ResponseWriter, err error) {
	if e, ok := errors.AsType[*activation.EndError](err); ok {
		p := *e.Problem
		p.Text = e.Error()
		writeOutcome(w, http.StatusBadGateway, &p, e.Outcome) // it was tried
		return
	}
	p := activation.Problem("", err)
	code := http.StatusBadGateway // the card, the modem or a server said no
	switch {
	case errors.Is(err, activation.ErrNoRun):
		code, p.Code, p.Advice = http.StatusNotFound, "no-such-activation", "the list of activations has those that are known"
	case errors.Is(err, activation.ErrNotWaiting):
		code, p.Code, p.Advice = http.StatusConflict, "not-waiting", "its record tells what it is at"
	case errors.Is(err, activation.ErrTooLate):
		code, p.Code, p.Advice = http.StatusConflict, "too-late", "wait for its end; a profile can be enabled and deleted then"
	case errors.Is(err, activation.ErrBusy):
		code = http.StatusConflict
		w.Header().Set("Retry-After", "30")
	case errors.Is(err, activation.ErrClosed):
		code, p.Retry = http.StatusServiceUnavailable, string(euicc.RetryLater)
		w.Header().Set("Retry-After", "10")
	case p.Code == "nickname-too-long", p.Code == "bad-address": // the card was not asked
		code = http.StatusUnprocessableEntity
	case errors.As(err, new(*activation.Fault)):
		code = http.StatusConflict
		// 409 to a key would mean that its request is under way: try again.
		if strings.HasPrefix(p.Code, "bad-") || p.Code == "no-code" || errors.Is(err, activation.ErrKeyReused) {
			code = http.StatusUnprocessableEntity
		}
		if p.Code == "state-unwritable" {
			code = http.StatusInsufficientStorage
		}
	}
	if p.Advice == "" {
		p.Advice = "`dynamod diag` and `dynamod log` tell more"
	}
	writeProblem(w, code, p)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		writeProblem(w, http.StatusInternalServerError, &status.Problem{Code: "internal", Text: err.Error(), Advice: "`dynamod log` has more"})
		return
	}
	writeText(w, code, b)
}

// writeText answers with JSON that is encoded already.
func writeText(w http.ResponseWriter, code int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(append(b, '\n')) // an error here is the client's going away
}

// problem is RFC 9457's object with our members beside the standard ones.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Advice string `json:"advice"`
	Retry  string `json:"retry"`           // now, later, ask, new-code, never
	Stage  string `json:"stage,omitempty"` // state of the run at which it failed

	Cause   *status.Cause  `json:"cause,omitempty"`
	Outcome status.Outcome `json:"outcome,omitempty"` // of a switch that was waited for
}

func writeProblem(w http.ResponseWriter, code int, p *status.Problem) {
	writeOutcome(w, code, p, "")
}

func writeOutcome(w http.ResponseWriter, code int, p *status.Problem, o status.Outcome) {
	retry := p.Retry
	if retry == "" {
		retry = string(euicc.RetryNever)
		if code == http.StatusPreconditionRequired { // a person has to say so
			retry = string(euicc.RetryAsk)
		}
	}
	b, err := json.Marshal(problem{"about:blank", http.StatusText(code), code, p.Text, p.Code, p.Advice, retry, p.Stage, p.Cause, o})
	if err != nil {
		b = []byte(`{"type":"about:blank"}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(append(b, '\n'))
}
