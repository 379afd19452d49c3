package uicc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dynamod/atcmd/dialect"
)

// maxChannel is the highest logical channel of a UICC (TS 102 221, 10.1.1).
const maxChannel = 19

// terminalCapability is TERMINAL CAPABILITY (TS 102 221, 11.1.19) with the
// eUICC-related capabilities that say that there is an LPA in the device
// (tag 83; SGP.22, 3.4.2).
var terminalCapability = []byte{0x80, 0xAA, 0, 0, 0x0A, 0xA9, 0x08, 0x81, 0x00, 0x82, 0x01, 0x01, 0x83, 0x01, 0x07}

// openCSIM opens a logical channel with MANAGE CHANNEL and selects the
// application on it.
func (t *Transport) openCSIM(ctx context.Context, aid []byte) (string, *Error) {
	if t.apdu.TerminalCapability && !t.capability {
		// Cards that do not know the command answer 6Dxx or 6Exx; no answer to
		// it says anything about the rest.
		_, e := t.csimBusy(ctx, 0, terminalCapability)
		if e != nil && (ctx.Err() != nil || !answered(e.Err)) {
			return "", e
		}
		t.capability = e == nil
	}
	ch, e := t.manageOpen(ctx)
	if e != nil {
		return "", e
	}
	cmd := append([]byte{0x00, 0xA4, 0x04, 0x00, byte(len(aid))}, aid...)
	resp, e := t.csimBusy(ctx, ch, cmd)
	if e == nil {
		sw := status(resp)
		if sw == 0x9000 || sw>>8 == 0x61 || sw>>8 == 0x91 {
			return strconv.Itoa(ch), nil
		}
		e = &Error{Op: "open", Way: dialect.CSIM, CME: -1, SW: sw, Kind: ErrUnreachable}
		switch sw {
		case 0x6A82, 0x6999: // not found; GlobalPlatform: applet selection failed
			e.Kind = ErrNotEUICC
		case 0x6982, 0x6985: // security status, conditions of use
			e.Kind = ErrBlocked
		}
	}
	// The channel is ours and must not stay, also when ctx has ended.
	ctx2, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.apdu.Close.Std())
	defer cancel()
	if ce := t.closeChannel(ctx2, ch); ce != nil {
		t.stale = append(t.stale, dialect.CSIM+":"+strconv.Itoa(ch))
		t.tell()
	}
	return "", e
}

// manageOpen asks the card for a logical channel. Only when it has none left
// are the channels that nobody here opened closed: the modem may use one of
// them, for IMS say, and opens it again.
func (t *Transport) manageOpen(ctx context.Context) (int, *Error) {
	ch, e := t.manageChannel(ctx)
	if e == nil || e.Kind != ErrNoChannel {
		return ch, e
	}
	t.report(Sweep)
	for n := 1; n <= t.apdu.MaxChannel && ctx.Err() == nil; n++ {
		if t.isOpen(dialect.CSIM + ":" + strconv.Itoa(n)) {
			continue
		}
		t.mu.Lock()
		t.stats.Swept++
		t.mu.Unlock()
		if ce := t.closeChannel(ctx, n); ce != nil && !answered(ce.Err) && ce.SW == 0 {
			return 0, ce
		}
	}
	return t.manageChannel(ctx)
}

// manageChannel is MANAGE CHANNEL, open (TS 102 221, 11.1.17). The answer is
// one byte, the channel. Cards differ in the Le that they accept (lpac#164).
func (t *Transport) manageChannel(ctx context.Context) (int, *Error) {
	resp, e := t.csimBusy(ctx, 0, []byte{0x00, 0x70, 0x00, 0x00, 0x01})
	if e != nil {
		if e.Kind == nil {
			e.Kind = ErrUnreachable
		}
		return 0, e
	}
	switch sw := status(resp); {
	case sw>>8 == 0x6C:
		resp, e = t.csimBusy(ctx, 0, []byte{0x00, 0x70, 0x00, 0x00, byte(sw)})
	case sw == 0x6700:
		resp, e = t.csimBusy(ctx, 0, []byte{0x00, 0x70, 0x00, 0x00, 0x00})
	case sw>>8 == 0x61:
		resp, e = t.csimBusy(ctx, 0, []byte{0x00, 0xC0, 0x00, 0x00, byte(sw)})
	}
	if e != nil {
		return 0, e
	}
	sw := status(resp)
	switch {
	case sw == 0x6A81 || sw == 0x6881 || sw == 0x6200:
		// 6A81 also means that the card has no logical channels at all.
		return 0, &Error{Op: "open", Way: dialect.CSIM, CME: -1, SW: sw, Kind: ErrNoChannel}
	case sw>>8 != 0x90 && sw>>8 != 0x91:
		return 0, &Error{Op: "open", Way: dialect.CSIM, CME: -1, SW: sw, Kind: ErrUnreachable}
	case len(resp) != 3 || resp[0] < 1 || resp[0] > maxChannel:
		return 0, &Error{Op: "open", Way: dialect.CSIM, CME: -1, Kind: ErrAnswer, Err: errors.New("MANAGE CHANNEL named no channel")}
	}
	return int(resp[0]), nil
}

func (t *Transport) closeChannel(ctx context.Context, ch int) *Error {
	resp, e := t.csimOn(ctx, "close", 0, []byte{0x00, 0x70, 0x80, byte(ch), 0x00})
	if e != nil {
		return e
	}
	if sw := status(resp); sw>>8 != 0x90 && sw>>8 != 0x91 {
		return &Error{Op: "close", Way: dialect.CSIM, CME: -1, SW: sw}
	}
	return nil
}

// csimBusy is csimOn for the commands of opening, which may be repeated.
func (t *Transport) csimBusy(ctx context.Context, ch int, cmd []byte) (resp []byte, e *Error) {
	e = t.whileBusy(ctx, true, func() (e *Error) {
		resp, e = t.csimOn(ctx, "open", ch, cmd)
		return e
	})
	return resp, e
}

// csimOn sends one APDU on a logical channel by +CSIM.
func (t *Transport) csimOn(ctx context.Context, op string, ch int, cmd []byte) ([]byte, *Error) {
	apdu := append([]byte{channelCLA(cmd[0], ch)}, cmd[1:]...)
	var b strings.Builder
	b.Grow(32 + 2*len(apdu))
	t.writeAPDU(&b, "+CSIM=", apdu)
	return t.exchange(ctx, op, dialect.CSIM, "+CSIM", b.String(), len(apdu))
}

// channelCLA puts a logical channel into a class byte whose channel bits are 0:
// in the two lowest bits for channels 0 to 3, else as number minus four with
// bit 7 set (TS 102 221, 10.1.1). The chaining bit and the bit that says whose
// coding the class has stay; secure messaging is not used here.
func channelCLA(cla byte, ch int) byte {
	if ch < 4 {
		return cla&0x9C | byte(ch)
	}
	return cla&0x90 | 0x40 | byte(ch-4)
}

// channelOf parses the handle of a +CSIM session. It returns 0, which is never
// a session's channel, for anything else.
func channelOf(handle string) int {
	n, err := strconv.Atoi(handle)
	if err != nil || n < 1 || n > maxChannel || handle != fmt.Sprint(n) {
		return 0
	}
	return n
}
