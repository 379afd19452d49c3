//go:build linux && !nodemo

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

const (
	doorAddr     = "127.0.0.1:8443"
	receiverAddr = "192.0.2.10:9000" // in the internet
)

// doors is a bench whose daemon has every door open: socket, TCP, webhook.
type doors struct {
	*bench
	remote *http.Client // over TCP, of a caller with every scope
	told   lockedBuffer // to the webhook's receiver
	tells  chan string  // the ID of each message
	holds  atomic.Bool  // the receiver does not answer
}

// openDoors starts the daemon. extra is added to its configuration.
func openDoors(t *testing.T, extra string) *doors {
	d := &doors{bench: newBench(t), tells: make(chan string, 100)}
	key := filepath.Join(d.dir, "webhook.key")
	d.must(os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n"), 0o600))
	d.config("[hook]\n", fmt.Sprintf("%s\n[webhook]\nallow_http = true\nurl = \"http://%s/hook\"\nsecret_file = %q\n\n[hook]\nlisten = %q\n", extra, receiverAddr, key, doorAddr))
	token := d.dynamod("", "token", "add", "noc", "--scope", "admin", "--config", d.configPath())
	if token.exit != exitOK {
		t.Fatal(token.stderr)
	}
	l, err := d.n.ListenInternet("tcp", receiverAddr)
	d.must(err)
	receiver := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.Write(&d.told)
		d.tells <- r.Header.Get("Webhook-Id")
		if d.holds.Load() {
			<-r.Context().Done()
		}
	})}
	go receiver.Serve(l)
	t.Cleanup(func() { receiver.Close() })
	d.start()
	d.remote = &http.Client{Transport: bearer{strings.TrimSpace(token.stdout), &http.Transport{
		DialContext: d.n.Dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // a certificate of its own, on the loopback
	}}}
	d.wait("a listener on TCP", func(s status.Snapshot) bool { return s.Door != nil && s.Door.Fingerprint != "" })
	return d
}

// bearer adds a token to each request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// get reads a whole answer over TCP.
func (d *doors) get(path string) []byte {
	d.t.Helper()
	text, err := d.fetch(d.ctx, path)
	if err != nil {
		d.t.Errorf("%s: %v", path, err)
	}
	return text
}

func (d *doors) fetch(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+doorAddr+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := d.remote.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// post submits an activation over TCP.
func (d *doors) post(ctx context.Context, key string, body hook.ActivationRequest) (rec activation.Record, err error) {
	text, err := json.Marshal(body)
	d.must(err)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+doorAddr+"/v1/activations", bytes.NewReader(text))
	d.must(err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	resp, err := d.remote.Do(r)
	if err != nil {
		return rec, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		text, _ := io.ReadAll(resp.Body)
		return rec, fmt.Errorf("%s: %s", resp.Status, text)
	}
	return rec, json.NewDecoder(resp.Body).Decode(&rec)
}

// waitEnded waits for a run's end and returns its record.
func (d *doors) waitEnded(id string) (rec activation.Record) {
	d.t.Helper()
	d.wait("the end of "+id, func(s status.Snapshot) bool { return s.Run != nil && s.Run.ID == id && s.Run.Ended != nil })
	d.must(d.client.Do(d.ctx, http.MethodGet, "/v1/activations/"+id, nil, nil, &rec))
	return rec
}

// TestSameKeyTenTimes: the same request, at once and ten times, is one run, over either
// door.
func TestSameKeyTenTimes(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "")
	d.waitUp()
	// Without a code it is the key alone that tells a request from its like.
	request := hook.ActivationRequest{DefaultSMDP: true}
	for n, door := range []struct {
		name string
		post func(key string) (activation.Record, error)
	}{
		{"TCP", func(key string) (activation.Record, error) { return d.post(d.ctx, key, request) }},
		{"socket", func(key string) (rec activation.Record, err error) {
			err = d.client.Do(d.ctx, http.MethodPost, "/v1/activations", http.Header{"Idempotency-Key": {key}}, request, &rec)
			return rec, err
		}},
	} {
		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			ids = map[string]int{}
		)
		for range 10 {
			wg.Go(func() {
				rec, err := door.post("same-" + door.name)
				if err != nil {
					t.Errorf("%s: %v", door.name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[rec.ID]++
			})
		}
		wg.Wait()
		var runs []activation.Record
		d.must(d.client.Do(d.ctx, http.MethodGet, "/v1/activations", nil, nil, &runs))
		if len(ids) != 1 || len(runs) != n+1 {
			t.Fatalf("%s: ten requests named %v, there are %d runs", door.name, ids, len(runs))
		}
		last := runs[len(runs)-1]
		if last.Ended == nil {
			d.must(d.client.Do(d.ctx, http.MethodDelete, "/v1/activations/"+last.ID, nil, nil, nil))
		}
		d.waitEnded(last.ID)
	}
}

// TestClientGone: who asked goes away without reading the answer, or in mid-download;
// the run goes on, and whoever comes next sees it and its end.
func TestClientGone(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "")
	d.waitUp()
	token := d.remote.Transport.(bearer).token
	raw, err := d.n.Dial(d.ctx, "tcp", doorAddr)
	d.must(err)
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	d.must(c.HandshakeContext(d.ctx))
	body, err := json.Marshal(hook.ActivationRequest{Code: d.w.Profiles[0].Code, Consent: true})
	d.must(err)
	_, err = fmt.Fprintf(c, "POST /v1/activations HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", doorAddr, token, len(body), body)
	d.must(err)
	d.must(raw.(*net.TCPConn).SetLinger(0)) // not even a farewell
	raw.Close()

	var runs []activation.Record
	d.wait("a run", func(s status.Snapshot) bool { return s.Run != nil })
	d.must(d.client.Do(d.ctx, http.MethodGet, "/v1/activations", nil, nil, &runs))
	// Somebody watches over TCP, and goes.
	seen, gone := context.WithCancel(d.ctx)
	r, err := http.NewRequestWithContext(seen, http.MethodGet, "https://"+doorAddr+"/v1/events", nil)
	d.must(err)
	resp, err := d.remote.Do(r)
	d.must(err)
	_, err = resp.Body.Read(make([]byte, 1))
	d.must(err)
	gone()
	resp.Body.Close()

	if rec := d.waitEnded(runs[0].ID); rec.Outcome != status.Committed || rec.ICCID != d.w.Profiles[0].ICCID {
		t.Errorf("%s, %+v\n%s", rec.Outcome, rec.Error, d.log())
	}
	var snap status.Snapshot
	d.must(json.Unmarshal(d.get("/v1/status"), &snap))
	if snap.Run == nil || snap.Run.ID != runs[0].ID || snap.Run.Outcome != status.Committed {
		t.Errorf("the next one sees %+v", snap.Run)
	}
}

