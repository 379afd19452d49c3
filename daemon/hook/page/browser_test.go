package page_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds each wait for the browser.
const patience = 60 * time.Second

// tab is a tab of a headless Chromium, driven by the DevTools protocol over a pipe
// (chromedevtools.github.io/devtools-protocol): JSON texts with a zero byte behind.
type tab struct {
	t       *testing.T
	out     *os.File
	session string

	mu      sync.Mutex
	next    int
	answers map[int]chan answer
	gone    chan struct{} // closed when the browser has ended

	complaints []string // errors and warnings of the console, exceptions, CSP violations
	requests   []string // URLs
	statuses   []string // of answers, with their URL
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// chromium starts a browser with one empty tab. The test is skipped where there is none.
func chromium(t *testing.T, flags ...string) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: the page is not driven")
	}
	fromUs, toBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromBrowser, toUs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := append(flags, "--headless=new", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
		"--ignore-certificate-errors", "--hide-scrollbars", "--lang=en")
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // it refuses to run as root with one
	}
	cmd := exec.Command(path, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.ExtraFiles = []*os.File{fromUs, toUs} // 3 and 4, as the protocol has it
	cmd.WaitDelay = time.Second               // its children may hold stderr
	if err := cmd.Start(); err != nil {
		t.Skip("chromium does not start: ", err)
	}
	fromUs.Close()
	toUs.Close()
	b := &tab{t: t, out: toBrowser, answers: map[int]chan answer{}, gone: make(chan struct{})}
	go b.listen(bufio.NewReaderSize(fromBrowser, 1<<20))
	t.Cleanup(func() {
		b.try("Browser.close", nil, nil)
		toBrowser.Close()
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait() // its exit status is of no interest
		timer.Stop()
		fromBrowser.Close()
	})
	var target struct{ TargetID, SessionID string }
	if err := b.try("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		t.Skipf("chromium cannot be used here: %v\n%s", err, stderr.String())
	}
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "DOM", "Audits"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

func (b *tab) listen(r *bufio.Reader) {
	defer close(b.gone)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params struct {
				Type             string
				Entry            struct{ Level, Text, URL string }
				ExceptionDetails struct {
					Text      string
					Exception struct{ Description string }
				}
				Args    []struct{ Value any }
				Request struct{ URL string }
				Issue   struct{ Code string }

				Response struct {
					Status int
					URL    string
				}
			}
			answer
		}
		if json.Unmarshal(line[:len(line)-1], &m) != nil {
			continue // events with other members
		}
		b.mu.Lock()
		p := m.Params
		switch m.Method {
		case "":
			b.answers[m.ID] <- m.answer
			delete(b.answers, m.ID)
		case "Runtime.exceptionThrown":
			b.complaints = append(b.complaints, p.ExceptionDetails.Text+" "+p.ExceptionDetails.Exception.Description)
		case "Runtime.consoleAPICalled":
			b.complaints = append(b.complaints, fmt.Sprint(p.Type, " ", p.Args))
		case "Log.entryAdded":
			b.complaints = append(b.complaints, strings.Join([]string{p.Entry.Level, p.Entry.Text, p.Entry.URL}, " "))
		case "Audits.issueAdded":
			b.complaints = append(b.complaints, p.Issue.Code)
		case "Network.requestWillBeSent":
			b.requests = append(b.requests, p.Request.URL)
		case "Network.responseReceived":
			b.statuses = append(b.statuses, fmt.Sprint(p.Response.Status, " ", p.Response.URL))
		}
		b.mu.Unlock()
	}
}

