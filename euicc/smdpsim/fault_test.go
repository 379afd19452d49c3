package smdpsim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Each protocol fault must be noticed by a card that checks what SGP.22 tells it
// to check, once; then the server behaves again.
func TestProtocolFaults(t *testing.T) {
	for _, tt := range []struct {
		kind FaultKind
		want string // in the card's error
	}{
		{FaultServerSignature, "serverSignature1"},
		{FaultEUICCChallenge, "another eUICC challenge"},
		{FaultServerAddress, "another address"},
		{FaultDPauthOtherCI, "DPauth certificate is not of this CI"},
		{FaultDPauthExpired, "DPauth certificate has expired"},
		{FaultSMDPSignature2, "smdpSignature2"},
		{FaultDPpbOtherCI, "DPpb certificate is not of this CI"},
		{FaultDPpbExpired, "DPpb certificate has expired"},
		{FaultBPPSignature, "InitialiseSecureChannel"},
		{FaultBPPMAC, "does not verify"},
		{FaultDPauthNotYetValid, "DPauth certificate is not valid yet"},
		{FaultDPpbNotYetValid, "DPpb certificate is not valid yet"},
		{FaultTransactionID, "transaction IDs differ"},
		{FaultBPPTransaction, "of another transaction"},
		{FaultBPPMissingPart, "does not verify"},
		{FaultBPPEmptyPart, "does not verify"},
		{FaultBPPSwappedParts, "does not verify"},
		{FaultBPPSurplusPart, "malformed"},
		{FaultMetadataMismatch, "not what was announced"},
		{FaultNotReleased, "8.2/1.2"},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			w := newWorld(t, nil)
			id := w.order(Order{})
			c := w.card(testEID)
			if err := w.server.SetFault(Fault{Kind: tt.kind, Times: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.download(c, id, ""); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			got, err := w.download(c, id, "")
			if err != nil {
				t.Fatalf("after the fault: %v", err)
			}
			if !bytes.Equal(got.upp, testUPP(t, 3000)) {
				t.Error("after the fault the card holds something else")
			}
		})
	}
}

// httpClient is a client of a server that listens on the loopback.
type httpClient struct {
	*world
	url    string
	client *http.Client
}

