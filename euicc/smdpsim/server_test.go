package smdpsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

const testICCID = "8900101000000000018"

func TestDownload(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order Order
		size  int
	}{
		{"replaced session keys", Order{}, 3000},
		{"session keys only", Order{SessionKeys: true}, 3000},
		{"one segment", Order{}, 0},
		{"60 kB", Order{}, 60000},
		{"icon that fills two 88 TLVs", Order{Metadata: Metadata{IconType: IconPNG, Icon: make([]byte, 1024)}}, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			tt.order.UPP = testUPP(t, tt.size)
			id := w.order(tt.order)
			var heard []Notification
			w.server.OnNotification(func(n Notification) { heard = append(heard, n) })
			c := w.card(testEID)
			got, err := w.download(c, id, "")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.upp, tt.order.UPP) {
				t.Errorf("the card holds %d bytes that differ from the profile package's %d", len(got.upp), len(tt.order.UPP))
			}
			if got.replaced == tt.order.SessionKeys {
				t.Errorf("ReplaceSessionKeys there: %v", got.replaced)
			}
			for i, n := range got.segments {
				if last := i == len(got.segments)-1; !last && n != 1020 || n > 1020 {
					t.Errorf("86 TLV %d has %d bytes, want 1020", i, n)
				}
			}
			if st := w.status(id); st.State != StateDownloaded || st.EID != testEID || st.Downloads != 1 {
				t.Errorf("before the result: %v", st)
			}
			w.notify(c.result(testICCID, 0))
			w.notify(c.otherNotification(OpEnable, testICCID))
			st := w.status(id)
			if st.State != StateInstalled || st.Result == nil || !st.Result.Success || len(st.Notifications) != 2 {
				t.Errorf("after the result: %v, %+v", st, st.Result)
			}
			if sum := sha256.Sum256(tt.order.UPP); st.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("SHA-256 %s", st.SHA256)
			}
			if len(heard) != 2 || !heard[0].Verified || !heard[1].Verified || heard[0].Operation != OpInstall || heard[1].Operation != OpEnable || heard[1].EID != testEID {
				t.Errorf("heard %+v", heard)
			}
			stats := w.server.Stats()
			if stats.HTTPRequests != 5 || stats.Requests[HandleNotification] != 2 || stats.Requests[GetBoundProfilePackage] != 1 {
				t.Errorf("stats %+v", stats)
			}
			if _, err := w.download(c, id, ""); !errors.Is(err, refusal{"8.2.6/3.8"}) {
				t.Errorf("a second download: %v, want 8.2.6/3.8", err)
			}
		})
	}
}

// The TS.48 profiles are read from the test data when it is there.
func TestDownloadTS48(t *testing.T) {
	for _, name := range []string{"TS48V1-A-UNIQUE", "TS48V2-SAIP2-1-BERTLV-UNIQUE", "TS48V5-SAIP2-3-BERTLV-SUCI-UNIQUE"} {
		t.Run(name, func(t *testing.T) {
			upp, err := os.ReadFile("../../../shared/data/ts48/" + name + ".der")
			if err != nil {
				t.Skip("no TS.48 profiles here: ", err)
			}
			w := newWorld(t, nil)
			got, err := w.download(w.card(testEID), w.order(Order{UPP: upp}), "")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.upp, upp) {
				t.Error("the card holds something else")
			}
		})
	}
}

// SGP.22 5.6.5 with 5.7.14: what a reason does to the order.
func TestCancelReasons(t *testing.T) {
	for reason, want := range map[int64]State{
		0: StateCanceled, 1: StateReleased, 2: StateReleased, 3: StateCanceled, 4: StateCanceled, 5: StateCanceled, 127: StateCanceled,
	} {
		w := newWorld(t, nil)
		id := w.order(Order{})
		c := w.card(testEID)
		if _, err := w.authenticate(c, id); err != nil {
			t.Fatal(err)
		}
		if _, err := w.post(CancelSession, map[string]string{"transactionId": hex.EncodeToString(c.transactionID), "cancelSessionResponse": b64(c.cancel(reason))}); err != nil {
			t.Fatal(err)
		}
		st := w.status(id)
		if st.State != want || !st.Canceled || st.CancelReason != int(reason) {
			t.Errorf("reason %d: %v, canceled %v for %d; want %s", reason, st, st.Canceled, st.CancelReason, want)
		}
		_, err := w.download(c, id, "")
		if (err == nil) != (want == StateReleased) {
			t.Errorf("reason %d: download afterwards: %v", reason, err)
		}
	}
}

