package apdu

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestCommand(t *testing.T) {
	tests := []struct {
		name string
		cmd  Command
		want string
	}{
		{"case 1 over T=0", Command{CLA: 0, INS: 0x70, P1: 0x80, P2: 1}, "0070800100"},
		{"case 2", Command{INS: 0xC0, Ne: 5}, "00C0000005"},
		{"case 2, 256", Command{INS: 0xC0, Ne: 256}, "00C0000000"},
		{"case 3", Command{CLA: 0x80, INS: 0xE2, P1: 0x91, Data: []byte{0xBF, 0x2E, 0}}, "80E2910003BF2E00"},
		{"case 4", Command{INS: 0xA4, P1: 4, Data: []byte{1}, Ne: 256}, "00A40400010100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprintf("%X", tt.cmd.Bytes()); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, bad := range []string{"", "80E291", "80E2910000BF", "80E2910003BF", "80E2910001BF0000"} {
		b, _ := hex.DecodeString(bad)
		if _, err := ParseCommand(b); !errors.Is(err, ErrCommand) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte{0x80, 0xE2, 0x91, 0, 3, 0xBF, 0x2E, 0})
	f.Add([]byte{0, 0xA4, 4, 0, 1, 1, 0})
	f.Add([]byte{0, 0x70, 0x80, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCommand(b)
		if err != nil {
			return
		}
		again, err := ParseCommand(c.Bytes())
		if err != nil || again.INS != c.INS || !bytes.Equal(again.Data, c.Data) || len(c.Data) > 0 && again.Ne != c.Ne {
			t.Fatalf("%+v, then %+v, %v", c, again, err)
		}
	})
}

func TestSplit(t *testing.T) {
	if _, _, err := Split([]byte{0x90}); err == nil {
		t.Error("one byte has a status word")
	}
	data, sw, err := Split([]byte{1, 0x91, 0x0B})
	if err != nil || !bytes.Equal(data, []byte{1}) || sw != 0x910B || !sw.OK() || sw.String() != "910B" {
		t.Errorf("got %X %s %v", data, sw, err)
	}
}

// card answers what the table says, in order.
type card struct {
	mu      sync.Mutex
	answers []string
	err     error // after the answers
	sent    []string
	closed  bool
}

func (c *card) Open(context.Context, []byte) (string, error) { return "s", nil }

func (c *card) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, fmt.Sprintf("%X", cmd))
	if len(c.answers) == 0 {
		if c.err != nil {
			return nil, c.err
		}
		return []byte{0x90, 0}, nil
	}
	b, err := hex.DecodeString(c.answers[0])
	c.answers = c.answers[1:]
	return b, err
}

func (c *card) Close(context.Context, string) error { c.closed = true; return nil }

