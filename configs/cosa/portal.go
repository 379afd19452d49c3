package cosa

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Portal is the operator's web portal for buying a plan or an eSIM profile: the
// service configuration of a Mobile Plans operator.
type Portal struct {
	URL           string   // https
	CallbackHosts []string // hosts whose pages may call back, in lower case
	Hosts         []string // further ones that a line without credit has to reach, in lower case
	Countries     []string // where it is offered, ISO 3166-1 alpha-2
	ICCIDRanges   []Range  // cards that it serves
	MCCMNC        []string // networks whose phone numbers lead here
}

// Serves tells whether the portal's operator has given out the card. No range
// serves none.
func (p *Portal) Serves(iccid string) bool {
	s := SIM{ICCID: iccid}
	for _, r := range p.ICCIDRanges {
		if _, ok := r.match(s.iccid()); ok {
			return true
		}
	}
	return false
}

// SoldIn tells whether the portal sells in a country, in lower case: in those that
// it names, else in the record's own, else in all.
func (p *OperatorProfile) SoldIn(country string) bool {
	if p.Portal.URL == "" {
		return false
	}
	if len(p.Portal.Countries) > 0 {
		return slices.Contains(p.Portal.Countries, country)
	}
	return p.Country == "" || p.Country == country
}

func (p *Portal) isZero() bool {
	return p.URL == "" && len(p.CallbackHosts)+len(p.Hosts)+len(p.Countries)+len(p.ICCIDRanges)+len(p.MCCMNC) == 0
}

// MOAPI is where the operator's own API is: balance, offers, notifications,
// orders. It was made for a service in between; a router asks it only where
// HasCredentials.
type MOAPI struct {
	BaseURL string // https, such as "https://moapi.example.com/v1"
	// BalanceURL, OfferURL and NotificationURL stand for BaseURL where one of
	// these has a place of its own.
	BalanceURL, OfferURL, NotificationURL string
	// Username and Password are for Basic authentication.
	Username string
	Password Secret
	// CertFile and KeyFile are PEM files for mutual TLS.
	CertFile, KeyFile string
}

// HasCredentials tells whether the record lets a router ask the operator itself.
func (a *MOAPI) HasCredentials() bool { return a.Username != "" || a.CertFile != "" }

