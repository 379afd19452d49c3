//go:build linux && !nodemo

package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"dynamod/daemon/activation"
	"dynamod/daemon/demo/walk"
	"dynamod/daemon/hook"
	"dynamod/daemon/journal"
	"dynamod/daemon/status"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// A walkStory is an activation in which faults happen.
type walkStory struct {
	crashStory
	request hook.ActivationRequest // but for the code
	binds   bool                   // the new profile has PPR1
	bound   bool                   // the earlier one has it
}

func walkStories() []walkStory {
	consent := hook.ActivationRequest{Consent: true}
	return []walkStory{
		{crashStory: crashStory{name: "switch"}, request: consent},
		{crashStory: crashStory{name: "denied", prepare: denied}, request: consent},
		{crashStory: crashStory{name: "asked"}},
		{crashStory: crashStory{name: "first", first: true}, request: consent},
		{crashStory: crashStory{name: "discovered", prepare: registered}, request: hook.ActivationRequest{Discover: true, Consent: true}},
		{crashStory: crashStory{name: "PPR1 new", prepare: binding, earlier: euiccsim.Metadata{Name: "Bootstrap", Class: euiccsim.ClassProvisioning}},
			request: hook.ActivationRequest{Consent: true, NoWayBack: true}, binds: true},
		{crashStory: crashStory{name: "PPR1 new, asked", prepare: binding, earlier: euiccsim.Metadata{Name: "Bootstrap", Class: euiccsim.ClassProvisioning}}, request: consent, binds: true},
		{crashStory: crashStory{name: "PPR1 new, first", prepare: binding, first: true}, request: consent, binds: true},
		{crashStory: crashStory{name: "PPR1 enabled", earlier: euiccsim.Metadata{Name: "Bound", Class: euiccsim.ClassOperational, Rules: euiccsim.PPR1}}, request: consent, bound: true},
	}
}

// binding makes the new profile one that can never be disabled.
func binding(l *Lab) {
	upp, err := l.newProfile("")
	if err != nil {
		panic(err)
	}
	p, err := l.offer("", smdpsim.Order{UPP: upp, Metadata: smdpsim.Metadata{Provider: Operator, Name: "Bound", Owner: owner, Class: smdpsim.ClassOperational, Rules: smdpsim.PPR1}})
	if err != nil {
		panic(err)
	}
	l.Profiles[0] = p
}

// registered makes the new profile one that the SM-DS leads to.
func registered(l *Lab) {
	upp, err := l.newProfile("")
	if err != nil {
		panic(err)
	}
	p, err := l.offer("", smdpsim.Order{UPP: upp, EID: l.Card.EID(), Discover: SMDP, Metadata: smdpsim.Metadata{Provider: Operator, Name: "Lab profile", Owner: owner}})
	if err != nil {
		panic(err)
	}
	l.Profiles[0] = p
}

// A walkPoint is one telling.
type walkPoint struct {
	story   walkStory
	fault   walkFault
	state   activation.State // "" for no fault
	forGood bool             // until the run has ended, or waits for a link; else 10 min
}

func (p walkPoint) String() string {
	return fmt.Sprintf("%s/%s/%s/%s", p.story.name, p.fault, p.state, map[bool]string{false: "a while", true: "for good"}[p.forGood])
}

// Limits of a telling.
const (
	aWhile       = 10 * time.Minute
	walkPatience = 12 * time.Hour // for an end, or the way back's waiting, while the fault lasts
	walkMended   = 3 * time.Hour  // for end and link, when it is over
	walkPaper    = 60 * time.Hour // for the outbox, then
)

// A walkEnd is how a telling ended.
type walkEnd struct {
	outcome status.Outcome
	code    string
	waited  bool
	toLink  time.Duration // from the fault's end
	states  []activation.State
}

func (e walkEnd) kind() string {
	s := string(e.outcome)
	if e.waited {
		s += ", after waiting for a link"
	}
	return s
}

