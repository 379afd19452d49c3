// Package ppp carries packets by PPP: a port of the modem's is dialled, and pppd(8)
// speaks on it from then on. It sets up no routes and no name servers.
//
// pppd is a helper of the system's, 2.4.8 or later; what it agrees with the other
// end is read from its log. It lives no longer than this process.
package ppp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/modem"
)

// Config is what a Line is made of.
type Config struct {
	Program string // pppd; "" looks for it
	Dir     string // for its options, which hold the credentials
	// Open opens the port that is dialled on.
	Open func(ctx context.Context, path string) (atcmd.Port, error)
	// Dial sends the commands on it until the modem says CONNECT, and leaves the
	// port open. Its error is the modem's answer, or that there is none.
	Dial func(ctx context.Context, p atcmd.Port, call modem.Call) error
	Lost func() // is called when a connection has ended by itself
	// Far has pppd run by somebody who may, where this process may not: see Host.
	// Program and Dir are his then. Nil runs it here.
	Far func(ctx context.Context, tty *os.File, o Options) (net.Conn, error)
	Log *slog.Logger
}

// Line is one port with at most one connection. Its methods may be called from any
// goroutine.
type Line struct {
	Config

	up    sync.Mutex // held by Up and Down, and for what follows
	found string     // the port whose state is known

	mu      sync.Mutex // guards what follows
	conn    *conn
	without []string // options that this pppd does not know
}

// New returns a line without a connection.
func New(c Config) *Line {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Line{Config: c}
}

// conn is a pppd and the port below it.
type conn struct {
	*process
	port string
	tty  *os.File // keeps the port open, and so in data mode, until it was hung up
	done chan struct{}

	stopped atomic.Bool // by us
}

const (
	stopTime   = 7 * time.Second // pppd tells the other end twice, 3 s apart (lcp-restart, lcp-max-terminate)
	giveUpTime = 2 * time.Second // the same of one that is not up yet
	hangUpTime = 10 * time.Second
	otherTime  = 3 * time.Second        // for IPv6 after IPv4, or the other way round
	quietTime  = 300 * time.Millisecond // pppd's lines about one protocol come together
)

// Find returns the path of pppd, or of program if it is named. Its error is
// exec.ErrNotFound.
func Find(program string) (string, error) {
	if program != "" {
		return exec.LookPath(program)
	}
	for _, name := range []string{"pppd", "/usr/sbin/pppd", "/sbin/pppd", "/usr/local/sbin/pppd"} { // a daemon's PATH may lack them
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// Up dials on a port and waits until an address is agreed on. A connection that was
// there is ended. Its error is Dial's, an *EndError, or the system's.
func (l *Line) Up(ctx context.Context, path string, call modem.Call) (Link, error) {
	l.up.Lock()
	defer l.up.Unlock()
	l.end(ctx)
	program := ""
	if l.Far == nil {
		var err error
		if program, err = Find(l.Program); err != nil {
			return Link{}, err
		}
	}
	tty, err := openTTY(path)
	if err != nil {
		return Link{}, err
	}
	if err := l.dial(ctx, path, tty, call); err != nil {
		if modem.NoAnswer(err) {
			l.hangUp(path, tty)
		}
		tty.Close()
		return Link{}, err
	}
	for {
		c, link, err := l.speak(ctx, program, path, tty, call)
		if c != nil && err == nil {
			l.mu.Lock()
			l.conn = c
			l.mu.Unlock()
			go l.attend(c)
			return link, nil
		}
		if !l.retry(c, err) {
			l.hangUp(path, tty)
			tty.Close()
			return Link{}, err
		}
	}
}

// dial opens the port for as long as the modem has to be spoken to. It may be in data
// mode still, from a process that was killed.
func (l *Line) dial(ctx context.Context, path string, tty *os.File, call modem.Call) error {
	if l.found != path {
		l.hangUp(path, tty)
	}
	l.found = path
	for try := 0; ; try++ {
		p, err := l.Open(ctx, path)
		if err != nil {
			return err
		}
		err = l.Dial(ctx, p, call)
		p.Close()
		silent := errors.Is(err, atcmd.ErrTimeout) || errors.Is(err, atcmd.ErrDesync)
		if !silent || try > 0 || ctx.Err() != nil {
			return err
		}
		// DTR may mean nothing to it.
		l.Log.Info("the port does not answer; it may be in data mode", "port", path)
		if p, err = l.Open(ctx, path); err != nil {
			return err
		}
		err = atcmd.Escape(ctx, p)
		p.Close()
		flush(tty)
		if err != nil {
			return err
		}
	}
}

// speak runs pppd until there is an address, or it has ended.
func (l *Line) speak(ctx context.Context, program, path string, tty *os.File, call modem.Call) (*conn, Link, error) {
	l.mu.Lock()
	without := slices.Clone(l.without)
	l.mu.Unlock()
	o := Options{call.Context.Type, call.Auth}
	var p *process
	file := ""
	if l.Far != nil {
		wire, err := l.Far(ctx, tty, o)
		if err != nil {
			return nil, Link{}, err
		}
		p = follow(wire, l.Log)
	} else {
		var err error
		if file, err = write(l.Dir, o.text(without)); err != nil {
			return nil, Link{}, err
		}
		defer os.Remove(file)
		if p, err = start(program, file, tty, l.Log, nil); err != nil {
			return nil, Link{}, err
		}
	}
	c := &conn{process: p, port: path, tty: tty, done: make(chan struct{})}
	link, err := p.agreed(ctx, o.Type, func() { os.Remove(file) })
	if err != nil {
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), giveUpTime)
		defer done()
		p.stop(stop)
		return c, Link{}, err
	}
	return c, link, nil
}

