package modem

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	library "github.com/warthog618/modem/at"
	"github.com/warthog618/modem/gsm"
	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"

	"dynamod/atcmd"
)

// Message is a short message, put together from its parts.
type Message struct {
	From string    // number, or the name that the sender chose
	Sent time.Time // the service centre's stamp; zero when it is none
	Text string
	Read bool
	// Missing is how many parts have not come; Text is that of the others then.
	Missing int
	// Indexes are the places in the modem's store, for DeleteSMS; empty for a
	// message that the modem did not store.
	Indexes []int
}

// sendTime bounds one part of a message: the network may take a minute.
const sendTime = 90 * time.Second

// maxPDU is the number of hexadecimal digits of the longest PDU: a service
// centre's address of 12 bytes and a TPDU of 164 (TS 23.040, 9.2.2), with room.
const maxPDU = 512

// runner is a session through which the library sends messages: an
// *atcmd.Session or an *atcmd.Section.
type runner interface {
	Run(ctx context.Context, cmd atcmd.Command, fn func(*library.AT) error) error
}

// subscriber is a session that tells URCs apart; *atcmd.Session is one.
type subscriber interface {
	Subscribe(prefix string) *atcmd.Subscription
}

var errSession = errors.New("this session cannot do that: use the modem's own")

// SendSMS sends a message to a number of up to 20 digits, in as many parts as it
// takes: in the GSM alphabet if that has all its characters, else in UCS2. It
// returns the modem's reference of each part that went out.
//
// A part is sent once. After an error some parts may have gone, and after a
// time-out also the one that was being sent. No error holds number or text.
func (m *Modem) SendSMS(ctx context.Context, to, text string) ([]int, error) {
	run, ok := m.s.(runner)
	if !ok {
		return nil, errSession
	}
	parts, err := m.encodeSMS(to, text)
	if err != nil {
		return nil, err
	}
	if err := m.pduMode(ctx); err != nil {
		return nil, err
	}
	var refs []int
	for i, part := range parts {
		var ref string
		err := run.Run(ctx, atcmd.Command{Text: "+CMGS", Timeout: sendTime}, func(a *library.AT) (err error) {
			ref, err = gsm.New(a).SendPDU(part)
			return err
		})
		if err != nil {
			return refs, fmt.Errorf("message, part %d of %d: %w", i+1, len(parts), err)
		}
		ref, _, _ = strings.Cut(ref, ",") // a service centre's stamp may follow
		n, _ := number(strings.TrimSpace(ref), 255)
		refs = append(refs, n)
	}
	return refs, nil
}

// encodeSMS makes the SUBMIT TPDUs of a message. The references of long
// messages count up, so that two to one number are not mixed.
func (m *Modem) encodeSMS(to, text string) ([][]byte, error) {
	if n := len(strings.TrimPrefix(to, "+")); n < 2 || n > 20 || !digits(strings.TrimPrefix(to, "+")) {
		return nil, errors.New("message: a number has 2 to 20 digits")
	}
	if text == "" || len(text) > 4096 {
		return nil, errors.New("message: a text has 1 to 4096 bytes")
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' }) {
		return nil, errors.New("message: a text has no control characters")
	}
	m.mu.Lock()
	if m.smsRef == nil {
		m.smsRef = &sms.Counter{}
	}
	// sms.To would make every number an international one, short codes too.
	da := tpdu.NewAddress()
	da.SetNumberingPlan(tpdu.NpISDN)
	if da.Addr = strings.TrimPrefix(to, "+"); da.Addr != to {
		da.SetTypeOfNumber(tpdu.TonInternational)
	}
	e := sms.NewEncoder(sms.AsSubmit, sms.WithTemplateOption(tpdu.WithDA(da)))
	e.ConcatRef = m.smsRef
	m.mu.Unlock()
	tpdus, err := e.Encode([]byte(text))
	if err != nil {
		return nil, errors.New("message: text cannot be encoded")
	}
	parts := make([][]byte, len(tpdus))
	for i := range tpdus {
		tpdus[i].MR = 0 // the modem counts
		if parts[i], err = tpdus[i].MarshalBinary(); err != nil {
			return nil, errors.New("message: text cannot be encoded")
		}
	}
	return parts, nil
}

// pduMode makes +CMGL, +CMGR, +CMGS and +CMT speak PDUs (27.005, 3.2.3).
func (m *Modem) pduMode(ctx context.Context) error {
	if _, err := m.s.Do(ctx, atcmd.Command{Text: "+CMGF=0"}); err != nil {
		return fmt.Errorf("messages in PDU mode: %w", err)
	}
	return nil
}

