//go:build !nodemo

package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/demo/netlab"
	"dynamod/euicc/smdpsim"
)

// operator is the lab's network: it registers lines of the test network once
// the SM-DP+ has reported their profile as installed, as real operators do, and
// gives a data connection for its own APNs only: one for everybody, and one for
// who has its password.
type operator struct {
	carrier Carrier
	log     *slog.Logger

	mu       sync.Mutex
	reported map[string]bool // ICCIDs whose installation the SM-DP+ has verified
	refused  int             // registrations that came before the report
	lines    map[string]Line // by ICCID, of those that have a flaw
	caller   string          // ICCID of the line that asked for a context last
	spoiling *time.Timer     // until its traffic ends
	toPortal bool            // its traffic goes to a portal
	noData   bool            // told to give no connection
	withheld int             // connections that were not given for that
	core     *atsim.Core

	isUp     bool               // caller has a data connection
	accounts map[string]Account // by ICCID, of the lines that pay by volume
	own      *prepaid
	garden   Garden
	walled   bool        // caller is in it
	metered  int64       // bytes that the carrier had counted at the last look
	looking  *time.Timer // until the next one
	meters   sync.Mutex  // one look at a time; before mu
}

// Line is what the network makes of one subscriber. The zero value is a good one.
type Line struct {
	Denied bool          // each registration, as a line that is not active
	Unseen bool          // it finds no network
	NoData bool          // its contexts are refused: the service is not subscribed
	Portal string        // its contexts lead to this address and no further
	Hollow bool          // its contexts come up and carry nothing
	Lasts  time.Duration // its contexts carry traffic for so long; 0 is for ever
}

func newOperator(c Carrier, lease atsim.Lease, log *slog.Logger) *operator {
	core := &atsim.Core{Home: PLMN, Cell: atsim.Registration{PLMN: PLMN}, Default: APN, APNs: []atsim.APN{
		{Name: APN, Types: []string{"IP"}, Lease: lease},
		// Its server is an old one: it knows PAP and no CHAP.
		{Name: LoginAPN, Types: []string{"IP"}, User: LoginUser, Password: LoginPassword, Methods: []int{1}, Lease: lease},
	}}
	return &operator{carrier: c, core: core, log: log, reported: map[string]bool{}, lines: map[string]Line{}, accounts: map[string]Account{}, own: &prepaid{mb: map[string]float64{}},
		garden: Garden{Portal: "https://" + netlab.PortalName + "/", Open: []netip.Addr{netlab.PortalAddr}}}
}

// hear learns from the SM-DP+ that a profile is installed.
func (o *operator) hear(n smdpsim.Notification) {
	if n.Result == nil || !n.Verified {
		return
	}
	o.admit(n.ICCID)
	o.log.Info("the line is active", "iccid", shorten(n.ICCID))
}

// admit lets a line register.
func (o *operator) admit(iccid string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reported[iccid] = true
}

// Register implements atsim.Network.
func (o *operator) Register(s atsim.Subscriber) atsim.Registration {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := atsim.Registration{Status: 1, AcT: 7, PLMN: PLMN, Operator: Operator, TAC: "0001", CellID: "00000101"}
	iccid := strings.TrimRight(s.ICCID, "Ff")
	line := o.lines[iccid]
	switch {
	case line.Unseen:
		return atsim.Registration{Status: 2}
	case !strings.HasPrefix(s.IMSI, PLMN):
		return atsim.Registration{Status: 3, AcT: 7, PLMN: PLMN, Operator: Operator, TAC: "0001", CellID: "00000101", RejectCause: 11} // PLMN not allowed
	case !o.reported[iccid], line.Denied:
		o.refused++
		r.Status, r.RejectCause = 3, 8 // EPS and non-EPS services not allowed: the line is not active yet
	}
	return r
}

// ESM causes (3GPP TS 24.301, 9.9.4.4).
const (
	causeNoResources   = 26
	causeNotSubscribed = 33
)

// Activate implements atsim.Network.
func (o *operator) Activate(s atsim.Subscriber, p atsim.PDP) (atsim.Lease, error) {
	o.mu.Lock()
	noData := o.noData
	if noData {
		o.withheld++
	}
	o.caller = strings.TrimRight(s.ICCID, "Ff")
	line := o.lines[o.caller]
	o.mu.Unlock()
	switch {
	case noData:
		return atsim.Lease{}, &atsim.Reject{Cause: causeNoResources}
	case line.NoData:
		return atsim.Lease{}, &atsim.Reject{Cause: causeNotSubscribed}
	}
	return o.core.Activate(s, p)
}

