package bearer

import (
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
)

// callOf is the call that asks for a connection in one way. Its context has no
// number yet.
func callOf(c cosa.Connection, ask attempt, kind dialect.Kind) modem.Call {
	call := modem.Call{Context: modem.Context{APN: c.APN, Type: modem.IPv4v6}, Function: kind}
	switch ask.ipType {
	case cosa.IPv4:
		call.Context.Type = modem.IPv4
	case cosa.IPv6:
		call.Context.Type = modem.IPv6
	}
	switch ask.auth {
	case cosa.AuthUnset, cosa.AuthNone:
		return call
	case cosa.PAP:
		call.Auth.Method = modem.PAP
	default: // 27.007 has no MSCHAPv2
		call.Auth.Method = modem.CHAP
	}
	_, user, password := c.Credentials()
	call.Auth.User, call.Auth.Password = user, modem.Secret(password.Reveal())
	return call
}

// actOf is the access technology as records name it (27.007, 10.1.22), 0 if it
// is not known.
func actOf(a modem.AcT) cosa.AcT {
	switch a {
	case 0, 1, 3, 8:
		return cosa.GSM
	case 2, 4, 5, 6:
		return cosa.UMTS
	case 7, 9, 10, 13, 14, 15: // 13: NR beside an LTE cell that has the contexts
		return cosa.LTE
	case 11, 12, 16:
		return cosa.NR
	}
	return 0
}

func ipTypeOf(t modem.PDPType) cosa.IPType {
	switch t {
	case modem.IPv4:
		return cosa.IPv4
	case modem.IPv6:
		return cosa.IPv6
	case modem.IPv4v6:
		return cosa.IPv4v6
	}
	return cosa.IPTypeUnset
}

func authOf(m modem.AuthMethod) cosa.Auth {
	switch m {
	case modem.PAP:
		return cosa.PAP
	case modem.CHAP:
		return cosa.CHAP
	}
	return cosa.AuthNone
}

// firstMethod is the authentication that a connection is asked for with first.
func firstMethod(c *cosa.Connection) cosa.Auth {
	auth, _, _ := c.Credentials()
	return auth
}

// shortIMSI keeps the network and the last two digits.
func shortIMSI(imsi string) string {
	if len(imsi) < 9 {
		return imsi
	}
	return imsi[:5] + strings.Repeat("*", len(imsi)-7) + imsi[len(imsi)-2:]
}
