package es10

import (
	"bytes"
	"context"
	"encoding/hex"
	"go/ast"
	"go/parser"
	"go/token"
	"image/png"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/euicc"
	"dynamod/euicc/bertlv"
)

// A response is a row of the table below: the function, where its bytes come
// from, the bytes, and what they say.
type responseVector struct {
	function string
	source   string
	response []byte
	check    func(t *testing.T, ch Channel)
}

// sysmocomIcon is the icon of a profile on a sysmocom test card, as pySim prints
// it (tests/pySim-shell_test/euicc/get_profiles_info.ok).
var sysmocomIcon = unhex(`
		89504e470d0a1a0a0000000d49484452000000400000004008040000000060b9550000000774494d4507e00b091007364c956f970000000970485973
		00000b1200000b1201d2dd7efc0000000467414d410000b18f0bfc61050000021f4944415478daed99cd1583200c803d32000b3004abb00ecbb08223
		38578af559223f49b0a8175f2ec023e1238410db09a667e5e1e55f80bf00f686060b1e66b80420c02a32550d0e966e8cc6f0128d193460635fa66a3b
		7d511db48dd94788b655d7815071ba26e61b9000acc711841085eb398d84c0cd94f921ebe2ddab18db6b5005b055c3bc752b4038745c5339449cd495
		0248100e1d4528fac207b228e3101a4bd4ae52ba96a603808b05d44c27adab2af8807a00a6184b228014807566eca13538e5008ac890bf06be809e4d
		bebe0b808a842a009ffd7b010436af06b04f034c8d47ea46004703e034e4d95b90a98a447300dc353c9f07a843404d9b2d904bca84f62480a7013c39
		351431225b722de9f6ad591a0047c194e5ae19bd865afc1a26976f088603c0a7ac9117fce131f64200bcdfed8e290ee058906c46f2fad09dac885ab1
		550c68d2a8b426dcf69b8e71f76d195b15cd368207463513fd2dea6648476b2500eb999b6250fa5dc0499e0b88b921f2bbaf782e877588930370724e
		4d3f0dd01d49dbe7e92cb940423172008f3ed3c6011c03b1396bce6ec24800c703b862682480a20142250b8c05c081385186cd65009607d059dd772b
		80ae3cb963010205b054436414808abb0ff237752480a996fb3702d8334fda0bf002bc002fc0488053b5f5380005dc0a1703f03ffdfdc433a6fa010c
		f1ef4165c831e602b40134844c66e67fa4c1000618e5ab8f6008c03faab7028c9117e0036baf44917035af0e0000000049454e44ae426082`)

func tlv(tag bertlv.Tag, parts ...[]byte) []byte { return bertlv.Encode(tag, parts...) }

