package config

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/atcmd/port"
	"dynamod/configs/cosa"
	"dynamod/netlink/reach"
)

// typed turns the raw file into c, which holds the defaults. Each parser
// reports a value that it refuses and leaves the default.
func (d *document) typed(raw *rawConfig, c *Config) {
	d.name("board.name", raw.Board.Name, &c.Board.Name)
	d.path("board.dir", raw.Board.Dir, &c.Board.Dir, "/")
	d.port("modem.port", raw.Modem.Port, &c.Modem.Port)
	d.integer("modem.baud", raw.Modem.Baud, &c.Modem.Baud, 1200, 4_000_000, "bit/s")
	d.name("modem.dialect", raw.Modem.Dialect, &c.Modem.Dialect)
	d.path("modem.dialects", raw.Modem.Dialects, &c.Modem.Dialects, "/")
	d.path("modem.pin_file", raw.Modem.PINFile, &c.Modem.PINFile, "")
	d.integer("modem.sim_slot", raw.Modem.SIMSlot, &c.Modem.SIMSlot, 0, 9, "")
	d.duration("modem.apdu_timeout", raw.Modem.APDUTimeout, &c.Modem.APDUTimeout, 5*time.Second, 10*time.Minute)

	d.iface("lpa.via", raw.LPA.Via, &c.LPA.Via)
	oneOf(d, "lpa.ci_set", raw.LPA.CISet, &c.LPA.CISet, CILive, CITest)
	if raw.LPA.CI != nil {
		c.LPA.CI = raw.LPA.CI
		for i, f := range raw.LPA.CI {
			d.absolute(fmt.Sprintf("lpa.ci[%d]", i), f)
		}
	}
	d.integer("lpa.min_free", raw.LPA.MinFree, &c.LPA.MinFree, 0, 16<<20, "bytes")
	d.aids(raw.LPA.AIDs, &c.LPA.AIDs)
	set(raw.LPA.Overlap, &c.LPA.Overlap)
	d.resolve(raw.LPA.Resolve, &c.LPA.Resolve)
	d.smds(raw.LPA.SMDS, &c.LPA.SMDS)
	d.proxy(raw.LPA.Proxy, &c.LPA.Proxy)
	set(raw.LPA.Private, &c.LPA.AllowPrivate)

	d.apn(raw, &c.APN)

	oneOf(d, "bearer.roaming", raw.Bearer.Roaming, &c.Bearer.Roaming, RoamingAllow, RoamingDomestic, RoamingDeny)
	onExit := "keep"
	oneOf(d, "bearer.on_exit", raw.Bearer.OnExit, &onExit, "keep", "down")
	c.Bearer.KeepUp = onExit == "keep"
	d.duration("bearer.deadline", raw.Bearer.Deadline, &c.Bearer.Deadline, 10*time.Second, 30*time.Minute)
	set(raw.Bearer.Assigned, &c.Bearer.NetworkAssigned)
	set(raw.Bearer.InAttach, &c.Bearer.DataAPNInAttach)
	oneOf(d, "bearer.recovery", raw.Bearer.Recovery, &c.Bearer.Recovery, RecoveryRungs...)
	d.pppPort("bearer.ppp", raw.Bearer.PPP, &c.Bearer.PPP)

	d.iface("uplink.interface", raw.Uplink.Interface, &c.Uplink.Interface)
	oneOf(d, "uplink.apply", raw.Uplink.Apply, &c.Uplink.Apply, ApplySelf, ApplyNetifd)
	d.fallback(raw, &c.Fallback, c.Uplink.Apply)
	d.integer("uplink.metric", raw.Uplink.Metric, &c.Uplink.Metric, 0, math.MaxInt32, "")
	d.integer("uplink.table", raw.Uplink.Table, &c.Uplink.Table, 0, math.MaxInt32, "")
	if t := c.Uplink.Table; t >= 253 && t <= 255 {
		d.failAt("uplink.table", "253 to 255 are the kernel's default, main and local tables", "table %d is not ours to use", t)
	}
	set(raw.Uplink.DefaultRoute, &c.Uplink.DefaultRoute)
	d.path("state.dir", raw.State.Dir, &c.State.Dir, "/")
	d.path("state.run", raw.State.Run, &c.State.Run, "/")
	d.path("state.helper", raw.State.Helper, &c.State.Helper, "/")
	c.Uplink.DNSFile = filepath.Join(c.State.Run, dnsName)
	d.path("uplink.dns_file", raw.Uplink.DNSFile, &c.Uplink.DNSFile, "")
	d.dns(raw.Uplink.DNS, &c.Uplink.DNS)
	d.mtu(raw.Uplink.MTU, &c.Uplink.MTU)
	set(raw.Uplink.Masquerade, &c.Uplink.Masquerade)

	d.targets(raw.Reach.Targets, &c.Reach.Targets)
	d.duration("reach.timeout", raw.Reach.Timeout, &c.Reach.Timeout, time.Second, 2*time.Minute)
	d.duration("reach.interval", raw.Reach.Interval, &c.Reach.Interval, 0, 24*time.Hour)
	if v := c.Reach.Interval; v != 0 && v < leastInterval {
		d.failAt("reach.interval", `"0s" checks only after a change`, "reach.interval = %q is not in %s..24h", text(v), text(leastInterval))
	}

	d.duration("activation.deadline", raw.Activation.Deadline, &c.Activation.Deadline, 30*time.Second, 24*time.Hour)
	d.duration("activation.hold", raw.Activation.Hold, &c.Activation.Hold, 0, 10*time.Minute)
	set(raw.Activation.KeepTrying, &c.Activation.KeepTrying)
	limits, to := &raw.Activation.Limits, &c.Activation.Limits
	d.duration("activation.limits.accepted", limits.Accepted, &to.Accepted, 30*time.Second, 24*time.Hour)
	d.duration("activation.limits.authenticated", limits.Authenticated, &to.Authenticated, time.Minute, time.Hour)
	d.duration("activation.limits.agreed", limits.Agreed, &to.Agreed, 30*time.Second, time.Hour)
	d.duration("activation.limits.waiting", limits.Waiting, &to.Waiting, 3*time.Minute, 30*24*time.Hour)
	d.duration("activation.limits.downloading", limits.Downloading, &to.Downloading, time.Minute, 24*time.Hour)
	d.duration("activation.limits.installed", limits.Installed, &to.Installed, 30*time.Second, time.Hour)
	d.duration("activation.limits.reporting", limits.Reporting, &to.Reporting, 0, time.Hour)
	d.duration("activation.limits.notifying", limits.Notifying, &to.Notifying, 0, time.Hour)

	d.path("operators.dir", raw.Operators.Dir, &c.Operators.Dir, "/")
	d.hook(raw, &c.Hook, c.State.Run)
	d.webhook(raw, &c.Webhook)
	d.dynamo(raw, &c.Dynamo)
	d.servers(raw.Time.NTP, &c.Time.NTP)
	set(raw.Time.Set, &c.Time.Set)
	d.level(raw.Log.Level, &c.Log.Level)
	oneOf(d, "log.format", raw.Log.Format, &c.Log.Format, LogText, LogJSON)
}

