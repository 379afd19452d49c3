//go:build linux && !nodemo

package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/durable"
)

// Sim says how to run the lab for outside clients.
type Sim struct {
	Options
	SMDP, SMDS   string // host:port for clients outside the lab's network; "" picks a port
	SingleUplink bool
	Out, Err     io.Writer
	Args         []string
}

// labFile is lab.json.
type labFile struct {
	Modem     string            `json:"modem"`
	Dialect   string            `json:"dialect"`
	EID       string            `json:"eid"`
	CI        string            `json:"ci"`
	Config    string            `json:"config"`
	Control   string            `json:"control"` // socket of dynamod sim ctl
	SMDP      labServer         `json:"smdp"`    // the card's default SM-DP+ as well
	SMDS      labServer         `json:"smds"`    // the card's root SM-DS
	Profiles  []labProfile      `json:"profiles"`
	Installed []labInstalled    `json:"installed"`
	Network   map[string]string `json:"network"`
	Enter     []string          `json:"enter"` // runs a program on the lab's router
	PID       int               `json:"pid"`
}

type labServer struct {
	Name    string `json:"name"`    // FQDN of its certificate
	Inside  string `json:"inside"`  // address on the lab's network, for [lpa.resolve]
	Outside string `json:"outside"` // host:port for clients on this machine
}

type labProfile struct {
	File      string `json:"file,omitempty"`
	ICCID     string `json:"iccid"`
	Size      int    `json:"size"`
	SHA256    string `json:"sha256"`
	Code      string `json:"code"`       // with the FQDN, for use with [lpa.resolve]
	CodeLocal string `json:"code_local"` // with host:port, for other LPAs
}

type labInstalled struct {
	ICCID   string `json:"iccid"`
	Enabled bool   `json:"enabled"`
	SHA256  string `json:"sha256"` // of the profile package as the card decrypted it
}

// RunSim keeps the lab running until ctx ends.
func RunSim(ctx context.Context, s Sim) (err error) {
	if s.Dir == "" {
		return &ExitError{Code: 2, Err: errors.New("sim needs a directory"), Text: "dynamod sim --dir DIR"}
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("lab directory: %w", err)
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	o := netlab.Options{RawIP: s.RawIP, SingleUplink: s.SingleUplink, Log: s.Log}
	if why := netlab.Permitted(); errors.Is(why, netlab.ErrForbidden) {
		code, err := netlab.Reexec(ctx, s.Args...)
		if err != nil {
			return &ExitError{Code: exitImpossible, Err: err, Text: "the lab needs network namespaces: run it as root"}
		}
		if code != 0 {
			return &ExitError{Code: code}
		}
		return nil
	}
	ctl, err := listenControl(s.Dir)
	if err != nil {
		return err
	}
	defer ctl.Close()
	n, err := netlab.New(ctx, o)
	if errors.Is(err, netlab.ErrNoTUN) {
		return &ExitError{Code: exitImpossible, Err: err, Text: "run without --raw-ip, or make the device available"}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	ln, err := s.listen("SM-DP+", s.SMDP)
	if err != nil {
		return err
	}
	dsln, err := s.listen("SM-DS", s.SMDS)
	if err != nil {
		ln.Close()
		return err
	}
	w, err := Open(ctx, n, s.Options)
	if err != nil {
		ln.Close()
		dsln.Close()
		return err
	}
	defer w.Close()
	w.outside = ln.Addr().String()
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	if err := errors.Join(w.Server.AddAddress(w.outside), w.SMDS.AddAddress(dsln.Addr().String())); err != nil {
		return err
	}
	w.serve(runCtx, ln)
	w.serveSMDS(runCtx, dsln)
	w.file = labFile{
		Modem: filepath.Join(s.Dir, "modem"), Dialect: s.Dialect, EID: w.Card.EID(), CI: filepath.Join(s.Dir, "ci.pem"),
		Config: filepath.Join(s.Dir, "dynamod.toml"), PID: os.Getpid(), Enter: n.EnterCommand(),
		Control: filepath.Join(s.Dir, ctlSocket),
		SMDP:    labServer{SMDP, fmt.Sprintf("%s:%d", netlab.SMDPAddr, smdpPort), w.outside},
		SMDS:    labServer{SMDS, fmt.Sprintf("%s:%d", netlab.SMDPAddr, smdsPort), dsln.Addr().String()},
		Network: map[string]string{"interface": o.Interface(), "reach": netlab.ReachTarget, "apn": APN, "plmn": PLMN},
	}
	for _, p := range w.Profiles {
		local, err := w.Server.ActivationCode(p.ID, ln.Addr().String())
		if err != nil {
			return err
		}
		w.file.Profiles = append(w.file.Profiles, labProfile{p.File, p.ICCID, p.Size, p.SHA256, p.Code, local})
	}
	f := w.file // what follows changes only its lists
	if err := w.publish(); err != nil {
		return err
	}
	w.run(func() error { return w.serveControl(runCtx, ctl) })
	fmt.Fprintf(s.Out, "modem    %s\nSM-DP+   %s (for [lpa.resolve]: %q = %q)\nSM-DS    %s\ncodes    in %s\nconfig   %s\nenter    %s PROGRAM\ncontrol  dynamod sim ctl --dir %s state\n",
		f.Modem, f.SMDP.Outside, f.SMDP.Name, f.SMDP.Inside, f.SMDS.Outside, filepath.Join(s.Dir, "lab.json"), f.Config, strings.Join(f.Enter, " "), s.Dir)
	fmt.Fprintf(s.Out, "try      %s dynamod run --config %s\nready\n", strings.Join(f.Enter, " "), f.Config)
	return w.follow(ctx, s.Out)
}

// listen opens a server's port for clients on this machine, and notes the names
// that its certificate needs.
func (s *Sim) listen(what, address string) (net.Listener, error) {
	at := address
	if at == "" {
		at = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	host, _, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		ln.Close()
		return nil, err
	}
	names := []string{host, "localhost"}
	if h, port, err := net.SplitHostPort(address); err == nil && port != "0" {
		names = append(names, h)
	}
	for _, name := range names {
		if name != "" && !slices.Contains(s.Hosts, name) {
			s.Hosts = append(s.Hosts, name)
		}
	}
	return ln, nil
}

// publish writes lab.json with what the card holds, and with more profiles if
// there are any.
func (w *World) publish(more ...labProfile) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &w.file
	f.Profiles = append(f.Profiles, more...)
	f.Installed = []labInstalled{}
	for _, p := range w.Card.Installed() {
		f.Installed = append(f.Installed, labInstalled{p.ICCID, p.Enabled, fmt.Sprintf("%x", p.SHA256)})
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	// It holds activation codes, which are bearer tokens, even if only a lab's.
	return durable.WriteFile(filepath.Join(w.opts.Dir, "lab.json"), append(b, '\n'), 0o600)
}

// follow reports each change of the card until ctx ends.
func (w *World) follow(ctx context.Context, out io.Writer) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	seen := ""
	for {
		now := ""
		for _, p := range w.Card.Installed() {
			now += fmt.Sprint(p.ICCID, p.Enabled, " ")
		}
		if now != seen {
			for _, p := range w.Card.Installed() {
				if !strings.Contains(seen, p.ICCID) {
					fmt.Fprintf(out, "installed %s, SHA-256 of the profile package %x\n", p.ICCID, p.SHA256)
				}
			}
			seen = now
			if err := w.publish(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
