package dynamo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dynamod/configs/cosa"
)

const otherEID = "89049032123451234512345678901224"

// desk is a router with a visit to contoso's portal.
type desk struct {
	*Transactions
	t         *testing.T
	path      string
	now       time.Time
	op        *cosa.OperatorProfile
	card      Card
	id, state string
}

func newDesk(t *testing.T) *desk {
	d := &desk{
		t: t, path: filepath.Join(t.TempDir(), "visits.json"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), op: contoso(),
		card: Card{EID: testEID, Profiles: []string{"8988247000101997790", "8949020000000000000"}},
	}
	d.restart()
	d.id, d.state = d.begin()
	return d
}

var testKey = bytes.Repeat([]byte{7}, 32)

func (d *desk) restart() {
	d.t.Helper()
	var err error
	if d.Transactions, err = OpenTransactions(d.path, testKey, func() time.Time { return d.now }); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) begin() (id, state string) {
	d.t.Helper()
	id, state, _, err := d.Begin(d.op, d.card.EID)
	if err != nil {
		d.t.Fatal(err)
	}
	return id, state
}

func (d *desk) accept(data string, from Arrival) (Callback, error) {
	return d.Accept([]byte(data), from, d.card, func(id string) *cosa.OperatorProfile {
		if d.op == nil || id != d.op.ID {
			return nil
		}
		return d.op
	})
}

// download is a callback that installs a profile.
func (d *desk) download() string {
	return Callback{Kind: KindDownload, TransactionID: d.id, State: d.state, Operation: "op-1", Metadata: metaNew, Code: testCode}.text()
}

// text is Envelope as text.
func (c Callback) text() string { return string(c.Envelope()) }

// fromPortal is how the operator's own page calls back.
var fromPortal = Arrival{Way: WayOpener, Origin: "https://contoso.example", Top: true}

