//go:build linux && !nodemo

package page_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/demo"
)

// market is a browser in which the lab's operator has its portal, and a box.
func market(t *testing.T) (*shop, *box) {
	b := newBox(t, demo.Options{Earlier: profile(t, "8900101000000000801")}, "")
	s := &shop{t: t, operator: b.Seller(time.Now)}
	s.operator.AddLine("8900101000000000801", "prepaid", 0, 0)
	portal := httptest.NewTLSServer(s.operator.Portal())
	t.Cleanup(portal.Close)
	s.tab = chromium(t, "--host-resolver-rules=MAP "+demo.PortalHost+":443 "+strings.TrimPrefix(portal.URL, "https://"), "--disable-popup-blocking")
	s.open(b.origin)
	s.wait(`document.getElementById("link").textContent === "Up"`)
	return s, b
}

// portal opens the portal by the page's buttons, and goes on in its window.
func (s *shop) portal() (back func()) {
	s.t.Helper()
	s.click("sellers-show")
	s.wait(`document.querySelector("#sellers button")?.textContent === "Lab Mobile"`)
	s.eval(`document.querySelector("#sellers button").click()`)
	return s.popup(demo.PortalHost)
}

// TestBuyAPlan buys in the operator's portal from the router's page: the profile is
// downloaded from the SM-DP+, installed and enabled, and the portal's page hears of it.
func TestBuyAPlan(t *testing.T) {
	s, b := market(t)
	page := s.session
	back := s.portal()
	window := s.session
	s.click("new")
	s.wait(`document.getElementById("state").textContent === "taken"`)
	s.session = page
	s.wait(`document.getElementById("result-title").textContent === "Up on the new profile" && document.getElementById("result").checkVisibility()`)
	s.wait(`document.getElementById("visit").textContent.includes("bought, and carried out")`)
	s.session = window
	s.wait(`document.getElementById("activation").textContent.includes('"activationResult":"success"')`)
	s.wait(`document.getElementById("registration").textContent.includes('"home"')`)
	back()
	if on := b.Card.Installed(); len(on) != 2 || !on[1].Enabled {
		t.Errorf("on the card: %v", on)
	}
	s.clean(b.origin)
}

// TestBuyNothing leaves the portal, or tops the line up: no run begins.
func TestBuyNothing(t *testing.T) {
	s, b := market(t)
	for ware, want := range map[string]string{"cancel": "nothing was bought", "topup": "topped up"} {
		page := s.session
		back := s.portal()
		s.click(ware)
		s.wait(`document.getElementById("state").textContent === "taken"`)
		back()
		s.session = page
		s.wait(`document.getElementById("visit").textContent.includes("` + want + `")`)
	}
	if on := b.Card.Installed(); len(on) != 1 {
		t.Errorf("on the card: %v", on)
	}
	s.clean(b.origin)
}

// TestBoughtByReturn has the portal in the page's own window, so that it answers by
// the return URL: the page loads anew, and takes the answer from its address.
func TestBoughtByReturn(t *testing.T) {
	s, b := market(t)
	s.eval(`window.open = () => ({ set location(to) { location.assign(to); }, close() {} }), 0`)
	s.click("sellers-show")
	s.wait(`document.querySelector("#sellers button")`)
	s.eval(`document.querySelector("#sellers button").click()`)
	s.wait(`location.host === "` + demo.PortalHost + `" && document.readyState === "complete" && document.getElementById("new")`)
	s.click("new")
	s.wait(`location.origin === "` + b.origin + `" && document.getElementById("result-title")?.textContent === "Up on the new profile"`)
	if got := s.eval("location.href"); got != b.origin+"/" {
		t.Errorf("at %v", got)
	}
}

// TestNoHandOnThePage: a page that opens the router's has no hand on it, although a
// portal that the router's page opens may answer.
func TestNoHandOnThePage(t *testing.T) {
	b := newBox(t, demo.Options{}, "")
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!doctype html><div id="main"></div>`)
	}))
	t.Cleanup(other.Close)
	c := chromium(t, "--disable-popup-blocking")
	c.open(other.URL)
	c.eval(`window.own = open(location.href), window.theirs = open("` + b.origin + `/"), 0`)
	c.wait(`theirs.closed && !own.closed`) // as it sees it: they are in other groups
}
