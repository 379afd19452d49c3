package task

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// What the runtime writes when a goroutine of nobody's panics, as it is with this
// toolchain.
func TestParseCrashOfARealOne(t *testing.T) {
	if path := os.Getenv("TASK_TEST_CRASH"); path != "" {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go crash(secret, nil, done)
		<-done
		return
	}
	path := filepath.Join(t.TempDir(), "crash")
	cmd := exec.Command(os.Args[0], "-test.run=^TestParseCrashOfARealOne$")
	cmd.Env = append(os.Environ(), "TASK_TEST_CRASH="+path)
	if err := cmd.Run(); err == nil {
		t.Fatal("it did not crash")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := ParseCrash(string(text))
	if p == nil {
		t.Fatalf("nothing found in\n%s", text)
	}
	if p.Value != "runtime error: index out of range [3] with length 0" || len(p.Stack) == 0 || !strings.HasPrefix(p.Stack[0], "dynamod/daemon/task.crash task/crash_test.go:") {
		t.Errorf("%+v of\n%s", p, text)
	}
}

//go:noinline
func crash(code string, none []int, done chan struct{}) {
	defer close(done)
	_ = fmt.Sprint(code, none[3])
}

func TestParseCrash(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		value      string
		stack      []string
	}{
		{"nothing", "", "", nil},
		{"no crash", "level=INFO msg=hello\n", "", nil},
		{"a text as value", "panic: bad code " + secret + "\n\ngoroutine 7 [running]:\nmain.f({0xc000, 0x29})\n\t/src/main.go:12 +0x1d\ncreated by main.main in goroutine 1\n\t/src/main.go:3 +0x2\n",
			"a value that is not shown", []string{"main.f src/main.go:12", "main.main src/main.go:3"}},
		{"a method, with an ICCID among its arguments", "panic: runtime error: invalid memory address or nil pointer dereference [recovered]\n[signal SIGSEGV: segmentation violation code=0x1]\n\ngoroutine 1 [running]:\n" +
			"panic({0x1, 0x2})\n\t/go/panic.go:1 +0x1\ndynamod/daemon/bearer.(*Bearer).up(0xc0, {0x98, 0x10, 0x10})\n\t/src/dynamod/daemon/bearer/bearer.go:226 +0x1\n",
			"runtime error: invalid memory address or nil pointer dereference", []string{"dynamod/daemon/bearer.(*Bearer).up bearer/bearer.go:226"}},
		{"a map that two write to", "fatal error: concurrent map writes\n\ngoroutine 5 [running]:\nmain.g(...)\n\t/src/a.go:1\n", "fatal error: concurrent map writes", []string{"main.g src/a.go:1"}},
		{"the watchdog", "SIGABRT: abort\nPC=0x47 m=0 sigcode=0\n\ngoroutine 0 gp=0x1 m=0 mp=0x1 [idle]:\nruntime.futex(0x1)\n\t/go/sys.s:557 +0x21\n", "SIGABRT: abort", nil},
		{"cut off", "panic: runtime error: index out of range [3] with length 0\n\ngoroutine 7 [running]:\nmain.f(", "runtime error: index out of range [3] with length 0", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := ParseCrash(tt.text)
			if p == nil {
				p = &Panic{}
			}
			if p.Value != tt.value || !slices.Equal(p.Stack, tt.stack) || strings.Contains(fmt.Sprint(p), "SECRET") {
				t.Errorf("%+v", p)
			}
		})
	}
}

func FuzzParseCrash(f *testing.F) {
	f.Add("panic: runtime error: x\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/a/b.go:1 +0x1\n")
	f.Add("goroutine 1\nfatal error: x\ngoroutine 2\n(\n\t(\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := ParseCrash(text)
		if p == nil {
			return
		}
		if p.Value == "" || len(p.Stack) > maxFrames {
			t.Errorf("%+v", p)
		}
		for _, s := range append(p.Stack, p.Value) {
			if len(s) > 401 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q", s)
			}
		}
	})
}
