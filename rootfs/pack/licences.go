package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// copyright is our own licence and those of what is linked into the binary, which want
// to go with it: the modules, Go's own library, and the page's reader of QR codes.
func (s *source) copyright() ([]byte, error) {
	var out bytes.Buffer
	own, err := os.ReadFile(filepath.Join(s.Root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	out.Write(own)
	root, err := s.tool("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	// Modules that the repository replaces by code of its own have our licence.
	list, err := s.tool("list", "-deps", "-tags", "nodemo", "-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{if .Replace}} replaced{{end}}{{end}}{{end}}`, "./daemon")
	if err != nil {
		return nil, err
	}
	parts := append(strings.Split(list, "\n"), "Go "+root, "qr "+filepath.Join(s.Root, "daemon/hook/page/files/qr"))
	slices.Sort(parts)
	for _, part := range slices.Compact(parts) {
		name, dir, ok := strings.Cut(part, " ")
		dir, ours := strings.CutSuffix(dir, " replaced")
		if !ok {
			continue
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		none := true
		for _, f := range files {
			if f.IsDir() || !isLicence(f.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				return nil, err
			}
			none = false
			fmt.Fprintf(&out, "\n---- %s, %s ----\n\n%s\n", name, f.Name(), bytes.TrimSpace(text))
		}
		if none && !ours {
			return nil, fmt.Errorf("%s has no licence in %s", name, dir)
		}
	}
	return out.Bytes(), nil
}

func isLicence(name string) bool {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return slices.Contains([]string{"license", "licence", "copying", "notice"}, name)
}

// tool is what the go command says of the router's program.
func (s *source) tool(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = s.Root, os.Stderr
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm", "CGO_ENABLED=0")
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(text)), nil
}
