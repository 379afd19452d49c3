package reach

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// target is a parsed one.
type target struct {
	text   string
	kind   Stage      // the last step that it takes
	host   string     // name or address
	port   string     // not of dns
	server netip.Addr // of dns: whom to ask; invalid for the link's own
	url    *url.URL   // of http
}

// asksNames reports whether the link's name servers are needed.
func (t target) asksNames() bool {
	_, err := netip.ParseAddr(t.host)
	return err != nil && !t.server.IsValid()
}

// mustFail reports whether the name is one that no name server has: who has an address for it has one for every
// name that is mistyped (RFC 6761 section 6.4).
func (t target) mustFail() bool {
	return t.kind == StageDNS && strings.HasSuffix(strings.ToLower(strings.TrimSuffix(t.host, ".")), ".invalid")
}

// Check reports what is wrong with a target. The forms are
//
//	http://HOST[:PORT]/PATH   name, connection, and an answer 204
//	tcp:HOST:PORT             name and connection
//	dns:NAME[@SERVER]         name, at the link's name servers or at one address; a NAME below .invalid must have none
//
// Only the first can tell a portal that answers every connection.
func Check(text string) error {
	_, err := parse(text)
	return err
}

// Hosts are the names and addresses that a check of a target connects to or asks, none
// for a target that is none.
func Hosts(text string) []string {
	t, err := parse(text)
	switch {
	case err != nil:
		return nil
	case t.server.IsValid():
		return []string{t.server.String()}
	case t.kind == StageDNS:
		return nil // the link's own name servers
	}
	return []string{t.host}
}

func parse(text string) (target, error) {
	t := target{text: text}
	// The text is not in the error: there may be a password in it.
	fail := func(why string) (target, error) { return target{}, errors.New("reach target: " + why) }
	if len(text) > maxSent/2 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fail("too long, or with characters that belong into none")
	}
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "http":
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return fail("not of the form http://HOST/PATH")
		}
		t.kind, t.url, t.host, t.port = StageHTTP, u, u.Hostname(), u.Port()
		if t.port == "" {
			t.port = "80"
		}
	case "https":
		return fail("only http: a portal cannot answer for https, and the handshake costs 4 kB")
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return fail("not of the form tcp:HOST:PORT")
		}
		t.kind, t.host, t.port = StageTCP, host, port
	case "dns":
		name, server, has := strings.Cut(rest, "@")
		if has {
			a, err := netip.ParseAddr(server)
			if err != nil || a.Zone() != "" {
				return fail("the server behind @ is an address")
			}
			t.server = a
		}
		if _, err := netip.ParseAddr(name); err == nil {
			return fail("an address needs no looking up")
		}
		t.kind, t.host = StageDNS, name
	default:
		return fail("not of the form http://HOST/PATH, tcp:HOST:PORT or dns:NAME")
	}
	if _, err := netip.ParseAddr(t.host); err != nil && !isName(t.host) {
		return fail("the host is neither a name nor an address")
	}
	if t.kind != StageDNS && !isPort(t.port) {
		return fail("the port is not 1 to 65535")
	}
	return t, nil
}

func isPort(s string) bool {
	_, err := netip.ParseAddrPort("0.0.0.0:" + s)
	return err == nil && strings.Trim(s, "0") != ""
}

// isName reports whether s may be a host name (RFC 1123 section 2.1), with underscores as some have them.
func isName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