// TestCallbackSecurity is the table of what must not install anything. Each row
// changes one thing of a callback that is taken.
func TestCallbackSecurity(t *testing.T) {
	origin := func(s string) func(*desk) (string, Arrival) {
		return func(d *desk) (string, Arrival) { return d.download(), Arrival{Way: WayOpener, Origin: s, Top: true} }
	}
	for _, tt := range []struct {
		name string
		make func(d *desk) (string, Arrival)
		want error
	}{
		{"wrong origin", origin("https://evil.example"), ErrWrongOrigin},
		{"no origin", origin(""), ErrWrongOrigin},
		{"opaque origin", origin("null"), ErrWrongOrigin},
		{"host below the operator's", origin("https://evil.contoso.example"), ErrWrongOrigin},
		{"host above the operator's", origin("https://example"), ErrWrongOrigin},
		{"host that ends like the operator's", origin("https://evilcontoso.example"), ErrWrongOrigin},
		{"host that begins like the operator's", origin("https://contoso.example.evil.example"), ErrWrongOrigin},
		{"http", origin("http://contoso.example"), ErrWrongOrigin},
		{"no scheme", origin("contoso.example"), ErrWrongOrigin},
		{"port", origin("https://contoso.example:8443"), ErrWrongOrigin},
		{"the scheme's own port, which browsers leave out", origin("https://contoso.example:443"), ErrWrongOrigin},
		{"empty port", origin("https://contoso.example:"), ErrWrongOrigin},
		{"user", origin("https://contoso.example@evil.example"), ErrWrongOrigin},
		{"path", origin("https://contoso.example/"), ErrWrongOrigin},
		{"mixed case, which browsers never send", origin("https://Contoso.example"), ErrWrongOrigin},
		{"scheme in capitals", origin("HTTPS://contoso.example"), ErrWrongOrigin},
		{"root's full stop", origin("https://contoso.example."), ErrWrongOrigin},
		{"IDN look-alike", origin("https://cont\u043eso.example"), ErrWrongOrigin},
		{"IDN look-alike in punycode", origin("https://xn--contso-vqe.example"), ErrWrongOrigin},
		{"line end", origin("https://contoso.example\n"), ErrWrongOrigin},
		{"framed page", func(d *desk) (string, Arrival) {
			return d.download(), Arrival{Way: WayOpener, Origin: "https://contoso.example"}
		}, ErrFramed},
		{"framed return URL", func(d *desk) (string, Arrival) { return d.download(), Arrival{Way: WayReturn, Dest: "iframe"} }, ErrFramed},
		{"return URL as an image", func(d *desk) (string, Arrival) { return d.download(), Arrival{Way: WayReturn, Dest: "image"} }, ErrFramed},
		{"no way", func(d *desk) (string, Arrival) {
			return d.download(), Arrival{Origin: "https://contoso.example", Top: true}
		}, ErrWrongOrigin},
		{"operator without callback hosts", func(d *desk) (string, Arrival) { d.op.Portal.CallbackHosts = nil; return d.download(), fromPortal }, ErrWrongOrigin},
		{"operator without callback hosts, by return URL", func(d *desk) (string, Arrival) {
			d.op.Portal.CallbackHosts = nil
			return d.download(), Arrival{Way: WayReturn}
		}, ErrWrongOrigin},
		{"host of a record that was changed in memory to a pattern", func(d *desk) (string, Arrival) {
			d.op.Portal.CallbackHosts = []string{"*.contoso.example"}
			return d.download(), Arrival{Way: WayOpener, Origin: "https://*.contoso.example", Top: true}
		}, ErrWrongOrigin},
		{"operator whose record has gone", func(d *desk) (string, Arrival) { d.op = nil; return d.download(), fromPortal }, ErrNoSuchRecord},

		{"foreign transaction", func(d *desk) (string, Arrival) { d.id = "dynamod-0"; return d.download(), fromPortal }, ErrForeign},
		{"no transaction", func(d *desk) (string, Arrival) { d.id = ""; return d.download(), fromPortal }, ErrForeign},
		{"transaction of yesterday", func(d *desk) (string, Arrival) {
			d.now = d.now.Add(24*time.Hour + time.Second)
			return d.download(), fromPortal
		}, ErrForeign},
		{"no state", func(d *desk) (string, Arrival) { d.state = ""; return d.download(), fromPortal }, ErrWrongState},
		{"half a state", func(d *desk) (string, Arrival) { d.state = d.state[:20]; return d.download(), fromPortal }, ErrWrongState},
		{"state of another visit", func(d *desk) (string, Arrival) { _, d.state = d.begin(); return d.download(), fromPortal }, ErrWrongState},
		{"state of another device", func(d *desk) (string, Arrival) {
			other, _ := OpenTransactions(filepath.Join(d.t.TempDir(), "v"), bytes.Repeat([]byte{8}, 32), func() time.Time { return d.now })
			d.state = other.stateOf(&d.list[0])
			return d.download(), fromPortal
		}, ErrWrongState},
		{"replayed state", func(d *desk) (string, Arrival) {
			d.must(d.accept(d.download(), fromPortal))
			return d.download(), fromPortal
		}, ErrReplayed},
		{"replayed state after a restart", func(d *desk) (string, Arrival) {
			d.must(d.accept(d.download(), fromPortal))
			d.restart()
			return d.download(), fromPortal
		}, ErrReplayed},
		{"replayed state when it is done with", func(d *desk) (string, Arrival) {
			d.must(d.accept(d.download(), fromPortal))
			if err := d.Ended(d.id, Failure{}); err != nil {
				d.t.Fatal(err)
			}
			d.restart()
			return d.download(), fromPortal
		}, ErrReplayed},
		{"replayed by another way", func(d *desk) (string, Arrival) {
			d.must(d.accept(d.download(), fromPortal))
			return d.download(), Arrival{Way: WayReturn, Dest: "document"}
		}, ErrReplayed},

		{"code for another EID", func(d *desk) (string, Arrival) {
			return Callback{Kind: KindDownload, TransactionID: d.id, State: d.state, Metadata: metaNew, Code: testCode, EID: otherEID}.text(), fromPortal
		}, ErrOtherEID},
		{"card that was changed since", func(d *desk) (string, Arrival) { d.card.EID = otherEID; return d.download(), fromPortal }, ErrOtherEID},
		{"card that has gone", func(d *desk) (string, Arrival) { d.card.EID = ""; return d.download(), fromPortal }, ErrOtherEID},
		{"switch to another operator's profile", func(d *desk) (string, Arrival) { return d.use("8949020000000000000"), fromPortal }, ErrOtherProfile},
		{"switch to a profile that is not there", func(d *desk) (string, Arrival) { return d.use("8988247000101997799"), fromPortal }, ErrOtherProfile},
		{"cancel of what is not delayed", func(d *desk) (string, Arrival) {
			d.must(d.accept(d.download(), fromPortal))
			return Callback{Kind: KindCancel, TransactionID: d.id, State: d.state, Operation: "op-1"}.text(), fromPortal
		}, ErrNoOperation},
		{"cancel of nothing", func(d *desk) (string, Arrival) {
			return Callback{Kind: KindCancel, TransactionID: d.id, State: d.state, Operation: "op-1"}.text(), fromPortal
		}, ErrNoOperation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			data, from := tt.make(d)
			before, _ := d.Pending()
			c, err := d.accept(data, from)
			if !errors.Is(err, tt.want) || c.Kind != "" {
				t.Errorf("%+v %v, want %v", c, err, tt.want)
			}
			after, _ := d.Pending()
			if len(after) != len(before) {
				t.Errorf("it is pending: %+v", after)
			}
			if refusal, ok := errors.AsType[*Refusal](err); !ok || !strings.HasSuffix(refusal.Text, "nothing was done") || refusal.Hint() == "" {
				t.Errorf("%+v", err)
			}
		})
	}
	// and what all rows differ from is taken, from any of the operator's hosts
	for _, from := range []Arrival{fromPortal, {Way: WayOpener, Origin: "https://pay.contoso.example", Top: true}, {Way: WayReturn, Dest: "document"}, {Way: WayReturn}, {Way: WayDirectory}} {
		d := newDesk(t)
		if c, err := d.accept(d.download(), from); err != nil || c.Kind != KindDownload || c.Code != testCode {
			t.Errorf("%+v: %+v %v", from, c, err)
		}
	}
}

