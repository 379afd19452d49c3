//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"dynamod/daemon/demo/netlab"
	"dynamod/daemon/demo/walk"
	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// week is a box in the field for some days.
type week struct {
	*crashWorld
	random *rand.Rand
	reaper *reaper
	faults []weekFault
	next   time.Time // fault
	end    time.Time
	only   string        // faults that begin like this
	fixed  time.Duration // how long each lasts, 0 for at random
	count  int           // so many faults and no more, 0 for any number

	seen    []weekRow
	running *weekRow // whose time to link is not known yet
	samples int
	good    int
	sampled time.Time

	issued, received  int // reports, by the card and by the server
	goroutines, later int
	heap, heapLater   uint64
}

// weekRow is one fault that has been.
type weekRow struct {
	fault  weekFault
	line   string
	began  time.Time
	ended  time.Time
	toLink time.Duration
}

// crossing tells whether traffic crosses the link, without asking the daemon.
func (w *week) crossing() bool {
	ctx, done := context.WithTimeout(w.t.Context(), time.Second)
	defer done()
	c, err := w.n.Dial(ctx, "tcp", netip.AddrPortFrom(netlab.ReachAddr, 80).String())
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// sleep lets time pass, and looks every half minute whether traffic crosses.
func (w *week) sleep(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		w.sample()
		time.Sleep(min(30*time.Second, time.Until(until)))
	}
}

func (w *week) sample() {
	if time.Since(w.sampled) < 25*time.Second {
		return
	}
	w.sampled = time.Now()
	w.samples++
	if w.crossing() {
		w.good++
	}
}

// untilNext waits for the next fault: two hours after the beginning of the last one
// on average, but not before the link is back, whose time would not be known else:
// one that is late makes those that follow it none the later.
func (w *week) untilNext() {
	if w.next.IsZero() {
		w.next = time.Now()
	}
	w.next = w.next.Add(time.Duration(w.random.ExpFloat64() * float64(2*time.Hour)))
	w.sleep(time.Until(w.next))
}

// lasts is how long a fault does: a quarter of an hour on average.
func (w *week) lasts() time.Duration {
	if w.fixed > 0 {
		return w.fixed
	}
	return min(5*time.Second+time.Duration(w.random.ExpFloat64()*float64(15*time.Minute)), 2*time.Hour)
}

// live is the life of one daemon: it waits for the link after the last fault, and
// goes on to the next. It returns the fault that ends the daemon, nil at the end.
func (w *week) live(ctx context.Context, c *hook.Client) (*weekFault, error) {
	for {
		if err := w.awaitLink(ctx, c); err != nil {
			return nil, err
		}
		w.tidy(ctx, c)
		w.measure()
		w.untilNext()
		if !time.Now().Before(w.end) || w.count > 0 && len(w.seen) == w.count {
			return nil, errors.Join(w.delivered(ctx, c), w.reported())
		}
		f := w.faults[w.random.IntN(len(w.faults))]
		w.running = &weekRow{fault: f, began: time.Now()}
		if f.daemon != nil {
			return &f, nil
		}
		if err := w.strike(ctx, c, f); err != nil {
			return nil, fmt.Errorf("%s %s: %w", f, w.running.line, err)
		}
		w.running.ended = time.Now()
	}
}

// strike begins a fault and ends it.
func (w *week) strike(ctx context.Context, c *hook.Client, f weekFault) error {
	ctl := func(args ...string) error {
		_, _, err := w.command(ctx, ctlRequest{Args: append([]string{f.part}, args...)})
		return err
	}
	if len(f.lines) > 0 {
		w.running.line = f.lines[w.random.IntN(len(f.lines))]
		if err := ctl(append([]string{"set"}, strings.Fields(w.running.line)...)...); err != nil {
			return err
		}
	}
	if f.begin != nil {
		if err := f.begin(w); err != nil {
			return err
		}
	}
	over := time.Now().Add(w.lasts())
	if f.use != nil {
		w.sleep(time.Second)
		if err := f.use(w, ctx, c); err != nil {
			return err
		}
	}
	if f.end != nil || len(f.lines) > 0 {
		w.sleep(time.Until(over))
	}
	if f.end != nil {
		if err := f.end(w); err != nil {
			return err
		}
	}
	if len(f.lines) > 0 {
		if err := ctl("clear"); err != nil {
			return err
		}
	}
	if f.mend != nil { // who was locked out is plugged in again
		if err := w.unplug(); err != nil {
			return err
		}
		w.sleep(time.Second)
		return w.plugIn()
	}
	return nil
}

