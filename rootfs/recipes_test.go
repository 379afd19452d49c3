package rootfs

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRecipes holds what the files for build systems name against the tree: the paths,
// the binaries of `make cross`, the licence.
func TestRecipes(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	cross := strings.Fields(regexp.MustCompile(`(?m)^CROSS := (.*)$`).FindStringSubmatch(read("../Makefile"))[1])
	paths := regexp.MustCompile(`(?:\$\(@D\)|\$\(DYNAMOD\)|\$\{DYNAMOD\})/((?:rootfs|configs|LICENSE)[\w./@-]*)`)
	binaries := regexp.MustCompile(`\b(arm64|arm-[567]|mips(?:le)?-softfloat|riscv64|amd64)\b`)
	for path, count := range map[string]int{"openwrt/Makefile": 1, "buildroot/external.mk": 5, "yocto/dynamod.bb": 3} {
		text := read(path)
		found := paths.FindAllStringSubmatch(text, -1)
		if len(found) < count {
			t.Errorf("%s: paths %v", path, found)
		}
		for _, m := range found {
			if _, err := os.Stat(filepath.Join("..", strings.TrimSuffix(m[1], "/."))); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		named := binaries.FindAllString(text, -1)
		for _, b := range named {
			if !slices.Contains(cross, b) {
				t.Errorf("%s: %s is not built", path, b)
			}
		}
		for _, b := range []string{"arm64", "arm-5", "arm-7", "mipsle-softfloat", "mips-softfloat", "riscv64", "amd64"} {
			if !slices.Contains(named, b) {
				t.Errorf("%s does not take %s", path, b)
			}
		}
	}
	if want := fmt.Sprintf("md5=%x", md5.Sum([]byte(read("../LICENSE")))); !strings.Contains(read("yocto/dynamod.bb"), want) {
		t.Errorf("the recipe has another licence than %s", want)
	}
}
