package atsim

import (
	"bytes"
	"encoding/hex"
	"sync"
)

// testCard is a UICC after TS 102 221: a file system, a USIM, an ISD-R that
// answers STORE DATA, logical channels, a PIN and proactive commands.
type testCard struct {
	mu       sync.Mutex
	iccid    string // EF_ICCID content in hexadecimal
	imsi     string // EF_IMSI content; empty: no USIM
	noDIR    bool
	pin      string // empty: disabled
	tries    int
	verified bool
	channels [20]chanState
	max      int // logical channels beside 0
	getResp  []byte
	pending  []byte              // proactive command to be fetched
	store    func([]byte) []byte // ISD-R: STORE DATA content -> response data
	onReset  func()
	trs      [][]byte // TERMINAL RESPONSEs
	log      []string // every APDU in hexadecimal, "ATR" for a reset
	le       bool     // READ BINARY wants the exact Le (6Cxx)
	chain    []byte
	termCap  bool
}

type chanState struct {
	open   bool
	app    string // selected AID
	file   []byte
	record [][]byte
}

const (
	usimAID = "a0000000871002ff33ff018900000100"
	isdrAID = "a0000005591010ffffffff8900000100"
)

func newTestCard() *testCard {
	return &testCard{
		iccid: "980010000000000010f2", imsi: "080910100000000010", max: 3, tries: 3, pin: "",
		store: func(b []byte) []byte { return b },
	}
}

func (c *testCard) apdu(cmd []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd == nil {
		c.log = append(c.log, "ATR")
		c.channels = [20]chanState{}
		c.channels[0].open = true
		c.verified, c.getResp, c.chain = false, nil, nil
		if c.onReset != nil {
			c.onReset()
		}
		return []byte{0x3B, 0x9F, 0x96}
	}
	c.log = append(c.log, hex.EncodeToString(cmd))
	resp, sw := c.run(cmd)
	if sw == 0x9000 && c.pending != nil {
		sw = 0x9100 | len(c.pending)
	}
	return append(bytes.Clone(resp), byte(sw>>8), byte(sw))
}

func (c *testCard) run(cmd []byte) ([]byte, int) {
	if len(cmd) < 4 {
		return nil, 0x6700
	}
	n := int(cmd[0] & 3)
	if cmd[0]&0x40 != 0 {
		n = 4 + int(cmd[0]&0x0F)
	}
	ch := &c.channels[n]
	if !ch.open {
		return nil, 0x6881
	}
	var body []byte
	if len(cmd) > 5 {
		k := int(cmd[4])
		if len(cmd) < 5+k {
			return nil, 0x6700
		}
		body = cmd[5 : 5+k]
	}
	switch cmd[1] {
	case 0xC0:
		if c.getResp == nil {
			return nil, 0x6985
		}
		k := int(cmd[4])
		if k == 0 {
			k = 256
		}
		k = min(k, len(c.getResp))
		out := c.getResp[:k]
		if c.getResp = c.getResp[k:]; len(c.getResp) > 0 {
			return out, 0x6100 | min(len(c.getResp), 255)
		}
		c.getResp = nil
		return out, 0x9000
	case 0x10:
		return nil, 0x9000
	case 0xAA:
		return nil, 0x9000
	case 0x12:
		if c.pending == nil {
			return nil, 0x6985
		}
		out := c.pending
		c.pending = nil
		return out, 0x9000
	case 0x14:
		c.trs = append(c.trs, bytes.Clone(body))
		return nil, 0x9000
	case 0x70:
		if cmd[2] == 0x80 {
			if int(cmd[3]) >= len(c.channels) || !c.channels[cmd[3]].open || cmd[3] == 0 {
				return nil, 0x6881
			}
			c.channels[cmd[3]] = chanState{}
			return nil, 0x9000
		}
		for i := 1; i <= c.max; i++ {
			if !c.channels[i].open {
				c.channels[i] = chanState{open: true}
				return []byte{byte(i)}, 0x9000
			}
		}
		return nil, 0x6A81
	case 0x20:
		switch {
		case c.pin == "" || c.verified && len(body) == 0:
			return nil, 0x9000
		case c.tries == 0:
			return nil, 0x6983
		case len(body) == 0:
			return nil, 0x63C0 | c.tries
		case string(bytes.TrimRight(body, "\xff")) == c.pin:
			c.verified, c.tries = true, 3
			return nil, 0x9000
		}
		c.tries--
		return nil, 0x63C0 | c.tries
	case 0x2C:
		switch {
		case len(body) == 0:
			return nil, 0x63CA
		case string(body[:8]) == "12345678":
			c.pin, c.verified, c.tries = string(bytes.TrimRight(body[8:], "\xff")), true, 3
			return nil, 0x9000
		}
		return nil, 0x63C9
	case 0xA4:
		return c.selects(ch, cmd, body)
	case 0xB0:
		if ch.file == nil {
			return nil, 0x6986
		}
		if c.le && int(cmd[4]) != len(ch.file) {
			return nil, 0x6C00 | len(ch.file)
		}
		k := int(cmd[4])
		if k == 0 || k > len(ch.file) {
			k = len(ch.file)
		}
		return ch.file[:k], 0x9000
	case 0xB2:
		if int(cmd[2]) > len(ch.record) || cmd[2] == 0 {
			return nil, 0x6A83
		}
		return ch.record[cmd[2]-1], 0x9000
	case 0xF2:
		return []byte{0x62, 0x00}, 0x9000
	case 0xE2:
		if ch.app != isdrAID || cmd[0]&0x80 == 0 {
			return nil, 0x6985
		}
		c.chain = append(c.chain, body...)
		if cmd[2]&0x80 == 0 {
			return nil, 0x9000
		}
		data := c.store(c.chain)
		c.chain = nil
		if len(data) == 0 {
			return nil, 0x9000
		}
		c.getResp = bytes.Clone(data)
		if len(data) > 255 {
			return nil, 0x6100
		}
		return nil, 0x6100 | len(data)
	}
	return nil, 0x6D00
}

