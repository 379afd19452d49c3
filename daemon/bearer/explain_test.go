package bearer

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/configs/cosa"
	"dynamod/daemon/learned"
)

// Explain tells what the tries follow, and asks the network for nothing.
func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{
			records: record(attachRecord + `, {"apn": "login.test", "username": "me", "password": "s3cret"}, {"apn": "data.test"}`),
			core: func(c *atsim.Core) {
				c.APNs = append(apns("attach.test", "data.test"), atsim.APN{Name: "login.test", User: "you", Lease: simLease})
				c.Cell.PLMN = "26201"
			},
			card: func(c *simCard) { c.set("6f3e", "2AC901FF") },
		})
		before, err := b.Explain(t.Context())
		if err != nil || before.Candidates[0].APN != "login.test" || before.Candidates[0].Active || before.Candidates[0].NotBefore != nil {
			t.Fatalf("%+v %v", before, err)
		}
		if b.asked() != "" || b.context(1) != "IP " {
			t.Error("something was changed")
		}
		b.run(func() {
			time.Sleep(time.Minute)
			b.asked()
			a, err := b.Explain(t.Context())
			if err != nil || a.Problem != nil || a.SIM.ICCID != simICCID || strings.Contains(a.SIM.IMSI, simIMSI[6:]) || a.SIM.GID1 != "2AC901" || a.SIM.MNCLength != 2 {
				t.Errorf("%+v %v", a, err)
			}
			if n := a.Network; n.PLMN != "26201" || n.Roaming != cosa.International.String() || !n.Allowed {
				t.Errorf("network %+v", n)
			}
			if a.Settings.Outcome != cosa.Matched || len(a.Reasons) < 2 || a.Reasons[0] != "home network 00101" {
				t.Errorf("settings %+v, %q", a.Settings, a.Reasons)
			}
			if len(a.Candidates) != 3 {
				t.Fatalf("candidates %+v", a.Candidates)
			}
			if c := a.Candidates[0]; c.APN != "data.test" || !c.Active || !c.LastGood || c.NotBefore != nil || !strings.Contains(c.Reason, "worked last") {
				t.Errorf("first %+v", c)
			}
			if c := a.Candidates[1]; c.APN != "login.test" || c.Active || c.Auth != "chap" || c.Username != "me" {
				t.Errorf("second %+v", c)
			}
			if a.Attach == nil || a.Attach.APN != "attach.test" || a.Attach.Record == nil || !strings.Contains(a.Attach.Reason, "record") {
				t.Errorf("attach %+v", a.Attach)
			}
			if out, err := json.Marshal(a); err != nil || strings.Contains(string(out), "s3cret") {
				t.Errorf("%s %v", out, err)
			}
		})
	})
}

// It tells when a connection that failed is tried again, and why nothing is.
func TestExplainWhyNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{
			records: record(`{"apn": "old.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") }, bearer: func(c *Config) { c.NetworkAssigned = false },
		})
		b.run(func() {
			time.Sleep(time.Minute)
			a, err := b.Explain(t.Context())
			if err != nil || len(a.Candidates) != 1 || a.Candidates[0].NotBefore == nil {
				t.Fatalf("%+v %v", a, err)
			}
			if wait := time.Until(*a.Candidates[0].NotBefore); wait < 3*time.Minute || wait > 5*time.Minute {
				t.Errorf("tried again in %v", wait)
			}
			b.setRecords("")
			if a, err = b.Explain(t.Context()); err != nil || a.Problem == nil || a.Problem.Code != "no-apn" || a.Candidates == nil {
				t.Errorf("%+v %v", a, err)
			}
			b.at("+CFUN=0")
			if _, err = b.Explain(t.Context()); err == nil || !strings.Contains(err.Error(), "no SIM") {
				t.Errorf("without a SIM: %v", err)
			}
		})
	})
}

// Nothing is said to be changed, or to be put back, where the attach context is
// as it was found.
func TestExplainAttachAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") }})
		if err := b.store.SetAttach("490154203237518", learned.Attach{CID: 1, Type: "IP", For: simICCID, By: learned.ByRecord}); err != nil {
			t.Fatal(err)
		}
		a, err := b.Explain(t.Context())
		if err != nil || a.Attach == nil || b.context(1) != "IP " || !strings.Contains(a.Attach.Reason, "as it was again") {
			t.Errorf("%q: %+v %v", b.context(1), a.Attach, err)
		}
	})
}
