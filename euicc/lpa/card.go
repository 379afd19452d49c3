package lpa

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/ci"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
)

// DefaultAIDs are the ISD-R application identifiers that are tried in turn: the
// one of GSMA (SGP.02 2.2.3), then those of removable eUICCs in the field.
var DefaultAIDs = [][]byte{
	aid("A0000005591010FFFFFFFF8900000100"), // GSMA
	aid("A0000005591010FFFFFFFF8900050500"), // 5ber
	aid("A0000005591010000000008900000300"), // eSIM.me
	aid("A0000005591010FFFFFFFF8900000177"), // XeSIM
	aid("A06573746B6D65FFFF4953442D522030"), // eSTK.me, first secure element
}

func aid(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a constant above is wrong
	}
	return b
}

// cleanupCard and cleanupServer bound what is done after a failure or a
// cancelled context to leave card and order in order.
const (
	cleanupCard   = 60 * time.Second
	cleanupServer = 20 * time.Second
)

// Memory is what stays as it is of a card from one opening to the next: the same
// one in several Configs, one after the other, saves commands. The zero value
// knows nothing.
type Memory struct {
	aid   []byte
	eid   euicc.EID
	info1 *es10.EUICCInfo1
	small bool // a command of 255 bytes got no answer, and nothing did after it
}

// Config says how to reach a card and whom to trust. Only Transport is needed.
type Config struct {
	Transport apdu.Transport
	// AIDs of the ISD-R, tried in turn. Nil means DefaultAIDs.
	AIDs [][]byte
	// TryNext decides whether the next AID is worth a try after the transport
	// failed to open one. Nil means: unless the context ended or the transport
	// timed out. A transport whose errors have NotEUICC() and Blocked() decides
	// by them.
	TryNext func(error) bool
	// BlockSize is how many bytes a STORE DATA carries. 0 means that it is not
	// known, unless KnownBlockSize knows it by the card: then the first list of
	// profiles, or the first Authenticate, tries out 255 by a read, and falls
	// back to 120. See Card.BlockSize.
	BlockSize      int
	KnownBlockSize func(euicc.EID) int
	// Memory, if not nil, is used and filled.
	Memory *Memory
	// IMEI and Capabilities describe the device to the server. An IMEI that is
	// none is left out.
	IMEI         string
	Capabilities es10.Capabilities
	// CISet is the world of servers to trust, "" means live. ExtraCI are
	// trusted in addition.
	CISet   ci.Set
	ExtraCI []ci.Root
	// Sequential waits for the whole of a profile package before the card sees
	// its first segment, for a line that bears only one at a time.
	Sequential bool
	// HTTP tunes the connections to servers. Roots may stay nil: they are chosen
	// by the card's issuers. If not nil they replace that choice.
	HTTP es9p.Config
	// Begin, if not nil, is called by Authenticate and Discover when the server has
	// named the session and before the card opens it. Who notes the two values then
	// can cancel the session after a crash at any later moment, with CancelSession.
	// The server is "" for a discovery server, which knows no cancellation. Its
	// error ends Authenticate and Discover with nothing to undo.
	Begin func(server string, id euicc.TransactionID) error
	// Cancelled, if not nil, is called when the card has ended a session of which
	// the server does not know yet, before it is told, and again with Delivered
	// set when it knows. Who keeps what is not delivered can have it delivered
	// after a crash, or when the network is back, by DeliverCancellation.
	Cancelled func(Cancellation)
	// Log may be nil.
	Log *slog.Logger
}

// Card is an open logical channel to the ISD-R of an eUICC. A Card serves one
// caller at a time; an Order uses its Card.
type Card struct {
	cfg    Config
	log    *slog.Logger
	ch     *apdu.Channel
	aid    []byte
	eid    euicc.EID
	opens  int
	device es10.DeviceInfo

	buffers  int  // Stats.Buffers
	sized    bool // the block size is known
	profiles []euicc.Profile
	listed   bool // profiles are those on the card

	info1  *es10.EUICCInfo1
	info2  *es10.EUICCInfo2 // as Info last read it, nil before
	client *es9p.Client
}

