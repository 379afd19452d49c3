package euiccsim

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// exchange sends APDUs in hexadecimal: "command -> answer". An answer that ends
// with * may go on; an empty one is no answer.
func exchange(t *testing.T, c *Card, lines ...string) {
	t.Helper()
	for _, line := range lines {
		cmd, want, _ := strings.Cut(line, "->")
		b, err := hex.DecodeString(strings.ReplaceAll(cmd, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ToUpper(hex.EncodeToString(c.APDU(b)))
		want = strings.ReplaceAll(want, " ", "")
		if prefix, open := strings.CutSuffix(want, "*"); open && strings.HasPrefix(got, prefix) || !open && got == want {
			continue
		}
		t.Errorf("%s: got %s, want %s", cmd, got, want)
	}
}

const selectISDR = "01A4040010A0000005591010FFFFFFFF8900000100"

func TestLogicalChannels(t *testing.T) {
	l := newLab(t, nil)
	exchange(t, l.card,
		"00 70 00 00 01 -> 01 9000", // ETSI TS 102 221, 11.1.17
		"00 70 00 00 01 -> 02 9000",
		"00 70 00 03 00 -> 9000", // the terminal names the channel
		"00 70 00 00 01 -> 6A81", // no channel is left
		"00 70 00 03 00 -> 6A86",
		"00 70 80 02 00 -> 9000",
		"00 70 80 02 00 -> 6A86",
		"00 70 80 00 00 -> 6A86", // channel 0 cannot be closed
		"02 A4 00 04 02 3F00 -> 6881",
		"40 A4 00 04 02 3F00 -> 6881", // channels 4 to 19
		"04 A4 00 04 02 3F00 -> 6882", // secure messaging
		"20 A4 00 04 02 3F00 -> 6E00",
		"00 -> 6700",
		"00 A4 00 04 05 3F00 -> 6700",
		"00 99 00 00 00 -> 6D00",
		"80 E2 91 00 03 BF2E00 -> 6D00", // the ISD-R is not selected
		selectISDR+" -> 61*",
		"01 C0 00 00 00 -> 6F*",
		"01 C0 00 00 00 -> 6985", // nothing is left
	)
	l.card.Reset()
	exchange(t, l.card,
		"01 A4 00 04 02 3F00 -> 6881", // a reset closes all channels
		"00 A4 04 00 10 A0000005591010FFFFFFFF8900000100 -> 6A82",
	)
}

func TestStoreDataChain(t *testing.T) {
	l := newLab(t, func(c *Config) { c.MaxLc = 120 })
	exchange(t, l.card,
		"00 70 00 00 01 -> 01 9000", selectISDR+" -> 61*",
		"81 E2 11 00 01 BF -> 9000", "81 E2 91 01 02 2E00 -> 6115", "01 C0 00 00 15 -> BF2E12*",
		"81 E2 11 00 01 BF -> 9000", "81 E2 91 02 02 2E00 -> 6A86", // a block is missing
		"81 E2 91 01 02 2E00 -> 6A86",                                // and so the chain has ended
		"81 E2 11 00 01 BF -> 9000", "81 E2 91 00 03 BF2E00 -> 6115", // a new function drops the old one
		"81 E2 00 00 03 BF2E00 -> 6A86",
		"81 E2 91 00 03 BF2E00 00 -> BF2E12*",                      // Le present: data at once
		"81 E2 11 00 01 BF -> 9000", "01 A4 00 0C 02 3F00 -> 9000", // another command ends the chain
		"81 E2 91 01 02 2E00 -> 6D00",
		"81 E2 91 00 79 "+strings.Repeat("00", 121)+" -> 6700", // longer than this card takes
	)
}

func TestGetResponse(t *testing.T) {
	long := "81 E2 91 00 03 BF2200"
	for _, tt := range []struct {
		name  string
		t0    bool
		lines []string
	}{
		{"T=0", true, []string{
			"81 E2 91 00 03 BF2E00 00 -> 6115", "01 C0 00 00 15 -> BF2E12*",
			long + " -> 61*", "01 C0 00 00 10 -> BF22*",
			"00 A4 00 04 02 3F00 -> 61*",
			"00 C0 00 00 03 -> 62*",
			"00 A4 00 04 02 2F00 -> 61*", "00 B2 01 04 00 -> FF*",
		}},
		{"data at once", false, []string{
			"81 E2 91 00 03 BF2E00 00 -> BF2E12*",
			long + " 10 -> BF22*",
			"01 C0 00 00 05 -> *",
			"00 A4 00 04 02 2F00 00 -> 62*",
			"00 B2 01 04 21 -> 6C20", "00 B2 01 04 20 -> FF*", "00 B2 02 04 20 -> 6A83",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, func(c *Config) { c.GetResponse = tt.t0 })
			exchange(t, l.card, "00 70 00 00 01 -> 01 9000", selectISDR+" -> 61*")
			exchange(t, l.card, tt.lines...)
		})
	}
}

// withProfile is a card with an enabled profile.
func withProfile(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, nil)
	if err := l.card.Preload(testUPP(t, testICCID, 0), testMetadata(t, Metadata{ICCID: testICCID, Provider: "Lab", Name: "Factory", Class: ClassOperational}), true); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFiles(t *testing.T) {
	l := withProfile(t)
	iccid := strings.ToUpper(hex.EncodeToString(iccidBytes(t, testICCID)))
	exchange(t, l.card,
		"00 A4 00 04 02 3F00 00 -> 62*", // ETSI TS 102 221, 11.1.1
		"00 A4 00 0C 02 2FE2 -> 9000",
		"00 B0 00 00 0A -> "+iccid+" 9000",
		"00 B0 00 00 00 -> "+iccid+" 9000",
		"00 B0 00 00 0B -> 6C0A",
		"00 B0 00 08 02 -> "+iccid[16:]+" 9000",
		"00 B0 00 0A 00 -> 6B00",
		"00 B2 01 04 00 -> 6981",
		"00 A4 08 0C 04 3F002FE2 -> 9000",
		"00 A4 08 0C 02 2FE2 -> 9000",
		"00 A4 00 04 02 6F07 -> 6A82", // not below the MF
		"00 A4 00 04 02 2F00 00 -> 62*",
		"00 B2 01 04 00 -> 61*",
		"00 A4 04 04 07 A0000000871002 00 -> 62*", // the USIM by the head of its AID
		"00 A4 00 04 02 6F07 00 -> 6217*",
		"00 B0 00 00 09 -> 080910100000000010 9000",
		"00 B0 87 00 09 -> 080910100000000010 9000", // EF_IMSI by its short identifier 07
		"00 A4 00 0C 02 6FAD -> 9000",
		"00 B0 00 00 04 -> 00000002 9000",
		"00 A4 00 0C 02 6F46 -> 9000",
		"00 B0 00 00 00 -> 014C6162FF*",
		"00 A4 00 0C 02 6F3E -> 9000",
		"00 B0 00 00 00 -> 12*",
		"00 A4 08 0C 04 7FFF6F07 -> 9000", // 7FFF: the current application
		"80 F2 00 0C 00 -> 9000",
		"80 F2 00 01 00 -> 84*",
		"80 F2 00 00 00 -> 62*",
		"00 F2 00 0C 00 -> 6E00",
		"00 A4 00 0C 02 3F00 -> 9000",
		"00 B0 00 00 01 -> 6986", // no EF is selected
		"80 AA 00 00 0A A9088100820101830107 -> 9000",
		"80 10 00 00 02 FFFF -> 9000",
		"80 12 00 00 10 -> 6985", // no proactive command
		// Channels have a place of their own.
		"00 70 00 00 01 -> 01 9000",
		"01 A4 04 0C 07 A0000000871002 -> 9000",
		"01 A4 00 0C 02 6F07 -> 9000",
		"00 B0 00 00 01 -> 6986",
		"01 B0 00 00 09 -> 080910*",
	)
	if got := l.card.ICCIDSelected(); got != testICCID {
		t.Errorf("ICCIDSelected %s", got)
	}
}

func TestNoEnabledProfile(t *testing.T) {
	l := newLab(t, nil)
	exchange(t, l.card,
		"00 A4 00 0C 02 2FE2 -> 6A82",
		"00 A4 04 0C 07 A0000000871002 -> 6A82",
		"00 A4 00 0C 02 2F00 -> 9000",
		"00 B2 01 04 20 -> "+strings.Repeat("FF", 32)+" 9000",
	)
	if got := l.card.ICCIDSelected(); got != "" {
		t.Errorf("ICCIDSelected %s", got)
	}
}

func TestATR(t *testing.T) {
	l := newLab(t, nil)
	b := l.card.APDU(nil)
	var tck byte
	for _, v := range b[1:] {
		tck ^= v
	}
	// T0 names 15 historical bytes, TA1 and TD1; with T=15 the check byte is there.
	if b[0] != 0x3B || tck != 0 || len(b) != 2+4+15+1 {
		t.Errorf("ATR %x", b)
	}
}

func TestTransport(t *testing.T) {
	l := newLab(t, nil)
	var open []string
	for range 3 {
		s, err := l.card.Open(t.Context(), isdrAID)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if _, err := l.card.Open(t.Context(), isdrAID); asSE(err) == nil || asSE(err).SW != 0x6A81 {
		t.Errorf("fourth channel: %v, want 6A81", err)
	}
	for _, s := range open {
		if err := l.card.Close(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.card.Open(t.Context(), []byte{0xA0, 0, 0, 0, 9}); asSE(err) == nil || asSE(err).SW != 0x6A82 {
		t.Errorf("unknown application: %v, want 6A82", err)
	}
	l.card.SetBehaviour(Behaviour{NoISDR: true})
	if _, err := l.card.Open(t.Context(), isdrAID); asSE(err) == nil || asSE(err).SW != 0x6A82 {
		t.Errorf("ordinary UICC: %v, want 6A82", err)
	}
	l.card.SetBehaviour(Behaviour{NeedCapability: true})
	if _, err := l.card.Open(t.Context(), isdrAID); asSE(err) == nil || asSE(err).SW != 0x6A82 {
		t.Errorf("before TERMINAL CAPABILITY: %v, want 6A82", err)
	}
	exchange(t, l.card, "80 AA 00 00 0A A9088100820101830107 -> 9000")
	if s, err := l.card.Open(t.Context(), isdrAID); err != nil {
		t.Errorf("after TERMINAL CAPABILITY: %v", err)
	} else if err := l.card.Close(t.Context(), s); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.card.Open(ctx, isdrAID); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	for _, s := range []string{"", "0", "4", "x"} {
		if _, err := l.card.Transmit(t.Context(), s, []byte{0, 0, 0, 0}); err == nil {
			t.Errorf("session %q accepted", s)
		}
	}
}

func TestDelay(t *testing.T) {
	l := newLab(t, nil)
	synctest.Test(t, func(t *testing.T) {
		l.card.SetBehaviour(Behaviour{Delay: time.Minute})
		begin := time.Now()
		if s, err := l.card.Open(t.Context(), isdrAID); err != nil || time.Since(begin) != 2*time.Minute {
			t.Errorf("channel %s after %v, %v", s, time.Since(begin), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.card.Transmit(ctx, "1", []byte{0x80, 0xE2, 0x91, 0, 0}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the end of the context", err)
		}
	})
}

func TestFaults(t *testing.T) {
	const read = "80 F2 00 0C 00"
	for _, tt := range []struct {
		fault Fault
		lines []string
	}{
		{Fault{Kind: FaultStatus, SW: 0x6F00, At: 2}, []string{read + " -> 9000", read + " -> 6F00", read + " -> 9000"}},
		{Fault{Kind: FaultMute}, []string{read + " -> ", read + " -> 9000"}},
		{Fault{Kind: FaultLost}, []string{"00 70 00 00 01 -> ", "00 70 00 00 01 -> 02 9000"}},
		{Fault{Kind: FaultPowerCut}, []string{read + " -> ", read + " -> "}},
		{Fault{Kind: FaultPowerCutAfter}, []string{"00 70 00 00 01 -> ", read + " -> "}},
	} {
		t.Run(fmt.Sprintf("%+v", tt.fault), func(t *testing.T) {
			l := newLab(t, nil)
			l.card.SetFault(tt.fault)
			exchange(t, l.card, tt.lines...)
			l.card.Reset()
			exchange(t, l.card, read+" -> 9000")
		})
	}
}

func TestStats(t *testing.T) {
	l := newLab(t, nil)
	exchange(t, l.card, "00 70 00 00 01 -> 01 9000", "00 70 80 01 00 -> 9000")
	if s := l.card.Stats(); s.APDUs != 2 || s.BytesIn != 10 || s.BytesOut != 5 {
		t.Errorf("%+v", s)
	}
	l.card.ResetStats()
	if s := l.card.Stats(); s.APDUs+s.BytesIn+s.BytesOut != 0 {
		t.Errorf("%+v", s)
	}
}
