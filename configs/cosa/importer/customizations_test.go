package importer

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

// A package with all that the documented samples hold of odd: names in several
// cases, profiles before targets, a repeated element, one that is not closed, a
// nested TargetState, a range with a blank, a negation, patterns, Replace.
const cosaSample = `<?xml version="1.0" encoding="utf-8"?>
<WindowsCustomizations>
 <PackageConfig xmlns="urn:schemas-Microsoft-com:Windows-ICD-Package-Config.v1.0"><ID>{1}</ID><Name>Lab & Field</Name></PackageConfig>
 <Settings xmlns="urn:schemas-microsoft-com:windows-provisioning">
  <Customizations>
   <Common><HotSpot><Enabled>0</Enabled></HotSpot><Connections><Cellular><Connection ConnectionName="All"><AccessPointName>all</AccessPointName></Connection></Cellular></Connections></Common>
   <Profile Name="Lab (Nowhere)">
    <TargetRefs><TargetRef Id="T-1"/><targetref id="t-2"/><TargetRef Id="T-9"/></TargetRefs>
    <Settings>
     <Connections><Cellular>
      <Connection ConnectionName="Lab_i0$(__MVID)@WAP">
       <PurposeGroups>{3e5545d2-1137-4dc8-a198-33f1c657515f}, 53E2C5D3-D13C-4068-AA38-9C48FF2E55A8</PurposeGroups>
       <AlwaysOn>0</AlwaysOn><AlwaysOn>1</AlwaysOn>
       <FriendlyName>Lab Internet</FriendlyName><AccessPointName> lab.test </AccessPointName>
       <IPType>IPv4v6</IPType><Roaming>2</Roaming><AuthType>CHAP</AuthType><UserName>u</UserName><Password>p</Password><AutoConnectOrder>1</AutoConnectOrder>
      </Connection>
      <connection ConnectionName="Lab_i1"><accesspointname>xlat.test</accesspointname><iptype>IPv4v6xlat</iptype><ConnectionType>Lte</ConnectionType></connection>
      <Connection ConnectionName="Lab_i2"><AccessPointName>#777</AccessPointName></Connection>
      <Connection ConnectionName="Lab_i3"><AccessPointName>other</AccessPointName><PurposeGroups>{00000000-0000-0000-0000-000000000000}</PurposeGroups></Connection>
      <Connection ConnectionName="Lab_i4"><AccessPointName>cdma</AccessPointName><ConnectionType>Cdma</ConnectionType></Connection>
      <Connection ConnectionName="Lab_i5"><AccessPointName></AccessPointName><PurposeGroups>{11A6FE68-5B47-4859-9CB6-1EAC96A8F0BD}</PurposeGroups><AuthType>PAP</AuthType></Connection>
      <Connection ConnectionName="Lab_i6"><AccessPointName>roam</AccessPointName><Roaming>9</Roaming></Connection>
     </Cellular></Connections>
     <DataMarketplace><PerSimSettings><SettingsForSim SimIccid="$(__ICCID)"><SupportDataMarketplace>true</SupportDataMarketplace></SettingsForSim></PerSimSettings></DataMarketplace>
     <Cellular><PerSimSettings><SettingsForSim SimIccid="$(__ICCID)"><AccountExperienceURL>https://example.com/account</AccountExperienceURL>
      <BrandingName>Lab</BrandingName><UseBrandingNameOnRoaming>2</UseBrandingNameOnRoaming><BrandingIcon>x.ico</BrandingIcon></SettingsForSim></PerSimSettings></Cellular>
     <HotSpot><Enabled>EntitlementCheckRequired</Enabled></HotSpot><ESIM_PROV>false</ESIM_PROV>
    </Settings>
   </Profile>
   <Targets>
    <Target Id="t-1">
     <TargetState><TargetState><Condition Name="ICCID" Value="pattern:nothing\s+"/></TargetState><TargetState><Condition Name="Mcc" Value="001"/><Condition Name="MNC" Value="01"/><Condition Name="iccid" Value="Range:8900000000000000000, 8900000000000000099"/>
       <Condition Name="uiname" Value="Lab card"/><Condition Name="uiorder" Value="2"/></TargetState></TargetState>
     <TargetState><Condition Name="MCC" Value="range:310,311"/><Condition Name="Mnc" Value="Pattern:2(6|7)0"/><Condition Name="SPN" Value="pattern:^(Lab|Field)$"/></TargetState>
    </Target>
    <Target Id="T-2">
     <TargetState><Condition Name="ICCID" Value="pattern:^8944[1-2]\d{4}.*"/></TargetState>
     <TargetState><Condition Name="MCC" Value="001"/><Condition Name="MNC" Value="02"/><Condition Name="GID1" Value="pattern:2AC9.*"/></TargetState>
     <TargetState><Condition Name="MCC" Value="001"/><Condition Name="MNC" Value="03"/><Condition Name="GID1" Value="2ac9"/><Condition Name="PNN" Value=" Lab  PNN "/></TargetState>
     <TargetState><Condition Name="IMSI" Value="range:001010000000000,001010000000099"/></TargetState>
     <TargetState><Condition Name="IMSI" Value="pattern:00101\d8[3]\d*"/></TargetState>
     <TargetState><Condition Name="MCC" Value="001"/></TargetState>
     <TargetState><Condition Name="MCC" Value="001"/><Condition Name="MNC" Value="!Range:400, 550"/></TargetState>
     <TargetState><Condition Name="iccid" Value="pattern:.*"/></TargetState>
     <TargetState><Condition Name="MCC" Value="001"/><Condition Name="ProcessorType" Value="Pattern:.*Celeron.*"/></TargetState>
     <TargetState><Condition Name="MNC" Value="01"/></TargetState>
     <TargetState><Condition Name="MCC" Value="001"/><Condition Name="MCC" Value="002"/></TargetState>
     <TargetState><Condition Name="SPN" Value="Alone"/></TargetState>
     <TargetState><Condition Name="ICCID" Value="range:8901,89"/></TargetState>
     <TargetState><Condition Name="ICCID" Value="pattern:8(9*1"/></TargetState>
     <TargetState><Condition Name="uiname" Value="Only a name"/></TargetState>
    </Target>
   </Targets>
   <Profile Name="Unclosed">
    <Settings><Cellular><AccountExperienceURL>http://example.com</Cellular></Settings>
   </Profile>
   <Profile Name="Gone"><TargetRefs><TargetRef Id="T-1"/></TargetRefs><Settings/></Profile>
   <Replace Name="GONE"></Replace>
   <Replace Name="{0A1B}"><TargetRefs><TargetRef Id="T-1"/></TargetRefs><Settings><Connections><Cellular><Connection><AccessPointName>new</AccessPointName></Connection></Cellular></Connections></Settings></Replace>
  </Customizations>
 </Settings>
</WindowsCustomizations>`

