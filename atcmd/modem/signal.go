package modem

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Signal are the levels that the modem reports; nil is a level that it does not
// know or that the radio technology does not have.
type Signal struct {
	RSSI *float64 `json:"rssi,omitempty"` // dBm, any technology
	RSCP *float64 `json:"rscp,omitempty"` // dBm, UMTS
	EcNo *float64 `json:"ecno,omitempty"` // dB, UMTS
	RSRP *float64 `json:"rsrp,omitempty"` // dBm, LTE, else 5G
	RSRQ *float64 `json:"rsrq,omitempty"` // dB, LTE, else 5G
	SINR *float64 `json:"sinr,omitempty"` // dB, 5G; LTE where the modem has a command for it
}

// Signal reads +CESQ, +CSQ for what that leaves open, and the dialect's own
// command for what both do.
func (m *Modem) Signal(ctx context.Context) (Signal, error) {
	s, err := m.standardSignal(ctx)
	if err != nil || s.RSRP != nil && s.RSRQ != nil && s.SINR != nil {
		return s, err
	}
	for _, q := range m.d.Signal {
		reply, err := m.s.Do(ctx, atcmd.Command{Text: q.Send, Tags: []string{q.Tag}})
		if err != nil && !answered(err) {
			return s, err
		}
		for _, line := range reply.Lines {
			s.add(line, q)
		}
	}
	return s, nil
}

// add fills in what a line of a dialect's command says.
func (s *Signal) add(line string, q dialect.SignalQuery) {
	f, ok := atcmd.Fields(line, q.Tag)
	if !ok || q.Key != "" && !strings.EqualFold(at(f, 0), q.Key) {
		return
	}
	for _, l := range []struct {
		to *(*float64)
		l  dialect.Level
	}{{&s.RSRP, q.RSRP}, {&s.RSRQ, q.RSRQ}, {&s.SINR, q.SINR}} {
		n, err := strconv.Atoi(at(f, l.l.Field))
		if *l.to != nil || l.l.Step == 0 || err != nil || n < l.l.Min || n > l.l.Max {
			continue
		}
		v := math.Round((l.l.Floor+l.l.Step*float64(n))*10) / 10
		*l.to = &v
	}
}

func (m *Modem) standardSignal(ctx context.Context) (Signal, error) {
	var s Signal
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CESQ", Tags: []string{"+CESQ"}})
	if err != nil && !answered(err) {
		return s, err
	}
	for _, line := range reply.Lines {
		if v, ok := ParseCESQ(line); ok {
			s = v
		}
	}
	if s.RSSI != nil {
		return s, nil
	}
	reply, csqErr := m.s.Do(ctx, atcmd.Command{Text: "+CSQ", Tags: []string{"+CSQ"}})
	if csqErr != nil {
		if answered(csqErr) && err == nil {
			return s, nil
		}
		return s, csqErr
	}
	for _, line := range reply.Lines {
		if rssi, ok := ParseCSQ(line); ok {
			s.RSSI = rssi
			return s, nil
		}
	}
	if err == nil {
		return s, nil
	}
	return s, fmt.Errorf("AT+CSQ: %w", ErrAnswer)
}

// ParseCSQ reads +CSQ (27.007, 8.5): 0 to 31 are -113 to -51 dBm, 99 is
// unknown. The level is nil when it is unknown.
func ParseCSQ(line string) (rssi *float64, ok bool) {
	f, ok := atcmd.Fields(line, "+CSQ")
	if !ok {
		return nil, false
	}
	if _, ok := number(at(f, 0), 255); !ok {
		return nil, false
	}
	return level(at(f, 0), 31, -113, 2), true
}

// ParseCESQ reads +CESQ (27.007, 8.69). Each value counts steps above the floor
// of its measurement (TS 45.008, 25.133, 36.133, 38.133); 99 and 255 are
// unknown.
func ParseCESQ(line string) (Signal, bool) {
	f, ok := atcmd.Fields(line, "+CESQ")
	if !ok || len(f) < 6 || len(f) > 16 {
		return Signal{}, false
	}
	for _, v := range f[:6] {
		if _, ok := number(v, 255); !ok {
			return Signal{}, false
		}
	}
	s := Signal{
		RSSI: level(f[0], 63, -111, 1),
		RSCP: level(f[2], 96, -121, 1),
		EcNo: level(f[3], 49, -24.5, 0.5),
		RSRQ: level(f[4], 34, -20, 0.5),
		RSRP: level(f[5], 97, -141, 1),
		SINR: level(at(f, 8), 127, -23.5, 0.5),
	}
	if s.RSRP == nil {
		s.RSRQ = level(at(f, 6), 126, -43.5, 0.5)
		s.RSRP = level(at(f, 7), 126, -157, 1)
	}
	return s, true
}

func level(s string, limit int, floor, step float64) *float64 {
	n, ok := number(s, limit)
	if !ok {
		return nil
	}
	v := floor + step*float64(n)
	return &v
}
