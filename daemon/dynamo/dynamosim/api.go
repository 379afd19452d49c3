package dynamosim

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// API serves the operator's API below /v1.
func (o *Operator) API() http.Handler {
	mux := http.NewServeMux()
	for pattern, c := range map[string]struct {
		op    string
		serve func(http.ResponseWriter, *http.Request)
	}{
		"GET /v1/sims/{sim}/balances":        {"balances", o.balances},
		"GET /v1/sims/{sim}/offers":          {"offers", o.offers},
		"GET /v1/sims/{sim}/notifications":   {"notifications", o.notifications},
		"PUT /v1/sims/{sim}/microbalance":    {"microbalance", o.grant},
		"DELETE /v1/sims/{sim}/microbalance": {"microbalance", o.giveBack},
		"POST /v1/orders":                    {"orders", o.order},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if o.admit(w, r, c.op) {
				c.serve(w, r)
			}
		})
	}
	return mux
}

// admit checks who asks, and the transaction ID.
func (o *Operator) admit(w http.ResponseWriter, r *http.Request, op string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts[op]++
	if o.ClientName != "" {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].Subject.CommonName != o.ClientName {
			return refuse(w, http.StatusForbidden, "untrusted client certificate")
		}
	}
	if o.User != "" {
		if user, password, _ := r.BasicAuth(); user != o.User || password != o.Password {
			return refuse(w, http.StatusUnauthorized, "bad basic credentials")
		}
	}
	id := r.Header.Get("X-MS-DM-TransactionId")
	switch {
	case id == "":
		return refuse(w, http.StatusBadRequest, "X-MS-DM-TransactionId is missing")
	case o.seen[id]:
		return refuse(w, http.StatusConflict, "already processed")
	}
	o.seen[id] = true
	w.Header().Set("X-MS-DM-TransactionId", strconv.Quote(id))
	if f := o.fault(op); f != nil {
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		return refuse(w, f.Status, "a fault that was asked for")
	}
	return true
}

func refuse(w http.ResponseWriter, status int, why string) bool {
	w.Header().Set("Content-type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": why})
	return false
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// sim finds the line of the path. o.mu is held.
func (o *Operator) sim(w http.ResponseWriter, r *http.Request) *line {
	iccid, ok := strings.CutPrefix(r.PathValue("sim"), "iccid:")
	if l := o.lines[iccid]; ok && l != nil {
		return l
	}
	refuse(w, http.StatusNotFound, "unknown ICCID")
	return nil
}

// number reads a whole number of a 32 bit signed integer from 0 on.
func number(w http.ResponseWriter, r *http.Request, name string, required bool) (int, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		if required {
			return 0, refuse(w, http.StatusBadRequest, name+" is missing")
		}
		return math.MaxInt32, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, refuse(w, http.StatusBadRequest, name+" is not in its range")
	}
	return n, true
}

// balance is a balance in the spelling of the published examples.
type balance struct {
	ID        string   `json:"id"`
	Type      string   `json:"type"`
	Data      float64  `json:"dataRemaininginMB"`
	Time      string   `json:"timeRemaining"`
	Locations []string `json:"locations,omitempty"`
}

func (o *Operator) balances(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := r.URL.Query()
	limit, ok := number(w, r, "limit", false)
	if !ok {
		return
	}
	if at := q.Get("location"); at != "" && !slices.Contains(o.Countries, at) { // minds the case
		refuse(w, http.StatusBadRequest, "unknown location")
		return
	}
	template := q.Get("fieldsTemplate")
	if template != "" && template != "basic" && template != "full" {
		refuse(w, http.StatusBadRequest, "unknown fieldsTemplate")
		return
	}
	l := o.sim(w, r)
	if l == nil {
		return
	}
	b := balance{ID: "23445", Type: "MODIRECT", Time: "PT0S"}
	switch left := l.until.Sub(o.Now()); {
	case l.plan == Excluded:
		b.Type = "NOTSUPPORTED"
	case l.plan == Prepaid && (l.mb <= 0 || left <= 0):
		b.Type = "NONE" // a micro-balance counts as nothing
	case l.plan == Prepaid:
		b.Type, b.Data, b.Time = "MODIRECTPAYG", l.mb, isoDuration(left)
	}
	if template == "full" {
		b.Locations = o.Countries
	}
	list := []balance{b}
	reply(w, http.StatusOK, map[string]any{"balances": list[:min(len(list), limit)]})
}

