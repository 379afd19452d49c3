package page_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/directory"
	"dynamod/daemon/dynamo/dynamosim"
)

const (
	portalEID   = "89033023426200000000000000000040"
	portalICCID = "8988247000101997790"
)

// routerPage opens a portal, and gives what comes back to the router.
const routerPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>router</title><div id="main"></div><p id="log"></p>
<script type="module">
import {visit, returned} from "/visit.js";
const say = text => document.getElementById("log").textContent += text + ";";
const take = async arrival => {
	const answer = await (await fetch("/take", {method: "POST", body: JSON.stringify(arrival)})).json();
	say(answer.text);
	return answer;
};
window.openPortal = url => { window.tell = visit(url, take); };
const envelope = returned();
if (envelope) take({way: "return", envelope}).then(() => say("returned with " + location.hash));
</script>`

// shop is a router with a page, a portal, and a page of an attacker's.
type shop struct {
	*tab
	t        *testing.T
	router   *httptest.Server
	operator *dynamosim.Operator
	record   *cosa.OperatorProfile
	visits   *dynamo.Transactions

	mu    sync.Mutex
	taken []dynamo.Callback
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t}
	s.operator = dynamosim.New("Contoso", time.Now)
	s.operator.NewProfile = func(string) (string, string, error) {
		return "LPA:1$smdp.example$MATCHINGID", "8988247000101997791", nil
	}
	s.operator.AddLine(portalICCID, dynamosim.Prepaid, 0, 0)
	s.record = &cosa.OperatorProfile{ID: "contoso", Name: "Contoso", Portal: cosa.Portal{
		URL: "https://contoso.example/mp", CallbackHosts: []string{"contoso.example"}, ICCIDRanges: []cosa.Range{{Lo: "8988247000100000000", Hi: "8988247000109999999"}},
	}}
	var err error
	if s.visits, err = dynamo.OpenTransactions(filepath.Join(t.TempDir(), "visits.json"), []byte(strings.Repeat("k", 32)), time.Now); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	html := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, routerPage)
	}
	mux.HandleFunc("GET /{$}", html)
	mux.HandleFunc("GET /return", html)
	mux.HandleFunc("GET /visit.js", func(w http.ResponseWriter, _ *http.Request) {
		text, err := os.ReadFile(filepath.Join("files", "visit.js"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/javascript")
		w.Write(text)
	})
	mux.HandleFunc("POST /take", s.take)
	s.router = httptest.NewTLSServer(mux)
	t.Cleanup(s.router.Close)
	portal := httptest.NewTLSServer(s.operator.Portal())
	t.Cleanup(portal.Close)
	// Pages of another host, and of a host that may call back: each posts the
	// envelope in its query to whoever opened the window, or the one around it.
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if frame := r.URL.Query().Get("frame"); frame != "" {
			fmt.Fprintf(w, `<!doctype html><div id="main"></div><iframe src="%s"></iframe>`, strings.NewReplacer("&", "&amp;", `"`, "&quot;").Replace(frame))
			return
		}
		io.WriteString(w, `<!doctype html><div id="main"></div><script>top.opener.postMessage({dynamo: 1, envelope: new URLSearchParams(location.search).get("envelope")}, "*")</script>`)
	}))
	t.Cleanup(other.Close)
	rules := []string{}
	for host, srv := range map[string]*httptest.Server{"contoso.example": portal, "frame.contoso.example": other, "evil.example": other} {
		rules = append(rules, "MAP "+host+":443 "+strings.TrimPrefix(srv.URL, "https://"))
	}
	s.tab = chromium(t, "--host-resolver-rules="+strings.Join(rules, ","), "--disable-popup-blocking")
	return s
}

// take is what a router does with a callback.
func (s *shop) take(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Way, Origin, Envelope string
		Top                   bool
	}
	answer := map[string]any{"taken": false, "text": "unreadable"}
	if json.NewDecoder(r.Body).Decode(&in) == nil {
		from := dynamo.Arrival{Way: dynamo.WayOpener, Origin: in.Origin, Top: in.Top}
		if in.Way == "return" {
			from = dynamo.Arrival{Way: dynamo.WayReturn}
		}
		c, err := s.visits.Accept([]byte(in.Envelope), from, dynamo.Card{EID: portalEID, Profiles: []string{portalICCID}},
			func(string) *cosa.OperatorProfile { return s.record })
		answer["taken"], answer["text"] = err == nil, "taken "+string(c.Kind)
		if refusal, ok := errors.AsType[*dynamo.Refusal](err); ok {
			answer["text"] = refusal.Code
		} else if err != nil {
			answer["text"] = err.Error()
		} else {
			s.mu.Lock()
			s.taken = append(s.taken, c)
			s.mu.Unlock()
		}
	}
	json.NewEncoder(w).Encode(answer)
}

