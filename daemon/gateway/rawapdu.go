package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/atcmd/uicc"
	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/lpa"
)

const (
	insManageChannel = 0x70
	insStoreData     = 0xE2
	insGetResponse   = 0xC0
	maxRawResponse   = 64 << 10
	closeTime        = 30 * time.Second
)

// changes are the functions of ES10 that change profiles, notifications or an RSP
// session, by their tags (SGP.22 5.7).
var changes = map[string]string{
	"BF31": "EnableProfile", "BF32": "DisableProfile", "BF33": "DeleteProfile", "BF34": "eUICCMemoryReset", "BF30": "RemoveNotificationFromList",
	"BF38": "AuthenticateServer", "BF21": "PrepareDownload", "BF36": "LoadBoundProfilePackage", "BF41": "CancelSession",
}

// ParseHex reads hexadecimal as people write it: with blanks or colons.
func ParseHex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "", "\t", "").Replace(s))
	return b, err == nil
}

// commandAPDU checks one that a person typed. No error holds it.
func commandAPDU(s string, force bool) ([]byte, error) {
	bad := func(text, advice string) error {
		return &activation.Fault{Code: "bad-apdu", Text: text, Advice: advice, Retry: euicc.RetryNever}
	}
	cmd, ok := ParseHex(s)
	switch {
	case !ok:
		return nil, bad("the APDU is not hexadecimal", "such as 80E2910003BF2E00")
	case len(cmd) < 4 || len(cmd) > 261:
		return nil, bad(fmt.Sprintf("the APDU has %d bytes; a short one has 4 to 261", len(cmd)), "such as 80E2910003BF2E00")
	case len(cmd) > 5 && len(cmd) != 5+int(cmd[4]) && len(cmd) != 6+int(cmd[4]):
		return nil, bad(fmt.Sprintf("the APDU's Lc says %d bytes, and %d follow", cmd[4], len(cmd)-5), "CLA INS P1 P2 Lc DATA, and Le at most")
	case cmd[0]&0x40 != 0, cmd[0]&0x03 != 0:
		return nil, bad("the APDU names a logical channel in its CLA", "leave the channel's bits 0: they are put in on the way")
	case cmd[1] == insManageChannel:
		return nil, bad("MANAGE CHANNEL is not for this verb", "a channel is opened and closed around the APDUs by itself")
	}
	if cmd[1] == insStoreData && len(cmd) > 7 && cmd[3] == 0 && !force {
		if name := changes[fmt.Sprintf("%X", cmd[5:7])]; name != "" {
			return nil, &activation.Fault{Code: "needs-force", Text: name + " would go past the daemon, which keeps the way back", Advice: "`dynamod profiles` and `dynamod card` do it; `dynamod modem apdu --force` sends it all the same", Retry: euicc.RetryNever}
		}
	}
	return cmd, nil
}

// APDU opens an application, sends an engineer's commands on its channel and
// closes it, whatever happens. It ends at a command that was not answered.
func (g *Gateway) APDU(ctx context.Context, r hook.APDURequest) (out hook.APDUAnswers, err error) {
	aids := slices.Concat(lpa.DefaultAIDs, g.config().LPA.AIDs)
	if r.AID != "" {
		aid, ok := ParseHex(r.AID)
		if !ok || len(aid) < 5 || len(aid) > 16 {
			return out, &activation.Fault{Code: "bad-apdu", Text: "that is no AID", Advice: "5 to 16 bytes in hexadecimal (ISO/IEC 7816-4)", Retry: euicc.RetryNever}
		}
		aids = [][]byte{aid}
	}
	if len(r.Commands) == 0 || len(r.Commands) > maxRaw {
		return out, &activation.Fault{Code: "bad-apdu", Text: fmt.Sprintf("a request has 1 to %d APDUs", maxRaw), Advice: `{"commands": ["80E2910003BF2E00"]}`}
	}
	var cmds [][]byte
	for _, c := range r.Commands {
		cmd, err := commandAPDU(c, r.Force)
		if err != nil {
			return out, err
		}
		cmds = append(cmds, cmd)
	}
	release, err := g.acquireBench(ctx)
	if err != nil {
		return out, err
	}
	defer release()
	d, err := g.waitDevice(ctx, benchDevice)
	if err != nil {
		return out, err
	}
	session := ""
	for _, aid := range aids {
		out.AID = fmt.Sprintf("%X", aid)
		if session, err = d.card.Open(ctx, aid); err == nil || !uicc.TryNext(err) {
			break
		}
	}
	if err != nil {
		return out, cardError(err)
	}
	defer func() {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer done()
		if err := d.card.Close(ctx, session); err != nil {
			g.log.Warn("a channel of `dynamod modem apdu` was not closed; it is closed before the next", "error", err)
		}
		if r.Force {
			g.uncollected.Store(true) // what was done may have left a notification
		}
	}()
	out.Way, out.Answers = d.card.Way(), []hook.APDUAnswer{}
	for _, cmd := range cmds {
		a := rawAPDU(ctx, d.card, session, cmd)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		out.Answers = append(out.Answers, a)
		if a.SW == "" {
			break
		}
	}
	return out, nil
}