// stored is one PDU with its place and <stat> (27.005, 3.1).
type stored struct {
	index int // 0 when it is not in a store
	read  bool
	pdu   *tpdu.TPDU
}

// ListSMS returns the received messages in the modem's store, the oldest first.
// Reading them marks them as read. What is no message of a person's, or cannot
// be decoded, is left out.
func (m *Modem) ListSMS(ctx context.Context) ([]Message, error) {
	if err := m.pduMode(ctx); err != nil {
		return nil, err
	}
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CMGL=4", Tags: []string{"+CMGL"}, Bare: true, Timeout: 30 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("cannot list messages: %w", err)
	}
	return assemble(parseStored(reply.Lines, "+CMGL")), nil
}

// readSMS reads one place of the store.
func (m *Modem) readSMS(ctx context.Context, index int) ([]stored, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: fmt.Sprintf("+CMGR=%d", index), Tags: []string{"+CMGR"}, Bare: true})
	if err != nil {
		return nil, fmt.Errorf("cannot read message: %w", err)
	}
	list := parseStored(reply.Lines, "+CMGR")
	for i := range list {
		list[i].index = index
	}
	return list, nil
}

// DeleteSMS takes a message out of the modem's store (27.005, 3.5.4).
func (m *Modem) DeleteSMS(ctx context.Context, msg Message) error {
	for _, i := range msg.Indexes {
		if _, err := m.s.Do(ctx, atcmd.Command{Text: fmt.Sprintf("+CMGD=%d", i), Timeout: 25 * time.Second}); err != nil {
			return fmt.Errorf("cannot delete message: %w", err)
		}
	}
	return nil
}

// ReceiveSMS hands messages over as they come, each when all its parts are
// there, until ctx or the session ends: those that the modem stores and
// announces (+CMTI), and those that it hands on itself (+CMT). What is in the
// store before is ListSMS's. The error is the context's, or the session's.
func (m *Modem) ReceiveSMS(ctx context.Context, handle func(Message)) error {
	s, ok := m.s.(subscriber)
	if !ok {
		return errSession
	}
	urcs := s.Subscribe("+CMT") // +CMTI as well
	defer urcs.Close()
	if err := m.pduMode(ctx); err != nil {
		return err
	}
	// Stored and announced, none handed on (27.005, 3.4.1).
	if err := m.optional(ctx, "+CNMI=2,1,0,0,0"); err != nil {
		return err
	}
	var c collector
	memory := ""
	for {
		var urc atcmd.URC
		select {
		case <-ctx.Done():
			return ctx.Err()
		case urc, ok = <-urcs.C():
			if !ok {
				return fmt.Errorf("messages: %w", atcmd.ErrClosed)
			}
		}
		var came []stored
		if f, ok := urc.Fields("+CMTI"); ok {
			index, valid := number(at(f, 1), 65535)
			if !valid {
				continue
			}
			if mem := at(f, 0); mem != memory && len(mem) == 2 {
				if err := m.optional(ctx, fmt.Sprintf(`+CPMS="%s"`, printable(strings.ReplaceAll(mem, `"`, "")))); err != nil {
					return err
				}
				memory = mem
			}
			list, err := m.readSMS(ctx, index)
			if err != nil {
				if !answered(err) {
					return err
				}
				m.log.Debug("announced message not read", "error", err)
			}
			came = list
		} else if _, ok := urc.Fields("+CMT"); ok {
			if pdu, err := parseSMS(urc.Data); err == nil {
				came = []stored{{pdu: pdu}}
			}
		}
		for _, p := range came {
			if msg, whole := c.add(p); whole {
				handle(msg)
			}
		}
	}
}

// SMSC returns the number of the service centre (27.005, 3.3.1).
func (m *Modem) SMSC(ctx context.Context) (string, error) {
	reply, err := m.s.Do(ctx, atcmd.Command{Text: "+CSCA?"})
	if err != nil {
		return "", err
	}
	f, ok := reply.Fields("+CSCA")
	if !ok {
		return "", fmt.Errorf("AT+CSCA?: %w", ErrAnswer)
	}
	return parseSMSC(f)
}

// parseSMSC reads `"+4912345",145`: 145 is the international form.
func parseSMSC(f []string) (string, error) {
	v := strings.TrimPrefix(at(f, 0), "+")
	if v != "" && (len(v) > 20 || !digits(v)) {
		return "", fmt.Errorf("AT+CSCA?: %w", ErrAnswer)
	}
	if v != "" && (strings.HasPrefix(at(f, 0), "+") || at(f, 1) == "145") {
		v = "+" + v
	}
	return v, nil
}

