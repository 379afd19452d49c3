package es9p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"dynamod/euicc"
)

// GetBoundProfilePackage fetches the profile, bound to the card's one-time key
// (SGP.22 5.6.2).
type GetBoundProfilePackage struct {
	TransactionID euicc.TransactionID
	Response      []byte // of ES10b.PrepareDownload
}

// ErrTransaction is an answer for another session than was asked for.
var ErrTransaction = errors.New("answer is for another transaction ID")

// readSize is how much of a body is taken from the connection at once.
const readSize = 4 << 10

// Package is a Bound Profile Package while it arrives: a reader of its bytes,
// decoded from JSON and base64 as they come, with a few kilobytes held.
//
// The JSON text may have its fields in any order, so that the status of the
// answer and its transaction ID may come behind the package. Read therefore ends
// with io.EOF only when the whole answer is there and says that the function was
// executed for the session that was asked for. Every other end is the error that
// the answer would have been in one piece: *StatusError or *BodyError. Who passes
// the package on while it arrives has to hold back what cannot be undone, which
// is its last segment, until io.EOF.
type Package struct {
	function string
	want     euicc.TransactionID
	answer   *http.Response
	fields   fields
	text     *text64
	err      error // how the stream ended
	cancel   context.CancelCauseFunc
	log      func(error) // nil once it is closed
	ahead    *ahead      // of Ahead
}

// Execute posts the request to server and returns when the answer has come as
// far as the package. The Package has to be closed. It ends with ctx.
//
// The client's time limit holds for each wait for the network; the time that a
// slow card takes between two calls of Read does not count.
func (r GetBoundProfilePackage) Execute(ctx context.Context, c *Client, server string) (_ *Package, err error) {
	const function = "getBoundProfilePackage"
	req := struct {
		TransactionID euicc.TransactionID `json:"transactionId"`
		Response      Base64              `json:"prepareDownloadResponse"`
	}{r.TransactionID, r.Response}
	p := &Package{function: function, want: r.TransactionID, log: c.logged(ctx, server, function)}
	ctx, p.cancel = context.WithCancelCause(ctx)
	wait := &patience{limit: c.timeout, left: c.total, cancel: p.cancel}
	defer func() {
		if err != nil {
			p.err = err
			p.Close()
		}
	}()
	wait.begin()
	p.answer, err = c.send(ctx, server, function, req)
	wait.end()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
			err = &NetworkError{Function: function, Server: server, Err: cause}
		}
		return nil, err
	}
	if err := p.begin(&answerBody{ctx: ctx, r: p.answer.Body, wait: wait, left: c.maxBody, tooLong: c.tooLong()}); err != nil {
		return nil, err
	}
	return p, nil
}

// begin reads the answer's body up to the package.
func (p *Package) begin(body io.Reader) error {
	in := bufio.NewReaderSize(body, readSize)
	p.fields.r, p.text = in, newText64(in)
	if mark, err := in.Peek(len(bom)); err == nil && string(mark) == bom {
		in.Discard(len(bom))
	}
	for {
		first, err := p.fields.r.Peek(1)
		if err == nil && blank(first[0]) {
			p.fields.r.Discard(1)
			continue
		}
		if err == nil && first[0] == '{' && p.answer.StatusCode/100 == 2 {
			break
		}
		// Somebody else's page, or a refusal: short enough for one piece.
		data, err := io.ReadAll(io.LimitReader(p.fields.r, maxPage))
		if err != nil {
			return p.diagnose(err)
		}
		if err := decode(p.function, p.answer, data, new(struct{})); err != nil {
			return err
		}
		return &BodyError{Function: p.function, Err: errNoStatus}
	}
	if err := p.fields.begin(); err != nil {
		return p.diagnose(err)
	}
	begun, err := p.fields.next()
	if err == nil && begun && !p.fields.header.there() {
		return nil // whether it was executed is said behind the package
	}
	if err := p.check(err); err != nil {
		return err
	}
	if !begun {
		return &BodyError{Function: p.function, Err: errors.New("it lacks boundProfilePackage")}
	}
	if p.fields.idThere {
		return p.checkID()
	}
	return nil
}

