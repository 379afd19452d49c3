package access

import (
	"sync"
	"time"
)

// rate is a token bucket: burst at once, then one each every.
type rate struct {
	burst int
	every time.Duration
}

// limiter holds each name to a rate. What it remembers is bounded; the name that
// was quiet for longest is forgotten first, which it cannot tell, since its
// bucket was the fullest.
type limiter struct {
	rate
	start time.Time

	mu   sync.Mutex
	free map[string]time.Duration // name -> since start, when the bucket is full again
}

const maxLimited = 1024

func newLimiter(r rate) *limiter {
	return &limiter{rate: r, start: time.Now(), free: map[string]time.Duration{}}
}

// spent reports whether name has taken anything that it has not got back yet.
func (l *limiter) spent(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.free[name] > time.Since(l.start)
}

// take takes one of name's bucket. Where there is none it tells how long to wait.
func (l *limiter) take(name string) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.start)
	full := max(l.free[name], now)
	if over := full - now - time.Duration(l.burst-1)*l.every; over > 0 {
		return over, false
	}
	if _, known := l.free[name]; !known && len(l.free) >= maxLimited {
		oldest, end := "", time.Duration(0)
		for name, at := range l.free {
			if oldest == "" || at < end {
				oldest, end = name, at
			}
		}
		delete(l.free, oldest)
	}
	l.free[name] = full + l.every
	return 0, true
}
