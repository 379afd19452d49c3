package atcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/warthog618/modem/at"
)

// Port is the byte stream to a modem, as package port opens it.
type Port interface {
	// Read blocks until there is at least one byte, the port is closed, or the
	// device has vanished.
	io.Reader
	// WriteContext writes all of p, or fails when ctx ends. Its error may have a
	// method Written() int that tells how much of p was written before.
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
	// Terminator ends a command line. Empty means CR (V.250, S3).
	Terminator string
	// Queue is how many URCs a subscription holds; 0 means 256.
	Queue int
	// Trace, when set, sees every line as it is sent and received, without
	// secrets and with identities shortened. It is called from the session's own
	// goroutines: it must not block and must not call the session.
	Trace func(TraceEvent)
	// TraceAPDU leaves the payload of +CGLA, +CSIM and +CRSM in the trace. It
	// may hold keys.
	TraceAPDU bool
	// Dirty says that somebody used the port before and may have left a command
	// unanswered: a process that was killed, a session that ended with ErrDesync.
	// The session then finds the modem's step before its first command.
	Dirty bool
	// Resync says how the session finds its step again.
	Resync ResyncOptions
}

// ResyncOptions are the limits of the search for the modem's step after a
// command was given up (architecture: the wire).
type ResyncOptions struct {
	// Late is how long to wait for the final result code of the command that
	// was given up, before the modem is asked anything. 0 means 5 s.
	Late time.Duration
	// Step is how long each question waits for its answer; 0 means 2 s.
	Step time.Duration
	// Queries are the questions: queries whose answer carries their own name and
	// which no URC has. Empty means +CMEE?, +CSCS? and +CFUN?. At least two.
	Queries []string
}

const (
	defaultTimeout = 10 * time.Second
	defaultLate    = 5 * time.Second
	defaultStep    = 2 * time.Second
	defaultQueue   = 256
)

// Session runs AT commands on a port, one at a time, and takes the unsolicited
// result codes out. All methods may be called from any goroutine.
//
// Every command is issued by the library's at.AT, which sits on the session's
// wire and sees nothing but complete answers.
type Session struct {
	port Port
	opts Options
	log  *slog.Logger
	wire *wire
	at   *at.AT

	turn chan struct{}   // holds one element while somebody may use the modem
	ctx  context.Context // ends with the session
	stop context.CancelFunc
	work sync.WaitGroup // resynchronisations
	done chan struct{}

	mu      sync.Mutex
	err     error
	run     *run          // the call of Do or Run that has the turn
	cur     *exchange     // the command that the modem is working on
	late    []*exchange   // given up, and the wire is not yet in step again
	settled chan struct{} // closed when the wire is in step
	inData  chan struct{} // closed while the port carries a data call
	lastAsk string        // the last question of a resynchronisation
	knows   bool          // the modem answered a question by its name before
	urcs    map[string]bool
	subs    []*Subscription
	stats   Stats
	// maybeURC is how many of Stats.Late were lines that a URC may be.
	maybeURC uint64

	in reader // of the reading goroutine alone
}

// New starts a session on p and owns p from then on.
func New(p Port, opts Options) *Session {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Terminator == "" {
		opts.Terminator = "\r"
	}
	if opts.Queue <= 0 {
		opts.Queue = defaultQueue
	}
	if opts.Resync.Late <= 0 {
		opts.Resync.Late = defaultLate
	}
	if opts.Resync.Step <= 0 {
		opts.Resync.Step = defaultStep
	}
	if len(opts.Resync.Queries) == 0 {
		// +CFUN last: some firmwares also write it unasked when they start.
		opts.Resync.Queries = []string{"+CMEE?", "+CSCS?", "+CFUN?"}
	}
	s := &Session{
		port:    p,
		opts:    opts,
		log:     opts.Logger,
		turn:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		settled: make(chan struct{}),
		inData:  make(chan struct{}),
		urcs:    make(map[string]bool),
	}
	close(s.settled)
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, list := range [][]string{standardURCs, opts.URCs} {
		for _, name := range list {
			s.urcs[strings.ToUpper(name)] = true
		}
	}
	s.wire = newWire(s)
	// Time-outs are the wire's, which knows when a command was written.
	s.at = at.New(s.wire, at.WithTimeout(-1))
	if opts.Dirty {
		// What may still come is the answer to a command that nobody knows.
		unknown := newExchange(s.ctx, Command{Bare: true})
		unknown.echo, unknown.unknown = "", true
		s.unsettle(unknown)
	}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		s.read()
	}()
	go func() {
		<-reading // only ends after fail, so that no work is added any more
		s.work.Wait()
		<-s.at.Closed()
		s.mu.Lock()
		for _, u := range s.subs {
			u.closeLocked()
		}
		s.subs = nil
		s.mu.Unlock()
		close(s.done)
	}()
	return s
}

