package port

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ModemManager takes every modem that it finds, and a port that two programs
// read gives each of them half of the answers. It lets one go for as long as
// somebody asks it to on D-Bus; mmcli, which comes with it, does that from the
// command line, so that nothing here is linked to D-Bus.

// InhibitOptions are the settings of an Inhibition. The zero value works.
type InhibitOptions struct {
	Logger *slog.Logger // nil discards
	Tree   Tree
	Mmcli  string // the program; "" means mmcli on PATH
	Proc   string // where processes are looked up; "" means /proc
}

// ErrManaged means that ModemManager runs and could not be asked to let a modem
// go: mmcli is not there, or was refused.
var ErrManaged = errors.New("ModemManager cannot be asked to let the modem go")

const (
	mmProgram = "ModemManager"
	// inhibitEvery is how often it is looked whether ModemManager was started,
	// or started again, meanwhile: it forgets who asked.
	inhibitEvery = 30 * time.Second
	// inhibitProbing is the pause while ModemManager finds out what the modem is;
	// it can let go only what it knows.
	inhibitProbing = time.Second
	// inhibitStart bounds one call of mmcli. D-Bus gives its calls 25 s.
	inhibitStart = 30 * time.Second
)

// Inhibition keeps ModemManager off one modem until it is closed, also when
// ModemManager is started only later. A process that is killed ends it too.
type Inhibition struct {
	opts  InhibitOptions
	log   *slog.Logger
	name  string
	child *inhibitor // of the keeping goroutine, after Inhibit returned
	pid   int        // ModemManager that the child asked
	stop  context.CancelFunc
	done  chan struct{}
	once  sync.Once
}

// Inhibit asks ModemManager, if it runs, to let go the modem that the port with
// the given name belongs to, and returns when it has. That it does not run, or
// does not have the modem, is as good. ctx bounds the wait for ModemManager to
// find out what it has; beyond it Inhibit goes on in the background.
//
// Its error is ErrManaged; the port may be free nevertheless.
func Inhibit(ctx context.Context, name string, opts InhibitOptions) (*Inhibition, error) {
	i := &Inhibition{opts: opts, log: opts.Logger, name: name, done: make(chan struct{})}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	if _, err := exec.LookPath(i.mmcli()); err != nil {
		if pid := i.manager(); pid > 0 {
			return nil, fmt.Errorf("%w: it runs (pid %d), and there is no %s", ErrManaged, pid, filepath.Base(i.mmcli()))
		}
		return nil, nil
	}
	err := i.look(ctx)
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	i.stop = stop
	go func() {
		defer close(i.done)
		i.keep(keep)
	}()
	return i, err
}

// Close lets ModemManager have the modem again. It may be called more than
// once, and on nil.
func (i *Inhibition) Close() {
	if i == nil {
		return
	}
	i.once.Do(i.stop)
	<-i.done
}

// keep looks after the wish until ctx ends.
func (i *Inhibition) keep(ctx context.Context) {
	defer func() {
		if i.child != nil {
			i.child.end()
		}
	}()
	tick := time.NewTicker(inhibitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := i.look(ctx); err != nil && ctx.Err() == nil {
				i.log.Warn("ModemManager", "port", i.name, "error", err)
			}
		}
	}
}

