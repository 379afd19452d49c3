package apdu

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// DefaultBlockSize is the largest data field of a short command APDU. Some
// modems take less; see Options.
const DefaultBlockSize = 255

// SmallBlockSize is what modems and cards take that refuse larger blocks.
const SmallBlockSize = 120

const (
	insStoreData   = 0xE2 // GlobalPlatform Card Specification 11.11
	insGetResponse = 0xC0 // ISO/IEC 7816-4, 11.4.2 (GET RESPONSE)

	// maxBlocks is what the block counter in P2 can count.
	maxBlocks = 256
	// maxResponse bounds what a card can make us collect. The longest honest
	// answer is a full list of pending notifications.
	maxResponse = 64 << 10

	closeTimeout = 10 * time.Second
)

// StatusError is a status word that reports no success.
type StatusError struct {
	SW  Status
	INS byte
	// Block is the index of the refused block of a chained STORE DATA. Only
	// when it is 0 has the card seen nothing of the command.
	Block int
	// Executed says that the card had carried the command out: what it refused
	// was GET RESPONSE, the rest of its answer.
	Executed bool
}

func (e *StatusError) Error() string {
	if e.Executed {
		return fmt.Sprintf("card answered %s to GET RESPONSE after command %02X", e.SW, e.INS)
	}
	if e.INS == insStoreData {
		return fmt.Sprintf("card answered %s to block %d of STORE DATA", e.SW, e.Block)
	}
	return fmt.Sprintf("card answered %s to command %02X", e.SW, e.INS)
}

// ErrTooLong means a STORE DATA of more than 256 blocks, or an answer of more
// than 64 KiB.
var ErrTooLong = errors.New("too long")

// Unknown reports whether a failed command may have been executed: unless the
// card refused it, or the transport's error says by a method StateUnknown() bool
// that the card never got it. A command whose answer the card would not hand out
// has been executed.
func Unknown(err error) bool {
	if err == nil {
		return false
	}
	if se, ok := errors.AsType[*StatusError](err); ok {
		return se.Executed
	}
	var s interface{ StateUnknown() bool }
	if errors.As(err, &s) {
		return s.StateUnknown()
	}
	return true
}

// Options tune a Channel; the zero value is good.
type Options struct {
	// BlockSize is how many bytes a block of STORE DATA carries, 1 to 255;
	// 0 means DefaultBlockSize.
	BlockSize int
}

// Stats count what went through a Channel.
type Stats struct {
	Commands int   // command APDUs, GET RESPONSE included
	Sent     int64 // bytes of the commands
	Received int64 // bytes of the responses, status words included
}

// Channel is one logical channel to a card with an application selected. It may
// be used by several goroutines: a chain of blocks is never interleaved.
type Channel struct {
	t       Transport
	session string
	block   atomic.Int64

	turn chan struct{} // holds one token: whose turn it is

	commands       atomic.Int64
	sent, received atomic.Int64
	last           atomic.Uint32 // the last status word
}

// Open opens a logical channel and selects the application.
func Open(ctx context.Context, t Transport, aid []byte, o Options) (*Channel, error) {
	if o.BlockSize == 0 {
		o.BlockSize = DefaultBlockSize
	}
	if err := checkBlockSize(o.BlockSize); err != nil {
		return nil, err
	}
	session, err := t.Open(ctx, aid)
	if err != nil {
		return nil, err
	}
	c := &Channel{t: t, session: session, turn: make(chan struct{}, 1)}
	c.block.Store(int64(o.BlockSize))
	c.turn <- struct{}{}
	return c, nil
}

// Close closes the logical channel. It takes at most ten seconds and does not
// depend on a context that may have ended: a channel left open costs the next
// user a card reset.
func (c *Channel) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	return c.t.Close(ctx, c.session)
}

// BlockSize returns how many bytes a block of STORE DATA carries. It is smaller
// than what Options said once SmallBlockSize proved to be needed.
func (c *Channel) BlockSize() int { return int(c.block.Load()) }

// SetBlockSize sets how many bytes a block of STORE DATA carries, 1 to 255, from
// the next command on.
func (c *Channel) SetBlockSize(n int) error {
	if err := checkBlockSize(n); err != nil {
		return err
	}
	c.block.Store(int64(n))
	return nil
}

func checkBlockSize(n int) error {
	if n < 1 || n > 255 {
		return fmt.Errorf("block size %d is not in 1 to 255", n)
	}
	return nil
}

// Stats returns what went through so far.
func (c *Channel) Stats() Stats {
	return Stats{Commands: int(c.commands.Load()), Sent: c.sent.Load(), Received: c.received.Load()}
}

// ProactivePending reports whether the last command ended with 91xx: the card
// waits to give the modem a proactive command, such as REFRESH.
func (c *Channel) ProactivePending() bool {
	return c.last.Load()>>8 == 0x91
}

