//go:build linux && !nodemo

package main

import (
	"net/http"
	"strings"
	"testing"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/diag"
)

// TestDiag breaks one thing after the other below a real daemon, and expects the
// walk to name it.
func TestDiag(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.config("[reach]\n", "[reach]\ntimeout = \"1s\"\n")
	b.start()
	b.waitUp()
	for _, tt := range []struct {
		name   string
		harm   func()
		node   string // "" for none
		text   string // a part of it
		advice string
	}{
		{"all is well", func() {}, "", "", ""},
		{"a portal", func() { b.n.Portal("http://portal.test/login") }, "reach", "only a portal answers", "credit"},
		{"the network swallows everything", func() { b.must(b.n.Blackhole(true)) }, "dns", "nothing answers through the link", "APN"},
		{"the network denies", func() { b.must(b.w.Modem.SetFault("deny", atsim.Fault{Code: 11})) }, "registration", "denied, PLMN not allowed (#11)", "another place"},
		{"the slot is empty", func() { b.must(b.w.Modem.SetFault("cme", atsim.Fault{Command: "+CPIN", Code: 10})) }, "sim", "absent", "insert a SIM"},
	} {
		tt.harm()
		var d diag.Diagnosis
		b.must(b.client.Do(b.ctx, http.MethodGet, "/v1/diag", nil, nil, &d))
		node := diag.Node{}
		for _, n := range d.Nodes {
			if n.State == diag.Broken {
				node = n
				break
			}
		}
		if d.OK != (tt.node == "") || node.Name != tt.node || !strings.Contains(node.Text, tt.text) || !strings.Contains(node.Advice, tt.advice) || node.Advice == "" && tt.node != "" {
			t.Errorf("%s: %+v", tt.name, d)
		}
		b.n.Portal("")
		b.must(b.n.Blackhole(false))
		b.w.Modem.ClearFault("")
		b.waitUp()
	}
	b.stop()
	// Without the daemon, and without the modem.
	b.port("/dev/ttyNONE")
	got := b.dynamod("", "diag", "--direct", "--config", b.configPath())
	if got.exit != exitFailed || !strings.Contains(got.stdout, "[FAIL] port") || !strings.Contains(got.stdout, "[    ] reach") || !strings.Contains(got.stdout, "depends on port") ||
		!strings.Contains(got.stdout, "-> name the modem's AT port in [modem] port") {
		t.Errorf("exit %d\n%s%s", got.exit, got.stdout, got.stderr)
	}
	b.noSecrets("diag", got.stdout+got.stderr)
}
