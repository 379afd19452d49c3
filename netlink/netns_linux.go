package netlink

import (
	"os"

	"golang.org/x/sys/unix"
)

// threadNetNS opens the network namespace of the calling thread if it is not the one of the process, which goroutines
// on other threads are in; else it returns nil. A Conn that was dialled on such a thread stays in its namespace
// although later sockets of it are opened by others.
func threadNetNS() *os.File {
	var thread, process unix.Stat_t
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil // no /proc, no thread of its own either
	}
	if unix.Fstat(int(f.Fd()), &thread) != nil || unix.Stat("/proc/self/ns/net", &process) != nil ||
		thread.Dev == process.Dev && thread.Ino == process.Ino {
		_ = f.Close()
		return nil
	}
	return f
}