// try sends a command and decodes its result.
func (b *tab) try(method string, params, result any) error {
	got := make(chan answer, 1)
	b.mu.Lock()
	b.next++
	id := b.next
	b.answers[id] = got
	b.mu.Unlock()
	m := map[string]any{"id": id, "method": method, "params": params}
	if params == nil {
		delete(m, "params")
	}
	if b.session != "" && !strings.HasPrefix(method, "Browser.") {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := b.out.Write(append(text, 0)); err != nil {
		return err
	}
	select {
	case a := <-got:
		if a.Error != nil {
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-b.gone:
		return fmt.Errorf("%s: the browser has ended", method)
	case <-time.After(patience):
		return fmt.Errorf("%s: no answer", method)
	}
}

func (b *tab) do(method string, params, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns what an expression, or the promise that it is, comes to.
func (b *tab) eval(expression string) any {
	b.t.Helper()
	value, err := b.evaluate(expression)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", expression, err, b.text())
	}
	return value
}

func (b *tab) evaluate(expression string) (any, error) {
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Exception struct{ Description, Value string }
		}
	}
	err := b.try("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r)
	if e := r.ExceptionDetails; e != nil {
		err = errors.New(e.Exception.Description + e.Exception.Value)
	}
	return r.Result.Value, err
}

// wait waits until a condition over the document holds, which may be another one
// by then.
func (b *tab) wait(condition string) {
	b.t.Helper()
	look := fmt.Sprintf(`new Promise((resolve, reject) => {
		const begun = Date.now();
		const look = () => {
			let done = false;
			try { done = (%s) } catch {}
			if (!done && Date.now() - begun < %d) return setTimeout(look, 20);
			done ? resolve() : reject("in vain");
		};
		look();
	})`, condition, (patience - 5*time.Second).Milliseconds())
	_, err := b.evaluate(look)
	for err != nil && strings.Contains(err.Error(), "navigated") {
		_, err = b.evaluate(look)
	}
	if err != nil {
		b.t.Fatalf("waited for %s: %v\n%s", condition, err, b.text())
	}
}

// seen waits until the element of that ID can be seen.
func (b *tab) seen(id string) {
	b.t.Helper()
	b.wait(fmt.Sprintf("document.getElementById(%q)?.checkVisibility()", id))
}

// text is what the page shows.
func (b *tab) text() string {
	var r struct{ Result struct{ Value string } }
	if err := b.try("Runtime.evaluate", map[string]any{"expression": "document.body.innerText", "returnByValue": true}, &r); err != nil {
		return err.Error()
	}
	return r.Result.Value
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do("Page.navigate", map[string]any{"url": url}, nil)
	b.wait(`document.readyState === "complete" && document.getElementById("main")`)
}

func (b *tab) click(id string) {
	b.t.Helper()
	b.seen(id)
	b.eval(fmt.Sprintf("document.getElementById(%q).click()", id))
}

// submit sends a form as a press of its button does.
func (b *tab) submit(id string) {
	b.t.Helper()
	b.eval(fmt.Sprintf("document.getElementById(%q).requestSubmit()", id))
}

// asked counts the requests for a path.
func (b *tab) asked(path string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if strings.HasSuffix(url, path) {
			n++
		}
	}
	return n
}

func (b *tab) fill(id, value string) {
	b.t.Helper()
	b.seen(id)
	b.eval(fmt.Sprintf("document.getElementById(%q).value = %q; 0", id, value))
}

// keys are those that press knows.
var keys = map[string]map[string]any{
	"Tab":    {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
	"Enter":  {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
	"Escape": {"key": "Escape", "code": "Escape", "windowsVirtualKeyCode": 27},
}

func (b *tab) press(name string) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		m := map[string]any{"type": kind}
		for k, v := range keys[name] {
			m[k] = v
		}
		b.do("Input.dispatchKeyEvent", m, nil)
	}
}

// tabTo presses Tab until the element of that ID has the focus.
func (b *tab) tabTo(id string) {
	b.t.Helper()
	var way []string
	for range 30 {
		b.press("Tab")
		at := b.focus()
		if at == id {
			return
		}
		way = append(way, at)
	}
	b.t.Fatalf("Tab does not lead to %s: %v", id, way)
}

// focus is the ID of the element that has the focus.
func (b *tab) focus() string {
	id, _ := b.eval("document.activeElement.id || document.activeElement.textContent").(string)
	return id
}

func (b *tab) insert(text string) {
	b.t.Helper()
	b.do("Input.insertText", map[string]any{"text": text}, nil)
}

// upload gives files to a file input.
func (b *tab) upload(id string, files ...string) {
	b.t.Helper()
	var doc struct{ Root struct{ NodeID int } }
	b.do("DOM.getDocument", nil, &doc)
	var node struct{ NodeID int }
	b.do("DOM.querySelector", map[string]any{"nodeId": doc.Root.NodeID, "selector": "#" + id}, &node)
	b.do("DOM.setFileInputFiles", map[string]any{"nodeId": node.NodeID, "files": files}, nil)
}

// window sets the size in CSS pixels and the colour scheme.
func (b *tab) window(width, height int, scheme string) {
	b.t.Helper()
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1.5, "mobile": width < 600}, nil)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// picture writes what the window shows to a PNG file.
func (b *tab) picture(path string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.do("Page.captureScreenshot", nil, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// clean expects no complaint but those that contain one of the texts, and no
// request to anywhere else.
func (b *tab) clean(origin string, expected ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.complaints {
		if !slices.ContainsFunc(expected, func(text string) bool { return strings.Contains(line, text) }) {
			b.t.Errorf("the browser complains: %s", line)
		}
	}
	for _, url := range b.requests {
		if !strings.HasPrefix(url, origin+"/") {
			b.t.Errorf("the page asks elsewhere: %s", url)
		}
	}
}
