package ppp

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/modem"
	"dynamod/atcmd/port"
)

// bench is a line to a port of a simulated modem, with a pppd that is none.
type bench struct {
	*Line
	t    *testing.T
	dir  string // of the fake
	port string
	sim  *atsim.Modem
	lost chan struct{}
	// noDTR has the port hung up by the escape sequence, which takes seconds of
	// silence.
	noDTR bool
	wg    sync.WaitGroup // of hosts that run pppd afar

	mu    sync.Mutex
	heard []byte             // what came out of the modem's far side
	calls int                // data calls that are up
	talk  chan string        // what goes into it
	pdp   map[int]*atsim.PDP // as the network was asked
}

// network grants everything, and notes for what.
type network struct {
	*atsim.Core
	b *bench
}

func (n network) Activate(s atsim.Subscriber, p atsim.PDP) (atsim.Lease, error) {
	n.b.mu.Lock()
	n.b.pdp[p.CID] = &p
	n.b.mu.Unlock()
	return n.Core.Activate(s, p)
}

func (n network) Deactivate(s atsim.Subscriber, cid int) {
	n.b.mu.Lock()
	delete(n.b.pdp, cid)
	n.b.mu.Unlock()
	n.Core.Deactivate(s, cid)
}

func newBench(t *testing.T, o orders) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), lost: make(chan struct{}, 10), talk: make(chan string, 10), pdp: map[int]*atsim.PDP{}}
	must(t, os.Symlink(self(t), filepath.Join(b.dir, fakePPPD)))
	b.order(o)
	core := &atsim.Core{Home: "00101", Cell: atsim.Registration{AcT: 7, PLMN: "00101"}, APNs: []atsim.APN{{Name: "internet"}}}
	var err error
	b.sim, err = atsim.New(atsim.Config{Card: simCard(), Network: network{core, b}, Data: b.farSide})
	must(t, err)
	b.port, err = b.sim.OpenPTY()
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- b.sim.ServePTY(ctx, "") }()
	b.Line = New(Config{
		Program: filepath.Join(b.dir, fakePPPD), Dir: b.dir, Open: b.open, Dial: dial,
		Lost: func() { b.lost <- struct{}{} }, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	t.Cleanup(func() {
		b.Down(context.Background())
		b.wg.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(b.dir, "ppp-options*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return b
}

func openPort(ctx context.Context, path string) (atcmd.Port, error) {
	p, err := port.Open(ctx, path, port.Options{})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (b *bench) open(ctx context.Context, path string) (atcmd.Port, error) {
	p, err := openPort(ctx, path)
	if err == nil && !b.noDTR {
		p = dtrPort{p, b}
	}
	return p, err
}

// dtrPort has the modem hang up as its DTR would, which pseudo-terminals have not.
type dtrPort struct {
	atcmd.Port
	b *bench
}

func (p dtrPort) DropDTR(ctx context.Context, _ time.Duration) error {
	p.b.sim.Drop(ctx, 3)
	p.b.await("the end of the call", func() bool {
		p.b.mu.Lock()
		defer p.b.mu.Unlock()
		return p.b.calls == 0
	})
	return nil
}

func dial(ctx context.Context, p atcmd.Port, call modem.Call) error {
	s := atcmd.New(p, atcmd.Options{Dirty: true, Resync: atcmd.ResyncOptions{Step: 300 * time.Millisecond}})
	defer s.Close()
	m := modem.New(s, nil, nil)
	if err := m.Init(ctx); err != nil {
		return err
	}
	return m.Dial(ctx, call)
}

// simCard is a SIM with nothing but an ICCID and an IMSI (TS 51.011, 10.1.1 and
// 10.3.2).
func simCard() atsim.Card {
	files := map[string]string{
		"\x2f\xe2": "\x98\x00\x01\x01\x00\x00\x00\x00\x00\x71", "\x6f\x07": "\x08\x09\x10\x10\x00\x00\x00\x10\x07", "\x6f\xad": "\x00\x00\x00\x02",
	}
	selected := ""
	return func(cmd []byte) []byte {
		switch {
		case len(cmd) < 4:
			return []byte{0x3B, 0x9F, 0x96}
		case cmd[1] == 0xA4 && cmd[2] != 4 && len(cmd) >= 7:
			selected = files[string(cmd[5:7])]
		case cmd[1] == 0xB0:
			return []byte(selected + "\x90\x00")
		}
		return []byte{0x90, 0x00}
	}
}

// farSide is the network's end of the data call.
func (b *bench) farSide(ctx context.Context, _ int, _ atsim.Lease, rw io.ReadWriter) error {
	count := func(n int) {
		b.mu.Lock()
		b.calls += n
		b.mu.Unlock()
	}
	count(1)
	defer count(-1)
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		for {
			select {
			case text := <-b.talk:
				io.WriteString(rw, text)
			case <-ctx.Done():
				return
			}
		}
	}()
	buf := make([]byte, 100)
	for {
		n, err := rw.Read(buf)
		b.mu.Lock()
		b.heard = append(b.heard, buf[:n]...)
		b.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (b *bench) order(o orders) {
	text, err := json.Marshal(o)
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(b.dir, "orders.json"), text, 0o600))
}

// saw returns what the runs of pppd have left, in the order of their process numbers.
func (b *bench) saw() (all []seen) {
	b.t.Helper()
	names, _ := filepath.Glob(filepath.Join(b.dir, "seen.*.json"))
	for _, name := range names {
		text, err := os.ReadFile(name)
		must(b.t, err)
		var s seen
		must(b.t, json.Unmarshal(text, &s))
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b seen) int { return a.PID - b.PID })
	return all
}

// await waits for something that another goroutine or process does.
func (b *bench) await(what string, is func() bool) {
	b.t.Helper()
	for limit := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			b.t.Fatal("never came: " + what)
		}
	}
}

func (b *bench) active() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pdp)
}

func self(t *testing.T) string {
	path, err := os.Executable()
	must(t, err)
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func callOf(t modem.PDPType, a modem.Auth) modem.Call {
	return modem.Call{Context: modem.Context{CID: 3, APN: "internet", Type: t}, Auth: a}
}
