package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"dynamod/euicc/ci"
	"dynamod/euicc/es9p"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/lpa"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

const (
	eid  = "89049032000001000000000000000017"
	host = "smdp.example.com"
)

// lab is a card and a server of one issuer.
type lab struct {
	issuer *sgp26.Authority
	card   *euiccsim.Card
	server net.Listener
	code   string
}

func newLab() (*lab, error) {
	now := time.Now()
	issuer, err := sgp26.NewCI(now)
	if err != nil {
		return nil, err
	}
	maker, err := sgp26.NewEUM(issuer, now)
	if err != nil {
		return nil, err
	}
	identity, err := sgp26.NewEUICC(maker, eid, now)
	if err != nil {
		return nil, err
	}
	card, err := euiccsim.New(euiccsim.Config{EID: eid, EUICC: identity, EUM: maker.Cert, CI: []*x509.Certificate{issuer.Cert}})
	if err != nil {
		return nil, err
	}
	smdp, err := smdpsim.New(smdpsim.Config{Address: host, CI: issuer})
	if err != nil {
		return nil, err
	}
	profile, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8900101000000000018", IMSI: "001010000000001"})
	if err != nil {
		return nil, err
	}
	code, err := smdp.AddOrder(smdpsim.Order{UPP: profile, MatchingID: "EXAMPLE", Metadata: smdpsim.Metadata{Name: "Example"}})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = http.Serve(tls.NewListener(l, smdp.TLSConfig()), smdp.Handler()) }()
	return &lab{issuer, card, l, code}, nil
}

func (l *lab) Close() { _ = l.server.Close() }

func (l *lab) config() lpa.Config {
	return lpa.Config{
		Transport: l.card,
		ExtraCI:   []ci.Root{{Name: "lab", KeyID: l.issuer.Cert.SubjectKeyId, Cert: l.issuer.Cert}},
		HTTP:      es9p.Config{Resolve: map[string]string{host: l.server.Addr().String()}},
	}
}
