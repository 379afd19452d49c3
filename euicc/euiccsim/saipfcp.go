package euiccsim

import (
	"bytes"
	"fmt"

	"dynamod/euicc/bertlv"
)

// fcpInfo is the package's Fcp as far as it was given.
type fcpInfo struct {
	descriptor, fid, aid, arr, pins, size []byte
	sfi                                   []byte // nil: absent; empty: no SFI
	fill, repeat                          []byte
	maxSize                               []byte
	link                                  []byte
}

func parseFCP(e bertlv.Element) (fcpInfo, error) {
	var info fcpInfo
	for c, err := range e.Children() {
		if err != nil {
			return info, err
		}
		switch c.Tag {
		case 0x82:
			if len(c.Value) < 2 || len(c.Value) > 4 {
				return info, badValue("file descriptor of %d bytes", len(c.Value))
			}
			info.descriptor = c.Value
		case 0x83:
			if len(c.Value) != 2 {
				return info, badValue("file identifier of %d bytes", len(c.Value))
			}
			info.fid = c.Value
		case 0x84:
			if len(c.Value) < 5 || len(c.Value) > 16 {
				return info, badValue("AID of %d bytes", len(c.Value))
			}
			info.aid = c.Value
		case 0x8B:
			info.arr = c.Value
		case 0x80:
			info.size = c.Value
		case 0x88:
			if len(c.Value) > 1 {
				return info, badValue("short file identifier of %d bytes", len(c.Value))
			}
			info.sfi = append([]byte{}, c.Value...)
		case 0xC6:
			info.pins = c.Value
		case 0xC7:
			info.link = append([]byte{}, c.Value...)
		case 0xA5:
			if err := info.proprietary(c); err != nil {
				return info, err
			}
		}
	}
	return info, nil
}

func (info *fcpInfo) proprietary(e bertlv.Element) error {
	for c, err := range e.Children() {
		if err != nil {
			return err
		}
		switch c.Tag {
		case 0xC1:
			info.fill = c.Value
		case 0xC2:
			info.repeat = c.Value
		case 0x86:
			info.maxSize = c.Value
		}
	}
	return nil
}

// make creates the file that the template's default f and the package's fcp
// describe; nil when neither gives a file identifier. It counts against the
// bounds of a profile.
func (b *builder) make(f *file, fcp fcpInfo, def fileTemplate) (*file, error) {
	if f == nil {
		f = new(file)
	}
	if fcp.fid != nil {
		f.fid = uint16(fcp.fid[0])<<8 | uint16(fcp.fid[1])
	}
	if fcp.descriptor != nil {
		f.kind = fileKind(fcp.descriptor[0] &^ 0x40)
		f.recLen = 0
		if len(fcp.descriptor) == 4 {
			f.recLen = int(fcp.descriptor[2])<<8 | int(fcp.descriptor[3])
		}
	}
	if f.kind == 0 && fcp.pins != nil {
		f.kind = kindDF // only directories have a PIN status; their descriptor may be left to the template
	}
	if f.fid == 0 || f.fid == 0xFFFF || f.fid == fidParent {
		return nil, nil
	}
	switch {
	case fcp.sfi == nil:
	case len(fcp.sfi) == 0:
		f.sfi = 0
	default:
		f.sfi = fcp.sfi[0] >> 3
	}
	f.arr = bytes.Clone(fcp.arr)
	if b.files++; b.files > maxFiles {
		return nil, badValue("more than %d files", maxFiles)
	}
	if len(fcp.link) > 0 {
		b.links = append(b.links, link{f, fcp.link})
	}
	switch f.kind {
	case kindDF:
		f.aid = bytes.Clone(fcp.aid)
		f.pins = pinReferences(fcp.pins)
		return f, nil
	case kindBERTLV:
		return f, nil
	case kindTransparent, kindLinear, kindCyclic:
	default:
		return nil, badValue("file %04X: unknown structure %02X", f.fid, byte(f.kind))
	}
	size := def.size
	f.grow = f.kind == kindTransparent && size == 0 && fcp.size == nil
	if fcp.size != nil {
		size = 0
		if len(fcp.size) > 4 {
			return nil, badValue("file %04X: size field of %d bytes", f.fid, len(fcp.size))
		}
		for _, c := range fcp.size {
			if size = size<<8 | int(c); size > maxEFSize {
				return nil, badValue("file %04X is larger than %d bytes", f.fid, maxEFSize)
			}
		}
	}
	if f.kind != kindTransparent {
		if f.recLen == 0 && size > 0 {
			return nil, badValue("file %04X has records of no length", f.fid)
		}
		if f.recLen > 255 || f.recLen > 0 && (size%f.recLen != 0 || size/f.recLen > 254) {
			return nil, badValue("file %04X: %d bytes in records of %d", f.fid, size, f.recLen)
		}
		if f.recLen == 0 {
			return nil, nil // a template file whose size was not given
		}
	}
	if b.bytes += size; b.bytes > maxFileData {
		return nil, badValue("files take more than %d bytes", maxFileData)
	}
	f.data = make([]byte, size)
	unit := size
	if f.kind != kindTransparent {
		unit = f.recLen
	}
	pattern, repeat := []byte(def.fill), def.repeat
	switch {
	case len(fcp.fill) > 0:
		pattern, repeat = fcp.fill, false
	case len(fcp.repeat) > 0:
		pattern, repeat = fcp.repeat, true
	}
	for off := 0; off < size; off += unit {
		fillPattern(f.data[off:off+unit], pattern, repeat)
	}
	return f, nil
}

// fillPattern fills dst with the pattern: again and again when repeat is set,
// else once and then with its last byte (ETSI TS 102 222, 6.3.2.2.2).
func fillPattern(dst, pattern []byte, repeat bool) {
	if len(pattern) == 0 {
		pattern = []byte{0xFF}
	}
	n := copy(dst, pattern)
	for n < len(dst) {
		if repeat {
			n += copy(dst[n:], pattern)
			continue
		}
		dst[n] = pattern[len(pattern)-1]
		n++
	}
}

// pinReferences returns the key references of a pinStatusTemplateDO: one byte
// each, as TCA writes them.
func pinReferences(v []byte) []byte { return v[:min(len(v), 16)] }

// String names a file for messages.
func (f *file) String() string {
	if f.aid != nil {
		return fmt.Sprintf("ADF %X", f.aid)
	}
	return fmt.Sprintf("%04X", f.fid)
}
