package cosa

import (
	"strings"
)

// Purpose is what a connection is for: one of COSA's purpose groups.
type Purpose uint16

// The purposes. GUIDs: CM_CellularEntries CSP, PurposeGroups; tethering and
// emergency have none there and carry the MBIM context type
// (MBIM_CONTEXT_TYPES) instead.
const (
	Internet Purpose = 1 << iota
	Attach           // the APN of the LTE attach; never taken from a data APN
	MMS
	IMS
	SUPL
	Purchase // reaches only the operator's shop
	Admin
	Application
	ESIMProvisioning // a bootstrap profile's way to the SM-DP+
	Tethering
	Emergency
)

var purposeNames = []struct {
	p    Purpose
	name string
	guid string
}{
	{Internet, "internet", "3E5545D2-1137-4DC8-A198-33F1C657515F"},
	{Attach, "attach", "11A6FE68-5B47-4859-9CB6-1EAC96A8F0BD"},
	{MMS, "mms", "53E2C5D3-D13C-4068-AA38-9C48FF2E55A8"},
	{IMS, "ims", "474D66ED-0E4B-476B-A455-19BB1239ED13"},
	{SUPL, "supl", "6D42669F-52A9-408E-9493-1071DCC437BD"},
	{Purchase, "purchase", "95522B2B-A6D1-4E40-960B-05E6D3F962AB"},
	{Admin, "admin", "2FFD9261-C23C-4D27-8DCF-CDE4E14A3364"},
	{Application, "application", "52D7654A-00A8-4140-806C-087D66705306"},
	{ESIMProvisioning, "esim-provisioning", "A36E171F-2377-4965-88FE-1F53EB4B47C0"},
	{Tethering, "tethering", "5E4E0601-48DC-4E2B-ACB8-08B4016BBAAC"},
	{Emergency, "emergency", "5F41ADB8-204E-4D31-9DA8-B3C970E360F2"},
}

// String returns the name used in operators.d, such as "internet".
func (p Purpose) String() string {
	for _, e := range purposeNames {
		if e.p == p {
			return e.name
		}
	}
	return "unknown"
}

// GUID returns the purpose group's GUID in upper case without braces.
func (p Purpose) GUID() string {
	for _, e := range purposeNames {
		if e.p == p {
			return e.guid
		}
	}
	return ""
}

// ParsePurpose reads a name or a GUID, in any case, with or without braces.
func ParsePurpose(s string) (Purpose, bool) {
	g := strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	for _, e := range purposeNames {
		if strings.EqualFold(s, e.name) || strings.EqualFold(g, e.guid) {
			return e.p, true
		}
	}
	return 0, false
}

// Purposes is a set of Purpose.
type Purposes uint16

// Has tells whether p is in the set.
func (ps Purposes) Has(p Purpose) bool { return ps&Purposes(p) != 0 }

// String lists the names, separated by commas.
func (ps Purposes) String() string {
	var names []string
	for _, e := range purposeNames {
		if ps.Has(e.p) {
			names = append(names, e.name)
		}
	}
	return strings.Join(names, ",")
}

// IPType is the PDP type of a connection (TS 27.007 10.1.1: IP, IPV6, IPV4V6).
type IPType uint8

// The IP types.
const (
	IPTypeUnset IPType = iota
	IPv4
	IPv6
	IPv4v6
)

var ipTypeNames = []string{"", "ipv4", "ipv6", "ipv4v6"}

// String returns "ipv4", "ipv6", "ipv4v6", or "" if unset.
func (t IPType) String() string { return enumName(ipTypeNames, t) }

// ParseIPType reads what String writes, in any case.
func ParseIPType(s string) (IPType, bool) { return parseEnum[IPType](ipTypeNames, s) }

// Auth is the authentication method of a connection.
type Auth uint8

// The methods. PAPOrCHAP and AuthAuto leave the choice to the device: CHAP first.
const (
	AuthUnset Auth = iota
	AuthNone
	PAP
	CHAP
	PAPOrCHAP
	MSCHAPv2
	AuthAuto
)

var authNames = []string{"", "none", "pap", "chap", "pap-or-chap", "mschapv2", "auto"}

// String returns the name used in operators.d, or "" if unset.
func (a Auth) String() string { return enumName(authNames, a) }

