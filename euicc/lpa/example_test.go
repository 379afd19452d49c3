package lpa_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/ci"
	"dynamod/euicc/es9p"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/lpa"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

// simulated makes a card and a server of one issuer, and an order between them.
func simulated() (cfg lpa.Config, code string, stop func(), err error) {
	const eid, host = "89049032000001000000000000000017", "smdp.example.com"
	now := time.Now()
	issuer, err := sgp26.NewCI(now)
	if err != nil {
		return cfg, "", nil, err
	}
	maker, err := sgp26.NewEUM(issuer, now)
	if err != nil {
		return cfg, "", nil, err
	}
	identity, err := sgp26.NewEUICC(maker, eid, now)
	if err != nil {
		return cfg, "", nil, err
	}
	card, err := euiccsim.New(euiccsim.Config{EID: eid, EUICC: identity, EUM: maker.Cert, CI: []*x509.Certificate{issuer.Cert}})
	if err != nil {
		return cfg, "", nil, err
	}
	server, err := smdpsim.New(smdpsim.Config{Address: host, CI: issuer})
	if err != nil {
		return cfg, "", nil, err
	}
	profile, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8900101000000000018", IMSI: "001010000000001"})
	if err != nil {
		return cfg, "", nil, err
	}
	code, err = server.AddOrder(smdpsim.Order{UPP: profile, MatchingID: "EXAMPLE", Metadata: smdpsim.Metadata{Name: "Example"}})
	if err != nil {
		return cfg, "", nil, err
	}
	s := httptest.NewUnstartedServer(server.Handler())
	s.TLS = server.TLSConfig()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return lpa.Config{
		Transport: card,
		ExtraCI:   []ci.Root{{Name: "lab", KeyID: issuer.Cert.SubjectKeyId, Cert: issuer.Cert}},
		HTTP:      es9p.Config{Resolve: map[string]string{host: s.Listener.Addr().String()}},
	}, code, s.Close, nil
}

// From an activation code to an enabled profile.
func Example() {
	cfg, text, stop, err := simulated() // with a modem, cfg.Transport is the modem
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	ctx := context.Background()
	card, err := lpa.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer card.Close()
	code, err := euicc.ParseActivationCode(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := card.Authenticate(ctx, code)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.Metadata.Name, order.Metadata.Class, order.ConfirmationRequired)
	if _, err := order.Download(ctx, "", nil); err != nil {
		fmt.Println(err)
		return
	}
	if err := card.Enable(ctx, order.Metadata.ICCID, true); err != nil {
		fmt.Println(err)
		return
	}
	profiles, err := card.Profiles(ctx)
	for _, p := range profiles {
		fmt.Println(p.ICCID, p.State, err)
	}
	// Output:
	// Example operational false
	// 8900101000000000018 enabled <nil>
}

func ExampleCheckMemory() {
	err := lpa.CheckMemory(10_000, 24_000)
	fmt.Println(euicc.CodeOf(err), euicc.RetryOf(err))
	// Output: memory ask
}
