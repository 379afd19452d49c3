//go:build linux && !nodemo

package page_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/demo"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// second puts a further profile on the card, which is not enabled.
func (b *box) second(md euiccsim.Metadata) {
	b.t.Helper()
	md.Provider = demo.Operator
	raw, err := md.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.Card.Preload(profile(b.t, md.ICCID), raw, false); err != nil {
		b.t.Fatal(err)
	}
}

// activate installs and enables a profile without the page.
func (b *box) activate(code string) {
	b.t.Helper()
	c := hook.Dial(filepath.Join(b.dir, "run", "dynamod.sock"))
	var run activation.Record
	err := c.Do(b.t.Context(), "POST", "/v1/activations", nil, hook.ActivationRequest{Code: code, Consent: true}, &run)
	for err == nil && run.Ended == nil {
		time.Sleep(20 * time.Millisecond)
		err = c.Do(b.t.Context(), "GET", "/v1/activations/"+run.ID, nil, nil, &run)
	}
	if err != nil || run.Outcome != status.Committed {
		b.t.Fatalf("%s: %v %+v", run.Outcome, err, run.Error)
	}
}

// act presses the button of a profile in the list.
func (b *tab) act(iccid, what string) {
	b.t.Helper()
	button := fmt.Sprintf(`document.querySelector('[data-key="%s %s"]')`, iccid, what)
	b.wait(button + "?.checkVisibility() && !" + button + ".disabled")
	b.eval(button + ".focus(), " + button + ".click()")
}

func TestProfiles(t *testing.T) {
	const first, other = ordered, "8900101000000000801" // the first is enabled
	c := chromium(t)
	b := newBox(t, demo.Options{Earlier: profile(t, other)}, "")
	b.activate(b.order(smdpsim.Order{}))
	c.open(b.origin)
	c.wait(`document.getElementById("link").textContent === "Up"`)

	t.Run("name", func(t *testing.T) {
		c.t = t
		c.act(first, "rename")
		c.seen("ask-input")
		c.fill("ask-input", "Depot <7>")
		c.press("Enter")
		c.wait(`document.getElementById("profile-list").textContent.includes("Depot <7>")`)
		c.wait(`document.getElementById("profiles-state").textContent === "Done."`)
	})
	t.Run("enable", func(t *testing.T) {
		c.t = t
		c.act(other, "enable")
		c.seen("ask")
		c.click("ask-no")
		c.act(other, "enable")
		c.click("ask-ok")
		c.wait(fmt.Sprintf(`document.querySelector('[data-key="%s enable"]') && !document.querySelector('[data-key="%s enable"]')`, first, other))
		c.wait(`document.getElementById("profiles-state").textContent === "Done."`)
		for _, p := range b.Card.Installed() {
			if p.Enabled != (p.ICCID == other) {
				t.Errorf("profile %s is enabled: %v", p.ICCID, p.Enabled)
			}
		}
	})
	t.Run("delete", func(t *testing.T) {
		c.t = t
		c.act(first, "delete")
		c.seen("ask-input")
		c.press("Enter") // without its ICCID
		c.fill("ask-input", other)
		c.press("Enter")
		if got := c.eval(`document.getElementById("ask").open`); got != true || len(b.Card.Installed()) != 2 {
			t.Fatal("the ICCID of another profile is good enough")
		}
		c.fill("ask-input", first)
		c.eval(`document.getElementById("ask-input").dispatchEvent(new Event("input"))`)
		c.click("ask-ok")
		c.wait(fmt.Sprintf(`!document.querySelector('[data-key="%s rename"]')`, first))
		if on := b.Card.Installed(); len(on) != 1 || on[0].ICCID != other {
			t.Errorf("on the card: %v", on)
		}
		c.wait(`document.activeElement.id === "profiles-title"`) // its place is gone
	})
	t.Run("disable", func(t *testing.T) {
		c.t = t
		c.act(other, "disable")
		c.seen("ask")
		c.click("ask-no")
		if on := b.Card.Installed(); len(on) != 1 || !on[0].Enabled {
			t.Errorf("on the card: %v", on)
		}
		c.act(other, "disable")
		c.click("ask-ok")
		c.wait(fmt.Sprintf(`document.querySelector('[data-key="%s enable"]')`, other))
		if on := b.Card.Installed(); len(on) != 1 || on[0].Enabled {
			t.Errorf("on the card: %v", on)
		}
	})
	c.t = t
	c.clean(b.origin)
}

// A switch to a profile that stays for good has a question of its own.
func TestEnableForGood(t *testing.T) {
	const other = "8900101000000000802"
	c := chromium(t)
	b := newBox(t, demo.Options{Earlier: profile(t, "8900101000000000801")}, "")
	b.second(euiccsim.Metadata{ICCID: other, Name: "Other", Class: euiccsim.ClassOperational, Rules: euiccsim.PPR1})
	c.open(b.origin)
	c.wait(`document.getElementById("link").textContent === "Up"`)
	c.act(other, "enable")
	c.click("ask-ok")
	c.wait(`document.getElementById("ask").open && document.getElementById("ask-text").textContent.includes("no way back")`)
	c.click("ask-ok")
	c.wait(fmt.Sprintf(`document.querySelector('[data-key="%s rename"]') && !document.querySelector('[data-key="%s enable"]')`, other, other))
	c.clean(b.origin, "409")
}
