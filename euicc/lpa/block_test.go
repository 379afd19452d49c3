package lpa

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// spy is the way to a card: it notes the functions that the ISD-R is asked for
// and can fail.
type spy struct {
	apdu.Transport
	asked  []string // function tags of STORE DATA chains, with the first block's length
	max    int      // longest APDU that passes; 0: all
	later  bool     // first blocks pass
	fail   error    // what longer ones end with
	strict bool     // the card does not know what to make of a filled list of tags
}

func (s *spy) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	if cmd[1] == 0xE2 && cmd[3] == 0 {
		tag, _, _, err := bertlv.Header(cmd[5:])
		if err != nil {
			return nil, err
		}
		s.asked = append(s.asked, fmt.Sprintf("%s:%d", tag, cmd[4]))
	}
	if s.max > 0 && len(cmd) > s.max && !(s.later && cmd[3] == 0) {
		return nil, s.fail
	}
	if s.strict && len(cmd) == 260 && cmd[5] == 0xBF && cmd[6] == 0x2D {
		return []byte{0xBF, 0x2D, 3, 0x81, 1, 1, 0x90, 0}, nil
	}
	return s.Transport.Transmit(ctx, session, cmd)
}

// times counts how often a function was asked for.
func (s *spy) times(tag string) (n int) {
	for _, a := range s.asked {
		if strings.HasPrefix(a, tag+":") {
			n++
		}
	}
	return n
}

// modemSaysError is the error of a transport whose modem answered ERROR.
type modemSaysError struct{ error }

func (modemSaysError) Refused() bool { return true }

// The block size is found out by a read, once, or known.
func TestBlockSize(t *testing.T) {
	refusal := modemSaysError{errors.New("ERROR")}
	silence := timeout{errors.New("no answer")}
	for _, tt := range []struct {
		name  string
		card  euiccsim.Config
		spy   spy
		fixed int
		known int // by the card
		want  int
		lists string // GetProfilesInfo in the whole run
	}{
		{name: "all passes", want: 255, lists: "BF2D:255"},
		{name: "card takes 120", card: euiccsim.Config{MaxLc: 120}, want: 120, lists: "BF2D:255 BF2D:120"},
		{name: "modem says ERROR", spy: spy{max: 125, fail: refusal}, want: 120, lists: "BF2D:255 BF2D:16"},
		{name: "modem falls silent", spy: spy{max: 125, fail: silence}, want: 120, lists: "BF2D:255 BF2D:16"},
		{name: "card is puzzled by the tags", spy: spy{strict: true}, want: 255, lists: "BF2D:255 BF2D:16"},
		{name: "configured", fixed: 60, want: 60},
		{name: "learned", known: 255, want: 255},
		{name: "learned, damaged", known: 256, want: 255, lists: "BF2D:255"},
		{name: "learned with another card in the modem", card: euiccsim.Config{MaxLc: 120}, known: 255, want: 120},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, func(c *euiccsim.Config) { c.MaxLc = tt.card.MaxLc })
			tt.spy.Transport = l.card
			l.cfg.Transport, l.cfg.BlockSize = &tt.spy, tt.fixed
			l.cfg.KnownBlockSize = func(e euicc.EID) int {
				if e.String() != testEID {
					t.Errorf("EID %s", e)
				}
				return tt.known
			}
			code := l.order(smdpsim.Order{})
			c := l.open()
			if n := c.BlockSize(); (n == 0) != (tt.lists != "") {
				t.Errorf("before anything is known it is %d", n)
			}
			o, err := c.Authenticate(t.Context(), code)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := o.Download(t.Context(), "", nil); err != nil || !r.Success {
				t.Fatal(err)
			}
			if n := c.BlockSize(); n != tt.want {
				t.Errorf("%d, want %d", n, tt.want)
			}
			var lists []string
			for _, a := range tt.spy.asked {
				if strings.HasPrefix(a, "BF2D") {
					lists = append(lists, a)
				}
			}
			if got := strings.Join(lists, " "); got != tt.lists {
				t.Errorf("lists of profiles: %q, want %q", got, tt.lists)
			}
		})
	}
}

// A card whose lists cannot be had tells no block size.
func TestBlockSizeStaysUnknown(t *testing.T) {
	l := newLab(t)
	s := &spy{Transport: l.card}
	l.cfg.Transport = s
	c := l.open()
	s.max, s.fail = 10, errors.New("gone")
	if _, err := c.Authenticate(t.Context(), l.order(smdpsim.Order{})); euicc.CodeOf(err) != "card-transport" || c.BlockSize() != 0 {
		t.Errorf("%v, block size %d", err, c.BlockSize())
	}
}

// hung is a modem that never answers a long line, and nothing after it.
type hung struct {
	*spy
	stuck bool
}

