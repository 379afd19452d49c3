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
	"sync"
	"time"

	"dynamod/daemon/durable"
)

// Limits keep the file within its 32 kB share of the state directory.
const (
	maxProfiles  = 64
	maxFirmwares = 32
)

// APN is a connection that carried traffic. It holds no password: that is
// looked up again where it came from.
type APN struct {
	APN    string    `json:"apn"`
	IPType string    `json:"ip_type,omitempty"`
	Auth   string    `json:"auth,omitempty"`
	User   string    `json:"user,omitempty"`
	At     time.Time `json:"at"` // when it last worked
}

// Firmware is what was learned of one modem firmware with one kind of card.
type Firmware struct {
	BlockSize int       `json:"block_size,omitempty"` // bytes of STORE DATA
	Transport string    `json:"transport,omitempty"`  // cgla or csim
	At        time.Time `json:"at"`
}

type file struct {
	LastGood  map[string]APN      `json:"last_good,omitempty"`  // by ICCID
	AttachAPN map[string]string   `json:"attach_apn,omitempty"` // factory value, by IMEI
	Firmware  map[string]Firmware `json:"firmware,omitempty"`   // by firmware and card
}

// Store is an open file of learned facts. Its methods may be called from any
// goroutine.
type Store struct {
	path string
	now  func() time.Time

	mu sync.Mutex
	f  file
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
	return s, nil
}

// LastGood returns the connection that last worked for a profile.
func (s *Store) LastGood(iccid string) (APN, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.f.LastGood[iccid]
	return a, ok
}

// SetLastGood remembers a connection that carried traffic.
func (s *Store) SetLastGood(iccid string, a APN) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.f.LastGood[iccid]
	a.At = old.At
	if ok && a == old {
		return nil // flash wears: the date alone is no reason to write
	}
	a.At = s.now().UTC()
	s.f.LastGood = put(s.f.LastGood, iccid, a, maxProfiles, func(a APN) time.Time { return a.At })
	return s.save()
}

// Forget drops what is known of a profile that is deleted.
func (s *Store) Forget(iccid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.f.LastGood[iccid]; !ok {
		return nil
	}
	delete(s.f.LastGood, iccid)
	return s.save()
}

// Firmware returns what is known under a key of firmware and card.
func (s *Store) Firmware(key string) (Firmware, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.f.Firmware[key]
	return f, ok
}

// SetFirmware remembers f under a key of firmware and card.
func (s *Store) SetFirmware(key string, f Firmware) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.f.Firmware[key]
	f.At = old.At
	if ok && f == old {
		return nil
	}
	f.At = s.now().UTC()
	s.f.Firmware = put(s.f.Firmware, key, f, maxFirmwares, func(f Firmware) time.Time { return f.At })
	return s.save()
}

// put sets m[key] and makes room by dropping the oldest.
func put[V any](m map[string]V, key string, v V, limit int, at func(V) time.Time) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = v
	for len(m) > limit {
		oldest := slices.MinFunc(slices.Sorted(maps.Keys(m)), func(a, b string) int { return at(m[a]).Compare(at(m[b])) })
		delete(m, oldest)
	}
	return m
}

func (s *Store) save() error {
	b, err := json.MarshalIndent(s.f, "", " ")
	if err == nil {
		err = durable.WriteFile(s.path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("learned: %w", err)
	}
	return nil
}