// TestWebhookSurvivesKill kills the daemon while a receiver does not answer; the next one
// offers the same message again.
func TestWebhookSurvivesKill(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "")
	d.waitUp()
	d.holds.Store(true)
	rec, err := d.post(d.ctx, "kill", hook.ActivationRequest{Code: d.w.Profiles[0].Code, Consent: true})
	d.must(err)
	message := func() string {
		select {
		case id := <-d.tells:
			return id
		case <-d.ctx.Done():
			t.Fatalf("nobody is told\n%s", d.log())
			return ""
		}
	}
	first := message()
	d.waitEnded(rec.ID) // a dead receiver holds up nobody
	d.running.kill()
	d.holds.Store(false)
	d.start()
	if second := message(); second != first || first == "" {
		t.Errorf("message %q was offered again as %q", first, second)
	}
	for left := []byte(first); bytes.Contains(left, []byte(first)); { // until it counts as taken
		left, err = os.ReadFile(filepath.Join(d.dir, "state", "hook", "webhooks.json"))
		d.must(err)
		select {
		case <-d.ctx.Done():
			t.Fatalf("the message is still to be sent\n%s", d.log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestNoSecretAnywhere takes two activations, over TCP and by the command line, with
// every door open and everything logged, and looks for matching IDs and confirmation
// codes in all that leaves the daemon or outlives it: they are in the sealed request
// alone, and there nobody can read them.
func TestNoSecretAnywhere(t *testing.T) {
	t.Parallel()
	d := openDoors(t, "\n[log]\nlevel = \"debug\"\n")
	const confirmation = "C0NFIRM-4711"
	d.secrets = append(d.secrets, confirmation)
	order := func(iccid, imsi, id string) string {
		upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: imsi})
		d.must(err)
		code, err := d.w.Server.AddOrder(smdpsim.Order{UPP: upp, MatchingID: id, ConfirmationCode: confirmation})
		d.must(err)
		d.secrets = append(d.secrets, id)
		return code
	}
	first := order("8900101000000000035", "001010000000035", "DOORS-S3CRET-0NE")
	second := order("8900101000000000043", "001010000000043", "DOORS-S3CRET-TW0")
	d.waitUp()

	// Whoever listens, listens from the start.
	var heard sync.Map
	listening, stop := context.WithCancel(d.ctx)
	var listeners sync.WaitGroup
	for _, path := range []string{"/v1/events", "/v1/modem/trace"} {
		listeners.Go(func() {
			r, err := http.NewRequestWithContext(listening, http.MethodGet, "https://"+doorAddr+path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := d.remote.Do(r)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				return
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			heard.Store(path, text)
		})
	}
	// What is on the disk and in /proc is looked at over and over.
	looks := 0
	listeners.Go(func() {
		for listening.Err() == nil {
			d.search("while it runs")
			looks++
			select {
			case <-listening.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})

	rec, err := d.post(d.ctx, "k-1", hook.ActivationRequest{Code: first, Consent: true, ConfirmationCode: confirmation})
	d.must(err)
	if rec = d.waitEnded(rec.ID); rec.Outcome != status.Committed {
		t.Errorf("%s, %+v", rec.Outcome, rec.Error)
	}
	confirmed := filepath.Join(t.TempDir(), "confirmation")
	d.must(os.WriteFile(confirmed, []byte(confirmation+"\n"), 0o600))
	cli := d.dynamod(second, "activate", "-", "--yes", "--json", "--confirmation-code-file", confirmed, "--config", d.configPath())
	if cli.exit != exitOK {
		t.Errorf("exit %d: %s", cli.exit, cli.stderr)
	}
	for range 2 {
		select {
		case <-d.tells:
		case <-d.ctx.Done():
			t.Fatalf("the receiver was told %s\n%s", d.told.String(), d.log())
		}
	}
	// A refused one, whose errors tell of it.
	_, err = d.post(d.ctx, "k-2", hook.ActivationRequest{Code: first + "$$$$", ConfirmationCode: confirmation})
	if err == nil {
		t.Error("a malformed code was taken")
	} else {
		d.absent("the refusal", []byte(err.Error()))
	}

	for _, path := range []string{"/v1/status", "/v1/activations", "/v1/log", "/metrics", "/v1/diag", "/v1/apn", "/v1/notifications", "/v1/openapi.json"} {
		d.absent(path, d.get(path))
	}
	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	d.must(os.WriteFile(bundle, d.get("/v1/bundle"), 0o600))
	for name, text := range d.bundleFiles(bundle) {
		d.absent("the bundle's "+name, []byte(text))
	}
	stop()
	listeners.Wait()
	heard.Range(func(path, text any) bool {
		if len(text.([]byte)) == 0 {
			t.Errorf("nothing was heard on %s", path)
		}
		d.absent(path.(string), text.([]byte))
		return true
	})
	if looks < 10 || !strings.Contains(d.told.String(), "webhook-signature") && !strings.Contains(d.told.String(), "Webhook-Signature") {
		t.Errorf("looked %d times; told %s", looks, d.told.String())
	}
	// What is no secret is there, so that it was looked for in the right places.
	if iccid := "8900101000000000035"; !strings.Contains(d.told.String(), iccid) || !strings.Contains(string(d.get("/v1/log")), iccid) {
		t.Error("the activation is not in what was looked at")
	}
	d.absent("the webhook", []byte(d.told.String()))
	d.absent("the command's output", []byte(cli.stdout+cli.stderr))
	d.absent("the log", []byte(d.log()))
	d.stop()
	d.search("at the end")
	d.absent("the journal as a story", []byte(d.dynamod("", "log", "--config", d.configPath()).stdout))
	if left, err := filepath.Glob(filepath.Join(d.dir, "state", "requests", "*")); err != nil || len(left) > 0 {
		t.Errorf("requests that ended are left: %v, %v", left, err)
	}
	if cores, err := filepath.Glob("core*"); err != nil || len(cores) > 0 {
		t.Errorf("a process left its memory: %v", cores)
	}
}

// absent looks for the secrets, and what they are in the usual codings.
func (d *doors) absent(where string, text []byte) {
	d.t.Helper()
	for _, s := range d.secrets {
		for _, form := range []string{s, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), base64.StdEncoding.EncodeToString([]byte(s)), url.QueryEscape(s)} {
			if bytes.Contains(text, []byte(form)) {
				d.t.Errorf("%q is in %s", s, where)
			}
		}
	}
}

// search looks at everything on the disk that is the daemon's, and at the arguments and
// the environment of all processes.
func (d *doors) search(when string) {
	for _, dir := range []string{"state", "run", "operators.d"} {
		filepath.WalkDir(filepath.Join(d.dir, dir), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				text, _ := os.ReadFile(path) // it may have gone
				d.absent(path+" "+when, text)
			}
			return nil
		})
	}
	for _, name := range []string{"cmdline", "environ"} {
		paths, err := filepath.Glob("/proc/[0-9]*/" + name)
		if err != nil || len(paths) == 0 {
			d.t.Errorf("/proc cannot be read: %v", err)
		}
		for _, path := range paths {
			text, _ := os.ReadFile(path)
			d.absent(path+" "+when, text)
		}
	}
}
