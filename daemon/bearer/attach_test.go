package bearer

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/daemon/status"
)

const attachRecord = `{"apn": "attach.test", "purposes": ["attach"], "ipType": "ipv4v6"}`

// lte makes a modem that attaches with context 1, as LTE has it.
func lte(c *atsim.Config) { c.AttachBearer = true }

// The data APN has a context of its own; the attach's is left as it is, and
// serves where it has the wanted APN already.
func TestDataKeepsOffTheAttach(t *testing.T) {
	for _, tt := range []struct {
		name    string
		o       simOptions
		define  string // the modem's own context, by hand
		asked   string
		cid     int
		context string // 1, afterwards
	}{
		{
			"no LTE", simOptions{records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") }}, "",
			"data.test IPV4V6", 2, "IP ",
		},
		{
			"attached with the network's APN, data by another", simOptions{
				records: record(`{"apn": "data.test"}`), modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default = apns("data.test", "default.test"), "default.test" },
			}, "", "IP, data.test IPV4V6", 2, "IP ",
		},
		{
			"attached with the APN that is wanted: no second context", simOptions{
				records: record(`{"apn": "data.test"}`), modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default, c.OnePerAPN = apns("data.test"), "data.test", true },
			}, "", "IP", 1, "IP ",
		},
		{
			"the modem does not tell its APN, the network refuses a second: cause 55", simOptions{
				records: record(`{"apn": "data.test"}`), modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default, c.OnePerAPN = apns("data.test"), "data.test", true },
			}, "mute +CGCONTRDP", "IP, data.test IPV4V6", 1, "IP ",
		},
		{
			"credentials need a context of their own", simOptions{
				records: record(`{"apn": "data.test", "username": "me", "password": "x"}`), modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default = apns("data.test"), "data.test" },
			}, "", "IP, data.test IPV4V6 chap", 2, "IP ",
		},
		{
			"no record: the modem's own context, as it is", simOptions{modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default = apns("own.test"), "own.test" }},
			`+CGDCONT=1,"IPV4V6","own.test"`, "IP, own.test IPV4V6", 1, "IPV4V6 own.test",
		},
		{
			"the modem's own context, attached with, goes before the records", simOptions{
				records: record(`{"apn": "data.test"}`), modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default = apns("own.test", "data.test"), "own.test" },
			}, `+CGDCONT=1,"IPV4V6","own.test"`, "IP, own.test IPV4V6", 1, "IPV4V6 own.test",
		},
		{
			"an IMS context is not for data", simOptions{
				records: record(`{"apn": "data.test"}`), modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default = apns("ims", "data.test"), "ims" },
			}, `+CGDCONT=1,"IPV4V6","ims"`, "IP, ims IPV4V6, data.test IPV4V6", 2, "IPV4V6 ims",
		},
		{
			"nor is Verizon's", simOptions{
				records: record(`{"apn": "vzwinternet"}`), modem: lte, core: func(c *atsim.Core) { c.APNs, c.Default = apns("vzwims", "vzwinternet"), "vzwims" },
			}, `+CGDCONT=1,"IPV6","VZWIMS"`, "IP, VZWIMS IPV6, vzwinternet IPV4V6", 2, "IPV6 VZWIMS",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, tt.o)
				switch tt.define {
				case "":
				case "mute +CGCONTRDP":
					if err := b.sim.SetFault("cme", atsim.Fault{Command: "+CGCONTRDP"}); err != nil {
						t.Fatal(err)
					}
				default:
					b.at(tt.define)
					b.at("+CGATT=0")
					b.at("+CGATT=1")
				}
				if _, err := b.up(); err != nil {
					t.Fatal(err)
				}
				if asked := b.asked(); asked != tt.asked {
					t.Errorf("asked for %q, want %q", asked, tt.asked)
				}
				if a := b.current(); a.call.Context.CID != tt.cid {
					t.Errorf("context %d carries the data, want %d", a.call.Context.CID, tt.cid)
				}
				if got := b.context(1); got != tt.context {
					t.Errorf("the attach context is %q, want %q", got, tt.context)
				}
				if _, changed := b.store.Attach("490154203237518"); changed {
					t.Error("noted as changed")
				}
			})
		})
	}
}

func TestNotForData(t *testing.T) {
	for apn, want := range map[string]bool{
		"ims": true, "IMS": true, "VZWIMS": true, "ims.metropcs": true, "xcap.ims": true, "xcap": true, "sos": true, "ims.mnc001.mcc262.gprs": true,
		"": false, "internet": false, "imsi.example": false, "sosafe": false, "xcapital": false,
	} {
		if notForData(apn) != want {
			t.Errorf("%q: %v", apn, !want)
		}
	}
}

