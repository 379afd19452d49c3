package directory

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/dynamosim"
	"dynamod/daemon/dynamo/moapi"
)

const (
	iccid   = "8988247000101997790"
	unknown = "8988247000101997799"
	foreign = "8949020000000000000"
	token   = "router-token"
	theName = "directory.example" // of the client certificate
)

// lab is an operator behind mutual TLS, the service in front of it, and a router.
type lab struct {
	*Client
	t        *testing.T
	now      time.Time
	op       *dynamosim.Operator
	service  *Service
	front    *httptest.Server
	requests atomic.Int64 // that reached the service
	down     atomic.Bool
	cache    string
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), cache: t.TempDir()}
	now := func() time.Time { return l.now }
	l.op = dynamosim.New("Contoso", now)
	l.op.User, l.op.Password, l.op.ClientName = "service", "p4ss", theName
	l.op.NewProfile = func(string) (string, string, error) {
		return "LPA:1$smdp.example$MATCHINGID", "8988247000101997791", nil
	}
	l.op.AddLine(iccid, dynamosim.Prepaid, 123, 23*24*time.Hour+23*time.Hour)
	api := httptest.NewUnstartedServer(l.op.API())
	api.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	api.StartTLS()
	t.Cleanup(api.Close)

	record := &cosa.OperatorProfile{
		ID: "contoso", Name: "Contoso", Country: "us", Source: cosa.SourceLocal, Rank: cosa.DefaultRank,
		Connections: []cosa.Connection{{APN: "contoso.apn", Username: "u", Password: "APNSECRET"}},
		SIM:         cosa.SIMSettings{BrandName: "Contoso Wireless", BrandLogo: "https://contoso.example/l.png", AccountURL: "https://contoso.example/a"},
		Portal: cosa.Portal{
			URL: "https://contoso.example/mp", CallbackHosts: []string{"contoso.example"}, Countries: []string{"us", "de"}, MCCMNC: []string{"310260"},
			ICCIDRanges: []cosa.Range{{Lo: "8988247000100000000", Hi: "8988247000109999999"}},
		},
		MOAPI: cosa.MOAPI{BaseURL: api.URL + "/v1", Username: "service", Password: "p4ss"},
	}
	record.MOAPI.CertFile, record.MOAPI.KeyFile = clientCertificate(t, theName)
	rt, err := moapi.Transport(record.MOAPI)
	if err != nil {
		t.Fatal(err)
	}
	rt.TLSClientConfig.RootCAs = api.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(rt.CloseIdleConnections)
	var asked atomic.Int64
	mo := moapi.New(record.MOAPI, rt, func() string { return fmt.Sprint("MSFT-", asked.Add(1)) }, now)

	other := &cosa.OperatorProfile{ID: "fabrikam", Name: "Fabrikam", Country: "fr", Source: cosa.SourceLocal, Rank: cosa.DefaultRank, Portal: cosa.Portal{URL: "https://fabrikam.example/"}}
	l.service = &Service{
		Operators: []*cosa.OperatorProfile{record, other}, Environment: "production",
		Router: func(s string) string {
			if s == token {
				return "router-1"
			}
			return ""
		},
		MayAsk: func(_, iccid string) bool { return iccid != "8988247000101997798" },
		Countries: func(n string) []string {
			return map[string][]string{"310260": {"us"}, "20801": {"fr"}}[n]
		},
		Network: func(n string) (string, string) {
			switch n {
			case "+14255550100":
				return "310260", "portability"
			case "+33612345678":
				return "20801", "prefix"
			}
			return "", ""
		},
		Ask: func(*cosa.OperatorProfile) *moapi.Client { return mo },
		Log: slog.New(slog.DiscardHandler), Now: now,
	}
	handler := l.service.Handler()
	l.front = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.requests.Add(1)
		if l.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(l.front.Close)
	l.Client = l.client(token)
	return l
}

func (l *lab) client(token string) *Client {
	n := 0
	return NewClient(l.front.URL, token, l.cache, l.front.Client().Transport, func() string { n++; return fmt.Sprint(token, "-", n) }, func() time.Time { return l.now })
}

func clientCertificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: kder}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func code(err error) (string, time.Duration) {
	e, ok := errors.AsType[*call.Error](err)
	if !ok {
		return "", 0
	}
	return e.Code, e.RetryAfter
}

