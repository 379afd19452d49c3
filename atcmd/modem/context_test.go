package modem

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"dynamod/atcmd"
	"dynamod/atcmd/dialect"
)

func TestContexts(t *testing.T) {
	s := newScript(t,
		"+CGDCONT?", `+CGDCONT: 1,"IPV4V6","internet","0.0.0.0",0,0|+CGDCONT: 2,"IP",,,0|+CGDCONT: x,"IP"|+CREG: 1`,
		"+CGACT?", "+CGACT: 1,1|+CGACT: 2,0",
		`+CGDCONT=3,"IP","a.b-c"`, "", `+CGDCONT=3,"IPV6"`, "", "+CGDCONT=3", "")
	m := s.modem("generic")
	got, err := m.Contexts(t.Context())
	if want := []Context{{1, IPv4v6, "internet"}, {2, IPv4, ""}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
	active, err := m.ActiveContexts(t.Context())
	if err != nil || !active[1] || active[2] {
		t.Errorf("%v %v", active, err)
	}
	for _, c := range []Context{{3, IPv4, "a.b-c"}, {3, IPv6, ""}} {
		if err := m.DefineContext(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	if err := m.RemoveContext(t.Context(), 3); err != nil {
		t.Error(err)
	}
	sent := len(s.sent)
	for _, c := range []Context{{1, "PPP", ""}, {1, IPv4, `a"b`}, {1, IPv4, "a\rAT"}, {1, IPv4, strings.Repeat("a", 100)}, {1, IPv4, "ä"}} {
		if err := m.DefineContext(t.Context(), c); err == nil {
			t.Errorf("%+v was defined", c)
		}
	}
	if len(s.sent) != sent {
		t.Error("a bad definition was sent")
	}
}

func TestSetAuth(t *testing.T) {
	const password = "s3cret"
	ctx, auth := Context{1, IPv4v6, "internet"}, Auth{CHAP, "me", password}
	for _, tt := range []struct {
		name, dialect string
		pairs         []any
		auth          Auth
		want          string
		fails         bool
	}{
		{"standard", "generic", []any{`+CGAUTH=1,2,"me","s3cret"`, ""}, auth, `+CGAUTH=1,2,"me","s3cret"`, false},
		{"EC20: +QICSGP", "quectel", []any{`+QICSGP=1,3,"internet","me","s3cret",2`, ""}, auth, `+CGAUTH=1,2,"me","s3cret"|+QICSGP=1,3,"internet","me","s3cret",2`, false},
		{"none", "generic", []any{"+CGAUTH=1,0", ""}, Auth{}, "+CGAUTH=1,0", false},
		{"none, no command", "generic", nil, Auth{}, "+CGAUTH=1,0", false},
		{"no command", "generic", nil, auth, `+CGAUTH=1,2,"me","s3cret"`, true},
		{"quote in the password", "generic", nil, Auth{PAP, "me", `s3cret"`}, "", true},
	} {
		s := newScript(t, tt.pairs...)
		err := s.modem(tt.dialect).SetAuth(t.Context(), ctx, tt.auth)
		if (err != nil) != tt.fails || s.texts() != tt.want {
			t.Errorf("%s: %v, sent %s", tt.name, err, s.texts())
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: password in %q", tt.name, err)
		}
		for _, c := range s.sent {
			if !c.Secret {
				t.Errorf("%s: AT%s is not marked secret", tt.name, c.Name())
			}
		}
	}
}

func TestActivationErrors(t *testing.T) {
	plain := &atcmd.FinalError{Command: "+CGACT", Final: "ERROR"}
	for _, tt := range []struct {
		name   string
		result any
		ceer   any
		want   Cause
	}{
		{"CME 133", 133, "", CauseNotSubscribed},
		{"CME 149", 149, "", CauseAuth},
		{"CME 129", 129, "", CauseAuth},
		{"CME 127", 127, "", CauseAPN},
		{"CME 192", 192, "", CauseIPv4Only},
		{"CME 193", 193, "", CauseIPv6Only},
		{"CME 177", 177, "", CauseBarred},
		{"CME 178", 178, "", CauseMaximumReached},
		{"CME 179", 179, "", CauseRoamingAPN},
		{"CME 190", 190, "", CauseNetwork},
		{"CME 194", 194, "", CauseSingleAddress},
		{"CME 196", 196, "", CauseBothOnly},
		{"CME 203", 203, "", CauseSamePDN},
		{"the attach failed: an EMM cause is no ESM cause", plain, "+CEER: EMM cause 8", CauseUnknown},
		{"+CEER in words", plain, "+CEER: Requested service option not subscribed", CauseNotSubscribed},
		{"+CEER in other words", 148, "+CEER: SM: PDP auth. User authentication failed", CauseAuth},
		{"+CEER with a number", plain, `+CEER: "ESM cause 27"`, CauseAPN},
		{"+CEER with a hash", plain, "+CEER: PDN reject #50", CauseIPv4Only},
		{"+CEER bare", plain, "Missing or unknown APN", CauseAPN},
		{"+CEER says nothing", plain, "+CEER: No cause information available", CauseUnknown},
		{"no +CEER", plain, 3, CauseUnknown},
	} {
		err := newScript(t, "+CGACT=1,2", tt.result, "+CEER", tt.ceer).modem("generic").Activate(t.Context(), 2)
		var e *ActivationError
		if !errors.As(err, &e) || e.Cause != tt.want || e.CID != 2 {
			t.Errorf("%s: %v (%v)", tt.name, err, tt.want)
		}
	}
	if err := newScript(t, "+CGACT=1,2", atcmd.ErrTimeout).modem("generic").Activate(t.Context(), 2); !errors.Is(err, atcmd.ErrTimeout) || errors.As(err, new(*ActivationError)) {
		t.Errorf("silence: %v", err)
	}
	if err := newScript(t, "+CGACT=0,1", 151).modem("generic").Deactivate(t.Context(), 1); err != nil {
		t.Errorf("last context of LTE: %v", err)
	}
}

func TestCauses(t *testing.T) {
	for c, name := range causeNames {
		if got := ParseCause("+CEER: " + strings.ToUpper(name)); got != c {
			t.Errorf("%s: %d, want %d", name, got, c)
		}
	}
	if CauseAuth.String() != "user authentication failed (#29)" || Cause(200).String() != "cause #200" || !CauseAuth.Slow() || CauseNetwork.Slow() {
		t.Error("text of causes")
	}
	if RejectCause(8).String() == "" || !RejectCause(8).Permanent() || RejectCause(22).Permanent() {
		t.Error("text of reject causes")
	}
}

func TestParseContextEvent(t *testing.T) {
	for _, tt := range []struct {
		line string
		want ContextEvent
		ok   bool
	}{
		{"+CGEV: ME PDN ACT 1", ContextEvent{ContextUp, 1, 0, false}, true},
		{"+CGEV: ME PDN ACT 1,0", ContextEvent{ContextUp, 1, CauseIPv4Only, false}, true},
		{"+CGEV: NW PDN DEACT 1", ContextEvent{ContextDown, 1, 0, true}, true},
		{"+CGEV: ME PDN DEACT 1, 2", ContextEvent{ContextDown, 1, 0, false}, true},
		{`+CGEV: NW DEACT "IP","10.1.2.3",1`, ContextEvent{ContextDown, 1, 0, true}, true},
		{`+CGEV: NW DEACT "IP","10.1.2.3"`, ContextEvent{ContextDown, 0, 0, true}, true},
		{"+CGEV: NW DETACH", ContextEvent{Detached, 0, 0, true}, true},
		{"+CGEV: ME DETACH", ContextEvent{Detached, 0, 0, false}, true},
		{"+CGEV: NW ACT 1,5,0", ContextEvent{}, false}, // secondary context
		{"+CGEV: NW CLASS A", ContextEvent{}, false},
		{"+CGEV: EPS PDN ACT 1", ContextEvent{}, false},
		{"+CGEV:", ContextEvent{}, false},
		{"+CGEV: NW PDN", ContextEvent{}, false},
		{"+CEREG: 1", ContextEvent{}, false},
	} {
		if got, ok := ParseContextEvent(tt.line); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s: %+v %v", tt.line, got, ok)
		}
	}
}

func TestDataCall(t *testing.T) {
	call := Call{Context: Context{1, IPv4, "internet"}, Function: dialect.ECM}
	second := Call{Context: Context{2, IPv4, "internet"}, Function: dialect.ECM}
	raw := call
	raw.Function = dialect.RawIP
	defined := []any{"+CGDCONT?", `+CGDCONT: 1,"IP","internet"`}
	fresh := []any{"+CGDCONT?", "", "+CGACT?", "+CGACT: 1,0", `+CGDCONT=1,"IP","internet"`, ""}
	for _, tt := range []struct {
		name, dialect string
		call          Call
		pairs         []any
		source        dialect.Address
		addrs         string
		err           error
	}{
		{"EG25 in ECM: dials by itself", "quectel", call, append(defined, "+CGACT=1,1", ""), dialect.DHCP, "[]", nil},
		{"EC200S in ECM", "quectel", call, append(fresh, "+QNETDEVCTL=1,1,1", "", "+CGACT=1,1", ""), dialect.DHCP, "[]", nil},
		{"EC200A in ECM", "quectel-standard", second, []any{"+CGDCONT?", `+CGDCONT: 2,"IP","internet"`, "+QNETDEVCTL=1,2,1", "", "+CGACT=1,2", ""}, dialect.DHCP, "[]", nil},
		{"RM500U", "quectel-unisoc", second, []any{"+CGDCONT?", `+CGDCONT: 2,"IP","internet"`, "+QNETDEVCTL=2,1,1", ""}, dialect.DHCP, "[]", nil},
		{"a context that is kept is not even read", "quectel", Call{Context: call.Context, Function: dialect.ECM, Keep: true}, []any{"+CGACT=1,1", ""}, dialect.DHCP, "[]", nil},
		{"raw IP", "generic", raw, append(fresh, "+CGACT=1,1", "", "+CGCONTRDP=1", `+CGCONTRDP: 1,5,"internet","10.64.0.2.255.255.255.252","10.64.0.1"`), dialect.CGCONTRDP, "[10.64.0.2/30]", nil},
		{"raw IP without +CGCONTRDP", "generic", raw, append(defined, "+CGACT=1,1", "", "+CGPADDR=1", `+CGPADDR: 1,"10.64.0.2"`), dialect.CGPADDR, "[10.64.0.2/32]", nil},
		{"raw IP, address a second later", "generic", raw, append(defined, "+CGACT=1,1", "", "+CGCONTRDP=1", "", "+CGCONTRDP=1", `+CGCONTRDP: 1,5,"internet","10.64.0.2"`), dialect.CGCONTRDP, "[10.64.0.2/32]", nil},
		{"raw IP without any address", "generic", raw, append(defined, "+CGACT=1,1", "", "+CGPADDR=1", `+CGPADDR: 1,"0.0.0.0"`), "", "[]", ErrNoAddress},
		{"QMI", "quectel", Call{Context: call.Context, Function: dialect.QMI}, nil, "", "[]", ErrNoCall},
		{"port gone", "generic", call, []any{"+CGDCONT?", atcmd.ErrGone}, "", "[]", atcmd.ErrGone},
	} {
		synctest.Test(t, func(t *testing.T) { // an address may be waited for
			lease, err := newScript(t, tt.pairs...).modem(tt.dialect).Up(t.Context(), tt.call)
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil || lease.Source != tt.source || tt.addrs != addresses(lease) {
				t.Errorf("%s: %+v %v", tt.name, lease, err)
			}
		})
	}
}

func addresses(l Lease) string {
	var list []string
	for _, a := range l.Config.Addrs {
		list = append(list, a.String())
	}
	return "[" + strings.Join(list, " ") + "]"
}

// What the network refused is not asked again by another command.
func TestDataCallRefused(t *testing.T) {
	s := newScript(t, "+CGDCONT?", `+CGDCONT: 1,"IP","internet"`, "+QNETDEVCTL=1,1,1", 133, "+CGACT=1,1", "")
	_, err := s.modem("quectel").Up(t.Context(), Call{Context: Context{1, IPv4, "internet"}, Function: dialect.NCM})
	var e *ActivationError
	if !errors.As(err, &e) || e.Cause != CauseNotSubscribed || s.count("+CGACT=1,1") != 0 {
		t.Errorf("%v, sent %s", err, s.texts())
	}
}

// An active context is not defined again under the feet of its traffic, and is
// taken down before its definition changes.
func TestDataCallKeepsActiveContext(t *testing.T) {
	s := newScript(t, "+CGDCONT?", `+CGDCONT: 1,"IP","internet"`, "+CGACT?", "+CGACT: 1,1", "+CGACT?", "+CGACT: 1,0", "+CGACT=1,1", "", "+CGACT=0,1", "", `+CGDCONT=1,"IP","other"`, "")
	m := s.modem("generic")
	call := Call{Context: Context{1, IPv4, "internet"}, Function: dialect.ECM}
	if _, err := m.Up(t.Context(), call); err != nil || strings.Contains(s.texts(), "+CGDCONT=") || strings.Contains(s.texts(), "+CGACT=0") {
		t.Errorf("%v, sent %s", err, s.texts())
	}
	call.Context.APN = "other"
	if _, err := m.Up(t.Context(), call); err != nil || !strings.Contains(s.texts(), `+CGACT=0,1|+CGACT?|+CGDCONT=1,"IP","other"`) || strings.Contains(s.texts(), "+CGATT") {
		t.Errorf("%v, sent %s", err, s.texts())
	}
}

// LTE keeps its last context up: another definition is used from the next
// attach on, and where the network refuses that, the error says so.
func TestDataCallAttachesAgain(t *testing.T) {
	call := Call{Context: Context{1, IPv4, "other"}, Function: dialect.ECM}
	pairs := []any{"+CGDCONT?", `+CGDCONT: 1,"IP","internet"`, "+CGACT?", "+CGACT: 1,1", "+CGACT=0,1", 171, `+CGDCONT=1,"IP","other"`, "", "+CGATT=0", "", "+CGACT=1,1", ""}
	s := newScript(t, append(pairs, "+CGATT=1", "")...)
	if _, err := s.modem("generic").Up(t.Context(), call); err != nil || !strings.Contains(s.texts(), `+CGDCONT=1,"IP","other"|+CGAUTH=1,0|+CGATT=0|+CGATT=1|+CGACT=1,1`) {
		t.Errorf("%v, sent %s", err, s.texts())
	}
	s = newScript(t, append(pairs, "+CGATT=1", 119, "+CEER", "+CEER: EMM cause 19")...)
	_, err := s.modem("generic").Up(t.Context(), call)
	if e, ok := errors.AsType[*ActivationError](err); !ok || e.Cause != CauseUnknown || !strings.Contains(e.Text, "19") || s.count("+CGACT=1,1") > 0 {
		t.Errorf("%v, sent %s", err, s.texts())
	}
}

func TestDataCallState(t *testing.T) {
	call := Call{Context: Context{1, IPv4, ""}, Function: dialect.ECM}
	for _, tt := range []struct {
		name, dialect string
		pairs         []any
		want          bool
	}{
		{"EC200A, up", "quectel", []any{"+QNETDEVCTL?", "+QNETDEVCTL: 3,1,0,1"}, true},
		{"EC200A, context up and not bound", "quectel", []any{"+QNETDEVCTL?", "+QNETDEVCTL: 0,0,0,0", "+CGACT?", "+CGACT: 1,1"}, false},
		{"EG25, no +QNETDEVCTL", "quectel", []any{"+CGACT?", "+CGACT: 2,0|+CGACT: 1,1"}, true},
		{"down", "generic", []any{"+CGACT?", "+CGACT: 1,0"}, false},
		{"not listed", "generic", []any{"+CGACT?", ""}, false},
	} {
		got, err := newScript(t, tt.pairs...).modem(tt.dialect).Status(t.Context(), call)
		if err != nil || got != tt.want {
			t.Errorf("%s: %v %v", tt.name, got, err)
		}
	}
	if err := newScript(t, "+CGACT=0,1", 171).modem("generic").Down(t.Context(), call); err != nil {
		t.Errorf("last context of LTE: %v", err)
	}
	s := newScript(t, "+QNETDEVCTL=0,1,0", "", "+CGACT=0,1", "")
	if err := s.modem("quectel").Down(t.Context(), call); err != nil || s.texts() != "+QNETDEVCTL=0,1,0|+CGACT=0,1" {
		t.Errorf("%v, sent %s", err, s.texts())
	}
}

func TestFunction(t *testing.T) {
	for answer, want := range map[string]dialect.Kind{`+QCFG: "usbnet",1`: dialect.ECM, `+QCFG: "usbnet",0`: dialect.QMI, `+QCFG: "usbnet",9`: "", `+QCFG: "nat",1`: ""} {
		if got, err := newScript(t, `+QCFG="usbnet"`, answer).modem("quectel").Function(t.Context()); err != nil || got != want {
			t.Errorf("%s: %q %v", answer, got, err)
		}
	}
	if got, err := newScript(t).modem("generic").Function(t.Context()); err != nil || got != "" {
		t.Errorf("generic: %q %v", got, err)
	}
}

func FuzzContextEvent(f *testing.F) {
	f.Add("+CGEV: ME PDN ACT 1,0")
	f.Add(`+CGEV: NW DEACT "IP","10.1.2.3",1`)
	f.Fuzz(func(t *testing.T, line string) {
		if e, ok := ParseContextEvent(line); ok && (e.Kind < ContextUp || e.Kind > Attached || e.CID < 0 || e.CID > 255) {
			t.Fatalf("%q gives %+v", line, e)
		}
		ParseCause(line)
		parseCGDCONT(line)
	})
}
