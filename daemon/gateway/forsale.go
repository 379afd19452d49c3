package gateway

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/directory"
	"dynamod/daemon/dynamo/moapi"
	"dynamod/daemon/hook"
	"dynamod/euicc"
)

var errNoDirectory = errors.New("[dynamo] directory is not set")

// directory is a client of the directory service; done gives it back. The files that
// the configuration names may be renewed: they are read each time.
func (g *Gateway) directory() (c *directory.Client, done func(), err error) {
	cfg := &g.config().Dynamo
	if cfg.Directory == "" {
		return nil, nil, errNoDirectory
	}
	token, err := config.ReadSecret(cfg.TokenFile)
	if err != nil {
		return nil, nil, fmt.Errorf("[dynamo] token_file: %w", err)
	}
	rt, err := moapi.Transport(cosa.MOAPI{})
	if err != nil {
		return nil, nil, err
	}
	rt.DialContext = g.dial
	if rt.TLSClientConfig.RootCAs, err = config.ReadIssuers(cfg.CA); err != nil {
		return nil, nil, fmt.Errorf("[dynamo] ca: %w", err)
	}
	return directory.NewClient(cfg.Directory, token, g.dynamoDir(), rt, dynamo.NewTransactionID, g.clock.now), rt.CloseIdleConnections, nil
}

// catalogue reads the signed list that came with the box.
func (g *Gateway) catalogue() (*directory.Catalogue, error) {
	cfg := &g.config().Dynamo
	if cfg.Catalogue == "" {
		return nil, nil
	}
	f, err := os.Open(cfg.Catalogue)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, directory.MaxCatalogue+1))
	if err != nil {
		return nil, err
	}
	environment := "production"
	if cfg.Staging {
		environment = "staging"
	}
	return directory.OpenCatalogue(ed25519.PublicKey(cfg.CatalogueKey), environment, text)
}

// listed are the operators of the directory service or of the catalogue, as they were
// listed last.
func (g *Gateway) listed() []cosa.OperatorProfile {
	g.mu.Lock()
	list := g.offers
	g.mu.Unlock()
	if list != nil {
		return list
	}
	if l := g.kept(); l != nil {
		return l.Operators
	}
	if k, err := g.catalogue(); err == nil && k != nil {
		return k.Operators
	}
	return nil
}

// kept is the last list of the directory service, nil for none.
func (g *Gateway) kept() *directory.Listing {
	return directory.NewClient("", "", g.dynamoDir(), nil, nil, nil).Kept()
}

func (g *Gateway) setListed(list []cosa.OperatorProfile) {
	g.mu.Lock()
	g.offers = list
	g.mu.Unlock()
}

// seller is the record of an operator with a portal by its ID, nil if there is none.
func (g *Gateway) seller(id string) *cosa.OperatorProfile {
	for p := range g.getOperators().Profiles() {
		if p.ID == id && p.Portal.URL != "" {
			return p
		}
	}
	if !strings.HasPrefix(id, directory.Prefix) {
		return nil
	}
	list := g.listed()
	if at := slices.IndexFunc(list, func(p cosa.OperatorProfile) bool { return p.ID == id }); at >= 0 {
		return &list[at]
	}
	return nil
}

// country is the one where the router is: of the serving network, else the
// configured one; "" where nobody knows.
func (g *Gateway) country() string {
	return cmp.Or(g.location(g.status.Snapshot()), strings.ToUpper(g.config().Dynamo.Country))
}

