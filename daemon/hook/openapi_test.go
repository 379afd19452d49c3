package hook

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/diag"
	"dynamod/daemon/hook/access"
	"dynamod/daemon/hook/conform"
	"dynamod/daemon/hook/gzipped"
	"dynamod/daemon/status"
)

var update = flag.Bool("update", false, "write docs/openapi.json and what is embedded of it")

// operation is what the Go code does not tell of a route.
type operation struct {
	id                  string
	body, answer        any    // nil for none
	media               string // of an answer that is not JSON
	status              int    // 0: 200, or 204 without an answer
	events              map[string]any
	query, header       []string
	socketOnly, tcpOnly bool
}

// nonce is the answer of the guard's own route.
type nonce struct {
	Nonce     string `json:"nonce"`
	ExpiresIn int    `json:"expires_in"`
}

var operations = map[string]operation{
	"POST /v1/activations":                   {id: "activate", body: ActivationRequest{}, answer: activation.Record{}, status: 202, header: []string{"Idempotency-Key"}},
	"GET /v1/activations":                    {id: "listActivations", answer: []activation.Record{}},
	"GET /v1/activations/{id}":               {id: "getActivation", answer: activation.Record{}},
	"DELETE /v1/activations/{id}":            {id: "cancelActivation"},
	"POST /v1/activations/{id}/answer":       {id: "answerActivation", body: AnswerRequest{}},
	"GET /v1/status":                         {id: "getStatus", answer: status.Snapshot{}},
	"GET /v1/events":                         {id: "streamEvents", media: "text/event-stream", header: []string{"Last-Event-ID"}, events: map[string]any{"status": status.Snapshot{}, "run": status.Run{}, "log": ""}},
	"GET /v1/card":                           {id: "getCard", answer: Card{}},
	"PUT /v1/card/default-smdp":              {id: "setDefaultSMDP", body: defaultSMDPRequest{}},
	"POST /v1/card/reset":                    {id: "resetCard", body: ResetRequest{}},
	"GET /v1/profiles":                       {id: "listProfiles", answer: []status.Profile{}},
	"GET /v1/profiles/{iccid}":               {id: "getProfile", answer: Profile{}},
	"POST /v1/profiles/{iccid}/enable":       {id: "enableProfile", query: []string{"no_way_back", "accept_limited"}},
	"POST /v1/profiles/{iccid}/disable":      {id: "disableProfile", query: []string{"force"}},
	"DELETE /v1/profiles/{iccid}":            {id: "deleteProfile", query: []string{"confirm", "force"}},
	"PUT /v1/profiles/{iccid}/nickname":      {id: "setNickname", body: nicknameRequest{}},
	"GET /v1/notifications":                  {id: "listNotifications", answer: []Notification{}},
	"POST /v1/notifications/deliver":         {id: "deliverNotifications"},
	"GET /v1/diag":                           {id: "diagnose", answer: diag.Diagnosis{}},
	"GET /v1/bundle":                         {id: "getBundle", media: "application/gzip"},
	"GET /v1/apn":                            {id: "explainAPN", answer: APN{}},
	"GET /v1/balance":                        {id: "getBalance", answer: status.Balance{}},
	"GET /v1/dynamo/operators":               {id: "listOperators", answer: Operators{}, query: []string{"msisdn"}},
	"POST /v1/dynamo/visits":                 {id: "beginVisit", body: VisitRequest{}, answer: PortalVisit{}, status: 201},
	"POST /v1/dynamo/callbacks":              {id: "takeCallback", body: CallbackRequest{}, answer: CallbackAnswer{}},
	"DELETE /v1/dynamo/visits/{transaction}": {id: "cancelVisit"},
	"GET /v1/log":                            {id: "getLog", answer: []LogRecord{}},
	"GET /v1/modem":                          {id: "getModem", answer: Modem{}},
	"GET /v1/modem/ports":                    {id: "listModemPorts", answer: []ModemPort{}},
	"POST /v1/modem/reset":                   {id: "resetModem", body: ModemResetRequest{}, answer: ModemReset{}},
	"GET /v1/modem/trace":                    {id: "streamTrace", media: "text/event-stream", events: map[string]any{"at": TraceLine{}}},
	"GET /v1/modem/usb-mode":                 {id: "getUSBMode", answer: USBMode{}},
	"POST /v1/modem/usb-mode":                {id: "setUSBMode", body: USBModeRequest{}, answer: USBMode{}},
	"POST /v1/modem/at":                      {id: "sendAT", body: ATRequest{}, answer: []ATAnswer{}, socketOnly: true},
	"POST /v1/modem/apdu":                    {id: "sendAPDUs", body: APDURequest{}, answer: APDUAnswers{}, socketOnly: true},
	"GET /v1/openapi.json":                   {id: "describe", answer: map[string]any(nil)},
	"GET /v1/nonce":                          {id: "getNonce", answer: nonce{}, tcpOnly: true},
	"GET /metrics":                           {id: "getMetrics", media: "text/plain"},
	"GET /healthz":                           {id: "isAlive", media: "text/plain"},
	"GET /readyz":                            {id: "isReady", media: "text/plain"},
}

