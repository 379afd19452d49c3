package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseKeys(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	secret := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, row := range []struct{ name, text, err string }{
		{"nothing", "", ""},
		{"comments", "# who\n\n  \n", ""},
		{"each kind", "noc admin token " + sum + "\nfleet activate signature " + secret + "\nca-1 read certificate Fleet CA 1\n", ""},
		{"no value", "noc admin token\n", "line 1: not NAME SCOPE KIND VALUE"},
		{"the second line", "# x\nnoc admin token SECRET\n", "line 2: a token's value is its SHA-256"},
		{"upper-case hex", "noc admin token " + strings.ToUpper(sum), "lower-case hex"},
		{"a scope", "noc root token " + sum, `scope "root" is none of read, activate, admin`},
		{"no scope", "noc none token " + sum, `scope "none"`},
		{"a kind", "noc read password SECRET", "kind is none of token, signature, certificate"},
		{"a short key", "noc read signature SECRETSECRET", "base64 of 32 to 64 bytes"},
		{"a name", "N\x1b[2J read token " + sum, "is not 1 to 32 of a-z"},
		{"twice", "a read token " + sum + "\na admin token " + sum, "a is there twice"},
		{"too many", strings.Repeat("x", 0) + manyKeys(65, sum), "more than 64 callers"},
	} {
		t.Run(row.name, func(t *testing.T) {
			keys, err := ParseKeys(row.text)
			if row.err == "" && err != nil || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)) {
				t.Fatalf("got %v, want %q", err, row.err)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error tells a secret: %v", err)
			}
			if again, err := ParseKeys(keys.String()); err != nil || again.String() != keys.String() {
				t.Errorf("written and read again: %v", err)
			}
		})
	}
}

func manyKeys(n int, sum string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "c%d read token %s\n", i, sum)
	}
	return b.String()
}

func FuzzParseKeys(f *testing.F) {
	f.Add("noc admin token " + strings.Repeat("0a", 32) + "\n# c\nx read certificate A  B")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text)
		if err != nil {
			return
		}
		if again, err := ParseKeys(keys.String()); err != nil || again.String() != keys.String() {
			t.Errorf("%v, was %q, is %q", err, keys, again)
		}
	})
}

