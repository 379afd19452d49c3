//go:build linux && !nodemo

package page_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skip2/go-qrcode"

	"dynamod/daemon/demo"
	"dynamod/daemon/demo/netlab"
	"dynamod/euicc/smdpsim"
)

// box is a daemon in the lab, with its socket forwarded to a port as `ssh -L` does.
type box struct {
	*demo.World
	t      *testing.T
	dir    string
	origin string // of the forwarded port
}

func newBox(t *testing.T, o demo.Options, config string) *box {
	t.Helper()
	n, err := netlab.NewSimulated(netlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	o.Dir, o.Dialect = t.TempDir(), "generic"
	w, err := demo.Open(ctx, n, o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.Dir, "dynamod.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Its last table is [hook].
	if err := os.WriteFile(path, append(text, config...), 0o644); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("DYNAMOD_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	done := make(chan error, 1)
	go func() { done <- w.Daemon(ctx, log, "test") }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go forward(l, filepath.Join(o.Dir, "run", "dynamod.sock"))
	t.Cleanup(func() {
		l.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.Close()
		n.Close()
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b := &box{World: w, t: t, dir: o.Dir, origin: "http://localhost:" + port}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(b.origin + "/healthz")
		if err == nil {
			resp.Body.Close()
			return b
		}
		if time.Since(begun) > patience {
			t.Fatal("the daemon does not answer: ", err)
		}
	}
}

func forward(l net.Listener, socket string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("unix", socket)
			if err != nil {
				return
			}
			defer out.Close()
			go func() {
				io.Copy(out, in)
				out.Close()
			}()
			io.Copy(in, out)
		}()
	}
}

// order is a profile that waits at the SM-DP+, and its activation code.
func (b *box) order(o smdpsim.Order) (iccid, code string) {
	b.t.Helper()
	const number = "8900101000000000999"
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: number, IMSI: "001010000000999", MNCDigits: 2, SPN: demo.Operator})
	if err != nil {
		b.t.Fatal(err)
	}
	o.UPP = upp
	if o.Metadata.Name == "" {
		o.Metadata = smdpsim.Metadata{Provider: demo.Operator, Name: "Field profile", Owner: []byte{0x00, 0xF1, 0x10}}
	}
	if code, err = b.Server.AddOrder(o); err != nil {
		b.t.Fatal(err)
	}
	return number, code
}

func qrFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "code.png")
	if err := qrcode.WriteFile(text, qrcode.Medium, 400, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestActivationByPicture(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	iccid, code := b.order(smdpsim.Order{ConfirmationCode: "4711"})
	c.open(b.origin)
	c.wait(`document.getElementById("live").textContent === "live"`)
	c.upload("picture", qrFile(t, code))
	c.wait(`document.getElementById("code-state").textContent === "The QR code was read."`)
	c.wait(`document.activeElement.textContent === "Look at the profile"`)
	c.press("Enter")
	c.seen("offer")
	if got := c.text(); !strings.Contains(got, demo.Operator) || !strings.Contains(got, "Field profile") || !strings.Contains(got, iccid) || !strings.Contains(got, demo.APN) {
		t.Errorf("the preview does not tell of the profile: %s", got)
	}
	c.click("accept")
	c.seen("confirm")
	c.fill("confirmation", "4711")
	c.eval(`document.getElementById("confirm").requestSubmit()`)
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
	_, code := b.order(smdpsim.Order{ConfirmationCode: "4711"})
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
	c.wait(`document.activeElement.id === "confirm-title"`)
	c.tabTo("confirmation")
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

// TestPictures makes the pictures of the README, from the running page.
func TestPictures(t *testing.T) {
	dir := os.Getenv("DYNAMOD_PICTURES")
	if dir == "" {
		t.Skip("`make pictures` makes them")
	}
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	_, code := b.order(smdpsim.Order{})
	c.window(760, 900, "light")
	c.open(b.origin)
	c.seen("profile-list")
	c.wait(`document.getElementById("live").textContent === "live"`)
	for _, part := range []string{"form", "offer", "result"} {
		switch part {
		case "offer":
			c.fill("code", code)
			c.eval(`document.getElementById("activate-form").requestSubmit()`)
			c.seen("offer")
		case "result":
			c.click("accept")
			c.seen("result")
			c.wait(`document.getElementById("link").textContent === "Up"`)
			c.wait(`document.getElementById("profile-list").textContent.includes("enabled")`)
		}
		c.window(760, 900, "light")
		c.picture(filepath.Join(dir, "page-"+part+".png"))
		c.window(760, 900, "dark")
		c.picture(filepath.Join(dir, "page-"+part+"-dark.png"))
		c.window(360, 800, "light")
		c.picture(filepath.Join(dir, "page-"+part+"-phone.png"))
	}
}
