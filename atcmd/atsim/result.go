package atsim

import (
	"fmt"
	"strconv"
)

// result is a final result code of V.250 6.1 with its number and its word.
type result struct {
	num  int
	text string
}

func (r *result) Error() string { return r.text }

var (
	resOK        = &result{0, "OK"}
	resConnect   = &result{1, "CONNECT"}
	resNoCarrier = &result{3, "NO CARRIER"}
	resError     = &result{4, "ERROR"}
)

// cme is a +CME ERROR code (TS 27.007 9.2).
type cme int

func (c cme) Error() string { return "+CME ERROR: " + strconv.Itoa(int(c)) }

// cms is a +CMS ERROR code (TS 27.005 3.2.5).
type cms int

func (c cms) Error() string { return "+CMS ERROR: " + strconv.Itoa(int(c)) }

// Codes of TS 27.007 9.2.1 that the modem gives itself.
const (
	cmeNotAllowed      cme = 3
	cmeNotSupported    cme = 4
	cmeNoSIM           cme = 10
	cmePINRequired     cme = 11
	cmePUKRequired     cme = 12
	cmeSIMFailure      cme = 13
	cmeSIMBusy         cme = 14
	cmeWrongPassword   cme = 16
	cmeMemoryFull      cme = 20
	cmeInvalidIndex    cme = 21
	cmeNotFound        cme = 22
	cmeNoNetwork       cme = 30
	cmeNotAllowedNet   cme = 32
	cmeBadParameters   cme = 50
	cmeUnknown         cme = 100
	cmeGPRSUnspecified cme = 148
	cmeLastPDN         cme = 171
)

const (
	cmsNotAllowed   cms = 302
	cmsUnsupported  cms = 303
	cmsBadPDU       cms = 304
	cmsNoSIM        cms = 310
	cmsInvalidIndex cms = 321
	cmsMemoryFull   cms = 322
)

// cmeTexts are the verbose forms (+CMEE=2) of TS 27.007 9.2.
var cmeTexts = map[cme]string{
	3: "operation not allowed", 4: "operation not supported", 10: "SIM not inserted", 11: "SIM PIN required",
	12: "SIM PUK required", 13: "SIM failure", 14: "SIM busy", 15: "SIM wrong", 16: "incorrect password",
	17: "SIM PIN2 required", 18: "SIM PUK2 required", 20: "memory full", 21: "invalid index", 22: "not found",
	23: "memory failure", 24: "text string too long", 25: "invalid characters in text string", 30: "no network service",
	31: "network timeout", 32: "network not allowed - emergency calls only", 50: "Incorrect parameters", 100: "unknown",
	103: "Illegal MS", 106: "Illegal ME", 107: "GPRS services not allowed", 108: "GPRS services and non-GPRS services not allowed",
	111: "PLMN not allowed", 112: "Location area not allowed", 113: "Roaming not allowed in this location area",
	114: "GPRS services not allowed in this PLMN", 115: "No Suitable Cells In Location Area", 117: "Network failure",
	119: "ESM Failure", 122: "Congestion", 126: "Insufficient resources", 127: "Missing or unknown APN",
	128: "Unknown PDP address or PDP type", 129: "User authentication failed",
	130: "Activation rejected by GGSN, Serving GW or PDN GW", 131: "Activation rejected, unspecified",
	132: "service option not supported", 133: "requested service option not subscribed",
	134: "service option temporarily out of order", 148: "unspecified GPRS error", 149: "PDP authentication failure",
	171: "Last PDN disconnection not allowed", 177: "Operator determined barring",
	178: "Maximum number of PDP contexts reached", 179: "Requested APN not supported in current RAT and PLMN combination",
	192: "PDP type IPv4 only allowed", 193: "PDP type IPv6 only allowed", 194: "Single address bearers only allowed",
}

// smCauses maps the cause of a refused context (TS 24.008 10.5.6.6, TS 24.301
// 9.9.4.4) to the code of TS 27.007 9.2.2.2.
var smCauses = map[int]cme{
	8: 177, 26: 126, 27: 127, 28: 128, 29: 129, 30: 130, 31: 131, 32: 132, 33: 133, 34: 134,
	50: 192, 51: 193, 52: 194, 65: 178, 66: 179,
}

// attachCauses maps the cause of a refused registration (TS 24.008 10.5.5.14,
// TS 24.301 9.9.3.9) to the code of TS 27.007 9.2.2.1.
var attachCauses = map[int]cme{
	3: 103, 6: 106, 7: 107, 8: 108, 11: 111, 12: 112, 13: 113, 14: 114, 15: 115, 17: 117, 19: 119, 22: 122,
}

// final renders a final result code for a port (V.250 5.7.1, TS 27.007 9.1).
func (s *settings) final(err error) string {
	switch e := err.(type) {
	case cme:
		switch s.cmee {
		case 1:
			return s.frame(fmt.Sprintf("+CME ERROR: %d", int(e)))
		case 2:
			text, ok := cmeTexts[e]
			if !ok {
				text = "unknown"
			}
			return s.frame("+CME ERROR: " + text)
		}
		return s.code(resError)
	case cms:
		// TS 27.005 3.2.5: +CMEE does not turn these off.
		return s.frame(fmt.Sprintf("+CMS ERROR: %d", int(e)))
	case *result:
		return s.code(e)
	case rawFinal:
		return s.frame(string(e))
	}
	return s.code(resError)
}

// rawFinal is a final result code that no standard knows, by a fault.
type rawFinal string

func (r rawFinal) Error() string { return string(r) }

// code renders a V.250 result code by ATV and ATQ.
func (s *settings) code(r *result) string {
	if s.quiet {
		return ""
	}
	if !s.verbose {
		return strconv.Itoa(r.num) + "\r"
	}
	if r == resConnect && s.connectText > 0 {
		return "\r\nCONNECT 150000000\r\n"
	}
	return "\r\n" + r.text + "\r\n"
}

// frame renders a line that stands alone: a URC or an extended result code.
func (s *settings) frame(line string) string {
	if s.quiet {
		return ""
	}
	if !s.verbose {
		return line + "\r\n"
	}
	return "\r\n" + line + "\r\n"
}

// info renders the information text of one command.
func (s *settings) info(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line + "\r\n"
		if i == 0 && s.verbose {
			out[i] = "\r\n" + out[i]
		}
	}
	return out
}
