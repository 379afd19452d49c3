package modem

import (
	"context"
	"fmt"
	"strings"

	"dynamod/atcmd"
)

// RegState is <stat> of the registration commands (27.007, 10.1.22).
type RegState int

const (
	RegIdle          RegState = 0 // not registered, not searching
	RegHome          RegState = 1
	RegSearching     RegState = 2
	RegDenied        RegState = 3
	RegUnknown       RegState = 4 // out of coverage, for one
	RegRoaming       RegState = 5
	RegHomeSMS       RegState = 6 // SMS only
	RegRoamingSMS    RegState = 7
	RegEmergency     RegState = 8 // emergency bearer services only
	RegHomeNoCSFB    RegState = 9
	RegRoamingNoCSFB RegState = 10
	RegRLOS          RegState = 11 // restricted local operator services
	RegDisaster      RegState = 12 // disaster roaming
)

var regNames = [...]string{
	"idle", "home", "searching", "denied", "unknown", "roaming", "home, SMS only", "roaming, SMS only",
	"emergency only", "home", "roaming", "restricted services only", "disaster roaming",
}

func (s RegState) String() string {
	if s >= 0 && int(s) < len(regNames) {
		return regNames[s]
	}
	return fmt.Sprintf("state %d", int(s))
}

// Registered reports whether the network offers packet data.
func (s RegState) Registered() bool {
	switch s {
	case RegHome, RegRoaming, RegHomeNoCSFB, RegRoamingNoCSFB, RegDisaster:
		return true
	}
	return false
}

// Roaming reports whether the network is not the home network.
func (s RegState) Roaming() bool {
	switch s {
	case RegRoaming, RegRoamingSMS, RegRoamingNoCSFB, RegDisaster:
		return true
	}
	return false
}

// AcT is the radio access technology (27.007, 10.1.22), -1 when unknown.
type AcT int

// AcTUnknown means that the modem does not tell.
const AcTUnknown AcT = -1

var actNames = [...]string{
	"GSM", "GSM compact", "UMTS", "EDGE", "HSDPA", "HSUPA", "HSPA", "LTE", "EC-GSM-IoT", "NB-IoT",
	"LTE on 5GC", "5G", "5G", "5G NSA", "NB-IoT by satellite", "LTE-M by satellite", "5G by satellite",
}

func (a AcT) String() string {
	if a >= 0 && int(a) < len(actNames) {
		return actNames[a]
	}
	return "unknown"
}

// Domain is the core network that a registration is with.
type Domain string

const (
	FiveGS Domain = "5gs" // +C5GREG
	EPS    Domain = "eps" // +CEREG
	GPRS   Domain = "ps"  // +CGREG
)

// registrations are the packet registrations, the best one first. +CREG is
// left out: it can say "denied" for ever on a subscription for data alone.
var registrations = []struct {
	tag    string
	domain Domain
	cause  int // parameters between <stat> and <cause_type>
}{
	{"+C5GREG", FiveGS, 6}, // tac, ci, AcT, NSSAI length, NSSAI; 10.1.47
	{"+CEREG", EPS, 4},     // tac, ci, AcT; 10.1.22
	{"+CGREG", GPRS, 5},    // lac, ci, AcT, rac; 10.1.20
}

// Registration is what the modem says about one network registration.
type Registration struct {
	Domain   Domain
	State    RegState
	AcT      AcT
	AreaCode string // TAC or LAC, hexadecimal; empty when not told
	CellID   string // hexadecimal
	// Cause says why the network refused or ended the registration, 0 when not
	// told.
	Cause RejectCause
}

// EnableEvents turns the URCs of registration and contexts on, as detailed as
// the modem can: mode 3 with reject causes, else 2, else 1. Modes that a modem
// does not have are no error.
func (m *Modem) EnableEvents(ctx context.Context) error {
	for _, r := range registrations {
		var err error
		for n := 3; n >= 1; n-- {
			if _, err = m.s.Do(ctx, atcmd.Command{Text: fmt.Sprintf("%s=%d", r.tag, n)}); err == nil || !answered(err) {
				break
			}
		}
		if err != nil && !answered(err) {
			return fmt.Errorf("cannot enable events: %w", err)
		}
		m.mu.Lock()
		m.absent[r.tag] = err != nil
		m.mu.Unlock()
	}
	return m.optional(ctx, "+CGEREP=2,1")
}

// Registration asks all packet registrations that the modem has and returns
// the one that counts: a registered one, else a denied one, else one that
// searches.
func (m *Modem) Registration(ctx context.Context) (Registration, error) {
	reg, err := m.askRegistration(ctx, false)
	if err == nil || !answered(err) {
		return reg, err
	}
	// A modem may answer the question and have no URCs to turn on.
	if reg, err := m.askRegistration(ctx, true); err == nil || !answered(err) {
		return reg, err
	}
	return reg, err
}

