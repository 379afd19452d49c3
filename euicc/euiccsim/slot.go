package euiccsim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dynamod/euicc/apdu"
)

// Status words of ISO/IEC 7816-4 and ETSI TS 102 221, 10.2.1.
const (
	swOK             apdu.Status = 0x9000
	swMemory         apdu.Status = 0x6581
	swLength         apdu.Status = 0x6700
	swChannel        apdu.Status = 0x6881 // logical channel not supported
	swSecureMsg      apdu.Status = 0x6882
	swIncompatible   apdu.Status = 0x6981 // command incompatible with file structure
	swConditions     apdu.Status = 0x6985
	swNoEF           apdu.Status = 0x6986
	swWrongData      apdu.Status = 0x6A80
	swNotSupported   apdu.Status = 0x6A81 // also: no logical channel is left
	swNotFound       apdu.Status = 0x6A82
	swNoRecord       apdu.Status = 0x6A83
	swWrongP1P2      apdu.Status = 0x6A86
	swBlocked        apdu.Status = 0x6983
	swNotUsable      apdu.Status = 0x6984
	swReferencedData apdu.Status = 0x6A88
	swWrongParams    apdu.Status = 0x6B00
	swINS            apdu.Status = 0x6D00
	swCLA            apdu.Status = 0x6E00
)

// ErrNoAnswer means that the card did not answer: the answer was lost, or the
// card has no power.
var ErrNoAnswer = errors.New("no answer from card")

// Application of a logical channel.
type application byte

const (
	appFiles application = iota // the file system: MF, USIM and other ADFs
	appISDR
)

// channel is a logical channel.
type channel struct {
	app      application
	df       *file // current directory
	ef       *file // current EF; nil if none
	rest     []byte
	restSW   apdu.Status
	chain    []byte // data of an unfinished STORE DATA chain
	next     int    // its next block number; 0: no chain
	loadDone bool   // a profile installation has ended here
}

func (c *Card) newChannel() *channel {
	ch := new(channel)
	ch.selectMF(c.files)
	return ch
}

func (ch *channel) selectMF(fs *fileSystem) {
	ch.app, ch.df, ch.ef = appFiles, fs.mf, nil
}

// APDU is the card slot: it executes one command APDU and returns data and
// status word. Nil is a power-on reset, answered by the ATR. A nil answer means
// that none came.
func (c *Card) APDU(cmd []byte) []byte {
	if d := c.delay(cmd); d > 0 {
		time.Sleep(d)
	}
	return c.now(cmd)
}

// delay is how long the card takes for a command.
func (c *Card) delay(cmd []byte) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd == nil || !c.powered {
		return 0
	}
	return c.behaviour.Delay + c.nextFault(cmd, true).Delay
}

// now is APDU without the delay.
func (c *Card) now(cmd []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd == nil {
		c.stats.Resets++
		c.reset()
		return atr()
	}
	c.stats.APDUs++
	c.stats.BytesIn += len(cmd)
	resp := c.command(cmd)
	c.stats.BytesOut += len(resp)
	return resp
}

func (c *Card) command(cmd []byte) []byte {
	if !c.powered {
		return nil
	}
	fault := c.nextFault(cmd, false)
	switch fault.Kind {
	case FaultStatus:
		return status(nil, fault.SW)
	case FaultMute:
		return nil
	case FaultPowerCut:
		c.powered = false
		return nil
	}
	data, sw, ch := c.dispatch(cmd)
	switch fault.Kind {
	case FaultLost:
		return nil
	case FaultPowerCutAfter:
		c.powered = false
		return nil
	}
	return c.respond(ch, cmd, data, sw)
}

// respond sends data as the protocol allows and announces what is left.
func (c *Card) respond(ch *channel, cmd, data []byte, sw apdu.Status) []byte {
	if ch == nil || !sw.OK() {
		return status(data, sw)
	}
	if sw == swOK && c.proactive.pending() {
		sw = 0x9100 | apdu.Status(len(c.proactive.command))
	}
	if len(data) == 0 {
		return status(nil, sw)
	}
	parsed, err := apdu.ParseCommand(cmd)
	if err != nil {
		return status(nil, swLength)
	}
	caseFour := len(parsed.Data) > 0
	room := parsed.Ne
	switch {
	case caseFour && c.cfg.GetResponse, caseFour && room == 0:
		room = 0
	case !caseFour && room == 0:
		return status(nil, 0x6C00|apdu.Status(byte(min(len(data), 256))))
	case !caseFour && c.cfg.GetResponse && parsed.Ne != 256 && parsed.Ne > len(data):
		return status(nil, 0x6C00|apdu.Status(byte(len(data))))
	}
	if len(data) <= room {
		return status(data, sw)
	}
	ch.rest, ch.restSW = data[room:], sw
	return status(data[:room], more(len(ch.rest)))
}

