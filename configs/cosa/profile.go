package cosa

import "strings"

// OperatorProfile is what is known of one operator: who it is for (Targets) and
// how to connect (Connections). A profile without targets matches nothing and
// serves manual choice only. Profiles in a DB are read-only.
type OperatorProfile struct {
	ID      string // stable and unique in a DB
	Name    string
	Country string // ISO 3166-1 alpha-2, lower case
	Source  Source
	// Origin names the file or database for reasons, such as
	// "/etc/dynamod/operators.d/lab.json".
	Origin string
	Rank   int // tie-break inside a source, lower first; DefaultRank if the record does not say

	// AllowFallback lets the next lower source be tried once all connections
	// of this profile have failed. Default off.
	AllowFallback Flag
	// NetworkAssigned says whether an empty APN may be tried last, so that the
	// network assigns one. Default on; off where an operator refuses it.
	NetworkAssigned Flag

	Targets     []Target // any may match
	Connections []Connection
	SIM         SIMSettings
	Portal      Portal
	MOAPI       MOAPI
	Ext         Ext
}

// DefaultRank is the rank of a record that does not give one.
const DefaultRank = 100

// SIMSettings are COSA's per-SIM settings.
type SIMSettings struct {
	AccountURL       string
	BrandName        string
	BrandLogo        string // URL of a picture, https
	BrandRoaming     BrandRoaming
	Hotspot          Hotspot
	ESIMProvisioning Flag // a bootstrap profile: only for buying an operational one; default off
}

// BrandRoaming says where the brand name is shown (UseBrandingNameOnRoaming).
type BrandRoaming uint8

// COSA's codes 0 to 2; here 0 means unset (as BrandHome), so each is one more.
const (
	BrandUnset BrandRoaming = iota
	BrandHome
	BrandDomestic
	BrandInternational
)

// Target says which SIMs a profile is for. All conditions that are present must
// hold; an empty one is a wildcard. Inside a condition any value may hold. A
// fact that could not be read from the card makes its condition fail.
type Target struct {
	MCCMNC      []string // "26201" or "310260": five or six digits, compared as strings
	MCC         []string // three digits
	ICCID       []Range
	IMSI        []Range
	IMSIPattern []Pattern
	GID1        []GID
	GID2        []GID
	SPN         []string // compared trimmed and case-folded
	PNN         []string // the same

	UIName  string // what to call it where a person has to choose
	UIOrder int    // order among equals, lower first
}

// Range is an inclusive range of numbers written as digits, Lo and Hi of one
// length. It is compared with the first digits of the SIM's number, so a pair of
// equal short strings is a prefix.
type Range struct{ Lo, Hi string }

// Pattern is a prefix of an IMSI in which x stands for any digit: "302720x83".
type Pattern string

// GID is a value of EF_GID1 or EF_GID2 (TS 31.102 4.2.10, 4.2.11) in hex.
type GID struct {
	Hex    string
	Prefix bool // Hex is the beginning only
}

// Keys is a set of the SIM's facts, as bits: a more telling one outweighs all
// less telling ones together. ICCID comes first because operators give out
// ICCID ranges, and because a profile's ICCID is known before its IMSI is.
type Keys uint8

// The keys.
const (
	KeyMCC Keys = 1 << iota
	KeyMCCMNC
	KeySPN
	KeyPNN
	KeyGID2
	KeyGID1
	KeyIMSI
	KeyICCID
)

var keyNames = []struct {
	k    Keys
	name string
}{
	{KeyICCID, "ICCID"}, {KeyIMSI, "IMSI"}, {KeyGID1, "GID1"}, {KeyGID2, "GID2"},
	{KeyPNN, "PNN"}, {KeySPN, "SPN"}, {KeyMCCMNC, "MCC+MNC"}, {KeyMCC, "MCC"},
}

// String lists the keys, the most telling first: "GID1, MCC+MNC".
func (k Keys) String() string { return strings.Join(k.names(), ", ") }

func (k Keys) names() []string {
	out := []string{}
	for _, e := range keyNames {
		if k&e.k != 0 {
			out = append(out, e.name)
		}
	}
	return out
}
