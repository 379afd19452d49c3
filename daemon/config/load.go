package config

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"unicode/utf8"
)

// Limits.
const (
	maxFileBytes   = 64 << 10
	maxErrors      = 20
	maxSecretBytes = 256
)

// Load reads and checks a file. The error is an Errors.
func Load(path string) (*Config, error) { return load(path, Parse) }

// LoadKnown is Load, but keys and tables that this version does not have are
// left out and told in Config.Unknown: a router whose file is of another version
// than its dynamod, after an upgrade or the way back from one, comes up with what
// is known.
func LoadKnown(path string) (*Config, error) { return load(path, parseKnown) }

func load(path string, parse func(name string, data []byte) (*Config, error)) (*Config, error) {
	data, err := readRegular(path, maxFileBytes)
	if err != nil {
		e := &Error{File: path, Msg: "cannot read the file: " + err.Error()}
		if errors.Is(err, fs.ErrNotExist) {
			e.Hint = "`dynamod init` writes one"
		}
		return nil, Errors{e}
	}
	return parse(path, data)
}

// Parse checks the text of a file; name is its name for errors. The error is
// an Errors with everything that is wrong, up to 20 entries.
func Parse(name string, data []byte) (*Config, error) {
	c, errs := parse(name, data)
	if len(errs) > 0 {
		return nil, errs.few()
	}
	return c, nil
}

func parseKnown(name string, data []byte) (*Config, error) {
	c, errs := parse(name, data)
	if slices.ContainsFunc(errs, func(e *Error) bool { return !e.Unknown }) {
		return nil, errs.few()
	}
	c.Unknown = errs.few()
	return c, nil
}

// parse returns what is right in a file beside all that is wrong.
func parse(name string, data []byte) (*Config, Errors) {
	d := newDocument(name, data, root)
	c, raw := Default(), &rawConfig{}
	if len(d.errs) > 0 {
		return c, d.errs
	}
	d.walk()
	d.decode(raw)
	d.typed(raw, c)
	return c, d.sorted()
}

// newDocument is a file whose size and characters are checked.
func newDocument(name string, data []byte, root *schema) *document {
	d := &document{file: name, data: data, root: root, values: map[string]int{}, tables: map[string]int{}}
	switch {
	case len(data) > maxFileBytes:
		d.fail(0, "", "the file has more than %d bytes", maxFileBytes)
	case !utf8.Valid(data):
		at := 0
		for r, n := utf8.DecodeRune(data); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRune(data[at:]) {
			at += n
		}
		d.fail(at, "save the file as UTF-8", "not UTF-8")
	}
	return d
}

// ReadSecret reads a PIN or password: the first and only line of a Private file of
// at most 256 bytes. The error never holds its content.
func ReadSecret(path string) (string, error) {
	if err := Private(path); err != nil {
		return "", fmt.Errorf("cannot use the secret in %w", err)
	}
	data, err := readRegular(path, maxSecretBytes)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret in %s: %w", path, err)
	}
	data = bytes.TrimRight(data, "\r\n")
	switch {
	case len(data) == 0:
		return "", fmt.Errorf("cannot use the secret in %s: the file is empty", path)
	case len(data) > maxSecretBytes || bytes.ContainsAny(data, "\r\n\x00"):
		return "", fmt.Errorf("cannot use the secret in %s: more than one line or %d bytes", path, maxSecretBytes)
	}
	return string(data), nil
}

// Private is an error if others than its owner may read or write a file, as each has
// to be that holds a secret or says who may come in. A group may read one of root's,
// as what systemd hands over by LoadCredential= (0440, with an ACL for the service) or a file
// that root keeps for the daemon's group.
func Private(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		if mode := info.Mode().Perm(); mode&0o037 != 0 || mode&0o040 != 0 && !ofRoot(info) {
			err = errors.New("others may read or write it, chmod 600 it")
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, reason(err))
	}
	return nil
}

func ofRoot(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid == 0
}

// ReadIssuers reads the issuers of servers' certificates, in PEM. Without a path it is
// nil, which stands for the system's.
func ReadIssuers(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return pool, nil
}

// readRegular reads a regular file, up to one byte more than limit.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening: a FIFO would block
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	return data, reason(err)
}

// reason strips the path that the caller's text has already.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