// awaitLink waits until traffic crosses the link and the daemon says so.
func (w *week) awaitLink(ctx context.Context, c *hook.Client) error {
	var snap status.Snapshot
	for begin := time.Now(); ; {
		if err := c.Do(ctx, "GET", "/v1/status", nil, nil, &snap); err != nil {
			return err
		}
		if snap.State == status.Up && w.crossing() {
			break
		}
		if time.Since(begin) > 26*time.Hour {
			return fmt.Errorf("%v: no link a day later: %s, %s, run %+v, recovery %+v", w.running, snap.State, snap.Reason, snap.Run, snap.Recovery)
		}
		w.sample()
		time.Sleep(time.Second)
	}
	if w.running != nil {
		w.running.toLink = time.Since(w.running.ended)
		if testing.Verbose() && w.running.toLink > 5*time.Minute {
			w.t.Logf("%s (%s): %v", w.running.fault, w.running.line, w.running.toLink.Round(time.Second))
		}
		w.seen = append(w.seen, *w.running)
		w.running = nil
	}
	w.settle(ctx, c)
	return nil
}

// measure notes goroutines and memory of the whole lab, in the first day and last.
func (w *week) measure() {
	if len(w.seen) == 0 || len(w.seen)%3 != 0 {
		return
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.later, w.heapLater = runtime.NumGoroutine(), m.HeapAlloc
	if w.goroutines == 0 {
		w.goroutines, w.heap = w.later, w.heapLater
	}
}

// TestWeek has a box in the field, in simulated time: one fault every two hours on
// average, each as likely as any other of what the simulators can do wrong and of
// what happens to boxes. It prints its seed; with DYNAMOD_SEED the same
// faults come again. A week in the
// soak, a day in make check; DYNAMOD_FAULT="modem hang" has the faults only that begin like that.
func TestWeek(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("DYNAMOD_SEED"), 10, 64)
	if err != nil {
		if seed = 4; soak() { // of chance in the soak alone: what it finds there does not stop others
			seed = rand.Uint64()
		}
	}
	days := 1
	if soak() {
		days = 7
	}
	t.Logf("seed %d, %d days", seed, days)
	begin := time.Now()
	inCrashWorld(t, crashStory{name: "week"}, func(t *testing.T, world *crashWorld) {
		w := &week{crashWorld: world, random: rand.New(rand.NewPCG(seed, 0)), only: os.Getenv("DYNAMOD_FAULT")}
		if err := w.run(days); err != nil {
			t.Fatalf("after %d faults: %v", len(w.seen), err)
		}
		w.report()
	})
	t.Logf("%v in real time", time.Since(begin).Round(time.Second))
}

func (w *week) run(days int) error {
	second, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: withLuhn("890010100000999998"), IMSI: "001010000000098", MNCDigits: 2, SPN: Operator})
	if err != nil {
		return err
	}
	if err := w.preload(second, euiccsim.Metadata{}); err != nil {
		return err
	}
	if w.faults, err = w.weekFaults(); err != nil {
		return err
	}
	w.faults = slices.DeleteFunc(w.faults, func(f weekFault) bool { return !strings.HasPrefix(f.String(), w.only) })
	w.outside = SMDP // there is nobody outside
	w.end = time.Now().Add(time.Duration(days) * 24 * time.Hour)
	for n := 0; ; n++ {
		w.reaper = w.newReaper(nil, false)
		var f *weekFault
		err := w.daemon(w.reaper, func(ctx context.Context, c *hook.Client) (err error) {
			if f, err = w.live(ctx, c); err == nil && f != nil && f.name != "daemon stopped and started" {
				w.reaper.Kill()
			}
			return err
		})
		if f == nil && err != nil {
			return err
		}
		if f == nil {
			return nil
		}
		if err := f.daemon(w); err != nil {
			return err
		}
		w.running.ended = time.Now()
	}
}

