package atsim

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestHeal: a fault ends by what it names and by what starts more again, and by
// nothing milder.
func TestHeal(t *testing.T) {
	for _, act := range []struct {
		name string
		ends []Heal
		do   func(b *bench)
	}{
		{"+CFUN=4 and 1", nil, func(b *bench) { b.ok("AT+CFUN=4"); b.ok("AT+CFUN=1") }},
		{"Telit #SIMDET=0 and 1", []Heal{HealCard}, func(b *bench) { b.ok("AT#SIMDET=0"); b.ok("AT#SIMDET=1") }},
		{"+CFUN=0 and 1", []Heal{HealCard, HealRadio}, func(b *bench) { b.ok("AT+CFUN=0"); b.ok("AT+CFUN=1") }},
		{"+CFUN=1,1", []Heal{HealCard, HealRadio, HealRestart}, func(b *bench) { b.ok("AT+CFUN=1,1") }},
		{"another client opens a port", []Heal{HealPort}, func(b *bench) { b.open() }},
	} {
		for _, until := range []Heal{HealCard, HealRadio, HealRestart, HealPower, HealPort} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(c *Config) { c.Personality = "telit-le910" })
				b.fault("no-service", Fault{Until: until})
				if on := b.m.Active(); len(on) != 1 || on[0] != "no-service until="+string(until) {
					t.Fatalf("%q", on)
				}
				act.do(b)
				time.Sleep(10 * time.Second)
				if ended, want := len(b.m.Active()) == 0, slices.Contains(act.ends, until); ended != want {
					t.Errorf("until %s, after %s: ended %v", until, act.name, ended)
				}
			})
		}
	}
}

// A card that is gone is found again by the reset that heals it, and the modem
// registers again.
func TestCardGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Personality = "telit-le910" })
		b.ok("AT+CMEE=1")
		b.fault("card-gone", Fault{Until: HealCard})
		if got := b.cmd("AT+CPIN?"); !slices.Contains(got, "+CME ERROR: 10") {
			t.Errorf("without a card: %q", got)
		}
		if !strings.Contains(b.ok("AT+CEREG?"), ",0") {
			t.Error("registered without a card")
		}
		b.ok("AT#SIMDET=0")
		b.ok("AT#SIMDET=1")
		time.Sleep(time.Second)
		if got := b.cmd("AT+CPIN?"); !slices.Contains(got, "OK") {
			t.Errorf("with the card back: %q", got)
		}
		if !strings.Contains(b.ok("AT+CEREG?"), ",1") {
			t.Error("not registered with the card back")
		}
	})
}

// A hang that a restart ends takes the restart command and no other.
func TestHangUntilRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.fault("hang", Fault{Until: HealRestart})
		b.write("AT+CFUN=0\r")
		if got := b.wait(10 * time.Second); got != "(silence)" {
			t.Errorf("it answers %q", got)
		}
		b.write("AT+CFUN=1,1\r")
		time.Sleep(5 * time.Second)
		if got := b.cmd("AT+CSQ"); !slices.Contains(got, "OK") {
			t.Errorf("after the restart: %q", got)
		}
	})
}

// PowerCycle takes every port away and ends what nothing else does.
func TestPowerCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.fault("hang", Fault{Until: HealPower})
		b.m.PowerCycle(0)
		time.Sleep(time.Second)
		if on := b.m.Active(); len(on) != 0 {
			t.Errorf("still on: %q", on)
		}
	})
}
