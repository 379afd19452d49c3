package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// m2mCard is an M2M eUICC (SGP.02): its ISD-R can be selected and knows no
// function of ES10; its EID is in the ECASD. Channels are those of TS 102 221.
func m2mCard() func([]byte) []byte {
	open, selected := [4]bool{true}, [4]string{}
	return func(cmd []byte) []byte {
		if len(cmd) < 4 { // a reset
			open, selected = [4]bool{true}, [4]string{}
			return []byte{0x3B, 0x00}
		}
		ch := cmd[0] & 3
		switch {
		case cmd[1] == 0x70 && cmd[2] == 0:
			for n := byte(1); n < 4; n++ {
				if !open[n] {
					open[n] = true
					return []byte{n, 0x90, 0}
				}
			}
			return []byte{0x6A, 0x81}
		case cmd[1] == 0x70:
			open[cmd[3]&3] = false
			return []byte{0x90, 0}
		case !open[ch]:
			return []byte{0x68, 0x81}
		case cmd[1] == 0xA4 && cmd[2] == 4:
			aid := hex.EncodeToString(cmd[5 : 5+cmd[4]])
			if aid != "a0000005591010ffffffff8900000100" && aid != "a0000005591010ffffffff8900000200" {
				return []byte{0x6A, 0x82}
			}
			selected[ch] = aid
			return []byte{0x90, 0}
		case cmd[1] == 0xCA && strings.HasSuffix(selected[ch], "0200"):
			return append([]byte{0x5A, 16, 0x89, 0x03, 0x30, 0x23, 0x31, 0x21, 0x70, 0, 0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89}, 0x90, 0)
		case cmd[1] == 0xE2:
			return []byte{0x6D, 0}
		}
		return []byte{0x6A, 0x82}
	}
}

// TestReopenByPlace: the modem resets itself and its AT port comes back under
// another number, while another of its ports takes the old one. Its card
// is an M2M eUICC, and the status says so.
func TestReopenByPlace(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	u := newUSBTree(t)
	m, err := atsim.New(atsim.Config{Card: m2mCard()})
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
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
		if err := port("ttyUSB2", true); err != nil {
			return err
		}
		for {
			var now status.Snapshot
			if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &now); err != nil {
				return err
			}
			if now.Card != nil {
				if !strings.Contains(now.Card.Error, "M2M eUICC (SGP.02)") {
					t.Errorf("card: %+v", now.Card)
				}
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
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
	// The next start tries first what reached this card.
	b, err := os.ReadFile(filepath.Join(cfg.State.Dir, "learned.json"))
	if err != nil || !strings.Contains(string(b), `"transport": "cgla"`) {
		t.Errorf("learned: %s, %v", b, err)
	}
}
