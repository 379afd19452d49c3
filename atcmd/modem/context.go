package modem

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// Limits of the commands that wait for the network.
const (
	attachTimeout     = 140 * time.Second
	activateTimeout   = 150 * time.Second
	deactivateTimeout = 40 * time.Second
)

// PDPType is the kind of addresses that a context asks for.
type PDPType string

const (
	IPv4   PDPType = "IP"
	IPv6   PDPType = "IPV6"
	IPv4v6 PDPType = "IPV4V6"
)

// Context is a PDP context definition (27.007, 10.1.1). An empty APN leaves the
// choice to the network.
type Context struct {
	CID  int
	Type PDPType
	APN  string
}

// Contexts lists the defined contexts.
func (m *Modem) Contexts(ctx context.Context) ([]Context, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CGDCONT?"})
	if err != nil {
		return nil, err
	}
	var list []Context
	for _, line := range reply.Lines {
		if c, ok := parseCGDCONT(line); ok {
			list = append(list, c)
		}
	}
	return list, nil
}

func parseCGDCONT(line string) (Context, bool) {
	f, ok := atcmd.Fields(line, "+CGDCONT")
	if !ok {
		return Context{}, false
	}
	cid, ok := number(at(f, 0), 255)
	if !ok || len(at(f, 2)) > 127 {
		return Context{}, false
	}
	return Context{CID: cid, Type: PDPType(strings.ToUpper(at(f, 1))), APN: at(f, 2)}, true
}

// DefineContext defines or replaces a context.
func (m *Modem) DefineContext(ctx context.Context, c Context) error {
	switch c.Type {
	case IPv4, IPv6, IPv4v6:
	default:
		return fmt.Errorf("context %d: unknown type %q", c.CID, c.Type)
	}
	if err := checkAPN(c.APN); err != nil {
		return fmt.Errorf("context %d: %w", c.CID, err)
	}
	text := fmt.Sprintf(`+CGDCONT=%d,"%s"`, c.CID, c.Type)
	if c.APN != "" {
		text += `,"` + c.APN + `"`
	}
	_, err := m.s.Do(ctx, atcmd.Command{Text: text})
	return err
}

// checkAPN checks what TS 23.003, 9.1 allows: labels of letters, digits and
// hyphens, and 100 bytes in all.
func checkAPN(apn string) error {
	if len(apn) > 99 {
		return fmt.Errorf("APN of %d characters; 99 are the most", len(apn))
	}
	for i := range len(apn) {
		c := apn[i] | 0x20
		if !(c >= 'a' && c <= 'z' || apn[i] >= '0' && apn[i] <= '9' || strings.IndexByte("-._*", apn[i]) >= 0) {
			return fmt.Errorf("character %d of the APN is not a letter, digit, '-' or '.'", i+1)
		}
	}
	return nil
}

// RemoveContext makes a context undefined.
func (m *Modem) RemoveContext(ctx context.Context, cid int) error {
	_, err := m.s.Do(ctx, atcmd.Command{Text: "+CGDCONT=" + strconv.Itoa(cid)})
	return err
}

// AuthMethod is how a user name and a password are given to the network.
type AuthMethod int

const (
	NoAuth AuthMethod = 0
	PAP    AuthMethod = 1
	CHAP   AuthMethod = 2
)

// Auth are the credentials of an APN.
type Auth struct {
	Method   AuthMethod
	User     string
	Password Secret
}

// SetAuth gives the credentials of a defined context (+CGAUTH, 27.007 10.1.31,
// or what the dialect has), or takes them away. Taking away what the modem has
// no command for is no error.
func (m *Modem) SetAuth(ctx context.Context, c Context, a Auth) error {
	v := values(c, a)
	if err := m.defineAttach(ctx, c, v); err != nil {
		return err
	}
	var last error = errors.New("the dialect has no command for it")
	for _, cmd := range m.d.Auth {
		text := cmd.Set
		if a.Method == NoAuth {
			text = cmd.Clear
		}
		text, _, err := dialect.Expand(text, v)
		if err != nil {
			return fmt.Errorf("cannot set credentials of context %d: %w", c.CID, err)
		}
		_, err = m.s.Do(ctx, atcmd.Command{Text: text, Secret: true})
		if err == nil {
			return nil
		}
		if !answered(err) {
			return err
		}
		last = err
	}
	if a.Method == NoAuth {
		return nil
	}
	return fmt.Errorf("cannot set credentials of context %d: %w", c.CID, last)
}

