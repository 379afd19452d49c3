package importer

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

// Rows in the forms of AOSP and LineageOS, with what they hold of odd.
const android = `<?xml version="1.0" encoding="utf-8"?>
<apns version="8">
  <apn carrier="T-Mobile US" mcc="310" mnc="260" apn="fast.t-mobile.com" type="default,supl,mms,xcap" protocol="IPV6" roaming_protocol="IP" mmsc="http://mms.msg.eng.t-mobile.com/mms/wapenc" mtu="1440" />
  <apn carrier="T-Mobile US ims" mcc="310" mnc="260" apn="ims" type="ims" protocol="IPV6" />
  <apn carrier="Metro" mcc="310" mnc="260" apn="fast.metropcs.com" type="default" protocol="IPV6" roaming_protocol="IP" mvno_type="gid" mvno_match_data="6d38" />
  <apn carrier="Fi" mcc="310" mnc="260" apn="h2g2" type="*" mvno_type="imsi" mvno_match_data="31026097" />
  <apn carrier="Chatr" mcc="302" mnc="720" apn="chatrweb.apn" type="default" mvno_type="IMSI" mvno_match_data="302720X83" authtype="3" user="u" password="p" />
  <apn carrier="Lebara" mcc="262" mnc="01" apn=" internet.t-mobile " type="Default" mvno_type="spn" mvno_match_data="Lebara" authtype="1" />
  <apn carrier="Cards" mcc="262" mnc="01" apn="cards" mvno_type="iccid" mvno_match_data="894901, 894902" carrier_enabled="false" always_on="1" />
  <apn carrier="At&#x7f;tach" mcc="208" mnc="01" apn="" type="ia" protocol="IPV4V6" />
  <apn carrier="Modern" mcc="208" mnc="01" apn="5g" type="default" bearer_bitmask="14|20" />
  <apn carrier="Boot" mcc="208" mnc="01" apn="boot" type="default" esim_bootstrap_provisioning="true" network_type_bitmask="13" />
  <apn carrier="Bad" mcc="310" mnc="" apn="a" type="default" />
  <apn carrier="Bad" mcc="31" mnc="01" apn="a" type="default" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="wap mms" type="default" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="#777" type="default" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="KL．M" type="default" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="a" type="default" bearer="13" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="a" type="default" bearer_bitmask="18" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="a" type="xcap,bip" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="a" type="default" protocol="NON-IP" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="a" type="default" mvno_type="gid" mvno_match_data="zz" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="a" type="default" mvno_type="gid" />
  <apn carrier="Bad" mcc="310" mnc="01" apn="a" type="default" mvno_type="plmn" mvno_match_data="1" />
  <apn carrier="Bad" mcc="310" mnc="01" type="default" />
  <apn carrier="Odd" mcc="310" mnc="02" apn="a" type="default" authtype="7" mtu="9" user_visible="x" carrier_enabled="x"
       mvno_match_data="1" proxy="10.0.0.1" port="8080" roaming_protocol="PPP" />
  <apn carrier="Same" mcc="208" mnc="01" apn="same" type="default" mvno_type="imsi" mvno_match_data="20801" />
  <group><apn carrier="Deep" mcc="310" mnc="02" apn="a" /></group>
</apns>`