func TestNotifications(t *testing.T) {
	for _, tt := range []struct {
		name     string
		send     func(w *world, c *card) []byte
		state    State
		verified bool
	}{
		{"installed", func(w *world, c *card) []byte { return c.result(testICCID, 0) }, StateInstalled, true},
		{"no memory, may be tried again", func(w *world, c *card) []byte { return c.result(testICCID, 10) }, StateReleased, true},
		{"interrupted, may be tried again", func(w *world, c *card) []byte { return c.result(testICCID, 11) }, StateReleased, true},
		{"profile element refused", func(w *world, c *card) []byte { return c.result(testICCID, 12) }, StateError, true},
		{"signature of another card", func(w *world, c *card) []byte { c.id.Key = w.card(testEID).id.Key; return c.result(testICCID, 0) }, StateDownloaded, false},
		{"result of an unknown transaction", func(w *world, c *card) []byte { c.transactionID = random(16); return c.result(testICCID, 0) }, StateDownloaded, false},
		{"deleted", func(w *world, c *card) []byte { return c.otherNotification(OpDelete, testICCID) }, StateDownloaded, true},
		{"other notification of a card of another CI", func(w *world, c *card) []byte {
			return newWorld(w.T, nil).card(testEID).otherNotification(OpDelete, testICCID)
		}, StateDownloaded, false},
		{"other notification with a wrong signature", func(w *world, c *card) []byte {
			c.id.Key = w.card(testEID).id.Key
			return c.otherNotification(OpEnable, testICCID)
		}, StateDownloaded, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			id := w.order(Order{})
			c := w.card(testEID)
			if _, err := w.download(c, id, ""); err != nil {
				t.Fatal(err)
			}
			w.clock = w.clock.Add(48 * time.Hour) // long after the session has expired
			w.notify(tt.send(w, c))
			st := w.status(id)
			if st.State != tt.state {
				t.Errorf("order is %s, want %s", st.State, tt.state)
			}
			n := w.server.Notifications()
			if len(n) != 1 || n[0].Verified != tt.verified || (n[0].Why == "") != tt.verified || n[0].ICCID != testICCID || n[0].Seq != 1 {
				t.Errorf("recorded %+v", n)
			}
		})
	}
}

// SGP.22 6.5.1: headers, and forms of JSON that other LPAs send.
func TestBinding(t *testing.T) {
	w := newWorld(t, nil)
	c := w.card(testEID)
	good := map[string]string{"Content-Type": "application/json", "X-Admin-Protocol": "gsma/rsp/v2.5.0"}
	fields := `"euiccChallenge":"` + b64(random(16)) + `","smdpAddress":"smdpp.lab.test","euiccInfo1":"` + b64(c.info1()) + `"`
	for _, tt := range []struct {
		name    string
		method  string
		path    string
		headers map[string]string
		body    string
		want    string // status code, or HTTP status
	}{
		{"plain", "POST", "initiateAuthentication", good, "{" + fields + "}", ""},
		{"charset parameter", "POST", "initiateAuthentication", map[string]string{"Content-Type": "application/json;charset=UTF-8", "X-Admin-Protocol": "gsma/rsp/v2.0.0"}, "{" + fields + "}", ""},
		{"unknown fields", "POST", "initiateAuthentication", good, `{"lpaRspCapability":{"a":[1,2]},` + fields + `,"x":null}`, ""},
		{"escaped slashes", "POST", "initiateAuthentication", good, "{" + strings.ReplaceAll(fields, "/", `\/`) + "}\r\n", ""},
		{"no padding", "POST", "initiateAuthentication", good, "{" + strings.ReplaceAll(fields, "=", "") + "}", ""},
		{"no Content-Type", "POST", "initiateAuthentication", map[string]string{"X-Admin-Protocol": "gsma/rsp/v2.5.0"}, "{" + fields + "}", "1.2.1/2.1"},
		{"form", "POST", "initiateAuthentication", map[string]string{"Content-Type": "application/x-www-form-urlencoded", "X-Admin-Protocol": "gsma/rsp/v2.5.0"}, "a=b", "1.2.1/2.1"},
		{"no X-Admin-Protocol", "POST", "initiateAuthentication", map[string]string{"Content-Type": "application/json"}, "{" + fields + "}", "1.2.2/2.1"},
		{"X-Admin-Protocol v1", "POST", "initiateAuthentication", map[string]string{"Content-Type": "application/json", "X-Admin-Protocol": "gsma/rsp/v1.0.0"}, "{" + fields + "}", "1.2.2/2.1"},
		{"no JSON", "POST", "initiateAuthentication", good, "hello", "HTTP 400"},
		{"array", "POST", "initiateAuthentication", good, "[]", "HTTP 400"},
		{"number for a string", "POST", "initiateAuthentication", good, `{"smdpAddress":1}`, "HTTP 400"},
		{"two objects", "POST", "initiateAuthentication", good, "{" + fields + "}{}", "HTTP 400"},
		{"empty body", "POST", "initiateAuthentication", good, "", "HTTP 400"},
		{"too large", "POST", "initiateAuthentication", good, `{"smdpAddress":"` + strings.Repeat("a", maxRequest) + `"}`, "HTTP 413"},
		{"GET", "GET", "initiateAuthentication", good, "", "HTTP 405"},
		{"unknown function", "POST", "confirmOrder", good, "{}", "HTTP 404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, pathPrefix+tt.path, strings.NewReader(tt.body))
			for k, v := range tt.headers {
				r.Header.Set(k, v)
			}
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			_, err := parseAnswer(rec)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if rec.Code == http.StatusOK && rec.Header().Get("X-Admin-Protocol") != adminProtocol {
				t.Error("the answer has no X-Admin-Protocol")
			}
		})
	}
}

