package smdpsim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dynamod/euicc/sgp26"
)

// world is a CI with a server and cards.
type world struct {
	*testing.T
	ci, eum *sgp26.Authority
	server  *Server
	clock   time.Time
	handler http.Handler
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{T: t, clock: testNow}
	var err error
	if w.ci, err = sgp26.NewCI(testNow); err != nil {
		t.Fatal(err)
	}
	if w.eum, err = sgp26.NewEUM(w.ci, testNow); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Address: "smdpp.lab.test", CI: w.ci, Now: func() time.Time { return w.clock }}
	if change != nil {
		change(&cfg)
	}
	if w.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	w.handler = w.server.Handler()
	return w
}

func (w *world) card(eid string) *card {
	w.Helper()
	id, err := sgp26.NewEUICC(w.eum, eid, testNow)
	if err != nil {
		w.Fatal(err)
	}
	return &card{t: w.T, ci: w.ci, eum: w.eum, id: id, eid: eid, svn: []byte{2, 5, 0}, memory: 1 << 20}
}

func testUPP(t testing.TB, size int) []byte {
	t.Helper()
	upp, err := TestProfile(ProfileData{ICCID: "8900101000000000018", IMSI: "001010000000001", SPN: "Lab", GID1: []byte{0x12}, Filler: size})
	if err != nil {
		t.Fatal(err)
	}
	return upp
}

// order adds an order and returns its matching ID.
func (w *world) order(o Order) string {
	w.Helper()
	if o.UPP == nil {
		o.UPP = testUPP(w, 3000)
	}
	code, err := w.server.AddOrder(o)
	if err != nil {
		w.Fatal(err)
	}
	return strings.Split(code, "$")[2]
}

func (w *world) status(matchingID string) OrderStatus {
	w.Helper()
	for _, o := range w.server.Orders() {
		if o.MatchingID == matchingID {
			return o
		}
	}
	w.Fatal("order is gone")
	return OrderStatus{}
}

// refusal is a functionExecutionStatus "Failed" as a client sees it.
type refusal struct{ code string }

func (r refusal) Error() string { return r.code }

// httpError is an answer that is not ES9+ at all.
type httpError struct {
	status int
	body   string
}

func (e httpError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.status, e.body) }

// post calls a function and returns the JSON fields, decoded from base64 where
// they are.
func (w *world) post(fn Function, fields map[string]string) (map[string][]byte, error) {
	w.Helper()
	body, err := json.Marshal(fields)
	if err != nil {
		w.Fatal(err)
	}
	r := httptest.NewRequest("POST", pathPrefix+string(fn), bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Admin-Protocol", "gsma/rsp/v2.2.0")
	r.Header.Set("User-Agent", "gsma-rsp-lpad")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return parseAnswer(rec)
}

func parseAnswer(rec *httptest.ResponseRecorder) (map[string][]byte, error) {
	if rec.Code == http.StatusNoContent && rec.Body.Len() == 0 {
		return nil, nil
	}
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/json" {
		return nil, httpError{rec.Code, rec.Body.String()}
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		return nil, err
	}
	var header struct {
		Status struct {
			Status string `json:"status"`
			Data   struct {
				Subject string `json:"subjectCode"`
				Reason  string `json:"reasonCode"`
			} `json:"statusCodeData"`
		} `json:"functionExecutionStatus"`
	}
	if err := json.Unmarshal(out["header"], &header); err != nil {
		return nil, err
	}
	delete(out, "header")
	switch header.Status.Status {
	case "Executed-Success":
	case "Failed":
		return nil, refusal{header.Status.Data.Subject + "/" + header.Status.Data.Reason}
	default:
		return nil, errors.New("unknown status " + header.Status.Status)
	}
	fields := map[string][]byte{}
	for k, v := range out {
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return nil, err
		}
		if k == "transactionId" {
			fields[k] = []byte(s)
			continue
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		fields[k] = b
	}
	return fields, nil
}

// initiate runs InitiateAuthentication and checks what the card checks.
func (w *world) initiate(c *card) (map[string][]byte, error) {
	w.Helper()
	c.challenge = random(16)
	out, err := w.post(InitiateAuthentication, map[string]string{
		"euiccChallenge": b64(c.challenge), "euiccInfo1": b64(c.info1()), "smdpAddress": "SMDPP.lab.test",
	})
	if err != nil {
		return nil, err
	}
	return out, c.checkServer(out)
}

// authenticate runs both halves of the common mutual authentication.
func (w *world) authenticate(c *card, matchingID string) (map[string][]byte, error) {
	w.Helper()
	first, err := w.initiate(c)
	if err != nil {
		return nil, err
	}
	return w.post(AuthenticateClient, map[string]string{
		"transactionId": string(first["transactionId"]), "authenticateServerResponse": b64(c.authenticateServer(first["serverSigned1"], matchingID)),
	})
}

// download goes from a matching ID to an opened profile package.
func (w *world) download(c *card, matchingID, confirmation string) (*installed, error) {
	w.Helper()
	auth, err := w.authenticate(c, matchingID)
	if err != nil {
		return nil, err
	}
	prepared, err := c.prepareDownload(auth, confirmation)
	if err != nil {
		return nil, err
	}
	bpp, err := w.post(GetBoundProfilePackage, map[string]string{
		"transactionId": string(auth["transactionId"]), "prepareDownloadResponse": b64(prepared),
	})
	if err != nil {
		return nil, err
	}
	got, err := c.install(bpp["boundProfilePackage"], auth["smdpCertificate"])
	if err == nil && !bytes.Equal(got.metadata, auth["profileMetadata"]) {
		err = errors.New("metadata in the BPP is not what was announced")
	}
	return got, err
}

func (w *world) notify(pending []byte) {
	w.Helper()
	if out, err := w.post(HandleNotification, map[string]string{"pendingNotification": b64(pending)}); err != nil || out != nil {
		w.Fatalf("handleNotification answered %v, %v; want 204", out, err)
	}
}

// raw sends a body as it is.
func (w *world) raw(fn Function, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", pathPrefix+string(fn), bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Admin-Protocol", "gsma/rsp/v2.2.0")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}
