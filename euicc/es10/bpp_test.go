package es10

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"dynamod/euicc/bertlv"
)

// fixtures returns the folder with the public packages of
// github.com/damonto/euicc-go v1.1.2 (v2/fixtures, MIT).
func fixtures(tb testing.TB) string {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/damonto/euicc-go").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		tb.Skip("module github.com/damonto/euicc-go is not in the module cache (go mod download)")
	}
	return filepath.Join(dir, "v2", "fixtures")
}

var packages = []struct {
	name, n, profile string
	bytes            int
}{
	{"Infineon", "1", "Leopard", 2784},
	{"Redtea", "2", "RedteaGO", 1796},
	{"Tigo", "3", "Tigo", 8112},
	{"Tele2", "4", "Tele2_TK_eSIM_E01_2", 6518},
}

func readPackage(tb testing.TB, n string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(fixtures(tb), "bpp@"+n+".txt"))
	if err != nil {
		tb.Fatal(err)
	}
	// Two of the servers padded with one = too many.
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(string(text)), ""), "="))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func readSegments(tb testing.TB, n string) (list [][]byte) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(fixtures(tb), "sbpp@"+n+".txt"))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func segments(p *BPP) (list [][]byte) {
	for s := range p.Segments() {
		list = append(list, s)
	}
	return list
}

func TestSegmentsOfPublicPackages(t *testing.T) {
	for _, tt := range packages {
		t.Run(tt.name, func(t *testing.T) {
			b := readPackage(t, tt.n)
			p, err := ParseBPP(b)
			if err != nil {
				t.Fatal(err)
			}
			if p.Size() != tt.bytes || len(b) != tt.bytes {
				t.Errorf("package of %d bytes, got %d", tt.bytes, p.Size())
			}
			got, want := segments(p), readSegments(t, tt.n)
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("segments differ: %d, want %d", len(got), len(want))
			}
			if p.Count() != len(want) {
				t.Errorf("Count is %d, want %d", p.Count(), len(want))
			}
			m, err := p.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			if m.Name != tt.profile {
				t.Errorf("profile name %q, want %q", m.Name, tt.profile)
			}
			id, err := p.TransactionID()
			if err != nil || len(id) < 16 {
				t.Errorf("transaction ID %q, %v", id, err)
			}
		})
	}
}

