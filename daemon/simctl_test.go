//go:build linux && !nodemo

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dynamod/daemon/demo/netlab"
)

// TestSimScripts runs testdata/sim/*.txt, which start a lab of their own in $LAB;
// "ready FILE" waits for a file of it.
func TestSimScripts(t *testing.T) {
	if err := netlab.Permitted(); err != nil {
		t.Skip("no network namespaces here: ", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "sim"),
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(5 * time.Minute),
		Setup: func(e *testscript.Env) error {
			dir, err := os.MkdirTemp("", "lab") // $WORK is too long for a socket
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(dir) })
			e.Setenv("LAB", dir)
			e.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready": func(ts *testscript.TestScript, neg bool, args []string) {
				limit := time.After(30 * time.Second)
				for {
					if _, err := os.Stat(args[0]); err == nil {
						return
					}
					select {
					case <-limit:
						ts.Fatalf("%s does not appear", args[0])
					case <-time.After(10 * time.Millisecond):
					}
				}
			},
		},
	})
}