// TestBalance goes from the router by way of the service to the operator and back.
func TestBalance(t *testing.T) {
	l := newLab(t)
	list, err := l.Balances(t.Context(), iccid+"F", moapi.BalanceQuery{Location: "us", Limit: 1})
	if err != nil || len(list) != 1 || list[0].Type != moapi.TypePrepaid || *list[0].Data != 123 || *list[0].Time != 23*24*time.Hour+23*time.Hour {
		t.Fatalf("%+v %v", list, err)
	}
	l.op.Use(iccid, 100)
	if list, err = l.Balances(t.Context(), iccid, moapi.BalanceQuery{}); err != nil || *list[0].Data != 23 {
		t.Errorf("%+v %v", list, err)
	}
	l.op.Use(iccid, 100)
	if list, err = l.Balances(t.Context(), iccid, moapi.BalanceQuery{}); err != nil || !list[0].UsedUp() {
		t.Errorf("%+v %v", list, err)
	}
	if err := l.op.TopUp(iccid, 512, time.Hour); err != nil {
		t.Fatal(err)
	}
	if list, err = l.Balances(t.Context(), iccid, moapi.BalanceQuery{Full: true}); err != nil || *list[0].Data != 512 || len(list[0].Locations) != 2 {
		t.Errorf("%+v %v", list, err)
	}

	for _, tt := range []struct {
		name  string
		fault dynamosim.Fault
		iccid string
		query moapi.BalanceQuery
		code  string
		after time.Duration
	}{
		{"SIM of nobody here", dynamosim.Fault{}, foreign, moapi.BalanceQuery{}, call.CodeUnknown, 0},
		{"SIM that the operator does not know", dynamosim.Fault{}, unknown, moapi.BalanceQuery{}, call.CodeUnknown, 0},
		{"SIM of another router", dynamosim.Fault{}, "8988247000101997798", moapi.BalanceQuery{}, call.CodeUnauthorized, 0},
		{"no ICCID", dynamosim.Fault{}, "12", moapi.BalanceQuery{}, call.CodeBadRequest, 0},
		{"location of nobody's", dynamosim.Fault{}, iccid, moapi.BalanceQuery{Location: "XX"}, call.CodeBadRequest, 0},
		{"asked too often", dynamosim.Fault{Status: 429, RetryAfter: "90", Times: 1}, iccid, moapi.BalanceQuery{}, call.CodeTooMany, 90 * time.Second},
		{"operator failed", dynamosim.Fault{Status: 500, Times: 1}, iccid, moapi.BalanceQuery{}, call.CodeServer, 0},
		{"operator is down for a while", dynamosim.Fault{Status: 503, RetryAfter: "30", Times: 1}, iccid, moapi.BalanceQuery{}, call.CodeServer, 30 * time.Second},
		{"operator refuses the service, not the router", dynamosim.Fault{Status: 401, Times: 1}, iccid, moapi.BalanceQuery{}, call.CodeServer, 0},
		{"operator takes the service's ID for a repeat", dynamosim.Fault{Status: 409, Times: 1}, iccid, moapi.BalanceQuery{}, call.CodeServer, 0},
	} {
		if tt.fault.Status != 0 {
			l.op.Set(tt.fault)
		}
		list, err := l.Balances(t.Context(), tt.iccid, tt.query)
		if c, after := code(err); c != tt.code || after != tt.after {
			t.Errorf("%s: %+v %v", tt.name, list, err)
		}
		l.op.Clear()
	}
	l.down.Store(true)
	if _, err := l.Balances(t.Context(), iccid, moapi.BalanceQuery{}); err == nil {
		t.Error("the service is down, and there is a balance")
	}
}

// TestOperatorRefusesTheService: without its certificate and without its password.
func TestOperatorRefusesTheService(t *testing.T) {
	l := newLab(t)
	l.op.ClientName = "somebody.else"
	if _, err := l.Balances(t.Context(), iccid, moapi.BalanceQuery{}); err == nil {
		t.Error("asked with the wrong certificate")
	}
	l.op.ClientName, l.op.Password = theName, "another"
	if _, err := l.Balances(t.Context(), iccid, moapi.BalanceQuery{}); err == nil {
		t.Error("asked with the wrong password")
	}
}

