package netlab

import (
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// tunPair is a raw IP cable: two TUN devices, and a pump that carries packets between them while it is on.
type tunPair struct {
	router, carrier *os.File
	on              atomic.Bool
	wg              sync.WaitGroup
}

// openTUN makes a TUN device in the namespace, without carrier.
func openTUN(ns *namespace, name string) (*os.File, error) {
	var f *os.File
	err := ns.do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoTUN, &fs.PathError{Op: "open", Path: "/dev/net/tun", Err: err})
		}
		ifr, err := unix.NewIfreq(name)
		if err == nil {
			ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		}
		if err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("%w: make %s: %w", ErrNoTUN, name, err)
		}
		f = os.NewFile(uintptr(fd), "/dev/net/tun "+name)
		return nil
	})
	return f, err
}

// setCarrier plugs the cable in or out. Linux before 5.0 cannot, there it is always in.
func setCarrier(f *os.File, on bool) error {
	value := 0
	if on {
		value = 1
	}
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := rc.Control(func(fd uintptr) { err = unix.IoctlSetPointerInt(int(fd), unix.TUNSETCARRIER, value) })
	if cerr != nil {
		return cerr
	}
	if err == unix.EINVAL || err == unix.ENOTTY {
		return nil
	}
	return os.NewSyscallError("ioctl TUNSETCARRIER", err)
}

func newTUNPair(router, carrier *namespace, routerName, carrierName string) (*tunPair, error) {
	p := &tunPair{}
	var err error
	if p.router, err = openTUN(router, routerName); err != nil {
		return nil, err
	}
	if p.carrier, err = openTUN(carrier, carrierName); err != nil {
		_ = p.router.Close()
		return nil, err
	}
	p.wg.Go(func() { p.pump(p.carrier, p.router) })
	p.wg.Go(func() { p.pump(p.router, p.carrier) })
	return p, nil
}

// maxPacket is the largest packet that a TUN device hands over.
const maxPacket = 65535

// pump carries packets until the device is closed. A packet that cannot be delivered is lost, as on the air.
func (p *tunPair) pump(dst, src *os.File) {
	b := make([]byte, maxPacket)
	for {
		n, err := src.Read(b)
		if err != nil {
			return
		}
		if p.on.Load() {
			_, _ = dst.Write(b[:n])
		}
	}
}

func (p *tunPair) close() {
	_ = p.router.Close()
	_ = p.carrier.Close()
	p.wg.Wait()
}
