package ppp

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dynamod/atcmd/modem"
)

// dispensable are options that some builds of pppd do not have: without them it
// works less well, and not wrongly. The scripts are Debian's and OpenWrt's before
// pppd 2.5; the two refusals go with a build's MS-CHAP.
var dispensable = []string{
	"ip-up-script", "ip-down-script", "ipv6-up-script", "ipv6-down-script", "refuse-mschap", "refuse-mschap-v2", "refuse-eap", "+ipv6", "noipv6", "nodefaultroute6",
}

// Options are what a caller may choose of how pppd is run; everything else is fixed.
type Options struct {
	Type modem.PDPType
	Auth modem.Auth
}

// maxCredential is what pppd takes of a user or password (MAXNAMELEN, MAXSECRETLEN).
const maxCredential = 255

// Args are o as the words of a request; they hold the credentials.
func (o Options) Args() []string {
	return []string{string(o.Type), strconv.Itoa(int(o.Auth.Method)), o.Auth.User, string(o.Auth.Password)}
}

// ParseOptions reads what Args wrote. Its error shows none of it.
func ParseOptions(args []string) (o Options, err error) {
	if len(args) != 4 {
		return o, fmt.Errorf("%d arguments, not 4", len(args))
	}
	o.Type = modem.PDPType(args[0])
	if !slices.Contains([]modem.PDPType{modem.IPv4, modem.IPv6, modem.IPv4v6}, o.Type) {
		return o, errors.New("the first argument is no type of context")
	}
	method := strings.Index("012", args[1]) // modem.NoAuth and those behind it
	o.Auth.Method = modem.AuthMethod(method)
	switch {
	case len(args[1]) != 1 || method < 0:
		return o, errors.New("the second argument is no kind of authentication")
	case len(args[2]) > maxCredential || len(args[3]) > maxCredential || strings.Contains(args[2]+args[3], "\x00"):
		return o, errors.New("user or password is too long, or has a byte that pppd does not take")
	case o.Auth.Method == modem.NoAuth && args[2]+args[3] != "":
		return o, errors.New("credentials without authentication")
	}
	o.Auth.User, o.Auth.Password = args[2], modem.Secret(args[3])
	return o, nil
}

// text is pppd's options file, without those options that it does not know.
func (o Options) text(without []string) string {
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
	switch o.Type {
	case modem.IPv4:
		list = append(list, []string{"noipv6"})
	case modem.IPv6:
		list = append(list, []string{"noip"}, []string{"+ipv6"})
	default:
		list = append(list, []string{"+ipv6"})
	}
	if o.Auth.Method != modem.NoAuth {
		list = append(list, []string{"user", o.Auth.User}, []string{"password", string(o.Auth.Password)}, []string{"refuse-eap"})
		if o.Auth.Method == modem.PAP {
			list = append(list, []string{"refuse-chap"}, []string{"refuse-mschap"}, []string{"refuse-mschap-v2"})
		} else {
			list = append(list, []string{"refuse-pap"})
		}
	}
	var b strings.Builder
	for _, words := range list {
		if slices.Contains(without, words[0]) {
			continue
		}
		b.WriteString(words[0])
		for _, v := range words[1:] {
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
