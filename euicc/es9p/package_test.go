package es9p

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// download reads a whole package.
func download(ctx context.Context, c *Client) ([]byte, error) {
	p, err := GetBoundProfilePackage{"0aB1", []byte{1}}.Execute(ctx, c, host)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return io.ReadAll(p)
}

// stream reads a package from a body without a connection.
func stream(body io.Reader) ([]byte, error) {
	p := &Package{function: "getBoundProfilePackage", want: "0aB1", answer: &http.Response{StatusCode: 200, Header: http.Header{}}}
	if err := p.begin(body); err != nil {
		return nil, err
	}
	return io.ReadAll(p)
}

var payload = func() []byte {
	b := make([]byte, 5000)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return append(b, 0xFF, 0xEF, 0xFB) // slashes and pluses
}()

// forms are the ways in which servers have been seen, or are allowed, to write
// base64 into JSON.
var forms = map[string]func(string) string{
	"plain":             func(s string) string { return s },
	"escaped slash":     func(s string) string { return strings.ReplaceAll(s, "/", `\/`) },
	"unicode escape":    func(s string) string { return strings.ReplaceAll(s, "/", `\u002F`) },
	"lower case":        func(s string) string { return strings.ReplaceAll(s, "+", `\u002b`) },
	"lines (PEM)":       func(s string) string { return wrap(s, 64, `\n`) },
	"lines (MIME)":      func(s string) string { return wrap(s, 76, `\r\n`) },
	"raw lines":         func(s string) string { return wrap(s, 76, "\r\n") },
	"no padding":        func(s string) string { return strings.TrimRight(s, "=") },
	"surplus padding":   func(s string) string { return strings.TrimRight(s, "=") + "===" },
	"escaped padding":   func(s string) string { return strings.ReplaceAll(s, "=", `\u003d`) + `\u003D` },
	"blanks at the end": func(s string) string { return s + " \\t" },
}

func wrap(s string, n int, end string) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(s), n) {
		b.Write(part)
		b.WriteString(end)
	}
	return b.String()
}

// orders returns the JSON text with its fields in every order.
func orders(fields ...string) (texts []string) {
	if len(fields) == 1 {
		return fields
	}
	for i, f := range fields {
		for _, rest := range orders(slices.Delete(slices.Clone(fields), i, i+1)...) {
			texts = append(texts, f+" ,\n"+rest)
		}
	}
	return texts
}

func TestPackageForms(t *testing.T) {
	for n := len(payload) - 3; n <= len(payload); n++ {
		want := payload[len(payload)-n:]
		for name, form := range forms {
			bpp := `"boundProfilePackage": "` + form(base64.StdEncoding.EncodeToString(want)) + `"`
			for _, text := range orders(success, `"transactionId":"0AB1"`, bpp, `"more":{"a":[1,{"b":"}\""}],"c":-1.5e3}`) {
				text = "{" + text + "}\n"
				if n%2 == 0 {
					text = "\xEF\xBB\xBF" + text
				}
				for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
					if got, err := stream(r); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s, %d bytes, %.60s...: %d bytes, %v", name, n, text, len(got), err)
					}
				}
			}
		}
	}
}

// Every cut is an error that says so, and what was read before is right.
func TestPackageCutAtEveryByte(t *testing.T) {
	for _, text := range orders(success, `"transactionId":"0AB1"`, `"boundProfilePackage":"`+base64.StdEncoding.EncodeToString(payload[:100])+`"`) {
		text = "{" + text + "}"
		for n := range text {
			got, err := stream(strings.NewReader(text[:n]))
			if n == 0 { // who answers with nothing is no RSP server
				if _, ok := errors.AsType[*HTTPError](err); !ok {
					t.Errorf("nothing: %v", err)
				}
				continue
			}
			if e, ok := errors.AsType[*BodyError](err); !ok || !e.Truncated || !bytes.HasPrefix(payload, got) {
				t.Fatalf("cut at %d of %s: %d bytes, %v", n, text, len(got), err)
			}
		}
	}
}

