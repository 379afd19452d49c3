//go:build !nodemo

package demo

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/ci"
	"dynamod/euicc/es9p"
	"dynamod/euicc/lpa"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

// download brings the lab's last order to its card, by the SM-DS if so told.
func download(t *testing.T, l *Lab, discover bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	resolve := map[string]string{}
	for name, serve := range map[string]func(context.Context, net.Listener) error{SMDP: l.ServeRSP, SMDS: l.ServeSMDS} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		resolve[name] = ln.Addr().String()
		wg.Go(func() {
			if err := serve(ctx, ln); err != nil {
				t.Error(err)
			}
		})
	}
	c, err := lpa.Open(ctx, lpa.Config{
		Transport: l.Card, IMEI: "490154203237518",
		ExtraCI: []ci.Root{{Name: "lab", KeyID: l.CI.Cert.SubjectKeyId, Cert: l.CI.Cert}},
		HTTP:    es9p.Config{Resolve: resolve},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var code euicc.ActivationCode
	if discover {
		events, err := c.Discover(ctx, info.RootSMDS)
		if err != nil || len(events) != 1 {
			t.Fatalf("discovery: %v, %v", events, err)
		}
		code = events[0].Code()
	} else if code, err = euicc.ParseActivationCode(l.Profiles[len(l.Profiles)-1].Code); err != nil {
		t.Fatal(err)
	}
	o, err := c.Authenticate(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Download(ctx, "", nil); err != nil {
		t.Fatal(err)
	}
}

func pems(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "identities", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(n)] = string(b)
	}
	return out
}

// A kept lab is the same one at the next run: card, certificates, profiles.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Keep: true}
	first, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	download(t, first, false)
	files := pems(t, dir)
	for _, name := range []string{"ci", "eum", "euicc", "dpauth", "dppb", "dptls", "dsauth", "dstls"} {
		for _, f := range []string{name + ".pem", name + ".key.pem"} {
			if files[f] == "" {
				t.Errorf("%s was not kept", f)
			}
		}
	}
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if second.Card.EID() != first.Card.EID() || len(second.Card.Installed()) != 1 || !second.Operator.reported[first.Profiles[0].ICCID] {
		t.Errorf("EID %s, %+v", second.Card.EID(), second.Card.Installed())
	}
	for f, text := range pems(t, dir) {
		if strings.HasSuffix(f, ".key.pem") && text != files[f] {
			t.Errorf("%s is another one", f)
		}
	}
	if a, b := first.Profiles[0].ICCID, second.Profiles[0].ICCID; a == b {
		t.Errorf("the second run offers %s again, which is on the card", a)
	}
	download(t, second, false)

	// Somebody else's issuer has no key to give: what is there serves, what is
	// missing cannot be made.
	if err := os.Remove(filepath.Join(dir, "identities", "ci.key.pem")); err != nil {
		t.Fatal(err)
	}
	third, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	download(t, third, false)
	if n := len(third.Card.Installed()); n != 3 {
		t.Errorf("%d profiles on the card", n)
	}
	if err := os.Remove(filepath.Join(dir, "identities", "dppb.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "no CI key") {
		t.Errorf("without DPpb and the issuer's key: %v", err)
	}
}

// A server's identity of another OID is taken as it is.
func TestKeepOtherOID(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Keep: true}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "identities")
	now := l.CI.Cert.NotBefore.AddDate(0, 0, 1)
	for name, issue := range map[string]func() (*sgp26.Authority, error){
		"dpauth": func() (*sgp26.Authority, error) { return sgp26.NewDPauth(l.CI, "2.999.77", now) },
		"dppb":   func() (*sgp26.Authority, error) { return sgp26.NewDPpb(l.CI, "2.999.77", now) },
	} {
		a, err := issue()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Export(at, name); err != nil {
			t.Fatal(err)
		}
	}
	if l, err = New(o); err != nil {
		t.Fatal(err)
	}
	download(t, l, false)
	if err := os.WriteFile(filepath.Join(at, "euicc.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a broken file: %v", err)
	}
}

// The lab's card finds its order at the lab's SM-DS, without any code.
func TestLabDiscovery(t *testing.T) {
	lab, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	upp, err := lab.newProfile("")
	if err != nil {
		t.Fatal(err)
	}
	p, err := lab.offer("", smdpsim.Order{UPP: upp, EID: lab.Card.EID(), Discover: SMDP})
	if err != nil {
		t.Fatal(err)
	}
	download(t, lab, true)
	if got := lab.Card.Installed(); len(got) != 1 || got[0].ICCID != p.ICCID || !bytes.Equal(got[0].Package, upp) {
		t.Errorf("card holds %+v", got)
	}
}

func TestCardOptions(t *testing.T) {
	l, err := New(Options{Dir: t.TempDir(), CardOptions: []string{"version=2.2", "nvm=100000", "max-lc=100", "get-response=yes", "strict-segments=no", "forbidden=1+2"}})
	if err != nil {
		t.Fatal(err)
	}
	// GET RESPONSE of T=0, and 100 bytes a command at most.
	channel := l.Card.APDU([]byte{0x00, 0x70, 0x00, 0x00, 0x01})
	if !bytes.Equal(channel, []byte{1, 0x90, 0}) {
		t.Fatalf("channel %x", channel)
	}
	long := append([]byte{0x01, 0xA4, 0x04, 0x00, 101}, make([]byte, 101)...)
	if got := l.Card.APDU(long); !bytes.Equal(got, []byte{0x67, 0x00}) {
		t.Errorf("101 bytes: %x", got)
	}
	for _, bad := range []string{"version=9", "nvm=x", "max-lc=0", "get-response=maybe", "forbidden=3", "colour=red", ""} {
		if _, err := New(Options{Dir: t.TempDir(), CardOptions: []string{bad}}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