// write puts pppd's options where nobody else reads them. What a process that was
// killed has left there goes.
func write(dir, text string) (string, error) {
	old, _ := filepath.Glob(filepath.Join(dir, "ppp-options-*"))
	for _, name := range old {
		os.Remove(name)
	}
	f, err := os.CreateTemp(dir, "ppp-options-*") // with mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// retry reports whether pppd ended only for an option that it can do without. Host
// has tried that by itself.
func (l *Line) retry(c *conn, err error) bool {
	end, ok := errors.AsType[*EndError](err)
	if !ok || l.Far != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	option := c.unneeded(end, l.without)
	if option != "" {
		l.without = append(l.without, option)
	}
	return option != ""
}

// agreed waits for an address of each family that was asked for. The network may
// give one alone. read is called when the options have been read.
func (p *process) agreed(ctx context.Context, t modem.PDPType, read func()) (Link, error) {
	var other, quiet <-chan time.Time
	for {
		select {
		case <-p.changed:
			r := p.says()
			if r.Interface == "" {
				continue
			}
			read()
			four, six := r.Local.IsValid() || t == modem.IPv6, r.Identifier.IsValid() || t == modem.IPv4
			switch {
			case four && six:
				quiet = time.After(quietTime)
			case (r.Local.IsValid() || r.Identifier.IsValid()) && other == nil:
				other = time.After(otherTime)
			}
		case <-quiet:
			return p.says().Link, nil
		case <-other:
			return p.says().Link, nil
		case <-p.over:
			return Link{}, p.err
		case <-ctx.Done():
			return Link{}, fmt.Errorf("PPP is not up: %w", ctx.Err())
		}
	}
}

// attend waits for the end of a connection, and hangs up: nobody can speak to a port
// that stays in data mode.
func (l *Line) attend(c *conn) {
	<-c.over
	l.hangUp(c.port, c.tty)
	c.tty.Close()
	close(c.done)
	if !c.stopped.Load() {
		l.Log.Warn("the PPP connection has ended", "error", c.err)
		if l.Lost != nil {
			l.Lost()
		}
	}
}

func (l *Line) hangUp(path string, tty *os.File) {
	ctx, done := context.WithTimeout(context.Background(), hangUpTime)
	defer done()
	p, err := l.Open(ctx, path)
	if err != nil {
		l.Log.Debug("cannot hang up", "port", path, "error", err) // it went with its modem
		return
	}
	defer p.Close()
	if err := atcmd.HangUp(ctx, p); err != nil {
		l.Log.Debug("cannot hang up", "port", path, "error", err)
	}
	flush(tty) // what the modem said to that would be taken for an answer to something else
}

// Active returns the network interface of the connection, and whether there is one.
func (l *Line) Active() (ifname string, ok bool) {
	l.mu.Lock()
	c := l.conn
	l.mu.Unlock()
	if c == nil || !c.alive() {
		return "", false
	}
	return c.says().Interface, true
}

// Down ends the connection and returns when the port is free: pppd has some seconds,
// and no more than ctx, to tell the other end.
func (l *Line) Down(ctx context.Context) {
	l.up.Lock()
	defer l.up.Unlock()
	l.end(ctx)
}

func (l *Line) end(ctx context.Context) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c == nil {
		return
	}
	c.stopped.Store(true)
	c.stop(ctx)
	<-c.done
}
