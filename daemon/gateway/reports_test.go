package gateway

import (
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/config"
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
	ci     *sgp26.Authority
	eum    *sgp26.Authority
	server *smdpsim.Server
	cfg    lpa.Config
	code   euicc.ActivationCode // of the last order
	open   *lpa.Card            // of the present process
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
	const host = "smdpp.lab.test"
	var err error
	l.ci, err = sgp26.NewCI(l.now)
	must(err)
	l.eum, err = sgp26.NewEUM(l.ci, l.now)
	must(err)
	l.server, err = smdpsim.New(smdpsim.Config{Address: host, CI: l.ci, Now: now})
	must(err)
	s := httptest.NewUnstartedServer(l.server.Handler())
	s.TLS = l.server.TLSConfig()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	l.order(t, "8900101000000000018")
	l.cfg = lpa.Config{
		Transport: l.card(t, "89049032000001000000000000000017"),
		ExtraCI:   []ci.Root{{Name: "lab", KeyID: l.ci.Cert.SubjectKeyId, Cert: l.ci.Cert}},
		HTTP:      es9p.Config{Resolve: map[string]string{host: s.Listener.Addr().String()}, Now: now},
	}
	l.start(t)
	return l
}

// card makes an eUICC.
func (l *cardLab) card(t *testing.T, eid string) *euiccsim.Card {
	t.Helper()
	id, err := sgp26.NewEUICC(l.eum, eid, l.now)
	if err != nil {
		t.Fatal(err)
	}
	card, err := euiccsim.New(euiccsim.Config{EID: eid, EUICC: id, EUM: l.eum.Cert, CI: []*x509.Certificate{l.ci.Cert}})
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// order puts a profile up for download.
func (l *cardLab) order(t *testing.T, iccid string) {
	t.Helper()
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: "001010000000001"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := l.server.AddOrder(smdpsim.Order{UPP: upp})
	if err != nil {
		t.Fatal(err)
	}
	if l.code, err = euicc.ParseActivationCode(text); err != nil {
		t.Fatal(err)
	}
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
	if l.open != nil {
		_ = l.open.Close() // the earlier process's channel
	}
	l.open = c
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

// downloaded is a card with an installation to report, which is in the outbox too.
func (l *cardLab) downloaded(t *testing.T, c *lpa.Card) outbox.Entry {
	t.Helper()
	order, err := c.Authenticate(t.Context(), l.code)
	if err == nil {
		_, err = order.Download(t.Context(), "", nil)
	}
	if err == nil {
		_, err = l.collect(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.outbox.Entries() {
		if e.EID == c.EID().String() {
			return e
		}
	}
	t.Fatal("nothing was copied")
	return outbox.Entry{}
}

// trusting gives the gateway the configuration by which it trusts the lab's server.
func (l *cardLab) trusting(t *testing.T) {
	t.Helper()
	cfg := config.Default()
	path := filepath.Join(t.TempDir(), "ci.pem")
	if err := l.ci.ExportCertificate(path); err != nil {
		t.Fatal(err)
	}
	for host, at := range l.cfg.HTTP.Resolve {
		cfg.LPA.Resolve = map[string]netip.AddrPort{host: netip.MustParseAddrPort(at)}
	}
	cfg.LPA.CI = []string{path}
	l.conf.Store(cfg)
	l.opts.Dial = new(net.Dialer).DialContext
	l.clock = &clock{system: func() time.Time { return l.now }}
}

// A report that was copied needs no card to be delivered, and goes from its own
// card alone when that is back: another one has counted to the same number.
func TestDeliveredWithoutTheCard(t *testing.T) {
	l := newCardLab(t)
	l.trusting(t)
	c := l.start(t)
	first := l.downloaded(t, c)
	if len(first.Issuers) == 0 {
		t.Fatal("the copy does not say whom its card trusts")
	}
	mine, err := c.Notifications(t.Context())
	if err != nil || len(mine) != 1 {
		t.Fatalf("%v, %v", mine, err)
	}

	// The modem is unplugged, and the daemon starts again.
	l.start(t)
	l.trusting(t)
	if !l.outboxWaits() {
		t.Error("nothing to do without a modem")
	}
	for range 2 {
		if err := l.deliver(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.server.Notifications(); len(got) != 1 || !got[0].Verified || got[0].Seq != first.Seq {
		t.Fatalf("the server has %+v", got)
	}
	if l.outboxWaits() || l.past.TLSHandshakes != 1 {
		t.Errorf("waits %v, %d handshakes", l.outboxWaits(), l.past.TLSHandshakes)
	}

	// Another card is in the slot, with a report of the same number.
	own := l.cfg.Transport
	l.cfg.Transport = l.card(t, "89049032000001000000000000000114")
	l.order(t, "8900101000000000026")
	other := l.start(t)
	l.trusting(t)
	order, err := other.Authenticate(t.Context(), l.code)
	if err == nil {
		_, err = order.Download(t.Context(), "", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.Notifications(t.Context())
	if err != nil || len(theirs) != 1 || theirs[0].Seq != first.Seq {
		t.Fatalf("the test wants the same number on both: %v, %v", theirs, err)
	}
	if err := l.deliver(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if left, err := other.Notifications(t.Context()); err != nil || len(left) != 1 {
		t.Errorf("the other card's report is gone: %v, %v", left, err)
	}
	if len(l.outbox.Entries()) != 1 {
		t.Error("the outbox has forgotten that the first card is still to forget it")
	}

	// The first one is back.
	l.cfg.Transport = own
	c = l.start(t)
	for range 2 {
		if err := l.deliver(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	left, err := c.Notifications(t.Context())
	if err != nil || len(left) != 0 || len(l.outbox.Entries()) != 0 || len(l.server.Notifications()) != 1 {
		t.Errorf("%v on the card, %d in the outbox, %d at the server, %v", left, len(l.outbox.Entries()), len(l.server.Notifications()), err)
	}
}

// What an earlier version has copied waits for its card, and that is no try.
func TestCopyWithoutIssuersWaits(t *testing.T) {
	l := newCardLab(t)
	l.trusting(t)
	if err := l.outbox.Put(outbox.Entry{EID: "8904", Address: "smdpp.lab.test", Pending: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	if l.outboxWaits() {
		t.Error("it is tried all the time")
	}
	err := l.deliver(t.Context(), nil)
	if f, ok := errors.AsType[*activation.Fault](err); !ok || f.Code != "card-needed" || f.Advice == "" {
		t.Errorf("%v", err)
	}
	if e := l.outbox.Entries()[0]; e.Tries != 0 {
		t.Errorf("%d tries", e.Tries)
	}
}

// A card that gives a number once more, as after a reset elsewhere, keeps the
// report that has it now.
func TestNumberGivenAgain(t *testing.T) {
	l := newCardLab(t)
	c := l.start(t)
	e := l.downloaded(t, c)
	earlier := e
	earlier.Pending = []byte{1}
	if err := errors.Join(l.outbox.Put(earlier), l.outbox.Delivered(earlier), l.clean(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	left, err := c.Notifications(t.Context())
	if err != nil || len(left) != 1 || len(l.outbox.Entries()) != 1 {
		t.Errorf("%v on the card, %d in the outbox, %v", left, len(l.outbox.Entries()), err)
	}
}

// showEID says which card is there, as after reading it.
func (l *cardLab) showEID(c *lpa.Card) {
	l.status.Update(func(s *status.Snapshot) { s.Card = &status.Card{EID: c.EID().String()} })
}