// parameterTexts describe what is not in a path's own words.
var parameterTexts = map[string]string{
	"id":              "of a run",
	"msisdn":          "a phone number (E.164, +14255550100): its operator alone",
	"transaction":     "of a visit",
	"iccid":           "of a profile, 18 to 20 digits",
	"confirm":         "the ICCID once more",
	"force":           `"true" for a profile that is enabled`,
	"no_way_back":     `"true" for a profile that can never be disabled (PPR1) while another one is enabled`,
	"accept_limited":  `"true" for a profile that only reaches a portal`,
	"Idempotency-Key": "at most 128 bytes; the same key of the same caller gives the same run for as long as that is listed, 48 younger activations or more; with another order it is 422 key-reused",
	"Last-Event-ID":   "of the last event that was seen; what came after it is sent first",
}

func (op operation) parameters(path string) []any {
	var out []any
	add := func(name, in string) {
		s := map[string]any{"type": "string"}
		if strings.Contains(parameterTexts[name], `"true"`) {
			s["enum"] = []string{"true", "false"}
		}
		out = append(out, map[string]any{"name": name, "in": in, "required": in == "path", "description": parameterTexts[name], "schema": s})
	}
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			add(strings.TrimSuffix(name, "}"), "path")
		}
	}
	for _, name := range op.query {
		add(name, "query")
	}
	for _, name := range op.header {
		add(name, "header")
	}
	return out
}

func (op operation) code() int {
	switch {
	case op.status != 0:
		return op.status
	case op.answer == nil && op.media == "":
		return http.StatusNoContent
	}
	return http.StatusOK
}

func (op operation) answers() string { return http.StatusText(op.code()) }

// needs is the scope of a caller over TCP, "" where there is no such route.
func (op operation) needs(pattern string) string {
	if op.socketOnly {
		return ""
	}
	return access.Needs(pattern).String()
}

// security names the scope as OpenAPI 3.1 names a role.
func (op operation) security(pattern string) []any {
	scope := op.needs(pattern)
	if scope == "none" || scope == "" {
		return []any{}
	}
	roles := []string{scope}
	return []any{map[string]any{"token": roles}, map[string]any{"signature": roles}, map[string]any{"certificate": roles}}
}

