package smdpsim

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"dynamod/euicc/sgp26"
)

// FaultKind names a way to misbehave.
type FaultKind string

// Faults of the RSP protocol. Each has its own place, Function is ignored.
const (
	FaultServerSignature  FaultKind = "server-signature"  // serverSignature1 is wrong
	FaultEUICCChallenge   FaultKind = "euicc-challenge"   // serverSigned1 carries another eUICC challenge
	FaultServerAddress    FaultKind = "server-address"    // serverSigned1 carries another address
	FaultDPauthOtherCI    FaultKind = "dpauth-other-ci"   // DPauth certificate of another CI
	FaultDPauthExpired    FaultKind = "dpauth-expired"    // DPauth certificate out of date
	FaultSMDPSignature2   FaultKind = "smdp-signature2"   // smdpSignature2 is wrong
	FaultDPpbOtherCI      FaultKind = "dppb-other-ci"     // DPpb certificate of another CI
	FaultDPpbExpired      FaultKind = "dppb-expired"      // DPpb certificate out of date
	FaultBPPSignature     FaultKind = "bpp-signature"     // InitialiseSecureChannel's signature is wrong
	FaultBPPMAC           FaultKind = "bpp-mac"           // the last protected segment's MAC is wrong
	FaultMetadataMismatch FaultKind = "metadata-mismatch" // the BPP's metadata is not what was announced
	FaultNotReleased      FaultKind = "not-released"      // the order is answered with 8.2/1.2
	FaultTLSOtherCI       FaultKind = "tls-other-ci"      // TLS certificate of another CI
	FaultTLSExpired       FaultKind = "tls-expired"       // TLS certificate out of date
	FaultTLSWrongHost     FaultKind = "tls-wrong-host"    // TLS certificate for another host
)

// Faults of the transport. An empty Function means every function.
const (
	FaultStatus      FaultKind = "status"       // answer with Subject and Reason, nothing is executed
	FaultHTTPStatus  FaultKind = "http-status"  // HTML page with HTTP status HTTP (500 when 0), nothing is executed
	FaultRedirect    FaultKind = "redirect"     // HTTP 307 to Location, nothing is executed
	FaultDropRequest FaultKind = "drop-request" // close the connection, nothing is executed
	FaultDropAnswer  FaultKind = "drop-answer"  // execute, send After bytes of the body, close the connection
	FaultTruncate    FaultKind = "truncate"     // execute, send a whole HTTP answer with only After bytes of the body
	FaultHTML        FaultKind = "html"         // execute, answer 200 with an HTML page
	FaultSlow        FaultKind = "slow"         // execute, wait Delay, send the body at Bandwidth
	FaultEscape      FaultKind = "escape"       // execute, write / as \/ in the JSON, as some servers do
)

var protocolFaults = []FaultKind{
	FaultServerSignature, FaultEUICCChallenge, FaultServerAddress, FaultDPauthOtherCI, FaultDPauthExpired,
	FaultSMDPSignature2, FaultDPpbOtherCI, FaultDPpbExpired, FaultBPPSignature, FaultBPPMAC,
	FaultMetadataMismatch, FaultNotReleased, FaultTLSOtherCI, FaultTLSExpired, FaultTLSWrongHost,
}

var transportFaults = []FaultKind{
	FaultStatus, FaultHTTPStatus, FaultRedirect, FaultDropRequest, FaultDropAnswer, FaultTruncate, FaultHTML,
	FaultSlow, FaultEscape,
}

// FaultKinds lists every kind, for a command line to offer.
func FaultKinds() []FaultKind { return slices.Concat(protocolFaults, transportFaults) }

// Fault is one misbehaviour. The zero Times means until ClearFaults.
type Fault struct {
	Kind     FaultKind
	Function Function // transport faults: where; empty everywhere
	Times    int      // how often; 0 always

	Subject, Reason string        // FaultStatus, as "8.2.6" and "3.8"
	HTTP            int           // FaultHTTPStatus
	Location        string        // FaultRedirect
	After           int           // FaultDropAnswer, FaultTruncate: bytes of the body
	Delay           time.Duration // FaultSlow
	Bandwidth       int           // FaultSlow: bits a second, 0 unlimited
}

// SetFault adds a fault. Of several that fit a place the oldest acts; certificate
// faults need the CI's key.
func (s *Server) SetFault(f Fault) error {
	protocol := slices.Contains(protocolFaults, f.Kind)
	switch {
	case !protocol && !slices.Contains(transportFaults, f.Kind):
		return fmt.Errorf("unknown fault %q", f.Kind)
	case f.Kind == FaultStatus && (f.Subject == "" || f.Reason == ""):
		return fmt.Errorf("fault %s needs a subject and a reason code", f.Kind)
	case f.Kind == FaultRedirect && f.Location == "":
		return fmt.Errorf("fault %s needs a location", f.Kind)
	case f.HTTP != 0 && (f.HTTP < 200 || f.HTTP > 599):
		return fmt.Errorf("fault %s: HTTP status %d is not within 200 to 599", f.Kind, f.HTTP)
	case f.Times < 0 || f.After < 0 || f.Delay < 0 || f.Bandwidth < 0:
		return fmt.Errorf("fault %s: a number is negative", f.Kind)
	case s.cfg.CI.Key == nil && slices.Contains([]FaultKind{FaultDPauthExpired, FaultDPpbExpired, FaultTLSExpired, FaultTLSWrongHost}, f.Kind):
		return fmt.Errorf("fault %s needs the CI's key", f.Kind)
	}
	if protocol {
		f.Function = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil
}

// ClearFaults makes the server behave again.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) takeFault(kind FaultKind, fn Function) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault(kind, fn)
}

