// Package smdpsim is an SM-DP+ (SGP.22 v2.5): an http.Handler that serves ES9+
// with real certificates, signatures, key agreement and profile protection, and
// that any LPA can download from. It binds whatever unprotected profile package
// it is given, keeps orders and sessions in memory, verifies what cards send
// back, and can be told to misbehave (SetFault).
//
// The steps: New, AddOrder for each profile, then serve Handler behind
// TLSConfig.
package smdpsim

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"dynamod/euicc/sgp26"
)

const (
	// DefaultOID is the SM-DP+ object identifier of SGP.26's first test SM-DP+.
	DefaultOID = "2.999.10"
	// sessionTime is how long an RSP session may rest between two requests.
	sessionTime = 15 * time.Minute
	// Bounds of what is kept; the oldest goes first.
	maxSessions      = 1024
	maxOrders        = 4096
	maxNotifications = 1024
)

// Config says who the server is. Address is required, and CI unless all three
// identities and CardCIs are given.
type Config struct {
	// Address is the SM-DP+ address (FQDN) that the server signs and puts into
	// activation codes. AddAddress adds others.
	Address string
	// OID of the SM-DP+; DefaultOID when empty. With identities given it must be theirs.
	OID string
	// CI issues the identities that are not given. Its key may be nil when none is to be made.
	CI *sgp26.Authority
	// DPauth, DPpb and TLS are the server's identities; nil makes one from CI.
	DPauth, DPpb, TLS *sgp26.Authority
	// Hosts are further DNS names and IP addresses for a TLS certificate that is made here.
	Hosts []string
	// CardCIs are roots of cards beyond CI, for a card of somebody else's.
	CardCIs []*x509.Certificate
	// CheckMemory refuses with 8.1/4.8 a card whose free memory (EUICCInfo2
	// extCardResource) is less than the profile package. Off, the card decides.
	CheckMemory bool
	// SessionTime is how long a session may rest; 15 minutes when 0.
	SessionTime time.Duration
	// Logger; nil discards. No matching ID or confirmation code is ever logged.
	Logger *slog.Logger
	// Now is the server's clock; time.Now when nil.
	Now func() time.Time
}

// Server is a running SM-DP+. Its methods may be called from any goroutine.
type Server struct {
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	ids   identities
	roots []*x509.Certificate // CIs that cards may chain to

	mu        sync.Mutex
	addresses []string
	sessions  map[string]*session // by transaction ID, upper-case hex
	orders    map[string]*order   // by matching ID
	sequence  []*order            // orders as they were added
	notes     []Notification      // every notification received
	listeners []func(Notification)
	faults    []*Fault
	stats     Stats
}

type identities struct{ auth, pb, tls *sgp26.Authority }