func (o *Operator) offers(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	limit, ok := number(w, r, "limit", true)
	if !ok || o.sim(w, r) == nil {
		return
	}
	list := []map[string]string{{"gatewayId": "0"}}
	reply(w, http.StatusOK, map[string]any{"offers": list[:min(len(list), limit)]})
}

func (o *Operator) notifications(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	limit, ok := number(w, r, "limit", true)
	if !ok {
		return
	}
	l := o.sim(w, r)
	if l == nil {
		return
	}
	list := []map[string]any{}
	for i, t := range l.notice {
		if want := r.URL.Query().Get("notificationType"); (want == "" || strings.EqualFold(want, t)) && len(list) < limit {
			list = append(list, map[string]any{"notificationId": i + 1, "notificationType": t})
		}
	}
	reply(w, http.StatusOK, map[string]any{"notifications": list})
}

// The published limits of micro-balances.
const (
	microPerHour, microPerDay = 6, 10
)

func (o *Operator) grant(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.sim(w, r)
	if l == nil {
		return
	}
	now := o.Now()
	hour, day := 0, 0
	for _, at := range l.micro {
		if now.Sub(at) < time.Hour {
			hour++
		}
		if now.Sub(at) < 24*time.Hour {
			day++
		}
	}
	if hour >= microPerHour || day >= microPerDay {
		w.Header().Set("Retry-After", "3600")
		refuse(w, http.StatusTooManyRequests, "too many micro-balances")
		return
	}
	l.micro = append(l.micro, now)
	w.Header().Set("Location", r.URL.Path)
	reply(w, http.StatusCreated, struct{}{})
}

func (o *Operator) giveBack(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sim(w, r) != nil {
		reply(w, http.StatusOK, struct{}{})
	}
}

func (o *Operator) order(w http.ResponseWriter, r *http.Request) {
	var body struct {
		PurchaseDate string   `json:"purchaseDate"`
		EID          string   `json:"eId"`
		SIMs         []string `json:"sims"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&body); err != nil || len(body.SIMs) > 20 {
		refuse(w, http.StatusBadRequest, "bad body")
		return
	}
	if _, err := time.Parse(time.RFC3339, body.PurchaseDate); err != nil {
		refuse(w, http.StatusBadRequest, "bad purchaseDate")
		return
	}
	code, iccid, err := o.sell(body.EID, body.SIMs, Prepaid)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	out := map[string]string{"iccid": iccid}
	if code != "" {
		out["activationCode"] = code
	}
	w.Header().Set("Location", "/v1/orders/"+rand.Text())
	reply(w, http.StatusCreated, out)
}

// What a purchase gives.
const (
	soldMB   = 1024.0
	soldTime = 30 * 24 * time.Hour
)

// sell adds to the line of a SIM that is the operator's, or gets a new profile: then
// code is its activation code, without a prefix.
func (o *Operator) sell(eid string, sims []string, plan Plan) (code, iccid string, err error) {
	for _, s := range sims {
		iccid = stripF(strings.TrimPrefix(s, "iccid:"))
		o.mu.Lock()
		_, ours := o.lines[iccid]
		o.mu.Unlock()
		if ours {
			return "", iccid, o.TopUp(iccid, soldMB, soldTime)
		}
	}
	if eid == "" {
		return "", "", errors.New("none of these lines is known here")
	}
	if code, iccid, err = o.NewProfile(eid); err != nil {
		return "", "", err
	}
	o.AddLine(iccid, plan, soldMB, soldTime)
	return strings.TrimPrefix(code, "LPA:"), iccid, nil
}
