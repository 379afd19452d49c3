package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"golang.org/x/sys/unix"
)

// Config says how to ask. Its zero values but Interface are sane.
type Config struct {
	Interface string

	// Timeout is how long the first request waits for its answer; each further one waits twice as long as the one
	// before. 2 s if 0.
	Timeout time.Duration
	// Tries is how often a request is sent; 4 if 0: 30 s in all.
	Tries int

	Log *slog.Logger
}

// Client asks on one interface, which must be up. It opens sockets only while it asks, in the network namespace of the
// calling thread.
type Client struct {
	cfg Config
	log *slog.Logger
}

var _ extender = (*Client)(nil)

// New makes a client.
func New(cfg Config) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.Tries <= 0 {
		cfg.Tries = 4
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, log: cfg.Log.With("interface", cfg.Interface)}
}

// Acquire gets a lease on an interface with the default Config.
func Acquire(ctx context.Context, ifname string) (Lease, error) {
	return New(Config{Interface: ifname}).Acquire(ctx)
}

// requested are the options that a Lease reads, beyond those that the library asks for.
var requested = dhcpv4.WithRequestedOptions(dhcpv4.OptionInterfaceMTU, dhcpv4.OptionClasslessStaticRoute,
	dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue)

// Acquire gets a lease: DISCOVER, OFFER, REQUEST, ACK.
func (c *Client) Acquire(ctx context.Context) (Lease, error) {
	nc, err := c.open(nil, nil)
	if err != nil {
		return Lease{}, c.fail("acquire", err)
	}
	defer nc.Close()
	offer, err := nc.DiscoverOffer(ctx, requested)
	if err != nil {
		return Lease{}, c.fail("discover", err)
	}
	began := time.Now() // RFC 2131 4.4.1: a lease counts from when it was requested
	got, err := nc.RequestFromOffer(ctx, offer, requested)
	if err != nil {
		return Lease{}, c.fail("request", err)
	}
	l, err := newLease(got.ACK, began)
	if err != nil {
		return Lease{}, c.fail("request", err)
	}
	c.log.Debug("dhcp lease", "lease", l, "server", l.Server)
	return l, nil
}

// Renew asks the server that granted the lease for more time, from the leased address, which must be configured.
func (c *Client) Renew(ctx context.Context, l Lease) (Lease, error) {
	nc, err := c.open(l.Addr.Addr().AsSlice(), l.Server.AsSlice())
	if err != nil {
		return Lease{}, c.fail("renew", err)
	}
	defer nc.Close()
	return c.extend(ctx, "renew", nc, l, nclient4.IsAll(
		nclient4.IsMessageType(dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak),
		nclient4.IsCorrectServer(l.Server.AsSlice())))
}

// Rebind asks any server for more time.
func (c *Client) Rebind(ctx context.Context, l Lease) (Lease, error) {
	nc, err := c.open(nil, nil)
	if err != nil {
		return Lease{}, c.fail("rebind", err)
	}
	defer nc.Close()
	return c.extend(ctx, "rebind", nc, l, nclient4.IsMessageType(dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak))
}

func (c *Client) extend(ctx context.Context, what string, nc *nclient4.Client, l Lease, match nclient4.Matcher) (Lease, error) {
	req, err := dhcpv4.NewRenewFromAck(l.ack, requested, dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(nclient4.MaxMessageSize)))
	if err != nil {
		return Lease{}, c.fail(what, err)
	}
	began := time.Now()
	ans, err := nc.SendAndRead(ctx, nc.RemoteAddr(), req, match)
	if err == nil && ans.MessageType() == dhcpv4.MessageTypeNak {
		err = &nclient4.ErrNak{Nak: ans}
	}
	if err != nil {
		return Lease{}, c.fail(what, err)
	}
	// Some servers leave out of a renewal what the first answer said already.
	for code, v := range l.ack.Options {
		if !ans.Options.Has(dhcpv4.GenericOptionCode(code)) && !isTimer(code) {
			ans.Options[code] = v
		}
	}
	next, err := newLease(ans, began)
	if err != nil {
		return Lease{}, c.fail(what, err)
	}
	return next, nil
}

func isTimer(code uint8) bool {
	return code == dhcpv4.OptionIPAddressLeaseTime.Code() || code == dhcpv4.OptionRenewTimeValue.Code() ||
		code == dhcpv4.OptionRebindingTimeValue.Code()
}

// Keep renews a lease for as long as ctx lasts and then returns nil; it does not release. From T1 on it asks the server
// that granted the lease, from T2 on any server. changed is called with each new lease that needs a change of the link.
// It ends with ErrRefused or ErrExpired when the address must not be used any longer.
func (c *Client) Keep(ctx context.Context, l Lease, changed func(Lease)) error {
	return keep(ctx, c, l, changed, c.log)
}

// Release gives the lease back. The address must still be configured. Nobody answers a release.
func (c *Client) Release(ctx context.Context, l Lease) error {
	if err := ctx.Err(); err != nil {
		return c.fail("release", err)
	}
	nc, err := c.open(l.Addr.Addr().AsSlice(), l.Server.AsSlice())
	if err != nil {
		return c.fail("release", err)
	}
	defer nc.Close()
	if err := nc.Release(&nclient4.Lease{ACK: l.ack}); err != nil {
		return c.fail("release", err)
	}
	return nil
}

// open makes a client of the library: on a packet socket that broadcasts, or from our address to the server.
func (c *Client) open(from, server net.IP) (*nclient4.Client, error) {
	ifi, err := net.InterfaceByName(c.cfg.Interface)
	switch {
	case err != nil:
		return nil, err
	case len(ifi.HardwareAddr) != 6:
		return nil, ErrNotEthernet
	case ifi.Flags&net.FlagUp == 0:
		return nil, unix.ENETDOWN
	}
	opts := []nclient4.ClientOpt{
		nclient4.WithHWAddr(ifi.HardwareAddr),
		nclient4.WithTimeout(c.cfg.Timeout),
		nclient4.WithRetry(c.cfg.Tries),
	}
	if server == nil {
		return nclient4.New(c.cfg.Interface, opts...)
	}
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var serr error
		err := rc.Control(func(fd uintptr) {
			serr = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.BindToDevice(int(fd), c.cfg.Interface))
		})
		return errors.Join(err, serr)
	}}
	addr := &net.UDPAddr{IP: from, Port: nclient4.ClientPort}
	pc, err := lc.ListenPacket(context.Background(), "udp4", addr.String())
	if err != nil {
		return nil, err
	}
	opts = append(opts, nclient4.WithServerAddr(&net.UDPAddr{IP: server, Port: nclient4.ServerPort}))
	return nclient4.NewWithConn(pc, ifi.HardwareAddr, opts...)
}

// fail turns the library's errors into ours: what was done, on which interface, and why not.
func (c *Client) fail(what string, err error) error {
	var nak *nclient4.ErrNak
	switch {
	case errors.Is(err, nclient4.ErrNoResponse):
		total := c.cfg.Timeout * (1<<c.cfg.Tries - 1)
		err = fmt.Errorf("%w %d requests in %s", ErrNoAnswer, c.cfg.Tries, total)
	case errors.As(err, &nak):
		msg := nak.Nak.Message()
		if err = ErrRefused; msg != "" {
			err = fmt.Errorf("%w: %.64q", ErrRefused, msg)
		}
	}
	return fmt.Errorf("dhcp %s on %s: %w", what, c.cfg.Interface, err)
}