func TestCustomizations(t *testing.T) {
	file := read(t, "customizations.xml", cosaSample)
	t1 := []cosa.Target{
		{MCCMNC: []string{"00101"}, ICCID: []cosa.Range{{Lo: "8900000000000000000", Hi: "8900000000000000099"}}, UIName: "Lab card", UIOrder: 2},
		{MCCMNC: []string{"310260", "310270", "311260", "311270"}, SPN: []string{"Lab", "Field"}},
	}
	profile := func(id, name string) cosa.OperatorProfile {
		return cosa.OperatorProfile{ID: "cosa:" + id, Name: name, Source: cosa.SourceLocal, Origin: "customizations.xml", Rank: cosa.DefaultRank}
	}
	lab, unclosed, replaced := profile("lab (nowhere)", "Lab (Nowhere)"), profile("unclosed", "Unclosed"), profile("{0a1b}", "{0A1B}")
	lab.Targets = append(slices.Clone(t1),
		cosa.Target{ICCID: []cosa.Range{{Lo: "89441", Hi: "89441"}, {Lo: "89442", Hi: "89442"}}},
		cosa.Target{MCCMNC: []string{"00102"}, GID1: []cosa.GID{{Hex: "2AC9", Prefix: true}}},
		cosa.Target{MCCMNC: []string{"00103"}, GID1: []cosa.GID{{Hex: "2AC9"}}, PNN: []string{"Lab PNN"}},
		cosa.Target{IMSI: []cosa.Range{{Lo: "001010000000000", Hi: "001010000000099"}}},
		cosa.Target{IMSIPattern: []cosa.Pattern{"00101x83"}},
		cosa.Target{MCC: []string{"001"}},
	)
	lab.Connections = []cosa.Connection{
		{APN: "lab.test", FriendlyName: "Lab Internet", Purposes: cosa.Purposes(cosa.Internet | cosa.MMS), IPType: cosa.IPv4v6, Auth: cosa.CHAP,
			Username: "u", Password: "p", AlwaysOn: cosa.FlagOn, Roaming: cosa.RoamingDomestic, Order: 1},
		{APN: "xlat.test", IPType: cosa.IPv4v6, AcT: cosa.AcTs(cosa.LTE)},
		{APN: "", Purposes: cosa.Purposes(cosa.Attach)},
	}
	lab.SIM = cosa.SIMSettings{AccountURL: "https://example.com/account", BrandName: "Lab", BrandRoaming: cosa.BrandInternational, Hotspot: cosa.HotspotEntitlement, ESIMProvisioning: cosa.FlagOff}
	lab.Ext = cosa.Ext{{Key: "supportDataMarketplace", Value: "true"}}
	replaced.Targets, replaced.Connections = t1, []cosa.Connection{{APN: "new"}}
	want := []cosa.OperatorProfile{lab, unclosed, replaced}
	if len(file.Profiles) != len(want) {
		t.Fatalf("%d profiles, want %d: %+v", len(file.Profiles), len(want), file.Profiles)
	}
	for i := range want {
		if !reflect.DeepEqual(file.Profiles[i], want[i]) {
			t.Errorf("got\n%+v\nwant\n%+v", file.Profiles[i], want[i])
		}
	}
	if want := []string{"0a1b", "gone"}; !slices.Equal(slices.Sorted(maps.Keys(file.Replaces)), want) || !file.Replaces["gone"].Done || file.Replaces["0a1b"].Done {
		t.Errorf("replaces %v, want %v", file.Replaces, want)
	}
	if file.Report.Taken != 4 || file.Report.Format != Customizations {
		t.Error(file.Report.Summary())
	}
	if got, want := remarks(file.Report.Refused), `line 6: Common: connection "All": for every SIM: it would hide the settings of all operators; use [apn] for that
line 18: profile "Lab (Nowhere)": connection "Lab_i2": APN "#777" has the character '#'
line 19: profile "Lab (Nowhere)": connection "Lab_i3": it is for no purpose that is known
line 20: profile "Lab (Nowhere)": connection "Lab_i4": ConnectionType cdma: only for CDMA or Wi-Fi
line 22: profile "Lab (Nowhere)": connection "Lab_i6": Roaming "9" is not 0 to 5
line 32: target "t-1": condition iccid: pattern: too involved to be matched
line 43: target "T-2": condition mnc: a value with ! is not understood
line 44: target "T-2": no condition that tells SIMs apart
line 45: target "T-2": condition processortype: pattern: too involved to be matched
line 46: target "T-2": an MNC without an MCC
line 47: target "T-2": two conditions on mcc, which both would have to hold
line 48: target "T-2": gid1, gid2, spn and pnn are not unique in the world and need mccmnc beside them
line 49: target "T-2": condition iccid: the range has two lengths
line 50: target "T-2": condition iccid: pattern: not a regular expression
line 51: target "T-2": no condition that tells SIMs apart
`; got != want {
		t.Errorf("refused\n%s\nwant\n%s", got, want)
	}
	if got, want := remarks(file.Report.Lossy), `line 9: profile "Lab (Nowhere)": brandingicon is not used
line 13: profile "Lab (Nowhere)": alwayson is there twice, the last one counts
line 17: profile "Lab (Nowhere)": IPType IPv4v6xlat: there is no 464XLAT, IPv4v6 is asked for
line 19: profile "Lab (Nowhere)": purpose group "{00000000-0000-0000-0000-000000000000}" is not known
line 21: profile "Lab (Nowhere)": AuthType pap without UserName and Password
line 55: profile "Unclosed": AccountExperienceURL is not an https URL
line 58: profile "GONE": Replace without Settings: the profile of that name is taken away
line 7: profile "Lab (Nowhere)": there is no target "t-9"
line 54: profile "Unclosed": no target can be matched: kept for manual choice
`; got != want {
		t.Errorf("with loss\n%s\nwant\n%s", got, want)
	}
}

