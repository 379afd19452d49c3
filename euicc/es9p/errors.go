package es9p

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// StatusError is a function that the server did not execute: its
// functionExecutionStatus (SGP.22 5.2.6).
type StatusError struct {
	Function string
	Status   string // "Failed" or "Expired"
	// Subject and Reason are the status codes as the server wrote them, empty
	// when it gave none. euicc.DiagnoseStatus knows what they mean.
	Subject, Reason string
	// Message is the server's own text. It is not part of Error, because
	// servers repeat what was asked for in it.
	Message string
}

func (e *StatusError) Error() string {
	if e.Subject == "" && e.Reason == "" {
		return fmt.Sprintf("%s: server answered %q without status code", e.Function, e.Status)
	}
	return fmt.Sprintf("%s: server answered status code %s/%s", e.Function, e.Subject, e.Reason)
}

// HTTPError is an answer that does not come from an RSP server, although its
// certificate was verified: a page of the server's own front end, about
// maintenance or an error, or that of a wrong address.
type HTTPError struct {
	Function    string
	Status      int
	ContentType string
}

func (e *HTTPError) Error() string {
	what := e.ContentType
	if what == "" {
		what = "no content type"
	}
	return fmt.Sprintf("%s: server answered HTTP %d with %s, not with JSON of SGP.22", e.Function, e.Status, what)
}

// BodyError is a body that broke off or cannot be decoded.
type BodyError struct {
	Function  string
	Truncated bool // it ended too early; the line was lost or the server gave up
	Err       error
}

func (e *BodyError) Error() string {
	if e.Truncated {
		return fmt.Sprintf("%s: answer is cut off: %v", e.Function, e.Err)
	}
	return fmt.Sprintf("%s: answer cannot be decoded: %v", e.Function, e.Err)
}

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }

// NetworkError is a request that got no answer for any other reason: name
// resolution, no route, refused, reset, too slow. Err tells them apart
// (*net.DNSError, net.Error, a context's error).
type NetworkError struct {
	Function, Server string
	Err              error
}

func (e *NetworkError) Error() string {
	return fmt.Sprintf("%s: no answer from %s: %v", e.Function, e.Server, e.Err)
}

// Unwrap returns the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// AddressError is an address that Config.Dial does not connect to, since servers
// have none of its kind: it is this machine's, or a private network's.
type AddressError struct{ Address netip.Addr }

func (e *AddressError) Error() string {
	return fmt.Sprintf("%s is no address that a server on the internet has", e.Address)
}

// ErrHeader means that the header of the server's answer is longer than 32 KiB.
var ErrHeader = errors.New("the header of the answer is too long")

// ErrRedirect is a redirect that is not followed: the host would not be the one
// that card and operator named, or the POST would become a GET.
var ErrRedirect = errors.New("server redirects to another host or method")

// ClockError is our own clock: no certificate can be checked with it.
type ClockError struct {
	Now, Floor time.Time // what it says, and what it is never before when it is right
}

func (e *ClockError) Error() string {
	return fmt.Sprintf("our clock says %s, which is before %s", e.Now.UTC().Format(time.DateOnly), e.Floor.UTC().Format(time.DateOnly))
}

// TLSReason tells failed TLS connections apart.
type TLSReason string

// The reasons. Expired and NotYetValid depend on our clock as much as on the
// certificate.
const (
	TLSExpired     TLSReason = "expired"
	TLSNotYetValid TLSReason = "not-yet-valid"
	TLSUnknownCA   TLSReason = "unknown-ca"
	TLSWrongHost   TLSReason = "wrong-host"
	TLSBadCert     TLSReason = "bad-certificate" // anything else about the certificate
	TLSCurves      TLSReason = "curves"          // the server has only Brainpool curves, which Go does not have
	TLSHandshake   TLSReason = "handshake"       // no common version, curve or cipher; not TLS at all
)

// TLSError is a connection that was refused by us, or by the server during the
// handshake.
type TLSError struct {
	Server string
	Reason TLSReason
	// NotBefore, NotAfter and Issuer are the offending certificate's; zero for
	// TLSHandshake. Now is our clock.
	NotBefore, NotAfter, Now time.Time
	Issuer                   string
	Err                      error
}

func (e *TLSError) Error() string {
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02") }
	switch e.Reason {
	case TLSExpired:
		return fmt.Sprintf("certificate of %s expired on %s, and our clock says %s", e.Server, day(e.NotAfter), day(e.Now))
	case TLSNotYetValid:
		return fmt.Sprintf("certificate of %s is valid from %s, and our clock says %s", e.Server, day(e.NotBefore), day(e.Now))
	case TLSUnknownCA:
		return fmt.Sprintf("certificate of %s is from an issuer that is not trusted: %q", e.Server, e.Issuer)
	case TLSWrongHost:
		return fmt.Sprintf("certificate is not for %s", e.Server)
	case TLSCurves:
		return fmt.Sprintf("%s has only elliptic curves that are not supported: %v", e.Server, e.Err)
	}
	return fmt.Sprintf("TLS with %s failed: %v", e.Server, e.Err)
}

// Unwrap returns the error of crypto/tls or crypto/x509.
func (e *TLSError) Unwrap() error { return e.Err }

// diagnose turns what net/http returns into the errors above, without the URL.
func (c *Client) diagnose(function, server string, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	if errors.Is(err, ErrRedirect) {
		return fmt.Errorf("%s: %w", function, ErrRedirect)
	}
	if clock, ok := errors.AsType[*ClockError](err); ok {
		return fmt.Errorf("%s: %w", function, clock)
	}
	if strings.Contains(err.Error(), "server response headers exceeded") { // net/http has no type for it
		return fmt.Errorf("%s: %w: more than %d bytes", function, ErrHeader, maxHeader)
	}
	te := &TLSError{Server: server, Now: c.now(), Err: err}
	set := func(cert *x509.Certificate) {
		if cert != nil {
			te.NotBefore, te.NotAfter, te.Issuer = cert.NotBefore, cert.NotAfter, clean(cert.Issuer.String())
		}
	}
	var (
		curves    *curveError
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		verify    *tls.CertificateVerificationError
		alert     tls.AlertError
		record    tls.RecordHeaderError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &curves):
		te.Reason = TLSCurves
	case errors.As(err, &invalid):
		set(invalid.Cert)
		te.Reason = TLSBadCert
		if invalid.Reason == x509.Expired {
			te.Reason = TLSExpired
			if te.Now.Before(te.NotBefore) {
				te.Reason = TLSNotYetValid
			}
		}
	case errors.As(err, &authority):
		set(authority.Cert)
		te.Reason = TLSUnknownCA
	case errors.As(err, &host):
		set(host.Certificate)
		te.Reason = TLSWrongHost
	case errors.As(err, &verify):
		te.Reason = TLSBadCert
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &alert), errors.As(err, &record), errors.As(err, &remote) && remote.Op == "remote error":
		te.Reason = TLSHandshake
	default:
		return &NetworkError{Function: function, Server: server, Err: err}
	}
	return te
}
