package modem

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
)

const (
	readICCID = "+CRSM=176,12258,0,0,10"
	oldCard   = `+CRSM: 144,0,"98684000000000000010"` // 89860400000000000001
	newCard   = `+CRSM: 144,0,"98684000000000000020"` // 89860400000000000002
	oldICCID  = "89860400000000000001"
	newICCID  = "89860400000000000002"
)

func TestResetSIM(t *testing.T) {
	repeat := func(n int, answer any) (pairs []any) {
		for range n {
			pairs = append(pairs, readICCID, answer)
		}
		return pairs
	}
	base := []any{"E0V1", "", "+CMEE=1", "", "+CFUN=0", "", "+CFUN=1", "", "+CFUN=1,1", ""}
	for _, tt := range []struct {
		name  string
		goal  ResetGoal
		pairs []any
		rung  Rung
		err   error
		rungs int
		took  time.Duration
	}{
		{"EG25: the modem acts on REFRESH", ResetGoal{ICCID: newICCID}, append(repeat(3, oldCard), readICCID, newCard), Rung{0, 0}, nil, 1, 3 * time.Second},
		{"shown already", ResetGoal{ICCID: newICCID}, repeat(1, newCard), Rung{0, 0}, nil, 1, 0},
		{"EG916Q: needs +CFUN=0, +CFUN=1", ResetGoal{ICCID: newICCID}, append(append(repeat(12, oldCard), repeat(2, 13)...), readICCID, newCard), Rung{1, 0}, nil, 2, 0},
		{"never", ResetGoal{ICCID: newICCID}, repeat(1, oldCard), Rung{3, 0}, ErrNotReset, 3, 102 * time.Second},
		{"the modem keeps its old subscriber until it is reset", ResetGoal{ICCID: newICCID, OldIMSI: "1"}, append(repeat(1, newCard), "+CIMI", "1"), Rung{1, 0}, nil, 2, 12 * time.Second},
		{"the modem takes the new subscriber by itself", ResetGoal{ICCID: newICCID, OldIMSI: "1"}, append(repeat(1, newCard), "+CIMI", "1", "+CIMI", 14, "+CIMI", "2"), Rung{0, 0}, nil, 1, 2 * time.Second},
		{"the new subscriber's PIN is asked for", ResetGoal{ICCID: newICCID, OldIMSI: "1"}, append(repeat(1, newCard), "+CIMI", "1", "+CIMI", 11), Rung{0, 0}, nil, 1, time.Second},
		{"disabled: the card has nothing to show", ResetGoal{Not: oldICCID}, append(append(repeat(2, oldCard), repeat(1, 13)...), "+CPIN?", "+CPIN: EMPTY_EUICC"), Rung{0, 0}, nil, 1, 2 * time.Second},
		{"disabled: busy is not gone", ResetGoal{Not: oldICCID}, append(repeat(1, 14), "+CPIN?", 14, "+CPIN?", 14, "+CPIN?", 10), Rung{0, 0}, nil, 1, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t, append(base, tt.pairs...)...)
			start, rungs := time.Now(), 0
			rung, err := s.modem("generic").ResetSIM(t.Context(), tt.goal, Rung{}, func(string) { rungs++ })
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil || rung != tt.rung || rungs != tt.rungs {
				t.Errorf("%s: rung %+v after %d, %v", tt.name, rung, rungs, err)
			}
			if tt.took != 0 && time.Since(start) != tt.took {
				t.Errorf("%s: took %v", tt.name, time.Since(start))
			}
		})
	}
}

// +CFUN=0 takes the port away: the rest of the rung is done on the next port.
func TestResetSIMOverReopenedPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goal := ResetGoal{ICCID: newICCID}
		first := newScript(t, readICCID, oldCard, "+CFUN=0", atcmd.ErrGone)
		rung, err := first.modem("quectel").ResetSIM(t.Context(), goal, Rung{}, nil)
		if !errors.Is(err, ErrReopen) || !errors.Is(err, atcmd.ErrGone) || rung != (Rung{1, 1}) {
			t.Fatalf("%+v %v", rung, err)
		}
		second := newScript(t, "E0V1", "", "+CMEE=1", "", "+CFUN=1", "", readICCID, 14, readICCID, newCard)
		rung, err = second.modem("quectel").ResetSIM(t.Context(), goal, rung, nil)
		if err != nil || rung.Index != 1 || second.count("+CFUN=0") != 0 || second.count("+CFUN=1") != 1 {
			t.Errorf("%+v %v, sent %s", rung, err, second.texts())
		}
	})
}

// A port that goes while the card is awaited.
func TestResetSIMPortGoesWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, "E0V1", atcmd.ErrGone, "+CFUN=0", "", "+CFUN=1", "")
		rung, err := s.modem("generic").ResetSIM(t.Context(), ResetGoal{ICCID: newICCID}, Rung{Index: 1}, nil)
		if !errors.Is(err, ErrReopen) || rung != (Rung{1, 2}) {
			t.Errorf("%+v %v", rung, err)
		}
		// On the first rung: the modem restarts because of the REFRESH.
		s = newScript(t, readICCID, atcmd.ErrGone)
		rung, err = s.modem("generic").ResetSIM(t.Context(), ResetGoal{ICCID: newICCID}, Rung{}, nil)
		if !errors.Is(err, ErrReopen) || !errors.Is(err, atcmd.ErrGone) || rung != (Rung{0, 0}) {
			t.Errorf("%+v %v", rung, err)
		}
	})
}

// A command that fails in the middle of a rung does not leave the radio off.
func TestResetSIMSwitchesBackOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, "E0V1", "", "+CMEE=1", "", "+CFUN=0", atcmd.ErrTimeout, "+CFUN=1", "", readICCID, newCard)
		if rung, err := s.modem("generic").ResetSIM(t.Context(), ResetGoal{ICCID: newICCID}, Rung{Index: 1}, nil); err != nil || s.count("+CFUN=1") != 1 {
			t.Errorf("%+v %v, sent %s", rung, err, s.texts())
		}
	})
}

func TestResetSIMCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s := newScript(t, readICCID, oldCard)
		if _, err := s.modem("generic").ResetSIM(ctx, ResetGoal{ICCID: newICCID}, Rung{}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if strings.Contains(s.texts(), "+CFUN") {
			t.Errorf("sent %s", s.texts())
		}
	})
}
