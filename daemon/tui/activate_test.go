package tui

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/activation"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

const secretCode = "LPA:1$smdp.example.com$SECRET-ID"

// accepts makes the daemon take a request.
func (s *screenOf) accepts() {
	s.daemon.answers["POST /v1/activations"] = activation.Record{ID: "RUN1", State: activation.Accepted, SMDP: "smdp.example.com", Started: s.clock}
}

// TestActivate goes through a whole activation as a person does.
func TestActivate(t *testing.T) {
	for name, look := range themes {
		for _, size := range [][2]int{{80, 24}, {40, 12}, {200, 60}} {
			t.Run(name, func(t *testing.T) {
				s := newScreen(t, look, size[0], size[1])
				s.accepts()
				snap := upSnapshot()
				snap.State, snap.Link = status.Down, nil
				s.send(attachedMsg{snap})
				s.keys("3")
				s.sees("Activation code", "Discovery")
				s.keys("enter")
				s.sees("LPA:1$smdp.")
				s.keys(secretCode)
				s.sees("SM-DP+ smdp.example.com", "Activation code: ****")
				s.keys("enter")
				s.asked(`POST /v1/activations {"code":"` + secretCode + `"}`)
				s.sees("checking modem, card")

				s.state(activation.Authenticated)
				s.run(func(r *status.Run) {
					r.State, r.Waiting, r.ICCID, r.Provider, r.Profile = "waiting", "consent", "8900000000000000034", "Exa\x1bmple", "IoT 3"
					r.PolicyRules, r.APN, r.APNReason, r.Previous = "ppr2", "iot.example", "operators.d/example.json", "8900000000000000018"
				})
				s.sees("waiting for consent", "Exa?mple", "8900000000000000034")
				s.keys("pgdown")
				s.keys("y")
				s.asked(`POST /v1/activations/RUN1/answer {"consent":true}`)
				s.keys("pgup")

				s.run(func(r *status.Run) {
					r.State, r.Waiting, r.Progress = "downloading", "", &status.Progress{Done: 0, Total: 40_000}
				})
				s.clock = s.clock.Add(5 * time.Second)
				s.run(func(r *status.Run) {
					r.Progress = &status.Progress{Done: 20_000, Total: 40_000, Segments: 7, TotalSegments: 15}
				})
				s.sees("50 %", "20.0 kB of 40.0 kB", "segment 7 of 15")
				if size[0] > 40 {
					s.sees("4.0 kB/s  5s left")
				}
				s.state(activation.Enabling)
				s.sees("enabling profile 8900000000000000034")
				s.state(activation.Attaching)
				end := s.clock
				s.run(func(r *status.Run) {
					r.State, r.Outcome, r.Ended = "done", status.Committed, &end
					r.Figures = &status.Figures{APDUs: 30, APDUBytes: 60_000, HTTPRequests: 4, TLSHandshakes: 1, ElapsedMS: 12_345}
				})
				s.sees("committed: ICCID", "8900000000000000034")
				s.keys("enter")
				s.sees("Activation code", "type or paste") // the next one
			})
		}
	}
}

// A paste goes to the code, whatever the copying has left around it, and is never
// taken for keys.
func TestPasteCode(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.accepts()
	s.send(attachedMsg{upSnapshot()})
	s.send(tea.PasteMsg{Content: "q"}) // not here
	s.keys("3")
	s.send(tea.PasteMsg{Content: "\r\n \u200b" + secretCode + "  \r\nsecond line"})
	s.sees("SM-DP+ smdp.example.com")
	s.keys("enter")
	s.asked(`POST /v1/activations {"code":" ` + secretCode + `  "}`)
	if s.quit {
		t.Error("a paste has left it")
	}
}

