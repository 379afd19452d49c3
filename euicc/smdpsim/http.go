package smdpsim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Function is an ES9+ function by the last element of its path (SGP.22 6.5.2).
type Function string

// The functions of ES9+ (SGP.22 5.6).
const (
	InitiateAuthentication Function = "initiateAuthentication"
	AuthenticateClient     Function = "authenticateClient"
	GetBoundProfilePackage Function = "getBoundProfilePackage"
	HandleNotification     Function = "handleNotification"
	CancelSession          Function = "cancelSession"
)

func (f Function) known() bool {
	switch f {
	case InitiateAuthentication, AuthenticateClient, GetBoundProfilePackage, HandleNotification, CancelSession:
		return true
	}
	return false
}

const (
	pathPrefix    = "/gsma/rsp2/es9plus/"
	adminProtocol = "gsma/rsp/v2.5.0"
	// maxRequest bounds a request body; two certificates make the largest real
	// ones about 4 kB.
	maxRequest = 64 << 10
)

// request holds the fields of every function's JSON object (SGP.22 6.5.2.6 to
// 6.5.2.10); a function reads its own. Unknown fields are ignored.
type request struct {
	EuiccChallenge             string `json:"euiccChallenge"`
	EuiccInfo1                 string `json:"euiccInfo1"`
	SmdpAddress                string `json:"smdpAddress"`
	TransactionID              string `json:"transactionId"`
	AuthenticateServerResponse string `json:"authenticateServerResponse"`
	PrepareDownloadResponse    string `json:"prepareDownloadResponse"`
	PendingNotification        string `json:"pendingNotification"`
	CancelSessionResponse      string `json:"cancelSessionResponse"`
}

// response is what a function answers beside its header; nil means 204. Its
// values are strings, binary, responses and lists of them.
type response map[string]any

// Handler serves the ES9+ functions under /gsma/rsp2/es9plus/.
func (s *Server) Handler() http.Handler {
	return s.handler(map[Function]func(*request) (response, error){
		InitiateAuthentication: s.initiateAuthentication,
		AuthenticateClient:     s.authenticateClient,
		GetBoundProfilePackage: s.getBoundProfilePackage,
		CancelSession:          s.cancelSession,
		HandleNotification:     s.handleNotification,
	})
}

// handler serves functions. ES11 has the paths of ES9+ (SGP.22 6.5.2).
func (s *endpoint) handler(functions map[Function]func(*request) (response, error)) http.Handler {
	mux := http.NewServeMux()
	for fn, f := range functions {
		mux.HandleFunc("POST "+pathPrefix+string(fn), func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, fn, f) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.stats.HTTPRequests++
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
}

func (s *endpoint) serve(w http.ResponseWriter, r *http.Request, fn Function, f func(*request) (response, error)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	s.mu.Lock()
	s.stats.Requests[fn]++
	s.stats.BytesIn += int64(len(body))
	s.mu.Unlock()
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, fmt.Sprintf("body of more than %d bytes", maxRequest), http.StatusRequestEntityTooLarge)
		}
		return // else the client is gone
	}
	if s.faultBefore(w, r, fn) {
		return
	}
	out, err := s.answer(r.Header, body, fn, f)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h := w.Header()
	h.Set("X-Admin-Protocol", adminProtocol)
	if out == nil {
		s.faultAfter(w, r, fn, http.StatusNoContent, nil)
		return
	}
	h.Set("Content-Type", "application/json")
	s.faultAfter(w, r, fn, http.StatusOK, out)
}

// answer runs one function and returns the JSON to send, nil for 204. An error
// means a body that is no JSON object, which has no RSP status.
func (s *endpoint) answer(h http.Header, body []byte, fn Function, f func(*request) (response, error)) ([]byte, error) {
	err := checkHeaders(h)
	var out response
	if err == nil {
		var req request
		dec := json.NewDecoder(bytes.NewReader(body))
		if err := dec.Decode(&req); err != nil {
			return nil, errors.New("body is not the JSON object of this function")
		}
		if _, err := dec.Token(); err != io.EOF {
			return nil, errors.New("something follows the JSON object")
		}
		if fault, ok := s.takeFault(FaultStatus, fn); ok {
			err = fail(code{fault.Subject, fault.Reason}, "told to refuse")
		} else {
			out, err = f(&req)
		}
	}
	if err != nil {
		se := asStatus(err)
		s.log.Info("refused", "function", string(fn), "code", se.code.String(), "why", se.message)
		s.mu.Lock()
		s.stats.Refusals[se.code.String()]++
		s.mu.Unlock()
		out = response{"header": response{"functionExecutionStatus": response{
			"status": "Failed",
			"statusCodeData": response{
				"subjectCode": se.code.subject, "reasonCode": se.code.reason, "message": se.message,
			},
		}}}
	} else if out == nil {
		return nil, nil
	} else {
		out["header"] = response{"functionExecutionStatus": response{"status": "Executed-Success"}}
	}
	s.mu.Lock()
	form := s.form
	s.mu.Unlock()
	return form.encode(fn, out)
}

// checkHeaders checks what SGP.22 6.5.1.1 asks of a request.
func checkHeaders(h http.Header) error {
	if t, _, err := mime.ParseMediaType(h.Get("Content-Type")); err != nil || t != "application/json" {
		return fail(codeContentType, "Content-Type is not application/json")
	}
	if p := h.Get("X-Admin-Protocol"); !strings.HasPrefix(p, "gsma/rsp/v2.") {
		return fail(codeAdminProtocol, "X-Admin-Protocol is not gsma/rsp/v2")
	}
	return nil
}

// decode64 reads a mandatory base64 field. Line breaks and missing padding are
// tolerated.
func decode64(name, value string) ([]byte, error) {
	if value == "" {
		return nil, fail(codeElementAbsent, name+" is missing")
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "=\r\n"))
	if err != nil {
		return nil, fail(codeElementBad, name+" is not base64")
	}
	return b, nil
}
