package tui

import (
	"context"
	"net/http"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/status"
	"dynamod/daemon/wording"
)

// Client is what of a hook.Client is used.
type Client interface {
	Do(ctx context.Context, method, path string, header http.Header, in, out any) error
	EventsFrom(ctx context.Context, after uint64, f func(id uint64, kind string, data []byte) bool) error
}

// view is one of the screens that the numbers choose.
type view interface {
	title() string
	keys() []key.Binding
	// enter is called when the view is shown, and by r.
	enter() tea.Cmd
	// press gets the keys that are not for all views.
	press(k string) tea.Cmd
	// body returns the view's lines, and which of them has to be seen, or -1.
	body(width int) (lines []string, focus int)
}

// model is the whole interface. It holds what the daemon has told, and asks the
// daemon for everything else; nothing is decided here.
type model struct {
	ctx           context.Context
	client        Client
	socket        string // where the daemon is
	theme         theme
	now           func() time.Time
	width, height int

	known  bool // snap is of a daemon
	snap   status.Snapshot
	gone   time.Time // since when no daemon answers; zero while one does
	why    string    // it does not
	events []event
	trend  []float64
	heard  time.Time // of the last status of the past: what came next has no time

	views   []view
	at      int
	scroll  []int
	prompt  *prompt
	confirm *confirm
	cover   func(width, height int) []string // help or a QR, over everything; nil for none
	page    int                              // of the codes, the next one; 0 for none
	last    string                           // text of the last key
	note    string
	noteIs  kind

	activate *activateView
}

// event is a line of what has happened.
type event struct {
	at   time.Time // zero where it is not known
	text string
}

// maxEvents bounds the events that are kept, and trendLength the levels.
const maxEvents = 100

func newModel(ctx context.Context, c Client, socket string, t theme, now func() time.Time) *model {
	m := &model{ctx: ctx, client: c, socket: socket, theme: t, now: now, width: 80, height: 24}
	m.activate = &activateView{m: m}
	m.views = []view{&overviewView{m}, &profilesView{m: m}, m.activate, &apnView{m: m}, &diagView{m: m}, &logView{m: m}, &consoleView{m: m}}
	m.scroll = make([]int, len(m.views))
	return m
}

// Init is of tea.Model; the feed sends the first that there is to see.
func (m *model) Init() tea.Cmd { return nil }

var (
	keyQuit = key.NewBinding(key.WithKeys("q", "ctrl+c"), key.WithHelp("q", "quit"))
	keyHelp = key.NewBinding(key.WithKeys("?"), key.WithHelp("?", "help"))
	keyNext = key.NewBinding(key.WithKeys("tab", "right"), key.WithHelp("tab", "next view"))
	keyPrev = key.NewBinding(key.WithKeys("shift+tab", "left"), key.WithHelp("shift+tab", "view before"))
	keyView = key.NewBinding(key.WithKeys("1", "2", "3", "4", "5", "6", "7"), key.WithHelp("1-7", "view"))
	keyDown = key.NewBinding(key.WithKeys("pgdown", "space", "ctrl+f"), key.WithHelp("pgdn", "page down"))
	keyUp   = key.NewBinding(key.WithKeys("pgup", "ctrl+b"), key.WithHelp("pgup", "page up"))
	keyFull = key.NewBinding(key.WithKeys("ctrl+l"), key.WithHelp("ctrl+l", "draw the screen anew"))
	keyMore = key.NewBinding(key.WithKeys("r"), key.WithHelp("r", "ask again"))
)

// Update is of tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.PasteMsg:
		return m, m.paste(msg.Content)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case func(*model) tea.Cmd: // an answer of the daemon's, with what to do with it
		return m, msg(m)
	case attachedMsg:
		if m.known && !m.gone.IsZero() {
			text := "connected again"
			if !msg.snap.Started.Equal(m.snap.Started) {
				text = "the daemon was started again; connected"
			}
			m.say(good, text)
		}
		m.gone, m.known, m.events, m.trend, m.heard = time.Time{}, true, nil, nil, time.Time{}
		m.snap = msg.snap
		m.level(msg.snap)
		return m, m.activate.follow()
	case goneMsg:
		if m.gone.IsZero() {
			m.gone = m.now()
		}
		m.why = oneLine(msg.err)
	case snapshotMsg:
		m.status(msg)
		return m, m.activate.follow()
	case runMsg:
		m.run(msg)
		return m, m.activate.follow()
	case logMsg:
		m.happened(m.time(msg.past), msg.text)
	}
	return m, nil
}

// oneLine is an error for the note line, with its hint.
func oneLine(err error) string {
	return err.Error() + wording.Prefix("; ", wording.Hint(err))
}

// say shows a note until the next key.
func (m *model) say(k kind, text string) { m.note, m.noteIs = text, k }

// fail shows an error.
func (m *model) fail(err error) tea.Cmd {
	if m.ctx.Err() == nil {
		m.say(bad, oneLine(err))
	}
	return nil
}

