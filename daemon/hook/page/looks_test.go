//go:build linux && !nodemo

package page_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dynamod/daemon/demo"
	"dynamod/euicc/smdpsim"
)

// stages are what the page looks like in the course of an activation.
var stages = []string{"login", "form", "offer", "confirm", "result"}

// walk brings the page to one stage after the other and calls f at each.
func walk(t *testing.T, o demo.Options, f func(c *tab, stage string)) {
	c := chromium(t)
	b := newBox(t, o, "")
	code := b.order(smdpsim.Order{ConfirmationCode: "4711"})
	c.window(760, 900, "light")
	for _, stage := range stages {
		switch stage {
		case "login": // which the socket does not ask for
			c.open(b.origin)
			c.wait(`document.getElementById("live").textContent === "live"`)
			c.eval(`document.getElementById("login").hidden = false`)
		case "form":
			c.eval(`document.getElementById("login").hidden = true`)
			c.eval(`document.querySelector("#activate-form details").open = true`)
		case "offer":
			c.fill("code", code)
			c.submit("activate-form")
			c.seen("offer")
		case "confirm":
			c.click("accept")
			c.seen("confirm")
		case "result":
			c.fill("confirmation", "4711")
			c.submit("confirm")
			c.seen("result")
			c.wait(`document.getElementById("link").textContent === "Up"`)
			c.wait(`document.querySelector("#profile-list .good")`)
		}
		f(c, stage)
	}
}

// contrasts returns the texts that stand out too little from what is behind them
// (WCAG 2.2, 1.4.3: 4.5 to 1).
const contrasts = `(() => {
	const parse = (c) => c.match(/[\d.]+/g).map(Number);
	const light = (c) => { const [r, g, b] = parse(c).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if ((parse(c)[3] ?? 1) > 0) return c } return "rgb(255, 255, 255)" };
	const bad = [];
	for (const e of document.body.querySelectorAll("*")) {
		if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
		if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) bad.push(e.id || e.textContent);
	}
	return bad.join(", ");
})()`

// unnamed returns what can be used and has no name (WCAG 2.2, 4.1.2), by the
// browser's own tree for screen readers.
func (b *tab) unnamed() (list []string) {
	b.t.Helper()
	type value struct{ Value any }
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name value
		}
	}
	b.do("Accessibility.getFullAXTree", nil, &tree)
	usable := 0
	for _, n := range tree.Nodes {
		role, _ := n.Role.Value.(string)
		if n.Ignored || !slices.Contains([]string{"textbox", "button", "checkbox", "link", "progressbar", "heading", "region", "dialog", "Video"}, role) {
			continue
		}
		usable++
		if name, _ := n.Name.Value.(string); strings.TrimSpace(name) == "" {
			list = append(list, role)
		}
	}
	if usable < 8 {
		b.t.Errorf("only %d parts are in the tree: %s", usable, b.text())
	}
	return list
}

// Everybody can read and use the page: in light and dark, on a narrow telephone,
// by a screen reader.
func TestLooks(t *testing.T) {
	walk(t, demo.Options{}, func(c *tab, stage string) {
		if list := c.unnamed(); len(list) > 0 {
			t.Errorf("%s: without a name: %v", stage, list)
		}
		if got := c.eval(`[...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i).join()`); got != "" {
			t.Errorf("%s: twice the same ID: %v", stage, got)
		}
		if got := c.eval(`[...document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]")].flatMap((e) => [e.getAttribute("aria-labelledby"), e.getAttribute("aria-describedby"), e.getAttribute("for")].join(" ").split(" "))
			.filter((id) => id && !document.getElementById(id)).join()`); got != "" {
			t.Errorf("%s: names and texts that are not there: %v", stage, got)
		}
		ground := map[string]any{}
		for _, scheme := range []string{"light", "dark"} {
			c.window(320, 640, scheme)
			if got := c.eval(`document.documentElement.scrollWidth`); got != 320.0 {
				t.Errorf("%s, %s: %v pixels wide on a telephone of 320", stage, scheme, got)
			}
			if got := c.eval(contrasts); got != "" {
				t.Errorf("%s, %s: too little contrast: %v", stage, scheme, got)
			}
			ground[scheme] = c.eval(`getComputedStyle(document.body).backgroundColor`)
		}
		if ground["light"] == ground["dark"] {
			t.Errorf("%s: the same ground in light and dark: %v", stage, ground)
		}
		c.window(760, 900, "light")
	})
}

// What the tests above find, they can find.
func TestComplaintsAreSeen(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	c.open(b.origin)
	c.eval(`document.body.setAttribute("style", "color: red"); document.body.append(document.createElement("input"), document.createElement("button"))`)
	c.eval(`Object.assign(document.body.appendChild(document.createElement("p")), {textContent: "pale"}).id = "pale"`)
	c.eval(`try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>") } catch {}`)
	c.eval(`fetch("http://192.0.2.1/").catch(() => 0)`)
	if list := c.unnamed(); !slices.Contains(list, "textbox") || !slices.Contains(list, "button") {
		t.Errorf("inputs without a name are not seen: %v", list)
	}
	c.eval(`document.getElementById("pale").animate({color: ["#eee", "#eee"]}, {duration: 1e9})`)
	if got := fmt.Sprint(c.eval(contrasts)); !strings.Contains(got, "pale") {
		t.Errorf("a pale text is not seen: %s", got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := strings.Join(c.complaints, "\n")
	for _, want := range []string{"style-src", "Trusted", "connect-src"} {
		if !strings.Contains(seen, want) {
			t.Errorf("a violation of %s is not seen: %s", want, seen)
		}
	}
}

// TestPictures makes the pictures of the README, from the running page.
func TestPictures(t *testing.T) {
	dir := os.Getenv("DYNAMOD_PICTURES")
	if dir == "" {
		t.Skip("`make pictures` makes them")
	}
	lab, err := os.MkdirTemp("", "lab") // it is in the picture
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(lab) })
	walk(t, demo.Options{Dir: lab}, func(c *tab, stage string) {
		switch stage {
		case "offer":
			c.picture(filepath.Join(dir, "page.png"))
		case "result":
			c.eval(`document.querySelector("#activate-form details").open = false`)
			c.window(360, 800, "dark")
			c.picture(filepath.Join(dir, "page-phone.png"))
		}
	})
}