func (d *desk) must(c Callback, err error) Callback {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func (d *desk) use(iccid string) string {
	return Callback{Kind: KindUseProfile, TransactionID: d.id, State: d.state, Metadata: metaNew, ICCID: iccid}.text()
}

// TestAcceptTwiceAtOnce has one callback come by two ways at once.
func TestAcceptTwiceAtOnce(t *testing.T) {
	d := newDesk(t)
	data := d.download()
	var taken, replayed int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := d.accept(data, fromPortal)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if errors.Is(err, ErrReplayed) {
				replayed++
			}
		})
	}
	all.Wait()
	if taken != 1 || replayed != 7 {
		t.Errorf("taken %d times, %d replays", taken, replayed)
	}
}

// TestPending has what was taken outlive a restart, until it is done with.
func TestPending(t *testing.T) {
	d := newDesk(t)
	d.must(d.accept(Callback{Kind: KindDownload, TransactionID: d.id, State: d.state, Operation: "op-1", Metadata: metaNew, Code: testCode, Delay: 90 * time.Minute}.text(), fromPortal))
	if text, _ := os.ReadFile(d.path); bytes.Contains(text, []byte("MATCHINGID")) || bytes.Contains(text, []byte("smdp.example")) {
		t.Errorf("the code is in the clear:\n%s", text)
	}
	for _, tt := range []struct {
		name string
		at   time.Duration
		want time.Duration
	}{
		{"at once", 0, 90 * time.Minute},
		{"after an hour", time.Hour, 30 * time.Minute},
		{"long after", 100 * time.Hour, 0},
		{"clock set back by years", -1e5 * time.Hour, 90 * time.Minute},
	} {
		d.now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(tt.at)
		d.restart()
		list, err := d.Pending()
		if err != nil || len(list) != 1 || list[0].Wait != tt.want || list[0].Operator != "contoso" || list[0].Code != testCode {
			t.Errorf("%s: %+v %v", tt.name, list, err)
		}
	}
	if _, err := os.Stat(d.path); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(d.path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}

	// Another device's key opens nothing.
	other, err := OpenTransactions(d.path, bytes.Repeat([]byte{9}, 32), func() time.Time { return d.now })
	if err != nil {
		t.Fatal(err)
	}
	if list, err := other.Pending(); len(list) != 0 || err == nil {
		t.Errorf("%+v %v", list, err)
	}

	// Cancelled by the portal, by the operation's Id, once.
	d.now = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
	d.restart()
	cancel := Callback{Kind: KindCancel, TransactionID: d.id, State: d.state, Operation: "op-1"}.text()
	if c := d.must(d.accept(cancel, fromPortal)); c.Kind != KindCancel {
		t.Errorf("%+v", c)
	}
	if list, err := d.Pending(); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := d.accept(cancel, fromPortal); !errors.Is(err, ErrNoOperation) {
		t.Error(err)
	}
	for range 2 {
		if err := d.Ended(d.id, Failure{}); err != nil {
			t.Error(err)
		}
	}
}