func TestParseBPPCutAtEveryByte(t *testing.T) {
	b := readPackage(t, "2")
	for n := range b {
		if _, err := ParseBPP(b[:n]); !errors.Is(err, ErrBPP) || !errors.Is(err, bertlv.ErrTruncated) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// part builds a package from its parts, for the table below.
func part(parts ...[]byte) []byte { return bertlv.Encode(0xBF36, parts...) }

var (
	bf23 = bertlv.Encode(0xBF23, []byte{0x80, 1, 1})
	a0   = bertlv.Encode(0xA0, []byte{0x87, 1, 1})
	a0b  = bertlv.Encode(0xA0, []byte{0x87, 1, 1, 0x87, 1, 2})
	a1   = bertlv.Encode(0xA1, []byte{0x88, 1, 1})
	a2   = bertlv.Encode(0xA2, []byte{0x87, 1, 1})
	a3   = bertlv.Encode(0xA3, []byte{0x86, 1, 1})
)

// SGP.22 3.1.3.3: what the LPA checks before it sends a segment.
func TestParseBPPRefuses(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "cut off"},
		{"another data object", bertlv.Encode(0xBF37), "BF36"},
		{"bytes behind", append(part(bf23, a0, a1, a3), 0), "follow"},
		{"empty", part(), "initialiseSecureChannelRequest is missing"},
		{"no BF23", part(a0, a1, a3), "tag A0 where initialise"},
		{"no A0", part(bf23, a1, a3), "tag A1 where firstSequenceOf87"},
		{"no A1", part(bf23, a0, a3), "tag A3 where sequenceOf88"},
		{"no A3", part(bf23, a0, a1, a2), "sequenceOf86 is missing"},
		{"no A2 and A3", part(bf23, a0, a1), "is missing"},
		{"swapped", part(bf23, a1, a0, a3), "tag A1 where firstSequenceOf87"},
		{"twice A3", part(bf23, a0, a1, a3, a3), "behind its last part"},
		{"empty A0", part(bf23, bertlv.Encode(0xA0), a1, a3), "firstSequenceOf87 is empty"},
		{"empty A3", part(bf23, a0, a1, bertlv.Encode(0xA3)), "sequenceOf86 is empty"},
		{"87 in A1", part(bf23, a0, bertlv.Encode(0xA1, []byte{0x87, 0}), a3), "tag 87 in sequenceOf88"},
		{"cut 86", part(bf23, a0, a1, bertlv.Encode(0xA3, []byte{0x86, 9, 1})), "cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseBPP(tt.b)
			if !errors.Is(err, ErrBPP) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Two 87 in one sequence: the first goes with the header, the second alone.
func TestSegmentsOfSeveral87(t *testing.T) {
	p, err := ParseBPP(part(bf23, a0b, a1, a3))
	if err != nil {
		t.Fatal(err)
	}
	got := segments(p)
	if len(got) != 7 || p.Count() != 7 || !bytes.Equal(got[2], []byte{0x87, 1, 2}) {
		t.Errorf("got %X", got)
	}
}

// stream returns the segments of a package that arrives, up to its error.
func stream(r io.Reader) (list [][]byte, err error) {
	p, err := ReadBPP(r)
	if err != nil {
		return nil, err
	}
	for s, err := range p.Segments() {
		if err != nil {
			return list, err
		}
		list = append(list, bytes.Clone(s))
	}
	return list, nil
}

// The source has the last word: until it has come to its end, the last segment is
// not given out, and its error takes the package back.
func TestLastSegmentWaits(t *testing.T) {
	gone := errors.New("taken back")
	b := part(bf23, a0, a1, bertlv.Encode(0xA3, []byte{0x86, 1, 1, 0x86, 1, 2}))
	got, err := stream(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(gone)))
	if err != gone || !bytes.Equal(bytes.Join(got, nil), b[:len(b)-3]) {
		t.Errorf("%X, %v", got, err)
	}
	if _, err := ReadBPP(io.MultiReader(bytes.NewReader(b[:20]), iotest.ErrReader(gone))); err != gone {
		t.Errorf("in the head: %v", err)
	}
	long := bertlv.Encode(0x86, make([]byte, maxSegment))
	tooLong := part(bf23, a0, a1, bertlv.Encode(0xA3, long))
	if _, err := stream(bytes.NewReader(tooLong)); !errors.Is(err, ErrBPP) {
		t.Errorf("86 of %d bytes: %v", len(long), err)
	}
	if _, err := ParseBPP(tooLong); !errors.Is(err, ErrBPP) {
		t.Errorf("86 of %d bytes in one piece: %v", len(long), err)
	}
	if _, err := ReadBPP(bytes.NewReader(part(bf23, bertlv.Encode(0xA0, bertlv.Encode(0x87, make([]byte, maxHead))), a1, a3))); !errors.Is(err, ErrBPP) {
		t.Errorf("head of more than %d bytes: %v", maxHead, err)
	}
}

func FuzzBPP(f *testing.F) {
	f.Add(part(bf23, a0b, a1, a2, a3))
	f.Add(part(bf23, a0, a1, a3))
	f.Add(append(part(bf23, a0, a1, a3), 0))
	f.Add(part(bf23, a0, a1, bertlv.Encode(0xA3, []byte{0x86, 1, 1, 0x86, 9, 1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseBPP(b)
		streamed, serr := stream(iotest.OneByteReader(bytes.NewReader(b)))
		if (err == nil) != (serr == nil) || !bytes.HasPrefix(b, bytes.Join(streamed, nil)) {
			t.Fatalf("in one piece: %v; as it arrives: %d segments, %v", err, len(streamed), serr)
		}
		if err != nil {
			if !errors.Is(serr, ErrBPP) {
				t.Fatal(serr)
			}
			return
		}
		list := segments(p)
		if !slices.EqualFunc(list, streamed, bytes.Equal) {
			t.Fatalf("%d segments in one piece, %d as they arrive", len(list), len(streamed))
		}
		if !bytes.Equal(bytes.Join(list, nil), b) || len(list) != p.Count() {
			t.Fatalf("segments do not add up to the package")
		}
		_, _ = p.Metadata()
		_, _ = p.TransactionID()
	})
}
