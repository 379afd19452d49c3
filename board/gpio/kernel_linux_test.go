package gpio_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dynamod/board/gpio"
)

// The kernel itself takes our structures. It needs a line that may be set to anything,
// which nobody but its owner can know: DYNAMOD_GPIO names it, "chip:9030000.pl061:0" on
// QEMU's machine "virt".
func TestKernel(t *testing.T) {
	name := os.Getenv("DYNAMOD_GPIO")
	if name == "" {
		t.Skip("DYNAMOD_GPIO names no line that may be set")
	}
	tree := gpio.Tree{}
	where, err := tree.Find(name)
	if err != nil || strings.Contains(where, "used by") {
		t.Fatalf("%q, %v", where, err)
	}
	for _, row := range []struct {
		name  string
		first bool
	}{{name, true}, {name, false}, {"!" + name, true}, {"!" + name, false}} {
		l, err := tree.Output(row.name, row.first)
		if err != nil {
			t.Fatal(err)
		}
		if where, err := tree.Find(name); err != nil || !strings.HasSuffix(where, ", used by dynamod") {
			t.Errorf("%s is held: %q, %v", row.name, where, err)
		}
		if _, err := tree.Active(row.name); !errors.Is(err, unix.EBUSY) {
			t.Errorf("%s is taken twice: %v", row.name, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		is := func(want bool) {
			t.Helper()
			// An output keeps its level when it is given back, on chips that can.
			high, err := tree.Active(name)
			if err != nil || high != (want != strings.HasPrefix(row.name, "!")) {
				t.Errorf("%s, %v: high %v, %v", row.name, want, high, err)
			}
		}
		is(row.first)
		if l, err = tree.Output(row.name, row.first); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Set(!row.first), l.Close()); err != nil {
			t.Error(err)
		}
		is(!row.first)
	}
	if _, err := tree.Output("dynamod-no-such-line", true); !errors.Is(err, gpio.ErrNoLine) {
		t.Errorf("a line that is not there: %v", err)
	}
}
