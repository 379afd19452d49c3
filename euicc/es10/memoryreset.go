package es10

import (
	"context"
	"strings"

	"dynamod/euicc/bertlv"
)

// ResetOptions say what EuiccMemoryReset clears.
type ResetOptions uint8

// The options; bit n of the specification's BIT STRING is 1<<n.
const (
	ResetOperational ResetOptions = 1 << 0 // delete all operational profiles
	ResetFieldTest   ResetOptions = 1 << 1 // delete the test profiles that were loaded in the field
	ResetDefaultSMDP ResetOptions = 1 << 2 // set the default SM-DP+ address back to its first value
)

// String joins the specification's names of the options with "+".
func (o ResetOptions) String() string {
	return strings.Join(bertlv.BitNames(uint64(o), "deleteOperationalProfiles", "deleteFieldLoadedTestProfiles", "resetDefaultSmdpAddress"), "+")
}

// EuiccMemoryReset deletes profiles for good, also the enabled one and without
// regard to policy rules (SGP.22 5.7.19, ES10c). Never repeat it after a lost
// answer: read the profiles.
type EuiccMemoryReset struct {
	Options ResetOptions
}

// EuiccMemoryResetResponse is the answer to EuiccMemoryReset.
type EuiccMemoryResetResponse struct{}

// Bytes returns the encoded request.
func (r EuiccMemoryReset) Bytes() []byte {
	var b bertlv.Builder
	return b.Open(0xBF34).Put(0x82, bertlv.BitString(uint64(r.Options))).Close().Bytes()
}

// Execute sends the request to the card. The error can be a *ResultError that is
// ErrNotFound, when there was nothing to clear, or ErrCATBusy.
func (r EuiccMemoryReset) Execute(ctx context.Context, ch Channel) (*EuiccMemoryResetResponse, error) {
	return execute[EuiccMemoryResetResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *EuiccMemoryResetResponse) UnmarshalBinary(b []byte) error {
	return switchResponse("eUICCMemoryReset", 0xBF34, b, map[int64]result{
		1: {"nothingToDelete", ErrNotFound},
		5: {"catBusy", ErrCATBusy},
	})
}