var (
	routeLine = regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^ ?`]*)[^`]*` \\| (.*?) \\|")
	docLink   = regexp.MustCompile(`(?:, see )?\[([^\]]*)\]\([^)]*\)`)
)

// routeTexts are the first table of docs/hook.md, by pattern.
func routeTexts(t *testing.T) map[string]string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/hook.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range routeLine.FindAllStringSubmatch(string(doc), -1) {
		out[m[1]] = docLink.ReplaceAllStringFunc(m[2], func(link string) string {
			if strings.HasPrefix(link, ", see ") {
				return ""
			}
			return docLink.FindStringSubmatch(link)[1]
		})
	}
	return out
}

func licence(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../LICENSE")
	if err != nil || !strings.Contains(string(text), "Apache License") {
		t.Fatalf("which licence? %v", err)
	}
	return "Apache-2.0"
}

// The description is made from the Go types and their comments, the scopes, and the
// table of docs/hook.md; what is embedded is what is made of them now.
func TestDescription(t *testing.T) {
	made, err := json.MarshalIndent(newDescriber().document(t, operations, routeTexts(t)), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		writeDescription(t, made)
	}
	hint := "; `go generate ./daemon/hook` makes it anew"
	if doc, err := os.ReadFile("../../docs/openapi.json"); err != nil || !bytes.Equal(doc, made) {
		t.Errorf("docs/openapi.json is not what the code says: %v%s", err, hint)
	}
	if got, err := gzipped.Plain(description); !*update && (err != nil || !bytes.Equal(got, compact(t, made))) {
		t.Errorf("what is embedded is not what the code says: %v%s", err, hint)
	}
	if len(description) > 20<<10 {
		t.Errorf("it takes %d bytes of the binary", len(description))
	}
}

func compact(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func writeDescription(t *testing.T, made []byte) {
	t.Helper()
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(compact(t, made))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{"../../docs/openapi.json": made, "openapi.json.gz": packed.Bytes()} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func describedAPI(t *testing.T) *conform.Document {
	t.Helper()
	text, err := gzipped.Plain(description)
	if err != nil {
		t.Fatal(err)
	}
	d, err := conform.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every route is described and every description is a route, with its scope; the
// page is not part of the API.
func TestRoutesAreDescribed(t *testing.T) {
	s := New(&fakeDaemon{}, status.New("test", time.Now), slog.New(slog.DiscardHandler))
	routes := map[string]bool{"GET /v1/nonce": false} // the guard's
	for pattern := range s.routes() {
		if _, path, _ := strings.Cut(pattern, " "); strings.HasPrefix(path, "/v1/") || slices.Contains([]string{"/healthz", "/readyz", "/metrics"}, path) {
			routes[pattern] = false
		}
	}
	for pattern := range s.localRoutes() {
		routes[pattern] = true
	}
	d := describedAPI(t)
	if got, want := d.Patterns(), slices.Sorted(maps.Keys(routes)); !slices.Equal(got, want) {
		t.Errorf("described are %q, routes are %q", got, want)
	}
	for pattern, local := range routes {
		op, ok := d.Operation(pattern)
		if !ok {
			continue
		}
		if op.Summary == "" {
			t.Errorf("%s has no line in the table of docs/hook.md", pattern)
		}
		if op.SocketOnly != local {
			t.Errorf("%s is on the socket alone: %v, described as %v", pattern, local, op.SocketOnly)
		}
		scope := "none"
		for _, way := range op.Security {
			for _, roles := range way {
				scope = strings.Join(roles, " ")
			}
		}
		if want := access.Needs(pattern).String(); !local && scope != want {
			t.Errorf("%s is described with the scope %s, it needs %s", pattern, scope, want)
		}
	}
}

// TestDescriptionByOthers holds the description against OpenAPI's own schema, by a
// program that does not know ours.
func TestDescriptionByOthers(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "python3", "-c", "import openapi_spec_validator").CombinedOutput(); err != nil {
		t.Skipf("no openapi-spec-validator here: %.200s", out)
	}
	if out, err := exec.CommandContext(t.Context(), "python3", "-m", "openapi_spec_validator", "../../docs/openapi.json").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDescriptionIsServed(t *testing.T) {
	c, _, _ := serve(t, &fakeDaemon{})
	var packed, plain map[string]any
	if err := c.Do(t.Context(), "GET", "/v1/openapi.json", nil, nil, &packed); err != nil { // net/http asks for gzip
		t.Error(err)
	}
	for _, coding := range []string{"identity", "gzip;q=0"} {
		if err := c.Do(t.Context(), "GET", "/v1/openapi.json", http.Header{"Accept-Encoding": {coding}}, nil, &plain); err != nil {
			t.Errorf("%s: %v", coding, err)
		}
	}
	if len(packed) == 0 || len(packed) != len(plain) || packed["openapi"] != "3.1.0" {
		t.Errorf("packed it has %d members, plain %d", len(packed), len(plain))
	}
}

// A description that cannot tell right from wrong would be of no use.
func TestConformTells(t *testing.T) {
	d := describedAPI(t)
	for _, row := range []struct {
		name, schema, text string
		fits               bool
	}{
		{"a run", "Run", `{"id": "A", "state": "done", "mark": "", "smdp": "", "started": "2026-11-23T11:50:52.141Z"}`, true},
		{"without a member", "Run", `{"id": "A", "mark": "", "smdp": "", "started": "2026-11-23T11:50:52.141Z"}`, false},
		{"a state that is none", "Run", `{"id": "A", "state": "sleeping", "mark": "", "smdp": "", "started": "2026-11-23T11:50:52.141Z"}`, false},
		{"a time that is none", "Run", `{"id": "A", "state": "done", "mark": "", "smdp": "", "started": "today"}`, false},
		{"a member more", "Run", `{"id": "A", "state": "done", "mark": "", "smdp": "", "started": "2026-11-23T11:50:52.141Z", "code": "x"}`, false},
		{"a list that is null", "Card", `{"eid": "1", "issuers": null}`, false},
		{"a fraction", "ActivationRequest", `{"deadline_seconds": 1.5}`, false},
		{"a request with a member more", "ActivationRequest", `{"cod": "x"}`, false},
		{"below", "ActivationRequest", `{"apn": {"apn": "x", "pasword": "x"}}`, false},
	} {
		if err := d.Check(&conform.Schema{Ref: "#/components/schemas/" + row.schema}, []byte(row.text), true); (err == nil) != row.fits {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
