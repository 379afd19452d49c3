package modem

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

func TestRestart(t *testing.T) {
	ready := []any{"E0V1", "", "+CMEE=1", ""}
	for _, tt := range []struct {
		name    string
		dialect string
		part    dialect.Part
		pairs   []any
		sent    string // of the row
		err     error
		most    time.Duration
	}{
		{"radio off and on", "generic", dialect.RadioPart, append(ready, "+CFUN=0", "", "+CFUN=1", ""), "+CFUN=0 +CFUN=1", nil, 2 * time.Second},
		{"radio, the first command fails", "generic", dialect.RadioPart, append(ready, "+CFUN=0", atcmd.ErrTimeout, "+CFUN=1", ""), "+CFUN=0 +CFUN=1", atcmd.ErrTimeout, 2 * time.Second},
		{"modem, its port goes", "generic", dialect.ModemPart, []any{"+CFUN=1,1", atcmd.ErrGone}, "+CFUN=1,1", ErrReopen, 0},
		{"modem, its port goes after the answer", "generic", dialect.ModemPart, []any{"+CFUN=1,1", "", "E0V1", atcmd.ErrGone}, "+CFUN=1,1", ErrReopen, 0},
		{"Huawei has a command of its own", "huawei", dialect.ModemPart, append(ready, "^RESET", ""), "^RESET", nil, 0},
		{"u-blox: the restart goes before the cycle in its ladder", "ublox", dialect.RadioPart, append(ready, "+CFUN=0", "", "+CFUN=1", ""), "+CFUN=0 +CFUN=1", nil, 2 * time.Second},
		{"Telit: the card alone", "telit", dialect.CardPart, append(ready, "#SIMDET=0", "", "#SIMDET=1", ""), "#SIMDET=0 #SIMDET=1", nil, 2 * time.Second},
		{"no command for the card alone", "generic", dialect.CardPart, nil, "", ErrNoReset, 0},
		{"nRF91 has no restart", "nrf91", dialect.ModemPart, nil, "", ErrNoReset, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, tt.pairs...)
				start := time.Now()
				err := s.modem(tt.dialect).Restart(t.Context(), tt.part, nil)
				if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
					t.Errorf("%v, want %v", err, tt.err)
				}
				var row []string
				for _, c := range s.sent {
					if d := dialect.ByName(tt.dialect).Reset(tt.part); d != nil {
						for _, step := range d.Steps {
							if step.Send == c.Text {
								row = append(row, c.Text)
							}
						}
					}
				}
				if got := strings.Join(row, " "); got != tt.sent || time.Since(start) > tt.most {
					t.Errorf("sent %q in %v", got, time.Since(start))
				}
			})
		})
	}
}

// A modem that boots is waited for, and one that never answers is not for ever.
func TestRestartWaits(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pairs []any
		err   error
	}{
		{"boots", []any{"+CFUN=1,1", "", "E0V1", atcmd.ErrTimeout, "E0V1", atcmd.ErrTimeout, "E0V1", "", "+CMEE=1", ""}, nil},
		{"gets out of step meanwhile", []any{"+CFUN=1,1", "", "E0V1", atcmd.ErrTimeout, "E0V1", atcmd.ErrDesync}, ErrReopen},
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked []string
			if err := newScript(t, tt.pairs...).modem("generic").Restart(t.Context(), dialect.ModemPart, func(context.Context) { asked = append(asked, "begun") }); !errors.Is(err, tt.err) || err != nil && tt.err == nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if len(asked) != 1 {
				t.Errorf("%s: its beginning was waited for %d times", tt.name, len(asked))
			}
		})
	}
}
