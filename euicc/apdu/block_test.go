package apdu

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// refusal is a transport's error: the modem answered with an error result.
type refusal struct{}

func (refusal) Error() string { return "ERROR" }
func (refusal) Refused() bool { return true }

// narrow takes blocks of at most 120 bytes and fails otherwise, or always.
type narrow struct {
	card
	fail   error // nil: status word 6700
	always bool
	later  bool // the first block passes
	got    []byte
}

func (n *narrow) Transmit(_ context.Context, _ string, cmd []byte) ([]byte, error) {
	n.sent = append(n.sent, "")
	if n.always || len(cmd) > 5+SmallBlockSize && !(n.later && cmd[3] == 0) {
		return []byte{0x67, 0}, n.fail
	}
	if cmd[3] == 0 {
		n.got = nil
	}
	n.got = append(n.got, cmd[5:]...)
	return []byte{0x90, 0}, nil
}

func TestSmallBlocks(t *testing.T) {
	gone := errors.New("port gone")
	for _, tt := range []struct {
		name   string
		size   int // of the data
		fail   error
		always bool
		later  bool
		sent   int
		block  int
		ok     bool
	}{
		{name: "card: wrong length", size: 500, sent: 1 + 5, block: 120, ok: true},
		{name: "modem: ERROR", size: 500, fail: refusal{}, sent: 1 + 5, block: 120, ok: true},
		{name: "card: wrong length of the only block", size: 200, sent: 1 + 2, block: 120, ok: true},
		{name: "card: wrong length of a later block", size: 600, later: true, sent: 2, block: 120},
		{name: "modem: ERROR to a later block", size: 600, fail: refusal{}, later: true, sent: 2, block: 120},
		{name: "length of a small command", size: 100, always: true, sent: 1, block: 255},
		{name: "the only block may have been executed", size: 200, fail: refusal{}, sent: 1, block: 255},
		{name: "length is not the reason", size: 500, fail: refusal{}, always: true, sent: 2, block: 255},
		{name: "no answer", size: 500, fail: gone, sent: 1, block: 255},
	} {
		n := &narrow{fail: tt.fail, always: tt.always, later: tt.later}
		ch, err := Open(t.Context(), n, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte{1, 2, 3, 4, 5}, tt.size/5)
		_, err = ch.StoreData(t.Context(), data)
		if (err == nil) != tt.ok || tt.ok && !bytes.Equal(n.got, data) || len(n.sent) != tt.sent || ch.BlockSize() != tt.block {
			t.Errorf("%s: %v; %d sent, blocks of %d", tt.name, err, len(n.sent), ch.BlockSize())
		}
	}
}
