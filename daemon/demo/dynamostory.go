//go:build linux && !nodemo

package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/dynamo"
	"dynamod/daemon/dynamo/dynamosim"
	"dynamod/daemon/dynamo/moapi"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
	"dynamod/euicc/smdpsim"
)

// The story of a plan: it is bought in the operator's portal, used up, and topped up
// in the portal, which is all that the line reaches then. A scripted client stands in
// the browser's place, on the router: what it sends goes through the modem alone.

const dynamoAbout = "a plan is bought in the operator's portal; its data is used up, and the portal, which is all that the line reaches then, tops it up"

const (
	phoneNumber   = "+4915112345678"
	directoryPort = 9443
	servicePort   = 7777 // of a server that takes all
)

// Purchase is the last word of that story.
type Purchase struct {
	Story    string       `json:"story"`
	State    status.State `json:"state"`
	Operator string       `json:"operator"`
	Plan     string       `json:"plan"`
	ICCID    string       `json:"iccid"`    // of the profile that was bought
	Balances []float64    `json:"balances"` // in MB: bought, used up, topped up
	Calls    int64        `json:"calls"`    // data calls from the purchase's end to the story's: a top-up needs none
	Kernel   string       `json:"kernel"`   // real or simulated
}

func (s Story) dynamo(ctx context.Context) error {
	earlier, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: earlierICCID, IMSI: "001010000009999", MNCDigits: 2, SPN: Operator})
	if err != nil {
		return err
	}
	return s.open(ctx, netlab.Options{SingleUplink: true}, Options{Earlier: earlier}, func(st *stage) error {
		d := &dealer{teller: &teller{stage: st, begun: time.Now()}, end: Purchase{Story: s.Name, Kernel: st.kernel, Operator: Operator}}
		end, err := d.serve()
		defer end()
		if err != nil {
			return err
		}
		d.say("the box    a router with a %s modem and no other way in; profile %s carries its link", s.Dialect, earlierICCID)
		d.say("the shop   %s at %s, an API behind a directory service, and %s", PortalURL, netlab.PortalAddr, SMDP)
		d.say("the story  %s", dynamoAbout)
		if err := d.daemon(ctx, func(c *hook.Client) error { return d.tell(ctx, c) }); err != nil {
			return err
		}
		return d.conclude()
	})
}

// dealer is the teller of that story.
type dealer struct {
	*teller
	operator *dynamosim.Operator
	shopper  shopper
	end      Purchase
}

// serve opens the portal, the directory service and a server to use data up with, in
// the lab's internet. end closes what was opened.
func (d *dealer) serve() (end func(), err error) {
	var servers []io.Closer
	end = func() {
		for _, s := range servers {
			s.Close()
		}
	}
	d.operator = d.w.Seller(time.Now)
	pair, ca, err := selfSigned(PortalHost, netlab.PortalAddr.String())
	if err != nil {
		return end, err
	}
	token := rand.Text()
	record := labPortal()
	record.MOAPI.BaseURL = "https://" + PortalHost + "/v1"
	api := moapi.New(record.MOAPI, inProcess{d.operator.API()}, dynamo.NewTransactionID, time.Now)
	for port, h := range map[uint16]http.Handler{443: d.operator.Portal(), directoryPort: directoryOf(&record, api, token, d.log).Handler()} {
		ln, err := d.n.ListenInternet("tcp", netip.AddrPortFrom(netlab.PortalAddr, port).String())
		if err != nil {
			return end, err
		}
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
		servers = append(servers, srv)
		go srv.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	}
	ln, err := d.n.ListenInternet("tcp", netip.AddrPortFrom(netlab.SMDPAddr, servicePort).String())
	if err != nil {
		return end, err
	}
	servers = append(servers, ln)
	go takeAll(ln)
	d.shopper.browser = &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // a certificate of the lab's own
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return d.n.Dial(ctx, network, net.JoinHostPort(netlab.PortalAddr.String(), port))
		},
	}
	d.cfg.Reach.Interval = time.Second // nobody wants to wait for the next look at the internet, of which a router has few
	c := &d.cfg.Dynamo
	c.Directory, c.TokenFile, c.CA = fmt.Sprintf("https://%s:%d", netlab.PortalAddr, directoryPort), filepath.Join(d.dir, "directory.token"), filepath.Join(d.dir, "directory.pem")
	// The record is the router's own too: where it may go without credit is not for a
	// service to say that it cannot reach then.
	return end, errors.Join(os.WriteFile(c.TokenFile, []byte(token+"\n"), 0o600), os.WriteFile(c.CA, ca, 0o644), WritePortal(d.dir))
}

// takeAll takes what anybody sends, and says nothing, until ln is closed.
func takeAll(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(io.Discard, c)
		}()
	}
}

