package hook

import (
	"errors"
	"net/http"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/status"
)

// Operators are those that sell a plan here.
type Operators struct {
	Operators []Seller     `json:"operators"`         // by brand
	Country   string       `json:"country,omitempty"` // where the router is; without it all are listed
	Source    SellerSource `json:"source"`
	At        time.Time    `json:"at,omitzero"`       // when the list was last known to be so
	Error     string       `json:"error,omitempty"`   // why there is no newer one
	Offline   bool         `json:"offline,omitempty"` // there is no way to the internet now
	Network   string       `json:"network,omitempty"` // MCC and MNC of the number that was looked up
	How       string       `json:"how,omitempty"`     // that is known: portability, prefix
}

// Seller is an operator with a portal.
type Seller struct {
	ID        string `json:"id"`
	Brand     string `json:"brand"`
	Portal    string `json:"portal"`
	MayAnswer bool   `json:"may_answer"` // its portal's answer is taken; else its code has to be given by hand
}

// SellerSource is where a list of operators is from. The router's own records are in
// each of them.
type SellerSource string

// The sources.
const (
	FromRecords   SellerSource = "records"
	FromDirectory SellerSource = "directory"
	FromCache     SellerSource = "cache"     // the directory's last list
	FromCatalogue SellerSource = "catalogue" // the signed one
)

func (s *Server) operators(w http.ResponseWriter, r *http.Request) {
	o, err := s.daemon.Operators(r.Context(), r.URL.Query().Get("msisdn"))
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, o)
}

// VisitRequest is the body of POST /v1/dynamo/visits.
type VisitRequest struct {
	Operator  string `json:"operator"`             // ID of a record with a portal
	ReturnURL string `json:"return_url,omitempty"` // https address of this router's page; without it nothing comes back to a browser
}

// PortalVisit is a visit that has begun.
type PortalVisit struct {
	Transaction string `json:"transaction_id"`
	Brand       string `json:"brand"`
	URL         string `json:"url"` // to be opened in a browser; it holds the EID and the one-time state
	// CallbackHosts are those whose pages may answer.
	CallbackHosts []string `json:"callback_hosts"`
	// Way is how the portal's answer comes: opener, to the page that opened it, which has
	// a return URL; directory; without it nothing comes back but a code, by hand.
	Way dynamo.Way `json:"way,omitempty"`
}

// CallbackRequest is the body of POST /v1/dynamo/callbacks: what a portal sent, and
// what the browser says of it.
type CallbackRequest struct {
	Way      dynamo.Way `json:"way"`              // opener: a message to the page that opened the portal; return: the return URL
	Origin   string     `json:"origin,omitempty"` // of the message
	Top      bool       `json:"top"`              // it came from the window itself, not from a frame in it
	Envelope string     `json:"envelope"`         // JSON of docs/dynamo.md, as it came
}

// CallbackAnswer is what becomes of a callback that was taken. One that is refused is
// a problem, whose code the audit has.
type CallbackAnswer struct {
	Kind dynamo.Kind `json:"kind"`
	Text string      `json:"text"`
	Run  string      `json:"run,omitempty"` // the activation that has begun of it
}

func (s *Server) beginVisit(w http.ResponseWriter, r *http.Request) {
	var body VisitRequest
	if !s.read(w, r, &body) {
		return
	}
	v, err := s.daemon.BeginVisit(r.Context(), body)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, v)
}

func (s *Server) takeCallback(w http.ResponseWriter, r *http.Request) {
	var body CallbackRequest
	if !s.read(w, r, &body) {
		return
	}
	if body.Way != dynamo.WayOpener && body.Way != dynamo.WayReturn {
		writeProblem(w, http.StatusUnprocessableEntity, &status.Problem{Code: "bad-way", Text: "way is neither opener nor return", Advice: "docs/dynamo.md has the ways"})
		return
	}
	a, err := s.daemon.TakeCallback(r.Context(), body)
	if err == nil {
		writeJSON(w, http.StatusOK, a)
		return
	}
	p := activation.Problem("", err)
	if refusal, ok := errors.AsType[*dynamo.Refusal](err); ok {
		p.Code = refusal.Code
		writeProblem(w, http.StatusForbidden, p)
	} else if errors.As(err, new(*dynamo.CallbackError)) {
		p.Code = "bad-callback"
		writeProblem(w, http.StatusUnprocessableEntity, p)
	} else {
		s.fail(w, err)
	}
}

// cancelVisit forgets a delayed download.
func (s *Server) cancelVisit(w http.ResponseWriter, r *http.Request) {
	there, err := s.daemon.CancelVisit(r.PathValue("transaction"))
	if err == nil && !there {
		writeProblem(w, http.StatusNotFound, &status.Problem{Code: "no-such-visit", Text: "no delayed download of such a visit waits", Advice: "GET /v1/status tells the last visit; DELETE /v1/activations/ID cancels what has begun"})
		return
	}
	s.done(w, err)
}
