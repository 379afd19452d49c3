package lpa

import (
	"context"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/es10"
)

// Profiles lists the profiles on the card, without icons. The card is asked once,
// and again after something has changed through this Card.
//
// When the block size is not known yet, this is where it is found out: the request
// is as long as a command can be, and what modem and card bear of a read they bear
// of everything else.
func (c *Card) Profiles(ctx context.Context) ([]euicc.Profile, error) {
	if c.listed {
		return slices.Clone(c.profiles), nil
	}
	r := c.probe(ctx)
	if r == nil {
		var err error
		if r, err = (es10.GetProfilesInfo{}).Execute(ctx, c.ch); err != nil {
			return nil, diagnose(ctx, euicc.StageProfiles, err)
		}
		c.sized = true // it was a matter of the length, if anything
		if c.cfg.Memory != nil {
			c.cfg.Memory.small = false
		}
	}
	c.profiles, c.listed = r.Profiles, true
	return slices.Clone(c.profiles), nil
}

// probeTime is what modem and card have for a long list of profiles. Some modems
// never answer a line that is too long for them.
const probeTime = 30 * time.Second

// probe lists the profiles by the longest command that there is, unless the block
// size is known. It returns nil when the list has to be asked for again, in a
// short one; then the block size is small from here on, or the card was only
// puzzled by the request. When nothing is answered after it either, the modem may
// be stuck with it: Config.Memory keeps that, and it is not tried again.
func (c *Card) probe(ctx context.Context) *es10.GetProfilesInfoResponse {
	m := c.cfg.Memory
	if c.sized || m != nil && m.small || c.ch.SetBlockSize(apdu.DefaultBlockSize) != nil {
		return nil
	}
	limited, done := context.WithTimeout(ctx, probeTime)
	defer done()
	r, err := es10.GetProfilesInfo{Fill: apdu.DefaultBlockSize}.Execute(limited, c.ch)
	if _, answer := errors.AsType[*es10.ResultError](err); err == nil || answer {
		c.sized = true
		return r
	}
	c.log.Info("commands of 255 bytes do not pass", "err", err)
	c.ch.SetBlockSize(apdu.SmallBlockSize)
	if m != nil && ctx.Err() == nil {
		m.small = true
	}
	return nil
}

// Enable puts a profile into use. With refresh the card asks the modem to read
// it anew, which ends the channel: close the Card and open another one. An error
// whose Unknown is set is settled by reading the profiles, never by repeating.
// The cause can be es10.ErrNotFound, ErrWrongState, ErrPolicy or ErrCATBusy.
func (c *Card) Enable(ctx context.Context, iccid euicc.ICCID, refresh bool) error {
	_, err := es10.EnableProfile{ICCID: iccid, Refresh: refresh}.Execute(ctx, c.ch)
	return c.changed(ctx, euicc.StageEnable, err)
}

// Disable puts a profile out of use; see Enable.
func (c *Card) Disable(ctx context.Context, iccid euicc.ICCID, refresh bool) error {
	_, err := es10.DisableProfile{ICCID: iccid, Refresh: refresh}.Execute(ctx, c.ch)
	return c.changed(ctx, euicc.StageDisable, err)
}

// Delete removes a disabled profile for good; see Enable about errors.
func (c *Card) Delete(ctx context.Context, iccid euicc.ICCID) error {
	_, err := es10.DeleteProfile{ICCID: iccid}.Execute(ctx, c.ch)
	return c.changed(ctx, euicc.StageDelete, err)
}

// SetNickname names a profile; at most 64 bytes of UTF-8, empty for none.
func (c *Card) SetNickname(ctx context.Context, iccid euicc.ICCID, name string) error {
	if len(name) > 64 || !utf8.ValidString(name) {
		return &euicc.Error{Stage: euicc.StageNickname, Code: "nickname-too-long", Retry: euicc.RetryAsk,
			Text: "the nickname is longer than 64 bytes or no UTF-8", Advice: "choose a shorter name"}
	}
	_, err := es10.SetNickname{ICCID: iccid, Nickname: name}.Execute(ctx, c.ch)
	return c.changed(ctx, euicc.StageNickname, err)
}

// changed ends a function that may have changed the card. Unless the card has
// answered, whether it did is unknown.
func (c *Card) changed(ctx context.Context, stage euicc.Stage, err error) error {
	c.listed = false
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
