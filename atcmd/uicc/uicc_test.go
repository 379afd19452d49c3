package uicc

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// The interface of euicc/apdu, which this package must not import.
var _ interface {
	Open(ctx context.Context, aid []byte) (session string, err error)
	Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error)
	Close(ctx context.Context, session string) error
} = (*Transport)(nil)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Opening the ISD-R, one APDU, closing: on modems that work.
func TestWays(t *testing.T) {
	for _, tt := range []struct {
		name  string
		modem func(*fakeModem)
		apdu  func(*dialect.APDU)
		way   string
	}{
		{"EG25: tags and quotes", nil, nil, "cgla"},
		{"FM350: bare answers", func(f *fakeModem) { f.tag = false }, nil, "cgla"},
		{"no quotes", func(f *fakeModem) { f.quote = false }, nil, "cgla"},
		{"MC7455: hexadecimal handle", func(f *fakeModem) {
			f.handle = func(n int) string { return fmt.Sprintf("%016x", 0x38aa32f+n) }
		}, nil, "cgla"},
		{"quoted handle", func(f *fakeModem) { f.handle = func(n int) string { return fmt.Sprintf(`"%d"`, n) } }, nil, "cgla"},
		{"DW5821e-eSIM: +CSIM alone", func(f *fakeModem) { f.noCCHO = errorFinal("+CCHO") }, nil, "csim"},
		{"+CSIM with bare answers", func(f *fakeModem) { f.noCCHO = cmeErr("+CCHO", 4); f.tag = false }, nil, "csim"},
		{"card that wants Le 00 in MANAGE CHANNEL", func(f *fakeModem) { f.noCCHO = errorFinal("+CCHO"); f.noLe1 = true }, nil, "csim"},
		{"+CCHO without an answer", func(f *fakeModem) { f.noCCHO = fmt.Errorf("AT+CCHO: %w", atcmd.ErrTimeout) }, nil, "csim"},
		{"dialect prefers +CSIM", nil, func(p *dialect.APDU) { p.Order = []string{"csim", "cgla"} }, "csim"},
		{"busy after boot", func(f *fakeModem) { f.busy = 7 }, nil, "cgla"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.modem != nil {
				tt.modem(f)
			}
			tr := f.transport(tt.apdu)
			session, err := tr.Open(t.Context(), isdrAID)
			if err != nil {
				t.Fatal(err)
			}
			if tr.Way() != tt.way {
				t.Errorf("way %q, want %q", tr.Way(), tt.way)
			}
			got, err := tr.Transmit(t.Context(), session, unhex(t, "80E2910003BF2E0000"))
			if err != nil {
				t.Fatal(err)
			}
			want := unhex(t, "80E291009000")
			if tt.way == "csim" {
				want[0] = 0x81
			}
			if !bytes.Equal(got, want) {
				t.Errorf("response %X, want %X", got, want)
			}
			if err := tr.Close(t.Context(), session); err != nil {
				t.Error(err)
			}
			if len(f.open) != 0 {
				t.Errorf("channels left open: %v", f.open)
			}
			if f.count("+CCHO=?")+f.count("+CGLA=?")+f.count("+CSIM=?") != 0 {
				t.Error("a test command was sent")
			}
		})
	}
}