// Rows that only name annex H are encoded by hand from SGP.22's ASN.1.
func responseVectors() []responseVector {
	ctx := context.Background()
	done := func(execute func(ch Channel) error) func(*testing.T, Channel) {
		return func(t *testing.T, ch Channel) {
			if err := execute(ch); err != nil {
				t.Error(err)
			}
		}
	}
	signature := tlv(0x5F37, bytes.Repeat([]byte{0xAB}, 64))
	return []responseVector{
		{"GetEuiccConfiguredAddresses", "euicc-go v2/es10a_test.go", unhex("BF3C24 800B6578616D706C652E636F6D 811574657374726F6F74736D64732E67736D612E636F6D"), func(t *testing.T, ch Channel) {
			r, err := GetEuiccConfiguredAddresses{}.Execute(ctx, ch)
			if err != nil || r.DefaultSMDP != "example.com" || r.RootSMDS != "testrootsmds.gsma.com" || r.FurtherSMDS != nil || r.Extra != nil {
				t.Errorf("%+v, %v", r, err)
			}
		}},
		{"SetDefaultDpAddress", "euicc-go v2/es10a_test.go", unhex("BF3F03800100"), done(func(ch Channel) error { _, err := SetDefaultDpAddress{}.Execute(ctx, ch); return err })},
		{"PrepareDownload", "annex H", tlv(0xBF21, tlv(0xA0, tlv(0x30, unhex("800401020304"), tlv(0x5F49, bytes.Repeat([]byte{4}, 65))), signature)), func(t *testing.T, ch Channel) {
			if r, err := (PrepareDownload{}).Execute(ctx, ch); err != nil || len(r.Raw) == 0 {
				t.Error(err)
			}
		}},
		{"GetEUICCChallenge", "annex H", unhex("BF2E12 8010 000102030405060708090A0B0C0D0E0F"), func(t *testing.T, ch Channel) {
			r, err := GetEUICCChallenge{}.Execute(ctx, ch)
			if err != nil || r.Challenge[15] != 15 {
				t.Errorf("%+v, %v", r, err)
			}
		}},
		{"GetEUICCInfo1", "pySim tests/pySim-shell_test/euicc/euicc_info1.ok", unhex("BF2035 8203020300 A9160414F54172BDF98A95D65CBEB88A38A1C11D800A85C3 AA160414F54172BDF98A95D65CBEB88A38A1C11D800A85C3"), func(t *testing.T, ch Channel) {
			r, err := GetEUICCInfo1{}.Execute(ctx, ch)
			if err != nil || r.SVN.String() != "2.3.0" || len(r.VerificationCIs) != 1 || hex.EncodeToString(r.SigningCIs[0]) != "f54172bdf98a95d65cbeb88a38a1c11d800a85c3" {
				t.Errorf("%+v, %v", r, err)
			}
		}},
		{"GetEUICCInfo2", "a live card, see info2", unhex(info2), done(func(ch Channel) error { _, err := GetEUICCInfo2{}.Execute(ctx, ch); return err })},
		{"ListNotification", "pySim tests/pySim-shell_test/euicc/notifications.ok: none", unhex("BF2802A000"), func(t *testing.T, ch Channel) {
			r, err := ListNotification{}.Execute(ctx, ch)
			if err != nil || len(r.Notifications) != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		}},
		{"RetrieveNotificationsList", "annex H", unhex("BF2B03810101"), func(t *testing.T, ch Channel) {
			_, err := RetrieveNotificationsList{}.Execute(ctx, ch)
			if err == nil || !strings.Contains(err.Error(), "noResultAvailable") {
				t.Error(err)
			}
		}},
		{"RemoveNotificationFromList", "annex H", unhex("BF3003800100"), done(func(ch Channel) error { _, err := RemoveNotificationFromList{}.Execute(ctx, ch); return err })},
		{"AuthenticateServer", "annex H", tlv(0xBF38, tlv(0xA0, tlv(0x30, unhex("80020102")), signature, unhex("3000 3000"))), func(t *testing.T, ch Channel) {
			if r, err := (AuthenticateServer{}).Execute(ctx, ch); err != nil || len(r.Raw) == 0 {
				t.Error(err)
			}
		}},
		{"CancelSession", "annex H", tlv(0xBF41, tlv(0xA0, tlv(0x30, unhex("80020102 810388370A 820101")), signature)), func(t *testing.T, ch Channel) {
			if r, err := (CancelSession{}).Execute(ctx, ch); err != nil || len(r.Raw) == 0 {
				t.Error(err)
			}
		}},
		{"GetProfilesInfo", "pySim tests/pySim-shell_test/euicc/get_profiles_info.ok", tlv(0xBF2D, tlv(0xA0,
			tlv(0xE3, unhex("5A0A98001032547698103214 4F10A0000005591010FFFFFFFF8900001000 9F700101"), tlv(0x90, []byte("this-is-a-testprofile")), tlv(0x91, []byte("SP Name 1")),
				tlv(0x92, []byte("Operational Profile Name 1")), unhex("930101"), tlv(0x94, sysmocomIcon), unhex("950100")),
			tlv(0xE3, unhex("5A0A989444999999990930F1 4F10A0000005591010FFFFFFFF8900001200 9F700100"), tlv(0x91, []byte("OsmocomSPN")), tlv(0x92, []byte("TS48V1-B-UNIQUE")), unhex("950102")))), func(t *testing.T, ch Channel) {
			r, err := GetProfilesInfo{}.Execute(ctx, ch)
			if err != nil || len(r.Profiles) != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			p, q := r.Profiles[0], r.Profiles[1]
			if p.ICCID.String() != "89000123456789012341" || p.State != euicc.Enabled || p.Nickname != "this-is-a-testprofile" || p.Class != euicc.ClassTest || p.IconMediaType() != "image/png" {
				t.Errorf("%+v", p)
			}
			if img, err := png.DecodeConfig(bytes.NewReader(p.Icon)); err != nil || img.Width != 64 || img.Height != 64 {
				t.Errorf("icon of %d bytes: %+v, %v", len(p.Icon), img, err)
			}
			if q.ICCID.String() != "8949449999999990031" || q.State != euicc.Disabled || q.ServiceProvider != "OsmocomSPN" || q.Class != euicc.ClassOperational || q.Icon != nil || q.IconMediaType() != "" {
				t.Errorf("%+v", q)
			}
		}},
		{"EnableProfile", "pySim tests/pySim-shell_test/euicc/enable_disable_profile.ok", unhex("BF3103800100"), done(func(ch Channel) error { _, err := EnableProfile{}.Execute(ctx, ch); return err })},
		{"DisableProfile", "pySim tests/pySim-shell_test/euicc/enable_disable_profile.ok", unhex("BF3203800100"), done(func(ch Channel) error { _, err := DisableProfile{}.Execute(ctx, ch); return err })},
		{"DeleteProfile", "annex H", unhex("BF3303800100"), done(func(ch Channel) error { _, err := DeleteProfile{}.Execute(ctx, ch); return err })},
		{"EuiccMemoryReset", "annex H", unhex("BF3403800100"), done(func(ch Channel) error { _, err := EuiccMemoryReset{}.Execute(ctx, ch); return err })},
		{"GetEID", "pySim tests/unittests/test_euicc.py, the number", unhex("BF3E12 5A10 89049032123451234512345678901235"), func(t *testing.T, ch Channel) {
			r, err := GetEID{}.Execute(ctx, ch)
			if err != nil || r.EID.String() != "89049032123451234512345678901235" || !r.EID.Valid() {
				t.Errorf("%+v, %v", r, err)
			}
		}},
		{"SetNickname", "pySim tests/pySim-shell_test/euicc/set_nickname.ok", unhex("BF2903800100"), done(func(ch Channel) error { _, err := SetNickname{}.Execute(ctx, ch); return err })},
		{"GetRAT", "annex H", unhex("BF4317 A015 3013 80020640 A109 3007 8003EEEEEE 8100 82020780"), func(t *testing.T, ch Channel) {
			r, err := GetRAT{}.Execute(ctx, ch)
			if err != nil || len(r.Rules) != 1 || r.Rules[0].PPR != euicc.PPR1 {
				t.Errorf("%+v, %v", r, err)
			}
		}},
	}
}

