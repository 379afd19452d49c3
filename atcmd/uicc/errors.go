package uicc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"dynamod/atcmd"
)

// What an *Error can mean; errors.Is finds it. An *Error also wraps what the
// modem session returned (*atcmd.CMEError, atcmd.ErrTimeout, ...), if anything.
var (
	// ErrNotEUICC: the card was reached and does not have the application.
	// With the AID of the ISD-R, the card is no eUICC or uses another AID.
	ErrNotEUICC = errors.New("card does not have the application; not an eUICC, or one with another AID")
	// ErrUnreachable: no way to the card that the dialect lists works.
	ErrUnreachable = errors.New("card cannot be reached by AT commands on this port")
	// ErrBlocked: the firmware opens other applications and refuses this one.
	ErrBlocked = errors.New("modem firmware does not let the application be opened")
	// ErrFirmware: no way leads to the eUICC, and this firmware is known to have
	// none. It wraps ErrBlocked.
	ErrFirmware = fmt.Errorf("this firmware blocks it: %w", ErrBlocked)
	// ErrNoHost: no way leads to the eUICC, and the module is not made for one.
	ErrNoHost = errors.New("not an eSIM host")
	// ErrNoCard: the modem sees no card in the active slot.
	ErrNoCard = errors.New("modem sees no card in the active slot")
	// ErrBusy: the modem said "SIM busy" more often than it was waited for.
	ErrBusy = errors.New("card stays busy")
	// ErrNoChannel: all logical channels are taken, also after closing leaked ones.
	ErrNoChannel = errors.New("no free logical channel; reset the SIM")
	// ErrAnswer: the modem's answer is no APDU response: wrong length, odd
	// number of digits, no status word.
	ErrAnswer = errors.New("malformed answer from modem")
	// ErrSession: the session was never opened here, is closed, or ended with
	// a reset of the card.
	ErrSession = errors.New("no such card session")
)

// Error says how access to the card failed.
type Error struct {
	Op  string // "open", "transmit" or "close"
	Way string // "cgla", "csim"; empty when several were tried
	CME int    // code of +CME ERROR, -1 when there was none
	SW  uint16 // status word that the card answered with, 0 when there was none
	// TimedOut: the modem gave no final result code in time.
	TimedOut bool
	// Unknown: the card may have carried the command out. Ask the card before
	// anything is repeated.
	Unknown bool

	Advice string // what can be done about it, or ""

	Kind error // one of this package's sentinels, or nil
	Err  error // what the modem session returned, or a detail; may be nil
}

func (e *Error) Error() string {
	text := "card " + e.Op
	if e.Way != "" {
		text += " by " + e.Way
	}
	if e.Kind != nil && !errors.Is(e.Err, e.Kind) { // Err would say it again
		text += ": " + e.Kind.Error()
	}
	if e.SW != 0 {
		text += fmt.Sprintf(": status word %04X", e.SW)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Kind and Err.
func (e *Error) Unwrap() []error {
	return slices.DeleteFunc([]error{e.Kind, e.Err}, func(err error) bool { return err == nil })
}

// StatusWord returns SW, for callers that know this type only by its methods.
func (e *Error) StatusWord() uint16 { return e.SW }

// ModemError returns the code of the +CME ERROR, for callers that know this type
// only by its methods.
func (e *Error) ModemError() (code int, ok bool) { return e.CME, e.CME >= 0 }

// Timeout reports TimedOut, as net.Error does.
func (e *Error) Timeout() bool { return e.TimedOut }

// StateUnknown reports Unknown, for callers that know this type only by its
// methods.
func (e *Error) StateUnknown() bool { return e.Unknown }

// Refused reports whether the modem answered an APDU with an error result and
// nothing says why: it may have been too long for the modem.
func (e *Error) Refused() bool { return e.Op == "transmit" && e.Kind == nil && answered(e.Err) }

// TooLong reports whether the card answered more than the modem session takes, for
// callers that know this type only by its methods.
func (e *Error) TooLong() bool { return errors.Is(e.Err, atcmd.ErrTooLong) }

// NotEUICC reports whether the card was reached and lacks the application.
func (e *Error) NotEUICC() bool { return errors.Is(e.Kind, ErrNotEUICC) }

// Blocked reports whether the modem's firmware keeps the application away.
func (e *Error) Blocked() bool { return errors.Is(e.Kind, ErrBlocked) || errors.Is(e.Kind, ErrNoHost) }

// Verdict says in a few words why the eUICC is out of reach, where that is the
// firmware's doing, or is empty.
func (e *Error) Verdict() string {
	switch {
	case errors.Is(e.Kind, ErrNoHost):
		return ErrNoHost.Error()
	case errors.Is(e.Kind, ErrBlocked):
		return "this firmware blocks it"
	}
	return ""
}

// Hint is what can be done about it, where that is known of the modem.
func (e *Error) Hint() string { return e.Advice }

// TryNext reports whether another AID may open where this error came from: the
// modem answered, and nothing says that the card is missing or busy or that
// its channels are taken. A card without a USIM, which an eUICC without an
// enabled profile is, gives some modems no other way to say that an AID is not
// there than the error that they have for everything (see ErrUnreachable).
func TryNext(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.TimedOut || errors.Is(err, context.Canceled) {
		return false
	}
	switch e.Kind {
	case ErrNotEUICC, ErrBlocked:
		return true
	case ErrUnreachable, ErrFirmware, nil:
		return e.SW != 0 || answered(e.Err)
	}
	return false
}

// wrap makes an *Error of a failed command. sent says that the command reached
// the session, so that the card may have seen it.
func wrap(op, way string, err error, sent bool) *Error {
	e := &Error{Op: op, Way: way, CME: cme(err), Err: err}
	e.TimedOut = errors.Is(err, atcmd.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	e.Unknown = sent && !refused(e.CME)
	switch e.CME {
	case cmeBusy:
		e.Kind = ErrBusy
	case cmeNotInserted:
		e.Kind = ErrNoCard
	}
	return e
}

// Codes of +CME ERROR (27.007, 9.2.1).
const (
	cmeNotAllowed   = 3
	cmeNotSupported = 4
	cmeNotInserted  = 10
	cmePIN          = 11
	cmePUK          = 12
	cmeBusy         = 14
	cmeIndex        = 21
	cmeNotFound     = 22
	cmeParameters   = 50
)

// refused reports whether the code says that the modem turned the command down
// without giving it to the card.
func refused(code int) bool {
	switch code {
	case cmeNotAllowed, cmeNotSupported, cmeNotInserted, cmePIN, cmePUK, cmeBusy, cmeIndex, cmeNotFound, cmeParameters:
		return true
	}
	return false
}

// cme returns the code of the +CME ERROR in err, or -1.
func cme(err error) int {
	var e *atcmd.CMEError
	if errors.As(err, &e) {
		return e.Code
	}
	return -1
}

// answered reports whether the modem answered, with whatever error: the port
// and the session still work.
func answered(err error) bool {
	var cmeErr *atcmd.CMEError
	var cmsErr *atcmd.CMSError
	var finalErr *atcmd.FinalError
	return errors.As(err, &cmeErr) || errors.As(err, &cmsErr) || errors.As(err, &finalErr)
}
