package atcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Mark stands before each information line that at.AT could take for an echo,
// a prompt or a final result code, when Session.Run hands it over.
const Mark = "\x02"

const (
	escape = "\x1b" // gives up a message text (27.005 3.5.1)
	sub    = "\x1a" // ends a message text

	// maxInfo bounds an information line as at.AT sees it: a line of 64 KiB
	// makes its scanner give up. Reply has the whole line.
	maxInfo = 32 << 10
)

// run is one call of Do or Run that has the turn.
type run struct {
	ctx  context.Context
	cmd  Command
	data *dataCall // set when the CONNECT of this command hands over the port

	// Written on at.AT's goroutine while the caller waits for at.AT.
	reply Reply     // of the last command
	err   error     // why the last command failed
	dead  bool      // a command was given up; nothing more may be sent
	sent  bool      // something was
	text  *exchange // waits for the message text after its prompt
}

// exchange is one command line and its answer.
type exchange struct {
	cmd     Command
	ctx     context.Context
	cancel  context.CancelFunc
	tags    []string
	listed  int    // of tags: as many as the command listed itself
	call    bool   // starts a call
	set     bool   // is a set command
	unknown bool   // sent before the session began
	query   bool   // asked by a resynchronisation: finals count after its own tag only
	named   bool   // its own tag came
	finals  int    // final result codes that came before it
	text    bool   // a message text follows after a prompt
	echo    string // what may still come back of what was sent
	data    *dataCall

	lines  []string
	size   int
	tooBig bool
	final  string
	kind   finalKind
	over   chan struct{} // closed with the final result code
	prompt chan struct{} // receives the prompt
}

func newExchange(ctx context.Context, cmd Command) *exchange {
	x := &exchange{
		cmd:    cmd,
		ctx:    ctx,
		tags:   cmd.Tags,
		listed: len(cmd.Tags),
		call:   isCall(cmd.Text),
		set:    strings.Contains(cmd.Text, "=") && !strings.Contains(cmd.Text, "?"),
		echo:   "AT" + cmd.Text,
		over:   make(chan struct{}),
		prompt: make(chan struct{}, 1),
	}
	if !x.call {
		x.tags = append(x.tags[:x.listed:x.listed], commandTags(cmd.Text)...)
	}
	return x
}

// wire is what at.AT takes for the modem. at.AT writes a command line; the wire
// sends it, collects the answer, and hands it over when it is complete.
type wire struct {
	s    *Session
	feed chan string // complete answers for at.AT; at most one is on its way
	rest string
}

func newWire(s *Session) *wire { return &wire{s: s, feed: make(chan string, 1)} }

