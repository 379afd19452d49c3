package euiccsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"dynamod/euicc/bertlv"
)

// Overheads of a profile and a notification in the card's memory, in bytes
// beside the bytes that are stored.
const (
	profileOverhead      = 1 << 10
	notificationOverhead = 64
)

// maxStateFile bounds a state file that is loaded.
const maxStateFile = 32 << 20

// memory is the non-volatile memory. A change is made on a copy and becomes
// real when the copy is stored, so that there is no state in between.
type memory struct {
	EID           string
	DefaultDP     string
	Sequence      int64 // the next notification's
	NextISDP      int   // counted from firstISDP
	Profiles      []*profile
	Notifications []*notification
	// Previous is the AID of the operational profile that a test profile
	// took the place of.
	Previous []byte `json:",omitempty"`
}

// profile is an installed profile. Its fields are not changed once stored.
type profile struct {
	AID      []byte
	ICCID    []byte // as EF_ICCID holds it
	Enabled  bool
	Nickname string `json:",omitempty"`
	Metadata []byte // StoreMetadataRequest, tag BF25
	UPP      []byte // as decrypted
	Factory  bool   `json:",omitempty"` // preloaded, not by field loading
	DPOID    []byte `json:",omitempty"` // dpProprietaryData, tag B8
	PIN      *pin   `json:",omitempty"` // once it is not as in the package
}

// notification is a pending notification.
type notification struct {
	Sequence int64
	Event    Event
	Address  string
	ICCID    []byte `json:",omitempty"`
	Signed   []byte // PendingNotification
}

func (m *memory) clone() *memory {
	n := *m
	n.Profiles = make([]*profile, len(m.Profiles))
	for i, p := range m.Profiles {
		q := *p
		n.Profiles[i] = &q
	}
	n.Notifications = slices.Clone(m.Notifications)
	return &n
}

func (m *memory) used() int {
	n := 0
	for _, p := range m.Profiles {
		n += profileOverhead + len(p.UPP) + len(p.Metadata)
	}
	for _, x := range m.Notifications {
		n += notificationOverhead + len(x.Signed)
	}
	return n
}

func (m *memory) enabled() *profile {
	for _, p := range m.Profiles {
		if p.Enabled {
			return p
		}
	}
	return nil
}

func (m *memory) byICCID(iccid []byte) *profile {
	for _, p := range m.Profiles {
		if p != nil && bytes.Equal(p.ICCID, iccid) {
			return p
		}
	}
	return nil
}

func (m *memory) byAID(aid []byte) *profile {
	for _, p := range m.Profiles {
		if p != nil && bytes.Equal(p.AID, aid) {
			return p
		}
	}
	return nil
}

// newAID returns the next free ISD-P AID.
func (m *memory) newAID() []byte {
	n := firstISDP + m.NextISDP
	m.NextISDP = (m.NextISDP + 1) % 0xE000
	aid := append(bytes.Clone(isdpStem), 0, 0, byte(n>>8), byte(n))
	if m.byAID(aid) != nil {
		return m.newAID()
	}
	return aid
}

// commit stores next and makes it the card's memory. After an error the memory
// is as before.
func (c *Card) commit(next *memory) error {
	if err := next.store(c.cfg.StateFile, c.kill); err != nil {
		c.log.Error("cannot write the card's state", "error", err)
		return err
	}
	for _, n := range next.Notifications {
		if n.Sequence >= c.nv.Sequence {
			c.issued = append(c.issued[max(0, len(c.issued)+1-maxIssued):], Notification{Sequence: n.Sequence, Event: n.Event, Address: n.Address, ICCID: digits(n.ICCID)})
		}
	}
	c.nv = next
	return nil
}

// store writes the state file so that a crash at any moment leaves either the
// old or the new one: a new file is written, synced and renamed over the old.
// kill, if not nil, is called before each step and may not return.
func (m *memory) store(file string, kill func(step string, f *os.File, data []byte)) (err error) {
	if file == "" {
		return nil
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if kill == nil {
		kill = func(string, *os.File, []byte) {}
	}
	dir := filepath.Dir(file)
	kill("create", nil, nil)
	f, err := os.CreateTemp(dir, filepath.Base(file)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	kill("write", f, data)
	_, err = f.Write(data)
	kill("sync", f, nil)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	kill("rename", nil, nil)
	if err = os.Rename(f.Name(), file); err != nil {
		return err
	}
	kill("sync directory", nil, nil)
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// loadMemory reads a state file; nil when there is none. Leftovers of writes
// that a crash cut short are removed.
func loadMemory(file, eid string) (*memory, error) {
	if file == "" {
		return nil, nil
	}
	leftovers, _ := filepath.Glob(file + ".*.tmp")
	for _, name := range leftovers {
		os.Remove(name)
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStateFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxStateFile {
		return nil, fmt.Errorf("state file %s is larger than %d bytes", file, maxStateFile)
	}
	m := new(memory)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("state file %s is damaged: %w", file, err)
	}
	if m.EID != eid {
		return nil, fmt.Errorf("state file %s is another card's: EID %s", file, short(m.EID))
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("state file %s: %w", file, err)
	}
	return m, nil
}

// check holds what a state file says against what a card can hold.
func (m *memory) check() error {
	enabled := 0
	for i, p := range m.Profiles {
		switch {
		case p == nil || len(p.AID) != len(isdrAID) || m.byAID(p.AID) != p || m.byICCID(p.ICCID) != p:
			return fmt.Errorf("profile %d is no profile, or there twice", i+1)
		case len(p.DPOID) > 0 && bertlv.Check(p.DPOID) != nil:
			return fmt.Errorf("profile %d: proprietary data of the SM-DP+", i+1)
		}
		md, err := parseMetadata(p.Metadata)
		if err == nil && !bytes.Equal(md.iccid, p.ICCID) {
			err = errors.New("ICCID is not the metadata's")
		}
		if err == nil {
			if _, pe := parsePackage(p.UPP); pe != nil {
				err = pe
			}
		}
		if err != nil {
			return fmt.Errorf("profile %d: %w", i+1, err)
		}
		if p.Enabled {
			enabled++
		}
	}
	if enabled > 1 {
		return fmt.Errorf("%d profiles are enabled", enabled)
	}
	for i, n := range m.Notifications {
		if n == nil || n.Sequence < 0 || n.Sequence >= m.Sequence || len(n.ICCID) != 0 && len(n.ICCID) != 10 || bertlv.Check(n.Signed) != nil {
			return fmt.Errorf("notification %d is none", i+1)
		}
	}
	if len(m.Notifications) > maxNotifications || m.NextISDP < 0 || m.NextISDP >= 0xE000 || len(m.DefaultDP) > 255 {
		return errors.New("a value is out of bounds")
	}
	return nil
}
