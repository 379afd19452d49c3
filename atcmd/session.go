package atcmd

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/warthog618/modem/at"
)

// Port is the byte stream to a modem, as package port opens it.
type Port interface {
	// Read blocks until there is at least one byte. It fails with an error that
	// is ErrClosed after Close, and with one that is ErrGone when the device
	// vanished.
	io.Reader
	// WriteContext writes all of p, or fails when ctx ends.
	WriteContext(ctx context.Context, p []byte) error
	// Close makes Read and WriteContext return. No byte is written after it.
	Close() error
}

// Options are the settings of a Session. The zero value works.
type Options struct {
	Logger  *slog.Logger  // nil discards
	Timeout time.Duration // of a command that has none of its own; 0 means 10 s
	// Finals are further final result codes of this modem, beside those that
	// every session knows. They end any command, as errors.
	Finals []string
	// URCs are the tags of this modem's unsolicited result codes, "+QUSIM", or
	// their whole text when they have no tag, "RDY". The standard ones are known.
	URCs []string
	// Terminator ends a command line. Empty means CR.
	Terminator string
}

// Session runs AT commands on a port, one at a time, and takes the unsolicited
// result codes out. All methods may be called from any goroutine.
type Session struct{}

// New starts a session on p and owns p from then on.
func New(p Port, opts Options) *Session { return &Session{} }

// Do runs one command and returns its complete answer.
func (s *Session) Do(ctx context.Context, cmd Command) (Reply, error) { return Reply{}, ErrClosed }

// Run lets fn issue commands named like cmd through the library's at.AT.
func (s *Session) Run(ctx context.Context, cmd Command, fn func(*at.AT) error) error {
	return ErrClosed
}

// Exclusive keeps every other caller off the modem until the section is
// released, for sequences of commands that belong together.
func (s *Session) Exclusive(ctx context.Context) (*Section, error) { return nil, ErrClosed }

// Section is the right to run several commands with none of another caller in between.
type Section struct{}

// Do is Session.Do inside the section.
func (x *Section) Do(ctx context.Context, cmd Command) (Reply, error) { return Reply{}, ErrClosed }

// Run is Session.Run inside the section.
func (x *Section) Run(ctx context.Context, cmd Command, fn func(*at.AT) error) error {
	return ErrClosed
}

// Release ends the section. It may be called more than once.
func (x *Section) Release() {}

// Data dials and hands the byte stream over after CONNECT.
func (s *Session) Data(ctx context.Context, dial Command) (io.ReadWriteCloser, error) {
	return nil, ErrClosed
}

// URC is one unsolicited result code.
type URC struct {
	Line string // with its tag, without CR and LF
	Data string // the line that belongs to it: the PDU of +CMT; else empty
}

// Subscription receives the URCs that begin with its prefix, in order.
type Subscription struct{}

// Subscribe starts to collect URCs that begin with prefix; an empty prefix
// means all of them.
func (s *Session) Subscribe(prefix string) *Subscription { return &Subscription{} }

// C is the queue. It is closed when the subscription or the session ends.
func (u *Subscription) C() <-chan URC { return nil }

// Dropped is the number of URCs that were thrown away, oldest first, because
// the queue was full.
func (u *Subscription) Dropped() uint64 { return 0 }

// Close ends the subscription. It may be called more than once.
func (u *Subscription) Close() {}

// Close ends the session and closes its port.
func (s *Session) Close() error { return nil }

// Done is closed when the session has ended, by Close or because the port is gone.
func (s *Session) Done() <-chan struct{} { return nil }

// Err says why the session ended: ErrClosed, ErrGone or ErrDesync. It is nil before.
func (s *Session) Err() error { return nil }

// Stats are counters since New.
type Stats struct {
	Commands uint64
	Resyncs  uint64
	URCs     uint64
	Dropped  uint64
}

// Stats returns the counters.
func (s *Session) Stats() Stats { return Stats{} }
