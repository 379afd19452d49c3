package apdu

import (
	"context"
	"errors"
	"fmt"
)

// Transport opens logical channels to a UICC and passes command APDUs through
// them.
//
// The session that Open returns is opaque: +CCHO answers with a handle and not
// with a channel number (3GPP TS 27.007, 8.45). Callers leave the channel bits
// of CLA at zero; a transport that needs them sets them.
//
// Transmit returns the response data followed by SW1 and SW2, as they came; a
// status word other than 9000 is not its error.
type Transport interface {
	Open(ctx context.Context, aid []byte) (session string, err error)
	Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error)
	Close(ctx context.Context, session string) error
}

// Command is a short command APDU.
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte // at most 255 bytes
	Ne               int    // expected response bytes, 0 to 256; 0 leaves Le out
}

// ErrCommand means bytes that are no short command APDU.
var ErrCommand = errors.New("malformed command APDU")

// Append appends the command's bytes: header, Lc and data when there are data,
// Le when Ne is not zero (256 is encoded as 00).
func (c Command) Append(dst []byte) []byte {
	dst = append(dst, c.CLA, c.INS, c.P1, c.P2)
	if len(c.Data) > 0 {
		dst = append(dst, byte(len(c.Data)))
		dst = append(dst, c.Data...)
	} else if c.Ne == 0 {
		// Case 1. Over T=0, and so over most modems, a header alone is sent
		// with P3 = 00 (ETSI TS 102 221, 7.3.1.1.1).
		return append(dst, 0)
	}
	if c.Ne > 0 {
		dst = append(dst, byte(c.Ne))
	}
	return dst
}

// Bytes returns the command's bytes; see Append.
func (c Command) Bytes() []byte { return c.Append(make([]byte, 0, 6+len(c.Data))) }

// ParseCommand decodes a short command APDU. A fifth byte that is the last is
// Le. Data aliases b.
func ParseCommand(b []byte) (Command, error) {
	if len(b) < 4 {
		return Command{}, fmt.Errorf("%w: %d bytes", ErrCommand, len(b))
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	switch body := b[4:]; {
	case len(body) == 0:
	case len(body) == 1:
		c.Ne = ne(body[0])
	default:
		lc := int(body[0])
		if lc == 0 || len(body) < 1+lc || len(body) > 2+lc {
			return Command{}, fmt.Errorf("%w: Lc %d, %d bytes follow", ErrCommand, lc, len(body)-1)
		}
		c.Data = body[1 : 1+lc : 1+lc]
		if len(body) == 2+lc {
			c.Ne = ne(body[1+lc])
		}
	}
	return c, nil
}

func ne(le byte) int {
	if le == 0 {
		return 256
	}
	return int(le)
}

// Status is the status word SW1 SW2.
type Status uint16

// OK reports normal ending: 9000, or 91xx, which is 9000 with a proactive
// command waiting (ETSI TS 102 221, 10.2.1.1 and 7.4.2).
func (s Status) OK() bool { return s == 0x9000 || s>>8 == 0x91 }

// String returns the status word in hexadecimal.
func (s Status) String() string { return fmt.Sprintf("%04X", uint16(s)) }

// Split separates the response data from the status word.
func Split(resp []byte) (data []byte, s Status, err error) {
	n := len(resp) - 2
	if n < 0 {
		return nil, 0, fmt.Errorf("response of %d bytes has no status word", len(resp))
	}
	return resp[:n:n], Status(resp[n])<<8 | Status(resp[n+1]), nil
}
