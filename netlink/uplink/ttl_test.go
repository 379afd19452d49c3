package uplink

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func answer(t testing.TB, ttls ...uint32) []byte {
	name := dnsmessage.MustNewName("portal.example.com.")
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, Response: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	for i, ttl := range ttls {
		h := dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: ttl}
		if i == 0 && len(ttls) > 1 {
			h.Type = dnsmessage.TypeCNAME
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: name}})
			continue
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}})
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswerTTL(t *testing.T) {
	for _, tt := range []struct {
		name string
		msg  []byte
		ttl  time.Duration
		ok   bool
	}{
		{"one", answer(t, 300), 5 * time.Minute, true},
		{"the alias is shorter", answer(t, 20, 300, 600), 20 * time.Second, true},
		{"an address is shorter", answer(t, 300, 60, 600), time.Minute, true},
		{"RFC 2181 section 8: the highest bit", answer(t, 1<<31+5), time.Second, true},
		{"0", answer(t, 0), time.Second, true},
		{"a month", answer(t, 30*86400), maxTTL, true},
		{"no answers", answer(t), 0, false},
		{"empty", nil, 0, false},
		{"cut off", answer(t, 300)[:40], 0, false},
		{"a name without an end", append(answer(t)[:12], 60, 'a', 'b'), 0, false},
	} {
		if ttl, ok := answerTTL(tt.msg); ttl != tt.ttl || ok != tt.ok {
			t.Errorf("%s: %v, %v", tt.name, ttl, ok)
		}
	}
}

func FuzzAnswerTTL(f *testing.F) {
	f.Add(answer(f, 20, 300))
	f.Add(answer(f))
	b, _ := hex.DecodeString(strings.ReplaceAll("0007 8180 0001 ffff 0000 0000 c0", " ", ""))
	f.Add(b)
	f.Fuzz(func(t *testing.T, msg []byte) {
		ttl, ok := answerTTL(msg)
		if ok != (ttl > 0) || ttl > maxTTL || ok && ttl < time.Second {
			t.Errorf("%v, %v", ttl, ok)
		}
	})
}
