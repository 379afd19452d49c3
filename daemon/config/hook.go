package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// hook reads [hook]; run is where the socket is unless the file says otherwise.
func (d *document) hook(all *rawConfig, c *Hook, run string) {
	raw := &all.Hook
	c.Socket = filepath.Join(run, socketName)
	d.path("hook.socket", raw.Socket, &c.Socket, "/")
	if len(c.Socket) > 90 { // sun_path holds 108 bytes, an instance's name takes up to 17
		d.failAt("hook.socket", "at most 90 characters", "socket path of %d characters is too long for a unix socket", len(c.Socket))
	}
	d.name("hook.group", raw.Group, &c.Group)
	d.listen(raw.Listen, &c.Listen)
	d.path("hook.certificate", raw.Certificate, &c.Certificate, "")
	d.path("hook.key", raw.Key, &c.Key, "")
	if (c.Certificate == "") != (c.Key == "") {
		at := "hook.certificate"
		if c.Certificate == "" {
			at = "hook.key"
		}
		d.failAt(at, "name both, or neither for a self-made certificate", "certificate and key go together")
	}
	d.path("hook.client_ca", raw.ClientCA, &c.ClientCA, "")
	for i, host := range raw.Hosts {
		if name := strings.ToLower(host); name == "" || len(name) > 253 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			d.failAt(fmt.Sprintf("hook.hosts[%d]", i), `a name without port: "router7.example.net"`, "%q is not a host name", host)
		} else {
			c.Hosts = append(c.Hosts, name)
		}
	}
}

// listen reads an address to listen on: ":8443", "192.0.2.1:8443", "[::1]:8443".
func (d *document) listen(raw, to *string) {
	if raw == nil || *raw == "" {
		return
	}
	colon := strings.LastIndexByte(*raw, ':')
	host, port := "", *raw
	if colon >= 0 {
		host, port = (*raw)[:colon], (*raw)[colon+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err == nil && host != "" {
		_, err = netip.ParseAddrPort(*raw)
	}
	if err != nil || n == 0 || colon < 0 {
		d.failAt("hook.listen", `an address of this router and a port: "192.168.8.1:8443", or ":8443" for all`, "%q is not an address to listen on", *raw)
		return
	}
	*to = *raw
}