// look starts a child if ModemManager runs and was not asked yet.
func (i *Inhibition) look(ctx context.Context) error {
	pid := i.manager()
	if i.child != nil && pid == i.pid && i.child.alive() {
		return nil
	}
	if i.child != nil {
		i.child.end()
		i.child = nil
	}
	for pid > 0 {
		uid := i.uid(ctx)
		if uid == "" {
			return nil // not a modem of its kind
		}
		child, err := startInhibitor(ctx, i.mmcli(), uid)
		if err == nil {
			i.child, i.pid = child, pid
			i.log.Info("ModemManager lets the modem go", "port", i.name, "device", uid, "pid", pid)
			return nil
		}
		text := err.Error()
		switch {
		case strings.Contains(text, "No device found"), strings.Contains(text, "already inhibited"):
			i.log.Debug("ModemManager has not got the modem", "port", i.name, "answer", text)
			return nil
		case strings.Contains(text, "not exported"): // it is still looking at it
			select {
			case <-time.After(inhibitProbing):
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("%w: %v", ErrManaged, err)
	}
	return nil
}

func (i *Inhibition) mmcli() string { return cmp.Or(i.opts.Mmcli, "mmcli") }

// manager returns the process number of ModemManager, 0 when it does not run.
func (i *Inhibition) manager() int {
	proc := cmp.Or(i.opts.Proc, "/proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if comm, err := os.ReadFile(filepath.Join(proc, e.Name(), "comm")); err == nil && strings.TrimSpace(string(comm)) == mmProgram {
			return pid
		}
	}
	return 0
}

// uid returns the name by which ModemManager knows the modem. It is asked
// first, because udev rules can give any; while it does not show the modem, it
// is the directory in sysfs.
func (i *Inhibition) uid(ctx context.Context) string {
	name := i.name
	if _, abstract, ok := strings.Cut(name, "unix:@"); ok {
		name = abstract
	} else if real, err := filepath.EvalSymlinks(name); err == nil {
		name = filepath.Base(real)
	}
	physical := i.opts.Tree.Physical(i.name)
	for _, path := range mmValues(i.ask(ctx, "-L"), "modem-list.value") {
		about := i.ask(ctx, "-m", path)
		device := mmValue(about, "modem.generic.device")
		if device == "" {
			continue
		}
		if device == physical {
			return device
		}
		for _, p := range mmValues(about, "modem.generic.ports.value") {
			if p, _, _ = strings.Cut(p, " ("); p == name {
				return device
			}
		}
	}
	return physical
}

// ask returns what mmcli prints as key and value.
func (i *Inhibition) ask(ctx context.Context, args ...string) string {
	ctx, done := context.WithTimeout(ctx, inhibitStart)
	defer done()
	cmd := exec.CommandContext(ctx, i.mmcli(), append(args, "--output-keyvalue")...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		i.log.Debug("mmcli", "args", args, "error", err)
		return ""
	}
	return string(out)
}

// mmValues returns the values of all keys "PREFIX[N]" in mmcli's output.
func mmValues(out, prefix string) (values []string) {
	for line := range strings.Lines(out) {
		key, value, ok := strings.Cut(line, ":")
		key = strings.TrimSpace(key)
		if value = strings.TrimSpace(value); ok && strings.HasPrefix(key, prefix+"[") && value != "" && value != "--" {
			values = append(values, value)
		}
	}
	return values
}

// mmValue returns the value of one key in mmcli's output, "" for none.
func mmValue(out, name string) string {
	for line := range strings.Lines(out) {
		key, value, ok := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); ok && strings.TrimSpace(key) == name && value != "--" {
			return value
		}
	}
	return ""
}

// inhibitor is an mmcli that asked. It lives as long as the modem is ours, and
// ModemManager takes its end for the end of the wish.
type inhibitor struct {
	cmd  *exec.Cmd
	over chan struct{}
}

// startInhibitor returns when ModemManager has agreed, or with its answer.
func startInhibitor(ctx context.Context, mmcli, uid string) (*inhibitor, error) {
	x := &inhibitor{cmd: exec.Command(mmcli, "--inhibit-device="+uid), over: make(chan struct{})}
	x.cmd.WaitDelay = time.Second
	dieWithUs(x.cmd)
	out, err := x.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var refusal strings.Builder
	x.cmd.Stderr = &refusal
	started, agreed := make(chan error, 1), make(chan struct{})
	go func() {
		// Where the child is to die with its parent, that is this thread.
		runtime.LockOSThread()
		defer close(x.over)
		err := x.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		lines := bufio.NewScanner(out)
		for said := false; lines.Scan(); {
			if !said && strings.Contains(lines.Text(), "inhibited") {
				said = true
				close(agreed)
			}
		}
		x.cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	limit := time.NewTimer(inhibitStart)
	defer limit.Stop()
	select {
	case <-agreed:
		return x, nil
	case <-x.over:
		text := strings.Join(strings.Fields(refusal.String()), " ")
		return nil, errors.New(cmp.Or(text, "mmcli ended and said nothing"))
	case <-limit.C:
		err = errors.New("mmcli did not answer in time")
	case <-ctx.Done():
		err = ctx.Err()
	}
	x.end()
	return nil, err
}

func (x *inhibitor) alive() bool {
	select {
	case <-x.over:
		return false
	default:
		return true
	}
}

func (x *inhibitor) end() {
	x.cmd.Process.Signal(os.Interrupt)
	select {
	case <-x.over:
	case <-time.After(2 * time.Second):
		x.cmd.Process.Kill()
		<-x.over
	}
}
