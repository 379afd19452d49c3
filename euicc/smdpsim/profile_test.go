package smdpsim

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dynamod/euicc/bertlv"
)

// The files that a modem reads must be where the TCA profile package says, coded
// as 3GPP TS 31.102 says.
func TestTestProfile(t *testing.T) {
	upp, err := TestProfile(ProfileData{ICCID: "89001010000000000187", IMSI: "001010000000001", MNCDigits: 2, SPN: "Lab", GID1: []byte{0x12, 0x34}, Filler: 100})
	if err != nil {
		t.Fatal(err)
	}
	if err := bertlv.Check(upp); err != nil {
		t.Fatal(err)
	}
	elements := map[bertlv.Tag]bertlv.Element{}
	for e, err := range bertlv.List(upp) {
		if err != nil {
			t.Fatal(err)
		}
		elements[e.Tag] = e
	}
	for _, tt := range []struct {
		name string
		pe   bertlv.Tag
		path []bertlv.Tag
		want string
	}{
		{"header ICCID", 0xA0, []bertlv.Tag{0x83}, "89001010000000000187"},
		{"header usim service", 0xA0, []bertlv.Tag{0xA5, 0x81}, ""},
		{"header milenage service", 0xA0, []bertlv.Tag{0xA5, 0x84}, ""},
		{"MF template", 0xB0, []bertlv.Tag{0x81}, "67810f010201"},
		{"EF_ICCID", 0xB0, []bertlv.Tag{0xA4, 0x83}, "98000101000000001078"},
		{"USIM AID", 0xB3, []bertlv.Tag{0xA2, 0xA1, 0x84}, "a0000000871002ff49ff0589"},
		{"EF_IMSI file ID", 0xB3, []bertlv.Tag{0xA3, 0xA1, 0x83}, "6f07"},
		{"EF_IMSI", 0xB3, []bertlv.Tag{0xA3, 0x83}, "080910100000000010"},
		{"EF_SPN", 0xB3, []bertlv.Tag{0xAD, 0x83}, "014c6162" + strings.Repeat("ff", 13)},
		{"EF_AD", 0xB3, []bertlv.Tag{0xB5, 0x83}, "00000002"},
		{"EF_GID1 file ID", 0xB4, []bertlv.Tag{0xA5, 0xA1, 0x83}, "6f3e"},
		{"EF_GID1", 0xB4, []bertlv.Tag{0xA5, 0x83}, "1234"},
		{"K", 0xA4, []bertlv.Tag{0xA1, 0xA1, 0x82}, "465b5ce8b199b49faa5f0a2ee238a6bc"},
		{"end", 0xAA, []bertlv.Tag{0xA0, 0x80}, ""},
	} {
		v, ok := elements[tt.pe].Find(tt.path...)
		if got := hex.EncodeToString(v.Value); !ok || got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	iccid, err := UPPICCID(upp)
	if err != nil || iccid != "89001010000000000187" {
		t.Errorf("ICCID %s, %v", iccid, err)
	}
}

func TestTestProfileRefuses(t *testing.T) {
	good := ProfileData{ICCID: testICCID, IMSI: "001010000000001"}
	for name, change := range map[string]func(*ProfileData){
		"ICCID of 17 digits": func(d *ProfileData) { d.ICCID = testICCID[:17] },
		"ICCID with letter":  func(d *ProfileData) { d.ICCID = "x" + testICCID[1:] },
		"IMSI of 16 digits":  func(d *ProfileData) { d.IMSI += "0" },
		"IMSI with letter":   func(d *ProfileData) { d.IMSI = "00101000000000x" },
		"MNC of 4 digits":    func(d *ProfileData) { d.MNCDigits = 4 },
		"SPN of 17":          func(d *ProfileData) { d.SPN = strings.Repeat("x", 17) },
		"SPN not ASCII":      func(d *ProfileData) { d.SPN = "Läb" },
		"GID1 of 21 bytes":   func(d *ProfileData) { d.GID1 = make([]byte, 21) },
		"filler of 1 GB":     func(d *ProfileData) { d.Filler = 1 << 30 },
	} {
		d := good
		change(&d)
		if _, err := TestProfile(d); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// 3GPP TS 31.102 4.2.2: EF_IMSI of odd and even length.
func TestCodeIMSI(t *testing.T) {
	for imsi, want := range map[string]string{
		"001010123456063": "080910101032540636", // the coding in GSMA TS.48's profiles
		"00101012345606":  "0801101010325406f6",
		"001010":          "04011010f0ffffffff",
	} {
		if got := hex.EncodeToString(codeIMSI(imsi)); got != want {
			t.Errorf("%s: %s, want %s", imsi, got, want)
		}
	}
}

// SGP.22 annex H, StoreMetadataRequest with everything in it.
func TestMetadata(t *testing.T) {
	m := Metadata{
		ICCID: "8900101000000000018", Provider: "P", Name: "N", IconType: IconPNG, Icon: []byte{1, 2}, Class: ClassTest,
		Notifications: []NotificationConfig{{OpEnable | OpDelete, "n.test"}, {Operations: OpInstall}},
		Owner:         []byte{0x00, 0xF1, 0x10}, GID1: []byte{0x12}, Rules: PPR1 | PPR2,
	}
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"5a0a980001010000000010f8",
		"910150", "92014e", "930101", "94020102", "950100",
		"b61f", "300c80020450" + "81066e2e74657374", "300f80020780" + "8109736d64702e74657374",
		"b708", "800300f110", "810112", "99020560",
	}, "")
	got := hex.EncodeToString(m.encode("smdp.test"))
	if !strings.HasPrefix(got, "bf25") || got[6:] != want {
		t.Errorf("\n got %s\nwant bf25.. %s", got, want)
	}
}

func FuzzUPPICCID(f *testing.F) {
	f.Add(testUPP(f, 10))
	f.Add([]byte{0xA0, 0x00, 0xAA, 0x00})
	if files, _ := filepath.Glob("../../../shared/data/ts48/*.der"); files != nil {
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, upp []byte) {
		iccid, err := UPPICCID(upp)
		if err != nil {
			return
		}
		header, rest, err := bertlv.Next(upp)
		if err != nil || len(rest) == 0 || !bytes.Contains(header.Value, packBCD(iccid, 10, false)) {
			t.Errorf("ICCID %q is not in the header", iccid)
		}
	})
}