// rawAPDU sends one command, and GET RESPONSE as long as the card has more.
func rawAPDU(ctx context.Context, t apdu.Transport, session string, cmd []byte) hook.APDUAnswer {
	start := time.Now()
	var data bytes.Buffer
	for {
		resp, err := t.Transmit(ctx, session, cmd)
		var part []byte
		var sw apdu.Status
		if err == nil {
			part, sw, err = apdu.Split(resp)
		}
		data.Write(part)
		if err != nil {
			return hook.APDUAnswer{Data: fmt.Sprintf("%X", data.Bytes()), Problem: activation.Problem("", cardError(err)), ElapsedMS: ms(start)}
		}
		// A card that announces more and never sends any would go on for ever.
		if sw>>8 == 0x61 && data.Len() < maxRawResponse && !(cmd[1] == insGetResponse && len(part) == 0) {
			cmd = []byte{0, insGetResponse, 0, 0, byte(sw)} // CLA 0X: TS 102 221, table 10.5
			continue
		}
		a := hook.APDUAnswer{Data: fmt.Sprintf("%X", data.Bytes()), SW: sw.String(), OK: sw.OK(), ElapsedMS: ms(start)}
		a.Text, a.Advice = statusText(sw)
		return a
	}
}

// cardError is an error of the way to the card with what it means.
func cardError(err error) error {
	e := &euicc.Error{Stage: "apdu", Code: "card-transport", Text: "the card was not reached", Retry: euicc.RetryNow, Err: err}
	t, ok := errors.AsType[*uicc.Error](err)
	if !ok {
		return e
	}
	e.SW, e.Unknown, e.Advice = apdu.Status(t.SW), t.Unknown, t.Advice
	d, known := euicc.DiagnoseModem(t.CME)
	if t.CME >= 0 {
		e.CME = strconv.Itoa(t.CME)
	}
	switch {
	case t.NotEUICC():
		e.Code, e.Text, e.Retry, e.Err = "no-application", "the card does not have that application", euicc.RetryNever, nil
		e.Advice = cmp.Or(e.Advice, "check the AID; without one the ISD-R of an eUICC is opened")
	case t.Verdict() != "":
		e.Code, e.Text, e.Retry, e.Err = "esim-blocked", t.Error(), euicc.RetryNever, nil
	case known:
		e.Text, e.Retry, e.Advice = d.Text, d.Retry, cmp.Or(e.Advice, d.Advice)
	}
	return e
}

// statusText says what a status word means (ISO/IEC 7816-4, 5.6; TS 102 221,
// 10.2.1).
func statusText(sw apdu.Status) (text, advice string) {
	switch {
	case sw == 0x9000:
		return "done", ""
	case sw>>8 == 0x91:
		return "done; the card has a command for the modem, such as REFRESH", ""
	case sw>>8 == 0x6C:
		return fmt.Sprintf("the card has another number of bytes: Le is %02X", byte(sw)), "send it again with that Le"
	case sw>>4 == 0x63C:
		return fmt.Sprintf("not verified; tries left: %d", sw&0xF), ""
	case sw == 0x6983:
		return "no tries left: the PIN is blocked", "unblock it with the operator's PUK"
	case sw>>8 == 0x62, sw>>8 == 0x63:
		return "done with a warning", ""
	}
	d := euicc.DiagnoseSW(sw)
	return d.Text, d.Advice
}
