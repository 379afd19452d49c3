package es10

import (
	"bytes"
	"context"
	"strings"

	"dynamod/euicc/bertlv"
)

// GetEuiccConfiguredAddresses reads the servers that the card names (SGP.22
// 5.7.3, ES10a).
type GetEuiccConfiguredAddresses struct{}

// GetEuiccConfiguredAddressesResponse is the answer to
// GetEuiccConfiguredAddresses.
type GetEuiccConfiguredAddressesResponse struct {
	DefaultSMDP string // empty when none is set
	RootSMDS    string
	// FurtherSMDS are root SM-DS beside the first, on cards of SGP.22 v3.
	FurtherSMDS []string
	// Extra are the data objects that this version does not know.
	Extra []bertlv.Element
}

// Bytes returns the encoded request.
func (GetEuiccConfiguredAddresses) Bytes() []byte { return bertlv.Encode(0xBF3C) }

// Execute sends the request to the card.
func (r GetEuiccConfiguredAddresses) Execute(ctx context.Context, ch Channel) (*GetEuiccConfiguredAddressesResponse, error) {
	return execute[GetEuiccConfiguredAddressesResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response. Blanks around the addresses are dropped.
func (r *GetEuiccConfiguredAddressesResponse) UnmarshalBinary(b []byte) error {
	e, err := expect("getEuiccConfiguredAddresses", bytes.Clone(b), 0xBF3C)
	if err != nil {
		return err
	}
	for c, err := range e.Children() {
		if err != nil {
			return err
		}
		s := strings.TrimSpace(utf8Text(c.Value))
		switch c.Tag {
		case 0x80:
			r.DefaultSMDP = s
		case 0x81:
			r.RootSMDS = s
		case 0xA2:
			for further, err := range c.Children() {
				if err != nil {
					return err
				}
				r.FurtherSMDS = append(r.FurtherSMDS, strings.TrimSpace(utf8Text(further.Value)))
			}
		default:
			r.Extra = append(r.Extra, c)
		}
	}
	return nil
}

// SetDefaultDpAddress sets the SM-DP+ that is asked when no other is named; an
// empty address removes it (SGP.22 5.7.4, ES10a).
type SetDefaultDpAddress struct {
	Address string // a fully qualified domain name
}

// SetDefaultDpAddressResponse is the answer to SetDefaultDpAddress.
type SetDefaultDpAddressResponse struct{}

// Bytes returns the encoded request.
func (r SetDefaultDpAddress) Bytes() []byte {
	var b bertlv.Builder
	return b.Open(0xBF3F).String(0x80, r.Address).Close().Bytes()
}

// Execute sends the request to the card.
func (r SetDefaultDpAddress) Execute(ctx context.Context, ch Channel) (*SetDefaultDpAddressResponse, error) {
	return execute[SetDefaultDpAddressResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *SetDefaultDpAddressResponse) UnmarshalBinary(b []byte) error {
	return switchResponse("setDefaultDpAddress", 0xBF3F, b, nil)
}
