package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"dynamod/daemon/task"
	"dynamod/netlink/uplink"
)

// exitTime is how long the tasks may take to end. What was meant is in the
// journal, so that whoever has not ended by then is left behind: an init system
// kills who does not come to an end.
const exitTime = 4 * time.Second

// errLeft means that a task did not end in time: the process has to.
var errLeft = errors.New("not everything came to an end in time")

// runTasks runs the tasks until ctx ends and they have, or exitTime is over.
func (g *Gateway) runTasks(ctx context.Context, tasks []task.Task) error {
	group := task.Group{Panicked: g.panicked}
	ended := make(chan error, 1)
	go func() { ended <- group.Run(ctx, tasks...) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	g.notify(sd.SdNotifyStopping)
	late := time.NewTimer(exitTime)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
	}
	g.log.Warn(errLeft.Error(), "tasks", group.Left())
	if !g.config().Bearer.KeepUp {
		g.dropLink()
	}
	return errLeft
}

// dropLink takes what is in the kernel away, where the bearer waits for a modem
// that does not answer.
func (g *Gateway) dropLink() {
	spec, ok := g.bearer.Active()
	if !ok || spec.Interface == "" || !g.bearer.Apply {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), exitTime/8)
	defer done()
	if _, err := uplink.Down(ctx, g.kernel, spec); err != nil {
		g.log.Warn("cannot take the uplink down", "error", err)
	}
}

// PanicKind is the kind of the journal's records of panics.
const PanicKind = "panic"

// panicked tells of a panic that was contained.
func (g *Gateway) panicked(p task.Panic) {
	g.log.Error("a mistake in the program", "task", p.Task, "panic", p.Value, "count", p.Count, "again", p.Again, "stack", p.Stack)
	g.status.Log(fmt.Sprintf("a mistake in the program: %s failed with %s", p.Task, p.Value))
	if _, err := g.journal.Append(PanicKind, p); err != nil {
		g.log.Error("cannot journal it", "error", err)
	}
}

// guard runs f, which is a goroutine beside the tasks, and tells of its panic.
func (g *Gateway) guard(name string, f func()) {
	if p := task.Contain(name, f); p != nil {
		g.panicked(*p)
	}
}

// maxCrash bounds what is read of an earlier process's end.
const maxCrash = 64 << 10

// keepCrash has the runtime write the end of this process, should a panic end it,
// to a file, and journals what an earlier process left there.
func (g *Gateway) keepCrash() {
	f, err := os.OpenFile(filepath.Join(g.config().State.Run, "crash"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		g.log.Warn("the next crash will leave no trace", "error", err)
		return
	}
	defer f.Close() // the runtime has its own descriptor
	text, err := io.ReadAll(io.LimitReader(f, maxCrash))
	if err == nil && len(text) > 0 {
		if p := task.ParseCrash(string(text)); p != nil {
			g.panicked(*p)
		}
	}
	if err = errors.Join(err, f.Truncate(0)); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = debug.SetCrashOutput(f, debug.CrashOptions{})
	}
	if err != nil {
		g.log.Warn("the next crash will leave no trace", "error", err)
	}
}
