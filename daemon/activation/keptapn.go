package activation

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"dynamod/daemon/durable"
)

// The connection that came with an activation stands nowhere else, and its
// password may be in no other file. It is kept sealed, as requests are, so that
// the link comes back after a restart, for as long as the profile is there.

// maxKept connections are kept; cards hold fewer profiles.
const maxKept = 64

// KeepAPN keeps the connection of a profile, in place of an earlier one.
func (v *Vault) KeepAPN(iccid string, apn APN) error {
	if old, ok := v.KeptAPN(iccid); ok && old == apn {
		return nil // flash wears
	}
	plain, err := json.Marshal(apn)
	if err == nil {
		err = v.KeepKey()
	}
	if err == nil {
		err = os.MkdirAll(v.apns, 0o700)
	}
	if err == nil {
		err = durable.WriteFile(v.apnPath(iccid), v.aead.Seal(nil, nil, plain, apnLabel(iccid)), 0o600)
	}
	if err != nil {
		return fmt.Errorf("apns: %w", err)
	}
	return v.sweepAPNs()
}

// KeptAPN returns the connection that was kept for a profile. One that cannot be
// opened, by another device key for one, is none.
func (v *Vault) KeptAPN(iccid string) (APN, bool) {
	var apn APN
	b, err := os.ReadFile(v.apnPath(iccid))
	if err != nil {
		return apn, false
	}
	plain, err := v.aead.Open(nil, nil, b, apnLabel(iccid))
	if err != nil || json.Unmarshal(plain, &apn) != nil {
		return APN{}, false
	}
	return apn, true
}

// ForgetAPN destroys the connection of a profile that is deleted.
func (v *Vault) ForgetAPN(iccid string) error {
	if err := durable.Remove(v.apnPath(iccid)); err != nil {
		return fmt.Errorf("apns: %w", err)
	}
	return nil
}

// sweepAPNs drops the oldest of more than maxKept.
func (v *Vault) sweepAPNs() error {
	names, err := os.ReadDir(v.apns)
	if err != nil {
		return fmt.Errorf("apns: %w", err)
	}
	type kept struct {
		name string
		at   time.Time
	}
	var all []kept
	for _, n := range names {
		if fi, err := n.Info(); err == nil {
			all = append(all, kept{n.Name(), fi.ModTime()})
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("apns: %w", err)
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return cmp.Or(all[i].at.Compare(all[j].at), strings.Compare(all[i].name, all[j].name)) < 0
	})
	for _, k := range all[:max(len(all)-maxKept, 0)] {
		if err := durable.Remove(filepath.Join(v.apns, k.name)); err != nil {
			return fmt.Errorf("apns: %w", err)
		}
	}
	return nil
}

// apnLabel ties a sealed connection to its profile, so that one file does not
// open in the place of another.
func apnLabel(iccid string) []byte { return []byte("apn " + iccid) }

func (v *Vault) apnPath(iccid string) string { return filepath.Join(v.apns, filepath.Base(iccid)) }
