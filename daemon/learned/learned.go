// Package learned keeps what outlives a run and is cheaper to remember than to
// find out again: the block size that a modem's firmware bears, the APN that
// last worked for a profile, the attach APN that the factory set.
//
// Nothing in it is needed: a lost or damaged file costs a few tries.
package learned

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"dynamod/daemon/durable"
)

// Limits keep the file within its 32 kB share of the state directory.
const (
	maxProfiles  = 64
	maxFirmwares = 32
	maxModems    = 8
	maxPINs      = 16
)

// APN is a connection that carried traffic. It holds no password: that is
// looked up again where it came from.
type APN struct {
	Key      string    `json:"key"`                   // cosa.Connection.Key of its record
	Record   string    `json:"record,omitempty"`      // which of several with this Key, that differ in the password alone
	IPType   string    `json:"ip_type"`               // that was asked for and granted
	Wanted   string    `json:"wanted_type,omitempty"` // IP type of its record then
	Auth     string    `json:"auth"`                  // method that was accepted
	PLMN     string    `json:"plmn,omitempty"`        // network that did so; another may do otherwise
	Roams    bool      `json:"roaming,omitempty"`     // it did so for a guest
	SharedOn string    `json:"shared_on,omitempty"`   // IMEI of the modem that carried it on the attach's context, and on no other
	At       time.Time `json:"at"`                    // when it began to work
}

// Parts are what Key is made of: the name of the access point in lower case, and,
// where there is one, user name and method. Neither name nor method holds a "|".
func (a APN) Parts() (apn, user, auth string) {
	apn, rest, _ := strings.Cut(a.Key, "|")
	if i := strings.LastIndexByte(rest, '|'); i >= 0 {
		user, auth = rest[:i], rest[i+1:]
	}
	return apn, user, auth
}

// Attach is the context that a modem attaches to LTE with, as it was before
// dynamod changed it.
type Attach struct {
	CID  int       `json:"cid"`
	Type string    `json:"type"` // PDP type of 27.007
	APN  string    `json:"apn"`
	For  string    `json:"for"` // ICCID that it was changed for
	By   string    `json:"by"`  // ByRecord or ByData
	At   time.Time `json:"at"`
}

// USBMode is the data function that a modem had before dynamod changed it.
type USBMode struct {
	Value string    `json:"value"` // as the modem's family numbers it
	At    time.Time `json:"at"`
}

// RefusedPIN is a PIN that a card did not take.
type RefusedPIN struct {
	Left int       `json:"left"` // tries that the card had then, -1 if unknown
	At   time.Time `json:"at"`
}

// What changes an attach context.
const (
	ByRecord = "record" // an operator's record for the attach
	ByData   = "data"   // a data call that no other context carries
)

// Firmware is what was learned of one modem firmware with one kind of card.
type Firmware struct {
	BlockSize int       `json:"block_size,omitempty"` // bytes of STORE DATA
	Transport string    `json:"transport,omitempty"`  // cgla or csim
	At        time.Time `json:"at"`
}

// Standing is how long a profile has been enabled, and how long of that it has
// been without traffic. The times are of the monotonic clock, summed up over
// restarts: dates jump by years on a box without a clock of its own.
type Standing struct {
	ICCID  string `json:"iccid"`
	Run    string `json:"run,omitempty"` // the last activation that is accounted for
	OnMS   int64  `json:"on_ms,omitempty"`
	DeadMS int64  `json:"dead_ms,omitempty"`
}

type file struct {
	Class    map[string]string     `json:"class,omitempty"` // by ICCID
	Standing *Standing             `json:"standing,omitempty"`
	LastGood map[string]APN        `json:"last_good,omitempty"` // by ICCID
	Worked   map[string]time.Time  `json:"worked,omitempty"`    // by ICCID
	Attach   map[string]Attach     `json:"attach,omitempty"`    // by IMEI
	USBMode  map[string]USBMode    `json:"usb_mode,omitempty"`  // by IMEI
	Firmware map[string]Firmware   `json:"firmware,omitempty"`  // by firmware and card
	PIN      map[string]RefusedPIN `json:"pin,omitempty"`       // by a mark of card and PIN
}

