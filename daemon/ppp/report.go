package ppp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Link is what the two ends have agreed on.
type Link struct {
	Interface  string     // "ppp0"
	Local      netip.Addr // IPv4 of this end
	Identifier netip.Addr // link-local IPv6 of this end, which pppd has set
	DNS        []netip.Addr
}

// report is what pppd has said so far. Its messages have been the same since 2.4.0,
// where scripts and files depend on how it was built.
type report struct {
	Link

	unknown string // an option that it does not know
	last    string // the last line that may tell why it ended
}

// telling are what lines say that say more than how pppd ends.
var telling = []string{
	"fail", "refus", "terminated by peer", "timeout", "error", "cannot", "could not", "couldn't", "can't", "unable",
	"not support", "lack", "unrecognized", "hangup",
}

// madeUp are name servers that modems tell while they do not know the network's
// (ModemManager and NetworkManager know them as Huawei's).
var madeUp = []netip.Addr{netip.MustParseAddr("10.11.12.13"), netip.MustParseAddr("10.11.12.14")}

// line takes one line of pppd's log. It reports whether it changed what is known.
func (r *report) line(s string) bool {
	s = printable(s)
	_, rest, _ := strings.Cut(s, "unrecognized option '")
	if option, _, ok := strings.Cut(rest, "'"); ok {
		r.unknown = option
	}
	lower := strings.ToLower(s)
	if slices.ContainsFunc(telling, func(words string) bool { return strings.Contains(lower, words) }) {
		r.last = s
	}
	f := strings.Fields(s)
	if len(f) < 3 {
		return false
	}
	value := f[len(f)-1]
	addr, err := netip.ParseAddr(value)
	addr = addr.WithZone("")
	four, six := err == nil && addr.Is4() && !addr.IsUnspecified(), err == nil && addr.Is6() && addr.IsLinkLocalUnicast()
	switch what := strings.Join(f[:len(f)-1], " "); {
	case what == "Using interface" && len(value) < 16:
		r.Interface, r.last = value, "" // what went before was about its options, maybe of another run
	case what == "local IP address" && four:
		r.Local = addr
	case what == "local LL address" && six:
		r.Identifier = addr
	case (what == "primary DNS address" || what == "secondary DNS address") && four && len(r.DNS) < 4 && !slices.Contains(madeUp, addr) && !slices.Contains(r.DNS, addr):
		r.DNS = append(r.DNS, addr)
	default:
		return false
	}
	return true
}

// printable keeps at most 160 printable ASCII characters.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s[:min(len(s), 1024)])
	return s[:min(len(s), 160)]
}

// Codes of pppd's end that mean something to us (pppd(8), exit status).
const (
	codeFatal   = 1
	codeOptions = 2
	codeNotRoot = 3
	codeKernel  = 4 // it has no PPP
	codeSignal  = 5
	codeLock    = 6
	codeOpen    = 7
	codeNothing = 10 // negotiation failed
	codeEcho    = 15
	codeHangup  = 16
	codeLoop    = 17
	codeAuth    = 19 // we failed to authenticate ourselves
)

var codeNames = map[int]string{
	0: "the other end has ended the connection", codeFatal: "a fatal error", codeOptions: "an option was refused", codeNotRoot: "it needs root",
	codeKernel: "the kernel has no PPP", codeSignal: "it was told to end", codeLock: "the port is locked", codeOpen: "the port cannot be opened",
	codeNothing: "the negotiation failed", codeEcho: "the other end does not answer", codeHangup: "the modem has hung up",
	codeLoop: "the port sends back what it gets: it is not in data mode", codeAuth: "authentication failed",
}

// EndError says how pppd ended before the connection was up.
type EndError struct {
	Code int    // its exit status, -1 where a signal ended it
	Text string // its own words, may be empty
}

func (e *EndError) Error() string {
	s := "pppd: " + cmp.Or(codeNames[e.Code], fmt.Sprintf("it ended with status %d", e.Code))
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Auth reports whether the network, or the modem in its place, refused the
// credentials.
func (e *EndError) Auth() bool { return e.Code == codeAuth }

// Ours reports whether what is wrong is on this machine: the kernel, pppd itself, the
// port's node. Asking in another way changes nothing about it.
func (e *EndError) Ours() bool {
	switch e.Code {
	case codeFatal, codeOptions, codeNotRoot, codeKernel, codeLock, codeOpen:
		return true
	}
	return false
}

// Hint says what can be done.
func (e *EndError) Hint() string {
	switch e.Code {
	case codeKernel:
		return "load or install the kernel's PPP: modprobe ppp_async (OpenWrt: kmod-ppp)"
	case codeNotRoot:
		return "run dynamod as root"
	case codeLock, codeOpen:
		return "another program may use the port: see `dynamod modem ports`"
	case codeOptions:
		return "see /etc/ppp/options, which pppd reads, too"
	case codeAuth:
		return "check the APN's user name and password with the operator"
	}
	return ""
}
