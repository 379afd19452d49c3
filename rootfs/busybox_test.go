//go:build linux

package rootfs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// box is a fake root for the service files of small systems: busybox is all that
// their scripts find, beside a dynamod and a syslog of ours.
type box struct {
	t    *testing.T
	dir  string
	bin  string
	vars []string
}

func newBox(t *testing.T) *box {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	for _, s := range []os.Signal{syscall.SIGHUP, os.Interrupt} {
		if signal.Ignored(s) { // by nohup, or a shell's &: scripts would inherit that, and could not trap it
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	b := &box{t: t, dir: t.TempDir()}
	b.bin = filepath.Join(b.dir, "bin")
	b.must(os.Mkdir(b.bin, 0o755))
	out, err := exec.Command(busybox, "--list").Output()
	b.must(err)
	for _, applet := range strings.Fields(string(out)) {
		b.must(os.Symlink(busybox, filepath.Join(b.bin, applet)))
	}
	b.program("logger", `while [ "$1" != -t ]; do shift; done; tag=$2; shift 4 2>/dev/null || shift $#
if [ $# -gt 0 ]; then echo "$tag: $*"; else while read -r line; do echo "$tag: $line"; done; fi >>"$BOX/syslog"`)
	b.vars = []string{"PATH=" + b.bin, "BOX=" + b.dir, "DEFAULTS=" + filepath.Join(b.dir, "default"),
		"DYNAMOD=" + filepath.Join(b.bin, "dynamod"), "CONFIG_DIR=" + filepath.Join(b.dir, "etc"),
		"FACTORY=" + filepath.Join(b.dir, "factory.toml"), "PIDS=" + filepath.Join(b.dir, "pids")}
	b.file("factory.toml", "[modem]\n")
	b.reap(busybox)
	return b
}

// reap leaves no process of the box behind: all of them have its BOX in their
// environment, whoever their parent is by now. A process of its own looks for them, since a
// test that is killed or runs out of time cleans nothing up, and what it started would
// loop without a pause once the box's sleep is gone.
func (b *box) reap(busybox string) {
	cmd := exec.Command(busybox, "sh", "-c", `cat >/dev/null
for _ in 1 2 3; do # one that is about to run its program has no environment
	while left=$(grep -lF "BOX=$1" /proc/[0-9]*/environ 2>/dev/null; true) && [ "$left" ]; do
		for p in $left; do p=${p#/proc/}; kill -9 "${p%/environ}" 2>/dev/null; done
	done
	sleep 0.1
done`, "reap", b.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is not for it
	ends, err := cmd.StdinPipe()                         // at the end of this process at the latest
	b.must(err)
	b.must(cmd.Start())
	b.t.Cleanup(func() {
		_ = ends.Close()
		_ = cmd.Wait()
	})
}

func (b *box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) file(name, text string) string {
	path := filepath.Join(b.dir, name)
	b.must(os.MkdirAll(filepath.Dir(path), 0o755))
	b.must(os.WriteFile(path, []byte(text), 0o644))
	return path
}

// program puts a script in the place of a program.
func (b *box) program(name, text string) {
	path := filepath.Join(b.bin, name)
	_ = os.Remove(path)
	b.must(os.WriteFile(path, []byte("#!"+filepath.Join(b.bin, "sh")+"\n"+text+"\n"), 0o755))
}

// ash runs a script of the tree by busybox's shell.
func (b *box) ash(script string, args ...string) (string, error) {
	path := filepath.Join(b.dir, filepath.Base(script))
	if _, err := os.Stat(path); err != nil { // what it starts has busybox's shell, too
		text, err := os.ReadFile(script)
		b.must(err)
		text = bytes.Replace(text, []byte("#!/bin/sh"), []byte("#!"+filepath.Join(b.bin, "ash")), 1)
		b.must(os.WriteFile(path, text, 0o755))
	}
	cmd := exec.Command(path, args...)
	cmd.Env = b.vars
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (b *box) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.dir, name))
	return string(text)
}

// wait waits until a file of the box holds a text.
func (b *box) wait(name, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s has no %q", name, text), func() bool { return strings.Contains(b.read(name), text) })
}

func (b *box) until(what string, done func() bool) {
	b.t.Helper()
	for limit := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			b.t.Fatalf("%s\nsyslog:\n%s\nruns:\n%s", what, b.read("syslog"), b.read("runs"))
		}
	}
}

