package bearer

import (
	"bytes"
	"encoding/hex"
	"strings"
	"sync"
)

// simCard is a UICC with a USIM (TS 102 221, TS 31.102) whose files a test sets.
type simCard struct {
	mu       sync.Mutex
	files    map[string]string // identifier -> content, both hexadecimal
	selected []byte
	at       string // identifier of the selected file
	busy     string // identifier of a file that cannot be read now
}

const usimAID = "a0000000871002ff33ff018900000100"

// newSIM makes a card of a subscriber. The MNC has as many digits as the test
// says.
func newSIM(iccid, imsi string, mncDigits int) *simCard {
	c := &simCard{files: map[string]string{}}
	c.set("2fe2", swapped(iccid, 20))
	c.set("6f07", "08"+swapped("9"+imsi, 16))
	c.set("6fad", "0000000"+string(rune('0'+mncDigits)))
	return c
}

func (c *simCard) set(file, content string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files[file] = content
}

// setBusy keeps a file from being read, "" none.
func (c *simCard) setBusy(file string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = file
}

// become makes it another card.
func (c *simCard) become(o *simCard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files = o.files
}

// swapped writes digits with the nibbles of each byte exchanged, filled with F.
func swapped(digits string, length int) string {
	digits += strings.Repeat("F", length-len(digits))
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		b.WriteByte(digits[i+1])
		b.WriteByte(digits[i])
	}
	return b.String()
}

// apdu answers one command on channel 0.
func (c *simCard) apdu(cmd []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case cmd == nil:
		return []byte{0x3B, 0x9F, 0x96}
	case len(cmd) < 5 && cmd[1] == 0x20:
		return []byte{0x90, 0x00}
	case cmd[1] == 0xA4 && cmd[2] == 4: // by AID
		if !strings.HasPrefix(usimAID, hex.EncodeToString(cmd[5:5+cmd[4]])) {
			return []byte{0x6A, 0x82}
		}
		return []byte{0x90, 0x00}
	case cmd[1] == 0xA4:
		id := hex.EncodeToString(cmd[5:7])
		content, ok := c.files[id]
		if !ok && id != "3f00" && id != "7fff" {
			return []byte{0x6A, 0x82}
		}
		c.selected, _ = hex.DecodeString(content)
		c.at = id
		return []byte{0x62, 0x04, 0x83, 0x02, cmd[5], cmd[6], 0x90, 0x00}
	case cmd[1] == 0xB0 && c.at == c.busy:
		return []byte{0x93, 0x00}
	case cmd[1] == 0xB0:
		f := c.selected
		if n := int(cmd[4]); n != 0 && n < len(f) {
			f = f[:n]
		}
		return append(bytes.Clone(f), 0x90, 0x00)
	case cmd[1] == 0x10, cmd[1] == 0xF2, cmd[1] == 0x20:
		return []byte{0x90, 0x00}
	}
	return []byte{0x6D, 0x00}
}
