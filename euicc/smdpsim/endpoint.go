package smdpsim

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"time"

	"dynamod/euicc/sgp26"
)

// endpoint is what SM-DP+ and SM-DS have in common: they authenticate themselves
// and the card in the same way (SGP.22 3.0.1), over the same HTTP.
type endpoint struct {
	role        serverRole
	log         *slog.Logger
	now         func() time.Time
	ci          *sgp26.Authority
	oid         string
	auth, tls   *sgp26.Authority
	roots       []*x509.Certificate // CIs that cards may chain to
	names       []string            // of a TLS certificate that is made here
	sessionTime time.Duration

	mu        sync.Mutex
	addresses []string
	sessions  map[string]*session // by transaction ID, upper-case hex
	faults    []*Fault
	form      Form
	stats     Stats
}

// serverRole is what SGP.22 has twice, once for each kind of server.
type serverRole struct {
	name      string
	auth, tls sgp26.Role
	newAuth   func(ci *sgp26.Authority, oid string, now time.Time) (*sgp26.Authority, error)
	newTLS    func(ci *sgp26.Authority, oid string, hosts []string, now time.Time) (*sgp26.Authority, error)

	// 5.6.1 and 5.8.1: address refused, SVN unsupported, no CI for the eUICC's
	// signatures, no certificate that the eUICC can verify.
	address, svn, noSigningCI, noServerChain code
}

var (
	roleSMDP = serverRole{
		"SM-DP+", sgp26.RoleDPAuth, sgp26.RoleDPTLS, sgp26.NewDPauth, sgp26.NewTLS,
		code{"8.8.1", "3.8"}, code{"8.8.3", "3.1"}, code{"8.8.2", "3.1"}, code{"8.8.4", "3.7"},
	}
	roleSMDS = serverRole{
		"SM-DS", sgp26.RoleDSAuth, sgp26.RoleDSTLS, sgp26.NewDSauth, sgp26.NewDSTLS,
		code{"8.9.1", "3.8"}, code{"8.9.3", "3.1"}, code{"8.9.2", "3.1"}, code{"8.9.4", "3.7"},
	}
)

// endpointConfig is what Config and SMDSConfig share.
type endpointConfig struct {
	role          serverRole
	address, oid  string
	ci, auth, tls *sgp26.Authority
	hosts         []string
	cardCIs       []*x509.Certificate
	sessionTime   time.Duration
	log           *slog.Logger
	now           func() time.Time
}

var errNoKey = errors.New("no CI key to make the missing identities with")

func (e *endpoint) open(cfg endpointConfig) error {
	if err := checkAddress(cfg.address); err != nil {
		return err
	}
	if cfg.ci == nil {
		return fmt.Errorf("an %s needs the certificate of its CI", cfg.role.name)
	}
	e.role, e.ci, e.oid, e.auth, e.tls = cfg.role, cfg.ci, cfg.oid, cfg.auth, cfg.tls
	e.sessionTime, e.log, e.now = cfg.sessionTime, cfg.log, cfg.now
	if e.sessionTime <= 0 {
		e.sessionTime = sessionTime
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.roots = append([]*x509.Certificate{cfg.ci.Cert}, cfg.cardCIs...)
	e.addresses = []string{cfg.address}
	e.sessions = map[string]*session{}
	e.stats = Stats{Requests: map[Function]int{}, Refusals: map[string]int{}}
	host := cfg.address
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	e.names = append([]string{host}, cfg.hosts...)
	if (e.auth == nil || e.tls == nil) && e.ci.Key == nil {
		return errNoKey
	}
	var err error
	if e.auth == nil {
		if e.auth, err = e.role.newAuth(e.ci, e.oid, e.now()); err != nil {
			return err
		}
	}
	if e.tls == nil {
		if e.tls, err = e.role.newTLS(e.ci, e.oid, e.names, e.now()); err != nil {
			return err
		}
	}
	return e.checkIdentity(e.auth, e.role.auth)
}

// ownOID is a server's object identifier: what it is told, its certificate's, or
// the usual one.
func ownOID(told string, auth *sgp26.Authority, usual string) (string, error) {
	if told != "" || auth == nil {
		return cmp.Or(told, usual), nil
	}
	return registeredID(auth.Cert)
}

// checkIdentity holds a certificate for signing against what the server says it is.
func (e *endpoint) checkIdentity(a *sgp26.Authority, role sgp26.Role) error {
	if err := sgp26.CheckRole(a.Cert, role); err != nil {
		return fmt.Errorf("%s certificate: %w", role, err)
	}
	if !bytes.Equal(a.Cert.AuthorityKeyId, e.ci.Cert.SubjectKeyId) {
		return fmt.Errorf("%s certificate was not issued by the CI", role)
	}
	oid, err := registeredID(a.Cert)
	if err != nil {
		return fmt.Errorf("%s certificate: %w", role, err)
	}
	if oid != e.oid {
		return fmt.Errorf("%s certificate is for OID %s, the server is %s", role, oid, e.oid)
	}
	return nil
}

// AddAddress makes the server answer to a further address, such as
// host:port. A session uses the address that the LPA named.
func (s *endpoint) AddAddress(address string) error {
	if err := checkAddress(address); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address(address) == "" {
		s.addresses = append(s.addresses, address)
	}
	return nil
}

// address returns the server's own spelling of one of its addresses, or "".
// The comparison ignores case (SGP.22 5.6.1).
func (s *endpoint) address(a string) string {
	for _, own := range s.addresses {
		if strings.EqualFold(own, a) {
			return own
		}
	}
	return ""
}

func checkAddress(a string) error {
	if a == "" || len(a) > 255 || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' || r == '$' || r == '/' }) {
		return fmt.Errorf("%q is no server address", a)
	}
	return nil
}

