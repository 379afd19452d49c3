//go:build linux && !nodemo

package page_test

import (
	"strings"
	"testing"

	"dynamod/daemon/demo"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

func TestActivationByPicture(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	code := b.order(smdpsim.Order{ConfirmationCode: "4711"})
	c.open(b.origin)
	c.wait(`document.getElementById("live").textContent === "live"`)
	c.upload("picture", qrFile(t, code))
	c.wait(`document.getElementById("code-state").textContent === "The QR code was read."`)
	c.wait(`document.activeElement.textContent === "Look at the profile"`)
	c.press("Enter")
	c.seen("offer")
	if got := c.text(); !strings.Contains(got, demo.Operator) || !strings.Contains(got, "Field profile") || !strings.Contains(got, ordered) || !strings.Contains(got, demo.APN) {
		t.Errorf("the preview does not tell of the profile: %s", got)
	}
	c.click("accept")
	c.seen("confirm")
	c.fill("confirmation", "4711")
	c.submit("confirm")
	c.seen("result")
	if got := c.eval(`document.getElementById("result-title").textContent`); got != "Up on the new profile" {
		t.Fatalf("it ended with %q: %s", got, c.text())
	}
	c.wait(`document.getElementById("link").textContent === "Up"`)
	c.clean(b.origin)
}

// No mouse: from the first Tab to the result, and the focus is where it goes on.
func TestActivationByKeyboard(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	code := b.order(smdpsim.Order{ConfirmationCode: "4711"})
	c.open(b.origin)
	c.seen("profiles-state")
	c.tabTo("code")
	c.insert(code)
	c.press("Enter")
	c.seen("offer")
	c.wait(`document.activeElement.id === "offer-title"`)
	if got := c.eval(`document.getElementById("code").value`); got != "" {
		t.Error("the code stays in its field")
	}
	c.tabTo("accept")
	c.press("Enter")
	c.seen("confirm")
	c.wait(`document.activeElement.id === "confirmation"`)
	c.insert("1234") // mistyped: it is asked for again
	c.press("Enter")
	c.wait(`document.getElementById("refused").textContent !== ""`)
	c.tabTo("confirmation")
	c.insert("4711")
	c.press("Enter")
	c.seen("result")
	c.wait(`document.activeElement.id === "result-title"`)
	if got := c.focus(); got != "result-title" || !strings.Contains(c.text(), "Up on the new profile") {
		t.Errorf("the focus is at %s: %s", got, c.text())
	}
	c.clean(b.origin)
}

// A profile that can never be disabled again is asked about apart.
func TestNoWayBack(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{Earlier: profile(t, "8900101000000000801"), EarlierIs: euiccsim.Metadata{Name: "Bootstrap", Class: euiccsim.ClassProvisioning}}, "")
	code := b.order(smdpsim.Order{Metadata: smdpsim.Metadata{Rules: smdpsim.PPR1}})
	c.open(b.origin)
	c.wait(`document.getElementById("link").textContent === "Up"`)
	c.fill("code", code)
	c.submit("activate-form")
	c.seen("offer")
	if got := c.text(); !strings.Contains(got, "can never be disabled again") || !strings.Contains(got, "with no way back") {
		t.Errorf("the preview does not tell of the rule: %s", got)
	}
	c.click("accept")
	c.seen("forever")
	c.wait(`document.activeElement.id === "forever-title"`)
	if on := b.Card.Installed(); len(on) != 1 {
		t.Errorf("it was installed before that was answered: %v", on)
	}
	c.click("forever-yes")
	c.wait(`document.getElementById("result-title").textContent === "Up on the new profile" && document.getElementById("result").checkVisibility()`)
	c.clean(b.origin)
}

// What goes on at the router is seen again after the page was loaded anew, and
// after the connection was lost.
func TestReattach(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	code := b.order(smdpsim.Order{ConfirmationCode: "4711"})
	c.open(b.origin)
	c.fill("code", code)
	c.submit("activate-form")
	c.seen("offer")
	c.open(b.origin + "/?again")
	c.seen("offer")
	c.wait(`document.getElementById("live").textContent === "live"`)
	c.eval(`window.here = "the same document"`)
	before := c.asked("/v1/events")
	b.hangUp()
	c.wait(`document.getElementById("live").textContent.startsWith("no connection")`)
	c.wait(`document.getElementById("live").textContent === "live"`)
	if got := c.eval(`window.here`); got != "the same document" || c.asked("/v1/events") <= before {
		t.Error("the page was loaded anew, or did not come back")
	}
	c.click("accept")
	c.seen("confirm")
	b.hangUp() // and answers at once
	c.fill("confirmation", "4711")
	c.submit("confirm")
	c.seen("result")
	if got := c.eval(`document.getElementById("result-title").textContent`); got != "Up on the new profile" {
		t.Errorf("it ended with %q: %s", got, c.text())
	}
	c.clean(b.origin, "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION")
}