func set[T any](raw *T, to *T) {
	if raw != nil {
		*to = *raw
	}
}

func oneOf[T ~string](d *document, path string, raw *string, to *T, allowed ...T) {
	if raw == nil {
		return
	}
	if !slices.Contains(allowed, T(*raw)) {
		quoted := make([]string, len(allowed))
		for i, a := range allowed {
			quoted[i] = fmt.Sprintf("%q", string(a))
		}
		d.failAt(path, "one of "+strings.Join(quoted, ", "), "%q is not a value of %s", *raw, path)
		return
	}
	*to = T(*raw)
}

// path reads an absolute path. extra is a further value that is allowed: "auto"
// or "" (none); "/" allows no other.
func (d *document) path(path string, raw, to *string, extra string) {
	if raw == nil {
		return
	}
	if *raw == extra && extra != "/" || d.absolute(path, *raw) {
		*to = *raw
		if *raw != extra {
			*to = filepath.Clean(*raw)
		}
	}
}

// pppPort reads where PPP is spoken: pppd needs a terminal.
func (d *document) pppPort(path string, raw, to *string) {
	switch {
	case raw == nil:
	case *raw == PPPOff:
		*to = *raw
	case *raw == Auto, strings.HasPrefix(*raw, "/"), strings.HasPrefix(*raw, "usb:"):
		d.port(path, raw, to)
	default:
		d.failAt(path, `"off", "auto", a path such as "/dev/ttyUSB3", or a place on USB such as "usb:1-1.2:3"`, "%q is not the name of a serial port", *raw)
	}
}

