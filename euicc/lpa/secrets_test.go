package lpa

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/es9p"
	"dynamod/euicc/smdpsim"
)

// No error, log line or printed value of the library holds a matching ID or a
// confirmation code, whatever the server does, also when it repeats them.
func TestNoSecretAnywhere(t *testing.T) {
	const matching, cc = "SECRET-MATCHING-ID", "SECRET-CC"
	status := func(f smdpsim.Function, subject, reason string) smdpsim.Fault {
		return smdpsim.Fault{Kind: smdpsim.FaultStatus, Function: f, Subject: subject, Reason: reason}
	}
	for _, f := range []smdpsim.Fault{
		{}, // none
		{Kind: smdpsim.FaultServerSignature}, {Kind: smdpsim.FaultEUICCChallenge}, {Kind: smdpsim.FaultServerAddress},
		{Kind: smdpsim.FaultDPauthExpired}, {Kind: smdpsim.FaultDPauthOtherCI}, {Kind: smdpsim.FaultSMDPSignature2}, {Kind: smdpsim.FaultBPPSignature},
		{Kind: smdpsim.FaultMetadataMismatch}, {Kind: smdpsim.FaultTLSExpired}, {Kind: smdpsim.FaultTLSOtherCI}, {Kind: smdpsim.FaultTLSWrongHost},
		{Kind: smdpsim.FaultHTML}, {Kind: smdpsim.FaultHTTPStatus, HTTP: 502}, {Kind: smdpsim.FaultDropRequest},
		{Kind: smdpsim.FaultDropAnswer, Function: smdpsim.GetBoundProfilePackage, After: 900}, {Kind: smdpsim.FaultTruncate, Function: smdpsim.AuthenticateClient, After: 100},
		{Kind: smdpsim.FaultRedirect, Location: "https://other.lab.test/" + matching},
		status(smdpsim.AuthenticateClient, "8.2.6", "3.8"), status(smdpsim.GetBoundProfilePackage, "8.2.7", "3.8"),
	} {
		var log bytes.Buffer
		l := newLab(t)
		l.cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		code := l.order(smdpsim.Order{MatchingID: matching, ConfirmationCode: cc})
		if f.Kind != "" {
			if err := l.server.SetFault(f); err != nil {
				t.Fatal(err)
			}
		}
		c := l.open()
		o, err := c.Authenticate(t.Context(), code)
		printed := []any{code, &code, c, Event{code.Address, code.MatchingID}, l.cfg}
		if err == nil {
			_, err = o.Download(t.Context(), cc, nil)
			printed = append(printed, o, o.Cancellation())
		}
		if err != nil {
			printed = append(printed, err)
			if e, ok := errors.AsType[*euicc.Error](err); ok {
				printed = append(printed, e.Hint(), *e, e.Code)
			}
		}
		if (err == nil) != (f.Kind == "") {
			t.Errorf("%s: %v", f.Kind, err)
		}
		out := log.String()
		for _, v := range printed {
			out += fmt.Sprintf("%v %+v %s\n", v, v, v)
			if _, isErr := v.(euicc.Error); !isErr {
				out += fmt.Sprintf("%#v\n", v)
			}
		}
		for _, secret := range []string{matching, cc} {
			if i := strings.Index(out, secret); i >= 0 {
				t.Errorf("%s %s/%s: secret in ...%s", f.Kind, f.Subject, f.Reason, out[max(0, i-200):i+len(secret)])
			}
		}
	}
}

// A server's message may repeat what it was asked for: it is kept out of the
// error's text, and the secrets out of the message.
func TestServerRepeatsSecret(t *testing.T) {
	const body = `{"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":{"subjectCode":"8.2.6","reasonCode":"3.8","message":"unknown SECRET-ID"}}}}`
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	l := newLab(t)
	s.TLS = l.server.TLSConfig()
	s.StartTLS()
	t.Cleanup(s.Close)
	l.cfg.HTTP.Resolve[testHost] = s.Listener.Addr().String()
	_, err := l.open().Authenticate(t.Context(), euicc.ActivationCode{Address: testHost, MatchingID: "SECRET-ID"})
	status, ok := errors.AsType[*es9p.StatusError](err)
	if !ok || status.Message != "unknown (redacted)" {
		t.Fatalf("got %v", err)
	}
	if out := fmt.Sprintf("%v %+v %#v", err, err, status); strings.Contains(out, "SECRET-ID") {
		t.Errorf("secret in %s", out)
	}
}
