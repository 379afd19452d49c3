package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/bearer"
	"dynamod/daemon/config"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/netlink/nlsim"
	"dynamod/netlink/uplink"
)

// serveModem serves a simulated modem on one port until the port goes; other
// ports of the device answer nothing.
func serveModem(ctx context.Context, wg *sync.WaitGroup, m *atsim.Modem, at net.Listener) (pull func()) {
	ctx, cancel := context.WithCancel(ctx)
	wg.Go(func() {
		for {
			c, err := at.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { m.Serve(ctx, c); c.Close() })
		}
	})
	return cancel
}

// TestReopenByPlace: the modem resets itself and its AT port comes back under
// another number, while another of its ports takes the old one.
func TestReopenByPlace(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	u := newUSBTree(t)
	m, err := atsim.New(atsim.Config{Card: func([]byte) []byte { return []byte{0x6F, 0x00} }})
	u.must(err)
	nodes := u.plug("1-2", map[int]string{1: "ttyUSB1", 2: "ttyUSB2"})
	pull := serveModem(ctx, &wg, m, nodes[2])

	cfg := config.Default()
	cfg.Modem.Port = filepath.Join(u.Dev, "ttyUSB2")
	dir := t.TempDir()
	cfg.State.Dir, cfg.State.Run = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	cfg.Uplink.DNSFile = filepath.Join(dir, "resolv.conf")
	cfg.Operators.Dir = dir
	err = Direct(ctx, cfg, Options{
		Version: "test", Tree: u.Tree, Kernel: nlsim.New(),
		DHCP:  func(context.Context, string) (bearer.Lease, error) { return bearer.Lease{}, errors.New("no server") },
		Probe: func(context.Context, uplink.Spec) bearer.Reach { return bearer.Reach{State: status.Down} },
	}, func(c *hook.Client) error {
		port := func(want string, present bool) error {
			for {
				var now status.Snapshot
				if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &now); err != nil {
					return fmt.Errorf("waiting for %s, present %v: %w", want, present, err)
				}
				if now.Modem != nil && now.Modem.Present == present && (!present || now.Modem.Port == filepath.Join(u.Dev, want)) {
					return nil
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		if err := port("ttyUSB2", true); err != nil {
			return err
		}
		u.unplug("1-2", nodes)
		pull()
		if err := port("", false); err != nil {
			return err
		}
		nodes = u.plug("1-2", map[int]string{1: "ttyUSB2", 2: "ttyUSB4"})
		serveModem(ctx, &wg, m, nodes[2])
		return port("ttyUSB4", true)
	})
	for _, l := range nodes {
		l.Close()
	}
	u.must(err)
}
