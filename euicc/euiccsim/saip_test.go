package euiccsim

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ts48 returns the published GSMA TS.48 test profiles, or skips.
func ts48(t testing.TB) map[string][]byte {
	t.Helper()
	names, _ := filepath.Glob("../../../shared/data/ts48/*.der")
	if len(names) == 0 {
		t.Skip("the TS.48 profiles are not beside this checkout (../shared/data/ts48)")
	}
	m := map[string][]byte{}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Skipf("cannot read %s: %v", n, err)
		}
		m[strings.TrimSuffix(filepath.Base(n), ".der")] = b
	}
	return m
}

func hexOf(t testing.TB, fs *fileSystem, where, path string) string {
	t.Helper()
	p, err := hex.DecodeString(path)
	if err != nil {
		t.Fatal(err)
	}
	f := fs.mf
	if where != "MF" {
		aid, err := hex.DecodeString(where)
		if err != nil {
			t.Fatal(err)
		}
		if f = fs.application(aid); f == nil {
			return "no application"
		}
	}
	if f = f.byPath(p); f == nil {
		return "no file"
	}
	return hex.EncodeToString(f.data)
}

// The values are what pySim reads from the same packages: IMSI 001010123456063
// on the test network 001-01, two digits of MNC, SPN "GSMA TEST".
func TestTS48Files(t *testing.T) {
	const usim, isim = "a0000000871002", "a0000000871004"
	for name, upp := range ts48(t) {
		t.Run(name, func(t *testing.T) {
			fs, err := parsePackage(upp)
			if err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct{ name, where, path, want string }{
				{"EF_ICCID", "MF", "2fe2", hex.EncodeToString(swapped(fs.iccid))},
				{"EF_IMSI", usim, "6f07", "080910101032540636"},
				{"EF_AD", usim, "6fad", "80000002"},
				{"EF_SPN", usim, "6f46", "0147534d411154455354ffffffffffffff"},
				{"EF_GID1", usim, "6f3e", "ffff"},
				{"EF_GID2", usim, "6f3f", "ffff"},
				{"EF_ACC", usim, "6f78", "0001"},
				{"no such file", usim, "6f99", "no file"},
				{"no such application", "a0000000099999", "6f07", "no application"},
			} {
				if got := hexOf(t, fs, tt.where, tt.path); got != tt.want {
					t.Errorf("%s = %s, want %s", tt.name, got, tt.want)
				}
			}
			if fs.application([]byte{0xA0, 0, 0, 0, 0x87, 0x10, 0x04}) == nil {
				t.Errorf("no ISIM %s", isim)
			}
			dir := fs.mf.child(fidDIR)
			if dir == nil || dir.recLen != 33 || !bytes.HasPrefix(dir.record(1), []byte{0x61, 0x14, 0x4F, 0x0C, 0xA0}) || !bytes.HasPrefix(dir.record(2), []byte{0x61, 0x14, 0x4F}) {
				t.Error("EF_DIR does not list USIM and ISIM")
			}
		})
	}
}
