package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// clockedServer answers as its rows say and writes down when it was asked.
type clockedServer struct {
	start  time.Time
	asked  []string
	answer func(l Lease, rebind bool) (Lease, error)
}

func (s *clockedServer) ask(ctx context.Context, l Lease, rebind bool) (Lease, error) {
	what := "renew"
	if rebind {
		what = "rebind"
	}
	s.asked = append(s.asked, fmt.Sprintf("%s %s", what, time.Since(s.start)))
	next, err := s.answer(l, rebind)
	if errors.Is(err, ErrNoAnswer) {
		// What the client does: it repeats its request for 30 s, or as long as it may.
		if serr := sleep(ctx, 30*time.Second); serr != nil {
			return Lease{}, serr
		}
	}
	return next, err
}

func (s *clockedServer) Renew(ctx context.Context, l Lease) (Lease, error) {
	return s.ask(ctx, l, false)
}
func (s *clockedServer) Rebind(ctx context.Context, l Lease) (Lease, error) {
	return s.ask(ctx, l, true)
}

func TestKeep(t *testing.T) {
	extend := func(l Lease) Lease { l.Obtained = time.Now(); return l }
	tests := []struct {
		name    string
		lease   func(*Lease) // what is special about it
		answer  func(l Lease, rebind bool) (Lease, error)
		length  time.Duration // how long Keep is watched
		asked   []string
		changed int
		err     error
	}{
		{
			name:   "every renewal is answered",
			answer: func(l Lease, _ bool) (Lease, error) { return extend(l), nil },
			length: 95 * time.Minute,
			asked:  []string{"renew 30m0s", "renew 1h0m0s", "renew 1h30m0s"},
		},
		{
			name: "new address",
			answer: func(l Lease, _ bool) (Lease, error) {
				l.Addr = netip.MustParsePrefix("192.168.225.31/24")
				return extend(l), nil
			},
			length: 65 * time.Minute, changed: 1,
			asked: []string{"renew 30m0s", "renew 1h0m0s"},
		},
		{
			name: "the server is gone, another one answers",
			answer: func(l Lease, rebind bool) (Lease, error) {
				if !rebind {
					return Lease{}, ErrNoAnswer
				}
				return extend(l), nil
			},
			length: time.Hour,
			// T1 30m; half of what is left to T2 at 52m30s; at least a minute; T2.
			asked: []string{"renew 30m0s", "renew 41m30s", "renew 47m15s", "renew 50m7.5s", "renew 51m37.5s", "rebind 52m30s"},
		},
		{
			name:  "T2 comes while the server is asked",
			lease: func(l *Lease) { l.Rebind = 30*time.Minute + 20*time.Second },
			answer: func(l Lease, rebind bool) (Lease, error) {
				if !rebind {
					return Lease{}, ErrNoAnswer
				}
				return extend(l), nil
			},
			length: 40 * time.Minute,
			asked:  []string{"renew 30m0s", "rebind 30m20s"},
		},
		{
			name:   "nobody answers",
			answer: func(Lease, bool) (Lease, error) { return Lease{}, ErrNoAnswer },
			length: 2 * time.Hour,
			asked: []string{
				"renew 30m0s", "renew 41m30s", "renew 47m15s", "renew 50m7.5s", "renew 51m37.5s",
				"rebind 52m30s", "rebind 56m30s", "rebind 58m30s",
			},
			err: ErrExpired,
		},
		{
			name:   "DHCPNAK",
			answer: func(Lease, bool) (Lease, error) { return Lease{}, ErrRefused },
			length: time.Hour,
			asked:  []string{"renew 30m0s"},
			err:    ErrRefused,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, err := newLease(ack(t), time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if tt.lease != nil {
					tt.lease(&l)
				}
				s := &clockedServer{start: time.Now(), answer: tt.answer}
				ctx, cancel := context.WithTimeout(t.Context(), tt.length)
				defer cancel()
				changed := 0
				err = keep(ctx, s, l, func(Lease) { changed++ }, slog.New(slog.DiscardHandler))
				if !errors.Is(err, tt.err) {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				if !slices.Equal(s.asked, tt.asked) {
					t.Errorf("asked %q\nwant  %q", s.asked, tt.asked)
				}
				if changed != tt.changed {
					t.Errorf("%d changes, want %d", changed, tt.changed)
				}
				if tt.err == ErrExpired && time.Since(s.start) != time.Hour {
					t.Errorf("expired after %s", time.Since(s.start))
				}
			})
		})
	}
	t.Run("for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Hour)
			defer cancel()
			if err := keep(ctx, &clockedServer{}, Lease{}, nil, nil); err != nil {
				t.Error(err)
			}
		})
	})
}
