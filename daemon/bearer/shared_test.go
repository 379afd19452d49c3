package bearer

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd"
	"dynamod/atcmd/atsim"
	"dynamod/daemon/activation"
	"dynamod/daemon/status"
)

func optIn(c *Config) { c.DataAPNInAttach = true }

// sharing is a network for a modem whose Ethernet function carries context 1
// alone. Its default APN, which may be none, is what the attach gets.
func sharing(records, standard string, bearer func(*Config), names ...string) simOptions {
	return simOptions{
		ethernet: true, records: records, bearer: bearer,
		modem: func(c *atsim.Config) { c.AttachBearer = standard != "" },
		core:  func(c *atsim.Core) { c.APNs, c.Default = apns(names...), standard },
	}
}

// Where the modem carries the attach's context alone, data takes it as it
// stands. It is written for an explicit reason only.
func TestSharedContext(t *testing.T) {
	const (
		data  = `{"apn": "data.test"}`
		other = `{"apn": "old.test"}, ` + data
	)
	closed := strings.Replace(record(data), "{", `{"networkAssigned": false, `, 1)
	for _, tt := range []struct {
		name     string
		o        simOptions
		define   string // the modem's own context, by hand
		apn      string // of the request
		dead     string // APN that carries nothing
		link     string
		code     string // of the error
		context  string // 1, afterwards
		written  bool
		restored string // context 1 when the profile is left
	}{
		{"the network assigns the record's APN by itself", sharing(record(data), "data.test", nil, "data.test"), "", "", "", "data.test v4", "", "IP ", false, "IP "},
		{"the network assigns one of several", sharing(record(other), "data.test", nil, "data.test"), "", "", "", "data.test v4", "", "IP ", false, "IP "},
		{"the network assigns another, which works", sharing(record(data), "default.test", nil, "default.test"), "", "", "", "v4", "", "IP ", false, "IP "},
		{"the modem's own names the record's APN", sharing(record(data), "data.test", nil, "data.test"), `+CGDCONT=1,"IP","data.test"`, "", "", "data.test v4", "", "IP data.test", false, "IP data.test"},
		{"the modem's own is another, which works", sharing(record(data), "own.test", nil, "own.test"), `+CGDCONT=1,"IP","own.test"`, "", "", "own.test v4", "", "IP own.test", false, "IP own.test"},
		{"no LTE: the empty APN", sharing(record(data), "", nil, "data.test"), "", "", "", "down", "attach-only", "IP ", false, "IP "},
		{"the record's credentials are what the modem has", sharing(record(`{"apn": "data.test", "username": "me", "password": "x"}`), "data.test", nil, "data.test"), "", "", "", "data.test v4", "", "IP ", false, "IP "},
		{"an IMS context is not for data", sharing(record(data), "ims", nil, "ims", "data.test"), `+CGDCONT=1,"IP","ims"`, "", "", "down", "attach-only", "IP ims", false, "IP ims"},
		{"the operator assigns none", sharing(closed, "default.test", nil, "default.test"), "", "", "", "down", "attach-only", "IP ", false, "IP "},

		{"the network needs the record's APN", sharing(record(data), "default.test", nil, "default.test", "data.test"), "", "", "default.test", "down", "attach-only", "IP ", false, "IP "},
		{"the same, allowed", sharing(record(other), "default.test", optIn, "default.test", "data.test"), "", "", "default.test", "data.test v4", "", "IPV4V6 data.test", true, "IP "},
		{"no LTE, allowed", sharing(record(other), "", optIn, "data.test"), "", "", "", "data.test v4", "", "IPV4V6 data.test", true, "IP "},
		{"no LTE, allowed, and none is taken", sharing(record(other), "", optIn, "else.test"), "", "", "", "down", "no-data", "IP ", true, "IP "},

		{"the request's APN", sharing(record(other), "default.test", nil, "default.test", "wanted.test"), "", "wanted.test", "default.test", "wanted.test v4", "", "IPV4V6 wanted.test", true, "IP "},
		{"the request's APN, which the network assigns", sharing(record(other), "wanted.test", nil, "wanted.test"), "", "wanted.test", "", "wanted.test v4", "", "IP ", false, "IP "},
		{"the request's APN before a record for the attach", sharing(record(attachRecord), "default.test", nil, "default.test", "attach.test", "wanted.test"), "", "wanted.test", "", "wanted.test v4", "", "IPV4V6 wanted.test", true, "IP "},

		{"a record for the attach alone", sharing(record(attachRecord), "default.test", nil, "default.test", "attach.test"), "", "", "default.test", "attach.test v4", "", "IPV4V6 attach.test", true, "IP "},
		{"a record for the attach, and another APN for data", sharing(record(attachRecord+", "+data), "default.test", nil, "default.test", "attach.test"), "", "", "", "attach.test v4", "", "IPV4V6 attach.test", true, "IP "},
		{"a record for both", sharing(record(`{"apn": "data.test", "purposes": ["internet", "attach"]}`), "default.test", nil, "default.test", "data.test"), "", "", "", "data.test v4", "", "IPV4V6 data.test", true, "IP "},
		{"a record for the attach, not for abroad, gets round nothing", func() simOptions {
			o := sharing(record(`{"apn": "data.test", "purposes": ["internet", "attach"], "roaming": 0}`), "default.test", nil, "default.test", "data.test")
			core := o.core
			o.core = func(c *atsim.Core) { core(c); c.Cell.PLMN = "26201" }
			return o
		}(), "", "", "", "down", "no-apn", "IP ", false, "IP "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, tt.o)
				b.answer(tt.dead, status.Down)
				if tt.define != "" {
					b.at(tt.define)
					b.at("+CGATT=0")
					b.at("+CGATT=1")
				}
				b.writes()
				var apn *activation.APN
				if tt.apn != "" {
					apn = &activation.APN{APN: tt.apn}
				}
				for try := range 2 { // a second time changes nothing
					up, err := b.upWith(apn)
					code := ""
					if f, ok := errors.AsType[*activation.Fault](err); ok {
						code = f.Code
						if code == "attach-only" && (!strings.Contains(f.Text, "data.test") || !strings.Contains(f.Advice, "data_apn_in_attach")) {
							t.Errorf("error %q, advice %q", f, f.Advice)
						}
					}
					if b.link() != tt.link || code != tt.code || (err == nil) != (code == "") {
						t.Errorf("link %q, error %v", b.link(), err)
					}
					if err == nil && try == 0 && !tt.written && !strings.Contains(up.APNReason, "the context of the attach has it") {
						t.Errorf("the reason is %q", up.APNReason)
					}
					if got := b.context(1); got != tt.context {
						t.Errorf("the attach context is %q, want %q", got, tt.context)
					}
				}
				if n := b.writes(); (n > 0) != tt.written {
					t.Errorf("%d definitions of the attach context", n)
				}
				if n := b.sim.Stats().ByName["+CGAUTH"]; n > 0 && !tt.written {
					t.Errorf("%d times credentials for the attach context", n)
				}
				if a := b.current(); a != nil && a.call.Context.CID != 1 {
					t.Errorf("context %d carries the data", a.call.Context.CID)
				}
				if err := b.LeaveProfile(t.Context()); err != nil || b.context(1) != tt.restored {
					t.Errorf("the attach context is %q, %v", b.context(1), err)
				}
			})
		})
	}
}