// An AccessPointName that is empty lets the network assign the APN; one that is
// not there says nothing, least of all for the attach.
func TestWithoutAccessPointName(t *testing.T) {
	for body, want := range map[string]string{
		"<AccessPointName/>": `""`,
		"<AccessPointName></AccessPointName><PurposeGroups>11A6FE68-5B47-4859-9CB6-1EAC96A8F0BD</PurposeGroups>": `""`,
		"<PurposeGroups>11A6FE68-5B47-4859-9CB6-1EAC96A8F0BD</PurposeGroups>":                                    "refused",
		"<FriendlyName>Lab</FriendlyName>":                                                                       "refused",
	} {
		file := read(t, "x", `<WindowsCustomizations><Profile Name="A"><Settings><Connection ConnectionName="A_i0">`+body+`</Connection></Settings></Profile></WindowsCustomizations>`)
		got := "refused"
		if c := file.Profiles[0].Connections; len(c) == 1 {
			got = strconv.Quote(c[0].APN)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
		if says := remarks(file.Report.Refused); (want == "refused") != strings.Contains(says, `connection "A_i0": no AccessPointName`) {
			t.Errorf("%s: %s", body, says)
		}
	}
}

func TestGlobs(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		{"8944", "8944"},
		{"^8944.*$", "8944..."},
		{`89(44|45)\d+`, "8944... 8945..."},
		{`89[45]\d{2}`, "894xx 895xx"},
		{`8944?`, "8944 894"},
		{"(?i)lebara", "LEBARA"},
		{"Foo|Bar", "Foo Bar"},
		{"(?i)2[a-c]", "2A 2B 2C"},
		{"0|1|[2-8]|9", "x"},
		{"[^A]+", "..."},
		{"[^1]", "too involved to be matched"},
		{`[\d.-]x`, "xx"},
		{`a\.b\-[\]x-z-]`, "a.b-- a.b-] a.b-x a.b-y a.b-z"},
		{"1{2,4}?", "1111 111 11"},
		{"1{,2}", "1{,2}"},
		{"1{2}{3}", "not a regular expression"},
		{"1{3,2}", "not a regular expression"},
		{"1{1001}", "not a regular expression"},
		{"(((){1000}){1000}){1000}", "too involved to be matched"},
		{"a**", "not a regular expression"},
		{"|*", "not a regular expression"},
		{"a)", "not a regular expression"},
		{"[b-a]", "not a regular expression"},
		{"[a", "not a regular expression"},
		{`a\`, "not a regular expression"},
		{"\xff", "not a regular expression"},
		{"(?P<n>a)", "too involved to be matched ((?P<)"},
		{".*", "..."},
		{"89.*1", "too involved to be matched"},
		{"[a-z]+", "too involved to be matched"},
		{"(a|b|c|d){5}", "too involved to be matched"},
		{`\x00`, `too involved to be matched (\x)`}, // it stands for any digit in a glob
		{`[\x00a]`, `too involved to be matched (\x)`},
		{"($0000)", "it lets nothing through"},
		{"a^b", "it lets nothing through"},
		{"(^|1)89$", "89 189"},
		{"(", "not a regular expression"},
		{strings.Repeat("a", 1001), "longer than 1000 bytes"},
		{`\bx`, `too involved to be matched (\b)`},
	} {
		list, err := globsOf(tt.expr)
		var got []string
		for _, g := range list {
			s := strings.ReplaceAll(g.text, anyDigit, "x")
			if g.open {
				s += "..."
			}
			got = append(got, s)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%.50s: %s, want %s", tt.expr, s, tt.want)
		}
	}
}

// A later package replaces and takes away profiles of an earlier one.
func TestReplaceAcrossFiles(t *testing.T) {
	base := read(t, "base.xml", `<WindowsCustomizations><Customizations><Targets><Target Id="t"><TargetState><Condition Name="MCC" Value="001"/></TargetState></Target></Targets>
<Profile Name="A"><TargetRefs><TargetRef Id="t"/></TargetRefs></Profile><Profile Name="B"/><Profile Name="C"/></Customizations></WindowsCustomizations>`)
	oem := read(t, "oem.xml", `<WindowsCustomizations><Customizations><Replace Name="a"><Settings/></Replace><Replace Name="B"/></Customizations></WindowsCustomizations>`)
	var set Set
	for _, f := range []*File{base, oem} {
		if p := set.Add(f); p != nil {
			t.Fatal(p)
		}
	}
	var got []string
	for _, p := range set.Profiles() {
		got = append(got, p.ID+" "+p.Origin)
	}
	if want := []string{"cosa:c base.xml", "cosa:a oem.xml"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// The same names again are kept beside the others.
	for range 2 {
		again := read(t, "dir/base.xml", `<WindowsCustomizations><Profile Name="C"/></WindowsCustomizations>`)
		if p := set.Add(again); p != nil {
			t.Fatal(p)
		}
	}
	got = nil
	for _, p := range set.Profiles() {
		got = append(got, p.ID)
	}
	if want := []string{"cosa:c", "cosa:a", "cosa:c (base.xml)", "cosa:c (base.xml) (2)"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if _, err := cosa.New(set.Profiles()); err != nil {
		t.Error(err)
	}
	// Replace by name takes them all.
	if p := set.Add(read(t, "last.xml", `<WindowsCustomizations><Replace Name="c"/></WindowsCustomizations>`)); p != nil || len(set.Profiles()) != 1 {
		t.Errorf("%v %+v", p, set.Profiles())
	}
}

// A profile is replaced by its GUID as well, and a Replace that finds none says so.
func TestReplaceByGUID(t *testing.T) {
	base := read(t, "base.xml", `<WindowsCustomizations><Profile Name="A" Id="{9F3C0A1B-0000-4000-8000-000000000001}"/><Profile Name="B" GUID="9f3c0a1b-0000-4000-8000-000000000002"/><Profile Name="C"/></WindowsCustomizations>`)
	oem := read(t, "oem.xml", `<WindowsCustomizations>
<Replace Name="{9f3c0a1b-0000-4000-8000-000000000001}"/>
<Replace Name="{9F3C0A1B-0000-4000-8000-000000000002}"><Settings/></Replace>
<Replace Name="Nobody"/>
<Replace Name="{9F3C0A1B-0000-4000-8000-000000000003}"><Settings/></Replace></WindowsCustomizations>`)
	var set Set
	for _, f := range []*File{base, oem} {
		if p := set.Add(f); p != nil {
			t.Fatal(p)
		}
	}
	var names []string
	for _, p := range set.Profiles() {
		names = append(names, p.Name)
	}
	if want := []string{"C", "{9F3C0A1B-0000-4000-8000-000000000002}", "{9F3C0A1B-0000-4000-8000-000000000003}"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	got := strings.Join(slices.DeleteFunc(strings.Split(remarks(oem.Report.Lossy), "\n"), func(s string) bool { return !strings.Contains(s, "Replace") }), "\n")
	if want := `line 2: profile "{9f3c0a1b-0000-4000-8000-000000000001}": Replace without Settings: the profile of that name is taken away
line 4: profile "Nobody": Replace: there is no profile of that name or GUID before it
line 5: profile "{9F3C0A1B-0000-4000-8000-000000000003}": Replace: there is no profile of that name or GUID before it`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What is replaced over and over counts each time, so the work has an end.
func TestReplaceBounded(t *testing.T) {
	for name, tt := range map[string]struct{ row, want string }{
		"the same profile again": {"<Replace Name='a'><Settings><Connection><AccessPointName>a</AccessPointName></Connection></Settings></Replace>", "more than 20000"},
		"others each time":       {"<Replace Name='%d'/>", "more than 20000 profiles to replace"},
	} {
		text := &rows{limit: 4 << 20, head: "<WindowsCustomizations>", tail: "</WindowsCustomizations>", row: func(i int) string { return strings.ReplaceAll(tt.row, "%d", strconv.Itoa(i)) }}
		if _, problems := Read("x", text); len(problems) != 1 || !strings.Contains(problems[0].Msg, tt.want) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
