//go:build !nodemo

// Package demo wires every simulator to the same daemon that runs on routers: a
// modem on a pty, an eUICC in its slot, an SM-DP+ behind TLS and an operator's
// network. `dynamod demo` runs the whole story, `dynamod sim` keeps the lab
// running for outside clients.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/sgp26"
	"dynamod/euicc/smdpsim"
)

// Names and numbers of the lab. The network is the test network 001-01 (3GPP
// TS 23.003 reserves MCC 001), on which GSMA's TS.48 test profiles are as well.
const (
	SMDP     = "smdp.lab.test" // the card's default SM-DP+
	SMDS     = "smds.lab.test" // the card's root SM-DS
	APN      = "lab.test"
	PLMN     = "00101"
	Operator = "Lab Mobile"

	LoginAPN      = "login.lab.test" // for who has its password
	LoginUser     = "lab"
	LoginPassword = "lab-password"

	PIN = "1234" // of the lab's profiles, where it is enabled

	iin = "89049032" // issuer number of the lab's eUICC
)

// Options say what a Lab is made of.
type Options struct {
	Dir       string            // files for clients: modem, ci.pem, dynamod.toml, lab.json
	UPP       []string          // files of profile packages; none makes one
	Earlier   []byte            // profile package that is enabled on the card from the start
	EarlierIs euiccsim.Metadata // its name, class and rules; without a name it is an operational one
	Dialect   string            // the modem's personality
	RawIP     bool
	CI, CIKey string // PEM files; none makes a CI
	Keep      bool   // identities and card survive in Dir
	// CardOptions are KEY=VALUE: version=2.2, nvm=BYTES, max-lc=N,
	// get-response=yes, strict-segments=yes, forbidden=1+2 (policy rules).
	CardOptions []string
	Hosts       []string      // further names and addresses of the SM-DP+
	Baud        int           // pacing, see atsim.Config
	APDUDelay   time.Duration // the card's time for each APDU
	RTT         time.Duration // of the SM-DP+'s connections
	Bandwidth   int           // of the SM-DP+'s connections, bit/s
	Lease       atsim.Lease   // what the network gives to a context
	Carrier     Carrier
	// What stands before the servers' handlers, and between the modem and each
	// client of its port; nil is nothing.
	Front func(http.Handler) http.Handler
	Wrap  func(io.ReadWriteCloser) io.ReadWriteCloser
	Log   *slog.Logger
}

// Carrier is the packet side of the operator's network.
type Carrier interface {
	// Up lets traffic of the lease pass, Down stops it. Swallow loses all of it
	// until the next Up, while everything looks as before. Portal sends everybody on
	// to an address, "" nobody any more. Wall keeps traffic from the internet but
	// for some addresses, Traffic counts the bytes of both directions.
	Up(atsim.Lease) error
	Down()
	Swallow()
	Portal(location string)
	Wall(on bool, open ...netip.Addr) error
	Traffic() (int64, error)
}

// Lab is a modem with a card, and the servers around it.
type Lab struct {
	Card     *euiccsim.Card
	Server   *smdpsim.Server
	SMDS     *smdpsim.SMDS
	Modem    *atsim.Modem
	Operator *operator
	CI       *sgp26.Authority
	Profiles []Profile

	opts   Options
	log    *slog.Logger
	replug chan struct{} // ServeModem waits for it when the modem was unplugged for good
}

// owner is PLMN in the coding of SGP.22 OperatorId (3GPP TS 24.008, 10.5.1.13),
// so that the APN is chosen before anything is switched.
var owner = []byte{0x00, 0xF1, 0x10}

// Dialects names the modems that can be simulated.
func Dialects() []string { return atsim.Personalities() }

// Profile is an order that waits at the SM-DP+.
type Profile struct {
	File   string // "" for the lab's own
	ICCID  string
	Code   string // activation code with the server's FQDN
	ID     string // matching ID
	Size   int
	SHA256 string
}

// New makes the parts. Nothing runs yet.
func New(o Options) (_ *Lab, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Lab{opts: o, log: o.Log, replug: make(chan struct{})}
	id, err := o.identities(time.Now())
	if err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	l.CI = id.ci
	cfg, err := o.card(id)
	if err != nil {
		return nil, err
	}
	if l.Card, err = euiccsim.New(cfg); err != nil {
		return nil, err
	}
	if l.SMDS, err = smdpsim.NewSMDS(smdpsim.SMDSConfig{
		Address: SMDS, CI: l.CI, DSauth: id.dsAuth, TLS: id.dsTLS, Hosts: o.Hosts, Logger: o.Log,
	}); err != nil {
		return nil, fmt.Errorf("SM-DS: %w", err)
	}
	if l.Server, err = smdpsim.New(smdpsim.Config{
		Address: SMDP, CI: l.CI, DPauth: id.dpAuth, DPpb: id.dpPB, TLS: id.dpTLS, Hosts: o.Hosts, SMDS: l.SMDS, Logger: o.Log,
	}); err != nil {
		return nil, fmt.Errorf("SM-DP+: %w", err)
	}
	if err := id.keep(l); err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	l.Operator = newOperator(o.Carrier, o.Lease, o.Log)
	l.Server.OnNotification(l.Operator.hear)
	for _, p := range l.Card.Installed() {
		l.Operator.admit(p.ICCID) // from an earlier run
	}
	l.Modem, err = atsim.New(atsim.Config{
		Personality: o.Dialect, Card: l.Card.APDU, Network: l.Operator, RawIP: o.RawIP, Logger: o.Log,
		Baud: o.Baud, APDUDelay: o.APDUDelay, USSD: l.Operator.ussd, DataUp: l.Operator.dataUp, DataDown: l.Operator.dataDown, Wrap: o.Wrap,
	})
	if err != nil {
		return nil, err
	}
	if o.Earlier != nil {
		if err := l.preload(o.Earlier, o.EarlierIs); err != nil {
			return nil, err
		}
	}
	return l, l.addProfiles()
}

