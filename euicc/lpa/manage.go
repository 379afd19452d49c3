package lpa

import (
	"context"
	"errors"
	"fmt"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/es10"
)

// profileTags are all that SGP.22 v2.5 defines for ProfileInfo.
var profileTags = []bertlv.Tag{0x5A, 0x4F, 0x9F70, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0xB6, 0xB7, 0xB8, 0x99, 0xBF76}

// Profile reads all that the card has about one profile, its icon included. That
// it has none of this ICCID is es10.ErrNotFound.
func (c *Card) Profile(ctx context.Context, iccid euicc.ICCID) (*euicc.Profile, error) {
	r, err := es10.GetProfilesInfo{ICCID: iccid, Tags: profileTags}.Execute(ctx, c.ch)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageProfiles, err)
	}
	for i := range r.Profiles {
		if r.Profiles[i].ICCID == iccid {
			return &r.Profiles[i], nil
		}
	}
	return nil, diagnose(ctx, euicc.StageProfiles, es10.NotFound("getProfilesInfo"))
}

// SetDefaultSMDP sets the card's default SM-DP+, "" for none, and reads it back.
func (c *Card) SetDefaultSMDP(ctx context.Context, address string) error {
	if address != "" {
		var err error
		if address, err = euicc.ParseAddress(address); err != nil {
			return &euicc.Error{Stage: euicc.StageSetDefaultSMDP, Code: "bad-address", Retry: euicc.RetryAsk,
				Text: "the address of the default SM-DP+ cannot be one", Advice: "a host name such as smdp.example.com", Err: err}
		}
	}
	_, err := es10.SetDefaultDpAddress{Address: address}.Execute(ctx, c.ch)
	if err := c.changed(ctx, euicc.StageSetDefaultSMDP, err); err != nil {
		return err
	}
	r, err := es10.GetEuiccConfiguredAddresses{}.Execute(ctx, c.ch)
	if err != nil {
		return diagnose(ctx, euicc.StageSetDefaultSMDP, err)
	}
	if r.DefaultSMDP != address {
		return &euicc.Error{Stage: euicc.StageSetDefaultSMDP, Code: "not-kept", Retry: euicc.RetryNever,
			Text: fmt.Sprintf("the card said yes to the default SM-DP+, but holds %q", r.DefaultSMDP), Advice: "report card make and firmware"}
	}
	return nil
}

// ResetMemory deletes profiles of a kind for good, or sets the default SM-DP+
// address back (SGP.22 5.7.19). Neither policy rules nor the enabled state
// protect a profile from it. That there was nothing to clear is no error. An
// error whose Unknown is set is settled by reading the profiles. What was
// deleted is reported to the operators like any deletion; and as after Enable
// the card may ask for a REFRESH.
func (c *Card) ResetMemory(ctx context.Context, what es10.ResetOptions) error {
	_, err := es10.EuiccMemoryReset{Options: what}.Execute(ctx, c.ch)
	if errors.Is(err, es10.ErrNotFound) {
		return nil
	}
	return c.changed(ctx, euicc.StageMemoryReset, err)
}

// UseInfo tells a Card what an earlier one of the same eUICC has read, which is
// then not read again. What is of another eUICC is passed over.
func (c *Card) UseInfo(i *Info) {
	if i == nil || i.EID != c.eid {
		return
	}
	c.info1, c.info2 = i.Info1, i.Info2
	c.device.Extended = i.Info2.RSPCapability&es10.DeviceInfoExtensibility != 0
}
