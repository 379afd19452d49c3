package dynamosim

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const eid = "89033023426200000000000000000040"

// TestPortal buys each ware without a browser, and has the page's call.
func TestPortal(t *testing.T) {
	o := operator()
	n := 0
	o.NewProfile = func(e string) (string, string, error) {
		n++
		if e != eid {
			t.Errorf("ordered for %q", e)
		}
		return fmt.Sprint("LPA:1$smdp.example$<ID>", n), fmt.Sprintf("89882470001000034%02d", n), nil
	}
	h := o.Portal()
	form := regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	call := regexp.MustCompile(`(?s)<script type="application/json" id="call">(.*?)</script>`)
	// The launch of the published example, with a profile of the operator's.
	visit := "/mp?eid=" + eid + "&iccids=" + iccid + "&location=US&market=US&transactionId=%2F7RBTuSJt02OZbX8.4"
	for _, tt := range []struct{ ware, want string }{
		{"new", `{"args":[META,"1$smdp.example$<ID>1"],"call":"MobilePlansInlineOperations.notifyProfileDownload"}`},
		{"postpaid", `{"args":[META,"1$smdp.example$<ID>2"],"call":"MobilePlansInlineOperations.notifyProfileDownload"}`},
		{"delayed", `{"args":[META,"1$smdp.example$<ID>3",30],"call":"MobilePlansInlineOperations.notifyProfileDownload"}`},
		{"registration", `{"args":[META,"1$smdp.example$<ID>4",15],"call":"MobilePlans.notifyPurchaseWithProfileDownload"}`},
		{"existing", `{"args":[META,"` + iccid + `"],"call":"MobilePlansInlineOperations.notifyBalanceAddition"}`},
		{"topup", `{"args":[META],"call":"MobilePlansInlineOperations.notifyBalanceAddition"}`},
		{"cancel", `"moDirectStatus":"cancelled","planName":"",`},
		{"billing", `"moDirectStatus":"billingError","planName":"",`},
		{"old", `"call":"DataMart.notifyPurchaseResult"`},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", visit, nil))
		values := url.Values{"ware": {tt.ware}}
		for _, m := range form.FindAllStringSubmatch(w.Body.String(), -1) {
			values.Set(m[1], html.UnescapeString(m[2]))
		}
		if !strings.Contains(w.Body.String(), `value="`+tt.ware+`"`) || values.Get("transactionId") != "/7RBTuSJt02OZbX8.4" {
			t.Errorf("%s is not to be had: %d %s", tt.ware, w.Code, w.Body)
		}
		r := httptest.NewRequest("POST", "/mp/buy", strings.NewReader(values.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		m := call.FindStringSubmatch(w.Body.String())
		if m == nil {
			t.Errorf("%s: no call: %d %s", tt.ware, w.Code, w.Body)
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(m[1]), &v); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.Encode(v)
		got := strings.Replace(text.String(), `{"line":"new","moDirectStatus":"complete","planName":"Contoso 1 GB","purchaseInstrument":"new","userAccount":"new"}`, "META", 1)
		if tt.ware == "cancel" || tt.ware == "billing" {
			got = text.String()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.ware, got, tt.want)
		}
	}
	if len(o.Visits()) != 9 || o.Count("visits") != 9 {
		t.Errorf("%d visits", len(o.Visits()))
	}
}

func TestPortalRefuses(t *testing.T) {
	o := operator()
	good := url.Values{"eid": {eid}, "location": {"US"}, "market": {"US"}, "transactionId": {"t"}}
	for name, change := range map[string]func(url.Values){
		"neither eid nor iccid":                          func(v url.Values) { v.Del("eid") },
		"eid is not of 32 digits":                        func(v url.Values) { v.Set("eid", "1") },
		"iccid is not one":                               func(v url.Values) { v.Set("iccid", "8988247000101997790F") },
		"iccids has one":                                 func(v url.Values) { v.Set("iccids", "8988247000101997790,8988247000101997790F") },
		"location and market":                            func(v url.Values) { v.Del("market") },
		"transactionId is not of 1 to 64 characters</p>": func(v url.Values) { v.Set("transactionId", strings.Repeat("x", 65)) },
	} {
		v := url.Values{}
		for k := range good {
			v.Set(k, good.Get(k))
		}
		change(v)
		w := httptest.NewRecorder()
		o.Portal().ServeHTTP(w, httptest.NewRequest("GET", "/mp?"+v.Encode(), nil))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), name) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	// It tolerates parameters that it does not know, and shows what failed.
	good.Set("returnUrl", "https://192.168.1.1/")
	good.Set("X-MP-LPAError-Codes", "ServerFailure,<b>")
	w := httptest.NewRecorder()
	o.Portal().ServeHTTP(w, httptest.NewRequest("GET", "/mp?"+good.Encode(), nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "The last download failed: ServerFailure,&lt;b&gt;") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest("GET", "/mp?eid="+eid+"&location=US&market=US&transactionId=t", nil)
	r.Header.Set("X-MP-LPAError-Codes", "EidMismatch")
	o.Portal().ServeHTTP(httptest.NewRecorder(), r)
	if v := o.Visits(); v[len(v)-1].Errors["X-MP-LPAError-Codes"] != "EidMismatch" || v[len(v)-2].Query["returnUrl"] == "" {
		t.Errorf("%+v", v[len(v)-2:])
	}
}
