package tui

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"dynamod/atcmd"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

// consoleView sends AT commands to the modem and APDUs to the card.
type consoleView struct {
	m     *model
	lines []spoken
	busy  bool
	past  []string // commands without a secret
}

// spoken is a line of the console.
type spoken struct {
	k    kind
	text string
}

// maxSpoken bounds the lines that are kept.
const maxSpoken = 500

func (v *consoleView) title() string { return "Console" }

func (v *consoleView) enter() tea.Cmd { return nil }

func (v *consoleView) keys() []key.Binding {
	return []key.Binding{hint("enter", "command"), hint("up", "the last one"), hint("x", "clear")}
}

func (v *consoleView) press(k string) tea.Cmd {
	switch k {
	case "enter": // no letter: it may be one of a code that is typed
		v.ask("")
	case "up":
		if n := len(v.past); n > 0 {
			v.ask(v.past[n-1])
		}
	case "x":
		v.lines = nil
	}
	return nil
}

// ask opens the prompt for a command.
func (v *consoleView) ask(text string) {
	v.m.prompt = &prompt{title: "AT command or APDU in hex", hint: func(s string) string {
		if strings.HasSuffix(strings.TrimSpace(s), "=") {
			return "enter asks for the rest without showing it"
		}
		return "a line that ends in = has the rest asked for without showing it"
	}, done: v.typed}
	v.m.prompt.insert(text)
}

// typed sends a command, or asks for its hidden rest.
func (v *consoleView) typed(line string) tea.Cmd {
	line = strings.TrimSpace(line)
	switch {
	case line == "":
		return nil
	case strings.HasSuffix(line, "=") && !strings.Contains(line, "?"):
		v.m.prompt = &prompt{title: line + " (not shown)", masked: true, done: func(rest string) tea.Cmd {
			return v.send(line+rest, line+"****", false)
		}}
		return nil
	}
	return v.send(line, line, false)
}

// send sends a command that is shown as shown.
func (v *consoleView) send(line, shown string, force bool) tea.Cmd {
	if v.busy {
		v.m.say(warn, "the last command has no answer yet")
		return nil
	}
	apdu := isHex(line)
	switch {
	case shown != line:
	case apdu && secretAPDU(line):
		shown = line[:8] + "****"
	case !apdu && atcmd.CarriesSecret(strings.TrimPrefix(strings.ToUpper(line), "AT")):
		head, _, _ := strings.Cut(line, "=")
		shown = head + "=****"
	default:
		v.past = append(v.past[max(len(v.past)-50, 0):], line)
	}
	v.say(strong, "> "+shown)
	v.busy = true
	var (
		at   []hook.ATAnswer
		card hook.APDUAnswers
	)
	return v.m.ask(func(ctx context.Context) error {
		if apdu {
			return v.m.client.Do(ctx, http.MethodPost, "/v1/modem/apdu", nil, hook.APDURequest{Commands: []string{line}, Force: force}, &card)
		}
		return v.m.client.Do(ctx, http.MethodPost, "/v1/modem/at", nil, hook.ATRequest{Commands: []string{line}, Force: force}, &at)
	}, func(err error) tea.Cmd {
		v.busy = false
		if e, ok := errors.AsType[*hook.Error](err); ok && e.Code == "needs-force" && !force {
			v.m.confirm = &confirm{e.Text + ". Send it all the same?", func() tea.Cmd { return v.send(line, shown, true) }}
			return nil
		}
		if err != nil {
			v.say(bad, oneLine(err))
		}
		for _, a := range at {
			for _, l := range a.Lines {
				v.say(normal, l)
			}
			v.end(a.Final, a.Final == "OK", a.Problem)
		}
		for _, a := range card.Answers {
			v.say(normal, a.Data)
			v.end(strings.TrimSpace(a.SW+" "+a.Text), a.OK, a.Problem)
		}
		return nil
	})
}

// end is the last line of an answer, and what was wrong: of a command that was never
// answered there is nothing else to show.
func (v *consoleView) end(text string, ok bool, p *status.Problem) {
	k := good
	if !ok {
		k = bad
	}
	v.say(k, text)
	if p != nil {
		v.say(bad, oneLine(p))
	}
}

func (v *consoleView) say(k kind, text string) {
	if text == "" {
		return
	}
	v.lines = append(v.lines, spoken{k, text})
	v.lines = v.lines[max(len(v.lines)-maxSpoken, 0):]
}

func (v *consoleView) body(width int) (lines []string, focus int) {
	t := v.m.theme
	if len(v.lines) == 0 {
		lines = append(lines, t.para(width, 1, warn, "For who knows what it does: commands go to the modem between the daemon's own.")...)
		lines = append(lines, t.para(width, 1, normal, "AT commands such as AT+CSQ; APDUs in hex go to the eUICC (ISD-R). What would fight the daemon is asked about first. While an activation uses the modem they are refused.")...)
		return lines, -1
	}
	for _, l := range v.lines {
		lines = append(lines, t.para(width, 1, l.k, l.text)...)
	}
	if v.busy {
		lines = append(lines, " "+t.style(faint, "..."))
	}
	return lines, len(lines) - 1
}

// isHex reports whether a line is an APDU.
func isHex(line string) bool {
	line = strings.ReplaceAll(line, " ", "")
	return len(line) >= 8 && strings.Trim(strings.ToUpper(line), "0123456789ABCDEF") == ""
}

// secretAPDU reports whether an APDU holds a PIN.
func secretAPDU(line string) bool {
	line = strings.ReplaceAll(line, " ", "")
	ins, _ := strconv.ParseUint(line[2:4], 16, 8) // isHex has seen to it
	return atcmd.PINCommand(byte(ins))
}
