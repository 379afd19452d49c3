package access

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"time"
)

const (
	// window is how far a signer's clock and ours may differ, either way.
	window = 5 * time.Minute
	// nonceLife is how long a nonce of ours may be used.
	nonceLife = time.Minute
	// maxNonces bounds what is remembered. As each caller is held to a rate,
	// only many callers together could fill it.
	maxNonces = 8192
	ourNonce  = "d."
)

var (
	errReplay    = errors.New("this request was here before")
	errWindow    = errors.New("the signature was made at another time")
	errNonceFull = errors.New("too many signed requests at once")
)

// nonces tells a request that comes for the second time. Within the window each
// nonce counts once for its caller; outside of it created says no.
type nonces struct {
	key   []byte // of the nonces that we give
	now   func() time.Time
	sane  func() bool // whether now can be believed
	start time.Time   // monotonic: nonces of ours are timed without a wall clock

	mu   sync.Mutex
	seen map[string]time.Duration // caller and nonce -> since start, when to forget
}

func newNonces(now func() time.Time, sane func() bool) *nonces {
	return &nonces{key: random(keyBytes), now: now, sane: sane, start: time.Now(), seen: map[string]time.Duration{}}
}

// give makes a nonce for a caller whose clock, or ours, is not set. It holds its
// own end and a MAC, so that nothing is kept for who never comes back.
func (n *nonces) give() string {
	b := binary.BigEndian.AppendUint64(random(8), uint64(time.Since(n.start)+nonceLife))
	b = append(b, mac(n.key, string(b))[:16]...)
	return ourNonce + base64.RawURLEncoding.EncodeToString(b)
}

// ours reports whether nonce is one that we gave and that has not run out.
func (n *nonces) ours(nonce string) bool {
	text, ok := strings.CutPrefix(nonce, ourNonce)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(b) != 32 || !hmac.Equal(mac(n.key, string(b[:16]))[:16], b[16:]) {
		return false
	}
	return time.Since(n.start) <= time.Duration(binary.BigEndian.Uint64(b[8:]))
}

// use takes the nonce of a request whose signature fits.
func (n *nonces) use(caller, nonce string, created int64) error {
	keep := 2 * window
	switch {
	case nonce == "" || len(nonce) > 128:
		return errors.New("the nonce is missing, or longer than 128 characters")
	case n.ours(nonce):
		keep = nonceLife
	case strings.HasPrefix(nonce, ourNonce):
		return errWindow
	case !n.sane():
		return errors.New("the router's clock is not set: sign with a nonce of GET /v1/nonce")
	default:
		if d := n.now().Sub(time.Unix(created, 0)); d < -window || d > window {
			return errWindow
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	at := time.Since(n.start)
	id := caller + " " + nonce
	if end, ok := n.seen[id]; ok && at <= end {
		return errReplay
	}
	if len(n.seen) >= maxNonces {
		for id, end := range n.seen {
			if at > end {
				delete(n.seen, id)
			}
		}
		if len(n.seen) >= maxNonces {
			return errNonceFull
		}
	}
	n.seen[id] = at + keep
	return nil
}
