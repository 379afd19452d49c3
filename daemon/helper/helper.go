// Package helper does the few things that need root for a daemon that is not root: it
// runs pppd, sets a clock that is wrong, and switches a USB port's power.
//
// A daemon asks over a unix socket, one request a connection: a line with a verb
// and its arguments, which is answered by a line. There is no verb that takes a command,
// an option or a path. A daemon that is root does the same by itself.
package helper

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Socket is where the helper is found.
const Socket = "/run/dynamod-helper.sock"

// The verbs.
const (
	PPPD     = "pppd"      // its arguments are ppp.Options.Args(), and it comes with a tty
	Clock    = "clock"     // seconds since 1970
	USBPower = "usb-power" // a device as in /sys/bus/usb/devices, "1-2.3", and on, off or cycle
)

// arguments is how many each verb has.
var arguments = map[string]int{PPPD: 4, Clock: 1, USBPower: 2}

// Request is one thing to do.
type Request struct {
	Verb string
	Args []string
}

// maxLine is enough for each verb: credentials of twice 255 bytes, of which each takes
// up to three.
const maxLine = 2048

// String is r as the line that is sent, without its end: words with one space between
// them, each escaped as in a URL's query. It may hold a password.
func (r Request) String() string {
	words := []string{url.QueryEscape(r.Verb)}
	for _, a := range r.Args {
		words = append(words, url.QueryEscape(a))
	}
	return strings.Join(words, " ")
}

// Parse reads what String wrote, and nothing else that means the same. Its error shows
// none of the arguments.
func Parse(line string) (r Request, err error) {
	if len(line) > maxLine {
		return r, fmt.Errorf("a request of more than %d bytes", maxLine)
	}
	var words []string
	for word := range strings.SplitSeq(line, " ") {
		w, err := url.QueryUnescape(word)
		if err != nil {
			return r, errors.New("a request with a word that is badly escaped")
		}
		words = append(words, w)
	}
	r = Request{words[0], words[1:]}
	n, ok := arguments[r.Verb]
	switch {
	case !ok:
		return Request{}, errors.New("no such verb")
	case len(r.Args) != n:
		return Request{}, fmt.Errorf("%s has %d arguments, not %d", r.Verb, n, len(r.Args))
	case r.String() != line:
		return Request{}, errors.New("a request that is not written as this program does")
	}
	return r, nil
}

// Error is the answer to what was not done.
type Error struct {
	Code string // one of codes
	Text string
}

func (e *Error) Error() string { return e.Text }

// The codes of errors.
const (
	Refused = "refused" // it may not be done
	Missing = "missing" // this machine lacks what it takes
	Failed  = "failed"
)

var codes = []string{Refused, Missing, Failed}

func refuse(format string, args ...any) error { return &Error{Refused, fmt.Sprintf(format, args...)} }
func lack(format string, args ...any) error   { return &Error{Missing, fmt.Sprintf(format, args...)} }

// answer is the line for what was done, or was not.
func answer(done string, err error) string {
	if err == nil {
		return strings.TrimSuffix("ok "+oneLine(done), " ")
	}
	code := Failed
	if e, ok := errors.AsType[*Error](err); ok {
		code = e.Code
	}
	return "error " + code + " " + oneLine(err.Error())
}

// oneLine keeps an answer in its line, and short.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), maxLine/2)]
}

// parseAnswer reads what answer wrote.
func parseAnswer(line string) (done string, err error) {
	if line == "ok" {
		return "", nil
	}
	if done, ok := strings.CutPrefix(line, "ok "); ok {
		return done, nil
	}
	rest, ok := strings.CutPrefix(line, "error ")
	code, text, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !slices.Contains(codes, code) {
		return "", errors.New("the helper's answer is none")
	}
	return "", &Error{code, text}
}