const initScript = "overlay/etc/init.d/S70dynamod"

// TestBusyboxInit runs the init script with a dynamod that says what it was given and
// then lives until it is told to end.
func TestBusyboxInit(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.program("dynamod", `trap 'echo stopped >>"$BOX/runs"; exit 0' TERM
trap 'echo reloaded >>"$BOX/runs"' HUP
echo "run $*" >>"$BOX/runs"
echo "a line of the log" >&2
while :; do sleep 1 & wait $!; done`)
	t.Cleanup(func() { _, _ = b.ash(initScript, "stop") })
	call := func(want string, args ...string) {
		t.Helper()
		out, err := b.ash(initScript, args...)
		if !strings.Contains(out, want) || want == "" && err != nil {
			t.Errorf("%s: %q, %v; want %q", args, out, err, want)
		}
	}
	call("stopped", "status")
	call("", "start")
	b.wait("runs", "run run --ignore-unknown --config "+filepath.Join(b.dir, "etc/dynamod.toml"))
	b.wait("syslog", "dynamod: a line of the log")
	call("is running, supervised by process ", "status")
	call("dynamod is running", "start") // twice is once
	if got := b.read("etc/dynamod.toml"); got != "[modem]\n" {
		t.Errorf("the first configuration is %q", got)
	}
	call("", "reload")
	b.wait("runs", "reloaded")
	call("", "stop")
	call("", "stop")
	call("stopped", "status")
	if n := strings.Count(b.read("runs"), "run run"); n != 1 || !strings.Contains(b.read("runs"), "stopped") {
		t.Errorf("runs:\n%s", b.read("runs"))
	}

	b.file("etc/dynamod.toml", "[modem] # mine\n")
	b.file("default", "INSTANCES=\"- lte2\"\n")
	call("", "restart")
	b.wait("runs", "dynamod@lte2.toml --instance lte2")
	b.until("both run", func() bool { return strings.Count(b.read("runs"), "run run") == 3 })
	call("dynamod@lte2 is running", "status")
	if got := b.read("etc/dynamod.toml"); got != "[modem] # mine\n" {
		t.Errorf("the configuration was changed to %q", got)
	}
	call("", "factory")
	if got := b.read("etc/dynamod.toml.old"); got != "[modem] # mine\n" {
		t.Errorf("the configuration was put aside as %q", got)
	}
	b.until("both run again", func() bool { return strings.Count(b.read("runs"), "run run") == 5 })
	if got := b.read("etc/dynamod.toml"); got != "[modem]\n" {
		t.Errorf("the factory's configuration is %q", got)
	}
	call("usage", "frobnicate")

	// A supervisor that was killed leaves a daemon, beside which another is refused.
	supervisor := strings.TrimSpace(b.read("pids/dynamod.pid"))
	b.must(exec.Command("kill", "-9", supervisor).Run())
	b.until("the supervisor is there", func() bool {
		line, _ := os.ReadFile("/proc/" + supervisor + "/cmdline")
		return len(line) == 0
	})
	b.must(os.Remove(filepath.Join(b.dir, "runs")))
	call("", "start")
	b.wait("runs", "stopped\nrun run")
}

