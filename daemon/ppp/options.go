package ppp

import (
	"fmt"
	"slices"
	"strings"

	"dynamod/atcmd/modem"
)

// dispensable are options that some builds of pppd do not have: without them it
// works less well, and not wrongly. The scripts are Debian's and OpenWrt's before
// pppd 2.5; the two refusals go with a build's MS-CHAP.
var dispensable = []string{
	"ip-up-script", "ip-down-script", "ipv6-up-script", "ipv6-down-script", "refuse-mschap", "refuse-mschap-v2", "refuse-eap", "+ipv6", "noipv6", "nodefaultroute6",
}

// options is the text of pppd's options file for a call, without those options that
// it does not know.
func options(call modem.Call, without []string) string {
	list := [][]string{
		{"nodetach"}, {"nopersist"}, {"noauth"}, {"ipparam", "dynamod"},
		// The modem says CONNECT and no more: few have a carrier line that means
		// anything, and what is lost is found by the reach check. Some leave
		// echo requests unanswered.
		{"local"}, {"nocrtscts"}, {"lcp-echo-interval", "0"}, {"lcp-echo-failure", "0"},
		{"novj"}, {"noccp"},
		{"noipdefault"}, {"ipcp-accept-local"}, {"ipcp-accept-remote"}, {"usepeerdns"},
		// Routes and name servers are put in place by us. A distribution's script
		// would write the servers into its own resolv.conf.
		{"nodefaultroute"}, {"nodefaultroute6"},
		{"ip-up-script", "/bin/true"}, {"ip-down-script", "/bin/true"}, {"ipv6-up-script", "/bin/true"}, {"ipv6-down-script", "/bin/true"},
	}
	switch call.Context.Type {
	case modem.IPv4:
		list = append(list, []string{"noipv6"})
	case modem.IPv6:
		list = append(list, []string{"noip"}, []string{"+ipv6"})
	default:
		list = append(list, []string{"+ipv6"})
	}
	if call.Auth.Method != modem.NoAuth {
		list = append(list, []string{"user", call.Auth.User}, []string{"password", string(call.Auth.Password)}, []string{"refuse-eap"})
		if call.Auth.Method == modem.PAP {
			list = append(list, []string{"refuse-chap"}, []string{"refuse-mschap"}, []string{"refuse-mschap-v2"})
		} else {
			list = append(list, []string{"refuse-pap"})
		}
	}
	var b strings.Builder
	for _, o := range list {
		if slices.Contains(without, o[0]) {
			continue
		}
		b.WriteString(o[0])
		for _, v := range o[1:] {
			b.WriteString(" " + quote(v))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// quote writes a value so that pppd reads it as one word, whatever is in it: what
// has a meaning in its options files is written as an octal number.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' && c != '"' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return b.String() + `"`
}
