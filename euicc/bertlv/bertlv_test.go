package bertlv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// ISO/IEC 8825-1: 8.1.2 identifier octets, 8.1.3 length octets.
func TestHeader(t *testing.T) {
	tests := []struct {
		name           string
		in             string
		tag            Tag
		header, length int
		err            error
	}{
		{"one byte tag", "5A0A", 0x5A, 2, 10, nil},
		{"two byte tag", "5F3740", 0x5F37, 3, 64, nil},
		{"BF38 with two length bytes", "BF38820123", 0xBF38, 5, 0x123, nil},
		{"three byte tag", "9F810100", 0x9F8101, 4, 0, nil},
		{"four byte tag", "9F81810100", 0x9F818101, 5, 0, nil},
		{"longest length", "30847FFFFFFF", 0x30, 6, math.MaxInt32, nil},
		{"length not in its shortest form", "30820001", 0x30, 4, 1, nil},
		{"empty", "", 0, 0, 0, ErrTruncated},
		{"tag only", "BF", 0, 0, 0, ErrTruncated},
		{"no length", "BF38", 0, 0, 0, ErrTruncated},
		{"length cut", "BF388201", 0, 0, 0, ErrTruncated},
		{"five byte tag", "9F8181818101", 0, 0, 0, ErrTag},
		{"leading zero in tag number", "9F8001", 0, 0, 0, ErrTag},
		{"end of contents", "0000", 0, 0, 0, ErrTag},
		{"indefinite length", "3080", 0, 0, 0, ErrLength},
		{"length of five bytes", "30850000000001", 0, 0, 0, ErrLength},
		{"reserved length", "30FF", 0, 0, 0, ErrLength},
		{"more than 31 bits", "308480000000", 0, 0, 0, ErrLength},
		{"four times FF", "3084FFFFFFFF", 0, 0, 0, ErrLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tag, header, length, err := Header(unhex(tt.in))
			if !errors.Is(err, tt.err) || tag != tt.tag || header != tt.header || length != tt.length {
				t.Errorf("got %v %d %d %v", tag, header, length, err)
			}
		})
	}
}

func TestParse(t *testing.T) {
	e, err := Parse(unhex("BF3E12 5A1089049032123451234512345678901235"))
	if err != nil {
		t.Fatal(err)
	}
	c, ok := e.Find(0x5A)
	if !ok || len(c.Value) != 16 || cap(c.Value) != 16 || cap(e.Raw) != len(e.Raw) {
		t.Errorf("got %+v", c)
	}
	if _, err := Parse(unhex("5A0101 00")); !errors.Is(err, ErrTrailing) {
		t.Errorf("trailing: %v", err)
	}
	if _, err := Parse(unhex("5A0201")); !errors.Is(err, ErrTruncated) {
		t.Errorf("truncated: %v", err)
	}
	if _, err := Expect(unhex("5A0101"), 0xBF38); err == nil || !strings.Contains(err.Error(), "BF38") {
		t.Errorf("expect: %v", err)
	}
	if _, ok := e.Find(0x5A, 0x80); ok {
		t.Error("found inside a primitive that holds no such thing")
	}
}