// TestBusyboxRespawn has a daemon that dies, one whose log is lost, and one that does
// not end.
func TestBusyboxRespawn(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.vars = append(b.vars, "FIRST_PAUSE=0", "GOOD_LIFE=1000")
	b.program("dynamod", `echo "run" >>"$BOX/runs"
[ "$(wc -l <"$BOX/runs")" -ge 4 ] || exit 5
[ "$(wc -l <"$BOX/runs")" -ge 5 ] || { while echo a line; do sleep 0.1; done; exit 5; }
trap '' TERM
while :; do sleep 1; done`)
	b.program("logger", `[ "$5" ] && { shift 4; echo "$*" >>"$BOX/syslog"; exit; }
read -r line # and is lost with the first one`)
	b.vars = append(b.vars, "LONGEST_STOP=1")
	t.Cleanup(func() { _, _ = b.ash(initScript, "stop") })
	out, err := b.ash(initScript, "start")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.wait("runs", strings.Repeat("run\n", 5))
	if log := b.read("syslog"); strings.Count(log, "with exit code 5, begins anew in 0 s") < 3 {
		t.Errorf("syslog:\n%s", log)
	}
	if out, err := b.ash(initScript, "stop"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left, err := filepath.Glob(filepath.Join(b.dir, "pids/*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestBusyboxPauses are twice as long each time, and bounded.
func TestBusyboxPauses(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.program("dynamod", "exit 5")
	b.program("sleep", `echo "sleep $1" >>"$BOX/runs"; [ "$(grep -c sleep "$BOX/runs")" -lt 12 ] || exec "$BOX/bin/busybox" sleep 1000`)
	b.program("logger", "exit 0") // the daemon says nothing
	b.vars = append(b.vars, "LONGEST_PAUSE=300")
	if out, err := b.ash(initScript, "start"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = b.ash(initScript, "stop") })
	var want strings.Builder
	for _, s := range []int{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		fmt.Fprintf(&want, "sleep %d\n", s)
	}
	b.wait("runs", want.String())
}

// TestReadOnlyEtc starts with the factory's configuration where /etc takes none.
func TestReadOnlyEtc(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.program("dynamod", `echo "run $*" >>"$BOX/runs"; exec "$BOX/bin/busybox" sleep 1000`)
	b.file("etc", "") // root writes to a directory of any mode, but not into a file
	if out, err := b.ash(initScript, "start"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = b.ash(initScript, "stop") })
	b.wait("runs", "--config "+filepath.Join(b.dir, "factory.toml"))
}

// shellFiles are all files of the tree that begin as shell scripts do.
func shellFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.HasPrefix(string(text), "#!/bin/sh") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	return files
}

func TestShellFiles(t *testing.T) {
	for name, command := range map[string][]string{
		"shellcheck": {"shellcheck", "-s", "dash", "-S", "style"},
		"ash":        {"busybox", "ash", "-n"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("%s is not installed", command[0])
			}
			for _, path := range shellFiles(t) {
				if out, err := exec.Command(command[0], append(command[1:], path)...).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", path, err, out)
				}
			}
		})
	}
}

// TestSysctl knows each key, and the kernel takes those of a network namespace.
func TestSysctl(t *testing.T) {
	text, err := os.ReadFile("overlay/etc/sysctl.d/60-dynamod.conf")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^([a-z0-9_.]+) = (\d+)$`)
	keys := line.FindAllStringSubmatch(string(text), -1)
	if len(keys) < 5 {
		t.Fatalf("keys: %v", keys)
	}
	for _, rest := range strings.Split(line.ReplaceAllString(string(text), ""), "\n") {
		if rest != "" && rest[0] != '#' {
			t.Errorf("line %q", rest)
		}
	}
	for _, k := range keys {
		path := "/proc/sys/" + strings.ReplaceAll(k[1], ".", "/")
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", k[1], err)
		}
		if strings.HasPrefix(k[1], "net.") {
			inNamespace(t, fmt.Sprintf("echo %s >%s && [ $(cat %[2]s) = %[1]s ]", k[2], path))
		}
	}
}

// TestNftables loads the base set twice.
func TestNftables(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nftables is not installed")
	}
	const load = "nft -f overlay/etc/nftables.d/dynamod.nft"
	once := inNamespace(t, load+" && nft list ruleset")
	if twice := inNamespace(t, load+" && "+load+" && nft list ruleset"); twice != once || !strings.Contains(once, "masquerade") {
		t.Errorf("once:\n%s\ntwice:\n%s", once, twice)
	}
}

// inNamespace runs a command in a network namespace of its own.
func inNamespace(t *testing.T, command string) string {
	t.Helper()
	args := []string{"-n"}
	if os.Getuid() != 0 {
		args = []string{"-Urn"}
	}
	out, err := exec.Command("unshare", append(args, "sh", "-c", command)...).CombinedOutput()
	if err != nil {
		if strings.Contains(string(out), "unshare:") {
			t.Skipf("no network namespace here: %s", out)
		}
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