// FuzzHandlers sends arbitrary bodies to every function, and arbitrary TLV in
// the fields of a running session: no panic, and never a success.
func FuzzHandlers(f *testing.F) {
	f.Add(uint8(0), []byte(`{"smdpAddress":"smdpp.lab.test"}`), []byte{0xBF, 0x20, 0x00})
	f.Add(uint8(1), []byte(`{"transactionId":"00"}`), []byte{0xBF, 0x38, 0x02, 0xA0, 0x00})
	f.Add(uint8(2), []byte(`[]`), []byte{0xBF, 0x21, 0x02, 0xA0, 0x00})
	f.Add(uint8(3), []byte(`{}`), []byte{0xBF, 0x37, 0x03, 0xBF, 0x27, 0x00})
	f.Add(uint8(4), []byte(``), []byte{0xBF, 0x41, 0x03, 0x81, 0x01, 0x05})
	f.Fuzz(func(t *testing.T, which uint8, body, tlv []byte) {
		fns := []Function{InitiateAuthentication, AuthenticateClient, GetBoundProfilePackage, HandleNotification, CancelSession}
		fn := fns[int(which)%len(fns)]
		w := newWorld(t, nil)
		w.order(Order{UPP: testUPP(t, 0)})
		w.server.mu.Lock()
		ss := w.server.newSession("smdpp.lab.test")
		w.server.mu.Unlock()
		out, err := w.post(fn, map[string]string{
			"transactionId": ss.name, "smdpAddress": "smdpp.lab.test", "euiccChallenge": b64(random(16)),
			"euiccInfo1": b64(tlv), "authenticateServerResponse": b64(tlv), "prepareDownloadResponse": b64(tlv),
			"pendingNotification": b64(tlv), "cancelSessionResponse": b64(tlv),
		})
		if err == nil && out != nil {
			t.Errorf("%s succeeded", fn)
		}
		w.raw(fn, body)
	})
}
