package es10

import (
	"fmt"
	"strings"

	"dynamod/euicc/bertlv"
)

// RSPCapability is a set of bits of SGP.22's RspCapability.
type RSPCapability uint64

// The capabilities; bit n of the specification's BIT STRING is 1<<n.
const (
	AdditionalProfile       RSPCapability = 1 << 0 // one more profile can be installed
	CRLSupport              RSPCapability = 1 << 1
	RPMSupport              RSPCapability = 1 << 2 // remote profile management
	TestProfileSupport      RSPCapability = 1 << 3
	DeviceInfoExtensibility RSPCapability = 1 << 4
	ServiceSpecificData     RSPCapability = 1 << 5 // since v2.4
)

// Names lists the specification's names of the bits that are set. Those of v3,
// which this version does not use, appear as "bit6" and so on.
func (c RSPCapability) Names() []string {
	return bertlv.BitNames(uint64(c), "additionalProfile", "crlSupport", "rpmSupport", "testProfileSupport", "deviceInfoExtensibilitySupport", "serviceSpecificDataSupport")
}

// String joins the names with "+".
func (c RSPCapability) String() string { return strings.Join(c.Names(), "+") }

// UICCCapability is what profiles may ask of the card: a set of bits of SGP.22's
// UICCCapability, which follows the services list of the profile package
// (SIMalliance, TCA).
type UICCCapability uint64

// Names lists the specification's names of the bits that are set, and "bit26"
// and so on for later ones.
func (c UICCCapability) Names() []string {
	return bertlv.BitNames(uint64(c), "contactlessSupport", "usimSupport", "isimSupport", "csimSupport",
		"akaMilenage", "akaCave", "akaTuak128", "akaTuak256", "rfu1", "rfu2",
		"gbaAuthenUsim", "gbaAuthenISim", "mbmsAuthenUsim", "eapClient", "javacard", "multos",
		"multipleUsimSupport", "multipleIsimSupport", "multipleCsimSupport", "berTlvFileSupport", "dfLinkSupport",
		"catTp", "getIdentity", "profile-a-x25519", "profile-b-p256", "suciCalculatorApi")
}

// String joins the names with "+".
func (c UICCCapability) String() string { return strings.Join(c.Names(), "+") }

// TREProperties says what kind of tamper resistant element the eUICC is in.
type TREProperties uint64

// Names lists the specification's names of the bits that are set.
func (p TREProperties) Names() []string {
	return bertlv.BitNames(uint64(p), "isDiscrete", "isIntegrated", "usesRemoteMemory")
}

// String joins the names with "+".
func (p TREProperties) String() string { return strings.Join(p.Names(), "+") }

// Category is how much a card can do (SGP.22 euiccCategory, defined in SGP.21).
type Category int

// String returns the specification's name, "other" also for a card that does not
// say.
func (c Category) String() string {
	switch c {
	case 0:
		return "other"
	case 1:
		return "basicEuicc"
	case 2:
		return "mediumEuicc"
	case 3:
		return "contactlessEuicc"
	}
	return fmt.Sprintf("unknown(%d)", int(c))
}

// Certification says where the card's certificates can be looked up (SGP.22
// CertificationDataObject; GlobalPlatform DLOA). Both are empty when the card has
// none.
type Certification struct {
	PlatformLabel, DiscoveryURL string
}

func (d *Certification) set(e bertlv.Element) error {
	for c, err := range e.Children() {
		if err != nil {
			return err
		}
		switch c.Tag {
		case 0x80:
			d.PlatformLabel = utf8Text(c.Value)
		case 0x81:
			d.DiscoveryURL = utf8Text(c.Value)
		}
	}
	return nil
}

// utf8Text decodes a UTF8String; what is none is mended and not refused.
func utf8Text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
