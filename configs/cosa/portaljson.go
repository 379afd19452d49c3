package cosa

import "strings"

type (
	jsonPortal struct {
		URL           string   `json:"url,omitempty"`
		CallbackHosts []string `json:"callbackHosts,omitempty"`
		Hosts         []string `json:"hosts,omitempty"`
		Countries     []string `json:"countries,omitempty"`
		ICCIDRanges   []any    `json:"iccidRanges,omitempty"`
		MCCMNC        []string `json:"mccmnc,omitempty"`
	}
	jsonMOAPI struct {
		BaseURL         string `json:"baseUrl,omitempty"`
		BalanceURL      string `json:"balanceUrl,omitempty"`
		OfferURL        string `json:"offerUrl,omitempty"`
		NotificationURL string `json:"notificationUrl,omitempty"`
		Username        string `json:"username,omitempty"`
		Password        string `json:"password,omitempty"`
		CertFile        string `json:"certFile,omitempty"`
		KeyFile         string `json:"keyFile,omitempty"`
	}
)

func (d *jsonReader) portal(p *Portal) func(*node, string) {
	return func(n *node, _ string) {
		d.object(n, `"portal"`,
			setter{"url", d.str(&p.URL)},
			setter{"callbackHosts", d.lowerStrings(&p.CallbackHosts)},
			setter{"hosts", d.lowerStrings(&p.Hosts)},
			setter{"countries", d.lowerStrings(&p.Countries)},
			setter{"iccidRanges", d.each(d.rangeOr(&p.ICCIDRanges, func(prefix string) {
				p.ICCIDRanges = append(p.ICCIDRanges, Range{prefix, prefix})
			}))},
			setter{"mccmnc", d.strings(&p.MCCMNC)},
		)
	}
}

func (d *jsonReader) moAPI(a *MOAPI) func(*node, string) {
	return func(n *node, _ string) {
		d.object(n, `"moApi"`,
			setter{"baseUrl", d.str(&a.BaseURL)},
			setter{"balanceUrl", d.str(&a.BalanceURL)},
			setter{"offerUrl", d.str(&a.OfferURL)},
			setter{"notificationUrl", d.str(&a.NotificationURL)},
			setter{"username", d.str(&a.Username)},
			setter{"password", d.secret(&a.Password)},
			setter{"certFile", d.str(&a.CertFile)},
			setter{"keyFile", d.str(&a.KeyFile)},
		)
	}
}

func (d *jsonReader) lowerStrings(to *[]string) func(*node, string) {
	read := d.strings(to)
	return func(n *node, name string) {
		read(n, name)
		for i, s := range *to {
			(*to)[i] = strings.ToLower(s)
		}
	}
}

func (p *Portal) toJSON() *jsonPortal {
	if p.isZero() {
		return nil
	}
	return &jsonPortal{URL: p.URL, CallbackHosts: p.CallbackHosts, Hosts: p.Hosts, Countries: p.Countries, ICCIDRanges: rangesToJSON(p.ICCIDRanges), MCCMNC: p.MCCMNC}
}

func (a *MOAPI) toJSON() *jsonMOAPI {
	if *a == (MOAPI{}) {
		return nil
	}
	return &jsonMOAPI{
		BaseURL: a.BaseURL, BalanceURL: a.BalanceURL, OfferURL: a.OfferURL, NotificationURL: a.NotificationURL,
		Username: a.Username, Password: a.Password.Reveal(), CertFile: a.CertFile, KeyFile: a.KeyFile,
	}
}
