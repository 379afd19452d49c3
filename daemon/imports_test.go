package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms are the top-level rooms that never import each other nor the daemon,
// with the third-party modules that each may use.
var rooms = map[string][]string{
	"atcmd":   {"go.bug.st/serial", "github.com/warthog618/modem", "github.com/warthog618/sms", "golang.org/x/sys"},
	"euicc":   nil,
	"netlink": {"github.com/mdlayher/netlink", "github.com/mdlayher/socket", "github.com/jsimonetti/rtnetlink/v2", "github.com/insomniacslk/dhcp", "golang.org/x/sys", "golang.org/x/net"},
	"board":   {"github.com/pelletier/go-toml/v2", "golang.org/x/sys"},
	"configs": nil,
}

// forbidden packages, with the reason.
var forbidden = map[string]string{
	"text/template": "switches off the linker's dead-code removal",
	"html/template": "switches off the linker's dead-code removal",
}

// notOnRouters are packages that only tests, the demo and tools import, with the
// reason.
var notOnRouters = map[string]string{
	"regexp":        "0.2 MB of a router's binary, with the tables of all scripts",
	"regexp/syntax": "0.15 MB of a router's binary, with the tables of all scripts",
}

// testOnly modules serve the tests and the generators and are never linked in.
var testOnly = []string{"github.com/creack/pty", "github.com/rogpeppe/go-internal", "github.com/damonto/euicc-go", "github.com/prometheus"}

// faces are rooms of the daemon that people look at: clients of the hook's socket,
// with the other rooms of dynamod whose types they show.
var faces = map[string][]string{
	"daemon/tui": {"daemon/hook", "daemon/status", "daemon/activation", "daemon/diag", "daemon/wording", "atcmd", "euicc"},
}

// TestImportDirection holds the import rules of docs/architecture.md. It parses the
// tree itself, because the result of an exec'd `go list` would be cached.
func TestImportDirection(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "bin") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, "../"))
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := importFault(rel, imp); why != "" {
				t.Errorf("%s imports %s: %s", rel, imp, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d files were read: the test looks at the wrong tree", files)
	}
}

// importFault says why the file at rel must not import imp, or "".
func importFault(rel, imp string) string {
	test := strings.HasSuffix(rel, "_test.go")
	if why, ok := forbidden[imp]; ok {
		return why
	}
	room, _, _ := strings.Cut(rel, "/")
	dir := filepath.ToSlash(filepath.Dir(rel))
	inDemo := strings.HasPrefix(dir, "daemon/demo")
	if why, ok := notOnRouters[imp]; ok && !test && !inDemo && room != "rootfs" {
		return why
	}
	if imp == "testing" && !test {
		return "only tests import testing; a simulator ships in the binary"
	}
	if under(imp, testOnly) && !test && !strings.HasPrefix(rel, "euicc/ci/gen/") {
		return "a module for tests and generators only"
	}
	own, isOwn := strings.CutPrefix(imp, "dynamod/")
	if !isOwn {
		mods, isRoom := rooms[room]
		if isRoom && !test && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !under(imp, mods) && !under(imp, testOnly) {
			return "not one of the room's named modules"
		}
		return ""
	}
	if isSim(own) && !test && !inDemo && !strings.HasPrefix(dir, own) {
		return "only daemon/demo and tests import a simulator"
	}
	if test {
		return ""
	}
	if own == "daemon/hook/conform" {
		return "it holds tests' requests against the description of the API"
	}
	if shown, isFace := faces[dir]; isFace && !slices.Contains(shown, own) {
		return "a face is a client of the hook, and knows no more than what that tells"
	}
	if _, isRoom := rooms[room]; isRoom && own != room && !strings.HasPrefix(own, room+"/") {
		return "rooms meet in the daemon only"
	}
	return ""
}

func under(imp string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") })
}

func isSim(own string) bool {
	for part := range strings.SplitSeq(own, "/") {
		if strings.HasSuffix(part, "sim") {
			return true
		}
	}
	return false
}

func TestImportFault(t *testing.T) {
	for _, tt := range []struct {
		file, imp string
		bad       bool
	}{
		{"atcmd/session.go", "dynamod/euicc", true},
		{"atcmd/uicc/cgla.go", "dynamod/atcmd", false},
		{"euicc/lpa/lpa.go", "dynamod/daemon/config", true},
		{"euicc/lpa/lpa.go", "dynamod/euicc/euiccsim", true},
		{"euicc/lpa/lpa_test.go", "dynamod/euicc/euiccsim", false},
		{"daemon/demo/lab.go", "dynamod/euicc/euiccsim", false},
		{"daemon/gateway/gateway.go", "dynamod/atcmd/atsim", true},
		{"daemon/gateway/gateway.go", "dynamod/atcmd", false},
		{"euicc/euiccsim/card.go", "testing", true},
		{"daemon/hook/page.go", "html/template", true},
		{"euicc/es9p/client.go", "golang.org/x/net/http2", true},
		{"atcmd/port/tty.go", "go.bug.st/serial", false},
		{"atcmd/modem/cause.go", "regexp", true},
		{"atcmd/modem/cause_test.go", "regexp", false},
		{"daemon/demo/walk/reaper.go", "regexp", false},
		{"atcmd/port/tty.go", "github.com/creack/pty", true},
		{"daemon/tui/model.go", "dynamod/daemon/hook", false},
		{"daemon/tui/model.go", "dynamod/daemon/gateway", true},
		{"daemon/tui/model.go", "dynamod/atcmd/modem", true},
	} {
		if got := importFault(tt.file, tt.imp); (got != "") != tt.bad {
			t.Errorf("%s imports %s: fault %q, want fault %v", tt.file, tt.imp, got, tt.bad)
		}
	}
}