// Do runs one command and returns its complete answer.
//
// The error is a *CMEError, *CMSError or *FinalError when the modem answered
// with one; ErrTimeout when it did not answer within cmd.Timeout; the context's
// when that ended first, with ErrTimeout if it was its deadline; ErrGone,
// ErrClosed or ErrDesync when the session is over; ErrTooLong or ErrCommand.
// ErrNotSent is among them whenever nothing reached the modem.
func (s *Session) Do(ctx context.Context, cmd Command) (Reply, error) {
	if err := s.takeTurn(ctx, cmd); err != nil {
		return Reply{}, err
	}
	defer s.giveTurn()
	return s.do(ctx, cmd)
}

// Run lets fn issue commands through the library's at.AT, for what the library
// does on top of it, such as sending a message with its package gsm. cmd
// describes these commands: fn may issue any with the same name, anything else
// is refused with ErrCommand. Each has cmd's Timeout.
//
// An information line that does not begin with a tag reaches fn behind Mark.
// at.AT is not to be used after fn returned, and no indication is to be
// registered with it: URCs never reach it.
//
// If fn returns an error and the wire knows the cause, the cause is returned,
// with the types that Do has.
func (s *Session) Run(ctx context.Context, cmd Command, fn func(*at.AT) error) error {
	if err := s.takeTurn(ctx, cmd); err != nil {
		return err
	}
	defer s.giveTurn()
	_, err := s.runTurn(ctx, cmd, nil, fn)
	return err
}

func (s *Session) do(ctx context.Context, cmd Command) (Reply, error) {
	r, err := s.runTurn(ctx, cmd, nil, func(a *at.AT) error {
		info, err := a.Command(cmd.Text)
		if err != nil {
			return err
		}
		return s.checkInfo(info)
	})
	if err != nil {
		return Reply{}, err
	}
	return r.reply, nil
}

// runTurn runs fn for a caller that has the turn. The run is nil when it did not
// come to it.
func (s *Session) runTurn(ctx context.Context, cmd Command, d *dataCall, fn func(*at.AT) error) (*run, error) {
	if err := checkText(cmd); err != nil {
		return nil, err
	}
	if err := s.waitSettled(ctx, cmd); err != nil {
		return nil, err
	}
	r := &run{ctx: ctx, cmd: cmd, data: d}
	s.mu.Lock()
	s.run = r
	s.mu.Unlock()
	err := fn(s.at)
	if x := r.text; x != nil {
		// The modem waits for a text that nobody is going to write.
		x.cancel()
		s.giveUp(x)
	}
	s.mu.Lock()
	s.run = nil
	cause, ended := r.err, s.err
	s.mu.Unlock()
	switch {
	case err == nil:
		return r, nil
	case cause != nil:
		return r, cause
	case ended != nil && r.sent:
		return r, fmt.Errorf("AT%s: %w", cmd.Name(), ended)
	case ended != nil:
		return r, notSent(cmd, ended)
	}
	return r, err
}

// takeTurn waits until nobody else uses the modem.
func (s *Session) takeTurn(ctx context.Context, cmd Command) error {
	if err := ctx.Err(); err != nil {
		return notSent(cmd, context.Cause(ctx))
	}
	s.mu.Lock()
	inData := s.inData
	s.mu.Unlock()
	select {
	case <-inData:
		return notSent(cmd, ErrDataMode)
	default:
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-inData:
		return notSent(cmd, ErrDataMode)
	case <-ctx.Done():
		return notSent(cmd, context.Cause(ctx))
	case <-s.ctx.Done():
		return notSent(cmd, s.Err())
	}
}

func (s *Session) giveTurn() { <-s.turn }

