package bearer

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/atcmd/atsim"
	"dynamod/configs/cosa"
	"dynamod/daemon/activation"
	"dynamod/daemon/learned"
	"dynamod/euicc"
)

// recordStep is what operators.d becomes while the link is up, and the link after it.
type recordStep struct{ records, link, asked string }

func TestRecordsChange(t *testing.T) {
	// falling is a record that has nothing which works, and lets others be tried.
	falling := strings.Replace(record(`{"apn": "old.test"}`), "{", `{"source": "operator", "allowFallback": true, `, 1)
	below := func(apn string) string {
		return `[` + falling + `, {"id": "below", "name": "Below", "targets": [{"mccmnc": ["00101"]}], "connections": [{"apn": "` + apn + `"}]}]`
	}
	assigned := func(c *atsim.Core) { c.APNs, c.Default = apns("given.test", "new.test"), "given.test" }
	off := func(c *Config) { c.NetworkAssigned = false }
	for _, tt := range []struct {
		name   string
		core   func(*atsim.Core)
		bearer func(*Config)
		plmn   string
		steps  []recordStep
	}{
		{"a record comes to a link that the network assigned", assigned, nil, "", []recordStep{
			{"", "v4+v6", "IPV4V6"},
			{record(`{"apn": "new.test"}`), "new.test v4+v6", "new.test IPV4V6"},
		}},
		{"a record that is mended comes before what the network assigned", assigned, nil, "", []recordStep{
			{record(`{"apn": "old.test"}`), "v4+v6", "old.test IPV4V6, IPV4V6"},
			{record(`{"apn": "old.test"}`), "v4+v6", ""},
			{record(`{"apn": "new.test"}`), "new.test v4+v6", "new.test IPV4V6"},
		}},
		{"the record is disabled", nil, nil, "", []recordStep{
			{record(`{"apn": "data.test"}`), "data.test v4+v6", "data.test IPV4V6"},
			{record(`{"apn": "data.test", "enabled": false}`), "down", ""},
		}},
		{"the record goes", nil, off, "", []recordStep{
			{record(`{"apn": "data.test"}`), "data.test v4+v6", "data.test IPV4V6"},
			{"", "down", ""},
		}},
		{"the record goes that another one fell back to", func(c *atsim.Core) { c.APNs = apns("data.test", "new.test") }, off, "", []recordStep{
			{below("data.test"), "data.test v4+v6", "old.test IPV4V6, data.test IPV4V6"},
			{below("data.test"), "data.test v4+v6", ""},
			{below("new.test"), "new.test v4+v6", "old.test IPV4V6, new.test IPV4V6"},
			{falling, "down", "old.test IPV4V6"},
		}},
		{"the record gets a rule that forbids it here", nil, nil, "26201", []recordStep{
			{record(`{"apn": "data.test"}`), "data.test v4+v6", "data.test IPV4V6"},
			{record(`{"apn": "data.test", "roaming": 0}`), "down", ""},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{records: tt.steps[0].records, bearer: tt.bearer, core: func(c *atsim.Core) {
					c.APNs = apns("data.test")
					if tt.core != nil {
						tt.core(c)
					}
					if tt.plmn != "" {
						c.Cell.PLMN = tt.plmn
					}
				}})
				b.run(func() {
					for i, step := range tt.steps {
						if i > 0 {
							b.setRecords(step.records)
							b.Kick()
						}
						time.Sleep(time.Minute)
						if link, asked := b.link(), b.asked(); link != step.link || asked != step.asked {
							t.Errorf("step %d: link %q, asked for %q; want %q, %q", i, link, asked, step.link, step.asked)
						}
					}
				})
			})
		})
	}
}

// After a restart, too, a record that was added goes before the empty APN that
// worked without it.
func TestRecordAddedBeforeARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{records: record(`{"apn": "new.test"}`), core: func(c *atsim.Core) { c.APNs, c.Default = apns("given.test", "new.test"), "given.test" }})
		if err := b.store.SetLastGood(simICCID, learned.APN{Key: (&cosa.Connection{}).Key(), PLMN: "00101"}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.up(); err != nil || b.asked() != "new.test IPV4V6" {
			t.Errorf("%s, %v", b.link(), err)
		}
	})
}