func TestDepth(t *testing.T) {
	nest := func(n int) []byte {
		b := []byte{}
		for range n {
			b = Encode(0x30, b)
		}
		return b
	}
	if err := Check(nest(MaxDepth)); err != nil {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
	if err := Check(nest(MaxDepth + 2)); !errors.Is(err, ErrDepth) {
		t.Errorf("%d levels: %v", MaxDepth+2, err)
	}
}

func TestTag(t *testing.T) {
	for tag, constructed := range map[Tag]bool{0x30: true, 0x5A: false, 0xBF38: true, 0x5F37: false, 0x9F70: false, 0x7F8101: true} {
		if tag.Constructed() != constructed {
			t.Errorf("%s: constructed %v", tag, !constructed)
		}
	}
	if Tag(0x04).String() != "04" || Tag(0xBF38).String() != "BF38" {
		t.Error("tags are not printed as the specifications print them")
	}
}

func TestInt(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, math.MaxInt64, math.MinInt64} {
		e, err := Parse(AppendInt(nil, 0x02, v))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Int(e.Value); err != nil || got != v {
			t.Errorf("%d: %d, %v", v, got, err)
		}
		if len(e.Value) > 1 && (e.Value[0] == 0 && e.Value[1] < 0x80 || e.Value[0] == 0xFF && e.Value[1] >= 0x80) {
			t.Errorf("%d: % X is not the shortest form", v, e.Value)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 9)} {
		if _, err := Int(b); !errors.Is(err, ErrLength) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

// ISO/IEC 8825-1: 8.6 and 8.19.
func TestBitsAndOID(t *testing.T) {
	for in, want := range map[string]uint16{"0780": 1, "0640": 2, "0450": 1<<1 | 1<<3, "00": 0, "0490": 1 | 1<<3, "07FF": 1, "00FFFFFF": 0xFFFF} {
		if got, err := Bits(unhex(in)); err != nil || got != want {
			t.Errorf("%s: %x, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "07", "0880"} {
		if _, err := Bits(unhex(in)); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
	for in, want := range map[string]string{
		"551D11": "2.5.29.17", "67811201020104": "2.23.146.1.2.1.4", "88370A": "2.999.10", "2B0601": "1.3.6.1", "27": "0.39",
		"": "", "80": "", "8001": "", "2B80": "", "2BFFFFFFFFFFFFFFFFFFFF7F": "",
	} {
		if got := OID(unhex(in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestBuilder(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 253, 255, 256, 65534, 65535, 65536, 1 << 24} {
		value := bytes.Repeat([]byte{0xAB}, n)
		var b Builder
		got := b.Open(0xBF38).Open(0x30).Put(0x04, value).Close().Int(0x81, 5).String(0x0C, "x").Raw([]byte{0x05, 0}).Close().Bytes()
		want := Encode(0xBF38, Encode(0x30, Encode(0x04, value)), []byte{0x81, 1, 5}, []byte{0x0C, 1, 'x', 5, 0})
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d, want %d", n, len(got), len(want))
		}
		if len(Encode(0x04, value)) != Size(0x04, n) {
			t.Errorf("%d bytes: size", n)
		}
	}
	var b Builder
	b.Open(0x30)
	defer func() {
		if recover() == nil {
			t.Error("Bytes of an open object")
		}
	}()
	b.Bytes()
}

// Parsing and building allocate nothing per node.
func TestAllocations(t *testing.T) {
	var b Builder
	build := func() {
		b.Reset()
		b.Open(0x30)
		for range 100 {
			b.Open(0xA0).Int(0x80, 5).Put(0x04, []byte{1, 2}).Close()
		}
		b.Close()
	}
	build()
	if n := testing.AllocsPerRun(20, build); n > 0 {
		t.Errorf("building allocates %v times", n)
	}
	data := bytes.Clone(b.Bytes())
	if n := testing.AllocsPerRun(20, func() {
		outer, err := Parse(data)
		if err != nil {
			t.Error(err)
		}
		nodes := 0
		for c, err := range outer.Children() {
			if v, ok := c.Find(0x80); err != nil || !ok || len(v.Value) != 1 {
				t.Error(c, err)
			}
			for range c.Children() {
				nodes++
			}
		}
		if _, ok := outer.Find(0xA0, 0x04); !ok || nodes != 200 {
			t.Error(nodes, "nodes")
		}
	}); n > 0 {
		t.Errorf("walking allocates %v times", n)
	}
	if n := testing.AllocsPerRun(20, func() {
		if err := Check(data); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("parsing allocates %v times", n)
	}
}

// rebuild encodes b anew, object by object.
func rebuild(b *Builder, data []byte, depth int) bool {
	for e, err := range List(data) {
		if err != nil || depth > MaxDepth {
			return false
		}
		if !e.Tag.Constructed() {
			b.Put(e.Tag, e.Value)
			continue
		}
		b.Open(e.Tag)
		ok := rebuild(b, e.Value, depth+1)
		b.Close()
		if !ok {
			return false
		}
	}
	return true
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(unhex("BF3E125A1089049032123451234512345678901235"))
	f.Add(unhex("30820004 0500 8100"))
	f.Add(unhex("3084FFFFFFFF"))
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 200))
	f.Add(bytes.Repeat([]byte{0x30, 0x7F}, 200))
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data) != nil {
			return
		}
		var b, c Builder
		if !rebuild(&b, data, 0) {
			t.Fatal("Check accepts what List does not")
		}
		// In shortest form it has to be stable.
		if !rebuild(&c, b.Bytes(), 0) || !bytes.Equal(b.Bytes(), c.Bytes()) || len(b.Bytes()) > len(data) {
			t.Fatalf("% X, then % X", b.Bytes(), c.Bytes())
		}
	})
}