// values are the placeholders of a dialect's commands.
func values(c Context, a Auth) dialect.Values {
	ptype := map[PDPType]string{IPv4: "1", IPv6: "2", IPv4v6: "3"}[c.Type]
	return dialect.Values{
		"cid": strconv.Itoa(c.CID), "apn": c.APN, "type": string(c.Type), "ptype": ptype,
		"user": a.User, "password": string(a.Password), "auth": strconv.Itoa(int(a.Method)),
	}
}

// ActiveContexts reads +CGACT?: which contexts are active.
func (m *Modem) ActiveContexts(ctx context.Context) (map[int]bool, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CGACT?"})
	if err != nil {
		return nil, err
	}
	active := map[int]bool{}
	for _, line := range reply.Lines {
		if f, ok := atcmd.Fields(line, "+CGACT"); ok {
			if cid, ok := number(at(f, 0), 255); ok {
				active[cid] = at(f, 1) == "1"
			}
		}
	}
	return active, nil
}

// Activate activates a context. A refusal by the network is an
// *ActivationError with its cause.
func (m *Modem) Activate(ctx context.Context, cid int) error {
	_, err := m.s.Do(ctx, atcmd.Command{Text: fmt.Sprintf("+CGACT=1,%d", cid), Timeout: activateTimeout})
	if err != nil {
		return m.activationError(ctx, cid, err)
	}
	return nil
}

// Deactivate deactivates a context. That LTE does not give up its last
// context is no error.
func (m *Modem) Deactivate(ctx context.Context, cid int) error {
	_, err := m.s.Do(ctx, atcmd.Command{Text: fmt.Sprintf("+CGACT=0,%d", cid), Timeout: deactivateTimeout})
	if causeOfCME(cmeCode(err)) == CauseLastPDN {
		return nil
	}
	return err
}

// ContextEvent is a packet domain event (+CGEV, 27.007 10.1.19).
type ContextEvent struct {
	Kind  ContextEventKind
	CID   int   // 0 when it concerns all contexts or is not told
	Cause Cause // IPv4Only, IPv6Only or SingleAddress where the modem says why it came up so

	ByNetwork bool // the network did it, not the modem
}

// ContextEventKind says what happened.
type ContextEventKind int

const (
	ContextUp ContextEventKind = iota + 1
	ContextDown
	Detached
	Attached
)

// ParseContextEvent reads a +CGEV URC. It reports false for other lines and for
// events that change nothing for a data link.
func ParseContextEvent(line string) (ContextEvent, bool) {
	rest, ok := atcmd.CutTag(line, "+CGEV")
	if !ok {
		return ContextEvent{}, false
	}
	words := strings.Fields(strings.ToUpper(rest))
	if len(words) < 2 || words[0] != "ME" && words[0] != "NW" {
		return ContextEvent{}, false
	}
	e := ContextEvent{ByNetwork: words[0] == "NW"}
	if words[1] == "DETACH" {
		e.Kind = Detached
		return e, true
	}
	if len(words) < 3 {
		return ContextEvent{}, false
	}
	args := strings.Split(strings.Join(words[2:], ""), ",")
	switch words[1] {
	case "PDN":
		args = strings.Split(strings.Join(words[3:], ""), ",")
		switch words[2] {
		case "ACT":
			e.Kind = ContextUp
			if n, ok := number(at(args, 1), 3); ok { // reason
				e.Cause = [...]Cause{CauseIPv4Only, CauseIPv6Only, CauseSingleAddress, CauseSingleAddress}[n]
			}
		case "DEACT":
			e.Kind = ContextDown
		default:
			return ContextEvent{}, false
		}
		e.CID, _ = number(at(args, 0), 255)
		return e, true
	case "ACT":
		e.Kind = ContextUp
	case "DEACT":
		e.Kind = ContextDown
	default:
		return ContextEvent{}, false
	}
	// Before LTE: <PDP_type>,<PDP_addr>[,<cid>]; since: <p_cid>,<cid>,<event_type>
	// for secondary contexts, which carry no address of their own.
	if digits(at(args, 0)) {
		return ContextEvent{}, false
	}
	e.CID, _ = number(at(args, 2), 255)
	return e, true
}
