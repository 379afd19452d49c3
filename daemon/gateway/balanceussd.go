package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"dynamod/atcmd/modem"
	"dynamod/configs/cosa"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/moapi"
	"dynamod/daemon/status"
)

// A line whose operator has no API may have a code to dial that shows its balance. The
// code is dialled only when a person asks: some modems leave LTE for it, and abroad it
// may cost money.

// ussdTime is for the modem to be free, and the network to answer.
const ussdTime = time.Minute

// balanceCode is the code that the records have for a line, "" where they have none, or
// do not agree; and the pattern of its answer.
func (g *Gateway) balanceCode(snap status.Snapshot) (code, pattern string) {
	if snap.SIM == nil {
		return "", ""
	}
	d := g.getOperators().Match(cosa.SIM{ICCID: snap.SIM.ICCID, MCCMNC: snap.SIM.HomePLMN, SPN: snap.SIM.SPN})
	for _, m := range d.Matches[:d.Winners] {
		first, _, _ := strings.Cut(m.Profile.Ext.Get(cosa.ExtBalanceUSSD), " ")
		switch {
		case first == "":
		case code == "":
			code, pattern = first, m.Profile.Ext.Get(cosa.ExtBalancePattern)
		case code != first:
			return "", "" // another operator's code may do anything
		}
	}
	return code, pattern
}

// balanceByUSSD dials the code, while nobody uses the eUICC and no run is under way.
func (g *Gateway) balanceByUSSD(ctx context.Context, iccid string) ([]moapi.Balance, error) {
	refuse := func(code, text string, err error) error {
		return &call.Error{Op: "balance", Code: code, Text: text, Err: err}
	}
	// The network takes longer than an API may.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ussdTime)
	defer cancel()
	defer context.AfterFunc(g.life, cancel)()
	release, err := g.acquireIdle(ctx)
	if err != nil {
		return nil, refuse(call.CodeBusy, "the modem is at something else", err)
	}
	defer release()
	snap := g.status.Snapshot()
	code, pattern := g.balanceCode(snap)
	d := g.getDevice()
	if code == "" || d == nil || snap.SIM.ICCID != iccid {
		return nil, refuse(call.CodeUnreachable, "the line is not there any more", nil)
	}
	a, err := d.modem.USSD(ctx, code)
	if err == nil && a.More {
		if err := d.modem.CancelUSSD(ctx); err != nil { // it was a menu: nobody chooses from it
			g.log.Debug("cannot leave the network's menu", "error", err)
		}
	}
	switch {
	case errors.Is(err, modem.ErrUSSDUnsupported):
		return nil, refuse(call.CodeUnknown, "the network does not know the code of the operator's record", nil)
	case err != nil:
		return nil, refuse(call.CodeUnreachable, "the network did not answer", err)
	case a.Text == "":
		return nil, refuse(call.CodeMalformed, "the network's answer is empty", nil)
	}
	b := moapi.Balance{Words: a.Text}
	if mb, ok := dynamo.Amount(a.Text, pattern); ok {
		b.Data = &mb
	}
	return []moapi.Balance{b}, nil
}

// balanceSource says who is asked about a line: api, ussd, or nobody.
func (g *Gateway) balanceSource(snap status.Snapshot) string {
	code, _ := g.balanceCode(snap)
	switch {
	case g.knowsBalance(snap.SIM.ICCID):
		return status.BalanceAPI
	case code != "":
		return status.BalanceUSSD
	}
	return ""
}
