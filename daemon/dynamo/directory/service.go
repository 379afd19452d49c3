package directory

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/moapi"
	"dynamod/euicc"
)

// Service is the other side of Client, for integrators. Its fields are set before
// Handler is called, and not changed afterwards.
type Service struct {
	// Operators are the records that are listed, and whose APIs are asked.
	Operators   []*cosa.OperatorProfile
	Environment string // of the signed catalogue: "production", "staging"
	// Router says which router a token is of, "" for none.
	Router func(token string) string
	// MayAsk says whether a router may ask about a SIM; nil lets all.
	MayAsk func(router, iccid string) bool
	// Countries are those of a network, such as cosa.DB.Countries.
	Countries func(mccmnc string) []string
	// Network says whose a phone number is, and how that is known; "" where it is not.
	Network func(msisdn string) (mccmnc, how string)
	// Ask returns the client of an operator's API, which holds the operator's key.
	Ask func(op *cosa.OperatorProfile) *moapi.Client
	// Key signs the catalogue, which is valid for Validity; without it there is none.
	Key      ed25519.PrivateKey
	Validity time.Duration
	Log      *slog.Logger
	Now      func() time.Time

	seen   transactions
	visits mailboxes
	micro  moapi.MicroLimits
}

// Handler serves the protocol of docs/dynamo.md, over TLS that the caller ends.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(w http.ResponseWriter, r *http.Request, router string){
		"GET /v1/operators":                      s.operators,
		"GET /v1/catalogue":                      s.catalogue,
		"GET /v1/lookup":                         s.lookup,
		"GET /v1/sims/{sim}/balance":             s.balance,
		"GET /v1/sims/{sim}/offers":              s.offers,
		"GET /v1/sims/{sim}/notifications":       s.notifications,
		"PUT /v1/sims/{sim}/microbalance":        s.grantMicroBalance,
		"DELETE /v1/sims/{sim}/microbalance":     s.endMicroBalance,
		"POST /v1/operators/{operator}/orders":   s.order,
		"PUT /v1/visits/{transaction}":           s.expectVisit,
		"GET /v1/visits/{transaction}/callbacks": s.visitCallbacks,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if router := s.admit(w, r); router != "" {
				serve(w, r, router)
			}
		})
	}
	mux.HandleFunc("POST /v1/visits/{transaction}/callbacks", s.leaveCallback)
	return mux
}

// admit checks who asks, and that it is a new question.
func (s *Service) admit(w http.ResponseWriter, r *http.Request) (router string) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok {
		router = s.Router(token)
	}
	if router == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
		problem(w, http.StatusUnauthorized, "unauthorized", "the token is none of ours")
		return ""
	}
	id := strings.Trim(r.Header.Get(call.TransactionHeader), `"`)
	if id == "" || len(id) > maxTransaction {
		problem(w, http.StatusBadRequest, "bad-transaction", call.TransactionHeader+" is missing or too long")
		return ""
	}
	if !s.seen.add(router+"\x00"+id, s.Now()) {
		problem(w, http.StatusConflict, "repeated", "this transaction was seen before")
		return ""
	}
	w.Header().Set(call.TransactionHeader, id)
	return router
}

const (
	maxTransaction = 64
	maxSeen        = 1 << 16
	seenTime       = 24 * time.Hour
)

// transactions are the IDs that were seen. The oldest are forgotten after a day, or
// where there are too many of them.
type transactions struct {
	mu   sync.Mutex
	at   map[string]bool
	list []seenAt // by time
}

type seenAt struct {
	id string
	at time.Time
}

func (t *transactions) add(id string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == nil {
		t.at = map[string]bool{}
	}
	for len(t.list) > 0 && (now.Sub(t.list[0].at) > seenTime || len(t.list) >= maxSeen) {
		delete(t.at, t.list[0].id)
		t.list = t.list[1:]
	}
	if t.at[id] {
		return false
	}
	t.at[id] = true
	t.list = append(t.list, seenAt{id, now})
	return true
}