// launch is the address of a new visit whose return URL is home.
func (s *shop) launch(home string) (address, id, state string) {
	s.t.Helper()
	id, state, _, err := s.visits.Begin(s.record, portalEID)
	if err != nil {
		s.t.Fatal(err)
	}
	address, err = dynamo.Launch{
		Operator: s.record, Device: dynamo.Device{EID: portalEID, Profiles: []string{portalICCID}, Location: "US"}, TransactionID: id, State: state, ReturnURL: home,
	}.BrowserURL()
	if err != nil {
		s.t.Fatal(err)
	}
	return address, id, state
}

// popup goes on in the window that was opened last; the function goes back.
func (s *shop) popup(host string) (back func()) {
	s.t.Helper()
	here := s.session
	for range 1000 {
		s.session = here
		s.eval("new Promise(done => setTimeout(done, 50))")
		var list struct {
			TargetInfos []struct{ TargetID, Type, URL string }
		}
		s.session = ""
		s.do("Target.getTargets", nil, &list)
		for _, info := range list.TargetInfos {
			if info.Type == "page" && strings.HasPrefix(info.URL, "https://"+host+"/") {
				var at struct{ SessionID string }
				s.do("Target.attachToTarget", map[string]any{"targetId": info.TargetID, "flatten": true}, &at)
				s.session = at.SessionID
				s.wait(`document.readyState === "complete" && document.getElementById("main")`)
				return func() {
					s.session = ""
					s.try("Target.closeTarget", map[string]any{"targetId": info.TargetID}, nil)
					s.session = here
				}
			}
		}
	}
	s.t.Fatalf("no window of %s", host)
	return nil
}

func (s *shop) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken)
}

// TestPortalCallsBack buys in a portal that the router's page has opened, in a
// browser: by the published functions, over the operator's bridge, to the router.
func TestPortalCallsBack(t *testing.T) {
	s := newShop(t)
	for _, tt := range []struct {
		ware string
		kind dynamo.Kind
	}{
		{"new", dynamo.KindDownload}, {"delayed", dynamo.KindDownload}, {"registration", dynamo.KindDownload}, {"old", dynamo.KindDownload},
		{"existing", dynamo.KindUseProfile}, {"topup", dynamo.KindBalance}, {"cancel", dynamo.KindNoPurchase}, {"billing", dynamo.KindNoPurchase},
	} {
		n := s.count()
		s.open(s.router.URL + "/")
		address, id, _ := s.launch(s.router.URL + "/return")
		s.wait("window.openPortal")
		s.eval(fmt.Sprintf("openPortal(%q), 0", address))
		back := s.popup("contoso.example")
		s.click(tt.ware)
		s.wait(`document.getElementById("state").textContent === "taken"`)
		back()
		s.wait(`document.getElementById("log").textContent !== ""`)
		if s.count() != n+1 || s.taken[n].Kind != tt.kind || s.taken[n].TransactionID != id || s.taken[n].Operation == "" {
			t.Errorf("%s: %+v", tt.ware, s.taken[n:])
		}
	}
	if c := s.taken[0]; c.Code.Reveal() != "LPA:1$smdp.example$MATCHINGID" {
		t.Errorf("%+v", c)
	}
	if s.taken[1].Delay != 30*time.Minute || s.taken[2].RegisterAfter != 15*time.Minute || s.taken[3].ICCID == "" || s.taken[4].ICCID != portalICCID {
		t.Errorf("%+v", s.taken[1:5])
	}
	pending, err := s.visits.Pending()
	if err != nil || len(pending) != 5 {
		t.Errorf("%d pending %v", len(pending), err)
	}
}

// TestPortalListeners has the portal's page told of what became of its call.
func TestPortalListeners(t *testing.T) {
	s := newShop(t)
	s.open(s.router.URL + "/")
	address, _, _ := s.launch(s.router.URL + "/return")
	s.wait("window.openPortal")
	s.eval(fmt.Sprintf("openPortal(%q), 0", address))
	main := s.session
	back := s.popup("contoso.example")
	s.click("new")
	s.wait(`document.getElementById("state").textContent === "taken"`)
	portal := s.session
	s.session = main
	s.eval(`tell("activation", {activationResult: "success", iccid: "8988247000101997791"}), tell("registration", {networkRegistrationState: "home", iccid: "8988247000101997791"}), 0`)
	s.session = portal
	s.wait(`document.getElementById("activation").textContent === '{"activationResult":"success","iccid":"8988247000101997791"}'`)
	s.wait(`document.getElementById("registration").textContent.includes('"home"')`)
	back()
}

