package port

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holder finds who holds a device that could not be locked or, with fd -1, not
// be opened.
func holder(name string, fd int) *BusyError {
	var st unix.Stat_t
	var err error
	if fd >= 0 {
		err = unix.Fstat(fd, &st)
	} else {
		err = unix.Stat(name, &st)
	}
	if err != nil {
		return &BusyError{}
	}
	if pid := lockOwner(st); pid > 0 {
		return &BusyError{PID: pid, Program: Program(pid)}
	}
	if other, ok := userOf(st); ok {
		return other
	}
	return &BusyError{}
}

// Holder tells who has a device open or locked, this process included, without
// opening it. It reports false when nobody does, or nobody whom this user may
// see.
func Holder(path string) (BusyError, bool) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return BusyError{}, false
	}
	if pid := lockOwner(st); pid > 0 {
		return BusyError{PID: pid, Program: Program(pid)}, true
	}
	if other, ok := userOf(st); ok {
		return *other, true
	}
	if file := lockFile(path); file != nil {
		return *file, true
	}
	return BusyError{}, false
}

// lockOwner reads /proc/locks, which any user may:
//
//	1: FLOCK  ADVISORY  WRITE 1234 00:06:345 0 EOF
func lockOwner(st unix.Stat_t) int {
	file, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer file.Close()
	dev := uint64(st.Dev)
	return lockOwnerIn(file, fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino))
}

func lockOwnerIn(locks io.Reader, want string) int {
	scanner := bufio.NewScanner(locks)
	for scanner.Scan() {
		f := strings.Fields(scanner.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == want {
			pid, _ := strconv.Atoi(f[4]) // -1 for an owner in another pid namespace
			return max(pid, 0)
		}
	}
	return 0
}

// user finds another process that has the device behind fd open.
func user(fd int) (*BusyError, bool) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, false
	}
	return userOf(st)
}

// userOf looks through the descriptors of all processes. An ordinary user only
// sees his own.
func userOf(want unix.Stat_t) (*BusyError, bool) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, false
	}
	self := os.Getpid()
	for _, proc := range procs {
		pid, err := strconv.Atoi(proc.Name())
		if err != nil || pid == self {
			continue
		}
		dir := filepath.Join("/proc", proc.Name(), "fd")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			// Most descriptors are not devices: the link tells without a stat,
			// which a dead network file system could make hang.
			if link, err := os.Readlink(path); err != nil || !strings.HasPrefix(link, "/dev/") {
				continue
			}
			var st unix.Stat_t
			if unix.Stat(path, &st) == nil && st.Rdev == want.Rdev && st.Ino == want.Ino && st.Dev == want.Dev {
				return &BusyError{PID: pid, Program: Program(pid)}, true
			}
		}
	}
	return nil, false
}

// Program is the name of a process, "another program" where that is not to be known.
func Program(pid int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "another program"
	}
	return strings.TrimSpace(string(comm))
}

// lockFile looks for the lock file that pppd, minicom and their kin leave
// (Filesystem Hierarchy Standard 3.0, 5.9): its text is the process's number.
func lockFile(name string) *BusyError {
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil
	}
	rest, ok := strings.CutPrefix(path, "/dev/")
	if !ok {
		return nil
	}
	for _, dir := range lockDirs {
		pid := lockFilePID(filepath.Join(dir, "LCK.."+strings.ReplaceAll(rest, "/", "_")))
		if pid <= 0 || pid == os.Getpid() {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			return &BusyError{PID: pid, Program: Program(pid)}
		}
	}
	return nil
}

var lockDirs = []string{"/run/lock", "/var/lock"}

func lockFilePID(path string) int {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	var b [32]byte
	n, _ := file.Read(b[:])
	return pidIn(string(b[:n]))
}

// pidIn reads the number that a lock file begins with, 0 for none.
func pidIn(text string) int {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return 0
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
