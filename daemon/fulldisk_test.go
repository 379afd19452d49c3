//go:build linux && !nodemo

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dynamod/euicc/smdpsim"
)

// smallDisk puts the state on a file system of its own.
func (b *bench) smallDisk() {
	dir := filepath.Join(b.dir, "state")
	b.must(os.Mkdir(dir, 0o755))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		b.t.Skip("no file system of a size can be mounted: ", err)
	}
	b.t.Cleanup(func() {
		b.stop()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			b.t.Error(err)
		}
	})
}

func (b *bench) filler() string { return filepath.Join(b.dir, "state", "filler") }

func (b *bench) fillDisk() {
	f, err := os.OpenFile(b.filler(), os.O_CREATE|os.O_WRONLY, 0o600)
	b.must(err)
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !errors.Is(err, unix.ENOSPC) {
		b.t.Error(err)
	}
}

// fillDiskLater fills the disk when the server is asked for its offer.
func (b *bench) fillDiskLater() {
	fill := sync.OnceFunc(b.fillDisk)
	asked := func(path string) {
		if strings.HasSuffix(path, "/"+string(smdpsim.AuthenticateClient)) {
			fill()
		}
	}
	b.asked.Store(&asked)
}

func (b *bench) freeDisk() {
	b.asked.Store(nil)
	b.must(os.Remove(b.filler()))
}
