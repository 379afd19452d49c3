package euiccsim

import (
	"bytes"
	"errors"
	"fmt"

	"dynamod/euicc/bertlv"
)

// PEStatus values of the TCA eUICC Profile Package interoperable format, 8.11.
const (
	peNotSupported       = 1
	peBadValues          = 3
	peInvalidRequest     = 5
	peUnsupportedVersion = 31
)

// Bounds of a profile's file system: far above what profiles use.
const (
	maxFiles    = 4096
	maxEFSize   = 64 << 10
	maxFileData = 2 << 20
)

// packageError says why a profile package cannot be installed.
type packageError struct {
	status int // PEStatus
	id     int // identification of the profile element; -1 when unknown
	err    error
}

func (e *packageError) Error() string {
	if e.id < 0 {
		return fmt.Sprintf("profile package: %v", e.err)
	}
	return fmt.Sprintf("profile element %d: %v", e.id, e.err)
}

func (e *packageError) Unwrap() error { return e.err }

// statusError is an error with its PEStatus; any other error is peInvalidRequest.
type statusError struct {
	status int
	msg    string
}

func (e *statusError) Error() string { return e.msg }

func badValue(format string, args ...any) error {
	return &statusError{peBadValues, fmt.Sprintf(format, args...)}
}

// parsePackage decodes an unprotected profile package, a sequence of
// ProfileElements, and builds its file system (TCA eUICC Profile Package:
// Interoperable Format Technical Specification). A nil file system never comes
// without an error.
func parsePackage(upp []byte) (*fileSystem, *packageError) {
	b := &builder{fs: &fileSystem{}, adf: map[string]*file{}}
	id, ended, first := -1, false, true
	fail := func(err error) (*fileSystem, *packageError) {
		status := peInvalidRequest
		var se *statusError
		if errors.As(err, &se) {
			status = se.status
		}
		return nil, &packageError{status, id, err}
	}
	if err := bertlv.Check(upp); err != nil {
		return fail(err)
	}
	for pe, err := range bertlv.List(upp) {
		if err != nil {
			return fail(err)
		}
		if ended {
			return fail(errors.New("elements follow PE-End"))
		}
		if first != (pe.Tag == tagHeader) {
			return fail(fmt.Errorf("element %s where the header belongs, or a second header", pe.Tag))
		}
		first = false
		if pe.Tag == tagHeader {
			if err := b.header(pe); err != nil {
				return fail(err)
			}
			continue
		}
		var mandated bool
		if id, mandated, err = peHeader(pe); err != nil {
			return fail(err)
		}
		if err := b.element(pe, mandated); err != nil {
			return fail(err)
		}
		ended = pe.Tag == tagEnd
	}
	id = -1
	if !ended {
		return fail(errors.New("no PE-End"))
	}
	if b.fs.mf == nil {
		return fail(errors.New("no PE-MF"))
	}
	if err := b.resolveLinks(); err != nil {
		return fail(err)
	}
	return b.fs, nil
}

// Tags of ProfileElement, in the order of the CHOICE.
const (
	tagHeader     = 0xA0
	tagGFM        = 0xA1
	tagPIN        = 0xA2
	tagPUK        = 0xA3
	tagNonStd     = 0xA9
	tagEnd        = 0xAA
	tagMF         = 0xB0
	tagCD         = 0xB1
	tagTelecom    = 0xB2
	tagUSIM       = 0xB3
	tagOptUSIM    = 0xB4
	tagISIM       = 0xB5
	tagOptISIM    = 0xB6
	tagPhonebook  = 0xB7
	tagGSMAccess  = 0xB8
	tagCSIM       = 0xB9
	tagOptCSIM    = 0xBA
	tagEAP        = 0xBB
	tagDF5GS      = 0xBC
	tagDFSAIP     = 0xBD
	tagDFSNPN     = 0xBE
	tagDF5GProSe  = 0xBF1F
	tagFileFCP    = 0xA1 // File: fileDescriptor
	tagFileOffset = 0x82
	tagFileData   = 0x83
	tagFileNone   = 0x80 // File: doNotCreate
)

// peHeader returns identification and mandated flag of a profile element, whose
// first component it is.
func peHeader(pe bertlv.Element) (id int, mandated bool, err error) {
	h, _, err := bertlv.Next(pe.Value)
	if err != nil {
		return -1, false, err
	}
	if h.Tag != 0xA0 {
		return -1, false, fmt.Errorf("element %s has no header", pe.Tag)
	}
	_, mandated = h.Find(0x80)
	n, ok := h.Find(0x81)
	if !ok {
		return -1, false, fmt.Errorf("element %s has no identification", pe.Tag)
	}
	v, err := bertlv.Int(n.Value)
	if err != nil || v < 0 || v > 32767 {
		return -1, false, fmt.Errorf("element %s has a malformed identification", pe.Tag)
	}
	return int(v), mandated, nil
}

