package lpa

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// smds adds a discovery server to the lab.
func (l *lab) smds(address string) *smdpsim.SMDS {
	l.Helper()
	d, err := smdpsim.NewSMDS(smdpsim.SMDSConfig{Address: address, CI: l.ci, Now: func() time.Time { return testNow }})
	if err != nil {
		l.Fatal(err)
	}
	s := httptest.NewUnstartedServer(d.Handler())
	s.TLS = d.TLSConfig()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	l.Cleanup(s.Close)
	l.cfg.HTTP.Resolve[address] = s.Listener.Addr().String()
	return d
}

func (l *lab) register(d *smdpsim.SMDS, id, address string) {
	l.Helper()
	if err := d.Register(smdpsim.Event{EID: testEID, ID: id, Address: address}); err != nil {
		l.Fatal(err)
	}
}

const smdsHost, furtherHost = "smds.lab.test", "further.lab.test"

// From the card's own discovery server to an installed profile.
func TestDiscover(t *testing.T) {
	for _, behaviour := range []euiccsim.Behaviour{{}, {KeepSession: true}} {
		l := newLab(t, func(c *euiccsim.Config) { c.RootDS = smdsHost })
		l.card.SetBehaviour(behaviour)
		d := l.smds(smdsHost)
		l.order(smdpsim.Order{MatchingID: "EVENT-1"})
		l.register(d, "EVENT-1", testHost)
		l.register(d, "EVENT-2", "Other.lab.test.")
		c := l.open()
		info, err := c.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		events, err := c.Discover(t.Context(), info.RootSMDS)
		if err != nil {
			t.Fatal(err)
		}
		if want := []Event{{testHost, "EVENT-1"}, {"other.lab.test", "EVENT-2"}}; !slices.Equal(events, want) {
			t.Errorf("got %v", events)
		}
		if s := fmt.Sprintf("%v %+v", events, events[0].Code()); strings.Contains(s, "EVENT-1") {
			t.Errorf("event ID in %s", s)
		}
		o, err := c.AuthenticateEvent(t.Context(), events[0])
		if err != nil {
			t.Fatalf("%+v: %v", behaviour, err)
		}
		if _, err := o.Download(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiscoverNothing(t *testing.T) {
	l := newLab(t)
	d := l.smds(smdsHost)
	c := l.open()
	if events, err := c.Discover(t.Context(), smdsHost); err != nil || len(events) != 0 {
		t.Errorf("got %v, %v", events, err)
	}
	if _, err := c.Discover(t.Context(), "x y"); euicc.CodeOf(err) != "bad-address" {
		t.Errorf("bad address: %v", err)
	}
	if _, err := c.Discover(t.Context(), "nowhere.lab.test"); euicc.RetryOf(err) != euicc.RetryLater {
		t.Errorf("no such server: %v", err)
	}
	if err := d.SetFault(smdpsim.Fault{Kind: smdpsim.FaultStatus, Function: smdpsim.AuthenticateClient, Subject: "8.9.5", Reason: "3.9"}); err != nil {
		t.Fatal(err)
	}
	if events, err := c.Discover(t.Context(), smdsHost); err != nil || len(events) != 0 {
		t.Errorf("a server that says so by status code: %v, %v", events, err)
	}
	d.ClearFaults()
	if err := d.SetFault(smdpsim.Fault{Kind: smdpsim.FaultStatus, Function: smdpsim.AuthenticateClient, Subject: "8.1.3", Reason: "6.1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Discover(t.Context(), smdsHost); euicc.CodeOf(err) != "es9p-8.1.3-6.1" {
		t.Errorf("refused: %v", err)
	}
}

// Servers of the other kind are told by their certificates, before the card sees
// them.
func TestDiscoverWrongKind(t *testing.T) {
	l := newLab(t)
	l.smds(smdsHost)
	c := l.open()
	if _, err := c.Discover(t.Context(), testHost); euicc.CodeOf(err) != codeNoSMDS {
		t.Errorf("SM-DP+ as discovery server: %v", err)
	}
	if _, err := c.Authenticate(t.Context(), euicc.ActivationCode{Address: smdsHost, MatchingID: "X"}); euicc.CodeOf(err) != codeIsSMDS {
		t.Errorf("discovery server as SM-DP+: %v", err)
	}
	if n := l.card.Stats().Sessions; n != 0 {
		t.Errorf("the card opened %d sessions", n)
	}
}

// An event leads from one discovery server to the next, but not round in circles.
func TestDiscoverCascade(t *testing.T) {
	l := newLab(t)
	first, second := l.smds(smdsHost), l.smds(furtherHost)
	l.order(smdpsim.Order{MatchingID: "EVENT-2"})
	l.register(first, "EVENT-1", furtherHost)
	c := l.open()
	events, err := c.Discover(t.Context(), smdsHost)
	if err != nil || len(events) != 1 {
		t.Fatalf("got %v, %v", events, err)
	}
	if _, err := c.AuthenticateEvent(t.Context(), events[0]); euicc.CodeOf(err) != "es9p-8.9.5-3.9" {
		t.Errorf("an event that the further server does not know: %v", err)
	}
	l.register(second, "EVENT-1", testHost)
	l.order(smdpsim.Order{MatchingID: "EVENT-1"})
	o, err := c.AuthenticateEvent(t.Context(), events[0])
	if err != nil {
		t.Fatal(err)
	}
	if o.Server != testHost {
		t.Errorf("order at %s", o.Server)
	}
	if err := o.Cancel(t.Context(), euicc.CancelPostponed); err != nil {
		t.Fatal(err)
	}
	l.register(first, "LOOP", furtherHost)
	l.register(second, "LOOP", furtherHost)
	before := l.card.Stats().Sessions
	if _, err := c.AuthenticateEvent(t.Context(), Event{furtherHost, "LOOP"}); euicc.CodeOf(err) != codeIsSMDS {
		t.Errorf("loop: %v", err)
	}
	if n := l.card.Stats().Sessions - before; n != maxHops {
		t.Errorf("%d sessions", n)
	}
}

// The server that the card names is asked when that is said, by its address
// alone.
func TestDefaultSMDP(t *testing.T) {
	l := newLab(t)
	l.order(smdpsim.Order{EID: testEID})
	c := l.open()
	if err := c.SetDefaultSMDP(t.Context(), testHost); err != nil {
		t.Fatal(err)
	}
	if err := c.ResetMemory(t.Context(), es10.ResetOperational); err != nil {
		t.Fatal(err)
	}
	info, err := c.Info(t.Context())
	if err != nil || info.DefaultSMDP != testHost {
		t.Fatalf("card names %q, %v", info.DefaultSMDP, err)
	}
	o, err := c.Authenticate(t.Context(), euicc.ActivationCode{Address: info.DefaultSMDP})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Download(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
}

// Whichever answer of the card is lost, no session stays open on a card that keeps
// them, and the caller knows of it before the card does.
func TestDiscoverAnswerLost(t *testing.T) {
	l := newLab(t)
	l.smds(smdsHost)
	l.card.SetBehaviour(euiccsim.Behaviour{KeepSession: true})
	type session struct {
		server string
		id     euicc.TransactionID
	}
	var begun []session
	l.cfg.Begin = func(server string, id euicc.TransactionID) error {
		begun = append(begun, session{server, id})
		return nil
	}
	c := l.open()
	if _, err := c.Discover(t.Context(), smdsHost); err != nil {
		t.Fatal(err)
	}
	before := c.Stats().APDUs
	if _, err := c.Discover(t.Context(), smdsHost); err != nil {
		t.Fatal(err)
	}
	n, failed := c.Stats().APDUs-before, 0
	for at := 1; at <= n; at++ {
		l.card.SetFault(euiccsim.Fault{Kind: euiccsim.FaultLost, At: at})
		if _, err := c.Discover(t.Context(), smdsHost); err != nil {
			failed++
		}
		l.card.SetFault()
		if _, err := c.Discover(t.Context(), smdsHost); err != nil {
			t.Fatalf("after answer %d of %d was lost: %v", at, n, err)
		}
	}
	if failed < 3 {
		t.Errorf("%d of %d lost answers were noticed", failed, n)
	}
	if len(begun) < n || begun[0].server != "" || begun[0].id == "" {
		t.Errorf("begun %v", begun)
	}
}

// A crash in a discovery: the next process ends the session, on the card alone.
func TestDiscoverCrash(t *testing.T) {
	l := newLab(t)
	d := l.smds(smdsHost)
	l.card.SetBehaviour(euiccsim.Behaviour{KeepSession: true})
	var id euicc.TransactionID
	l.cfg.Begin = func(_ string, i euicc.TransactionID) error { id = i; return nil }
	l.cfg.Cancelled = func(x Cancellation) { t.Errorf("kept for a server that takes none: %+v", x) }
	if err := d.SetFault(smdpsim.Fault{Kind: smdpsim.FaultDropRequest, Function: smdpsim.AuthenticateClient}); err != nil {
		t.Fatal(err)
	}
	c := l.open()
	// The card's answer to the cancellation itself is not given either.
	l.card.SetFault(euiccsim.Fault{Tag: 0xBF41, Kind: euiccsim.FaultStatus, SW: 0x6F00})
	if _, err := c.Discover(t.Context(), smdsHost); err == nil {
		t.Fatal("no error")
	}
	d.ClearFaults()
	l.card.SetFault()
	if _, err := c.Discover(t.Context(), smdsHost); euicc.CodeOf(err) != "sw-6985" {
		t.Fatalf("the session is not kept: %v", err)
	}
	x, err := c.CancelSession(t.Context(), "", id, euicc.CancelPostponed)
	if err != nil || !x.Delivered {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := c.Discover(t.Context(), smdsHost); err != nil {
		t.Error(err)
	}
	l.cfg.Begin = func(string, euicc.TransactionID) error { return errors.New("disk full") }
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before := l.card.Stats().Sessions
	if _, err := l.open().Discover(t.Context(), smdsHost); euicc.CodeOf(err) != "begin" || l.card.Stats().Sessions != before {
		t.Errorf("disk full: %v", err)
	}
}
