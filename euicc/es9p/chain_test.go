package es9p

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/es10"
)

// The whole way of a package, from the JSON text to the segments, with the
// public packages of github.com/damonto/euicc-go v1.1.2 (v2/fixtures, MIT) as
// vectors of somebody else's.

var publicPackages = []string{"1", "2", "3", "4"} // Infineon, Redtea, Tigo, Tele2

// fixture returns a public package as the server wrote it, and its segments.
func fixture(tb testing.TB, n string) (text string, segments [][]byte) {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/damonto/euicc-go").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		tb.Skip("module github.com/damonto/euicc-go is not in the module cache (go mod download)")
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, "v2", "fixtures", name+"@"+n+".txt"))
		if err != nil {
			tb.Fatal(err)
		}
		return string(b)
	}
	for line := range strings.Lines(read("sbpp")) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			tb.Fatal(err)
		}
		segments = append(segments, b)
	}
	return strings.Join(strings.Fields(read("bpp")), ""), segments
}

// cut brings a text all the way and returns the segments that came before err.
func cut(body io.Reader, read func(*Package) io.Reader) (got [][]byte, err error) {
	p := &Package{
		function: "getBoundProfilePackage", want: "0aB1", answer: &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(nil)},
		log: func(error) {}, cancel: func(error) {},
	}
	if err := p.begin(body); err != nil {
		return nil, err
	}
	defer p.Close()
	bpp, err := es10.ReadBPP(read(p))
	if err != nil {
		return nil, err
	}
	for s, err := range bpp.Segments() {
		if err != nil {
			return got, err
		}
		got = append(got, bytes.Clone(s))
	}
	return got, nil
}

func direct(p *Package) io.Reader { return p }

func TestPublicPackagesStreamed(t *testing.T) {
	for _, n := range publicPackages {
		text, want := fixture(t, n)
		for name, form := range forms {
			bpp := `"boundProfilePackage":"` + form(text) + `"`
			for _, body := range orders(success, `"transactionId":"0AB1"`, bpp) {
				body = "{" + body + "}"
				for _, read := range []func(*Package) io.Reader{direct, (*Package).Ahead} {
					got, err := cut(strings.NewReader(body), read)
					if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
						t.Fatalf("package %s, %s, %.40s...: %d of %d segments, %v", n, name, body, len(got), len(want), err)
					}
				}
			}
		}
	}
}

// Wherever the line is cut, the segments that came are the package's first, and
// never its last: a server may still say at the end that it is not to be used.
func TestPublicPackagesCutAtEveryByte(t *testing.T) {
	for _, n := range publicPackages {
		text, want := fixture(t, n)
		bodies := []string{`{"boundProfilePackage":"` + text + `",` + success + `,"transactionId":"0AB1"}`}
		if len(text) < 3000 { // one of them is enough for the other order
			bodies = append(bodies, `{`+success+`,"transactionId":"0AB1","boundProfilePackage":"`+text+`"}`)
		}
		for _, body := range bodies {
			for i := 1; i < len(body); i++ {
				got, err := cut(strings.NewReader(body[:i]), direct)
				e, ok := errors.AsType[*BodyError](err)
				if !ok || !e.Truncated || len(got) >= len(want) || !slices.EqualFunc(got, want[:len(got)], bytes.Equal) {
					t.Fatalf("package %s cut at %d of %d: %d segments, %v", n, i, len(body), len(got), err)
				}
			}
		}
	}
}

// A body that is whole with a package that is not: bad structure, not a bad line.
func TestPackageCutInside(t *testing.T) {
	text, want := fixture(t, "2")
	whole, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		body := `{` + success + `,"transactionId":"0AB1","boundProfilePackage":"` + base64.StdEncoding.EncodeToString(whole[:i]) + `"}`
		got, err := cut(strings.NewReader(body), direct)
		if !errors.Is(err, es10.ErrBPP) || !errors.Is(err, bertlv.ErrTruncated) || len(got) >= len(want) || !slices.EqualFunc(got, want[:len(got)], bytes.Equal) {
			t.Fatalf("cut at %d: %d segments, %v", i, len(got), err)
		}
	}
}

