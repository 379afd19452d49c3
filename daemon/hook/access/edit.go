package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// ErrNoCaller means that the keys file has no such caller.
var ErrNoCaller = errors.New("no such caller")

// ErrCaller means that the keys file has a caller of that name already.
var ErrCaller = errors.New("there is a caller of that name already")

// Add adds a caller to the keys file of that path, and makes the file.
func Add(path string, k Key, write func(path string, data []byte, mode fs.FileMode) error) error {
	if err := k.Check(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return edit(path, write, func(keys Keys) (Keys, error) {
		if keys.named(k.Name) != nil {
			return nil, fmt.Errorf("%w: %s", ErrCaller, k.Name)
		}
		return append(keys, k), nil
	})
}

// Remove takes a caller out of it.
func Remove(path, name string, write func(path string, data []byte, mode fs.FileMode) error) error {
	return edit(path, write, func(keys Keys) (Keys, error) {
		if keys.named(name) == nil {
			return nil, fmt.Errorf("%w: %.40q", ErrNoCaller, name)
		}
		return slices.DeleteFunc(keys, func(k Key) bool { return k.Name == name }), nil
	})
}

// lockTime is how long an edit waits for another one.
const lockTime = 5 * time.Second

// edit changes the file as a whole. Who edits at the same time waits. Comments
// that somebody wrote into it are lost. The directory may be another user's only for
// who has become that user: its names may be links to anywhere.
func edit(path string, write func(path string, data []byte, mode fs.FileMode) error, change func(Keys) (Keys, error)) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer d.Close() // and with it the lock
	if err := lock(d); err != nil {
		return fmt.Errorf("keys: %s: %w", dir, err)
	}
	keys, err := OpenFile(path).Keys()
	if err != nil {
		return err
	}
	if keys, err = change(slices.Clone(keys)); err != nil {
		return err
	}
	text := keys.String()
	if _, err := ParseKeys(text); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := write(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// lock locks a directory. One that stays locked is an error: a blocking flock would
// hear no ^C.
func lock(d *os.File) error {
	for end := time.Now().Add(lockTime); ; time.Sleep(lockTime / 100) {
		err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK) && time.Now().After(end):
			return errors.New("another program has it locked")
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}