func TestPackageErrors(t *testing.T) {
	const id, bpp = `"transactionId":"0AB1"`, `"boundProfilePackage":"AQID"`
	const failed = `"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":{"subjectCode":"8.2","reasonCode":"3.7"}}}`
	for _, tt := range []struct {
		name, text string
		want       string // in the error
		read       int    // bytes before it
	}{
		{"refused, header alone", `{` + failed + `}`, "status code 8.2/3.7", 0},
		{"refused, header first", `{` + failed + `,` + id + `,` + bpp + `}`, "status code 8.2/3.7", 0},
		{"refused, header last", `{` + bpp + `,` + id + `,` + failed + `}`, "status code 8.2/3.7", 3},
		{"refused, nulls behind", `{` + failed + `,"transactionId":null,"boundProfilePackage":null}`, "status code 8.2/3.7", 0},
		{"refused, nulls before", `{"boundProfilePackage": null ,"transactionId":null,` + failed + `}`, "status code 8.2/3.7", 0},
		{"refused, other types behind", `{` + failed + `,"transactionId":0,"boundProfilePackage":{}}`, "status code 8.2/3.7", 0},
		{"refused, other types before", `{"transactionId":0,"boundProfilePackage":[],` + failed + `}`, "status code 8.2/3.7", 0},
		{"refused, empty strings before", `{"transactionId":"","boundProfilePackage":"",` + failed + `}`, "status code 8.2/3.7", 0},
		{"refused, no JSON behind", `{` + failed + `,"transactionId":"0AB1" "x"}`, "status code 8.2/3.7", 0},
		{"refused behind the package, no JSON behind", `{` + bpp + `,` + failed + `;}`, "status code 8.2/3.7", 3},
		{"refused, then cut off", `{` + failed + `,"transact`, "status code 8.2/3.7", 0},
		{"null for a header", `{"header":null,` + bpp + `,` + id + `}`, "no functionExecutionStatus", 3},
		{"null for the package", `{` + success + `,` + id + `,"boundProfilePackage":null}`, "lacks boundProfilePackage", 0},
		{"null for the transaction ID", `{"transactionId":null,` + success + `,` + bpp + `}`, "malformed transaction ID", 3},
		{"no word of JSON", `{` + success + `,"x":nil}`, "none of JSON's", 0},
		{"transaction ID is no string", `{"transactionId":5,` + success + `,` + bpp + `}`, "no string", 0},
		{"no status", `{` + bpp + `,` + id + `}`, "no functionExecutionStatus", 3},
		{"empty status", `{"header":{},` + bpp + `,` + id + `}`, "no functionExecutionStatus", 3},
		{"no package", `{` + success + `,` + id + `}`, "lacks boundProfilePackage", 0},
		{"no transaction ID", `{` + success + `,` + bpp + `}`, "malformed transaction ID", 3},
		{"another session, said first", `{"transactionId":"0AB2",` + success + `,` + bpp + `}`, "another transaction ID", 0},
		{"another session, said last", `{` + bpp + `,` + success + `,"transactionId":"0AB2"}`, "another transaction ID", 3},
		{"package twice", `{` + bpp + `,` + bpp + `,` + success + `,` + id + `}`, "there twice", 3},
		{"header twice", `{` + success + `,` + failed + `,` + bpp + `,` + id + `}`, "there twice", 0},
		{"package is no string", `{` + success + `,"boundProfilePackage":{"a":"b"},` + id + `}`, "no string", 0},
		{"something behind", `{` + success + `,` + id + `,` + bpp + `}{}`, "follows the object", 3},
		{"no comma", `{` + success + id + `}`, "no comma", 0},
		{"no colon", `{"header"{}}`, "no colon", 0},
		{"field without name", `{5:6}`, "without name", 0},
		{"nested too deep", `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "too deep", 0},
		{"long name", `{"` + strings.Repeat("x", 300) + `":1}`, "more than 256 bytes", 0},
		{"long header", `{"header":{"x":"` + strings.Repeat("x", 9000) + `"}}`, "more than 8192 bytes", 0},
		{"base64: a bad character", `{` + success + `,` + id + `,"boundProfilePackage":"AQI!"}`, "not base64", 0},
		{"base64: a bad escape", `{` + success + `,` + id + `,"boundProfilePackage":"AQI\b"}`, "not base64", 2},
		{"base64: a character beyond ASCII", `{` + success + `,` + id + `,"boundProfilePackage":"AQI\u0141"}`, "not base64", 2},
		{"base64: no hexadecimal escape", `{` + success + `,` + id + `,"boundProfilePackage":"AQI\u00zz"}`, "not base64", 2},
		{"base64: one character too many", `{` + success + `,` + id + `,"boundProfilePackage":"AQIDA"}`, "not base64", 3},
		{"base64: data behind padding", `{` + success + `,` + id + `,"boundProfilePackage":"AQ==AQ=="}`, "not base64", 1},
		{"too long", `{` + success + `,` + id + `,"boundProfilePackage":"` + strings.Repeat("A", 5000) + `"}`, "more than 4096 bytes", -1},
		{"a page", `<html>`, "HTTP 200", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good(t, body(tt.text), func(c *Config) { c.MaxBody = 4096 })
			if strings.HasPrefix(tt.name, "long header") {
				c.maxBody = 1 << 20
			}
			got, err := download(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.read >= 0 && len(got) != tt.read {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if e, ok := errors.AsType[*BodyError](err); ok && e.Truncated {
				t.Errorf("taken for cut off: %v", err)
			}
		})
	}
}

func TestPackageGzip(t *testing.T) {
	text := `{` + success + `,"transactionId":"0AB1","boundProfilePackage":"` + base64.StdEncoding.EncodeToString(payload) + `"}`
	asked := ""
	serve := func(cut int) *Client {
		return good(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = r.Header.Get("Accept-Encoding")
			var z bytes.Buffer
			zw := gzip.NewWriter(&z)
			io.WriteString(zw, text)
			zw.Close()
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(z.Bytes()[:z.Len()-cut])
		}))
	}
	if got, err := download(t.Context(), serve(0)); err != nil || !bytes.Equal(got, payload) || asked != "gzip" {
		t.Errorf("%d bytes, %v, asked for %q", len(got), err, asked)
	}
	_, err := download(t.Context(), serve(20))
	if e, ok := errors.AsType[*BodyError](err); !ok || !e.Truncated {
		t.Errorf("cut: %v", err)
	}
}

// The answer before the package is there at once, the rest comes as it is sent,
// and the connection serves the next request.
func TestPackageStreams(t *testing.T) {
	more := make(chan bool)
	c := good(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{`+success+`,"transactionId":"0AB1","boundProfilePackage":"AQID`)
		http.NewResponseController(w).Flush()
		<-more
		fmt.Fprint(w, `BAUG"}`)
	}))
	for range 2 {
		p, err := GetBoundProfilePackage{"0aB1", []byte{1}}.Execute(t.Context(), c, host)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		if n, err := p.Read(b); err != nil || !bytes.Equal(b[:n], []byte{1, 2, 3}) {
			t.Errorf("first: %X, %v", b[:n], err)
		}
		more <- true
		var rest []byte
		for { // one byte at a time
			n, err := p.Read(b[:1])
			rest = append(rest, b[:n]...)
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(rest, []byte{4, 5, 6}) {
			t.Errorf("then: %X", rest)
		}
		p.Close()
		p.Close()
	}
	if s := c.Stats(); s.Handshakes != 1 {
		t.Errorf("%d handshakes", s.Handshakes)
	}
}

