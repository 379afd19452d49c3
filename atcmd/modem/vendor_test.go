package modem

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"dynamod/atcmd/dialect"
)

func TestCarrierConfig(t *testing.T) {
	list := `+QMBNCFG: "List",0,0,0,"ROW_Generic_3GPP",0x05010824,201806201|` +
		`+QMBNCFG: "List",1,1,1,"OpenMkt-Commercial-CU",0x05011510,201911151`
	for _, tt := range []struct {
		name, dialect string
		script        []any
		want          CarrierConfig
		stale         bool
	}{
		{"EC25 after a switch, chosen by hand", "quectel", []any{`+QMBNCFG="List"`, list, `+QMBNCFG="AutoSel"`, `+QMBNCFG: "AutoSel",0`}, CarrierConfig{"OpenMkt-Commercial-CU", false, false}, true},
		{"EC25, chosen by the SIM", "quectel", []any{`+QMBNCFG="List"`, list, `+QMBNCFG="AutoSel"`, `+QMBNCFG: "AutoSel",1`}, CarrierConfig{"OpenMkt-Commercial-CU", true, false}, false},
		{"RM520N, for all", "quectel", []any{`+QMBNCFG="List"`, `+QMBNCFG: "List",3,1,1,"ROW_Commercial",0x0A010809,202009211`}, CarrierConfig{"ROW_Commercial", false, true}, false},
		{"LE910C4, global image", "telit", []any{"#FWSWITCH?", "#FWSWITCH: 40,1"}, CarrierConfig{"40", false, true}, false},
		{"LE910C1, Verizon image", "telit", []any{"#FWSWITCH?", "#FWSWITCH: 1,1,0"}, CarrierConfig{"1", false, false}, true},
		{"LARA-R6, by the SIM", "ublox", []any{"+UMNOPROF?", "+UMNOPROF: 1"}, CarrierConfig{"1", true, false}, false},
	} {
		got, err := newScript(t, tt.script...).modem(tt.dialect).CarrierConfig(t.Context())
		if err != nil || got != tt.want || got.Stale() != tt.stale {
			t.Errorf("%s: %+v %v, stale %v", tt.name, got, err, got.Stale())
		}
	}
	if _, err := newScript(t).modem("generic").CarrierConfig(t.Context()); !errors.Is(err, ErrNoCarrierConfig) {
		t.Errorf("generic: %v", err)
	}
}

func TestVendorSignal(t *testing.T) {
	for _, tt := range []struct {
		name, dialect    string
		script           []any
		rsrp, rsrq, sinr float64
	}{
		{"EC25: +QCSQ adds the SINR", "quectel", []any{"+CESQ", "+CESQ: 99,99,255,255,21,54", "+CSQ", "+CSQ: 23,99", "+QCSQ", `+QCSQ: "LTE",-69,-102,150,-12`}, -87, -9.5, 10},
		{"EC25 without +CESQ", "quectel", []any{"+CSQ", "+CSQ: 23,99", "+QCSQ", `+QCSQ: "LTE",-69,-102,150,-12`}, -102, -12, 10},
		{"L850", "fibocom-xmm", []any{"+CSQ", "+CSQ: 23,99", "+XCESQ?", "+XCESQ: 0,99,99,255,255,24,51,18"}, -90, -8, 9},
		{"ME909", "huawei", []any{"+CSQ", "+CSQ: 23,99", "^HCSQ?", `^HCSQ: "LTE",46,54,146,24`}, -87, -8, 9},
	} {
		s, err := newScript(t, tt.script...).modem(tt.dialect).Signal(t.Context())
		if err != nil || s.RSRP == nil || s.RSRQ == nil || s.SINR == nil || *s.RSRP != tt.rsrp || *s.RSRQ != tt.rsrq || *s.SINR != tt.sinr {
			t.Errorf("%s: %v %v", tt.name, s, err)
		}
	}
	s, err := newScript(t, "+CSQ", "+CSQ: 23,99", "+XCESQ?", "+XCESQ: 0,99,99,46,31,255,255,255").modem("fibocom-xmm").Signal(t.Context())
	if err != nil || s.RSRP != nil || s.SINR != nil || s.RSSI == nil {
		t.Errorf("L850 on UMTS: %+v %v", s, err)
	}
}