// A record's attach APN is written before the modem registers with it, and the
// one that was there comes back with another SIM, and without the record.
func TestAttachRecord(t *testing.T) {
	o := func() simOptions {
		return simOptions{
			records: record(attachRecord + `, {"apn": "data.test"}`), modem: lte,
			core: func(c *atsim.Core) {
				c.APNs, c.Default = apns("attach.test", "data.test", "default.test"), "default.test"
			},
		}
	}
	setup := func(t *testing.T) *simBench {
		b := newSimBench(t, o())
		b.at(`+CGDCONT=1,"IPV4V6","factory.test"`)
		if _, err := b.up(); err != nil {
			t.Fatal(err)
		}
		if asked := b.asked(); asked != "IP, attach.test IPV4V6, data.test IPV4V6" {
			t.Errorf("asked for %q", asked)
		}
		if got := b.context(1); got != "IPV4V6 attach.test" || b.core.Up(1) != "attach.test" || b.link() != "data.test v4+v6" {
			t.Errorf("attach context %q, up with %q, link %s", got, b.core.Up(1), b.link())
		}
		return b
	}
	t.Run("another SIM", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			// The factory's APN is nothing to this network, nor is attach.test.
			b.core.Set(func(c *atsim.Core) { c.Home = "00102"; c.Cell.PLMN = "00102"; c.APNs = apns("factory.test") })
			b.swapSIM(newSIM("8900102000000000017", "001020000000017", 2))
			if up, err := b.up(); err != nil || up.APN != "factory.test" {
				t.Errorf("%+v %v", up, err)
			}
			if got := b.context(1); got != "IPV4V6 factory.test" {
				t.Errorf("attach context %q", got)
			}
			if _, changed := b.store.Attach("490154203237518"); changed {
				t.Error("still noted as changed")
			}
		})
	})
	t.Run("a switch of profiles", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			for range 2 {
				if err := b.LeaveProfile(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := b.context(1); got != "IPV4V6 factory.test" {
				t.Errorf("attach context %q", got)
			}
		})
	})
	t.Run("not where its rule forbids it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opts, core := o(), o().core
			opts.records = record(strings.Replace(attachRecord, "{", `{"roaming": 0, `, 1) + `, {"apn": "data.test"}`)
			opts.core = func(c *atsim.Core) { core(c); c.Cell.PLMN = "26201" }
			b := newSimBench(t, opts)
			b.at(`+CGDCONT=1,"IPV4V6","factory.test"`)
			if _, err := b.up(); err != nil || b.context(1) != "IPV4V6 factory.test" || b.link() != "data.test v4+v6" {
				t.Errorf("abroad: attach context %q, link %s, %v", b.context(1), b.link(), err)
			}
			if a, err := b.Explain(t.Context()); err != nil || a.Attach.Record != nil {
				t.Errorf("explained: %+v %v", a.Attach, err)
			}
			b.Down(t.Context())
			b.core.Set(func(c *atsim.Core) { c.Cell.PLMN = "00101" })
			time.Sleep(time.Minute)
			if _, err := b.up(); err != nil || b.context(1) != "IPV4V6 attach.test" {
				t.Errorf("at home: attach context %q, %v", b.context(1), err)
			}
		})
	})
	t.Run("one for home and one for abroad", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opts := o()
			opts.records = record(strings.Replace(attachRecord, "{", `{"roaming": 0, `, 1) + `, {"apn": "guest.test", "purposes": ["attach"], "roaming": 5}, {"apn": "data.test"}`)
			opts.modem = func(c *atsim.Config) { c.AttachBearer, c.RegisterTime = true, 5*time.Second }
			opts.core = func(c *atsim.Core) {
				c.APNs, c.Default, c.Cell.PLMN = apns("attach.test", "guest.test", "data.test", "default.test"), "default.test", "26201"
			}
			b := newSimBench(t, opts)
			restart := func() {
				b.at("+CFUN=0")
				b.at("+CFUN=1")
				b.writes()
			}
			restart() // where it is, is not known before it registers
			if _, err := b.up(); err != nil || b.context(1) != "IPV4V6 guest.test" || b.link() != "data.test v4+v6" {
				t.Errorf("abroad: attach context %q, link %s, %v", b.context(1), b.link(), err)
			}
			b.Down(t.Context())
			restart()
			if _, err := b.up(); err != nil || b.writes() != 0 {
				t.Errorf("abroad again: attach context %q was written, %v", b.context(1), err)
			}
			b.run(func() {
				b.core.Set(func(c *atsim.Core) { c.Cell.PLMN = "00101" })
				time.Sleep(10 * time.Minute)
				if b.context(1) != "IPV4V6 attach.test" || b.state() != status.Up {
					t.Errorf("back at home: attach context %q, %s", b.context(1), b.state())
				}
			})
		})
	})
	t.Run("data with its APN and credentials takes its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			login := func(purpose, password string) string {
				return `{"apn": "login.test", "auth": "pap", "username": "me", "password": "` + password + `", "purposes": ["` + purpose + `"]}`
			}
			opts := o()
			opts.records = record(login("attach", "secret") + "," + login("internet", "secret"))
			opts.core = func(c *atsim.Core) {
				c.APNs, c.Default = append(apns("default.test"), atsim.APN{Name: "login.test", User: "me", Password: "secret", Lease: simLease}), "default.test"
			}
			b := newSimBench(t, opts)
			if _, err := b.up(); err != nil {
				t.Fatal(err)
			}
			if asked := b.asked(); asked != "IP, login.test IPV4V6 pap" || b.core.Up(1) != "login.test" || b.core.Up(2) != "" {
				t.Errorf("asked for %q, contexts up with %q and %q", asked, b.core.Up(1), b.core.Up(2))
			}
			b.Down(t.Context())
			b.setRecords(record(login("attach", "secret") + "," + login("internet", "other")))
			if _, err := b.up(); err == nil && b.core.Up(2) == "" {
				t.Error("other credentials on the attach's context")
			}
		})
	})
	t.Run("the modem has no type for both", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opts := o()
			opts.modem = func(c *atsim.Config) { c.AttachBearer, c.Habits.NoDual = true, true }
			b := newSimBench(t, opts)
			for range 2 {
				if _, err := b.up(); err != nil || b.context(1) != "IP attach.test" || b.link() != "data.test v4" {
					t.Errorf("attach context %q, link %s, %v", b.context(1), b.link(), err)
				}
			}
		})
	})
	t.Run("the modem does not take its credentials", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opts := o()
			opts.records = record(`{"apn": "attach.test", "purposes": ["attach"], "username": "me", "password": "x"}, {"apn": "data.test"}`)
			b := newSimBench(t, opts)
			if err := b.sim.SetFault("cme", atsim.Fault{Command: "+CGAUTH"}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.up(); err != nil || b.context(1) != "IP " || b.link() != "data.test v4+v6" {
				t.Errorf("attach context %q, link %s, %v", b.context(1), b.link(), err)
			}
			if _, changed := b.store.Attach("490154203237518"); changed {
				t.Error("still noted as changed")
			}
		})
	})
	t.Run("the record goes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			b.setRecords(record(`{"apn": "data.test"}`))
			b.Down(t.Context())
			if _, err := b.up(); err != nil || b.context(1) != "IPV4V6 factory.test" {
				t.Errorf("attach context %q, %v", b.context(1), err)
			}
		})
	})
	t.Run("twice changes nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			if _, err := b.up(); err != nil || b.asked() != "" {
				t.Error(err)
			}
		})
	})
	t.Run("the network refuses it: the modem's own is put back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opts := o()
			opts.core = func(c *atsim.Core) { c.APNs, c.Default = apns("data.test", "default.test"), "default.test" }
			b := newSimBench(t, opts)
			b.run(func() {
				time.Sleep(10 * time.Minute)
				if b.state() != status.Up || b.link() != "data.test v4+v6" || b.context(1) != "IP " {
					t.Errorf("%s, link %s, attach context %q: %s", b.state(), b.link(), b.context(1), b.model.Snapshot().Reason)
				}
			})
		})
	})
}

