package config

// dynamo reads [dynamo].
func (d *document) dynamo(all *rawConfig, c *Dynamo) {
	raw := &all.Dynamo
	d.path("dynamo.token_file", raw.TokenFile, &c.TokenFile, "")
	d.path("dynamo.ca", raw.CA, &c.CA, "")
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
