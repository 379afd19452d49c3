package lpa

import (
	"context"
	"unicode/utf8"

	"dynamod/euicc"
	"dynamod/euicc/es10"
)

// Profiles lists the profiles on the card, without icons.
func (c *Card) Profiles(ctx context.Context) ([]euicc.Profile, error) {
	r, err := es10.GetProfilesInfo{}.Execute(ctx, c.ch)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageProfiles, err)
	}
	return r.Profiles, nil
}

// Enable puts a profile into use. With refresh the card asks the modem to read
// it anew, which ends the channel: close the Card and open another one. An error
// whose Unknown is set is settled by reading the profiles, never by repeating.
// The cause can be es10.ErrNotFound, ErrWrongState, ErrPolicy or ErrCATBusy.
func (c *Card) Enable(ctx context.Context, iccid euicc.ICCID, refresh bool) error {
	_, err := es10.EnableProfile{ICCID: iccid, Refresh: refresh}.Execute(ctx, c.ch)
	return changed(ctx, euicc.StageEnable, err)
}

// Disable puts a profile out of use; see Enable.
func (c *Card) Disable(ctx context.Context, iccid euicc.ICCID, refresh bool) error {
	_, err := es10.DisableProfile{ICCID: iccid, Refresh: refresh}.Execute(ctx, c.ch)
	return changed(ctx, euicc.StageDisable, err)
}

// Delete removes a disabled profile for good; see Enable about errors.
func (c *Card) Delete(ctx context.Context, iccid euicc.ICCID) error {
	_, err := es10.DeleteProfile{ICCID: iccid}.Execute(ctx, c.ch)
	return changed(ctx, euicc.StageDelete, err)
}

// SetNickname names a profile; at most 64 bytes of UTF-8, empty for none.
func (c *Card) SetNickname(ctx context.Context, iccid euicc.ICCID, name string) error {
	if len(name) > 64 || !utf8.ValidString(name) {
		return &euicc.Error{Stage: euicc.StageNickname, Code: "nickname-too-long", Retry: euicc.RetryAsk,
			Text: "the nickname is longer than 64 bytes or no UTF-8", Advice: "choose a shorter name"}
	}
	_, err := es10.SetNickname{ICCID: iccid, Nickname: name}.Execute(ctx, c.ch)
	return changed(ctx, euicc.StageNickname, err)
}

// changed diagnoses an error of a function that changes the card: unless the
// card has answered, whether it did is unknown.
func changed(ctx context.Context, stage euicc.Stage, err error) error {
	if err == nil {
		return nil
	}
	e := diagnose(ctx, stage, err)
	e.Unknown = e.Unknown || !answered(err)
	if e.Unknown {
		e.Advice = "it may have happened: the profiles on the card tell"
	}
	return e
}
