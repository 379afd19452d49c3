package es10

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// Release is a VersionType in DeviceCapabilities: the highest release that the
// device supports in full, {15, 0, 0} for 3GPP Release 15. The zero Release
// means that it does not support the technology.
type Release = Version

// Capabilities are the radio technologies of the device (SGP.22 4.2).
type Capabilities struct {
	GSM, UTRAN, CDMA1X, HRPD, EHRPD Release
	EUTRAN                          Release // LTE
	Contactless, RSPCRL             Release
	// The last three came with SGP.22 v2.2.1; cards that do not support
	// extensions of DeviceInfo are not shown them.
	NREPC, NR5GC, EUTRAN5GC Release
}

// DeviceInfo describes the device to card and server (SGP.22 4.2).
type DeviceInfo struct {
	// TAC is the type allocation code, the first 8 digits of the IMEI as
	// telephony BCD. Zero octets when the IMEI is not known.
	TAC [4]byte
	// IMEI holds 15 digits as NewDeviceInfo encodes them; nil leaves it out.
	IMEI         []byte
	Capabilities Capabilities
	// Extended says that the card supports extensions of DeviceInfo
	// (RSPCapability DeviceInfoExtensibility).
	Extended bool
}

// ErrIMEI means text that is no IMEI.
var ErrIMEI = errors.New("malformed IMEI")

// NewDeviceInfo encodes TAC and IMEI: telephony BCD, first digit in the low
// nibble; in the last octet the check digit is in the high nibble and the low
// one is filled with F (SGP.22 4.2; 3GPP TS 29.002, TBCD-STRING). A 16th or 17th
// digit, the software version of an IMEISV, is refused.
func NewDeviceInfo(imei string, c Capabilities) (DeviceInfo, error) {
	d := DeviceInfo{Capabilities: c}
	if imei == "" {
		return d, nil
	}
	if len(imei) != 15 {
		return DeviceInfo{}, fmt.Errorf("%w: %d digits, not 15", ErrIMEI, len(imei))
	}
	b := make([]byte, 8)
	for i, c := range []byte(imei) {
		if c < '0' || c > '9' {
			return DeviceInfo{}, fmt.Errorf("%w: character %d is not a digit", ErrIMEI, i+1)
		}
		shift := 4 * (i % 2)
		if i == 14 {
			shift = 4
		}
		b[i/2] |= (c - '0') << shift
	}
	b[7] |= 0x0F
	d.IMEI = b
	copy(d.TAC[:], b)
	return d, nil
}

// build writes deviceInfo: tac 80, deviceCapabilities A1, imei 82 inside A1.
func (d DeviceInfo) build(b *bertlv.Builder) {
	b.Open(0xA1).Put(0x80, d.TAC[:]).Open(0xA1)
	c := d.Capabilities
	releases := []Release{c.GSM, c.UTRAN, c.CDMA1X, c.HRPD, c.EHRPD, c.EUTRAN, c.Contactless, c.RSPCRL, c.NREPC, c.NR5GC, c.EUTRAN5GC}
	for i, r := range releases {
		if r == (Release{}) || i > 7 && !d.Extended {
			continue
		}
		b.Put(0x80+bertlv.Tag(i), r[:])
	}
	b.Close()
	if d.IMEI != nil {
		b.Put(0x82, d.IMEI)
	}
	b.Close()
}

// HashConfirmationCode returns what PrepareDownload and the server compare:
// SHA-256 of the code's own SHA-256 and the transaction ID (SGP.22 3.1.3.2).
func HashConfirmationCode(cc euicc.ConfirmationCode, id euicc.TransactionID) []byte {
	inner := sha256.Sum256([]byte(cc.Reveal()))
	outer := sha256.Sum256(append(inner[:], id.Bytes()...))
	return outer[:]
}