// tell tells the story with the fault.
func (p walkPoint) tell(t *testing.T) (e walkEnd, err error) {
	inCrashWorld(t, p.story.crashStory, func(_ *testing.T, w *crashWorld) {
		if p.fault.part == "disk" {
			state := filepath.Join(w.dir, "box", "state")
			if err = os.MkdirAll(state, 0o755); err != nil {
				return
			}
			if unix.Mount("tmpfs", state, "tmpfs", 0, "size=256k") != nil {
				err = errNoMount
				return
			}
			defer unix.Unmount(state, unix.MNT_DETACH)
		}
		err = w.suffer(p, &e)
	})
	return e, err
}

var errNoMount = errors.New("no file system of a size can be mounted")

// suffer runs the daemon through the story.
func (w *crashWorld) suffer(p walkPoint, e *walkEnd) error {
	r := w.newReaper(nil, false)
	var mu sync.Mutex
	var since time.Time // when the fault began
	var setErr error
	r.Reach = func(state string) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(e.states, activation.State(state)) {
			e.states = append(e.states, activation.State(state))
		}
		if since.IsZero() && p.state != "" && state == string(p.state) {
			since, setErr = time.Now(), w.begin(p.fault)
		}
	}
	return w.daemon(r, func(ctx context.Context, c *hook.Client) error {
		if err := w.settled(ctx, r, c); err != nil {
			return fmt.Errorf("before the story: %w", err)
		}
		req := p.story.request
		if !req.Discover {
			req.Code = w.Profiles[0].Code
		}
		var rec activation.Record
		if err := c.Do(ctx, http.MethodPost, "/v1/activations", nil, req, &rec); err != nil {
			return err
		}
		begin, waits, lasts := time.Now(), time.Duration(0), p.state != ""
		var mended time.Time
		for {
			time.Sleep(5 * time.Second)
			if err := c.Do(ctx, http.MethodGet, "/v1/activations/"+rec.ID, nil, nil, &rec); err != nil {
				return err
			}
			mu.Lock()
			struck, err := since, setErr
			mu.Unlock()
			if err != nil {
				return err
			}
			waitsForLink := rec.Waiting == activation.WaitLink || rec.Waiting == activation.WaitCard
			if waitsForLink {
				e.waited = true
				waits += 5 * time.Second
			}
			if rec.State == activation.Waiting && time.Since(begin) > 5*time.Minute {
				yes := true
				_ = c.Do(ctx, http.MethodPost, "/v1/activations/"+rec.ID+"/answer", nil, hook.AnswerRequest{Consent: &yes, NoWayBack: &yes}, nil)
			}
			if lasts && (rec.Ended != nil || !struck.IsZero() && !p.forGood && time.Since(struck) > aWhile || waits > 2*time.Hour) {
				if err := w.mend(p.fault); err != nil {
					return err
				}
				lasts, mended = false, time.Now()
			}
			switch {
			case !mended.IsZero() && rec.Ended == nil && time.Since(mended) > walkMended:
				return fmt.Errorf("no end %v after the fault's: %s", walkMended, tellRun(rec))
			case rec.Ended == nil && mended.IsZero() && !waitsForLink && time.Since(begin) > walkPatience:
				return fmt.Errorf("neither an end nor waiting after %v: %s", walkPatience, tellRun(rec))
			}
			if rec.Ended != nil {
				break
			}
		}
		e.outcome = rec.Outcome
		if rec.Error != nil {
			e.code = rec.Error.Code
		}
		if e.code == "outcome-unknown" {
			return fmt.Errorf("nobody has ended the question to the card: %s", tellRun(rec))
		}
		if p.state != "" && since.IsZero() {
			return fmt.Errorf("the run was never in state %s: %s", p.state, tellRun(rec))
		}
		mended = time.Now()
		w.cleanup()
		want, legal := w.legal(p.story, rec)
		if legal != nil {
			return fmt.Errorf("%w: %s", legal, tellRun(rec))
		}
		for want != "" {
			var snap status.Snapshot
			if err := c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
				return err
			}
			if snap.State == status.Up && snap.SIM != nil && snap.SIM.ICCID == want {
				break
			}
			if time.Since(mended) > walkMended {
				return fmt.Errorf("%v after the fault the link is %s (%s), SIM %+v, want %s: %s", walkMended, snap.State, snap.Reason, snap.SIM, want, tellRun(rec))
			}
			time.Sleep(time.Second)
		}
		e.toLink = time.Since(mended)
		if err := w.delivered(ctx, c); err != nil {
			return fmt.Errorf("%w: %s", err, tellRun(rec))
		}
		if _, err := w.legal(p.story, rec); err != nil {
			return fmt.Errorf("later: %w: %s", err, tellRun(rec))
		}
		// A channel whose closing failed is closed before the next one is opened.
		// The modem may be starting again just now.
		for begin := time.Now(); ; time.Sleep(10 * time.Second) {
			err := c.Do(ctx, http.MethodGet, "/v1/profiles", nil, nil, nil)
			if err == nil {
				break
			}
			if time.Since(begin) > 5*time.Minute {
				return fmt.Errorf("the card cannot be used: %w: %s", err, tellRun(rec))
			}
		}
		return w.whole(p)
	})
}

