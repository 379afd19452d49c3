package lpa

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
)

// tape is a card that answers again what one has answered before: the figures of
// a benchmark are then the client's own, without a card's and a server's sums.
type tape struct {
	apdu.Transport // that is recorded; nil when it is played
	answers        [][]byte
	at             int
}

func (p *tape) Open(ctx context.Context, aid []byte) (string, error) {
	if p.Transport != nil {
		return p.Transport.Open(ctx, aid)
	}
	p.at = 0
	return "1", nil
}

func (p *tape) Close(ctx context.Context, session string) error {
	if p.Transport != nil {
		return p.Transport.Close(ctx, session)
	}
	return nil
}

func (p *tape) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	if p.Transport != nil {
		resp, err := p.Transport.Transmit(ctx, session, cmd)
		p.answers = append(p.answers, bytes.Clone(resp))
		return resp, err
	}
	p.at++
	return p.answers[p.at-1], nil
}

// record lets one download happen, notes it, and returns the world that plays it.
func record(b *testing.B, name string) (Config, euicc.ActivationCode) {
	b.Helper()
	l := newLab(b)
	answers := map[string][]byte{}
	serve := func(h http.HandlerFunc) {
		s := httptest.NewUnstartedServer(h)
		s.TLS = l.server.TLSConfig()
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		b.Cleanup(s.Close)
		l.cfg.HTTP.Resolve = map[string]string{testHost: s.Listener.Addr().String()}
	}
	serve(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		l.server.Handler().ServeHTTP(rec, r)
		answers[path.Base(r.URL.Path)] = rec.Body.Bytes()
		w.Header().Set("Content-Type", "application/json")
		w.Write(rec.Body.Bytes())
	})
	card := &tape{Transport: l.card}
	l.cfg.Transport = card
	l.cfg.KnownBlockSize = func(euicc.EID) int { return apdu.DefaultBlockSize }
	code := l.order(measuredOrder(b, name))
	oneDownload(b, l.cfg, code)
	serve(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Write(answers[path.Base(r.URL.Path)])
	})
	l.cfg.Transport = &tape{answers: card.answers}
	return l.cfg, code
}

func oneDownload(b *testing.B, cfg Config, code euicc.ActivationCode) (Stats, *meter) {
	b.Helper()
	m := &meter{Transport: cfg.Transport}
	cfg.Transport = m
	c, err := Open(context.Background(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	o, err := c.Authenticate(context.Background(), code)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := o.Download(context.Background(), "", nil); err != nil {
		b.Fatal(err)
	}
	s := c.Stats()
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	return s, m
}

// BenchmarkDownload is a download from opening the card to closing it, with its
// EID and EUICCInfo1. Time and allocations are those of client and HTTP server,
// TLS included; buffers-B is the peak of what decoder and read-ahead take.
func BenchmarkDownload(b *testing.B) {
	for _, name := range measured {
		b.Run(name, func(b *testing.B) {
			cfg, code := record(b, name)
			s, m := oneDownload(b, cfg, code)
			b.ReportAllocs()
			for b.Loop() {
				oneDownload(b, cfg, code)
			}
			b.ReportMetric(float64(m.opens+m.closes+m.commands), "APDUs/op")
			b.ReportMetric(float64(m.atOut), "AT-out-B/op")
			b.ReportMetric(float64(m.atIn), "AT-in-B/op")
			b.ReportMetric(float64(s.HTTP.Handshakes), "handshakes/op")
			b.ReportMetric(float64(s.HTTP.Requests), "requests/op")
			b.ReportMetric(float64(s.Buffers), "buffers-B")
		})
	}
}
