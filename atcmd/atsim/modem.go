package atsim

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Modem is a simulated modem. Its methods may be called from any goroutine.
type Modem struct {
	cfg    Config
	log    *slog.Logger
	pers   personality
	habits Habits
	verbs  map[string]verb
	faults faultSet
	stats  counters
	wake   chan struct{}

	// state guards everything below. It is a channel and not a mutex: waiting
	// for it ends with a context, and is durable in a synctest bubble while
	// its holder sleeps for a slow card.
	state semaphore

	ports   map[*port]bool
	stop    context.CancelFunc // of the background goroutine
	stopped chan struct{}
	tasks   []task
	pending []*ptyPair // opened by OpenPTY, not yet served

	powered bool
	fun     int // +CFUN <fun>
	card    slot
	slot    int // that the card interface is switched to, from 0; kept over restarts
	radio   radio
	packet  packet
	sms     smsStore
	ussd    bool // the network waits for the answer to a USSD question
	carrier carrierConfig
	lastErr string // +CEER

	channelFor int    // context of +XDATACHANNEL
	usbNow     string // the USB composition, see usbModes
	usbNext    string // from the next start on
	onReboot   func() // settings that hold from the next restart on
}

// semaphore is a lock that can be waited for with a context.
type semaphore chan struct{}

func newSemaphore() semaphore { return make(semaphore, 1) }

func (s semaphore) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s semaphore) lock()    { s <- struct{}{} }
func (s semaphore) release() { <-s }

// task is something that the modem does by itself at a time.
type task struct {
	key string
	at  time.Time
	run func(context.Context)
}

// after plans run for later; a task with the same key is replaced. The caller
// holds the state.
func (m *Modem) after(key string, d time.Duration, run func(context.Context)) {
	m.cancel(key)
	m.tasks = append(m.tasks, task{key: key, at: time.Now().Add(d), run: run})
	m.kick()
}

func (m *Modem) cancel(key string) {
	m.tasks = slices.DeleteFunc(m.tasks, func(t task) bool { return t.key == key })
}

func (m *Modem) kick() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// background runs planned tasks until ctx ends.
func (m *Modem) background(ctx context.Context) {
	for {
		if m.state.acquire(ctx) != nil {
			return
		}
		wait, ok := m.runDue(ctx)
		m.state.release()
		var tick <-chan time.Time // without a task: never
		if ok {
			tick = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-tick:
		}
	}
}

// runDue runs every task whose time has come and says how long to wait for the
// next one.
func (m *Modem) runDue(ctx context.Context) (wait time.Duration, ok bool) {
	for {
		next := -1
		for i, t := range m.tasks {
			if next < 0 || t.at.Before(m.tasks[next].at) {
				next = i
			}
		}
		if next < 0 {
			return 0, false
		}
		t := m.tasks[next]
		if d := time.Until(t.at); d > 0 {
			return d, true
		}
		m.tasks = slices.Delete(m.tasks, next, next+1)
		t.run(ctx)
		if ctx.Err() != nil {
			return 0, false
		}
	}
}

// sleep waits, or not if ctx ends first.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Serve answers AT commands on rw until ctx ends, rw fails or reaches its end,
// or the modem is unplugged. It closes rw. The end of rw and of ctx is not an
// error.
func (m *Modem) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	p := newPort(m)
	if err := m.attach(ctx, p); err != nil {
		rw.Close()
		return nil
	}
	defer m.detach(p)
	return p.serve(ctx, rw)
}

// attach plugs a port in and powers the modem with the first one.
func (m *Modem) attach(ctx context.Context, p *port) error {
	if err := m.state.acquire(ctx); err != nil {
		return err
	}
	defer m.state.release()
	m.ports[p] = true
	if m.stop == nil {
		bg, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		m.stop, m.stopped = stop, done
		go func() {
			defer close(done)
			m.background(bg)
		}()
	}
	if !m.powered {
		m.powerOn(ctx)
	}
	return nil
}

// detach unplugs a port. With the last one the modem loses its power, and the
// background goroutine has ended when detach returns.
func (m *Modem) detach(p *port) {
	m.state.lock()
	delete(m.ports, p)
	if len(m.ports) > 0 {
		m.state.release()
		return
	}
	m.powerOff()
	stop, done := m.stop, m.stopped
	m.stop, m.stopped = nil, nil
	m.state.release()
	stop()
	<-done
}

// powerOn is the modem's boot. The caller holds the state.
func (m *Modem) powerOn(ctx context.Context) {
	m.powered = true
	m.fun = 1
	m.radio = radio{}
	m.packet.reset(m)
	m.resetCard(ctx)
	m.startRadio(ctx)
	m.log.Debug("modem is on", "personality", m.pers.Name)
}

// powerOff is the loss of power: nothing is announced to anybody.
func (m *Modem) powerOff() {
	if !m.powered {
		return
	}
	m.dropContexts("")
	m.tasks = nil
	m.card.lose()
	m.powered = false
	m.log.Debug("modem is off")
}

// goodbye is the time from a command that takes the ports away to their going:
// its answer still reaches the client, as with real USB modems.
const goodbye = 200 * time.Millisecond

// reboot is +CFUN=1,1: settings go back to their defaults, the card and the
// radio start again, and the modem says so.
func (m *Modem) reboot(ctx context.Context) {
	m.faults.heal(HealRestart)
	m.leave()
	m.powerOff()
	if m.onReboot != nil {
		m.onReboot()
		m.onReboot = nil
	}
	if m.carrier.restart() {
		m.faults.clear("stale-carrier")
	}
	m.newComposition()
	if m.habits.Reenumerate {
		m.restartPorts(m.habits.ReplugAfter)
		return
	}
	m.resetSettings()
	m.powerOn(ctx)
	for _, line := range m.pers.bootURCs {
		m.urc(line)
	}
	m.announceSIM()
}

func (m *Modem) resetSettings() {
	for p := range m.ports {
		p.resetSettings()
	}
}

// restartPorts is a restart as the host sees it on USB: all ports go, and come
// back with their default settings.
func (m *Modem) restartPorts(back time.Duration) {
	m.resetSettings()
	m.unplug(back)
}

// unplug takes all ports away; they come back after replug, never if it is 0.
func (m *Modem) unplug(replug time.Duration) {
	m.powerOff()
	for p := range m.ports {
		p.unplug(replug)
	}
}

// Sync makes the modem ask the network for its registration now, as it does by
// itself every Config.RegisterEvery. It is for a Network whose mind changed.
func (m *Modem) Sync(ctx context.Context) error {
	if err := m.state.acquire(ctx); err != nil {
		return err
	}
	defer m.state.release()
	if m.powered {
		m.register(ctx)
	}
	return nil
}

// Drop makes the network take a context down: the modem reports +CGEV: NW PDN
// DEACT, the link goes down, a port that carries it in data mode gets NO CARRIER.
func (m *Modem) Drop(ctx context.Context, cid int) error {
	if err := m.state.acquire(ctx); err != nil {
		return err
	}
	defer m.state.release()
	m.deactivate(cid, "NW PDN DEACT")
	return nil
}

// urc sends an unsolicited result code to every port.
func (m *Modem) urc(line string) {
	for p := range m.ports {
		p.urc(line)
	}
}

// urcTo sends a code to the ports that asked for it.
func (m *Modem) urcTo(line string, wanted func(*settings) bool) {
	for p := range m.ports {
		if wanted(&p.set) {
			p.urc(line)
		}
	}
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
