package es10

import (
	"context"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// EnableProfile puts a profile into use and the one that was in use out of it
// (SGP.22 5.7.16, ES10c). Never repeat it after a lost answer: read the profiles.
type EnableProfile struct {
	ICCID euicc.ICCID
	AID   []byte // the profile's ISD-P, used when ICCID is zero
	// Refresh asks the card for the proactive command REFRESH, on which the
	// modem reads the card anew.
	Refresh bool
}

// EnableProfileResponse is the answer to EnableProfile.
type EnableProfileResponse struct{}

// Bytes returns the encoded request.
func (r EnableProfile) Bytes() []byte { return switchRequest(0xBF31, r.ICCID, r.AID, r.Refresh) }

// Execute sends the request to the card. The error can be a *ResultError that
// is ErrNotFound, ErrWrongState, ErrPolicy or ErrCATBusy.
func (r EnableProfile) Execute(ctx context.Context, ch Channel) (*EnableProfileResponse, error) {
	return execute[EnableProfileResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *EnableProfileResponse) UnmarshalBinary(b []byte) error {
	return switchResponse("enableProfile", 0xBF31, b, map[int64]result{
		1: {"iccidOrAidNotFound", ErrNotFound},
		2: {"profileNotInDisabledState", ErrWrongState},
		3: {"disallowedByPolicy", ErrPolicy},
		4: {"wrongProfileReenabling", ErrPolicy},
		5: {"catBusy", ErrCATBusy},
	})
}

// DisableProfile puts a profile out of use (SGP.22 5.7.17, ES10c). Never repeat
// it after a lost answer: read the profiles.
type DisableProfile struct {
	ICCID   euicc.ICCID
	AID     []byte // the profile's ISD-P, used when ICCID is zero
	Refresh bool   // as in EnableProfile
}

// DisableProfileResponse is the answer to DisableProfile.
type DisableProfileResponse struct{}

// Bytes returns the encoded request.
func (r DisableProfile) Bytes() []byte { return switchRequest(0xBF32, r.ICCID, r.AID, r.Refresh) }

// Execute sends the request to the card. The error can be a *ResultError that
// is ErrNotFound, ErrWrongState, ErrPolicy or ErrCATBusy.
func (r DisableProfile) Execute(ctx context.Context, ch Channel) (*DisableProfileResponse, error) {
	return execute[DisableProfileResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *DisableProfileResponse) UnmarshalBinary(b []byte) error {
	return switchResponse("disableProfile", 0xBF32, b, map[int64]result{
		1: {"iccidOrAidNotFound", ErrNotFound},
		2: {"profileNotInEnabledState", ErrWrongState},
		3: {"disallowedByPolicy", ErrPolicy},
		5: {"catBusy", ErrCATBusy},
	})
}

// DeleteProfile removes a disabled profile for good (SGP.22 5.7.18, ES10c).
// Never repeat it after a lost answer: read the profiles.
type DeleteProfile struct {
	ICCID euicc.ICCID
	AID   []byte // the profile's ISD-P, used when ICCID is zero
}

// DeleteProfileResponse is the answer to DeleteProfile.
type DeleteProfileResponse struct{}

// Bytes returns the encoded request.
func (r DeleteProfile) Bytes() []byte {
	var b bertlv.Builder
	b.Open(0xBF33)
	identifier(&b, r.ICCID, r.AID)
	return b.Close().Bytes()
}

// Execute sends the request to the card. The error can be a *ResultError that
// is ErrNotFound, ErrWrongState or ErrPolicy.
func (r DeleteProfile) Execute(ctx context.Context, ch Channel) (*DeleteProfileResponse, error) {
	return execute[DeleteProfileResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *DeleteProfileResponse) UnmarshalBinary(b []byte) error {
	return switchResponse("deleteProfile", 0xBF33, b, map[int64]result{
		1: {"iccidOrAidNotFound", ErrNotFound},
		2: {"profileNotInDisabledState", ErrWrongState},
		3: {"disallowedByPolicy", ErrPolicy},
	})
}

// SetNickname gives a profile the user's own name, at most 64 bytes of UTF-8; an
// empty one removes it (SGP.22 5.7.21, ES10c).
type SetNickname struct {
	ICCID    euicc.ICCID
	Nickname string
}

// SetNicknameResponse is the answer to SetNickname.
type SetNicknameResponse struct{}

// Bytes returns the encoded request.
func (r SetNickname) Bytes() []byte {
	var b bertlv.Builder
	return b.Open(0xBF29).Put(0x5A, r.ICCID[:]).String(0x90, r.Nickname).Close().Bytes()
}

// Execute sends the request to the card. The error can be a *ResultError that
// is ErrNotFound.
func (r SetNickname) Execute(ctx context.Context, ch Channel) (*SetNicknameResponse, error) {
	return execute[SetNicknameResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *SetNicknameResponse) UnmarshalBinary(b []byte) error {
	return switchResponse("setNickname", 0xBF29, b, map[int64]result{1: {"iccidNotFound", ErrNotFound}})
}

func identifier(b *bertlv.Builder, iccid euicc.ICCID, aid []byte) {
	if iccid.IsZero() {
		b.Put(0x4F, aid)
		return
	}
	b.Put(0x5A, iccid[:])
}

// switchRequest encodes profileIdentifier, tag A0 as a CHOICE is tagged
// explicitly, and refreshFlag, a BOOLEAN of which DER allows FF for true.
func switchRequest(tag bertlv.Tag, iccid euicc.ICCID, aid []byte, refresh bool) []byte {
	var b bertlv.Builder
	b.Open(tag).Open(0xA0)
	identifier(&b, iccid, aid)
	flag := byte(0)
	if refresh {
		flag = 0xFF
	}
	return b.Close().Put(0x81, []byte{flag}).Close().Bytes()
}

func switchResponse(function string, tag bertlv.Tag, b []byte, table map[int64]result) error {
	e, err := expect(function, b, tag)
	if err != nil {
		return err
	}
	n, err := code(function, e, 0x80)
	if err != nil {
		return err
	}
	return check(function, n, table)
}
