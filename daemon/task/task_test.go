package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var noMap map[string]int

const secret = "LPA:1$smdp.example.com$SECRET-MATCHING-ID"

func TestPanicIsContained(t *testing.T) {
	failed := errors.New("broken")
	for _, tt := range []struct {
		name   string
		panics int           // of the first task
		every  time.Duration // between the task's beginning and its panic
		then   error         // of the first task, after its panics
		want   string        // Run's error
		told   int
		runs   int // beginnings of the first task
	}{
		{name: "no panic", runs: 1},
		{name: "an error ends the others", then: failed, want: "broken", runs: 1},
		{name: "one panic", panics: 1, told: 1, runs: 2},
		{name: "as many as the budget has", panics: Budget, told: Budget, runs: Budget + 1},
		{name: "more than the budget", panics: 2 * Budget, told: Budget + 1, runs: Budget + 1, want: "loop failed 6 times within 1h0m0s, the last time with runtime error: index out of range [3] with length 0"},
		{name: "many, but seldom", panics: 20, every: 20 * time.Minute, told: 20, runs: 21},
		{name: "an error after a panic", panics: 1, then: failed, told: 1, runs: 2, want: "broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				var told []Panic
				var none []int
				g := Group{Panicked: func(p Panic) { told = append(told, p) }}
				runs, others := 0, 0
				err := g.Run(ctx, Task{"loop", func(ctx context.Context) error {
					runs++
					if runs <= tt.panics {
						time.Sleep(tt.every)
						_ = none[3]
					}
					if tt.then != nil {
						return tt.then
					}
					<-ctx.Done()
					return nil
				}}, Task{"other", func(ctx context.Context) error {
					others++
					<-ctx.Done()
					return nil
				}})
				if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
					t.Errorf("error %q, want %q", got, tt.want)
				}
				if len(told) != tt.told || runs != tt.runs || others != 1 {
					t.Errorf("%d panics told, the task began %d times, the other %d times", len(told), runs, others)
				}
				for _, p := range told {
					if p.Task != "loop" || len(p.Stack) == 0 || !strings.HasPrefix(p.Stack[0], "dynamod/daemon/task.TestPanicIsContained") || !strings.Contains(p.Stack[0], "task/task_test.go:") {
						t.Errorf("told %+v", p)
					}
				}
				if left := g.Left(); len(left) != 0 {
					t.Errorf("left are %v", left)
				}
			})
		})
	}
}

// The pause before a new beginning grows, and a panic does not hold up the end.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var pauses []time.Duration
		g := Group{Panicked: func(p Panic) {
			pauses = append(pauses, p.Again)
			if len(pauses) == 4 {
				cancel()
			}
		}}
		begin := time.Now()
		if err := g.Run(ctx, Task{"loop", func(context.Context) error { panic("x") }}); err != nil {
			t.Error(err)
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}; !slices.Equal(pauses, want) {
			t.Errorf("pauses %v", pauses)
		}
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// What a panic tells holds nothing of the data: neither the value nor the
// arguments of the functions below it.
func TestPanicTellsNoSecret(t *testing.T) {
	for _, tt := range []struct {
		name  string
		f     func(code string)
		value string
	}{
		{"a text", func(code string) { panic("bad code " + code) }, "a value of type string"},
		{"an error", func(code string) { panic(fmt.Errorf("bad code %s", code)) }, "a value of type *fmt.wrapError"},
		{"nil map", func(code string) { noMap[code] = 1 }, "assignment to entry in nil map"},
		{"slice bounds", func(code string) { n := -1; _ = code[:len(code)+n-100] }, "runtime error: slice bounds out of range [:-60]"},
		{"wrong type", func(code string) { var v any = code; _ = v.(int) }, "interface conversion: interface {} is string, not int"},
		{"nil panic", func(string) { panic(nil) }, "panic called with nil argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Contain("x", func() { tt.f(secret) })
			if p == nil {
				t.Fatal("no panic")
			}
			if tt.name == "an error" {
				tt.value = p.Value // the name of fmt's type is fmt's
			}
			if p.Value != tt.value || strings.Contains(fmt.Sprint(p), "SECRET") || len(p.Stack) == 0 || len(p.Stack) > maxFrames {
				t.Errorf("%q, %q", p.Value, p.Stack)
			}
		})
	}
	if p := Contain("x", func() {}); p != nil {
		t.Errorf("%+v without a panic", p)
	}
}

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var none *Pulse
		none.Work("x", time.Second) // nobody feels it
		none.Rest()
		var p Pulse
		check := func(want string) {
			t.Helper()
			got := ""
			if err := p.Check(); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		check("")
		p.Work("opening the modem", time.Minute)
		time.Sleep(time.Minute)
		check("")
		time.Sleep(time.Second)
		check("opening the modem takes 1m1s, which is longer than 1m0s")
		p.Rest()
		time.Sleep(24 * time.Hour)
		check("")
		p.Work("looking", time.Minute)
		check("")
	})
}
