package lpa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/es10"
	"dynamod/euicc/es9p"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// found is where a discovery has to end.
type found struct {
	code  string // of the caller's error; "" is success
	retry euicc.Retry
	open  bool // the card still had the session, and the caller ended it by what it had noted
	shown int  // how often the server gave the event out
}

func (f found) String() string {
	code, card := f.code, "no session"
	if code == "" {
		code = "success"
	}
	if f.open {
		card = "session, ended"
	}
	return strings.Join([]string{code, string(f.retry), card, fmt.Sprint(f.shown)}, "\t")
}

// discoveryRow is one fault at one step of a discovery.
type discoveryRow struct {
	step, fault string
	tag         bertlv.Tag // of the card's function, or 0
	part        part
	card        euiccsim.Fault
	server      smdpsim.Fault
	giveUp      bool
	want        found
}

// TestFaultWalkDiscovery goes through the faults at every step of a discovery at
// an SM-DS (SGP.22 3.6.2), with a card that keeps its sessions. After each, what
// the caller has noted is enough to begin again, without a reset unless the power
// failed, and the next discovery finds the event. It prints the table.
func TestFaultWalkDiscovery(t *testing.T) {
	var text bytes.Buffer
	table := newWalkTable(&text, "caller\tretry\tcard\tevent given out")
	for _, row := range discoveryRows() {
		t.Run(strings.ReplaceAll(row.step+": "+row.fault, " ", "_"), func(t *testing.T) {
			got := row.walk(t)
			if got != row.want {
				t.Errorf("\n got %s\nwant %s", strings.ReplaceAll(got.String(), "\t", " | "), strings.ReplaceAll(row.want.String(), "\t", " | "))
			}
			table.row(row.step, row.fault, got.String())
		})
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &text)
}

