package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/moapi"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
	"dynamod/euicc"
)

// Balance asks for the balance of the line in use, where that may be done now, and
// returns the last one else.
func (g *Gateway) Balance(ctx context.Context) (status.Balance, error) {
	snap := g.status.Snapshot()
	iccid := ""
	if snap.SIM != nil {
		iccid = snap.SIM.ICCID
	}
	if iccid == "" {
		return status.Balance{}, &activation.Fault{Code: "no-sim", Text: "there is no line whose balance could be asked for", Advice: "`dynamod status` shows the SIM", Retry: euicc.RetryLater}
	}
	if g.balanceSource(snap) == "" {
		return status.Balance{}, &activation.Fault{
			Code: "no-balance-source", Text: "nobody is named who knows this line's balance", Retry: euicc.RetryAsk,
			Advice: "set [dynamo] directory, or put moApi with credentials and iccidRanges, or the USSD code balance-ussd, into the operator's record, see docs/operators.md",
		}
	}
	if limited := snap.State == status.Limited; g.wasLimited.Swap(limited) != limited {
		g.balances.Event(iccid) // its credit has come to an end, or is there again
	}
	r := g.balances.Get(ctx, iccid, g.location(snap))
	if r.At.IsZero() {
		f := &activation.Fault{Code: "no-balance", Text: "the balance is not known", Err: r.Err, Retry: euicc.RetryLater}
		if e, ok := errors.AsType[*call.Error](r.Err); ok {
			f.Code, f.Advice = "balance-"+e.Code, e.Hint()
		}
		return status.Balance{}, f
	}
	b := balanceOf(iccid, r)
	g.showBalance(b)
	return b, nil
}

// What is low. The operator's own thresholds are not published.
const (
	lowMB   = 100
	lowTime = 48 * time.Hour
)

// showBalance puts a balance into the status, and tells once when it has become low or
// is used up.
func (g *Gateway) showBalance(b status.Balance) {
	b.NextIn = 0 // it would be of the moment, and stay
	what := ""
	g.status.Update(func(s *status.Snapshot) {
		was := s.Balance
		if was == nil || was.ICCID != b.ICCID {
			was = &status.Balance{}
		}
		switch {
		case b.UsedUp && !was.UsedUp:
			what = "the line's balance is used up"
		case b.Low && !was.Low && !b.UsedUp:
			what = "the line's balance is low: " + b.Text
		}
		s.Balance = &b
	})
	if what != "" {
		g.log.Warn(what)
		g.status.Log(what)
	}
}

func balanceOf(iccid string, r dynamo.Reading) (out status.Balance) {
	defer func() { out.Text = wording.Balance(out) }()
	out = status.Balance{ICCID: iccid, Source: status.BalanceAPI, At: r.At, Stale: r.Stale(), NextIn: int((r.Next + time.Second - 1) / time.Second)}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	if len(r.Balances) == 0 { // nothing is active there
		out.Type, out.UsedUp = string(moapi.TypeNone), true
		return out
	}
	b := r.Balances[0]
	out.Type, out.DataMB, out.UsedUp, out.Locations = string(b.Type), b.Data, b.UsedUp(), b.Locations
	if b.Words != "" {
		out.Words, out.Source = b.Words, status.BalanceUSSD
	}
	if b.Type == moapi.TypePostpaid || b.Type == moapi.TypeNotSupported {
		out.DataMB = nil // what is there is no number to show
		return out
	}
	if b.Time != nil {
		out.TimeRemaining = moapi.FormatDuration(*b.Time)
	}
	out.Low = !out.UsedUp && (b.Data != nil && *b.Data <= lowMB || b.Time != nil && *b.Time <= lowTime)
	return out
}

// location is the country of the serving network, "" where its records name none or
// several.
func (g *Gateway) location(snap status.Snapshot) string {
	if snap.Registration == nil {
		return ""
	}
	if list := g.getOperators().Countries(snap.Registration.PLMN); len(list) == 1 {
		return strings.ToUpper(list[0])
	}
	return ""
}

// knowsBalance reports whether somebody is named who can be asked about a line.
func (g *Gateway) knowsBalance(iccid string) bool {
	return g.config().Dynamo.Directory != "" || g.creditor(iccid) != nil
}

// creditor is the record of an operator that lets this router ask its API about a
// line, nil if there is none.
func (g *Gateway) creditor(iccid string) *cosa.OperatorProfile {
	for p := range g.getOperators().Profiles() {
		if p.MOAPI.HasCredentials() && p.Portal.Serves(iccid) {
			return p
		}
	}
	return nil
}

// balanceAsker asks the operator where its record has credentials, else the
// directory service. The configuration, the records and their files may have
// changed since the last question: they are read for each.
type balanceAsker struct{ g *Gateway }

func (a balanceAsker) Balances(ctx context.Context, iccid string, q moapi.BalanceQuery) ([]moapi.Balance, error) {
	g := a.g
	refuse := func(err error) error {
		return &call.Error{Op: "balance", Code: call.CodeNoAPI, Text: "it cannot be asked for", Err: err}
	}
	if op := g.creditor(iccid); op != nil {
		rt, err := moapi.Transport(op.MOAPI)
		if err != nil {
			return nil, refuse(err)
		}
		rt.DialContext = g.dial
		defer rt.CloseIdleConnections()
		return moapi.New(op.MOAPI, rt, dynamo.NewTransactionID, g.clock.now).Balances(ctx, iccid, q)
	}
	if g.config().Dynamo.Directory == "" {
		if code, _ := g.balanceCode(g.status.Snapshot()); code != "" {
			return g.balanceByUSSD(ctx, iccid)
		}
	}
	c, done, err := g.directory()
	if err != nil {
		return nil, refuse(err)
	}
	defer done()
	return c.Balances(ctx, iccid, q)
}
