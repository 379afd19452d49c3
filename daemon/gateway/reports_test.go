package gateway

import (
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/outbox"
	"dynamod/daemon/status"
	"dynamod/euicc"
	"dynamod/euicc/ci"
	"dynamod/euicc/es9p"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/lpa"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

// cardLab is a gateway's outbox with a simulated card and server behind it.
type cardLab struct {
	*Gateway
	dir    string
	now    time.Time
	server *smdpsim.Server
	cfg    lpa.Config
	code   euicc.ActivationCode
}

func newCardLab(t *testing.T) *cardLab {
	t.Helper()
	l := &cardLab{dir: filepath.Join(t.TempDir(), "outbox"), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return l.now }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const eid, host = "89049032000001000000000000000017", "smdpp.lab.test"
	root, err := sgp26.NewCI(l.now)
	must(err)
	eum, err := sgp26.NewEUM(root, l.now)
	must(err)
	id, err := sgp26.NewEUICC(eum, eid, l.now)
	must(err)
	card, err := euiccsim.New(euiccsim.Config{EID: eid, EUICC: id, EUM: eum.Cert, CI: []*x509.Certificate{root.Cert}})
	must(err)
	l.server, err = smdpsim.New(smdpsim.Config{Address: host, CI: root, Now: now})
	must(err)
	s := httptest.NewUnstartedServer(l.server.Handler())
	s.TLS = l.server.TLSConfig()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8900101000000000018", IMSI: "001010000000001"})
	must(err)
	text, err := l.server.AddOrder(smdpsim.Order{UPP: upp})
	must(err)
	l.code, err = euicc.ParseActivationCode(text)
	must(err)
	l.cfg = lpa.Config{
		Transport: card,
		ExtraCI:   []ci.Root{{Name: "lab", KeyID: root.Cert.SubjectKeyId, Cert: root.Cert}},
		HTTP:      es9p.Config{Resolve: map[string]string{host: s.Listener.Addr().String()}, Now: now},
	}
	l.start(t)
	return l
}

// start begins a process: all that it knows is on disk.
func (l *cardLab) start(t *testing.T) *lpa.Card {
	t.Helper()
	now := func() time.Time { return l.now }
	l.Gateway = &Gateway{log: slog.New(slog.DiscardHandler), status: status.New("test", now)}
	var err error
	if l.outbox, err = outbox.Open(l.dir, now, l.log); err != nil {
		t.Fatal(err)
	}
	var c *lpa.Card
	cfg := l.cfg
	cfg.Cancelled = func(x lpa.Cancellation) { l.keepCancelled(c.EID(), x) }
	if c, err = lpa.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A session is cancelled while the network is away, and the process dies: the
// next one tells the server, once.
func TestCancellationOutlivesTheProcess(t *testing.T) {
	l := newCardLab(t)
	c := l.start(t)
	o, err := c.Authenticate(t.Context(), l.code)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.server.SetFault(smdpsim.Fault{Kind: smdpsim.FaultDropRequest}); err != nil {
		t.Fatal(err)
	}
	order := &runOrder{Order: o, r: &runCard{g: l.Gateway}}
	if err := order.Cancel(t.Context(), euicc.CancelPostponed); err != nil {
		t.Errorf("what is kept is no error: %v", err)
	}
	if n := l.status.Snapshot().Outbox.Pending; n != 1 {
		t.Errorf("%d in the outbox", n)
	}
	c = l.start(t)
	if err := l.deliver(t.Context(), c); err == nil {
		t.Error("delivered without network")
	}
	l.server.ClearFaults()
	if err := l.deliver(t.Context(), c); err != nil || l.server.Orders()[0].Canceled {
		t.Errorf("before its time: %v", err)
	}
	l.now = l.now.Add(outbox.Backoff[0])
	for range 2 {
		if err := l.deliver(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	st := l.server.Orders()[0]
	if !st.Canceled || st.CancelReason != int(euicc.CancelPostponed) || l.server.Stats().Requests[smdpsim.CancelSession] != 3 || len(l.outbox.Entries()) != 0 {
		t.Errorf("order %+v after %d requests, %d left", st, l.server.Stats().Requests[smdpsim.CancelSession], len(l.outbox.Entries()))
	}

	// One that is delivered at once leaves nothing, and neither does one of
	// which the server knows nothing.
	if o, err = c.Authenticate(t.Context(), l.code); err != nil {
		t.Fatal(err)
	}
	if err := o.Cancel(t.Context(), euicc.CancelPostponed); err != nil || len(l.outbox.Entries()) != 0 {
		t.Errorf("%v, %d left", err, len(l.outbox.Entries()))
	}
	x := *o.Cancellation()
	x.Delivered = false
	l.keepCancelled(c.EID(), x)
	if err := l.deliver(t.Context(), c); err != nil || len(l.outbox.Entries()) != 0 {
		t.Errorf("unknown to the server: %v, %d left", err, len(l.outbox.Entries()))
	}
	if err := l.toldLater(nil, errors.New("card")); err == nil {
		t.Error("a card that does not answer is no error")
	}
}

// A report that cannot be kept is not taken from the card by anything.
func TestReportsAreCopiedBeforeTheyGo(t *testing.T) {
	l := newCardLab(t)
	c := l.start(t)
	order, err := c.Authenticate(t.Context(), l.code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := order.Download(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(l.dir), os.WriteFile(l.dir, nil, 0o600)); err != nil { // in the way of the directory
		t.Fatal(err)
	}
	f, ok := errors.AsType[*activation.Fault](l.copyAll(t.Context(), c))
	if !ok || f.Code != "reports-not-kept" || f.Advice == "" {
		t.Errorf("%v", f)
	}
	if err := os.Remove(l.dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.copyAll(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
}

// showEID says which card is there, as after reading it.
func (l *cardLab) showEID(c *lpa.Card) {
	l.status.Update(func(s *status.Snapshot) { s.Card = &status.Card{EID: c.EID().String()} })
}