func (c *testCard) selects(ch *chanState, cmd, body []byte) ([]byte, int) {
	ch.file, ch.record = nil, nil
	if cmd[2] == 0x04 {
		aid := hex.EncodeToString(body)
		switch {
		case c.imsi != "" && len(body) >= 7 && len(body) <= 16 && usimAID[:len(aid)] == aid:
			ch.app = usimAID
		case aid == isdrAID:
			ch.app = isdrAID
		default:
			return nil, 0x6A82
		}
		return []byte{0x62, 0x02, 0x84, 0x00}, 0x9000
	}
	if len(body) != 2 {
		return nil, 0x6A86
	}
	fid := hex.EncodeToString(body)
	locked := c.pin != "" && !c.verified
	switch {
	case fid == "3f00":
		ch.app = ""
		if c.termCap {
			return unhex("6205a5038701 01"), 0x9000
		}
		return unhex("62048302 3f00"), 0x9000
	case fid == "2fe2" && c.iccid != "":
		ch.file = unhex(c.iccid)
	case fid == "2f00" && !c.noDIR:
		if c.imsi != "" {
			rec := append([]byte{0x61, 0x12, 0x4F, 0x10}, unhex(usimAID)...)
			ch.record = [][]byte{rec}
		} else {
			ch.record = [][]byte{bytes.Repeat([]byte{0xFF}, 20)}
		}
	case fid == "6f07" && ch.app == usimAID && !locked:
		ch.file = unhex(c.imsi)
	case fid == "6fad" && ch.app == usimAID:
		ch.file = unhex("00000002")
	case fid == "6f46" && ch.app == usimAID:
		ch.file = append([]byte{0x00}, "lab\xff\xff\xff"...)
	default:
		return nil, 0x6A82
	}
	return []byte{0x62, 0x04, 0x83, 0x02, body[0], body[1]}, 0x9000
}

// refresh makes the card ask for a REFRESH with its next answer.
func (c *testCard) refresh(mode byte) {
	c.pending = []byte{0xD0, 0x09, 0x81, 0x03, 0x01, 0x01, mode, 0x82, 0x02, 0x81, 0x82}
}

func (c *testCard) with(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		panic(err)
	}
	return b
}
