package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"dynamod/daemon/activation"
	"dynamod/daemon/helper"
	"dynamod/euicc"
)

// clock tells the date. A router without a battery starts in 1970, and a wrong
// date makes every certificate look expired or not yet valid. The date comes
// from the system when that is later than the build, else from the modem, else
// from NTP. The system's clock itself is only set where [time] set wants it.
type clock struct {
	floor  time.Time
	system func() time.Time

	mu     sync.Mutex
	offset time.Duration
	source string
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.system()
	if now.Before(c.floor) { // else somebody has set it since
		now = now.Add(c.offset)
	}
	return now
}

func (c *clock) sane() bool { return !c.now().Before(c.floor) }

// offer takes a date from a source when the present one is wrong.
func (c *clock) offer(source string, t time.Time) bool {
	if c.sane() || t.Before(c.floor) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset, c.source = t.Sub(c.system()), source
	return true
}

// set finds a date when the system has none.
func (c *clock) set(ctx context.Context, modem func(context.Context) (time.Time, error), servers []string, dial dialFunc) error {
	if c.sane() {
		return nil
	}
	var tried []error
	if modem != nil {
		t, err := modem(ctx)
		if err == nil && c.offer("modem", t) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("its clock says %s", t.Format(time.DateOnly))
		}
		tried = append(tried, fmt.Errorf("modem: %w", err))
	}
	for _, s := range servers {
		t, err := askNTP(ctx, s, dial)
		if err == nil && c.offer(s, t) {
			return nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", s, err))
	}
	return &activation.Fault{
		Code: "wrong-clock", Text: fmt.Sprintf("the clock says %s, which is before this program was built", c.now().Format(time.DateOnly)),
		Advice: "set the system's clock, or name servers in [time] ntp", Retry: euicc.RetryLater, Err: errors.Join(tried...),
	}
}

// setClock finds a date when the system has none, from the modem if there is one, and
// sets the system's clock where that is wanted.
func (g *Gateway) setClock(ctx context.Context) error {
	var ask func(context.Context) (time.Time, error)
	if d := g.getDevice(); d != nil {
		ask = d.modem.Clock
	}
	if err := g.clock.set(ctx, ask, g.config().Time.NTP, g.dial); err != nil {
		return err
	}
	if g.config().Time.Set && g.opts.Now().Before(g.clock.floor) {
		done, err := g.asRoot(ctx, helper.Request{Verb: helper.Clock, Args: []string{strconv.FormatInt(g.clock.now().Unix(), 10)}})
		if err != nil {
			g.log.Warn("the system's clock stays wrong", "error", err)
		} else {
			g.log.Info(done)
		}
	}
	return nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// ntpEpoch is 1900 in seconds before 1970 (RFC 5905, 6).
const ntpEpoch = 2208988800

// askNTP asks an SNTP server (RFC 4330) for the date. Seconds are enough: it is
// only used to check certificates, never to set a clock.
func askNTP(ctx context.Context, server string, dial dialFunc) (time.Time, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "123")
	}
	ctx, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	conn, err := dial(ctx, "udp", server)
	if err != nil {
		return time.Time{}, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return time.Time{}, err
	}
	var req [48]byte
	req[0] = 4<<3 | 3 // version 4, client
	nonce := time.Now().UnixNano()
	binary.BigEndian.PutUint64(req[40:], uint64(nonce))
	if _, err := conn.Write(req[:]); err != nil {
		return time.Time{}, err
	}
	var resp [48]byte
	n, err := conn.Read(resp[:])
	if err != nil {
		return time.Time{}, err
	}
	return parseNTP(resp[:n], uint64(nonce))
}

// parseNTP checks an answer against the request's transmit timestamp.
func parseNTP(b []byte, nonce uint64) (time.Time, error) {
	switch {
	case len(b) < 48:
		return time.Time{}, fmt.Errorf("answer of %d bytes", len(b))
	case b[0]&7 != 4, b[0]>>6 == 3, b[1] == 0 || b[1] > 15:
		return time.Time{}, errors.New("the server itself has no time")
	case binary.BigEndian.Uint64(b[24:]) != nonce:
		return time.Time{}, errors.New("answer to another question")
	}
	secs := int64(binary.BigEndian.Uint32(b[40:]))
	if secs < ntpEpoch { // era 1 begins in 2036 (RFC 5905, 6)
		secs += 1 << 32
	}
	return time.Unix(secs-ntpEpoch, 0), nil
}