func TestSecondAddress(t *testing.T) {
	w := newWorld(t, nil)
	id := w.order(Order{ConfirmationCode: "0", OIDInCode: true})
	if _, err := w.server.ActivationCode(id, "127.0.0.1:8443"); err == nil {
		t.Error("a code for an address that is not the server's")
	}
	if err := w.server.AddAddress("127.0.0.1:8443"); err != nil {
		t.Fatal(err)
	}
	code, err := w.server.ActivationCode(id, "127.0.0.1:8443")
	if want := "LPA:1$127.0.0.1:8443$" + id + "$2.999.10$1"; err != nil || code != want {
		t.Errorf("activation code is not as SGP.22 4.1 has it, %v", err)
	}
	out, err := w.post(InitiateAuthentication, map[string]string{"euiccChallenge": b64(random(16)), "euiccInfo1": b64(w.card(testEID).info1()), "smdpAddress": "127.0.0.1:8443"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out["serverSigned1"], []byte("127.0.0.1:8443")) {
		t.Error("the address that the LPA used was not signed")
	}
}

// A server with the identities that another exported is the same server.
func TestIdentitiesFromFiles(t *testing.T) {
	dir := t.TempDir()
	first := newWorld(t, nil)
	auth, pb, tlsID := first.server.Identities()
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
	w := newWorld(t, func(c *Config) {
		c.CI = &sgp26.Authority{Cert: first.ci.Cert, DER: first.ci.DER} // somebody else's: no key
		c.DPauth, c.DPpb, c.TLS = load(auth, "auth"), load(pb, "pb"), load(tlsID, "tls")
	})
	w.ci, w.eum = first.ci, first.eum
	if _, err := w.download(w.card(testEID), w.order(Order{}), ""); err != nil {
		t.Fatal(err)
	}
	if err := w.server.SetFault(Fault{Kind: FaultTLSExpired}); err == nil {
		t.Error("a fault that needs the CI's key was taken")
	}
	for name, cfg := range map[string]Config{
		"no CI":                 {Address: "a.test"},
		"no address":            {CI: first.ci},
		"address with a blank":  {Address: "a b", CI: first.ci},
		"identity and no key":   {Address: "a.test", CI: &sgp26.Authority{Cert: first.ci.Cert}},
		"roles mixed up":        {Address: "a.test", CI: first.ci, DPauth: pb},
		"identity of other CI":  {Address: "a.test", CI: newWorld(t, nil).ci, DPauth: auth},
		"identity of other OID": {Address: "a.test", CI: first.ci, OID: "2.999.11", DPauth: auth},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAddOrderRefuses(t *testing.T) {
	w := newWorld(t, nil)
	upp := testUPP(t, 0)
	w.order(Order{MatchingID: "TAKEN"})
	for _, tt := range []struct {
		name  string
		order Order
		want  string
	}{
		{"empty file", Order{}, "it is empty"},
		{"text file", Order{UPP: []byte("hello")}, "not a profile package"},
		{"certificate", Order{UPP: w.ci.DER}, "not a profile package"},
		{"cut off in an element", Order{UPP: upp[:len(upp)-3]}, "cut off"},
		{"cut off between elements", Order{UPP: upp[:len(upp)-len(bertlv.Encode(0xAA, make([]byte, 7)))]}, "cut off"},
		{"without header", Order{UPP: upp[3+int(upp[2]):]}, "not a profile package"},
		{"BPP", Order{UPP: bertlv.Encode(0xBF36, upp)}, "begins with tag BF36"},
		{"lower-case matching ID", Order{UPP: upp, MatchingID: "abc"}, "capital letters"},
		{"matching ID twice", Order{UPP: upp, MatchingID: "TAKEN"}, "another order"},
		{"EID", Order{UPP: upp, EID: "123"}, "want 32 digits"},
		{"state", Order{UPP: upp, State: StateInstalled}, "cannot begin"},
		{"long provider name", Order{UPP: upp, Metadata: Metadata{Provider: strings.Repeat("x", 33)}}, "at most 32"},
		{"large icon", Order{UPP: upp, Metadata: Metadata{Icon: make([]byte, 1025)}}, "at most 1024"},
		{"rules without owner", Order{UPP: upp, Metadata: Metadata{Rules: PPR1}}, "need a profile owner"},
	} {
		if _, err := w.server.AddOrder(tt.order); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		} else if strings.Contains(err.Error(), "TAKEN") {
			t.Errorf("%s: the error gives the matching ID away", tt.name)
		}
	}
}
