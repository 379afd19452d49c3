package gateway

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/status"
)

// TestBalance asks a directory service, by the configuration's way, token and issuer.
func TestBalance(t *testing.T) {
	const iccid = "8988247000101997790"
	var asked []*http.Request
	answer, code := `{"balances":[{"id":"23445","type":"MODIRECTPAYG","dataRemaininginMB":123.0,"timeRemaining":"P23DT23H"}]}`, 200
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		w.WriteHeader(code)
		w.Write([]byte(answer))
	}))
	defer srv.Close()
	g := newGateway(t)
	problem := func() string {
		t.Helper()
		b, err := g.Balance(t.Context())
		f, ok := errors.AsType[*activation.Fault](err)
		if !ok || f.Hint() == "" || strings.Contains(err.Error(), "ROUTERTOKEN") {
			t.Fatalf("%+v %v", b, err)
		}
		return f.Code
	}
	if got := problem(); got != "no-sim" {
		t.Error(got)
	}
	g.status.Update(func(s *status.Snapshot) { s.SIM = &status.SIM{State: "ready", ICCID: iccid} })
	if got := problem(); got != "no-balance-source" {
		t.Error(got)
	}
	dir := t.TempDir()
	cfg := *g.config()
	cfg.LPA.Via = "lo"
	cfg.Dynamo.Directory, cfg.Dynamo.TokenFile, cfg.Dynamo.CA = srv.URL, filepath.Join(dir, "token"), filepath.Join(dir, "ca.pem")
	g.conf.Store(&cfg)
	if got := problem(); got != "balance-no-api" || len(asked) > 0 {
		t.Errorf("without the token's file: %s", got)
	}
	for name, text := range map[string]string{
		"token": "ROUTERTOKEN\n", "ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := g.Balance(t.Context()) // nobody was asked before, so that there is no pause
	if err != nil || b.ICCID != iccid || b.Type != "MODIRECTPAYG" || *b.DataMB != 123 || b.TimeRemaining != "P23DT23H" || b.UsedUp || b.Stale || b.NextIn != 60 {
		t.Fatalf("%+v %v", b, err)
	}
	if r := asked[0]; r.URL.Path != "/v1/sims/iccid:"+iccid+"/balance" || r.Header.Get("Authorization") != "Bearer ROUTERTOKEN" || r.Header.Get("X-MS-DM-TransactionId") == "" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	if s := g.status.Snapshot().Balance; s == nil || *s.DataMB != 123 {
		t.Errorf("the status shows %+v", s)
	}
	if _, err := g.Balance(t.Context()); err != nil || len(asked) != 1 {
		t.Errorf("asked %d times within a minute, %v", len(asked), err)
	}
	g.balances.Close()
	g.balances = dynamo.NewBalances(balanceAsker{g}, g.clock.now)
	code = 404
	if got := problem(); got != "balance-unknown" {
		t.Error(got)
	}
}

// TestCreditor: a record lets a router ask the operator itself only with
// credentials, and only about the operator's own cards.
func TestCreditor(t *testing.T) {
	g := newGateway(t)
	base := cosa.OperatorProfile{Source: cosa.SourceLocal, Rank: cosa.DefaultRank, Portal: cosa.Portal{ICCIDRanges: []cosa.Range{{Lo: "898824", Hi: "898824"}}}, MOAPI: cosa.MOAPI{BaseURL: "https://m.example"}}
	without, with, other := base, base, base
	without.ID, with.ID, other.ID = "without", "with", "other"
	with.MOAPI.CertFile, with.MOAPI.KeyFile = "/nonexistent/c.pem", "/nonexistent/k.pem"
	other.MOAPI.Username, other.MOAPI.Password, other.Portal.ICCIDRanges = "u", "p", nil
	db, err := cosa.New([]cosa.OperatorProfile{without, other, with})
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	g.operators = db
	g.mu.Unlock()
	if p := g.creditor("8988247000101997790"); p == nil || p.ID != "with" {
		t.Errorf("%+v", p)
	}
	if p := g.creditor("8949020000000000000"); p != nil {
		t.Errorf("%+v", p)
	}
	g.status.Update(func(s *status.Snapshot) { s.SIM = &status.SIM{ICCID: "8988247000101997790"} })
	_, err = g.Balance(t.Context())
	if f, ok := errors.AsType[*activation.Fault](err); !ok || f.Code != "balance-no-api" || !strings.Contains(err.Error(), "/nonexistent/c.pem") {
		t.Errorf("%v", err)
	}
}

// No code is dialled while somebody uses the eUICC, and the records have to agree on it.
func TestBalanceCode(t *testing.T) {
	g := newGateway(t)
	base := cosa.OperatorProfile{Source: cosa.SourceLocal, Rank: cosa.DefaultRank, Targets: []cosa.Target{{MCCMNC: []string{"99970"}}}}
	record := func(id, code string) cosa.OperatorProfile {
		p := base
		p.ID, p.Name = id, id
		if code != "" {
			p.Ext = cosa.Ext{{Key: cosa.ExtBalancePattern, Value: "{MB} MB"}, {Key: cosa.ExtBalanceUSSD, Value: code}}
		}
		return p
	}
	snap := status.Snapshot{SIM: &status.SIM{ICCID: "8999970000000000018", HomePLMN: "99970"}}
	for _, tt := range []struct {
		name    string
		records []cosa.OperatorProfile
		want    string
	}{
		{"one", []cosa.OperatorProfile{record("a", "*100# *101#")}, "*100#"},
		{"one of two has a code", []cosa.OperatorProfile{record("a", ""), record("b", "*100#")}, "*100#"},
		{"both have the same", []cosa.OperatorProfile{record("a", "*100#"), record("b", "*100# *5#")}, "*100#"},
		{"they do not agree", []cosa.OperatorProfile{record("a", "*100#"), record("b", "*5#")}, ""},
		{"none", []cosa.OperatorProfile{record("a", "")}, ""},
	} {
		db, err := cosa.New(tt.records)
		if err != nil {
			t.Fatal(err)
		}
		g.mu.Lock()
		g.operators = db
		g.mu.Unlock()
		if code, _ := g.balanceCode(snap); code != tt.want {
			t.Errorf("%s: %q", tt.name, code)
		}
	}
	if code, _ := g.balanceCode(status.Snapshot{}); code != "" {
		t.Errorf("without a SIM: %q", code)
	}
	g.cardToken <- struct{}{}
	life, end := context.WithCancel(t.Context())
	g.life = life
	time.AfterFunc(10*time.Millisecond, end) // else it waits for a minute
	_, err := g.balanceByUSSD(t.Context(), snap.SIM.ICCID)
	if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeBusy {
		t.Errorf("while the eUICC is used: %v", err)
	}
}