// port reads the name of a modem port in one of the forms that port.Open takes.
func (d *document) port(path string, raw, to *string) {
	if raw == nil {
		return
	}
	kind, rest, _ := strings.Cut(*raw, ":")
	const hint = `"auto", a path such as "/dev/ttyUSB2", a place on USB such as "usb:1-1.2:3", "unix:@NAME", "unix:/PATH" or "tcp:HOST:PORT"`
	switch {
	case *raw == Auto:
	case len(*raw) > 255 || strings.ContainsFunc(*raw, func(r rune) bool { return r < ' ' || r == 0x7f }):
		d.failAt(path, "", "%q is longer than 255 bytes or has control characters", *raw)
		return
	case strings.HasPrefix(*raw, "/"):
		*to = filepath.Clean(*raw)
		return
	case kind == "usb":
		if _, err := port.ParsePlace(*raw); err != nil {
			d.failAt(path, "see /sys/bus/usb/devices, or `dynamod diag`", "%v", err)
			return
		}
	case kind == "unix" && len(rest) > 1 && (rest[0] == '@' || rest[0] == '/'):
	case kind == "tcp":
		if host, number, err := net.SplitHostPort(rest); err != nil || host == "" || !isPort(number) {
			d.failAt(path, `such as "tcp:192.0.2.1:4001"`, "%q does not name host and port", *raw)
			return
		}
	default:
		d.failAt(path, hint, "%q is not the name of a modem port", *raw)
		return
	}
	*to = *raw
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (d *document) absolute(path, s string) bool {
	switch {
	case !strings.HasPrefix(s, "/"):
		d.failAt(path, `such as "/etc/dynamod/file"`, "%q is not an absolute path", s)
	case len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		d.failAt(path, "", "%q is longer than 255 bytes or has control characters", s)
	default:
		return true
	}
	return false
}

func (d *document) integer(path string, raw *int64, to *int, lo, hi int64, unit string) {
	if raw == nil {
		return
	}
	if *raw < lo || *raw > hi {
		d.failAt(path, "", "%s", strings.TrimSpace(fmt.Sprintf("%s = %d is not in %d..%d %s", path, *raw, lo, hi, unit)))
		return
	}
	*to = int(*raw)
}

func (d *document) mtu(raw *int64, to *int) {
	if raw != nil && *raw == 0 {
		*to = 0
		return
	}
	d.integer("uplink.mtu", raw, to, 576, 9000, "bytes; 0 takes the network's")
}

// dns reads addresses of name servers; resolv.conf takes three (resolv.conf(5),
// MAXNS).
func (d *document) dns(raw []string, to *[]netip.Addr) {
	if len(raw) > 3 {
		d.failAt("uplink.dns", "the C library asks the first three", "%d name servers are not in 0..3", len(raw))
		return
	}
	for i, s := range raw {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			d.failAt(fmt.Sprintf("uplink.dns[%d]", i), `such as "9.9.9.9" or "2620:fe::fe"`, "%q is not the address of a name server", s)
			continue
		}
		*to = append(*to, a)
	}
}

// leastInterval is the shortest time between two looks at a link that works: modem
// and kernel announce what changes, and each look costs the card and the radio some.
const leastInterval = 30 * time.Second

func (d *document) duration(path string, raw *duration, to *time.Duration, lo, hi time.Duration) {
	if raw == nil {
		return
	}
	v, err := time.ParseDuration(string(*raw))
	switch {
	case err != nil:
		d.failAt(path, `a number with a unit: "500ms", "90s", "5m", "1h30m"`, "%q is not a duration", string(*raw))
	case v < lo || v > hi:
		d.failAt(path, "", "%s = %q is not in %s..%s", path, string(*raw), text(lo), text(hi))
	default:
		*to = v
	}
}

// text writes a duration without zero parts: "5m" for "5m0s".
func text(v time.Duration) string {
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// name reads a plain word, as dialects and groups have.
func (d *document) name(path string, raw, to *string) {
	if raw == nil {
		return
	}
	if len(*raw) > 40 || strings.Trim(strings.ToLower(*raw), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		d.failAt(path, "letters, digits, - and _", "%q is not a name", *raw)
		return
	}
	*to = *raw
}

// iface reads the name of a network interface; the kernel takes 1 to 15 bytes
// without blanks, slashes and colons (dev_valid_name).
func (d *document) iface(path string, raw, to *string) {
	if raw == nil {
		return
	}
	s := *raw
	if s == "" || len(s) > 15 || s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '/' || r == ':' || r > '~' }) {
		d.failAt(path, `such as "wwan0", or "auto"`, "%q is not an interface name of 1 to 15 characters", s)
		return
	}
	*to = s
}