func tellRun(rec activation.Record) string {
	text := fmt.Sprintf("run %s %s", rec.State, rec.Outcome)
	if rec.Error != nil {
		text += fmt.Sprintf(", %s: %s", rec.Error.Code, rec.Error.Text)
	}
	return text
}

// legal tells which profile has to have the link, "" for none, and what is wrong
// with the run's end as the architecture page has it.
func (w *crashWorld) legal(story walkStory, rec activation.Record) (want string, err error) {
	fresh, enabled := w.Profiles[0].ICCID, ""
	on := map[string]bool{}
	for _, p := range w.Card.Installed() {
		on[p.ICCID] = true
		if p.Enabled {
			enabled += p.ICCID
		}
		if p.ICCID == fresh && sha256Hex(p.Package) != w.Profiles[0].SHA256 {
			return "", errors.New("the new profile is not whole")
		}
	}
	if !story.first && !on[w.old] {
		return "", errors.New("the earlier profile is gone")
	}
	switch {
	case rec.Outcome == status.Committed && !story.bound:
		want = fresh
	case rec.Outcome == status.RolledBack && !story.first && !story.bound:
		want = w.old
	case rec.Outcome == status.Failed && story.binds && enabled == fresh:
		want = fresh // it was agreed to that there is no way back
	case rec.Outcome == status.Failed:
		want = w.old
		if on[fresh] && !story.first {
			err = errors.New("it failed, and the new profile is on the card")
		}
	default:
		err = errors.New("that is no end of this story")
	}
	if enabled != want {
		err = errors.Join(err, fmt.Errorf("profile %q is enabled, want %q", enabled, want))
	}
	return want, err
}

// delivered waits until nothing is left to report.
func (w *crashWorld) delivered(ctx context.Context, c *hook.Client) error {
	for begin := time.Now(); ; time.Sleep(5 * time.Minute) {
		var snap status.Snapshot
		if err := c.Do(ctx, http.MethodGet, "/v1/status", nil, nil, &snap); err != nil {
			return err
		}
		left := len(w.Card.Pending())
		if snap.Outbox.Pending == 0 && left == 0 {
			return nil
		}
		if time.Since(begin) > walkPaper {
			return fmt.Errorf("after %v the outbox is %+v, and %d notifications are on the card", walkPaper, snap.Outbox, left)
		}
	}
}

// whole looks at what has to be right whatever the end was.
func (w *crashWorld) whole(p walkPoint) error {
	var bad []error
	// One whose closing was refused twice, or that was opened with an error for an
	// answer, is closed when no other is free.
	loses, _, _ := strings.Cut(p.fault.line, " ")
	if n := w.Card.Channels(); n > 1 && !slices.Contains([]string{"leak", "lost", "drop-answer", "error-after", "power-cut-after"}, loses) {
		bad = append(bad, fmt.Errorf("%d logical channels are open on the card", n))
	}
	most := 2
	if p.fault.part == "server" {
		most = 0 // who gets no answer tries again
	}
	if err := walk.Reports(w.Card.Issued(), w.Server.Notifications(), most); err != nil {
		bad = append(bad, err)
	}
	for _, n := range w.Server.Notifications() {
		if !n.Verified && p.fault.line != "wrong-signature" {
			bad = append(bad, fmt.Errorf("notification %d does not verify", n.Seq))
		}
	}
	for _, order := range w.Server.Orders() {
		if order.ICCID == w.Profiles[0].ICCID && order.Downloads > 2 {
			bad = append(bad, fmt.Errorf("the order was downloaded %d times", order.Downloads))
		}
	}
	if _, err := journal.Read(filepath.Join(w.dir, "box", "state", "journal")); err != nil {
		bad = append(bad, err)
	}
	return errors.Join(bad...)
}

