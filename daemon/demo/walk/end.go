//go:build linux && !nodemo

package walk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// End is what an activation has to come to wherever its daemon was stopped: the same
// on the link, on the card, at the server and on the disk.
type End struct {
	Card   *euiccsim.Card
	Server *smdpsim.Server
	State  string // the daemon's state directory

	Key      string // of the only run
	Outcome  status.Outcome
	Enabled  string // ICCID of the profile with the link, and of no other one that is enabled
	Profiles int    // on the card
	Order    string // matching ID
	ICCID    string // of the order's profile
	SHA256   string // of its package, hex
	Stops    int    // of the daemon; each may cost a download, and let a report come once more
}

// Quiet reports whether nothing is left to do behind the run.
func (e End) Quiet(s status.Snapshot) bool {
	left, err := e.left()
	return s.Outbox.Pending == 0 && len(e.Card.Pending()) == 0 && e.Card.Channels() == 0 && !e.Card.InSession() && len(left) == 0 && err == nil
}

// left are files that wait for somebody.
func (e End) left() (files []string, err error) {
	for _, d := range []string{"requests", "outbox"} {
		there, gerr := filepath.Glob(filepath.Join(e.State, d, "*"))
		files, err = append(files, there...), errors.Join(err, gerr)
	}
	return files, err
}

// Check asks the daemon and looks at its world.
func (e End) Check(ctx context.Context, c *hook.Client) error {
	var bad []error
	wrong := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	var runs []activation.Record
	if err := c.Do(ctx, http.MethodGet, "/v1/activations", nil, nil, &runs); err != nil {
		return err
	}
	if len(runs) != 1 || runs[0].Outcome != e.Outcome || runs[0].Key != e.Key {
		wrong("runs: %+v", runs)
		for _, r := range runs {
			wrong("error: %+v", r.Error)
		}
	}
	var snap status.Snapshot
	if err := c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
		return err
	}
	if snap.State != status.Up || snap.SIM == nil || snap.SIM.ICCID != e.Enabled {
		wrong("link %s (%s) with %+v, want up with %s", snap.State, snap.Reason, snap.SIM, e.Enabled)
	}
	if snap.Outbox.Pending != 0 {
		wrong("outbox: %+v", snap.Outbox)
	}
	installed := e.Card.Installed()
	if len(installed) != e.Profiles {
		wrong("%d profiles on the card", len(installed))
	}
	for _, p := range installed {
		if p.Enabled != (p.ICCID == e.Enabled) {
			wrong("profile %s: enabled %v", p.ICCID, p.Enabled)
		}
		if p.ICCID == e.ICCID && fmt.Sprintf("%x", sha256.Sum256(p.Package)) != e.SHA256 {
			wrong("profile %s is not whole", p.ICCID)
		}
	}
	if e.Card.InSession() || e.Card.Channels() > 0 {
		wrong("on the card a session is open: %v, and %d channels", e.Card.InSession(), e.Card.Channels())
	}
	if left := e.Card.Pending(); len(left) != 0 {
		wrong("%d notifications are left on the card", len(left))
	}
	orders := e.Server.Orders()
	i := slices.IndexFunc(orders, func(o smdpsim.OrderStatus) bool { return o.MatchingID == e.Order })
	if o := orders[i]; o.State != smdpsim.StateInstalled || o.Downloads > 1+e.Stops || o.Result == nil || !o.Result.Success {
		wrong("order %v after %d attempts, %d downloads", o, o.Attempts, o.Downloads)
	}
	if err := Reports(e.Card.Issued(), e.Server.Notifications(), 1+e.Stops); err != nil {
		bad = append(bad, err)
	}
	for _, n := range e.Server.Notifications() {
		if !n.Verified {
			wrong("notification %d (%s) does not verify: %s", n.Seq, n.Operation, n.Why)
		}
	}
	if records, err := journal.Read(filepath.Join(e.State, "journal")); err != nil || len(activation.Runs(records)) != 1 {
		wrong("journal: %d records, %v", len(records), err)
	}
	if left, err := e.left(); err != nil || len(left) > 0 {
		wrong("left on the disk: %v, %v", left, err)
	}
	return errors.Join(bad...)
}