// more is the status word that announces n further bytes.
func more(n int) apdu.Status { return 0x6100 | apdu.Status(byte(min(n, 256))) }

func status(data []byte, sw apdu.Status) []byte {
	out := make([]byte, 0, len(data)+2)
	return append(append(out, data...), byte(sw>>8), byte(sw))
}

// dispatch executes a command. The channel is nil when it was not reached.
func (c *Card) dispatch(b []byte) ([]byte, apdu.Status, *channel) {
	cmd, err := apdu.ParseCommand(b)
	if err != nil || len(cmd.Data) > c.cfg.MaxLc {
		return nil, swLength, nil
	}
	switch {
	case cmd.CLA&0xC0 == 0x40, cmd.CLA&0xC0 == 0xC0:
		return nil, swChannel, nil // channels 4 to 19: this card has four
	case cmd.CLA&0x30 != 0:
		return nil, swCLA, nil
	case cmd.CLA&0x0C != 0:
		return nil, swSecureMsg, nil
	}
	ch := c.channels[cmd.CLA&0x03]
	if ch == nil {
		return nil, swChannel, nil
	}
	if cmd.INS == 0xC0 {
		data, sw := c.getResponse(ch, cmd)
		return data, sw, nil // it is already cut to Le
	}
	ch.rest = nil
	if cmd.INS != 0xE2 {
		ch.chain, ch.next = nil, 0
	}
	data, sw := c.execute(ch, int(cmd.CLA&0x03), cmd)
	return data, sw, ch
}

func (c *Card) execute(ch *channel, number int, cmd apdu.Command) ([]byte, apdu.Status) {
	if cmd.CLA&0x80 == 0 {
		switch cmd.INS {
		case 0x70:
			return c.manageChannel(number, cmd)
		case 0xA4:
			return c.selectFile(ch, number, cmd)
		case 0xB0:
			return readBinary(ch, cmd)
		case 0xB2:
			return readRecord(ch, cmd)
		case 0x20, 0x24, 0x26, 0x28, 0x2C:
			return c.pinCommand(cmd)
		case 0xE2, 0xF2, 0xAA, 0x10, 0x12, 0x14:
			return nil, swCLA
		}
		return nil, swINS
	}
	switch cmd.INS {
	case 0xE2:
		if ch.app != appISDR {
			return nil, swINS
		}
		return c.storeData(ch, number, cmd)
	case 0xF2:
		return c.status(ch, cmd)
	case 0xAA:
		return c.terminalCapability(cmd)
	case 0x10:
		return c.terminalProfile(number)
	case 0x12:
		return c.fetch(number)
	case 0x14:
		return c.terminalResponse(number, cmd)
	case 0x70, 0xA4, 0xB0, 0xB2:
		return nil, swCLA
	}
	return nil, swINS
}

// getResponse is GET RESPONSE (ETSI TS 102 221, 12.1.1).
func (c *Card) getResponse(ch *channel, cmd apdu.Command) ([]byte, apdu.Status) {
	if len(ch.rest) == 0 {
		return nil, swConditions
	}
	if cmd.P1 != 0 || cmd.P2 != 0 {
		return nil, swWrongP1P2
	}
	c.stats.GetResponses++
	n := cmd.Ne
	switch {
	case n == 0:
		return nil, swLength
	case n > len(ch.rest) && n != 256:
		return nil, 0x6C00 | apdu.Status(byte(len(ch.rest)))
	}
	n = min(n, len(ch.rest))
	data := ch.rest[:n]
	if ch.rest = ch.rest[n:]; len(ch.rest) > 0 {
		return data, more(len(ch.rest))
	}
	return data, ch.restSW
}

