package uicc

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

var isdrAID, _ = hex.DecodeString("A0000005591010FFFFFFFF8900000100")

// fakeModem answers the commands of card access as a modem with a card does.
// Its fields choose the habits of the device that a row is named after.
type fakeModem struct {
	t *testing.T

	apps     []string         // AIDs on the card, hexadecimal
	handle   func(int) string // channel -> what +CCHO answers with
	tag      bool             // answers carry their tags
	quote    bool             // responses are quoted
	channels int              // logical channels beside channel 0
	noCCHO   error            // answer to every +CCHO
	absent   error            // answer of +CCHO for an AID that is not there
	noCSIM   error
	busy     int // commands still to be answered with "SIM busy"
	reply    func(cmd string) (atcmd.Reply, error, bool)
	apdu     func(ch int, cmd []byte) []byte
	noLe1    bool // MANAGE CHANNEL with Le 01 is refused

	mu    sync.Mutex
	open  map[int]string // channel -> AID
	log   []string
	peak  int
	after map[string]error // by command name: carried out, but this comes back
}

func newFake(t *testing.T) *fakeModem {
	return &fakeModem{
		t: t, apps: []string{"A0000005591010FFFFFFFF8900000100", "A0000000871002FF49FF0589"},
		handle: strconv.Itoa, tag: true, quote: true, channels: 3,
		absent: &atcmd.CMEError{Command: "+CCHO", Code: 13, Text: "SIM failure"},
		open:   map[int]string{}, after: map[string]error{},
	}
}

func errorFinal(name string) error { return &atcmd.FinalError{Command: name, Final: "ERROR"} }

func cmeErr(name string, code int) error {
	return &atcmd.CMEError{Command: name, Code: code, Text: "code " + strconv.Itoa(code)}
}

func (f *fakeModem) Do(ctx context.Context, cmd atcmd.Command) (atcmd.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, cmd.Text)
	if err := ctx.Err(); err != nil {
		return atcmd.Reply{}, err
	}
	if cmd.Timeout <= 0 {
		f.t.Errorf("%s has no limit of its own", cmd.Name())
	}
	if f.reply != nil {
		if r, err, ok := f.reply(cmd.Text); ok {
			return r, err
		}
	}
	if f.busy > 0 {
		f.busy--
		return atcmd.Reply{}, cmeErr(cmd.Name(), 14)
	}
	reply, err := f.do(cmd)
	if e := f.after[cmd.Name()]; e != nil {
		return atcmd.Reply{}, e
	}
	return reply, err
}

func (f *fakeModem) do(cmd atcmd.Command) (atcmd.Reply, error) {
	_, args, _ := strings.Cut(cmd.Text, "=")
	switch name := cmd.Name(); name {
	case "+CCHO":
		if f.noCCHO != nil {
			return atcmd.Reply{}, f.noCCHO
		}
		aid := f.find(strings.Trim(args, `"`))
		if aid == "" {
			return atcmd.Reply{}, f.absent
		}
		ch := f.allocate(aid)
		if ch == 0 {
			return atcmd.Reply{}, cmeErr(name, 20)
		}
		return f.answer(name, f.handle(ch)), nil
	case "+CCHC":
		for ch := range f.open {
			if f.handle(ch) == args || strconv.Itoa(ch) == args && f.handle(ch) == args {
				delete(f.open, ch)
				return f.answer("", ""), nil
			}
		}
		return atcmd.Reply{}, errorFinal(name)
	case "+CGLA":
		handle, rest, _ := strings.Cut(args, ",")
		for ch := range f.open {
			if f.handle(ch) == handle {
				return f.pass(name, rest, ch)
			}
		}
		return atcmd.Reply{}, cmeErr(name, 21)
	case "+CSIM":
		if f.noCSIM != nil {
			return atcmd.Reply{}, f.noCSIM
		}
		return f.pass(name, args, -1)
	}
	return atcmd.Reply{}, errorFinal(cmd.Name())
}

func (f *fakeModem) answer(tag, text string) atcmd.Reply {
	r := atcmd.Reply{Final: "OK"}
	if tag != "" {
		if f.tag {
			text = tag + ": " + text
		}
		r.Lines = []string{text}
	}
	return r
}

// pass gives the APDU to the card; channel -1 means that CLA holds it.
func (f *fakeModem) pass(name, args string, ch int) (atcmd.Reply, error) {
	length, digits, _ := strings.Cut(args, ",")
	digits = strings.Trim(digits, `"`)
	cmd, err := hex.DecodeString(digits)
	if n, _ := strconv.Atoi(length); err != nil || n != len(digits) || len(cmd) < 4 {
		f.t.Errorf("AT%s=%s is malformed", name, args)
		return atcmd.Reply{}, errorFinal(name)
	}
	cla := int(cmd[0])
	if ch < 0 {
		if ch = cla & 3; cla&0x40 != 0 {
			ch = 4 + cla&0xF
		}
	} else if cla&0x43 != 0 {
		f.t.Errorf("channel bits in CLA %02X under +CGLA", cla)
	}
	resp := strings.ToUpper(hex.EncodeToString(f.card(ch, cmd)))
	n := len(resp)
	if f.quote {
		resp = `"` + resp + `"`
	}
	return f.answer(name, fmt.Sprintf("%d,%s", n, resp)), nil
}

func (f *fakeModem) card(ch int, cmd []byte) []byte {
	if _, ok := f.open[ch]; ch != 0 && !ok {
		return []byte{0x68, 0x81}
	}
	switch {
	case cmd[1] == 0x70 && cmd[2] == 0: // MANAGE CHANNEL, open
		if f.noLe1 && cmd[4] != 0 {
			return []byte{0x67, 0x00}
		}
		ch := f.allocate("-")
		if ch == 0 {
			return []byte{0x6A, 0x81}
		}
		return []byte{byte(ch), 0x90, 0x00}
	case cmd[1] == 0x70:
		if _, ok := f.open[int(cmd[3])]; !ok {
			return []byte{0x68, 0x81}
		}
		delete(f.open, int(cmd[3]))
		return []byte{0x90, 0x00}
	case cmd[1] == 0xAA:
		return []byte{0x6D, 0x00} // no TERMINAL CAPABILITY
	case cmd[1] == 0xA4:
		aid := f.find(hex.EncodeToString(cmd[5 : 5+cmd[4]]))
		if aid == "" {
			return []byte{0x6A, 0x82}
		}
		f.open[ch] = aid
		return []byte{0x61, 0x21}
	case f.apdu != nil:
		return f.apdu(ch, cmd)
	}
	return append(append([]byte{}, cmd[:4]...), 0x90, 0x00)
}

func (f *fakeModem) find(aid string) string {
	for _, a := range f.apps {
		if strings.HasPrefix(a, strings.ToUpper(aid)) {
			return a
		}
	}
	return ""
}

func (f *fakeModem) allocate(aid string) int {
	for ch := 1; ch <= f.channels; ch++ {
		if _, ok := f.open[ch]; !ok {
			f.open[ch] = aid
			f.peak = max(f.peak, len(f.open))
			return ch
		}
	}
	return 0
}

func (f *fakeModem) count(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.log {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func (f *fakeModem) transport(change func(*dialect.APDU)) *Transport {
	p := dialect.ByName("generic").APDU
	p.BusyPause = 1 // a nanosecond
	if change != nil {
		change(&p)
	}
	return New(f, p, Options{})
}