func TestStoreData(t *testing.T) {
	lost := errors.New("lost")
	tests := []struct {
		name    string
		data    string
		block   int
		answers []string
		fail    error
		sent    []string
		want    string
		sw      Status
		at      int
		is      error

		executed bool // the status word was GET RESPONSE's
	}{
		{name: "one block (GetEID)", data: "BF3E035C015A", answers: []string{"AABB9000"}, sent: []string{"80E2910006BF3E035C015A"}, want: "AABB"},
		{name: "chained", data: "0102030405", block: 2, answers: []string{"9000", "9000", "AA9000"},
			sent: []string{"80E21100020102", "80E21101020304", "80E291020105"}, want: "AA"},
		{name: "just full", data: "01020304", block: 2, sent: []string{"80E21100020102", "80E29101020304"}},
		{name: "GET RESPONSE", data: "01", answers: []string{"6103", "AABBCC9000"}, sent: []string{"80E291000101", "00C0000003"}, want: "AABBCC"},
		{name: "GET RESPONSE in rounds (61xx with data)", data: "01", answers: []string{"AA6100", "BB6101", "CC9000"},
			sent: []string{"80E291000101", "00C0000000", "00C0000001"}, want: "AABBCC"},
		{name: "wrong Le in GET RESPONSE", data: "01", answers: []string{"6100", "6C02", "AABB9000"},
			sent: []string{"80E291000101", "00C0000000", "00C0000002"}, want: "AABB"},
		{name: "wrong Le twice", data: "01", answers: []string{"6100", "6C02", "6C03"},
			sent: []string{"80E291000101", "00C0000000", "00C0000002"}, sw: 0x6C03, executed: true},
		{name: "a block is not repeated for 6Cxx", data: "01", answers: []string{"6C02"}, sent: []string{"80E291000101"}, sw: 0x6C02},
		{name: "REFRESH waits", data: "01", answers: []string{"AA910B"}, sent: []string{"80E291000101"}, want: "AA"},
		{name: "refused in the middle", data: "0102030405", block: 2, answers: []string{"9000", "6985"},
			sent: []string{"80E21100020102", "80E21101020304"}, sw: 0x6985, at: 1},
		{name: "refused at once", data: "01", answers: []string{"6A80"}, sent: []string{"80E291000101"}, sw: 0x6A80},
		{name: "announces for ever", data: "01", answers: []string{"6110", "6110", "6110"}, sent: []string{"80E291000101", "00C0000010"}, sw: 0x6110, executed: true},
		{name: "the answer is refused, and the command not repeated in smaller blocks", data: strings.Repeat("01", 130), block: 200, answers: []string{"6110", "6700"},
			sent: []string{"80E2910082" + strings.Repeat("01", 130), "00C0000010"}, sw: 0x6700, executed: true},
		{name: "lost", data: "0102", block: 1, answers: []string{"9000"}, fail: lost, sent: []string{"80E211000101", "80E291010102"}, is: lost},
		{name: "no status word", data: "01", answers: []string{"90"}, sent: []string{"80E291000101"}, is: nil, want: "!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &card{answers: tt.answers, err: tt.fail}
			ch, err := Open(t.Context(), c, nil, Options{BlockSize: tt.block})
			if err != nil {
				t.Fatal(err)
			}
			data, _ := hex.DecodeString(tt.data)
			got, err := ch.StoreData(t.Context(), data)
			if strings.Join(c.sent, " ") != strings.Join(tt.sent, " ") {
				t.Errorf("sent %v, want %v", c.sent, tt.sent)
			}
			if n := ch.Stats().Commands; n != len(tt.sent) {
				t.Errorf("counted %d", n)
			}
			se, isSW := errors.AsType[*StatusError](err)
			switch {
			case tt.sw != 0:
				if !isSW || se.SW != tt.sw || se.Block != tt.at || Unknown(err) != tt.executed || se.Executed != tt.executed {
					t.Errorf("got %v", err)
				}
			case tt.is != nil:
				if !errors.Is(err, tt.is) || !Unknown(err) {
					t.Errorf("got %v", err)
				}
			case tt.want == "!":
				if err == nil {
					t.Error("accepted")
				}
			case err != nil || fmt.Sprintf("%X", got) != tt.want:
				t.Errorf("got %X, %v", got, err)
			}
			if tt.name == "REFRESH waits" && !ch.ProactivePending() {
				t.Error("the pending command is not noticed")
			}
			if err := ch.Close(); err != nil || !c.closed {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	c := &card{}
	ch, err := Open(t.Context(), c, nil, Options{BlockSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.StoreData(t.Context(), make([]byte, 2561)); !errors.Is(err, ErrTooLong) || len(c.sent) > 0 {
		t.Errorf("257 blocks: %v", err)
	}
	if _, err := ch.StoreData(t.Context(), make([]byte, 2560)); err != nil || len(c.sent) != 256 {
		t.Errorf("256 blocks: %v", err)
	}
	big := strings.Repeat("AA", 256) + "6100"
	for range 300 {
		c.answers = append(c.answers, big)
	}
	if _, err := ch.StoreData(t.Context(), []byte{1}); !errors.Is(err, ErrTooLong) {
		t.Errorf("endless answer: %v", err)
	}
	for _, n := range []int{-1, 256} {
		if _, err := Open(t.Context(), c, nil, Options{BlockSize: n}); err == nil {
			t.Errorf("block size %d is accepted", n)
		}
		if err := ch.SetBlockSize(n); err == nil || ch.BlockSize() != 10 {
			t.Errorf("block size %d is accepted later", n)
		}
	}
}

// notSent is a transport's error that knows that the card got nothing.
type notSent struct{ error }

func (notSent) StateUnknown() bool { return false }

func TestUnknown(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, errors.New("x"): true, context.Canceled: true,
		&StatusError{SW: 0x6985}: false, &StatusError{SW: 0x6F00, Executed: true}: true, fmt.Errorf("a: %w", notSent{errors.New("busy")}): false,
	} {
		if Unknown(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

// slow blocks until it is let go.
type slow struct {
	card
	enter, leave chan struct{}
}

func (s *slow) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	s.enter <- struct{}{}
	<-s.leave
	return s.card.Transmit(ctx, session, cmd)
}

// Two callers: a chain is not interleaved, and who waits can give up.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{enter: make(chan struct{}), leave: make(chan struct{})}
		ch, err := Open(t.Context(), s, nil, Options{BlockSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := ch.StoreData(t.Context(), []byte{1, 2})
			done <- err
		}()
		<-s.enter
		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan error, 1)
		go func() {
			_, err := ch.StoreData(ctx, []byte{9})
			waiting <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: %v", err)
		}
		s.leave <- struct{}{}
		<-s.enter
		s.leave <- struct{}{}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(s.sent) != 2 {
			t.Errorf("sent %v", s.sent)
		}
	})
}
