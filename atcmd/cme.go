package atcmd

import (
	"strconv"
	"strings"
)

// CME codes that callers decide on (3GPP TS 27.007, 9.2).
const (
	CMENotAllowed      = 3
	CMENotSupported    = 4
	CMENotInserted     = 10 // no card; on some modems also: no enabled profile
	CMEPINRequired     = 11
	CMEPUKRequired     = 12
	CMESIMFailure      = 13 // also: the application is not on the card
	CMESIMBusy         = 14
	CMESIMWrong        = 15
	CMEBadPassword     = 16
	CMEInvalidIndex    = 21
	CMENotFound        = 22
	CMENoNetwork       = 30
	CMEIncorrectParams = 50
	CMEUnknown         = 100
)

// CMEName returns the standard's text for a +CME ERROR code, or "" when the
// standard has none. Codes from 512 on belong to the manufacturers.
func CMEName(code int) string { return cmeNames[code] }

// CMSName returns the standard's text for a +CMS ERROR code, or "".
func CMSName(code int) string { return cmsNames[code] }

// codeOf reads what follows "+CME ERROR:" in either format (+CMEE=1 or 2). A
// code without a known name keeps its digits as text; a text without a known
// code has code -1.
func codeOf(text string, names map[int]string, byName map[string]int) (int, string) {
	text = strings.TrimSpace(text)
	if code, err := strconv.Atoi(text); err == nil && code >= 0 {
		if name := names[code]; name != "" {
			return code, name
		}
		return code, "unnamed code"
	}
	if code, ok := byName[bareName(text)]; ok {
		return code, text
	}
	return -1, text
}

// bareName reduces a verbose text to its letters and digits, because
// firmwares differ in case, blanks and punctuation, and in saying SIM, USIM
// or (U)SIM.
func bareName(text string) string {
	text = strings.ToLower(text)
	text = strings.NewReplacer("(u)sim", "sim", "usim", "sim", "u)sim", "sim").Replace(text)
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text)
}

func namesBackwards(names map[int]string, more map[string]int) map[string]int {
	back := make(map[string]int, len(names)+len(more))
	for code, name := range names {
		// "congestion" has two codes; the smaller one is the attach failure.
		key := bareName(name)
		if old, dup := back[key]; !dup || code < old {
			back[key] = code
		}
	}
	for text, code := range more {
		back[bareName(text)] = code
	}
	return back
}

var (
	cmeByName = namesBackwards(cmeNames, map[string]int{
		"unknown error":                        100,
		"phone adapter link reserved":          2,
		"invalid characters in textstring":     25,
		"network not allowed, emergency calls": 32,
		"parameters error":                     50,
		"invalid parameters":                   50,
		"invalid parameter":                    50,
		"illegal UE":                           103,
		"unknown PDP address or type":          128,
		"SIM not ready":                        14,
	})
	cmsByName = namesBackwards(cmsNames, nil)
)

