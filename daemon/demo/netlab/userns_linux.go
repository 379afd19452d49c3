package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// userNS marks a process that Reexec started.
const userNS = "DYNAMOD_NETLAB_USERNS"

// InUserNamespace reports whether this process was started by Reexec.
func InUserNamespace() bool { return os.Getenv(userNS) != "" }

// Permitted reports whether New may make network namespaces: nil, or an error that is ErrForbidden and says why.
func Permitted() error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("%w: %w", ErrForbidden, os.NewSyscallError("unshare", err))
		}
		return nil
	})
}

// Reexec runs this program once more with the given arguments inside a user namespace, where an ordinary user may make
// network namespaces, and waits for it. Standard input, output and error are the same. When ctx ends the child gets
// SIGTERM. It returns the child's exit status, or an ErrForbidden that says why there is no child.
func Reexec(ctx context.Context, args ...string) (status int, err error) {
	if InUserNamespace() {
		return 0, fmt.Errorf("%w, even inside a user namespace", ErrForbidden)
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), userNS+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	// Pdeathsig is about the thread that starts the child: stay on it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w, and so are user namespaces: %w", ErrForbidden, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil // as a shell does
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}
