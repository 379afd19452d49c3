package ppp

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What is said over the wire between a Line and the Host of its pppd. The host
// tells the log and the end, "log LINE" and "end STATUS"; the line may say "term" or
// "kill". When it hangs up, pppd is asked to end.
const (
	sayLog, sayEnd   = "log ", "end "
	sayTerm, sayKill = "term", "kill"

	wireTime = 2 * time.Second // for one line to be taken, and for the end of who was killed
)

// follow is the process at the other end of a wire.
func follow(wire net.Conn, log *slog.Logger) *process {
	p := newProcess(log)
	say := func(word string) {
		wire.SetWriteDeadline(time.Now().Add(wireTime))
		fmt.Fprintln(wire, word)
	}
	p.end = func(hard bool) {
		if !hard {
			say(sayTerm)
			return
		}
		say(sayKill)
		wire.SetReadDeadline(time.Now().Add(wireTime)) // whoever runs it may hang
	}
	go func() {
		defer close(p.over)
		defer wire.Close()
		end := &EndError{Code: -1, Text: "the helper that ran it is gone"}
		lines := bufio.NewScanner(wire) // with its own limit, 64 kB
		for lines.Scan() {
			if line, ok := strings.CutPrefix(lines.Text(), sayLog); ok {
				p.Write([]byte(line + "\n"))
			} else if code, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), sayEnd)); err == nil {
				end = &EndError{Code: code, Text: p.says().last}
				break
			}
		}
		p.mu.Lock()
		p.err = end
		p.mu.Unlock()
	}()
	return p
}

// Host runs pppd for the Line at the other end of a wire, as its Far, on a tty that
// the line has opened and dialled on. It returns when pppd has ended, which it does
// when the wire is hung up or ctx ends. dir takes pppd's options for a moment. Which of
// them this pppd does not know is found out here: whoever is at the other end must not
// choose what it is run without.
func Host(ctx context.Context, wire net.Conn, program, dir string, tty *os.File, o Options, log *slog.Logger) error {
	say := func(line string) {
		wire.SetWriteDeadline(time.Now().Add(wireTime))
		fmt.Fprintln(wire, line)
	}
	defer keepMode(tty)()
	gone := make(chan struct{})
	defer close(gone)
	heard := make(chan string)
	go func() {
		defer close(heard)
		for lines := bufio.NewScanner(wire); lines.Scan(); {
			select {
			case heard <- lines.Text():
			case <-gone:
				return
			}
		}
	}()
	var without []string
	for told := false; ; {
		file, err := write(dir, o.text(without))
		if err != nil {
			return err
		}
		defer os.Remove(file)
		p, err := start(program, file, tty, log, func(line string) { say(sayLog + line) })
		if err != nil {
			return err
		}
		for read := false; p.alive(); {
			select {
			case <-p.changed:
				if !read && p.says().Interface != "" {
					read = true
					os.Remove(file)
				}
			case word, ok := <-heard:
				told = true
				switch {
				case !ok:
					p.stop(context.Background())
				case word == sayTerm:
					p.end(false)
				case word == sayKill:
					p.end(true)
				}
			case <-ctx.Done():
				told = true
				p.stop(context.Background())
			case <-p.over:
			}
		}
		option := p.unneeded(p.err, without)
		if told || option == "" {
			say(sayEnd + strconv.Itoa(p.err.Code))
			return nil
		}
		without = append(without, option)
	}
}

// keepMode returns what gives a tty the mode back that it has now: pppd takes the
// group's right to write, and gives it back only where it is not killed.
func keepMode(tty *os.File) func() {
	info, err := tty.Stat()
	if err != nil {
		return func() {}
	}
	return func() { tty.Chmod(info.Mode().Perm()) }
}
