// Command convert makes the embedded operator database out of the
// serviceproviders.xml of mobile-broadband-provider-info:
//
//	go run ./configs/cosa/convert [-version VERSION] [-o DIR] FILE
//
// It writes DIR/operators.tsv, the same packed, and DIR/rejected.txt (what was left out or
// repaired, and why). `make cosa-db` installs Debian's package and runs it.
// Without -version it asks dpkg for the package's.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"dynamod/configs/cosa"
	"dynamod/configs/cosa/importer"
)

// maxEmbedded is the budget of operators.tsv in bytes: the whole embedded
// database may have 120 KB, with the overlay.
const maxEmbedded = 110 << 10

func main() {
	version := flag.String("version", "", "version of the package that the file is from")
	dir := flag.String("o", "configs/cosa/data", "directory to write to")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: convert [-version VERSION] [-o DIR] FILE")
		os.Exit(2)
	}
	if *version == "" {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "mobile-broadband-provider-info").Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, "convert: dpkg does not know the package's version, give it with -version:", err)
			os.Exit(1)
		}
		*version = string(out)
	}
	if err := run(flag.Arg(0), *version, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
}

func run(file, version, dir string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	database, rejected, err := convert(data, version)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(database); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	for name, content := range map[string][]byte{"operators.tsv": database, "operators.tsv.gz": packed.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "rejected.txt"), rejected, 0o644)
}

// convert returns the contents of operators.tsv and rejected.txt.
func convert(data []byte, version string) (database, rejected []byte, err error) {
	file, problems := importer.Read("serviceproviders.xml", bytes.NewReader(data))
	if len(problems) > 0 {
		return nil, nil, problems[0]
	}
	if file.Report.Format != importer.ServiceProviders {
		return nil, nil, fmt.Errorf("it is %s", file.Report.Format)
	}
	profiles := file.Profiles
	for i := range profiles {
		p := &profiles[i]
		p.ID, p.Source = p.Country+"/"+p.Name, cosa.SourceDatabase
	}
	arrange(profiles)
	if _, err := cosa.New(profiles); err != nil { // also validates each
		return nil, nil, err
	}
	source := strings.TrimSpace("mobile-broadband-provider-info " + version)
	var db bytes.Buffer
	if err := cosa.WriteDatabase(&db, source, profiles); err != nil {
		return nil, nil, err
	}
	if db.Len() > maxEmbedded {
		return nil, nil, fmt.Errorf("the database has %d bytes, the budget is %d", db.Len(), maxEmbedded)
	}

	var connections, networks int
	for _, p := range profiles {
		connections += len(p.Connections)
		for _, t := range p.Targets {
			networks += len(t.MCCMNC)
		}
	}
	var log bytes.Buffer
	fmt.Fprintf(&log, "source: %s, serviceproviders.xml\nsha256: %x\n", source, sha256.Sum256(data))
	fmt.Fprintf(&log, "taken: %d operators, %d MCC+MNC entries, %d connections\n", len(profiles), networks, connections)
	rows := slices.Concat(file.Report.Refused, file.Report.Lossy)
	slices.SortStableFunc(rows, func(a, b importer.Row) int { return a.Line - b.Line })
	fmt.Fprintf(&log, "left out or repaired: %d\n\n", len(rows))
	for _, r := range rows {
		fmt.Fprintln(&log, r)
	}
	return db.Bytes(), log.Bytes(), nil
}
