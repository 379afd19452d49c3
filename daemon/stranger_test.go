//go:build linux && !nodemo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/hook"
	"dynamod/daemon/learned"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

// TestStrangers runs the real program, `dynamod run` and `dynamod activate`,
// against a modem, an SM-DP+ and a CI that it has never seen.
func TestStrangers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		traits strangerTraits
		raw    bool // raw IP, address by AT commands
		card   euiccsim.Config
		block  int // that has to be remembered
	}{
		{name: "opaque handle, echo, single bytes, URCs", traits: strangerTraits{handle: "hex", split: true, urcs: true}},
		{name: "bare +CCHO and +CGLA", traits: strangerTraits{handle: "bare", urcs: true}},
		{name: "few commands", traits: strangerTraits{few: true, handle: "hex"}},
		{name: "few commands, raw IP", traits: strangerTraits{few: true, late: true}, raw: true},
		{name: "raw IP, +CGCONTRDP", traits: strangerTraits{dnsAnswers: true, urcs: true}, raw: true},
		{name: "+CSIM only, 61xx handed up", traits: strangerTraits{csim: true}, card: euiccsim.Config{GetResponse: true}},
		{name: "+CSIM only, few commands", traits: strangerTraits{csim: true, few: true}},
		{name: "REFRESH ignored", traits: strangerTraits{noRefresh: true, handle: "hex"}},
		{name: "blocks of 120 bytes", traits: strangerTraits{maxAPDU: 125, few: true}, block: 120},
		{name: "blocks of 120 bytes, +CME ERROR", traits: strangerTraits{maxAPDU: 125, csim: true}, block: 120},
		{name: "card that takes 120 bytes", card: euiccsim.Config{MaxLc: 120}, block: 120},
		{name: "CR only", traits: strangerTraits{end: "\r", handle: "hex"}},
		{name: "blank lines and NUL before answers", traits: strangerTraits{before: "\r\n\r\n\x00\x00", split: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			meetStranger(t, tt.traits, tt.raw, tt.card, tt.block)
		})
	}
}

// strangerOperator is an operator's network over the lab's.
type strangerOperator struct {
	net   netlab.Network
	mu    sync.Mutex
	lines map[string]bool // ICCIDs that are reported as installed
	early int             // registrations before the report
}

func (o *strangerOperator) hear(n smdpsim.Notification) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n.Verified && n.Result != nil {
		o.lines[n.ICCID] = true
	}
}

func (o *strangerOperator) register(imsi, iccid string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.lines[iccid] {
		o.early++
	}
	return o.lines[iccid] && strings.HasPrefix(imsi, "00101")
}

func (o *strangerOperator) activate(apn string) (string, []string, error) {
	if apn != strangerAPN {
		return "", nil, fmt.Errorf("unknown APN %q", apn)
	}
	l := o.net.Options().Lease()
	var dns []string
	for _, a := range l.DNS {
		dns = append(dns, a.String())
	}
	return l.Addr.Addr().String(), dns, o.net.Activate(l)
}

func (o *strangerOperator) deactivate() { o.net.Deactivate() }

const (
	strangerAPN  = "iot.stranger.test"
	strangerSMDP = "rsp.stranger.test"
)