// check judges what has been read, and err, with which the reading ended. A
// refusal counts more than anything else: it says what became of the order.
func (p *Package) check(err error) error {
	if refusal := p.fields.header.refused(p.function); refusal != nil {
		return refusal
	}
	switch {
	case err != nil:
		return p.diagnose(err)
	case p.fields.wrong != nil:
		return p.diagnose(p.fields.wrong)
	case !p.fields.header.there():
		return &BodyError{Function: p.function, Err: errNoStatus}
	}
	return nil
}

// Ahead begins to take the package in, in a goroutine that Close waits for, up
// to 128 KiB ahead of the reader that it returns. That one takes the place of p.
func (p *Package) Ahead() io.Reader {
	p.ahead = newAhead(p)
	return p.ahead
}

// Memory returns how many bytes of buffers were made for the package so far: two
// to read and decode with, and those of Ahead.
func (p *Package) Memory() int {
	n := readSize + decoderSize
	if p.ahead != nil {
		n += p.ahead.size()
	}
	return n
}

// maxPage is how much is read of what answers in place of an RSP server.
const maxPage = 64 << 10

// Read decodes what has arrived and waits only when nothing has. See Package for
// its errors.
func (p *Package) Read(b []byte) (int, error) {
	for p.err == nil && len(b) > 0 {
		n, err := p.text.Read(b)
		switch err {
		case nil:
		case io.EOF:
			p.err = p.end()
		default:
			p.err = p.diagnose(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, p.err
}

// end reads what follows the package. io.EOF is what it wishes for.
func (p *Package) end() error {
	_, err := p.fields.next()
	if err := p.check(err); err != nil {
		return err
	}
	if err := p.checkID(); err != nil {
		return err
	}
	return io.EOF
}

func (p *Package) checkID() error {
	id, err := euicc.ParseTransactionID(p.fields.id)
	if err == nil && !id.Equal(p.want) {
		err = ErrTransaction
	}
	if err != nil {
		return &BodyError{Function: p.function, Err: err}
	}
	return nil
}

// diagnose makes a *BodyError of what the layers below return.
func (p *Package) diagnose(err error) error {
	switch {
	case errors.Is(err, errSyntax), errors.Is(err, errBase64), errors.Is(err, errTooLong):
		return &BodyError{Function: p.function, Err: err}
	case err == io.ErrUnexpectedEOF:
		err = errors.New("the JSON text ends too early")
	}
	return &BodyError{Function: p.function, Truncated: true, Err: err}
}

// Close ends the request. Of a package that was read to io.EOF the connection
// stays open for the next request.
func (p *Package) Close() error {
	if p.log == nil {
		return nil
	}
	// In this order: a body that has come to its end has given its connection
	// back, and cancelling does nothing to it any more.
	p.cancel(nil)
	if p.ahead != nil {
		p.ahead.close()
	}
	if p.answer != nil {
		p.answer.Body.Close()
	}
	err := p.err
	if err == io.EOF {
		err = nil
	}
	p.log(err)
	p.log = nil
	return nil
}

// errTooLong is a body of more than Config.MaxBody.
var errTooLong = errors.New("body is too long")

func (c *Client) tooLong() error { return fmt.Errorf("%w: more than %d bytes", errTooLong, c.maxBody) }

// answerBody is the body of an answer: bounded, and each wait for it too.
type answerBody struct {
	ctx     context.Context
	r       io.Reader
	wait    *patience
	left    int64
	tooLong error
}

func (b *answerBody) Read(p []byte) (int, error) {
	b.wait.begin()
	n, err := b.r.Read(p)
	b.wait.end()
	if b.left -= int64(n); b.left < 0 {
		return 0, b.tooLong
	}
	if err != nil && err != io.EOF {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// patience cancels a context when one wait takes longer than its limit, or all of
// them together have taken too long: a server that sends a byte now and then must
// not hold card and session for ever.
type patience struct {
	limit  time.Duration
	left   time.Duration // of all waits
	since  time.Time
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (p *patience) begin() {
	limit := max(min(p.limit, p.left), 0)
	p.since = time.Now()
	if p.timer == nil {
		p.timer = time.AfterFunc(limit, func() { p.cancel(context.DeadlineExceeded) })
		return
	}
	p.timer.Reset(limit)
}

func (p *patience) end() {
	p.timer.Stop()
	p.left -= time.Since(p.since)
}