func (row discoveryRow) walk(t *testing.T) (got found) {
	w := newWalk(t, nil, smdpsim.RebindReuse)
	d := w.smds(smdsHost)
	w.register(d, "EVENT-1", testHost)
	w.card(row.tag, 1, row.part, row.card)
	if row.server.Kind != "" {
		row.server.Times = 1
		if err := d.SetFault(row.server); err != nil {
			t.Fatal(err)
		}
		w.struck = func() bool { return len(d.FaultsSet()) == 0 }
	}
	c := w.open()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if row.giveUp {
		done := make(chan struct{})
		defer func() { cancel(); <-done }()
		go func() {
			defer close(done)
			for ctx.Err() == nil && !w.struck() {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
	}
	events, err := c.Discover(ctx, smdsHost)
	if err != nil {
		e, ok := errors.AsType[*euicc.Error](err)
		if !ok {
			t.Fatalf("an error of another type: %v", err)
		}
		got.code, got.retry = e.Code, e.Retry
	} else if len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	if !w.struck() {
		t.Error("the fault did not act")
	}
	d.ClearFaults()
	w.aim.SetFault()
	got.shown = d.Events()[0].Shown
	if row.card.Kind == euiccsim.FaultPowerCut || row.card.Kind == euiccsim.FaultPowerCutAfter {
		_ = c.Close() // it does not answer
		w.aim.Reset()
		c = w.open()
	}
	if w.begun != "" {
		_, err := c.CancelSession(t.Context(), "", w.begun, euicc.CancelPostponed)
		if err != nil && !errors.Is(err, es10.ErrNotFound) {
			t.Errorf("ending what was left open: %v", err)
		}
		got.open = err == nil
	}
	if len(w.cancelled) > 0 {
		t.Errorf("kept for a server that takes none: %v", w.cancelled)
	}
	if events, err := c.Discover(t.Context(), smdsHost); err != nil || len(events) != 1 || events[0].ID != "EVENT-1" {
		t.Errorf("again: %v, %v", events, err)
	}
	return got
}

func discoveryRows() (rows []discoveryRow) {
	card := func(step string, tag bertlv.Tag, name string, p part, f euiccsim.Fault, want found) {
		rows = append(rows, discoveryRow{step: step, fault: name, tag: tag, part: p, card: f, want: want})
	}
	sw, gone, all := found{code: "sw-6F00", retry: euicc.RetryNow}, found{code: "card-transport", retry: euicc.RetryNow}, found{shown: 1}
	for _, f := range []struct {
		name string
		tag  bertlv.Tag
	}{{"GetEUICCChallenge", 0xBF2E}, {"AuthenticateServer", 0xBF38}} {
		card(f.name, f.tag, "SW 6F00 to the first block", firstBlock, swFault, sw)
		card(f.name, f.tag, "SW 6F00", lastBlock, swFault, sw)
		card(f.name, f.tag, "answer lost", lastBlock, lost, gone)
		card(f.name, f.tag, "not executed", lastBlock, mute, gone)
		card(f.name, f.tag, "rest of the answer lost", getResponse, lost, gone)
		card(f.name, f.tag, "rest of the answer refused", getResponse, swFault, sw)
		card(f.name, f.tag, "power cut before", lastBlock, cut, gone)
		card(f.name, f.tag, "power cut after", lastBlock, cutAfter, gone)
		card(f.name, f.tag, "slow", lastBlock, euiccsim.Fault{Kind: euiccsim.FaultSlow, Delay: time.Millisecond}, all)
	}
	// The events are known by then; what stays open is ended by what was noted.
	left := found{shown: 1, open: true}
	card("CancelSession (card)", 0xBF41, "SW 6F00", lastBlock, swFault, left)
	card("CancelSession (card)", 0xBF41, "not executed", lastBlock, mute, left)
	card("CancelSession (card)", 0xBF41, "answer lost", lastBlock, lost, all)
	card("CancelSession (card)", 0xBF41, "rest of the answer lost", getResponse, lost, all)
	card("CancelSession (card)", 0xBF41, "rest of the answer refused", getResponse, swFault, all)
	card("CancelSession (card)", 0xBF41, "power cut before", lastBlock, cut, all)
	card("CancelSession (card)", 0xBF41, "power cut after", lastBlock, cutAfter, all)

	for _, fn := range []smdpsim.Function{smdpsim.InitiateAuthentication, smdpsim.AuthenticateClient} {
		server := func(name string, f smdpsim.Fault, executed bool, code string, retry euicc.Retry) {
			f.Function = fn
			want := found{code: code, retry: retry}
			if executed && fn == smdpsim.AuthenticateClient {
				want.shown = 1
			}
			if fn == smdpsim.InitiateAuthentication && (f.Kind == smdpsim.FaultDropRequest || f.Kind == smdpsim.FaultDropAnswer) && f.After == 0 {
				want = all // sent once more: its connection was opened ahead
			}
			rows = append(rows, discoveryRow{step: string(fn), fault: name, server: f, giveUp: f.Delay == time.Hour, want: want})
		}
		server("request lost", smdpsim.Fault{Kind: smdpsim.FaultDropRequest}, false, "net-unreachable", euicc.RetryLater)
		server("answer lost", smdpsim.Fault{Kind: smdpsim.FaultDropAnswer}, true, "net-unreachable", euicc.RetryLater)
		server("answer breaks off", smdpsim.Fault{Kind: smdpsim.FaultDropAnswer, After: 60}, true, "body-truncated", euicc.RetryNow)
		server("body is cut", smdpsim.Fault{Kind: smdpsim.FaultTruncate, After: 60}, true, "body-truncated", euicc.RetryNow)
		server("HTML", smdpsim.Fault{Kind: smdpsim.FaultHTML}, true, "http-200", euicc.RetryLater)
		server("HTTP 500", smdpsim.Fault{Kind: smdpsim.FaultHTTPStatus}, false, "http-500", euicc.RetryLater)
		server("redirect", smdpsim.Fault{Kind: smdpsim.FaultRedirect, Location: "https://portal.test/"}, false, "http-redirect", euicc.RetryLater)
		server("status code", smdpsim.Fault{Kind: smdpsim.FaultStatus, Subject: "8.1", Reason: "4.8"}, false, "es9p-8.1-4.8", euicc.RetryAsk)
		server("endless header", smdpsim.Fault{Kind: smdpsim.FaultHugeHeader}, true, "http-header", euicc.RetryLater)
		server("endless body", smdpsim.Fault{Kind: smdpsim.FaultHugeBody, After: es9p.DefaultMaxBody + 1}, true, "body-malformed", euicc.RetryNever)
		server("slow, the caller gives up", smdpsim.Fault{Kind: smdpsim.FaultSlow, Delay: time.Hour}, true, "cancelled", euicc.RetryLater)
	}
	for _, f := range []struct {
		kind  smdpsim.FaultKind
		code  string
		retry euicc.Retry
	}{
		{smdpsim.FaultServerSignature, "es10-authenticateServer-invalidSignature", euicc.RetryNow},
		{smdpsim.FaultEUICCChallenge, "server-challenge", euicc.RetryNever},
		{smdpsim.FaultServerAddress, "server-address", euicc.RetryNever},
		{smdpsim.FaultTransactionID, "server-transaction", euicc.RetryNever},
	} {
		rows = append(rows, discoveryRow{step: "initiateAuthentication", fault: string(f.kind), server: smdpsim.Fault{Kind: f.kind}, want: found{code: f.code, retry: f.retry}})
	}
	return rows
}
