package importer

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

// FuzzRead fuzzes whole files.
func FuzzRead(f *testing.F) {
	f.Add(sample)
	f.Add(android)
	f.Add(cosaSample)
	f.Add("[{\"connections\": [{\"apn\": \"a\"}]}]")
	f.Add("<serviceproviders><country code='de'><provider><name>A\tB</name><gsm><apn value='a'/></gsm></provider></country></serviceproviders>")
	f.Fuzz(func(t *testing.T, in string) {
		file, problems := Read("x", strings.NewReader(in))
		if len(problems) > 0 {
			if file != nil {
				t.Fatal("a file in spite of the problem")
			}
			return
		}
		usable(t, file)
	})
}

// usable checks that whatever was taken can be searched, and written and read
// again.
func usable(t *testing.T, file *File) *cosa.DB {
	t.Helper()
	db, err := cosa.New(file.Profiles)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := cosa.WriteJSON(&out, file.Profiles); err != nil {
		t.Fatal(err)
	}
	again, bad := cosa.ParseJSON("x", []byte(out.String()))
	if len(bad) > 0 || len(again) != len(file.Profiles) {
		t.Fatalf("%d of %d profiles, %v\n%s", len(again), len(file.Profiles), bad, out.String())
	}
	return db
}

func quoted(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// FuzzAndroidRow fuzzes the values of one row: it is taken or refused, and if it
// is taken, the network's SIMs can be matched.
func FuzzAndroidRow(f *testing.F) {
	f.Add("T-Mobile\x7f", "310", "260", "fast.t-mobile.com", "default,mms", "gid", "6D38", "IPV6", "3", "14|20", "u")
	f.Add("", "302", "720", "chatrweb.apn", "*", "imsi", "302720x83", "IP", "1", "", "")
	f.Add("L", "262", "01", " internet ", "", "spn", "Lebara", "", "", "13", "")
	f.Add("A", "208", "01", "", "ia", "iccid", "8933, 8934", "PPP", "0", "0", "x")
	f.Fuzz(func(t *testing.T, carrier, mcc, mnc, apn, types, mvno, data, protocol, auth, bearers, user string) {
		row := fmt.Sprintf(`<apns><apn carrier="%s" mcc="%s" mnc="%s" apn="%s" type="%s" mvno_type="%s" mvno_match_data="%s" protocol="%s" authtype="%s" bearer_bitmask="%s" user="%s"/></apns>`,
			quoted(carrier), quoted(mcc), quoted(mnc), quoted(apn), quoted(types), quoted(mvno), quoted(data), quoted(protocol), quoted(auth), quoted(bearers), quoted(user))
		file, problems := Read("DE.xml", strings.NewReader(row))
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		if file.Report.Taken+len(file.Report.Refused) != 1 {
			t.Fatalf("%+v", file.Report)
		}
		db := usable(t, file)
		if file.Report.Taken == 1 && mvno == "" && !db.Match(cosa.SIM{MCCMNC: file.Profiles[0].Targets[0].MCCMNC[0]}).Found() {
			t.Fatalf("%s does not match its own network", row)
		}
	})
}

// FuzzCondition fuzzes conditions of a COSA target: it is taken or refused.
func FuzzCondition(f *testing.F) {
	f.Add("ICCID", "range:8988247000100000000, 8988247000199999997", "MCC", "901")
	f.Add("iccid", "pattern:.*", "Mnc", "Pattern:2[67]0")
	f.Add("IMSI", "pattern:^302720\\d83.*$", "uiorder", "3")
	f.Add("GID1", "2AC", "MCC", "!Range:400, 550")
	f.Add("SPN", "pattern:(Foo|Bar)", "PNN", "x")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		in := fmt.Sprintf(`<WindowsCustomizations><Target Id="t"><TargetState><Condition Name="MCC" Value="001"/><Condition Name="MNC" Value="01"/><Condition Name="%s" Value="%s"/><Condition Name="%s" Value="%s"/></TargetState></Target>
<Profile Name="P"><TargetRef Id="t"/></Profile></WindowsCustomizations>`, quoted(name1), quoted(value1), quoted(name2), quoted(value2))
		file, problems := Read("x", strings.NewReader(in))
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		if len(file.Profiles) != 1 || len(file.Profiles[0].Targets)+len(file.Report.Refused) != 1 {
			t.Fatalf("%+v\n%+v", file.Profiles, file.Report)
		}
		usable(t, file)
	})
}

// FuzzConnection fuzzes the settings of a COSA connection: it is taken or refused.
func FuzzConnection(f *testing.F) {
	f.Add("lab.test", "Lab", "{3E5545D2-1137-4DC8-A198-33F1C657515F}", "IPv4v6", "CHAP", "u", "p", "1", "0", "2")
	f.Add("", "", "11A6FE68-5B47-4859-9CB6-1EAC96A8F0BD, x", "IPv4v6xlat", "None", "", "", "true", "", "9")
	f.Add("#777", "\x7f", "", "ipv5", "MSCHAPv2", "", "p", "yes", "-1", "5")
	f.Fuzz(func(t *testing.T, apn, name, purposes, ip, auth, user, password, alwaysOn, order, roaming string) {
		in := fmt.Sprintf(`<WindowsCustomizations><Profile Name="%s"><Settings><Connection><AccessPointName>%s</AccessPointName><FriendlyName>%s</FriendlyName><PurposeGroups>%s</PurposeGroups><IPType>%s</IPType>
<AuthType>%s</AuthType><UserName>%s</UserName><Password>%s</Password><AlwaysOn>%s</AlwaysOn><AutoConnectOrder>%s</AutoConnectOrder><Roaming>%s</Roaming></Connection>
<AccountExperienceURL>%s</AccountExperienceURL><BrandingName>%s</BrandingName></Settings></Profile></WindowsCustomizations>`,
			quoted(name), quoted(apn), quoted(name), quoted(purposes), quoted(ip), quoted(auth), quoted(user), quoted(password), quoted(alwaysOn), quoted(order), quoted(roaming), quoted(apn), quoted(name))
		file, problems := Read("x", strings.NewReader(in))
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		if len(file.Profiles)+len(file.Report.Refused) < 1 || file.Report.Taken > 1 {
			t.Fatalf("%+v", file.Report)
		}
		usable(t, file)
	})
}

// FuzzGlobs holds what a pattern is taken apart into against the pattern.
func FuzzGlobs(f *testing.F) {
	for _, s := range []string{"8944.*", "89(44|45)\\d{3,}", "(?i)Lebara|Foo[1-3]?", "^310(26|27)0\\d+$", ".+", "[0-9A-F]{2}C9", "x{0}a?b", "(a|)(b|)(c|)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		globs, err := globsOf(expr)
		if err != nil {
			return
		}
		if len(globs) > maxGlobs {
			t.Fatalf("%d globs", len(globs))
		}
		re, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil {
			t.Skip() // such as one that the brackets around it change
		}
		for _, g := range globs {
			text := strings.ReplaceAll(g.text, anyDigit, "7")
			if g.open {
				text += strings.Repeat("7", 250)
			}
			if !re.MatchString(text) {
				t.Fatalf("%q is taken apart into %q, which it does not match", expr, text)
			}
		}
	})
}