// A terminal without bracketed paste types a code, none of whose characters is a key:
// here of a code with q for leave, and e and y for enable and yes in it.
func TestTypedCode(t *testing.T) {
	for _, row := range []struct{ name, view, code string }{
		{"LPA:", "3", "LPA:1$rsp.q2ey.example$SECRET"},
		{"lower case", "3", "lpa:1$rsp.q2ey.example$SECRET"},
		{"without LPA:", "3", "1$rsp.q2ey.example$SECRET"},
		{"in another view", "2", "1$rsp.q2ey.example$SECRET"},
		{"behind lpa: in the console", "7lpa:", "1$rsp.q2ey.example$SECRET"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newScreen(t, full, 80, 24)
			s.accepts()
			s.send(attachedMsg{upSnapshot()})
			s.keys(row.view, row.code)
			s.sees("SM-DP+ rsp.q2ey.example")
			s.keys("enter")
			s.asked(`POST /v1/activations {"code":"` + row.code + `"}`)
			if s.quit {
				t.Error("a code has left it")
			}
		})
	}
	s := newScreen(t, full, 80, 24) // beside an activation that asks
	s.send(attachedMsg{upSnapshot()})
	s.run(func(r *status.Run) { r.State, r.Waiting = "waiting", "consent" })
	s.keys("3", "LPA:1$rsp.yn.example$SECRET")
	s.asked()
	s.sees("SM-DP+ rsp.yn.example")
}

func TestActivateRefused(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.send(attachedMsg{upSnapshot()})
	s.keys("3", "enter", "LPA:2$smdp.example.com$SECRET", "enter")
	s.sees("malformed activation code")
	s.asked()
	// The daemon turns it down.
	s.daemon.answers["POST /v1/activations"] = problem("busy", "another activation is under way", "wait for its end", 409)
	s.keys("enter", secretCode, "enter")
	s.sees("another activation is under way; wait for its end", "Activation code")
	s.asked(`POST /v1/activations {"code":"` + secretCode + `"}`)
	// Left with Esc.
	s.keys("enter", secretCode, "esc")
	s.asked()
	s.seesNot("****")
	// A code of a later version.
	s.keys("enter", "LPA:1$smdp.example.com$SECRET$$1$x$y", "enter")
	s.sees("Leave them")
	s.keys("n")
	s.asked()
}

// The other ways to a profile, with an APN and without enabling it.
func TestActivateWithoutCode(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.accepts()
	s.send(attachedMsg{upSnapshot()})
	s.keys("3", "down", "down", "down", "enter", "iot.example", "enter", "down", "enter")
	s.sees("iot.example", "no, install it only")
	s.keys("up", "up", "up", "enter")
	s.asked(`POST /v1/activations {"discover":true,"enable":false,"apn":{"apn":"iot.example"}}`)
	s.run(func(r *status.Run) {
		r.State, r.Waiting, r.InstallOnly, r.ICCID, r.Previous, r.PolicyRules = "waiting", "consent", true, "8900000000000000034", "8900000000000000018", "ppr1"
	})
	s.sees("Install it, and leave it disabled?", "it stays disabled", "deliver notifications")
	s.seesNot("switch to the profile", "replaces", "NEVER")
}

// A daemon that goes away while it is given a request gets the same one again.
func TestSubmitAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, full, 80, 24)
		s.daemon.answers["POST /v1/activations"] = errLine
		s.send(attachedMsg{upSnapshot()})
		s.keys("3")
		s.activate.askCode()
		s.prompt.insert(secretCode)
		_, cmd := s.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
		s.sees("Giving it to the daemon")
		done := make(chan tea.Msg)
		go func() { done <- cmd() }()
		synctest.Wait() // until it pauses after the first try
		s.daemon.mu.Lock()
		s.accepts()
		s.daemon.mu.Unlock()
		s.send(<-done)
		s.sees("checking modem, card and the way to smdp.example.com")
		request := `POST /v1/activations {"code":"` + secretCode + `"}`
		s.asked(request, request)
		if k := s.daemon.keys; len(k) != 2 || k[0] != k[1] || k[0] == "" {
			t.Errorf("idempotency keys %q, want the same one twice", k)
		}
	})
}

