//go:build linux && !nodemo

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"sync"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/hook"
)

// daemonProcess is a daemon in a process of its own.
type daemonProcess struct {
	cmd  *exec.Cmd
	done <-chan error
	log  lockedBuffer
}

// startDaemon starts a daemon in the router's namespace and waits until it answers. Of
// one that does not the error has the log.
func startDaemon(ctx context.Context, n *netlab.Lab, client *hook.Client, cmd *exec.Cmd) (p *daemonProcess, err error) {
	p = &daemonProcess{cmd: cmd}
	cmd.Stderr = &p.log
	if p.done, err = n.Start(ctx, cmd); err != nil {
		return nil, err
	}
	for client.Do(ctx, http.MethodGet, "/healthz", nil, nil, nil) != nil {
		select {
		case err := <-p.done:
			return nil, fmt.Errorf("the daemon ended: %v\n%s", err, p.log.String())
		case <-ctx.Done():
			p.kill()
			return nil, fmt.Errorf("the daemon does not answer: %w\n%s", ctx.Err(), p.log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return p, nil
}

func (p *daemonProcess) kill() {
	if p.cmd.Process.Kill() == nil {
		<-p.done
	}
}

// lockedBuffer collects what a child writes while the test may read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
