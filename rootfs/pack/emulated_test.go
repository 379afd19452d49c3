package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPackaged takes the program out of each package that was built, and runs it by the
// emulation of a processor that has no more than the package's architecture says.
func TestPackaged(t *testing.T) {
	dir := os.Getenv("DYNAMOD_PACKAGES")
	if dir == "" {
		t.Skip("DYNAMOD_PACKAGES names no directory: `make cross-test` does")
	}
	for _, tt := range []struct {
		file       string // below dir, "*" is the version
		qemu, cpu  string
		dies, bare bool
	}{
		{file: "packages/dynamod_*_armel.deb", qemu: "arm", cpu: "arm926"},
		{file: "packages/dynamod_*_arm_cortex-a7.ipk", qemu: "arm", cpu: "arm926"},
		{file: "dynamod-linux-arm-6", qemu: "arm", cpu: "arm1176", bare: true},
		{file: "packages/dynamod_*_armhf.deb", qemu: "arm", cpu: "cortex-a8"},
		{file: "packages/dynamod_*_arm_cortex-a7_neon-vfpv4.ipk", qemu: "arm", cpu: "cortex-a7"},
		{file: "packages/dynamod_*_arm64.deb", qemu: "aarch64", cpu: "cortex-a53"},
		{file: "packages/dynamod_*_aarch64_generic.ipk", qemu: "aarch64", cpu: "cortex-a53"},
		{file: "packages/dynamod_*_aarch64_cortex-a53.ipk", qemu: "aarch64", cpu: "cortex-a53"},
		{file: "packages/dynamod_*_mipsel_24kc.ipk", qemu: "mipsel", cpu: "24Kc"},
		{file: "packages/dynamod_*_mips_24kc.ipk", qemu: "mips", cpu: "24Kc"},
		{file: "packages/dynamod_*_riscv64.deb", qemu: "riscv64"},
		{file: "packages/dynamod_*_amd64.deb", qemu: "x86_64"},
		// The emulation is as strict as that: what is built for more does not run.
		{file: "dynamod-linux-arm-6", qemu: "arm", cpu: "arm926", dies: true, bare: true},
		{file: "packages/dynamod_*_armhf.deb", qemu: "arm", cpu: "arm1176", dies: true},
	} {
		t.Run(filepath.Base(tt.file)+" on "+tt.cpu, func(t *testing.T) {
			qemu, err := exec.LookPath("qemu-" + tt.qemu + "-static")
			if err != nil {
				t.Skipf("qemu-%s-static is not installed", tt.qemu)
			}
			paths, err := filepath.Glob(filepath.Join(dir, tt.file))
			if err != nil || len(paths) == 0 {
				t.Fatalf("no %s: `make packages` makes it", tt.file)
			}
			program := paths[len(paths)-1]
			if !tt.bare {
				program = filepath.Join(t.TempDir(), "dynamod")
				if err := os.WriteFile(program, programIn(t, paths[len(paths)-1]), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			run := func(args ...string) (string, error) {
				cmd := exec.Command(qemu, append([]string{program}, args...)...)
				cmd.Env = append(os.Environ(), "QEMU_CPU="+tt.cpu)
				if tt.cpu == "" {
					cmd.Env = os.Environ()
				}
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			if tt.dies {
				out, err := run("version")
				exit, ok := errors.AsType[*exec.ExitError](err)
				if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGILL {
					t.Errorf("it ran: %v\n%s", err, out)
				}
				return
			}
			config := filepath.Join(t.TempDir(), "dynamod.toml")
			for _, args := range [][]string{{"version"}, {"--help"}, {"init", "--config", config}, {"check", "--config", config}, {"apn", "lookup", "--mccmnc", "26201"}} {
				if out, err := run(args...); err != nil || len(out) < 5 {
					t.Errorf("%q: %v\n%s", args, err, out)
				}
			}
		})
	}
}

// programIn is the program of a package.
func programIn(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".deb") {
		_, parts := members(t, data)
		data = parts["data.tar.gz"]
	} else {
		data = []byte(unpack(t, data)["./data.tar.gz"].data)
	}
	program := []byte(unpack(t, data)["./usr/bin/dynamod"].data)
	if !bytes.HasPrefix(program, []byte("\x7fELF")) {
		t.Fatalf("%s has no program", path)
	}
	return program
}
