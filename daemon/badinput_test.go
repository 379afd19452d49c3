//go:build linux && !nodemo

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/demo"
	"dynamod/daemon/hook"
	"dynamod/euicc/euiccsim"
	"dynamod/euicc/smdpsim"
)

// mistake is something that goes wrong, told as a story: the daemon runs on a
// profile that was there before, the mistake is made, the verb fails, the
// mistake is repaired, and the same order is activated.
type mistake struct {
	name string
	// before is made before the daemon starts, fault while it runs. repair
	// takes either back; restart begins the daemon anew after that.
	before, fault, repair func(*bench)
	restart               bool
	upFirst               bool // before keeps nobody from coming up
	// code is what activate is given; the good order's when nil.
	code func(good string) string
	// verb is what fails, in place of activate.
	verb   func(*bench) verdict
	used   bool // the order is used up by the mistake, as it has to be
	goesOn bool // the activation succeeds all the same
	extra  int  // profiles that stay on the card, disabled

	exit int
	text string // of the error
	hint string // of the line below it
}

// aSegment begins a protected segment of the profile, in the longest block.
const aSegment = "80E21100FF86"

func TestBadInput(t *testing.T) {
	server := func(f smdpsim.Fault) func(*bench) {
		return func(b *bench) { b.must(b.w.Server.SetFault(f)) }
	}
	card := func(c euiccsim.Behaviour) func(*bench) {
		return func(b *bench) { b.w.Card.SetBehaviour(c) }
	}
	code := func(text string) func(string) string { return func(string) string { return text } }
	healthy := func(b *bench) {
		b.w.Server.ClearFaults()
		b.w.Modem.ClearFault("")
		b.w.Card.SetBehaviour(euiccsim.Behaviour{})
	}
	looks := "LPA:1$smdp.example.com$MATCHING-ID"
	rows := []mistake{
		{name: "code with another prefix", code: code("LPB:1$smdp.lab.test$" + secretID), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code without format", code: code("LPA:$smdp.lab.test$" + secretID), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code with an unknown format", code: code("LPA:9$smdp.lab.test$" + secretID), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code without address", code: code("LPA:1$$" + secretID), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code of junk", code: code("\x01\x1b[31m" + secretID + "\x7f"), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code not of ASCII", code: code("LPA:1$smdp.läb.test$" + secretID + "Ä"), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code not of UTF-8", code: code("LPA:1$smdp.lab.test$" + secretID + "\xff\xfe"), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code that is too long", code: code("LPA:1$smdp.lab.test$" + secretID + strings.Repeat("A", 300)), exit: exitRefused, text: "malformed activation code", hint: looks},
		{name: "code that fills the pipe", code: code("LPA:1$smdp.lab.test$" + secretID + strings.Repeat("A", 1<<16)), exit: exitRefused, text: "standard input", hint: "one line"},
		{name: "code of six fields", code: code("LPA:1$smdp.lab.test$" + secretID + "$$1$x"), exit: exitRefused, text: "malformed activation code", hint: "--ignore-surplus"},
		{name: "no code", code: code("\n"), exit: exitRefused, text: "holds no code", hint: "one line"},

		{name: "unknown matching ID", code: code("LPA:1$smdp.lab.test$" + secretID), exit: exitFailed, text: "8.2.6", hint: "code"},
		{name: "TLS certificate of another CI", fault: server(smdpsim.Fault{Kind: smdpsim.FaultTLSOtherCI}), exit: exitFailed, text: "not to be trusted", hint: "[lpa] ci"},
		{name: "TLS certificate out of date", fault: server(smdpsim.Fault{Kind: smdpsim.FaultTLSExpired}), exit: exitFailed, text: "expired", hint: "clock"},
		{name: "TLS certificate of another host", fault: server(smdpsim.Fault{Kind: smdpsim.FaultTLSWrongHost}), exit: exitFailed, text: "not to be trusted", hint: "address"},
		{name: "DPauth certificate of another CI", fault: server(smdpsim.Fault{Kind: smdpsim.FaultDPauthOtherCI}), exit: exitFailed, text: "authenticateServer"},
		{name: "DPauth certificate out of date", fault: server(smdpsim.Fault{Kind: smdpsim.FaultDPauthExpired}), exit: exitFailed, text: "CERT.DPauth expired", hint: "clock"},
		{name: "DPpb certificate out of date", fault: server(smdpsim.Fault{Kind: smdpsim.FaultDPpbExpired}), exit: exitFailed, text: "CERT.DPpb expired", hint: "clock"},
		{name: "HTML in place of JSON, at first", fault: server(smdpsim.Fault{Kind: smdpsim.FaultHTML}), exit: exitFailed, text: "no SM-DP+", hint: "operator"},
		{name: "HTML in place of the package", fault: server(smdpsim.Fault{Kind: smdpsim.FaultHTML, Function: smdpsim.GetBoundProfilePackage}), exit: exitFailed, text: "no SM-DP+", hint: "operator"},
		{name: "HTML with status 502", fault: server(smdpsim.Fault{Kind: smdpsim.FaultHTTPStatus, HTTP: 502}), exit: exitFailed, text: "502", hint: "address"},
		{name: "body truncated, whole answer", fault: server(smdpsim.Fault{Kind: smdpsim.FaultTruncate, Function: smdpsim.AuthenticateClient, After: 100}), exit: exitFailed, text: "authenticateClient", hint: "session"},
		{name: "package truncated, line dropped", fault: server(smdpsim.Fault{Kind: smdpsim.FaultDropAnswer, Function: smdpsim.GetBoundProfilePackage, After: 1500}), exit: exitFailed, text: "broke off", hint: "session"},
		{name: "serverSignature1 wrong", fault: server(smdpsim.Fault{Kind: smdpsim.FaultServerSignature}), exit: exitFailed, text: "ignature"},
		{name: "smdpSignature2 wrong", used: true, fault: server(smdpsim.Fault{Kind: smdpsim.FaultSMDPSignature2}), exit: exitFailed, text: "ignature"},
		{name: "signature of the package wrong", used: true, fault: server(smdpsim.Fault{Kind: smdpsim.FaultBPPSignature}), exit: exitFailed, text: "ignature"},
		{name: "MAC of the package wrong", used: true, fault: server(smdpsim.Fault{Kind: smdpsim.FaultBPPMAC}), exit: exitFailed, text: "loadBoundProfilePackage"},
		{name: "card signs wrong", fault: card(euiccsim.Behaviour{WrongSignature: true}), exit: exitFailed, text: "8.1"},
		{name: "card without memory", fault: card(euiccsim.Behaviour{NoMemory: true}), exit: exitFailed, text: "memory", hint: "delete"},
		{name: "card that is no eUICC", before: card(euiccsim.Behaviour{NoISDR: true}), exit: exitFailed, text: "not an eUICC", hint: "ordinary SIM"},

		{name: "port is a file", restart: true, before: func(b *bench) { b.port(b.file("port", "AT\r\nOK\r\n")) },
			repair: func(b *bench) { b.port(filepath.Join(b.dir, "modem")) }, exit: exitFailed, text: "port", hint: "[modem] port"},
		{name: "port is not there", restart: true, before: func(b *bench) { b.port(filepath.Join(b.dir, "nothing")) },
			repair: func(b *bench) { b.port(filepath.Join(b.dir, "modem")) }, exit: exitFailed, text: "nothing", hint: "[modem] port"},
		{name: "port of another device", restart: true, before: func(b *bench) { b.port(b.terminal()) },
			repair: func(b *bench) { b.port(filepath.Join(b.dir, "modem")) }, exit: exitFailed, text: "does not answer AT commands", hint: "[modem] port"},
		{name: "modem silent from the start", before: func(b *bench) { b.must(b.w.Modem.SetFault("silent", atsim.Fault{})) },
			exit: exitFailed, text: "does not answer AT commands", hint: "restart the modem"},
		// A card may think for minutes; nobody waits for that here.
		{name: "modem falls silent in the download", before: (*bench).impatient, upFirst: true,
			fault:  func(b *bench) { b.must(b.w.Modem.SetFault("hang", atsim.Fault{Command: "+CGLA", Holds: aSegment})) },
			repair: func(b *bench) { healthy(b); b.waitEnded() }, exit: exitWaiting, text: "goes on asking", hint: "dynamod diag"},
		{name: "card hangs in the download", before: (*bench).impatient, upFirst: true,
			fault: func(b *bench) { b.must(b.w.Modem.SetFault("card-hang", atsim.Fault{Holds: aSegment})) },
			exit:  exitFailed, text: "did not answer", hint: "same code"},

		{name: "operator that nobody knows", code: func(string) string { return "" }, exit: exitFailed, text: "99999", hint: "operators.d"},
		{name: "operator that nobody knows, told by the SIM only", extra: 1, code: func(string) string { return "" }, exit: exitRolledBack, text: "rolled back", hint: "operator"},

		{name: "config with an unknown key", verb: (*bench).tryRun, restart: true, before: func(b *bench) { b.config("[modem]\n", "[modem]\nspeed = 9600\n") },
			repair: func(b *bench) { b.config("speed = 9600\n", "") }, exit: exitFailed, text: "dynamod.toml:4:1: ", hint: "known here"},
		{name: "config with a wrong type", verb: (*bench).tryRun, restart: true, before: func(b *bench) { b.config("[modem]\n", "[modem]\nbaud = \"fast\"\n") },
			repair: func(b *bench) { b.config("baud = \"fast\"\n", "") }, exit: exitFailed, text: "dynamod.toml:4:8: "},
		{name: "second daemon on the same state", verb: (*bench).tryRun, exit: exitRefused, text: "another dynamod is running", hint: "stop it"},
		{name: "second daemon on the same port", verb: (*bench).trySecond, exit: exitFailed, text: "in use", hint: "stop it"},
		{name: "disk full before the activation", before: (*bench).smallDisk, fault: (*bench).fillDisk, repair: (*bench).freeDisk,
			exit: exitRefused, text: "no space left", hint: "make room"},
		{name: "disk full in the activation", before: (*bench).smallDisk, fault: (*bench).fillDiskLater, repair: (*bench).freeDisk,
			goesOn: true, restart: true, exit: exitOK},
	}
	for _, row := range rows {
		if row.repair == nil {
			row.repair = healthy
		}
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.tell(t)
		})
	}
}

