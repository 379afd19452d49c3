package smdpsim

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// Every form says the same, and looks as it is told to.
func TestForms(t *testing.T) {
	plain := `"header":{"functionExecutionStatus":{"status":"Executed-Success"}},"serverCertificate":"`
	for _, tt := range []struct {
		name  string
		form  Form
		looks func(body string) bool
	}{
		{"plain", Form{}, func(s string) bool {
			return strings.Contains(s, plain) && !strings.Contains(s, `\u`) && !strings.Contains(s, `\/`)
		}},
		{"order", Form{First: []string{"transactionId", "header"}}, func(s string) bool {
			return strings.HasPrefix(s, `{"transactionId":"`) && strings.Contains(s, `,"header":{`)
		}},
		{`\/`, Form{Slash: SlashEscaped}, func(s string) bool { return !strings.Contains(strings.ReplaceAll(s, `\/`, ""), "/") }},
		{`\u002F`, Form{Slash: SlashCode}, func(s string) bool { return strings.Contains(s, `\u002F`) && !strings.Contains(s, "/") }},
		{"lines", Form{Lines: 64}, func(s string) bool { return strings.Contains(s, `\r\n`) }},
		{"no padding", Form{Padding: PaddingMissing}, func(s string) bool { return !strings.Contains(s, "=") }},
		{"surplus padding", Form{Padding: PaddingSurplus}, func(s string) bool { return strings.Count(s, `==="`) == 4 }},
		{"surplus fields", Form{Surplus: true}, func(s string) bool { return strings.Contains(s, `"vendorData":{"list":[{"a":"\"}]`) }},
		{"nulls", Form{Nulls: true}, func(s string) bool { return strings.Contains(s, `{"status":"Executed-Success","statusCodeData":null}`) }},
		{"spaces", Form{Spaces: true}, func(s string) bool { return strings.HasPrefix(s, "\r\n\t { \n") }},
		{"all", Form{[]string{"serverCertificate"}, SlashCode, 76, PaddingSurplus, true, true, true, true, 7}, func(s string) bool { return strings.Contains(s, "serverCertificate") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHTTPClient(t)
			if err := h.server.SetForm(tt.form); err != nil {
				t.Fatal(err)
			}
			resp, body, err := h.initiate()
			if err != nil {
				t.Fatal(err)
			}
			if !tt.looks(string(body)) {
				t.Errorf("it looks like %s", body)
			}
			if chunked := len(resp.TransferEncoding) > 0; chunked != (tt.form.Chunked > 0) || resp.Uncompressed != tt.form.Gzip {
				t.Errorf("transfer coding %v, compressed %v", resp.TransferEncoding, resp.Uncompressed)
			}
			var out map[string]any
			if err := json.Unmarshal(body, &out); err != nil {
				t.Fatal(err)
			}
			signed, _ := out["serverSigned1"].(string)
			raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("\r", "", "\n", "").Replace(signed), "="))
			if err != nil || len(raw) == 0 || raw[0] != 0x30 {
				t.Errorf("serverSigned1 %x, %v", raw, err)
			}
			if got := h.server.Form(); !reflect.DeepEqual(got, tt.form) {
				t.Errorf("form %+v", got)
			}
		})
	}
}

// Compression is for who asks for it, and a cut body is a cut compressed body.
func TestGzip(t *testing.T) {
	h := newHTTPClient(t)
	if err := h.server.SetForm(Form{Gzip: true}); err != nil {
		t.Fatal(err)
	}
	h.client.Transport.(*http.Transport).DisableCompression = true
	resp, body, err := h.initiate()
	if err != nil || resp.Header.Get("Content-Encoding") != "" || !json.Valid(body) {
		t.Errorf("a client that did not ask got %q: %v", resp.Header.Get("Content-Encoding"), err)
	}
	for accept, want := range map[string]bool{"gzip": true, "br, GZIP ;q=1": true, "identity": false, "gzip; q=0": false} {
		r, err := http.NewRequest("POST", "https://x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", accept)
		if acceptsGzip(r) != want {
			t.Errorf("%q: %v", accept, !want)
		}
	}
	z, err := gzip.NewReader(bytes.NewReader(compress(body)))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(z); err != nil || !bytes.Equal(back, body) {
		t.Errorf("compressed and back: %v", err)
	}
}

// A refusal with nulls holds the same code as one without.
func TestNullsInRefusals(t *testing.T) {
	r := response{"header": response{"functionExecutionStatus": response{
		"status": "Failed", "statusCodeData": response{"subjectCode": "8.2.7", "reasonCode": "3.8"},
	}}}
	got, err := Form{Nulls: true}.encode(GetBoundProfilePackage, r)
	want := `{"boundProfilePackage":null,"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":` +
		`{"message":null,"reasonCode":"3.8","subjectCode":"8.2.7","subjectIdentifier":null}}},"transactionId":null}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if plain, err := (Form{}).encode(GetBoundProfilePackage, r); err != nil || bytes.Contains(plain, []byte("null")) {
		t.Errorf("nulls stay: %s, %v", plain, err)
	}
}

func TestSetFormRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for name, f := range map[string]Form{
		"slash": {Slash: "%2F"}, "padding": {Padding: "much"}, "lines": {Lines: -1}, "chunk": {Chunked: -1}, "field": {First: []string{"a b"}},
	} {
		if w.server.SetForm(f) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if (Form{}).object(new(bytes.Buffer), response{"a": 1}) == nil {
		t.Error("a number was written")
	}
}

// FuzzControl reads what a control channel sends: what is accepted is written and
// read back to the same.
func FuzzControl(f *testing.F) {
	f.Add("drop-answer function=getBoundProfilePackage after=3000 skip=2 times=1")
	f.Add("status subject=8.2.6 reason=3.8")
	f.Add("slow delay=1m30s bandwidth=9600")
	f.Add("redirect location=https://a.test/b=c")
	f.Add("http-status http=503 x")
	f.Add(`form first=header,transactionId slash=\/ lines=76 padding=surplus surplus=true nulls=1 spaces=1 gzip=T chunked=1000`)
	f.Add("form padding=exact slash=/ first=")
	f.Fuzz(func(t *testing.T, s string) {
		if fault, err := ParseFault(s); err == nil {
			if again, err := ParseFault(fault.String()); err != nil || again != fault {
				t.Errorf("%q became %q: %+v, %v", s, fault, again, err)
			}
		}
		if form, err := ParseForm(s); err == nil {
			if again, err := ParseForm(form.String()); err != nil || !reflect.DeepEqual(again, form) {
				t.Errorf("%q became %q: %+v, %v", s, form, again, err)
			}
		}
	})
}