func meetStranger(t *testing.T, traits strangerTraits, raw bool, card euiccsim.Config, block int) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	n, err := netlab.New(ctx, netlab.Options{RawIP: raw})
	if errors.Is(err, netlab.ErrForbidden) || errors.Is(err, netlab.ErrNoTUN) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	target := netlab.ReachTarget
	if raw && !traits.dnsAnswers {
		target = "http://" + netlab.ReachAddr.String() + "/" // neither DHCP nor +CGCONTRDP names a server
	}
	now := time.Now()
	ci := strangerCI(t, filepath.Join(dir, "their-ci.pem"))
	eum, err := sgp26.NewEUM(ci, now)
	must(err)
	const eid = "89049032000000000000000000000051"
	id, err := sgp26.NewEUICC(eum, eid, now)
	must(err)
	card.EID, card.EUICC, card.EUM = eid, id, eum.Cert
	card.CI = append(card.CI, ci.Cert)
	euicc, err := euiccsim.New(card)
	must(err)
	dp, err := smdpsim.New(smdpsim.Config{Address: strangerSMDP, CI: ci, OID: "2.999.77"})
	must(err)
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8900101000000000777", IMSI: "001010000000777", MNCDigits: 2, SPN: "Stranger"})
	must(err)
	code, err := dp.AddOrder(smdpsim.Order{MatchingID: "ORDER-7", UPP: upp, Metadata: smdpsim.Metadata{Provider: "Stranger", Name: "Line 7"}})
	must(err)
	operator := &strangerOperator{net: n, lines: map[string]bool{}}
	dp.OnNotification(operator.hear)

	server := netip.AddrPortFrom(netlab.SMDPAddr, 8443)
	ln, err := n.ListenInternet("tcp", server.String())
	must(err)
	srv := &http.Server{Handler: strangerFront(dp.Handler()), TLSConfig: dp.TLSConfig(), ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(ln, "", "") }()
	defer func() { srv.Close(); <-served }()
	modem := openStranger(t, filepath.Join(dir, "tty"), traits, euicc.APDU, operator)
	defer modem.close()

	must(os.Mkdir(filepath.Join(dir, "operators.d"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "operators.d", "stranger.json"), fmt.Appendf(nil,
		`[{"id":"s","name":"Stranger","targets":[{"mccmnc":["00101"]}],"connections":[{"apn":%q,"purposes":["internet","attach"],"ipType":"ipv4"}]}]`, strangerAPN), 0o644))
	must(os.WriteFile(filepath.Join(dir, "code"), []byte(code+"\n"), 0o600))
	conf := filepath.Join(dir, "dynamod.toml")
	must(os.WriteFile(conf, fmt.Appendf(nil, `
[modem]
port = %q
[lpa]
ci = [%q]
[lpa.resolve]
%q = %q
[uplink]
interface = %q
dns_file = %q
[reach]
targets = [%q]
[state]
dir = %q
run = %q
[operators]
dir = %q
[hook]
socket = %q
[log]
level = "debug"
`, filepath.Join(dir, "tty"), filepath.Join(dir, "their-ci.pem"), strangerSMDP, server, n.Options().Interface(), filepath.Join(dir, "resolv.conf"),
		target, filepath.Join(dir, "state"), filepath.Join(dir, "run"), filepath.Join(dir, "operators.d"), filepath.Join(dir, "run", "s")), 0o644))

	client := hook.Dial(filepath.Join(dir, "run", "s"))
	daemon, err := startDaemon(ctx, n, client, exec.Command("dynamod", "run", "--config", conf))
	must(err)
	defer daemon.kill()
	var out, errs bytes.Buffer
	activate := exec.CommandContext(ctx, "dynamod", "activate", "--config", conf, "--code-file", filepath.Join(dir, "code"), "--yes", "--json")
	activate.Stdout, activate.Stderr = &out, &errs
	if err := activate.Run(); err != nil {
		t.Fatalf("activate: %v\n%s\n%s\n%s", err, out.String(), errs.String(), daemon.log.String())
	}
	var last struct{ Outcome status.Outcome }
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Outcome != status.Committed {
		t.Errorf("activate's last line: %s, %v", lines[len(lines)-1], err)
	}
	var snap status.Snapshot
	must(client.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap))
	if snap.State != status.Up {
		t.Errorf("the link is %s: %s", snap.State, snap.Reason)
	}
	if c, err := n.Counters(); err != nil || c.Reached == 0 {
		t.Errorf("nothing crossed the link: %+v, %v", c, err)
	}
	installed := euicc.Installed()
	if len(installed) != 1 || !installed[0].Enabled || !bytes.Equal(installed[0].Package, upp) {
		t.Errorf("on the card: %d profiles", len(installed))
	}
	if operator.early > 0 {
		t.Errorf("%d registrations came before the installation was reported", operator.early)
	}
	if block > 0 {
		known, err := learned.Open(filepath.Join(dir, "state", "learned.json"), time.Now)
		must(err)
		if f, _ := known.Firmware("S-1 S1 v1.02 " + eid); f.BlockSize != block {
			t.Errorf("%d bytes a block are remembered, want %d", f.BlockSize, block)
		}
	}
	if t.Failed() {
		t.Log(daemon.log.String())
	}
}