// Store is an open file of learned facts. Its methods may be called from any
// goroutine.
type Store struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	f       file
	unsaved bool // the file could not be written, and lacks something of f

	written   time.Time // when f.Worked was; the latest date in it, after Open
	working   string    // ICCID of the last SetWorked, or with the latest date, after Open
	unflushed bool      // f.Worked has later dates than the file
}

// Open reads the file at path; none is an empty store. A damaged file is an
// error together with an empty, usable store.
func Open(path string, now func() time.Time) (*Store, error) {
	s := &Store{path: path, now: now}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil:
		err = json.Unmarshal(b, &s.f)
	}
	if err != nil {
		s.f = file{}
		return s, fmt.Errorf("learned: %s: %w", path, err)
	}
	for _, iccid := range slices.Sorted(maps.Keys(s.f.Worked)) {
		if at := s.f.Worked[iccid]; at.After(s.written) {
			s.working, s.written = iccid, at
		}
	}
	return s, nil
}

// LastGood returns the connection that last worked for a profile.
func (s *Store) LastGood(iccid string) (APN, bool) { return get(s, &s.f.LastGood, iccid) }

// SetLastGood remembers a connection that carried traffic.
func (s *Store) SetLastGood(iccid string, a APN) error {
	return set(s, &s.f.LastGood, iccid, a, maxProfiles, func(a *APN) *time.Time { return &a.At })
}

// workedEvery is how often a date of SetWorked alone is a reason to write.
const workedEvery = 24 * time.Hour

// Worked tells when a profile's link was last seen to carry traffic.
func (s *Store) Worked(iccid string) (time.Time, bool) { return get(s, &s.f.Worked, iccid) }

// SetWorked notes that a profile's link carries traffic now. That is written when
// the profile is another one or a day is over, and with whatever else is written;
// Close writes the rest.
func (s *Store) SetWorked(iccid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UTC().Round(time.Second)
	_, known := s.f.Worked[iccid]
	if s.f.Worked == nil {
		s.f.Worked = map[string]time.Time{}
	}
	s.f.Worked[iccid] = now
	for len(s.f.Worked) > maxProfiles {
		delete(s.f.Worked, slices.MinFunc(slices.Sorted(maps.Keys(s.f.Worked)), func(a, b string) int { return s.f.Worked[a].Compare(s.f.Worked[b]) }))
	}
	s.unflushed = true
	// A clock may have been set back by years.
	if known && iccid == s.working && now.Sub(s.written).Abs() < workedEvery {
		return nil
	}
	s.working = iccid
	return s.save()
}

// Close writes what SetWorked has not.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unflushed {
		return nil
	}
	return s.save()
}

// Forget drops what is known of a profile that is deleted.
func (s *Store) Forget(iccid string) error {
	return errors.Join(forget(s, &s.f.Worked, iccid), forget(s, &s.f.LastGood, iccid))
}

// Attach returns the attach context that a modem had before it was changed, and
// false if it was not changed, or is as it was again.
func (s *Store) Attach(imei string) (Attach, bool) { return get(s, &s.f.Attach, imei) }

// SetAttach remembers the attach context that is about to be changed. After an
// error, such as that of a full disk, it knows no more than before.
func (s *Store) SetAttach(imei string, a Attach) error {
	return note(s, &s.f.Attach, imei, a, maxModems, func(a *Attach) *time.Time { return &a.At })
}

// ForgetAttach notes that the attach context is as it was.
func (s *Store) ForgetAttach(imei string) error { return forget(s, &s.f.Attach, imei) }

// USBMode returns the data function that a modem had before it was changed, and
// false if it was not, or has it again.
func (s *Store) USBMode(imei string) (USBMode, bool) { return get(s, &s.f.USBMode, imei) }

// SetUSBMode remembers the data function that is about to be changed. Errors are
// as for SetAttach.
func (s *Store) SetUSBMode(imei string, m USBMode) error {
	return note(s, &s.f.USBMode, imei, m, maxModems, func(m *USBMode) *time.Time { return &m.At })
}