// askRegistration asks the registrations whose URCs the modem has, or with
// absent the others.
func (m *Modem) askRegistration(ctx context.Context, absent bool) (Registration, error) {
	best, found := Registration{State: RegUnknown, AcT: AcTUnknown}, false
	var last error
	for _, r := range registrations {
		m.mu.Lock()
		skip := m.absent[r.tag] != absent
		m.mu.Unlock()
		if skip {
			continue
		}
		reply, err := m.s.Do(ctx, atcmd.Command{Text: r.tag + "?", Tags: []string{r.tag}})
		if err != nil {
			if !answered(err) {
				return best, err
			}
			last = err
			continue
		}
		for _, line := range reply.Lines {
			reg, answer, ok := parseRegistration(line)
			if ok && answer && reg.Domain == r.domain && (!found || rank(reg) > rank(best)) {
				best, found = reg, true
			}
		}
	}
	if !found {
		if last == nil {
			last = ErrAnswer
		}
		return best, fmt.Errorf("cannot read registration: %w", last)
	}
	return best, nil
}

func rank(r Registration) int {
	switch {
	case r.State.Registered():
		return 4
	case r.State == RegDenied:
		return 3
	case r.State == RegSearching:
		return 2
	case r.State == RegIdle || r.State == RegUnknown:
		return 0
	}
	return 1
}

// ParseRegistration reads a registration URC. It reports false for other lines
// and for answers to a query, which have the mode in front.
func ParseRegistration(line string) (Registration, bool) {
	reg, answer, ok := parseRegistration(line)
	return reg, ok && !answer
}

// parseRegistration reads `+CEREG: [<n>,]<stat>[,"tac","ci",AcT...]`. It is an
// answer when a second small number stands where a URC has the quoted area
// code. +CREG is not read, see registrations.
func parseRegistration(line string) (reg Registration, answer, ok bool) {
	for _, r := range registrations {
		rest, match := atcmd.CutTag(line, r.tag)
		if !match {
			continue
		}
		p := params(rest)
		if _, isMode := smallNumber(p, 0, 5); isMode && len(p) >= 2 {
			if _, isStat := smallNumber(p, 1, len(regNames)-1); isStat {
				p, answer = p[1:], true
			}
		}
		stat, isStat := smallNumber(p, 0, len(regNames)-1)
		if !isStat {
			return reg, false, false
		}
		reg = Registration{Domain: r.domain, State: RegState(stat), AcT: AcTUnknown}
		reg.AreaCode, reg.CellID = hexParam(p, 1), hexParam(p, 2)
		if act, ok := smallNumber(p, 3, len(actNames)-1); ok {
			reg.AcT = AcT(act)
		}
		// cause_type 0 is a cause of the standard, 1 one of the manufacturer's.
		if kind, ok := smallNumber(p, r.cause, 0); ok && kind == 0 && len(p) > r.cause+1 {
			if c, ok := number(p[r.cause+1].text, 255); ok {
				reg.Cause = RejectCause(c)
			}
		}
		return reg, answer, true
	}
	return reg, false, false
}

// smallNumber returns parameter i when it is an unquoted number of at most two
// digits, up to limit.
func smallNumber(p []param, i, limit int) (int, bool) {
	if i >= len(p) || p[i].quoted || len(p[i].text) > 2 {
		return 0, false
	}
	return number(p[i].text, limit)
}

// hexParam returns parameter i in upper case when it is hexadecimal.
func hexParam(p []param, i int) string {
	if i >= len(p) || len(p[i].text) > 16 || strings.Trim(p[i].text, "0123456789ABCDEFabcdef") != "" {
		return ""
	}
	return strings.ToUpper(p[i].text)
}

// Operator is the network that the modem is on (27.007, 7.3).
type Operator struct {
	Manual bool
	Name   string // as the network or the modem calls it
	PLMN   string // MCC and MNC, 5 or 6 digits
	AcT    AcT
}

// Operator reads +COPS?, name and number. Both are empty without registration.
func (m *Modem) Operator(ctx context.Context) (Operator, error) {
	op := Operator{AcT: AcTUnknown}
	for _, format := range []string{"0", "2"} {
		if err := m.optional(ctx, "+COPS=3,"+format); err != nil {
			return op, err
		}
		reply, err := m.s.Do(ctx, atcmd.Command{Text: "+COPS?"})
		if err != nil {
			return op, err
		}
		f, ok := reply.Fields("+COPS")
		if !ok {
			return op, fmt.Errorf("AT+COPS?: %w", ErrAnswer)
		}
		parseOperator(f, &op)
	}
	return op, nil
}

func parseOperator(f []string, op *Operator) {
	op.Manual = at(f, 0) == "1"
	name := at(f, 2)
	if at(f, 1) == "2" || digits(name) && (len(name) == 5 || len(name) == 6) {
		if digits(name) && (len(name) == 5 || len(name) == 6) {
			op.PLMN = name
		}
	} else {
		op.Name = name
	}
	if n, ok := number(at(f, 3), len(actNames)-1); ok {
		op.AcT = AcT(n)
	}
}

// Attached reads +CGATT?.
func (m *Modem) Attached(ctx context.Context) (bool, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CGATT?"})
	if err != nil {
		return false, err
	}
	f, _ := reply.Fields("+CGATT")
	if n, ok := number(at(f, 0), 1); ok {
		return n == 1, nil
	}
	return false, fmt.Errorf("AT+CGATT?: %w", ErrAnswer)
}

// Attach attaches to packet service, or detaches from it.
func (m *Modem) Attach(ctx context.Context, attach bool) error {
	text := "+CGATT=0"
	if attach {
		text = "+CGATT=1"
	}
	_, err := m.s.Do(ctx, atcmd.Command{Text: text, Timeout: attachTimeout})
	return err
}
