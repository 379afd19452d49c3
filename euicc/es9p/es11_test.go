package es9p

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// SGP.22 5.8.2, with the field names that lpac (euicc/es9p.c) and euicc-go
// (v2/es11.go) read.
func TestES11(t *testing.T) {
	var got map[string]string
	var path, answer string
	c := good(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, got = r.URL.Path, nil
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, answer)
	}))
	for _, tt := range []struct {
		name, answer string
		events       int
		err          string
	}{
		{"two events", `{` + success + `,"transactionId":"0aB1","eventEntries":[{"eventId":"SECRET-1","rspServerAddress":"smdp.example.com"},{"eventId":"SECRET-2","rspServerAddress":"ds2.example.com","later":1}]}`, 2, ""},
		{"none", `{` + success + `,"transactionId":"0aB1","eventEntries":[]}`, 0, ""},
		{"no list", `{` + success + `,"transactionId":"0aB1"}`, 0, ""},
		{"no such event", `{"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":{"subjectCode":"8.9.5","reasonCode":"3.9"}}}}`, 0, "8.9.5/3.9"},
		{"no transaction ID", `{` + success + `,"eventEntries":[]}`, 0, "transaction ID"},
		{"list that is none", `{` + success + `,"transactionId":"0aB1","eventEntries":"x"}`, 0, "cannot be decoded"},
	} {
		answer = tt.answer
		r, err := AuthenticateClientES11{"0aB1", []byte{1}}.Execute(t.Context(), c, host)
		if path != "/gsma/rsp2/es9plus/authenticateClient" || fmt.Sprint(got) != "map[authenticateServerResponse:AQ== transactionId:0aB1]" {
			t.Errorf("%s: request %s %v", tt.name, path, got)
		}
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil || len(r.Events) != tt.events {
			t.Errorf("%s: %+v, %v", tt.name, r, err)
			continue
		}
		if tt.events == 2 && (r.Events[0].EventID.Reveal() != "SECRET-1" || r.Events[1].Address != "ds2.example.com") {
			t.Errorf("%s: %+v", tt.name, r.Events)
		}
		if s := fmt.Sprintf("%v %+v %#v", r.Events, r.Events, r.Events); strings.Contains(s, "SECRET") {
			t.Errorf("event ID in %s", s)
		}
	}
	if _, err := (AuthenticateClientES11{"0aB1", []byte{1}}).Execute(t.Context(), c, "x y"); !errors.As(err, new(*NetworkError)) {
		t.Errorf("bad address: %v", err)
	}
}
