package conform

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Transport is an http.RoundTripper that holds each request that was taken, and each
// answer, against a description.
type Transport struct {
	Next http.RoundTripper
	Doc  *Document
	// Report is told what does not fit; it may be called from any goroutine.
	Report func(error)
}

// RoundTrip sends r.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := t.Next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	op, known := t.Doc.find(r)
	report := func(what string, err error) {
		if err != nil {
			t.Report(fmt.Errorf("%s %s: %d: %s: %w", r.Method, r.URL.Path, resp.StatusCode, what, err))
		}
	}
	if known && resp.StatusCode < 300 {
		report("request", t.Doc.checkRequest(op, r, body))
	}
	if !known && resp.StatusCode < 400 {
		report("request", fmt.Errorf("the description has no such route"))
	}
	b, ok := op.Responses[strconv.Itoa(resp.StatusCode)]
	if !ok {
		if b, ok = op.Responses["default"]; resp.StatusCode < 400 && known || known && !ok {
			report("answer", fmt.Errorf("the description has no such status"))
			return resp, nil
		}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !known {
		b.Content = problems
	}
	content, ok := b.Content[kind]
	switch {
	case !ok && (kind != "" || len(b.Content) > 0):
		report("answer", fmt.Errorf("the description has no such answer of type %q", kind))
	case kind == "text/event-stream":
		resp.Body = &events{ReadCloser: resp.Body, check: func(event string, data []byte) {
			if s := op.Events[event]; s == nil {
				report("event", fmt.Errorf("the description has no event %q", event))
			} else {
				report("event "+event, t.Doc.Check(s, data, true))
			}
		}}
	case content.Schema != nil && strings.HasSuffix(kind, "json"):
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(text))
		report("answer", t.Doc.Check(content.Schema, text, true))
	}
	return resp, nil
}

// problems is what a route that is not there answers with.
var problems = map[string]struct {
	Schema *Schema `json:"schema"`
}{"application/problem+json": {&Schema{Ref: "#/components/schemas/Problem"}}}

func (d *Document) checkRequest(op Operation, r *http.Request, body []byte) error {
	for name := range r.URL.Query() {
		if !op.has(name, "query") {
			return fmt.Errorf("query %s is not in the description", name)
		}
	}
	for _, name := range []string{"Idempotency-Key", "Last-Event-ID"} {
		if r.Header.Get(name) != "" && !op.has(name, "header") {
			return fmt.Errorf("header %s is not in the description", name)
		}
	}
	if op.Body == nil {
		if len(body) > 0 {
			return fmt.Errorf("the description has no body")
		}
		return nil
	}
	return d.Check(op.Body.Content["application/json"].Schema, body, false)
}

func (op Operation) has(name, in string) bool {
	for _, p := range op.Parameters {
		if p.Name == name && p.In == in {
			return true
		}
	}
	return false
}

// events checks a stream as it is read.
type events struct {
	io.ReadCloser
	check func(event string, data []byte)
	rest  []byte
	event string
}

func (e *events) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	e.rest = append(e.rest, b[:n]...)
	for {
		line, rest, ok := bytes.Cut(e.rest, []byte("\n"))
		if !ok {
			return n, err
		}
		switch name, value, _ := bytes.Cut(line, []byte(": ")); string(name) {
		case "event":
			e.event = string(value)
		case "data":
			e.check(e.event, value)
		}
		e.rest = rest
	}
}
