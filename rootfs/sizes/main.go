// Command sizes writes rootfs/sizes.txt, what the routers' binaries are made of,
// and tells whether the one that is there still holds.
//
//	go run ./rootfs/sizes [-check | -levers] TARGET:BUDGET...
//
// It reads what `make cross` has built, in the root of the tree.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const page = "rootfs/sizes.txt"

func main() {
	check := flag.Bool("check", false, "only tell whether the page holds")
	levers := flag.Bool("levers", false, "measure the levers, too: some ten builds")
	flag.Parse()
	if err := run(flag.Args(), *check, *levers); err != nil {
		fmt.Fprintln(os.Stderr, "sizes:", err)
		os.Exit(1)
	}
}

func run(targets []string, check, measure bool) error {
	var r report
	for _, t := range targets {
		name, budget, _ := strings.Cut(t, ":")
		b := binary{name: name}
		var err error
		if b.budget, err = strconv.Atoi(budget); err != nil {
			return fmt.Errorf("%s: the budget is no number", t)
		}
		fi, err := os.Stat(filepath.Join("bin", "dynamod-linux-"+name))
		if err != nil {
			return fmt.Errorf("%w\nbuild it: make cross", err)
		}
		b.size = int(fi.Size())
		r.binaries = append(r.binaries, b)
	}
	if len(r.binaries) == 0 {
		return fmt.Errorf("name a target and its budget, as in arm-7:13000000")
	}
	var err error
	if r.anatomy, err = dissect(filepath.Join("bin", "dynamod-linux-"+r.binaries[0].name)); err != nil {
		return err
	}
	kept, err := os.ReadFile(page)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if check {
		return r.holds(string(kept))
	}
	r.gains = gainsOf(string(kept))
	if measure {
		if r.gains, err = gains(r.binaries[0]); err != nil {
			return err
		}
	}
	return os.WriteFile(page, []byte(r.String()), 0o644)
}

// gains builds a binary without each of the levers in turn, and tells by how much
// the file grows.
func gains(of binary) (map[string]int, error) {
	dir, err := os.MkdirTemp("", "dynamod-sizes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	with, err := os.Stat(filepath.Join("bin", "dynamod-linux-"+of.name))
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, l := range levers {
		args := append([]string{"--no-print-directory", "cross", "CROSS=" + of.name, "LIMITS=", "OUT=" + dir}, l.without...)
		cmd := exec.Command("make", args...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("make %s: %w", strings.Join(args, " "), err)
		}
		without, err := os.Stat(filepath.Join(dir, "dynamod-linux-"+of.name))
		if err != nil {
			return nil, err
		}
		out[l.name] = int(without.Size() - with.Size())
		fmt.Fprintln(os.Stderr, l.name, out[l.name])
	}
	return out, nil
}