// A confirmation code is asked for by itself, again after a typo, and not any more
// when somebody else has answered.
func TestConfirmationCode(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.send(attachedMsg{upSnapshot()})
	s.keys("3")
	waits := func(r *status.Run) { r.State, r.Waiting = "waiting", "confirmation-code" }
	s.run(waits)
	s.sees("Confirmation code: ")
	s.keys("SECRET-CC", "enter")
	s.asked(`POST /v1/activations/RUN1/answer {"confirmation_code":"SECRET-CC"}`)
	s.state(activation.Authenticated)
	s.run(waits)
	s.sees("The server refused it, tries are counted. Confirmation code")
	s.keys("SECRET", "esc")
	s.asked()
	s.run(func(r *status.Run) { r.Resumes++ })
	s.seesNot("Confirmation code") // it was left; enter asks
	s.keys("enter")
	s.sees("Confirmation code")
	s.state(activation.Downloading)
	s.seesNot("Confirmation code")
	s.sees("answered elsewhere")
	// In another view it is not in the way.
	s.keys("1")
	s.run(waits)
	s.seesNot("Confirmation code")
	s.sees("[confirmation-code]")
	s.keys("3")
	s.sees("Confirmation code")
}

func TestRefuseAndCancel(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.send(attachedMsg{upSnapshot()})
	s.keys("3")
	s.run(func(r *status.Run) { r.State, r.Waiting = "waiting", "consent" })
	s.keys("n")
	s.asked(`POST /v1/activations/RUN1/answer {"consent":false}`)
	s.run(func(r *status.Run) {
		r.Waiting, r.PolicyRules, r.Previous = "no-way-back", "ppr1", "8900000000000000018"
	})
	s.sees("NEVER be disabled again (PPR1)", "PPR1, it cannot be disabled", "for good?")
	s.keys("y")
	s.asked(`POST /v1/activations/RUN1/answer {"no_way_back":true}`)
	s.keys("c")
	s.sees("Cancel this activation?")
	s.keys("x")
	s.asked()
	s.keys("c", "y")
	s.asked("DELETE /v1/activations/RUN1")
	s.daemon.answers["DELETE /v1/activations/RUN1"] = problem("too-late", "the profile is on the card", "", 409)
	s.keys("c", "y")
	s.sees("the profile is on the card")
}

func TestResult(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  status.Run
		want []string
	}{
		{"rolled back", status.Run{Outcome: status.RolledBack, Previous: "8900000000000000018", Error: &status.Problem{Code: "no-network", Text: "no registration within 5m0s", Advice: "look at the antenna", Retry: "later"}},
			[]string{"rolled back to profile 8900000000000000018: no registration", "no-network", "look at the antenna", "yes, later"}},
		{"a used code", status.Run{Outcome: status.Failed, Error: &status.Problem{Code: "es9p-8.2.6-3.8", Text: "the matching ID is refused", Advice: "ask the operator for another code", Retry: "new-code"}},
			[]string{"failed: the matching ID is refused", "ask the operator for another code", "with another code"}},
	} {
		s := newScreen(t, full, 80, 24)
		s.send(attachedMsg{upSnapshot()})
		s.keys("3")
		s.state(activation.Attaching)
		s.run(func(r *status.Run) {
			*r = tt.run
			r.ID, r.State, r.Ended = "RUN1", "failed", pointer(s.clock)
		})
		s.sees(tt.want...)
	}
	// The way back, while it goes on.
	s := newScreen(t, full, 80, 24)
	s.send(attachedMsg{upSnapshot()})
	s.keys("3")
	s.run(func(r *status.Run) {
		r.State, r.Previous, r.Error = "undoing", "8900000000000000018", &status.Problem{Text: "no registration"}
	})
	s.sees("no link, going back to profile 8900000000000000018", "the way back: no registration")
}

// Only so many figures of a download are drawn, but the last ones are.
func TestProgressIsCalm(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.send(attachedMsg{upSnapshot()})
	s.keys("3")
	screens := map[string]bool{}
	for done := 0; done <= 100_000; done += 500 {
		s.clock = s.clock.Add(50 * time.Millisecond)
		s.run(func(r *status.Run) {
			r.State, r.Progress = "downloading", &status.Progress{Done: done, Total: 100_000, Segments: 1 + done/1000}
		})
		screens[s.text()] = true
	}
	s.sees("100 %  100.0 kB of 100.0 kB")
	if n := len(screens); n < 10 || n > 25 {
		t.Errorf("%d screens in 10 s, want some 20", n)
	}
}