func (m mistake) tell(t *testing.T) {
	b := newBench(t)
	good := b.w.Profiles[0]
	if m.before != nil {
		m.before(b)
	}
	if m.verb == nil || m.before == nil {
		b.start()
	}
	if m.before == nil || m.upFirst {
		b.waitUp()
	}
	if m.fault != nil {
		m.fault(b)
	}
	var got verdict
	switch {
	case m.verb != nil:
		got = m.verb(b)
	case m.code == nil:
		got = b.activate(good.Code)
	case m.code(good.Code) == "":
		got = b.activate(b.strangeOrder(m.exit != exitRolledBack))
	default:
		code := m.code(good.Code)
		got = b.activate(code)
		if got.exit == exitRefused {
			b.refusesToo(strings.TrimSpace(code))
		}
	}
	if got.exit != m.exit {
		t.Errorf("exit code %d, want %d", got.exit, m.exit)
	}
	text, hint, _ := strings.Cut(got.stderr, "hint: ")
	if !strings.Contains(text, m.text) {
		t.Errorf("the error does not hold %q", m.text)
	}
	if !m.goesOn && hint == "" || !strings.Contains(hint, m.hint) {
		t.Errorf("the hint does not hold %q", m.hint)
	}
	b.noSecrets("the command's output", got.stdout+got.stderr)
	if !m.goesOn {
		b.onlyEarlier(m.extra)
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("exit %d\n%s%s", got.exit, got.stdout, got.stderr)
	}

	m.repair(b)
	if m.restart {
		b.stop()
		b.start()
	}
	b.waitUp()
	next := good
	if m.used {
		next = b.order("8900101000000000041", "001010000000041")
	}
	if got := b.activate(next.Code); got.exit != exitOK {
		t.Errorf("afterwards: exit code %d\n%s", got.exit, got.stderr)
	}
	b.waitUp()
	installed := b.w.Card.Installed()
	last := installed[len(installed)-1]
	if len(installed) != 2+m.extra || !last.Enabled || last.ICCID != next.ICCID || fmt.Sprintf("%x", last.SHA256) != next.SHA256 {
		t.Errorf("afterwards the card has %d profiles, the new one is not the enabled one", len(installed))
	}
	b.stop()
	b.noSecrets("the daemon's log", b.log())
	b.noSecretFiles()
	if t.Failed() {
		t.Logf("the daemon's log:\n%s", b.log())
	}
}