// Opening the ISD-R where it does not work: the error says why.
func TestOpenErrors(t *testing.T) {
	noISDR := func(f *fakeModem) { f.apps = f.apps[1:] }
	for _, tt := range []struct {
		name  string
		modem func(*fakeModem)
		kind  error
	}{
		{"EG916Q, ordinary SIM: CME 13", noISDR, ErrNotEUICC},
		{"EG25, ordinary SIM: bare ERROR", func(f *fakeModem) { noISDR(f); f.absent = errorFinal("+CCHO") }, ErrNotEUICC},
		{"+CSIM, ordinary SIM", func(f *fakeModem) { noISDR(f); f.noCCHO = errorFinal("+CCHO") }, ErrNotEUICC},
		{"firmware that bars the ISD-R", func(f *fakeModem) { noISDR(f); f.absent = cmeErr("+CCHO", 3) }, ErrBlocked},
		{"eUICC without a profile, another AID, +CGLA alone", func(f *fakeModem) { f.apps = nil; f.noCSIM = errorFinal("+CSIM") }, ErrUnreachable},
		{"eUICC without a profile, another AID", func(f *fakeModem) { f.apps = nil }, ErrNotEUICC},
		{"EM9191: parameters error, no +CSIM", func(f *fakeModem) { f.noCCHO = cmeErr("+CCHO", 50); f.noCSIM = errorFinal("+CSIM") }, ErrUnreachable},
		{"wrong tty: ERROR to all", func(f *fakeModem) { f.noCCHO = errorFinal("+CCHO"); f.noCSIM = errorFinal("+CSIM") }, ErrUnreachable},
		{"no card", func(f *fakeModem) { f.noCCHO = cmeErr("+CCHO", 10); f.noCSIM = cmeErr("+CSIM", 10) }, ErrNoCard},
		{"busy for ever", func(f *fakeModem) { f.busy = 1000 }, ErrBusy},
		{"silent port", func(f *fakeModem) {
			f.noCCHO, f.noCSIM = fmt.Errorf("AT+CCHO: %w", atcmd.ErrTimeout), fmt.Errorf("AT+CSIM: %w", atcmd.ErrTimeout)
		}, atcmd.ErrTimeout},
		{"port gone", func(f *fakeModem) { f.noCCHO = atcmd.ErrGone }, atcmd.ErrGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tt.modem(f)
			tr := f.transport(nil)
			session, err := tr.Open(t.Context(), isdrAID)
			if !errors.Is(err, tt.kind) || session != "" {
				t.Fatalf("session %q, error %v; want %v", session, err, tt.kind)
			}
			var e *Error
			if !errors.As(err, &e) || e.Op != "open" {
				t.Errorf("error %T", err)
			}
			if len(f.open) != 0 {
				t.Errorf("channels left open: %v", f.open)
			}
			wantNext := errors.Is(err, ErrNotEUICC) || errors.Is(err, ErrBlocked) || errors.Is(err, ErrUnreachable) && !e.TimedOut
			if TryNext(err) != wantNext {
				t.Errorf("TryNext %v: %v", TryNext(err), err)
			}
			if len(f.log) > 60 {
				t.Errorf("%d commands", len(f.log))
			}
			if text := err.Error(); strings.ContainsAny(text, "\n") {
				t.Errorf("error of several lines: %q", text)
			}
		})
	}
}

// A process that was killed leaves its channels open; the next one gets in.
func TestLeakedChannels(t *testing.T) {
	for _, way := range []string{"cgla", "csim"} {
		f := newFake(t)
		f.open = map[int]string{1: "left", 2: "left", 3: "left"}
		tr := f.transport(func(p *dialect.APDU) { p.Order = []string{way} })
		session, err := tr.Open(t.Context(), isdrAID)
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		if len(f.open) != 1 {
			t.Errorf("%s: open channels %v", way, f.open)
		}
		// A sweep leaves our own sessions alone.
		f.mu.Lock()
		f.open[2], f.open[3] = "left", "left"
		f.mu.Unlock()
		second, err := tr.Open(t.Context(), usimAID)
		if err != nil {
			t.Errorf("%s, second: %v", way, err)
			continue
		}
		if second == session {
			t.Errorf("%s: session %q twice", way, session)
		}
		if _, err := tr.Transmit(t.Context(), session, unhex(t, "80E2910003BF2E00")); err != nil {
			t.Errorf("%s: first session: %v", way, err)
		}
	}
}