// TestFaultWalk lets every fault begin in every state of a run, and end after a
// while or not before the run: no end is outside the legal ones, and the link of
// the profile that they leave enabled comes back. DYNAMOD_SOAK=1 tries all points,
// or one of 25 slices with DYNAMOD_SLICE=3/25; else it is always the same sample,
// another one with DYNAMOD_SEED, and what can happen while the SM-DS is asked. DYNAMOD_FAULT=TEXT tries those whose names hold
// TEXT.
func TestFaultWalk(t *testing.T) {
	var points []walkPoint
	for _, story := range walkStories() {
		plain, err := walkPoint{story: story}.tell(t)
		if err != nil {
			t.Fatalf("%s without a fault: %v", story.name, err)
		}
		for _, state := range plain.states {
			if state.Ended() {
				continue
			}
			for _, fault := range walkFaults() {
				if fault.part == "smds" && !story.request.Discover {
					continue // nobody asks it
				}
				for _, forGood := range []bool{false, true} {
					points = append(points, walkPoint{story, fault, state, forGood})
				}
			}
		}
	}
	t.Logf("%d points", len(points))
	if points = chosen(t, points); len(points) == 0 {
		t.Fatal("there is no such point")
	}
	type result struct {
		walkEnd
		err error
	}
	results := make([]result, len(points))
	begin := time.Now()
	var wg sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, p := range points {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			results[i].walkEnd, results[i].err = p.tell(t)
		})
	}
	wg.Wait()
	type row struct {
		tried int
		ends  map[string]int
		link  time.Duration
	}
	table := map[[2]string]*row{}
	for i, p := range points {
		key := [2]string{p.story.name, p.fault.part}
		if table[key] == nil {
			table[key] = &row{ends: map[string]int{}}
		}
		switch r := table[key]; {
		case errors.Is(results[i].err, errNoMount):
			r.ends["left out: "+errNoMount.Error()]++
		case results[i].err != nil:
			r.tried++
			t.Errorf("%s: %v", p, results[i].err)
		default:
			r.tried++
			r.ends[results[i].kind()]++
			r.link = max(r.link, results[i].toLink)
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STORY\tFAULT OF\tTRIED\tLONGEST TO LINK\tENDS")
	for _, key := range slices.SortedFunc(maps.Keys(table), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		r := table[key]
		var ends []string
		for _, k := range slices.Sorted(maps.Keys(r.ends)) {
			ends = append(ends, fmt.Sprintf("%d %s", r.ends[k], k))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%s\n", key[0], key[1], r.tried, r.link.Round(time.Second), strings.Join(ends, ", "))
	}
	w.Flush()
	publish(t, "fault walk", fmt.Sprintf("%d points tried in %v of real time\n%s", len(points), time.Since(begin).Round(time.Second), &b))
}

// sampleSize is how many points are tried without the soak.
const sampleSize = 300

// chosen are the points to try.
func chosen(t *testing.T, points []walkPoint) []walkPoint {
	if text := os.Getenv("DYNAMOD_FAULT"); text != "" {
		return slices.DeleteFunc(points, func(p walkPoint) bool { return !strings.Contains(p.String(), text) })
	}
	if part, parts := 0, 0; soak() {
		if n, _ := fmt.Sscanf(os.Getenv("DYNAMOD_SLICE"), "%d/%d", &part, &parts); n == 2 {
			i := 0
			points = slices.DeleteFunc(points, func(walkPoint) bool { i++; return i%parts != part })
		}
		return points
	}
	seed := uint64(6)
	if s := os.Getenv("DYNAMOD_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("DYNAMOD_SEED: %v", err)
		}
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	sample := slices.Clone(points[:min(sampleSize, len(points))])
	for _, p := range points[len(sample):] {
		if p.fault.part == "smds" && p.state == activation.Accepted { // few of the many, and quickly told
			sample = append(sample, p)
		}
	}
	return sample
}
