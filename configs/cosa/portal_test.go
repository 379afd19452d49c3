package cosa

import (
	"strings"
	"testing"
)

func TestCheckHost(t *testing.T) {
	for _, tt := range []struct{ name, host, want string }{
		{"name", "portal.example.com", ""},
		{"mixed case", "Portal.Example.COM", ""},
		{"digits and hyphens", "m2m-1.4g.example", ""},
		{"0x is a letter and a digit elsewhere", "0x7f.example", ""},
		{"63 letters", strings.Repeat("a", 63) + ".example", ""},

		{"empty", "", "is empty"},
		{"port", "portal.example.com:443", "has a port, or is an address"},
		{"port that is empty", "portal.example.com:", "has a port, or is an address"},
		{"IPv6", "[2001:db8::1]", "has a port, or is an address"},
		{"IPv4", "192.0.2.1", "is an address, not a name"},
		{"IPv4 in two parts (WHATWG URL, host parsing)", "127.1", "is an address, not a name"},
		{"IPv4 in hex", "0x7f.0x1", "is an address, not a name"},
		{"IPv4 as one number", "2130706433", "is an address, not a name"},
		{"IPv4, hex without digits is 0", "example.0x", "is an address, not a name"},
		{"Cyrillic a", "p\u043ertal.example.com", "has the letter 'о', which can look like another"},
		{"full-width stop", "portal\uff0eexample.com", "has the letter '．', which can look like another"},
		{"punycode", "xn--prtal-vqe.example.com", `has the part "xn--prtal-vqe", which is shown in letters that can look like others`},
		{"punycode in capitals", "a.XN--P1AI", `has the part "XN--P1AI", which is shown in letters that can look like others`},
		{"any below", "*.example.com", "has the character '*'"},
		{"scheme", "https://portal.example.com", "has a port, or is an address"},
		{"path", "portal.example.com/a", "has the character '/'"},
		{"user", "portal.example.com@evil.example", "has the character '@'"},
		{"percent", "portal%2eexample.com", "has the character '%'"},
		{"blank", "portal.example.com ", "has the character ' '"},
		{"underscore", "por_tal.example.com", "has the character '_'"},
		{"root's full stop", "portal.example.com.", "has an empty part between its dots"},
		{"two stops", "portal..example", "has an empty part between its dots"},
		{"one label", "localhost", "is not a full domain name"},
		{"hyphen in front", "-a.example", `has the part "-a", which is too long or has a hyphen at its end`},
		{"64 letters", strings.Repeat("a", 64) + ".example", `has the part "` + strings.Repeat("a", 64) + `", which is too long or has a hyphen at its end`},
		{"254 characters", strings.Repeat("a.", 127), "is longer than 253 characters"},
	} {
		if got := CheckHost(tt.host); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for _, tt := range []struct{ name, url, want string }{
		{"host alone", "https://portal.example.com", ""},
		{"path and query", "https://portal.example.com/buy?brand=x", ""},
		{"http", "http://portal.example.com", "is not an https URL"},
		{"javascript", "javascript:alert(1)", "is not an https URL"},
		{"no host", "https:///path", "is not an https URL"},
		{"opaque", "https:portal.example.com", "is not an https URL"},
		{"port", "https://portal.example.com:8443/", "has a host that has a port, or is an address"},
		{"port of https", "https://portal.example.com:443/", "has a host that has a port, or is an address"},
		{"user", "https://portal.example.com@evil.example/", "has a user name"},
		{"backslash, which browsers take for a slash", `https://evil.example\.example.com/`, `has the character '\\'`},
		{"blank", "https://portal.example.com/a b", "has the character ' '"},
		{"line end", "https://portal.example.com/a\nb", `has the character '\n'`},
		{"address", "https://192.0.2.1/", "has a host that is an address, not a name"},
		{"long", "https://portal.example.com/" + strings.Repeat("a", 2000), "is longer than 2000 bytes"},
	} {
		if got := CheckURL(tt.url); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPortalErrors has what is wrong with a record's portal, and with its API.
func TestPortalErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"unknown field", `{"portal": {"uri": "https://p.example.com"}}`, "1:13: unknown field \"uri\"\nhint: did you mean \"url\"?"},
		{"port", `{"portal": {"url": "https://p.example.com:443"}}`, "1:20: URL has a host that has a port, or is an address\nhint: such as \"https://example.com/plans\""},
		{"parameter of ours", `{"portal": {"url": "https://p.example.com/?eid=1"}}`, "1:20: the portal URL has the parameter eid already\nhint: it is added at each visit"},
		{"fragment", `{"portal": {"url": "https://p.example.com/#buy"}}`, "1:20: the portal URL has a fragment, and parameters are added to it"},
		{"callback with a scheme", `{"portal": {"url": "https://p.example.com", "callbackHosts": ["a.example", "https://p.example.com"]}}`, "1:76: callback host \"https://p.example.com\" has a port, or is an address\nhint: a host name only, without scheme, port or path"},
		{"a host with a port", `{"portal": {"url": "https://p.example.com", "hosts": ["ocsp.example.com:80"]}}`, "1:55: host \"ocsp.example.com:80\" has a port, or is an address\nhint: a host name only, without scheme, port or path"},
		{"callbacks and no portal", `{"portal": {"callbackHosts": ["p.example.com"]}}`, "1:30: there are hosts that may call back, and no portal that could be opened\nhint: add the portal's url"},
		{"country", `{"portal": {"countries": ["DEU"]}}`, "1:27: country \"deu\" is not two letters\nhint: ISO 3166-1 alpha-2, such as \"de\""},
		{"network", `{"portal": {"mccmnc": ["2620"]}}`, "1:24: \"2620\" is not five or six digits\nhint: MCC and MNC joined, as a string: \"26201\", \"310260\""},
		{"ICCID range", `{"portal": {"iccidRanges": [{"lo": "8950", "hi": "8949"}]}}`, `1:29: range "8950".."8949" ends before it begins`},
		{"logo", `{"sim": {"brandLogo": "http://p.example.com/l.png"}}`, "1:23: URL is not an https URL\nhint: such as \"https://example.com/plans\""},
		{"API by http", `{"moApi": {"baseUrl": "http://m.example.com"}}`, "1:23: URL is not an https URL\nhint: such as \"https://example.com/plans\""},
		{"API with a query", `{"moApi": {"balanceUrl": "https://m.example.com/v1?a=b"}}`, "1:26: the base of an API has a query or fragment\nhint: what its URLs begin with, such as \"https://moapi.example.com/v1\""},
		{"unknown field of the API", `{"moApi": {"moBaseUrl": "https://m.example.com"}}`, "1:12: unknown field \"moBaseUrl\"\nhint: did you mean \"baseUrl\"?"},
		{"user without password", `{"moApi": {"baseUrl": "https://m.example.com", "username": "u"}}`, "1:11: a user name without a password, or the other way round\nhint: Basic authentication needs both"},
		{"user with a colon (RFC 7617, 2)", `{"moApi": {"baseUrl": "https://m.example.com", "username": "u:v", "password": "p"}}`, "1:60: the user name has a colon or control characters, or is longer than 255 bytes"},
		{"certificate without key", `{"moApi": {"baseUrl": "https://m.example.com", "certFile": "/c.pem"}}`, "1:11: a certFile without a keyFile, or the other way round\nhint: mutual TLS needs both"},
		{"relative path", `{"moApi": {"baseUrl": "https://m.example.com", "certFile": "c.pem", "keyFile": "/k.pem"}}`, "1:60: the path \"c.pem\" is not absolute\nhint: a path from the root, such as \"/etc/dynamod/operator.pem\""},
		{"credentials for nothing", `{"moApi": {"username": "u", "password": "p"}}`, "1:11: credentials, and no API that they are for\nhint: add baseUrl"},
	} {
		_, problems := ParseJSON("f.json", []byte(tt.in))
		if len(problems) == 0 || problems[0].Error() != "f.json:"+tt.want {
			t.Errorf("%s: %v\nwant f.json:%s", tt.name, problems, tt.want)
		}
	}
	_, problems := ParseJSON("f.json", []byte(`{"moApi": {"username": "s3cret:", "password": "s3cret\u0001"}}`))
	for _, p := range problems {
		if strings.Contains(p.Error(), "s3cret") {
			t.Errorf("a credential is shown: %v", p)
		}
	}
}

func TestPortalServes(t *testing.T) {
	p := Portal{ICCIDRanges: []Range{{"8988247000101997790", "8988247000101997799"}, {"894902", "894902"}}}
	for iccid, want := range map[string]bool{
		"8988247000101997795": true, "8988247000101997795F": true, "8988247000101997800": false,
		"8949020000000000000": true, "8949030000000000000": false, "": false, "F": false,
	} {
		if got := p.Serves(iccid); got != want {
			t.Errorf("%q: %v", iccid, got)
		}
	}
	if (&Portal{}).Serves("8949020000000000000") {
		t.Error("a portal without ranges serves a card")
	}
}
