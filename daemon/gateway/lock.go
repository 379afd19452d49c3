package gateway

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"dynamod/daemon/activation"
	"dynamod/euicc"
)

// ErrLocked means that another dynamod uses the same state.
var ErrLocked = errors.New("another dynamod is running with this state directory")

// mediumBroken reports whether err is of a medium that takes nothing.
func mediumBroken(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EDQUOT)
}

// lock takes the advisory lock that keeps a second daemon off the state.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if mediumBroken(err) {
		if there, oerr := os.Open(path); oerr == nil {
			f, err = there, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); { // Go's own signals cut it short
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		var pid [16]byte
		n, _ := f.ReadAt(pid[:], 0)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &activation.Fault{Code: "locked", Text: ErrLocked.Error() + pidText(pid[:n]), Advice: "use the running daemon, or stop it first", Retry: euicc.RetryLater}
		}
		return nil, fmt.Errorf("lock: %s: %w", path, err)
	}
	// The number is for people; that it cannot be written does no harm.
	if f.Truncate(0) == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return func() { f.Close() }, nil
}

func pidText(b []byte) string {
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
