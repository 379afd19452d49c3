package tui

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"dynamod/daemon/diag"
	"dynamod/daemon/hook"
	"dynamod/daemon/status"
)

func TestProfiles(t *testing.T) {
	const first, second = "8900000000000000018", "8900000000000000026"
	for _, tt := range []struct {
		name  string
		keys  []string
		asked string // "" for nothing
		sees  string
	}{
		{"enable", []string{"down", "e", "y"}, "POST /v1/profiles/" + second + "/enable?no_way_back=true", "asking"},
		{"a no", []string{"down", "e", "n"}, "", "nothing was done"},
		{"PPR1 is said", []string{"down", "e"}, "", "NEVER be disabled again (PPR1)"},
		{"the enabled one", []string{"e"}, "", "it is enabled already"},
		{"nickname", []string{"n", "mast 8", "enter"}, `PUT /v1/profiles/` + first + `/nickname {"nickname":"mast 8"}`, "asking"},
		{"nickname that was there", []string{"down", "n", "backspace", "8", "enter"}, `PUT /v1/profiles/` + second + `/nickname {"nickname":"mast 8"}`, "asking"},
		{"nickname, left", []string{"n", "mast 8", "esc"}, "", first},
		{"disable", []string{"d", "y"}, "POST /v1/profiles/" + first + "/disable?force=true", "asking"},
		{"disable one that is", []string{"down", "d"}, "", "it is disabled already"},
		{"delete by its last digits", []string{"down", "x", "0026", "enter"}, "DELETE /v1/profiles/" + second + "?confirm=" + second, "asking"},
		{"delete with a typo", []string{"down", "x", "0027", "enter"}, "", "nothing was deleted"},
		{"delete, enter alone", []string{"down", "x", "enter"}, "", "nothing was deleted"},
		{"delete the enabled one by four digits", []string{"x", "0018", "enter"}, "", "nothing was deleted"},
		{"delete the enabled one", []string{"x", first, "enter"}, "DELETE /v1/profiles/" + first + "?confirm=" + first + "&force=true", "asking"},
		{"not below the last one", []string{"down", "down", "down", "e", "n"}, "", "nothing was done"},
		{"not above the first one", []string{"up", "up", "e"}, "", "it is enabled already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScreen(t, full, 80, 24)
			s.send(attachedMsg{upSnapshot()})
			s.keys("2")
			s.sees("❯ ✓ "+first, "Other?[2JNet", "PPR1")
			for _, k := range tt.keys[:len(tt.keys)-1] {
				s.keys(k)
			}
			// The answer is not waited for, so that what is said meanwhile is seen.
			last := tt.keys[len(tt.keys)-1]
			var cmd tea.Cmd
			switch last {
			case "y":
				_, cmd = s.Update(tea.KeyPressMsg{Code: 'y', Text: "y"})
			case "enter":
				_, cmd = s.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
			default:
				s.keys(last)
			}
			s.sees(tt.sees)
			if cmd != nil {
				s.send(cmd())
				s.seesNot("asking")
			}
			if tt.asked == "" {
				s.asked()
			} else {
				s.asked(tt.asked)
			}
		})
	}
}

func TestProfilesOneAndNone(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.keys("2")
	s.sees("The card is not known.")
	snap := upSnapshot()
	s.daemon.answers["GET /v1/profiles/8900000000000000018"] = hook.Profile{Profile: snap.Card.Profiles[0], AID: "A0000005591010FFFFFFFF8900001100",
		Owner: &hook.Operator{MCC: "001", MNC: "01"}, Notifications: []hook.Notified{{Operations: "enable+disable", Address: "smdp.example.com"}}}
	s.send(attachedMsg{snap})
	s.keys("enter")
	s.sees("A0000005591010FFFFFFFF8900001100", "owner       001-01", "enable+disable to smdp.example.com")
	s.keys("esc")
	s.sees("❯ ✓ 8900000000000000018")
	// What goes wrong is told, and the list gets shorter below the cursor.
	s.daemon.answers["POST /v1/profiles/8900000000000000026/enable?no_way_back=true"] = problem("busy", "an activation uses the card", "", 409)
	s.keys("down", "e", "y")
	s.sees("an activation uses the card")
	snap.Card.Profiles = snap.Card.Profiles[:1]
	s.send(snapshotMsg{snap: snap})
	s.keys("2", "d")
	s.sees("Disable IoT 1 8900000000000000018?")
	s.keys("n")
	snap.Card = &status.Card{Error: "the card does not answer"}
	s.send(snapshotMsg{snap: snap})
	s.sees("the card does not answer")
	snap.Card = &status.Card{}
	s.send(snapshotMsg{snap: snap})
	s.sees("No profiles on the card")
}

func TestAPN(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.keys("4")
	s.sees("nothing there") // the error of the daemon's
	answerAll(s.daemon)
	s.keys("r")
	s.sees("✓ 1 iot.example", "ipv4, auth none, up", "by MCC+MNC 00101", "✗ 2 (assigned by the network)", "not tried: this modem cannot", "home network 00101")
	s.daemon.answers["GET /v1/apn"] = hook.APN{Problem: &status.Problem{Text: "roaming is not allowed", Advice: "set [bearer] roaming"}, Candidates: []hook.APNCandidate{{APN: "x", NotBefore: pointer(began)}}}
	s.keys("r")
	s.sees("roaming is not allowed", "set [bearer] roaming", "again at 12:00:00")
}

