package importer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

func TestReadErrors(t *testing.T) {
	const prov = "<serviceproviders><country code='a'><provider>"
	for _, tt := range []struct {
		name string
		in   io.Reader
		want string
	}{
		{"empty", strings.NewReader(""), "x:1:1: the file is empty\nhint: one operator profile, or an array of them"},
		{"no element", strings.NewReader("<!-- -->"), "x:1:9: no element in the file"},
		{"another root", strings.NewReader("<html/>"), "x:1:1: the root element \"html\" is not known\nhint: WindowsCustomizations (COSA), apns (Android) and serviceproviders are read"},
		{"no providers", strings.NewReader("<serviceproviders/>"), "x:1:20: no providers"},
		{"truncated", strings.NewReader("<apns>\n<apn mcc='1'"), "x:2:13: not well-formed XML: unexpected EOF"},
		{"not closed", strings.NewReader("<apns>\n<apn mcc='1'>"), "x:2:14: not well-formed XML: unexpected EOF"},
		{"wrong end", strings.NewReader("<apns>\n</apn>"), "x:2:7: not well-formed XML: element <apns> closed by </apn>"},
		{"unknown entity", strings.NewReader(prov + "<name>&x;</name>"), "x:1:56: not well-formed XML: invalid character entity &x;"},
		{"declared entity", strings.NewReader(`<!DOCTYPE apns [<!ENTITY x "xx">]><apns><apn carrier="&x;"/></apns>`), "x:1:58: not well-formed XML: invalid character entity &x;"},
		{"deep", strings.NewReader("<apns>" + strings.Repeat("<a>", 1000)), "x:1:79: elements are nested deeper than 24"},
		{"deep in a record", strings.NewReader(prov + strings.Repeat("<a>", 1000)), "x:1:113: elements are nested deeper than 24"},
		{"wide record", strings.NewReader(prov + strings.Repeat("<a/>", maxElements)), "x:1:80047: a record has more than 20000 elements"},
		{"long record", strings.NewReader(prov + strings.Repeat(strings.Repeat("a", 1000)+"<b/>", 1100)), "a record has more than 1048576 bytes of text"},
		{"long tag", strings.NewReader("<apns><apn " + strings.Repeat("a='>' ", maxToken)), "a tag, text or comment of more than 262144 bytes"},
		{"long text", io.MultiReader(strings.NewReader("<apns>"), endless(' ')), "a tag, text or comment of more than 262144 bytes"},
		{"huge JSON", endless(' '), "the file is larger than 10485760 bytes"},
		{"many operators", io.MultiReader(strings.NewReader("<apns>"), &loop{row: func(i int) string {
			return fmt.Sprintf("<apn mcc='%03d' mnc='%02d' apn='a'/>", i/100, i%100)
		}}), "more than 20000 operators"},
		{"many connections", io.MultiReader(strings.NewReader("<apns>"), &loop{row: func(i int) string {
			return fmt.Sprintf("<apn mcc='%03d' mnc='00' apn='a'/>", i/60)
		}}), "more than 40000 connections"},
		{"many bad rows", io.MultiReader(strings.NewReader("<apns>"), &loop{text: "<apn/>"}), "more than 20000 rows that cannot be taken as they are"},
		{"Latin-1", strings.NewReader(`<?xml version="1.0" encoding="iso-8859-1"?><apns/>`), `encoding "iso-8859-1" is not read, only UTF-8 and UTF-16`},
		{"UTF-16, cut off", strings.NewReader("\xff\xfe<\x00a\x00p"), "the file ends too early"},
		{"UTF-16, no XML", strings.NewReader("\xfe\xff\x00[\x00]"), "x:1:1: the file is UTF-16, and no XML\nhint: save it as UTF-8"},
		{"UTF-16, long text", io.MultiReader(strings.NewReader(asUTF16("<apns>", binary.LittleEndian)), endless(' ')), "a tag, text or comment of more than 262144 bytes"},
		{"provisioning package", strings.NewReader("MSWIM\x00\x00\x00\xd0\x00"), "x: a provisioning package (.ppkg)\nhint: unpack it, with 7-Zip for example, and import the customizations.xml in it"},
		{"unreadable", io.MultiReader(broken{}), "x: cannot read the file: broken"},
	} {
		file, problems := Read("x", tt.in)
		if len(problems) != 1 || file != nil || !strings.Contains(problems[0].Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, problems, tt.want)
		}
	}
}

// A file of small elements that has no end is read up to the limit of its size.
func TestTooLarge(t *testing.T) {
	rd := newReader(bufio.NewReader(io.MultiReader(strings.NewReader("<apns>"), &loop{text: "<a></a>"})), true)
	if rd.src.fileLeft != cosa.MaxFileBytes {
		t.Fatalf("the limit is %d", rd.src.fileLeft)
	}
	rd.src.fileLeft = 50_000 // the last of it
	err := readAPNsConf(rd, &File{})
	if p := rd.problem("x", err); p.Error() != "x:1:50001: the file is larger than 10485760 bytes" {
		t.Error(p)
	}
}

// endless is a file of one character.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// loop is a file that repeats a text, or its rows.
type loop struct {
	text string
	row  func(int) string
	n    int
	rest string
}

func (l *loop) Read(p []byte) (int, error) {
	if l.rest == "" {
		l.rest = l.text
		if l.row != nil {
			l.rest = l.row(l.n)
			l.n++
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("broken") }

// A byte order mark and a declaration in front of XML are taken.
func TestByteOrderMark(t *testing.T) {
	file := read(t, "DE.xml", "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apns><apn mcc='262' mnc='01' apn='a' type='default'/></apns>")
	if file.Report.Taken != 1 || file.Profiles[0].Country != "de" {
		t.Errorf("%+v", file)
	}
}
