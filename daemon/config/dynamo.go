package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"dynamod/configs/cosa"
)

// dynamo reads [dynamo].
func (d *document) dynamo(all *rawConfig, c *Dynamo) {
	raw := &all.Dynamo
	d.path("dynamo.token_file", raw.TokenFile, &c.TokenFile, "")
	d.path("dynamo.ca", raw.CA, &c.CA, "")
	d.path("dynamo.catalogue", raw.Catalogue, &c.Catalogue, "")
	if raw.Staging != nil {
		c.Staging = *raw.Staging
	}
	if raw.Country != nil && *raw.Country != "" {
		if c.Country = strings.ToLower(*raw.Country); !cosa.IsCountry(c.Country) {
			d.failAt("dynamo.country", "two letters of ISO 3166-1: \"de\", \"us\"", "%q is not a country", *raw.Country)
		}
	}
	if raw.Key != nil && *raw.Key != "" {
		key, err := base64.StdEncoding.DecodeString(*raw.Key)
		if c.CatalogueKey = string(key); err != nil || len(key) != ed25519.PublicKeySize {
			d.failAt("dynamo.catalogue_key", "32 bytes in base64, as who signs the catalogue gives them", "this is not an Ed25519 public key")
		}
	} else if c.Catalogue != "" {
		d.failAt("dynamo.catalogue", "name the key of who signs it in catalogue_key", "a catalogue needs a key")
	}
	set(raw.WalledGarden, &c.WalledGarden)
	if raw.Directory == nil || *raw.Directory == "" {
		return
	}
	switch u := serviceURL(*raw.Directory); {
	case u == nil || u.Scheme != "https":
		d.failAt("dynamo.directory", `such as "https://directory.example.com"; the token has a file of its own`, "the URL is not of https, host and path")
	case c.TokenFile == "":
		d.failAt("dynamo.directory", "name the file with this router's token in token_file", "there is no token to show")
	default:
		c.Directory = *raw.Directory
	}
}
