package lpa

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/es10"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// The last answer is lost and the profile is there: the card's list of reports
// tells (lpac#186).
func TestLastAnswerLost(t *testing.T) {
	l := newLab(t)
	code := l.order(smdpsim.Order{})
	c := l.open()
	o, err := c.Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	armed := 0
	r, err := o.Download(t.Context(), "", func(p Progress) {
		if left := p.TotalBytes - p.Bytes; p.Stage == euicc.StageLoadBPP && left > 0 && left < 1020 {
			// The last block of the last segment.
			l.card.SetFault(euiccsim.Fault{Kind: euiccsim.FaultLost, At: (left + 254) / 255})
			armed++
		}
	})
	if armed != 1 {
		t.Fatalf("%d times before the last segment", armed)
	}
	if err != nil || r == nil || !r.Success || len(l.card.Installed()) != 1 || l.status().Canceled {
		t.Errorf("result %+v, %v", r, err)
	}
}

// The line breaks while the card is being loaded, or before, when nothing is
// overlapped: the order lives on.
func TestPackageBreaksOff(t *testing.T) {
	for _, sequential := range []bool{false, true} {
		l := newLab(t)
		l.cfg.Sequential = sequential
		code := l.order(smdpsim.Order{})
		c := l.open()
		if err := l.server.SetFault(smdpsim.Fault{Kind: smdpsim.FaultDropAnswer, Function: smdpsim.GetBoundProfilePackage, Times: 1, After: 4000}); err != nil {
			t.Fatal(err)
		}
		o, err := c.Authenticate(t.Context(), code)
		if err != nil {
			t.Fatal(err)
		}
		loaded := 0
		r, err := o.Download(t.Context(), "", func(p Progress) { loaded = p.Segments })
		if r != nil || euicc.CodeOf(err) != "body-truncated" || euicc.RetryOf(err) != euicc.RetryNow || (loaded == 0) != sequential {
			t.Errorf("sequential %v: %d segments loaded, %v", sequential, loaded, err)
		}
		if st := l.status(); st.State != smdpsim.StateDownloaded && st.State != smdpsim.StateReleased || st.CancelReason != int(euicc.CancelPostponed) {
			t.Errorf("order %+v", st)
		}
		if o, err = c.Authenticate(t.Context(), code); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Download(t.Context(), "", nil); err != nil || len(l.card.Installed()) != 1 {
			t.Errorf("sequential %v: again: %v", sequential, err)
		}
	}
}

func TestConfirmationCode(t *testing.T) {
	l := newLab(t)
	code := l.order(smdpsim.Order{ConfirmationCode: "SECRETCC"})
	if !code.ConfirmationRequired {
		t.Error("the code does not say so")
	}
	c := l.open()
	o, err := c.Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Download(t.Context(), "", nil); euicc.CodeOf(err) != "confirmation-code-missing" || euicc.RetryOf(err) != euicc.RetryAsk {
		t.Fatalf("without: %v", err)
	}
	// The session is still there.
	_, err = o.Download(t.Context(), "WRONGCC", nil)
	if euicc.CodeOf(err) != "es9p-8.2.7-3.8" || euicc.RetryOf(err) != euicc.RetryAsk || strings.Contains(err.Error(), "WRONGCC") {
		t.Fatalf("wrong: %v", err)
	}
	if o, err = c.Authenticate(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	if r, err := o.Download(t.Context(), "SECRETCC", nil); err != nil || !r.Success {
		t.Errorf("right: %v", err)
	}
}

func TestRefusedCodes(t *testing.T) {
	l := newLab(t)
	code := l.order(smdpsim.Order{OIDInCode: true})
	c := l.open()
	other := code
	other.MatchingID = "UNKNOWN-SECRET"
	_, err := c.Authenticate(t.Context(), other)
	if euicc.CodeOf(err) != "es9p-8.2.6-3.8" || euicc.RetryOf(err) != euicc.RetryNewCode {
		t.Errorf("unknown matching ID: %v", err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), "UNKNOWN-SECRET") {
			t.Errorf("matching ID in %v", e)
		}
	}
	other = code
	other.OID = "2.999.11"
	if _, err := c.Authenticate(t.Context(), other); euicc.CodeOf(err) != "server-oid" {
		t.Errorf("OID of another server (SGP.22 4.1): %v", err)
	}
	other = code
	other.Address = "nowhere.lab.test"
	l.cfg.HTTP.Resolve["nowhere.lab.test"] = "127.0.0.1:1"
	if _, err := l.open().Authenticate(t.Context(), other); euicc.CodeOf(err) != "net-unreachable" || euicc.RetryOf(err) != euicc.RetryLater {
		t.Errorf("nothing listens: %v", err)
	}
}

func TestCancel(t *testing.T) {
	for _, reason := range []euicc.CancelReason{euicc.CancelEndUserRejection, euicc.CancelPostponed, euicc.CancelTimeout, euicc.CancelPPRNotAllowed} {
		l := newLab(t)
		code := l.order(smdpsim.Order{})
		o, err := l.open().Authenticate(t.Context(), code)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Cancel(t.Context(), reason); err != nil {
			t.Fatal(err)
		}
		if st := l.status(); !st.Canceled || st.CancelReason != int(reason) {
			t.Errorf("%s: server got %d", reason, st.CancelReason)
		}
		if x := o.Cancellation(); x == nil || !x.Delivered || x.Reason != reason {
			t.Errorf("%s: %+v", reason, x)
		}
		if err := o.Cancel(t.Context(), reason); err != nil {
			t.Errorf("twice: %v", err)
		}
	}
}

