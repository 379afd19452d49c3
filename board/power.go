package board

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dynamod/board/gpio"
)

// Lines takes and reads lines; a gpio.Tree does.
type Lines interface {
	Output(name string, active bool) (gpio.Line, error)
	Active(name string) (bool, error)
}

var _ Lines = gpio.Tree{}

// Switch names what can start the modem again, "supply", "reset" or "key", "" where a
// board has nothing: the first of these that it has, since a modem that hangs does not
// heed its key, and may not heed its reset.
func (b *Board) Switch() string {
	switch {
	case b.Supply.Line != "":
		return "supply"
	case b.Reset.Line != "":
		return "reset"
	case b.Key.Line != "":
		return "key"
	}
	return ""
}

// ErrNoSwitch is returned where a board has no Switch.
var ErrNoSwitch = errors.New("the board has no line that starts the modem again")

// Cycle starts the modem again. When ctx ends meanwhile the lines are set back at
// once; a process that is killed leaves that to Restore.
func (b *Board) Cycle(ctx context.Context, lines Lines) error {
	switch b.Switch() {
	case "supply":
		return pulse(ctx, lines, b.Supply.Line, false, b.Supply.Off.Or(DefaultOff))
	case "reset":
		return pulse(ctx, lines, b.Reset.Line, true, b.Reset.Pulse.Or(DefaultPulse))
	case "key":
		if err := b.press(ctx, lines, false); err != nil {
			return err
		}
		return b.press(ctx, lines, true)
	}
	return ErrNoSwitch
}

// Restore sets back the lines that a Cycle which was not ended may have left.
func (b *Board) Restore(ctx context.Context, lines Lines) error {
	switch b.Switch() {
	case "supply":
		return set(lines, b.Supply.Line, true)
	case "reset":
		return set(lines, b.Reset.Line, false)
	case "key":
		return errors.Join(set(lines, b.Key.Line, false), b.press(ctx, lines, true))
	}
	return nil
}

// Prepare takes the lines that have to be active for the modem to be seen, and turns
// on a modem that says it is off. The lines are the caller's to hold and to close; the
// error has all that did not work.
func (b *Board) Prepare(ctx context.Context, lines Lines) (held []gpio.Line, err error) {
	for _, name := range b.Quirks.On {
		l, bad := lines.Output(name, true)
		if err = errors.Join(err, bad); bad == nil {
			held = append(held, l)
		}
	}
	if b.Key.Line != "" {
		err = errors.Join(err, b.press(ctx, lines, true))
	}
	return held, err
}

// pulse sets a line for a time, and then the other way.
func pulse(ctx context.Context, lines Lines, name string, active bool, long time.Duration) error {
	l, err := lines.Output(name, active)
	if err != nil {
		return err
	}
	sleep(ctx, long)
	err = l.Set(!active)
	if err != nil { // nothing may be left as it is now
		err = l.Set(!active)
	}
	if err != nil {
		err = fmt.Errorf("line %s: %w", name, err)
	}
	return errors.Join(err, l.Close(), ctx.Err())
}

func set(lines Lines, name string, active bool) error {
	l, err := lines.Output(name, active)
	if err != nil {
		return err
	}
	return l.Close()
}

const (
	// keyTime is how long a modem may take to turn on or off.
	keyTime = 30 * time.Second
	keyLook = 500 * time.Millisecond
)

// press turns the modem on or off by its key, unless it is so already. A modem that
// does not heed the key's first press has a second one.
func (b *Board) press(ctx context.Context, lines Lines, on bool) error {
	long := b.Key.Off.Or(DefaultKeyOff)
	if on {
		long = b.Key.On.Or(DefaultOn)
	}
	for range 2 {
		is, err := lines.Active(b.Status.Line)
		if err != nil || is == on {
			return err
		}
		if err := pulse(ctx, lines, b.Key.Line, true, long); err != nil {
			return err
		}
		for range keyTime / keyLook {
			if is, err := lines.Active(b.Status.Line); err != nil || is == on {
				return err
			}
			if !sleep(ctx, keyLook) {
				return ctx.Err()
			}
		}
	}
	return fmt.Errorf("the modem does not heed its key %s: its status is still %s", b.Key.Line, map[bool]string{true: "off", false: "on"}[on])
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
