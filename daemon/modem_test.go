package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dynamod/daemon/hook"
)

// enough cancels when it has seen so many lines.
type enough struct {
	strings.Builder
	left   int
	cancel context.CancelFunc
}

func (w *enough) Write(b []byte) (int, error) {
	if w.left--; w.left == 0 {
		w.cancel()
	}
	return w.Builder.Write(b)
}

// fakeSocket starts a fake daemon.
func fakeSocket(t *testing.T, story string) (*fakeDaemon, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dynamod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	fake, err := startFake(path, story)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.close)
	return fake, path
}

// The trace shows what was missed, and Ctrl-C is its good end.
func TestModemTrace(t *testing.T) {
	_, path := fakeSocket(t, "commit")
	for _, tt := range []struct {
		args  []string
		lines int
		want  string
	}{
		{nil, 4, `^\d\d:04:05\.678 - modem on /dev/ttyUSB2\n\d\d:04:05\.678 > AT\+CPIN<6 characters>\n +- 3 lines missed\n\d\d:04:05\.678 < O\?K\n$`},
		{[]string{"--json"}, 3, `^{"seq":7,.*"kind":"note".*\n{"seq":8,.*\n{"seq":12,.*\n$`},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &enough{left: tt.lines, cancel: cancel}
		var errs strings.Builder
		code := run(ctx, append([]string{"modem", "trace", "--socket", path}, tt.args...), std{strings.NewReader(""), out, &errs})
		cancel()
		if code != exitOK || errs.Len() > 0 || !regexp.MustCompile(tt.want).MatchString(out.String()) {
			t.Errorf("exit code %d, %s\n%s", code, &errs, out.String())
		}
	}
}

// Of a command line only harmless commands are taken; the refusal does not show
// them.
func TestATRefusesSecretArguments(t *testing.T) {
	fake, path := fakeSocket(t, "commit")
	for _, tt := range []struct {
		text   string
		secret bool
	}{
		{`AT+CPIN=SECRET`, true},
		{`at+cpin="SECRET"`, true},
		{` AT +CPIN=SECRET`, true},
		{`+CPIN=SECRET`, true},
		{`AT+CSQ;+CPIN=SECRET`, true},
		{`ATE0+CPIN=SECRET`, true},
		{`AT+CPIN?;+CPIN=SECRET`, true},
		{`AT+CPIN2="SECRET"`, true},
		{`AT+CLCK="SC",1,"SECRET"`, true},
		{`AT+CPWD="SC","SECRET","1"`, true},
		{`AT+CGAUTH=1,1,"u","SECRET"`, true},
		{`AT^AUTHDATA=1,1,"","u","SECRET"`, true},
		{`AT$QCPDPP=1,1,"SECRET","u"`, true},
		{`AT+QICSGP=1,1,"a","u","SECRET",1`, true},
		{`AT+QESIM="download","LPA:1$a$SECRET"`, true},
		{`AT+QFTPCFG="account","u","SECRET"`, true},
		{`AT+XUNKNOWNPASSWORD="SECRET"`, true},
		{`AT+CSIM=26,"002000010853454352455400FF"`, true},
		{`AT+CGLA=1,26,"002C00010853454352455400FF"`, true},
		{`AT+CPIN?`, false},
		{`AT+CPIN=?`, false},
		{`AT+CSQ`, false},
		{`AT+CEREG?;+COPS?`, false},
		{`ATI`, false},
		{`AT+QENG="servingcell"`, false},
		{`AT+CRSM=176,28486,0,0,17`, false},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), []string{"modem", "at", tt.text, "--socket", path}, std{strings.NewReader(""), &out, &errs})
		if refused := code == exitUsage; refused != tt.secret {
			t.Errorf("%s: exit code %d, %s", tt.text, code, &errs)
		}
		if all := out.String() + errs.String(); strings.Contains(all, "SECRET") || strings.Contains(all, "534543") {
			t.Errorf("%s: shows it: %s", tt.text, all)
		}
	}
	fake.mu.Lock()
	defer fake.mu.Unlock()
	for _, c := range fake.changes {
		if strings.Contains(c, "SECRET") {
			t.Errorf("sent: %s", c)
		}
	}
}

// Until a card was reached the ways that will be tried are named.
func TestModemCardWay(t *testing.T) {
	var b strings.Builder
	writeModem(&b, hook.Modem{CardWay: &hook.ModemCardWay{Order: []string{"cgla", "csim"}}})
	if !strings.Contains(b.String(), "no way found yet of CGLA and CSIM\n") {
		t.Error(b.String())
	}
}
