package netlab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/netlink"
	"dynamod/netlink/reach"
	"dynamod/netlink/uplink"
)

// eachNetwork runs a test in the simulated network and in the kernel's.
func eachNetwork(t *testing.T, o netlab.Options, test func(t *testing.T, n netlab.Network)) {
	t.Run("simulated", func(t *testing.T) {
		n, err := netlab.NewSimulated(o)
		if err != nil {
			t.Fatal(err)
		}
		defer closeNetwork(t, n)
		test(t, n)
	})
	t.Run("linux", func(t *testing.T) {
		n := newLab(t, o)
		defer closeNetwork(t, n)
		test(t, n)
	})
}

func closeNetwork(t *testing.T, n netlab.Network) {
	if err := n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func newLab(t *testing.T, o netlab.Options) *netlab.Lab {
	t.Helper()
	n, err := netlab.New(t.Context(), o)
	if errors.Is(err, netlab.ErrForbidden) || errors.Is(err, netlab.ErrNoTUN) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// role makes the test binary play another part.
const role = "DYNAMOD_NETLAB_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "probe":
		err = probeRole()
	case "wire":
		err = wireRole()
	case "lab":
		err = labRole()
	case "userns":
		err = usernsRole()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// self is this test binary in another part.
func self(part string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), role+"="+part)
	return cmd
}

// probeRole is a gateway in small: a process inside the router's namespace that brings the link up and probes it by
// name, with nothing but what a real one has.
func probeRole() error {
	ctx := context.Background()
	k, err := netlink.Dial(netlink.Config{})
	if err != nil {
		return err
	}
	o := netlab.Options{}
	s := specOf(o, o.Lease())
	if _, err := uplink.Apply(ctx, k, s); err != nil {
		return err
	}
	r, err := reach.Probe(ctx, reach.Config{Dialer: s.Dialer(), Targets: []string{netlab.ReachTarget}, Timeout: patient})
	if err != nil {
		return err
	}
	fmt.Printf("reach %s %s", r.State, r.Reason)
	return nil
}

// labRole is `dynamod sim` in small: it says how to enter and stays.
func labRole() error {
	ctx := context.Background()
	n, err := netlab.New(ctx, netlab.Options{})
	if err != nil {
		return err
	}
	if err := n.Activate(n.Options().Lease()); err != nil {
		return err
	}
	child := exec.Command("sleep", "1000")
	if _, err := n.Start(ctx, child); err != nil {
		return err
	}
	fmt.Printf("%d %s\n", child.Process.Pid, strings.Join(n.EnterCommand(), " "))
	select {}
}

// usernsRole is an ordinary user's `dynamod demo`.
func usernsRole() error {
	ctx := context.Background()
	if !netlab.InUserNamespace() {
		status, err := netlab.Reexec(ctx)
		if err == nil && status != 0 {
			os.Exit(status)
		}
		return err
	}
	n, err := netlab.New(ctx, netlab.Options{})
	if err != nil {
		return err
	}
	if err := n.Activate(n.Options().Lease()); err != nil {
		return err
	}
	cmd := self("probe")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return errors.Join(n.Run(ctx, cmd), n.Close())
}

// TestRun: a child process in the router's namespace brings the link up and reaches the endpoint by name.
func TestRun(t *testing.T) {
	n := newLab(t, netlab.Options{})
	defer closeNetwork(t, n)
	if err := n.Activate(n.Options().Lease()); err != nil {
		t.Fatal(err)
	}
	cmd := self("probe")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Run(t.Context(), cmd); err != nil || out.String() != "reach ok " {
		t.Errorf("got %q, %v", &out, err)
	}
	// The child made the uplink; the lab's own view of the router shows it.
	s := specOf(n.Options(), n.Options().Lease())
	if st, err := uplink.Read(t.Context(), n.Kernel(), s); err != nil || len(uplink.Diff(s, st)) != 0 {
		t.Errorf("got %+v, %v", st, err)
	}
}

// TestChildEnds: a child ends with its context, and with the lab.
func TestChildEnds(t *testing.T) {
	n := newLab(t, netlab.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	one, err := n.Start(ctx, exec.Command("sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := n.Start(t.Context(), exec.Command("sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-one; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("context: %v", err)
	}
	closeNetwork(t, n)
	if err := <-two; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("lab: %v", err)
	}
	if _, err := n.Start(t.Context(), exec.Command("true")); err == nil || err.Error() != "the lab is closed" {
		t.Errorf("closed: %v", err)
	}
	if err := newLabErr(t); err != nil {
		t.Errorf("a lab after a lab: %v", err)
	}
}

func newLabErr(t *testing.T) error {
	n, err := netlab.New(t.Context(), netlab.Options{})
	if err != nil {
		return err
	}
	_, serr := n.Start(t.Context(), exec.Command("/nonexistent"))
	if !errors.Is(serr, os.ErrNotExist) {
		t.Errorf("start of nothing: %v", serr)
	}
	return n.Close()
}

// TestEnterAndKill: another process enters by the command that the lab gives; when the lab is killed, its child and its
// namespaces are gone.
func TestEnterAndKill(t *testing.T) {
	if err := netlab.Permitted(); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		t.Skip(err)
	}
	lab := self("lab")
	stdout, err := lab.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lab.Process.Kill(); _ = lab.Wait() }()
	line := make([]byte, 4096)
	k, err := stdout.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(line[:k]))
	child, err := strconv.Atoi(f[0])
	if err != nil {
		t.Fatalf("%s", line[:k])
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	enter := f[1:]
	cmd := exec.Command(enter[0], append(enter[1:], exe)...)
	cmd.Env = append(os.Environ(), role+"=probe")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "reach ok " {
		t.Errorf("%q: %q, %v", enter, out, err)
	}
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", child))
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = lab.Wait()
	for alive(child) {
		time.Sleep(time.Millisecond)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, l := range links {
		if got, _ := os.Readlink(l); got == ns {
			t.Errorf("%s is still in the router's namespace", l)
		}
	}
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// A zombie waits for whoever inherited it.
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

// TestOrdinaryUser: without privileges the lab is built inside a user namespace.
func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become an ordinary user")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "netlab") // t.TempDir's parents are closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "test")
	copyTo(t, exe)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), role+"=userns")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), netlab.ErrForbidden.Error()) {
		t.Skipf("%s", out)
	}
	if err != nil || string(out) != "reach ok " {
		t.Errorf("got %q, %v", out, err)
	}
}

func copyTo(t *testing.T, path string) {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
