package lpa

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/ci"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
)

// diagnose makes the one error type out of what the layers below return. The
// secrets are removed from a server's own text, which may repeat them.
func diagnose(ctx context.Context, stage euicc.Stage, err error, secrets ...string) *euicc.Error {
	if e, ok := errors.AsType[*euicc.Error](err); ok {
		return e
	}
	e := &euicc.Error{Stage: stage, Err: err}
	var (
		status   *es9p.StatusError
		clock    *es9p.ClockError
		tls      *es9p.TLSError
		page     *es9p.HTTPError
		body     *es9p.BodyError
		roots    *ci.NoRootError
		result   *es10.ResultError
		sw       *apdu.StatusError
		lost     *es9p.NetworkError
		proxy    *es9p.ProxyError
		inside   *es9p.AddressError
		resolver *net.DNSError
		network  net.Error
	)
	set := func(code string, retry euicc.Retry, text, advice string) *euicc.Error {
		e.Code, e.Retry, e.Text, e.Advice = code, retry, text, advice
		return e
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return set("cancelled", euicc.RetryLater, "cancelled", "nothing is wrong: begin it again when it is wanted")
	case ctx.Err() != nil:
		return set("timeout", euicc.RetryLater, "it took too long", "see whether the uplink and the modem are slow or silent, then try again")
	case errors.As(err, &status):
		for _, s := range secrets {
			if s != "" {
				status.Message = strings.ReplaceAll(status.Message, s, "(redacted)")
			}
		}
		e.Subject, e.Reason = status.Subject, status.Reason
		e.Code = fmt.Sprintf("es9p-%s-%s", status.Subject, status.Reason)
		euicc.DiagnoseStatus(status.Subject, status.Reason).Apply(e)
	case errors.As(err, &clock):
		set("wrong-clock", euicc.RetryLater, "the clock is wrong", "set the system's clock, or name servers in [time] ntp")
	case errors.As(err, &tls):
		diagnoseTLS(e, tls)
	case errors.As(err, &page):
		// Its certificate was verified, so it is no portal.
		retry, advice := euicc.RetryNever, "a proxy of the server's, or a wrong address; check the address, or tell the server's operator"
		switch {
		case page.Status/100 == 2, page.Status/100 == 5, page.Status == 408, page.Status == 429:
			retry, advice = euicc.RetryLater, frontEnd
		}
		set(fmt.Sprintf("http-%d", page.Status), retry, "what answered is the server's front end and no SM-DP+", advice)
	case errors.Is(err, es10.ErrBPP), errors.Is(err, errTransaction), errors.Is(err, es9p.ErrTransaction):
		set("bpp-malformed", euicc.RetryNever, "the profile package is not in order", "report this with the name of the server")
	case errors.As(err, &body) && body.Truncated:
		set("body-truncated", euicc.RetryNow, "the server's answer broke off", "the line was lost or the server gave up; a new session may work")
	case errors.As(err, &body):
		set("body-malformed", euicc.RetryNever, "the server's answer cannot be decoded", "report this with the name of the server")
	case errors.Is(err, es9p.ErrRedirect):
		set("http-redirect", euicc.RetryLater, "the server sends us elsewhere", frontEnd)
	case errors.Is(err, es9p.ErrHeader):
		set("http-header", euicc.RetryLater, "the server's answer has too long a header", frontEnd)
	case errors.As(err, &roots) && roots.InOther:
		set("ci-other-set", euicc.RetryNever, "this card is not for this kind of server", "a test card needs [lpa] ci_set = \"test\", a live card the live set")
	case errors.As(err, &roots):
		set("ci-none", euicc.RetryNever, "no server can be trusted with this card", "name the card's certificate issuer in [lpa] ci")
	case errors.As(err, &result):
		diagnoseResult(e, result)
	case errors.As(err, &sw):
		e.SW = sw.SW
		e.Code = "sw-" + sw.SW.String()
		euicc.DiagnoseSW(sw.SW).Apply(e)
	case errors.Is(err, errMetadata):
		set("metadata-mismatch", euicc.RetryNever, "the profile package is not the profile that was offered", "report this with the name of the server")
	case errors.Is(err, es10.ErrNoResult):
		set("no-result", euicc.RetryNow, "the card took the profile package and gave no result", "power the card off and on and read its profiles")
	case errors.Is(err, errEnded):
		set("ended", euicc.RetryNow, "the session has ended", "start a new one")
	case errors.As(err, &proxy):
		set(fmt.Sprintf("proxy-%d", proxy.Status), euicc.RetryLater, "the proxy does not let us through", "compare [lpa] proxy with what the network's operator says, and whether it allows the server")
	case errors.As(err, &inside):
		set("net-private", euicc.RetryAsk, "the server's address is one of this box or of a private network",
			"compare it with the operator's; a portal that asks for money or consent may stand between, too; a server that is meant to be there is named in [lpa.resolve], or allowed by [lpa] allow_private")
	case errors.As(err, &lost):
		switch {
		case errors.As(err, &resolver):
			set("net-dns", euicc.RetryLater, "the name of the server cannot be resolved", "check the address and the uplink's name servers")
		case errors.As(err, &network) && network.Timeout():
			set("net-timeout", euicc.RetryLater, "the server did not answer in time", "check the uplink")
		default:
			set("net-unreachable", euicc.RetryLater, "the server cannot be reached", "check the uplink")
		}
	default:
		set("card-transport", euicc.RetryNow, "cannot talk to the card", "check modem and port; power the card off and on")
		if code, ok := modemCode(err); ok {
			e.CME = strconv.Itoa(code)
			if d, ok := euicc.DiagnoseModem(code); ok {
				d.Apply(e)
			}
		}
		if word, ok := statusWord(err); ok {
			e.SW = word
			e.Code = "sw-" + word.String()
			euicc.DiagnoseSW(word).Apply(e)
		}
	}
	if le, ok := errors.AsType[*es10.LoadError](err); ok {
		e.Unknown = le.Unknown
	}
	return e
}

