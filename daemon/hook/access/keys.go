package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"dynamod/daemon/config"
)

// Kind is how a caller proves who he is.
type Kind string

// The kinds.
const (
	Token       Kind = "token"       // Value is the SHA-256 of the token, in hex
	Signature   Kind = "signature"   // Value is the shared key, in base64
	Certificate Kind = "certificate" // Value is the common name of the certificate's subject
)

// Key is one caller and how he is known. In a file it is a line of four words:
//
//	noc activate token 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
type Key struct {
	Name  string // 1 to 32 of a-z, 0-9, hyphen, dot and underscore
	Scope Scope
	Kind  Kind
	Value string
}

const (
	// tokenPrefix makes a token that leaked recognisable as one.
	tokenPrefix = "dynamod_"
	// keyBytes are 256 bits: as good as the hash.
	keyBytes = 32
	// maxKeys bounds a keys file, and with it what each request costs.
	maxKeys = 64
	maxFile = 16 << 10
)

// NewToken makes a token, which is shown once, and the Key that knows it again.
func NewToken(name string, scope Scope) (token string, k Key) {
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(random(keyBytes))
	return token, Key{name, scope, Token, hashed(token)}
}

// NewSignatureKey makes a key to sign requests with. It is in the file as it
// is: who checks a MAC has to have its key.
func NewSignatureKey(name string, scope Scope) Key {
	return Key{name, scope, Signature, base64.StdEncoding.EncodeToString(random(keyBytes))}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Keys are all callers that are known.
type Keys []Key

// ParseKeys reads a keys file: a line for each caller; empty lines and those that
// begin with "#" are skipped. An error names the line, and never its value.
func ParseKeys(text string) (Keys, error) {
	var keys Keys
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		k, err := parseKey(line)
		if err == nil && keys.named(k.Name) != nil {
			err = fmt.Errorf("%s is there twice", k.Name)
		}
		if err == nil && len(keys) == maxKeys {
			err = fmt.Errorf("more than %d callers", maxKeys)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func parseKey(line string) (Key, error) {
	var words [3]string
	rest := line // what is behind the words is the value as it is: a common name may have two blanks in a row
	for i := range words {
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			return Key{}, errors.New("not NAME SCOPE KIND VALUE")
		}
		words[i], rest = rest[:end], strings.TrimSpace(rest[end:])
	}
	k := Key{Name: words[0], Kind: Kind(words[2]), Value: rest}
	if err := CheckName(k.Name); err != nil {
		return Key{}, err
	}
	var err error
	if k.Scope, err = ParseScope(words[1]); err != nil {
		return Key{}, err
	}
	switch k.Kind {
	case Token:
		if b, err := hex.DecodeString(k.Value); err != nil || len(b) != sha256.Size || k.Value != strings.ToLower(k.Value) {
			return Key{}, errors.New("a token's value is its SHA-256 in lower-case hex, 64 digits")
		}
	case Signature:
		if b, err := base64.StdEncoding.DecodeString(k.Value); err != nil || len(b) < keyBytes || len(b) > 2*keyBytes {
			return Key{}, fmt.Errorf("a signature's key is base64 of %d to %d bytes", keyBytes, 2*keyBytes)
		}
	case Certificate:
		if k.Value == "" || len(k.Value) > 128 || strings.ContainsFunc(k.Value, unicode.IsControl) {
			return Key{}, errors.New("a common name has 1 to 128 bytes, none of them a control character")
		}
	default:
		return Key{}, fmt.Errorf("kind is none of %s, %s, %s", Token, Signature, Certificate)
	}
	return k, nil
}

// Check tells why a key cannot be in a file: its line has to be read as the same key,
// and as no other's beside it.
func (k Key) Check() error {
	if keys, err := ParseKeys(Keys{k}.String()); err != nil || len(keys) != 1 || keys[0] != k {
		return fmt.Errorf("the %s of %.40q cannot be kept: it is empty or too long, has blanks around it or control characters", k.Kind, k.Name)
	}
	return nil
}

// CheckName tells what is wrong with a caller's name.
func CheckName(name string) error {
	if name == "" || len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return fmt.Errorf("name %.40q is not 1 to 32 of a-z, 0-9, hyphen, dot and underscore", name)
	}
	return nil
}

// String is the file's text.
func (keys Keys) String() string {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s %s %s %s\n", k.Name, k.Scope, k.Kind, k.Value)
	}
	return b.String()
}

func (keys Keys) named(name string) *Key {
	for i := range keys {
		if keys[i].Name == name {
			return &keys[i]
		}
	}
	return nil
}

// ofToken finds the caller of a token. It looks at all lines, and as long at
// each, so that the time tells nothing about how near a guess was.
func (keys Keys) ofToken(token string) *Key {
	sum := []byte(hashed(token))
	var found *Key
	for i := range keys {
		if keys[i].Kind == Token && subtle.ConstantTimeCompare([]byte(keys[i].Value), sum) == 1 {
			found = &keys[i]
		}
	}
	return found
}

func (keys Keys) ofKind(kind Kind, match func(Key) bool) *Key {
	for i := range keys {
		if keys[i].Kind == kind && match(keys[i]) {
			return &keys[i]
		}
	}
	return nil
}

// File is a keys file that is read again when it has changed, so that a token
// that was removed is worthless at once.
type File struct {
	path string

	mu   sync.Mutex
	read os.FileInfo // of when keys were read, nil for never
	keys Keys
}

// OpenFile returns the keys file of that path. It need not be there.
func OpenFile(path string) *File { return &File{path: path} }

// Keys returns what the file says now. A file that is missing has no callers; one
// that cannot be read or is wrong lets nobody in, and the error says why.
func (f *File) Keys() (Keys, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.keys, f.read = nil, nil
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("keys: %w", err)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("keys: %s has more than %d bytes", f.path, maxFile)
	case config.Private(f.path) != nil:
		return nil, fmt.Errorf("keys: %w", config.Private(f.path))
	case !ours(info, filepath.Dir(f.path)):
		return nil, fmt.Errorf("keys: %s belongs to another user: chown it to root", f.path)
	// The time alone would not do: on some flash file systems it has whole seconds.
	case f.read != nil && os.SameFile(info, f.read) && info.ModTime().Equal(f.read.ModTime()) && info.Size() == f.read.Size():
		return f.keys, nil
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	keys, err := ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("keys: %s: %w", f.path, err)
	}
	f.keys, f.read = keys, info
	return keys, nil
}

// ours reports whether a file is ours, root's, or his whose the directory is. Whoever
// owns it can change it.
func ours(info os.FileInfo, dir string) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || s.Uid == 0 || int(s.Uid) == os.Geteuid() {
		return true
	}
	d, err := os.Stat(dir)
	if err != nil {
		return false
	}
	of, ok := d.Sys().(*syscall.Stat_t)
	return ok && of.Uid == s.Uid
}
