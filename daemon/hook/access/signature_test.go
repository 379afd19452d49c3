package access

import (
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"
)

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