// New makes a server, and the certificates that cfg does not bring.
func New(cfg Config) (*Server, error) {
	if err := checkAddress(cfg.Address); err != nil {
		return nil, err
	}
	if cfg.OID == "" {
		cfg.OID = DefaultOID
	}
	if cfg.SessionTime <= 0 {
		cfg.SessionTime = sessionTime
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.CI == nil {
		return nil, errors.New("an SM-DP+ needs the certificate of its CI")
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, now: cfg.Now,
		ids:       identities{cfg.DPauth, cfg.DPpb, cfg.TLS},
		roots:     append([]*x509.Certificate{cfg.CI.Cert}, cfg.CardCIs...),
		addresses: []string{cfg.Address},
		sessions:  map[string]*session{},
		orders:    map[string]*order{},
		stats:     Stats{Requests: map[Function]int{}, Refusals: map[string]int{}},
	}
	if err := s.fillIdentities(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) fillIdentities() error {
	ci, now := s.cfg.CI, s.now()
	if (s.ids.auth == nil || s.ids.pb == nil || s.ids.tls == nil) && ci.Key == nil {
		return errors.New("no CI key to make the missing SM-DP+ identities with")
	}
	var err error
	if s.ids.auth == nil {
		if s.ids.auth, err = sgp26.NewDPauth(ci, s.cfg.OID, now); err != nil {
			return err
		}
	}
	if s.ids.pb == nil {
		if s.ids.pb, err = sgp26.NewDPpb(ci, s.cfg.OID, now); err != nil {
			return err
		}
	}
	if s.ids.tls == nil {
		if s.ids.tls, err = sgp26.NewTLS(ci, s.cfg.OID, s.hosts(), now); err != nil {
			return err
		}
	}
	for _, id := range []struct {
		a    *sgp26.Authority
		role sgp26.Role
	}{{s.ids.auth, sgp26.RoleDPAuth}, {s.ids.pb, sgp26.RoleDPPB}} {
		if err := sgp26.CheckRole(id.a.Cert, id.role); err != nil {
			return fmt.Errorf("%s certificate: %w", id.role, err)
		}
		if !bytes.Equal(id.a.Cert.AuthorityKeyId, ci.Cert.SubjectKeyId) {
			return fmt.Errorf("%s certificate was not issued by the CI", id.role)
		}
		oid, err := registeredID(id.a.Cert)
		if err != nil {
			return fmt.Errorf("%s certificate: %w", id.role, err)
		}
		if oid != s.cfg.OID {
			return fmt.Errorf("%s certificate is for OID %s, the server is %s", id.role, oid, s.cfg.OID)
		}
	}
	return nil
}

// hosts are the names for a TLS certificate: the address without its port first.
func (s *Server) hosts() []string {
	host := s.cfg.Address
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return append([]string{host}, s.cfg.Hosts...)
}

// Identities returns the server's three identities, for Export.
func (s *Server) Identities() (dpAuth, dpPB, tlsServer *sgp26.Authority) {
	return s.ids.auth, s.ids.pb, s.ids.tls
}

// AddAddress makes the server answer to a further SM-DP+ address, such as
// host:port. A session uses the address that the LPA named.
func (s *Server) AddAddress(address string) error {
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
func (s *Server) address(a string) string {
	for _, own := range s.addresses {
		if strings.EqualFold(own, a) {
			return own
		}
	}
	return ""
}

func checkAddress(a string) error {
	if a == "" || len(a) > 255 || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' || r == '$' || r == '/' }) {
		return fmt.Errorf("%q is no SM-DP+ address", a)
	}
	return nil
}

// TLSConfig returns the server side of ES9+ (SGP.22 2.6.6): TLS 1.2 or later
// with the DPtls certificate. It counts handshakes and obeys TLS faults.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{
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
}

// Stats counts what has happened since New.
type Stats struct {
	Requests      map[Function]int // HTTP requests by ES9+ function
	HTTPRequests  int              // all of them, unknown paths too
	TLSHandshakes int              // that reached the client's last flight
	BytesIn       int64            // request bodies
	BytesOut      int64            // response bodies
	Refusals      map[string]int   // status codes sent, as "8.2.6/3.8"
}

// Stats returns a copy of the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Requests = make(map[Function]int, len(s.stats.Requests))
	for k, v := range s.stats.Requests {
		st.Requests[k] = v
	}
	st.Refusals = make(map[string]int, len(s.stats.Refusals))
	for k, v := range s.stats.Refusals {
		st.Refusals[k] = v
	}
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
func (s *Server) newSession(address string) *session {
	s.expireSessions()
	ss := &session{id: random(16), address: address, challenge: random(16), expires: s.now().Add(s.cfg.SessionTime)}
	ss.name = strings.ToUpper(hex.EncodeToString(ss.id))
	s.sessions[ss.name] = ss
	return ss
}

func (s *Server) expireSessions() {
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
func (s *Server) findSession(id string) (*session, error) {
	ss := s.sessions[strings.ToUpper(id)]
	if ss == nil || s.now().After(ss.expires) {
		return nil, fail(codeTransactionUnknown, "no session has this transaction ID")
	}
	ss.expires = s.now().Add(s.cfg.SessionTime)
	return ss, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, crypto/rand says
	return b
}
