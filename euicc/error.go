package euicc

import (
	"errors"
	"fmt"
	"strings"

	"dynamod/euicc/apdu"
)

// Stage is the step of a procedure at which something went wrong. The ones that
// are functions carry the specification's names.
type Stage string

// The stages, in the order of a download.
const (
	StageOpen                   Stage = "open"
	StageInfo                   Stage = "info"
	StageGetEUICCChallenge      Stage = "getEUICCChallenge"
	StageDiscover               Stage = "discover"
	StageInitiateAuthentication Stage = "initiateAuthentication"
	StageAuthenticateServer     Stage = "authenticateServer"
	StageAuthenticateClient     Stage = "authenticateClient"
	StagePrepareDownload        Stage = "prepareDownload"
	StageGetBPP                 Stage = "getBoundProfilePackage"
	StageLoadBPP                Stage = "loadBoundProfilePackage"
	StageCancelSession          Stage = "cancelSession"
	StageNotifications          Stage = "notifications"
	StageHandleNotification     Stage = "handleNotification"
	StageProfiles               Stage = "getProfilesInfo"
	StageEnable                 Stage = "enableProfile"
	StageDisable                Stage = "disableProfile"
	StageDelete                 Stage = "deleteProfile"
	StageNickname               Stage = "setNickname"
	StageSetDefaultSMDP         Stage = "setDefaultDpAddress"
	StageMemoryReset            Stage = "eUICCMemoryReset"
)

// Retry says whether and when trying again makes sense.
type Retry string

// The classes of retry.
const (
	// RetryNow: once, in a new session from the start.
	RetryNow Retry = "now"
	// RetryLater: the same again after a while; somebody else has to act, or a
	// line has to come back.
	RetryLater Retry = "later"
	// RetryAsk: not before a person has supplied or corrected something here.
	RetryAsk Retry = "ask"
	// RetryNewCode: this code is used up or was never right.
	RetryNewCode Retry = "new-code"
	// RetryNever: the same can only fail again.
	RetryNever Retry = "never"
)

// Error is what every procedure of package lpa fails with. No field and no text
// holds a matching ID, a confirmation code or an activation code.
//
// Err can contain (errors.As): *apdu.StatusError, *es10.ResultError,
// *es10.LoadError, *es9p.StatusError, *es9p.HTTPError, *es9p.TLSError,
// *es9p.BodyError, *es9p.NetworkError, *ci.NoRootError, the transport's own errors such as +CME, and the context's.
type Error struct {
	Stage Stage
	// Code is stable and for machines: "es9p-8.2.6-3.8", "install-memory",
	// "sw-6985", "tls-expired", "cancelled". New ones may be added.
	Code string
	// Subject and Reason are the server's status codes as it wrote them: 3.10
	// is not 3.1.
	Subject, Reason string
	// Install says that Command and BPPReason are the card's account of a
	// failed installation.
	Install   bool
	Command   BPPCommand
	BPPReason BPPReason
	// SW is the card's status word, 0 when it gave none.
	SW apdu.Status
	// CME is the code of the modem's +CME ERROR (3GPP TS 27.007, 9.2) in
	// decimals, "" when there was none.
	CME string
	// Unknown says that the card may or may not have carried the command out:
	// read profiles and notifications before anything is repeated.
	Unknown bool
	Retry   Retry
	// Text says what happened, Advice what to do.
	Text, Advice string
	// Err is the cause, if there is one.
	Err error
}

// Error returns stage, text and cause in one line; the advice is not in it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Stage))
	b.WriteString(": ")
	switch {
	case e.Subject != "":
		fmt.Fprintf(&b, "%s (%s/%s)", e.Text, e.Subject, e.Reason)
	case e.Install:
		fmt.Fprintf(&b, "%s (%s %d, error %d)", e.Text, e.Command, int(e.Command), int(e.BPPReason))
	case e.Err == nil:
		b.WriteString(e.Text)
	case e.Text == "":
		b.WriteString(e.cause())
	default:
		b.WriteString(e.Text)
		if cause := e.cause(); cause != "" {
			b.WriteString(": " + cause)
		}
	}
	return b.String()
}

// cause is the text of Err without what has been said: the stage, since a layer
// below begins with the name of its function, and that is mostly the same; and the
// text, which may be the verdict of such a layer.
func (e *Error) cause() string {
	parts := ": " + e.Err.Error() + ": "
	for _, said := range []string{string(e.Stage), e.Text} {
		if said != "" {
			parts = strings.ReplaceAll(parts, ": "+said+": ", ": ")
		}
	}
	return strings.TrimSuffix(strings.TrimPrefix(parts, ": "), ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns the advice. Faces print it on a line of its own.
func (e *Error) Hint() string { return e.Advice }

// Diagnosis is a row of the tables of codes: what a code means and what to do.
type Diagnosis struct {
	Text   string
	Retry  Retry
	Advice string
}

// Apply fills e's Text, Retry and Advice.
func (d Diagnosis) Apply(e *Error) { e.Text, e.Retry, e.Advice = d.Text, d.Retry, d.Advice }

// CodeOf returns the stable code of the first Error in err's tree, or "".
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// RetryOf returns the retry class of the first Error in err's tree, or
// RetryNever.
func RetryOf(err error) Retry {
	if e, ok := errors.AsType[*Error](err); ok && e.Retry != "" {
		return e.Retry
	}
	return RetryNever
}