func problem(w http.ResponseWriter, status int, code, text string) {
	answer(w, status, map[string]string{"code": code, "text": text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone
}

func (s *Service) operators(w http.ResponseWriter, r *http.Request, _ string) {
	q := r.URL.Query()
	country, network := strings.ToLower(q.Get("country")), q.Get("mccmnc")
	var where []string
	switch {
	case network != "" && !cosa.IsMCCMNC(network):
		problem(w, http.StatusBadRequest, "bad-mccmnc", "mccmnc is not five or six digits")
		return
	case country != "" && !cosa.IsCountry(country):
		problem(w, http.StatusBadRequest, "bad-country", "country is not two letters")
		return
	case network != "":
		where = s.Countries(network)
	case country != "":
		where = []string{country}
	}
	var list []*cosa.OperatorProfile
	if q.Get("eid-capable") != "false" { // without an eUICC there is nothing to choose
		for _, p := range s.Operators {
			if p.Portal.URL != "" && (network == "" && country == "" || slices.ContainsFunc(where, p.SoldIn)) {
				list = append(list, p)
			}
		}
	}
	s.list(w, r, list)
}

func (s *Service) list(w http.ResponseWriter, r *http.Request, list []*cosa.OperatorProfile) {
	text, err := encode(list)
	if err != nil {
		s.internal(w, err)
		return
	}
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	answer(w, http.StatusOK, map[string]json.RawMessage{"operators": text})
}

func (s *Service) internal(w http.ResponseWriter, err error) {
	s.Log.Error("directory service", "error", err)
	problem(w, http.StatusInternalServerError, "internal", "the service failed")
}

func (s *Service) catalogue(w http.ResponseWriter, _ *http.Request, _ string) {
	if s.Key == nil {
		problem(w, http.StatusNotFound, "no-catalogue", "this service signs no catalogue")
		return
	}
	var list []*cosa.OperatorProfile
	for _, p := range s.Operators {
		if p.Portal.URL != "" {
			list = append(list, p)
		}
	}
	now := s.Now()
	file, err := SignCatalogue(s.Key, s.Environment, now, now.Add(s.Validity), list)
	if err != nil {
		s.internal(w, err)
		return
	}
	answer(w, http.StatusOK, json.RawMessage(file))
}

func (s *Service) lookup(w http.ResponseWriter, r *http.Request, _ string) {
	number, err := ParseMSISDN(r.URL.Query().Get("msisdn"))
	if err != nil {
		problem(w, http.StatusBadRequest, "bad-msisdn", err.Error())
		return
	}
	network, how := s.Network(number)
	if network == "" {
		problem(w, http.StatusNotFound, "unknown-number", "it is not known whose the number is")
		return
	}
	out := struct {
		MCCMNC    string          `json:"mccmnc"`
		How       string          `json:"how"`
		Operators json.RawMessage `json:"operators"`
	}{network, how, json.RawMessage("[]")}
	for _, p := range s.Operators {
		if p.Portal.URL != "" && slices.Contains(p.Portal.MCCMNC, network) {
			if out.Operators, err = encode([]*cosa.OperatorProfile{p}); err != nil {
				s.internal(w, err)
				return
			}
			break
		}
	}
	answer(w, http.StatusOK, out)
}

// allowed is the ICCID of a SIM that the router may ask about. MayAsk gets it in one
// spelling, whatever the blanks (the published examples have one) and fillers.
func (s *Service) allowed(w http.ResponseWriter, sim, router string) string {
	digits, ok := strings.CutPrefix(sim, "iccid:")
	iccid, err := euicc.ParseICCID(digits)
	if !ok || err != nil {
		problem(w, http.StatusBadRequest, "bad-sim", "a SIM is written iccid: and 18 to 20 digits")
		return ""
	}
	if s.MayAsk != nil && !s.MayAsk(router, iccid.String()) {
		problem(w, http.StatusForbidden, "not-yours", "this router may not ask about this SIM")
		return ""
	}
	return iccid.String()
}

// sim finds the operator's client for the SIM of the path.
func (s *Service) sim(w http.ResponseWriter, r *http.Request, router string) (*moapi.Client, string) {
	iccid := s.allowed(w, r.PathValue("sim"), router)
	if iccid == "" {
		return nil, ""
	}
	for _, p := range s.Operators {
		if p.Portal.Serves(iccid) && (p.MOAPI.BaseURL != "" || p.MOAPI.BalanceURL != "") {
			return s.Ask(p), iccid
		}
	}
	problem(w, http.StatusNotFound, "unknown-sim", "none of the operators has given out this SIM")
	return nil, ""
}

// relay answers with what the operator's API answered, and says how long that took.
func (s *Service) relay(w http.ResponseWriter, op string, begun time.Time, status int, v any, err error) {
	w.Header().Set("Server-Timing", fmt.Sprintf("mo;dur=%d", s.Now().Sub(begun).Milliseconds()))
	if err == nil {
		answer(w, status, v)
		return
	}
	e, ok := errors.AsType[*call.Error](err)
	if !ok {
		s.internal(w, err)
		return
	}
	retryAfter(w, e.RetryAfter)
	switch e.Code {
	case call.CodeUnknown:
		problem(w, http.StatusNotFound, "unknown-sim", e.Text)
	case call.CodeBadRequest:
		problem(w, http.StatusBadRequest, e.Code, e.Text)
	case call.CodeTooMany:
		problem(w, http.StatusTooManyRequests, e.Code, e.Text)
	case call.CodeServer, call.CodeUnreachable:
		s.Log.Warn("operator's API", "call", op, "error", e)
		problem(w, http.StatusServiceUnavailable, "operator-"+e.Code, e.Text)
	default: // our credentials, our transaction, or nothing that could be read: not the router's affair
		s.Log.Error("operator's API", "call", op, "error", e)
		problem(w, http.StatusBadGateway, "operator-"+e.Code, e.Text)
	}
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
	}
}

func (s *Service) balance(w http.ResponseWriter, r *http.Request, router string) {
	limit, ok := whole(w, r, "limit")
	if !ok {
		return
	}
	template := r.URL.Query().Get("fieldsTemplate")
	if template != "" && template != "basic" && template != "full" {
		problem(w, http.StatusBadRequest, "bad-template", "fieldsTemplate is basic or full")
		return
	}
	c, iccid := s.sim(w, r, router)
	if c == nil {
		return
	}
	begun := s.Now()
	list, err := c.Balances(r.Context(), iccid, moapi.BalanceQuery{Location: r.URL.Query().Get("location"), Limit: limit, Full: template == "full"})
	s.relay(w, "balances", begun, http.StatusOK, map[string]any{"balances": append([]moapi.Balance{}, list...)}, err)
}

func (s *Service) offers(w http.ResponseWriter, r *http.Request, router string) {
	limit, ok := whole(w, r, "limit")
	if !ok {
		return
	}
	if c, iccid := s.sim(w, r, router); c != nil {
		begun := s.Now()
		list, err := c.Offers(r.Context(), iccid, limit, r.URL.Query().Get("imei"))
		s.relay(w, "offers", begun, http.StatusOK, map[string]any{"offers": append([]moapi.Offer{}, list...)}, err)
	}
}

func (s *Service) notifications(w http.ResponseWriter, r *http.Request, router string) {
	limit, ok := whole(w, r, "limit")
	if !ok {
		return
	}
	q := r.URL.Query()
	if c, iccid := s.sim(w, r, router); c != nil {
		begun := s.Now()
		list, err := c.Notifications(r.Context(), iccid, moapi.NotificationType(q.Get("notificationType")), limit, q.Get("imei"))
		s.relay(w, "notifications", begun, http.StatusOK, map[string]any{"notifications": append([]moapi.Notification{}, list...)}, err)
	}
}

func (s *Service) grantMicroBalance(w http.ResponseWriter, r *http.Request, router string) {
	var body struct {
		Location string `json:"location"`
	}
	if !readBody(w, r, &body) {
		return
	}
	c, iccid := s.sim(w, r, router)
	if c == nil {
		return
	}
	begun := s.Now()
	if wait := s.micro.Take(iccid, begun); wait > 0 {
		retryAfter(w, wait)
		problem(w, http.StatusTooManyRequests, call.CodeTooMany, fmt.Sprintf("at most %d micro-balances in an hour and %d in a day", moapi.MicroPerHour, moapi.MicroPerDay))
		return
	}
	s.relay(w, "microbalance", begun, http.StatusCreated, struct{}{}, c.GrantMicroBalance(r.Context(), iccid, body.Location))
}

func (s *Service) endMicroBalance(w http.ResponseWriter, r *http.Request, router string) {
	if c, iccid := s.sim(w, r, router); c != nil {
		begun := s.Now()
		s.relay(w, "microbalance", begun, http.StatusOK, struct{}{}, c.EndMicroBalance(r.Context(), iccid))
	}
}

func (s *Service) order(w http.ResponseWriter, r *http.Request, router string) {
	var order moapi.Order
	if !readBody(w, r, &order) {
		return
	}
	for i, sim := range order.SIMs {
		iccid := s.allowed(w, sim, router)
		if iccid == "" {
			return
		}
		order.SIMs[i] = call.SIMID(iccid)
	}
	at := slices.IndexFunc(s.Operators, func(p *cosa.OperatorProfile) bool {
		return p.ID == strings.TrimPrefix(r.PathValue("operator"), Prefix) && p.MOAPI.BaseURL != ""
	})
	if at < 0 {
		problem(w, http.StatusNotFound, "unknown-operator", "there is no such operator, or it takes no orders")
		return
	}
	begun := s.Now()
	done, err := s.Ask(s.Operators[at]).Order(r.Context(), order)
	out := map[string]string{}
	if done.ICCID != "" {
		out["iccid"] = done.ICCID
	}
	if done.Code.Address != "" {
		out["activationCode"] = strings.TrimPrefix(done.Code.Reveal(), "LPA:")
	}
	s.relay(w, "orders", begun, http.StatusCreated, out, err)
}

// whole reads a parameter that is a number from 0 on; 0 where it is not there.
func whole(w http.ResponseWriter, r *http.Request, name string) (int, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		problem(w, http.StatusBadRequest, "bad-"+name, name+" is not a number from 0 on")
	}
	return int(n), err == nil
}

func readBody(w http.ResponseWriter, r *http.Request, to any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil || d.More() {
		problem(w, http.StatusBadRequest, "bad-body", "the body is not the JSON that belongs here")
		return false
	}
	return true
}
