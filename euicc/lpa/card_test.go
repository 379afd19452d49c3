package lpa

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/ci"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

func TestOpenNotEUICC(t *testing.T) {
	l := newLab(t)
	l.card.SetBehaviour(euiccsim.Behaviour{NoISDR: true})
	_, err := Open(t.Context(), l.cfg)
	e, ok := errors.AsType[*euicc.Error](err)
	if !ok || e.Code != "not-euicc" || e.Retry != euicc.RetryNever || e.Stage != euicc.StageOpen {
		t.Errorf("got %+v", err)
	}
}

// transport answers Open with what the test says.
type transport struct {
	opens []string
	err   error
}

func (t *transport) Open(_ context.Context, aid []byte) (string, error) {
	t.opens = append(t.opens, string(aid))
	return "", t.err
}
func (t *transport) Transmit(context.Context, string, []byte) ([]byte, error) { return nil, t.err }
func (t *transport) Close(context.Context, string) error                      { return nil }

// modemError is an error of a transport that can tell what happened.
type modemError struct{ notEUICC, blocked, slow bool }

func (modemError) Error() string        { return "modem error" }
func (m modemError) NotEUICC() bool     { return m.notEUICC }
func (m modemError) Blocked() bool      { return m.blocked }
func (m modemError) Timeout() bool      { return m.slow }
func (m modemError) StateUnknown() bool { return false }

type timeout struct{ error }

func (timeout) Timeout() bool { return true }

func TestOpenTriesAIDs(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
		code string
	}{
		{"card has no such application", &apdu.StatusError{SW: 0x6A82}, len(DefaultAIDs), "not-euicc"},
		{"all channels are taken", &apdu.StatusError{SW: 0x6A81}, len(DefaultAIDs), "sw-6A81"},
		{"modem says there is none", modemError{notEUICC: true}, len(DefaultAIDs), "not-euicc"},
		{"modem sees no card", modemError{}, 1, "card-transport"},
		{"modem is silent", timeout{errors.New("silent")}, 1, "card-transport"},
		{"deadline", context.DeadlineExceeded, 1, "card-transport"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := &transport{err: tt.err}
			_, err := Open(t.Context(), Config{Transport: tr})
			if euicc.CodeOf(err) != tt.code || len(tr.opens) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%d tries: %v (%s)", len(tr.opens), err, euicc.CodeOf(err))
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr := &transport{err: context.Canceled}
	if _, err := Open(ctx, Config{Transport: tr}); euicc.CodeOf(err) != "cancelled" || len(tr.opens) != 1 {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTrust(t *testing.T) {
	l := newLab(t)
	l.cfg.ExtraCI = nil
	c := l.open()
	if _, err := c.Authenticate(t.Context(), l.order(smdpsim.Order{})); euicc.CodeOf(err) != "ci-none" {
		t.Errorf("a card of an unknown issuer: %v", err)
	}
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("its information can be read: %v", err)
	}
	if l.server.Stats().HTTPRequests != 0 {
		t.Error("a server was asked that cannot be trusted")
	}
	e := diagnose(t.Context(), euicc.StageInfo, &ci.NoRootError{Set: ci.Live, InOther: true})
	if e.Code != "ci-other-set" || !strings.Contains(e.Advice, "ci_set") {
		t.Errorf("got %+v", e)
	}
}

func TestSwitchErrors(t *testing.T) {
	l := newLab(t)
	c := l.open()
	o, err := c.Authenticate(t.Context(), l.order(smdpsim.Order{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Download(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	iccid := o.Metadata.ICCID
	l.card.SetBehaviour(euiccsim.Behaviour{CATBusy: true})
	if err := c.Enable(t.Context(), iccid, true); !errors.Is(err, es10.ErrCATBusy) || euicc.RetryOf(err) != euicc.RetryLater {
		t.Errorf("toolkit busy: %v", err)
	}
	l.card.SetBehaviour(euiccsim.Behaviour{})
	l.card.SetFault(euiccsim.Fault{Tag: 0xBF31, Kind: euiccsim.FaultLost})
	err = c.Enable(t.Context(), iccid, false)
	if e, ok := errors.AsType[*euicc.Error](err); !ok || !e.Unknown || e.Code != "card-transport" {
		t.Errorf("answer lost: %+v", err)
	}
	if ps, err := c.Profiles(t.Context()); err != nil || ps[0].State != euicc.Enabled {
		t.Errorf("reading back: %v", err)
	}
	if err := c.SetNickname(t.Context(), iccid, strings.Repeat("x", 65)); euicc.CodeOf(err) != "nickname-too-long" {
		t.Errorf("nickname: %v", err)
	}
	if err := c.Disable(t.Context(), iccid, true); err != nil {
		t.Fatal(err)
	}
	if !c.ProactivePending() {
		t.Error("the card's REFRESH is not noticed")
	}
}

// What ends up as which code, where no simulator reaches.
func TestDiagnose(t *testing.T) {
	done, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		code string
	}{
		{done, errors.New("x"), "timeout"},
		{t.Context(), errors.New("+CME ERROR: 13"), "card-transport"},
		{t.Context(), &es10.LoadError{Unknown: true, Err: es10.ErrNoResult}, "no-result"},
		{t.Context(), es10.ErrBPP, "bpp-malformed"},
		{t.Context(), word(0x6881), "sw-6881"},
		{t.Context(), &es9p.ClockError{}, "wrong-clock"},
		{t.Context(), &es9p.ProxyError{Status: 407}, "proxy-407"},
		{t.Context(), &es9p.NetworkError{Err: &net.OpError{Op: "dial", Err: &es9p.AddressError{Address: netip.MustParseAddr("127.0.0.1")}}}, "net-private"},
		{t.Context(), &es9p.TLSError{Reason: es9p.TLSCurves, Err: errors.New("x")}, "tls-curves"},
		{t.Context(), cme(13), "card-transport"},
		{t.Context(), cme(100), "card-transport"},
		{t.Context(), &es10.ResultError{Function: "enableProfile", Code: 99}, "es10-enableProfile-99"},
	} {
		e := diagnose(tt.ctx, euicc.StageLoadBPP, tt.err)
		if e.Code != tt.code || e.Retry == "" || !errors.Is(e, tt.err) {
			t.Errorf("%v: %+v", tt.err, e)
		}
	}
	if e := diagnose(t.Context(), euicc.StageLoadBPP, &es10.LoadError{Unknown: true, Err: errors.New("x")}); !e.Unknown {
		t.Error("unknown is lost")
	}
}

// cme is a transport's error with the modem's code.
type cme int

func (c cme) Error() string           { return "modem error" }
func (c cme) ModemError() (int, bool) { return int(c), c >= 0 }

// What the modem says is kept as a number and told in words.
func TestModemError(t *testing.T) {
	for code, want := range map[cme]string{0: "0", 13: "13", 100: "100", -1: ""} {
		e := diagnose(t.Context(), euicc.StageOpen, fmt.Errorf("card transmit: %w", code))
		if e.CME != want || e.Text == "" || e.Advice == "" {
			t.Errorf("%d: %+v", code, e)
		}
	}
	if e := diagnose(t.Context(), euicc.StageOpen, cme(10)); e.Retry != euicc.RetryAsk || e.Text != "the modem sees no card" {
		t.Errorf("no card: %+v", e)
	}
}

// word is a transport's error with a status word of its own.
type word uint16

func (w word) Error() string      { return "status" }
func (w word) StatusWord() uint16 { return uint16(w) }
