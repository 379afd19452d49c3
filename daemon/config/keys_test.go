package config

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write rootfs/openwrt/files/usr/share/dynamod/keys anew")

// TestKeysFile holds the list by which OpenWrt's scripts translate /etc/config/dynamod
// against what is allowed here: a table, a key and its kind on each line.
func TestKeysFile(t *testing.T) {
	const path = "../../rootfs/openwrt/files/usr/share/dynamod/keys"
	words := map[kind]string{isString: "string", isDuration: "duration", isInt: "int", isBool: "bool", isStrings: "strings", isMap: "map", isInts: "ints", isFloat: "float"}
	var lines []string
	var list func(table string, s *schema)
	list = func(table string, s *schema) {
		for _, name := range slices.Sorted(maps.Keys(s.children)) {
			c := s.children[name]
			if c.kind == isTable {
				list(join(table, name), c)
				continue
			}
			if words[c.kind] == "" || table == "" {
				t.Errorf("%s.%s is of a kind that the scripts do not know", table, name)
			}
			lines = append(lines, fmt.Sprintf("%s %s %s\n", table, name, words[c.kind]))
		}
	}
	list("", root)
	want := strings.Join(lines, "")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not as it should be (%v): go test ./daemon/config -run TestKeysFile -update", path, err)
	}
}
