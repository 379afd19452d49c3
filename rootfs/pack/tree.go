package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tree are the files of a package by their path without the leading slash. Directories
// come of themselves; one that is to be there empty has the content nil.
type tree map[string][]byte

// mode is 0755 for programs, scripts and directories, so that it does not depend on
// how the sources were unpacked.
func mode(name string, data []byte) int64 {
	if strings.HasPrefix(name, "usr/bin/") || bytes.HasPrefix(data, []byte("#!")) {
		return 0o755
	}
	return 0o644
}

// add takes a file of the disk.
func (t tree) add(name, from string) error {
	data, err := os.ReadFile(from)
	if err == nil {
		t[name] = data
	}
	return err
}

// addAll takes all files below a directory.
func (t tree) addAll(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		return t.add(filepath.ToSlash(name), p)
	})
}

// size is that of all files.
func (t tree) size() (n int) {
	for _, data := range t {
		n += len(data)
	}
	return n
}

// tarball is a tar.gz with all directories, but top only if wanted, owned by root, each
// of the same date.
func (t tree) tarball(at time.Time, top bool) ([]byte, error) {
	names := map[string]bool{}
	if top {
		names["./"] = true
	}
	for name, data := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			names["./"+dir+"/"] = true
		}
		if data == nil {
			name += "/"
		}
		names["./"+name] = true
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(zip)
	for _, name := range sorted {
		h := &tar.Header{Name: name, Mode: 0o755, ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatGNU, Typeflag: tar.TypeDir}
		data := t[strings.TrimPrefix(name, "./")]
		if !strings.HasSuffix(name, "/") {
			h.Typeflag, h.Size, h.Mode = tar.TypeReg, int64(len(data)), mode(strings.TrimPrefix(name, "./"), data)
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// zipped is a file as man pages and changelogs are packed.
func zipped(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