func TestVendorCalls(t *testing.T) {
	plain := Context{CID: 1, Type: IPv4, APN: "internet"}
	for _, tt := range []struct {
		name, dialect string
		call          Call
		script        []any
		sent          string // commands that bring the call up, in order
		addr, gateway string
	}{
		{"ME909: asked until it is up", "huawei", Call{Context: plain, Function: dialect.NCM},
			[]any{"^NDISDUP=1,0", 0, `^NDISDUP=1,1,"internet"`, "", "^NDISSTATQRY?", `^NDISSTATQRY: 0,,,"IPV4"`, "^NDISSTATQRY?", `^NDISSTATQRY: 1,,,"IPV4"`},
			`^NDISDUP=1,0|^NDISDUP=1,1,"internet"|^NDISSTATQRY?|^NDISSTATQRY?`, "", ""},
		{"ME909 with credentials", "huawei", Call{Context: plain, Auth: Auth{PAP, "u", "p"}, Function: dialect.NCM},
			[]any{`^AUTHDATA=1,1,"","u","p"`, "", `^NDISDUP=1,1,"internet","u","p",1`, "", "^NDISSTATQRY?", `^NDISSTATQRY: 1,,,"IPV4"`},
			`^NDISDUP=1,0|^NDISDUP=1,1,"internet","u","p",1|^NDISSTATQRY?`, "", ""},
		{"FM350: no DHCP", "fibocom-mtk", Call{Context: plain, Function: dialect.RNDIS},
			[]any{`+EIAAPN="internet",0,"IP","IP",0,"",""`, "", "+CGACT=1,1", "", "+CGPADDR=1", `+CGPADDR: 1,"10.64.3.6"`, "+CGCONTRDP=1", `+CGCONTRDP: 1,5,"internet","10.64.3.6.255.0.0.0",,"192.0.2.53"`},
			`+EIAAPN="internet",0,"IP","IP",0,"",""|+CGAUTH=1,0|+CGACT=1,1`, "10.64.3.6/24", "10.64.3.1"},
		{"LE910: what is up is taken down first", "telit", Call{Context: plain, Function: dialect.ECM},
			[]any{"#ECMD=0", "", "#ECM=1,0", ""}, `#ECMD=0|#ECM=1,0`, "", ""},
		{"FM160", "fibocom", Call{Context: plain, Function: dialect.ECM},
			[]any{"+GTRNDIS=0,1", 0, "+GTRNDIS=1,1", ""}, "+GTRNDIS=0,1|+GTRNDIS=1,1", "", ""},
		{"MC7455: password before user", "sierra", Call{Context: plain, Auth: Auth{CHAP, "u", "p"}, Function: dialect.ECM},
			[]any{`$QCPDPP=1,2,"p","u"`, "", "!SCACT=1,1", ""}, `$QCPDPP=1,2,"p","u"|!SCACT=1,1`, "", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t, append(tt.script, `+CGDCONT=1,"IP","internet"`, "")...)
			lease, err := s.modem(tt.dialect).Up(t.Context(), tt.call)
			if err != nil {
				t.Fatalf("%s: %v after %s", tt.name, err, s.texts())
			}
			if !strings.Contains(s.texts(), tt.sent) {
				t.Errorf("%s: sent %s, want %s in it", tt.name, s.texts(), tt.sent)
			}
			if tt.addr == "" {
				if lease.Source != dialect.DHCP {
					t.Errorf("%s: %+v", tt.name, lease)
				}
				return
			}
			c := lease.Config
			if !slices.Contains(c.Addrs, netip.MustParsePrefix(tt.addr)) || !slices.Contains(c.Gateway, netip.MustParseAddr(tt.gateway)) || len(c.DNS) != 1 {
				t.Errorf("%s: %+v", tt.name, c)
			}
		})
	}
}

// A call that never comes up ends after the dialect's time, and says so.
func TestVendorCallNeverUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, `^NDISDUP=1,1,"internet"`, "", `+CGDCONT=1,"IP","internet"`, "", "^NDISSTATQRY?", `^NDISSTATQRY: 0,,,"IPV4"`)
		_, err := s.modem("huawei").Up(t.Context(), Call{Context: Context{CID: 1, Type: IPv4, APN: "internet"}, Function: dialect.NCM})
		if !errors.Is(err, ErrNotUp) || s.count("^NDISSTATQRY?") < 100 {
			t.Errorf("%v after %d looks", err, s.count("^NDISSTATQRY?"))
		}
	})
}