// Open finds the ISD-R and reads the EID. A card that has none is an error with
// the code "not-euicc".
func Open(ctx context.Context, cfg Config) (*Card, error) {
	c := &Card{cfg: cfg, log: cfg.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if cfg.HTTP.Log == nil {
		c.cfg.HTTP.Log = c.log
	}
	var err error
	if c.device, err = es10.NewDeviceInfo(cfg.IMEI, cfg.Capabilities); err != nil {
		c.log.Warn("device has no usable IMEI, servers will not see one", "err", err)
		c.device = es10.DeviceInfo{Capabilities: cfg.Capabilities}
	}
	aids := cfg.AIDs
	if aids == nil {
		aids = DefaultAIDs
	}
	if m := cfg.Memory; m != nil && m.aid != nil {
		others := slices.DeleteFunc(slices.Clone(aids), func(a []byte) bool { return bytes.Equal(a, m.aid) })
		if len(others) < len(aids) {
			aids = append([][]byte{m.aid}, others...)
		}
	}
	next := cfg.TryNext
	if next == nil {
		next = tryNext
	}
	var first error
	for _, a := range aids {
		err := c.open(ctx, a)
		if err == nil {
			c.log.Debug("ISD-R is open", "eid", c.eid, "aid", hex.EncodeToString(a))
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, diagnose(ctx, euicc.StageOpen, err)
		}
		if !next(err) {
			return nil, blocked(diagnose(ctx, euicc.StageOpen, err), err)
		}
		if first == nil {
			first = err
		}
	}
	e := diagnose(ctx, euicc.StageOpen, first)
	switch e.SW {
	case 0x6A81, 0x6881: // all channels are taken: it may well be an eUICC
	default:
		e.Code, e.Text, e.Retry = "not-euicc", "the card has no ISD-R that can be opened", euicc.RetryNever
		e.Advice = "it is an ordinary SIM, or the modem's firmware hides the eUICC: try the other slot or another port"
	}
	return nil, blocked(e, first)
}

// blocked is e with the transport's verdict, if it has one: that the firmware,
// and not the card, is why there is no ISD-R.
func blocked(e *euicc.Error, err error) *euicc.Error {
	var t interface {
		Verdict() string
		Hint() string
	}
	if !errors.As(err, &t) || t.Verdict() == "" {
		return e
	}
	e.Code, e.Text, e.Retry = "esim-blocked", t.Verdict(), euicc.RetryNever
	e.Advice = cmp.Or(t.Hint(), "another firmware of this modem, another port or another modem may let the eUICC be opened")
	return e
}

// open opens one AID. That it can be selected is not enough: an ISD-R gives its
// EID.
func (c *Card) open(ctx context.Context, a []byte) error {
	c.opens++
	ch, err := apdu.Open(ctx, c.cfg.Transport, a, apdu.Options{BlockSize: cmp.Or(c.cfg.BlockSize, apdu.SmallBlockSize)})
	if err != nil {
		return err
	}
	r, err := es10.GetEID{}.Execute(ctx, ch)
	if err != nil {
		if cerr := ch.Close(); cerr != nil {
			c.log.Debug("cannot close channel", "err", cerr)
		}
		return err
	}
	c.ch, c.aid, c.eid, c.sized = ch, a, r.EID, c.cfg.BlockSize != 0
	if m := c.cfg.Memory; m != nil {
		if m.eid != c.eid {
			*m = Memory{eid: c.eid}
		}
		m.aid, c.info1 = a, m.info1
	}
	if c.cfg.KnownBlockSize != nil && !c.sized {
		// What was kept from an earlier time may be damaged.
		n := c.cfg.KnownBlockSize(r.EID)
		c.sized = n != 0 && ch.SetBlockSize(n) == nil
	}
	return nil
}

func tryNext(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	// A transport that can tell says whether the card, or only the modem for
	// this application, refused; otherwise the next AID would end the same way.
	var t interface {
		NotEUICC() bool
		Blocked() bool
	}
	if errors.As(err, &t) {
		return t.NotEUICC() || t.Blocked()
	}
	var slow interface{ Timeout() bool }
	return !errors.As(err, &slow) || !slow.Timeout()
}

// Close closes the logical channel and idle connections to servers.
func (c *Card) Close() error {
	if c.client != nil {
		c.client.Close()
	}
	if err := c.ch.Close(); err != nil {
		return diagnose(context.Background(), euicc.StageOpen, err)
	}
	return nil
}

// EID returns the card's identity.
func (c *Card) EID() euicc.EID { return c.eid }

// AID returns the ISD-R's application identifier that was opened.
func (c *Card) AID() []byte { return c.aid }

// ProactivePending reports whether the card's last answer said that a proactive
// command waits, as after an Enable with refresh.
func (c *Card) ProactivePending() bool { return c.ch.ProactivePending() }

// Stats count what card and servers were asked.
type Stats struct {
	APDUs        int   // through the open channel
	APDUSent     int64 // bytes
	APDUReceived int64 // bytes
	Opens        int   // attempts to open an AID
	HTTP         es9p.Stats
	// Buffers is how many bytes the last download's decoder and read-ahead took,
	// at most about 160 KiB unless Config.Sequential is set. HTTP and TLS are not
	// in it.
	Buffers int
}

// BlockSize returns how many bytes a STORE DATA carries, as far as it was found
// out or turned out since, for Config of a next time; 0 when it is not known.
func (c *Card) BlockSize() int {
	if !c.sized {
		return 0
	}
	return c.ch.BlockSize()
}

// Stats returns what was done so far.
func (c *Card) Stats() Stats {
	a := c.ch.Stats()
	s := Stats{APDUs: a.Commands, APDUSent: a.Sent, APDUReceived: a.Received, Opens: c.opens, Buffers: c.buffers}
	if c.client != nil {
		s.HTTP = c.client.Stats()
	}
	return s
}

// Info is what the card says about itself.
type Info struct {
	EID   euicc.EID
	Info1 *es10.EUICCInfo1
	Info2 *es10.EUICCInfo2
	// DefaultSMDP and RootSMDS are the servers configured on the card, as it
	// holds them.
	DefaultSMDP, RootSMDS string
	FurtherSMDS           []string // further discovery servers of a v3 card
	// Issuers are the certificate issuers that are trusted with this card; empty
	// when there are none, see ci.NoRootError.
	Issuers []ci.Root
}

// Info reads the card's information. EUICCInfo2, with the free memory, is read
// anew each time.
func (c *Card) Info(ctx context.Context) (*Info, error) {
	info1, err := c.readInfo1(ctx)
	if err != nil {
		return nil, err
	}
	info2, err := c.Info2(ctx)
	if err != nil {
		return nil, err
	}
	addresses, err := es10.GetEuiccConfiguredAddresses{}.Execute(ctx, c.ch)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageInfo, err)
	}
	issuers, _ := c.issuers(info1)
	return &Info{c.eid, info1, info2, addresses.DefaultSMDP, addresses.RootSMDS, addresses.FurtherSMDS, issuers}, nil
}

