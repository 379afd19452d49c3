package es10

import (
	"context"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// GetProfilesInfo lists profiles (SGP.22 5.7.15, ES10c). The zero value asks for
// all profiles with the data that a list needs; the searches exclude each other.
type GetProfilesInfo struct {
	ICCID euicc.ICCID  // only the one with this ICCID
	AID   []byte       // only the one with this ISD-P
	Class *euicc.Class // only those of this class
	// Tags are the data objects wanted of each profile. Nil means DefaultTags,
	// an empty slice leaves the choice to the card.
	Tags []bertlv.Tag
	// Fill, if not 0, lengthens a request without search to that many bytes, 140
	// to 255, by tags that no profile has: a read to try what modem and card bear.
	Fill int
}

// fillTag and fillTag1 are of the private class, of which SGP.22 uses only E3 here.
const (
	fillTag  = 0xDF7F
	fillTag1 = 0xC0
)

// DefaultTags are what GetProfilesInfo asks for unless told otherwise: all but
// the icon, which is the larger part of a profile's data.
var DefaultTags = []bertlv.Tag{0x5A, 0x4F, 0x9F70, 0x90, 0x91, 0x92, 0x95, 0xB6, 0xB7, 0x99}

// GetProfilesInfoResponse is the answer to GetProfilesInfo.
type GetProfilesInfoResponse struct {
	Profiles []euicc.Profile
}

// Bytes returns the encoded request.
func (r GetProfilesInfo) Bytes() []byte {
	var b bertlv.Builder
	b.Open(0xBF2D)
	switch {
	case !r.ICCID.IsZero():
		b.Open(0xA0).Put(0x5A, r.ICCID[:]).Close()
	case r.AID != nil:
		b.Open(0xA0).Put(0x4F, r.AID).Close()
	case r.Class != nil:
		b.Open(0xA0).Int(0x95, int64(*r.Class)).Close()
	}
	tags := r.Tags
	if tags == nil {
		tags = DefaultTags
	}
	if len(tags) > 0 {
		var list []byte
		for _, t := range tags {
			list = t.Append(list)
		}
		// BF2D and 5C have two bytes of length each then.
		for room := r.Fill - (4 + 3) - len(list); room > 0; room-- {
			if room > 1 {
				list = bertlv.Tag(fillTag).Append(list)
				room--
			} else {
				list = bertlv.Tag(fillTag1).Append(list)
			}
		}
		b.Put(0x5C, list)
	}
	return b.Close().Bytes()
}

// Execute sends the request to the card.
func (r GetProfilesInfo) Execute(ctx context.Context, ch Channel) (*GetProfilesInfoResponse, error) {
	return execute[GetProfilesInfoResponse](ctx, ch, r.Bytes())
}

// UnmarshalBinary decodes a response.
func (r *GetProfilesInfoResponse) UnmarshalBinary(b []byte) error {
	const function = "getProfilesInfo"
	list, err := choice(function, b, 0xBF2D, map[int64]result{1: {name: "incorrectInputValues"}})
	if err != nil {
		return err
	}
	for c, err := range list.Children() {
		if err != nil {
			return fmt.Errorf("%s: %w", function, err)
		}
		p, err := euicc.ParseProfile(c.Raw)
		if err != nil {
			return fmt.Errorf("%s: %w", function, err)
		}
		r.Profiles = append(r.Profiles, p)
	}
	return nil
}