func (d *document) aids(raw []string, to *[][]byte) {
	for i, s := range raw {
		aid, err := hex.DecodeString(s)
		if err != nil || len(aid) < 5 || len(aid) > 16 { // ISO 7816-4
			d.failAt(fmt.Sprintf("lpa.aids[%d]", i), `such as "A0000005591010FFFFFFFF8900000100"`, "%q is not an AID of 5 to 16 bytes in hex", s)
			continue
		}
		*to = append(*to, aid)
	}
}

func (d *document) resolve(raw map[string]string, to *map[string]netip.AddrPort) {
	for host, s := range raw {
		path := "lpa.resolve." + host
		if host == "" || len(host) > 253 || strings.ContainsAny(host, "/:@ \t$") {
			d.failAt(path, `the name as it stands in the activation code: "smdp.example.com"`, "%q is not a host name", host)
			continue
		}
		addr, err := netip.ParseAddrPort(s)
		if err != nil || addr.Port() == 0 {
			d.failAt(path, `address and port: "192.0.2.1:8443", "[2001:db8::1]:8443"`, "%q is not an address with a port", s)
			continue
		}
		if *to == nil {
			*to = map[string]netip.AddrPort{}
		}
		(*to)[strings.ToLower(host)] = addr
	}
}

func (d *document) apn(raw *rawConfig, to *APN) {
	r := &raw.APN
	if r.APN != nil {
		to.Name, to.Set = strings.TrimSpace(*r.APN), true
		if why := cosa.CheckAPN(to.Name); why != "" {
			d.failAt("apn.apn", `letters, digits, dot and hyphen; "" lets the network assign one`, "APN %q %s", to.Name, why)
		}
	} else {
		for key, there := range map[string]bool{
			"apn.iccid": r.ICCID != nil, "apn.username": r.Username != nil, "apn.password_file": r.PasswordFile != nil,
			"apn.ip_type": r.IPType != nil, "apn.auth": r.Auth != nil,
		} {
			if there {
				d.failAt(key, `add apn = "..."; without it the operator settings are used`, "%s needs [apn] apn", key)
			}
		}
	}
	if r.ICCID != nil {
		iccid, why := cleanICCID(*r.ICCID)
		if why != "" {
			d.failAt("apn.iccid", "18 to 20 digits that begin with 89 (ITU-T E.118)", "%s", why)
		}
		to.ICCID = iccid
	}
	if r.Username != nil {
		if to.Username = *r.Username; len(to.Username) > 255 {
			d.failAt("apn.username", "at most 255 bytes", "the user name has %d bytes", len(to.Username))
		}
	}
	d.path("apn.password_file", r.PasswordFile, &to.PasswordFile, "")
	if r.IPType != nil {
		var ok bool
		if to.IPType, ok = cosa.ParseIPType(*r.IPType); !ok {
			d.failAt("apn.ip_type", `one of "ipv4", "ipv6", "ipv4v6"`, "%q is not a value of apn.ip_type", *r.IPType)
		}
	}
	if r.Auth != nil {
		var ok bool
		if to.Auth, ok = cosa.ParseAuth(*r.Auth); !ok {
			d.failAt("apn.auth", `one of "none", "pap", "chap", "pap-or-chap", "mschapv2", "auto"`, "%q is not a value of apn.auth", *r.Auth)
		}
	}
}

func (d *document) targets(raw []string, to *[]string) {
	if raw == nil {
		return
	}
	if len(raw) == 0 || len(raw) > reach.MaxTargets {
		d.failAt("reach.targets", "a list of 1 to 8 targets", "%d targets are not in 1..%d", len(raw), reach.MaxTargets)
		return
	}
	for i, s := range raw {
		if err := reach.Check(s); err != nil {
			d.failAt(fmt.Sprintf("reach.targets[%d]", i), `such as "http://example.com/generate_204", "tcp:9.9.9.9:443" or "dns:example.com@9.9.9.9"`, "%v", err)
		}
	}
	*to = raw
}

func (d *document) servers(raw []string, to *[]string) {
	if raw == nil {
		return
	}
	for i, s := range raw {
		if s == "" || len(s) > 253 || strings.ContainsAny(s, "/@ \t") {
			d.failAt(fmt.Sprintf("time.ntp[%d]", i), `a name or address: "pool.ntp.org"`, "%q is not a server", s)
		}
	}
	*to = raw
}

func (d *document) level(raw *string, to *slog.Level) {
	if raw == nil {
		return
	}
	var name string
	oneOf(d, "log.level", raw, &name, "debug", "info", "warn", "error")
	if name != "" {
		_ = to.UnmarshalText([]byte(name)) // cannot fail: one of slog's own names
	}
}