// One APN and user with two passwords are two connections: the one that worked
// goes first, and the pause of one is not the other's.
func TestTwoPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSimBench(t, simOptions{
			records: record(`{"apn": "login.test", "auth": "pap", "username": "me", "password": "old"}, {"apn": "login.test", "auth": "pap", "username": "me", "password": "new"}`),
			core: func(c *atsim.Core) {
				c.APNs = []atsim.APN{{Name: "login.test", User: "me", Password: "new", Lease: simLease}}
			},
			bearer: func(c *Config) { c.NetworkAssigned = false },
		})
		const one = "login.test IPV4V6 pap"
		for _, want := range []string{one + ", " + one, one, one} {
			up, err := b.up()
			if asked := b.asked(); err != nil || asked != want {
				t.Errorf("asked for %q, want %q (%v)", asked, want, err)
			}
			if want == one && !strings.Contains(up.APNReason, "worked last") {
				t.Errorf("reason %q", up.APNReason)
			}
			b.Down(t.Context())
		}
		a, err := b.Explain(t.Context())
		if err != nil || len(a.Candidates) != 2 || !a.Candidates[0].LastGood || a.Candidates[1].LastGood || strings.Contains(a.Candidates[1].Reason, "worked last") {
			t.Errorf("%+v %v", a.Candidates, err)
		}
		if good, _ := b.store.LastGood(simICCID); good.Record != "op/1" || strings.Contains(good.Key, "new") {
			t.Errorf("%+v", good)
		}

		b.core.Set(func(c *atsim.Core) { c.APNs[0].Password = "other" })
		if _, err := b.up(); err == nil || b.asked() != one+", "+one || len(b.pace.tries) != 2 || strings.Contains(err.Error(), "new") {
			t.Errorf("%d pauses: %v", len(b.pace.tries), err)
		}
	})
}

// The type that was granted last does not outlive a record that now names another.
func TestIPTypeOfAnEditedRecord(t *testing.T) {
	for _, tt := range []struct{ name, records, second string }{
		{"unchanged", record(`{"apn": "data.test"}`), "data.test IP"},
		{"both", record(`{"apn": "data.test", "ipType": "ipv4v6"}`), "data.test IP"},
		{"one that it was not", record(`{"apn": "data.test", "ipType": "ipv6"}`), "data.test IPV6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{records: record(`{"apn": "data.test"}`), core: func(c *atsim.Core) {
					c.APNs = []atsim.APN{{Name: "data.test", Types: []string{"IP"}, DualCause: 28, Lease: simLease}}
				}})
				if _, err := b.up(); err != nil || b.asked() != "data.test IPV4V6, data.test IP" {
					t.Fatal(b.link(), err)
				}
				b.Down(t.Context())
				b.core.Set(func(c *atsim.Core) { c.APNs[0].Types, c.APNs[0].DualCause = nil, 0 })
				b.setRecords(tt.records)
				if _, err := b.up(); err != nil {
					t.Fatal(err)
				}
				if asked := b.asked(); asked != tt.second {
					t.Errorf("asked for %q, want %q", asked, tt.second)
				}
			})
		})
	}
}

// A profile of an MVNO that is known by what only the card tells is downloaded,
// and gets the MVNO's connection.
func TestMVNOBeforeTheDownload(t *testing.T) {
	mvno := func(target string) string {
		return `{"id": "mvno", "name": "MVNO", "targets": [{"mccmnc": ["00101"], ` + target + `}], "connections": [{"apn": "mvno.test"}]}`
	}
	const disabled = `{"id": "op", "name": "Op", "targets": [{"mccmnc": ["00101"]}], "connections": [{"apn": "data.test", "enabled": false}]}`
	for _, tt := range []struct {
		name, records, refused string
		gid1                   []byte
	}{
		{"by GID1", mvno(`"gid1": ["2AC9"]`), "", nil},
		{"by IMSI", mvno(`"imsi": ["00101000"]`), "", nil},
		{"beside a host without a connection", "[" + disabled + "," + mvno(`"gid1": ["2AC9"]`) + "]", "", nil},
		{"the metadata have another GID1", mvno(`"gid1": ["2AC9"]`), "no-apn", []byte{0x2B}},
		{"a host without a connection alone", disabled, "no-apn", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSimBench(t, simOptions{
					records: tt.records, core: func(c *atsim.Core) { c.APNs = apns("mvno.test") }, card: func(c *simCard) { c.set("6f3e", "2AC9FFFF") },
				})
				id, err := euicc.ParseICCID(simICCID)
				if err != nil {
					t.Fatal(err)
				}
				p, err := b.Choose(t.Context(), euicc.Metadata{ICCID: id, ServiceProvider: "Virtual", Owner: euicc.Operator{MCC: "001", MNC: "01", GID1: tt.gid1}}, nil)
				if f, ok := errors.AsType[*activation.Fault](err); ok != (tt.refused != "") || ok && f.Code != tt.refused {
					t.Fatal(err)
				}
				if err != nil {
					return
				}
				if up, err := b.Up(t.Context(), p, func(activation.State) {}); err != nil || up.APN != "mvno.test" {
					t.Errorf("%+v %v", up, err)
				}
			})
		})
	}
}
