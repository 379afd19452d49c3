package uicc

import (
	"errors"
	"strings"
	"testing"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Firmwares that are known to have no way are tried all the same; what failed
// is then said in their terms.
func TestVerdicts(t *testing.T) {
	none := func(f *fakeModem) { f.noCCHO, f.noCSIM = cmeErr("+CCHO", 50), errorFinal("+CSIM") }
	for _, tt := range []struct {
		name, dialect string
		modem         func(*fakeModem)
		kind          error
		verdict       string
	}{
		{"EM9191: parameter error", "sierra-5g", none, ErrFirmware, "this firmware blocks it"},
		{"EM9191 with a firmware that opens it", "sierra-5g", func(*fakeModem) {}, nil, ""},
		{"SIM7600: no +CSIM to the eUICC", "simcom-7600", none, ErrFirmware, "this firmware blocks it"},
		{"MS2372h", "huawei", none, ErrFirmware, "this firmware blocks it"},
		{"nRF9160", "nrf91", func(*fakeModem) {}, ErrNoHost, "not an eSIM host"},
		{"EM9191 without a card", "sierra-5g", func(f *fakeModem) { f.noCCHO = cmeErr("+CCHO", 10) }, ErrNoCard, ""},
		{"EM9191 that went away", "sierra-5g", func(f *fakeModem) { f.noCCHO = atcmd.ErrGone }, nil, ""},
		{"a modem of which nothing is known", "generic", none, ErrUnreachable, ""},
	} {
		f := newFake(t)
		tt.modem(f)
		d := dialect.ByName(tt.dialect)
		_, err := New(f, d.APDU, Options{}).Open(t.Context(), isdrAID)
		var e *Error
		if !errors.As(err, &e) {
			if err != nil || tt.kind != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if tt.kind != nil && !errors.Is(err, tt.kind) || e.Verdict() != tt.verdict || tt.verdict != "" && (!e.Blocked() || e.Hint() != d.APDU.Advice) {
			t.Errorf("%s: %v, verdict %q, hint %q", tt.name, err, e.Verdict(), e.Hint())
		}
	}
}

// A firmware that is known to block the eUICC loses no channel to being asked, also
// where it cannot close one.
func TestVerdictCostsNoChannel(t *testing.T) {
	f := newFake(t)
	f.apps = f.apps[1:] // the USIM alone can be opened
	f.reply = func(cmd string) (atcmd.Reply, error, bool) {
		return atcmd.Reply{}, errorFinal("+CCHC"), strings.HasPrefix(cmd, "+CCHC")
	}
	for _, name := range []string{"sierra-5g", "quectel-lpa"} {
		for range 5 {
			if _, err := New(f, dialect.ByName(name).APDU, Options{}).Open(t.Context(), isdrAID); !errors.Is(err, ErrFirmware) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(f.open) != 0 {
			t.Errorf("%s: channels left open: %v", name, f.open)
		}
	}
}
