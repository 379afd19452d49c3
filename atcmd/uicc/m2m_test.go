package uicc

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dynamod/atcmd/dialect"
)

const ecasd = "A0000005591010FFFFFFFF8900000200"

// Cards whose ISD-R gives no EID: which of them are M2M eUICCs.
func TestM2M(t *testing.T) {
	const eid = "5A1089033023312170000000000123456789"
	answers := func(first, then string) func(int, []byte) []byte {
		asked := 0
		return func(_ int, cmd []byte) []byte {
			if asked++; asked > 1 {
				return unhex(t, then)
			}
			if got := fmt.Sprintf("%X", cmd[1:]); got != "CA005A00" {
				t.Errorf("sent %s", got)
			}
			return unhex(t, first)
		}
	}
	for _, tt := range []struct {
		name  string
		modem func(*fakeModem)
		apdu  func(int, []byte) []byte
		want  bool
		err   error
	}{
		{"M2M eUICC (pySim's CardProfileEuiccSGP02)", nil, answers(eid+"9000", ""), true, nil},
		{"length first", nil, answers("6C12", eid+"9000"), true, nil},
		{"GET RESPONSE", nil, answers("6112", eid+"9000"), true, nil},
		{"without the tag", nil, answers(eid[4:]+"9000", ""), true, nil},
		{"no such data", nil, answers("6A88", ""), false, nil},
		{"another length", nil, answers("5A0889033023312170009000", ""), false, nil},
		{"no digits", nil, answers("5A10"+strings.Repeat("AB", 16)+"9000", ""), false, nil},
		{"no ECASD: an ordinary SIM", func(f *fakeModem) { f.apps = f.apps[:2] }, nil, false, nil},
		{"by +CSIM", func(f *fakeModem) { f.noCCHO = errorFinal("+CCHO") }, answers(eid+"9000", ""), true, nil},
		{"card gone", func(f *fakeModem) { f.noCCHO, f.noCSIM = cmeErr("+CCHO", 10), cmeErr("+CSIM", 10) }, nil, false, ErrNoCard},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.apps = append(f.apps, ecasd)
			f.apdu = tt.apdu
			if tt.modem != nil {
				tt.modem(f)
			}
			got, err := f.transport(nil).M2M(t.Context())
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
			if len(f.open) != 0 {
				t.Errorf("channels left open: %v", f.open)
			}
		})
	}
}

// Channels are swept at the start and after what may have leaked one, and not
// before each opening: every +CCHC costs the modem a turn.
func TestSweepOnlyWhenNeeded(t *testing.T) {
	f := newFake(t)
	tr := f.transport(nil)
	cycle := func() {
		t.Helper()
		s, err := tr.Open(t.Context(), isdrAID)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Close(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	swept := func(what string, want uint64) {
		t.Helper()
		if got := tr.Stats().Swept; got != want {
			t.Errorf("%s: %d swept, want %d", what, got, want)
		}
	}
	cycle()
	swept("start", 3)
	cycle()
	cycle()
	swept("nothing leaked", 3)

	// Another program took what is left and died: it is swept and tried again.
	for ch := 1; ch <= f.channels; ch++ {
		f.open[ch] = "leaked"
	}
	cycle()
	swept("taken by others", 6)

	// An APDU without an answer.
	s, err := tr.Open(t.Context(), isdrAID)
	if err != nil {
		t.Fatal(err)
	}
	f.after["+CGLA"] = errorFinal("+CGLA")
	if _, err := tr.Transmit(t.Context(), s, unhex(t, "80E2910003BF2E00")); err == nil {
		t.Fatal("no error")
	}
	delete(f.after, "+CGLA")
	if err := tr.Close(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	cycle()
	swept("after an error", 9)

	// Not an eUICC: one look for leaks, however many AIDs are tried.
	f.apps = f.apps[1:]
	for range 5 {
		if _, err := tr.Open(t.Context(), isdrAID); !errors.Is(err, ErrNotEUICC) {
			t.Fatal(err)
		}
	}
	swept("five AIDs that are not there", 12)
}

// Telit's +CSIM=1 locks the card, and a locked card is reported as removed
// (#QSS: 0); whoever forgets +CSIM=0 leaves the modem without a SIM. Neither is
// sent, whatever goes wrong.
func TestNoLock(t *testing.T) {
	for _, modem := range []func(*fakeModem){
		func(*fakeModem) {},
		func(f *fakeModem) { f.channels = 0 },
		func(f *fakeModem) { f.apps = nil },
		func(f *fakeModem) { f.busy = 3 },
		func(f *fakeModem) { f.after["+CSIM"] = errorFinal("+CSIM") },
	} {
		f := newFake(t)
		modem(f)
		tr := f.transport(func(p *dialect.APDU) { p.Order = []string{"csim"} })
		if s, err := tr.Open(t.Context(), isdrAID); err == nil {
			tr.Transmit(t.Context(), s, unhex(t, "80E2910003BF2E00"))
			tr.Close(t.Context(), s)
		}
		for _, line := range f.log {
			if args, ok := strings.CutPrefix(line, "+CSIM="); ok && !strings.Contains(args, ",") {
				t.Errorf("sent AT%s", line)
			}
		}
	}
}

// FuzzEID reads what an ECASD answers: an EID is 32 decimal digits, with its tag or
// without.
func FuzzEID(f *testing.F) {
	const eid = "\x89\x03\x30\x23\x31\x21\x70\x00\x00\x00\x00\x01\x23\x45\x67\x89"
	f.Add([]byte("\x5A\x10" + eid))
	f.Add([]byte(eid))
	f.Add([]byte("\x5A\x10"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !isEID(data) {
			return
		}
		digits := fmt.Sprintf("%X", data[len(data)-16:])
		if strings.Trim(digits, "0123456789") != "" || len(data) != 16 && !strings.HasPrefix(fmt.Sprintf("%X", data), "5A10") {
			t.Errorf("%X is an EID", data)
		}
		if len(data) == 16 && !isEID(append([]byte{0x5A, 16}, data...)) {
			t.Errorf("%X is none behind its tag", data)
		}
	})
}
