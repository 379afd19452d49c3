package config

import "net/url"

// serviceURL reads a URL of scheme, host and path, which has no place for a secret; nil
// for another text.
func serviceURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" || len(text) > 512 {
		return nil
	}
	return u
}

// webhook reads [webhook].
func (d *document) webhook(all *rawConfig, c *Webhook) {
	raw := &all.Webhook
	d.path("webhook.secret_file", raw.SecretFile, &c.SecretFile, "")
	d.path("webhook.ca", raw.CA, &c.CA, "")
	set(raw.AllowPrivate, &c.AllowPrivate)
	set(raw.AllowHTTP, &c.AllowHTTP)
	if raw.URL == nil || *raw.URL == "" {
		return
	}
	u := serviceURL(*raw.URL)
	switch {
	case u == nil:
		d.failAt("webhook.url", `such as "https://example.com/hook"; who knows the receiver is told by the signature`, "the URL is not of scheme, host and path")
	case u.Scheme != "https" && (u.Scheme != "http" || !c.AllowHTTP):
		d.failAt("webhook.url", "allow_http = true takes http, too", "the URL is not https")
	case c.SecretFile == "":
		d.failAt("webhook.url", "name the file with the key in secret_file", "there is nothing to sign with")
	default:
		c.URL = *raw.URL
	}
}
