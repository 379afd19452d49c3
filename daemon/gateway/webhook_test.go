package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
	"dynamod/daemon/hook/webhook"
	"dynamod/euicc/es9p"
)

// Who asks for an activation chooses the receiver's name: it must not lead inside,
// neither by its form nor by what it resolves to.
func TestReceiverAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	g := newGateway(t)
	cfg := *g.config()
	cfg.LPA.Via = "lo" // a way on which everything leads inside
	g.conf.Store(&cfg)
	for _, host := range []string{"127.0.0.1", "localhost", "::1", "10.0.0.1", "192.168.8.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0", "[::]"} {
		c, err := g.dialReceiver(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
		}
		if err == nil || host != "[::]" && !errors.As(err, new(*es9p.AddressError)) {
			t.Errorf("%s: %v", host, err)
		}
	}
	cfg.Webhook.AllowPrivate = true
	g.conf.Store(&cfg)
	c, err := g.dialReceiver(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("allowed: %v", err)
	}
	c.Close()
}

// A request's receiver is told by a message that it can verify.
func TestWebhookOfARun(t *testing.T) {
	dir := t.TempDir()
	secret := []byte("0123456789abcdef0123456789abcdef")
	key := filepath.Join(dir, "webhook.key")
	if err := os.WriteFile(key, []byte("whsec_"+base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan webhook.Event, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var e webhook.Event
		if err != nil || json.Unmarshal(body, &e) != nil || r.Header.Get("Webhook-Signature") == "" {
			t.Errorf("%s: %v", body, err)
		}
		got <- e
	}))
	defer srv.Close()
	g := newGateway(t)
	cfg := *g.config()
	cfg.Webhook = config.Webhook{SecretFile: key, AllowPrivate: true, AllowHTTP: true}
	g.conf.Store(&cfg)
	if err := g.ends.Check(srv.URL); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.ends.Run(ctx) }()
	rec, err := g.runs.Switch(activation.Switching{ICCID: "8900101000000000019"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.ends.Keep(rec.ID, srv.URL); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	rec.State, rec.Ended = activation.Failed, &now
	if _, err := g.journal.Append(activation.Kind, rec); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	// The next daemon finds the run at its end, and tells it.
	runs := activation.Runs(g.journal.Records())
	g.ends.Runs = func() []activation.Record { return runs }
	ctx, stop = context.WithCancel(t.Context())
	go func() { ended <- g.ends.Run(ctx) }()
	if e := <-got; e.Data.Run.ID != rec.ID || e.Type != "activation.ended" {
		t.Errorf("%+v", e)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	cfg.Webhook.AllowPrivate = false
	g.conf.Store(&cfg)
	if g.ends.Check(srv.URL) == nil {
		t.Error("a receiver inside was taken")
	}
}
