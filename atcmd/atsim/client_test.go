package atsim

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// testNetwork answers as its fields say and remembers what it was asked.
type testNetwork struct {
	mu     sync.Mutex
	reg    Registration
	reject int
	subs   []Subscriber
	pdps   []PDP
	down   []int
}

func newTestNetwork() *testNetwork {
	return &testNetwork{reg: Registration{Status: 1, AcT: 7, PLMN: "00101", Operator: "Test Network", TAC: "0001", CellID: "01A2D001"}}
}

func (n *testNetwork) Register(s Subscriber) Registration {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.subs = append(n.subs, s)
	return n.reg
}

func (n *testNetwork) Activate(s Subscriber, p PDP) (Lease, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pdps = append(n.pdps, p)
	if n.reject != 0 {
		return Lease{}, &Reject{Cause: n.reject}
	}
	return Lease{
		Addr: netip.MustParsePrefix("10.64.0.2/30"), Gateway: netip.MustParseAddr("10.64.0.1"),
		DNS: []netip.Addr{netip.MustParseAddr("10.64.0.1"), netip.MustParseAddr("9.9.9.9")}, MTU: 1430,
	}, nil
}

func (n *testNetwork) Deactivate(_ Subscriber, cid int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = append(n.down, cid)
}

func (n *testNetwork) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// bench is a modem with a line client on one port.
type bench struct {
	t    *testing.T
	m    *Modem
	card *testCard
	net  *testNetwork
	*lineClient
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, card: newTestCard(), net: newTestNetwork()}
	cfg := Config{Network: b.net, Now: func() time.Time {
		return time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	}}
	cfg.Card = b.card.apdu
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.m, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	b.lineClient = b.open()
	b.ok("ATE0")
	return b
}

// open plugs another port in.
func (b *bench) open() *lineClient {
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.m.Serve(ctx, theirs) }()
	c := &lineClient{t: b.t, rw: ours, done: done, cancel: cancel, lines: make(chan string, 20000)}
	go c.read()
	b.t.Cleanup(func() {
		ours.Close()
		cancel()
		<-done
	})
	return c
}

// lineClient is a plain client: it writes lines and reads lines.
type lineClient struct {
	t      *testing.T
	rw     io.ReadWriteCloser
	done   chan error
	cancel context.CancelFunc
	lines  chan string
}

func (c *lineClient) read() {
	defer close(c.lines)
	r := bufio.NewReader(c.rw)
	for {
		line, err := r.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			c.lines <- line
		}
		if err != nil {
			return
		}
	}
}

func (c *lineClient) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.rw, s); err != nil {
		c.t.Fatalf("write %q: %v", s, err)
	}
}

const patience = 20 * time.Second

// next returns the next line.
func (c *lineClient) next() string {
	c.t.Helper()
	select {
	case line, ok := <-c.lines:
		if !ok {
			return "(closed)"
		}
		return line
	case <-time.After(patience):
		c.t.Fatal("the modem says nothing")
	}
	return ""
}

// cmd sends one command line and returns its answer, final result code last.
func (c *lineClient) cmd(line string) []string {
	c.t.Helper()
	c.write(line + "\r")
	var out []string
	for {
		l := c.next()
		out = append(out, l)
		if isFinal(l) {
			return out
		}
	}
}

func isFinal(l string) bool {
	switch l {
	case "OK", "ERROR", "NO CARRIER", "(closed)":
		return true
	}
	return strings.HasPrefix(l, "+CME ERROR") || strings.HasPrefix(l, "+CMS ERROR") || strings.HasPrefix(l, "CONNECT")
}

// ok sends a command that must succeed and returns its information text.
func (c *lineClient) ok(line string) string {
	c.t.Helper()
	out := c.cmd(line)
	if out[len(out)-1] != "OK" {
		c.t.Fatalf("%s: %q, want OK", line, out)
	}
	return strings.Join(out[:len(out)-1], "\n")
}

// want sends a command and compares its whole answer, lines joined by "\n".
func (c *lineClient) want(line, want string) {
	c.t.Helper()
	if got := strings.Join(c.cmd(line), "\n"); got != want {
		c.t.Errorf("%s:\n got %q\nwant %q", line, got, want)
	}
}

// until reads on to a line that begins with prefix.
func (c *lineClient) until(prefix string) string {
	c.t.Helper()
	for {
		l := c.next()
		if strings.HasPrefix(l, prefix) {
			return l
		}
		if l == "(closed)" {
			c.t.Fatalf("closed before %q", prefix)
		}
	}
}

// eventually waits for something that happens after an answer.
func (b *bench) eventually(ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatal("did not happen")
		}
	}
}
