package lpa

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
	"dynamod/euicc/es9p"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// walkRow is one fault at one step of a download.
type walkRow struct {
	step, fault string
	rebind      smdpsim.Rebind
	arm         func(w *walk)
	want        outcome
}

// TestFaultWalk goes through every fault at every step of a download: where
// caller, card and server end, what the server is told, and what the same code is
// good for then. It prints the table.
//
// The rules behind the expectations are those of SGP.22 3.0.2 and 3.1.3: no
// session on the card, nothing to cancel; a lost line is "postponed", so that the
// order stays alive; a package in disorder or a segment that the card refuses is
// "loadBppExecutionError"; nothing is cancelled after a result; a server that
// refused knows that the session has ended.
func TestFaultWalk(t *testing.T) { walkAll(t, false) }

// TestFaultWalkSequential is the same for a card that sees nothing of a package
// before all of it is there: no row ends elsewhere.
func TestFaultWalkSequential(t *testing.T) { walkAll(t, true) }

func walkAll(t *testing.T, sequential bool) {
	whole := wholeDownload(t)
	var text bytes.Buffer
	table := newWalkTable(&text, "caller\tretry\tcard\tserver is told\torder\tsame code again")
	for _, row := range walkRows() {
		t.Run(strings.ReplaceAll(row.step+": "+row.fault, " ", "_"), func(t *testing.T) {
			w := newWalk(t, whole, row.rebind)
			w.cfg.Sequential = sequential
			row.arm(w)
			got := w.run()
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

func walkRows() []walkRow {
	var rows walkList
	rows.card()
	rows.requests()
	rows.serverData()
	rows.segments()
	rows.ends()
	rows.secondSession()
	rows.forms()
	return rows
}

type walkList []walkRow

func (r *walkList) add(step, fault string, arm func(*walk), want outcome) {
	*r = append(*r, walkRow{step: step, fault: fault, arm: arm, want: want})
}

// The outcomes that many rows share.
func success() outcome {
	return outcome{installed: true, result: true, reason: none, order: smdpsim.StateInstalled, again: notNeeded}
}

// unharmed: the order is as it was, and the server has nothing to learn.
func unharmed(code string, retry euicc.Retry) outcome {
	return outcome{code: code, retry: retry, reason: none, order: smdpsim.StateReleased, again: again}
}

// kept: the server was told "postponed", and the order lives on.
func kept(code string, retry euicc.Retry, order smdpsim.State) outcome {
	return outcome{code: code, retry: retry, reason: int(euicc.CancelPostponed), order: order, again: again}
}

// voided: the server was told a reason that ends the order.
func voided(code string, retry euicc.Retry, reason euicc.CancelReason) outcome {
	return outcome{code: code, retry: retry, reason: int(reason), order: smdpsim.StateCanceled, again: "es9p-8.2.6-3.8"}
}

// failed: the card has signed that the installation failed.
func failed(code string, retry euicc.Retry, order smdpsim.State, then string) outcome {
	return outcome{code: code, retry: retry, result: true, reason: none, order: order, again: then}
}

var (
	swFault  = euiccsim.Fault{Kind: euiccsim.FaultStatus, SW: 0x6F00}
	lost     = euiccsim.Fault{Kind: euiccsim.FaultLost}
	mute     = euiccsim.Fault{Kind: euiccsim.FaultMute}
	cut      = euiccsim.Fault{Kind: euiccsim.FaultPowerCut}
	cutAfter = euiccsim.Fault{Kind: euiccsim.FaultPowerCutAfter}
)

func atCard(tag bertlv.Tag, nth int, p part, f euiccsim.Fault) func(*walk) {
	return func(w *walk) { w.card(tag, nth, p, f) }
}

func atServer(faults ...smdpsim.Fault) func(*walk) {
	return func(w *walk) { w.serverFault(faults...) }
}

// card: the functions of the card before the package.
func (r *walkList) card() {
	for _, f := range []struct {
		name    string
		tag     bertlv.Tag
		session bool // the card and the server have opened theirs
	}{
		{"GetEUICCChallenge", 0xBF2E, false},
		{"AuthenticateServer", 0xBF38, false},
		{"PrepareDownload", 0xBF21, true},
	} {
		end := func(code string) outcome {
			if f.session {
				return kept(code, euicc.RetryNow, smdpsim.StateReleased)
			}
			return unharmed(code, euicc.RetryNow)
		}
		r.add(f.name, "SW 6F00 to the first block", atCard(f.tag, 1, firstBlock, swFault), end("sw-6F00"))
		r.add(f.name, "SW 6F00", atCard(f.tag, 1, lastBlock, swFault), end("sw-6F00"))
		r.add(f.name, "answer lost", atCard(f.tag, 1, lastBlock, lost), end("card-transport"))
		r.add(f.name, "not executed", atCard(f.tag, 1, lastBlock, mute), end("card-transport"))
		r.add(f.name, "rest of the answer lost", atCard(f.tag, 1, getResponse, lost), end("card-transport"))
		r.add(f.name, "rest of the answer refused", atCard(f.tag, 1, getResponse, swFault), end("sw-6F00"))
		// The reset that follows ends the card's session; nobody can sign for it then.
		r.add(f.name, "power cut before", atCard(f.tag, 1, lastBlock, cut), unharmed("card-transport", euicc.RetryNow))
		r.add(f.name, "power cut after", atCard(f.tag, 1, lastBlock, cutAfter), unharmed("card-transport", euicc.RetryNow))
		r.add(f.name, "slow", atCard(f.tag, 1, lastBlock, euiccsim.Fault{Kind: euiccsim.FaultSlow, Delay: time.Millisecond}), success())
	}
	r.add("AuthenticateServer", "the card's signature is wrong", func(w *walk) {
		w.aim.SetBehaviour(euiccsim.Behaviour{KeepSession: true, WrongSignature: true})
	}, unharmed("es9p-8.1-6.1", euicc.RetryNow))
}

// requests: the line and whatever answers in the server's place.
func (r *walkList) requests() {
	for _, fn := range []smdpsim.Function{smdpsim.InitiateAuthentication, smdpsim.AuthenticateClient, smdpsim.GetBoundProfilePackage} {
		// The server's session becomes one that can be cancelled when it has
		// executed AuthenticateClient; the package moves the order on.
		end := func(code string, retry euicc.Retry, executed bool) outcome {
			switch {
			case fn == smdpsim.InitiateAuthentication, fn == smdpsim.AuthenticateClient && !executed:
				return unharmed(code, retry)
			case fn == smdpsim.GetBoundProfilePackage && executed:
				return kept(code, retry, smdpsim.StateDownloaded)
			}
			return kept(code, retry, smdpsim.StateReleased)
		}
		f := func(kind smdpsim.FaultKind) smdpsim.Fault { return smdpsim.Fault{Kind: kind, Function: fn} }
		after := func(kind smdpsim.FaultKind, n int) smdpsim.Fault {
			return smdpsim.Fault{Kind: kind, Function: fn, After: n}
		}
		name := string(fn)
		lost := func(executed bool) outcome {
			if fn == smdpsim.InitiateAuthentication {
				return success() // sent once more: its connection was opened ahead
			}
			return end("net-unreachable", euicc.RetryLater, executed)
		}
		r.add(name, "request lost", atServer(f(smdpsim.FaultDropRequest)), lost(false))
		r.add(name, "answer lost", atServer(f(smdpsim.FaultDropAnswer)), lost(true))
		r.add(name, "answer breaks off", atServer(after(smdpsim.FaultDropAnswer, 200)), end("body-truncated", euicc.RetryNow, true))
		r.add(name, "body is cut", atServer(after(smdpsim.FaultTruncate, 200)), end("body-truncated", euicc.RetryNow, true))
		r.add(name, "HTML", atServer(f(smdpsim.FaultHTML)), end("http-200", euicc.RetryLater, true))
		r.add(name, "HTTP 500", atServer(f(smdpsim.FaultHTTPStatus)), end("http-500", euicc.RetryLater, false))
		r.add(name, "redirect", atServer(smdpsim.Fault{Kind: smdpsim.FaultRedirect, Function: fn, Location: "https://portal.test/"}), end("http-redirect", euicc.RetryLater, false))
		r.add(name, "status code", atServer(smdpsim.Fault{Kind: smdpsim.FaultStatus, Function: fn, Subject: "8.1", Reason: "4.8"}), unharmed("es9p-8.1-4.8", euicc.RetryAsk))
		r.add(name, "endless header", atServer(f(smdpsim.FaultHugeHeader)), end("http-header", euicc.RetryLater, true))
		endless := end("body-malformed", euicc.RetryNever, true)
		if fn == smdpsim.GetBoundProfilePackage { // the package has come, in disorder
			endless = voided("body-malformed", euicc.RetryNever, euicc.CancelLoadBPPError)
		}
		r.add(name, "endless body", atServer(after(smdpsim.FaultHugeBody, es9p.DefaultMaxBody+1)), endless)
		r.add(name, "slow", atServer(smdpsim.Fault{Kind: smdpsim.FaultSlow, Function: fn, Delay: time.Millisecond, Bandwidth: 8e6}), success())
		r.add(name, "slow, the caller gives up", func(w *walk) {
			w.serverFault(smdpsim.Fault{Kind: smdpsim.FaultSlow, Function: fn, Delay: time.Hour})
			w.giveUp = true
		}, end("cancelled", euicc.RetryLater, true))
		cancelToo := smdpsim.Fault{Kind: smdpsim.FaultDropRequest, Function: smdpsim.CancelSession}
		if fn != smdpsim.InitiateAuthentication {
			r.add(name, "line stays away", atServer(f(smdpsim.FaultDropAnswer), cancelToo), end("net-unreachable", euicc.RetryLater, true))
		}
	}
	bpp := smdpsim.GetBoundProfilePackage
	for _, kind := range []smdpsim.FaultKind{smdpsim.FaultDropAnswer, smdpsim.FaultTruncate} {
		// The card has had segments by then.
		r.add(string(bpp), string(kind)+" in the profile", atServer(smdpsim.Fault{Kind: kind, Function: bpp, After: 6000}), kept("body-truncated", euicc.RetryNow, smdpsim.StateDownloaded))
	}
}

// serverData: what the server says is wrong.
func (r *walkList) serverData() {
	for _, f := range []struct {
		step string
		kind smdpsim.FaultKind
		want outcome
	}{
		{"TLS", smdpsim.FaultTLSOtherCI, unharmed("tls-unknown-ca", euicc.RetryNever)},
		{"TLS", smdpsim.FaultTLSExpired, unharmed("tls-expired", euicc.RetryAsk)},
		{"TLS", smdpsim.FaultTLSWrongHost, unharmed("tls-wrong-host", euicc.RetryNever)},
		{"TLS", smdpsim.FaultTLSNotYetValid, unharmed("tls-not-yet-valid", euicc.RetryAsk)},
		{"TLS", smdpsim.FaultTLS12, success()},
		{"TLS", smdpsim.FaultTLS13, success()},
		{"TLS", smdpsim.FaultTLSHandshake, unharmed("tls-handshake", euicc.RetryLater)},
		{"initiateAuthentication", smdpsim.FaultServerSignature, unharmed("es10-authenticateServer-invalidSignature", euicc.RetryNow)},
		{"initiateAuthentication", smdpsim.FaultEUICCChallenge, unharmed("server-challenge", euicc.RetryNever)},
		{"initiateAuthentication", smdpsim.FaultServerAddress, unharmed("server-address", euicc.RetryNever)},
		{"initiateAuthentication", smdpsim.FaultTransactionID, unharmed("server-transaction", euicc.RetryNever)},
		{"initiateAuthentication", smdpsim.FaultDPauthOtherCI, unharmed("es10-authenticateServer-invalidCertificate", euicc.RetryNever)},
		{"initiateAuthentication", smdpsim.FaultDPauthExpired, unharmed("server-expired", euicc.RetryAsk)},
		{"initiateAuthentication", smdpsim.FaultDPauthNotYetValid, unharmed("server-not-yet-valid", euicc.RetryAsk)},
		{"authenticateClient", smdpsim.FaultNotReleased, unharmed("es9p-8.2-1.2", euicc.RetryLater)},
		{"authenticateClient", smdpsim.FaultSMDPSignature2, voided("es10-prepareDownload-invalidSignature", euicc.RetryNow, euicc.CancelUndefined)},
		{"authenticateClient", smdpsim.FaultDPpbOtherCI, voided("es10-prepareDownload-invalidCertificate", euicc.RetryNow, euicc.CancelUndefined)},
		// Our clock may be wrong: the order has to outlive its correction.
		{"authenticateClient", smdpsim.FaultDPpbExpired, kept("server-expired", euicc.RetryAsk, smdpsim.StateReleased)},
		{"authenticateClient", smdpsim.FaultDPpbNotYetValid, kept("server-not-yet-valid", euicc.RetryAsk, smdpsim.StateReleased)},
		{"getBoundProfilePackage", smdpsim.FaultBPPMissingPart, voided("bpp-malformed", euicc.RetryNever, euicc.CancelLoadBPPError)},
		{"getBoundProfilePackage", smdpsim.FaultBPPEmptyPart, voided("bpp-malformed", euicc.RetryNever, euicc.CancelLoadBPPError)},
		{"getBoundProfilePackage", smdpsim.FaultBPPSwappedParts, voided("bpp-malformed", euicc.RetryNever, euicc.CancelLoadBPPError)},
		{"getBoundProfilePackage", smdpsim.FaultBPPSurplusPart, voided("bpp-malformed", euicc.RetryNever, euicc.CancelLoadBPPError)},
		{"getBoundProfilePackage", smdpsim.FaultBPPTransaction, voided("bpp-malformed", euicc.RetryNever, euicc.CancelLoadBPPError)},
		{"getBoundProfilePackage", smdpsim.FaultMetadataMismatch, voided("metadata-mismatch", euicc.RetryNever, euicc.CancelMetadataMismatch)},
		{"segments", smdpsim.FaultBPPSignature, failed("install-signature", euicc.RetryNewCode, smdpsim.StateError, "es9p-8.2.6-3.8")},
		{"segments", smdpsim.FaultBPPMAC, failed("install-scp03t-security", euicc.RetryNewCode, smdpsim.StateError, "es9p-8.2.6-3.8")},
	} {
		r.add(f.step, string(f.kind), atServer(smdpsim.Fault{Kind: f.kind}), f.want)
	}
}

// segments: the package on its way to the card.
func (r *walkList) segments() {
	for _, s := range []struct {
		name string
		tag  bertlv.Tag
		nth  int
	}{{"first segment", 0xBF36, 1}, {"segment in the middle", 0x86, 3}, {"last segment", 0x86, 0}} {
		last := s.nth == 0
		unknown := outcome{code: "card-transport", retry: euicc.RetryNow, unknown: true, reason: none, order: smdpsim.StateDownloaded, again: again}
		done := unknown // but its result is found on the card
		done.installed, done.result, done.order, done.again = true, true, smdpsim.StateInstalled, notNeeded
		lostLine := kept("card-transport", euicc.RetryNow, smdpsim.StateDownloaded)
		r.add(s.name, "SW 6F00", atCard(s.tag, s.nth, lastBlock, swFault), voided("sw-6F00", euicc.RetryNow, euicc.CancelLoadBPPError))
		r.add(s.name, "not executed", atCard(s.tag, s.nth, lastBlock, mute), lostLine)
		r.add(s.name, "power cut before", atCard(s.tag, s.nth, lastBlock, cut), unknown)
		if !last {
			r.add(s.name, "answer lost", atCard(s.tag, s.nth, lastBlock, lost), lostLine)
			r.add(s.name, "power cut after", atCard(s.tag, s.nth, lastBlock, cutAfter), unknown)
			continue
		}
		r.add(s.name, "answer lost", atCard(s.tag, s.nth, lastBlock, lost), success())
		r.add(s.name, "rest of the result lost", atCard(s.tag, s.nth, getResponse, lost), success())
		r.add(s.name, "rest of the result refused", atCard(s.tag, s.nth, getResponse, swFault), success())
		r.add(s.name, "power cut after", atCard(s.tag, s.nth, lastBlock, cutAfter), done)
		r.add(s.name, "power cut in the result", atCard(s.tag, s.nth, getResponse, cut), done)
	}
	r.add("segments", "no memory on the card", func(w *walk) {
		w.aim.SetBehaviour(euiccsim.Behaviour{KeepSession: true, NoMemory: true})
	}, kept("memory", euicc.RetryAsk, smdpsim.StateDownloaded))
}

// ends: what comes after the installation, or after its failure.
func (r *walkList) ends() {
	mismatch := smdpsim.Fault{Kind: smdpsim.FaultMetadataMismatch}
	mismatched := voided("metadata-mismatch", euicc.RetryNever, euicc.CancelMetadataMismatch)
	for _, f := range []struct {
		name   string
		fault  smdpsim.Fault
		report outcome // what becomes of a result that is on its way
	}{
		// A report may come twice: one that got no answer on a kept connection
		// is sent once more at once.
		{"request lost", smdpsim.Fault{Kind: smdpsim.FaultDropRequest}, outcome{}},
		{"answer lost", smdpsim.Fault{Kind: smdpsim.FaultDropAnswer}, outcome{}},
		// Any 2xx delivers a report, whatever its body, and TLS says who answered.
		{"HTML", smdpsim.Fault{Kind: smdpsim.FaultHTML}, outcome{}},
		{"HTTP 500", smdpsim.Fault{Kind: smdpsim.FaultHTTPStatus}, outcome{code: "http-500", retry: euicc.RetryLater}},
		{"redirect", smdpsim.Fault{Kind: smdpsim.FaultRedirect, Location: "https://portal.test/"}, outcome{code: "http-redirect", retry: euicc.RetryLater}},
	} {
		report, cancel := f.fault, f.fault
		report.Function, cancel.Function = smdpsim.HandleNotification, smdpsim.CancelSession
		want := success()
		want.code, want.retry = f.report.code, f.report.retry
		r.add("handleNotification", f.name, func(w *walk) { w.deliver = &report }, want)
		r.add("cancelSession (server)", f.name, atServer(mismatch, cancel), mismatched)
	}
	for _, f := range []struct {
		name  string
		part  part
		fault euiccsim.Fault
		want  outcome
	}{
		// The card has signed, and what it signed is lost with the answer.
		{"answer lost", lastBlock, lost, outcome{code: "metadata-mismatch", retry: euicc.RetryNever, reason: none, order: smdpsim.StateDownloaded, again: again}},
		{"rest of the answer lost", getResponse, lost, outcome{code: "metadata-mismatch", retry: euicc.RetryNever, reason: none, order: smdpsim.StateDownloaded, again: again}},
		// The session is still there, and ended by what the caller has noted.
		{"not executed", lastBlock, mute, kept("metadata-mismatch", euicc.RetryNever, smdpsim.StateDownloaded)},
		{"SW 6F00", lastBlock, swFault, kept("metadata-mismatch", euicc.RetryNever, smdpsim.StateDownloaded)},
	} {
		r.add("CancelSession (card)", f.name, func(w *walk) {
			w.serverFault(mismatch)
			w.card(0xBF41, 1, f.part, f.fault)
		}, f.want)
	}
}

// secondSession: the package broke off, and the order is asked for again. What
// the server does about its binding is its own affair (SGP.22 3.1.3, 5.6.2).
func (r *walkList) secondSession() {
	for _, row := range []struct {
		rebind smdpsim.Rebind
		newKey bool
		again  string
	}{
		{smdpsim.RebindReuse, false, again},
		{smdpsim.RebindReuse, true, again},
		{smdpsim.RebindNew, false, again},
		{smdpsim.RebindNew, true, again},
		{smdpsim.RebindSameKey, false, again},
		{smdpsim.RebindSameKey, true, "es9p-8.2-3.7"},
		{smdpsim.RebindFinal, false, "es9p-8.2-3.7"},
		{smdpsim.RebindFinal, true, "es9p-8.2-3.7"},
	} {
		name := "server: " + map[smdpsim.Rebind]string{"": "reuse"}[row.rebind] + string(row.rebind) + ", card: key again"
		if row.newKey {
			name = strings.Replace(name, "key again", "new key", 1)
		}
		want := kept("body-truncated", euicc.RetryNow, smdpsim.StateDownloaded)
		want.again = row.again
		r.add("second session", name, func(w *walk) {
			w.aim.SetBehaviour(euiccsim.Behaviour{KeepSession: true, NewKeyAlways: row.newKey})
			w.serverFault(smdpsim.Fault{Kind: smdpsim.FaultDropAnswer, Function: smdpsim.GetBoundProfilePackage, After: 6000})
		}, want)
		(*r)[len(*r)-1].rebind = row.rebind
	}
}

// forms: no fault at all, but answers as odd servers and later cards give them.
func (r *walkList) forms() {
	r.add("all answers", "unknown data objects of card and server", func(w *walk) {
		w.aim.SetBehaviour(euiccsim.Behaviour{KeepSession: true, Surplus: true})
		upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: testICCID, IMSI: "001010000000001"})
		if err != nil {
			w.Fatal(err)
		}
		w.lab.order(smdpsim.Order{MatchingID: "LATER", UPP: upp, Metadata: smdpsim.Metadata{Extra: []byte{0x9F, 0x7E, 1, 0x2A, 0xBF, 0x7E, 2, 0x80, 0}}})
		w.code.MatchingID = "LATER"
	}, success())
	for _, f := range []smdpsim.Form{
		{First: []string{"boundProfilePackage"}},
		{First: []string{"transactionId", "boundProfilePackage", "header"}},
		{First: []string{"header", "transactionId"}},
		{Slash: smdpsim.SlashEscaped},
		{Slash: smdpsim.SlashCode},
		{Lines: 76},
		{Padding: smdpsim.PaddingMissing},
		{Padding: smdpsim.PaddingSurplus},
		{Surplus: true},
		{Nulls: true},
		{Spaces: true},
		{Gzip: true},
		{Chunked: 100},
		{Slash: smdpsim.SlashCode, Lines: 64, Padding: smdpsim.PaddingSurplus, Surplus: true, Spaces: true, Gzip: true, Chunked: 333},
	} {
		r.add("all answers", f.String(), func(w *walk) {
			if err := w.server.SetForm(f); err != nil {
				w.Fatal(err)
			}
		}, success())
	}
	// A refusal is one whatever stands beside it: nothing is cancelled, the order lives.
	for _, f := range []smdpsim.Form{
		{Nulls: true},
		{Nulls: true, First: []string{"transactionId", "boundProfilePackage"}},
		{Nulls: true, First: []string{"header"}, Spaces: true},
	} {
		r.add("getBoundProfilePackage", "status code, "+f.String(), func(w *walk) {
			w.serverFault(smdpsim.Fault{Kind: smdpsim.FaultStatus, Function: smdpsim.GetBoundProfilePackage, Subject: "8.2.7", Reason: "3.8"})
			if err := w.server.SetForm(f); err != nil {
				w.Fatal(err)
			}
		}, unharmed("es9p-8.2.7-3.8", euicc.RetryAsk))
	}
}