func TestDiagnosis(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	answerAll(s.daemon)
	s.keys("5")
	s.sees("✓ board", "✗ registration", "denied, cause 8", "-> ask the operator to activate the line", "· link")
	// A second question while the first has no answer yet is none.
	s.daemon.mu.Lock()
	s.daemon.asked = nil
	s.daemon.mu.Unlock()
	_, first := s.Update(tea.KeyPressMsg{Code: 'r', Text: "r"})
	_, second := s.Update(tea.KeyPressMsg{Code: 'r', Text: "r"})
	if second != nil {
		t.Error("it asks twice")
	}
	s.sees("✓ board") // the old one stays meanwhile
	s.daemon.answers["GET /v1/diag"] = diag.Diagnosis{OK: true, Nodes: []diag.Node{{Name: "board", State: diag.OK, Text: "Other Box"}}}
	s.send(first())
	s.sees("Other Box")
	s.asked("GET /v1/diag")
}

func TestLog(t *testing.T) {
	s := newScreen(t, full, 40, 12)
	var records []hook.LogRecord
	for i := range 40 {
		records = append(records, hook.LogRecord{Time: began.Add(time.Duration(i) * time.Minute), Kind: "started", Data: []byte(`{"version":"v1.2.3","a_long_path":"/var/lib/dynamod/operators.d/example.json"}`)})
	}
	s.daemon.answers["GET /v1/log"] = records
	s.keys("6")
	s.sees("12:39:00") // the youngest
	s.keys("home")
	s.sees("12:00:00", "more, PgDn")
	s.keys("down", "down", "pgdown", "pgup")
	s.seesNot("12:00:00")
	s.sees("12:01:00")
}

func TestConsole(t *testing.T) {
	s := newScreen(t, full, 80, 24)
	s.daemon.answers["POST /v1/modem/at"] = []hook.ATAnswer{{Lines: []string{"+CSQ: 23,99", "a\x1bb"}, Final: "OK"}}
	s.daemon.answers["POST /v1/modem/apdu"] = hook.APDUAnswers{Answers: []hook.APDUAnswer{{Data: "BF2E", SW: "9000", Text: "done", OK: true}}}
	s.keys("7")
	s.sees("For who knows what it does")
	s.keys("enter", "AT+CSQ", "enter")
	s.asked(`POST /v1/modem/at {"commands":["AT+CSQ"]}`)
	s.sees("> AT+CSQ", "+CSQ: 23,99", "a?b", "OK")
	s.keys("up", "enter") // the last one once more
	s.asked(`POST /v1/modem/at {"commands":["AT+CSQ"]}`)
	s.keys("enter", "80E2910003BF2E00", "enter")
	s.asked(`POST /v1/modem/apdu {"commands":["80E2910003BF2E00"]}`)
	s.sees("9000 done")

	// A secret's rest is asked for without showing it, and it does not come back.
	s.keys("enter", "AT+CPIN=", "enter")
	s.sees("AT+CPIN= (not shown)")
	s.keys("SECRET", "enter")
	s.asked(`POST /v1/modem/at {"commands":["AT+CPIN=SECRET"]}`)
	s.sees("> AT+CPIN=****")
	s.keys("up")
	s.sees("AT command or APDU in hex: 80E2910003BF2E00")
	s.keys("esc")
	// One that was typed in one go is not kept on the screen, nor is a PIN's APDU.
	s.keys("x")
	s.consoleSends(`AT+CPIN="1234"`, "> AT+CPIN=****")
	s.consoleSends("0020000108313233FFFFFFFFFF", "> 00200001****")
	s.seesNot("1234", "3132")

	// What fights the daemon is asked about.
	s.daemon.answers["POST /v1/modem/at"] = problem("needs-force", "AT+CFUN would fight the daemon", "", 409)
	s.keys("enter", "AT+CFUN=0", "enter")
	s.sees("AT+CFUN would fight the daemon. Send it all the same?")
	s.daemon.mu.Lock()
	s.daemon.asked = nil
	s.daemon.mu.Unlock()
	s.daemon.answers["POST /v1/modem/at"] = []hook.ATAnswer{{Final: "ERROR", Problem: &status.Problem{Text: "modem answered \"ERROR\""}}}
	s.keys("y")
	s.asked(`POST /v1/modem/at {"commands":["AT+CFUN=0"],"force":true}`)
	s.sees("ERROR")
	s.daemon.answers["POST /v1/modem/at"] = []hook.ATAnswer{{Problem: &status.Problem{Text: "no answer within 10s", Advice: "some commands take minutes"}}}
	s.keys("x", "enter", "AT+COPS=?", "enter")
	s.sees("> AT+COPS=?", "no answer within 10s; some commands take minutes")
	s.daemon.answers["POST /v1/modem/at"] = problem("busy", "an activation uses the modem", "", 409)
	s.keys("enter", "AT", "enter")
	s.sees("an activation uses the modem")
}

// consoleSends types a line that holds a secret.
func (s *screenOf) consoleSends(line, shown string) {
	s.t.Helper()
	s.keys("enter", line, "enter")
	s.sees(shown)
	s.daemon.mu.Lock()
	defer s.daemon.mu.Unlock()
	if last := s.daemon.asked[len(s.daemon.asked)-1]; !strings.Contains(last, strings.ReplaceAll(line, `"`, `\"`)) {
		s.t.Errorf("the daemon was asked for %s", last)
	}
	s.daemon.asked = nil
}
