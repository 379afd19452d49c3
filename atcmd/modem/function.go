package modem

import (
	"context"
	"errors"
	"fmt"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Function asks the modem which data function it has. It returns "" when the
// dialect has no way to ask or the answer has no known meaning.
func (m *Modem) Function(ctx context.Context) (dialect.Kind, error) {
	v, err := m.FunctionValue(ctx)
	if err != nil && answered(err) {
		return "", nil
	}
	return m.d.Function.Kinds[v], err
}

// FunctionValue asks for it as the modem's family numbers it, such as "1" of
// +QCFG="usbnet". It returns "" when the dialect has no way to ask.
func (m *Modem) FunctionValue(ctx context.Context) (string, error) {
	if m.d.Function.Query.Send == "" {
		return "", nil
	}
	return m.query(ctx, m.d.Function.Query)
}

// SetFunction gives the modem the data function that its family numbers so. The
// modem restarts, and its ports may come back in another order: that they go
// while the last command is answered is no error.
func (m *Modem) SetFunction(ctx context.Context, value string) error {
	steps := m.d.Function.Set
	if len(steps) == 0 {
		return fmt.Errorf("dialect %s: no command changes the data function", m.d.Name)
	}
	i, err := m.run(ctx, steps, 0, dialect.Values{"function": value})
	if i == len(steps)-1 && (errors.Is(err, atcmd.ErrGone) || errors.Is(err, atcmd.ErrTimeout)) {
		return nil
	}
	return err
}