// TLSConfig returns the server side of ES9+ and ES11 (SGP.22 2.6.6): TLS 1.2 or
// later. It counts handshakes and obeys TLS faults.
func (s *endpoint) TLSConfig() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			id, err := s.tlsIdentity()
			if err != nil {
				return nil, err
			}
			return &tls.Certificate{Certificate: [][]byte{id.DER}, PrivateKey: id.Key}, nil
		},
		VerifyConnection: func(tls.ConnectionState) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stats.TLSHandshakes++
			return nil
		},
	}
	// Only key exchanges that no ECDSA certificate can do: the handshake ends with
	// the alert that a server with nothing but Brainpool keys gives.
	nothing := cfg.Clone()
	nothing.MaxVersion = tls.VersionTLS12
	nothing.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	old, modern := cfg.Clone(), cfg.Clone()
	old.MaxVersion, modern.MinVersion = tls.VersionTLS12, tls.VersionTLS13
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		for kind, c := range map[FaultKind]*tls.Config{FaultTLSHandshake: nothing, FaultTLS12: old, FaultTLS13: modern} {
			if _, ok := s.takeFault(kind, ""); ok {
				return c, nil
			}
		}
		return nil, nil
	}
	return cfg
}

// Stats counts what has happened since New.
type Stats struct {
	Requests      map[Function]int // HTTP requests by function
	HTTPRequests  int              // all of them, unknown paths too
	TLSHandshakes int              // that reached the client's last flight
	BytesIn       int64            // request bodies
	BytesOut      int64            // response bodies
	Refusals      map[string]int   // status codes sent, as "8.2.6/3.8"
}

// Stats returns a copy of the counters.
func (s *endpoint) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Requests, st.Refusals = maps.Clone(st.Requests), maps.Clone(st.Refusals)
	return st
}

// session is one RSP session, from InitiateAuthentication to its end.
type session struct {
	id            []byte // transaction ID, 16 bytes
	name          string // the same in upper-case hex
	address       string // as the LPA named the server
	challenge     []byte // serverChallenge
	expires       time.Time
	euicc         *x509.Certificate // set by AuthenticateClient
	order         *order
	metadata      []byte // StoreMetadataRequest as announced
	signature2    []byte // smdpSignature2 with its tag 5F37
	offeredOtpk   []byte // bppEuiccOtpk of smdpSigned2, if any
	authenticated bool
	eid           string
	pb            *sgp26.Authority // signs for this session
}

// newSession stores a session under a fresh transaction ID.
func (s *endpoint) newSession(address string) *session {
	s.expireSessions()
	ss := &session{id: random(16), address: address, challenge: random(16), expires: s.now().Add(s.sessionTime)}
	ss.name = strings.ToUpper(hex.EncodeToString(ss.id))
	s.sessions[ss.name] = ss
	return ss
}

func (s *endpoint) expireSessions() {
	now := s.now()
	var oldest *session
	for name, ss := range s.sessions {
		if now.After(ss.expires) {
			delete(s.sessions, name)
			continue
		}
		if oldest == nil || ss.expires.Before(oldest.expires) {
			oldest = ss
		}
	}
	if len(s.sessions) >= maxSessions {
		delete(s.sessions, oldest.name)
	}
}

// findSession returns the running session of a transaction ID, or 8.10.1/3.9.
func (s *endpoint) findSession(id string) (*session, error) {
	ss := s.sessions[strings.ToUpper(id)]
	if ss == nil || s.now().After(ss.expires) {
		return nil, fail(codeTransactionUnknown, "no session has this transaction ID")
	}
	ss.expires = s.now().Add(s.sessionTime)
	return ss, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, crypto/rand says
	return b
}