func TestCodeHint(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "LPA:1$smdp.example.com$MATCHING-ID",
		secretCode:                           "SM-DP+ smdp.example.com",
		"1$smdp.example.com$SECRET$$1":       "SM-DP+ smdp.example.com, with a confirmation code",
		"LPA:1$smdp.example.com$SECRET$$1$x": "and 1 fields of a later version",
		"LPA:1$SECRET SECRET$x":              "malformed activation code",
	} {
		if got := codeHint(text); !strings.Contains(got, want) || strings.Contains(got, "SECRET") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzPaste gives the prompt whatever may be in a clipboard.
func FuzzPaste(f *testing.F) {
	for _, seed := range []string{secretCode, "\n\n" + secretCode + "\r\n", "\x1b[201~\x00\u200b\u202e" + secretCode, strings.Repeat("界", 2000), " ", "é\xff"} {
		f.Add(seed, seed, uint8(3))
	}
	f.Fuzz(func(t *testing.T, first, second string, at uint8) {
		p := &prompt{title: "x", masked: at%2 == 0}
		p.insert(first)
		n := len(p.value)
		p.at = int(at) % (n + 1)
		p.insert(second)
		if len(p.value) < n || len(p.value) > maxTyped || p.at > len(p.value) {
			t.Fatalf("%d characters, then %d, cursor at %d", n, len(p.value), p.at)
		}
		for _, look := range themes {
			for _, width := range []int{1, 10, 79} {
				line, column := p.shown(look, width)
				if strings.ContainsAny(line, "\x1b\n\r\t") || column >= max(width, 1)+1 || p.masked && strings.Trim(line, "*") != "" {
					t.Fatalf("width %d: column %d of %q", width, column, line)
				}
			}
		}
		kept := p.value
		p.forget()
		for _, r := range kept {
			if r != 0 {
				t.Fatal("a secret is left in memory")
			}
		}
		codeHint(string(pasted(first)))
	})
}

// TestPortal lists the operators and shows the QR of a portal, whose address is left as
// it is.
func TestPortal(t *testing.T) {
	s := newScreen(t, themes["xterm"], 200, 60)
	s.send(attachedMsg{upSnapshot()})
	s.keys("3")
	s.sees("Buy a plan", "its QR is shown")
	s.keys("up", "enter") // the last row
	s.sees("nothing there")
	s.daemon.answers["GET /v1/dynamo/operators"] = hook.Operators{Offline: true}
	s.keys("enter")
	s.sees("no list of operators is kept here")
	s.daemon.answers["GET /v1/dynamo/operators"] = hook.Operators{Operators: []hook.Seller{{ID: "contoso", Brand: "Con\x1btoso"}, {ID: "fabrikam", Brand: "Fabrikam"}}}
	s.keys("enter")
	s.sees("of Con?toso, as a QR", "of Fabrikam, as a QR")
	const portal = "https://contoso.example/mp?eid=89049032123451234512345678901235&transactionId=dynamod-1&state=aBc"
	s.daemon.answers["POST /v1/dynamo/visits"] = hook.PortalVisit{Transaction: "dynamod-1", Brand: "Contoso", URL: portal}
	s.keys("down", "enter")
	const list = "GET /v1/dynamo/operators"
	s.asked(list, list, list, `POST /v1/dynamo/visits {"operator":"contoso"}`)
	s.sees("Portal", "contoso.example/mp?eid=")
	s.keys("x")
	s.sees("Buy a plan")
	snap := upSnapshot()
	snap.Visit = &status.Visit{Transaction: "dynamod-1", Operator: "contoso", Brand: "Contoso", Plan: "1 GB", State: status.VisitDone}
	s.send(attachedMsg{snap})
	s.sees("Contoso, 1 GB, bought, and carried out")
}