func TestAdmission(t *testing.T) {
	l := newLab(t)
	if _, err := l.client("nobody's").Balances(t.Context(), iccid, moapi.BalanceQuery{}); func() string { c, _ := code(err); return c }() != call.CodeUnauthorized {
		t.Errorf("%v", err)
	}
	n := l.op.Count("balances")
	for _, tt := range []struct {
		name   string
		header map[string]string
		status int
	}{
		{"no token", map[string]string{call.TransactionHeader: "a"}, 401},
		{"another scheme", map[string]string{"Authorization": "Basic " + token, call.TransactionHeader: "a"}, 401},
		{"no transaction", map[string]string{"Authorization": "Bearer " + token}, 400},
		{"long transaction", map[string]string{"Authorization": "Bearer " + token, call.TransactionHeader: strings.Repeat("x", 65)}, 400},
		{"first", map[string]string{"Authorization": "Bearer " + token, call.TransactionHeader: `"b"`}, 200},
		{"repeated", map[string]string{"Authorization": "Bearer " + token, call.TransactionHeader: `b`}, 409},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", l.front.URL+"/v1/sims/iccid:"+iccid+"/balance", nil)
		for k, v := range tt.header {
			req.Header.Set(k, v)
		}
		resp, err := l.front.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.status)
		}
		if tt.status == 200 && !strings.HasPrefix(resp.Header.Get("Server-Timing"), "mo;dur=") {
			t.Errorf("the operator's latency is not told: %v", resp.Header)
		}
	}
	if got := l.op.Count("balances"); got != n+1 {
		t.Errorf("the operator was asked %d times", got-n)
	}
}

func TestOperators(t *testing.T) {
	l := newLab(t)
	names := func(q Query) string {
		t.Helper()
		got, err := l.Operators(t.Context(), q)
		if err != nil || got.Err != nil || len(got.Skipped) > 0 {
			t.Fatalf("%+v %v", got, err)
		}
		var out []string
		for i := range got.Operators {
			p := &got.Operators[i]
			if len(p.Connections) > 0 || p.MOAPI != (cosa.MOAPI{}) || !strings.HasPrefix(p.ID, "directory:") {
				t.Errorf("a router is told %+v", p)
			}
			out = append(out, p.SIM.BrandName+"/"+p.Name)
		}
		return strings.Join(out, " ")
	}
	for _, tt := range []struct {
		q    Query
		want string
	}{
		{Query{Country: "DE", ESIMCapable: true}, "Contoso Wireless/Contoso"},
		{Query{Country: "fr", ESIMCapable: true}, "/Fabrikam"},
		{Query{Country: "de", MCCMNC: "20801", ESIMCapable: true}, "/Fabrikam"}, // where it is registered goes before where it is configured to be
		{Query{MCCMNC: "99999", ESIMCapable: true}, ""},
		{Query{ESIMCapable: true}, "Contoso Wireless/Contoso /Fabrikam"},
		{Query{Country: "us"}, ""}, // a SIM alone has nothing to choose
	} {
		if got := names(tt.q); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.q, got, tt.want)
		}
	}
}

// TestOperatorsCache: an ETag spares the list, and a service that is away leaves the
// last one, told as such.
func TestOperatorsCache(t *testing.T) {
	l := newLab(t)
	q := Query{Country: "us", ESIMCapable: true}
	first, err := l.Operators(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	l.Client = l.client("router-token") // as after a restart; its IDs begin again, so that it is another router to the service
	l.Client.Caller = call.New("the directory service", l.front.Client().Transport, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token)
		if r.Header.Get("If-None-Match") == "" {
			t.Error("asked without the ETag")
		}
	}, func() string { return "after-a-restart" }, func() time.Time { return l.now })
	second, err := l.Operators(t.Context(), q)
	if err != nil || second.Err != nil || !second.At.Equal(l.now) || len(second.Operators) != 1 {
		t.Fatalf("%+v %v", second, err)
	}
	l.down.Store(true)
	l.now = l.now.Add(48 * time.Hour)
	stale, err := l.Operators(t.Context(), q)
	if err != nil || stale.Err == nil || len(stale.Operators) != 1 || !stale.At.Equal(second.At) || first.At.Equal(second.At) {
		t.Fatalf("%+v %v", stale, err)
	}
	if _, err := l.client(token).Operators(t.Context(), Query{Country: "de", ESIMCapable: true}); err == nil {
		t.Error("the list of one country is shown for another")
	}
	for _, text := range []string{"", "{", `{"key": 5}`} {
		if err := os.WriteFile(filepath.Join(l.cache, "operators.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.client(token).Operators(t.Context(), q); err == nil {
			t.Errorf("%q in the cache is a list", text)
		}
	}
	l.down.Store(false)
	l.cache = filepath.Join(l.cache, "gone")
	n := l.client("router-token")
	n.Caller = call.New("x", l.front.Client().Transport, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, func() string { return "no-cache" }, time.Now)
	if got, err := n.Operators(t.Context(), q); err != nil || len(got.Operators) != 1 {
		t.Errorf("without a place for the cache: %+v %v", got, err)
	}
}

