package euiccsim

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// DefaultNVM is the memory for profiles of a card whose Config does not say, in
// bytes.
const DefaultNVM = 512 << 10

// The AIDs of the ISD-R and the first byte string of those of ISD-Ps (SGP.22,
// 2.4.3 and annex on AIDs).
var (
	isdrAID   = []byte{0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x01, 0x00}
	isdpStem  = isdrAID[:12]
	firstISDP = 0x1000
)

// Config is what makes one card. EID, EUICC, EUM and CI are needed.
type Config struct {
	EID   string            // 32 digits, as in the eUICC's certificate
	EUICC *sgp26.Authority  // CERT.EUICC.ECDSA and its key
	EUM   *x509.Certificate // CERT.EUM.ECDSA, which signed it
	// CI are the roots that the card verifies servers against. The one that
	// signed EUM is the one that it offers for signing.
	CI []*x509.Certificate

	DefaultDP string // default SM-DP+ address; none when empty
	RootDS    string // root SM-DS address; "lpa.ds.gsma.com" when empty

	Version string // "2.2" or "2.5" (the default): the SGP.22 version that it shows
	NVM     int    // memory for profiles, in bytes; 0: DefaultNVM
	MaxLc   int    // longest command data accepted; 0: 255
	// GetResponse makes the card answer as over T=0: 61xx first, data by GET
	// RESPONSE. Otherwise data come at once, up to Le, and 61xx for the rest.
	GetResponse bool
	// StrictSegments refuses protected TLVs longer than 1020 bytes (SGP.22,
	// 2.5.3), which some servers send.
	StrictSegments bool
	// Forbidden are the policy rules that no profile may have.
	Forbidden PolicyRules
	// RAT is the rules authorisation table. Nil allows PPR1 and PPR2 to
	// everybody with the end user's consent, as test cards do.
	RAT []AuthorisationRule

	// StateFile keeps what a real card keeps in its non-volatile memory; in
	// memory only when empty. A file that exists is loaded.
	StateFile string
	Logger    *slog.Logger // nil: discard
}

// Card is a simulated card in its slot, powered on. Its methods may be called
// from several goroutines; commands are executed one after another.
type Card struct {
	cfg Config
	eid []byte
	log *slog.Logger

	mu        sync.Mutex
	nv        *memory // what survives a reset
	behaviour Behaviour
	faults    []Fault
	stats     Stats
	asked     map[bertlv.Tag]int // functions of the ISD-R

	// What a reset clears.
	powered    bool
	capability bool        // TERMINAL CAPABILITY has come
	channels   [4]*channel // channel 0 is always open
	files      *fileSystem
	session    *session
	proactive  proactive
	chained    [256]bertlv.Tag // by CLA: the function whose blocks come

	oneTime *oneTimeKey // outlives a reset

	issued []Notification // see Issued

	kill func(step string, f *os.File, data []byte) // see memory.store; nil
}

var _ apdu.Transport = (*Card)(nil)

// Stats counts what went through the slot.
type Stats struct {
	APDUs            int // commands, power-on resets apart
	BytesIn          int // command bytes
	BytesOut         int // response bytes, status words included
	Resets           int
	Sessions         int // AuthenticateServer functions that succeeded
	Installed        int // profiles installed
	GetResponses     int
	FailedSignatures int // server signatures that did not verify

	// Struck is how often each fault had its effect, by the names of Controls; of the
	// peculiarities "cat-busy", "refuse-refresh", and "pin-locked" at each VERIFY while
	// a PIN is asked for.
	Struck map[string]int
}

