package es10

import (
	"context"
	"fmt"

	"dynamod/euicc/bertlv"
)

// GetEUICCChallenge starts an RSP session on the card (SGP.22 5.7.7, ES10b).
type GetEUICCChallenge struct{}

// GetEUICCChallengeResponse is the answer to GetEUICCChallenge.
type GetEUICCChallengeResponse struct {
	Challenge [16]byte
}

// Bytes returns the encoded request.
func (GetEUICCChallenge) Bytes() []byte { return bertlv.Encode(0xBF2E) }

// Execute sends the request to the card.
func (r GetEUICCChallenge) Execute(ctx context.Context, ch Channel) (*GetEUICCChallengeResponse, error) {
	return execute[GetEUICCChallengeResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *GetEUICCChallengeResponse) UnmarshalBinary(b []byte) error {
	e, err := expect("getEUICCChallenge", b, 0xBF2E)
	if err != nil {
		return err
	}
	v, err := field("getEUICCChallenge", e, 0x80)
	if err != nil {
		return err
	}
	if len(v) != len(r.Challenge) {
		return fmt.Errorf("getEUICCChallenge: challenge of %d bytes, not 16", len(v))
	}
	r.Challenge = [16]byte(v)
	return nil
}
