package bsp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"dynamod/euicc/bertlv"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(b)), "")
}

func keys(t testing.TB, mcv, enc, mac string) (k Keys) {
	t.Helper()
	copy(k.MCV[:], unhex(t, mcv))
	copy(k.Enc[:], unhex(t, enc))
	copy(k.MAC[:], unhex(t, mac))
	return k
}

func TestX963(t *testing.T) {
	for _, tt := range []struct{ name, z, info, want string }{
		{"NIST CAVP ANS X9.63, SHA-256, 192/0/128",
			"96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"},
		{"NIST CAVP ANS X9.63, SHA-256, 192/128/1024",
			"22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d", "75eef81aa3041e33b80971203d2c0c52",
			"c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e" +
				"52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485" +
				"500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269" +
				"142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			if got := x963(unhex(t, tt.z), unhex(t, tt.info), len(want)); !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}

func TestCMAC(t *testing.T) {
	msg := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	var key [16]byte
	copy(key[:], unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	for _, tt := range []struct {
		name string
		n    int
		want string
	}{
		{"RFC 4493 example 1", 0, "bb1d6929e95937287fa37d129b756746"},
		{"RFC 4493 example 2", 16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{"RFC 4493 example 3", 40, "dfa66747de9ae63030ca32611497c827"},
		{"RFC 4493 example 4", 64, "51f0bebf7e3b9d92fc49741779363cfe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := newCMAC(newAES(key)).sum(msg[:tt.n]); !bytes.Equal(got[:], unhex(t, tt.want)) {
				t.Errorf("got %x, want %s", got, tt.want)
			}
		})
	}
}

// The vectors are those of pySim's tests/unittests/test_esim_bsp.py.
func TestDeriveKeys(t *testing.T) {
	hostID := bytes.Repeat([]byte{0x80}, 8)
	for _, tt := range []struct{ name, shared, eid, mcv, enc, mac string }{
		{"pySim BSP_Test",
			"8902dca391bbb22570fe60c176076246f568b1941265dff1d729e63039658089", "89049032123451234512345678901335",
			"734bc93ddb10c71c5ad13d420dc08b5b", "d782d575b22a38334556a3d9a1e2ae6b", "a35addc192ae8f934e2932116c7e89e7"},
		{"trace of a third party's SM-DP+ (pySim BSP_Test_mode51)",
			"c9a993dd4879a8f7161f2085410edd4f9652f1df37be097ba96ba2ca6be528fe", "89049032123451234512345678901235",
			"406d507b448a699e7a36a38494debbde", "472f5bfadd97f21d34f3ce9b51b92751", "9ec07f5b36a13e12a991d66e294e6242"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DeriveKeys(unhex(t, tt.shared), 0x88, 16, hostID, unhex(t, tt.eid))
			if err != nil {
				t.Fatal(err)
			}
			if want := keys(t, tt.mcv, tt.enc, tt.mac); got != want {
				t.Error("keys differ from the vector")
			}
		})
	}
}

func TestDeriveKeysRefuses(t *testing.T) {
	shared, host, eid := make([]byte, 32), make([]byte, 8), make([]byte, 16)
	for _, tt := range []struct {
		name            string
		shared          []byte
		typ, length     byte
		host, eid       []byte
		wantErrContains string
	}{
		{"no secret", nil, 0x88, 16, host, eid, "empty ECKA secret"},
		{"key type not AES", shared, 0x80, 16, host, eid, "key type 80"},
		{"key length 32", shared, 0x88, 32, host, eid, "key length 32"},
		{"no host id", shared, 0x88, 16, nil, eid, "host id of 0 bytes"},
		{"host id of 17 bytes", shared, 0x88, 16, make([]byte, 17), eid, "host id of 17 bytes"},
		{"EID of 10 bytes", shared, 0x88, 16, host, make([]byte, 10), "EID of 10 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DeriveKeys(tt.shared, tt.typ, tt.length, tt.host, tt.eid)
			if err == nil || !strings.Contains(err.Error(), tt.wantErrContains) {
				t.Errorf("error %v, want one with %q", err, tt.wantErrContains)
			}
		})
	}
}

// TestTrace follows the trace of a third party's SM-DP+ (see testdata/README):
// ConfigureISDP, StoreMetadata, ReplaceSessionKeys and two profile segments.
func TestTrace(t *testing.T) {
	k := keys(t, "406d507b448a699e7a36a38494debbde", "472f5bfadd97f21d34f3ce9b51b92751", "9ec07f5b36a13e12a991d66e294e6242")
	ppk := keys(t, "000102030405060708090a0b0c0d0e0f", "010102030405060708090a0b0c0d0e0f", "020102030405060708090a0b0c0d0e0f")
	server, card := New(k), New(k)
	for _, step := range []struct {
		name          string
		tag           bertlv.Tag
		plain, sealed string
	}{
		{"ConfigureISDP", 0x87, "bf2400", "8718f6fe031e4b9cfe87c8e1e62f3fde85c49412d7722a6a2d89"},
		{"StoreMetadata", 0x88,
			"bf252d5a0a98001032547698103214910947534d415f54455354921147534d415f544553545f50524f46494c45950100",
			"8838bf252d5a0a98001032547698103214910947534d415f54455354921147534d415f544553545f50524f46494c459501008a62cc9adbb5ccbc"},
		{"ReplaceSessionKeys", 0x87,
			"bf26368010000102030405060708090a0b0c0d0e0f8110010102030405060708090a0b0c0d0e0f8210020102030405060708090a0b0c0d0e0f",
			"8748a14c800a001992351cd46ad2945654674369701d82b7b46567652bc8fbed234939fc57fba748015525fd6c651e9d3d1330652d42a0cfad950e912122af4ec5362d3c0bc535729c40"},
		{"profile segment 0", 0x86, readFile(t, "trace-segment0-plain.hex"), readFile(t, "trace-segment0-sealed.hex")},
		{"profile segment 1", 0x86, readFile(t, "trace-segment1-plain.hex"), readFile(t, "trace-segment1-sealed.hex")},
	} {
		plain, sealed := unhex(t, step.plain), unhex(t, step.sealed)
		seal, open := server.Seal, card.Open
		if step.tag == 0x88 {
			seal, open = server.SealMAC, card.OpenMAC
		}
		if got := seal(step.tag, plain); !bytes.Equal(got, sealed) {
			t.Fatalf("%s: sealed differs from the trace", step.name)
		}
		got, err := open(step.tag, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%s: opened %x, %v", step.name, got, err)
		}
		if step.name == "ReplaceSessionKeys" {
			server.Replace(ppk)
			card.Replace(ppk)
		}
	}
}

// TestOpenBoundProfilePackage opens a whole BPP made by Osmocom's SM-DP+. In this
// vector each protected TLV stands inside one more TLV of the same tag, and A2 is
// left out although the profile has keys of its own.
func TestOpenBoundProfilePackage(t *testing.T) {
	bpp, err := base64.StdEncoding.DecodeString(readFile(t, "osmocom-bpp.b64"))
	if err != nil {
		t.Fatal(err)
	}
	upp, err := base64.StdEncoding.DecodeString(readFile(t, "osmocom-upp.b64"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := bertlv.Expect(bpp, 0xBF36)
	if err != nil {
		t.Fatal(err)
	}
	card := New(keys(t, "ee3140eafd692b68eff40119b363bc6c", "f11b921c302efb1df6bf218bf2de0dd8", "8cd4d3a761eeac108641d5f4531a137e"))
	open := func(tag, inner bertlv.Tag, f func(bertlv.Tag, []byte) ([]byte, error)) (out []byte) {
		seq, ok := e.Find(tag)
		if !ok {
			t.Fatalf("no %s", tag)
		}
		for c, err := range seq.Children() {
			if err != nil {
				t.Fatal(err)
			}
			p, err := f(inner, c.Value)
			if err != nil {
				t.Fatalf("%s: %v", tag, err)
			}
			out = append(out, p...)
		}
		return out
	}
	if got := open(0xA0, 0x87, card.Open); hex.EncodeToString(got) != "bf2400" {
		t.Errorf("ConfigureISDP %x", got)
	}
	if got := open(0xA1, 0x88, card.OpenMAC); hex.EncodeToString(got) != "bf25285a0a89000123456789012341910a4f736d6f636f6d53504e920e4f736d6f636f6d50726f66696c65" {
		t.Errorf("StoreMetadata %x", got)
	}
	card.Replace(keys(t, "22222222222222222222222222222222", "00000000000000000000000000000000", "11111111111111111111111111111111"))
	if got := open(0xA3, 0x86, card.Open); !bytes.Equal(got, upp) {
		t.Errorf("profile package of %d bytes differs from the original of %d", len(got), len(upp))
	}
}

func TestSealAllFillsTLVs(t *testing.T) {
	var k Keys
	for _, n := range []int{0, 1, 15, 16, MaxPlain - 1, MaxPlain, MaxPlain + 1, 3*MaxPlain + 5} {
		t.Run(fmt.Sprint(n, " bytes"), func(t *testing.T) {
			plain := bytes.Repeat([]byte{0xA5}, n)
			server, card := New(k), New(k)
			var got []byte
			for _, part := range []struct {
				tag  bertlv.Tag
				tlvs []byte
				open func(bertlv.Tag, []byte) ([]byte, error)
			}{
				{0x86, server.SealAll(0x86, plain), card.Open},
				{0x88, server.SealAllMAC(0x88, plain), card.OpenMAC},
			} {
				got = got[:0]
				for e, err := range bertlv.List(part.tlvs) {
					if err != nil {
						t.Fatal(err)
					}
					if len(e.Raw) > MaxTLV {
						t.Errorf("TLV of %d bytes", len(e.Raw))
					}
					p, err := part.open(part.tag, e.Raw)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, p...)
				}
				if !bytes.Equal(got, plain) {
					t.Errorf("tag %s: %d bytes come back for %d", part.tag, len(got), n)
				}
			}
		})
	}
	if n := len(New(k).Seal(0x86, make([]byte, MaxPlain))); n != MaxTLV {
		t.Errorf("MaxPlain makes a TLV of %d bytes, want %d", n, MaxTLV)
	}
}

func TestOpenRefuses(t *testing.T) {
	var k Keys
	good := New(k).Seal(0x87, []byte("ConfigureISDP"))
	flip := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	for _, tt := range []struct {
		name string
		tag  bertlv.Tag
		in   []byte
		want error
	}{
		{"MAC changed", 0x87, flip(len(good) - 1), ErrSecurity},
		{"ciphertext changed", 0x87, flip(5), ErrSecurity},
		{"other tag", 0x86, good, ErrStructure},
		{"cut off", 0x87, good[:len(good)-1], ErrStructure},
		{"empty", 0x87, nil, ErrStructure},
		{"too short for a MAC", 0x87, []byte{0x87, 3, 1, 2, 3}, ErrStructure},
		{"MACed but no whole block", 0x87, New(k).SealMAC(0x87, make([]byte, 17)), ErrStructure},
		{"MACed but no ciphertext", 0x87, New(k).SealMAC(0x87, nil), ErrStructure},
		{"MACed but no padding", 0x87, New(k).SealMAC(0x87, make([]byte, 16)), ErrSecurity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			card := New(k)
			if _, err := card.Open(tt.tag, tt.in); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if _, err := card.Open(0x87, good); !errors.Is(err, ErrSecurity) {
				t.Errorf("session goes on after an error: %v", err)
			}
		})
	}
}

func TestReplayAndReorder(t *testing.T) {
	var k Keys
	server, card := New(k), New(k)
	a, b := server.Seal(0x86, []byte("a")), server.Seal(0x86, []byte("b"))
	if _, err := card.Open(0x86, b); !errors.Is(err, ErrSecurity) {
		t.Errorf("second block accepted first: %v", err)
	}
	card = New(k)
	if _, err := card.Open(0x86, a); err != nil {
		t.Fatal(err)
	}
	if _, err := card.Open(0x86, a); !errors.Is(err, ErrSecurity) {
		t.Errorf("block accepted twice: %v", err)
	}
}

func TestKeysStayHidden(t *testing.T) {
	k := keys(t, "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, k); s != "bsp.Keys(redacted)" {
			t.Errorf("%s prints %s", format, s)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("profile"), uint16(3))
	f.Add(make([]byte, MaxPlain), uint16(1019))
	f.Fuzz(func(t *testing.T, plain []byte, flip uint16) {
		var k Keys
		sealed := New(k).Seal(0x86, plain)
		got, err := New(k).Open(0x86, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("round trip: %v", err)
		}
		sealed[int(flip)%len(sealed)] ^= 0x40
		if _, err := New(k).Open(0x86, sealed); err == nil {
			t.Fatal("changed TLV accepted")
		}
		New(k).Open(0x86, plain)
	})
}