func newHTTPClient(t *testing.T) *httpClient {
	w := newWorld(t, func(c *Config) { c.Hosts = []string{"127.0.0.1"} })
	address, roots := w.listen()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: func() time.Time { return testNow }}}
	t.Cleanup(tr.CloseIdleConnections)
	return &httpClient{w, "https://" + address + pathPrefix, &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (h *httpClient) initiate() (*http.Response, []byte, error) {
	body, err := json.Marshal(map[string]string{
		"euiccChallenge": b64(random(16)), "euiccInfo1": b64(h.card(testEID).info1()), "smdpAddress": "smdpp.lab.test",
	})
	if err != nil {
		h.Fatal(err)
	}
	req, err := http.NewRequest("POST", h.url+string(InitiateAuthentication), bytes.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Admin-Protocol", "gsma/rsp/v2.5.0")
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp, got, err
}

func TestTransportFaults(t *testing.T) {
	for _, tt := range []struct {
		fault Fault
		check func(resp *http.Response, body []byte, err error) bool
	}{
		{Fault{Kind: FaultStatus, Subject: "8.8.5", Reason: "4.10"}, func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && bytes.Contains(b, []byte(`"reasonCode":"4.10","subjectCode":"8.8.5"`)) && bytes.Contains(b, []byte(`"status":"Failed"`))
		}},
		{Fault{Kind: FaultHTTPStatus}, func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 500 && strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") && bytes.HasPrefix(b, []byte("<!DOCTYPE"))
		}},
		{Fault{Kind: FaultHTTPStatus, HTTP: 503}, func(r *http.Response, b []byte, err error) bool { return r.StatusCode == 503 }},
		{Fault{Kind: FaultHTTPStatus, HTTP: 204}, func(r *http.Response, b []byte, err error) bool { return r.StatusCode == 204 && len(b) == 0 }},
		{Fault{Kind: FaultRedirect, Location: "https://other.test/"}, func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 307 && r.Header.Get("Location") == "https://other.test/"
		}},
		{Fault{Kind: FaultDropRequest}, func(r *http.Response, b []byte, err error) bool { return r == nil && err != nil }},
		{Fault{Kind: FaultDropAnswer}, func(r *http.Response, b []byte, err error) bool { return r == nil && err != nil }},
		{Fault{Kind: FaultDropAnswer, After: 100}, func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && len(b) == 100 && errors.Is(err, io.ErrUnexpectedEOF)
		}},
		{Fault{Kind: FaultTruncate, After: 100}, func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && len(b) == 100 && err == nil && !json.Valid(b)
		}},
		{Fault{Kind: FaultHTML}, func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && bytes.HasPrefix(b, []byte("<!DOCTYPE"))
		}},
		{Fault{Kind: FaultSlow, Delay: time.Millisecond, Bandwidth: 8 << 20}, func(r *http.Response, b []byte, err error) bool { return err == nil && json.Valid(b) }},
		{Fault{Kind: FaultTLSOtherCI}, func(r *http.Response, b []byte, err error) bool {
			var unknown x509.UnknownAuthorityError
			return errors.As(err, &unknown)
		}},
		{Fault{Kind: FaultTLSExpired}, func(r *http.Response, b []byte, err error) bool {
			var invalid x509.CertificateInvalidError
			return errors.As(err, &invalid) && invalid.Reason == x509.Expired
		}},
		{Fault{Kind: FaultTLSWrongHost}, func(r *http.Response, b []byte, err error) bool {
			var host x509.HostnameError
			return errors.As(err, &host)
		}},
		{Fault{Kind: FaultTLSNotYetValid}, func(r *http.Response, b []byte, err error) bool {
			var invalid x509.CertificateInvalidError
			return errors.As(err, &invalid) && invalid.Cert.NotBefore.After(testNow)
		}},
		{Fault{Kind: FaultTLS12}, func(r *http.Response, b []byte, err error) bool {
			return err == nil && r.TLS.Version == tls.VersionTLS12 && json.Valid(b)
		}},
		{Fault{Kind: FaultTLS13}, func(r *http.Response, b []byte, err error) bool {
			return err == nil && r.TLS.Version == tls.VersionTLS13 && json.Valid(b)
		}},
		{Fault{Kind: FaultHugeHeader, After: 100000}, func(r *http.Response, b []byte, err error) bool {
			return err == nil && len(r.Header.Get("X-Surplus")) == 100000 && json.Valid(b)
		}},
		{Fault{Kind: FaultHugeBody}, func(r *http.Response, b []byte, err error) bool {
			return err == nil && len(b) == 16<<20 && json.Valid(b)
		}},
		{Fault{Kind: FaultTLSHandshake}, func(r *http.Response, b []byte, err error) bool {
			// handshake_failure (RFC 5246, 7.2.2), what a server without a usable key sends
			return err != nil && strings.HasSuffix(err.Error(), "remote error: tls: handshake failure")
		}},
	} {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			h := newHTTPClient(t)
			// A fault of another function does not act here.
			if err := h.server.SetFault(Fault{Kind: FaultHTTPStatus, Function: GetBoundProfilePackage}); err != nil {
				t.Fatal(err)
			}
			if err := h.server.SetFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			if resp, body, err := h.initiate(); !tt.check(resp, body, err) {
				t.Errorf("got %v, %q, %v", resp, body, err)
			}
			h.server.ClearFaults()
			h.client.CloseIdleConnections()
			if _, body, err := h.initiate(); err != nil || !bytes.Contains(body, []byte("Executed-Success")) {
				t.Errorf("after the fault: %q, %v", body, err)
			}
			if n := h.server.Stats().TLSHandshakes; n < 1 {
				t.Errorf("%d handshakes counted", n)
			}
		})
	}
}