// Handles that no sweep can guess are closed from what was remembered.
func TestStaleSessions(t *testing.T) {
	f := newFake(t)
	f.channels = 1
	f.handle = func(n int) string { return fmt.Sprintf("%016x", 0x38aa32f+n) }
	var kept []string
	remember := func(open []string) { kept = open }
	p := dialect.ByName("generic").APDU
	first := New(f, p, Options{Remember: remember})
	if _, err := first.Open(t.Context(), isdrAID); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 1 {
		t.Fatalf("remembered %q", kept)
	}
	second := New(f, p, Options{Remember: remember, Stale: append(kept, "cgla:no handle", "junk", "csim:99"), Prefer: "cgla"})
	session, err := second.Open(t.Context(), isdrAID)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(t.Context(), session); err != nil || len(kept) != 0 || len(f.open) != 0 {
		t.Errorf("after close: %v, remembered %q, open %v", err, kept, f.open)
	}
	for _, line := range f.log {
		if strings.Contains(line, "no handle") || strings.Contains(line, "junk") {
			t.Errorf("sent %q", line)
		}
	}
}

func TestTransmitErrors(t *testing.T) {
	store := "80E2910003BF2E00"
	for _, tt := range []struct {
		name    string
		modem   func(*fakeModem)
		cmd     string
		kind    error
		unknown bool
		sent    int // +CGLA commands
	}{
		{"EC20F: ERROR at the last block", func(f *fakeModem) { f.after["+CGLA"] = errorFinal("+CGLA") }, store, nil, true, 1},
		{"no answer", func(f *fakeModem) { f.after["+CGLA"] = fmt.Errorf("AT+CGLA: %w", atcmd.ErrTimeout) }, store, atcmd.ErrTimeout, true, 1},
		{"unplugged", func(f *fakeModem) { f.after["+CGLA"] = atcmd.ErrGone }, store, atcmd.ErrGone, true, 1},
		{"busy: STORE DATA is not repeated", func(f *fakeModem) { f.busy = 1 }, store, ErrBusy, false, 1},
		{"parameters", func(f *fakeModem) { f.after["+CGLA"] = cmeErr("+CGLA", 50) }, store, nil, false, 1},
		{"length says more than came", answerWith("+CGLA: 48,\"BF2E129000\""), store, ErrAnswer, true, 1},
		{"odd number of digits", answerWith("+CGLA: 5,\"90000\""), store, ErrAnswer, true, 1},
		{"no status word", answerWith("+CGLA: 2,\"90\""), store, ErrAnswer, true, 1},
		{"no response", answerWith(), store, ErrAnswer, true, 1},
		{"not hexadecimal", answerWith("+CGLA: 4,\"90G0\""), store, ErrAnswer, true, 1},
		{"more than a card's 64 KiB", answerWith(fmt.Sprintf(`+CGLA: %d,"%s"`, 2*(maxResponse+1), strings.Repeat("90", maxResponse+1))), store, ErrAnswer, true, 1},
		{"command too short", nil, "80E291", nil, false, 0},
		{"command too long", nil, strings.Repeat("80", 262), nil, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tr := f.transport(nil)
			session, err := tr.Open(t.Context(), isdrAID)
			if err != nil {
				t.Fatal(err)
			}
			if tt.modem != nil {
				tt.modem(f)
			}
			resp, err := tr.Transmit(t.Context(), session, unhex(t, tt.cmd))
			var e *Error
			if !errors.As(err, &e) || resp != nil {
				t.Fatalf("response %X, error %v", resp, err)
			}
			if tt.kind != nil && !errors.Is(err, tt.kind) || e.Unknown != tt.unknown || e.Unknown != e.StateUnknown() {
				t.Errorf("%v: unknown %v", err, e.Unknown)
			}
			if n := f.count("+CGLA"); n != tt.sent {
				t.Errorf("sent %d times, want %d", n, tt.sent)
			}
			if strings.Contains(err.Error(), "BF2E") {
				t.Errorf("payload in %q", err)
			}
		})
	}
}

func answerWith(lines ...string) func(*fakeModem) {
	return func(f *fakeModem) {
		f.reply = func(cmd string) (atcmd.Reply, error, bool) {
			return atcmd.Reply{Lines: lines, Final: "OK"}, nil, strings.HasPrefix(cmd, "+CGLA")
		}
	}
}

