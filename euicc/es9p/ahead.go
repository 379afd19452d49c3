package es9p

import (
	"io"
	"sync"
)

// What Package.Ahead holds at most. The network is released early, and a package
// of any size needs no more memory.
const (
	aheadSize  = 128 << 10
	aheadChunk = 8 << 10
)

// ahead reads from a source while nobody asks it to, in one goroutine.
type ahead struct {
	done chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	wake   sync.Cond
	chunks [][]byte // filled ones, oldest first; the last one may have room left
	read   int      // bytes read of the first
	free   [][]byte // emptied ones
	made   int      // chunks that there are
	err    error    // of the source, behind the chunks
	closed bool
}

// newAhead begins to read from src.
func newAhead(src io.Reader) *ahead {
	a := &ahead{done: make(chan struct{})}
	a.wake.L = &a.mu
	go a.fill(src)
	return a
}

// fill is the goroutine.
func (a *ahead) fill(src io.Reader) {
	defer close(a.done)
	for {
		room := a.room()
		if room == nil {
			return
		}
		n, err := src.Read(room)
		a.mu.Lock()
		last := len(a.chunks) - 1
		a.chunks[last] = a.chunks[last][:len(a.chunks[last])+n]
		a.err = err
		a.wake.Broadcast()
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// room waits for room and returns it, nil when the reader has gone. What it
// returns lies behind the length of the last chunk, where nobody reads.
func (a *ahead) room() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		if a.closed {
			return nil
		}
		if n := len(a.chunks); n > 0 {
			if last := a.chunks[n-1]; len(last) < cap(last) {
				return last[len(last):cap(last)]
			}
		}
		if n := len(a.free); n > 0 {
			a.chunks = append(a.chunks, a.free[n-1][:0])
			a.free = a.free[:n-1]
			continue
		}
		if a.made < aheadSize/aheadChunk {
			a.made++
			a.chunks = append(a.chunks, make([]byte, 0, aheadChunk))
			continue
		}
		a.wake.Wait()
	}
}

// Read takes what is there, and waits only when nothing is.
func (a *ahead) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		for len(a.chunks) > 0 {
			first := a.chunks[0]
			if a.read < len(first) {
				n := copy(p, first[a.read:])
				a.read += n
				return n, nil
			}
			if len(a.chunks) == 1 {
				break // fill may be writing behind it
			}
			a.chunks = a.chunks[:copy(a.chunks, a.chunks[1:])]
			a.free = append(a.free, first)
			a.read = 0
			a.wake.Broadcast()
		}
		if a.err != nil {
			return 0, a.err
		}
		a.wake.Wait()
	}
}

// size returns how many bytes the chunks take.
func (a *ahead) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made * aheadChunk
}

// close waits for the goroutine. Whoever calls it first ends what the source
// waits for.
func (a *ahead) close() {
	a.mu.Lock()
	a.closed = true
	a.wake.Broadcast()
	a.mu.Unlock()
	<-a.done
}