// builder makes the file system from the elements, in their order.
type builder struct {
	fs    *fileSystem
	adf   map[string]*file // the last one of each kind
	files int
	bytes int
	links []link
	puk   []byte // of PIN1
}

type link struct {
	from *file
	path []byte
}

func (b *builder) header(pe bertlv.Element) error {
	major, ok := pe.Find(0x80)
	if !ok || len(major.Value) != 1 {
		return errors.New("header without major version")
	}
	if v := major.Value[0]; v < 1 || v > 3 {
		return &statusError{peUnsupportedVersion, fmt.Sprintf("profile package version %d", v)}
	}
	iccid, ok := pe.Find(0x83)
	if !ok || len(iccid.Value) != 10 {
		return errors.New("header without an ICCID of 10 bytes")
	}
	if _, ok := pe.Find(0xA5); !ok {
		return errors.New("header without mandatory services")
	}
	if _, ok := pe.Find(0xA6); !ok {
		return errors.New("header without template list")
	}
	b.fs.iccid = iccid.Value
	return nil
}

func (b *builder) element(pe bertlv.Element, mandated bool) error {
	if t, ok := templates[pe.Tag]; ok {
		return b.template(pe, t)
	}
	switch {
	case pe.Tag == tagGFM:
		return b.fileManagement(pe)
	case pe.Tag == tagPIN:
		b.readPIN(pe)
		return nil
	case pe.Tag == tagPUK:
		b.readPUK(pe)
		return nil
	case pe.Tag > tagPUK && pe.Tag < tagNonStd, pe.Tag == tagEnd, pe.Tag == tagEAP, pe.Tag > tagNonStd && pe.Tag < tagMF:
		// Keys, applications and security domains: decoded, kept with
		// the package, of no use to this card.
		return nil
	case mandated || !pe.Tag.Constructed():
		return &statusError{peNotSupported, fmt.Sprintf("element %s is not supported", pe.Tag)}
	}
	return nil
}

// template creates the files of a PE that refers to a file structure template.
func (b *builder) template(pe bertlv.Element, t template) error {
	if id, ok := pe.Find(0x81); !ok || len(id.Value) == 0 {
		return errors.New("no template identifier")
	}
	df, err := b.base(t)
	if err != nil {
		return err
	}
	base := df
	for f, err := range pe.Children() {
		if err != nil {
			return err
		}
		if f.Tag == 0xA0 || f.Tag == 0x81 {
			continue
		}
		made, err := b.templateFile(df, base, f, t.files[f.Tag])
		switch {
		case err != nil:
			return fmt.Errorf("file %s: %w", f.Tag, err)
		case made == nil || !made.isDF():
		case base == nil || f.Tag == 0xA2 && !t.extends:
			base, df = made, made
			if pe.Tag == tagMF {
				b.fs.mf = made
			}
			if made.aid != nil {
				b.fs.adfs = append(b.fs.adfs, made)
				b.adf[t.adf] = made
			}
		default:
			df = made
		}
	}
	if pe.Tag == tagMF && b.fs.mf == nil {
		return errors.New("PE-MF without the MF")
	}
	return nil
}

// base returns the DF below which a template's files belong; nil for the MF.
func (b *builder) base(t template) (*file, error) {
	switch t.parent {
	case parentNone:
		if b.fs.mf != nil {
			return nil, errors.New("a second PE-MF")
		}
		return nil, nil
	case parentMF:
		if b.fs.mf == nil {
			return nil, errors.New("no PE-MF before it")
		}
		return b.fs.mf, nil
	}
	df := b.adf[t.adf]
	if df == nil {
		return nil, errors.New("the application that it extends is missing")
	}
	return df, nil
}

// templateFile creates one file: below df, or below base when it is a DF.
func (b *builder) templateFile(df, base *file, e bertlv.Element, def fileTemplate) (*file, error) {
	f, fcp := def.file(), fcpInfo{}
	items := 0
	started := false
	pos := 0
	for item, err := range e.Children() {
		if err != nil {
			return nil, err
		}
		items++
		switch item.Tag {
		case tagFileNone:
			return nil, nil
		case tagFileFCP:
			if started {
				return nil, errors.New("file descriptor after contents")
			}
			if fcp, err = parseFCP(item); err != nil {
				return nil, err
			}
		case tagFileOffset, tagFileData:
			if !started {
				if f, err = b.make(f, fcp, def); err != nil {
					return nil, err
				}
				started = true
			}
			if f == nil {
				continue
			}
			if pos, err = fill(f, item, pos); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unexpected %s", item.Tag)
		}
	}
	if !started {
		var err error
		if f, err = b.make(f, fcp, def); err != nil {
			return nil, err
		}
	}
	if f == nil {
		return nil, nil
	}
	parent := df
	if f.isDF() {
		parent = base
	}
	if parent != nil {
		parent.add(f)
	} else if f.fid != fidMF {
		return nil, errors.New("no directory for it")
	}
	return f, nil
}

