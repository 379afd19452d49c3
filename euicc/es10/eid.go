package es10

import (
	"context"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// GetEID reads the card's identity (SGP.22 5.7.20, ES10c).
type GetEID struct{}

// GetEIDResponse is the answer to GetEID. The check digits are not verified; see
// euicc.EID.Valid.
type GetEIDResponse struct {
	EID euicc.EID
}

// Bytes returns the encoded request.
func (GetEID) Bytes() []byte { return bertlv.Encode(0xBF3E, []byte{0x5C, 1, 0x5A}) }

// Execute sends the request to the card.
func (r GetEID) Execute(ctx context.Context, ch Channel) (*GetEIDResponse, error) {
	return execute[GetEIDResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *GetEIDResponse) UnmarshalBinary(b []byte) error {
	e, err := expect("getEID", b, 0xBF3E)
	if err != nil {
		return err
	}
	v, err := field("getEID", e, 0x5A)
	if err != nil {
		return err
	}
	if len(v) != len(r.EID) {
		return fmt.Errorf("getEID: EID of %d bytes, not 16", len(v))
	}
	r.EID = euicc.EID(v)
	return nil
}
