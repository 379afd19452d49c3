package access

import (
	"testing"
)

func TestNeeds(t *testing.T) {
	for pattern, want := range map[string]Scope{
		"GET /healthz": None, "GET /v1/nonce": None, "GET /readyz": Read, "GET /v1/status": Read,
		"POST /v1/activations": Activate, "DELETE /v1/activations/{id}": Activate, "POST /v1/profiles/{iccid}/enable": Activate,
		"DELETE /v1/profiles/{iccid}": Admin, "POST /v1/card/reset": Admin, "POST /v1/modem/reset": Admin, "GET /v1/modem/trace": Admin,
		"": Admin, "PATCH /v1/new": Admin,
	} {
		if got := Needs(pattern); got != want {
			t.Errorf("%s needs %s, want %s", pattern, got, want)
		}
	}
	for _, text := range []string{"", "none", "Admin", "root"} {
		if _, err := ParseScope(text); err == nil {
			t.Errorf("scope %q is taken", text)
		}
	}
}
