package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// smds reads the discovery servers: 0 to 4 host names, for labs with a port.
func (d *document) smds(raw []string, to *[]string) {
	if len(raw) > 4 {
		d.failAt("lpa.smds", "", "%d discovery servers are not in 0..4", len(raw))
		return
	}
	for i, s := range raw {
		host, port, found := strings.Cut(s, ":")
		n, err := strconv.ParseUint(port, 10, 16)
		if !strings.Contains(host, ".") || len(s) > 253 || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || found && (err != nil || n == 0) {
			d.failAt(fmt.Sprintf("lpa.smds[%d]", i), `a host name: "smds.example.com"`, "%q is not a discovery server", s)
			continue
		}
		*to = append(*to, strings.ToLower(s))
	}
}

// proxy reads the URL of an HTTP proxy. A password in it would be one in this
// file, and is refused.
func (d *document) proxy(raw *string, to **url.URL) {
	if raw == nil || *raw == "" {
		return
	}
	u := serviceURL(*raw)
	if u == nil || u.Scheme != "http" || u.Path != "" && u.Path != "/" {
		d.failAt("lpa.proxy", `such as "http://proxy.example.com:3128"; "" for none`, "the proxy is not an http URL of host and port")
		return
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "80")
	}
	u.Path = ""
	*to = u
}