// A modem whose network does not take what was written is registered with its
// own context again.
func TestSharedContextAfterRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := sharing(record(`{"apn": "old.test"}, {"apn": "older.test"}`), "default.test", nil, "default.test")
		o.bearer = func(c *Config) { c.NetworkAssigned, c.DataAPNInAttach = false, true }
		b := newSimBench(t, o)
		if _, err := b.up(); err == nil {
			t.Fatal("up")
		}
		time.Sleep(time.Minute)
		reg, err := b.session.Do(t.Context(), atcmd.Command{Text: "+CEREG?"})
		if err != nil || b.context(1) != "IP " || len(reg.Lines) != 1 || reg.Lines[0][:12] != "+CEREG: 3,1," {
			t.Errorf("attach context %q, registration %q, %v", b.context(1), reg.Lines, err)
		}
	})
}

// What the context failed at as it stands is told for as long as it waits, beside
// what is left out.
func TestSharedContextTellsWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, sharing(record(`{"apn": "data.test"}`), "", nil, "data.test"))
		b.run(func() {
			for range 4 {
				time.Sleep(3 * time.Minute)
				if reason := b.model.Snapshot().Reason; !strings.Contains(reason, "unknown APN (#27)") || !strings.Contains(reason, `"data.test": it would have to be`) {
					t.Errorf("the reason is %q", reason)
				}
			}
			if n := len(b.core.Asked()); n != 2 { // at once, and 5 minutes later
				t.Errorf("the network was asked %d times", n)
			}
		})
	})
}

// What was allowed once and is no more is put back before the next link.
func TestSharedContextNoLongerAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := sharing(record(`{"apn": "data.test"}`), "default.test", optIn, "default.test", "data.test")
		b := newSimBench(t, o)
		b.answer("default.test", status.Down)
		if _, err := b.up(); err != nil || b.context(1) != "IPV4V6 data.test" {
			t.Fatalf("attach context %q, %v", b.context(1), err)
		}
		b.Down(t.Context())
		now := b.Settings
		now.DataAPNInAttach = false
		b.Change(now)
		if _, err := b.up(); err == nil || b.context(1) != "IP " {
			t.Errorf("attach context %q, %v", b.context(1), err)
		}
	})
}

