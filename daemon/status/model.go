package status

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// History is how many events the model keeps for a client that comes back.
const History = 256

// queue is how many events a slow subscriber may be behind before it loses the
// oldest. A subscriber that lost some sees a gap in the IDs.
const queue = 64

// Event is one change.
type Event struct {
	ID   uint64          `json:"id"` // counts up by one
	Time time.Time       `json:"time"`
	Type string          `json:"type"` // status, run, log
	Data json.RawMessage `json:"data"`
}

// Model holds the snapshot. Its methods may be called from any goroutine.
type Model struct {
	now func() time.Time

	mu      sync.Mutex
	cur     Snapshot
	last    []byte // encoded cur without its time, to tell a change from none
	lastRun []byte
	next    uint64
	history []*Event
	subs    map[*Subscription]struct{}
	rose    chan struct{} // see LinkUp
}

// New returns a model whose link is down. Events are numbered from the present
// time in milliseconds, so that an ID of an earlier process is known for one.
func New(version string, now func() time.Time) *Model {
	started := now()
	return &Model{
		now:  now,
		cur:  Snapshot{Version: version, Started: started, State: Down, Reason: "starting"},
		next: uint64(max(started.UnixMilli(), 1)),
		subs: map[*Subscription]struct{}{},
		rose: make(chan struct{}),
	}
}

// LinkUp returns a channel that is closed when the link comes up the next time.
func (m *Model) LinkUp() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rose
}

// Snapshot returns a copy that no later update changes.
func (m *Model) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.cur.clone()
	s.Time = m.now()
	return s
}

// JSON returns what Snapshot does, encoded, for a third of its cost, and cuts long
// texts off where it would be longer than MaxJSON.
func (m *Model) JSON() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.cur
	s.Time = m.now()
	return small(s)
}

// Update changes the snapshot. When that makes a difference, subscribers get a
// "status" event with the whole snapshot; when the run changed, a "run" event
// as well, before it.
func (m *Model) Update(change func(*Snapshot)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.cur.State
	change(&m.cur)
	if m.cur.State == Up && was != Up {
		close(m.rose)
		m.rose = make(chan struct{})
	}
	m.cur.Time = time.Time{}
	if m.cur.Run != nil {
		if run := encode(m.cur.Run); string(run) != string(m.lastRun) {
			m.lastRun = run
			m.emit("run", run)
		}
	}
	s := m.cur
	s.Run = nil // has an event of its own; progress would send the whole each time
	if b := encode(s); string(b) != string(m.last) {
		m.last = b
		whole := m.cur
		whole.Time = m.now()
		m.emit("status", encode(whole))
	}
}

// Log adds a line to the stream: something happened that has no field.
func (m *Model) Log(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.emit("log", encode(text))
}

func (m *Model) emit(kind string, data []byte) {
	e := &Event{ID: m.next, Time: m.now(), Type: kind, Data: data}
	m.next++
	if len(m.history) == History {
		m.history = slices.Delete(m.history, 0, 1)
	}
	m.history = append(m.history, e)
	for s := range m.subs {
		s.offer(e)
	}
}

// Subscribe returns the events after the given ID that are still kept, and all
// that follow. An ID of zero asks for new events only, one of 1 for all that are
// kept. With another, the subscription is Lost if events after it are not kept any
// more, or it is none of this process.
func (m *Model) Subscribe(after uint64) *Subscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	var missed []*Event
	if after > 0 {
		if first := slices.IndexFunc(m.history, func(e *Event) bool { return e.ID > after }); first >= 0 {
			missed = m.history[first:]
		}
	}
	s := &Subscription{Last: m.next - 1 - uint64(len(missed)), m: m, c: make(chan *Event, queue+len(missed))}
	s.Lost = after > 1 && (after >= m.next || after+1 < m.next-uint64(len(m.history)))
	for _, e := range missed {
		s.offer(e)
	}
	m.subs[s] = struct{}{}
	return s
}

// Subscription receives events until it is closed.
type Subscription struct {
	Last uint64 // ID of the event before those that it gets
	Lost bool   // who subscribed has to look at the whole status

	m *Model
	c chan *Event // all subscribers share an event
}

// Events returns the channel of events, which are not to be changed; Close does not close it.
func (s *Subscription) Events() <-chan *Event { return s.c }

// Close ends the subscription.
func (s *Subscription) Close() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	delete(s.m.subs, s)
}

// offer queues e and drops the oldest when the subscriber is too slow; the
// model never waits for a reader. Called with the model's lock held.
func (s *Subscription) offer(e *Event) {
	for {
		select {
		case s.c <- e:
			return
		default:
		}
		select {
		case <-s.c:
		default:
		}
	}
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // an & of an operator's name would be six bytes; no JSON is put into HTML
	if err := e.Encode(v); err != nil {
		// Snapshots hold only strings, numbers and times.
		panic("status: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func (s Snapshot) clone() Snapshot {
	var c Snapshot
	if err := json.Unmarshal(encode(s), &c); err != nil {
		panic("status: " + err.Error())
	}
	return c
}
