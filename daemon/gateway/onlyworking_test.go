package gateway

import (
	"testing"

	"dynamod/daemon/status"
)

// The last profile that is known to give a link is not deleted by mistake.
func TestOnlyWorkingProfile(t *testing.T) {
	const a, b, c = "8900101000000000019", "8900101000000000027", "8900101000000000035"
	for _, row := range []struct {
		name   string
		link   status.State
		worked []string
		states [3]string // of a, b, c
		want   bool      // that a is the only one
	}{
		{"the enabled one has a link", status.Up, []string{a, b}, [3]string{"disabled", "enabled", "disabled"}, false},
		{"the enabled one has none, and a had", status.Down, []string{a}, [3]string{"disabled", "enabled", "disabled"}, true},
		{"the enabled one had, too, and has none now", status.Down, []string{a, b}, [3]string{"disabled", "enabled", "disabled"}, true},
		{"another one had a link, too", status.Down, []string{a, c}, [3]string{"disabled", "enabled", "disabled"}, false},
		{"none is enabled", status.Down, []string{a}, [3]string{"disabled", "disabled", "disabled"}, true},
		{"none is enabled, and a never worked", status.Down, nil, [3]string{"disabled", "disabled", "disabled"}, false},
		{"a portal answers", status.Limited, []string{a}, [3]string{"disabled", "enabled", "disabled"}, true},
		{"a portal answers, and another one had a link, too", status.Limited, []string{a, c}, [3]string{"disabled", "enabled", "disabled"}, false},
		{"it is enabled itself, which has a refusal of its own", status.Down, []string{a}, [3]string{"enabled", "disabled", "disabled"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newGateway(t)
			for _, id := range row.worked {
				if err := g.learned.SetWorked(id); err != nil {
					t.Fatal(err)
				}
			}
			card := &status.Card{}
			for i, id := range []string{a, b, c} {
				card.Profiles = append(card.Profiles, status.Profile{ICCID: id, State: row.states[i]})
			}
			g.status.Update(func(s *status.Snapshot) { s.Card, s.State = card, row.link })
			if got := g.onlyWorking(card.Profiles[0]); got != row.want {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}