// ask asks the daemon beside the screen and then calls f on the model's own
// goroutine.
func (m *model) ask(request func(ctx context.Context) error, f func(err error) tea.Cmd) tea.Cmd {
	return func() tea.Msg {
		err := request(m.ctx)
		return func(*model) tea.Cmd { return f(err) }
	}
}

// get asks for what is at path.
func get[T any](m *model, path string, f func(v T, err error) tea.Cmd) tea.Cmd {
	var v T
	return m.ask(func(ctx context.Context) error { return m.client.Do(ctx, http.MethodGet, path, nil, nil, &v) },
		func(err error) tea.Cmd { return f(v, err) })
}

// time is when an event came; of the past the one before it is known.
func (m *model) time(past bool) time.Time {
	if past {
		return m.heard
	}
	return m.now()
}

func (m *model) happened(at time.Time, text string) {
	if n := len(m.events); n > 0 && m.events[n-1].text == text {
		return
	}
	m.events = append(m.events, event{at, text})
	if len(m.events) > maxEvents {
		m.events = m.events[1:]
	}
}

func (m *model) level(s status.Snapshot) {
	if l, _, ok := level(s.Signal); ok {
		m.trend = append(m.trend, l)
		m.trend = m.trend[max(len(m.trend)-trendLength, 0):]
	}
}

func (m *model) status(msg snapshotMsg) {
	if msg.past {
		if m.heard.IsZero() {
			m.trend = nil // what the attach has put there comes last
		}
		m.heard = msg.snap.Time
		m.level(msg.snap)
		m.happened(msg.snap.Time, wording.Link(msg.snap))
		return
	}
	if a, b := wording.Link(m.snap), wording.Link(msg.snap); a != b {
		m.happened(m.now(), b)
	}
	if !sameSignal(m.snap.Signal, msg.snap.Signal) {
		m.level(msg.snap)
	}
	run := m.snap.Run
	m.snap = msg.snap
	if run != nil && msg.snap.Run != nil && run.ID == msg.snap.Run.ID && run.State == msg.snap.Run.State {
		m.snap.Run = run // its own events tell more often
	}
}

func sameSignal(a, b *status.Signal) bool {
	x, _, okA := level(a)
	y, _, okB := level(b)
	return okA == okB && x == y
}

func (m *model) run(msg runMsg) {
	r := msg.run
	m.happened(m.time(msg.past), "activation: "+short(&r))
	if !msg.past {
		m.activate.progress(&r)
		m.snap.Run = &r
	}
}

// key gives a key to who it is for.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	m.note = ""
	last := m.last
	m.last = k.Text
	switch {
	case m.prompt != nil:
		p := m.prompt
		ended, given := p.press(k)
		if !ended {
			return nil
		}
		m.prompt = nil
		defer p.forget()
		if given {
			return p.done(string(p.value))
		}
		return nil
	case m.confirm != nil:
		c := m.confirm
		m.confirm = nil
		if k.String() == "y" || k.String() == "Y" {
			return c.yes()
		}
		m.say(normal, "nothing was done")
		return nil
	case m.cover != nil:
		m.cover = nil
		if k.String() == "Q" && m.page > 0 {
			m.codes()
		}
		return nil
	}
	switch name := k.String(); {
	case k.Text == "$" && last == "1":
		return m.typed(last + k.Text)
	case (k.Text == "L" || k.Text == "l") && m.at == viewActivate:
		return m.typed(k.Text)
	case key.Matches(k, keyQuit):
		return tea.Quit
	case key.Matches(k, keyHelp):
		m.cover = m.help
	case name == "Q":
		m.page = 0
		m.codes()
	case key.Matches(k, keyFull):
		return tea.ClearScreen
	case key.Matches(k, keyView):
		return m.show(int(name[0] - '1'))
	case key.Matches(k, keyNext):
		return m.show((m.at + 1) % len(m.views))
	case key.Matches(k, keyPrev):
		return m.show((m.at + len(m.views) - 1) % len(m.views))
	case key.Matches(k, keyDown):
		m.scroll[m.at] += m.room()
	case key.Matches(k, keyUp):
		m.scroll[m.at] -= m.room()
	case key.Matches(k, keyMore):
		return m.views[m.at].enter()
	default:
		return m.views[m.at].press(name)
	}
	return nil
}

// typed takes the beginning of an activation code for one, LPA: or 1$. A terminal that
// does not mark what is pasted sends it as keys, and further on one of them may leave
// or agree to something. So it is taken also while another activation goes on, where
// the daemon turns it down.
func (m *model) typed(begin string) tea.Cmd {
	cmd := m.show(viewActivate)
	m.activate.askCode()
	m.prompt.insert(begin)
	return cmd
}

// paste gives pasted text to the prompt. Where a code may be pasted it opens one.
func (m *model) paste(text string) tea.Cmd {
	if m.prompt == nil && m.confirm == nil && m.cover == nil && m.at == viewActivate && m.activate.formShown() {
		m.activate.askCode()
	}
	if m.prompt != nil {
		m.prompt.insert(text)
	}
	return nil
}

// The views that are gone to by something else than their number.
const (
	viewActivate = 2
	viewConsole  = 6
)

func (m *model) show(i int) tea.Cmd {
	m.at = i
	return m.views[i].enter()
}
