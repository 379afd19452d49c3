package es10

import (
	"fmt"
	"strings"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// A sysmocom test card, as pySim prints it (tests/pySim-shell_test/euicc/
// euicc_info2.ok); its values are put back into the data objects of annex H.
func TestEUICCInfo2Vector(t *testing.T) {
	ci := unhex("0414 F54172BDF98A95D65CBEB88A38A1C11D800A85C3")
	b := bertlv.Encode(0xBF22,
		unhex("8103020301 8203020300 8303230623"), bertlv.Encode(0x84, unhex("810108 820400045BF8 83022419")),
		unhex("8505067F36F3C0 86030F0100 8703020300 88020398"), bertlv.Encode(0xA9, ci), bertlv.Encode(0xAA, ci),
		unhex("99020640 0403010000"), bertlv.Encode(0x0C, []byte("SYSMOCOM-TEST-1")))
	r, err := GetEUICCInfo2{}.Execute(t.Context(), reply(b))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(r.ProfileVersion, r.SVN, r.Firmware, r.InstalledApps, r.FreeNVM, r.FreeRAM, r.TS102241, r.GlobalPlatform, r.PPVersion, " ", r.SASNumber),
		"2.3.1 2.3.0 35.6.35 8 285688 9241 15.1.0 2.3.0 1.0.0 SYSMOCOM-TEST-1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := r.RSPCapability.String(), "additionalProfile+testProfileSupport+deviceInfoExtensibilitySupport"; got != want {
		t.Errorf("got %s", got)
	}
	if got, want := r.UICCCapability.String(), "usimSupport+isimSupport+csimSupport+akaMilenage+akaCave+akaTuak128+akaTuak256+gbaAuthenUsim+gbaAuthenISim+eapClient+javacard+"+
		"multipleUsimSupport+multipleIsimSupport+multipleCsimSupport+berTlvFileSupport+getIdentity+profile-a-x25519+profile-b-p256+suciCalculatorApi"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.ForbiddenPPR != euicc.PPR1 || r.Category.String() != "other" || len(r.Extra) != 0 {
		t.Errorf("got %v %v %v", r.ForbiddenPPR, r.Category, r.Extra)
	}
}

// What v2.3 added is decoded; what v3 and SGP.32 add is kept, and is no error:
// tags 90 to 94 and 80 (lpaMode or ipaMode, signing keys of v3, additional
// information, highest SVN, IoT information).
func TestEUICCInfo2Later(t *testing.T) {
	b := bertlv.Encode(0xBF22, unhex("8103030300 8203020500 8303010000 8A00"), bertlv.Encode(0x88, []byte{5, 0xB8, 0x00, 0x20}),
		unhex("8B0103 0403010000 0C00"), bertlv.Encode(0xAC, bertlv.Encode(0x80, []byte("1.2.3/label")), bertlv.Encode(0x81, []byte("https://dloa.example.com"))),
		unhex("8D020640 8E03524546 AF0A 0403020301 0403030300 900101 B100 9202AABB 9303030100 B403A00180"))
	r := new(EUICCInfo2)
	if err := r.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if r.Certification != (Certification{"1.2.3/label", "https://dloa.example.com"}) || r.TREProperties.String() != "isIntegrated" || r.TREProductReference != "REF" ||
		fmt.Sprint(r.FurtherProfileVersions) != "[2.3.1 3.3.0]" || r.HighestSVN != (Version{3, 1, 0}) || r.Category.String() != "contactlessEuicc" {
		t.Errorf("got %+v", r)
	}
	if got, want := r.RSPCapability.String(), "additionalProfile+rpmSupport+testProfileSupport+deviceInfoExtensibilitySupport+bit18"; got != want {
		t.Errorf("got %s", got)
	}
	var tags []string
	for _, e := range r.Extra {
		tags = append(tags, e.Tag.String())
	}
	if got := strings.Join(tags, " "); got != "8A 90 B1 92 B4" {
		t.Errorf("kept %s", got)
	}
	for _, bad := range []string{"BF2203 8D0108", "BF2205 AF03040101", "BF2204 AF02 0401", "BF2203 930101", "BF2204 AC02 8005"} {
		if err := new(EUICCInfo2).UnmarshalBinary(unhex(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// euicc-go v2/es10a_test.go.
func TestAddresses(t *testing.T) {
	const ds = "8115 74657374726F6F74736D64732E67736D612E636F6D"
	for _, tt := range []struct{ in, dp string }{
		{"BF3C17" + ds, ""},
		{"BF3C24 800B6578616D706C652E636F6D" + ds, "example.com"},
	} {
		r, err := GetEuiccConfiguredAddresses{}.Execute(t.Context(), reply(unhex(tt.in)))
		if err != nil || r.DefaultSMDP != tt.dp || r.RootSMDS != "testrootsmds.gsma.com" {
			t.Errorf("got %+v, %v", r, err)
		}
	}
}

// What SGP.22 v3 adds: further root SM-DS, and an object of later.
func TestAddressesLater(t *testing.T) {
	r, err := GetEuiccConfiguredAddresses{}.Execute(t.Context(), reply(unhex("BF3C18 8103612E62 A20A 0C03632E64 0C03652E66 A305 0403010203")))
	if err != nil || fmt.Sprint(r.RootSMDS, r.FurtherSMDS) != "a.b[c.d e.f]" || len(r.Extra) != 1 || r.Extra[0].Tag != 0xA3 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestResetOptions(t *testing.T) {
	if got := (ResetOperational | ResetDefaultSMDP).String(); got != "deleteOperationalProfiles+resetDefaultSmdpAddress" {
		t.Errorf("got %s", got)
	}
}
