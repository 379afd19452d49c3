package importer

import (
	"bufio"
	"encoding/binary"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"
)

// asUTF16 writes a text with a byte order mark.
func asUTF16(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// A file of Windows' tools gives the same as in UTF-8, whatever its declaration
// says.
func TestUTF16(t *testing.T) {
	for _, text := range []string{cosaSample, android, sample, "<apns><apn carrier='📱 é' mcc='310' mnc='260' apn='a'/></apns>"} {
		want, problems := Read("x", strings.NewReader(text))
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		declared := strings.Replace(text, `encoding="utf-8"`, `encoding="UTF-16"`, 1)
		if !strings.HasPrefix(declared, "<?xml") {
			declared = `<?xml version="1.0" encoding="utf-16"?>` + declared
		}
		for name, in := range map[string]string{
			"little end": asUTF16(declared, binary.LittleEndian), "big end": asUTF16(text, binary.BigEndian), "only declared": declared,
		} {
			got, problems := Read("x", strings.NewReader(in))
			if len(problems) > 0 || !reflect.DeepEqual(got.Profiles, want.Profiles) {
				t.Errorf("%s: %v, %+v\nwant %+v", name, problems, got, want)
			}
		}
	}
}

func FuzzUTF16(f *testing.F) {
	f.Add("<apns>📱é</apns>")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "�")
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			in := bufio.NewReader(strings.NewReader(asUTF16(s, order)))
			start, _ := in.Peek(2)
			_, _ = in.Discard(2)
			got, err := io.ReadAll(&utf16Reader{r: in, order: utf16Order(start)})
			if err != nil || string(got) != s {
				t.Errorf("%q: %q %v", s, got, err)
			}
		}
	})
}
