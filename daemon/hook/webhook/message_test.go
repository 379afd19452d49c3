package webhook

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The vector of the Standard Webhooks specification's own libraries.
func TestSign(t *testing.T) {
	key, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if got := Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`)); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

func TestParseSecret(t *testing.T) {
	for text, ok := range map[string]bool{
		base64.StdEncoding.EncodeToString(secret): true, "whsec_" + base64.StdEncoding.EncodeToString(secret): true,
		"": false, "whsec_": false, "password": false, base64.StdEncoding.EncodeToString(secret[:23]): false, base64.StdEncoding.EncodeToString(make([]byte, 65)): false,
	} {
		if _, err := ParseSecret(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		} else if err != nil && text != "" && strings.Contains(err.Error(), text) && text != "whsec_" {
			t.Errorf("the error shows it: %v", err)
		}
	}
}

// The documentation shows how a receiver verifies a message, by openssl and by Python,
// which do not know our code.
func TestVerifiedByOthers(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/hook.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, body := filepath.Join(dir, "key"), filepath.Join(dir, "body")
	text, at := []byte(`{"a": "b \u00fc"}`), time.Now().Unix()
	for path, content := range map[string][]byte{key: []byte(base64.StdEncoding.EncodeToString(secret) + "\n"), body: text} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name, fence string
		command     []string
		after       string // what is added to the example
	}{
		{"openssl", "```sh verify\n", []string{"sh", "-euc"}, ""},
		{"python", "```python\n", []string{"python3", "-c"}, `
import os, sys
headers = {"webhook-id": os.environ["id"], "webhook-timestamp": os.environ["at"], "webhook-signature": os.environ["signature"]}
sys.exit(0 if verify(open(os.environ["key"]).read(), headers, open(os.environ["body"], "rb").read()) else 1)`},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, tool := range []string{row.name, row.command[0]} {
				if _, err := exec.LookPath(tool); err != nil && tool != "python" {
					t.Skipf("no %s here", tool)
				}
			}
			_, script, ok := strings.Cut(string(doc), row.fence)
			script, _, ok2 := strings.Cut(script, "```")
			if !ok || !ok2 {
				t.Fatal("docs/hook.md has no example")
			}
			for name, signature := range map[string]string{"": Sign(secret, "msg_1", at, text), "another message's": Sign(secret, "msg_2", at, text)} {
				cmd := exec.CommandContext(t.Context(), row.command[0], row.command[1], script+row.after)
				cmd.Env = append(os.Environ(), "key="+key, "body="+body, "id=msg_1", "at="+strconv.FormatInt(at, 10), "signature="+signature)
				if out, err := cmd.CombinedOutput(); (err == nil) != (name == "") {
					t.Errorf("%s: %v %s", name, err, out)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	s := New(nil, Options{Settings: func() (Settings, error) { return Settings{Secret: secret}, nil }, Public: func(a netip.Addr) error {
		if a.IsLoopback() || a.IsPrivate() {
			return errors.New("inside")
		}
		return nil
	}})
	for text, ok := range map[string]bool{
		"https://noc.example/hook": true, "https://noc.example:8443/a?b=c": true, "https://192.0.2.1/": true, "https://[2001:db8::1]/": true,
		"http://noc.example/": false, "https://127.0.0.1/": false, "https://[::1]:443/": false, "https://192.168.8.1/": false, "https://u:p@noc.example/": false,
		"https:noc.example": false, "https://": false, "file:///etc/passwd": false, "gopher://noc.example/": false, "https://noc.example/#x": false, "": false,
		"https://noc.example/\nSECRET": false, "https://noc.example/" + strings.Repeat("x", 600): false, "https://noc.example\x00/": false,
		"https://noc.example:99999/": false, "https://noc.example:0/": false, "https://noc.example:x/": false,
	} {
		if err := s.Check(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		} else if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the error shows the URL: %v", err)
		}
	}
	s.Settings = func() (Settings, error) { return Settings{}, nil }
	if s.Check("https://noc.example/") == nil {
		t.Error("a callback was taken with nothing to sign with")
	}
}

// Certificates are checked with the issuers of the configuration.
func TestTLS(t *testing.T) {
	r := &receiver{}
	srv := httptest.NewUnstartedServer(r)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	srv.StartTLS()
	defer srv.Close()
	set := Settings{Secret: secret, AllowInside: true}
	s := New(nil, Options{Dial: (&net.Dialer{}).DialContext, Now: time.Now, Version: "test", Public: func(netip.Addr) error { return nil }})
	m := Message{ID: "msg_1", URL: srv.URL, Body: []byte("{}")}
	if _, err := s.try(t.Context(), m, set); err == nil || r.calls() > 0 {
		t.Error("an issuer that nobody knows was believed")
	}
	set.Issuers = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if _, err := s.try(t.Context(), m, set); err != nil || r.calls() != 1 {
		t.Error(err)
	}
}
