package main

import (
	"strings"
	"testing"

	"dynamod/configs/cosa"
)

func TestArrange(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string // APN=description, in the source's order; "mms:" in front for MMS alone
		want string
		rank int
	}{
		{"the source's order without a reason", "b a c", "b a c", 100},
		{"a label internet first", "web.example internet.example", "internet.example web.example", 99},
		{"internet alone, in any case", "x Internet", "Internet x", 99},
		{"not a part of a label", "x myinternet", "x myinternet", 100},
		{"IMS run together", "vzwims vzwinternet", "vzwinternet vzwims", 100},
		{"WAP by its description", "live.example=WAP www.example=Contract", "www.example live.example", 100},
		{"out of date", "internet.a=Old open.b", "open.b internet.a", 100},
		{"a VPN", "vpn.example sp.example", "sp.example vpn.example", 100},
		{"a word inside another", "swapnet.example x", "swapnet.example x", 100},
		{"MMS alone at the end", "mms:mms a", "a mms", 100},
	} {
		p := cosa.OperatorProfile{Rank: cosa.DefaultRank}
		for _, f := range strings.Fields(tt.in) {
			apn, name, _ := strings.Cut(f, "=")
			c := cosa.Connection{FriendlyName: name, Purposes: cosa.Purposes(cosa.Internet)}
			if c.APN = strings.TrimPrefix(apn, "mms:"); c.APN != apn {
				c.Purposes = cosa.Purposes(cosa.MMS)
			}
			p.Connections = append(p.Connections, c)
		}
		list := []cosa.OperatorProfile{p}
		arrange(list)
		var got []string
		for _, c := range list[0].Connections {
			got = append(got, c.APN)
		}
		if s := strings.Join(got, " "); s != tt.want || list[0].Rank != tt.rank {
			t.Errorf("%s: %s, rank %d; want %s, rank %d", tt.name, s, list[0].Rank, tt.want, tt.rank)
		}
	}
}
