package dynamo

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"dynamod/configs/cosa"
)

const testEID = "89033023426200000000000000000040"

// contoso is an operator with the ranges of the published examples.
func contoso() *cosa.OperatorProfile {
	return &cosa.OperatorProfile{
		ID: "contoso", Name: "Contoso", Source: cosa.SourceLocal,
		Portal: cosa.Portal{
			URL: "https://contoso.example/mp", CallbackHosts: []string{"contoso.example", "pay.contoso.example"},
			ICCIDRanges: []cosa.Range{{Lo: "8988247000100000000", Hi: "8988247000109999999"}},
		},
	}
}

func TestLaunchURL(t *testing.T) {
	const id = "/7RBTuSJt02OZbX8.4" // of the published example, which has it as %2F7RBTuSJt02OZbX8.4
	for _, tt := range []struct {
		name   string
		portal string
		device Device
		want   string
	}{
		{"eSIM without a profile of the operator", "", Device{EID: testEID, Profiles: []string{"8949020000000000000"}, Location: "US", Market: "us"},
			"https://contoso.example/mp?eid=" + testEID + "&location=US&market=US&transactionId=%2F7RBTuSJt02OZbX8.4"},
		{"eSIM with two of them, and the filler", "", Device{EID: testEID, Profiles: []string{"8988247000101997790F", "8949020000000000000", "8988247000101997791f", "8988247000101997790"}, IMEI: "001102000315468", Location: "de"},
			"https://contoso.example/mp?eid=" + testEID + "&iccids=8988247000101997790%2C8988247000101997791&imei=001102000315468&location=DE&market=DE&transactionId=%2F7RBTuSJt02OZbX8.4"},
		{"physical SIM", "", Device{SIM: "8988247000101997790F", IMEI: "001102000315468", Location: "DE", Market: "AT"},
			"https://contoso.example/mp?iccid=8988247000101997790&imei=001102000315468&location=DE&market=AT&transactionId=%2F7RBTuSJt02OZbX8.4"},
		{"an eUICC outranks a SIM", "", Device{EID: testEID, SIM: "8988247000101997790", Location: "DE"},
			"https://contoso.example/mp?eid=" + testEID + "&location=DE&market=DE&transactionId=%2F7RBTuSJt02OZbX8.4"},
		{"portal with a query", "https://contoso.example/mp?brand=x", Device{EID: testEID, Location: "DE"},
			"https://contoso.example/mp?brand=x&eid=" + testEID + "&location=DE&market=DE&transactionId=%2F7RBTuSJt02OZbX8.4"},
		{"portal with an empty query", "https://contoso.example/mp?", Device{EID: testEID, Location: "DE"},
			"https://contoso.example/mp?eid=" + testEID + "&location=DE&market=DE&transactionId=%2F7RBTuSJt02OZbX8.4"},
	} {
		op := contoso()
		if tt.portal != "" {
			op.Portal.URL = tt.portal
		}
		got, err := Launch{Operator: op, Device: tt.device, TransactionID: id}.URL()
		if err != nil || got != tt.want {
			t.Errorf("%s: %s %v\nwant %s", tt.name, got, err, tt.want)
		}
	}
}

func TestLaunchRefuses(t *testing.T) {
	good := Device{EID: testEID, Location: "DE"}
	for _, tt := range []struct {
		name string
		l    Launch
		want string
	}{
		{"no operator", Launch{Device: good, TransactionID: "x"}, ErrNoPortal.Error()},
		{"no country", Launch{Operator: contoso(), Device: Device{EID: testEID}, TransactionID: "x"}, ErrNoLocation.Error()},
		{"country of three letters", Launch{Operator: contoso(), Device: Device{EID: testEID, Location: "DEU"}, TransactionID: "x"}, ErrNoLocation.Error()},
		{"no card", Launch{Operator: contoso(), Device: Device{Location: "DE"}, TransactionID: "x"}, ErrNoIdentity.Error()},
		{"EID of 31 digits", Launch{Operator: contoso(), Device: Device{EID: testEID[1:], Location: "DE"}, TransactionID: "x"}, "the EID is not of 32 digits"},
		{"no transaction", Launch{Operator: contoso(), Device: good}, "the transaction ID has 0 characters, not 1 to 64"},
		{"transaction of 65 characters", Launch{Operator: contoso(), Device: good, TransactionID: strings.Repeat("x", 65)}, "the transaction ID has 65 characters, not 1 to 64"},
	} {
		if got, err := tt.l.URL(); err == nil || err.Error() != tt.want || got != "" {
			t.Errorf("%s: %q %v", tt.name, got, err)
		}
	}
	for _, portal := range []string{"http://contoso.example/", "https://contoso.example:8443/", "https://192.0.2.1/", "https://x@contoso.example/", "https://xn--80ak6aa92e.example/"} {
		op := contoso()
		op.Portal.URL = portal
		if got, err := (Launch{Operator: op, Device: good, TransactionID: "x"}).URL(); err == nil {
			t.Errorf("%s is opened: %s", portal, got)
		}
	}
	if !errors.Is(func() error { _, err := (Launch{}).URL(); return err }(), ErrNoPortal) {
		t.Error("no portal")
	}
}

// TestLaunchFailures has the values of the published example of the headers.
func TestLaunchFailures(t *testing.T) {
	l := Launch{Operator: contoso(), Device: Device{EID: testEID, Location: "US", Language: "de-CH, de;q=0.9"}, TransactionID: "x", Failures: []Failure{
		{ServerFailure, time.Date(2018, 5, 18, 23, 17, 23, 0, time.UTC), "8988247000101997790F"},
		{ServerNotReachable, time.Date(2018, 5, 19, 1, 27, 33, 0, time.FixedZone("", 2*3600)), ""},
	}}
	want := map[string]string{
		"Accept-Language":          "de-CH, de;q=0.9",
		"X-MP-LPAError-Codes":      "ServerFailure,ServerNotReachable",
		"X-MP-LPAError-TimeStamps": "5/18/2018 11:17:23 PM,5/18/2018 11:27:33 PM",
		"X-MP-LPAError-ICCIDs":     "8988247000101997790",
	}
	h := l.Header()
	for name, value := range want {
		if h.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, h.Get(name), value)
		}
	}
	if len(h) != len(want) {
		t.Errorf("%v", h)
	}
	plain, err := l.URL()
	if err != nil || strings.Contains(plain, "LPAError") {
		t.Errorf("%s %v", plain, err)
	}
	text, err := l.BrowserURL()
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(text)
	for name, value := range want {
		if name != "Accept-Language" && u.Query().Get(name) != value {
			t.Errorf("%s: %q, want %q", name, u.Query().Get(name), value)
		}
	}

	for range 20 {
		l.Failures = append(l.Failures, l.Failures[0])
	}
	if n := len(strings.Split(l.Header().Get("X-MP-LPAError-Codes"), ",")); n != maxFailures {
		t.Errorf("%d failures are told", n)
	}
	l.Device.Language = "de\r\nX-Evil: 1"
	if h := l.Header(); h.Get("Accept-Language") != "" {
		t.Errorf("%v", h)
	}
	if h := (Launch{}).Header(); len(h) != 0 {
		t.Errorf("without failures: %v", h)
	}
}

func TestNewTransactionID(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := NewTransactionID()
		if seen[id] || len(id) > MaxTransactionID || url.QueryEscape(id) != id {
			t.Fatal(id)
		}
		seen[id] = true
	}
}