// TestNoPurchaseKeepsTheVisit has the person go on in the portal after a refused
// card.
func TestNoPurchaseKeepsTheVisit(t *testing.T) {
	d := newDesk(t)
	failed := Callback{Kind: KindNoPurchase, TransactionID: d.id, State: d.state, Metadata: PurchaseMetadata{Status: PurchaseBillingError}}.text()
	for range 2 {
		if c := d.must(d.accept(failed, fromPortal)); c.Kind != KindNoPurchase {
			t.Errorf("%+v", c)
		}
	}
	d.must(d.accept(Callback{Kind: KindBalance, TransactionID: d.id, State: d.state, Metadata: metaNew}.text(), fromPortal))
	if c := d.must(d.accept(d.use("8988247000101997790"), fromPortal)); c.Kind != KindUseProfile {
		t.Errorf("%+v", c)
	}
	// Without an eUICC the profile is the SIM that is in use.
	d.card = Card{SIM: "8988247000101997791F"}
	d.id, d.state = d.begin()
	d.must(d.accept(d.use("8988247000101997791"), fromPortal))
}

// TestTransactionsOnABadDisk has neither a visit nor a callback that is not on the
// disk.
func TestTransactionsOnABadDisk(t *testing.T) {
	d := newDesk(t)
	if err := os.RemoveAll(filepath.Dir(d.path)); err != nil {
		t.Fatal(err)
	}
	if c, err := d.accept(d.download(), fromPortal); err == nil || c.Kind != "" {
		t.Errorf("taken without being on the disk: %+v %v", c, err)
	}
	if id, _, _, err := d.Begin(d.op, testEID); err == nil {
		t.Errorf("begun without being on the disk: %s", id)
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		t.Fatal(err)
	}
	d.must(d.accept(d.download(), fromPortal)) // the disk is back, and the state was not used up

	for _, text := range []string{"", "{", `{"visits": 1}`, `[{"id": 1}]`} {
		if err := os.WriteFile(d.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		torn, err := OpenTransactions(d.path, testKey, func() time.Time { return d.now })
		if err == nil || torn == nil {
			t.Fatalf("%q is read without an error", text)
		}
		d.Transactions = torn
		if _, err := d.accept(d.download(), fromPortal); !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %v", text, err)
		}
		d.id, d.state = d.begin()
		d.must(d.accept(d.download(), fromPortal))
	}
}

func TestTransactionsAreBounded(t *testing.T) {
	d := newDesk(t)
	d.must(d.accept(d.download(), fromPortal)) // pending: it stays
	held := d.id
	for range 100 {
		d.id, d.state = d.begin()
	}
	if len(d.list) != maxVisits || d.list[0].ID != held {
		t.Errorf("%d visits, the first %s", len(d.list), d.list[0].ID)
	}
	d.must(d.accept(d.download(), fromPortal))
	for range maxVisits {
		d.id, d.state = d.begin()
		d.must(d.accept(d.download(), fromPortal))
		if len(d.list) == maxVisits {
			break
		}
	}
	d.now = d.now.Add(25 * time.Hour)
	if list, err := d.Pending(); err != nil || len(list) < 2 {
		t.Errorf("%d pending %v", len(list), err)
	}
}

