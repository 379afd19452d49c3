package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

// The text of a large import is never in memory as a whole.
func TestImportWritesPieceByPiece(t *testing.T) {
	profiles := make([]cosa.OperatorProfile, 10_000)
	for i := range profiles {
		profiles[i] = cosa.OperatorProfile{
			ID: fmt.Sprint("p", i), Name: "P", Source: cosa.SourceLocal, Rank: cosa.DefaultRank,
			Ext: cosa.Ext{{Key: "x", Value: strings.Repeat("x", 500)}},
		}
	}
	allocated := func(f func() error) int64 {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := f(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return int64(after.TotalAlloc - before.TotalAlloc)
	}
	once := allocated(func() error { return cosa.WriteJSON(io.Discard, profiles) })
	path := filepath.Join(t.TempDir(), "out.json")
	whole := allocated(func() error { return (&apnImport{out: path}).write(std{}, profiles) })
	info, err := os.Stat(path)
	if err != nil || info.Size() < 5<<20 {
		t.Fatalf("%v %v", info, err)
	}
	// It is written twice, the first time to count.
	if extra := whole - 2*once; extra > info.Size()/4 {
		t.Errorf("%d bytes beside the two passes, for a file of %d", extra, info.Size())
	}
}
