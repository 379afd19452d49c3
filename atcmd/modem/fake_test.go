package modem

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

// script answers commands from a table: text -> answer. An answer is lines
// separated by '|', or an error. The last of several answers stays.
type script struct {
	t       *testing.T
	mu      sync.Mutex
	answers map[string][]any
	sent    []atcmd.Command
	strict  bool // a command that is not in the table is a mistake of the test
}

func newScript(t *testing.T, pairs ...any) *script {
	s := &script{t: t, answers: map[string][]any{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		cmd := pairs[i].(string)
		s.answers[cmd] = append(s.answers[cmd], pairs[i+1])
	}
	return s
}

func (s *script) Do(ctx context.Context, cmd atcmd.Command) (atcmd.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, cmd)
	if err := ctx.Err(); err != nil {
		return atcmd.Reply{}, err
	}
	queue := s.answers[cmd.Text]
	if len(queue) == 0 {
		if s.strict {
			s.t.Errorf("unexpected AT%s", cmd.Text)
		}
		return atcmd.Reply{}, &atcmd.FinalError{Command: cmd.Name(), Final: "ERROR"}
	}
	answer := queue[0]
	if len(queue) > 1 {
		s.answers[cmd.Text] = queue[1:]
	}
	switch a := answer.(type) {
	case error:
		return atcmd.Reply{}, a
	case int:
		return atcmd.Reply{}, &atcmd.CMEError{Command: cmd.Name(), Code: a, Text: fmt.Sprintf("code %d", a)}
	case string:
		r := atcmd.Reply{Final: "OK"}
		if a != "" {
			r.Lines = strings.Split(a, "|")
		}
		return r, nil
	}
	panic("script: unknown answer")
}

func (s *script) count(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sent {
		if c.Text == text {
			n++
		}
	}
	return n
}

// texts lists the commands that were sent.
func (s *script) texts() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, c := range s.sent {
		list = append(list, c.Text)
	}
	return strings.Join(list, "|")
}

func (s *script) modem(name string) *Modem { return New(s, dialect.ByName(name), nil) }
