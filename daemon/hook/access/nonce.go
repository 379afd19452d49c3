package access

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// late and early are how long ago, by our clock, a request may have been
	// signed, and how far the signer's clock may be ahead of ours.
	late  = 5 * time.Minute
	early = time.Minute
	// nonceLife is how long a nonce of ours may be used.
	nonceLife = time.Minute
	// maxNonces bounds what is remembered. A caller is held to a rate, and three who
	// sign 10 requests a second for six minutes fill it: then who signs is refused
	// until the oldest are forgotten.
	maxNonces = 8192
	ourNonce  = "d."
)

var (
	errReplay    = errors.New("this request was here before")
	errWindow    = errors.New("the signature was made at another time")
	errClock     = errors.New("the router's clock is not set")
	errStarted   = errors.New("the router has just started, and cannot tell whether the request was here before")
	errNonceFull = errors.New("too many signed requests at once")
)

// nonces tells a request that comes for the second time. Within the window each
// nonce counts once for its caller; outside of it created says no.
//
// What was seen is forgotten at a restart. No request that came before the start
// was created later than early after it, so that older ones are refused: for the
// first minute a signer needs a nonce of ours, which do not outlive us.
type nonces struct {
	key   []byte // of the nonces that we give
	now   func() time.Time
	sane  func() bool // whether now can be believed
	start time.Time   // monotonic: nonces of ours are timed without a wall clock

	mu   sync.Mutex
	seen map[string]seenNonce // by caller and nonce
	// forgotten is the latest created of those that are no longer in seen: a
	// clock that was set back makes none of them good again.
	forgotten int64
}

type seenNonce struct {
	created int64         // 0 of a nonce of ours
	end     time.Duration // since start, when it may be forgotten
}

func newNonces(now func() time.Time, sane func() bool) *nonces {
	return &nonces{key: random(keyBytes), now: now, sane: sane, start: time.Now(), seen: map[string]seenNonce{}}
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
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(b) != 32 || !hmac.Equal(mac(n.key, string(b[:16]))[:16], b[16:]) {
		return false
	}
	return time.Since(n.start) <= time.Duration(binary.BigEndian.Uint64(b[8:]))
}

// use takes the nonce of a request whose signature fits.
func (n *nonces) use(caller string, s *signature) error {
	entry := seenNonce{created: s.created, end: time.Since(n.start) + late + early}
	switch now := n.now(); {
	case s.nonce == "" || len(s.nonce) > 128:
		return fmt.Errorf("%w: the nonce is missing, or longer than 128 characters", errSignature)
	case n.ours(s.nonce):
		entry = seenNonce{end: time.Since(n.start) + nonceLife}
	case strings.HasPrefix(s.nonce, ourNonce):
		return errWindow
	case !n.sane():
		return errClock
	default:
		created := time.Unix(s.created, 0)
		if d := now.Sub(created); d < -early || d > late || s.expires != 0 && now.Unix() > s.expires {
			return errWindow
		}
		// The start by the clock as it is now: it may have been set since.
		if !created.After(now.Add(early - time.Since(n.start))) {
			return errStarted
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	id := caller + " " + s.nonce
	if _, ok := n.seen[id]; ok || entry.created != 0 && entry.created <= n.forgotten {
		return errReplay
	}
	if len(n.seen) >= maxNonces {
		at := time.Since(n.start)
		for id, e := range n.seen {
			if at > e.end {
				delete(n.seen, id)
				n.forgotten = max(n.forgotten, e.created)
			}
		}
		if len(n.seen) >= maxNonces {
			return errNonceFull
		}
	}
	n.seen[id] = entry
	return nil
}