func TestKeptAliveConnectionIsOneHandshake(t *testing.T) {
	h := newHTTPClient(t)
	for range 3 {
		if _, _, err := h.initiate(); err != nil {
			t.Fatal(err)
		}
	}
	if st := h.server.Stats(); st.TLSHandshakes != 1 || st.HTTPRequests != 3 || st.BytesIn == 0 || st.BytesOut == 0 {
		t.Errorf("stats %+v, want 3 requests on 1 handshake", st)
	}
}

// Delay and bandwidth take the time that they say, in simulated time.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		if err := w.server.SetFault(Fault{Kind: FaultSlow, Delay: 3 * time.Second, Bandwidth: 800}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := w.initiate(w.card(testEID)); err != nil {
			t.Fatal(err)
		}
		want := 3*time.Second + time.Duration(w.server.Stats().BytesOut)*10*time.Millisecond
		if got := time.Since(start); got < want-time.Second || got > want+time.Second {
			t.Errorf("took %v, want about %v", got, want)
		}
		// A client that goes away ends the wait.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		r := httptest.NewRequestWithContext(ctx, "POST", pathPrefix+"initiateAuthentication", strings.NewReader("{}"))
		w.handler.ServeHTTP(httptest.NewRecorder(), r)
		if got := time.Since(start); got > 2*time.Second {
			t.Errorf("the handler stayed for %v after its client had gone", got)
		}
	})
}

func TestSetFaultRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for name, f := range map[string]Fault{
		"unknown":           {Kind: "flood"},
		"no code":           {Kind: FaultStatus, Subject: "8.2"},
		"no location":       {Kind: FaultRedirect},
		"HTTP status 99":    {Kind: FaultHTTPStatus, HTTP: 99},
		"negative":          {Kind: FaultTruncate, After: -1},
		"negative duration": {Kind: FaultSlow, Delay: -1},
	} {
		if w.server.SetFault(f) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	var kinds []string
	for _, f := range Faults() {
		if f[1] == "" {
			t.Errorf("%s says nothing of what it does", f[0])
		}
		kinds = append(kinds, f[0])
	}
	if len(kinds) != len(slices.Compact(slices.Sorted(slices.Values(kinds)))) || !slices.Contains(kinds, string(FaultSlow)) {
		t.Errorf("kinds %v", kinds)
	}
}

// Many cards at once, each with its own order, and all with one.
func TestConcurrentDownloads(t *testing.T) {
	w := newWorld(t, nil)
	shared := w.order(Order{})
	var g sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 8 {
		own := w.order(Order{})
		c, rival := w.card(testEID), w.card(testEID[:30]+string(rune('0'+i))+"0")
		g.Go(func() {
			if _, err := w.download(c, own, ""); err != nil {
				t.Error(err)
			}
			_, err := w.download(rival, shared, "")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			}
			w.server.Orders()
			w.server.Stats()
		})
	}
	g.Wait()
	if won != 1 {
		t.Errorf("%d cards got a profile that is for one", won)
	}
}

// What is kept has bounds.
func TestBounds(t *testing.T) {
	w := newWorld(t, nil)
	c := w.card(testEID)
	for range maxSessions + 10 {
		w.server.mu.Lock()
		w.server.newSession("smdpp.lab.test")
		w.server.mu.Unlock()
	}
	if n := len(w.server.sessions); n > maxSessions {
		t.Errorf("%d sessions are kept, at most %d should be", n, maxSessions)
	}
	raw := c.otherNotification(OpEnable, testICCID)
	w.order(Order{})
	for range 40 {
		w.notify(raw)
	}
	if n := len(w.server.Notifications()); n != 40 {
		t.Errorf("%d notifications, want 40", n)
	}
	var list []Notification
	for i := range maxNotifications + 5 {
		list = appendBounded(list, Notification{Seq: int64(i)})
	}
	if len(list) != maxNotifications || list[0].Seq != 5 {
		t.Errorf("%d kept from %d on, want the last %d", len(list), list[0].Seq, maxNotifications)
	}
}
