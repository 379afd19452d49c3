package tui

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// profilesView lists the profiles on the card and changes them.
type profilesView struct {
	m      *model
	cursor int
	shown  *hook.Profile // all about one, instead of the list
}

// lastDigits is how much of an ICCID has to be typed to delete a profile that is
// not enabled. For the enabled one it is all of it.
const lastDigits = 4

func (v *profilesView) title() string { return "Profiles" }

func (v *profilesView) enter() tea.Cmd { v.shown = nil; return nil } // the feed keeps the list true

func (v *profilesView) keys() []key.Binding {
	switch {
	case v.shown != nil:
		return []key.Binding{hint("esc", "list")}
	case len(v.list()) == 0:
		return nil
	}
	return []key.Binding{hint("e", "enable"), hint("n", "name"), hint("d", "disable"), hint("x", "delete"), hint("enter", "all about it")}
}

func (v *profilesView) list() []status.Profile {
	if c := v.m.snap.Card; c != nil {
		return c.Profiles
	}
	return nil
}

func (v *profilesView) press(k string) tea.Cmd {
	if v.shown != nil {
		v.shown = nil
		return nil
	}
	list := v.list()
	if len(list) == 0 {
		return nil
	}
	v.cursor = min(v.cursor, len(list)-1)
	p := list[v.cursor]
	switch k {
	case "up", "k":
		v.cursor = max(v.cursor-1, 0)
	case "down", "j":
		v.cursor = min(v.cursor+1, len(list)-1)
	case "enter":
		return get(v.m, "/v1/profiles/"+p.ICCID, func(all hook.Profile, err error) tea.Cmd {
			if err != nil {
				return v.m.fail(err)
			}
			v.shown = &all
			return nil
		})
	case "e":
		v.enable(p)
	case "n":
		v.m.prompt = &prompt{title: "Nickname, empty for none", done: func(name string) tea.Cmd {
			return v.change(http.MethodPut, p, "/nickname", nil, map[string]string{"nickname": name}, "named")
		}}
		v.m.prompt.insert(p.Nickname)
	case "d":
		v.disable(p)
	case "x", "delete":
		v.remove(p)
	}
	return nil
}

// name is how a profile is called in a question.
func name(p status.Profile) string {
	return strings.Join(wording.Fields(cmp.Or(p.Nickname, p.Name, p.Provider), p.ICCID), " ")
}

func (v *profilesView) enable(p status.Profile) {
	if p.State == "enabled" {
		v.m.say(normal, "it is enabled already")
		return
	}
	question, query := "Switch to "+name(p)+"? The link goes down meanwhile, and comes back over the previous profile if this one gives none.", url.Values{}
	if strings.Contains(p.PolicyRules, "ppr1") {
		question = "Switch to " + name(p) + "? It can NEVER be disabled again (PPR1): there is no way back."
		query.Set("no_way_back", "true")
	}
	v.m.confirm = &confirm{question, func() tea.Cmd {
		v.m.at = viewActivate // the switch is a run, and is seen there
		return v.change(http.MethodPost, p, "/enable", query, nil, "enabled")
	}}
}

func (v *profilesView) disable(p status.Profile) {
	if p.State != "enabled" {
		v.m.say(normal, "it is disabled already")
		return
	}
	v.m.confirm = &confirm{"Disable " + name(p) + "? It carries the link, which goes down and stays so.", func() tea.Cmd {
		return v.change(http.MethodPost, p, "/disable", url.Values{"force": {"true"}}, nil, "disabled")
	}}
}

// remove deletes a profile when its number was typed.
func (v *profilesView) remove(p status.Profile) {
	want := p.ICCID[max(len(p.ICCID)-lastDigits, 0):]
	title := "Delete " + name(p) + " for good: its last 4 digits"
	query := url.Values{"confirm": {p.ICCID}}
	if p.State == "enabled" {
		want = p.ICCID
		title = "Delete " + name(p) + ", which carries the link, for good: its whole ICCID"
		query.Set("force", "true")
	}
	v.m.prompt = &prompt{title: title, done: func(typed string) tea.Cmd {
		if strings.TrimSpace(typed) != want {
			v.m.say(warn, "these are not its digits, nothing was deleted")
			return nil
		}
		return v.change(http.MethodDelete, p, "", query, nil, "deleted")
	}}
}

// change asks the daemon for a change of one profile.
func (v *profilesView) change(method string, p status.Profile, route string, query url.Values, body any, done string) tea.Cmd {
	path := "/v1/profiles/" + p.ICCID + route
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	v.m.say(normal, "asking the daemon ...")
	return v.m.ask(func(ctx context.Context) error { return v.m.client.Do(ctx, method, path, nil, body, nil) }, func(err error) tea.Cmd {
		if err != nil {
			return v.m.fail(err)
		}
		v.m.say(good, done+" "+name(p))
		return nil
	})
}

func (v *profilesView) body(width int) (lines []string, focus int) {
	t := v.m.theme
	if v.shown != nil {
		return v.one(width), -1
	}
	list := v.list()
	if len(list) == 0 {
		text := "No profiles on the card. 3 installs one."
		if c := v.m.snap.Card; c == nil || c.Error != "" {
			text = "The card is not known."
			if c != nil {
				text = c.Error
			}
		}
		return t.para(width, 1, normal, text), -1
	}
	v.cursor = min(v.cursor, len(list)-1)
	for i, p := range list {
		if i == v.cursor {
			focus = len(lines)
		}
		on := " "
		k := normal
		if p.State == "enabled" {
			on, k = t.mark(good), good
		}
		head := t.selected(i == v.cursor) + on + " "
		text := strings.Join(wording.Fields(cmp.Or(p.Nickname, p.Name), p.Provider, p.State, wording.OnlyIf(p.Class != "operational", p.Class), strings.ToUpper(p.PolicyRules)), ", ")
		if width < 60 {
			lines = append(lines, head+t.style(k, t.clean(p.ICCID)))
			lines = append(lines, t.para(width, 6, faint, text)...)
			continue
		}
		for j, line := range wrap(t.clean(text), width-26) {
			if j > 0 {
				lines = append(lines, strings.Repeat(" ", 26)+line)
				continue
			}
			lines = append(lines, head+t.style(k, t.pad(t.clean(p.ICCID), 22))+line)
		}
	}
	return lines, focus
}

// one is all about a profile.
func (v *profilesView) one(width int) (lines []string) {
	for _, row := range wording.Profile(*v.shown) {
		lines = append(lines, v.m.theme.row(width, row[0], normal, row[1])...)
	}
	return lines
}
