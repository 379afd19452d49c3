package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/config"
	"dynamod/daemon/durable"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
)

// doorStatus waits for what status says of the API over TCP.
func doorStatus(t *testing.T, g *Gateway) status.Door {
	t.Helper()
	sub := g.status.Subscribe(0)
	defer sub.Close()
	for {
		if d := g.status.Snapshot().Door; d != nil {
			return *d
		}
		select {
		case <-sub.Events():
		case <-t.Context().Done():
			t.Fatal("status says nothing of the door")
		}
	}
}

// The API over TCP comes up with a certificate of its own, which stays, and a
// token that was just added lets in.
func TestDoor(t *testing.T) {
	g := newGateway(t)
	cfg := *g.config()
	cfg.Hook.Listen = "127.0.0.1:0"
	g.conf.Store(&cfg)
	prints := map[string]bool{}
	for range 2 {
		g.status.Update(func(s *status.Snapshot) { s.Door = nil })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.keepDoor(ctx) }()
		d := doorStatus(t, g)
		if d.Error != "" {
			t.Fatal(d.Error)
		}
		prints[d.Fingerprint] = true
		token, key := access.NewToken("noc", access.Read)
		path := filepath.Join(cfg.State.Dir, "hook", "keys")
		if err := access.Add(path, key, durable.WriteFile); err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // what is pinned instead:
			VerifyConnection: func(s tls.ConnectionState) error {
				sum := sha256.Sum256(s.PeerCertificates[0].Raw)
				if got := hex.EncodeToString(sum[:]); got != d.Fingerprint {
					t.Errorf("the certificate is %s, status says %s", got, d.Fingerprint)
				}
				return nil
			}}}}
		get := func() (int, status.Snapshot) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+d.Listen+"/v1/status", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var s status.Snapshot
			if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, s
		}
		if code, s := get(); code != http.StatusOK || s.Door == nil || s.Door.Fingerprint != d.Fingerprint {
			t.Errorf("%d %+v", code, s.Door)
		}
		if err := access.Remove(path, "noc", durable.WriteFile); err != nil {
			t.Fatal(err)
		}
		if code, _ := get(); code != http.StatusUnauthorized {
			t.Errorf("a caller who was removed: %d", code)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if len(prints) != 1 {
		t.Errorf("another certificate at the second start: %v", prints)
	}
}

// A certificate that is given and renewed is taken, and told, without a restart.
func TestDoorOfGivenCertificate(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	pem := filepath.Join(dir, "tls.pem")
	renew := func() string {
		t.Helper()
		if err := os.RemoveAll(pem); err != nil {
			t.Fatal(err)
		}
		c, err := access.OwnCertificate(dir, time.Now(), nil, durable.WriteFile)
		if err != nil {
			t.Fatal(err)
		}
		return access.Fingerprint(c)
	}
	first := renew()
	cfg := *g.config()
	cfg.Hook = config.Hook{Listen: "127.0.0.1:0", Certificate: pem, Key: pem}
	g.conf.Store(&cfg)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.keepDoor(ctx) }()
	for i, want := range []string{first, ""} {
		if want == "" {
			want = renew()
		}
		c, err := tls.Dial("tcp", doorStatus(t, g).Listen, &tls.Config{InsecureSkipVerify: true}) // whose it is, is what is asked here
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(c.ConnectionState().PeerCertificates[0].Raw)
		c.Close()
		if got := hex.EncodeToString(sum[:]); got != want || doorStatus(t, g).Fingerprint != want {
			t.Errorf("%d: the certificate is %s, status says %s, want %s", i, got, doorStatus(t, g).Fingerprint, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What keeps the API from TCP is told, and harms nothing else.
func TestDoorThatDoesNotOpen(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, row := range []struct {
		name string
		hook config.Hook
		says string
	}{
		{"the port is in use", config.Hook{Listen: busy.Addr().String()}, "address already in use"},
		{"the address is not ours", config.Hook{Listen: "192.0.2.1:8443"}, "cannot assign requested address"},
		{"no certificate", config.Hook{Listen: "127.0.0.1:0", Certificate: "/nowhere.pem", Key: "/nowhere.key"}, "no such file"},
		{"no issuers", config.Hook{Listen: "127.0.0.1:0", ClientCA: "/nowhere.pem"}, "client_ca: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newGateway(t)
			cfg := *g.config()
			cfg.Hook = row.hook
			g.conf.Store(&cfg)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- g.keepDoor(ctx) }()
			if d := doorStatus(t, g); !strings.Contains(d.Error, row.says) || d.Fingerprint != "" {
				t.Errorf("%+v", d)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
