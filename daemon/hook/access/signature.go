package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signed requests follow RFC 9421 with hmac-sha256, and RFC 9530 for the
// body's digest. Of RFC 9421 the server takes one signature, over components
// without parameters, written as RFC 8941 serialises them.

var errSignature = errors.New("signature")

// signature is what Signature-Input and Signature say.
type signature struct {
	components []string
	params     string // the inner list as it was sent: the last line of the base
	created    int64
	expires    int64 // 0: it does not say
	nonce      string
	keyID      string
	mac        []byte
}

// maxSignature bounds each of the two fields.
const maxSignature = 1 << 10

// parseSignature reads the two header fields.
func parseSignature(input, value string) (*signature, error) {
	if len(input) > maxSignature || len(value) > maxSignature {
		return nil, fmt.Errorf("%w: too long", errSignature)
	}
	label, params, ok := strings.Cut(input, "=")
	if !ok || label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789_-.*") != "" {
		return nil, fmt.Errorf("%w: Signature-Input is not LABEL=(...)", errSignature)
	}
	s := &signature{params: params}
	rest, ok := strings.CutPrefix(params, "(")
	if !ok {
		return nil, fmt.Errorf("%w: Signature-Input is not LABEL=(...)", errSignature)
	}
	for !strings.HasPrefix(rest, ")") {
		if len(s.components) > 0 {
			if rest, ok = strings.CutPrefix(rest, " "); !ok {
				return nil, fmt.Errorf("%w: components are parted by one blank", errSignature)
			}
		}
		var name string
		if name, rest, ok = quotedString(rest); !ok || name == "" || slices.Contains(s.components, name) {
			return nil, fmt.Errorf("%w: a component is not a string, or there twice", errSignature)
		}
		s.components = append(s.components, name)
	}
	if err := s.parseParams(rest[1:]); err != nil {
		return nil, err
	}
	mac, ok := strings.CutPrefix(value, label+"=:")
	if ok {
		mac, ok = strings.CutSuffix(mac, ":")
	}
	var err error
	if s.mac, err = base64.StdEncoding.DecodeString(mac); !ok || err != nil || len(s.mac) != sha256.Size {
		return nil, fmt.Errorf("%w: Signature is not the label %s with base64 between colons", errSignature, label)
	}
	return s, nil
}

func (s *signature) parseParams(rest string) error {
	seen := map[string]bool{}
	for rest != "" {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, ";"); !ok {
			return fmt.Errorf("%w: one signature is taken, its parameters begin with ;", errSignature)
		}
		name, after, ok := strings.Cut(rest, "=")
		if !ok || seen[name] {
			return fmt.Errorf("%w: a parameter has no value, or is there twice", errSignature)
		}
		seen[name] = true
		switch name {
		case "created", "expires":
			end := strings.IndexByte(after+";", ';')
			n, err := strconv.ParseInt(after[:end], 10, 64)
			if err != nil || strconv.FormatInt(n, 10) != after[:end] {
				return fmt.Errorf("%w: %s is not a number", errSignature, name)
			}
			if name == "created" {
				s.created = n
			} else {
				s.expires = n
			}
			rest = after[end:]
		case "keyid", "nonce", "alg", "tag":
			var text string
			if text, rest, ok = quotedString(after); !ok {
				return fmt.Errorf("%w: %s is not a string", errSignature, name)
			}
			switch name {
			case "keyid":
				s.keyID = text
			case "nonce":
				s.nonce = text
			case "alg":
				if text != "hmac-sha256" {
					return fmt.Errorf("%w: alg is not hmac-sha256", errSignature)
				}
			}
		default:
			return fmt.Errorf("%w: a parameter that is not known", errSignature)
		}
	}
	return nil
}

// quotedString reads an RFC 8941 string without escapes, which none of what is
// named here needs.
func quotedString(text string) (value, rest string, ok bool) {
	if text, ok = strings.CutPrefix(text, `"`); !ok {
		return "", "", false
	}
	value, rest, ok = strings.Cut(text, `"`)
	if !ok || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }) {
		return "", "", false
	}
	return value, rest, true
}

// base is the text that is signed (RFC 9421 2.5). A field that comes more than
// once, or a component that the request does not have, is an error.
func (s *signature) base(r *http.Request) (string, error) {
	var b strings.Builder
	for _, name := range s.components {
		var value string
		switch name {
		case "@method":
			value = r.Method
		case "@authority":
			value = strings.TrimSuffix(strings.ToLower(r.Host), ":443")
		case "@path":
			value = r.URL.EscapedPath()
		case "@query":
			value = "?" + r.URL.RawQuery
		case "@target-uri":
			value = "https://" + strings.ToLower(r.Host) + r.URL.RequestURI()
		default:
			field := r.Header.Values(name)
			if len(field) != 1 || name != strings.ToLower(name) {
				return "", fmt.Errorf("%w: component %.40q is not there exactly once", errSignature, name)
			}
			value = strings.TrimSpace(field[0])
		}
		fmt.Fprintf(&b, "%q: %s\n", name, value)
	}
	fmt.Fprintf(&b, "%q: %s", "@signature-params", s.params)
	return b.String(), nil
}

// verify checks the MAC.
func (s *signature) verify(r *http.Request, key []byte) error {
	base, err := s.base(r)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac(key, base), s.mac) {
		return fmt.Errorf("%w: it does not fit, or keyid is not known", errSignature)
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// covers tells what a signature has to be over so that nothing of the request
// can be exchanged.
func (s *signature) covers(r *http.Request, hasBody bool) error {
	has := func(name string) bool { return slices.Contains(s.components, name) }
	whole := has("@target-uri")
	for _, need := range []struct {
		name string
		ok   bool
	}{
		{"@method", has("@method")},
		{"@authority", whole || has("@authority")},
		{"@path", whole || has("@path")},
		{"@query", whole || has("@query") || r.URL.RawQuery == ""},
		{"content-digest", has("content-digest") || !hasBody},
		{"idempotency-key", has("idempotency-key") || r.Header.Get("Idempotency-Key") == ""},
	} {
		if !need.ok {
			return fmt.Errorf("%w: %s is not covered", errSignature, need.name)
		}
	}
	return nil
}

// checkDigest holds Content-Digest (RFC 9530) against the body.
func checkDigest(r *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	if r.Header.Get("Content-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		return fmt.Errorf("%w: Content-Digest is not the body's sha-256", errSignature)
	}
	return nil
}

// Sign adds the fields of a signature to r. body is what r sends; nonce is the
// caller's own, or one that the server gave.
func Sign(r *http.Request, body []byte, k Key, nonce string, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(k.Value)
	if err != nil || k.Kind != Signature {
		return fmt.Errorf("%s is not a key to sign with", k.Name)
	}
	components := []string{"@method", "@authority", "@path"}
	if r.URL.RawQuery != "" {
		components = append(components, "@query")
	}
	if len(body) > 0 {
		sum := sha256.Sum256(body)
		r.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		components = append(components, "content-digest")
	}
	if r.Header.Get("Idempotency-Key") != "" {
		components = append(components, "idempotency-key")
	}
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	params := fmt.Sprintf(`("%s");created=%d;keyid=%q;nonce=%q`, strings.Join(components, `" "`), now.Unix(), k.Name, nonce)
	s := &signature{components: components, params: params}
	base, err := s.base(r)
	if err != nil {
		return err
	}
	r.Header.Set("Signature-Input", "sig="+params)
	r.Header.Set("Signature", "sig=:"+base64.StdEncoding.EncodeToString(mac(key, base))+":")
	return nil
}
