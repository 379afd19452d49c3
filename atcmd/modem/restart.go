package modem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// ErrNoReset means that the dialect has no command that starts this part again.
var ErrNoReset = errors.New("no command is known for it")

// Restart makes a modem that fails start a part of itself again, whether or not
// it answers: with the dialect's own row for that part. It returns when the
// modem answers and is initialised again, or when the row's time is over, with
// ErrReopen where the port went away. Whether it helped is not its business. The
// card's logical channels do not survive it. begun, if not nil, waits between the
// commands and the first question: a modem that restarts a second after its OK would
// else be taken for one that has done so.
func (m *Modem) Restart(ctx context.Context, part dialect.Part, begun func(context.Context)) error {
	row := m.d.Reset(part)
	if row == nil {
		return ErrNoReset
	}
	m.log.Info("restarting", "part", part, "command", row.Name)
	var failed error
	for at := 0; at < len(row.Steps); at++ {
		// A later command may bring back what an earlier one switched off, so
		// that one without an answer does not end the sequence.
		n, err := m.run(ctx, row.Steps, at, nil)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if atcmd.PortLost(err) {
			return fmt.Errorf("%w: %w", ErrReopen, err)
		}
		failed, at = errors.Join(failed, err), n
	}
	if begun != nil {
		begun(ctx)
	}
	end := time.Now().Add(row.Settle.Std())
	for {
		err := m.Init(ctx)
		if err == nil {
			err = m.EnableEvents(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			return failed
		case atcmd.PortLost(err):
			return fmt.Errorf("%w: %w", ErrReopen, err)
		case !errors.Is(err, atcmd.ErrTimeout) || time.Now().After(end):
			return err
		}
	}
}