// Operators lists who sells a plan here or, with a phone number, whose that is.
func (g *Gateway) Operators(ctx context.Context, msisdn string) (hook.Operators, error) {
	if msisdn != "" {
		return g.lookup(ctx, msisdn)
	}
	out := hook.Operators{Operators: []hook.Seller{}, Country: g.country(), Source: hook.FromRecords}
	var list []cosa.OperatorProfile
	why := g.ask(ctx, func(ctx context.Context, c *directory.Client) error {
		q := directory.Query{Country: out.Country, ESIMCapable: true} // whether there is a choice is seen below
		if r := g.status.Snapshot().Registration; r != nil && cosa.IsMCCMNC(r.PLMN) {
			q.MCCMNC = r.PLMN
		}
		l, err := c.Operators(ctx, q)
		if err != nil {
			return err
		}
		list, out.Source, out.At = l.Operators, hook.FromDirectory, l.At
		if l.Err != nil {
			out.Source = hook.FromCache
		}
		g.setListed(list)
		return l.Err
	})
	// The list of another query will do where it is known what of it is sold here.
	if l := g.kept(); list == nil && why != nil && out.Country != "" && l != nil {
		list, out.Source, out.At = l.Operators, hook.FromCache, l.At
	}
	if list == nil {
		if k, err := g.catalogue(); err != nil {
			g.log.Error("[dynamo] catalogue", "error", err)
			why = errors.Join(why, err)
		} else if k != nil {
			list, out.Source, out.At = k.Operators, hook.FromCatalogue, k.Issued
			g.setListed(list)
		}
	}
	if why != nil {
		out.Error = why.Error()
		_, err := g.ways(ctx)
		out.Offline = err != nil
	}
	db, err := g.getOperators().With(list)
	if err != nil {
		g.log.Error("the list of operators is left out", "source", out.Source, "error", err)
		db = g.getOperators()
	}
	var where []string
	if out.Country != "" {
		where = []string{strings.ToLower(out.Country)}
	}
	snap := g.status.Snapshot()
	for _, p := range dynamo.Catalogue(db, where...) {
		// Without an eUICC there is no choice: the SIM's own operator sells to it.
		if g.embedded() || snap.SIM == nil || snap.SIM.ICCID == "" || p.Portal.Serves(snap.SIM.ICCID) {
			out.Operators = append(out.Operators, viewSeller(p))
		}
	}
	return out, nil
}

func viewSeller(p *cosa.OperatorProfile) hook.Seller {
	return hook.Seller{ID: p.ID, Brand: dynamo.Brand(p), Portal: p.Portal.URL, MayAnswer: len(p.Portal.CallbackHosts) > 0}
}

// ask asks the directory service, if there is one.
func (g *Gateway) ask(ctx context.Context, f func(context.Context, *directory.Client) error) error {
	c, done, err := g.directory()
	if errors.Is(err, errNoDirectory) {
		return nil
	}
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, call.Timeout)
	defer cancel()
	if err := os.MkdirAll(g.dynamoDir(), 0o700); err != nil {
		g.log.Warn("the list of operators is not kept", "error", err)
	}
	return f(ctx, c)
}

// lookup finds the operator of a phone number.
func (g *Gateway) lookup(ctx context.Context, msisdn string) (hook.Operators, error) {
	out := hook.Operators{Operators: []hook.Seller{}, Country: g.country(), Source: hook.FromDirectory}
	if _, err := directory.ParseMSISDN(msisdn); err != nil {
		return out, &activation.Fault{Code: "bad-number", Text: err.Error(), Advice: "such as +14255550100", Retry: euicc.RetryNever}
	}
	if g.config().Dynamo.Directory == "" {
		return out, &activation.Fault{Code: "no-directory", Text: "nobody is named who knows whose a phone number is", Advice: "set [dynamo] directory, or choose the operator from the list", Retry: euicc.RetryAsk}
	}
	err := g.ask(ctx, func(ctx context.Context, c *directory.Client) error {
		o, err := c.Lookup(ctx, msisdn)
		if err != nil {
			return err
		}
		out.Network, out.How = o.MCCMNC, o.How
		for p := range g.getOperators().Profiles() { // a record of the router's own comes first
			if p.Portal.URL != "" && slices.Contains(p.Portal.MCCMNC, o.MCCMNC) {
				out.Operators = append(out.Operators, viewSeller(p))
				return nil
			}
		}
		if o.Operator != nil {
			list := slices.DeleteFunc(slices.Clone(g.listed()), func(p cosa.OperatorProfile) bool { return p.ID == o.Operator.ID })
			g.setListed(append(list, *o.Operator))
			out.Operators = append(out.Operators, viewSeller(o.Operator))
		}
		return nil
	})
	if e, ok := errors.AsType[*call.Error](err); ok {
		return out, &activation.Fault{Code: "lookup-" + e.Code, Text: "the operator of this number is not known", Err: err, Advice: e.Hint(), Retry: euicc.RetryLater}
	}
	return out, err
}