// TestFailuresAreToldOnce has the portal learn of failed downloads until it has
// answered a later visit, also after a restart.
func TestFailuresAreToldOnce(t *testing.T) {
	d := newDesk(t)
	told := func() []Failure {
		t.Helper()
		d.restart()
		id, state, list, err := d.Begin(d.op, d.card.EID)
		if err != nil {
			t.Fatal(err)
		}
		d.id, d.state = id, state
		return list
	}
	for i := range 2 * maxKept {
		if i > 0 {
			d.id, d.state = d.begin()
		}
		d.must(d.accept(d.download(), fromPortal))
		if err := d.Started(d.id, "run", false); err != nil {
			t.Fatal(err)
		}
		if list, err := d.Pending(); err != nil || len(list) != 0 || !d.Busy() {
			t.Errorf("%+v %v", list, err)
		}
		d.now = d.now.Add(time.Minute)
		if err := d.Ended(d.id, Failure{Status: ServerFailure, Time: d.now, ICCID: "8988247000101997790"}); err != nil || d.Busy() {
			t.Error(err)
		}
	}
	d.now = d.now.Add(time.Minute)
	if list := told(); len(list) != 1 || list[0].Status != ServerFailure || !list[0].Time.Equal(d.now.Add(-time.Minute)) {
		t.Errorf("%+v", list) // each purchase has answered for those before it
	}
	other := *d.op
	other.ID = "fabrikam"
	if _, _, list, err := d.Begin(&other, d.card.EID); err != nil || len(list) != 0 {
		t.Errorf("another operator is told %+v %v", list, err)
	}
	if len(told()) != 1 {
		t.Error("a visit that nobody has answered ends it")
	}
	d.must(d.accept(d.download(), fromPortal))
	if list := told(); len(list) != 0 {
		t.Errorf("told again: %+v", list)
	}
	// Nor is it of interest once another download went well.
	d.must(d.accept(d.download(), fromPortal))
	bad := d.id
	d.id, d.state = d.begin()
	d.must(d.accept(d.download(), fromPortal))
	if err := d.Ended(bad, Failure{Status: EIDMismatch, Time: d.now}); err != nil {
		t.Error(err)
	}
	if err := d.Ended(d.id, Failure{}); err != nil {
		t.Error(err)
	}
	if list := told(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if err := d.Ended("nobody's", Failure{Status: Other}); err != nil {
		t.Error(err)
	}
}

// TestHeldForTheNetwork has a profile that is installed wait for its network, from
// the purchase on.
func TestHeldForTheNetwork(t *testing.T) {
	d := newDesk(t)
	d.must(d.accept(Callback{Kind: KindDownload, TransactionID: d.id, State: d.state, Metadata: metaNew, Code: testCode, RegisterAfter: 30 * time.Minute}.text(), fromPortal))
	if list, err := d.Pending(); err != nil || len(list) != 1 || list[0].Wait != 0 || list[0].Run != "" {
		t.Errorf("%+v %v", list, err)
	}
	if err := d.Started(d.id, "run", true); err != nil {
		t.Fatal(err)
	}
	if there, err := d.Cancel(d.id); there || err != nil {
		t.Errorf("cancelled after it has begun: %v", err)
	}
	d.now = d.now.Add(10 * time.Minute)
	d.restart()
	if list, err := d.Pending(); err != nil || len(list) != 1 || list[0].Wait != 20*time.Minute || list[0].Run != "run" {
		t.Errorf("%+v %v", list, err)
	}
	if v := d.Visits()[0]; !v.Held || v.Run != "run" || v.Kind != KindDownload {
		t.Errorf("%+v", v)
	}
}