// parseStored pairs the lines of +CMGL and +CMGR with the PDUs below them:
// `+CMGL: <index>,<stat>,[<alpha>],<length>` and `+CMGR: <stat>,...`. Received
// ones (0 unread, 1 read) are returned.
func parseStored(lines []string, tag string) []stored {
	var list []stored
	for i := 0; i+1 < len(lines); i++ {
		f, ok := atcmd.Fields(lines[i], tag)
		if !ok {
			continue
		}
		var s stored
		if tag == "+CMGL" {
			if s.index, ok = number(at(f, 0), 65535); !ok {
				continue
			}
			f = f[1:]
		}
		stat, ok := number(at(f, 0), 1)
		if !ok {
			continue
		}
		s.read = stat == 1
		pdu, err := parseSMS(lines[i+1])
		if err != nil {
			continue
		}
		s.pdu = pdu
		list = append(list, s)
		i++
	}
	return list
}

// parseSMS decodes a received PDU: the service centre's address and a DELIVER
// TPDU, in hexadecimal.
func parseSMS(text string) (*tpdu.TPDU, error) {
	if len(text) > maxPDU {
		return nil, fmt.Errorf("message: %w: too long", ErrAnswer)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("message: %w: not hexadecimal", ErrAnswer)
	}
	p, err := pdumode.UnmarshalBinary(raw)
	if err != nil {
		return nil, fmt.Errorf("message: %w: %v", ErrAnswer, err)
	}
	t, err := sms.Unmarshal(p.TPDU, sms.AsMT)
	if err != nil {
		return nil, fmt.Errorf("message: %w: %v", ErrAnswer, err)
	}
	if t.SmsType() != tpdu.SmsDeliver {
		return nil, fmt.Errorf("message: %w: not a received one", ErrAnswer)
	}
	return t, nil
}

// assemble puts stored parts together; what misses some comes out as it is.
func assemble(list []stored) []Message {
	var out []Message
	var c collector
	for _, p := range list {
		if msg, whole := c.add(p); whole {
			out = append(out, msg)
		}
	}
	for _, l := range c.open {
		out = append(out, l.message())
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Sent.Before(out[j].Sent) })
	return out
}

// collector keeps the parts of long messages until they are whole (TS 23.040,
// 9.2.3.24.1).
type collector struct{ open []*long }

// maxOpen bounds the long messages that wait for parts; the oldest goes.
const maxOpen = 16

type long struct {
	from       string
	ref, count int
	parts      []*stored // by number, from 0
}

// add takes a part and returns the message that is whole with it.
func (c *collector) add(p stored) (Message, bool) {
	count, n, ref, ok := p.pdu.ConcatInfo()
	if !ok || count < 2 || n < 1 || n > count {
		return (&long{count: 1, parts: []*stored{&p}}).message(), true
	}
	from := p.pdu.OA.Number()
	i := slices.IndexFunc(c.open, func(l *long) bool { return l.from == from && l.ref == ref && l.count == count })
	if i < 0 {
		if len(c.open) == maxOpen {
			c.open = c.open[1:]
		}
		i = len(c.open)
		c.open = append(c.open, &long{from: from, ref: ref, count: count, parts: make([]*stored, count)})
	}
	l := c.open[i]
	if l.parts[n-1] == nil { // of two with one number the first stays
		l.parts[n-1] = &p
	}
	if slices.Contains(l.parts, nil) {
		return Message{}, false
	}
	c.open = slices.Delete(c.open, i, i+1)
	return l.message(), true
}

func (l *long) message() Message {
	msg := Message{Read: true, Missing: l.count}
	var text strings.Builder
	var run []*tpdu.TPDU // neighbours are decoded together: a character may be cut in two
	flush := func() {
		if b, err := sms.Decode(run); err == nil {
			text.Write(b)
		}
		run = nil
	}
	for _, p := range l.parts {
		if p == nil {
			flush()
			continue
		}
		msg.Missing--
		msg.From = p.pdu.OA.Number()
		if t := p.pdu.SCTS.Time; msg.Sent.IsZero() {
			msg.Sent = t
		}
		msg.Read = msg.Read && p.read
		if p.index != 0 {
			msg.Indexes = append(msg.Indexes, p.index)
		}
		run = append(run, p.pdu)
	}
	flush()
	msg.Text = strings.ToValidUTF8(text.String(), "\uFFFD")
	return msg
}