// reported looks for every report of the card's at the server. One that comes while
// nothing is wrong may come once more, when it is not known whether it did before;
// in a fault, which may take the answers, it is tried on and on.
func (w *week) reported() error {
	issued, received := w.Card.Issued(), w.Server.Notifications()
	if len(issued) == 1024 || len(received) == 1024 {
		return errors.New("there were more reports than the simulators remember")
	}
	bad := []error{walk.Reports(issued, received, 0)}
	quiet := map[walk.Report]int{}
	for _, n := range received {
		if slices.ContainsFunc(w.seen, func(r weekRow) bool { return !n.At.Before(r.began) && !n.At.After(r.ended) }) {
			continue
		}
		r := walk.Report{ICCID: n.ICCID, Operation: n.Operation.String(), Seq: n.Seq}
		if quiet[r]++; quiet[r] > 2 {
			bad = append(bad, fmt.Errorf("delivered %d times while nothing was wrong: %v", quiet[r], r))
		}
	}
	w.issued, w.received = len(issued), len(received)
	return errors.Join(bad...)
}

func (w *week) report() {
	type line struct {
		n       int
		longest time.Duration
		sum     time.Duration
		of      string
	}
	classes, order := map[*weekClass]*line{}, []*weekClass{}
	for _, r := range w.seen {
		c := classes[r.fault.class]
		if c == nil {
			c = &line{}
			classes[r.fault.class] = c
			order = append(order, r.fault.class)
		}
		c.n++
		c.sum += r.toLink
		if r.toLink >= c.longest {
			c.longest, c.of = r.toLink, strings.TrimSpace(fmt.Sprintf("%s (%s)", r.fault, r.line))
		}
		if r.toLink > r.fault.class.limit {
			w.t.Errorf("%s (%s): the link is there %v after its end, the limit is %v", r.fault, r.line, r.toLink.Round(time.Second), r.fault.class.limit)
		}
	}
	slices.SortFunc(order, func(a, b *weekClass) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "CLASS\tFAULTS\tMEAN\tLONGEST\tLIMIT\tTHE LONGEST")
	for _, c := range order {
		l := classes[c]
		fmt.Fprintf(tab, "%s\t%d\t%v\t%v\t%v\t%s\n", c.name, l.n, (l.sum / time.Duration(l.n)).Round(time.Second), l.longest.Round(time.Second), c.limit, l.of)
	}
	tab.Flush()
	var size int64
	err := filepath.WalkDir(filepath.Join(w.dir, "box", "state"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if i, err := d.Info(); err == nil {
				size += i.Size()
			}
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	info, err := os.Stat(filepath.Join(w.dir, "box", "state", "journal"))
	if err != nil {
		w.t.Fatal(err)
	}
	fmt.Fprintf(&b, "%d faults; traffic crossed in %d of %d looks, %.2f %%\n", len(w.seen), w.good, w.samples, 100*float64(w.good)/float64(max(1, w.samples)))
	fmt.Fprintf(&b, "%d reports by the card, each delivered by its name and number; %d deliveries\n", w.issued, w.received)
	fmt.Fprintf(&b, "goroutines %d, then %d; heap of lab and daemon %d kB, then %d kB; journal %d bytes, state %d bytes\n", w.goroutines, w.later, w.heap>>10, w.heapLater>>10, info.Size(), size)
	publish(w.t, "days with faults", b.String())
	if w.later > w.goroutines+8 {
		w.t.Errorf("goroutines grew from %d to %d", w.goroutines, w.later)
	}
	if w.heapLater > w.heap+8<<20 {
		w.t.Errorf("memory grew from %d to %d bytes", w.heap, w.heapLater)
	}
	if info.Size() > journal.DefaultLimit || size > 512<<10 {
		w.t.Errorf("journal %d bytes, state %d bytes", info.Size(), size)
	}
}