func (h *hung) Transmit(ctx context.Context, session string, cmd []byte) ([]byte, error) {
	if h.stuck = h.stuck || len(cmd) > 125; h.stuck {
		h.asked = append(h.asked, fmt.Sprint(len(cmd)))
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.spy.Transmit(ctx, session, cmd)
}

// It is given half a minute, and the long line is not tried again when it is back.
func TestModemHangsWithLongLine(t *testing.T) {
	l := newLab(t)
	synctest.Test(t, func(t *testing.T) {
		h := &hung{spy: &spy{Transport: l.card}}
		l.cfg.Transport, l.cfg.Memory = h, new(Memory)
		c := must(Open(t.Context(), l.cfg))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := c.Profiles(ctx); euicc.CodeOf(err) != "timeout" || c.BlockSize() != 0 || !slices.Equal(h.asked[1:], []string{"260", "21"}) {
			t.Errorf("after %v: %v, block size %d, asked %v", time.Since(start), err, c.BlockSize(), h.asked)
		}
		h.stuck, h.asked = false, nil // the modem was restarted
		c = must(Open(t.Context(), l.cfg))
		if _, err := c.Profiles(t.Context()); err != nil || c.BlockSize() != 120 || h.times("BF2D") != 1 {
			t.Errorf("%v, block size %d, asked %v", err, c.BlockSize(), h.asked)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A block in the middle that is refused ends the session; the next one is in
// small blocks from the start.
func TestLaterBlockRefused(t *testing.T) {
	l := newLab(t)
	l.cfg.KnownBlockSize = func(euicc.EID) int { return 255 }
	code := l.order(smdpsim.Order{})
	c := l.open()
	o, err := c.Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	armed := false
	_, err = o.Download(t.Context(), "", func(p Progress) {
		if p.Stage == euicc.StageLoadBPP && p.Bytes > 2000 && !armed {
			// The second block of a segment.
			armed = true
			l.card.SetFault(euiccsim.Fault{Kind: euiccsim.FaultStatus, SW: 0x6700, At: 2})
		}
	})
	e, ok := errors.AsType[*euicc.Error](err)
	if !ok || e.Code != "sw-6700" || e.SW != 0x6700 || e.Retry != euicc.RetryNow || c.BlockSize() != 120 {
		t.Fatalf("%+v, blocks of %d", e, c.BlockSize())
	}
	if x := o.Cancellation(); x == nil || x.Reason != euicc.CancelLoadBPPError {
		t.Errorf("%+v", x)
	}
}

// A modem that lets a first block pass and no further one: nothing came of it on
// the card, so that the order lives on, and the next session is in small blocks.
func TestLaterBlockRefusedByModem(t *testing.T) {
	l := newLab(t)
	s := &spy{Transport: l.card}
	l.cfg.Transport = s
	code := l.order(smdpsim.Order{})
	c := l.open()
	if _, err := c.Profiles(t.Context()); err != nil || c.BlockSize() != 255 {
		t.Fatal(err)
	}
	s.max, s.later, s.fail = 125, true, modemSaysError{errors.New("ERROR")}
	if _, err := c.Authenticate(t.Context(), code); euicc.CodeOf(err) != "card-transport" || euicc.RetryOf(err) != euicc.RetryNow || c.BlockSize() != 120 {
		t.Fatalf("%v, blocks of %d", err, c.BlockSize())
	}
	o, err := c.Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := o.Download(t.Context(), "", nil); err != nil || !r.Success {
		t.Error(err)
	}
}

// Nothing is read twice: not by a run that begins with what preflight wants to
// know, and not by one after it.
func TestNothingReadTwice(t *testing.T) {
	l := newLab(t)
	s := &spy{Transport: l.card}
	l.cfg.Transport = s
	code := l.order(smdpsim.Order{})
	ctx := t.Context()
	c := l.open()
	if _, err := c.Info(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 { // preflight, and the check for the offered ICCID
		if ps, err := c.Profiles(ctx); err != nil || len(ps) != 0 {
			t.Fatal(ps, err)
		}
	}
	o, err := c.Authenticate(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.Download(ctx, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := euicc.ParsePendingNotification(r.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Deliver(ctx, &p); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, a := range s.asked {
		tag, _, _ := strings.Cut(a, ":")
		count[tag]++
	}
	once := []string{"A0", "A1", "A3", "BF20", "BF21", "BF22", "BF2D", "BF2E", "BF36", "BF38", "BF3C", "BF3E"}
	for _, tag := range once {
		if count[tag] != 1 {
			t.Errorf("%s: %d times", tag, count[tag])
		}
	}
	for _, tag := range []string{"86", "87", "88", "A2"} { // segments
		delete(count, tag)
	}
	if got := slices.Sorted(maps.Keys(count)); !slices.Equal(got, once) {
		t.Errorf("asked for %v", got)
	}
	// What has changed is read again.
	if err := c.Enable(ctx, o.Metadata.ICCID, false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if ps, err := c.Profiles(ctx); err != nil || len(ps) != 1 || ps[0].State != euicc.Enabled {
			t.Fatal(ps, err)
		}
	}
	if n := s.times("BF2D"); n != 2 {
		t.Errorf("profiles are listed %d times", n)
	}
}

// What cannot change is asked once for several openings, and of another card anew.
func TestMemory(t *testing.T) {
	l := newLab(t)
	s := &spy{Transport: l.card}
	odd := append([][]byte{{0xA0, 0, 0, 0, 1}}, DefaultAIDs...)
	l.cfg.Transport, l.cfg.AIDs, l.cfg.Memory = s, odd, new(Memory)
	for n := range 3 {
		c := l.open()
		if _, err := c.Client(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := 1 + max(0, 1-n); c.Stats().Opens != want {
			t.Errorf("opening %d: %d tries, want %d", n, c.Stats().Opens, want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s.times("BF20") != 1 || s.times("BF3E") != 3 {
		t.Errorf("asked for %v", s.asked)
	}
	l.cfg.Memory.eid = euicc.EID{} // as if another card had been in the modem
	if _, err := l.open().Client(t.Context()); err != nil || s.times("BF20") != 2 {
		t.Errorf("%v, asked for %v", err, s.asked)
	}
}
