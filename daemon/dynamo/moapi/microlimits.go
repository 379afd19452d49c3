package moapi

import (
	"slices"
	"sync"
	"time"
)

// The published limits of micro-balances, for one SIM.
const (
	MicroPerHour = 6
	MicroPerDay  = 10
)

// MicroLimits keeps count of the micro-balances that were asked for. The zero value
// is ready for use, and safe for concurrent use.
type MicroLimits struct {
	mu    sync.Mutex
	asked map[string][]time.Time
}

// Take counts a request and returns 0, or returns how long it is until one may be
// made.
func (m *MicroLimits) Take(iccid string, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked == nil {
		m.asked = map[string][]time.Time{}
	}
	// A time that is yet to come is of a clock that has been set back since.
	gone := func(at time.Time) bool { return now.Sub(at) >= 24*time.Hour || at.After(now) }
	for id, list := range m.asked {
		if list = slices.DeleteFunc(list, gone); len(list) == 0 {
			delete(m.asked, id)
		} else {
			m.asked[id] = list
		}
	}
	list := m.asked[iccid]
	wait := time.Duration(0)
	for _, l := range []struct {
		n      int
		within time.Duration
	}{{MicroPerHour, time.Hour}, {MicroPerDay, 24 * time.Hour}} {
		if len(list) >= l.n {
			wait = max(wait, list[len(list)-l.n].Add(l.within).Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	m.asked[iccid] = append(list, now)
	return 0
}