func TestToken(t *testing.T) {
	token, k := NewToken("noc", Read)
	other, o := NewToken("other", Admin)
	keys, err := ParseKeys(Keys{k, o}.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(token) < len(tokenPrefix)+43 || strings.Contains(keys.String(), token) {
		t.Errorf("token of %d characters, or kept", len(token))
	}
	for given, want := range map[string]string{token: "noc", other: "other", token + "x": "", token[:len(token)-1]: "", "": "", k.Value: ""} {
		got := ""
		if k := keys.ofToken(given); k != nil {
			got = k.Name
		}
		if got != want {
			t.Errorf("known as %q, want %q", got, want)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	f := OpenFile(path)
	if keys, err := f.Keys(); err != nil || len(keys) != 0 {
		t.Errorf("missing: %v %v", keys, err)
	}
	_, k := NewToken("noc", Read)
	write := func(text string, mode fs.FileMode, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
		os.Chtimes(path, at, at)
	}
	at := time.Unix(1e9, 0)
	write(Keys{k}.String(), 0o600, at)
	for range 2 {
		if keys, err := f.Keys(); err != nil || len(keys) != 1 {
			t.Errorf("there: %v %v", keys, err)
		}
	}
	write(Keys{k}.String()+"x", 0o600, at.Add(1))
	if keys, err := f.Keys(); err == nil || len(keys) != 0 {
		t.Errorf("damaged: %v %v", keys, err)
	}
	write(Keys{k}.String(), 0o640, at.Add(2))
	if _, err := f.Keys(); err == nil || !strings.Contains(err.Error(), "may be read by others") {
		t.Errorf("readable: %v", err)
	}
	// Another token of the same length within one tick of the file system's clock.
	_, k2 := NewToken("noc", Read)
	write(Keys{k}.String(), 0o600, at.Add(3))
	f.Keys()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	write(Keys{k2}.String(), 0o600, at.Add(3))
	if keys, err := f.Keys(); err != nil || len(keys) != 1 || keys[0] != k2 {
		t.Errorf("exchanged at once: %v %v", keys, err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Keys(); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("somebody else's: %v", err)
		}
		os.Chown(path, 0, 0)
	}
	write("", 0o600, at.Add(4))
	if keys, err := f.Keys(); err != nil || len(keys) != 0 {
		t.Errorf("removed: %v %v", keys, err)
	}
}

// The example of RFC 9421, B.2.5.
func TestRFC9421HMAC(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "http://example.com/foo?param=Value&Pet=dog", strings.NewReader(`{"hello": "world"}`))
	r.Header.Set("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
	r.Header.Set("Content-Type", "application/json")
	s, err := parseSignature(`sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
		"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.verify(r, key); err != nil {
		t.Error(err)
	}
	if s.keyID != "test-shared-secret" || s.created != 1618884473 {
		t.Errorf("%+v", s)
	}
	r.Header.Set("Content-Type", "text/plain")
	if s.verify(r, key) == nil {
		t.Error("a field was exchanged and nobody noticed")
	}
}

func TestParseSignature(t *testing.T) {
	sig := "sig=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"
	good := `sig=("@method" "@path");created=1;keyid="k";nonce="n"`
	if _, err := parseSignature(good, sig); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string][2]string{
		"another label":     {good, "gis" + sig[3:]},
		"no list":           {`sig="@method"`, sig},
		"a list that stops": {`sig=("@method"`, sig},
		"two blanks":        {`sig=("@method"  "@path")`, sig},
		"a component twice": {`sig=("@method" "@method")`, sig},
		"a parameter of it": {`sig=("@method";req "@path")`, sig},
		"an escape":         {`sig=("a\"b")`, sig},
		"another algorithm": {`sig=("@method");alg="rsa-v1_5-sha256"`, sig},
		"created twice":     {`sig=("@method");created=1;created=2`, sig},
		"created with sign": {`sig=("@method");created=+1`, sig},
		"unknown parameter": {`sig=("@method");x=1`, sig},
		"two signatures":    {good + `, b=("@method")`, sig},
		"not base64":        {good, "sig=:!:"},
		"a short MAC":       {good, "sig=:AAAA:"},
		"too long":          {good, strings.Repeat("x", 2000)},
	} {
		if s, err := parseSignature(row[0], row[1]); err == nil {
			t.Errorf("%s: taken as %+v", name, s)
		}
	}
}

func FuzzParseSignature(f *testing.F) {
	sig := "sig=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"
	f.Add(`sig=("@method" "@path");created=1;keyid="k";nonce="n"`, sig)
	f.Fuzz(func(t *testing.T, input, value string) {
		s, err := parseSignature(input, value)
		if err != nil {
			return
		}
		// What is signed is what was sent, and the list in it is what was understood.
		if !strings.HasSuffix(input, "="+s.params) || !strings.HasPrefix(s.params, `("`+strings.Join(s.components, `" "`)+`")`) && len(s.components) > 0 {
			t.Errorf("%q was read as %+v", input, s)
		}
	})
}

func TestNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sane := true
		n := newNonces(time.Now, func() bool { return sane })
		use := func(name string, want error, caller, nonce string, created int64) {
			t.Helper()
			if err := n.use(caller, &signature{nonce: nonce, created: created}); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
		time.Sleep(time.Hour)
		now := time.Now().Unix()
		use("first", nil, "a", "1", now)
		use("replayed", errReplay, "a", "1", now)
		use("of somebody else", nil, "b", "1", now)
		use("from the past", errWindow, "a", "2", now-301)
		use("from the future", errWindow, "a", "3", now+61)
		if err := n.use("a", &signature{nonce: "x", created: now - 10, expires: now - 1}); !errors.Is(err, errWindow) {
			t.Errorf("expired: %v", err)
		}
		use("with a nonce of ours, whatever the time", nil, "a", n.give(), 0)
		one := n.give()
		use("ours", nil, "a", one, now)
		use("ours replayed", errReplay, "a", one, now)
		use("ours forged", errWindow, "a", one[:len(one)-2]+"AA", now)
		use("of another router", errWindow, "a", newNonces(time.Now, nil).give(), now)
		old := n.give()
		time.Sleep(nonceLife + time.Second)
		use("ours, too late", errWindow, "a", old, now)
		time.Sleep(late - nonceLife - 2*time.Second)
		use("replayed at the end of the window", errReplay, "a", "1", now)
		time.Sleep(2 * late)
		use("replayed after it", errWindow, "a", "1", now)
		use("no nonce", errSignature, "a", "", time.Now().Unix())
		sane = false
		use("no clock", errClock, "a", "4", time.Now().Unix())
		use("no clock, with ours", nil, "a", n.give(), 0)
		sane = true
		last := time.Now().Unix()
		for i := 0; i < 2*maxNonces && n.use("c", &signature{nonce: fmt.Sprint(i), created: last}) == nil; i++ {
		}
		use("full", errNonceFull, "a", "5", last)
		time.Sleep(late + early + time.Second)
		use("room again", nil, "a", "5", time.Now().Unix())
		if len(n.seen) != 1 {
			t.Errorf("%d are remembered", len(n.seen))
		}
		n.now = func() time.Time { return time.Unix(last, 0) }
		use("forgotten, and the clock is set back", errReplay, "c", "1", last)
	})
}

// A restart forgets the nonces that were used. Whenever a request was let in
// before it, and whatever the signer's clock, it is not let in once more.
func TestNoncesOverRestart(t *testing.T) {
	for _, ahead := range []time.Duration{-late, -time.Minute, 0, early} {
		for _, down := range []time.Duration{0, time.Second, 2 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				sane := func() bool { return true }
				before := newNonces(time.Now, sane)
				time.Sleep(2 * late)
				s := &signature{nonce: "n", created: time.Now().Add(ahead).Unix()}
				if err := before.use("a", s); err != nil {
					t.Fatalf("%v ahead: %v", ahead, err)
				}
				ours := before.give()
				time.Sleep(down)
				after := newNonces(time.Now, sane)
				for range 80 {
					time.Sleep(5 * time.Second)
					if err := after.use("a", s); err == nil {
						t.Fatalf("%v ahead, down for %v: let in %v after the start", ahead, down, time.Since(after.start))
					}
				}
				if err := after.use("a", &signature{nonce: ours}); err == nil {
					t.Error("a nonce of before the start is taken")
				}
				if err := after.use("a", &signature{nonce: "m", created: time.Now().Unix()}); err != nil {
					t.Errorf("a new one, later: %v", err)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		// The clock is set an hour after the start.
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		n := newNonces(func() time.Time { return at }, func() bool { return true })
		time.Sleep(time.Hour)
		at = at.Add(9000 * time.Hour)
		if err := n.use("a", &signature{nonce: "n", created: at.Unix()}); err != nil {
			t.Error(err)
		}
		// And just after it.
		n = newNonces(func() time.Time { return at }, func() bool { return true })
		if err := n.use("a", &signature{nonce: "n", created: at.Unix()}); !errors.Is(err, errStarted) {
			t.Errorf("at once: %v", err)
		}
		if err := n.use("a", &signature{nonce: n.give()}); err != nil {
			t.Errorf("at once, with a nonce of ours: %v", err)
		}
	})
}

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(rate{3, time.Second})
		takes := func(n int) (ok int) {
			for range n {
				if _, yes := l.take("a"); yes {
					ok++
				}
			}
			return ok
		}
		if n := takes(10); n != 3 {
			t.Errorf("burst of %d", n)
		}
		if wait, ok := l.take("a"); ok || wait != time.Second {
			t.Errorf("wait %v", wait)
		}
		if _, ok := l.take("b"); !ok {
			t.Error("one holds up the other")
		}
		time.Sleep(1500 * time.Millisecond)
		if n := takes(10); n != 1 {
			t.Errorf("%d after 1.5 s", n)
		}
		time.Sleep(time.Hour)
		if n := takes(10); n != 3 {
			t.Errorf("%d after an hour", n)
		}
		for i := range 3 * maxLimited {
			l.take(fmt.Sprint(i))
		}
		if len(l.free) > maxLimited {
			t.Errorf("%d names are remembered", len(l.free))
		}
	})
}

func TestLimitListener(t *testing.T) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(in)
	defer l.Close()
	accepted := make(chan net.Conn, maxConns)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	// dial connects from 127.0.0.host.
	dial := func(host byte) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, host)}}
		c, err := d.Dial("tcp", in.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	closed := func(name string, c net.Conn, want bool) {
		t.Helper()
		at := time.Now().Add(time.Minute)
		if !want {
			at = time.Unix(1, 0) // what is closed had its time
		}
		c.SetReadDeadline(at)
		_, err := c.Read(make([]byte, 1))
		if got := !errors.Is(err, os.ErrDeadlineExceeded); got != want {
			t.Errorf("%s: closed %v, want %v (%v)", name, got, want, err)
		}
	}
	conns := func() []*limitedConn {
		in := l.(*limitListener)
		in.mu.Lock()
		defer in.mu.Unlock()
		return slices.Clone(in.conns)
	}
	known := func(c net.Conn) { c.(*limitedConn).known.Store(true) }

	first := dial(1)
	known(<-accepted)
	second := dial(1)
	<-accepted
	var held []net.Conn
	for range maxConnsFrom - 2 {
		held = append(held, dial(1))
		<-accepted
	}
	// One too many: the oldest stranger of the same address goes.
	dial(1)
	over := <-accepted
	closed("the oldest stranger", second, true)
	closed("a caller", first, false)
	closed("a later stranger", held[0], false)
	// Somebody else is not in the way, whatever the first has.
	other := dial(2)
	<-accepted
	closed("a stranger of before", held[0], false)
	// Where all are callers the new one goes.
	for _, c := range conns() {
		known(c)
	}
	closed("one too many callers", dial(1), true)
	closed("another's", other, false)
	over.Close()
	over.Close() // counts once
	dial(1)
	known(<-accepted)
	closed("closing twice made room for two", dial(1), true)

	// All together: the oldest stranger of any address goes.
	stranger := dial(3)
	<-accepted
	for i := 0; len(conns()) < maxConns; i++ {
		dial(byte(4 + i/maxConnsFrom))
		<-accepted
	}
	dial(99)
	<-accepted
	closed("the oldest stranger of all", stranger, true)
	closed("a caller in the crowd", first, false)
	if n := len(conns()); n != maxConns {
		t.Errorf("%d connections", n)
	}
}

func TestHostOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::",
		"[2001:db8:1:2::1]:81":      "2001:db8:1:2::",
		"[fe80::1%eth0]:80":         "fe80::",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1",
		"@":                         "@",
	} {
		if got := hostOf(address); got != want {
			t.Errorf("hostOf(%s) = %s, want %s", address, got, want)
		}
	}
}

func TestOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	built := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	write := func(path string, data []byte, mode fs.FileMode) error { return os.WriteFile(path, data, mode) }
	first, err := OwnCertificate(filepath.Join(dir, "hook"), built, []string{"router7", "192.0.2.1"}, write)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OwnCertificate(filepath.Join(dir, "hook"), built, nil, write)
	if err != nil || Fingerprint(again) != Fingerprint(first) || len(Fingerprint(first)) != 64 {
		t.Errorf("%v: another certificate at the second start", err)
	}
	leaf, err := x509.ParseCertificate(first.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if leaf.VerifyHostname("router7") != nil || leaf.VerifyHostname("192.0.2.1") != nil || !leaf.NotBefore.Equal(built) || leaf.IsCA {
		t.Errorf("%+v", leaf)
	}
	if err := os.WriteFile(filepath.Join(dir, "hook", "tls.pem"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OwnCertificate(filepath.Join(dir, "hook"), built, nil, write); err == nil || !strings.Contains(err.Error(), "remove") {
		t.Errorf("damaged: %v", err)
	}
	if conf := TLS(first, nil, time.Now); conf.MinVersion != tls.VersionTLS12 || conf.ClientAuth != tls.NoClientCert {
		t.Errorf("%+v", conf)
	}
}

// A certificate that was renewed is taken without a restart, one that is half
// written is not.
func TestRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	at := time.Unix(1e9, 0)
	made := func() (certPEM, keyPEM []byte) {
		text, err := makeCertificate(time.Now(), []string{"router7"})
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(text, []byte("-----BEGIN PRIVATE KEY"))
		return text[:i], text[i:]
	}
	put := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		os.Chtimes(path, at, at)
	}
	certPEM, keyPEM := made()
	put(cert, certPEM)
	put(key, keyPEM)
	first, err := LoadCertificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	get := Renewed(first, cert, key, func(c tls.Certificate, err error) {
		told = append(told, fmt.Sprint(Fingerprint(c) == Fingerprint(first), err != nil))
	})
	// The server without SNI, as by address, is asked too.
	conf := &tls.Config{GetCertificate: get}
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	print := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return Fingerprint(tls.Certificate{Certificate: [][]byte{c.ConnectionState().PeerCertificates[0].Raw}})
	}
	for range 2 {
		if print() != Fingerprint(first) || len(told) > 0 {
			t.Errorf("another one from the start; told %q", told)
		}
	}
	certPEM, keyPEM = made()
	put(cert, certPEM)
	for range 2 {
		if print() != Fingerprint(first) || strings.Join(told, ", ") != "true true" {
			t.Errorf("half written: told %q", told)
		}
	}
	put(key, keyPEM)
	for range 2 {
		if print() == Fingerprint(first) || strings.Join(told, ", ") != "true true, false false" {
			t.Errorf("renewed: told %q", told)
		}
	}
	renewed := print()
	os.Remove(key)
	if print() != renewed {
		t.Error("without its key there is another one")
	}
}

func TestAudit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hook")
	a := OpenAudit(dir)
	for i := range 2000 {
		if err := a.Write(Entry{Caller: "noc", What: "POST /v1/activations", Object: "evil\n\x1b[2J", Status: i}); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	entries, err := a.Entries()
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, name := range []string{"audit", "audit.1"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > auditSize || len(entries) < 200 || entries[len(entries)-1].Status != 1999 {
		t.Errorf("%d bytes, %d entries", size, len(entries))
	}
	for i, e := range entries {
		if e.Status != entries[0].Status+i {
			t.Fatalf("entry %d is %d", i, e.Status)
		}
	}
	// A power cut tears the last line.
	f, err := os.OpenFile(filepath.Join(dir, "audit"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"what":"torn`)
	f.Close()
	b := OpenAudit(dir)
	defer b.Close()
	if err := b.Write(Entry{Caller: "noc", What: "after", Status: 1}); err != nil {
		t.Fatal(err)
	}
	if after, _ := b.Entries(); len(after) < 2 || after[len(after)-1].What != "after" || after[len(after)-2].Status != 1999 {
		t.Errorf("after a torn line: %+v", after[max(0, len(after)-2):])
	}
}

// A path is the caller's own text, of up to 16 KiB and six times that as JSON:
// an entry never fills a file, however often there is one.
func TestAuditOfLongPath(t *testing.T) {
	a := OpenAudit(filepath.Join(t.TempDir(), "hook"))
	defer a.Close()
	long := strings.Repeat("&", 16<<10)
	for range 100 {
		if err := a.Write(Entry{Caller: "noc", What: "DELETE /" + long, Object: long, Status: 404}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := a.Entries()
	if err != nil || len(entries) < 20 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		if len(e.What) > maxText || len(e.Object) > maxText {
			t.Fatalf("%d and %d bytes", len(e.What), len(e.Object))
		}
	}
}

// However long strangers go on, what callers did stays.
func TestAuditOfStrangers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hook")
	a := OpenAudit(dir)
	defer a.Close()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3000 {
		if i%1000 == 0 {
			if err := a.Write(Entry{Time: at, Caller: "noc", Way: "token", What: "DELETE /v1/profiles/{iccid}", Status: 204}); err != nil {
				t.Fatal(err)
			}
		}
		at = at.Add(30 * time.Second)
		if err := a.Write(Entry{Time: at, From: "192.0.2.1", What: "GET /v1/status", Status: 401, Code: "not-known"}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := a.Entries()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(entries, func(a, b Entry) int { return a.Time.Compare(b.Time) }) {
		t.Error("not in order")
	}
	done := 0
	for _, e := range entries {
		if e.Caller != "" {
			done++
		}
	}
	if done != 3 || len(entries) < 50 {
		t.Errorf("%d of 3 changes are left, with %d entries", done, len(entries))
	}
	var size int64
	for _, name := range []string{"strangers", "strangers.1"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > strangersSize {
		t.Errorf("%d bytes", size)
	}
}

func TestNeeds(t *testing.T) {
	for pattern, want := range map[string]Scope{
		"GET /healthz": None, "GET /v1/nonce": None, "GET /readyz": Read, "GET /v1/status": Read,
		"POST /v1/activations": Activate, "DELETE /v1/activations/{id}": Activate, "POST /v1/profiles/{iccid}/enable": Activate,
		"DELETE /v1/profiles/{iccid}": Admin, "POST /v1/card/reset": Admin, "POST /v1/modem/reset": Admin, "GET /v1/modem/trace": Admin,
		"": Admin, "PATCH /v1/new": Admin,
	} {
		if got := Needs(pattern); got != want {
			t.Errorf("%s needs %s, want %s", pattern, got, want)
		}
	}
	for _, text := range []string{"", "none", "Admin", "root"} {
		if _, err := ParseScope(text); err == nil {
			t.Errorf("scope %q is taken", text)
		}
	}
}