// fault returns the first fault of a kind and uses it up; the caller holds mu.
func (s *Server) fault(kind FaultKind, fn Function) (Fault, bool) {
	for i, f := range s.faults {
		if f.Kind != kind || f.Function != "" && f.Function != fn {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return *f, true
	}
	return Fault{}, false
}

// faulty is fault for places that have only one function.
func (s *Server) faulty(kind FaultKind) bool {
	_, ok := s.fault(kind, "")
	return ok
}

const htmlPage = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>\n"

// faultBefore applies the faults that come before the function is executed and
// reports whether the request has been dealt with.
func (s *Server) faultBefore(w http.ResponseWriter, r *http.Request, fn Function) bool {
	if _, ok := s.takeFault(FaultDropRequest, fn); ok {
		panic(http.ErrAbortHandler)
	}
	if f, ok := s.takeFault(FaultRedirect, fn); ok {
		http.Redirect(w, r, f.Location, http.StatusTemporaryRedirect)
		return true
	}
	if f, ok := s.takeFault(FaultHTTPStatus, fn); ok {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(cmp.Or(f.HTTP, http.StatusInternalServerError))
		fmt.Fprint(w, htmlPage) // a status without body makes net/http drop it
		return true
	}
	return false
}

// faultAfter sends an answer the way the faults want it.
func (s *Server) faultAfter(w http.ResponseWriter, r *http.Request, fn Function, status int, body []byte) {
	if _, ok := s.takeFault(FaultHTML, fn); ok {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		status, body = http.StatusOK, []byte(htmlPage)
	}
	if _, ok := s.takeFault(FaultEscape, fn); ok {
		body = bytes.ReplaceAll(body, []byte("/"), []byte(`\/`))
	}
	if f, ok := s.takeFault(FaultTruncate, fn); ok {
		body = body[:min(f.After, len(body))]
	}
	drop, dropped := s.takeFault(FaultDropAnswer, fn)
	slow, slowed := s.takeFault(FaultSlow, fn)
	if slowed && !sleep(r, slow.Delay) {
		return
	}
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	if dropped {
		body = body[:min(drop.After, len(body))]
		if len(body) == 0 {
			panic(http.ErrAbortHandler)
		}
	}
	w.WriteHeader(status)
	s.send(w, r, body, slow.Bandwidth)
	if dropped {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// send writes body, in pieces of an eighth of a second when a bandwidth is set.
func (s *Server) send(w http.ResponseWriter, r *http.Request, body []byte, bandwidth int) {
	piece := len(body)
	if bandwidth > 0 {
		piece = max(bandwidth/8/8, 1)
	}
	for len(body) > 0 {
		n := min(piece, len(body))
		if bandwidth > 0 && !sleep(r, time.Duration(n)*8*time.Second/time.Duration(bandwidth)) {
			return
		}
		n, err := w.Write(body[:n])
		s.mu.Lock()
		s.stats.BytesOut += int64(n)
		s.mu.Unlock()
		if err != nil {
			return
		}
		if bandwidth > 0 {
			http.NewResponseController(w).Flush()
		}
		body = body[n:]
	}
}

// sleep waits and reports false when the client has gone meanwhile.
func sleep(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// tlsIdentity returns the TLS certificate for the next handshake.
func (s *Server) tlsIdentity() (*sgp26.Authority, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	switch {
	case s.faulty(FaultTLSOtherCI):
		ci, err := sgp26.NewCI(now)
		if err != nil {
			return nil, err
		}
		return sgp26.NewTLS(ci, s.cfg.OID, s.hosts(), now)
	case s.faulty(FaultTLSExpired):
		return sgp26.NewTLS(s.cfg.CI, s.cfg.OID, s.hosts(), longAgo(now))
	case s.faulty(FaultTLSWrongHost):
		return sgp26.NewTLS(s.cfg.CI, s.cfg.OID, []string{"somewhere-else.invalid"}, now)
	}
	return s.ids.tls, nil
}

// longAgo is a date whose certificates have all expired.
func longAgo(now time.Time) time.Time { return now.AddDate(-20, 0, 0) }

// authIdentity and pbIdentity return the identity for the next signature.
func (s *Server) authIdentity() (*sgp26.Authority, error) {
	return s.dpIdentity(s.ids.auth, sgp26.NewDPauth, FaultDPauthOtherCI, FaultDPauthExpired)
}

func (s *Server) pbIdentity() (*sgp26.Authority, error) {
	return s.dpIdentity(s.ids.pb, sgp26.NewDPpb, FaultDPpbOtherCI, FaultDPpbExpired)
}

func (s *Server) dpIdentity(own *sgp26.Authority, issue func(*sgp26.Authority, string, time.Time) (*sgp26.Authority, error), otherCI, expired FaultKind) (*sgp26.Authority, error) {
	now := s.now()
	if s.faulty(otherCI) {
		ci, err := sgp26.NewCI(now)
		if err != nil {
			return nil, err
		}
		return issue(ci, s.cfg.OID, now)
	}
	if s.faulty(expired) {
		return issue(s.cfg.CI, s.cfg.OID, longAgo(now))
	}
	return own, nil
}

// spoil flips a bit of the last byte when told to.
func spoil(b []byte, wrong bool) []byte {
	if wrong {
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
	}
	return b
}