// Info2 reads EUICCInfo2 anew: of it, the free memory changes.
func (c *Card) Info2(ctx context.Context) (*es10.EUICCInfo2, error) {
	r, err := es10.GetEUICCInfo2{}.Execute(ctx, c.ch)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageInfo, err)
	}
	c.info2 = r
	c.device.Extended = r.RSPCapability&es10.DeviceInfoExtensibility != 0
	return r, nil
}

func (c *Card) readInfo1(ctx context.Context) (*es10.EUICCInfo1, error) {
	if c.info1 == nil {
		r, err := es10.GetEUICCInfo1{}.Execute(ctx, c.ch)
		if err != nil {
			return nil, diagnose(ctx, euicc.StageInfo, err)
		}
		c.info1 = r
		if c.cfg.Memory != nil {
			c.cfg.Memory.info1 = r
		}
	}
	return c.info1, nil
}

func (c *Card) issuers(info1 *es10.EUICCInfo1) ([]ci.Root, error) {
	return ci.Select(c.cfg.CISet, info1.VerificationCIs, c.cfg.ExtraCI...)
}

// Issuers returns the key identifiers of the certificate issuers by which the
// card verifies servers. They never change; NewClient needs them where the card is
// not at hand.
func (c *Card) Issuers(ctx context.Context) ([][]byte, error) {
	info1, err := c.readInfo1(ctx)
	if err != nil {
		return nil, err
	}
	return info1.VerificationCIs, nil
}

// Client returns the client for this card's servers. It stays usable when the
// card is closed.
func (c *Card) Client(ctx context.Context) (*es9p.Client, error) {
	if c.client != nil {
		return c.client, nil
	}
	var issuers [][]byte
	if c.cfg.HTTP.Roots == nil {
		var err error
		if issuers, err = c.Issuers(ctx); err != nil {
			return nil, err
		}
	}
	client, err := NewClient(ctx, c.cfg, issuers)
	if err != nil {
		return nil, err
	}
	c.client = client
	return client, nil
}

// NewClient returns a client for the servers of a card that is not at hand, with
// what Card.Issuers gave when it was. Of cfg it uses CISet, ExtraCI and HTTP. The
// caller closes it.
func NewClient(ctx context.Context, cfg Config, issuers [][]byte) (*es9p.Client, error) {
	http := cfg.HTTP
	if http.Roots == nil {
		roots, err := ci.Select(cfg.CISet, issuers, cfg.ExtraCI...)
		if err != nil {
			return nil, diagnose(ctx, euicc.StageInfo, err)
		}
		http.Roots = ci.Pool(roots)
	}
	client, err := es9p.NewClient(http)
	if err != nil {
		return nil, diagnose(ctx, euicc.StageInfo, err)
	}
	return client, nil
}
