package atcmd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stormModem works on one command at a time and takes its time. Each answer
// names the command that it belongs to. It lives longer than a session.
type stormModem struct {
	t     *testing.T
	rng   *rand.Rand
	drops bool // what arrives while it is busy
	slow  time.Duration

	mu    sync.Mutex
	port  *fakePort
	queue []string
	wake  chan struct{}
	busy  bool
	urcs  int
	did   map[string]bool // what it has answered
	lost  int             // what came while it was busy
}

func (m *stormModem) attach() *fakePort {
	p := newFakePort()
	m.mu.Lock()
	m.port = p
	m.mu.Unlock()
	p.serve(m.t, func(line string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.drops && m.busy {
			m.lost++
			return
		}
		m.queue = append(m.queue, strings.TrimRight(line, "\r"))
		select {
		case m.wake <- struct{}{}:
		default:
		}
	})
	return p
}

func (m *stormModem) run(quit <-chan struct{}) {
	for {
		m.mu.Lock()
		var line string
		if len(m.queue) > 0 {
			line, m.queue, m.busy = m.queue[0], m.queue[1:], true
		} else {
			m.busy = false
		}
		m.mu.Unlock()
		if line == "" {
			select {
			case <-m.wake:
				continue
			case <-quit:
				return
			}
		}
		time.Sleep(time.Duration(m.rng.Int64N(int64(m.slow))))
		m.answer(line)
	}
}

// write sends an answer in pieces, with URCs between lines.
func (m *stormModem) write(text string) {
	m.mu.Lock()
	p := m.port
	m.mu.Unlock()
	for text != "" {
		n := 1 + m.rng.IntN(len(text))
		select {
		case <-p.closed: // bytes for a port that is gone are gone
		default:
			p.send(text[:n])
		}
		text = text[n:]
	}
}

func (m *stormModem) answer(line string) {
	m.mu.Lock()
	m.did[line] = true
	m.mu.Unlock()
	if m.rng.IntN(4) == 0 {
		m.urcs++
		m.write(fmt.Sprintf("\r\n+CREG: %d\r\n", m.rng.IntN(6)))
	}
	if a, ok := resyncAnswer(line); ok {
		m.write(a)
		return
	}
	if m.rng.IntN(2) == 0 {
		m.write(line + "\r")
	}
	name, id, _ := strings.Cut(strings.TrimPrefix(line, "AT"), "=")
	switch name {
	case "+QTAG": // an answer with the tag that all have
		m.write("\r\n+QTAG: " + id + "\r\n\r\nOK\r\n")
	case "+QBARE":
		m.write("\r\n" + id + "\r\n\r\nOK\r\n")
	case "+QOK":
		m.write("\r\nOK\r\n")
	case "+QERR":
		m.write("\r\n+CME ERROR: " + id + "\r\n")
	default:
		m.write("\r\nERROR\r\n")
	}
}

// TestStorm cancels and times commands out at random, against a modem that
// answers late, and one that also drops what arrives while it is busy. No
// command may get another's answer. The time is synctest's.
func TestStorm(t *testing.T) {
	const commands = 3000
	for _, drops := range []bool{false, true} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("drops %v seed %d", drops, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { storm(t, drops, seed, commands) })
			})
		}
	}
}

func storm(t *testing.T, drops bool, seed uint64, commands int) {
	m := &stormModem{t: t, did: map[string]bool{}, rng: rand.New(rand.NewPCG(seed, 1)), drops: drops, slow: 3 * time.Second, wake: make(chan struct{}, 1)}
	quit := make(chan struct{})
	var modem sync.WaitGroup
	modem.Add(1)
	go func() { defer modem.Done(); m.run(quit) }()
	defer func() { close(quit); modem.Wait() }()

	opts := Options{Resync: ResyncOptions{Late: 4 * time.Second}}
	s := New(m.attach(), opts)
	var mu sync.Mutex
	session := func() *Session {
		mu.Lock()
		defer mu.Unlock()
		if s.Err() != nil {
			// As the owner of the port does: open it again.
			s.Close()
			again := opts
			again.Dirty = true
			s = New(m.attach(), again)
		}
		return s
	}
	defer func() { s.Close() }()

	var answered, given, reopened int
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Add(1)
		rng := rand.New(rand.NewPCG(seed, uint64(c+100)))
		go func() {
			defer callers.Done()
			for i := range commands / 4 {
				id := fmt.Sprint(c*1_000_000 + i + 1000)
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rng.Int64N(int64(4*time.Second))), cancel)
				}
				cmd := Command{Timeout: 500*time.Millisecond + time.Duration(rng.Int64N(int64(4*time.Second)))}
				kind := rng.IntN(4)
				switch kind {
				case 0:
					cmd.Text = "+QTAG=" + id
				case 1:
					cmd.Text, cmd.Bare = "+QBARE="+id, true
				case 2:
					cmd.Text = "+QOK=" + id
				case 3:
					cmd.Text = "+QERR=" + id
				}
				reply, err := session().Do(ctx, cmd)
				cancel()
				var cme *CMEError
				ok := false
				switch {
				case err == nil:
					switch kind {
					case 0:
						ok = len(reply.Lines) == 1 && reply.Lines[0] == "+QTAG: "+id
					case 1:
						ok = len(reply.Lines) == 1 && reply.Lines[0] == id
					case 2: // OK alone names nobody: the modem must have come to this one
						m.mu.Lock()
						ok = len(reply.Lines) == 0 && m.did["AT"+cmd.Text]
						m.mu.Unlock()
					}
				case errors.As(err, &cme):
					ok = kind == 3 && fmt.Sprint(cme.Code) == id
				case errors.Is(err, context.Canceled), errors.Is(err, ErrTimeout):
					mu.Lock()
					given++
					mu.Unlock()
					continue
				case errors.Is(err, ErrDesync), errors.Is(err, ErrClosed):
					mu.Lock()
					reopened++
					mu.Unlock()
					continue
				}
				if !ok {
					t.Errorf("AT%s got %q, %v", cmd.Text, reply.Lines, err)
					return
				}
				mu.Lock()
				answered++
				mu.Unlock()
			}
		}()
	}
	callers.Wait()
	t.Logf("%d answered, %d given up, %d met a port that had to be opened again, %d came while the modem was busy", answered, given, reopened, m.lost)
	if drops && m.lost < commands/100 {
		t.Errorf("the modem dropped only %d commands", m.lost)
	}
	if answered < commands/3 || given < commands/10 {
		t.Errorf("only %d of %d commands were answered and %d given up: not a storm", answered, commands, given)
	}
}
