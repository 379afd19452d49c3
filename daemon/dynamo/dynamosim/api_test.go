package dynamosim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const iccid = "8988247000100003319"

func operator() *Operator {
	o := New("Contoso", func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) })
	o.NewProfile = func(string) (string, string, error) { return "LPA:1$smdp.example$ID", "8988247000100003320", nil }
	o.AddLine(iccid, Prepaid, 123, 23*24*time.Hour+23*time.Hour)
	o.AddLine("8988247000100003302", Postpaid, 0, 0)
	o.AddLine("8988247000100003303", Excluded, 0, 0)
	o.AddLine("8988247000100003304", Prepaid, 0, time.Hour)
	return o
}

// TestAPI has the requests of the published test plans, as text.
func TestAPI(t *testing.T) {
	o := operator()
	h := o.API()
	n := 0
	ask := func(method, target, body string) (int, string, http.Header) {
		n++
		r := httptest.NewRequest(method, "https://moapi.contoso.example"+target, strings.NewReader(body))
		r.Header.Set("X-MS-DM-TransactionId", fmt.Sprintf("MSFT-12345678-1234-1234-1234-%012d", n))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		b, _ := io.ReadAll(w.Body)
		return w.Code, strings.TrimSpace(string(b)), w.Header()
	}
	sim := "/v1/sims/iccid:" + iccid
	for _, tt := range []struct {
		name, method, target, body string
		status                     int
		want                       string
	}{
		{"published example", "GET", sim + "/balances?fieldsTemplate=basic&limit=1&location=US", "", 200, `{"balances":[{"id":"23445","type":"MODIRECTPAYG","dataRemaininginMB":123,"timeRemaining":"P23DT23H"}]}`},
		{"optional parameters missing", "GET", sim + "/balances", "", 200, `"dataRemaininginMB":123`},
		{"optional parameters empty", "GET", sim + "/balances?limit=&location=", "", 200, `"dataRemaininginMB":123`},
		{"all properties", "GET", sim + "/balances?fieldsTemplate=full", "", 200, `"locations":["US","DE"]`},
		{"limit 0", "GET", sim + "/balances?limit=0", "", 200, `{"balances":[]}`},
		{"postpaid", "GET", "/v1/sims/iccid:8988247000100003302/balances", "", 200, `"type":"MODIRECT"`},
		{"excluded", "GET", "/v1/sims/iccid:8988247000100003303/balances", "", 200, `"type":"NOTSUPPORTED"`},
		{"zero balance is no 404", "GET", "/v1/sims/iccid:8988247000100003304/balances", "", 200, `"type":"NONE","dataRemaininginMB":0,"timeRemaining":"PT0S"`},
		{"invalid SIM", "GET", "/v1/sims/iccid:8988247000100009999/balances", "", 404, `unknown ICCID`},
		{"SIM without its scheme", "GET", "/v1/sims/" + iccid + "/balances", "", 404, `unknown ICCID`},
		{"unknown location", "GET", sim + "/balances?location=XX", "", 400, `unknown location`},
		{"location in the other case", "GET", sim + "/balances?location=us", "", 400, `unknown location`},
		{"negative limit", "GET", sim + "/balances?limit=-1", "", 400, `limit is not in its range`},
		{"limit beyond INT", "GET", sim + "/balances?limit=2147483648", "", 400, `limit is not in its range`},
		{"offers", "GET", sim + "/offers?limit=1&imei=1234", "", 200, `{"offers":[{"gatewayId":"0"}]}`},
		{"offers without their limit", "GET", sim + "/offers", "", 400, `limit is missing`},
		{"no notification", "GET", sim + "/notifications?notificationType=lowBalance&limit=1", "", 200, `{"notifications":[]}`},
		{"order of a new profile", "POST", "/v1/orders", `{"purchaseDate":"2026-01-01T00:00:00Z","ms-market":"US","eId":"89","sims":[]}`, 201, `{"activationCode":"1$smdp.example$ID","iccid":"8988247000100003320"}`},
		{"order for a profile that is there", "POST", "/v1/orders", `{"purchaseDate":"2026-01-01T00:00:00Z","sims":["iccid:` + iccid + `"]}`, 201, `{"iccid":"` + iccid + `"}`},
		{"order of no date", "POST", "/v1/orders", `{"sims":[]}`, 400, `bad purchaseDate`},
		{"micro-balance", "PUT", sim + "/microbalance", `{"location":"US"}`, 201, `{}`},
		{"micro-balance given back", "DELETE", sim + "/microbalance", `{}`, 200, `{}`},
	} {
		status, body, _ := ask(tt.method, tt.target, tt.body)
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, body, tt.status, tt.want)
		}
	}
	for i := range microPerHour { // one has been given above
		status, _, header := ask("PUT", sim+"/microbalance", `{"location":"US"}`)
		if last := i == microPerHour-1; (status == http.StatusTooManyRequests) != last || last && header.Get("Retry-After") == "" {
			t.Errorf("micro-balance %d: %d %v", i+2, status, header)
		}
	}
	o.Use(iccid, 1e6)
	if _, body, _ := ask("GET", sim+"/notifications?notificationType=ZeroBalance&limit=1", ""); body != `{"notifications":[{"notificationId":1,"notificationType":"zeroBalance"}]}` {
		t.Error(body)
	}
}

func TestTransactionsAndFaults(t *testing.T) {
	o := operator()
	ask := func(id string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "https://moapi.contoso.example/v1/sims/iccid:"+iccid+"/balances", nil)
		if id != "" {
			r.Header.Set("X-MS-DM-TransactionId", id)
		}
		w := httptest.NewRecorder()
		o.API().ServeHTTP(w, r)
		return w
	}
	if w := ask("a"); w.Code != 200 || w.Header().Get("X-MS-DM-TransactionId") != `"a"` {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask("a"); w.Code != 409 {
		t.Errorf("repeated: %d", w.Code)
	}
	if w := ask(""); w.Code != 400 {
		t.Errorf("without: %d", w.Code)
	}
	o.Set(Fault{Op: "offers", Status: 500})
	o.Set(Fault{Op: "balances", Status: 429, RetryAfter: "7", Times: 2})
	for i, want := range []int{429, 429, 200} {
		if w := ask(fmt.Sprint("f", i)); w.Code != want || want == 429 && w.Header().Get("Retry-After") != "7" {
			t.Errorf("call %d: %d %v", i, w.Code, w.Header())
		}
	}
	o.ClientName = "somebody"
	if w := ask("g"); w.Code != 403 {
		t.Errorf("without a client certificate: %d", w.Code)
	}
	if n := o.Count("balances"); n != 7 {
		t.Errorf("%d calls are counted", n)
	}
}

// TestCredit has the walled garden open and close by what a line has left.
func TestCredit(t *testing.T) {
	o := operator()
	var told []string
	o.Credit = func(iccid string, open bool) { told = append(told, fmt.Sprint(iccid[len(iccid)-4:], open)) }
	for _, mb := range []float64{100, 23, 1} {
		o.Use(iccid, mb)
	}
	if err := o.TopUp(iccid, 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	if !o.Use("8988247000100003302", 1e9) || o.Use("nobody", 1) || o.TopUp("nobody", 1, 1) == nil {
		t.Error("postpaid ends, or nobody has a line")
	}
	if got, _ := json.Marshal(told); string(got) != `["3319false","3319true"]` {
		t.Errorf("%s", got)
	}
}
