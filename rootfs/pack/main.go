// Command pack makes the packages of routers from what `make cross` has built: .deb
// and OpenWrt's .ipk, without their tools, root or a clock. The same input gives the
// same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// target is a package to make: for arch, as the system's packages name it, from the
// binary dynamod-linux-binary.
type target struct {
	arch, binary string
}

var debs = []target{
	{"amd64", "amd64"}, {"arm64", "arm64"}, {"armhf", "arm-7"}, {"armel", "arm-5"}, {"riscv64", "riscv64"},
}

var ipks = []target{
	{"aarch64_cortex-a53", "arm64"}, {"aarch64_generic", "arm64"},
	{"arm_cortex-a7_neon-vfpv4", "arm-7"}, {"arm_cortex-a7", "arm-5"}, // the latter without a floating point unit
	{"mipsel_24kc", "mipsle-softfloat"}, {"mips_24kc", "mips-softfloat"},
}

// limit is what no package may have more bytes than.
const limit = 6_000_000

func main() {
	s := source{Root: "."}
	flag.StringVar(&s.Bin, "bin", "bin", "`DIRECTORY` of dynamod-linux-*, dynamod.8, dynamod.toml.5, dynamod.bash and dynamod.zsh")
	out := flag.String("out", "bin/packages", "`DIRECTORY` that the packages go to")
	version := flag.String("version", "", "what `git describe` says")
	built := flag.Int64("built", 0, "date of all files, in `SECONDS` since 1970")
	flag.Parse()
	s.Time = time.Unix(*built, 0)
	s.Version = versionOf(*version, s.Time)
	if err := s.pack(*out); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// source is what packages are made of.
type source struct {
	Root    string // of the repository
	Bin     string
	Version string
	Time    time.Time
}

// pack writes all packages to a directory, with their sizes.
func (s *source) pack(out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	write := func(name string, t target, make func(target) ([]byte, error)) error {
		data, err := make(t)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("%-58s %d\n", name, len(data))
		if len(data) > limit {
			return fmt.Errorf("%s has %d bytes, more than its limit of %d", name, len(data), limit)
		}
		return os.WriteFile(filepath.Join(out, name), data, 0o644)
	}
	for _, t := range debs {
		if err := write(fmt.Sprintf("dynamod_%s_%s.deb", s.Version, t.arch), t, s.deb); err != nil {
			return err
		}
	}
	for _, t := range ipks {
		if err := write(fmt.Sprintf("dynamod_%s_%s.ipk", s.Version, t.arch), t, s.ipk); err != nil {
			return err
		}
	}
	return nil
}

// versionOf makes of what git says a version that packages can be ordered by: that of
// a tag, or the date of a commit that has none.
func versionOf(git string, built time.Time) string {
	v := strings.TrimPrefix(git, "v")
	if v == "" || v[0] < '0' || v[0] > '9' || !strings.Contains(v, ".") {
		v = "0~" + built.UTC().Format("20060102.150405") + "." + strings.TrimPrefix(v, "unknown")
	}
	return strings.TrimSuffix(strings.NewReplacer("-", "+", "_", "+").Replace(v), ".")
}
