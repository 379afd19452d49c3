package main

import (
	"strings"
	"testing"

	"dynamod/daemon/status"
)

func TestWriteProfiles(t *testing.T) {
	var b strings.Builder
	writeProfiles(&b, []status.Profile{
		{ICCID: "8900000000000000018", State: "enabled", Class: "operational", Name: "Data", PolicyRules: "ppr1+ppr2"},
		{ICCID: "8900000000000000026", State: "disabled", Class: "test"},
	})
	want := "ICCID                STATE     CLASS        RULES      PROVIDER  NAME  NICKNAME\n" +
		"8900000000000000018  enabled   operational  PPR1+PPR2  -         Data  -\n" +
		"8900000000000000026  disabled  test         -          -         -     -\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
