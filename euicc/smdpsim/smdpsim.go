package smdpsim

import (
	"crypto/x509"
	"log/slog"
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
	// OID of the SM-DP+. Empty is DPauth's if that is given, else DefaultOID; all
	// identities must have the same.
	OID string
	// CI issues the identities that are not given. Its key may be nil when none is to be made.
	CI *sgp26.Authority
	// DPauth, DPpb and TLS are the server's identities; nil makes one from CI.
	DPauth, DPpb, TLS *sgp26.Authority
	// Hosts are further DNS names and IP addresses for a TLS certificate that is made here.
	Hosts []string
	// CardCIs are roots of cards beyond CI, for a card of somebody else's.
	CardCIs []*x509.Certificate
	// SMDS gets an event for each order with Discover; nil when there is none.
	SMDS *SMDS
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
	endpoint
	cfg Config
	pb  *sgp26.Authority

	// guarded by endpoint.mu
	orders    map[string]*order // by matching ID
	sequence  []*order          // orders as they were added
	notes     []Notification    // every notification received
	listeners []func(Notification)
}

// New makes a server, and the certificates that cfg does not bring.
func New(cfg Config) (*Server, error) {
	var err error
	if cfg.OID, err = ownOID(cfg.OID, cfg.DPauth, DefaultOID); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, pb: cfg.DPpb, orders: map[string]*order{}}
	err = s.open(endpointConfig{
		role: roleSMDP, address: cfg.Address, oid: cfg.OID, ci: cfg.CI, auth: cfg.DPauth, tls: cfg.TLS, hosts: cfg.Hosts,
		cardCIs: cfg.CardCIs, sessionTime: cfg.SessionTime, log: cfg.Logger, now: cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	if s.pb == nil {
		if cfg.CI.Key == nil {
			return nil, errNoKey
		}
		if s.pb, err = sgp26.NewDPpb(cfg.CI, cfg.OID, s.now()); err != nil {
			return nil, err
		}
	}
	return s, s.checkIdentity(s.pb, sgp26.RoleDPPB)
}

// Identities returns the server's three identities, for Export.
func (s *Server) Identities() (dpAuth, dpPB, tlsServer *sgp26.Authority) {
	return s.auth, s.pb, s.tls
}