func (d *dealer) tell(ctx context.Context, c *hook.Client) error {
	if err := d.follow(ctx, c, linkUp); err != nil {
		return err
	}
	var found hook.Operators
	if err := c.Do(ctx, http.MethodGet, "/v1/dynamo/operators?msisdn="+url.QueryEscape(phoneNumber), nil, nil, &found); err != nil {
		return err
	}
	if len(found.Operators) != 1 {
		return errors.New("nobody is known whose the phone number is")
	}
	seller := found.Operators[0]
	d.did("1 the user's number %s is network %s's, by its %s: %s", phoneNumber, found.Network, found.How, seller.Brand)
	d.did("2 its record: the portal %s, which may answer", seller.Portal)
	a, err := d.buy(ctx, c, "3 ", seller.ID, "new")
	if err != nil {
		return err
	}
	d.did("5 the activation code comes back, bound to this card, and is on the disk before anything is done")
	d.did("6 the profile is downloaded, installed and enabled")
	d.id = a.Run
	if err := d.follow(ctx, c, ended); err != nil {
		return err
	}
	iccid := d.now.Run.ICCID
	d.end.ICCID, d.end.Plan = iccid, d.now.Visit.Plan
	if d.now.SIM == nil || d.now.SIM.ICCID != iccid {
		return fmt.Errorf("the activation ended as %s", d.now.Run.Outcome)
	}
	d.did("7 connected, by profile %s", iccid)
	if err := d.balance(ctx, c); err != nil {
		return err
	}

	calls := d.w.Modem.Stats().Activations
	d.did("all but 0.2 MB of it has gone; the network counts the rest")
	d.operator.Use(iccid, d.end.Balances[0]-0.2)
	d.w.Operator.Meter(iccid, d.operator)
	if err := d.use(ctx, 300_000); err != nil {
		return err
	}
	if err := d.reach(ctx, c, status.Limited); err != nil {
		return err
	}
	d.line("limited", d.now.Reason)
	if conn, err := d.n.Dial(ctx, "tcp", netip.AddrPortFrom(netlab.SMDPAddr, servicePort).String()); err == nil {
		conn.Close()
		return errors.New("the internet is reached without credit")
	}
	if err := d.balance(ctx, c); err != nil {
		return err
	}
	if _, err := d.buy(ctx, c, "", seller.ID, "topup"); err != nil {
		return err
	}
	if err := d.reach(ctx, c, status.Up); err != nil {
		return err
	}
	d.line("up", "traffic crosses the line again, in the session that it had")
	if err := d.use(ctx, 1000); err != nil {
		return err
	}
	d.end.State, d.end.Calls = d.now.State, d.w.Modem.Stats().Activations-calls
	return d.balance(ctx, c)
}

// buy opens the portal, takes a ware, and gives the router what comes back.
func (d *dealer) buy(ctx context.Context, c *hook.Client, step, seller, ware string) (a hook.CallbackAnswer, err error) {
	var v hook.PortalVisit
	if err := c.Do(ctx, http.MethodPost, "/v1/dynamo/visits", nil, hook.VisitRequest{Operator: seller, ReturnURL: "https://192.168.8.1:8443/"}, &v); err != nil {
		return a, err
	}
	d.did("%sthe portal is opened, with the card's EID and the transaction %s", step, v.Transaction)
	b, err := d.shopper.buy(v.URL, ware)
	if err != nil {
		return a, err
	}
	switch ware {
	case "new":
		d.did("4 a plan is bought; the portal's own side orders a profile at %s", SMDP)
	case "topup":
		d.did("the line is topped up, over itself")
	}
	r := hook.CallbackRequest{Way: dynamo.WayOpener, Origin: "https://" + PortalHost, Top: true, Envelope: b.envelope}
	return a, c.Do(ctx, http.MethodPost, "/v1/dynamo/callbacks", nil, r, &a)
}

// balance asks for the balance, and shows it.
func (d *dealer) balance(ctx context.Context, c *hook.Client) error {
	var b status.Balance
	if err := c.Do(ctx, http.MethodGet, "/v1/balance", nil, nil, &b); err != nil {
		return err
	}
	mb := 0.0
	if b.DataMB != nil {
		mb = *b.DataMB
	}
	d.end.Balances = append(d.end.Balances, mb)
	d.line("balance", fmt.Sprintf("%.1f MB, by the operator's API behind the directory service", mb))
	return nil
}

// use sends so many bytes over the line, as long as that goes.
func (d *dealer) use(ctx context.Context, bytes int) error {
	conn, err := d.n.Dial(ctx, "tcp", netip.AddrPortFrom(netlab.SMDPAddr, servicePort).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err = conn.Write(make([]byte, bytes)); errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // the wall came in between
	}
	return err
}

// reach waits until the link is in that state.
func (d *dealer) reach(ctx context.Context, c *hook.Client, want status.State) error {
	for {
		if err := c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &d.now); err != nil {
			return err
		}
		if d.now.State == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the link is %s, not %s: %w", d.now.State, want, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *dealer) conclude() error {
	e := d.end
	var bad error
	switch {
	case e.State != status.Up:
		bad = fmt.Errorf("the link is %s", e.State)
	case len(e.Balances) != 3 || e.Balances[0] <= 0 || e.Balances[1] != 0 || e.Balances[2] <= 0:
		bad = fmt.Errorf("the balances are %v", e.Balances)
	case e.Calls != 0:
		bad = fmt.Errorf("the session was dropped: %d data calls", e.Calls)
	}
	if d.JSON {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.Out, "%s\n", b)
	} else if bad == nil {
		d.say("bought, used up and topped up: profile %s, in one session", e.ICCID)
	}
	if bad != nil {
		return &ExitError{Code: 5, Err: bad}
	}
	return nil
}
