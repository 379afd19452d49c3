package helper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"dynamod/daemon/ppp"
)

// Root is who does it. The zero value of each field means the real thing.
type Root struct {
	Floor    time.Time // when the program was built; an earlier clock is wrong
	Now      func() time.Time
	SetClock func(time.Time) error
	Sys      string // "" means /sys
	PPPD     string // "" looks for it
	Dir      string // for pppd's options, and nothing else; "" makes one for the moment
	Log      *slog.Logger
}

// Do carries out a request that needs no tty, and says in a few words what was done.
func (r *Root) Do(ctx context.Context, req Request) (done string, err error) {
	if n, ok := arguments[req.Verb]; !ok || len(req.Args) != n {
		return "", refuse("no such request")
	}
	switch req.Verb {
	case Clock:
		return r.clock(req.Args[0])
	case USBPower:
		return r.usbPower(ctx, req.Args[0], req.Args[1])
	}
	return "", refuse("%s is run for a daemon alone, on the port that it has opened", req.Verb)
}

// newest is how long after the build a time may be: what is later is not the network's.
const newest = 30 * 365 * 24 * time.Hour

// clock sets a clock that is wrong, and only such: whoever has the daemon must not turn
// back the time of a machine that knows it.
func (r *Root) clock(arg string) (string, error) {
	sec, err := strconv.ParseInt(arg, 10, 64)
	t := time.Unix(sec, 0).UTC()
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	switch {
	case err != nil:
		return "", refuse("the time is no number of seconds since 1970")
	case r.Floor.IsZero():
		return "", refuse("this program does not know when it was built, so that no time is known to be wrong")
	case t.Before(r.Floor) || t.After(r.Floor.Add(newest)):
		return "", refuse("%s cannot be the time", t.Format(time.DateOnly))
	case !now().Before(r.Floor):
		return "", refuse("the clock says %s, which may be right: it is left alone", now().UTC().Format(time.DateTime))
	}
	set := r.SetClock
	if set == nil {
		set = setClock
	}
	if err := set(t); err != nil {
		return "", fmt.Errorf("cannot set the clock: %w", err)
	}
	return "the clock is set to " + t.Format(time.DateTime) + " UTC", nil
}

// pppd runs it for the line at the other end of conn, and returns when it has ended.
func (r *Root) pppd(ctx context.Context, conn net.Conn, req Request, tty *os.File, begin func()) error {
	o, err := ppp.ParseOptions(req.Args)
	if err != nil {
		return refuse("pppd: %v", err)
	}
	if tty == nil {
		return refuse("pppd comes without a tty")
	}
	if err := r.checkTTY(tty); err != nil {
		return err
	}
	program, err := ppp.Find(r.PPPD)
	if err != nil {
		return lack("there is no pppd")
	}
	dir := r.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "dynamod-helper-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	begin()
	return ppp.Host(ctx, conn, program, dir, tty, o, r.log())
}

func (r *Root) sys() string { return cmp.Or(r.Sys, "/sys") }

func (r *Root) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

// Code is the code of an error, "" if it has none.
func Code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
