package modem_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/atcmd/modem"
)

// deliver makes the PDUs of a received message.
func deliver(t *testing.T, from, text string) []string {
	t.Helper()
	list, err := sms.Encode([]byte(text), sms.AsDeliver, sms.From(from))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range list {
		list[i].SCTS = tpdu.Timestamp{Time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))}
		b, err := list[i].MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		p := pdumode.PDU{TPDU: b}
		text, err := p.MarshalHexString()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

// A message goes out once, whole, and in the alphabet that it needs.
func TestSendSMSOnSimulatedModem(t *testing.T) {
	for _, personality := range []string{"generic", "quectel", "huawei-ms2372", "telit-le910"} {
		var mu sync.Mutex
		var sent []*tpdu.TPDU
		l := newLab(t, func(c *atsim.Config) {
			c.Personality = personality
			c.SMSSent = func(pdu string) {
				raw, err := hex.DecodeString(pdu)
				if err != nil {
					t.Error(err)
				}
				p, err := pdumode.UnmarshalBinary(raw)
				if err != nil {
					t.Error(err)
					return
				}
				u, err := sms.Unmarshal(p.TPDU, sms.AsMO)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				sent = append(sent, u)
				mu.Unlock()
			}
		})
		m := l.start(t)
		for _, text := range []string{"hello", strings.Repeat("Grüße ", 60), strings.Repeat("Баланс ", 30)} {
			sent = nil
			refs, err := m.SendSMS(t.Context(), "1150", text)
			got, derr := sms.Decode(sent)
			if err != nil || derr != nil || string(got) != text || len(refs) != len(sent) || sent[0].DA.Number() != "1150" {
				t.Errorf("%s: %v, %d parts, refs %v, %q %v", personality, err, len(sent), refs, got, derr)
			}
		}
		// Not one of the other commands is in trouble after it.
		if _, err := m.Registration(t.Context()); err != nil {
			t.Error(err)
		}
		l.close()
	}
}

func TestSendSMSRefused(t *testing.T) {
	l := newLab(t, func(c *atsim.Config) {
		c.Network = &network{reg: atsim.Registration{Status: 3, AcT: 7, RejectCause: 11}}
	})
	m := modem.New(l, nil, nil)
	refs, err := m.SendSMS(t.Context(), "+4915112345", "a secret")
	var cms *atcmd.CMSError
	if !errors.As(err, &cms) || cms.Code != 331 || len(refs) != 0 || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "4915") {
		t.Errorf("%v %v", refs, err)
	}
	if _, err := m.Functionality(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestStoredSMSOnSimulatedModem(t *testing.T) {
	l := newLab(t, nil)
	m := l.start(t)
	long := strings.Repeat("Your balance is 5.00. ", 20)
	for _, pdu := range append(deliver(t, "+491234567", "hello"), deliver(t, "+491150", long)...) {
		if !l.sim.ReceiveSMS(pdu) {
			t.Fatal("no room")
		}
	}
	list, err := m.ListSMS(t.Context())
	if err != nil || len(list) != 2 || list[0].Text != "hello" || list[0].Read || list[1].Text != long || list[1].Missing != 0 ||
		list[1].From != "+491150" || !list[0].Sent.Equal(time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)) {
		t.Fatalf("%+v %v", list, err)
	}
	if list, err = m.ListSMS(t.Context()); err != nil || !list[0].Read {
		t.Errorf("read before: %+v %v", list, err)
	}
	for _, msg := range list {
		if err := m.DeleteSMS(t.Context(), msg); err != nil {
			t.Error(err)
		}
	}
	if list, err = m.ListSMS(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("after deleting: %+v %v", list, err)
	}
	if err := m.DeleteSMS(t.Context(), modem.Message{Indexes: []int{1}}); err == nil {
		t.Error("an empty place was deleted")
	}
	if n, err := m.SMSC(t.Context()); err != nil || n != "" {
		t.Errorf("service centre %q %v", n, err)
	}
}