// TestPortalReturns opens the portal by a link, so that there is no page to post to:
// the browser is sent to the return URL, and the code does not stay in its history.
func TestPortalReturns(t *testing.T) {
	s := newShop(t)
	address, id, _ := s.launch(s.router.URL + "/return")
	s.open(address)
	s.click("new")
	s.wait(`document.getElementById("log").textContent.includes("returned with ;")`)
	if got := s.eval("location.href"); got != s.router.URL+"/return" {
		t.Errorf("at %v", got)
	}
	if s.count() != 1 || s.taken[0].TransactionID != id || s.taken[0].Code.Reveal() != "LPA:1$smdp.example$MATCHINGID" {
		t.Errorf("%+v", s.taken)
	}
	for _, home := range []string{"https://evil.example/return", "https://127.0.0.1.evil.example/", "https://10.0.0.1@evil.example/", "http://127.0.0.1/", "javascript:alert(1)"} {
		address, _, _ := s.launch(home)
		s.open(address)
		s.click("new")
		s.wait(`document.getElementById("state").textContent.startsWith("dynamo: this page was not opened by a router")`)
	}
	if s.count() != 1 {
		t.Errorf("%+v", s.taken[1:])
	}
}

// TestPortalOnATelephone opens the portal on a device that has nothing to do with the
// router's page: its script leaves the call at the directory service.
func TestPortalOnATelephone(t *testing.T) {
	s := newShop(t)
	service := &directory.Service{Router: func(token string) string { return token }, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	srv := httptest.NewTLSServer(service.Handler())
	t.Cleanup(srv.Close)
	s.operator.Directory = srv.URL
	c := directory.NewClient(srv.URL, "router", "", srv.Client().Transport, dynamo.NewTransactionID, time.Now)
	for _, row := range []struct {
		host, state string
		n           int
	}{{"contoso.example", "taken", 1}, {"fabrikam.example", "refused: the router does not expect this", 0}} {
		address, id, _ := s.launch("")
		if err := c.ExpectVisit(t.Context(), id, []string{row.host}); err != nil {
			t.Fatal(err)
		}
		s.open(address)
		s.click("new")
		s.wait(fmt.Sprintf(`document.getElementById("state").textContent === %q`, row.state))
		list, err := c.VisitCallbacks(t.Context(), id, 0)
		if err != nil || len(list) != row.n {
			t.Fatalf("%s: %q %v", row.host, list, err)
		}
		if row.n == 0 {
			continue
		}
		got, err := s.visits.Accept([]byte(list[0]), dynamo.Arrival{Way: dynamo.WayDirectory}, dynamo.Card{EID: portalEID}, func(string) *cosa.OperatorProfile { return s.record })
		if err != nil || got.Code.Reveal() != "LPA:1$smdp.example$MATCHINGID" {
			t.Errorf("%+v %v", got, err)
		}
	}
}

// TestPortalAttacks has pages that know everything of a visit but are not its
// portal: what they post reaches the router, and is refused there.
func TestPortalAttacks(t *testing.T) {
	s := newShop(t)
	s.record.Portal.CallbackHosts = append(s.record.Portal.CallbackHosts, "frame.contoso.example")
	s.open(s.router.URL + "/")
	s.wait("window.openPortal")
	_, id, state := s.launch(s.router.URL + "/return")
	envelope := string(dynamo.Callback{
		Kind: dynamo.KindDownload, TransactionID: id, State: state, SMDP: "smdp.evil.example", Delay: time.Minute, Metadata: dynamo.PurchaseMetadata{Status: dynamo.PurchaseComplete},
	}.Envelope())
	query := "?envelope=" + url.QueryEscape(envelope)
	for _, tt := range []struct{ name, host, address, code string }{
		{"page of another host", "evil.example", "https://evil.example/" + query, "wrong-origin"},
		{"host that may call back, framed by another", "evil.example", "https://evil.example/?frame=" + url.QueryEscape("https://frame.contoso.example/"+query), "framed"},
		{"another host, framed by the operator's", "frame.contoso.example", "https://frame.contoso.example/?frame=" + url.QueryEscape("https://evil.example/"+query), "wrong-origin"},
	} {
		before := s.eval(`document.getElementById("log").textContent`).(string)
		s.eval(fmt.Sprintf("openPortal(%q), 0", tt.address))
		s.wait(fmt.Sprintf(`document.getElementById("log").textContent === %q`, before+tt.code+";"))
		s.popup(tt.host)()
	}
	if s.count() != 0 {
		t.Errorf("taken: %+v", s.taken)
	}
	s.eval(fmt.Sprintf("openPortal(%q), 0", "https://frame.contoso.example/"+query)) // and the same from the right window is taken
	s.wait(`document.getElementById("log").textContent.endsWith("taken download;")`)
}
