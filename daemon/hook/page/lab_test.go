//go:build linux && !nodemo

package page_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dynamod/daemon/demo"
	"dynamod/daemon/demo/netlab"
	"dynamod/euicc/smdpsim"
)

// box is a daemon in the lab, with its socket forwarded to a port as `ssh -L` does.
type box struct {
	*demo.World
	t      *testing.T
	dir    string
	origin string // of the forwarded port

	mu    sync.Mutex
	conns []net.Conn // that are forwarded
}

// newBox runs a box; config goes into its table [hook].
func newBox(t *testing.T, o demo.Options, config string) *box {
	t.Helper()
	n, err := netlab.NewSimulated(netlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	o.Dialect = "quectel"
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	w, err := demo.Open(ctx, n, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.WritePortal(o.Dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.Dir, "dynamod.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Its last table is [hook].
	if err := os.WriteFile(path, append(text, config...), 0o644); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("DYNAMOD_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	done := make(chan error, 1)
	go func() {
		done <- w.Daemon(ctx, log, "test")
		close(done)
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.Close()
		n.Close()
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b := &box{World: w, t: t, dir: o.Dir, origin: "http://localhost:" + port}
	go b.forward(l)
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatal("the daemon has ended: ", err)
		default:
		}
		resp, err := http.Get(b.origin + "/healthz")
		if err == nil {
			resp.Body.Close()
			return b
		}
		if time.Since(begun) > patience {
			t.Fatal("the daemon does not answer: ", err)
		}
	}
}

func (b *box) forward(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", filepath.Join(b.dir, "run", "dynamod.sock"))
		if err != nil {
			in.Close()
			continue
		}
		b.mu.Lock()
		b.conns = append(b.conns, in)
		b.mu.Unlock()
		go func() {
			io.Copy(out, in)
			out.Close()
		}()
		go func() {
			io.Copy(in, out)
			in.Close()
		}()
	}
}

// hangUp ends all that is forwarded, as a laptop does that goes to sleep.
func (b *box) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

// ordered is the ICCID of the profile that order orders.
const ordered = "8900101000000000999"

// profile makes a profile package of the lab's network.
func profile(t *testing.T, iccid string) []byte {
	t.Helper()
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: "001010000000" + iccid[len(iccid)-3:], MNCDigits: 2, SPN: demo.Operator})
	if err != nil {
		t.Fatal(err)
	}
	return upp
}

// order has a profile wait at the SM-DP+, and returns its activation code.
func (b *box) order(o smdpsim.Order) (code string) {
	b.t.Helper()
	o.UPP = profile(b.t, ordered)
	if o.Metadata.Name == "" {
		o.Metadata.Provider, o.Metadata.Name = demo.Operator, "Field profile"
	}
	o.Metadata.Owner = []byte{0x00, 0xF1, 0x10} // 001-01, so that the APN is known before the switch
	var err error
	if code, err = b.Server.AddOrder(o); err != nil {
		b.t.Fatal(err)
	}
	return code
}
