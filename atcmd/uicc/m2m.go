package uicc

import (
	"context"
	"errors"
	"fmt"
)

// ecasdAID is the AID of the security domain that holds the certificates and the
// EID of an eUICC (SGP.02, annex H).
var ecasdAID = []byte{0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x02, 0x00}

// M2M reports whether the card is an eUICC of the machine-to-machine kind
// (SGP.02). Its ISD-R has the same AID as that of a consumer eUICC (SGP.22) and
// may be opened; but it takes orders from its operator's server alone and knows
// none of the functions that a device has. Its EID comes from another place, the
// ECASD, by GET DATA with tag 5A (SGP.02, 2.2.2).
//
// Ask only about a card whose ISD-R gave no EID: a consumer eUICC has an ECASD,
// too. An error means that the card could not be asked.
func (t *Transport) M2M(ctx context.Context) (bool, error) {
	session, err := t.Open(ctx, ecasdAID)
	if err != nil {
		if e := (*Error)(nil); errors.As(err, &e) && e.NotEUICC() {
			return false, nil
		}
		return false, err
	}
	data, err := t.getData(ctx, session, 0x005A)
	if cerr := t.Close(ctx, session); err == nil {
		err = cerr
	}
	return isEID(data), err
}

// getData is GET DATA (GlobalPlatform Card Specification 2.3, 11.3), with the
// forms in which a card says how long its answer is. A refusal is no data.
func (t *Transport) getData(ctx context.Context, session string, tag uint16) ([]byte, error) {
	cmd := []byte{0x80, 0xCA, byte(tag >> 8), byte(tag), 0}
	resp, err := t.Transmit(ctx, session, cmd)
	if err == nil && len(resp) == 2 {
		switch sw := status(resp); sw >> 8 {
		case 0x6C:
			cmd[4] = byte(sw)
			resp, err = t.Transmit(ctx, session, cmd)
		case 0x61:
			resp, err = t.Transmit(ctx, session, []byte{0x80, 0xC0, 0, 0, byte(sw)})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("GET DATA %04X: %w", tag, err)
	}
	if status(resp) != 0x9000 {
		return nil, nil
	}
	return resp[:len(resp)-2], nil
}

// isEID reports 16 bytes of decimal digits, with or without their tag.
func isEID(data []byte) bool {
	if len(data) == 18 && data[0] == 0x5A && data[1] == 16 {
		data = data[2:]
	}
	if len(data) != 16 {
		return false
	}
	for _, b := range data {
		if b>>4 > 9 || b&0xF > 9 {
			return false
		}
	}
	return true
}
