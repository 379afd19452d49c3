package main

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"dynamod/atcmd/port"
	"dynamod/board"
	"dynamod/daemon/config"
	"dynamod/daemon/helper"
)

// identity is whom a daemon runs as.
type identity struct {
	name   string
	uid    int
	groups []int
	// caps are the effective capabilities, known where somebody else's are not
	// asked for.
	caps  uint64
	known bool
}

// The capabilities that a daemon needs, by their numbers in capabilities(7).
var neededCaps = []struct {
	bit  uint
	name string
	what string
}{
	{12, "CAP_NET_ADMIN", "addresses, routes and rules cannot be set"},
	{13, "CAP_NET_RAW", "DHCP, router solicitations and sockets of one interface are not possible"},
}

// ownIdentity is that of this process.
func ownIdentity() (identity, error) {
	id := identity{uid: os.Geteuid(), name: strconv.Itoa(os.Geteuid())}
	groups, err := os.Getgroups()
	if err != nil {
		return id, err
	}
	id.groups = append(groups, os.Getegid())
	if u, err := user.LookupId(id.name); err == nil {
		id.name = u.Username
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return id, nil // not Linux
	}
	_, after, _ := bytes.Cut(text, []byte("\nCapEff:\t"))
	word, _, _ := bytes.Cut(after, []byte("\n"))
	id.caps, err = strconv.ParseUint(string(word), 16, 64)
	id.known = err == nil
	return id, nil
}

// identityOf is that of a user by name. What a unit gives him beside it is known only
// where this process is his.
func identityOf(name string) (identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return identity{}, err
	}
	id := identity{name: name}
	if id.uid, err = strconv.Atoi(u.Uid); err != nil {
		return id, err
	}
	if id.uid == os.Geteuid() {
		return ownIdentity()
	}
	list, err := u.GroupIds()
	if err != nil {
		return id, err
	}
	for _, text := range list {
		if gid, err := strconv.Atoi(text); err == nil {
			id.groups = append(id.groups, gid)
		}
	}
	return id, nil
}

// may reports whether id may do all of rwx with path, octal as in chmod. Of somebody else
// the mode bits tell; of this process the kernel, which knows ACLs, too.
func (id identity) may(path string, rwx os.FileMode) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || id.uid == 0 {
		return true, nil
	}
	if id.uid == os.Geteuid() {
		return unix.Faccessat(unix.AT_FDCWD, path, uint32(rwx), unix.AT_EACCESS) == nil, nil
	}
	mode := info.Mode().Perm()
	switch {
	case int(s.Uid) == id.uid:
		mode >>= 6
	case slices.Contains(id.groups, int(s.Gid)):
		mode >>= 3
	}
	return mode&rwx == rwx, nil
}

// stranger is the owner of a directory that root would change, nil where that is root's
// own affair.
func stranger(dir string) *syscall.Stat_t {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 {
		return s
	}
	return nil
}

// becomeOwner has root go on as the user whose the directory is, for good: what he has
// put there, links to other files among it, is used with his rights.
func becomeOwner(dir string) error {
	s := stranger(dir)
	if s == nil {
		return nil
	}
	err := syscall.Setgroups(nil)
	if err == nil {
		err = syscall.Setgid(int(s.Gid))
	}
	if err == nil {
		err = syscall.Setuid(int(s.Uid))
	}
	if err != nil {
		return fmt.Errorf("cannot become user %d, whose %s is: %w", s.Uid, dir, err)
	}
	return nil
}

// ofAnother refuses root a state that is another user's: what root writes there that
// user's daemon could not read.
func ofAnother(dir string) error {
	s := stranger(dir)
	if s == nil {
		return nil
	}
	uid := strconv.Itoa(int(s.Uid))
	return fault{
		exitRefused, "the state directory " + dir + " belongs to another user, with whose daemon root would interfere",
		"start that daemon, or do it as that user: `setpriv --reuid " + uid + " --init-groups --inh-caps +net_admin,+net_raw --ambient-caps +net_admin,+net_raw dynamod ...`",
	}
}

