package cosa

import "strings"

// SIM is what is known of a SIM or an eSIM profile. An empty field was not read
// or is empty on the card; conditions on it fail. The network that serves the
// modem at the moment has no place here: settings belong to the home network.
type SIM struct {
	// ICCID is the card's number, 18 to 20 digits; a trailing F is ignored.
	ICCID string
	// IMSI is 6 to 15 digits.
	IMSI string
	// MNCLength is 2 or 3, from the fourth byte of EF_AD (TS 31.102 4.2.18);
	// 0 where it could not be read.
	MNCLength int
	// MCCMNC is the home network as five or six digits where it is known
	// otherwise, such as from a profile's metadata (SGP.22 OperatorId). It
	// outranks what IMSI and MNCLength give.
	MCCMNC string
	// SPN is the service provider name, EF_SPN (TS 31.102 4.2.12).
	SPN string
	// PNN is the full name of EF_PNN's first record (TS 31.102 4.2.58).
	PNN string
	// GID1 and GID2 are EF_GID1 and EF_GID2 in hex.
	GID1, GID2 string
}

// homeKeys returns the home network's possible keys, in the order to try. The
// second is empty unless the length of the MNC is not known.
func (s *SIM) homeKeys() (first, second string) {
	switch {
	case len(s.MCCMNC) == 5 || len(s.MCCMNC) == 6:
		return s.MCCMNC, ""
	case len(s.IMSI) < 6 || !isDigits(s.IMSI):
		return "", ""
	case s.MNCLength == 2:
		return s.IMSI[:5], ""
	case s.MNCLength == 3:
		return s.IMSI[:6], ""
	}
	return s.IMSI[:6], s.IMSI[:5]
}

// iccid is the ICCID without the filler of an odd number of digits (ITU-T
// E.118; EF_ICCID, TS 102 221 13.2).
func (s *SIM) iccid() string { return strings.TrimRight(s.ICCID, "Ff") }

// RoamState says where the modem is registered, seen from home.
type RoamState uint8

// The states. Domestic is another network of the home country.
const (
	RoamUnknown RoamState = iota
	Home
	Domestic
	International
)

var roamNames = []string{"not known", "at home", "roaming in the home country", "roaming abroad"}

// String returns a phrase such as "at home".
func (s RoamState) String() string { return enumName(roamNames, s) }

// RoamStateOf says how a modem roams: roaming is what the modem reports
// (registration state 5 of +CREG, +CEREG, TS 27.007 10.1.22), home and serving
// are MCC+MNC.
func RoamStateOf(roaming bool, home, serving string) RoamState {
	switch {
	case !roaming:
		return Home
	case len(home) < 3 || len(serving) < 3:
		return International
	case sameCountry(home[:3], serving[:3]):
		return Domestic
	}
	return International
}

// sharedMCC are the countries with more than one MCC (ITU-T E.212 list).
var sharedMCC = []struct{ lo, hi string }{
	{"234", "235"}, // United Kingdom
	{"310", "316"}, // United States
	{"404", "406"}, // India
	{"440", "441"}, // Japan
	{"460", "461"}, // China
}

func sameCountry(a, b string) bool {
	if a == b {
		return true
	}
	for _, c := range sharedMCC {
		if a >= c.lo && a <= c.hi && b >= c.lo && b <= c.hi {
			return true
		}
	}
	return false
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
