package helper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// requestTime is how long a caller may take for its one line.
const requestTime = 5 * time.Second

// Serve answers the one request of a connection, which root or the user uid may make.
// pppd runs until its end. The error is what the caller was told, too.
func (r *Root) Serve(ctx context.Context, conn *net.UnixConn, uid int) error {
	caller, err := peer(conn)
	if err != nil {
		return err
	}
	reply := func(done string, err error) error {
		conn.SetWriteDeadline(time.Now().Add(requestTime))
		if _, werr := fmt.Fprintln(conn, answer(done, err)); err == nil && werr != nil {
			return werr
		}
		if err == nil && done != "" {
			r.log().Info(done, "for", caller)
		}
		return err
	}
	if caller != 0 && caller != uid {
		return reply("", refuse("user %d may not ask, only %d and root", caller, uid))
	}
	conn.SetReadDeadline(time.Now().Add(requestTime))
	line, tty, err := receive(conn)
	if err != nil {
		return reply("", refuse("no request came: %v", err))
	}
	if tty != nil {
		defer tty.Close()
	}
	conn.SetReadDeadline(time.Time{})
	req, err := Parse(line)
	switch {
	case err != nil:
		return reply("", refuse("%v", err))
	case req.Verb != PPPD:
		if tty != nil {
			return reply("", refuse("%s comes with a tty", req.Verb))
		}
		if req.Verb == USBPower && req.Args[1] == "off" {
			return reply("", refuse("off is for root's own hand: a port that stays off is lost to everybody"))
		}
		return reply(r.Do(ctx, req))
	}
	begun := false
	err = r.pppd(ctx, conn, req, tty, func() { begun = true; reply("", nil) })
	if !begun {
		return reply("", err)
	}
	return err
}

// peer is the user at the other end, as he was when he connected.
func peer(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// send writes a request, with a descriptor if it has one.
func send(conn *net.UnixConn, line []byte, tty *os.File) error {
	if tty == nil {
		_, err := conn.Write(line)
		return err
	}
	raw, err := tty.SyscallConn() // Fd would have its reads block
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { _, _, err = conn.WriteMsgUnix(line, unix.UnixRights(int(fd)), nil) })
	return errors.Join(cerr, err)
}

// receive reads a line and the descriptor that may come with it. More than one is
// refused, and closed.
func receive(conn *net.UnixConn) (line string, tty *os.File, err error) {
	var fds []int
	b, oob := make([]byte, maxLine+2), make([]byte, unix.CmsgSpace(4*4))
	n := 0
	for !strings.Contains(string(b[:n]), "\n") && err == nil {
		if n == len(b) {
			err = errors.New("a line that is too long")
			break
		}
		var got, control, flags int
		got, control, flags, _, err = conn.ReadMsgUnix(b[n:], oob)
		n += got
		if flags&unix.MSG_CTRUNC != 0 {
			err = errors.New("too many descriptors")
		}
		messages, perr := unix.ParseSocketControlMessage(oob[:control])
		if perr != nil {
			err = perr
		}
		for _, m := range messages {
			if got, perr := unix.ParseUnixRights(&m); perr == nil {
				fds = append(fds, got...)
			}
		}
		if got == 0 && err == nil {
			err = errors.New("the connection ended")
		}
	}
	line, rest, _ := strings.Cut(string(b[:n]), "\n")
	switch {
	case err != nil:
	case len(fds) > 1:
		err = errors.New("too many descriptors")
	case rest != "":
		err = errors.New("more than one line")
	case len(fds) == 1:
		unix.CloseOnExec(fds[0])
		return line, os.NewFile(uintptr(fds[0]), "tty"), nil
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	return line, nil, err
}

// checkTTY refuses what is not a port of this machine's hardware that the caller may read
// and write: behind a pseudo-terminal the caller himself would speak to a pppd of
// root's. It is an open descriptor, so that no name or link can change what it is.
func (r *Root) checkTTY(tty *os.File) error {
	raw, err := tty.SyscallConn()
	if err != nil {
		return err
	}
	var stat unix.Stat_t
	var mode int
	cerr := raw.Control(func(fd uintptr) {
		if err = unix.Fstat(int(fd), &stat); err == nil {
			mode, err = unix.FcntlInt(fd, unix.F_GETFL, 0)
		}
	})
	if err = errors.Join(cerr, err); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFCHR || mode&unix.O_ACCMODE != unix.O_RDWR || mode&unix.O_PATH != 0 {
		return refuse("the tty is no device that is open for reading and writing")
	}
	sys, err := filepath.EvalSymlinks(r.sys())
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/char", fmt.Sprintf("%d:%d", unix.Major(uint64(stat.Rdev)), unix.Minor(uint64(stat.Rdev)))))
	if err != nil || !strings.HasPrefix(dir, filepath.Join(sys, "devices")+"/") || strings.HasPrefix(dir, filepath.Join(sys, "devices/virtual")+"/") || filepath.Base(filepath.Dir(dir)) != "tty" {
		return refuse("the tty is no serial port of this machine's hardware")
	}
	name := filepath.Base(dir)
	consoles, err := os.ReadFile(filepath.Join(sys, "class/tty/console/active"))
	if err == nil && slices.Contains(strings.Fields(string(consoles)), name) {
		return refuse("%s is the system's console", name)
	}
	return nil
}

func setClock(t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}

// FromStdin is the connection that systemd has accepted for this process.
func FromStdin(f *os.File) (*net.UnixConn, error) {
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, syscall.ENOTSOCK
	}
	return unixConn, nil
}
