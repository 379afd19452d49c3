package status

import (
	"encoding/json"
	"testing"
	"time"
)

func newModel() *Model {
	t := time.UnixMilli(1).Add(-time.Second) // events are numbered from 1
	return New("test", func() time.Time { t = t.Add(time.Second); return t })
}

func drain(s *Subscription) (events []*Event) {
	for {
		select {
		case e := <-s.Events():
			events = append(events, e)
		default:
			return events
		}
	}
}

func TestUpdateTellsOnlyChanges(t *testing.T) {
	m := newModel()
	s := m.Subscribe(0)
	defer s.Close()
	for range 2 { // applied twice
		m.Update(func(s *Snapshot) { s.State = Up })
		m.Update(func(s *Snapshot) { s.Run = &Run{ID: "a", State: "accepted"} })
	}
	events := drain(s)
	if len(events) != 2 || events[0].Type != "status" || events[1].Type != "run" {
		t.Fatalf("events %v, want one status and one run", events)
	}
	var snap Snapshot
	if err := json.Unmarshal(events[0].Data, &snap); err != nil || snap.State != Up {
		t.Errorf("event %s (%v)", events[0].Data, err)
	}
}

func TestSnapshotIsACopy(t *testing.T) {
	m := newModel()
	m.Update(func(s *Snapshot) { s.Link = &Link{Addresses: []string{"192.0.2.1/32"}} })
	a := m.Snapshot()
	a.Link.Addresses[0] = "changed"
	if got := m.Snapshot().Link.Addresses[0]; got != "192.0.2.1/32" {
		t.Errorf("the model was changed through a snapshot: %s", got)
	}
}

func TestReplay(t *testing.T) {
	m := newModel()
	for range History + 10 {
		m.Log("x")
	}
	s := m.Subscribe(History + 5)
	defer s.Close()
	events := drain(s)
	if s.Lost {
		t.Error("it lost nothing")
	}
	if len(events) != 5 || events[0].ID != History+6 {
		t.Errorf("%d events from %d, want 5 from %d", len(events), events[0].ID, History+6)
	}
}

// A client that comes back gets all that is kept, and what comes before it reads.
func TestReplayOfAllThatIsKept(t *testing.T) {
	m := newModel()
	for range History + 10 {
		m.Log("x")
	}
	s := m.Subscribe(1)
	defer s.Close()
	m.Log("y")
	events := drain(s)
	if s.Lost || len(events) != History+1 || events[0].ID != 11 || events[History].ID != History+11 {
		t.Errorf("%d events, the first is %d", len(events), events[0].ID)
	}
	s = m.Subscribe(History + 1000)
	defer s.Close()
	if events := drain(s); !s.Lost || len(events) != 0 {
		t.Errorf("from the future, or another process: %d events", len(events))
	}
	for after, lost := range map[uint64]bool{0: false, 10: true, 11: false, History + 11: false, History + 12: true} {
		s := m.Subscribe(after)
		if s.Close(); s.Lost != lost {
			t.Errorf("after %d: lost %v", after, s.Lost)
		}
	}
}

func TestSlowSubscriberLosesTheOldest(t *testing.T) {
	m := newModel()
	s := m.Subscribe(0)
	for range queue + 7 {
		m.Log("x")
	}
	events := drain(s)
	if len(events) != queue || events[0].ID != 8 || events[queue-1].ID != queue+7 {
		t.Errorf("%d events, first %d", len(events), events[0].ID)
	}
	s.Close()
	m.Log("x")
	if got := drain(s); len(got) != 0 {
		t.Errorf("%d events after Close", len(got))
	}
}

func TestLinkUp(t *testing.T) {
	m := New("v", time.Now)
	up := m.LinkUp()
	m.Update(func(s *Snapshot) { s.State = Limited })
	select {
	case <-up:
		t.Error("limited is not up")
	default:
	}
	m.Update(func(s *Snapshot) { s.State = Up })
	<-up
	up = m.LinkUp()
	m.Update(func(s *Snapshot) { s.Reason = "" })
	select {
	case <-up:
		t.Error("it was up before")
	default:
	}
	m.Update(func(s *Snapshot) { s.State = Down })
	m.Update(func(s *Snapshot) { s.State = Up })
	<-up
}