// A crash between the steps: another process ends the session by what was noted.
func TestCrash(t *testing.T) {
	l := newLab(t)
	l.card.SetBehaviour(euiccsim.Behaviour{KeepSession: true})
	var server string
	var id euicc.TransactionID
	l.cfg.Begin = func(s string, i euicc.TransactionID) error { server, id = s, i; return nil }
	code := l.order(smdpsim.Order{})
	o, err := l.open().Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if server != o.Server || id != o.TransactionID {
		t.Errorf("noted %s %s", server, id)
	}
	// Gone without a word.
	c := l.open()
	if r, err := c.FindResult(t.Context(), id); err != nil || r != nil {
		t.Errorf("result %+v, %v", r, err)
	}
	x, err := c.CancelSession(t.Context(), server, id, euicc.CancelPostponed)
	if err != nil || !x.Delivered || l.status().State != smdpsim.StateReleased {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := c.CancelSession(t.Context(), server, id, euicc.CancelPostponed); !errors.Is(err, es10.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if o, err = c.Authenticate(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	r, err := o.Download(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	// A crash before the result was noted.
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = l.open()
	found, err := c.FindResult(t.Context(), id)
	if err != nil || found == nil || !bytes.Equal(found.Raw, r.Raw) {
		t.Errorf("found %+v, %v", found, err)
	}
	l.cfg.Begin = func(string, euicc.TransactionID) error { return errors.New("disk full") }
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before := l.card.Stats().Sessions
	if _, err := l.open().Authenticate(t.Context(), l.order(smdpsim.Order{MatchingID: "SECOND"})); euicc.CodeOf(err) != "begin" || l.card.Stats().Sessions != before {
		t.Errorf("disk full: %v", err)
	}
}

// The network goes while the card is asked: the server learns later.
func TestCancelWithoutNetwork(t *testing.T) {
	l := newLab(t)
	code := l.order(smdpsim.Order{})
	var kept []Cancellation
	l.cfg.Cancelled = func(x Cancellation) { kept = append(kept, x) }
	c := l.open()
	o, err := c.Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.server.SetFault(smdpsim.Fault{Kind: smdpsim.FaultDropRequest}); err != nil {
		t.Fatal(err)
	}
	if err := o.Cancel(t.Context(), euicc.CancelTimeout); euicc.CodeOf(err) != "net-unreachable" {
		t.Errorf("got %v", err)
	}
	x := o.Cancellation()
	if x == nil || x.Delivered || len(x.Response) == 0 || len(kept) != 1 || kept[0].Delivered {
		t.Fatalf("got %+v, kept %+v", x, kept)
	}
	l.server.ClearFaults()
	// Another process has only what was kept.
	client, err := c.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := DeliverCancellation(t.Context(), client, &kept[0]); err != nil || !kept[0].Delivered || !l.status().Canceled || l.status().CancelReason != 2 {
		t.Errorf("later: %v", err)
	}
	// The server does not know the session any more: that is an end, too.
	if err := c.DeliverCancellation(t.Context(), x); euicc.CodeOf(err) != "es9p-8.10.1-3.9" || !x.Delivered || len(kept) != 2 || !kept[1].Delivered {
		t.Errorf("twice: %v, kept %+v", err, kept)
	}
	asked := l.server.Stats().Requests[smdpsim.CancelSession]
	if err := c.DeliverCancellation(t.Context(), x); err != nil || l.server.Stats().Requests[smdpsim.CancelSession] != asked {
		t.Errorf("three times: %v", err)
	}
}

// A server that has itself ended the session is not told, and nothing is kept.
func TestCancelAfterRefusal(t *testing.T) {
	l := newLab(t)
	code := l.order(smdpsim.Order{})
	l.cfg.Cancelled = func(x Cancellation) { t.Errorf("kept %+v", x) }
	if err := l.server.SetFault(smdpsim.Fault{Kind: smdpsim.FaultStatus, Function: smdpsim.GetBoundProfilePackage, Subject: "8.1", Reason: "4.8"}); err != nil {
		t.Fatal(err)
	}
	o, err := l.open().Authenticate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Download(t.Context(), "", nil); euicc.CodeOf(err) != "es9p-8.1-4.8" {
		t.Errorf("got %v", err)
	}
	if x := o.Cancellation(); x == nil || !x.Delivered || l.server.Stats().Requests[smdpsim.CancelSession] != 0 {
		t.Errorf("got %+v", x)
	}
}

// A cancelled context ends the download between two segments, and card and
// server are left in order all the same.
func TestContext(t *testing.T) {
	for _, at := range []int{0, 3} {
		l := newLab(t)
		code := l.order(smdpsim.Order{})
		c := l.open()
		o, err := c.Authenticate(t.Context(), code)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := o.Download(ctx, "", func(p Progress) {
			if p.Stage == euicc.StageLoadBPP && p.Segments == at {
				cancel()
			}
		})
		if r != nil || !errors.Is(err, context.Canceled) || euicc.CodeOf(err) != "cancelled" {
			t.Errorf("at %d: %+v, %v", at, r, err)
		}
		if st := l.status(); st.CancelReason != int(euicc.CancelPostponed) || !st.Canceled {
			t.Errorf("at %d: order %+v", at, st)
		}
		if o, err = c.Authenticate(t.Context(), code); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Download(t.Context(), "", nil); err != nil {
			t.Errorf("at %d: second try: %v", at, err)
		}
	}
}