// manageChannel is MANAGE CHANNEL (ETSI TS 102 221, 11.1.17).
func (c *Card) manageChannel(number int, cmd apdu.Command) ([]byte, apdu.Status) {
	switch {
	case cmd.P1 == 0x00 && cmd.P2 == 0:
		for n := 1; n < len(c.channels); n++ {
			if c.channels[n] == nil {
				c.open(number, n)
				return []byte{byte(n)}, swOK
			}
		}
		return nil, swNotSupported
	case cmd.P1 == 0x00 && int(cmd.P2) < len(c.channels):
		if c.channels[cmd.P2] != nil {
			return nil, swWrongP1P2
		}
		c.open(number, int(cmd.P2))
		return nil, swOK
	case cmd.P1 == 0x80 && cmd.P2 != 0 && int(cmd.P2) < len(c.channels):
		if c.channels[cmd.P2] == nil {
			return nil, swWrongP1P2
		}
		c.closeChannel(int(cmd.P2))
		return nil, swOK
	}
	return nil, swWrongP1P2
}

// open opens channel n. From another channel than 0 the new one begins where
// that one stands (11.1.17.1).
func (c *Card) open(from, n int) {
	c.channels[n] = c.newChannel()
	if o := c.channels[from]; from != 0 && o.app == appFiles {
		c.channels[n].df = o.df
	}
}

// Channels is the number of logical channels that are open beside channel 0.
func (c *Card) Channels() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, ch := range c.channels[1:] {
		if ch != nil {
			n++
		}
	}
	return n
}

func (c *Card) closeChannel(n int) {
	c.channels[n] = nil
	if s := c.session; s != nil && s.channel == n {
		s.abandonLoad()
	}
}

// Open opens a logical channel with MANAGE CHANNEL and selects aid on it
// (apdu.Transport). The session is the channel's number.
func (c *Card) Open(ctx context.Context, aid []byte) (string, error) {
	data, err := c.transmit(ctx, apdu.Command{INS: 0x70, Ne: 1}.Bytes())
	if err != nil {
		return "", err
	}
	data, sw, err := apdu.Split(data)
	if err != nil {
		return "", err
	}
	if !sw.OK() || len(data) != 1 {
		return "", fmt.Errorf("cannot open a logical channel: %w", &apdu.StatusError{SW: sw, INS: 0x70})
	}
	n := data[0]
	resp, err := c.transmit(ctx, apdu.Command{CLA: n, INS: 0xA4, P1: 0x04, Data: aid, Ne: 256}.Bytes())
	if err == nil {
		if _, sw, err = apdu.Split(resp); err == nil && !sw.OK() && sw>>8 != 0x61 {
			err = fmt.Errorf("cannot select %X: %w", aid, &apdu.StatusError{SW: sw, INS: 0xA4})
		}
	}
	if err != nil {
		_ = c.Close(context.WithoutCancel(ctx), strconv.Itoa(int(n)))
		return "", err
	}
	return strconv.Itoa(int(n)), nil
}

// Transmit sends a command on a channel that Open opened (apdu.Transport).
func (c *Card) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	n, err := channelNumber(session)
	if err != nil {
		return nil, err
	}
	if len(cmd) == 0 {
		return nil, apdu.ErrCommand
	}
	cmd = append([]byte{cmd[0]&^0x03 | n}, cmd[1:]...)
	return c.transmit(ctx, cmd)
}

// Close closes a channel that Open opened (apdu.Transport).
func (c *Card) Close(ctx context.Context, session string) error {
	n, err := channelNumber(session)
	if err != nil {
		return err
	}
	resp, err := c.transmit(ctx, apdu.Command{INS: 0x70, P1: 0x80, P2: n}.Bytes())
	if err != nil {
		return err
	}
	if _, sw, err := apdu.Split(resp); err != nil {
		return err
	} else if !sw.OK() {
		return fmt.Errorf("cannot close logical channel %d: %w", n, &apdu.StatusError{SW: sw, INS: 0x70})
	}
	return nil
}

func (c *Card) transmit(ctx context.Context, cmd []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d := c.delay(cmd); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
		}
	}
	resp := c.now(cmd)
	if resp == nil {
		return nil, ErrNoAnswer
	}
	return resp, nil
}

func channelNumber(session string) (byte, error) {
	n, err := strconv.ParseUint(session, 10, 8)
	if err != nil || n < 1 || n > 3 {
		return 0, fmt.Errorf("no logical channel %q", session)
	}
	return byte(n), nil
}
