package smdpsim

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/euicc/sgp26"
)

// FaultKind names a way to misbehave.
type FaultKind string

// Faults of the RSP protocol. Each has its own place, Function is ignored.
const (
	FaultServerSignature  FaultKind = "server-signature"
	FaultEUICCChallenge   FaultKind = "euicc-challenge"
	FaultServerAddress    FaultKind = "server-address"
	FaultTransactionID    FaultKind = "transaction-id"
	FaultDPauthOtherCI    FaultKind = "auth-other-ci"
	FaultDPauthExpired    FaultKind = "auth-expired"
	FaultSMDPSignature2   FaultKind = "smdp-signature2"
	FaultDPpbOtherCI      FaultKind = "dppb-other-ci"
	FaultDPpbExpired      FaultKind = "dppb-expired"
	FaultBPPSignature     FaultKind = "bpp-signature"
	FaultBPPTransaction   FaultKind = "bpp-transaction"
	FaultBPPMAC           FaultKind = "bpp-mac"
	FaultBPPMissingPart   FaultKind = "bpp-missing-part"
	FaultBPPEmptyPart     FaultKind = "bpp-empty-part"
	FaultBPPSwappedParts  FaultKind = "bpp-swapped-parts"
	FaultBPPSurplusPart   FaultKind = "bpp-surplus-part"
	FaultMetadataMismatch FaultKind = "metadata-mismatch"
	FaultNotReleased      FaultKind = "not-released"
	FaultTLSOtherCI       FaultKind = "tls-other-ci"
	FaultTLSExpired       FaultKind = "tls-expired"
	FaultTLSWrongHost     FaultKind = "tls-wrong-host"
	FaultTLSHandshake     FaultKind = "tls-handshake"

	FaultDPauthNotYetValid FaultKind = "auth-not-yet-valid"
	FaultDPpbNotYetValid   FaultKind = "dppb-not-yet-valid"
	FaultTLSNotYetValid    FaultKind = "tls-not-yet-valid"
	FaultTLS12             FaultKind = "tls-1.2"
	FaultTLS13             FaultKind = "tls-1.3"
)

// Faults of the transport. An empty Function means every function.
const (
	FaultStatus      FaultKind = "status"
	FaultHTTPStatus  FaultKind = "http-status"
	FaultRedirect    FaultKind = "redirect"
	FaultDropRequest FaultKind = "drop-request"
	FaultDropAnswer  FaultKind = "drop-answer"
	FaultTruncate    FaultKind = "truncate"
	FaultHTML        FaultKind = "html"
	FaultHugeHeader  FaultKind = "huge-header"
	FaultHugeBody    FaultKind = "huge-body"
	FaultSlow        FaultKind = "slow"
)

// faultDoc is a line of the list of faults.
type faultDoc struct {
	kind      FaultKind
	transport bool // has a Function
	smds      bool // an SM-DS knows it too
	needsKey  bool // the CI's
	doc       string
}

var faultDocs = []faultDoc{
	{FaultServerSignature, false, true, false, "serverSignature1 is wrong"},
	{FaultEUICCChallenge, false, true, false, "serverSigned1 carries another eUICC challenge"},
	{FaultServerAddress, false, true, false, "serverSigned1 carries another address"},
	{FaultTransactionID, false, true, false, "serverSigned1 carries another transaction ID than the answer"},
	{FaultDPauthOtherCI, false, true, false, "the certificate for authentication (DPauth, DSauth) is of another CI"},
	{FaultDPauthExpired, false, true, true, "the certificate for authentication (DPauth, DSauth) is out of date"},
	{FaultSMDPSignature2, false, false, false, "smdpSignature2 is wrong"},
	{FaultDPpbOtherCI, false, false, false, "the DPpb certificate is of another CI"},
	{FaultDPpbExpired, false, false, true, "the DPpb certificate is out of date"},
	{FaultBPPSignature, false, false, false, "InitialiseSecureChannel's signature is wrong"},
	{FaultBPPTransaction, false, false, false, "the package names another transaction ID"},
	{FaultBPPMAC, false, false, false, "the MAC of the package's last protected segment is wrong"},
	{FaultBPPMissingPart, false, false, false, "the package has no StoreMetadata part (A1)"},
	{FaultBPPEmptyPart, false, false, false, "the package's StoreMetadata part (A1) is empty"},
	{FaultBPPSwappedParts, false, false, false, "the package's ConfigureISDP and StoreMetadata parts have changed places"},
	{FaultBPPSurplusPart, false, false, false, "something follows the last part of the package"},
	{FaultMetadataMismatch, false, false, false, "the package's metadata is not what was announced"},
	{FaultNotReleased, false, false, false, "the order is answered with 8.2/1.2"},
	{FaultTLSOtherCI, false, true, false, "the TLS certificate is of another CI"},
	{FaultTLSExpired, false, true, true, "the TLS certificate is out of date"},
	{FaultTLSWrongHost, false, true, true, "the TLS certificate is for another host"},
	{FaultTLSHandshake, false, true, false, "the server finds no common key exchange, as one with Brainpool keys only"},
	{FaultDPauthNotYetValid, false, true, true, "the certificate for authentication (DPauth, DSauth) is not valid yet"},
	{FaultDPpbNotYetValid, false, false, true, "the DPpb certificate is not valid yet"},
	{FaultTLSNotYetValid, false, true, true, "the TLS certificate is not valid yet"},
	{FaultTLS12, false, true, false, "the server speaks TLS 1.2 and nothing later"},
	{FaultTLS13, false, true, false, "the server speaks TLS 1.3 and nothing earlier"},
	{FaultStatus, true, true, false, "answer with the status code subject/reason, execute nothing"},
	{FaultHTTPStatus, true, true, false, "an HTML page with HTTP status http (500), execute nothing"},
	{FaultRedirect, true, true, false, "HTTP 307 to location, execute nothing"},
	{FaultDropRequest, true, true, false, "close the connection, execute nothing"},
	{FaultDropAnswer, true, true, false, "execute, send after bytes of the body, close the connection"},
	{FaultTruncate, true, true, false, "execute, send a whole HTTP answer with only after bytes of the body"},
	{FaultHTML, true, true, false, "execute, answer 200 with an HTML page"},
	{FaultHugeHeader, true, true, false, "execute, answer with a header of after bytes (1 MiB)"},
	{FaultHugeBody, true, true, false, "execute, blanks make the JSON after bytes long (16 MiB)"},
	{FaultSlow, true, true, false, "execute, wait delay, send the body at bandwidth bit/s"},
}

