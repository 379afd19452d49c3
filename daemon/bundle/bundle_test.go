package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"dynamod/atcmd"
	"dynamod/daemon/config"
)

// unpack returns the files of an archive by name.
func unpack(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || h.Mode != 0o600 {
			t.Fatalf("%s: mode %o, %v", h.Name, h.Mode, err)
		}
		files[strings.TrimPrefix(h.Name, "dynamod-bundle/")] = string(text)
	}
}

func TestWrite(t *testing.T) {
	text := func(s string, err error) func(context.Context, io.Writer) error {
		return func(_ context.Context, w io.Writer) error {
			_, werr := io.WriteString(w, s)
			return errors.Join(werr, err)
		}
	}
	var b bytes.Buffer
	var r Redactor
	r.Keep("hunter2")
	var ring Ring
	for i := range 20000 {
		fmt.Fprintln(&ring, "line", i)
	}
	err := Write(t.Context(), &b, time.Unix(0, 0), &r, []Part{
		{"a.txt", text("the password is hunter2", nil)},
		{"long.txt", text(strings.Repeat("x", MaxPart)+"end", nil)},
		{"broken.txt", text("", errors.New("no such thing as hunter2"))},
		{"half.txt", text("half", errors.New("then it broke"))},
		JSON("value.json", func(context.Context) (any, error) { return map[string]int{"a": 1}, nil }),
		ring.Part("ring.txt"),
	})
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	if files["a.txt"] != "the password is [secret]" || files["half.txt"] != "half" || files["value.json"] != "{\n  \"a\": 1\n}\n" {
		t.Errorf("%q, %q, %q", files["a.txt"], files["half.txt"], files["value.json"])
	}
	if l := files["long.txt"]; !strings.HasPrefix(l, "(3 bytes before this are left out)\nxxx") || !strings.HasSuffix(l, "xend") || len(l) > MaxPart+100 {
		t.Errorf("long.txt has %d bytes: %.60q", len(l), l)
	}
	if want := "broken.txt: no such thing as [secret]\nhalf.txt: then it broke\n"; files["errors.txt"] != want || len(files) != 6 {
		t.Errorf("%q, %d files", files["errors.txt"], len(files))
	}
	if l := files["ring.txt"]; !strings.HasPrefix(l, "line ") || !strings.HasSuffix(l, "line 19999\n") || len(l) < ringBytes-100 || len(l) > 2*ringBytes {
		t.Errorf("the ring has %d bytes: %.30q", len(l), l)
	}
	// A writer that fails, such as a full disk, is the error.
	if err := Write(t.Context(), failing{}, time.Unix(0, 0), &r, []Part{{"a.txt", text("a", nil)}}); err == nil {
		t.Error("no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRedact(t *testing.T) {
	var r Redactor
	r.Keep("hunter2", "hunter2-longer", "abc", "1234")
	for _, tt := range []struct{ name, text, want string }{
		{"by value", "x hunter2-longer hunter2 y", "x [secret] [secret] y"},
		{"too short to be told from anything", "abc 1234", "abc 1234"},
		{"activation code", "code LPA:1$smdp.example.com$MATCH-1 is", "code LPA:1$smdp.example.com$[secret] is"},
		{"activation code without prefix, with all fields", `"1$smdp.example.com$MATCH-1$1.3.6$1"`, `"1$smdp.example.com$[secret]"`},
		{"percent-encoded", "lpa:1%24smdp.example.com%24MATCH-1", "lpa:1$smdp.example.com$[secret]"},
		{"proxy", `proxy = "http://user:pass@proxy.test:3128"`, `proxy = "http://[secret]@proxy.test:3128"`},
		{"JSON", `{"password":"a\"b","user":"web"}`, `{"password":"[secret]","user":"web"}`},
		{"TOML", "password = \"x y\"\nuser = 1", "password = \"[secret]\"\nuser = 1"},
		{"log attribute", "level=INFO pin=4711 n=1", `level=INFO pin="[secret]" n=1`},
		{"a file is no secret", `password_file = "/etc/x"`, `password_file = "/etc/x"`},
		{"AT+CPIN", `AT+CPIN="4711"`, "AT+CPIN=[secret]"},
		{"AT^AUTHDATA", `at > AT^AUTHDATA=1,2,"","geheim","web"`, "at > AT^AUTHDATA=[secret]"},
		{"AT$QCPDPP", `AT$QCPDPP=1,1,"geheim","web"`, "AT$QCPDPP=[secret]"},
		{"second command of a line", `AT+CSQ;+CPIN="4711"`, "AT+CSQ;+CPIN=[secret]"},
		{"harmless command", `AT+CGDCONT=1,"IP","lab.test"`, `AT+CGDCONT=1,"IP","lab.test"`},
		{"AT+CGAUTH", `AT+CGAUTH=1,2,"web","geheim"`, "AT+CGAUTH=[secret]"},
		{"IMSI", "IMSI 001010000000017.", "IMSI 001010*******17."},
		{"ICCID and EID", "8900101000000000019 89049032123451234512345678901235", "890010***********19 890490************************35"},
		{"a date stays", "2026-11-23T11:50:52.714Z 20261123115052", "2026-11-23T11:50:52.714Z 202611******52"},
	} {
		if got := string(r.Redact([]byte(tt.text))); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// forms are the forms of secrets as regular expressions, with what takes the place
// of each.
var forms = []struct {
	form    form
	expr    *regexp.Regexp
	instead func(match []string) string
}{
	{activationCode, regexp.MustCompile(`(?i)(lpa:)?1(\$|%24)([a-z0-9.:-]*)(\$|%24)[^\s"'<>\\]*`), func(m []string) string {
		return m[1] + "1$" + m[3] + "$" + mask
	}},
	{userInfo, regexp.MustCompile(`://[^/\s"'@]*@`), func([]string) string { return "://" + mask + "@" }},
	{commandLine, regexp.MustCompile(`(?i)\bAT[+^#$!%&*@_][^\r\n]*`), func(m []string) string {
		if !atcmd.CarriesSecret(m[0][len("AT"):]) {
			return m[0]
		}
		name, _, _ := strings.Cut(m[0], "=")
		return name + "=" + mask
	}},
	{named, regexp.MustCompile(`(?i)("?\b(?:password|passwd|pin|puk|confirmation_code|matching_id|code_text|secret|token)"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|[^\s,"{}\[\]]+)`), func(m []string) string {
		return m[1] + `"` + mask + `"`
	}},
	{digits, regexp.MustCompile(`[0-9]{14,}`), func(m []string) string {
		return m[0][:6] + strings.Repeat("*", len(m[0])-8) + m[0][len(m[0])-2:]
	}},
}

// FuzzForms holds each form of a secret against the regular expression that it is.
func FuzzForms(f *testing.F) {
	for _, s := range []string{
		"LPA:1$a.test$X 001010000000017 lpa:1%24b%24Y$1 1$1$$", `pin"x" "PIN" : 1,puk=[2] xpin=3 "token":"a\"b" secret = "open`,
		"http://u:p@h ://@ ://a/b@", "AT+CPIN=1\r\nxAT+CPIN=2 at^x=3", "secret=\"a\\\nb\" token: \"\" pin = ", `password "pin":1`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
			t.Skip("letters of other scripts count as capitals of k and s in package regexp")
		}
		for _, x := range forms {
			want, done := "", 0
			for _, at := range x.expr.FindAllStringSubmatchIndex(text, -1) {
				match := make([]string, len(at)/2)
				for i := range match {
					if at[2*i] >= 0 {
						match[i] = text[at[2*i]:at[2*i+1]]
					}
				}
				want += text[done:at[0]] + x.instead(match)
				done = at[1]
			}
			want += text[done:]
			if got := string(x.form.replace([]byte(text))); got != want {
				t.Errorf("%q became %q, by %s %q", text, got, x.expr, want)
			}
		}
	})
}

// What was redacted is left alone by a second time, and no long run of digits is
// left.
func FuzzRedact(f *testing.F) {
	long := regexp.MustCompile(`[0-9]{14,}`)
	f.Add("LPA:1$a.test$X 001010000000017 password=\"x\" http://u:p@h AT+CPIN=1")
	f.Fuzz(func(t *testing.T, text string) {
		var r Redactor
		r.Keep("hunter2")
		once := r.Redact([]byte(text))
		if long.Match(once) || bytes.Contains(once, []byte("hunter2")) {
			t.Errorf("%q became %q", text, once)
		}
	})
}

// The path of the configured receiver is in no part, however it is written there.
func TestWebhookURL(t *testing.T) {
	for url, secret := range map[string]string{
		"https://hooks.example/T000/B000?key=S3CRET&x=<y>": "S3CRET",
		"https://hooks.example/T-S3CRET":                   "S3CRET",
		"https://hooks.example?key=S3CRET":                 "S3CRET",
		"https://hooks.example/":                           "",
		"":                                                 "",
	} {
		cfg := config.Default()
		cfg.Webhook.URL = url
		var r Redactor
		r.Secrets(cfg)
		var b bytes.Buffer
		if err := JSON("settings.json", func(context.Context) (any, error) { return cfg, nil }).Write(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		text := string(r.Redact(append(b.Bytes(), "url = \""+url+"\""...)))
		if secret != "" && strings.Contains(text, secret) || !strings.Contains(text, "Webhook") || secret == "" && !strings.Contains(text, url) {
			t.Errorf("%s: %s", url, text)
		}
	}
}
