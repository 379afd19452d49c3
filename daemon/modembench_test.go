//go:build linux && !nodemo

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/hook"
)

// The verbs of the bench against the lab's modem, through the daemon and without
// one; nothing secret is in trace and log.
func TestModemVerbs(t *testing.T) {
	b := newBench(t)
	b.config("[state]\n", "[log]\nlevel = \"debug\"\n\n[state]\n")
	run := func(want int, text, stdin string, args ...string) verdict {
		t.Helper()
		v := b.dynamod(stdin, append(append([]string{"modem"}, args...), "--config", b.configPath())...)
		if v.exit != want || !strings.Contains(v.stdout+v.stderr, text) {
			t.Fatalf("%v: exit %d, want %d with %q\n%s%s\n%s", args, v.exit, want, text, v.stdout, v.stderr, b.log())
		}
		return v
	}
	// Where no daemon runs.
	run(exitOK, "by +CGLA", "", "status", "--direct")
	run(exitOK, "+CSQ: ", "", "at", "--direct", "AT+CSQ")
	run(exitOK, "9000  done", "", "apdu", "--direct", "80E2910003BF2E00")
	run(exitOK, "the card is back", "", "reset", "--direct", "--sim", "--yes")
	run(exitWaiting, "no daemon answers", "", "at", "AT+CSQ")

	b.start()
	b.waitUp()
	watched, lines := b.trace()
	var m hook.Modem
	b.must(json.Unmarshal([]byte(run(exitOK, "", "", "--json").stdout), &m))
	if !m.Present || m.Dialect != "quectel" || m.Matched == "" || m.CardWay == nil || m.CardWay.Way != "cgla" || !m.CardWay.Remembered || m.SIM == nil || m.SIM.State != "ready" || m.SIM.PINTries == nil ||
		m.Registration == nil || m.Registration.Status != "home" || len(m.Cells) == 0 || len(m.Contexts) == 0 || !m.Contexts[0].Active || len(m.Contexts[0].Addresses) == 0 || m.Counters.Commands == 0 {
		t.Errorf("%+v", m)
	}
	assumed := 0
	for _, r := range m.Rows {
		if r.Source == "assumed" {
			assumed++
		}
	}
	if text := run(exitOK, "no source", "", "status").stdout; assumed == 0 || !strings.Contains(text, fmt.Sprintf("%d assumed", assumed)) {
		t.Errorf("%d rows are assumed:\n%s", assumed, text)
	}
	run(exitOK, "[modem] port names it", "", "ports")

	// A terminal's view of the modem: bare lines, errors, several in a row.
	run(exitOK, "EG25\n", "", "at", "ATI")
	run(exitFailed, "+CME ERROR: ", "AT+CPIN=\"4321-SECRET\"\nAT+CSQ\n", "at")
	run(exitRefused, "would fight the daemon", "", "at", "AT+CFUN=0", "--json")
	run(exitOK, "OK\n", "", "at", "--force", "AT+CFUN=1")
	run(exitUsage, "carries a secret", "", "at", "AT+CGAUTH=1,1,\"u\",\"SECRET\"")

	// The application's own answers, several in one channel; a PIN by stdin alone.
	v := run(exitFailed, "9000  done", "00A40004026F07\n0020000108393837363534FFFF\n", "apdu", "--aid", "A0000000871002")
	if n := strings.Count(v.stdout, "\n"); n < 3 {
		t.Errorf("%q", v.stdout)
	}
	run(exitUsage, "holds a PIN", "", "apdu", "0020000108393837363534FFFF")
	run(exitFailed, "does not have that application", "", "apdu", "--aid", "A000000099887766", "80CA006600")
	run(exitRefused, "EnableProfile would go past the daemon", "", "apdu", "80E2910006BF3103810100")

	// Each reset comes back, and so does the link.
	for _, kind := range []string{"radio", "sim", "modem"} {
		run(exitOK, " is back after ", "", "reset", "--"+kind, "--yes")
		b.waitUp()
	}
	watched()
	all := strings.Join(lines(), "\n")
	for _, want := range []string{"sent AT+CSQ", "sent ATI", "received EG25", "sent AT+CPIN<", "sent AT+CFUN=1,1"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in the trace", want)
		}
	}
	if opened, closed := strings.Count(all, "received +CCHO:"), strings.Count(all, "sent AT+CCHC="); opened == 0 || closed < opened {
		t.Errorf("%d channels opened, %d closed", opened, closed)
	}
	for _, secret := range []string{"SECRET", "4321", "393837363534"} {
		if strings.Contains(all, secret) || strings.Contains(b.log(), secret) {
			t.Errorf("%q is in the trace or in the log", secret)
		}
	}
}

// trace watches the modem until the returned function is called.
func (b *bench) trace() (stop func(), lines func() []string) {
	ctx, cancel := context.WithCancel(b.ctx)
	var (
		mu   sync.Mutex
		all  []string
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		b.client.Trace(ctx, func(l hook.TraceLine) bool {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, l.Kind+" "+l.Line)
			return true
		})
	}()
	lines = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), all...)
	}
	// The subscription stands when the first line of ours comes.
	for len(lines()) == 0 {
		if b.at("AT") != nil {
			break
		}
	}
	b.t.Cleanup(cancel)
	return func() { cancel(); <-done }, lines
}

