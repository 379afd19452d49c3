package bearer

import (
	"strings"

	"dynamod/atcmd/dialect"
	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
)

func callOf(c cosa.Connection, kind dialect.Kind, roaming bool) modem.Call {
	call := modem.Call{Context: modem.Context{CID: cid, APN: c.APN, Type: modem.IPv4v6}, Function: kind}
	switch c.EffectiveIPType(roaming) {
	case cosa.IPv4:
		call.Context.Type = modem.IPv4
	case cosa.IPv6:
		call.Context.Type = modem.IPv6
	}
	auth, user, password := c.Credentials()
	switch auth {
	case cosa.PAP:
		call.Auth.Method = modem.PAP
	case cosa.AuthUnset, cosa.AuthNone:
	default:
		call.Auth.Method = modem.CHAP
	}
	if call.Auth.Method != modem.NoAuth {
		call.Auth.User, call.Auth.Password = user, modem.Secret(password.Reveal())
	}
	return call
}

// shortIMSI keeps the network and the last two digits.
func shortIMSI(imsi string) string {
	if len(imsi) < 9 {
		return imsi
	}
	return imsi[:5] + strings.Repeat("*", len(imsi)-7) + imsi[len(imsi)-2:]
}