// lacks tells what id would need to run a daemon with this configuration, each with
// the command that mends it.
func (id identity) lacks(cfg *config.Config, file string) (lacks []string) {
	if id.uid == 0 {
		return nil
	}
	add := func(format string, args ...any) { lacks = append(lacks, fmt.Sprintf(format, args...)) }
	if id.known {
		for _, c := range neededCaps {
			if id.caps>>c.bit&1 == 0 {
				add("%s is missing, so %s: run the daemon by rootfs/systemd/dynamod.service, or with `setpriv --inh-caps +net_admin,+net_raw --ambient-caps +net_admin,+net_raw`", c.name, c.what)
			}
		}
	}
	for _, path := range modemPorts(cfg) {
		if ok, err := id.may(path, 0o6); err == nil && !ok {
			add("%s cannot be opened: %s", path, id.joins(path))
		}
	}
	for _, dir := range []struct{ key, path string }{{"[state] dir", cfg.State.Dir}, {"[state] run", cfg.State.Run}, {"[uplink] dns_file", filepath.Dir(cfg.Uplink.DNSFile)}} {
		if dir.key == "[uplink] dns_file" && cfg.Uplink.DNSFile == "" || dir.key != "[state] dir" && dir.path == cfg.State.Dir {
			continue
		}
		ok, err := id.may(dir.path, 0o7)
		if os.IsNotExist(err) {
			ok, err = id.may(filepath.Dir(dir.path), 0o7)
		}
		if err != nil || !ok {
			add("%s: %s cannot be written: `install -d -o %s %s`", dir.key, dir.path, id.name, dir.path)
		}
	}
	type named struct{ key, path string }
	files := []named{
		{"the configuration", file}, {"[modem] pin_file", cfg.Modem.PINFile}, {"[apn] password_file", cfg.APN.PasswordFile},
		{"[webhook] secret_file", cfg.Webhook.SecretFile}, {"[webhook] ca", cfg.Webhook.CA},
		{"[dynamo] token_file", cfg.Dynamo.TokenFile}, {"[dynamo] ca", cfg.Dynamo.CA}, {"[hook] certificate", cfg.Hook.Certificate}, {"[hook] key", cfg.Hook.Key}, {"[hook] client_ca", cfg.Hook.ClientCA},
	}
	for _, path := range cfg.LPA.CI {
		files = append(files, named{"[lpa] ci", path})
	}
	for _, f := range files {
		if ok, err := id.may(f.path, 0o4); f.path != "" && err == nil && !ok {
			add("%s: %s cannot be read: `chown %s %s`", f.key, f.path, id.name, f.path)
		}
	}
	if group := cfg.Hook.Group; group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			add("[hook] group: there is no group %s: `groupadd --system %s`", group, group)
		} else if gid, err := strconv.Atoi(g.Gid); err == nil && !slices.Contains(id.groups, gid) {
			add("[hook] group: only a member can give the socket to %s: `usermod -aG %s %s`", group, group, id.name)
		}
	}
	for _, path := range boardFiles(cfg, "/") {
		if ok, err := id.may(path, 0o2); err == nil && !ok {
			add("%s, of this board, cannot be used: copy rootfs/udev/60-dynamod.rules to /etc/udev/rules.d and `udevadm trigger`", path)
		}
	}
	for _, needs := range []struct {
		key string
		set bool
	}{{"[bearer] ppp", cfg.Bearer.PPP != config.PPPOff}, {"[time] set", cfg.Time.Set}, {"[bearer] recovery = \"power\"", cutsUSB(cfg, modemPorts(cfg), "/")}} {
		if !needs.set {
			continue
		}
		if ok, err := id.may(cfg.State.Helper, 0o6); err != nil {
			add("%s needs root, and there is no helper at %s: `systemctl enable --now dynamod-helper.socket`, or run the daemon as root", needs.key, cfg.State.Helper)
		} else if !ok {
			add("%s needs root, and the helper at %s is not for %s: SocketGroup of dynamod-helper.socket has to be a group of his", needs.key, cfg.State.Helper, id.name)
		}
	}
	return lacks
}

// boardFiles are what a daemon writes to on this box: the chips of its lines, and its
// LEDs. root is where the box is looked at.
func boardFiles(cfg *config.Config, root string) (paths []string) {
	b, _, _ := cfg.Board.Choose(board.Read(root))
	if b.Switch() != "" || b.SIM.Line != "" || len(b.Quirks.On) > 0 {
		paths, _ = filepath.Glob(filepath.Join(root, "dev/gpiochip*"))
	}
	for _, led := range []string{b.LEDs.Registered, b.LEDs.Link} {
		if led != "" {
			paths = append(paths, filepath.Join(root, "sys/class/leds", led, "trigger"))
		}
	}
	return paths
}

// cutsUSB reports whether the modem's power can be taken by a USB port's switch alone,
// and may be. ports are the modem's, or may be its; root is where the box is looked at.
func cutsUSB(cfg *config.Config, ports []string, root string) bool {
	if b, _, _ := cfg.Board.Choose(board.Read(root)); b.Switch() != "" || cfg.Bearer.Recovery != "power" {
		return false
	}
	tree := port.Tree{Sys: filepath.Join(root, "sys")}
	var places []port.Place
	if place, err := port.ParsePlace(cfg.Modem.Port); err == nil {
		places = append(places, place) // of a modem that is gone, too
	}
	for _, path := range ports {
		if place, ok := tree.Place(path); ok {
			places = append(places, place)
		}
	}
	return slices.ContainsFunc(places, func(p port.Place) bool {
		_, err := helper.SwitchOf(tree.Sys, p.Device)
		return err == nil
	})
}

// joins is the command that lets id open a device.
func (id identity) joins(path string) string {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o060 == 0o060 {
		if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Gid != 0 {
			if g, err := user.LookupGroupId(strconv.Itoa(int(s.Gid))); err == nil {
				return fmt.Sprintf("`usermod -aG %s %s`", g.Name, id.name)
			}
		}
	}
	return "copy rootfs/udev/60-dynamod.rules to /etc/udev/rules.d and `udevadm trigger`"
}

// modemPorts are the devices that the configuration names, or that may be the modem's.
func modemPorts(cfg *config.Config) []string {
	name := cfg.Modem.Port
	if strings.HasPrefix(name, "/") {
		return []string{name}
	}
	if place, err := port.ParsePlace(name); err == nil {
		if path, err := (port.Tree{}).Find(place); err == nil {
			return []string{path}
		}
		return nil
	}
	var paths []string
	if name == config.Auto {
		for _, pattern := range []string{"/dev/ttyUSB*", "/dev/ttyACM*", "/dev/wwan*at*"} {
			found, _ := filepath.Glob(pattern)
			paths = append(paths, found...)
		}
	}
	return paths
}