func TestAPNsConf(t *testing.T) {
	file := read(t, "US.xml", android)
	internet := cosa.Purposes(cosa.Internet)
	all := cosa.Purposes(cosa.Internet | cosa.Tethering | cosa.MMS | cosa.SUPL | cosa.IMS | cosa.Admin | cosa.Application)
	profile := func(id, name string, target cosa.Target, connections ...cosa.Connection) cosa.OperatorProfile {
		return cosa.OperatorProfile{ID: "apns:us/" + id, Name: name, Country: "us", Source: cosa.SourceLocal, Origin: "US.xml", Rank: cosa.DefaultRank,
			Targets: []cosa.Target{target}, Connections: connections}
	}
	want := []cosa.OperatorProfile{
		profile("310260", "T-Mobile US", cosa.Target{MCCMNC: []string{"310260"}},
			cosa.Connection{APN: "fast.t-mobile.com", FriendlyName: "T-Mobile US", Purposes: cosa.Purposes(cosa.Internet | cosa.SUPL | cosa.MMS),
				IPType: cosa.IPv6, RoamingIPType: cosa.IPv4, MTU: 1440, Ext: cosa.Ext{{Key: "mmsc", Value: "http://mms.msg.eng.t-mobile.com/mms/wapenc"}}},
			cosa.Connection{APN: "ims", FriendlyName: "T-Mobile US ims", Purposes: cosa.Purposes(cosa.IMS), IPType: cosa.IPv6}),
		profile("310260/gid=6d38", "Metro", cosa.Target{MCCMNC: []string{"310260"}, GID1: []cosa.GID{{Hex: "6D38", Prefix: true}}},
			cosa.Connection{APN: "fast.metropcs.com", FriendlyName: "Metro", Purposes: internet, IPType: cosa.IPv6, RoamingIPType: cosa.IPv4}),
		profile("310260/imsi=31026097", "Fi", cosa.Target{MCCMNC: []string{"310260"}, IMSIPattern: []cosa.Pattern{"31026097"}},
			cosa.Connection{APN: "h2g2", FriendlyName: "Fi", Purposes: all}),
		profile("302720/imsi=302720x83", "Chatr", cosa.Target{MCCMNC: []string{"302720"}, IMSIPattern: []cosa.Pattern{"302720x83"}},
			cosa.Connection{APN: "chatrweb.apn", FriendlyName: "Chatr", Purposes: internet, Auth: cosa.PAPOrCHAP, Username: "u", Password: "p"}),
		profile("26201/spn=lebara", "Lebara", cosa.Target{MCCMNC: []string{"26201"}, SPN: []string{"Lebara"}},
			cosa.Connection{APN: "internet.t-mobile", FriendlyName: "Lebara", Purposes: internet}),
		profile("26201/iccid=894901, 894902", "Cards", cosa.Target{MCCMNC: []string{"26201"}, ICCID: []cosa.Range{{Lo: "894901", Hi: "894901"}, {Lo: "894902", Hi: "894902"}}},
			cosa.Connection{APN: "cards", FriendlyName: "Cards", Purposes: all, Enabled: cosa.FlagOff, AlwaysOn: cosa.FlagOn}),
		profile("20801", "Modern", cosa.Target{MCCMNC: []string{"20801"}},
			cosa.Connection{APN: "", FriendlyName: "Attach", Purposes: cosa.Purposes(cosa.Attach), IPType: cosa.IPv4v6},
			cosa.Connection{APN: "5g", FriendlyName: "Modern", Purposes: internet, AcT: cosa.AcTs(cosa.LTE | cosa.NR)},
			cosa.Connection{APN: "boot", FriendlyName: "Boot", Purposes: cosa.Purposes(cosa.ESIMProvisioning), AcT: cosa.AcTs(cosa.LTE)},
			cosa.Connection{APN: "same", FriendlyName: "Same", Purposes: internet}),
		profile("31002", "Odd", cosa.Target{MCCMNC: []string{"31002"}},
			cosa.Connection{APN: "a", FriendlyName: "Odd", Purposes: internet, Ext: cosa.Ext{{Key: "port", Value: "8080"}, {Key: "proxy", Value: "10.0.0.1"}}}),
	}
	if len(file.Profiles) != len(want) {
		t.Fatalf("%d profiles, want %d", len(file.Profiles), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(file.Profiles[i], want[i]) {
			t.Errorf("got\n%+v\nwant\n%+v", file.Profiles[i], want[i])
		}
	}
	if file.Report.Taken != 12 || file.Report.Profiles != 8 || file.Report.Format != APNsConf {
		t.Errorf("%s", file.Report.Summary())
	}
	if got, want := remarks(file.Report.Refused), `line 13: 310-, Bad: apn "a": mcc and mnc are not three digits and two or three digits
line 14: 31-01, Bad: apn "a": mcc and mnc are not three digits and two or three digits
line 15: 310-01, Bad: apn "wap mms": APN "wap mms" has the character ' '
line 16: 310-01, Bad: apn "#777": APN "#777" has the character '#'
line 17: 310-01, Bad: apn "KL．M": APN "KL．M" has the character '．'
line 18: 310-01, Bad: apn "a": only for CDMA or Wi-Fi
line 19: 310-01, Bad: apn "a": only for CDMA or Wi-Fi
line 20: 310-01, Bad: apn "a": type "xcap,bip" serves nothing that a router has
line 21: 310-01, Bad: apn "a": protocol "NON-IP" carries no IP
line 22: 310-01, Bad: apn "a": "ZZ" is not hex of at most 64 digits
line 23: 310-01, Bad: apn "a": mvno_type "gid" without mvno_match_data
line 24: 310-01, Bad: apn "a": mvno_type "plmn" is not known
line 25: 310-01, Bad: apn "": no apn: one that is empty lets the network assign it
`; got != want {
		t.Errorf("refused\n%s\nwant\n%s", got, want)
	}
	if got, want := remarks(file.Report.Lossy), `line 3: 310-260, T-Mobile US: apn "fast.t-mobile.com": type xcap has no purpose here
line 8: 262-01, Lebara: apn " internet.t-mobile ": blanks around the APN removed
line 8: 262-01, Lebara: apn " internet.t-mobile ": authtype 1 without user and password
line 26: 310-02, Odd: apn "a": mvno_match_data without mvno_type
line 26: 310-02, Odd: apn "a": roaming_protocol "PPP" carries no IP
line 26: 310-02, Odd: apn "a": authtype "7" is not known
line 26: 310-02, Odd: apn "a": carrier_enabled "x" is neither true nor false
line 26: 310-02, Odd: apn "a": mtu "9" is not in 576..65535
line 26: 310-02, Odd: apn "a": a proxy is not used
line 28: 208-01, Same: apn "same": the IMSI prefix says no more than mcc and mnc: taken as the network's own row
`; got != want {
		t.Errorf("with loss\n%s\nwant\n%s", got, want)
	}
}

func BenchmarkAPNsConf(b *testing.B) {
	var text strings.Builder
	text.WriteString("<apns>")
	for i := range 1000 {
		fmt.Fprintf(&text, "<apn carrier=\"Operator %d\" mcc=\"%03d\" mnc=\"01\" apn=\"internet.%d.example\" type=\"default,supl\" protocol=\"IPV4V6\" mvno_type=\"gid\" mvno_match_data=\"%04X\"/>\n", i, i%900, i, i%7)
	}
	text.WriteString("</apns>")
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if file, problems := Read("x", strings.NewReader(text.String())); len(problems) > 0 || file.Report.Taken != 1000 {
			b.Fatal(problems)
		}
	}
}