// waitSettled waits until the answers are in step with the commands.
func (s *Session) waitSettled(ctx context.Context, cmd Command) error {
	s.mu.Lock()
	settled := s.settled
	s.mu.Unlock()
	select {
	case <-settled:
	case <-ctx.Done():
		return notSent(cmd, context.Cause(ctx))
	case <-s.ctx.Done():
	}
	if err := s.Err(); err != nil {
		return notSent(cmd, err)
	}
	return nil
}

func notSent(cmd Command, cause error) error {
	return fmt.Errorf("AT%s: %w: %w", cmd.Name(), ErrNotSent, cause)
}

// checkText keeps one command one command: a parameter with a line end in it
// would be a second command.
func checkText(cmd Command) error {
	for _, c := range []byte(cmd.Text) {
		if c < ' ' || c == 0x7f {
			return fmt.Errorf("AT%s: %w: %w: control character in it", printable(cmd.Name()), ErrNotSent, ErrCommand)
		}
	}
	if len(cmd.Text) > maxLine {
		return fmt.Errorf("AT%s: %w: %w: longer than %d bytes", cmd.Name(), ErrNotSent, ErrCommand, maxLine)
	}
	return nil
}

func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
}

// Exclusive keeps every other caller off the modem until the section is
// released, for sequences of commands that belong together: an APDU exchange,
// a slot switch. Session.Do called by the owner of a section waits for its
// release; use the section's.
func (s *Session) Exclusive(ctx context.Context) (*Section, error) {
	if err := s.takeTurn(ctx, Command{}); err != nil {
		return nil, err
	}
	return &Section{s: s}, nil
}

// Section is the right to run several commands with none of another caller in
// between. It is for one goroutine at a time.
type Section struct {
	s        *Session
	released bool
}

// Do is Session.Do inside the section.
func (x *Section) Do(ctx context.Context, cmd Command) (Reply, error) {
	if x.released {
		return Reply{}, notSent(cmd, errReleased)
	}
	return x.s.do(ctx, cmd)
}

// Run is Session.Run inside the section.
func (x *Section) Run(ctx context.Context, cmd Command, fn func(*at.AT) error) error {
	if x.released {
		return notSent(cmd, errReleased)
	}
	_, err := x.s.runTurn(ctx, cmd, nil, fn)
	return err
}

// Raw is Do for a command that a person typed. Every line that is no URC known to
// this session is part of its answer, and the answer comes beside the error when
// the modem's final result code is what the error tells.
func (x *Section) Raw(ctx context.Context, cmd Command) (Reply, error) {
	if x.released {
		return Reply{}, notSent(cmd, errReleased)
	}
	cmd.Bare, cmd.raw = true, true
	r, err := x.s.runTurn(ctx, cmd, nil, func(a *at.AT) error {
		_, err := a.Command(cmd.Text)
		return err
	})
	if r == nil {
		return Reply{}, err
	}
	return r.reply, err
}

// Release ends the section. It may be called more than once.
func (x *Section) Release() {
	if !x.released {
		x.released = true
		x.s.giveTurn()
	}
}

var errReleased = errors.New("exclusive section was released")

// Close ends the session, closes its port, and waits until every goroutine of
// the session has ended. A command that runs ends with ErrClosed.
func (s *Session) Close() error {
	s.fail(ErrClosed)
	<-s.done
	return nil
}

// fail ends the session for the first reason given.
func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	s.mu.Unlock()
	if !errors.Is(err, ErrClosed) {
		s.log.Warn("modem session ended", "err", err)
	}
	s.stop()
	if err := s.port.Close(); err != nil {
		s.log.Debug("closing the modem port", "err", err)
	}
}

// Done is closed when the session has ended, by Close or because the port is
// gone, and no goroutine of it is left.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session ended: it is ErrClosed, ErrGone or ErrDesync, or
// nil as long as it goes on.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stats are counters since New.
type Stats struct {
	Commands uint64 // lines sent, questions of resynchronisations not included
	GivenUp  uint64 // commands that timed out or were cancelled after they were sent
	Resyncs  uint64 // searches for the modem's step
	URCs     uint64 // received
	Dropped  uint64 // URCs that a full subscription threw away
	Late     uint64 // lines of given-up commands, and final result codes of none, that were thrown away
	TooLong  uint64 // lines that did not fit
}

// Stats returns the counters.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
