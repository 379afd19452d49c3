package main

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

const about = `eSIM cellular gateway
 Turns a box with an eSIM-capable modem into a self-activating cellular router:
 an activation code goes in, an internet link comes out, and whatever happens on
 the way the box stays reachable.
`

// deb makes a Debian package.
func (s *source) deb(t target) ([]byte, error) {
	files := tree{"etc/dynamod/operators.d": nil}
	for name, from := range map[string]string{
		"usr/bin/dynamod":                                filepath.Join(s.Bin, "dynamod-linux-"+t.binary),
		"usr/lib/systemd/system/dynamod.service":         "rootfs/systemd/dynamod.service",
		"usr/lib/systemd/system/dynamod-helper.socket":   "rootfs/systemd/dynamod-helper.socket",
		"usr/lib/systemd/system/dynamod-helper@.service": "rootfs/systemd/dynamod-helper@.service",
		"usr/lib/udev/rules.d/60-dynamod.rules":          "rootfs/udev/60-dynamod.rules",
		"usr/share/dynamod/dynamod.toml":                 "configs/minimal.toml",
		"usr/share/doc/dynamod/examples/reference.toml":  "configs/reference.toml",
		"usr/share/doc/dynamod/examples/60-dynamod.conf": "rootfs/overlay/etc/sysctl.d/60-dynamod.conf",
		"usr/share/doc/dynamod/examples/dynamod.nft":     "rootfs/overlay/etc/nftables.d/dynamod.nft",
		"usr/share/doc/dynamod/changelog":                "CHANGELOG.md",
		"usr/share/man/man8/dynamod.8":                   filepath.Join(s.Bin, "dynamod.8"),
		"usr/share/man/man5/dynamod.toml.5":              filepath.Join(s.Bin, "dynamod.toml.5"),
		"usr/share/bash-completion/completions/dynamod":  filepath.Join(s.Bin, "dynamod.bash"),
		"usr/share/zsh/vendor-completions/_dynamod":      filepath.Join(s.Bin, "dynamod.zsh"),
	} {
		if !filepath.IsAbs(from) && !strings.HasPrefix(from, s.Bin) {
			from = filepath.Join(s.Root, from)
		}
		if err := files.add(name, from); err != nil {
			return nil, err
		}
	}
	var err error
	if files["usr/share/doc/dynamod/copyright"], err = s.copyright(); err != nil {
		return nil, err
	}
	for _, name := range []string{"usr/share/man/man8/dynamod.8", "usr/share/man/man5/dynamod.toml.5", "usr/share/doc/dynamod/changelog"} {
		data, err := zipped(files[name])
		if err != nil {
			return nil, err
		}
		delete(files, name)
		files[name+".gz"] = data
	}
	instance, err := instanceUnit(files["usr/lib/systemd/system/dynamod.service"])
	if err != nil {
		return nil, err
	}
	files["usr/lib/systemd/system/dynamod@.service"] = instance

	control := tree{"control": fmt.Appendf(nil, `Package: dynamod
Version: %s
Architecture: %s
Maintainer: dynamod maintainers <dynamod@localhost>
Installed-Size: %d
Depends: passwd
Suggests: ppp
Section: net
Priority: optional
Description: %s`, s.Version, t.arch, (files.size()+1023)/1024, about)}
	var sums bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name] != nil {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(files[name]), name)
		}
	}
	control["md5sums"] = sums.Bytes()
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		if err := control.add(script, filepath.Join(s.Root, "rootfs/deb", script)); err != nil {
			return nil, err
		}
	}
	controlTar, err := control.tarball(s.Time, true)
	if err != nil {
		return nil, err
	}
	dataTar, err := files.tarball(s.Time, true)
	if err != nil {
		return nil, err
	}
	// deb(5): an ar(5) archive of these three, in this order.
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", controlTar}, {"data.tar.gz", dataTar}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, s.Time.Unix(), 0, 0, "100644", len(m.data))
		out.Write(m.data)
		if len(m.data)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes(), nil
}

// instanceUnit makes dynamod@.service of dynamod.service, for a router with more than
// one modem.
func instanceUnit(unit []byte) ([]byte, error) {
	text := string(unit)
	for _, r := range [][2]string{
		{"Description=eSIM cellular gateway\n", "Description=eSIM cellular gateway, modem %i\n"},
		{"ExecStart=/usr/bin/dynamod run --ignore-unknown\n", "ExecStart=/usr/bin/dynamod run --ignore-unknown --instance %i\n"},
		{"StateDirectory=dynamod\n", "StateDirectory=dynamod@%i\n"},
		{"RuntimeDirectory=dynamod\n", "RuntimeDirectory=dynamod@%i\n"},
	} {
		if strings.Count(text, r[0]) != 1 {
			return nil, fmt.Errorf("dynamod.service does not hold %q once", r[0])
		}
		text = strings.Replace(text, r[0], r[1], 1)
	}
	return []byte(text), nil
}

// ipk makes a package for OpenWrt's opkg: a tar.gz of what a .deb holds.
func (s *source) ipk(t target) ([]byte, error) {
	files := tree{}
	if err := files.addAll(filepath.Join(s.Root, "rootfs/openwrt/files")); err != nil {
		return nil, err
	}
	if err := files.add("usr/bin/dynamod", filepath.Join(s.Bin, "dynamod-linux-"+t.binary)); err != nil {
		return nil, err
	}
	files["etc/dynamod/operators.d"] = nil
	control := tree{
		"control": fmt.Appendf(nil, `Package: dynamod
Version: %s
Depends: ca-bundle
Section: net
Architecture: %s
Installed-Size: %d
License: Apache-2.0
Description: %s`, s.Version, t.arch, files.size(), about),
		"conffiles": []byte("/etc/config/dynamod\n"),
	}
	if err := control.addAll(filepath.Join(s.Root, "rootfs/openwrt/control")); err != nil {
		return nil, err
	}
	outer := tree{"debian-binary": []byte("2.0\n")}
	var err error
	if outer["control.tar.gz"], err = control.tarball(s.Time, true); err != nil {
		return nil, err
	}
	if outer["data.tar.gz"], err = files.tarball(s.Time, true); err != nil {
		return nil, err
	}
	return outer.tarball(s.Time, false) // opkg looks for ./debian-binary first
}