// Read is called by at.AT's line reader.
func (w *wire) Read(p []byte) (int, error) {
	if w.rest == "" {
		select {
		case w.rest = <-w.feed:
		case <-w.s.ctx.Done():
			return 0, io.EOF
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// Write is called on at.AT's command goroutine, with a whole command line or a
// whole message text. It returns when the modem has answered, or when the
// command is given up.
func (w *wire) Write(p []byte) (int, error) {
	s := w.s
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return 0, errors.New("no command is expected")
	}
	line := string(p)
	if strings.HasPrefix(line, escape) {
		// at.AT's way to give up a message text, and the beginning of its Init.
		// The first is the wire's own business, the second is not wanted.
		return 0, w.refuse(r)
	}
	answer, err := w.ask(r, line)
	if err != nil {
		s.mu.Lock()
		r.err = err
		s.mu.Unlock()
		if answer == "" {
			return 0, err
		}
	}
	select {
	case w.feed <- answer:
		return len(p), nil
	case <-s.ctx.Done():
		return 0, io.ErrClosedPipe
	}
}

// ask carries out one write of at.AT and returns what at.AT is to read. The
// answer is empty when the write itself has to fail.
func (w *wire) ask(r *run, line string) (answer string, err error) {
	s := w.s
	if x := r.text; x != nil {
		r.text = nil
		return w.sendText(r, x, line)
	}
	text, ok := strings.CutPrefix(line, "AT")
	if !ok {
		return "", refused(r.cmd)
	}
	text, whole := strings.CutSuffix(text, "\r\n")
	text = strings.TrimSuffix(text, "\r")
	cmd := r.cmd
	if text != cmd.Text {
		cmd.Text = text
		if !strings.EqualFold(cmd.Name(), r.cmd.Name()) || checkText(cmd) != nil {
			return "", refused(r.cmd)
		}
	}
	if r.dead {
		return "", notSent(cmd, ErrTimeout)
	}
	timeout := cmd.Timeout
	if timeout <= 0 {
		timeout = s.opts.Timeout
	}
	// For a message the limit covers the command, its prompt, the text and the
	// answer; without a text it ends with await.
	ctx, cancel := context.WithTimeoutCause(r.ctx, timeout, ErrTimeout)
	x := newExchange(ctx, cmd)
	x.cancel = cancel
	x.text = !whole
	x.data = r.data
	if err := s.send(x, "AT"+text+s.opts.Terminator); err != nil {
		cancel()
		r.sent = r.sent || !errors.Is(err, ErrNotSent)
		r.dead = !errors.Is(err, ErrNotSent)
		return "", err
	}
	r.sent = true
	if x.text {
		select {
		case <-x.prompt:
			r.text = x
			return ">", nil
		case <-x.over:
		case <-ctx.Done():
		case <-s.ctx.Done():
		}
	}
	return w.await(r, x)
}

// sendText writes a message text after its prompt.
func (w *wire) sendText(r *run, x *exchange, text string) (string, error) {
	s := w.s
	s.mu.Lock()
	x.echo = strings.TrimSuffix(text, sub)
	s.mu.Unlock()
	s.traceText(text)
	if err := s.port.WriteContext(x.ctx, []byte(text)); err != nil {
		if err := s.writeFailed(x, err, true); err != nil {
			x.cancel()
			r.dead = true
			return "", err
		}
	}
	return w.await(r, x)
}

// await waits for the final result code and makes the answer that at.AT reads.
func (w *wire) await(r *run, x *exchange) (string, error) {
	s := w.s
	defer x.cancel()
	select {
	case <-x.over:
	case <-x.ctx.Done():
		if err := s.giveUp(x); err != nil {
			r.dead = true
			return "", err
		}
	case <-s.ctx.Done():
		select {
		case <-x.over: // the answer was complete before
		default:
			return "", s.ended(x)
		}
	}
	if x.tooBig {
		return "", fmt.Errorf("AT%s: %w", x.cmd.Name(), ErrTooLong)
	}
	var b strings.Builder
	for _, line := range x.lines {
		if _, tagged := tagOf(line); !tagged || namedError(line) {
			b.WriteString(Mark)
		}
		b.WriteString(line[:min(len(line), maxInfo)])
		b.WriteString("\r\n")
	}
	r.reply = Reply{Lines: x.lines, Final: x.final}
	if x.kind == finalError {
		b.WriteString("ERROR\r\n")
		return b.String(), finalErr(x.cmd.Name(), x.final)
	}
	s.mu.Lock()
	r.err = nil
	s.mu.Unlock()
	b.WriteString("OK\r\n")
	return b.String(), nil
}

// checkInfo holds at.AT to what the wire gave it.
func (s *Session) checkInfo(info []string) error {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if len(info) != len(r.reply.Lines) {
		return fmt.Errorf("AT%s: %w: %d of %d lines arrived", r.cmd.Name(), ErrDesync, len(info), len(r.reply.Lines))
	}
	return nil
}

// refuse turns an escape down, and keeps the error that may have caused it.
func (w *wire) refuse(r *run) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if r.err == nil {
		r.err = refused(r.cmd)
	}
	return r.err
}

func refused(cmd Command) error {
	return fmt.Errorf("AT%s: %w: %w: only commands of this name may be issued here", cmd.Name(), ErrNotSent, ErrCommand)
}

// send writes a command line and makes x the running command.
func (s *Session) send(x *exchange, line string) error {
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return notSent(x.cmd, s.err)
	}
	s.cur = x
	if !x.query {
		s.stats.Commands++
	}
	s.mu.Unlock()
	s.traceSent(x.cmd)
	if err := s.port.WriteContext(x.ctx, []byte(line)); err != nil {
		return s.writeFailed(x, err, false)
	}
	return nil
}

// writeFailed settles what a failed write means: nothing sent, something sent
// and the wire out of step, or no port any more.
func (s *Session) writeFailed(x *exchange, err error, begun bool) error {
	if x.ctx.Err() == nil {
		s.fail(fmt.Errorf("%w: %w", ErrGone, err))
		return s.ended(x)
	}
	var partial interface{ Written() int }
	if !begun && errors.As(err, &partial) && partial.Written() == 0 {
		s.mu.Lock()
		s.cur = nil
		s.mu.Unlock()
		return fmt.Errorf("%w: port takes no data: %w", x.cause(), ErrNotSent)
	}
	return s.giveUp(x)
}

// giveUp leaves a command whose context has ended to the resynchronisation. It
// returns nil when the final result code came at the last moment.
func (s *Session) giveUp(x *exchange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-x.over:
		return nil
	default:
	}
	s.cur = nil
	if !x.query {
		s.stats.GivenUp++
	}
	if s.err == nil {
		s.unsettle(x)
	}
	return x.cause()
}

// cause is the error of a command whose context has ended.
func (x *exchange) cause() error {
	name := x.cmd.Name()
	err, cause := x.ctx.Err(), context.Cause(x.ctx)
	switch {
	case cause == ErrTimeout:
		return fmt.Errorf("AT%s: %w", name, ErrTimeout)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("AT%s: %w: %w", name, ErrTimeout, err)
	case cause != err:
		return fmt.Errorf("AT%s: %w: %w", name, err, cause)
	}
	return fmt.Errorf("AT%s: %w", name, err)
}

// ended is the error of a command that the end of the session cut short.
func (s *Session) ended(x *exchange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = nil
	return fmt.Errorf("AT%s: %w", x.cmd.Name(), s.err)
}