// cmeNames is 3GPP TS 27.007, 9.2.1 to 9.2.3, in the standard's words. 151 was
// "last PDN disconnection not allowed" before Release 11, as 171 is now.
var cmeNames = map[int]string{
	// 9.2.1 general
	0: "phone failure", 1: "no connection to phone", 2: "phone-adaptor link reserved",
	3: "operation not allowed", 4: "operation not supported",
	5: "PH-SIM PIN required", 6: "PH-FSIM PIN required", 7: "PH-FSIM PUK required",
	10: "SIM not inserted", 11: "SIM PIN required", 12: "SIM PUK required",
	13: "SIM failure", 14: "SIM busy", 15: "SIM wrong", 16: "incorrect password",
	17: "SIM PIN2 required", 18: "SIM PUK2 required",
	20: "memory full", 21: "invalid index", 22: "not found", 23: "memory failure",
	24: "text string too long", 25: "invalid characters in text string",
	26: "dial string too long", 27: "invalid characters in dial string",
	30: "no network service", 31: "network timeout",
	32: "network not allowed - emergency calls only",
	40: "network personalization PIN required", 41: "network personalization PUK required",
	42: "network subset personalization PIN required", 43: "network subset personalization PUK required",
	44: "service provider personalization PIN required", 45: "service provider personalization PUK required",
	46: "corporate personalization PIN required", 47: "corporate personalization PUK required",
	48: "hidden key required", 49: "EAP method not supported", 50: "incorrect parameters",
	51: "command implemented but currently disabled", 52: "command aborted by user",
	53: "not attached to network due to MT functionality restrictions",
	54: "modem not allowed - MT restricted to emergency calls only",
	55: "operation not allowed because of MT functionality restrictions",
	56: "fixed dial number only allowed - called number is not a fixed dial number",
	57: "temporarily out of service due to other MT usage",
	58: "language/alphabet not supported", 59: "unexpected data value", 60: "system failure",
	61: "data missing", 62: "call barred", 63: "message waiting indication subscription failure",
	100: "unknown",

	// 9.2.2.1 failure to attach
	103: "illegal MS", 106: "illegal ME", 107: "GPRS services not allowed",
	108: "GPRS services and non-GPRS services not allowed",
	111: "PLMN not allowed", 112: "location area not allowed",
	113: "roaming not allowed in this location area", 114: "GPRS services not allowed in this PLMN",
	115: "no suitable cells in location area", 122: "congestion", 125: "not authorized for this CSG",
	172: "semantically incorrect message", 173: "mandatory information element error",
	174: "information element non-existent or not implemented", 175: "conditional IE error",
	176: "protocol error, unspecified",

	// 9.2.2.2 failure to activate a context
	126: "insufficient resources", 127: "missing or unknown APN",
	128: "unknown PDP address or PDP type", 129: "user authentication failed",
	130: "activation rejected by GGSN, Serving GW or PDN GW", 131: "activation rejected, unspecified",
	132: "service option not supported", 133: "requested service option not subscribed",
	134: "service option temporarily out of order", 140: "feature not supported",
	141: "semantic error in the TFT operation", 142: "syntactical error in the TFT operation",
	143: "unknown PDP context", 144: "semantic errors in packet filter(s)",
	145: "syntactical errors in packet filter(s)", 146: "PDP context without TFT already activated",
	149: "PDP authentication failure", 177: "operator determined barring",
	178: "maximum number of PDP contexts reached",
	179: "requested APN not supported in current RAT and PLMN combination",
	180: "request rejected, Bearer Control Mode violation", 181: "unsupported QCI value",

	// 9.2.2.3 failure to disconnect, 9.2.2.4 other
	171: "last PDN disconnection not allowed",
	148: "unspecified GPRS error", 150: "invalid mobile class",
	182: "user data transmission via control plane is congested",

	// 9.2.2 since Release 15: causes of 3GPP TS 24.008, 24.301 and 24.501
	183: "SMS provided via GPRS in this routing area", 184: "invalid PTI value",
	185: "no bearer activated", 186: "message not compatible with protocol state",
	187: "recovery on timer expiry", 188: "invalid transaction ID value",
	189: "service option not authorized in this PLMN", 190: "network failure",
	191: "reactivation requested", 192: "PDN type IPv4 only allowed",
	193: "PDN type IPv6 only allowed", 194: "single address bearers only allowed",
	195: "collision with network initiated request", 196: "PDN type IPv4v6 only allowed",
	197: "PDN type non-IP only allowed", 198: "bearer handling not supported",
	199: "APN restriction value incompatible", 200: "multiple accesses to a PDN connection not allowed",
	201: "ESM information not received", 202: "PDN connection does not exist",
	203: "multiple PDN connections for a given APN not allowed", 204: "severe network failure",
	205: "insufficient resources for specific slice and DNN", 206: "not supported SSC mode",
	207: "insufficient resources for specific slice",
	208: "message type not compatible with protocol state", 209: "information element not implemented",
	210: "N1 mode not allowed", 211: "restricted service area", 212: "LADN not available",
	213: "missing or unknown DNN in a slice", 214: "ngKSI already in use",
	215: "payload was not forwarded", 216: "non-3GPP access to 5GCN not allowed",
	217: "serving network not authorized", 218: "DNN not supported in the slice",
	219: "insufficient user-plane resources for the PDU session", 220: "out of LADN service area",
	221: "PTI mismatch", 222: "maximum data rate for user-plane integrity protection is too low",
	223: "semantic error in the QoS operation", 224: "syntactical error in the QoS operation",
	225: "invalid mapped EPS bearer identity", 226: "redirection to 5GCN required",
	227: "redirection to EPC required", 228: "temporarily not authorized for this SNPN",
	229: "permanently not authorized for this SNPN", 230: "PDN type Ethernet only allowed",
	231: "not authorized for this CAG or authorized for CAG cells only",
	232: "no network slices available", 233: "wireline access area not allowed",

	// 9.2.3 VBS, VGCS and eMLPP
	151: "VBS/VGCS not supported by the network", 152: "no service subscription on SIM",
	153: "no subscription for group ID", 154: "group Id not activated on SIM",
	155: "no matching notification", 156: "VBS/VGCS call already present",
	157: "congestion", 158: "network failure", 159: "uplink busy",
	160: "no access rights for SIM file", 161: "no subscription for priority",
	162: "operation not applicable or not possible", 163: "group Id prefixes not supported",
	164: "group Id prefixes not usable for VBS", 165: "group Id prefix value invalid",
}

