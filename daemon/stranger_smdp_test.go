//go:build linux && !nodemo

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dynamod/euicc/sgp26"
)

// strangerCI makes a certificate issuer as `openssl req -x509` does: without
// the policies and names that SGP.26 gives its test CI.
func strangerCI(t *testing.T, file string) *sgp26.Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x5A17), Subject: pkix.Name{CommonName: "Somebody's CI"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	text := append([]byte("Certificate of somebody's CI\n\n"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return &sgp26.Authority{Cert: cert, DER: der, Key: key}
}

// strangerFront stands before an SM-DP+ and writes its answers as another
// server could: other order of fields, escapes, line breaks in base64, fields
// that nobody knows, compression, chunks.
func strangerFront(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gzipped := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
		r.Header.Del("Accept-Encoding")
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		for name, values := range rec.Header() {
			if name != "Content-Length" && name != "Content-Type" {
				w.Header()[strings.ToLower(name)] = values // as proxies that speak HTTP/2 behind them leave it
			}
		}
		if len(body) == 0 {
			w.WriteHeader(rec.Code)
			return
		}
		w.Header()["content-type"] = []string{"application/json;charset=UTF-8"}
		var fields map[string]any
		if json.Unmarshal(body, &fields) == nil {
			fields["aaVendor"] = map[string]any{"header": "not this one", "trace": []any{1, nil, true}}
			fields["zzNode"] = "n/7"
			var b bytes.Buffer
			b.WriteString("\n")
			foreignJSON(&b, fields, 0)
			b.WriteString("\r\n")
			body = b.Bytes()
		}
		if gzipped {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(body)
			z.Close()
			body = b.Bytes()
			w.Header()["content-encoding"] = []string{"gzip"}
		}
		w.WriteHeader(rec.Code)
		for part := range slices.Chunk(body, 700) {
			w.Write(part)
			w.(http.Flusher).Flush() // without a length HTTP/1.1 sends each as a chunk
		}
	})
}

// foreignJSON writes objects with their fields in falling order, blanks
// everywhere, and strings that are hard to read but right.
func foreignJSON(b *bytes.Buffer, v any, depth int) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteString("{ ")
		keys := slices.Sorted(maps.Keys(v))
		slices.Reverse(keys)
		for i, k := range keys {
			if i > 0 {
				b.WriteString(" ,\n\t")
			}
			fmt.Fprintf(b, "%q : ", k)
			foreignJSON(b, v[k], depth+1)
		}
		b.WriteString(" }")
	case string:
		foreignString(b, v)
	default:
		text, _ := json.Marshal(v)
		b.Write(text)
	}
}

func foreignString(b *bytes.Buffer, s string) {
	binary, err := base64.StdEncoding.DecodeString(s)
	lines := err == nil && len(binary) > 40 // as `base64` writes, 76 characters to the line
	b.WriteByte('"')
	for i := range len(s) {
		switch {
		case s[i] == '/' && i%2 == 0:
			b.WriteString(`\/`)
		case s[i] == '/':
			b.WriteString(`\u002F`)
		case s[i] == '"' || s[i] == '\\':
			b.WriteByte('\\')
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
		if lines && i%76 == 75 {
			b.WriteString(`\r\n`)
		}
	}
	b.WriteByte('"')
}

// TestForeignJSON makes sure that the front's answers say what the server said.
func TestForeignJSON(t *testing.T) {
	long := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xFF, 0xEF, 0x3F}, 50))
	front := httptest.NewServer(strangerFront(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"a": long, "b": map[string]any{"c": "x/y//z\""}})
	})))
	defer front.Close()
	res, err := http.Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		A string
		B struct{ C string }
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if !res.Uncompressed || len(res.TransferEncoding) == 0 {
		t.Errorf("compressed %v, %q", res.Uncompressed, res.TransferEncoding)
	}
	if strings.ReplaceAll(got.A, "\r\n", "") != long || !strings.Contains(got.A, "\r\n") || got.B.C != "x/y//z\"" {
		t.Errorf("%+v", got)
	}
}
