package lpa

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/ci"
	"dynamod/euicc/es9p"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

const (
	testEID   = "89049032000001000000000000000017"
	testICCID = "8900101000000000018"
	testHost  = "smdpp.lab.test"
)

var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// lab is a card and a server of one issuer, with TLS over the loopback between
// us and the server.
type lab struct {
	testing.TB
	ci, eum, id *sgp26.Authority
	card        *euiccsim.Card
	server      *smdpsim.Server
	cfg         Config
}

func newLab(t testing.TB, change ...func(*euiccsim.Config)) *lab {
	t.Helper()
	l := &lab{TB: t}
	must := func(a *sgp26.Authority, err error) *sgp26.Authority {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	l.ci = must(sgp26.NewCI(testNow))
	l.eum = must(sgp26.NewEUM(l.ci, testNow))
	l.id = must(sgp26.NewEUICC(l.eum, testEID, testNow))
	cc := euiccsim.Config{EID: testEID, EUICC: l.id, EUM: l.eum.Cert, CI: []*x509.Certificate{l.ci.Cert}}
	for _, f := range change {
		f(&cc)
	}
	var err error
	if l.card, err = euiccsim.New(cc); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return testNow }
	if l.server, err = smdpsim.New(smdpsim.Config{Address: testHost, CI: l.ci, Now: clock}); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(l.server.Handler())
	s.TLS = l.server.TLSConfig()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	l.cfg = Config{
		Transport: l.card,
		IMEI:      "356938035643809",
		ExtraCI:   []ci.Root{{Name: "lab", KeyID: l.ci.Cert.SubjectKeyId, Cert: l.ci.Cert}},
		HTTP:      es9p.Config{Resolve: map[string]string{testHost: s.Listener.Addr().String()}, Now: clock, Timeout: 30 * time.Second},
	}
	return l
}

// open opens the card; it is closed with the test.
func (l *lab) open() *Card {
	l.Helper()
	c, err := Open(context.Background(), l.cfg)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = c.Close() })
	return c
}

// order adds an order with the small test profile unless it has one.
func (l *lab) order(o smdpsim.Order) euicc.ActivationCode {
	l.Helper()
	if o.UPP == nil {
		var err error
		if o.UPP, err = smdpsim.TestProfile(smdpsim.ProfileData{ICCID: testICCID, IMSI: "001010000000001", Filler: 3000}); err != nil {
			l.Fatal(err)
		}
	}
	text, err := l.server.AddOrder(o)
	if err != nil {
		l.Fatal(err)
	}
	code, err := euicc.ParseActivationCode(text)
	if err != nil {
		l.Fatal(err)
	}
	return code
}

// status is the only order's.
func (l *lab) status() smdpsim.OrderStatus { return l.server.Orders()[0] }

func ts48(t testing.TB, name string) []byte {
	t.Helper()
	upp, err := os.ReadFile("../../../shared/data/ts48/" + name + ".der")
	if err != nil {
		t.Skip("no TS.48 profile here: ", err)
	}
	return upp
}
