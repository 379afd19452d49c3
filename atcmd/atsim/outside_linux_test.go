package atsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"
)

// need skips the test unless every program is installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("an outside client takes its time")
	}
	for _, p := range programs {
		if _, err := osexec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// TestLPAC lets another LPA's two AT drivers read the EID of the card.
func TestLPAC(t *testing.T) {
	need(t, "lpac")
	for _, driver := range []string{"at", "at_csim"} {
		t.Run(driver, func(t *testing.T) {
			card := newTestCard()
			card.store = func(d []byte) []byte {
				if bytes.HasPrefix(d, []byte{0xBF, 0x3E}) { // GetEID, SGP.22 5.7.20
					return unhex("BF3E125A1089049032123451234512345678901235")
				}
				return []byte{d[0], d[1], 0x00}
			}
			_, link, _ := ptyBench(t, func(c *Config) { c.Card = card.apdu })
			openSlave(t, link).Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := osexec.CommandContext(ctx, "lpac", "chip", "info")
			cmd.Env = append(os.Environ(), "LPAC_APDU="+driver, "LPAC_APDU_AT_DEVICE="+link, "LPAC_HTTP=stdio")
			out, err := cmd.Output()
			var answer struct {
				Payload struct {
					Code int
					Data struct{ EIDValue string }
				}
			}
			if err != nil || json.Unmarshal(out, &answer) != nil || answer.Payload.Data.EIDValue != "89049032123451234512345678901235" {
				t.Errorf("lpac: %v\n%s", err, out)
			}
			for n, ch := range card.channels {
				if n > 0 && ch.open {
					t.Errorf("channel %d stayed open", n)
				}
			}
		})
	}
}

// modemManager is a script for a session bus of its own: it hands the socket to
// ModemManager's test interface and does what a user does with mmcli.
const modemManager = `
export DBUS_SYSTEM_BUS_ADDRESS="$DBUS_SESSION_BUS_ADDRESS"
ModemManager --test-session --test-enable --test-no-udev --test-no-suspend-resume --test-no-qrtr --debug >"$LOG" 2>&1 &
pid=$!
trap 'kill $pid; wait $pid' EXIT
name=org.freedesktop.ModemManager1
try() { for i in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "gave up: $*"; exit 1; }
set_profile() { gdbus call --session -d $name -o /org/freedesktop/ModemManager1 -m $name.Test.SetProfile p0 "$PLUGIN" "['$SOCKET']"; }
modem() { mmcli -L | grep -q Modem/; }
registered() { mmcli -m any -K | grep -q 'registration-state *: *home'; }
connected() { mmcli -m any -K | grep -q 'generic.state *: *connected'; }
disconnected() { mmcli -m any -K | grep -q 'generic.state *: *registered'; }
try set_profile
try modem
try mmcli -m any --enable
try registered
mmcli -m any -K
mmcli -i any -K
try mmcli -m any --simple-connect=apn=internet
try connected
echo CONNECTED
try mmcli -m any --simple-disconnect
try disconnected
echo DISCONNECTED
`

// TestModemManager: a standard modem manager finds the modem, enables it,
// registers, connects over PPP and disconnects.
func TestModemManager(t *testing.T) {
	need(t, "ModemManager", "mmcli", "gdbus", "dbus-run-session")
	if os.Geteuid() != 0 {
		t.Skip("ModemManager wants root")
	}
	for _, plugin := range []string{"generic", "quectel"} {
		t.Run(plugin, func(t *testing.T) {
			card, network := newTestCard(), newTestNetwork()
			m, err := New(Config{Personality: plugin, Card: card.apdu, Network: network})
			if err != nil {
				t.Fatal(err)
			}
			// ModemManager keeps the prefix in the name of the abstract socket.
			socket := fmt.Sprintf("abstract:atsim-%d-%s", os.Getpid(), plugin)
			l, err := net.Listen("unix", "@"+socket)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			served := make(chan struct{})
			go func() {
				defer close(served)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					m.Serve(ctx, c)
				}
			}()
			log := t.TempDir() + "/log"
			cmd := osexec.CommandContext(ctx, "dbus-run-session", "--", "sh", "-c", modemManager)
			cmd.Env = append(os.Environ(), "SOCKET="+socket, "PLUGIN="+plugin, "LOG="+log)
			cmd.WaitDelay = 5 * time.Second
			out, err := cmd.CombinedOutput()
			l.Close()
			cancel()
			<-served
			for _, want := range []string{
				"modem.generic.manufacturer", m.pers.Manufacturer, m.pers.Model, "490154203237518", "001010000000001",
				"8900010000000000012", "Test Network", "CONNECTED", "DISCONNECTED",
			} {
				if !strings.Contains(string(out), want) {
					t.Errorf("ModemManager does not know %q", want)
				}
			}
			if t.Failed() {
				trace, _ := os.ReadFile(log)
				t.Logf("%v\n%s\n%s", err, out, trace[max(0, len(trace)-4000):])
			}
			if network.pdps == nil || network.pdps[0].APN != "internet" {
				t.Errorf("activated %+v", network.pdps)
			}
		})
	}
}