// frontEnd is the advice when a server that we trust answers, but not as an SM-DP+.
const frontEnd = "it may be under maintenance: try later, or tell the server's operator; check the address, too"

// modemCode finds the code of a +CME ERROR in an error of the transport's own.
func modemCode(err error) (int, bool) {
	var m interface{ ModemError() (int, bool) }
	if errors.As(err, &m) {
		return m.ModemError()
	}
	return 0, false
}

// statusWord finds a status word in an error of the transport's own, which may
// not know package apdu.
func statusWord(err error) (apdu.Status, bool) {
	var w interface{ StatusWord() uint16 }
	if errors.As(err, &w) && w.StatusWord() != 0 {
		return apdu.Status(w.StatusWord()), true
	}
	return 0, false
}

func diagnoseTLS(e *euicc.Error, tls *es9p.TLSError) {
	e.Code, e.Retry = "tls-"+string(tls.Reason), euicc.RetryNever
	e.Text = "the server is not to be trusted"
	switch tls.Reason {
	case es9p.TLSExpired, es9p.TLSNotYetValid:
		e.Retry = euicc.RetryAsk
		e.Advice = "look at this box's clock first; if it is right the server's operator has to renew the certificate"
	case es9p.TLSUnknownCA:
		e.Advice = "it is no SM-DP+ for this card, or something between intercepts TLS, such as a captive portal; a lab's issuer goes to [lpa] ci"
	case es9p.TLSWrongHost:
		e.Advice = "compare the SM-DP+ address of the activation code with the operator's, and [lpa.resolve] with the right address"
	case es9p.TLSHandshake:
		e.Retry, e.Text = euicc.RetryLater, "no TLS connection with the server"
		e.Advice = "what answers speaks no TLS 1.2 or 1.3 that we know, as a captive portal; check the address and the uplink"
	case es9p.TLSCurves:
		e.Text = "no TLS connection with the server: it has only Brainpool curves"
		e.Advice = "dynamod has NIST's curves only: the operator has to name a server with one of these"
	default:
		e.Advice = "the server's certificate is faulty; report this with the name of the server"
	}
}

func diagnoseResult(e *euicc.Error, r *es10.ResultError) {
	name := r.Name
	if name == "" {
		name = fmt.Sprint(r.Code)
	}
	e.Code = "es10-" + r.Function + "-" + name
	euicc.DiagnoseResult(r.Function, r.Name).Apply(e)
}

// answered reports whether it is certain that the card has not carried the
// command out: it said no, or it never got it.
func answered(err error) bool {
	_, result := errors.AsType[*es10.ResultError](err)
	return result || !apdu.Unknown(err)
}

// refused reports whether the server said no, which ends the session on its
// side.
func refused(err error) bool {
	_, ok := errors.AsType[*es9p.StatusError](err)
	return ok
}
