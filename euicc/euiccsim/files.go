package euiccsim

import (
	"bytes"
	"slices"

	"dynamod/euicc/bertlv"
)

// fileKind is the structure of a file (ETSI TS 102 221, 11.1.1.4.3).
type fileKind byte

const (
	kindDF          fileKind = 0x38 // DF and ADF
	kindTransparent fileKind = 0x01
	kindLinear      fileKind = 0x02
	kindCyclic      fileKind = 0x06
	kindBERTLV      fileKind = 0x39
)

// File identifiers of ETSI TS 102 221, 13.
const (
	fidMF     = 0x3F00
	fidDIR    = 0x2F00
	fidADF    = 0x7FFF // "the current application" in a path
	fidParent = 0x3FFF // reserved, never a file
)

// file is a DF or EF of the card's file system.
type file struct {
	fid      uint16
	kind     fileKind
	aid      []byte // of an ADF; its fid is then the profile's temporary one and not selectable
	sfi      byte   // 0: none
	recLen   int    // of linear and cyclic EFs
	data     []byte
	arr      []byte // content of tag 8B
	pins     []byte // key references of a DF's PIN status template
	pinOn    bool   // of the MF: PIN1 is enabled
	grow     bool   // while a package is read: the size is left to a template unknown here
	parent   *file
	children []*file
}

func (f *file) isDF() bool { return f.kind == kindDF }

func (f *file) add(c *file) {
	c.parent = f
	f.children = append(f.children, c)
}

// child returns the file below f with the given identifier. ADFs are not found
// this way.
func (f *file) child(fid uint16) *file {
	for _, c := range f.children {
		if c.fid == fid && c.aid == nil {
			return c
		}
	}
	return nil
}

// bySFI returns the EF below f with the given short file identifier.
func (f *file) bySFI(sfi byte) *file {
	for _, c := range f.children {
		if c.sfi == sfi && sfi != 0 && !c.isDF() {
			return c
		}
	}
	return nil
}

// adf returns the ADF or MF that f belongs to.
func (f *file) adf() *file {
	for f.parent != nil && f.aid == nil {
		f = f.parent
	}
	return f
}

// byFID finds what SELECT by file identifier may find from f: its children, its
// parent, the parent's DFs, and the MF (ETSI TS 102 221, 8.4.1).
func (f *file) byFID(fid uint16) *file {
	df := f
	if !df.isDF() {
		df = df.parent
	}
	if fid == fidMF {
		return df.root()
	}
	if fid == fidADF {
		if a := df.adf(); a.aid != nil {
			return a
		}
		return nil
	}
	if df.fid == fid && df.aid == nil {
		return df
	}
	if c := df.child(fid); c != nil {
		return c
	}
	if p := df.parent; p != nil {
		if p.fid == fid && p.aid == nil {
			return p
		}
		if c := p.child(fid); c != nil && c.isDF() {
			return c
		}
	}
	return nil
}

func (f *file) root() *file {
	for f.parent != nil {
		f = f.parent
	}
	return f
}

// byPath follows a path of two-byte identifiers below f.
func (f *file) byPath(path []byte) *file {
	if len(path) == 0 || len(path)%2 != 0 {
		return nil
	}
	for ; len(path) > 0; path = path[2:] {
		if f = f.child(uint16(path[0])<<8 | uint16(path[1])); f == nil {
			return nil
		}
	}
	return f
}

// record returns record n, counted from 1.
func (f *file) record(n int) []byte {
	if f.recLen == 0 || n < 1 || n > len(f.data)/f.recLen {
		return nil
	}
	return f.data[(n-1)*f.recLen : n*f.recLen]
}

// fcp returns the file control parameters (ETSI TS 102 221, 11.1.1.3).
func (f *file) fcp() []byte {
	var b bertlv.Builder
	b.Open(0x62)
	descriptor := []byte{byte(f.kind) | 0x40, 0x21}
	switch f.kind {
	case kindDF:
		descriptor[0] = 0x78
	case kindLinear, kindCyclic:
		descriptor = append(descriptor, byte(f.recLen>>8), byte(f.recLen), byte(len(f.data)/f.recLen))
	case kindBERTLV:
		descriptor[0] = 0x79
	}
	b.Put(0x82, descriptor)
	if f.aid == nil {
		b.Put(0x83, []byte{byte(f.fid >> 8), byte(f.fid)})
	} else {
		b.Put(0x84, f.aid)
	}
	if f.isDF() && f.parent == nil {
		// UICC characteristics: clock stop allowed, 3 V and 1.8 V (11.1.1.4.6.1).
		b.Raw([]byte{0xA5, 0x03, 0x80, 0x01, 0x71})
	}
	b.Put(0x8A, []byte{0x05}) // operational, activated
	if len(f.arr) > 0 {
		b.Put(0x8B, f.arr)
	}
	if f.isDF() {
		// PIN status (11.1.1.4.10): of the PINs only PIN1 can be enabled.
		status := byte(0x00)
		if slices.Index(f.pins, pin1) == 0 && f.root().pinOn {
			status = 0x80
		}
		b.Open(0xC6).Put(0x90, []byte{status})
		for _, ref := range f.pins {
			b.Put(0x83, []byte{ref})
		}
		b.Close()
	} else {
		b.Put(0x80, []byte{byte(len(f.data) >> 8), byte(len(f.data))})
		if f.sfi != 0 {
			b.Put(0x88, []byte{f.sfi << 3})
		} else {
			b.Put(0x88, nil)
		}
	}
	return b.Close().Bytes()
}

// fileSystem is what the enabled profile shows: the MF and the applications.
type fileSystem struct {
	mf    *file
	adfs  []*file
	iccid []byte // of the profile header
	pin   *pin   // PIN1 as in the package; nil without one
}

// emptyFileSystem is what a card without an enabled profile shows: an MF, and
// an EF_DIR without applications.
func emptyFileSystem() *fileSystem {
	mf := &file{fid: fidMF, kind: kindDF}
	mf.add(&file{fid: fidDIR, kind: kindLinear, sfi: 0x1E, recLen: 32, data: bytes.Repeat([]byte{0xFF}, 32)})
	return &fileSystem{mf: mf}
}

// application returns the ADF whose AID begins with aid (ETSI TS 102 221, 8.5.1.2).
func (fs *fileSystem) application(aid []byte) *file {
	if len(aid) < 5 {
		return nil
	}
	i := slices.IndexFunc(fs.adfs, func(f *file) bool { return bytes.HasPrefix(f.aid, aid) })
	if i < 0 {
		return nil
	}
	return fs.adfs[i]
}