// What comes behind the package in the JSON text decides about its last segment.
func TestStatusBehindPackage(t *testing.T) {
	text, want := fixture(t, "2")
	for name, tail := range map[string]string{
		"refused":         `"transactionId":"0AB1","header":{"functionExecutionStatus":{"status":"Failed"}}}`,
		"no status":       `"transactionId":"0AB1"}`,
		"another session": success + `,"transactionId":"0AB2"}`,
		"no session":      success + `}`,
	} {
		got, err := cut(strings.NewReader(`{"boundProfilePackage":"`+text+`",`+tail), (*Package).Ahead)
		if err == nil || len(got) != len(want)-1 {
			t.Errorf("%s: %d of %d segments, %v", name, len(got), len(want), err)
		}
	}
}

// long is a package of about the given size.
func long(size int) []byte {
	var b bertlv.Builder
	b.Open(0xBF36)
	b.Open(0xBF23).Put(0x80, make([]byte, 16)).Close()
	b.Open(0xA0).Put(0x87, make([]byte, 32)).Close()
	b.Open(0xA1).Put(0x88, make([]byte, 600)).Close()
	b.Open(0xA2).Put(0x87, make([]byte, 80)).Close()
	b.Open(0xA3)
	for n := 0; n < size; n += 1020 {
		b.Put(0x86, make([]byte, 1016))
	}
	return b.Close().Close().Bytes()
}

// Decoder and read-ahead together: all that is allocated for a package, however
// long it is and however slow the card. HTTP and TLS are not in it.
func TestMemoryOfPackage(t *testing.T) {
	const budget = 160 << 10
	for _, size := range []int{60 << 10, 2 << 20} {
		synctest.Test(t, func(t *testing.T) {
			want := long(size)
			body := strings.NewReader(`{` + success + `,"transactionId":"0AB1","boundProfilePackage":"` + base64.StdEncoding.EncodeToString(want) + `"}`)
			p := &Package{want: "0aB1", answer: &http.Response{StatusCode: 200, Body: http.NoBody}, log: func(error) {}, cancel: func(error) {}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := p.begin(body); err != nil {
				t.Fatal(err)
			}
			bpp, err := es10.ReadBPP(p.Ahead())
			if err != nil {
				t.Fatal(err)
			}
			sent, most := 0, 0
			for s, err := range bpp.Segments() {
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the card takes so long that all is there that finds room
				if !bytes.Equal(s, want[sent:sent+len(s)]) {
					t.Fatalf("another segment at %d", sent)
				}
				sent += len(s)
				most = max(most, p.ahead.made*aheadChunk)
			}
			p.Close()
			runtime.ReadMemStats(&after)
			used := int(after.TotalAlloc - before.TotalAlloc)
			t.Logf("package of %d bytes: %d allocated in all, %d of them for reading ahead", len(want), used, most)
			if sent != len(want) || used > budget || most > aheadSize || size > aheadSize && most < aheadSize {
				t.Errorf("%d of %d bytes went through %d bytes, of which %d to read ahead", sent, len(want), used, most)
			}
		})
	}
}

// broken is a source that ends in an error of its own.
func TestAheadPassesErrorsOn(t *testing.T) {
	gone := errors.New("gone")
	a := newAhead(io.MultiReader(strings.NewReader(strings.Repeat("x", 3*aheadChunk+5)), iotest.ErrReader(gone)))
	b, err := io.ReadAll(a)
	if len(b) != 3*aheadChunk+5 || err != gone {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	a.close()
	a = newAhead(iotest.OneByteReader(endless{}))
	a.close() // nobody has read it
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkPackage60k(b *testing.B) {
	want := long(60 << 10)
	text := `{` + success + `,"transactionId":"0AB1","boundProfilePackage":"` + base64.StdEncoding.EncodeToString(want) + `"}`
	b.SetBytes(int64(len(want)))
	b.ReportAllocs()
	for b.Loop() {
		p := &Package{want: "0aB1", answer: &http.Response{StatusCode: 200, Body: http.NoBody}, log: func(error) {}, cancel: func(error) {}}
		if err := p.begin(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
		bpp, err := es10.ReadBPP(p.Ahead())
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range bpp.Segments() {
			if err != nil {
				b.Fatal(err)
			}
		}
		p.Close()
	}
}