// cmsNames is 3GPP TS 27.005, 3.2.5, with the causes that it refers to.
var cmsNames = map[int]string{
	// 3GPP TS 24.011, E.2: RP-cause of a message sent by the mobile
	1: "unassigned (unallocated) number", 8: "operator determined barring", 10: "call barred",
	17: "network failure", 21: "short message transfer rejected", 22: "congestion",
	27: "destination out of service", 28: "unidentified subscriber", 29: "facility rejected",
	30: "unknown subscriber", 38: "network out of order", 41: "temporary failure", 42: "congestion",
	47: "resources unavailable, unspecified", 50: "requested facility not subscribed",
	69: "requested facility not implemented", 81: "invalid short message transfer reference value",
	95: "invalid message, unspecified", 96: "invalid mandatory information",
	97:  "message type non-existent or not implemented",
	98:  "message not compatible with short message protocol state",
	99:  "information element non-existent or not implemented",
	111: "protocol error, unspecified", 127: "interworking, unspecified",

	// 3GPP TS 23.040, 9.2.3.22: TP-FCS
	128: "telematic interworking not supported", 129: "short message type 0 not supported",
	130: "cannot replace short message", 143: "unspecified TP-PID error",
	144: "data coding scheme (alphabet) not supported", 145: "message class not supported",
	159: "unspecified TP-DCS error", 160: "command cannot be actioned", 161: "command unsupported",
	175: "unspecified TP-command error", 176: "TPDU not supported", 192: "SC busy",
	193: "no SC subscription", 194: "SC system failure", 195: "invalid SME address",
	196: "destination SME barred", 197: "SM rejected, duplicate SM", 198: "TP-VPF not supported",
	199: "TP-VP not supported", 208: "(U)SIM SMS storage full",
	209: "no SMS storage capability in (U)SIM", 210: "error in MS", 211: "memory capacity exceeded",
	212: "(U)SIM application toolkit busy", 213: "(U)SIM data download error",
	255: "unspecified error cause",

	300: "ME failure", 301: "SMS service of ME reserved", 302: "operation not allowed",
	303: "operation not supported", 304: "invalid PDU mode parameter", 305: "invalid text mode parameter",
	310: "(U)SIM not inserted", 311: "(U)SIM PIN required", 312: "PH-(U)SIM PIN required",
	313: "(U)SIM failure", 314: "(U)SIM busy", 315: "(U)SIM wrong", 316: "(U)SIM PUK required",
	317: "(U)SIM PIN2 required", 318: "(U)SIM PUK2 required",
	320: "memory failure", 321: "invalid memory index", 322: "memory full",
	330: "SMSC address unknown", 331: "no network service", 332: "network timeout",
	340: "no +CNMA acknowledgement expected", 500: "unknown error",
}
