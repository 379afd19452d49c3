//go:build linux && !nodemo

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/demo"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/diag"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
	"dynamod/netlink"
)

// TestBootstrap has a real daemon in a kernel of its own, whose only link is that of
// a profile for provisioning: the router's traffic has no way by it, a download has.
// The profile that it brings is the router's, until the configuration says that it is
// for bootstrap, too.
func TestBootstrap(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := netlab.New(ctx, netlab.Options{SingleUplink: true})
	if errors.Is(err, netlab.ErrForbidden) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8900101000000999992", IMSI: "001010000000099", MNCDigits: 2, SPN: demo.Operator})
	if err != nil {
		t.Fatal(err)
	}
	w, err := demo.Open(ctx, n, demo.Options{
		Dir: dir, Dialect: "quectel", Log: slog.New(slog.DiscardHandler),
		Earlier: upp, EarlierIs: euiccsim.Metadata{Name: "Bootstrap", Class: euiccsim.ClassProvisioning},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	box := &bootstrapBox{t: t, ctx: ctx, n: n, dir: dir, client: hook.Dial(filepath.Join(dir, "run", "dynamod.sock"))}

	p := box.start()
	box.link("at the first start", true)
	first := box.kernel()
	p.kill()
	p = box.start()
	box.link("taken over by the next daemon", true)
	if again := box.kernel(); !slices.Equal(first, again) {
		t.Errorf("applied twice:\n%q\n%q", first, again)
	}

	var rec activation.Record
	if err := box.client.Do(ctx, http.MethodPost, "/v1/activations", nil, hook.ActivationRequest{Code: w.Profiles[0].Code, Consent: true}, &rec); err != nil {
		t.Fatalf("%v\n%s", err, p.log.String())
	}
	for rec.Ended == nil {
		if err := box.client.Do(ctx, http.MethodGet, "/v1/activations/"+rec.ID, nil, nil, &rec); err != nil {
			t.Fatalf("%v\n%s", err, p.log.String())
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the run does not end\n%s", p.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if rec.Outcome != status.Committed {
		t.Fatalf("%+v\n%s", rec, p.log.String())
	}
	box.link("with the new profile", false)

	config, err := os.ReadFile(filepath.Join(dir, "dynamod.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bootstrap := range []bool{true, false} {
		text := string(config)
		if bootstrap {
			text += "\n[fallback]\nbootstrap = [\"" + rec.ICCID + "\"]\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "dynamod.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		box.link("after a change of the configuration", bootstrap)
	}

	// The way back to the one that it came with, and forward.
	for _, to := range []struct {
		iccid     string
		bootstrap bool
	}{{"8900101000000999992", true}, {rec.ICCID, false}} {
		if err := box.client.Do(ctx, http.MethodPost, "/v1/profiles/"+to.iccid+"/enable", nil, nil, nil); err != nil {
			t.Fatalf("%v\n%s", err, p.log.String())
		}
		box.link("after a switch", to.bootstrap)
	}
	p.kill()
}

// bootstrapBox is a router with its daemon.
type bootstrapBox struct {
	t      *testing.T
	ctx    context.Context
	n      *netlab.Lab
	dir    string
	client *hook.Client
}

func (b *bootstrapBox) start() *daemonProcess {
	b.t.Helper()
	p, err := startDaemon(b.ctx, b.n, b.client, exec.Command("dynamod", "run", "--config", filepath.Join(b.dir, "dynamod.toml")))
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// kernel lists what is ours there.
func (b *bootstrapBox) kernel() (list []string) {
	b.t.Helper()
	snap, err := b.n.Kernel().Snapshot(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range snap.Routes {
		if r.Protocol == netlink.Protocol {
			list = append(list, r.String())
		}
	}
	for _, r := range snap.Rules {
		if r.Protocol == netlink.Protocol {
			list = append(list, r.String())
		}
	}
	return list
}

// link waits for the link to be up as wanted, and looks at it from all sides.
func (b *bootstrapBox) link(when string, bootstrap bool) {
	t := b.t
	t.Helper()
	for {
		var snap status.Snapshot
		err := b.client.Do(b.ctx, http.MethodGet, "/v1/status", nil, nil, &snap)
		if err == nil && snap.State == status.Up && snap.Link != nil && snap.Link.Bootstrap == bootstrap {
			break
		}
		select {
		case <-b.ctx.Done():
			t.Fatalf("%s: %v, link %s (%s) %+v", when, err, snap.State, snap.Reason, snap.Link)
		case <-time.After(20 * time.Millisecond):
		}
	}
	snap, err := b.n.Kernel().Snapshot(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	ofMain := slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool {
		return r.Protocol == netlink.Protocol && r.Table == netlink.TableMain
	})
	ofOwn := slices.ContainsFunc(snap.Routes, func(r netlink.Route) bool {
		return r.Protocol == netlink.Protocol && r.Table == 700 && r.Default()
	})
	if ofMain == bootstrap || !ofOwn || len(snap.Rules) == 0 {
		t.Errorf("%s: in the main table %v, in its own %v, rules %v", when, ofMain, ofOwn, snap.Rules)
	}
	// An ordinary program of the router's.
	c, err := b.n.Dial(b.ctx, "tcp", netip.AddrPortFrom(netlab.SMDPAddr, 443).String())
	if err == nil {
		c.Close()
	}
	if bootstrap && !errors.Is(err, syscall.ENETUNREACH) || !bootstrap && err != nil {
		t.Errorf("%s: an ordinary connection: %v", when, err)
	}
	dns, err := os.ReadFile(filepath.Join(b.dir, "resolv.conf"))
	if there := strings.Contains(string(dns), "nameserver"); there == bootstrap {
		t.Errorf("%s: the DNS file is %q, %v", when, dns, err)
	}
	var d diag.Diagnosis
	if err := b.client.Do(b.ctx, http.MethodGet, "/v1/diag", nil, nil, &d); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(d.Nodes, func(n diag.Node) bool { return n.Name == "route" })
	if !d.OK || i < 0 || strings.Contains(d.Nodes[i].Text, "bootstrap") != bootstrap {
		t.Errorf("%s: the diagnosis: %+v", when, d.Nodes)
	}
}
