package activation

import (
	"fmt"
	"slices"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// earlier are the ended runs of the same order, youngest first.
func (r *run) earlier() []Record {
	if r.rec.After == "" {
		return nil
	}
	var list []Record
	for _, rec := range slices.Backward(r.o.Runs()) {
		if rec.ID != r.rec.ID && rec.Mark == r.rec.Mark && !rec.Forgotten {
			list = append(list, rec)
		}
	}
	return list
}

// onCard reports whether an earlier run of the same order has brought its profile to
// the card, and takes it. The server would not give it a second time.
func (r *run) onCard(profiles []euicc.Profile) bool {
	for _, rec := range r.earlier() {
		for _, p := range profiles {
			if p.ICCID.String() == rec.ICCID {
				p.Metadata.ICCID = p.ICCID
				r.there = &p
				r.describe(p.Metadata)
				return true
			}
		}
	}
	return false
}

// spent is the error of an order that the server has refused for good: each
// further try may count against it.
func (r *run) spent() error {
	if r.req.Again {
		return nil
	}
	for _, rec := range r.earlier() {
		if !refusedForGood(rec.Error) {
			continue
		}
		return &Fault{
			Code: rec.Error.Code, Text: fmt.Sprintf("the server has refused this order for good, in activation %s: %s", rec.ID, rec.Error.Text),
			Advice: rec.Error.Advice + "; `dynamod activate --again` asks the server all the same", Retry: euicc.Retry(rec.Error.Retry),
		}
	}
	return nil
}

// refusedForGood reports whether a run ended because of a code that is used up, or
// of an answer of the server that can only be the same again.
func refusedForGood(p *status.Problem) bool {
	if p == nil {
		return false
	}
	return p.Retry == string(euicc.RetryNewCode) || p.Retry == string(euicc.RetryNever) && p.Cause != nil && p.Cause.Subject != ""
}