func TestResponses(t *testing.T) {
	for _, v := range responseVectors() {
		t.Run(v.function+" ("+v.source+")", func(t *testing.T) {
			if err := bertlv.Check(v.response); err != nil {
				t.Fatal(err)
			}
			v.check(t, reply(v.response))
		})
	}
}

// TestEveryFunction holds that no function is without a row in both tables: a
// type with the method Execute is one. LoadBoundProfilePackage has its bytes from
// euicc-go's four packages, see bpp_test.go.
func TestEveryFunction(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var functions []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != "Execute" || f.Recv == nil {
				continue
			}
			if id, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
				functions = append(functions, id.Name)
			}
		}
	}
	if len(functions) < 20 {
		t.Fatalf("only %v were found", functions)
	}
	responses := map[string]bool{"LoadBoundProfilePackage": true}
	for _, v := range responseVectors() {
		responses[v.function] = true
	}
	requests := map[string]bool{"LoadBoundProfilePackage": true}
	for _, v := range requestVectors {
		name, _, _ := strings.Cut(strings.TrimLeft(v.name, "0123456789. "), " ")
		requests[strings.TrimSuffix(name, ",")] = true
	}
	for _, f := range functions {
		if !responses[f] || !requests[f] {
			t.Errorf("%s: request %t, response %t", f, requests[f], responses[f])
		}
	}
}
