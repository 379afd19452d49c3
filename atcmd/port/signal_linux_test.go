package port

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

func TestRetry(t *testing.T) {
	calls := 0
	err := retry(func() error {
		if calls++; calls < 4 {
			return unix.EINTR
		}
		return unix.EIO
	})
	if err != unix.EIO || calls != 4 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if interrupted(nil) || interrupted(&serial.PortError{}) {
		t.Error("what was not interrupted is repeated for ever")
	}
}

// TestOpenUnderSignals opens, writes and closes while the process's threads get
// the signal by which Go's runtime preempts them.
func TestOpenUnderSignals(t *testing.T) {
	modem, name := openPTY(t)
	go io.Copy(io.Discard, modem)
	quit := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
			}
			tasks, _ := os.ReadDir("/proc/self/task")
			for _, task := range tasks {
				if tid, err := strconv.Atoi(task.Name()); err == nil {
					unix.Tgkill(os.Getpid(), tid, unix.SIGURG)
				}
			}
			runtime.Gosched()
		}
	})
	defer storm.Wait()
	defer close(quit)
	text := bytes.Repeat([]byte("AT\r"), 3000)
	for i := range 100 {
		p, err := Open(t.Context(), name, Options{})
		if err != nil {
			t.Fatalf("open %d: %v", i, err)
		}
		if err := p.WriteContext(within(t), text); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		if err := p.SetDTR(true); err != ErrNotSupported {
			t.Fatalf("DTR %d: %v", i, err)
		}
		if err := p.Close(); err != nil {
			t.Fatalf("close %d: %v", i, err)
		}
	}
}

// FuzzLocks reads what may stand in /proc/locks and in a lock file.
func FuzzLocks(f *testing.F) {
	f.Add("1: FLOCK  ADVISORY  WRITE 1234 00:06:345 0 EOF\n", "00:06:345", "1234")
	f.Add("1: -> FLOCK  ADVISORY  WRITE 1234 00:06:345 0 EOF\n", "00:06:345", "      77\n")
	f.Add("2: OFDLCK ADVISORY  WRITE -1 00:06:345 0 EOF\n", "00:06:345", "-4")
	f.Fuzz(func(t *testing.T, locks, want, pid string) {
		if owner := lockOwnerIn(strings.NewReader(locks), want); owner < 0 || owner > 0 && !strings.Contains(locks, strconv.Itoa(owner)) {
			t.Errorf("%q: owner %d", locks, owner)
		}
		if n := pidIn(pid); n < 0 || n > 0 && !strings.Contains(pid, strconv.Itoa(n)) {
			t.Errorf("%q: pid %d", pid, n)
		}
		if n := lockOwnerIn(strings.NewReader("9: FLOCK ADVISORY WRITE 42 0:1:2 0 EOF\n"), "0:1:2"); n != 42 {
			t.Errorf("owner %d", n)
		}
	})
}
