package serviceproviders

import (
	"io"
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

func TestRead(t *testing.T) {
	profiles, refused, err := Read(strings.NewReader(sample), "sample.xml")
	if err != nil {
		t.Fatal(err)
	}
	internet, mms := cosa.Purposes(cosa.Internet), cosa.Purposes(cosa.MMS)
	want := []cosa.OperatorProfile{
		{
			ID: "xx/One & Only", Name: "One & Only", Country: "xx", Source: cosa.SourceDatabase, Origin: "sample.xml", Rank: 90,
			Targets: []cosa.Target{{MCCMNC: []string{"901010", "90102"}, UIOrder: 1}},
			Connections: []cosa.Connection{
				{APN: "internet", Purposes: internet, Plan: cosa.PlanBoth, FriendlyName: "N", Username: "u", Password: "p", Auth: cosa.CHAP},
				{APN: "none-said"}, {APN: "both", Purposes: internet | mms}, {APN: "mms", Purposes: mms},
			},
			Ext: cosa.Ext{{Key: "balance-sms", Value: "1150; 182 SALDO"}, {Key: "balance-ussd", Value: "*100# *101#"}, {Key: "topup-ussd", Value: "*123*CODE#"}},
		},
		{
			ID: "xx/Same", Name: "Same", Country: "xx", Source: cosa.SourceDatabase, Origin: "sample.xml", Rank: 110,
			Targets:     []cosa.Target{{MCCMNC: []string{"90103"}, UIOrder: 2}},
			Connections: []cosa.Connection{{APN: "a"}},
		},
		{
			ID: "xx/Same (2)", Name: "Same (2)", Country: "xx", Source: cosa.SourceDatabase, Origin: "sample.xml", Rank: cosa.DefaultRank,
			Connections: []cosa.Connection{{APN: "b"}},
		},
	}
	if !reflect.DeepEqual(profiles, want) {
		t.Errorf("got\n%+v\nwant\n%+v", profiles, want)
	}
	var got []string
	for _, r := range refused {
		got = append(got, r.String())
	}
	wantRefused := []string{
		`line 9: xx, One & Only: network-id "90" "1": not three digits and two or three digits`,
		`line 10: xx, One & Only: ussd "call us": not a USSD code`,
		`line 12: xx, One & Only: apn "internet ": blanks around it removed, kept`,
		`line 17: xx, One & Only: apn "wap": usage wap: leads to a proxy, not to the internet`,
		`line 18: xx, One & Only: apn "http://172.18.83.129": has the character ':'`,
		`line 19: xx, One & Only: apn "": empty`,
		`line 20: xx, One & Only: apn "odd": usage "odd" is not known`,
		`line 24: xx, Same: network-id: none given: kept for manual choice, never matched`,
		`line 25: xx, CDMA: provider: CDMA only: no MCC+MNC to find it by`,
	}
	if !reflect.DeepEqual(got, wantRefused) {
		t.Errorf("refused\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wantRefused, "\n"))
	}
}

func TestReadErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   io.Reader
		want string
	}{
		{"empty", strings.NewReader(""), "no providers"},
		{"another root", strings.NewReader("<apns/>"), `the root element is "apns", not serviceproviders`},
		{"truncated", strings.NewReader(sample[:900]), "unexpected EOF"},
		{"unknown entity", strings.NewReader(`<serviceproviders><country code="a"><provider><name>&x;</name>`), "invalid character entity"},
		{"declared entity", strings.NewReader(`<!DOCTYPE x [<!ENTITY x "xx">]><serviceproviders>&x;`), "invalid character entity"},
		{"deep", strings.NewReader("<serviceproviders>" + strings.Repeat("<a>", 1000)), "nested deeper than 12"},
		{"deep in a provider", strings.NewReader("<serviceproviders><country><provider>" + strings.Repeat("<a>", 1000)), "nested deeper than 12"},
		{"wide", strings.NewReader("<serviceproviders><country><provider>" + strings.Repeat("<a/>", 5000)), "more than 4096 elements"},
		{"long text", strings.NewReader("<serviceproviders><country><provider><name>" + strings.Repeat("aaaa<!-- -->", 2000)), "more than 4096 bytes of text"},
		{"huge", io.MultiReader(strings.NewReader("<serviceproviders>"), endless{}), "larger than"},
		{"Latin-1", strings.NewReader(`<?xml version="1.0" encoding="iso-8859-1"?><serviceproviders/>`), "only UTF-8"},
	} {
		profiles, _, err := Read(tt.in, "x")
		if err == nil || profiles != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// endless is a file of blanks.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func FuzzRead(f *testing.F) {
	f.Add(sample)
	f.Add("<serviceproviders><country code='de'><provider><name>A\tB</name><gsm><apn value='a'/></gsm></provider></country></serviceproviders>")
	f.Fuzz(func(t *testing.T, in string) {
		profiles, _, err := Read(strings.NewReader(in), "x")
		if err != nil {
			return
		}
		for i := range profiles {
			// Whatever is accepted can be searched, or is refused as a whole by New.
			if db, err := cosa.New(profiles[i : i+1]); err == nil && len(profiles[i].Targets) > 0 {
				if !db.Match(cosa.SIM{MCCMNC: profiles[i].Targets[0].MCCMNC[0]}).Found() {
					t.Errorf("%q does not match its own network", profiles[i].ID)
				}
			}
		}
	})
}