// New makes a card, or takes it from its state file, and powers it on.
func New(cfg Config) (*Card, error) {
	eid, err := hex.DecodeString(cfg.EID)
	if err != nil || len(eid) != 16 {
		return nil, errors.New("cannot make card: EID is not 32 digits")
	}
	switch {
	case cfg.EUICC == nil || cfg.EUICC.Key == nil || cfg.EUICC.Cert == nil:
		return nil, errors.New("cannot make card: no eUICC certificate and key")
	case cfg.EUM == nil:
		return nil, errors.New("cannot make card: no EUM certificate")
	case len(cfg.CI) == 0:
		return nil, errors.New("cannot make card: no CI certificate")
	}
	if !slices.ContainsFunc(cfg.CI, func(ci *x509.Certificate) bool { return bytes.Equal(ci.SubjectKeyId, cfg.EUM.AuthorityKeyId) }) {
		return nil, errors.New("cannot make card: the CI that signed the EUM certificate is not among its roots")
	}
	if s := cfg.EUICC.Cert.Subject.SerialNumber; s != cfg.EID {
		return nil, fmt.Errorf("cannot make card: the eUICC certificate is for an EID ending in %.4s", s[max(0, len(s)-4):])
	}
	switch cfg.Version {
	case "":
		cfg.Version = "2.5"
	case "2.2", "2.5":
	default:
		return nil, fmt.Errorf("cannot make card: SGP.22 version %q, want 2.2 or 2.5", cfg.Version)
	}
	if cfg.NVM == 0 {
		cfg.NVM = DefaultNVM
	}
	if cfg.MaxLc == 0 {
		cfg.MaxLc = 255
	}
	if cfg.MaxLc < 16 || cfg.MaxLc > 255 {
		return nil, fmt.Errorf("cannot make card: longest command data of %d bytes, want 16 to 255", cfg.MaxLc)
	}
	if cfg.RootDS == "" {
		cfg.RootDS = "lpa.ds.gsma.com"
	}
	if cfg.RAT == nil {
		cfg.RAT = []AuthorisationRule{{Rules: PPR1 | PPR2, Operators: []Operator{AnyOperator}, ConsentRequired: true}}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	c := &Card{cfg: cfg, eid: eid, log: cfg.Logger}
	if c.nv, err = loadMemory(cfg.StateFile, cfg.EID); err != nil {
		return nil, fmt.Errorf("cannot make card: %w", err)
	}
	if c.nv == nil {
		c.nv = &memory{EID: cfg.EID, DefaultDP: cfg.DefaultDP}
	}
	c.reset()
	return c, nil
}

// EID returns the card's EID, 32 digits.
func (c *Card) EID() string { return c.cfg.EID }

// ICCIDSelected returns the ICCID of the profile whose files the card shows,
// digits without padding; empty when it shows none. It lags behind the enabled
// profile until the next reset or REFRESH.
func (c *Card) ICCIDSelected() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.files.mf.child(0x2FE2); f != nil {
		return digits(f.data)
	}
	return ""
}

// Stats returns what was counted since New or ResetStats.
func (c *Card) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Struck = maps.Clone(s.Struck)
	return s
}

// InSession reports whether a session is open in which a server was
// authenticated: one that neither a profile's installation ended, nor CancelSession,
// nor a reset.
func (c *Card) InSession() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session != nil && c.session.transactionID != nil
}

// ResetStats starts counting anew.
func (c *Card) ResetStats() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats = Stats{}
}

// Reset is a power-on reset: it returns the ATR.
func (c *Card) Reset() []byte { return c.APDU(nil) }

// reset clears what a power cycle clears and shows the enabled profile's files.
func (c *Card) reset() {
	c.powered, c.capability = true, false
	c.session = nil
	c.proactive, c.chained = proactive{}, [256]bertlv.Tag{}
	c.channels = [4]*channel{}
	c.showFiles()
	c.channels[0] = c.newChannel()
}

// showFiles changes to the file system of the enabled profile.
func (c *Card) showFiles() {
	c.files = emptyFileSystem()
	if p := c.nv.enabled(); p != nil {
		fs, err := parsePackage(p.UPP)
		if err != nil { // it was parsed when it was installed
			c.log.Error("enabled profile does not parse", "iccid", short(digits(p.ICCID)), "error", err)
			return
		}
		c.files = fs
	}
	c.files.mf.pinOn = c.asksPIN()
	for _, ch := range c.channels {
		if ch != nil && ch.app != appISDR {
			ch.selectMF(c.files)
		}
	}
}

// atr is the answer to reset: T=0 and T=1 characters of an ordinary UICC
// (ETSI TS 102 221, 6.3), historical bytes with the card capabilities "logical
// channels, four of them", and the check byte.
func atr() []byte {
	b := []byte{0x3B, 0x9F, 0x96, 0x80, 0x1F, 0xC7, 0x80, 0x31, 0xE0, 0x73, 0xFE, 0x21, 0x13}
	b = append(b, "eUICCsim"...)
	var tck byte
	for _, v := range b[1:] {
		tck ^= v
	}
	return append(b, tck)
}

// digits turns ten octets as EF_ICCID holds them into digits without padding.
func digits(iccid []byte) string {
	out := make([]byte, 0, 2*len(iccid))
	for _, v := range iccid {
		for _, d := range [2]byte{v & 0xF, v >> 4} {
			if d < 0xF {
				out = append(out, "0123456789ABCDE"[d])
			}
		}
	}
	return string(out)
}

// short keeps the ends of an identifier for logs.
func short(s string) string {
	if len(s) <= 8 {
		return "…"
	}
	return s[:4] + "…" + s[len(s)-4:]
}
