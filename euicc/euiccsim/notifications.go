package euiccsim

import (
	"fmt"
	"slices"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// Event is what a notification reports: named bits of NotificationEvent
// (SGP.22, 3.5).
type Event byte

// The events.
const (
	EventInstall Event = 0x80
	EventEnable  Event = 0x40
	EventDisable Event = 0x20
	EventDelete  Event = 0x10
)

// String names the event.
func (e Event) String() string {
	switch e {
	case EventInstall:
		return "install"
	case EventEnable:
		return "enable"
	case EventDisable:
		return "disable"
	case EventDelete:
		return "delete"
	}
	return fmt.Sprintf("event %02X", byte(e))
}

// notificationMetadata encodes NotificationMetadata, tag BF2F.
func notificationMetadata(n *notification) []byte {
	var b bertlv.Builder
	b.Open(tagNotificationMetadata).Int(0x80, n.Sequence).Put(0x81, bitString(byte(n.Event))).String(0x0C, n.Address)
	if n.ICCID != nil {
		b.Put(tagICCID, n.ICCID)
	}
	return b.Close().Bytes()
}

// maxNotifications bounds the list; the oldest goes first.
const maxNotifications = 500

func (m *memory) newNotification(event Event, address string, iccid []byte) *notification {
	n := &notification{Sequence: m.Sequence, Event: event, Address: address, ICCID: iccid}
	m.Sequence++
	if over := len(m.Notifications) + 1 - maxNotifications; over > 0 {
		m.Notifications = m.Notifications[over:]
	}
	return n
}

// addNotifications adds a signed notification for each address that the
// profile's metadata asks to tell about the event.
func (c *Card) addNotifications(next *memory, p *profile, event Event) error {
	m, err := parseMetadata(p.Metadata)
	if err != nil {
		return err
	}
	for _, cfg := range m.notify {
		if cfg.events&event == 0 {
			continue
		}
		n := next.newNotification(event, cfg.address, p.ICCID)
		tbs := notificationMetadata(n)
		sig, err := c.sign(tbs)
		if err != nil {
			return err
		}
		var b bertlv.Builder
		b.Open(0x30).Raw(tbs).Put(tagSignature, sig).Raw(c.cfg.EUICC.Cert.Raw).Raw(c.cfg.EUM.Raw)
		n.Signed = b.Close().Bytes()
		next.Notifications = append(next.Notifications, n)
	}
	return nil
}

// addInstallationResult adds the signed ProfileInstallationResult (SGP.22,
// 2.5.6): of profile p, or of the failure.
func (c *Card) addInstallationResult(next *memory, s *session, p *profile, failure *loadError) error {
	var iccid []byte
	if s.load != nil {
		iccid = s.load.iccid
	}
	n := next.newNotification(EventInstall, s.address, iccid)
	var b bertlv.Builder
	b.Open(tagResultData).Put(0x80, s.transactionID).Raw(notificationMetadata(n)).Put(0x06, registeredID(s.dppb))
	b.Open(0xA2)
	if failure == nil {
		b.Open(0xA0).Put(tagAID, p.AID).Put(0x04, simaOK).Close()
	} else {
		b.Open(0xA1).Int(0x80, failure.command).Int(0x81, failure.reason)
		if failure.sima != nil {
			b.Put(0x82, failure.sima)
		}
		b.Close()
	}
	data := b.Close().Close().Bytes()
	sig, err := c.sign(data)
	if err != nil {
		return err
	}
	n.Signed = new(bertlv.Builder).Open(tagInstallationResult).Raw(data).Put(tagSignature, sig).Close().Bytes()
	next.Notifications = append(next.Notifications, n)
	return nil
}

// lastResult returns the latest ProfileInstallationResult.
func (m *memory) lastResult() []byte {
	for _, n := range slices.Backward(m.Notifications) {
		if len(n.Signed) > 0 && n.Signed[0] == tagInstallationResult>>8 {
			return n.Signed
		}
	}
	return nil
}

// listNotification is ES10b.ListNotification (SGP.22, 5.7.9).
func (c *Card) listNotification(e bertlv.Element) ([]byte, apdu.Status) {
	filter := Event(0xF0)
	if bits := value(e, 0x81); bits != nil {
		filter = Event(namedBits(bits))
	}
	var b bertlv.Builder
	b.Open(tagListNotification).Open(0xA0)
	for _, n := range c.nv.Notifications {
		if n.Event&filter != 0 {
			b.Raw(notificationMetadata(n))
		}
	}
	return b.Close().Close().Bytes(), swOK
}

// retrieveNotifications is ES10b.RetrieveNotificationsList (SGP.22, 5.7.10).
func (c *Card) retrieveNotifications(e bertlv.Element) ([]byte, apdu.Status) {
	match := func(*notification) bool { return true }
	criteria, ok := e.Find(0xA0)
	if ok {
		k, err := bertlv.Parse(criteria.Value)
		if err != nil {
			return nil, swWrongData
		}
		switch k.Tag {
		case 0x80:
			seq, err := bertlv.Int(k.Value)
			if err != nil {
				return nil, swWrongData
			}
			match = func(n *notification) bool { return n.Sequence == seq }
		case 0x81:
			bits := Event(namedBits(k.Value))
			match = func(n *notification) bool { return n.Event&bits != 0 }
		default:
			return nil, swWrongData
		}
	}
	var b bertlv.Builder
	found := false
	b.Open(tagRetrieveNotifications).Open(0xA0)
	for _, n := range c.nv.Notifications {
		if match(n) {
			b.Raw(n.Signed)
			found = true
		}
	}
	if ok && !found {
		return new(bertlv.Builder).Open(tagRetrieveNotifications).Int(0x81, 1).Close().Bytes(), swOK // noResultAvailable
	}
	return b.Close().Close().Bytes(), swOK
}

// removeNotification is ES10b.RemoveNotificationFromList (SGP.22, 5.7.11).
func (c *Card) removeNotification(e bertlv.Element) ([]byte, apdu.Status) {
	seq, err := bertlv.Int(value(e, 0x80))
	if err != nil {
		return nil, swWrongData
	}
	i := slices.IndexFunc(c.nv.Notifications, func(n *notification) bool { return n.Sequence == seq })
	if i < 0 {
		return result(tagRemoveNotification, 1), swOK // nothingToDelete
	}
	next := c.nv.clone()
	next.Notifications = slices.Delete(next.Notifications, i, i+1)
	if c.commit(next) != nil {
		return nil, swMemory
	}
	return result(tagRemoveNotification, 0), swOK
}

// Notification is a pending notification as the card knows it.
type Notification struct {
	Sequence int64
	Event    Event
	Address  string
	ICCID    string
	Signed   []byte // PendingNotification, as RetrieveNotificationsList returns it
}

// maxIssued bounds what Issued remembers.
const maxIssued = 1024

// Issued returns every notification that the card has made since New, oldest first
// and without what was signed, also those that were removed; the last 1,024 are
// kept.
func (c *Card) Issued() []Notification {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.issued)
}

// Pending returns the notifications that wait on the card, oldest first.
func (c *Card) Pending() []Notification {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Notification, 0, len(c.nv.Notifications))
	for _, n := range c.nv.Notifications {
		out = append(out, Notification{n.Sequence, n.Event, n.Address, digits(n.ICCID), slices.Clone(n.Signed)})
	}
	return out
}
