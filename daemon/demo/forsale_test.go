//go:build linux && !nodemo

package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/dynamo/directory"
	"dynamod/daemon/hook"
)

var (
	directoryAddr = netip.AddrPortFrom(netlab.SMDPAddr, directoryPort).String()
	directoryURL  = "https://" + directoryAddr
)

// serveDirectory has h at the directory's address, until end.
func (w *crashWorld) serveDirectory(pair tls.Certificate, h http.Handler) (end func()) {
	w.t.Helper()
	ln, err := w.n.ListenInternet("tcp", directoryAddr)
	if err != nil {
		w.t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}}))
	}()
	return func() { srv.Close(); <-served }
}

// TestOperatorsForHere lists who sells a plan: by the directory service, by its last
// list, by the signed catalogue, by the router's own records, and with no connection.
func TestOperatorsForHere(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	withDirectory, withCatalogue := true, false
	story := crashStory{set: func(c *config.Config) {
		c.Dynamo = config.Dynamo{Country: "de"}
		if withDirectory {
			c.Dynamo.Directory, c.Dynamo.TokenFile, c.Dynamo.CA = directoryURL, filepath.Join(dir, "token"), filepath.Join(dir, "directory.pem")
		}
		if withCatalogue {
			c.Dynamo.Catalogue, c.Dynamo.CatalogueKey = filepath.Join(dir, "catalogue.json"), string(public)
		}
	}}
	inCrashWorld(t, story, func(t *testing.T, w *crashWorld) {
		dir = w.dir
		if err := WritePortal(dir); err != nil {
			t.Fatal(err)
		}
		pair, ca, err := selfSigned(netlab.SMDPAddr.String())
		if err != nil {
			t.Fatal(err)
		}
		record := func(id, brand, country string) *cosa.OperatorProfile {
			return &cosa.OperatorProfile{ID: id, Name: brand, Country: country, Source: cosa.SourceLocal, Rank: cosa.DefaultRank,
				Portal: cosa.Portal{URL: "https://" + id + ".example/mp", CallbackHosts: []string{id + ".example"}, MCCMNC: []string{"26207"}}}
		}
		records := []*cosa.OperatorProfile{record("contoso", "Contoso", "de"), record("fabrikam", "Fabrikam", "us")}
		service := &directory.Service{
			Operators: records, Environment: "production", Key: key, Validity: time.Hour, Log: slog.New(slog.DiscardHandler), Now: time.Now,
			Router:    func(token string) string { return strings.TrimPrefix(token, "not-") },
			Countries: func(string) []string { return []string{"de"} },
			Network: func(msisdn string) (string, string) {
				if strings.HasPrefix(msisdn, "+49") {
					return "26207", "prefix"
				}
				return "", ""
			},
		}
		signed, err := directory.SignCatalogue(key, "production", time.Now(), time.Now().Add(time.Hour), records)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{"token": []byte("token\n"), "directory.pem": ca, "catalogue.json": signed} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, row := range []struct {
			name                                  string
			directory, up, catalogue, cut, online bool
			source                                hook.SellerSource
			brands                                string
			fails                                 bool
		}{
			{name: "its last list was never there", directory: true, online: true, source: hook.FromRecords, brands: "Lab Mobile", fails: true},
			{name: "the directory answers", directory: true, up: true, online: true, source: hook.FromDirectory, brands: "Contoso, Lab Mobile"},
			{name: "it cannot be reached", directory: true, online: true, source: hook.FromCache, brands: "Contoso, Lab Mobile", fails: true},
			{name: "there is no connection", directory: true, source: hook.FromCache, brands: "Contoso, Lab Mobile", fails: true},
			{name: "and nothing is kept", directory: true, cut: true, source: hook.FromRecords, brands: "Lab Mobile", fails: true},
			{name: "but the catalogue", directory: true, cut: true, catalogue: true, source: hook.FromCatalogue, brands: "Contoso, Lab Mobile", fails: true},
			{name: "a box without a directory", catalogue: true, online: true, source: hook.FromCatalogue, brands: "Contoso, Lab Mobile"},
			{name: "a box with its own records alone", online: true, source: hook.FromRecords, brands: "Lab Mobile"},
		} {
			withDirectory, withCatalogue = row.directory, row.catalogue
			end := func() {}
			if row.up {
				end = w.serveDirectory(pair, service.Handler())
			}
			if row.cut {
				if err := os.RemoveAll(filepath.Join(dir, "box", "state", "dynamo")); err != nil {
					t.Fatal(err)
				}
			}
			w.Operator.SetLine(w.old, Line{Unseen: !row.online})
			r := w.newReaper(nil, false)
			err := w.daemon(r, func(ctx context.Context, c *hook.Client) error {
				if row.online {
					if err := w.settled(ctx, r, c); err != nil {
						return err
					}
				} else {
					time.Sleep(5 * time.Minute) // so that the card is read, and no network is there
				}
				var got hook.Operators
				if err := c.Do(ctx, http.MethodGet, "/v1/dynamo/operators", nil, nil, &got); err != nil {
					return err
				}
				var brands []string
				for _, o := range got.Operators {
					brands = append(brands, o.Brand)
				}
				if got.Source != row.source || strings.Join(brands, ", ") != row.brands || got.Country != "DE" || (got.Error != "") != row.fails || got.Offline == row.online || row.source == hook.FromCache && got.At.IsZero() {
					t.Errorf("%s: %+v", row.name, got)
				}
				if row.catalogue || row.up || row.source == hook.FromCache {
					var v hook.PortalVisit // it can be bought there, also where the list is an old one
					if err := c.Do(ctx, http.MethodPost, "/v1/dynamo/visits", nil, hook.VisitRequest{Operator: "directory:contoso"}, &v); err != nil || !strings.HasPrefix(v.URL, "https://contoso.example/mp?eid=") {
						t.Errorf("%s: %+v %v", row.name, v, err)
					}
				}
				for number, want := range map[string]string{"+49 151 123456": "Contoso", "+1 425 5550100": "lookup-unknown", "0151": "bad-number"} {
					var got hook.Operators
					err := c.Do(ctx, http.MethodGet, "/v1/dynamo/operators?msisdn="+url.QueryEscape(number), nil, nil, &got)
					e, _ := err.(*hook.Error)
					switch {
					case !row.up && want != "bad-number":
						if err == nil {
							t.Errorf("%s: %s is %+v", row.name, number, got)
						}
					case e != nil && e.Code == want, err == nil && len(got.Operators) == 1 && got.Operators[0].Brand == want && got.Network == "26207":
					default:
						t.Errorf("%s: %s is %+v, %v", row.name, number, got, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			end()
		}
	})
}

// TestBoughtOnATelephone has the portal opened elsewhere than in the router's page: its
// answer comes by the directory service, also over a power cut, and nobody else's does.
func TestBoughtOnATelephone(t *testing.T) {
	var dir string
	story := crashStory{standing: true, power: true, set: func(c *config.Config) {
		c.Dynamo = config.Dynamo{Directory: directoryURL, TokenFile: filepath.Join(dir, "token"), CA: filepath.Join(dir, "directory.pem")}
	}}
	inCrashWorld(t, story, func(t *testing.T, w *crashWorld) {
		dir = w.dir
		pair, ca, err := selfSigned(netlab.SMDPAddr.String())
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{"token": []byte("token\n"), "directory.pem": ca} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := WritePortal(dir); err != nil {
			t.Fatal(err)
		}
		service := &directory.Service{Router: func(token string) string { return token }, Log: slog.New(slog.DiscardHandler), Now: time.Now}
		handler := service.Handler()
		defer w.serveDirectory(pair, handler)()
		w.shopOperator = w.Seller(time.Now)
		s := &shop{crashWorld: w, shopper: &shopper{browser: inProcess{w.shopOperator.Portal()}}}
		leave := func(transaction, origin, text string) int {
			t.Helper()
			r, err := http.NewRequest(http.MethodPost, "https://directory/v1/visits/"+transaction+"/callbacks", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", origin)
			resp, err := inProcess{handler}.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%d: read by %q: the page cannot tell why", resp.StatusCode, got)
			}
			return resp.StatusCode
		}
		var b bought
		var v hook.PortalVisit
		s.live(t, true, func() {
			if err := s.c.Do(s.ctx, http.MethodPost, "/v1/dynamo/visits", nil, hook.VisitRequest{Operator: "lab-portal"}, &v); err != nil {
				t.Fatal(err)
			}
			if u, err := url.Parse(v.URL); err != nil || u.Query().Get("returnUrl") != "" || u.Query().Get("state") == "" || v.Way != "directory" {
				t.Errorf("%+v", v)
			}
			var err error
			if b, err = s.buy(v.URL, "new"); err != nil {
				t.Fatal(err)
			}
			for _, row := range []struct {
				name, transaction, origin, text string
				status                          int
			}{
				{"another page", v.Transaction, "https://evil.example", b.envelope, 404},
				{"http", v.Transaction, "http://" + PortalHost, b.envelope, 404},
				{"no browser", v.Transaction, "", b.envelope, 404},
				{"another visit", "x", "https://" + PortalHost, b.envelope, 404},
				{"no JSON", v.Transaction, "https://" + PortalHost, "{", 400},
				{"too long", v.Transaction, "https://" + PortalHost, strings.Repeat(" ", 20<<10), 400},
				{"another state", v.Transaction, "https://" + PortalHost, strings.Replace(b.envelope, `"state":"`, `"state":"x`, 1), 204}, // which the router drops
			} {
				if got := leave(row.transaction, row.origin, row.text); got != row.status {
					t.Errorf("%s: %d, want %d", row.name, got, row.status)
				}
			}
			time.Sleep(time.Minute)
			if len(s.Card.Installed()) != 1 {
				t.Error("one came through")
			}
		})
		s.live(t, false, func() {
			if got := leave(v.Transaction, "https://"+PortalHost, b.envelope); got != 204 {
				t.Errorf("%d", got)
			}
			s.done(t, s.newest())
			n := 0
			for leave(v.Transaction, "https://"+PortalHost, b.envelope) == 204 {
				if n++; n > 10 {
					t.Fatal("as many calls as one likes")
				}
			}
			time.Sleep(3 * time.Hour)
			if len(s.Card.Installed()) != 2 {
				t.Errorf("%d profiles", len(s.Card.Installed()))
			}
		})
	})
}
