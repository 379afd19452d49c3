package bearer

import (
	"context"

	"dynamod/daemon/activation"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Lasts probes the link that Up brought up once more. A link that carries nothing
// any more is taken down.
func (b *Bearer) Lasts(ctx context.Context) (limited string, err error) {
	b.op.Lock()
	defer b.op.Unlock()
	fault := &activation.Fault{
		Code: "no-data", Text: "traffic crossed the link for a moment only", Retry: euicc.RetryLater,
		Advice: "ask the operator whether the line is active and has data left",
	}
	a := b.current()
	if a == nil {
		return "", fault
	}
	reach := b.probe(ctx, a.spec)
	if reach.State != status.Down {
		b.show(a, reach)
		return reach.limited(), nil
	}
	if ctx.Err() == nil {
		r, err := b.getRadio()
		if err != nil {
			r = nil
		}
		b.down(ctx, a, r)
	}
	fault.Text += ": " + reach.Reason
	return "", fault
}