func docOf(kind FaultKind) (faultDoc, bool) {
	i := slices.IndexFunc(faultDocs, func(d faultDoc) bool { return d.kind == kind })
	if i < 0 {
		return faultDoc{}, false
	}
	return faultDocs[i], true
}

// Faults lists every kind with what it does, for a command line to offer.
func Faults() [][2]string {
	var out [][2]string
	for _, d := range faultDocs {
		out = append(out, [2]string{string(d.kind), d.doc})
	}
	return out
}

// SMDSFaults is Faults for an SM-DS.
func SMDSFaults() [][2]string {
	return slices.DeleteFunc(Faults(), func(f [2]string) bool {
		d, _ := docOf(FaultKind(f[0]))
		return !d.smds
	})
}

// Fault is one misbehaviour. The zero Times means until ClearFault.
type Fault struct {
	Kind     FaultKind
	Function Function // transport faults: where; empty everywhere
	Skip     int      // let so many matching events pass first
	Times    int      // then misbehave so many times; 0 always

	Subject, Reason string        // FaultStatus, as "8.2.6" and "3.8"
	HTTP            int           // FaultHTTPStatus
	Location        string        // FaultRedirect
	After           int           // FaultDropAnswer, FaultTruncate: bytes of the body; FaultHugeHeader, FaultHugeBody
	Delay           time.Duration // FaultSlow
	Bandwidth       int           // FaultSlow: bits a second, 0 unlimited
}

// SetFault adds a fault. Of several that fit a place the oldest acts; some
// certificate faults need the CI's key.
func (s *endpoint) SetFault(f Fault) error {
	d, ok := docOf(f.Kind)
	switch {
	case !ok:
		return fmt.Errorf("unknown fault %q", f.Kind)
	case s.role.auth == sgp26.RoleDSAuth && !d.smds:
		return fmt.Errorf("an SM-DS has no fault %s", f.Kind)
	case f.Kind == FaultStatus && (f.Subject == "" || f.Reason == ""):
		return fmt.Errorf("fault %s needs a subject and a reason code", f.Kind)
	case f.Kind == FaultRedirect && f.Location == "":
		return fmt.Errorf("fault %s needs a location", f.Kind)
	case f.HTTP != 0 && (f.HTTP < 200 || f.HTTP > 599):
		return fmt.Errorf("fault %s: HTTP status %d is not within 200 to 599", f.Kind, f.HTTP)
	case f.Skip < 0 || f.Times < 0 || f.After < 0 || f.Delay < 0 || f.Bandwidth < 0:
		return fmt.Errorf("fault %s: a number is negative", f.Kind)
	case d.needsKey && s.ci.Key == nil:
		return fmt.Errorf("fault %s needs the CI's key", f.Kind)
	}
	if !d.transport {
		f.Function = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil
}

// ClearFaults makes the server behave again.
func (s *endpoint) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// ClearFault takes the faults of one kind away.
func (s *endpoint) ClearFault(kind FaultKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return f.Kind == kind })
}

// FaultsSet returns the faults that are still to act, oldest first.
func (s *endpoint) FaultsSet() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		out = append(out, *f)
	}
	return out
}

func (s *endpoint) takeFault(kind FaultKind, fn Function) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault(kind, fn)
}