// StoreData sends data to the application in as many STORE DATA commands as it
// takes and returns the joined response (SGP.22 5.7.2: CLA 80, INS E2, P1 11 for
// more blocks and 91 for the last, P2 counts from 00). Le is left out, as all
// known eUICCs and modems expect.
//
// A block is never sent twice, with one exception: when the first one, P2 = 00,
// is refused for what may be its length, the data come again in blocks of
// SmallBlockSize, because the card has executed nothing yet and block 00 begins
// a new chain. When a later one is refused for it, the command has failed, and
// only the next ones are in small blocks. Unknown tells of an error whether the
// card may have executed the command.
func (c *Channel) StoreData(ctx context.Context, data []byte) ([]byte, error) {
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	size := c.BlockSize()
	out, begun, err := c.storeData(ctx, data, size)
	if err == nil || size <= SmallBlockSize || len(data) <= SmallBlockSize || ctx.Err() != nil {
		return out, err
	}
	byCard, may := tooLarge(err)
	switch {
	case !may:
		return out, err
	case begun:
		c.block.Store(SmallBlockSize)
		return out, err
	case len(data) <= size && !byCard:
		// The only block: that the modem failed does not tell that the card has
		// not seen it.
		return out, err
	}
	out, begun, serr := c.storeData(ctx, data, SmallBlockSize)
	if !begun && serr != nil {
		return nil, err // its length was not the reason
	}
	c.block.Store(SmallBlockSize)
	return out, serr
}

// tooLarge reports whether a block may have been refused for its length: the
// card says so, or the transport's error says by a method Refused() bool that
// the modem answered with an error.
func tooLarge(err error) (byCard, may bool) {
	if se, ok := errors.AsType[*StatusError](err); ok {
		long := se.SW == 0x6700 && !se.Executed
		return long, long
	}
	var r interface{ Refused() bool }
	return false, errors.As(err, &r) && r.Refused()
}

// storeData sends data in blocks of the given size. begun says that the first
// one was accepted. c.turn is held.
func (c *Channel) storeData(ctx context.Context, data []byte, size int) (out []byte, begun bool, err error) {
	blocks := max(1, (len(data)+size-1)/size)
	if blocks > maxBlocks {
		return nil, false, fmt.Errorf("command of %d bytes in blocks of %d: %w", len(data), size, ErrTooLong)
	}
	for i := range blocks {
		cmd := Command{CLA: 0x80, INS: insStoreData, P1: 0x11, P2: byte(i)}
		cmd.Data = data[i*size : min((i+1)*size, len(data))]
		if i == blocks-1 {
			cmd.P1 = 0x91
		}
		if out, err = c.exchange(ctx, cmd, out); err != nil {
			if se, ok := errors.AsType[*StatusError](err); ok && se.INS == insStoreData {
				se.Block = i
			}
			return nil, begun, err
		}
		begun = true
	}
	return out, begun, nil
}

// Transmit sends one command and returns the response data. Like StoreData it
// fetches the rest of a long response and reports a bad status word as a
// StatusError.
func (c *Channel) Transmit(ctx context.Context, cmd Command) ([]byte, error) {
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	return c.exchange(ctx, cmd, nil)
}

// exchange appends the response to out. 61xx means that xx more bytes wait for
// GET RESPONSE, 6Cxx that the command has to come again with Le xx. The latter
// is done only for commands that carry no data: TS 102 221, 7.3.1.1.2, knows it
// only there, and repeating a block is what a chain must never do.
func (c *Channel) exchange(ctx context.Context, cmd Command, out []byte) ([]byte, error) {
	ins := cmd.INS
	corrected := false
	for {
		resp, err := c.transmit(ctx, cmd)
		if err != nil {
			return nil, err
		}
		data, sw, err := Split(resp)
		if err != nil {
			return nil, err
		}
		c.last.Store(uint32(sw))
		if len(out)+len(data) > maxResponse {
			return nil, fmt.Errorf("response of more than %d bytes: %w", maxResponse, ErrTooLong)
		}
		out = append(out, data...)
		switch {
		case sw.OK():
			return out, nil
		case sw>>8 == 0x61:
			// A card that announces more and never sends any would go on for
			// ever.
			if cmd.INS == insGetResponse && len(data) == 0 {
				return nil, &StatusError{SW: sw, INS: ins, Executed: true}
			}
			// CLA 0X, the interindustry class: TS 102 221, table 10.5.
			cmd = Command{INS: insGetResponse, Ne: ne(byte(sw))}
			corrected = false
		case sw>>8 == 0x6C && len(cmd.Data) == 0 && !corrected:
			cmd.Ne = ne(byte(sw))
			corrected = true
		default:
			return nil, &StatusError{SW: sw, INS: ins, Executed: cmd.INS == insGetResponse}
		}
	}
}

func (c *Channel) transmit(ctx context.Context, cmd Command) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := cmd.Bytes()
	c.commands.Add(1)
	c.sent.Add(int64(len(b)))
	resp, err := c.t.Transmit(ctx, c.session, b)
	c.received.Add(int64(len(resp)))
	return resp, err
}

func (c *Channel) acquire(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Channel) release() { c.turn <- struct{}{} }
