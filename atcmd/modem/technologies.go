package modem

import (
	"context"
	"fmt"
	"strings"

	"dynamod/atcmd"
)

// Technologies are the radio access technologies that a modem can use.
type Technologies struct {
	GSM, UTRAN, EUTRAN bool
}

// ws46 are the combinations of 27.007, 5.9 (+WS46); later numbers, with NG-RAN,
// vary with the release and are passed over.
var ws46 = map[int]Technologies{
	12: {GSM: true},
	22: {UTRAN: true},
	25: {GSM: true, UTRAN: true, EUTRAN: true},
	28: {EUTRAN: true},
	29: {GSM: true, UTRAN: true},
	30: {GSM: true, EUTRAN: true},
	31: {UTRAN: true, EUTRAN: true},
}

// Technologies asks which networks the modem can be told to use (27.007, 5.9).
// Many modems have no such command.
func (m *Modem) Technologies(ctx context.Context) (Technologies, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+WS46=?"})
	if err != nil {
		return Technologies{}, err
	}
	var t Technologies
	for _, line := range reply.Lines {
		rest, ok := atcmd.CutTag(line, "+WS46")
		if !ok {
			continue
		}
		for _, s := range strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' }) {
			n, ok := number(s, 999)
			if !ok {
				continue
			}
			x := ws46[n]
			t.GSM, t.UTRAN, t.EUTRAN = t.GSM || x.GSM, t.UTRAN || x.UTRAN, t.EUTRAN || x.EUTRAN
		}
	}
	if t == (Technologies{}) {
		return t, fmt.Errorf("AT+WS46=?: %w", ErrAnswer)
	}
	return t, nil
}