// GET RESPONSE and SELECT may be repeated while the card is busy.
func TestTransmitWaitsWhileBusy(t *testing.T) {
	f := newFake(t)
	tr := f.transport(nil)
	session, err := tr.Open(t.Context(), isdrAID)
	if err != nil {
		t.Fatal(err)
	}
	f.busy = 3
	if _, err := tr.Transmit(t.Context(), session, unhex(t, "80C0000021")); err != nil {
		t.Error(err)
	}
	if s := tr.Stats(); s.Retries != 3 || s.Opened != 1 || s.APDUs != 1 || s.Sent != 5 || s.Received != 6 {
		t.Errorf("%+v", s)
	}
}

func TestSessions(t *testing.T) {
	f := newFake(t)
	tr := f.transport(nil)
	session, err := tr.Open(t.Context(), isdrAID)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "1", "cgla:9", "csim:1", session + "0"} {
		if _, err := tr.Transmit(t.Context(), s, unhex(t, "80CA0000")); !errors.Is(err, ErrSession) {
			t.Errorf("session %q: %v", s, err)
		}
		if err := tr.Close(t.Context(), s); !errors.Is(err, ErrSession) {
			t.Errorf("close %q: %v", s, err)
		}
	}
	tr.Invalidate() // the card was reset
	if _, err := tr.Transmit(t.Context(), session, unhex(t, "80CA0000")); !errors.Is(err, ErrSession) {
		t.Errorf("after a reset: %v", err)
	}
	if n := f.count("+CCHC=" + strings.TrimPrefix(session, "cgla:")); n != 1 { // the first sweep
		t.Errorf("a session that is gone was closed: %d", n)
	}
}

// A channel that was opened for a caller that has gone is closed.
func TestOpenCancelled(t *testing.T) {
	f := newFake(t)
	f.noCCHO = errorFinal("+CCHO")
	ctx, cancel := context.WithCancel(t.Context())
	f.reply = func(cmd string) (atcmd.Reply, error, bool) {
		if strings.HasPrefix(cmd, `+CSIM=42,"01A4`) {
			cancel()
			return atcmd.Reply{}, context.Canceled, true
		}
		return atcmd.Reply{}, nil, false
	}
	_, err := f.transport(nil).Open(ctx, isdrAID)
	if !errors.Is(err, context.Canceled) || len(f.open) != 0 {
		t.Errorf("%v, open %v", err, f.open)
	}
	if _, err := f.transport(nil).Open(ctx, isdrAID); !errors.Is(err, context.Canceled) {
		t.Errorf("context over: %v", err)
	}
}

func TestTerminalCapabilityOnce(t *testing.T) {
	f := newFake(t)
	tr := f.transport(func(p *dialect.APDU) { p.Order = []string{"csim"} })
	for range 3 {
		s, err := tr.Open(t.Context(), isdrAID)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Close(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.count(`+CSIM=30,"80AA`); n != 1 {
		t.Errorf("sent %d times", n)
	}
	tr.Invalidate()
	if _, err := tr.Open(t.Context(), isdrAID); err != nil || f.count(`+CSIM=30,"80AA`) != 2 {
		t.Errorf("after a reset: %v", err)
	}
}

func TestChannelCLA(t *testing.T) {
	for _, tt := range []struct {
		cla  byte
		ch   int
		want byte
	}{
		{0x00, 0, 0x00}, {0x00, 1, 0x01}, {0x80, 3, 0x83}, {0x90, 1, 0x91},
		{0x00, 4, 0x40}, {0x80, 4, 0xC0}, {0x80, 19, 0xCF}, {0x90, 5, 0xD1}, {0x00, 19, 0x4F},
	} {
		if got := channelCLA(tt.cla, tt.ch); got != tt.want {
			t.Errorf("%02X on channel %d: %02X, want %02X", tt.cla, tt.ch, got, tt.want)
		}
	}
}

func TestManyChannels(t *testing.T) {
	f := newFake(t)
	f.channels = 19
	tr := f.transport(func(p *dialect.APDU) { p.Order = []string{"csim"} })
	for ch := 1; ch <= 19; ch++ {
		s, err := tr.Open(t.Context(), isdrAID)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := tr.Transmit(t.Context(), s, unhex(t, "80E2910003BF2E00")); err != nil || resp[0] != channelCLA(0x80, ch) {
			t.Errorf("channel %d: %X %v", ch, resp, err)
		}
	}
	if _, err := tr.Open(t.Context(), isdrAID); !errors.Is(err, ErrNoChannel) {
		t.Errorf("20th channel: %v", err)
	}
}

func TestParseHandle(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"EG25", []string{"+CCHO: 1"}, "1"},
		{"FM350", []string{"1"}, "1"},
		{"MC7455", []string{"+CCHO: 00000000038aa32f"}, "00000000038aa32f"},
		{"blank before the colon", []string{"+CCHO : 2"}, "2"},
		{"quoted", []string{`+CCHO: "2"`}, `"2"`},
		{"URC between", []string{"+CREG: 5", "3"}, "3"},
		{"boot text between", []string{"RDY", "3"}, "3"},
		{"nothing", nil, ""},
		{"no digits", []string{"+CCHO: yes"}, ""},
		{"injection", []string{"+CCHO: 1;+CFUN=0"}, ""},
		{"endless", []string{"+CCHO: " + strings.Repeat("1", 33)}, ""},
	} {
		got, err := parseHandle(tt.lines)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q %v", tt.name, got, err)
		}
	}
}