// Messages come whether the modem stores them or hands them on.
func TestReceiveSMSOnSimulatedModem(t *testing.T) {
	l := newLab(t, nil)
	m := l.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	came, done := make(chan modem.Message), make(chan error, 1)
	go func() {
		done <- m.ReceiveSMS(ctx, func(msg modem.Message) {
			select {
			case came <- msg:
			case <-ctx.Done():
			}
		})
	}()
	for { // until +CNMI is set
		if r, err := l.Do(t.Context(), atcmd.Command{Text: "+CNMI?"}); err != nil || strings.Contains(strings.Join(r.Lines, ""), "2,1") {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	long := strings.Repeat("0123456789", 30)
	for i, text := range []string{"hello", long, "Баланс"} {
		if i == 2 { // as a modem that stores none
			if _, err := l.Do(t.Context(), atcmd.Command{Text: "+CNMI=2,2,0,0,0"}); err != nil {
				t.Fatal(err)
			}
		}
		for _, pdu := range deliver(t, "+491234567", text) {
			if !l.sim.ReceiveSMS(pdu) {
				t.Fatal("no room")
			}
		}
		msg := <-came
		if msg.Text != text || msg.From != "+491234567" || msg.Missing != 0 || (len(msg.Indexes) == 0) != (i == 2) {
			t.Errorf("%+v", msg)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A short session with the operator's menu, on modems that code it in their own
// ways, and in the character sets that somebody else may have left behind.
func TestUSSDOnSimulatedModem(t *testing.T) {
	for _, tt := range []struct{ personality, charset string }{
		{"generic", "IRA"}, {"generic", "GSM"}, {"generic", "UCS2"}, {"quectel", "GSM"}, {"huawei-ms2372", "IRA"},
	} {
		t.Run(tt.personality+" "+tt.charset, func(t *testing.T) {
			l := newLab(t, func(c *atsim.Config) {
				c.Personality = tt.personality
				c.USSD = func(sub atsim.Subscriber, text string) atsim.USSDReply {
					switch text {
					case "*100#":
						return atsim.USSDReply{Text: "Balance: 5 $"}
					case "*101#":
						return atsim.USSDReply{Text: "1 Balance\n2 Top up", More: true}
					case "1":
						return atsim.USSDReply{Text: "Баланс 5"}
					}
					return atsim.USSDReply{}
				}
			})
			m := l.start(t)
			if _, err := l.Do(t.Context(), atcmd.Command{Text: fmt.Sprintf("+CSCS=%q", tt.charset)}); err != nil {
				t.Fatal(err)
			}
			a, err := m.USSD(t.Context(), "*100#")
			want := "Balance: 5 $"
			if tt.charset == "GSM" {
				want = "Balance: 5" // the code of $ is a control character, which no line carries
			}
			if err != nil || !strings.HasPrefix(a.Text, want) || a.More {
				t.Errorf("%+v %v", a, err)
			}
			a, err = m.USSD(t.Context(), "*101#")
			if err != nil || a.Text != "1 Balance\n2 Top up" || !a.More {
				t.Errorf("%+v %v", a, err)
			}
			a, err = m.USSD(t.Context(), "1")
			if err != nil || a.Text != "Баланс 5" || a.More {
				t.Errorf("%+v %v", a, err)
			}
			if _, err = m.USSD(t.Context(), "*999#"); !errors.Is(err, modem.ErrUSSDUnsupported) {
				t.Errorf("unknown code: %v", err)
			}
			if err := m.CancelUSSD(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A network that does not answer is not waited for longer than the caller wants,
// and the session is given back.
func TestUSSDGivenUp(t *testing.T) {
	l := newLab(t, func(c *atsim.Config) {
		c.USSDTime = time.Hour
		c.USSD = func(atsim.Subscriber, string) atsim.USSDReply { return atsim.USSDReply{Text: "late"} }
	})
	m := l.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := m.USSD(ctx, "*123*4711#"); done <- err }()
	for l.sim.Stats().ByName["+CUSD"] == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := m.USSD(t.Context(), "*100#"); !errors.Is(err, modem.ErrUSSDBusy) {
		t.Errorf("a second request: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "4711") {
		t.Error(err)
	}
	if n := l.sim.Stats().ByName["+CUSD"]; n != 2 {
		t.Errorf("%d commands, want the request and its end", n)
	}
}