// fill writes one fillFileContent, or moves on by one fillFileOffset; the offset
// counts from where the last content ended.
func fill(f *file, item bertlv.Element, pos int) (int, error) {
	if f.isDF() || f.kind == kindBERTLV {
		return pos, badValue("contents for a file that takes none")
	}
	if item.Tag == tagFileData || item.Tag == 0x81 {
		f.growTo(pos + len(item.Value))
		if len(item.Value) > len(f.data)-pos {
			return pos, badValue("contents end at byte %d of a file of %d", pos+len(item.Value), len(f.data))
		}
		return pos + copy(f.data[pos:], item.Value), nil
	}
	n, err := bertlv.Int(item.Value)
	if err != nil || n < 0 || n > maxEFSize {
		return pos, badValue("offset leads out of the file")
	}
	f.growTo(pos + int(n))
	if int(n) > len(f.data)-pos {
		return pos, badValue("offset leads out of the file")
	}
	return pos + int(n), nil
}

// growTo makes room in a file whose size is left to a template unknown here.
func (f *file) growTo(end int) {
	if f.grow && end > len(f.data) && end <= maxEFSize {
		f.data = append(f.data, bytes.Repeat([]byte{0xFF}, end-len(f.data))...)
	}
}

// fileManagement runs a PE-GenericFileManagement.
func (b *builder) fileManagement(pe bertlv.Element) error {
	if b.fs.mf == nil {
		return errors.New("no PE-MF before it")
	}
	cmds, ok := pe.Find(0xA1)
	if !ok {
		return errors.New("no file management commands")
	}
	for cmd, err := range cmds.Children() {
		if err != nil {
			return err
		}
		if cmd.Tag != 0x30 {
			return fmt.Errorf("unexpected %s", cmd.Tag)
		}
		df, pos := b.fs.mf, 0
		var f *file
		for item, err := range cmd.Children() {
			if err != nil {
				return err
			}
			switch item.Tag {
			case 0x80: // filePath
				if len(item.Value) == 0 {
					df, f = b.fs.mf, nil
				} else if f = b.path(item.Value); f == nil {
					return badValue("no file at path %X", item.Value)
				} else if f.isDF() {
					df = f
				}
				pos = 0
			case 0x62: // createFCP
				fcp, err := parseFCP(item)
				if err != nil {
					return err
				}
				if f, err = b.make(nil, fcp, fileTemplate{}); err != nil {
					return err
				}
				if f == nil {
					return badValue("file without identifier")
				}
				if fcp.sfi == nil && !f.isDF() {
					f.sfi = byte(f.fid) & 0x1F
				}
				df.add(f)
				if f.isDF() {
					df = f
				}
				pos = 0
			case 0x02, 0x81: // fillFileOffset, fillFileContent
				if f == nil {
					return badValue("contents without a file")
				}
				if pos, err = fill(f, item, pos); err != nil {
					return err
				}
			default:
				return fmt.Errorf("unexpected %s", item.Tag)
			}
		}
	}
	return nil
}

// path follows a file path of the package, in which ADFs have temporary
// identifiers.
func (b *builder) path(path []byte) *file {
	f := b.fs.mf
	if len(path) == 0 || len(path)%2 != 0 {
		return nil
	}
	for ; len(path) > 0; path = path[2:] {
		fid := uint16(path[0])<<8 | uint16(path[1])
		if fid == fidMF {
			f = b.fs.mf
			continue
		}
		var next *file
		for _, c := range f.children {
			if c.fid == fid {
				next = c
				break
			}
		}
		if f = next; f == nil {
			return nil
		}
	}
	return f
}

// resolveLinks gives each link file the contents of its target.
func (b *builder) resolveLinks() error {
	for _, l := range b.links {
		t := b.path(l.path)
		if t == nil || t == l.from || t.isDF() != l.from.isDF() {
			continue // its target is not on this card: an empty file
		}
		if t.isDF() {
			l.from.children = t.children
			continue
		}
		l.from.kind, l.from.recLen, l.from.data = t.kind, t.recLen, t.data
	}
	return nil
}