// newEID makes an EID with the check digits of SGP.02, 2.2.2: the whole number
// is 1 modulo 97.
func newEID() (string, error) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(22), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return "", err
	}
	head := iin + fmt.Sprintf("%022d", n)
	v, _ := new(big.Int).SetString(head+"00", 10)
	check := 98 - new(big.Int).Mod(v, big.NewInt(97)).Int64()
	return head + fmt.Sprintf("%02d", check), nil
}

func (l *Lab) addProfiles() error {
	if len(l.opts.UPP) == 0 {
		upp, err := l.newProfile("")
		if err != nil {
			return err
		}
		return l.AddProfile("", upp)
	}
	for _, file := range l.opts.UPP {
		upp, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("profile package: %w", err)
		}
		if err := l.AddProfile(file, upp); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// newProfile makes a profile package of the test network, with an ICCID that
// neither the card nor an order has. A PIN that is not "" is enabled.
func (l *Lab) newProfile(pin string) ([]byte, error) {
	taken := map[string]bool{}
	for _, p := range l.Card.Installed() {
		taken[p.ICCID] = true
	}
	for _, o := range l.Server.Orders() {
		taken[o.ICCID] = true
	}
	for n := 1; ; n++ {
		iccid := withLuhn(fmt.Sprintf("890010100000%06d", n))
		if !taken[iccid] {
			return smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: fmt.Sprintf("00101%010d", n+16), MNCDigits: 2, SPN: Operator, PIN: pin})
		}
	}
}

// withLuhn appends the check digit of ITU-T E.118.
func withLuhn(digits string) string {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + strconv.Itoa((10-sum%10)%10)
}

// AddProfile puts a profile package up for download.
func (l *Lab) AddProfile(file string, upp []byte) error {
	name := "Lab profile"
	if file != "" {
		name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	p, err := l.offer(file, smdpsim.Order{UPP: upp, Metadata: smdpsim.Metadata{Provider: Operator, Name: name, Owner: owner}})
	if err != nil {
		return err
	}
	l.Profiles = append(l.Profiles, p)
	return nil
}

// offer adds an order under a matching ID of its own.
func (l *Lab) offer(file string, o smdpsim.Order) (Profile, error) {
	iccid, err := smdpsim.UPPICCID(o.UPP)
	if err != nil {
		return Profile{}, err
	}
	o.MatchingID = "LAB-" + strings.ToUpper(rand.Text()[:12])
	code, err := l.Server.AddOrder(o)
	if err != nil {
		return Profile{}, err
	}
	return Profile{File: file, ICCID: iccid, Code: code, ID: o.MatchingID, Size: len(o.UPP), SHA256: sha256Hex(o.UPP)}, nil
}

// ServeRSP answers on ln as the SM-DP+ until ctx ends.
func (l *Lab) ServeRSP(ctx context.Context, ln net.Listener) error {
	return l.serveTLS(ctx, ln, l.Server)
}

// ServeSMDS answers on ln as the SM-DS until ctx ends.
func (l *Lab) ServeSMDS(ctx context.Context, ln net.Listener) error {
	return l.serveTLS(ctx, ln, l.SMDS)
}

func (l *Lab) serveTLS(ctx context.Context, ln net.Listener, s interface {
	AddAddress(string) error
	Handler() http.Handler
	TLSConfig() *tls.Config
}) error {
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		if err := s.AddAddress(net.JoinHostPort(addr.IP.String(), strconv.Itoa(addr.Port))); err != nil {
			return err
		}
	}
	h := s.Handler()
	if l.opts.Front != nil {
		h = l.opts.Front(h)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(l.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		srv.Close()
	}()
	err := srv.Serve(tls.NewListener(pace(ln, l.opts.RTT, l.opts.Bandwidth), s.TLSConfig()))
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return err
}

// ServeModem serves the modem's AT port on a pty that path points to, until ctx
// ends. A modem that was unplugged for good comes back with Replug.
func (l *Lab) ServeModem(ctx context.Context, path string) error {
	for {
		err := l.Modem.ServePTY(ctx, path)
		if !errors.Is(err, atsim.ErrUnplugged) {
			return err
		}
		select {
		case <-l.replug:
		case <-ctx.Done():
			return nil
		}
	}
}

// Replug brings the port of a modem back that was unplugged for good. It waits
// until ctx ends for the modem to be gone.
func (l *Lab) Replug(ctx context.Context) error {
	select {
	case l.replug <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// preload puts a profile package on the card as if an earlier activation had
// installed and enabled it: the operator knows its line. Without a name the
// metadata are those of an operational profile.
func (l *Lab) preload(upp []byte, md euiccsim.Metadata) error {
	iccid, err := smdpsim.UPPICCID(upp)
	if err != nil {
		return err
	}
	if md.Name == "" {
		md = euiccsim.Metadata{Name: "Earlier profile", Class: euiccsim.ClassOperational}
	}
	md.ICCID, md.Provider = iccid, Operator
	raw, err := md.Encode()
	if err != nil {
		return err
	}
	l.Operator.admit(iccid)
	return l.Card.Preload(upp, raw, true)
}