// fault returns the first fault of a kind and uses it up; the caller holds mu.
func (s *endpoint) fault(kind FaultKind, fn Function) (Fault, bool) {
	for i, f := range s.faults {
		if f.Kind != kind || f.Function != "" && f.Function != fn {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
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
func (s *endpoint) faulty(kind FaultKind) bool {
	_, ok := s.fault(kind, "")
	return ok
}

const htmlPage = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>\n"

// faultBefore applies the faults that come before the function is executed and
// reports whether the request has been dealt with.
func (s *endpoint) faultBefore(w http.ResponseWriter, r *http.Request, fn Function) bool {
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

// faultAfter sends an answer the way form and faults want it.
func (s *endpoint) faultAfter(w http.ResponseWriter, r *http.Request, fn Function, status int, body []byte) {
	form := s.Form()
	h := w.Header()
	if _, ok := s.takeFault(FaultHTML, fn); ok {
		h.Set("Content-Type", "text/html; charset=utf-8")
		status, body = http.StatusOK, []byte(htmlPage)
	}
	if f, ok := s.takeFault(FaultHugeHeader, fn); ok {
		h.Set("X-Surplus", strings.Repeat("x", cmp.Or(f.After, 1<<20)))
	}
	if f, ok := s.takeFault(FaultHugeBody, fn); ok && len(body) > 0 {
		body = append(body, bytes.Repeat([]byte{' '}, max(cmp.Or(f.After, 16<<20)-len(body), 0))...)
	}
	if form.Gzip && len(body) > 0 && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = compress(body)
	}
	if f, ok := s.takeFault(FaultTruncate, fn); ok {
		body = body[:min(f.After, len(body))]
	}
	drop, dropped := s.takeFault(FaultDropAnswer, fn)
	slow, slowed := s.takeFault(FaultSlow, fn)
	if slowed && !sleep(r, slow.Delay) {
		return
	}
	if status != http.StatusNoContent && form.Chunked == 0 {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if dropped {
		body = body[:min(drop.After, len(body))]
		if len(body) == 0 {
			panic(http.ErrAbortHandler)
		}
	}
	w.WriteHeader(status)
	s.send(w, r, body, form.Chunked, slow.Bandwidth)
	if dropped {
		_ = http.NewResponseController(w).Flush() // what cannot be sent is lost, as it should be
		panic(http.ErrAbortHandler)
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(v, ",") {
			name, q, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") && !strings.HasPrefix(strings.ReplaceAll(q, " ", ""), "q=0") {
				return true
			}
		}
	}
	return false
}

// send writes body in pieces: of a chunk's size, or of an eighth of a second
// when a bandwidth is set.
func (s *endpoint) send(w http.ResponseWriter, r *http.Request, body []byte, chunk, bandwidth int) {
	piece := len(body)
	if chunk > 0 {
		piece = chunk
	}
	if bandwidth > 0 {
		piece = min(piece, max(bandwidth/8/8, 1))
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
		if chunk > 0 || bandwidth > 0 {
			if http.NewResponseController(w).Flush() != nil {
				return
			}
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
func (s *endpoint) tlsIdentity() (*sgp26.Authority, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	switch {
	case s.faulty(FaultTLSOtherCI):
		ci, err := sgp26.NewCI(now)
		if err != nil {
			return nil, err
		}
		return s.role.newTLS(ci, s.oid, s.names, now)
	case s.faulty(FaultTLSExpired):
		return s.role.newTLS(s.ci, s.oid, s.names, longAgo(now))
	case s.faulty(FaultTLSNotYetValid):
		return s.role.newTLS(s.ci, s.oid, s.names, nextYear(now))
	case s.faulty(FaultTLSWrongHost):
		return s.role.newTLS(s.ci, s.oid, []string{"somewhere-else.invalid"}, now)
	}
	return s.tls, nil
}

// longAgo is a date whose certificates have all expired.
func longAgo(now time.Time) time.Time { return now.AddDate(-20, 0, 0) }

// nextYear is a date whose certificates are not valid yet.
func nextYear(now time.Time) time.Time { return now.AddDate(1, 0, 0) }

// authIdentity returns the identity that signs serverSigned1 next.
func (s *endpoint) authIdentity() (*sgp26.Authority, error) {
	return s.identity(s.auth, s.role.newAuth, FaultDPauthOtherCI, FaultDPauthExpired, FaultDPauthNotYetValid)
}

// pbIdentity returns the identity that signs smdpSigned2 next.
func (s *Server) pbIdentity() (*sgp26.Authority, error) {
	return s.identity(s.pb, sgp26.NewDPpb, FaultDPpbOtherCI, FaultDPpbExpired, FaultDPpbNotYetValid)
}

func (s *endpoint) identity(own *sgp26.Authority, issue func(*sgp26.Authority, string, time.Time) (*sgp26.Authority, error), otherCI, expired, early FaultKind) (*sgp26.Authority, error) {
	now := s.now()
	if s.faulty(otherCI) {
		ci, err := sgp26.NewCI(now)
		if err != nil {
			return nil, err
		}
		return issue(ci, s.oid, now)
	}
	if s.faulty(expired) {
		return issue(s.ci, s.oid, longAgo(now))
	}
	if s.faulty(early) {
		return issue(s.ci, s.oid, nextYear(now))
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
