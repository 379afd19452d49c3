package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"dynamod/daemon/helper"
)

var helperCommand = command{
	name:    "helper",
	summary: "what only root may do, for a daemon that is not root",
	about: `Only root may call it. The list is fixed: pppd on a port that the daemon has opened, a clock that is wrong, the
power of a modem's USB port. A daemon of its own user asks for these over /run/dynamod-helper.sock, which dynamod-helper.socket of rootfs/systemd serves.`,
	example: "dynamod helper usb-power 1-2.3 cycle\ndynamod helper clock 2026-11-24T12:00:00Z",
	verbs:   []command{helperPPPDCommand, helperUSBPowerCommand, helperClockCommand, helperServeCommand},
}

// asRoot is who carries verbs out, for root alone.
func asRoot(verb string) (*helper.Root, error) {
	if os.Geteuid() != 0 {
		return nil, fault{exitRefused, verb + ": only root may do this", "`sudo dynamod " + verb + "`; the daemon's own user asks over " + helper.Socket + ": `systemctl enable --now dynamod-helper.socket`"}
	}
	return &helper.Root{Floor: floor()}, nil
}

// helperDo carries out one verb and prints what was done.
func helperDo(ctx context.Context, s std, asJSON bool, req helper.Request) error {
	r, err := asRoot("helper " + req.Verb)
	if err != nil {
		return err
	}
	done, err := r.Do(ctx, req)
	if err != nil {
		return helperFault(err)
	}
	if asJSON {
		return printJSON(s.out, map[string]string{"done": done})
	}
	fmt.Fprintln(s.out, done)
	return nil
}

// helperFault gives what was not done its exit code.
func helperFault(err error) error {
	switch helper.Code(err) {
	case helper.Refused:
		return fault{exitRefused, err.Error(), ""}
	case helper.Missing:
		return fault{exitWaiting, err.Error(), ""}
	}
	return err
}

var helperPPPDCommand = command{
	name:    "helper pppd",
	summary: "run pppd for a daemon, on the port that it has opened: over the socket alone",
	about: `A daemon with [bearer] ppp asks for it. On a command line there is no port that a modem was dialled on, and
credentials would be seen by everybody, so that it is refused there.`,
	example: "dynamod helper pppd --help",
	setup: func(*flag.FlagSet) action {
		return func(ctx context.Context, _ []string, s std) error {
			return helperDo(ctx, s, false, helper.Request{Verb: helper.PPPD, Args: make([]string, 4)})
		}
	},
}

var helperUSBPowerCommand = command{
	name:    "helper usb-power",
	args:    "DEVICE on|off|cycle",
	summary: "switch the power of the USB port that a modem is plugged into",
	about: `DEVICE is as in /sys/bus/usb/devices. It needs Linux 6.0, and a hub that can: others have the device begin anew and keep
its power. A port without a switch has its device deauthorized and authorized instead. What is no modem is refused, and off over the socket.`,
	example: "dynamod helper usb-power 1-2.3 cycle",
	setup: func(fs *flag.FlagSet) action {
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(ctx context.Context, args []string, s std) error {
			if len(args) != 2 {
				return usageError{errors.New("helper usb-power needs a USB device, and on, off or cycle"), "`dynamod helper usb-power --help` shows how it is called"}
			}
			return helperDo(ctx, s, *asJSON, helper.Request{Verb: helper.USBPower, Args: args})
		}
	},
}

var helperClockCommand = command{
	name:    "helper clock",
	args:    "TIME",
	summary: "set a clock that says a time before this program was built",
	about:   `TIME is as in RFC 3339, or in seconds since 1970. A clock that may be right is left alone.`,
	example: "dynamod helper clock 2026-11-24T12:00:00Z",
	setup: func(fs *flag.FlagSet) action {
		asJSON := fs.Bool("json", false, "print one JSON object")
		return func(ctx context.Context, args []string, s std) error {
			if len(args) != 1 {
				return usageError{errors.New("helper clock needs a time"), "`dynamod helper clock --help` shows how it is called"}
			}
			sec := args[0]
			if t, err := time.Parse(time.RFC3339, sec); err == nil {
				sec = strconv.FormatInt(t.Unix(), 10)
			}
			return helperDo(ctx, s, *asJSON, helper.Request{Verb: helper.Clock, Args: []string{sec}})
		}
	},
}

var helperServeCommand = command{
	name:    "helper serve",
	summary: "answer one request on standard input, a unix socket",
	about:   `systemd starts it for each connection to /run/dynamod-helper.sock. The verb pppd is possible here alone.`,
	example: "dynamod helper serve --user dynamod",
	setup: func(fs *flag.FlagSet) action {
		name := fs.String("user", "dynamod", "the user who may ask beside root, a `NAME` or number")
		return func(ctx context.Context, args []string, s std) error {
			if err := noArgs("helper serve", args); err != nil {
				return err
			}
			r, err := asRoot("helper serve")
			if err != nil {
				return err
			}
			uid, err := strconv.Atoi(*name)
			if err != nil {
				u, err := user.Lookup(*name)
				if err != nil {
					return fault{exitFailed, err.Error(), "`useradd --system --user-group --groups dialout dynamod` makes it; --user names another one"}
				}
				if uid, err = strconv.Atoi(u.Uid); err != nil {
					return err
				}
			}
			notSocket := fault{exitUsage, "helper serve: standard input is no unix socket", "dynamod-helper.socket of rootfs/systemd starts it"}
			f, ok := s.in.(*os.File)
			if !ok {
				return notSocket
			}
			conn, err := helper.FromStdin(f)
			if err != nil {
				return notSocket
			}
			defer conn.Close()
			r.Log = slog.New(slog.NewTextHandler(s.err, nil))
			return helperFault(r.Serve(ctx, conn, uid))
		}
	},
}
