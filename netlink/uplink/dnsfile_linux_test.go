package uplink

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDNSFileDisk: a full disk and a read-only one give a clear error and leave the old file as it was.
func TestDNSFileDisk(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	wg.Go(func() {
		// The mounts belong to this thread alone and go with it.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			t.Logf("skipped: unshare(CLONE_NEWNS): %v", err)
			return
		}
		if err := errors.Join(
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"),
		); err != nil {
			t.Logf("skipped: mount: %v", err)
			return
		}
		path := filepath.Join(dir, "resolv.conf")
		old := DNSChange{File: path, Interface: "wwan0", Servers: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
		if err := old.do(); err != nil {
			t.Error(err)
			return
		}
		_ = os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 64<<10), 0o600)
		c := old
		c.Servers = []netip.Addr{netip.MustParseAddr("10.0.0.2")}
		if err := c.do(); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("full disk: %v", err)
		}
		if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
			t.Error(err)
		}
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Error(err)
			return
		}
		if err := c.do(); !errors.Is(err, unix.EROFS) {
			t.Errorf("read-only: %v", err)
		}
		if d := readDNSFile(path, "wwan0"); d.State != FileOurs || d.Servers[0] != old.Servers[0] {
			t.Errorf("the old file became %+v", d)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	wg.Wait()
}
