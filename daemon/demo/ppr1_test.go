//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"dynamod/daemon/hook"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// A switch to a profile that is on the card heeds policy rules before it begins, as
// an activation does.
func TestEnableHeedsPPR1(t *testing.T) {
	const other = "8900101000000000803"
	for _, tt := range []struct {
		name           string
		earlier, other euiccsim.Metadata
		query, code    string
		enabled        bool // the other one
	}{
		{"no rules", euiccsim.Metadata{}, euiccsim.Metadata{}, "", "", true},
		{"PPR1 on the enabled profile", euiccsim.Metadata{Rules: euiccsim.PPR1}, euiccsim.Metadata{}, "", "ppr1-enabled", false},
		{"PPR1 on the enabled profile, and consent", euiccsim.Metadata{Rules: euiccsim.PPR1}, euiccsim.Metadata{}, "?no_way_back=true", "ppr1-enabled", false},
		{"PPR1 on the other profile", euiccsim.Metadata{}, euiccsim.Metadata{Rules: euiccsim.PPR1}, "", "no-way-back", false},
		{"PPR1 on the other profile, and consent", euiccsim.Metadata{}, euiccsim.Metadata{Rules: euiccsim.PPR1}, "?no_way_back=true", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.earlier.Name, tt.earlier.Class = "Earlier", euiccsim.ClassOperational
			tt.other.Name, tt.other.Class, tt.other.ICCID = "Other", euiccsim.ClassOperational, other
			inCrashWorld(t, crashStory{earlier: tt.earlier}, func(t *testing.T, w *crashWorld) {
				upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: other, IMSI: "001010000000803", MNCDigits: 2, SPN: Operator})
				if err != nil {
					t.Fatal(err)
				}
				md, err := tt.other.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Card.Preload(upp, md, false); err != nil {
					t.Fatal(err)
				}
				w.Operator.admit(other)
				r := w.newReaper(nil, false)
				err = w.daemon(r, func(ctx context.Context, c *hook.Client) error {
					if err := w.settled(ctx, r, c); err != nil {
						return err
					}
					return c.Do(ctx, http.MethodPost, "/v1/profiles/"+other+"/enable"+tt.query, nil, nil, nil)
				})
				code := ""
				if e, ok := errors.AsType[*hook.Error](err); ok {
					code = e.Problem.Code
				} else if err != nil {
					t.Fatal(err)
				}
				if code != tt.code {
					t.Errorf("it ended with %q (%v), want %q", code, err, tt.code)
				}
				for _, p := range w.Card.Installed() {
					if p.Enabled != (tt.enabled == (p.ICCID == other)) {
						t.Errorf("profile %s is enabled: %v", p.ICCID, p.Enabled)
					}
				}
			})
		})
	}
}
