//go:build !nodemo

package demo

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dynamod/euicc/euiccsim"
	"dynamod/euicc/sgp26"
)

// identities are the certificates and keys of the lab. A CI or EUM without a key
// is somebody else's; the servers' may be nil, they make their own then.
type identities struct {
	ci, eum, euicc      *sgp26.Authority
	dpAuth, dpPB, dpTLS *sgp26.Authority
	dsAuth, dsTLS       *sgp26.Authority
	dir                 string // where they are kept; "" nowhere
}

// identities makes the lab's identities, or takes those that an earlier run, or
// somebody, has left in Dir/identities: NAME.pem and NAME.key.pem.
func (o Options) identities(now time.Time) (_ *identities, err error) {
	id := new(identities)
	if o.Keep {
		id.dir = filepath.Join(o.Dir, "identities")
		if err := os.MkdirAll(id.dir, 0o700); err != nil {
			return nil, err
		}
	}
	if o.CI != "" {
		id.ci, err = sgp26.LoadCI(o.CI, o.CIKey)
	} else {
		id.ci, err = id.get("ci", nil, func() (*sgp26.Authority, error) { return sgp26.NewCI(now) })
	}
	if err != nil {
		return nil, err
	}
	if id.eum, err = id.get("eum", id.ci, func() (*sgp26.Authority, error) { return sgp26.NewEUM(id.ci, now, iin) }); err != nil {
		return nil, err
	}
	if id.euicc, err = id.get("euicc", id.eum, func() (*sgp26.Authority, error) {
		eid, err := newEID()
		if err != nil {
			return nil, err
		}
		return sgp26.NewEUICC(id.eum, eid, now)
	}); err != nil || id.dir == "" {
		return id, err
	}
	for _, s := range []struct {
		to   **sgp26.Authority
		name string
	}{{&id.dpAuth, "dpauth"}, {&id.dpPB, "dppb"}, {&id.dpTLS, "dptls"}, {&id.dsAuth, "dsauth"}, {&id.dsTLS, "dstls"}} {
		if *s.to, err = id.load(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return id, nil
}

// get loads an identity or makes it, for which issuer must have its key.
func (id *identities) get(name string, issuer *sgp26.Authority, issue func() (*sgp26.Authority, error)) (*sgp26.Authority, error) {
	a, err := id.load(name)
	if id.dir != "" && !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	if issuer != nil && issuer.Key == nil {
		return nil, fmt.Errorf("there is no %s in %s, and no key of its issuer to make one", name, id.dir)
	}
	if a, err = issue(); err != nil || id.dir == "" {
		return a, err
	}
	return a, a.Export(id.dir, name)
}

// load reads an identity. A CI's or EUM's key may be missing.
func (id *identities) load(name string) (*sgp26.Authority, error) {
	if id.dir == "" {
		return nil, fs.ErrNotExist
	}
	cert, key := filepath.Join(id.dir, name+".pem"), filepath.Join(id.dir, name+".key.pem")
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) && (name == "ci" || name == "eum") {
		c, err := sgp26.LoadCertificate(cert)
		if err != nil {
			return nil, err
		}
		return &sgp26.Authority{Cert: c, DER: c.Raw}, nil
	}
	return sgp26.Load(cert, key)
}

// keep writes what the servers have made for themselves.
func (id *identities) keep(l *Lab) error {
	if id.dir == "" {
		return nil
	}
	dpAuth, dpPB, dpTLS := l.Server.Identities()
	dsAuth, dsTLS := l.SMDS.Identities()
	return errors.Join(dpAuth.Export(id.dir, "dpauth"), dpPB.Export(id.dir, "dppb"), dpTLS.Export(id.dir, "dptls"),
		dsAuth.Export(id.dir, "dsauth"), dsTLS.Export(id.dir, "dstls"))
}

// card is the lab's card as CardOptions want it.
func (o Options) card(id *identities) (euiccsim.Config, error) {
	cfg := euiccsim.Config{
		EID: id.euicc.Cert.Subject.SerialNumber, EUICC: id.euicc, EUM: id.eum.Cert, CI: []*x509.Certificate{id.ci.Cert},
		DefaultDP: SMDP, RootDS: SMDS, Logger: o.Log,
	}
	if o.Keep {
		cfg.StateFile = filepath.Join(o.Dir, "card.json")
	}
	for _, field := range o.CardOptions {
		key, value, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "version":
			cfg.Version = value
		case "nvm":
			err = positive(&cfg.NVM, value)
		case "max-lc":
			err = positive(&cfg.MaxLc, value)
		case "get-response":
			err = boolean(&cfg.GetResponse, value)
		case "strict-segments":
			err = boolean(&cfg.StrictSegments, value)
		case "forbidden":
			err = rules(&cfg.Forbidden, value)
		default:
			err = errors.New("want version, nvm, max-lc, get-response, strict-segments or forbidden")
		}
		if err != nil {
			return cfg, fmt.Errorf("card option %q: %w", field, err)
		}
	}
	return cfg, nil
}

// rules reads a list of policy rules: 1, 2 or 1,2 (of which the comma may be +).
func rules[R ~byte](to *R, v string) error {
	for n := range strings.SplitSeq(strings.ReplaceAll(v, "+", ","), ",") {
		switch n {
		case "1":
			*to |= R(euiccsim.PPR1)
		case "2":
			*to |= R(euiccsim.PPR2)
		default:
			return errors.New("want 1, 2 or 1+2")
		}
	}
	return nil
}

func oneOf(v string, words ...string) error {
	for _, w := range words {
		if v == w {
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(words, ", "))
}

func boolean(to *bool, v string) error {
	*to = v == "yes"
	return oneOf(v, "yes", "no")
}

func positive(to *int, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return errors.New("want a number from 1")
	}
	*to = n
	return nil
}
