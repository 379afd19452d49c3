package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// dnsMarker begins the first line of a file that is ours; the interface's name follows.
const dnsMarker = "# made by dynamod for "

// maxDNSFile bounds what is read of a file that calls itself a resolv.conf.
const maxDNSFile = 16 << 10

// DNSFile is what is at a Spec's DNSFile.
type DNSFile struct {
	State   FileState
	Servers []netip.Addr // in the file's order, ours or not
	Err     error        // why the file cannot be read, with State FileUnreadable
}

// FileState says whose a file is.
type FileState uint8

const (
	FileAbsent     FileState = iota // no file, or an empty one
	FileOurs                        // written by this program for this interface
	FileForeign                     // somebody else's, or another interface's: never touched
	FileUnreadable                  // DNSFile.Err says why
)

// DNSChange writes or removes the DNS file.
type DNSChange struct {
	File      string
	Interface string
	Servers   []netip.Addr // none: remove the file
}

func (c DNSChange) String() string {
	if len(c.Servers) == 0 {
		return "remove " + c.File
	}
	s := "write " + c.File + ": nameserver"
	for _, a := range c.Servers {
		s += " " + a.String()
	}
	return s
}

// formatDNS is the content of a DNS file: resolv.conf(5).
func formatDNS(iface string, servers []netip.Addr) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s: changes are overwritten\n", dnsMarker, iface)
	for _, a := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	return b.Bytes()
}

// parseDNS reads a resolv.conf(5): the interface of our marker, empty if the file is not ours, and the name servers.
// Lines that are not understood are skipped, as the C library does.
func parseDNS(b []byte) (iface string, servers []netip.Addr) {
	first := true
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, dnsMarker); ok && first {
			iface, _, _ = strings.Cut(rest, ":")
		}
		first = false
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "nameserver" && len(servers) < maxServers {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				servers = append(servers, a)
			}
		}
	}
	return iface, servers
}

func readDNSFile(path, iface string) DNSFile {
	if path == "" {
		return DNSFile{}
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return DNSFile{}
	}
	if err != nil {
		return DNSFile{State: FileUnreadable, Err: err}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDNSFile))
	if err != nil {
		return DNSFile{State: FileUnreadable, Err: err}
	}
	owner, servers := parseDNS(b)
	d := DNSFile{State: FileForeign, Servers: servers}
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		d.State = FileAbsent
	case owner == iface:
		d.State = FileOurs
	}
	return d
}

// do carries the change out. A reader of the file sees the old content or the new one, never half of it.
func (c DNSChange) do() error {
	switch d := readDNSFile(c.File, c.Interface); {
	case d.State == FileForeign:
		return fmt.Errorf("dns file %s was not made for %s and is left alone: remove it or name another file", c.File, c.Interface)
	case d.State == FileUnreadable:
		return fmt.Errorf("dns file: %w", d.Err)
	}
	// A symbolic link (/etc/resolv.conf -> /tmp/resolv.conf) stays one.
	path := c.File
	if p, err := filepath.EvalSymlinks(path); err == nil {
		path = p
	}
	if len(c.Servers) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dns file: %w", err)
		}
		return nil
	}
	if err := replaceFile(path, formatDNS(c.Interface, c.Servers)); err != nil {
		return fmt.Errorf("dns file %s: %w", c.File, err)
	}
	return nil
}

// replaceFile writes beside the file, makes sure of the content and renames.
func replaceFile(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	// Everybody on the router resolves names; CreateTemp makes files for one user.
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
