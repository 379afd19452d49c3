package smdpsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// discovery is an SM-DS beside the world's SM-DP+.
func discovery(t *testing.T) (*world, *SMDS) {
	t.Helper()
	var d *SMDS
	w := newWorld(t, nil)
	d, err := NewSMDS(SMDSConfig{Address: "smds.lab.test", CI: w.ci, Now: func() time.Time { return w.clock }})
	if err != nil {
		t.Fatal(err)
	}
	if w.server, err = New(Config{Address: "smdpp.lab.test", CI: w.ci, SMDS: d, Now: func() time.Time { return w.clock }}); err != nil {
		t.Fatal(err)
	}
	w.handler = w.server.Handler()
	return w, d
}

// entry is what a client reads of an EventEntries (SGP.22 annex H).
type entry struct {
	ID      string `json:"eventId"`
	Address string `json:"rspServerAddress"`
}

// events runs ES11 up to the event entries.
func (w *world) events(c *card, d *SMDS, eventID string) ([]entry, error) {
	w.Helper()
	w.handler = d.Handler()
	defer func() { w.handler = w.server.Handler() }()
	c.challenge = random(16)
	out, err := w.post(InitiateAuthentication, map[string]string{
		"euiccChallenge": b64(c.challenge), "euiccInfo1": b64(c.info1()), "smdpAddress": "smds.LAB.test",
	})
	if err != nil {
		return nil, err
	}
	cert, err := parseServerCertificate(out["serverCertificate"], c.ci, sgp26.RoleDSAuth)
	if err != nil {
		return nil, err
	}
	sig, err := bertlv.Expect(out["serverSignature1"], tagSignature)
	if err != nil {
		return nil, err
	}
	if err := sgp26.VerifySignature(cert.Cert, out["serverSigned1"], sig.Value); err != nil {
		return nil, fmt.Errorf("serverSignature1: %w", err)
	}
	signed, err := bertlv.Expect(out["serverSigned1"], 0x30)
	if err != nil {
		return nil, err
	}
	if v, _ := signed.Find(0x83); string(v.Value) != "smds.lab.test" {
		return nil, fmt.Errorf("address %q was signed", v.Value)
	}
	body, err := json.Marshal(map[string]string{
		"transactionId": string(out["transactionId"]), "authenticateServerResponse": b64(c.authenticateServer(out["serverSigned1"], eventID)),
	})
	if err != nil {
		return nil, err
	}
	rec := w.raw(AuthenticateClient, body)
	var answer struct {
		TransactionID string  `json:"transactionId"`
		Entries       []entry `json:"eventEntries"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		return nil, err
	}
	if answer.Entries == nil {
		_, err := parseAnswer(rec)
		return nil, err
	}
	if answer.TransactionID != string(out["transactionId"]) {
		return nil, errors.New("another transaction ID")
	}
	return answer.Entries, nil
}

// The whole way of SGP.22 3.6: an order announces itself to its card, the card
// finds it, downloads with the event ID as its matching ID, and the event goes.
func TestDiscovery(t *testing.T) {
	w, d := discovery(t)
	c, other := w.card(testEID), w.card(otherEID)
	if got, err := w.events(c, d, ""); err != nil || len(got) != 0 {
		t.Fatalf("before any order: %v, %v", got, err)
	}
	id := w.order(Order{EID: testEID, Discover: "smdpp.lab.test"})
	if err := d.Register(Event{EID: testEID, ID: "ELSEWHERE", Address: "smdpp2.lab.test"}); err != nil {
		t.Fatal(err)
	}
	got, err := w.events(c, d, "")
	want := []entry{{id, "smdpp.lab.test"}, {"ELSEWHERE", "smdpp2.lab.test"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	if got, err := w.events(c, d, "ELSEWHERE"); err != nil || len(got) != 1 || got[0] != want[1] {
		t.Errorf("one event: %v, %v", got, err)
	}
	if _, err := w.events(c, d, "UNKNOWN"); !errors.Is(err, refusal{"8.9.5/3.9"}) {
		t.Errorf("unknown event: %v", err)
	}
	if got, err := w.events(other, d, ""); err != nil || len(got) != 0 {
		t.Errorf("another card sees %v, %v", got, err)
	}
	if _, err := w.events(other, d, id); !errors.Is(err, refusal{"8.9.5/3.9"}) {
		t.Errorf("another card asks for it by ID: %v", err)
	}
	if got, err := w.download(c, id, ""); err != nil || !bytes.Equal(got.upp, testUPP(t, 3000)) {
		t.Fatalf("download: %v", err)
	}
	w.notify(c.result(testICCID, 0))
	if got, err := w.events(c, d, ""); err != nil || len(got) != 1 || got[0] != want[1] {
		t.Errorf("after the installation: %v, %v", got, err)
	}
	if es := d.Events(); len(es) != 1 || es[0].Shown != 3 || strings.Contains(fmt.Sprintf("%v %+v %#v", es, es, es[0]), "ELSEWHERE") {
		t.Errorf("events %v", es)
	}
	if err := d.Delete(testEID, "ELSEWHERE"); err != nil || len(d.Events()) != 0 {
		t.Errorf("deleting: %v", err)
	}
	if d.Delete(testEID, "ELSEWHERE") == nil {
		t.Error("deleted twice")
	}
}

// However an order ends, its event goes with it.
func TestEventGoesWithOrder(t *testing.T) {
	for name, end := range map[string]func(w *world, c *card, id string) error{
		"expired by date": func(w *world, c *card, id string) error {
			w.clock = w.clock.Add(2 * time.Hour)
			_, err := w.download(c, id, "")
			return err
		},
		"expired by the operator": func(w *world, c *card, id string) error { return errors.Join(w.server.Expire(id), errors.New("done")) },
		"too many attempts": func(w *world, c *card, id string) error {
			_, err := w.authenticate(c, id)
			if err == nil {
				_, err = w.authenticate(c, id)
			}
			return err
		},
		"wrong confirmation code": func(w *world, c *card, id string) error { _, err := w.download(c, id, "4321"); return err },
		"cancelled": func(w *world, c *card, id string) error {
			if _, err := w.authenticate(c, id); err != nil {
				return err
			}
			_, err := w.post(CancelSession, map[string]string{"transactionId": fmt.Sprintf("%X", c.transactionID), "cancelSessionResponse": b64(c.cancel(0))})
			return errors.Join(err, errors.New("done"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, d := discovery(t)
			id := w.order(Order{EID: testEID, Discover: "smdpp.lab.test", Expires: w.clock.Add(time.Hour), Attempts: 1, ConfirmationCode: "1234", Confirmations: 1})
			if err := end(w, w.card(testEID), id); err == nil {
				t.Fatal("the order goes on")
			}
			if st := w.status(id); len(d.Events()) != 0 || st.State == StateReleased || st.State == StateDownloaded {
				t.Errorf("order is %s, events %v", st.State, d.Events())
			}
		})
	}
}

func TestSMDSRefuses(t *testing.T) {
	w, d := discovery(t)
	c := w.card(testEID)
	w.handler = d.Handler()
	for name, row := range map[string]struct {
		change  func()
		address string
		want    string
	}{
		"another address": {func() {}, "smdpp.lab.test", "8.9.1/3.8"},
		"SVN":             {func() { c.svn = []byte{3, 0, 0} }, "smds.lab.test", "8.9.3/3.1"},
		"another CI":      {func() { c.ci = newWorld(t, nil).ci }, "smds.lab.test", "8.9.4/3.7"},
	} {
		c = w.card(testEID)
		row.change()
		_, err := w.post(InitiateAuthentication, map[string]string{"euiccChallenge": b64(random(16)), "euiccInfo1": b64(c.info1()), "smdpAddress": row.address})
		if !errors.Is(err, refusal{row.want}) {
			t.Errorf("%s: got %v, want %s", name, err, row.want)
		}
	}
	c = w.card(testEID)
	c.id.Key = w.card(testEID).id.Key
	if _, err := w.events(c, d, ""); !errors.Is(err, refusal{"8.1/6.1"}) {
		t.Errorf("wrong signature of the card: %v", err)
	}
	if d.SetFault(Fault{Kind: FaultBPPMAC}) == nil {
		t.Error("a package's fault was taken")
	}
	if err := d.SetFault(Fault{Kind: FaultServerSignature, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.events(w.card(testEID), d, ""); err == nil || !strings.Contains(err.Error(), "serverSignature1") {
		t.Errorf("a wrong signature of the server: %v", err)
	}
	good := Event{EID: testEID, ID: "A", Address: "a.test"}
	if err := d.Register(good); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Event{
		"twice": good, "no EID": {ID: "A", Address: "a.test"}, "no ID": {EID: testEID, Address: "a.test"},
		"small letters": {EID: testEID, ID: "a", Address: "a.test"}, "no address": {EID: testEID, ID: "B"},
	} {
		if d.Register(e) == nil {
			t.Errorf("%s: registered", name)
		}
	}
	for name, o := range map[string]Order{"no EID": {Discover: "smdpp.lab.test"}, "another server's address": {EID: otherEID, Discover: "a.test"}, "unknown rebinding": {Rebind: "often"}, "negative": {Attempts: -1}} {
		o.UPP = testUPP(t, 0)
		if _, err := w.server.AddOrder(o); err == nil {
			t.Errorf("%s: an order was taken", name)
		}
	}
	if _, err := newWorld(t, nil).server.AddOrder(Order{UPP: testUPP(t, 0), EID: testEID, Discover: "smdpp.lab.test"}); err == nil {
		t.Error("a server without SM-DS took an order for it")
	}
}

// The SM-DS's identities go to files and back, and serve without the CI's key.
func TestSMDSIdentitiesFromFiles(t *testing.T) {
	dir := t.TempDir()
	w, d := discovery(t)
	auth, tlsID := d.Identities()
	load := func(a *sgp26.Authority, name string) *sgp26.Authority {
		t.Helper()
		if err := a.Export(dir, name); err != nil {
			t.Fatal(err)
		}
		back, err := sgp26.Load(dir+"/"+name+".pem", dir+"/"+name+".key.pem")
		if err != nil {
			t.Fatal(err)
		}
		return back
	}
	if err := sgp26.CheckRole(tlsID.Cert, sgp26.RoleDSTLS); err != nil || tlsID.Cert.VerifyHostname("smds.lab.test") != nil {
		t.Errorf("TLS certificate: %v", err)
	}
	again, err := NewSMDS(SMDSConfig{
		Address: "smds.lab.test", CI: &sgp26.Authority{Cert: w.ci.Cert, DER: w.ci.DER},
		DSauth: load(auth, "dsauth"), TLS: load(tlsID, "dstls"), Now: func() time.Time { return w.clock },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Register(Event{EID: testEID, ID: "X", Address: "a.test"}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.events(w.card(testEID), again, ""); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	dpAuth, _, _ := w.server.Identities()
	if _, err := NewSMDS(SMDSConfig{Address: "smds.lab.test", CI: w.ci, DSauth: dpAuth}); err == nil {
		t.Error("an SM-DP+'s identity was taken")
	}
}

// SGP.22 3.1.3 leaves a second download to the server: each way, with a card that
// uses its key again and with one that does not.
func TestRebind(t *testing.T) {
	for _, tt := range []struct {
		rebind  Rebind
		reuse   bool
		want    string // refusal of the second download
		offered bool   // smdpSigned2 has bppEuiccOtpk
		same    bool   // the second binding is the first
	}{
		{RebindReuse, true, "", true, true},
		{RebindReuse, false, "", true, false},
		{RebindNew, true, "", false, false},
		{RebindNew, false, "", false, false},
		{RebindSameKey, true, "", true, true},
		{RebindSameKey, false, "8.2/3.7", true, false},
		{RebindFinal, true, "8.2/3.7", true, false},
		{RebindFinal, false, "8.2/3.7", true, false},
	} {
		t.Run(fmt.Sprintf("%s, reuse %v", tt.rebind, tt.reuse), func(t *testing.T) {
			w := newWorld(t, nil)
			id := w.order(Order{Rebind: tt.rebind})
			c := w.card(testEID)
			c.reuse = tt.reuse
			if _, err := w.download(c, id, ""); err != nil {
				t.Fatal(err)
			}
			first := w.server.orders[id].bound
			out, err := w.authenticate(c, id)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := bertlv.Expect(out["smdpSigned2"], 0x30)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := signed.Find(tagOtpk); ok != tt.offered {
				t.Errorf("bppEuiccOtpk offered: %v", ok)
			}
			got, err := w.download(c, id, "")
			if tt.want != "" {
				if !errors.Is(err, refusal{tt.want}) {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil || !bytes.Equal(got.upp, testUPP(t, 3000)) {
				t.Fatalf("second download: %v", err)
			}
			if same := w.server.orders[id].bound == first; same != tt.same {
				t.Errorf("same binding: %v", same)
			}
			if st := w.status(id); st.Downloads != 2 || st.State != StateDownloaded {
				t.Errorf("order %+v", st)
			}
		})
	}
}