// Deactivate implements atsim.Network.
func (o *operator) Deactivate(s atsim.Subscriber, cid int) { o.core.Deactivate(s, cid) }

func (o *operator) dataUp(_ int, l atsim.Lease) error {
	if o.carrier == nil {
		return nil
	}
	if err := o.carrier.Up(l); err != nil {
		return err
	}
	total, _ := o.carrier.Traffic() // an error comes again
	o.mu.Lock()
	o.isUp, o.metered = true, total
	metered := o.accounts[o.caller] != nil
	defer func() {
		o.mu.Unlock()
		if metered {
			o.meter()
		}
	}()
	switch line := o.lines[o.caller]; {
	case line.Portal != "":
		o.carrier.Portal(line.Portal)
		o.toPortal = true
	case line.Hollow:
		o.carrier.Swallow()
	case line.Lasts > 0:
		o.spoiling = time.AfterFunc(line.Lasts, o.carrier.Swallow)
	}
	return nil
}

func (o *operator) dataDown(int) {
	o.mu.Lock()
	o.isUp = false
	metered := o.looking != nil || o.walled
	o.mu.Unlock()
	if metered {
		o.meter() // the last time
	}
	o.mu.Lock()
	if o.spoiling != nil {
		o.spoiling.Stop()
		o.spoiling = nil
	}
	if o.toPortal {
		o.carrier.Portal("")
		o.toPortal = false
	}
	o.mu.Unlock()
	if o.carrier != nil {
		o.carrier.Down()
	}
}

// SetLine says what the network makes of a line.
func (o *operator) SetLine(iccid string, l Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines[iccid] = l
}

// Line is what SetLine said last.
func (o *operator) Line(iccid string) Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines[iccid]
}

// SetNoData tells the network to refuse data connections.
func (o *operator) SetNoData(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.noData = on
}

// NoData reports whether it was told to.
func (o *operator) NoData() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.noData
}

// Withheld counts the connections that it did not give because it was told to.
func (o *operator) Withheld() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.withheld
}

// Refused counts the registrations that came before their line was active.
func (o *operator) Refused() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func shorten(iccid string) string {
	if len(iccid) < 8 {
		return iccid
	}
	return fmt.Sprintf("...%s", iccid[len(iccid)-4:])
}

// pace slows connections down in real time: bits per second each way, and half
// a round trip before each burst of data.
func pace(l net.Listener, rtt time.Duration, bandwidth int) net.Listener {
	if rtt <= 0 && bandwidth <= 0 {
		return l
	}
	return pacedListener{l, rtt, bandwidth}
}

type pacedListener struct {
	net.Listener
	rtt       time.Duration
	bandwidth int
}

func (l pacedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	time.Sleep(l.rtt / 2)
	return &pacedConn{Conn: c, rtt: l.rtt, bandwidth: l.bandwidth}, nil
}

type pacedConn struct {
	net.Conn
	rtt       time.Duration
	bandwidth int
	turn      bool // the peer spoke last: the next write begins after half a round trip
}

func (c *pacedConn) Read(b []byte) (int, error) {
	if c.bandwidth > 0 && len(b) > 1400 {
		b = b[:1400]
	}
	n, err := c.Conn.Read(b)
	c.wait(n)
	if !c.turn {
		time.Sleep(c.rtt / 2)
	}
	c.turn = true
	return n, err
}

func (c *pacedConn) Write(b []byte) (n int, err error) {
	if c.turn {
		time.Sleep(c.rtt / 2)
		c.turn = false
	}
	for len(b) > 0 {
		part := b[:min(len(b), 1400)]
		c.wait(len(part))
		m, err := c.Conn.Write(part)
		n += m
		if err != nil {
			return n, err
		}
		b = b[m:]
	}
	return n, nil
}

func (c *pacedConn) wait(n int) {
	if c.bandwidth > 0 {
		time.Sleep(time.Duration(n) * 8 * time.Second / time.Duration(c.bandwidth))
	}
}
