package activation

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dynamod/daemon/durable"
	"dynamod/daemon/seal"
	"dynamod/euicc"
)

// Vault keeps the requests of unfinished runs sealed under the device key, so
// that a run can go on after a power cut and a copied file tells nobody a code.
// After its run a code is only known again by its mark.
type Vault struct {
	dir  string
	apns string // directory of KeepAPN
	aead cipher.AEAD
	mark []byte
	// Portals is the key of visits to operators' portals.
	Portals []byte

	keyFile string
	mu      sync.Mutex
	unsaved []byte // a device key that is not on the medium
	kept    error  // why it never will be
}

// OpenVault opens the vault in a state directory and makes the device key when
// there is none, or none that can be used.
//
// The vault is never nil, and the error says what is wrong with the medium: with a
// key that cannot be kept nothing is sealed, and each Put tries again to keep it.
func OpenVault(stateDir string) (*Vault, error) {
	v := &Vault{dir: filepath.Join(stateDir, "requests"), apns: filepath.Join(stateDir, "apns"), keyFile: filepath.Join(stateDir, "device.key")}
	key, err := os.ReadFile(v.keyFile)
	if err == nil && len(key) == seal.KeySize {
		v.derive(key)
		return v, nil
	}
	lost := fmt.Errorf("device key: %s has %d bytes, want %d: what it has sealed is lost", v.keyFile, len(key), seal.KeySize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		lost = nil
	case err != nil:
		lost = fmt.Errorf("device key: %w", err)
		v.kept = lost // the file may come back
	default:
		v.kept = os.Rename(v.keyFile, v.keyFile+".damaged")
	}
	v.unsaved = make([]byte, seal.KeySize)
	rand.Read(v.unsaved) // never fails
	v.derive(v.unsaved)
	return v, errors.Join(lost, v.KeepKey())
}

// KeepKey writes the device key, if it is new: what is sealed or marked with it while
// it is not on the medium is lost with this process. v.mu is not held.
func (v *Vault) KeepKey() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.unsaved == nil || v.kept != nil {
		return v.kept
	}
	if err := durable.WriteFile(v.keyFile, v.unsaved, 0o600); err != nil {
		return fmt.Errorf("device key: %w", err)
	}
	v.unsaved = nil
	return nil
}

// derive makes the keys that are used of the device key.
func (v *Vault) derive(key []byte) {
	v.aead = seal.New(key, "dynamod request seal")
	v.mark = seal.Subkey(key, "dynamod code mark")
	v.Portals = seal.Subkey(key, "dynamod portal visits")
}

// Mark returns the mark of a request's order: equal codes, or equal ways to find one,
// have equal marks on this device, and nothing about a code can be told from it.
func (v *Vault) Mark(r Request) string {
	h := hmac.New(sha256.New, v.mark)
	h.Write([]byte(r.Code.Address + "\x00" + r.Code.MatchingID.Reveal()))
	switch { // no code begins so
	case r.Discover:
		h.Write([]byte("\x00discover\x00" + r.SMDS))
	case r.DefaultSMDP:
		h.Write([]byte("\x00default"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// MarkPIN returns the mark of a digest of card and PIN, of which without the
// device key nothing can be told either, however short a PIN is.
func (v *Vault) MarkPIN(digest []byte) string {
	h := hmac.New(sha256.New, v.mark)
	h.Write([]byte("\x00pin\x00")) // no address begins so
	h.Write(digest)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// sealed is a request with its secrets in the clear; it exists only inside the seal.
// What the journal has of it (Caller, AcceptLimited, InstallOnly) is not here again.
type sealed struct {
	Key, Code, Confirmation string
	Consent, KeepTrying     bool
	NoWayBack, Again        bool
	Discover, DefaultSMDP   bool
	SMDS                    string
	APN                     *APN
	Deadline                time.Duration
}

// Put seals a request under its run's ID.
func (v *Vault) Put(id string, r Request) error {
	code := ""
	if r.Code.Address != "" {
		code = r.Code.Reveal()
	}
	if err := v.KeepKey(); err != nil {
		return err
	}
	plain, err := json.Marshal(sealed{r.Key, code, r.ConfirmationCode.Reveal(), r.Consent, r.KeepTrying, r.NoWayBack, r.Again, r.Discover, r.DefaultSMDP, r.SMDS, r.APN, r.Deadline})
	if err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	if err := durable.WriteFile(v.path(id), v.aead.Seal(nil, nil, plain, []byte(id)), 0o600); err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	return nil
}

// Get opens the request of a run.
func (v *Vault) Get(id string) (Request, error) {
	b, err := os.ReadFile(v.path(id))
	if err != nil {
		return Request{}, fmt.Errorf("requests: %w", err)
	}
	plain, err := v.aead.Open(nil, nil, b, []byte(id))
	if err != nil {
		return Request{}, fmt.Errorf("requests: %s was not sealed by this device", id)
	}
	var s sealed
	if err := json.Unmarshal(plain, &s); err != nil {
		return Request{}, fmt.Errorf("requests: %s holds no request", id)
	}
	var code euicc.ActivationCode
	if s.Code != "" {
		if code, err = euicc.ParseActivationCode(s.Code); err != nil {
			return Request{}, fmt.Errorf("requests: %s: %w", id, err)
		}
	}
	return Request{
		Key: s.Key, Code: code, Discover: s.Discover, DefaultSMDP: s.DefaultSMDP, SMDS: s.SMDS, ConfirmationCode: euicc.ConfirmationCode(s.Confirmation),
		Consent: s.Consent, KeepTrying: s.KeepTrying, NoWayBack: s.NoWayBack, Again: s.Again, APN: s.APN, Deadline: s.Deadline,
	}, nil
}

// Remove destroys the request of a run that has ended.
func (v *Vault) Remove(id string) error {
	if err := durable.Remove(v.path(id)); err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	return nil
}

// Sweep removes every request but the kept one: what a crash between a run's
// last record and Remove has left.
func (v *Vault) Sweep(keep string) error {
	names, err := os.ReadDir(v.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("requests: %w", err)
	}
	for _, n := range names {
		if n.Name() != keep {
			if err := v.Remove(n.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *Vault) path(id string) string { return filepath.Join(v.dir, filepath.Base(id)) }
