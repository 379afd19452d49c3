package gateway

import (
	"context"
	"errors"

	"dynamod/atcmd/modem"
	"dynamod/atcmd/uicc"
	"dynamod/daemon/activation"
	"dynamod/euicc"
	"dynamod/euicc/apdu"
)

// tellCard tells an eUICC of the other kind, and a card that was not reached,
// from a card that is no eUICC.
func tellCard(ctx context.Context, d *device, err error) error {
	e, ok := errors.AsType[*euicc.Error](err)
	if !ok || e.Code != "not-euicc" && e.SW == 0 || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, uicc.ErrUnreachable) {
		return &activation.Fault{
			Code: "card-unreachable", Text: "the card cannot be reached through this port of the modem", Retry: euicc.RetryLater, Err: err,
			Advice: "try another of the modem's AT ports in [modem] port; see `dynamod diag`",
		}
	}
	if m2m, merr := d.card.M2M(ctx); merr != nil || !m2m {
		return err
	}
	return &activation.Fault{
		Code: "m2m-card", Text: "the card is an M2M eUICC (SGP.02), which takes profiles from its operator's server alone", Retry: euicc.RetryNever, Err: err,
		Advice: "activation codes need a consumer eUICC (SGP.22); this card's profiles are its operator's business",
	}
}

// learnWay notes which commands reach the card, so that the next start does not
// try the others first.
func (g *Gateway) learnWay(d *device) {
	way := d.card.Way()
	if way == "" {
		return
	}
	key := modelKey(d.id)
	f, _ := g.learned.Firmware(key)
	if f.Transport == way {
		return
	}
	f.Transport = way
	if err := g.learned.SetFirmware(key, f); err != nil {
		g.log.Warn("cannot remember the way to the card", "error", err)
	}
}

func modelKey(id modem.Identity) string { return id.Model + " " + id.Revision }

// blockSize is what was learned of the modem's firmware with this card, or what
// the tables know of the modem; 0 if nothing.
func (g *Gateway) blockSize(d *device, eid euicc.EID) int {
	f, _ := g.learned.Firmware(firmwareKey(d, eid))
	if f.BlockSize < 1 || f.BlockSize > apdu.DefaultBlockSize { // the file is not ours alone
		return d.modem.Dialect().APDU.BlockSize
	}
	return f.BlockSize
}

func firmwareKey(d *device, eid euicc.EID) string {
	return modelKey(d.id) + " " + eid.String()
}

// learnBlockSize notes how many bytes modem and card take in one command.
func (g *Gateway) learnBlockSize(eid euicc.EID, size int) {
	g.mu.Lock()
	d := g.device
	g.mu.Unlock()
	if d == nil || size == 0 || size == g.blockSize(d, eid) {
		return
	}
	key := firmwareKey(d, eid)
	f, _ := g.learned.Firmware(key)
	f.BlockSize, f.Transport = size, d.card.Way()
	if err := g.learned.SetFirmware(key, f); err != nil {
		g.log.Warn("cannot remember the block size", "error", err)
	}
}