// CheckHost says why s cannot be a host that is trusted by its name, or "" if it
// can: a full domain name of letters, digits and hyphens. Browsers read more as an
// address than looks like one (the last part a number, or hex), and show a name of
// other letters so that it looks like one of these.
func CheckHost(s string) string {
	if s == "" {
		return "is empty"
	}
	if len(s) > 253 {
		return "is longer than 253 characters"
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
		case r == ':' || r == '[' || r == ']':
			return "has a port, or is an address"
		case r > 0x7e:
			return fmt.Sprintf("has the letter %q, which can look like another", r)
		default:
			return fmt.Sprintf("has the character %q", r)
		}
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		switch {
		case l == "":
			return "has an empty part between its dots"
		case len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-':
			return fmt.Sprintf("has the part %q, which is too long or has a hyphen at its end", l)
		case len(l) > 3 && strings.EqualFold(l[:4], "xn--"):
			return fmt.Sprintf("has the part %q, which is shown in letters that can look like others", l)
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	if isDigits(last) || strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "" {
		return "is an address, not a name"
	}
	if len(labels) < 2 {
		return "is not a full domain name"
	}
	return ""
}

// CheckURL says why s cannot be a page or an API whose host is trusted by its name,
// or "" if it can: https, such a host, no port, no user.
func CheckURL(s string) string {
	if len(s) > 2000 {
		return "is longer than 2000 bytes"
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '\\' {
			return fmt.Sprintf("has the character %q", s[i])
		}
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "https", u.Host == "":
		return "is not an https URL"
	case u.User != nil:
		return "has a user name"
	}
	if why := CheckHost(u.Host); why != "" {
		return "has a host that " + why
	}
	return ""
}

// launchParameters are what the launch of a portal adds to its URL.
var launchParameters = []string{"eid", "iccid", "iccids", "imei", "location", "market", "transactionId", "returnUrl", "state"}

func (c *checker) portal(p *Portal) {
	c.url("portal.url", p.URL)
	if strings.Contains(p.URL, "#") {
		c.add("portal.url", "", "the portal URL has a fragment, and parameters are added to it")
	}
	if u, err := url.Parse(p.URL); err == nil {
		have, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			c.add("portal.url", "", "the portal URL has a query that cannot be read")
		}
		for _, name := range launchParameters {
			if have.Has(name) {
				c.add("portal.url", "it is added at each visit", "the portal URL has the parameter %s already", name)
			}
		}
	}
	for i, h := range p.CallbackHosts {
		if why := CheckHost(h); why != "" {
			c.add(fmt.Sprintf("portal.callbackHosts[%d]", i), "a host name only, without scheme, port or path", "callback host %q %s", h, why)
		}
	}
	for i, h := range p.Hosts {
		if why := CheckHost(h); why != "" {
			c.add(fmt.Sprintf("portal.hosts[%d]", i), "a host name only, without scheme, port or path", "host %q %s", h, why)
		}
	}
	for i, s := range p.Countries {
		if !IsCountry(s) {
			c.add(fmt.Sprintf("portal.countries[%d]", i), `ISO 3166-1 alpha-2, such as "de"`, "country %q is not two letters", s)
		}
	}
	c.plmns("portal.mccmnc", p.MCCMNC)
	c.ranges("portal.iccidRanges", p.ICCIDRanges, fullICCID)
	for _, l := range []struct {
		path string
		n    int
	}{{"portal.callbackHosts", len(p.CallbackHosts)}, {"portal.hosts", len(p.Hosts)}, {"portal.countries", len(p.Countries)}, {"portal.mccmnc", len(p.MCCMNC)}, {"portal.iccidRanges", len(p.ICCIDRanges)}} {
		c.count(l.path, l.n, MaxValues)
	}
	if p.URL == "" && len(p.CallbackHosts) > 0 {
		c.add("portal.callbackHosts", "add the portal's url", "there are hosts that may call back, and no portal that could be opened")
	}
}

func (c *checker) moAPI(a *MOAPI) {
	c.url("moApi.baseUrl", a.BaseURL)
	c.url("moApi.balanceUrl", a.BalanceURL)
	c.url("moApi.offerUrl", a.OfferURL)
	c.url("moApi.notificationUrl", a.NotificationURL)
	for _, l := range []struct{ path, url string }{
		{"moApi.baseUrl", a.BaseURL}, {"moApi.balanceUrl", a.BalanceURL}, {"moApi.offerUrl", a.OfferURL}, {"moApi.notificationUrl", a.NotificationURL},
	} {
		if strings.ContainsAny(l.url, "?#") {
			c.add(l.path, `what its URLs begin with, such as "https://moapi.example.com/v1"`, "the base of an API has a query or fragment")
		}
	}
	if strings.ContainsAny(a.Username, ":") || len(a.Username) > maxCredential || hasControl(a.Username) {
		c.add("moApi.username", "", "the user name has a colon or control characters, or is longer than %d bytes", maxCredential)
	}
	if len(a.Password) > maxCredential || hasControl(string(a.Password)) {
		c.add("moApi.password", "", "the password is longer than %d bytes or has control characters", maxCredential)
	}
	if (a.Username == "") != (a.Password == "") {
		c.add("moApi", "Basic authentication needs both", "a user name without a password, or the other way round")
	}
	for _, f := range []struct{ path, file string }{{"moApi.certFile", a.CertFile}, {"moApi.keyFile", a.KeyFile}} {
		if f.file != "" && !filepath.IsAbs(f.file) {
			c.add(f.path, `a path from the root, such as "/etc/dynamod/operator.pem"`, "the path %q is not absolute", f.file)
		}
		c.text(f.path, f.file, maxName)
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		c.add("moApi", "mutual TLS needs both", "a certFile without a keyFile, or the other way round")
	}
	if a.HasCredentials() && a.BaseURL == "" && a.BalanceURL == "" {
		c.add("moApi", "add baseUrl", "credentials, and no API that they are for")
	}
}
