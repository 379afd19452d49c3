//go:build !nodemo

package demo

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/activation"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/gateway"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/bertlv"
	"dynamod/netlink"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// memoryCarrier is a packet side over nlsim: traffic passes when the operator
// has a context up and the router's link has its address.
type memoryCarrier struct {
	mu sync.Mutex
	up bool
	k  *nlsim.Kernel
}

func (c *memoryCarrier) Up(atsim.Lease) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = true
	c.k.SetCarrier("wwan0", true)
	return nil
}

func (c *memoryCarrier) Swallow()      {}
func (c *memoryCarrier) Portal(string) {}

func (c *memoryCarrier) Down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = false
	c.k.SetCarrier("wwan0", false)
}

func (c *memoryCarrier) Wall(bool, ...netip.Addr) error { return nil }
func (c *memoryCarrier) Traffic() (int64, error)        { return 0, nil }

// TestMainJob runs the gateway against the whole lab, with the kernel in memory.
func TestMainJob(t *testing.T) {
	upps := []string{""}
	for _, name := range []string{"TS48V1-A-UNIQUE.der", "TS48V2-SAIP2-1-BERTLV-UNIQUE.der", "TS48V5-SAIP2-3-BERTLV-SUCI-UNIQUE.der"} {
		upps = append(upps, filepath.Join("..", "..", "..", "shared", "data", "ts48", name))
	}
	for _, upp := range upps {
		name := "built-in"
		if upp != "" {
			name = filepath.Base(upp)
		}
		t.Run(name, func(t *testing.T) {
			var files []string
			if upp != "" {
				if _, err := os.Stat(upp); err != nil {
					t.Skip("no TS.48 profiles here: ", err)
				}
				files = []string{upp}
			}
			activate(t, files)
		})
	}
}

func activate(t *testing.T, upps []string) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("DYNAMOD_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	k := nlsim.New()
	k.AddLink(netlink.Link{Name: "wwan0", Type: 65534, NoARP: true})
	carrier := &memoryCarrier{k: k}
	lab, err := New(Options{Dir: dir, UPP: upps, Dialect: "generic", RawIP: true, Carrier: carrier, Lease: leaseOf(netlab.Options{RawIP: true}), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	labCtx, stopLab := context.WithCancel(ctx)
	defer stopLab()
	wg.Go(func() {
		if err := lab.ServeRSP(labCtx, ln); err != nil {
			t.Error(err)
		}
	})
	tty := filepath.Join(dir, "modem")
	wg.Go(func() {
		if err := lab.ServeModem(labCtx, tty); err != nil && labCtx.Err() == nil {
			t.Error(err)
		}
	})
	for range 500 {
		if _, err := os.Stat(tty); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := lab.CI.ExportCertificate(filepath.Join(dir, "ci.pem")); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(filepath.Join(dir, "operators.d"), 0o755)
	writeOperators(t, filepath.Join(dir, "operators.d", "lab.json"))

	cfg := config.Default()
	cfg.Modem.Port = tty
	cfg.Uplink.Interface = "wwan0"
	cfg.Uplink.DNSFile = filepath.Join(dir, "resolv.conf")
	cfg.LPA.CI = []string{filepath.Join(dir, "ci.pem")}
	cfg.LPA.Resolve = map[string]netip.AddrPort{SMDP: netip.MustParseAddrPort(ln.Addr().String())}
	cfg.State.Dir, cfg.State.Run = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	cfg.Operators.Dir = filepath.Join(dir, "operators.d")
	err = gateway.Direct(ctx, cfg, gateway.Options{
		Log: log, Version: "test", Kernel: k,
		Probe: func(ctx context.Context, spec uplink.Spec) bearer.Reach {
			st, err := uplink.Read(ctx, k, spec)
			carrier.mu.Lock()
			defer carrier.mu.Unlock()
			if err != nil || !st.Usable() || !carrier.up {
				return bearer.Reach{State: status.Down, Reason: fmt.Sprintf("usable %v, carrier %v, %v", st.Usable(), carrier.up, err)}
			}
			return bearer.Reach{State: status.Up, Target: "lab"}
		},
	}, func(c *hook.Client) error {
		// The daemon looks at the card when it finds the modem.
		for {
			var now status.Snapshot
			if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &now); err != nil {
				return err
			}
			if now.Card != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		before := lab.Card.Asked()
		defer func() { askedOnce(t, before, lab.Card.Asked()) }()
		var rec activation.Record
		if err := c.Do(ctx, "POST", "/v1/activations", nil, hook.ActivationRequest{Code: lab.Profiles[0].Code, Consent: true}, &rec); err != nil {
			return err
		}
		for rec.Ended == nil {
			if err := c.Do(ctx, "GET", "/v1/activations/"+rec.ID, nil, nil, &rec); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
		if rec.Outcome != status.Committed {
			return fmt.Errorf("%s: %+v", rec.Outcome, rec.Error)
		}
		t.Logf("%+v %+v", rec, rec.Figures)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := lab.Profiles[0]
	installed := lab.Card.Installed()
	if len(installed) != 1 || installed[0].ICCID != want.ICCID {
		t.Fatalf("on the card: %+v", installed)
	}
	if got := sha256Hex(installed[0].Package); got != want.SHA256 {
		t.Errorf("the card decrypted a package with SHA-256 %s, the server bound %s", got, want.SHA256)
	}
	if left := lab.Card.Pending(); len(left) != 0 {
		t.Errorf("notifications are left on the card: %+v", left)
	}
	// The operator denies every registration before the report has arrived.
	if lab.Operator.refused != 0 {
		t.Errorf("%d registrations came before the installation was reported", lab.Operator.refused)
	}
	seen := lab.Server.Notifications()
	if len(seen) != 2 {
		t.Fatalf("the server has seen %+v, want install and enable", seen)
	}
	for _, n := range seen {
		if !n.Verified {
			t.Errorf("notification %v is not verified: %s", n.Operation, n.Why)
		}
	}
}

// askedOnce expects that a run asks the card nothing twice. A channel begins with
// GetEID, and there are three: up to the switch, which resets the card, after it,
// and at the end, when the link is up. Profiles, notifications and the free memory
// are read again when they may have changed; what cannot change the daemon knows
// from its first look at the card.
func askedOnce(t *testing.T, before, after map[bertlv.Tag]int) {
	want := map[bertlv.Tag]int{
		0xBF3E: 3,                                  // GetEID
		0xBF20: 0,                                  // GetEUICCInfo1
		0xBF3C: 1,                                  // GetEuiccConfiguredAddresses
		0xBF22: 2,                                  // GetEUICCInfo2: before, and with the profile installed
		0xBF2D: 3,                                  // GetProfilesInfo: before, installed, enabled
		0xBF2B: 3,                                  // RetrieveNotificationsList: installed, enabled, at the end
		0xBF2E: 1, 0xBF38: 1, 0xBF21: 1, 0xBF36: 1, // the session
		0xBF31: 1, // EnableProfile
		0xBF30: 2, // RemoveNotificationFromList: install, enable
	}
	for tag, n := range after {
		n -= before[tag]
		if tag == 0xBF2B && n == want[tag]+1 {
			continue // a report left while the last list was read, so it is read again
		}
		if tag > 0xFF && n != want[tag] {
			t.Errorf("function %s was asked for %d times, want %d", tag, n, want[tag])
		}
	}
}

func writeOperators(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, operatorsFile(), 0o644); err != nil {
		t.Fatal(err)
	}
}
