package es9p

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// A clock that was never set is the error, not the certificate that looks not
// yet valid with it; and nobody is asked.
func TestWrongClock(t *testing.T) {
	clock := time.Unix(86400, 0)
	dials := 0
	c := good(t, body(`{}`), func(c *Config) {
		c.Now, c.Floor = func() time.Time { return clock }, now
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	_, err := initiate(t.Context(), c)
	if e, ok := errors.AsType[*ClockError](err); !ok || !e.Now.Equal(clock) || dials != 0 {
		t.Errorf("%d dials, %v", dials, err)
	}
	if want := "initiateAuthentication: our clock says 1970-01-02, which is before 2026-11-23"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	clock = now
	if _, err := initiate(t.Context(), c); err == nil || errors.As(err, new(*ClockError)) || dials == 0 {
		t.Errorf("clock set right: %d dials, %v", dials, err)
	}
	clock = time.Unix(0, 0)
	if err := c.Connect(t.Context(), "other.example.com"); !errors.As(err, new(*ClockError)) {
		t.Errorf("connecting ahead: %v", err)
	}
}
