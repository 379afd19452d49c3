package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testSource is the repository with programs of a few bytes.
func testSource(t *testing.T) *source {
	t.Helper()
	bin := t.TempDir()
	names := []string{"dynamod.8", "dynamod.toml.5", "dynamod.bash", "dynamod.zsh"}
	for _, list := range [][]target{debs, ipks} {
		for _, tt := range list {
			names = append(names, "dynamod-linux-"+tt.binary)
		}
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("\x7fELF "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &source{Root: "../..", Bin: bin, Version: "1.2.3", Time: time.Unix(1790000000, 0)}
}

type entry struct {
	mode int64
	data string
}

// unpack lists a tar.gz; each entry has to be root's, and all have one date.
func unpack(t *testing.T, data []byte) map[string]entry {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if !zip.ModTime.IsZero() || zip.Name != "" {
		t.Errorf("the gzip has a date or a name")
	}
	entries := map[string]entry{}
	var last string
	var date time.Time
	r := tar.NewReader(zip)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Gname != "root" || !date.IsZero() && !h.ModTime.Equal(date) {
			t.Errorf("%s: owner %d:%d, date %s", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		if !strings.HasPrefix(h.Name, "./") || h.Name <= last {
			t.Errorf("%s comes after %s", h.Name, last)
		}
		if dir := filepath.Dir(strings.TrimSuffix(h.Name, "/")); dir != "." && entries["./"+dir+"/"].mode != 0o755 {
			t.Errorf("%s comes before its directory", h.Name)
		}
		last, date = h.Name, h.ModTime
		entries[h.Name] = entry{h.Mode, string(content)}
	}
}

// members splits an ar archive.
func members(t *testing.T, data []byte) (names []string, content map[string][]byte) {
	t.Helper()
	content = map[string][]byte{}
	data, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("no ar archive")
	}
	for len(data) > 0 {
		name := strings.TrimSpace(string(data[:16]))
		size, err := strconv.Atoi(strings.TrimSpace(string(data[48:58])))
		if err != nil || string(data[58:60]) != "`\n" {
			t.Fatalf("header %q", data[:60])
		}
		names = append(names, name)
		content[name] = data[60 : 60+size]
		data = data[60+size+size%2:]
	}
	return names, content
}

func TestDeb(t *testing.T) {
	s := testSource(t)
	for _, tt := range debs {
		data, err := s.deb(tt)
		if err != nil {
			t.Fatal(err)
		}
		names, parts := members(t, data)
		if !slices.Equal(names, []string{"debian-binary", "control.tar.gz", "data.tar.gz"}) || string(parts["debian-binary"]) != "2.0\n" {
			t.Fatalf("%s: members %q", tt.arch, names)
		}
		control, files := unpack(t, parts["control.tar.gz"]), unpack(t, parts["data.tar.gz"])
		for name, mode := range map[string]int64{
			"./usr/bin/dynamod": 0o755, "./usr/lib/systemd/system/dynamod.service": 0o644, "./usr/lib/systemd/system/dynamod@.service": 0o644,
			"./usr/lib/systemd/system/dynamod-helper.socket": 0o644, "./usr/lib/systemd/system/dynamod-helper@.service": 0o644,
			"./usr/lib/udev/rules.d/60-dynamod.rules": 0o644, "./usr/share/dynamod/dynamod.toml": 0o644, "./usr/share/man/man8/dynamod.8.gz": 0o644,
			"./usr/share/doc/dynamod/copyright": 0o644, "./etc/dynamod/operators.d/": 0o755,
		} {
			if files[name].mode != mode {
				t.Errorf("%s: %s has mode %o", tt.arch, name, files[name].mode)
			}
		}
		for _, of := range []string{"Apache License", "---- Go, LICENSE", "---- go.bug.st/serial, LICENSE", "---- charm.land/bubbletea/v2, LICENSE", "---- github.com/coreos/go-systemd/v22, NOTICE", "---- qr, LICENSE"} {
			if !strings.Contains(files["./usr/share/doc/dynamod/copyright"].data, of) {
				t.Errorf("%s: the copyright has no %q", tt.arch, of)
			}
		}
		if got := files["./usr/bin/dynamod"].data; got != "\x7fELF dynamod-linux-"+tt.binary {
			t.Errorf("%s: the program is %q", tt.arch, got)
		}
		if date := fmt.Sprintf("%-12d", s.Time.Unix()); string(data[24:36]) != date {
			t.Errorf("%s: the date is %q", tt.arch, data[24:36])
		}
		for _, line := range []string{"Package: dynamod\n", "Version: 1.2.3\n", "Architecture: " + tt.arch + "\n", "Description: eSIM cellular gateway\n "} {
			if !strings.Contains(control["./control"].data, line) {
				t.Errorf("%s: control has no %q", tt.arch, line)
			}
		}
		for _, script := range []string{"postinst", "prerm", "postrm"} {
			if control["./"+script].mode != 0o755 {
				t.Errorf("%s: %s has mode %o", tt.arch, script, control["./"+script].mode)
			}
		}
		sums := 0
		for line := range strings.Lines(control["./md5sums"].data) {
			sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
			if fmt.Sprintf("%x", md5.Sum([]byte(files["./"+name].data))) != sum {
				t.Errorf("%s: sum of %s", tt.arch, name)
			}
			sums++
		}
		if sums < 10 {
			t.Errorf("%s: %d sums", tt.arch, sums)
		}
		unit := files["./usr/lib/systemd/system/dynamod@.service"].data
		if strings.Count(unit, "%i") != 4 || !strings.Contains(unit, "--instance %i\n") {
			t.Errorf("%s: the unit of instances is\n%s", tt.arch, unit)
		}
	}
}

func TestIpk(t *testing.T) {
	s := testSource(t)
	for _, tt := range ipks {
		data, err := s.ipk(tt)
		if err != nil {
			t.Fatal(err)
		}
		outer := unpack(t, data)
		if len(outer) != 3 || outer["./debian-binary"].data != "2.0\n" {
			t.Fatalf("%s: %d members", tt.arch, len(outer))
		}
		control, files := unpack(t, []byte(outer["./control.tar.gz"].data)), unpack(t, []byte(outer["./data.tar.gz"].data))
		for name, mode := range map[string]int64{
			"./usr/bin/dynamod": 0o755, "./etc/init.d/dynamod": 0o755, "./etc/config/dynamod": 0o644, "./lib/netifd/proto/dynamod.sh": 0o755,
			"./usr/libexec/dynamod/netifd": 0o755, "./usr/libexec/dynamod/link.awk": 0o644, "./usr/share/dynamod/keys": 0o644, "./etc/dynamod/operators.d/": 0o755,
			"./lib/upgrade/keep.d/dynamod": 0o644,
		} {
			if files[name].mode != mode {
				t.Errorf("%s: %s has mode %o", tt.arch, name, files[name].mode)
			}
		}
		if got := files["./usr/bin/dynamod"].data; got != "\x7fELF dynamod-linux-"+tt.binary {
			t.Errorf("%s: the program is %q", tt.arch, got)
		}
		if !strings.Contains(control["./control"].data, "Architecture: "+tt.arch+"\n") || control["./conffiles"].data != "/etc/config/dynamod\n" {
			t.Errorf("%s: control is %q", tt.arch, control["./control"].data)
		}
		if control["./postinst"].mode != 0o755 || control["./prerm"].mode != 0o755 {
			t.Errorf("%s: scripts %v", tt.arch, control)
		}
	}
}

// TestTwice makes everything twice, and the second time from sources of other modes.
func TestTwice(t *testing.T) {
	s := testSource(t)
	first, second := t.TempDir(), t.TempDir()
	if err := s.pack(first); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(s.Bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := os.Chmod(filepath.Join(s.Bin, e.Name()), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.pack(second); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(first)
	if err != nil || len(names) != len(debs)+len(ipks) {
		t.Fatalf("%d packages, %v", len(names), err)
	}
	for _, e := range names {
		a, err := os.ReadFile(filepath.Join(first, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(second, e.Name())); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is another one the second time, %v", e.Name(), err)
		}
	}
}

// TestLimit refuses a package that is too big.
func TestLimit(t *testing.T) {
	s := testSource(t)
	big := make([]byte, 6_200_000)
	x := uint32(1)
	for i := range big { // nothing that would be compressed
		x = x*1664525 + 1013904223
		big[i] = byte(x >> 24)
	}
	if err := os.WriteFile(filepath.Join(s.Bin, "dynamod-linux-amd64"), big, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.pack(t.TempDir()); err == nil || !strings.Contains(err.Error(), "more than its limit") {
		t.Errorf("%v", err)
	}
}

func TestVersion(t *testing.T) {
	at := time.Date(2026, 11, 24, 19, 5, 6, 0, time.UTC)
	form := regexp.MustCompile(`^[0-9][0-9A-Za-z.+~]*$`) // without a hyphen it has no revision
	for git, want := range map[string]string{
		"v0.1.0": "0.1.0", "v1.2.3-4-gabcdef0": "1.2.3+4+gabcdef0", "v1.2.3-dirty": "1.2.3+dirty",
		"ef18316": "0~20261124.190506.ef18316", "1234567": "0~20261124.190506.1234567", "ef18316-dirty": "0~20261124.190506.ef18316+dirty",
		"unknown": "0~20261124.190506", "": "0~20261124.190506",
	} {
		if got := versionOf(git, at); got != want || !form.MatchString(got) {
			t.Errorf("%q: %q, want %q", git, got, want)
		}
	}
}

// TestDpkg installs a package on another root, upgrades, removes and purges it.
func TestDpkg(t *testing.T) {
	for _, tool := range []string{"dpkg", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("dpkg --root needs root")
	}
	s := testSource(t)
	arch, err := exec.Command("dpkg", "--print-architecture").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, out := t.TempDir(), t.TempDir()
	write := func(version string) string {
		s.Version = version
		data, err := s.deb(target{strings.TrimSpace(string(arch)), "amd64"})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(out, "dynamod_"+version+".deb")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dynamod", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-depends", "--log=/dev/null"}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("dpkg %v: %v\n%s", args, err, said)
		}
		return string(said)
	}
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(root, name))
		return err == nil
	}
	dpkg("-i", write("1.2.3"))
	const config, wants = "etc/dynamod/dynamod.toml", "etc/systemd/system/multi-user.target.wants/dynamod.service"
	for _, name := range []string{"usr/bin/dynamod", config, wants, "etc/dynamod/operators.d"} {
		if !there(name) {
			t.Errorf("%s is not there", name)
		}
	}
	if err := os.WriteFile(filepath.Join(root, config), []byte("# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg("-i", write("1.2.4"))
	if text, err := os.ReadFile(filepath.Join(root, config)); err != nil || string(text) != "# mine\n" {
		t.Errorf("after the upgrade the configuration is %q, %v", text, err)
	}
	if said := dpkg("--verify", "dynamod"); said != "" {
		t.Errorf("dpkg --verify: %s", said)
	}
	dpkg("-r", "dynamod")
	if there("usr/bin/dynamod") || there(wants) || !there(config) || !there("var/lib/dynamod") {
		t.Error("remove takes the program, and leaves configuration and state")
	}
	dpkg("-P", "dynamod")
	if there("etc/dynamod") || there("var/lib/dynamod") {
		t.Error("purge has left configuration or state")
	}
}
