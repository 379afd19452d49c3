package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestAdvice: what the rooms below the command line say is read in the page, the TUI
// and by programs, too. A flag there is behind the verb that has it.
func TestAdvice(t *testing.T) {
	texts := 0
	for _, room := range []string{"../atcmd", "../board", "../configs", "../euicc", "../netlink", "."} {
		err := filepath.WalkDir(room, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "testdata" || d.Name() == "demo" || strings.HasSuffix(d.Name(), "sim")) {
				return fs.SkipDir
			}
			if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == "." {
				return nil
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil || file.Name.Name == "main" {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				text, whole := literal(e)
				if text != "" && strings.Contains(text, " ") {
					texts++
					if flag := bareFlag(text); flag != "" {
						t.Errorf("%s: %s without its verb: %q", fset.Position(n.Pos()), flag, text)
					}
				}
				return !whole
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if texts < 1000 {
		t.Errorf("only %d texts were looked at", texts)
	}
	for text, want := range map[string]string{
		"--again asks the server all the same":        "--again",
		"or do it with `--again`":                     "--again",
		"`dynamod status`, then --again":              "--again",
		"`dynamod activate --again` asks the server":  "",
		"`systemctl enable --now dynamod` starts it":  "",
		"a line that ends in -- or has a-b in itself": "",
	} {
		if got := bareFlag(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// literal is the text of a literal, or of a sum of them and of what is put in.
func literal(e ast.Expr) (text string, whole bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ = strconv.Unquote(e.Value)
		}
		return text, true
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		x, _ := literal(e.X)
		y, _ := literal(e.Y)
		return x + y, x+y != ""
	}
	return "", false
}

var (
	behindVerb = regexp.MustCompile("`[a-z]+ [^`]*`")
	aFlag      = regexp.MustCompile(`--[a-z][a-z-]+`)
)

// bareFlag is a flag that no command in backquotes has.
func bareFlag(text string) string { return aFlag.FindString(behindVerb.ReplaceAllString(text, "")) }
