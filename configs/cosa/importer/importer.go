// Package importer reads operator settings from the files that integrators own
// into the records of package cosa:
//
//   - our own JSON (README.md beside package cosa);
//   - customizations.xml of a COSA or Windows provisioning package;
//   - apns-conf.xml of Android, in AOSP's and LineageOS' forms;
//   - serviceproviders.xml of mobile-broadband-provider-info.
//
// Use:
//
//	file, problems := importer.Read("GB.xml", r)   // one file, any of them
//	db, problems, err := importer.Load(dir)        // the built-in database with operators.d over it
//
// Which format a file has is told by what it begins with, never by its name.
// Our own JSON is read strictly: one mistake and the file is left out. The
// foreign formats are read row by row, in UTF-8 or UTF-16, and the Report says
// what became of each.
//
// Files are taken as hostile: size, depth, numbers of elements, rows and
// profiles are bounded, entities are not expanded, and no more than one record
// at a time is held as a tree.
package importer

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"dynamod/configs/cosa"
)

// Format is a kind of file.
type Format string

// The formats, by what people call them.
const (
	JSON             Format = "operators JSON"
	Customizations   Format = "customizations.xml (COSA)"
	APNsConf         Format = "apns-conf.xml (Android)"
	ServiceProviders Format = "serviceproviders.xml"
)

// File is what one file gave.
type File struct {
	// Profiles have source local, but those of a JSON file what they say.
	Profiles []cosa.OperatorProfile
	// Replaces are the profiles that this file replaces or takes away (COSA's
	// Replace), by name or GUID in lower case and without braces. Those of
	// earlier files are replaced by Set.Add.
	Replaces map[string]Replace
	Report   Report

	connections, targets, values int
}

// Read reads a file; name stands for it in reasons and errors. With a problem
// there is no File.
func Read(name string, r io.Reader) (*File, []*cosa.Problem) {
	in := bufio.NewReaderSize(r, 32<<10)
	file := &File{Report: Report{File: name, Lossy: []Row{}, Refused: []Row{}}}
	start, err := in.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, []*cosa.Problem{{File: name, Msg: "cannot read the file: " + err.Error()}}
	}
	if order := utf16Order(start); order != nil {
		_, _ = in.Discard(2)
		in = bufio.NewReaderSize(&utf16Reader{r: in, order: order}, 32<<10)
		if start, _ = in.Peek(512); !bytes.HasPrefix(bytes.TrimSpace(start), []byte("<")) {
			return nil, []*cosa.Problem{{File: name, Line: 1, Col: 1, Msg: "the file is UTF-16, and no XML", Hint: "save it as UTF-8"}}
		}
	}
	if bytes.HasPrefix(start, []byte("\xef\xbb\xbf")) && bytes.HasPrefix(bytes.TrimSpace(start[3:]), []byte("<")) {
		_, _ = in.Discard(3) // Windows tools write a byte order mark before XML
		start = start[3:]
	}
	switch start = bytes.TrimSpace(start); {
	case bytes.HasPrefix(start, []byte("MSWIM")):
		return nil, []*cosa.Problem{{File: name, Msg: "a provisioning package (.ppkg)", Hint: "unpack it, with 7-Zip for example, and import the customizations.xml in it"}}
	case bytes.HasPrefix(start, []byte("<")):
		if p := file.readXML(in); p != nil {
			return nil, []*cosa.Problem{p}
		}
	default:
		if problems := file.readJSON(in); len(problems) > 0 {
			return nil, problems
		}
	}
	file.finish()
	return file, nil
}

func (f *File) readJSON(in io.Reader) []*cosa.Problem {
	f.Report.Format = JSON
	data, err := io.ReadAll(io.LimitReader(in, cosa.MaxFileBytes+1))
	if err != nil {
		return []*cosa.Problem{{File: f.Report.File, Msg: "cannot read the file: " + err.Error()}}
	}
	profiles, problems := cosa.ParseJSON(f.Report.File, data)
	f.Profiles = profiles
	return problems
}

// readXML looks at the root element and hands over to the reader of its format.
func (f *File) readXML(in *bufio.Reader) *cosa.Problem {
	rd := newReader(in, true)
	for {
		tok, err := rd.next()
		if errors.Is(err, io.EOF) {
			err = errors.New("no element in the file")
		}
		if err != nil {
			return rd.problem(f.Report.File, err)
		}
		root, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch strings.ToLower(root.Name.Local) {
		case "apns":
			f.Report.Format = APNsConf
			err = readAPNsConf(rd, f)
		case "serviceproviders":
			f.Report.Format = ServiceProviders
			err = readServiceProviders(rd, f)
		case "windowscustomizations", "windowscustomizatons", "customizations": // the second as a documented sample has it
			f.Report.Format = Customizations
			rd.dec.Strict = false // the documented samples are not well formed
			err = readCustomizations(rd, f)
		default:
			return &cosa.Problem{
				File: f.Report.File, Line: rd.line, Col: 1,
				Msg:  fmt.Sprintf("the root element %.40q is not known", root.Name.Local),
				Hint: "WindowsCustomizations (COSA), apns (Android) and serviceproviders are read",
			}
		}
		if err != nil {
			return rd.problem(f.Report.File, err)
		}
		return nil
	}
}

// Limits of what one file may give. They keep a file of cosa.MaxFileBytes, of
// the smallest rows there can be, within 100 MB of memory.
const (
	maxProfiles    = cosa.MaxProfiles
	maxConnections = cosa.MaxConnections
	maxRemarks     = 20_000 // of a report
)

// add appends a profile.
func (f *File) add(p cosa.OperatorProfile) error {
	if len(f.Profiles) >= maxProfiles {
		return fmt.Errorf("more than %d operators", maxProfiles)
	}
	f.Profiles = append(f.Profiles, p)
	for i := range p.Targets {
		if err := f.count(&p.Targets[i]); err != nil {
			return err
		}
	}
	return f.bounded()
}

// count bounds the targets of a file.
func (f *File) count(t *cosa.Target) error {
	f.targets++
	f.values += t.Values()
	switch {
	case f.targets > cosa.MaxFileTargets:
		return fmt.Errorf("more than %d targets", cosa.MaxFileTargets)
	case f.values > cosa.MaxTargetValues:
		return fmt.Errorf("more than %d values of targets", cosa.MaxTargetValues)
	}
	return nil
}

// addConnection appends a connection to the profile at index at. why is the
// reason for which it is not taken.
func (f *File) addConnection(at int, c cosa.Connection) (why string, err error) {
	p := &f.Profiles[at]
	if len(p.Connections) >= cosa.MaxProfileConnections {
		return fmt.Sprintf("more than %d connections for the same SIMs", cosa.MaxProfileConnections), nil
	}
	if f.connections++; f.connections > maxConnections {
		return "", fmt.Errorf("more than %d connections", maxConnections)
	}
	p.Connections = append(p.Connections, c)
	return "", f.bounded()
}

func (f *File) bounded() error {
	if len(f.Report.Lossy)+len(f.Report.Refused) > maxRemarks {
		return fmt.Errorf("more than %d rows that cannot be taken as they are", maxRemarks)
	}
	return nil
}

// finish counts what is there.
func (f *File) finish() {
	f.Report.Profiles, f.Report.Taken = len(f.Profiles), 0
	for i := range f.Profiles {
		f.Report.Taken += len(f.Profiles[i].Connections)
	}
}