// What cannot be noted is not changed, at the first try and at the next: the
// link comes up with the attach as it is. What was noted before is put back.
func TestAttachOnAFullDisk(t *testing.T) {
	options := func() simOptions {
		return simOptions{records: record(attachRecord + `, {"apn": "data.test"}`), modem: lte, core: func(c *atsim.Core) {
			c.APNs, c.Default = apns("data.test", "attach.test", "default.test"), "default.test"
		}}
	}
	full := func(t *testing.T, b *simBench) {
		if err := os.RemoveAll(b.dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("before the first change", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newSimBench(t, options())
			full(t, b)
			for range 3 {
				if _, err := b.up(); err != nil || b.link() != "data.test v4+v6" || b.context(1) != "IP " {
					t.Errorf("link %s, attach context %q, %v", b.link(), b.context(1), err)
				}
				b.Down(t.Context())
			}
			if n := b.writes(); n != 0 {
				t.Errorf("the attach context was written %d times", n)
			}
		})
	})
	t.Run("after it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newSimBench(t, options())
			if _, err := b.up(); err != nil || b.context(1) != "IPV4V6 attach.test" {
				t.Fatalf("attach context %q, %v", b.context(1), err)
			}
			full(t, b)
			b.setRecords(record(`{"apn": "data.test"}`))
			b.Down(t.Context())
			if _, err := b.up(); err != nil || b.link() != "data.test v4+v6" || b.context(1) != "IP " {
				t.Errorf("link %s, attach context %q, %v", b.link(), b.context(1), err)
			}
		})
	})
}

// A modem that tells an address and nothing else leaves the name servers to the
// configuration.
func TestNameServersOfTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, own := range []bool{true, false} {
			b := newSimBench(t, simOptions{
				records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) { c.APNs = apns("data.test") },
				bearer: func(c *Config) { c.DNS = simLease.DNS[:1] },
			})
			if !own {
				if err := b.sim.SetFault("cme", atsim.Fault{Command: "+CGCONTRDP"}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.up(); err != nil {
				t.Fatal(err)
			}
			if n := len(b.current().spec.DNS); own && n != 2 || !own && n != 1 {
				t.Errorf("own servers %v: %v", own, b.current().spec.DNS)
			}
		}
	})
}