// ParseAuth reads what String writes, in any case.
func ParseAuth(s string) (Auth, bool) { return parseEnum[Auth](authNames, s) }

// RoamingRule says where a connection may be used.
type RoamingRule uint8

// The rules. COSA's codes are 0 to 5 in this order; here 0 means that the
// record does not say, so each is one more than its code.
const (
	RoamingUnset RoamingRule = iota // as RoamingAllowed
	RoamingDisallowed
	RoamingAllowed
	RoamingDomestic   // at home and on another network of the home country
	OnlyDomesticRoam  // only on another network of the home country
	OnlyInternational // only abroad
	OnlyRoaming       // anywhere but at home
)

// RoamingFromCode turns COSA's Roaming value, 0 to 5, into a rule.
func RoamingFromCode(code int) (RoamingRule, bool) {
	if code < 0 || code > 5 {
		return RoamingUnset, false
	}
	return RoamingRule(code + 1), true
}

// Code returns COSA's value, 0 to 5; for an unset rule the default, 1.
func (r RoamingRule) Code() int {
	if r == RoamingUnset {
		r = RoamingAllowed
	}
	return int(r) - 1
}

// Allows tells whether a connection with this rule may be used in state s. A
// state that is not known yet rules nothing out.
func (r RoamingRule) Allows(s RoamState) bool {
	if s == RoamUnknown {
		return true
	}
	switch r {
	case RoamingDisallowed:
		return s == Home
	case RoamingDomestic:
		return s != International
	case OnlyDomesticRoam:
		return s == Domestic
	case OnlyInternational:
		return s == International
	case OnlyRoaming:
		return s != Home
	}
	return true
}

// AcT is an access technology (TS 27.007 7.3 <AcT>, coarsened). COSA calls it
// ConnectionType, elsewhere it is RAT.
type AcT uint8

// The access technologies.
const (
	GSM AcT = 1 << iota
	UMTS
	LTE
	NR
)

var actNames = []struct {
	a    AcT
	name string
}{{GSM, "gsm"}, {UMTS, "umts"}, {LTE, "lte"}, {NR, "nr"}}

// ParseAcT reads "gsm", "umts", "lte" or "nr".
func ParseAcT(s string) (AcT, bool) {
	for _, e := range actNames {
		if strings.EqualFold(s, e.name) {
			return e.a, true
		}
	}
	return 0, false
}

// AcTs is a set of AcT; the empty set stands for all.
type AcTs uint8

// AllAcTs names all of them.
const AllAcTs = AcTs(GSM | UMTS | LTE | NR)

// Has tells whether a is in the set, or the set is empty, or a is not known.
func (as AcTs) Has(a AcT) bool { return as == 0 || a == 0 || as&AcTs(a) != 0 }

func (as AcTs) names() []string {
	var out []string
	for _, e := range actNames {
		if as&AcTs(e.a) != 0 {
			out = append(out, e.name)
		}
	}
	return out
}

// Hotspot says whether the operator lets the connection be shared.
type Hotspot uint8

// COSA's HotSpot/Enabled values; always is its default.
const (
	HotspotUnset Hotspot = iota
	HotspotAlways
	HotspotNever
	HotspotEntitlement
)

var hotspotNames = []string{"", "always", "never", "entitlement"}

// String returns the name used in operators.d, or "" if unset.
func (h Hotspot) String() string { return enumName(hotspotNames, h) }

// Source says where a record comes from. A lower value wins.
type Source uint8

// The sources, highest first (Windows: rings of ProfileCreationType; MBIM:
// MBIM_MS_CONTEXT_SOURCE).
const (
	SourceUnset    Source = iota
	SourceAdmin           // the box's configuration
	SourceUser            // the activation request
	SourceOperator        // delivered for this ICCID with the activation
	SourceModem           // the modem's own context
	SourceLocal           // operators.d
	SourceDatabase        // embedded
)

var sourceNames = []string{"", "admin", "user", "operator", "modem", "local", "db"}

// String returns the name used in operators.d, or "" if unset.
func (s Source) String() string { return enumName(sourceNames, s) }

func enumName[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return "unknown"
}

func parseEnum[T ~uint8](names []string, s string) (T, bool) {
	for i, n := range names {
		if n != "" && strings.EqualFold(s, n) {
			return T(i), true
		}
	}
	return 0, false
}
