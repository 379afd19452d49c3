package ppp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"
)

// process is a pppd.
type process struct {
	log  *slog.Logger
	end  func(hard bool)   // asks it to end, or kills it
	tell func(line string) // is given each line of its log; nil is fine
	over chan struct{}     // closed when it has ended

	mu      sync.Mutex
	rest    []byte // of a line that is not complete
	report  report
	changed chan struct{} // has an element after a change of report
	err     *EndError     // set before over is closed
}

// scriptsEnd is how long pppd's scripts may hold its log open after its end.
const scriptsEnd = time.Second

func newProcess(log *slog.Logger) *process {
	return &process{log: log, over: make(chan struct{}), changed: make(chan struct{}, 1)}
}

// start runs pppd on a tty. It dies with this process: nobody would take the link
// down after us, and the port would stay busy.
func start(program, file string, tty *os.File, log *slog.Logger, tell func(line string)) (*process, error) {
	cmd := exec.Command(program, "file", file)
	p := newProcess(log)
	p.tell = tell
	p.end = func(hard bool) {
		if hard {
			cmd.Process.Kill()
		} else {
			cmd.Process.Signal(terminate)
		}
	}
	// Its terminal is the one on its standard input (pppd(8), ttyname).
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, p, p
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = scriptsEnd
	detach(cmd)
	started := make(chan error, 1)
	go func() {
		defer close(p.over)
		// The child is to die with its parent, which is this thread. It is not
		// given back, so that it ends with this goroutine and nothing else.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			log.Debug("pppd", "end", err)
		}
		p.mu.Lock()
		p.err = &EndError{Code: cmd.ProcessState.ExitCode(), Text: p.report.last}
		p.mu.Unlock()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// maxLine bounds a line of the log.
const maxLine = 4096

// Write takes the log.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, b...)
	news := false
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			break
		}
		p.log.Debug("pppd", "says", printable(string(line)))
		if p.tell != nil {
			p.tell(string(line))
		}
		news = p.report.line(string(line)) || news
		p.rest = rest
	}
	if len(p.rest) > maxLine {
		p.rest = nil
	}
	if news {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	return len(b), nil
}

func (p *process) says() report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.report
	r.DNS = append(r.DNS[:0:0], r.DNS...)
	return r
}

// unneeded is the option for which alone it has ended, "" if it is none that it can do
// without, or was given none such.
func (p *process) unneeded(end *EndError, without []string) string {
	option := p.says().unknown
	if end.Code != codeOptions || !slices.Contains(dispensable, option) || slices.Contains(without, option) {
		return ""
	}
	p.log.Debug("this pppd does not know an option", "option", option)
	return option
}

// alive reports whether it runs.
func (p *process) alive() bool {
	select {
	case <-p.over:
		return false
	default:
		return true
	}
}

// stop ends it: politely, so that the other end is told, then not.
func (p *process) stop(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, stopTime)
	defer done()
	p.end(false)
	select {
	case <-p.over:
	case <-ctx.Done():
		if p.alive() {
			p.log.Warn("pppd does not end; it is killed")
			p.end(true)
			<-p.over
		}
	}
}