// stalling gives its text and then nothing until the context ends.
type stalling struct {
	text io.Reader
	ctx  context.Context
}

func (s *stalling) Read(p []byte) (int, error) {
	if n, err := s.text.Read(p); err != io.EOF {
		return n, err
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// The limit is for each wait: a slow reader does not use it up, a silent server
// does.
func TestPackagePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		s := &stalling{iotest.OneByteReader(strings.NewReader(`{` + success + `,"transactionId":"0AB1","boundProfilePackage":"AQIDBAUG`)), ctx}
		p := &Package{function: "f", want: "0AB1", answer: &http.Response{StatusCode: 200}}
		if err := p.begin(&answerBody{ctx: ctx, r: s, wait: &patience{limit: time.Minute, left: time.Hour, cancel: cancel}, left: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 3)
		for range 2 {
			time.Sleep(time.Hour) // a card at work
			if n, err := p.Read(b); err != nil || n != 3 {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}
		start := time.Now()
		_, err := p.Read(b)
		e, ok := errors.AsType[*BodyError](err)
		if !ok || !e.Truncated || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// A server that sends a byte now and then has an end as well.
func TestPackageDrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		text := `{` + success + `,"transactionId":"0AB1","boundProfilePackage":"` + strings.Repeat("AQID", 4000)
		p := &Package{function: "f", want: "0AB1", answer: &http.Response{StatusCode: 200}}
		start := time.Now()
		err := p.begin(&answerBody{ctx: ctx, r: dripping{strings.NewReader(text), ctx}, wait: &patience{limit: 2 * time.Minute, left: time.Hour, cancel: cancel}, left: 1 << 20})
		for err == nil {
			_, err = p.Read(make([]byte, 100))
		}
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took < time.Hour || took > time.Hour+2*time.Minute {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// dripping gives a byte each minute.
type dripping struct {
	r   io.Reader
	ctx context.Context
}

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Minute):
		return d.r.Read(p[:1])
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

// A connection made ahead is the first request's; its failure too.
func TestConnect(t *testing.T) {
	c := good(t, body("{}"))
	for range 2 {
		if err := c.Connect(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := initiate(t.Context(), c); err == nil {
			t.Error("no error")
		}
		if err := c.Connect(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Handshakes != 1 || s.Requests != 2 {
		t.Errorf("%+v", s)
	}
	c.Close()
	if err := c.Connect(t.Context(), host); err != nil || c.Stats().Handshakes != 2 {
		t.Errorf("after Close: %v, %+v", err, c.Stats())
	}
	c.Close() // nobody has taken it

	gone := errors.New("no route")
	dials := 0
	c = good(t, body(""), func(c *Config) {
		c.Dial = func(context.Context, string, string) (net.Conn, error) { dials++; return nil, gone }
	})
	if err := c.Connect(t.Context(), host); !errors.Is(err, gone) {
		t.Errorf("connect: %v", err)
	}
	if _, err := initiate(t.Context(), c); !errors.Is(err, gone) || dials != 1 {
		t.Errorf("request: %v after %d tries", err, dials)
	}
	if _, err := initiate(t.Context(), c); !errors.Is(err, gone) || dials != 2 {
		t.Errorf("second request: %v after %d tries", err, dials)
	}
	if err := c.Connect(t.Context(), "no address"); err == nil {
		t.Error("no address is an address")
	}
}

// The server closes a kept connection when it is used again, without an answer.
func TestConnectionClosedInUse(t *testing.T) {
	for _, tt := range []struct {
		function string
		do       func(c *Client) error
		again    bool
	}{
		{"initiateAuthentication", func(c *Client) error { _, err := initiate(t.Context(), c); return err }, true},
		{"handleNotification", func(c *Client) error { return HandleNotification{[]byte{1}}.Execute(t.Context(), c, host) }, true},
		{"authenticateClient", func(c *Client) error {
			_, err := AuthenticateClient{"0aB1", []byte{1}}.Execute(t.Context(), c, host)
			return err
		}, false},
		{"cancelSession", func(c *Client) error { return CancelSession{"0aB1", []byte{1}}.Execute(t.Context(), c, host) }, false},
	} {
		requests := 0
		c := good(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests++; requests == 2 {
				panic(http.ErrAbortHandler)
			}
			if _, sent := r.Header["Idempotency-Key"]; sent {
				t.Error("what is for net/http is sent")
			}
			body(`{`+success+`}`).ServeHTTP(w, r)
		}))
		if err := (HandleNotification{[]byte{1}}).Execute(t.Context(), c, host); err != nil {
			t.Fatal(err)
		}
		_, lost := errors.AsType[*NetworkError](tt.do(c))
		if lost == tt.again || requests != 2 && !tt.again || requests != 3 && tt.again {
			t.Errorf("%s: lost %v after %d requests", tt.function, lost, requests)
		}
	}
}

// The server closes the connection that was opened ahead before a request came.
func TestConnectionClosedAhead(t *testing.T) {
	const lost, served = "lost", "served"
	for _, tt := range []struct {
		name string
		do   func(c *Client) error
		want string
	}{
		{"initiateAuthentication", func(c *Client) error { _, err := initiate(t.Context(), c); return err }, served},
		{"authenticateClient", func(c *Client) error {
			_, err := AuthenticateClient{"0aB1", []byte{1}}.Execute(t.Context(), c, host)
			return err
		}, lost},
	} {
		var first net.Conn
		c := good(t, body(`{`+success+`}`), func(c *Config) {
			c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				if first != nil {
					return conn, err
				}
				first = &closedByPeer{Conn: conn}
				return first, err
			}
		})
		if err := c.Connect(t.Context(), host); err != nil {
			t.Fatal(err)
		}
		first.(*closedByPeer).closed.Store(true)
		err := tt.do(c)
		got := served
		if _, is := errors.AsType[*NetworkError](err); is {
			got = lost
		}
		if got != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// closedByPeer is a connection that its peer closes.
type closedByPeer struct {
	net.Conn
	closed atomic.Bool
}

func (c *closedByPeer) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// What encoding/json and Base64 make of a whole text, the stream makes of it.
func FuzzPackage(f *testing.F) {
	for name, form := range forms {
		if name != "raw lines" { // no JSON
			f.Add([]byte(`{` + success + `,"transactionId":"0AB1","boundProfilePackage":"` + form("/+8AAAECAw==") + `","x":[1,null]}`))
		}
	}
	f.Add([]byte(`{"header":{"functionExecutionStatus":{"status":"Failed"}}}`))
	f.Add([]byte(`{"x":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := stream(bytes.NewReader(text))
		if again, err2 := stream(iotest.OneByteReader(bytes.NewReader(text))); (err == nil) != (err2 == nil) || !bytes.Equal(got, again) {
			t.Fatalf("byte by byte: %v, in one piece: %v", err2, err)
		}
		var whole struct {
			ID      *string         `json:"transactionId"`
			Package *Base64         `json:"boundProfilePackage"`
			Header  json.RawMessage `json:"header"`
		}
		if json.Unmarshal(text, &whole) != nil || whole.Package == nil {
			return
		}
		if err == nil && !bytes.Equal(got, *whole.Package) {
			t.Fatalf("%X in one piece, %X as a stream", *whole.Package, got)
		}
	})
}