// impatient takes a short limit for a card command.
func (b *bench) impatient() { b.config("[modem]\n", "[modem]\napdu_timeout = \"5s\"\n") }

// refusesToo gives the daemon itself a code that the command has refused.
func (b *bench) refusesToo(code string) {
	b.t.Helper()
	err := b.client.Do(b.ctx, http.MethodPost, "/v1/activations", nil, hook.ActivationRequest{Code: code, Consent: true}, nil)
	e, ok := errors.AsType[*hook.Error](err)
	if !ok || e.Status/100 != 4 {
		b.t.Errorf("the daemon says %v", err)
		return
	}
	b.noSecrets("the daemon's answer", e.Error()+e.Hint())
}

// order puts one more profile up for download.
func (b *bench) order(iccid, imsi string) demo.Profile {
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: iccid, IMSI: imsi})
	b.must(err)
	b.must(b.w.AddProfile("", upp))
	p := b.w.Profiles[len(b.w.Profiles)-1]
	b.secrets = append(b.secrets, p.ID)
	return p
}

// strangeOrder is of an operator that no table has, as its metadata may tell
// before the download.
func (b *bench) strangeOrder(told bool) string {
	upp, err := smdpsim.TestProfile(smdpsim.ProfileData{ICCID: "8999999000000000033", IMSI: "999990000000033"})
	b.must(err)
	md := smdpsim.Metadata{Provider: "Nobody", Name: "Strange"}
	if told {
		md.Owner = []byte{0x99, 0xF9, 0x99} // 999-99 (3GPP TS 24.008, 10.5.1.13)
	}
	code, err := b.w.Server.AddOrder(smdpsim.Order{MatchingID: secretID, UPP: upp, Metadata: md})
	b.must(err)
	return code
}

