package uicc

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// usimAID is the AID of the 3GPP USIM, RID and application code (TS 31.110,
// annex A; TS 101 220, annex E), which every card with an enabled profile has.
// A modem that opens it reaches the card.
var usimAID = []byte{0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02}

// openCGLA opens by +CCHO. When that fails, leaked channels are closed and it
// is tried once more; when it still fails, opening the USIM tells whether the
// card lacks the application or the modem does not reach the card at all, where
// the dialect does not know why.
func (t *Transport) openCGLA(ctx context.Context, aid []byte) (string, *Error) {
	if !t.clean {
		t.sweep(ctx)
	}
	handle, e := t.ccho(ctx, aid)
	if e == nil || ctx.Err() != nil || !answered(e.Err) || e.CME == cmeBusy {
		return handle, e
	}
	if !t.clean || t.used {
		// Only when something may have leaked since the last sweep.
		t.sweep(ctx)
		if handle, e = t.ccho(ctx, aid); e == nil {
			return handle, nil
		}
	}
	if t.apdu.Verdict != "" {
		// What it would tell is known, and the channel might be lost: an EM9191 has no
		// +CCHC (lpac#187), and has few channels.
		if e.Kind == nil {
			e.Kind = ErrUnreachable
		}
		return "", e
	}
	control, ce := t.ccho(ctx, usimAID)
	if ce != nil {
		if e.Kind == nil {
			e.Kind = ErrUnreachable
		}
		return "", e
	}
	if ce := t.closeBy(ctx, dialect.CGLA, control); ce != nil {
		t.stale = append(t.stale, dialect.CGLA+":"+control)
		t.tell()
	}
	t.mu.Lock()
	t.way = dialect.CGLA
	t.mu.Unlock()
	e.Unknown = false
	if e.CME == cmeNotAllowed || e.CME == cmeNotSupported {
		e.Kind = ErrBlocked
	} else {
		e.Kind = ErrNotEUICC
	}
	return "", e
}

// ccho sends +CCHO, again while the card is busy.
func (t *Transport) ccho(ctx context.Context, aid []byte) (handle string, e *Error) {
	e = t.whileBusy(ctx, true, func() *Error {
		if err := ctx.Err(); err != nil {
			return wrap("open", dialect.CGLA, err, false)
		}
		reply, err := t.s.Do(ctx, atcmd.Command{
			Text:    fmt.Sprintf(`+CCHO="%X"`, aid),
			Tags:    []string{"+CCHO"},
			Bare:    t.apdu.BareReplies,
			Timeout: t.apdu.Open.Std(),
		})
		if err != nil {
			if !answered(err) {
				t.clean = false // a channel may be open that nobody knows
			}
			return wrap("open", dialect.CGLA, err, false)
		}
		if handle, err = parseHandle(reply.Lines); err != nil {
			t.clean = false
			return &Error{Op: "open", Way: dialect.CGLA, CME: -1, Kind: ErrAnswer, Err: err}
		}
		return nil
	})
	return handle, e
}

// cgla sends one APDU by +CGLA. The channel bits of CLA stay 0: the modem puts
// them in (27.007, 8.43).
func (t *Transport) cgla(ctx context.Context, handle string, cmd []byte) ([]byte, *Error) {
	var b strings.Builder
	b.Grow(64 + 2*len(cmd))
	b.WriteString("+CGLA=")
	b.WriteString(handle)
	t.writeAPDU(&b, ",", cmd)
	return t.exchange(ctx, "transmit", dialect.CGLA, "+CGLA", b.String(), len(cmd))
}

// writeAPDU appends `<sep><digits>,"<hex>"`.
func (t *Transport) writeAPDU(b *strings.Builder, sep string, cmd []byte) {
	b.WriteString(sep)
	b.WriteString(strconv.Itoa(2 * len(cmd)))
	b.WriteByte(',')
	if !t.apdu.Unquoted {
		b.WriteByte('"')
	}
	b.WriteString(strings.ToUpper(hex.EncodeToString(cmd)))
	if !t.apdu.Unquoted {
		b.WriteByte('"')
	}
}

// exchange sends a command line that carries an APDU of size bytes.
func (t *Transport) exchange(ctx context.Context, op, way, tag, text string, size int) ([]byte, *Error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, way, err, false)
	}
	limit := t.apdu.Transmit
	switch op { // a card answers these at once; a port that is none never does
	case "open":
		limit = t.apdu.Open
	case "close":
		limit = t.apdu.Close
	}
	reply, err := t.s.Do(ctx, atcmd.Command{
		Text:    text,
		Tags:    []string{tag},
		Bare:    t.apdu.BareReplies,
		Timeout: limit.Std(),
	})
	if err != nil {
		e := wrap(op, way, err, true)
		if e.Unknown {
			t.count(size, 0)
		}
		return nil, e
	}
	resp, err := parseResponse(reply.Lines, tag)
	t.count(size, len(resp))
	if err != nil {
		return nil, &Error{Op: op, Way: way, CME: -1, Unknown: true, Kind: ErrAnswer, Err: errors.Unwrap(err)}
	}
	return resp, nil
}

// sweep closes the handles 1 to MaxChannel that are not ours, since a process
// that was killed may have left them open. Errors mean that there was nothing
// to close; a modem that does not answer is not asked again.
func (t *Transport) sweep(ctx context.Context) {
	if t.used { // not the one at the start
		t.report(Sweep)
	}
	for n := 1; n <= t.apdu.MaxChannel; n++ {
		handle := strconv.Itoa(n)
		if t.isOpen(dialect.CGLA+":"+handle) || ctx.Err() != nil {
			continue
		}
		_, err := t.s.Do(ctx, atcmd.Command{Text: "+CCHC=" + handle, Timeout: t.apdu.Close.Std()})
		t.mu.Lock()
		t.stats.Swept++
		t.mu.Unlock()
		if err != nil && !answered(err) {
			return
		}
	}
	t.clean, t.used = ctx.Err() == nil, false
}
