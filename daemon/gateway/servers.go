package gateway

import (
	"context"
	"fmt"
	"os"

	"dynamod/daemon/activation"
	"dynamod/daemon/outbox"
	"dynamod/euicc"
	"dynamod/euicc/ci"
	"dynamod/euicc/es9p"
	"dynamod/euicc/lpa"
)

// serverConfig is how servers are reached, and which are trusted.
func (g *Gateway) serverConfig() (lpa.Config, error) {
	extra, err := g.extraRoots()
	if err != nil {
		return lpa.Config{}, err
	}
	resolve := map[string]string{}
	for host, ap := range g.config().LPA.Resolve {
		resolve[host] = ap.String()
	}
	set, err := ci.ParseSet(g.config().LPA.CISet)
	if err != nil {
		return lpa.Config{}, err
	}
	return lpa.Config{
		CISet: set, ExtraCI: extra, Log: g.log,
		HTTP: es9p.Config{Resolve: resolve, Dial: g.dialServer, Now: g.clock.now, Floor: g.clock.floor, Log: g.log},
	}, nil
}

func (g *Gateway) extraRoots() ([]ci.Root, error) {
	var roots []ci.Root
	for _, path := range g.config().LPA.CI {
		pem, err := os.ReadFile(path)
		if err == nil {
			var r []ci.Root
			if r, err = ci.Parse(pem); err == nil {
				roots = append(roots, r...)
				continue
			}
		}
		return nil, &activation.Fault{Code: "bad-ci", Text: "[lpa] ci cannot be used", Err: fmt.Errorf("%s: %w", path, err), Advice: "name a file with the issuer's certificate in PEM", Retry: euicc.RetryNever}
	}
	return roots, nil
}

func (g *Gateway) countHTTP(s es9p.Stats) {
	g.mu.Lock()
	g.past.HTTPRequests += s.Requests
	g.past.TLSHandshakes += s.Handshakes
	g.mu.Unlock()
}

// servers gives the clients by which reports leave. The caller closes it.
type servers struct {
	g      *Gateway
	card   *lpa.Card               // nil when none is open
	absent map[string]*es9p.Client // by EID, for cards that are not open
}

// client is that of the entry's card, so that its connections serve on, or one
// with which only the servers of that card's issuers are trusted, as it would.
func (s *servers) client(ctx context.Context, e outbox.Entry) (*es9p.Client, error) {
	if s.card != nil && (s.card.EID().String() == e.EID || len(e.Issuers) == 0) {
		client, err := s.card.Client(ctx)
		if err == nil || len(e.Issuers) == 0 {
			return client, err
		}
	}
	if len(e.Issuers) == 0 {
		return nil, errNoIssuers
	}
	if client := s.absent[e.EID]; client != nil {
		return client, nil
	}
	cfg, err := s.g.serverConfig()
	if err != nil {
		return nil, err
	}
	client, err := lpa.NewClient(ctx, cfg, e.Issuers)
	if err != nil {
		return nil, err
	}
	if s.absent == nil {
		s.absent = map[string]*es9p.Client{}
	}
	s.absent[e.EID] = client
	return client, nil
}

func (s *servers) close() {
	for _, client := range s.absent {
		s.g.countHTTP(client.Stats())
		client.Close()
	}
}

// errNoIssuers is for what an earlier version has copied.
var errNoIssuers = &activation.Fault{
	Code: "card-needed", Text: "the report's card has to be read before it can be delivered, to know which servers to trust",
	Advice: "put the card back, and see `dynamod diag` for why it is not read", Retry: euicc.RetryLater,
}
