package importer

import (
	"reflect"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

const sample = `<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE serviceproviders SYSTEM "serviceproviders.2.dtd">
<serviceproviders format="2.0">
<country code="XX">
 <provider primary="true">
  <name xml:lang="ru">Другой</name><name>One &amp; Only</name>
  <gsm>
   <network-id mcc="901" mnc="02"/><network-id mcc="901" mnc="02"/><network-id mcc="901" mnc="010"/>
   <network-id mcc="90" mnc="1"/>
   <balance-check><ussd> *100#</ussd><ussd>*101#</ussd><ussd>call us</ussd><dtmf>1</dtmf><sms text="">1150</sms><sms text="SALDO">182</sms></balance-check>
   <balance-top-up><ussd replacement="CODE">*123*CODE#</ussd></balance-top-up>
   <apn value="internet "><plan type="postpaid"/><plan type="prepaid"/><usage type="internet"/><name>N</name>
    <username>u</username><password>p</password><authentication method="chap"/></apn>
   <apn value="none-said"/>
   <apn value="both"><usage type="mms-internet-hipri"/></apn>
   <apn value="mms"><usage type="mms"/></apn>
   <apn value="wap"><usage type="wap"/></apn>
   <apn value="http://172.18.83.129"><usage type="internet"/></apn>
   <apn value=""/>
   <apn value="odd"><usage type="odd"/></apn>
  </gsm>
 </provider>
 <provider primary="false"><name>Same</name><gsm><network-id mcc="901" mnc="03"/><apn value="a"/></gsm></provider>
 <provider><name>Same</name><gsm><apn value="b"/></gsm></provider>
 <provider><name>CDMA</name><cdma><sid value="1"/></cdma></provider>
</country>
</serviceproviders>`

// read reads a text that has to be readable.
func read(t testing.TB, name, text string) *File {
	t.Helper()
	file, problems := Read(name, strings.NewReader(text))
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	return file
}

// remarks are the rows of a report as text.
func remarks(rows []Row) string {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(r.String() + "\n")
	}
	return b.String()
}

func TestServiceProviders(t *testing.T) {
	file := read(t, "sample.xml", sample)
	internet, mms := cosa.Purposes(cosa.Internet), cosa.Purposes(cosa.MMS)
	want := []cosa.OperatorProfile{
		{
			ID: "providers:xx/One & Only", Name: "One & Only", Country: "xx", Source: cosa.SourceLocal, Origin: "sample.xml", Rank: 90,
			Targets: []cosa.Target{{MCCMNC: []string{"901010", "90102"}, UIOrder: 1}},
			Connections: []cosa.Connection{
				{APN: "internet", Purposes: internet, Plan: cosa.PlanBoth, FriendlyName: "N", Username: "u", Password: "p", Auth: cosa.CHAP},
				{APN: "none-said"}, {APN: "both", Purposes: internet | mms}, {APN: "mms", Purposes: mms},
			},
			Ext: cosa.Ext{{Key: "balance-sms", Value: "1150; 182 SALDO"}, {Key: "balance-ussd", Value: "*100# *101#"}, {Key: "topup-ussd", Value: "*123*CODE#"}},
		},
		{
			ID: "providers:xx/Same", Name: "Same", Country: "xx", Source: cosa.SourceLocal, Origin: "sample.xml", Rank: 110,
			Targets:     []cosa.Target{{MCCMNC: []string{"90103"}, UIOrder: 2}},
			Connections: []cosa.Connection{{APN: "a"}},
		},
		{
			ID: "providers:xx/Same (2)", Name: "Same (2)", Country: "xx", Source: cosa.SourceLocal, Origin: "sample.xml", Rank: cosa.DefaultRank,
			Connections: []cosa.Connection{{APN: "b"}},
		},
	}
	if !reflect.DeepEqual(file.Profiles, want) {
		t.Errorf("got\n%+v\nwant\n%+v", file.Profiles, want)
	}
	if r := file.Report; r.Format != ServiceProviders || r.Taken != 6 || r.Profiles != 3 {
		t.Errorf("report %+v", r)
	}
	if got, want := remarks(file.Report.Refused), `line 9: xx, One & Only: network-id "90" "1": not three digits and two or three digits
line 10: xx, One & Only: ussd "call us": not a USSD code
line 17: xx, One & Only: apn "wap": usage wap: leads to a proxy, not to the internet
line 18: xx, One & Only: apn "http://172.18.83.129": has the character ':'
line 19: xx, One & Only: apn "": empty
line 20: xx, One & Only: apn "odd": usage "odd" is not known
line 25: xx, CDMA: provider: CDMA only: no MCC+MNC to find it by
`; got != want {
		t.Errorf("refused\n%s\nwant\n%s", got, want)
	}
	if got, want := remarks(file.Report.Lossy), `line 12: xx, One & Only: apn "internet ": blanks around it removed, kept
line 24: xx, Same: network-id: none given: kept for manual choice, never matched
`; got != want {
		t.Errorf("with loss\n%s\nwant\n%s", got, want)
	}
}