func (b *bench) file(name, text string) string {
	path := filepath.Join(b.dir, name)
	b.must(os.WriteFile(path, []byte(text), 0o644))
	return path
}

// terminal is a tty that swallows what it is sent, such as a GNSS port between
// fixes.
func (b *bench) terminal() string {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	b.must(err)
	b.t.Cleanup(func() { master.Close() })
	b.must(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	b.must(err)
	return fmt.Sprintf("/dev/pts/%d", n)
}

// tryRun runs a daemon that has to end by itself. What check says of its
// configuration is the same.
func (b *bench) tryRun() verdict {
	run := b.dynamod("", "run", "--config", b.configPath())
	check := b.dynamod("", "check", "--config", b.configPath())
	if b.running == nil && (check.exit != run.exit || check.stderr != run.stderr) {
		b.t.Errorf("check says something else: exit %d\n%s", check.exit, check.stderr)
	}
	return run
}

// trySecond activates by a second daemon on the same modem.
func (b *bench) trySecond() verdict {
	text, err := os.ReadFile(b.configPath())
	b.must(err)
	other := strings.NewReplacer(filepath.Join(b.dir, "state"), filepath.Join(b.dir, "state2"), filepath.Join(b.dir, "run"), filepath.Join(b.dir, "run2")).Replace(string(text))
	path := b.file("second.toml", other)
	p := b.launch(path, hook.Dial(filepath.Join(b.dir, "run2", "dynamod.sock")))
	defer p.kill()
	return b.dynamod(b.w.Profiles[0].Code, "activate", "-", "--yes", "--config", path)
}
