package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Limits of an engineer's commands.
const (
	maxRaw         = 64 // commands in one request
	rawTimeout     = 10 * time.Second
	maxRawTimeout  = 10 * time.Minute
	dataModeAdvice = "use another of the modem's ports for it, see `dynamod modem ports`"
)

// fights are commands that would take the modem out of the daemon's hands, with
// why. What the modem's own dialect sends to reset it or to dial is added.
var fights = map[string]string{
	"+CFUN": "it switches the radio, or restarts the modem, behind the daemon's back; see `dynamod modem reset`",
	"+COPS": "it takes the modem off its network", "+CGATT": "it ends the link", "+CGACT": "it ends or starts a link", "+CGDCONT": "the daemon defines the contexts",
	"Z": "it changes settings that the daemon relies on", "&F": "it changes settings that the daemon relies on",
	"Q": "it switches the result codes off", "V": "it changes the form of the result codes",
	"+IPR": "it changes the port's speed", "+ICF": "it changes the port's framing", "+IFC": "it changes the port's flow control", "&K": "it changes the port's flow control",
	"+CCHO": "it takes a channel of the card; see `dynamod modem apdu`", "+CCHC": "it closes a channel of the card; see `dynamod modem apdu`",
	"+CGLA": "it speaks on a channel of the card; see `dynamod modem apdu`", "+CSIM": "it speaks to the card; see `dynamod modem apdu`",
	"+CPOF": "it switches the modem off", "+QPOWD": "it switches the modem off", "+CPWROFF": "it switches the modem off", "+CPOWD": "it switches the modem off",
}

// nevers are commands after which the port carries no commands any more, or waits
// for a text.
var nevers = map[string]string{
	"D": "the port would go into data mode", "A": "the port would go into data mode", "O": "the port would go into data mode",
	"+CGDATA": "the port would go into data mode", "+CMUX": "the port would carry frames",
	"+CMGS": "the modem would wait for a text", "+CMGW": "the modem would wait for a text", "+CMGC": "the modem would wait for a text",
}

// commandText checks one line that a person typed and returns it without "AT".
// No error holds it: it may be a secret.
func commandText(line string) (string, error) {
	bad := func(text, advice string) error {
		return &activation.Fault{Code: "bad-at", Text: text, Advice: advice, Retry: euicc.RetryNever}
	}
	line = strings.TrimSpace(line)
	switch {
	case line == "":
		return "", bad("the command is empty", "a command such as AT+CSQ")
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", bad("the command has a control character in it", "one command a line, such as AT+CSQ")
	case strings.EqualFold(line, "A/"):
		return "", bad("A/ repeats the last command, which may be the daemon's", "write the command out")
	case strings.HasPrefix(line, "+++"):
		return "", bad("+++ is for a port in data mode, and this one is not", "a command such as AT+CSQ")
	case len(line) >= 2 && strings.EqualFold(line[:2], "AT"):
		line = strings.TrimSpace(line[2:])
	case strings.IndexByte("+^%#*!$&@_", line[0]) < 0:
		return "", bad("that is no AT command", "it begins with AT, such as AT+CSQ")
	}
	for _, name := range atcmd.Sets(line) {
		if why := nevers[name]; why != "" {
			return "", bad("AT"+name+" cannot be sent here: "+why, dataModeAdvice)
		}
	}
	return line, nil
}

// fight says which command of a line would fight the daemon, and why.
func fight(line string, d *dialect.Dialect) (name, why string) {
	own := map[string]bool{}
	for _, send := range d.Commands() {
		for _, n := range atcmd.Sets(send) {
			own[n] = true
		}
	}
	for _, n := range atcmd.Sets(line) {
		if why := fights[n]; why != "" {
			return n, why
		}
		if own[n] {
			return n, "the daemon itself uses it to reset this modem or to dial"
		}
	}
	return "", ""
}

// AT sends an engineer's commands, with none of the daemon's in between. It goes
// on after one that the modem refuses, and ends at one that it does not answer.
func (g *Gateway) AT(ctx context.Context, r hook.ATRequest) ([]hook.ATAnswer, error) {
	timeout := rawTimeout
	if r.TimeoutSeconds != 0 {
		timeout = time.Duration(r.TimeoutSeconds * float64(time.Second))
	}
	if len(r.Commands) == 0 || len(r.Commands) > maxRaw || timeout <= 0 || timeout > maxRawTimeout {
		return nil, &activation.Fault{Code: "bad-at", Text: fmt.Sprintf("a request has 1 to %d commands, and up to %v for each", maxRaw, maxRawTimeout), Advice: `{"commands": ["AT+CSQ"], "timeout_seconds": 10}`}
	}
	var lines []string
	for _, c := range r.Commands {
		line, err := commandText(c)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	release, err := g.acquireBench(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	d, err := g.waitDevice(ctx, benchDevice)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		if name, why := fight(line, d.modem.Dialect()); name != "" && !r.Force {
			return nil, &activation.Fault{Code: "needs-force", Text: "AT" + name + " would fight the daemon: " + why, Advice: "`dynamod modem at --force` sends it all the same", Retry: euicc.RetryNever}
		}
	}
	turn, done := context.WithTimeout(ctx, benchWait)
	section, err := d.session.Exclusive(turn)
	done()
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = modemBusy("it is still working on a command of the daemon's", "`dynamod modem trace` shows which; try again")
		}
		return nil, err
	}
	defer section.Release()
	out := []hook.ATAnswer{}
	for _, line := range lines {
		a := rawAT(ctx, section, atcmd.Command{Text: line, Timeout: timeout, Secret: atcmd.CarriesSecret(line)})
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		out = append(out, a)
		if a.Final == "" {
			break
		}
	}
	return out, nil
}

func rawAT(ctx context.Context, s *atcmd.Section, cmd atcmd.Command) hook.ATAnswer {
	start := time.Now()
	reply, err := s.Raw(ctx, cmd)
	a := hook.ATAnswer{Lines: slices.Concat([]string{}, reply.Lines), Final: reply.Final, ElapsedMS: ms(start)}
	if err == nil {
		return a
	}
	p := &status.Problem{Code: "modem-refused", Text: err.Error(), Retry: string(euicc.RetryNever)}
	switch {
	case errors.Is(err, atcmd.ErrTimeout):
		p.Code, p.Advice, p.Retry = "modem-silent", "some commands take minutes: `dynamod modem at --timeout` gives them", string(euicc.RetryLater)
	case errors.Is(err, atcmd.ErrGone), errors.Is(err, atcmd.ErrClosed), errors.Is(err, atcmd.ErrDesync):
		p.Code, p.Advice, p.Retry = "modem-gone", "the daemon opens it again when it is back: see `dynamod modem status`", string(euicc.RetryLater)
	case errors.Is(err, atcmd.ErrTooLong):
		p.Code, p.Advice = "answer-too-long", "the modem wrote more than is taken at once: ask for less"
	}
	a.Problem = p
	return a
}

func ms(start time.Time) float64 { return float64(time.Since(start).Microseconds()) / 1000 }
