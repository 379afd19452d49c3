package atcmd

import (
	"errors"
	"fmt"
)

var (
	// ErrTimeout means that no final result code came in time. Whether the
	// modem carried the command out is unknown.
	ErrTimeout = errors.New("modem did not answer in time")
	// ErrGone means that the port vanished: unplugged, or the modem reset itself.
	ErrGone = errors.New("modem port is gone")
	// ErrClosed means that the session was closed by its owner.
	ErrClosed = errors.New("modem session is closed")
	// ErrDesync means that the modem's answers could not be matched to the
	// commands any more; the port has to be opened again.
	ErrDesync = errors.New("modem answers out of step")
	// ErrNotSent means that nothing of the command reached the modem, so that it
	// may be sent again. Any other error leaves open what the modem did.
	ErrNotSent = errors.New("command was not sent")
	// ErrDataMode means that the port carries a data call at present.
	ErrDataMode = errors.New("modem port is in data mode")
	// ErrTooLong means that the answer did not fit the session's limits.
	ErrTooLong = errors.New("modem answer too long")
	// ErrCommand means that the command cannot be written as one AT command line.
	ErrCommand = errors.New("not an AT command")
)

// PortLost reports whether err means that the port has to be opened again.
func PortLost(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, ErrClosed) || errors.Is(err, ErrDesync)
}

// CMEError is a +CME ERROR final result code (3GPP TS 27.007, 9.2).
type CMEError struct {
	Command string // name of the command, never its parameters
	Code    int    // -1 when the modem answered with text that has no known number
	Text    string // as the modem wrote it, or the standard's text for Code
}

func (e *CMEError) Error() string {
	if e.Code < 0 {
		return fmt.Sprintf("AT%s: modem error %q", e.Command, e.Text)
	}
	return fmt.Sprintf("AT%s: modem error %d (%s)", e.Command, e.Code, e.Text)
}

// CMSError is a +CMS ERROR final result code (3GPP TS 27.005, 3.2.5).
type CMSError struct {
	Command string
	Code    int
	Text    string
}

func (e *CMSError) Error() string {
	return fmt.Sprintf("AT%s: message service error %d (%s)", e.Command, e.Code, e.Text)
}

// FinalError is any other negative final result code: ERROR, NO CARRIER,
// COMMAND NOT SUPPORT.
type FinalError struct {
	Command string
	Final   string
}

func (e *FinalError) Error() string {
	return fmt.Sprintf("AT%s: modem answered %q", e.Command, e.Final)
}