func TestParseResponse(t *testing.T) {
	for _, tt := range []struct {
		name, tag string
		lines     []string
		want      string
	}{
		{"EG25", "+CGLA", []string{`+CGLA: 4,"9000"`}, "9000"},
		{"FM350", "+CGLA", []string{`4,"9000"`}, "9000"},
		{"FM350, bare", "+CGLA", []string{`4,9000`}, "9000"},
		{"no quotes, lower case", "+CSIM", []string{`+CSIM: 6,01900a`}, "01900A"},
		{"quoted length", "+CSIM", []string{`+CSIM: "4","9000"`}, "9000"},
		{"URC between", "+CGLA", []string{`+CREG: 5`, `4,"9000"`}, "9000"},
		{"modem that fetched by itself", "+CGLA", []string{`+CGLA: 10,"BF2E009000"`}, "BF2E009000"},
		{"bytes for digits", "+CGLA", []string{`+CGLA: 2,"9000"`}, ""},
		{"negative", "+CGLA", []string{`+CGLA: -4,"9000"`}, ""},
		{"empty", "+CGLA", []string{`+CGLA: 0,""`}, ""},
	} {
		got, err := parseResponse(tt.lines, tt.tag)
		if fmt.Sprintf("%X", got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %X %v", tt.name, got, err)
		}
	}
}

func TestUnwrapFindsBoth(t *testing.T) {
	e := &Error{Op: "open", Kind: ErrNotEUICC, Err: cmeErr("+CCHO", 13), CME: 13}
	var c *atcmd.CMEError
	if !errors.Is(e, ErrNotEUICC) || !errors.As(e, &c) || c.Code != 13 || !e.NotEUICC() {
		t.Error(e)
	}
	if len((&Error{}).Unwrap()) != 0 {
		t.Error("nil errors are unwrapped")
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add(`+CGLA: 4,"9000"`)
	f.Add(`46,BF2E`)
	f.Fuzz(func(t *testing.T, line string) {
		b, err := parseResponse([]string{line}, "+CGLA")
		if err != nil {
			return
		}
		if len(b) < 2 || len(b) > maxResponse {
			t.Fatalf("%q gives %d bytes", line, len(b))
		}
		again, err := parseResponse([]string{fmt.Sprintf(`+CGLA: %d,"%X"`, 2*len(b), b)}, "+CGLA")
		if err != nil || !slices.Equal(again, b) {
			t.Fatalf("%X came back as %X, %v", b, again, err)
		}
	})
}

func FuzzParseHandle(f *testing.F) {
	f.Add("+CCHO: 1")
	f.Add(`"1`)
	f.Fuzz(func(t *testing.T, line string) {
		h, err := parseHandle([]string{line})
		if err == nil && (len(h) > 34 || strings.ContainsAny(h, ",;\r\n ")) {
			t.Fatalf("%q gives %q", line, h)
		}
	})
}