func (b *bench) at(commands ...string) error {
	var out []hook.ATAnswer
	return b.client.Do(b.ctx, "POST", "/v1/modem/at", nil, hook.ATRequest{Commands: commands}, &out)
}

// Ten at once, beside the daemon's own commands: each gets its own answers, and a
// reader of the trace that does not read holds nobody up, and is told what it has
// missed.
func TestModemATAtOnce(t *testing.T) {
	b := newBench(t)
	b.start()
	b.waitUp()
	slow, err := net.Dial("unix", filepath.Join(b.dir, "run", "dynamod.sock"))
	b.must(err)
	defer slow.Close()
	_, err = io.WriteString(slow, "GET /v1/modem/trace HTTP/1.1\r\nHost: dynamod\r\n\r\n")
	b.must(err)
	stream := bufio.NewReader(slow)
	_, err = stream.ReadString('\n') // it is answered, and reads no more
	b.must(err)
	commands := []string{"AT+CSQ", "AT+CGMM", "AT+CEREG?", "AT+CGDCONT?", "AT+FOO"}
	want := []string{"+CSQ: ", "EG25", "+CEREG: ", "+CGDCONT: ", ""}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for n := range 20 {
				k := (i + n) % len(commands)
				l := (k + 1) % len(commands)
				var out []hook.ATAnswer
				if err := b.client.Do(b.ctx, "POST", "/v1/modem/at", nil, hook.ATRequest{Commands: []string{commands[k], commands[l]}}, &out); err != nil {
					t.Errorf("%v", err)
					return
				}
				for j, w := range []string{want[k], want[l]} {
					ok := j < len(out) && (w == "" && out[j].Final == "ERROR" && len(out[j].Lines) == 0 || w != "" && out[j].Final == "OK" && len(out[j].Lines) > 0 && strings.HasPrefix(out[j].Lines[0], w))
					if !ok {
						t.Errorf("%s, %s: %+v", commands[k], commands[l], out)
					}
				}
			}
		})
	}
	wg.Wait()
	for range 60 { // far more than sockets and queue hold
		commands := make([]string, 64)
		for i := range commands {
			commands[i] = "AT+CGDCONT?"
		}
		b.must(b.at(commands...))
	}
	last, missed := uint64(0), uint64(0)
	for missed == 0 {
		line, err := stream.ReadString('\n')
		b.must(err)
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 64)
			b.must(err)
			if last != 0 {
				missed = n - last - 1
			}
			last = n
		}
	}
}

// A modem that is pulled out in the middle of a command: what was answered before
// is told, and what happened; one that is too slow is told apart, and a client
// that goes away holds nothing up.
func TestModemATPulledOut(t *testing.T) {
	b := newBench(t)
	b.start()
	b.waitUp()
	stop, lines := b.trace()
	defer stop()
	sent := func(command string) {
		t.Helper()
		b.await("the trace", func() string { return strings.Join(lines(), "\n") }, "sent "+command)
	}
	b.must(b.w.Modem.SetFault("mute", atsim.Fault{Command: "+CGMR"}))
	v := b.dynamod("AT+CSQ\nAT+CGMR\n", "modem", "at", "--timeout", "200ms", "--config", b.configPath())
	if v.exit != exitFailed || !strings.Contains(v.stdout, "+CSQ: ") || !strings.Contains(v.stderr, "modem did not answer in time") || !strings.Contains(v.stderr, "hint: some commands take minutes") {
		t.Errorf("exit %d\n%s%s", v.exit, v.stdout, v.stderr)
	}
	// The client goes away in the middle of it.
	ctx, cancel := context.WithCancel(b.ctx)
	gone := make(chan error, 1)
	go func() {
		gone <- b.client.Do(ctx, "POST", "/v1/modem/at", nil, hook.ATRequest{Commands: []string{"AT+CGMR;+CGMI"}, TimeoutSeconds: 300}, nil)
	}()
	sent("AT+CGMR;+CGMI")
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.must(b.at("AT+CSQ"))
	// Pulled out.
	done := make(chan verdict, 1)
	go func() {
		done <- b.dynamod("AT+CSQ\nAT+CGMR;+CGSN\nAT+CSQ\n", "modem", "at", "--timeout", "1m", "--config", b.configPath())
	}()
	sent("AT+CGMR;+CGSN")
	b.must(b.w.Modem.SetFault("unplug", atsim.Fault{Delay: 200 * time.Millisecond}))
	v = <-done
	if v.exit != exitFailed || !strings.Contains(v.stdout, "+CSQ: ") || !strings.Contains(v.stderr, "modem port is gone") || !strings.Contains(v.stderr, "; 1 more not sent") || !strings.Contains(v.stderr, "hint: the daemon opens it again") {
		t.Errorf("exit %d\n%s%s", v.exit, v.stdout, v.stderr)
	}
	b.w.Modem.ClearFault("mute")
	b.waitUp()
	b.must(b.at("AT+CGMR"))
}
