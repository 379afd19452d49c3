package modem

import (
	"context"
	"fmt"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// dialPPP is *99[*[<called address>][*[<L2P>][*<cid>]]]# (27.007, 10.2.1.1) for a
// dialect that has no other way.
const dialPPP = "D*99***{cid}#"

// Dial defines the context and sets its credentials as Up does, and puts the port
// into data mode, in which it carries PPP. After it the session can only be closed:
// what the port sends is no answer any more. A refusal is an *ActivationError.
func (m *Modem) Dial(ctx context.Context, call Call) error {
	if !call.Keep {
		if err := m.prepare(ctx, call); err != nil {
			return err
		}
	}
	// A call that an earlier user of the port left behind +++ keeps it from dialling
	// (V.250, 6.3.6).
	if err := m.optional(ctx, "H"); err != nil {
		return err
	}
	dial := m.d.Dial
	if dial.Send == "" {
		dial = dialect.Step{Send: dialPPP, Timeout: dialect.Seconds(150)} // 27.007 sets no limit; +CGACT has the same
	}
	text, secret, err := dialect.Expand(dial.Send, values(call.Context, call.Auth))
	if err != nil {
		return err
	}
	reply, err := m.s.Do(ctx, atcmd.Command{Text: text, Finals: append([]string{"CONNECT"}, dial.Finals...), Timeout: dial.Timeout.Std(), Secret: secret})
	if err == nil && !isConnect(reply.Final) {
		err = fmt.Errorf("AT%s: %q is not CONNECT: %w", text, reply.Final, ErrAnswer)
	}
	if err != nil {
		return m.activationError(ctx, call.Context.CID, err)
	}
	return nil
}

func isConnect(final string) bool { return len(final) >= 7 && final[:7] == "CONNECT" }