// Explain tells what is left out on such a modem, and why.
func TestExplainSharedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, sharing(record(`{"apn": "old.test"}, {"apn": "data.test"}`), "data.test", nil, "data.test"))
		a, err := b.Explain(t.Context())
		if err != nil || len(a.Candidates) != 3 || !a.Attach.Shared || a.Problem != nil {
			t.Fatalf("%+v %v", a, err)
		}
		if c := a.Candidates[0]; c.APN != "old.test" || c.NotTried == "" {
			t.Errorf("%+v", c)
		}
		if c := a.Candidates[1]; c.APN != "data.test" || c.NotTried != "" || !strings.Contains(c.Reason, "the context of the attach has it") {
			t.Errorf("%+v", c)
		}
		b.setRecords(strings.Replace(record(`{"apn": "old.test"}`), "{", `{"networkAssigned": false, `, 1))
		if a, err = b.Explain(t.Context()); err != nil || a.Problem == nil || a.Problem.Code != "attach-only" {
			t.Errorf("%+v %v", a, err)
		}
	})
}

// A modem may have no other context than the attach's, or carry no other to the
// host, and its dialect does not know: it is found out once, and remembered.
func TestSharedContextIsFoundOut(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, one    bool
		asked, before string
	}{
		{"no second context", false, true, "old.test IPV4V6, data.test IPV4V6", "data.test IPV4V6"},
		{"the first alone is carried", true, false, "old.test IPV4V6, data.test IPV4V6, data.test IPV4V6", "data.test IPV4V6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{
					records: record(`{"apn": "old.test"}, {"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") },
					first: tt.first, modem: func(c *atsim.Config) { c.Habits.OneContext = tt.one }, bearer: func(c *Config) { c.NetworkAssigned, c.DataAPNInAttach = false, true },
				})
				for _, want := range []string{tt.asked, tt.before} {
					if _, err := b.up(); err != nil {
						t.Fatal(err)
					}
					if asked := b.asked(); asked != want || b.current().call.Context.CID != 1 {
						t.Errorf("asked for %q, want %q; context %d", asked, want, b.current().call.Context.CID)
					}
					b.Down(t.Context())
				}
				if err := b.LeaveProfile(t.Context()); err != nil || b.context(1) != "IP " {
					t.Errorf("the attach context is %q, %v", b.context(1), err)
				}
			})
		})
	}
	for records, link := range map[string]string{
		record(`{"apn": "old.test"}, {"apn": "data.test"}`):      "down",
		record(attachRecord + `, {"apn": "data.test"}`):          "attach.test v4+v6",
		record(`{"apn": "data.test", "ipType": "ipv4"}`) + "own": "own.test v4",
	} {
		t.Run("no second context, nothing allowed: "+link, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records, own := strings.CutSuffix(records, "own")
				b := newSimBench(t, simOptions{
					records: records, core: func(c *atsim.Core) { c.APNs = apns("data.test", "attach.test", "own.test") },
					modem: func(c *atsim.Config) { c.Habits.OneContext = true },
				})
				context := "IP "
				if own {
					context = "IP own.test"
					b.at(`+CGDCONT=1,"IP","own.test"`)
				}
				if link == "attach.test v4+v6" {
					context = "IPV4V6 attach.test"
				}
				_, err := b.up()
				if f, _ := errors.AsType[*activation.Fault](err); b.link() != link || (link == "down") != (f != nil && f.Code == "attach-only") || b.context(1) != context {
					t.Errorf("link %s, attach context %q, %v", b.link(), b.context(1), err)
				}
			})
		})
	}
	t.Run("no context carries anything: the attach's is as it was", func(t *testing.T) {
		for _, allowed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{
					records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") },
					bearer: func(c *Config) { c.NetworkAssigned, c.DataAPNInAttach = false, allowed },
				})
				b.answer("data.test", status.Down)
				_, err := b.up()
				if want := strings.Repeat(", data.test IPV4V6", map[bool]int{false: 1, true: 2}[allowed])[2:]; err == nil || b.asked() != want || b.context(1) != "IP " {
					t.Errorf("allowed %v: the attach context is %q, %v", allowed, b.context(1), err)
				}
				if f, ok := errors.AsType[*activation.Fault](err); ok && (f.Code != "no-data" || strings.Contains(f.Advice, "data_apn_in_attach") == allowed) {
					t.Errorf("allowed %v: %s, advice %q", allowed, f.Code, f.Advice)
				}
			})
		}
	})
}