// ForgetUSBMode notes that the data function is as it was.
func (s *Store) ForgetUSBMode(imei string) error { return forget(s, &s.f.USBMode, imei) }

// Firmware returns what is known under a key of firmware and card.
func (s *Store) Firmware(key string) (Firmware, bool) { return get(s, &s.f.Firmware, key) }

// SetFirmware remembers f under a key of firmware and card.
func (s *Store) SetFirmware(key string, f Firmware) error {
	return set(s, &s.f.Firmware, key, f, maxFirmwares, func(f *Firmware) *time.Time { return &f.At })
}

// RefusedPIN returns what is known under the mark of a card and a PIN.
func (s *Store) RefusedPIN(mark string) (RefusedPIN, bool) { return get(s, &s.f.PIN, mark) }

// SetRefusedPIN remembers that a card did not take a PIN.
func (s *Store) SetRefusedPIN(mark string, p RefusedPIN) error {
	return set(s, &s.f.PIN, mark, p, maxPINs, func(p *RefusedPIN) *time.Time { return &p.At })
}

// Standing returns what is known of the enabled profile, nothing of a new card.
func (s *Store) Standing() Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f.Standing == nil {
		return Standing{}
	}
	return *s.f.Standing
}

// SetStanding remembers it.
func (s *Store) SetStanding(v Standing) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f.Standing != nil && *s.f.Standing == v && !s.unsaved {
		return nil
	}
	s.f.Standing = &v
	return s.save()
}

// Class returns the class of a profile, as euicc.Class has it in words, when the
// card was read last: the link is up before it is read again.
func (s *Store) Class(iccid string) (string, bool) { return get(s, &s.f.Class, iccid) }

// SetClasses remembers the classes of all profiles of the card, by ICCID. What was
// known of another card is dropped.
func (s *Store) SetClasses(classes map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	classes = maps.Clone(classes)
	for _, iccid := range slices.Sorted(maps.Keys(classes))[min(len(classes), maxProfiles):] {
		delete(classes, iccid)
	}
	if maps.Equal(s.f.Class, classes) && !s.unsaved {
		return nil
	}
	s.f.Class = classes
	return s.save()
}

// The maps are named by pointer, because they are read under the lock.

func get[V any](s *Store, m *map[string]V, key string) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := (*m)[key]
	return v, ok
}

// note is set for what has to be on the disk before the modem is changed: what
// could not be written is not known, or the next try would take it for noted.
func note[V comparable](s *Store, m *map[string]V, key string, v V, limit int, at func(*V) *time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := maps.Clone(*m)
	err := put(s, m, key, v, limit, at)
	if err != nil {
		*m = before
	}
	return err
}

// set keeps v under key. Where it cannot be written it is known until the end of
// the process.
func set[V comparable](s *Store, m *map[string]V, key string, v V, limit int, at func(*V) *time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return put(s, m, key, v, limit, at)
}

// put makes room by dropping the oldest. The date alone is no reason to write:
// flash wears.
func put[V comparable](s *Store, m *map[string]V, key string, v V, limit int, at func(*V) *time.Time) error {
	old, ok := (*m)[key]
	*at(&v) = *at(&old)
	if ok && v == old && !s.unsaved {
		return nil
	}
	if !ok || v != old {
		*at(&v) = s.now().UTC()
	}
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
	for len(*m) > limit {
		oldest := slices.MinFunc(slices.Sorted(maps.Keys(*m)), func(a, b string) int {
			x, y := (*m)[a], (*m)[b]
			return at(&x).Compare(*at(&y))
		})
		delete(*m, oldest)
	}
	return s.save()
}

func forget[V any](s *Store, m *map[string]V, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := (*m)[key]; !ok && !s.unsaved {
		return nil
	}
	delete(*m, key)
	return s.save()
}

func (s *Store) save() error {
	b, err := json.MarshalIndent(s.f, "", " ")
	if err == nil {
		err = durable.WriteFile(s.path, append(b, '\n'), 0o600)
	}
	if s.unsaved = err != nil; s.unsaved {
		return fmt.Errorf("learned: %w", err)
	}
	s.written, s.unflushed = s.now(), false
	return nil
}
