package reach

import (
	"math/bits"
	"net/netip"
	"time"
)

// What packets cost, with the headers of IPv4.
const (
	ipHeader  = 20
	segment   = ipHeader + 32 // of TCP with time stamps
	syn       = ipHeader + 40
	datagram  = ipHeader + 8
	question  = datagram + 12 + 6 + 11 // without the name: header, type and class, EDNS (RFC 6891)
	record    = 16                     // an A one, its name a pointer
	refusal   = 80                     // the SOA beside a name that is not there
	families  = 2                      // are asked for, where the link has both
	resend    = 5 * time.Second        // the resolver's
	handshake = 2*syn + segment
	farewell  = 3 * segment
)

// cost is what an attempt came to.
func (a Attempt) cost(t target) (n int) {
	for _, s := range a.Steps {
		switch s.Stage {
		case StageDNS:
			if _, err := netip.ParseAddr(t.host); err == nil {
				continue
			}
			asked := families * (question + len(t.host))
			if a.Stage == StageDNS && s.Failed != "" && a.Took >= resend {
				n += asked * int(1+a.Took/resend) // nobody answered
			} else if s.Failed != "" {
				n += 2*asked + families*refusal
			} else {
				n += 2*asked + 2*families*record
			}
		case StageTCP:
			switch {
			case a.RTT > 0 || a.Stage == StageHTTP:
				n += handshake + farewell
			case a.Took < time.Second:
				n += syn + segment // refused
			default: // sent again after 1, 3, 7 s (RFC 6298, 2)
				n += syn * bits.Len(uint(a.Took/time.Second)+1)
			}
		case StageHTTP:
			n += a.Bytes + 2*segment + segment*(1+a.Bytes/RecvBuffer)
		}
	}
	return n
}

// usual is what a target costs that answers as it should.
func (t target) usual() (n int) {
	if t.asksNames() || t.server.IsValid() {
		n += families * 2 * (question + len(t.host) + record)
	}
	switch t.kind {
	case StageHTTP:
		n += 4*segment + 130 + 250
		fallthrough
	case StageTCP:
		n += handshake + farewell
	}
	return n
}

// rotate begins the pages with another one. They stay where pages are: an address that answers says less than a page.
func rotate(targets []target, first int) {
	var pages []target
	for _, t := range targets {
		if t.kind == StageHTTP {
			pages = append(pages, t)
		}
	}
	i := first
	for n, t := range targets {
		if t.kind == StageHTTP {
			targets[n] = pages[(i%len(pages)+len(pages))%len(pages)]
			i++
		}
	}
}
