package main

import (
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"strings"
)

// anatomy is what a stripped binary says of itself.
type anatomy struct {
	sections []share // of the file, in its order
	code     []share // by module, the largest first; Go's library and our rooms apart
}

// share is a part with its bytes and, of code, its functions.
type share struct {
	name             string
	bytes, functions int
}

// parts names the sections of a Go binary by what is in them.
var parts = map[string]string{
	".text":      "code",
	".rodata":    "types, texts and constants",
	".gopclntab": "tables of the functions, for stack traces and the garbage collector",
	".noptrdata": "data without pointers",
	".data":      "data",
}

func dissect(file string) (anatomy, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return anatomy{}, err
	}
	f, err := elf.Open(file)
	if err != nil {
		return anatomy{}, err
	}
	defer f.Close()
	var a anatomy
	rest := share{name: "the rest"}
	for _, s := range f.Sections {
		switch name, ok := parts[s.Name]; {
		case ok:
			a.sections = append(a.sections, share{name: name, bytes: int(s.Size)})
		case s.Type != elf.SHT_NOBITS:
			rest.bytes += int(s.Size)
		}
	}
	a.sections = append(a.sections, rest)
	text, lines := f.Section(".text"), f.Section(".gopclntab")
	if text == nil || lines == nil {
		return anatomy{}, fmt.Errorf("%s: no binary of Go's", file)
	}
	data, err := lines.Data()
	if err != nil {
		return anatomy{}, err
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return anatomy{}, err
	}
	modules := []string{}
	for _, m := range info.Deps {
		modules = append(modules, m.Path)
	}
	by := map[string]*share{}
	for _, fn := range table.Funcs {
		name := owner(fn.Name, modules)
		if by[name] == nil {
			by[name] = &share{name: name}
		}
		by[name].bytes += int(fn.End - fn.Entry)
		by[name].functions++
	}
	for _, m := range modules { // tables alone
		if by[m] == nil {
			by[m] = &share{name: m}
		}
	}
	for _, s := range by {
		a.code = append(a.code, *s)
	}
	sortBySize(a.code)
	return a, nil
}

// owner is the module of a function, or the part of ours or of Go's library.
// Generic functions are counted where they are written.
func owner(function string, modules []string) string {
	path, _, _ := strings.Cut(function, "[")
	path, _, _ = strings.Cut(path, "(")
	dir := strings.LastIndex(path, "/") + 1
	if dot := strings.Index(path[dir:], "."); dot >= 0 {
		path = path[:dir+dot]
	}
	path = strings.TrimPrefix(path, "type:.eq.")
	longest := ""
	for _, m := range modules {
		if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(longest) {
			longest = m
		}
	}
	first, more, _ := strings.Cut(path, "/")
	switch {
	case longest != "":
		return longest
	case first == "main":
		return "dynamod/daemon"
	case first == "dynamod":
		second, _, _ := strings.Cut(more, "/")
		return "dynamod/" + second
	case first == "vendor" || first == "net":
		return "Go: net"
	case first == "crypto" || first == "encoding" || first == "runtime" || first == "compress" || first == "image":
		return "Go: " + first
	case first == "internal":
		return "Go: runtime"
	}
	return "Go: other packages"
}