func TestLookup(t *testing.T) {
	l := newLab(t)
	o, err := l.Lookup(t.Context(), "+1 (425) 555-0100")
	if err != nil || o.MCCMNC != "310260" || o.How != "portability" || o.Operator == nil || o.Operator.Name != "Contoso" {
		t.Errorf("%+v %v", o, err)
	}
	if o, err = l.Lookup(t.Context(), "+33612345678"); err != nil || o.MCCMNC != "20801" || o.How != "prefix" || o.Operator != nil {
		t.Errorf("%+v %v", o, err)
	}
	if _, err = l.Lookup(t.Context(), "+4915112345678"); func() string { c, _ := code(err); return c }() != call.CodeUnknown {
		t.Errorf("%v", err)
	}
	n := l.requests.Load()
	for _, s := range []string{"", "0151123456", "+0151123456", "+49", "+1234567890123456", "+49151x", "004915112345678"} {
		if _, err := l.Lookup(t.Context(), s); func() string { c, _ := code(err); return c }() != call.CodeBadRequest {
			t.Errorf("%q: %v", s, err)
		}
	}
	if l.requests.Load() != n {
		t.Error("the service was asked for what is no number")
	}
}

func TestOrderAndMicroBalance(t *testing.T) {
	l := newLab(t)
	mo := l.service.Ask(nil)
	o, err := mo.Order(t.Context(), moapi.Order{PurchaseDate: l.now, Market: "US", EID: "89033023426200000000000000000040"})
	if err != nil || o.ICCID != "8988247000101997791" || o.Code.Reveal() != "LPA:1$smdp.example$MATCHINGID" {
		t.Errorf("%+v %v", o, err)
	}
	if o, err = mo.Order(t.Context(), moapi.Order{PurchaseDate: l.now, SIMs: []string{call.SIMID(iccid)}}); err != nil || o.ICCID != iccid || o.Code.Address != "" {
		t.Errorf("a profile that is there: %+v %v", o, err)
	}
	put := func(client *Client) error {
		_, err := client.Do(t.Context(), call.Request{Op: "microbalance", Method: "PUT", URL: call.SIMPath(l.front.URL+"/v1", iccid, "microbalance"), Body: map[string]string{"location": "US"}})
		return err
	}
	for range moapi.MicroPerHour {
		if err := put(l.Client); err != nil {
			t.Fatal(err)
		}
	}
	n := l.op.Count("microbalance")
	if c, after := code(put(l.Client)); c != call.CodeTooMany || after != time.Hour || l.op.Count("microbalance") != n {
		t.Errorf("%s %v, the operator was asked %d times more", c, after, l.op.Count("microbalance")-n)
	}
}

// TestOrderOfAnotherRouter: however a SIM is written, it is that SIM.
func TestOrderOfAnotherRouter(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		sim, code string
	}{
		{"iccid:8988247000101997798", call.CodeUnauthorized},
		{"iccid:8988247000101997798F", call.CodeUnauthorized},
		{"iccid: 8988247000101997798", call.CodeUnauthorized},
		{"8988247000101997790", call.CodeBadRequest},
		{"iccid:8988247000101997790F", ""},
	} {
		_, err := l.Do(t.Context(), call.Request{
			Op: "orders", Method: "POST", URL: call.Join(l.front.URL, "v1", "operators", "contoso", "orders"),
			Body: moapi.Order{PurchaseDate: l.now, SIMs: []string{tt.sim}},
		})
		if got, _ := code(err); got != tt.code {
			t.Errorf("%q: %q, want %q: %v", tt.sim, got, tt.code, err)
		}
	}
	if n := l.op.Count("orders"); n != 1 {
		t.Errorf("the operator got %d orders, want 1", n)
	}
}

// TestLoad has an operator of 10,000 SIMs, as the published load has, and three
// askers at once. Every call comes to something but those at which the operator
// fails, one in a thousand.
func TestLoad(t *testing.T) {
	l := newLab(t)
	const sims, calls = 10_000, 1000
	for i := range sims {
		l.op.AddLine(fmt.Sprintf("898824700010%07d", i), dynamosim.Prepaid, 10, time.Hour)
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	for asker := range 3 {
		all.Go(func() {
			client := l.client(token)
			n := 0
			client.Caller = call.New("the directory service", l.front.Client().Transport, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) },
				func() string { n++; return fmt.Sprint(asker, "-", n) }, func() time.Time { return l.now })
			for i := asker; i < calls; i += 3 {
				if i%1000 == 0 {
					l.op.Set(dynamosim.Fault{Op: "balances", Status: 500, Times: 1})
				}
				if list, err := client.Balances(t.Context(), fmt.Sprintf("898824700010%07d", i), moapi.BalanceQuery{Limit: 1}); err != nil || len(list) != 1 {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n != calls/1000 {
		t.Errorf("%d of %d calls failed, %d were meant to", n, calls, calls/1000)
	}
}