// What a server tells of a profile is shown as it is, and nothing of it runs; and
// whoever refuses or cancels sees that nothing was installed.
func TestRefused(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	name := "<img src=x onerror=alert(1)>\u202egnp"
	code := b.order(smdpsim.Order{Metadata: smdpsim.Metadata{Provider: "<b>Lab</b> & co", Name: name}})
	c.open(b.origin)
	c.fill("code", "not a code")
	c.submit("activate-form")
	c.wait(`document.getElementById("activate-problem").textContent.includes("activation code looks like")`)
	c.fill("code", strings.TrimPrefix(code, "LPA:"))
	c.submit("activate-form")
	c.seen("offer")
	if got := c.text(); !strings.Contains(got, "<img src=x onerror=alert(1)>") || !strings.Contains(got, "<b>Lab</b> & co") || strings.Contains(got, "\u202e") {
		t.Errorf("the names are not as they are: %s", got)
	}
	c.click("refuse")
	c.seen("result")
	if got := c.text(); !strings.Contains(got, "It failed") || !strings.Contains(got, "rejected") {
		t.Errorf("the result is not that of a refusal: %s", got)
	}
	c.fill("code", b.order(smdpsim.Order{}))
	c.submit("activate-form")
	c.seen("offer")
	c.click("cancel")
	c.seen("result")
	if got := c.text(); !strings.Contains(got, "cancelled") {
		t.Errorf("the result is not that of a run that was cancelled: %s", got)
	}
	if on := b.Card.Installed(); len(on) != 0 {
		t.Errorf("on the card: %v", on)
	}
	c.clean(b.origin, "422") // of what is no code
}

// A profile that is only to be installed is asked about as such, and nothing is
// switched; the login of an APN and what else the form has arrive at the router.
func TestInstallOnly(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{Earlier: profile(t, "8900101000000000801")}, "")
	code := b.order(smdpsim.Order{})
	c.open(b.origin)
	c.wait(`document.getElementById("link").textContent === "Up"`)
	c.eval(`window.sent = [], window.plain = window.fetch, window.fetch = (path, o) => (o.body && sent.push(JSON.parse(o.body)), plain(path, o)), 0`)
	c.eval(`document.querySelector("#activate details").open = true`)
	c.fill("code", code)
	c.fill("apn-user", "me")
	c.submit("activate-form")
	c.wait(`document.getElementById("activate-problem").textContent === "A login needs an APN."`)
	if got := c.eval(`sent.length`); got != 0.0 {
		t.Errorf("%v requests", got)
	}
	c.fill("apn", demo.APN)
	c.fill("apn-password", "hush")
	c.eval(`document.getElementById("apn-auth").value = "chap"`)
	c.click("only")
	c.click("limited")
	c.submit("activate-form")
	c.seen("offer")
	want := `{"accept_limited":true,"apn":{"apn":"` + demo.APN + `","auth":"chap","password":"hush","username":"me"},"code":"` + code + `","enable":false}`
	if got := c.eval(`JSON.stringify(sent[0], [...Object.keys(sent[0]), ...Object.keys(sent[0].apn)].sort())`); got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}
	if got := c.text(); !strings.Contains(got, "it stays disabled") || strings.Contains(got, "Takes the place of") {
		t.Errorf("the preview is that of a switch: %s", got)
	}
	if got := c.eval(`["apn-password", "apn-user", "code"].map((id) => document.getElementById(id).value).join("") + document.getElementById("only").checked`); got != "false" {
		t.Errorf("the form keeps %v", got)
	}
	c.click("accept")
	c.seen("result")
	if got := c.eval(`document.getElementById("result-title").textContent`); got != "Installed, not enabled" {
		t.Errorf("it ended with %q: %s", got, c.text())
	}
	for _, p := range b.Card.Installed() {
		if p.Enabled == (p.ICCID == ordered) {
			t.Errorf("profile %s is enabled: %v", p.ICCID, p.Enabled)
		}
	}
	c.clean(b.origin)
}
