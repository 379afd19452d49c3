package moapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/dynamo/call"
)

const iccid = "8988247000100003319" // of the published examples

// recorded answers each call with one text, and keeps what it was asked.
type recorded struct {
	status int
	header map[string]string
	body   string
	asked  []*http.Request
	bodies []string
}

func (r *recorded) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.asked = append(r.asked, req)
	b, _ := io.ReadAll(req.Body)
	r.bodies = append(r.bodies, string(b))
	for k, v := range r.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(r.status)
	io.WriteString(w, r.body)
}

// client talks to r, with calls numbered from 1.
func client(t *testing.T, r http.Handler, api cosa.MOAPI) *Client {
	t.Helper()
	srv := httptest.NewTLSServer(r)
	t.Cleanup(srv.Close)
	if api.BaseURL == "" {
		api.BaseURL = srv.URL + "/v1"
	}
	n := 0
	return New(api, srv.Client().Transport, func() string { n++; return fmt.Sprint("t-", n) }, func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) })
}

func ptr[T any](v T) *T { return &v }

// TestBalances has literal answers: the published examples, and what operators are
// allowed to make of them.
func TestBalances(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       []Balance
		usedUp     bool
	}{
		{"published example, spelled as there", `{"balances":[{"id":"23445","type":"MODIRECTPAYG","dataRemaininginMB":123.0,"timeRemaining":"P23DT23H"}]}`,
			[]Balance{{ID: "23445", Type: TypePrepaid, Data: ptr(123.0), Time: ptr(23*24*time.Hour + 23*time.Hour)}}, false},
		{"spelled as in the text", `{"balances":[{"id":"1","type":"MODIRECTPAYG","dataRemainingInMB":0.5,"timeRemaining":"PT1H","locations":["US","DE"]}]}`,
			[]Balance{{ID: "1", Type: TypePrepaid, Data: ptr(0.5), Time: ptr(time.Hour), Locations: []string{"US", "DE"}}}, false},
		{"zero balance", `{"balances":[{"id":"1","type":"MODIRECTPAYG","dataRemainingInMB":0,"timeRemaining":"PT0S"}]}`,
			[]Balance{{ID: "1", Type: TypePrepaid, Data: ptr(0.0), Time: ptr(time.Duration(0))}}, true},
		{"no data, time left", `{"balances":[{"type":"NONE","dataRemaininginMB":0,"timeRemaining":"P1D"}]}`,
			[]Balance{{Type: TypeNone, Data: ptr(0.0), Time: ptr(24 * time.Hour)}}, true},
		{"generation 1", `{"balances":[{"id":7,"type":"payg","dataRemaininginMB":1,"timeRemaining":"P1D","ms-provisioningDataSet":[{"a":1}]}]}`,
			[]Balance{{ID: "7", Type: TypePAYG, Data: ptr(1.0), Time: ptr(24 * time.Hour)}}, false},
		{"postpaid", `{"balances":[{"id":"1","type":"MODIRECT","dataRemaininginMB":0,"timeRemaining":"PT0S"}]}`,
			[]Balance{{ID: "1", Type: TypePostpaid, Data: ptr(0.0), Time: ptr(time.Duration(0))}}, false},
		{"not supported", `{"balances":[{"type":"NOTSUPPORTED"}]}`, []Balance{{Type: TypeNotSupported}}, false},
		{"a type of nobody's", `{"balances":[{"type":"GOLD"}]}`, []Balance{{}}, false},
		{"none", `{"balances":[]}`, []Balance{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorded{status: 200, body: tt.body}
			c := client(t, r, cosa.MOAPI{})
			got, err := c.Balances(t.Context(), iccid+"F", BalanceQuery{Location: "us", Limit: 1})
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("%+v %v, want %+v", got, err, tt.want)
			}
			if len(got) > 0 && got[0].UsedUp() != tt.usedUp {
				t.Errorf("used up: %v", got[0].UsedUp())
			}
			if q := r.asked[0]; q.Method != "GET" || q.URL.Path != "/v1/sims/iccid:"+iccid+"/balances" || q.URL.RawQuery != "fieldsTemplate=basic&limit=1&location=US" || q.Header.Get(call.TransactionHeader) != "t-1" {
				t.Errorf("%s %s %v", q.Method, q.URL, q.Header)
			}
			out, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var again []Balance
			if err := json.Unmarshal(out, &again); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("written %s, read %+v %v", out, again, err)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	const late = `{"balances":[]}`
	for _, tt := range []struct {
		name   string
		r      recorded
		code   string
		after  time.Duration
		status int
	}{
		{"bad parameter", recorded{status: 400}, call.CodeBadRequest, 0, 400},
		{"credentials", recorded{status: 401}, call.CodeUnauthorized, 0, 401},
		{"client certificate", recorded{status: 403}, call.CodeUnauthorized, 0, 403},
		{"unknown SIM", recorded{status: 404}, call.CodeUnknown, 0, 404},
		{"repeated transaction", recorded{status: 409}, call.CodeRepeated, 0, 409},
		{"too often, in seconds", recorded{status: 429, header: map[string]string{"Retry-After": "120"}}, call.CodeTooMany, 2 * time.Minute, 429},
		{"too often, by date", recorded{status: 429, header: map[string]string{"Retry-After": "Thu, 01 Jan 2026 00:05:00 GMT"}}, call.CodeTooMany, 5 * time.Minute, 429},
		{"too often, without the time that must be there", recorded{status: 429}, call.CodeTooMany, time.Minute, 429},
		{"too often, for years", recorded{status: 429, header: map[string]string{"Retry-After": "999999999"}}, call.CodeTooMany, 24 * time.Hour, 429},
		{"too often, by a date that is past", recorded{status: 429, header: map[string]string{"Retry-After": "Thu, 01 Jan 2015 00:05:00 GMT"}}, call.CodeTooMany, time.Minute, 429},
		{"failed", recorded{status: 500, body: "iccid:" + iccid}, call.CodeServer, 0, 500},
		{"down for a while", recorded{status: 503, header: map[string]string{"Retry-After": "30"}}, call.CodeServer, 30 * time.Second, 503},
		{"sent elsewhere", recorded{status: 302, header: map[string]string{"Location": "https://evil.example/"}}, call.CodeServer, 0, 302},
		{"a page", recorded{status: 200, body: "<html>"}, call.CodeMalformed, 0, 0},
		{"below zero", recorded{status: 200, body: `{"balances":[{"type":"NONE","dataRemainingInMB":-1}]}`}, call.CodeMalformed, 0, 0},
		{"no duration", recorded{status: 200, body: `{"balances":[{"type":"NONE","timeRemaining":"3 days"}]}`}, call.CodeMalformed, 0, 0},
		{"too long", recorded{status: 200, body: strings.Repeat(" ", call.MaxBody) + late}, call.CodeMalformed, 0, 0},
		{"answer to another call", recorded{status: 200, body: late, header: map[string]string{call.TransactionHeader: `"t-7"`}}, call.CodeMalformed, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := client(t, &tt.r, cosa.MOAPI{}).Balances(t.Context(), iccid, BalanceQuery{})
			e, ok := errors.AsType[*call.Error](err)
			if !ok || e.Code != tt.code || e.RetryAfter != tt.after || e.Status != tt.status || e.Hint() == "" {
				t.Errorf("%+v", err)
			}
			if strings.Contains(err.Error(), iccid) {
				t.Errorf("the ICCID is in %q", err)
			}
		})
	}
	r := &recorded{status: 200, body: late, header: map[string]string{call.TransactionHeader: `"t-1"`}}
	if _, err := client(t, r, cosa.MOAPI{}).Balances(t.Context(), iccid, BalanceQuery{}); err != nil {
		t.Errorf("the published quotation marks around the echo: %v", err)
	}
	_, err := client(t, r, cosa.MOAPI{BaseURL: "https://127.0.0.1:1"}).Balances(t.Context(), iccid, BalanceQuery{})
	if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeUnreachable || strings.Contains(err.Error(), iccid) {
		t.Errorf("%v", err)
	}
	_, err = New(cosa.MOAPI{}, nil, nil, nil).Balances(t.Context(), iccid, BalanceQuery{})
	if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeNoAPI {
		t.Errorf("%v", err)
	}
}

// TestADeadAPI ends by itself.
func TestADeadAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		silent := roundTripper(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		_, err := New(cosa.MOAPI{BaseURL: "https://m.example"}, silent, func() string { return "t" }, time.Now).Balances(context.Background(), iccid, BalanceQuery{})
		if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeUnreachable || time.Since(begun) != call.Timeout {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestCalls has what is sent for each call.
func TestCalls(t *testing.T) {
	for _, tt := range []struct {
		name       string
		answer     string
		do         func(context.Context, *Client) (any, error)
		want       any
		line, body string
	}{
		{"offers", `{"offers":[{"gatewayId":"0"}]}`, func(ctx context.Context, c *Client) (any, error) { return c.Offers(ctx, iccid, 1, "1234") },
			[]Offer{{"0"}}, "GET /o/sims/iccid:" + iccid + "/offers?imei=1234&limit=1", ""},
		{"notifications", `{"notifications":[{"notificationId":1,"notificationType":"lowBalance"}]}`, func(ctx context.Context, c *Client) (any, error) {
			return c.Notifications(ctx, iccid, LowBalance, 1, "")
		},
			[]Notification{{1, "lowBalance"}}, "GET /n/sims/iccid:" + iccid + "/notifications?limit=1&notificationType=lowBalance", ""},
		{"order, new profile", `{"activationCode":"1$smdp.example$MATCHINGID","iccid":"` + iccid + `"}`, func(ctx context.Context, c *Client) (any, error) {
			o, err := c.Order(ctx, Order{PurchaseDate: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Market: "US", EID: "89", SIMs: []string{call.SIMID(iccid + "F")}})
			return o.Code.Reveal() + " " + o.ICCID, err
		}, "LPA:1$smdp.example$MATCHINGID " + iccid, "POST /v1/orders", `{"purchaseDate":"2026-01-02T03:04:05Z","ms-market":"US","eId":"89","sims":["iccid:` + iccid + `"]}`},
		{"order, profile that is there", `{"iccid":"` + iccid + `"}`, func(ctx context.Context, c *Client) (any, error) {
			o, err := c.Order(ctx, Order{})
			return o.Code.Address + " " + o.ICCID, err
		}, " " + iccid, "POST /v1/orders", `{"purchaseDate":"0001-01-01T00:00:00Z","ms-market":"","sims":null}`},
		{"micro-balance", ``, func(ctx context.Context, c *Client) (any, error) { return nil, c.GrantMicroBalance(ctx, iccid, "us") },
			nil, "PUT /v1/sims/iccid:" + iccid + "/microbalance", `{"location":"US"}`},
		{"micro-balance given back", ``, func(ctx context.Context, c *Client) (any, error) { return nil, c.EndMicroBalance(ctx, iccid) },
			nil, "DELETE /v1/sims/iccid:" + iccid + "/microbalance", `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorded{status: 201, body: tt.answer}
			srv := httptest.NewTLSServer(r)
			defer srv.Close()
			api := cosa.MOAPI{BaseURL: srv.URL + "/v1/", OfferURL: srv.URL + "/o", NotificationURL: srv.URL + "/n/", Username: "u", Password: "p"}
			got, err := tt.do(t.Context(), New(api, srv.Client().Transport, func() string { return "t" }, time.Now))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%v %v, want %v", got, err, tt.want)
			}
			q := r.asked[0]
			if line := q.Method + " " + q.URL.RequestURI(); line != tt.line || r.bodies[0] != tt.body {
				t.Errorf("%s\n%s\nwant %s\n%s", line, r.bodies[0], tt.line, tt.body)
			}
			if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p")); q.Header.Get("Authorization") != want {
				t.Errorf("%v", q.Header)
			}
		})
	}
	for _, body := range []string{`{}`, `{"iccid":"12"}`, `{"activationCode":"2$smdp.example$SECRETID"}`} {
		_, err := client(t, &recorded{status: 201, body: body}, cosa.MOAPI{}).Order(t.Context(), Order{})
		if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeMalformed || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestFreshTransactions: no two calls have one ID.
func TestFreshTransactions(t *testing.T) {
	r := &recorded{status: 429}
	c := client(t, r, cosa.MOAPI{})
	for range 3 {
		c.Balances(t.Context(), iccid, BalanceQuery{})
	}
	for i, q := range r.asked {
		if got, want := q.Header.Get(call.TransactionHeader), fmt.Sprint("t-", i+1); got != want {
			t.Errorf("call %d has %q", i, got)
		}
	}
	if len(r.asked) != 3 {
		t.Errorf("%d calls", len(r.asked))
	}
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"P23DT23H": 23*24*time.Hour + 23*time.Hour, "PT0S": 0, "P1W": 7 * 24 * time.Hour, "P1Y2M": (365 + 60) * 24 * time.Hour, "PT1M30.5S": 90 * time.Second,
		"P0,5D": 12 * time.Hour, "P1M": 30 * 24 * time.Hour, "PT1M": time.Minute,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "P", "PT", "P1", "1D", "P1H", "PT1D", "P1D1Y", "P1DT", "P-1D", "P1.5DT1H", "PD", "P1e3D", "P999999999Y", "p1d", "P1.1.1D"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"P23DT23H", "PT0S", "P1Y2M3W4DT5H6M7S", "PT0.5S"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if again, err := ParseDuration(FormatDuration(d)); err != nil || again != d || d < 0 {
			t.Fatalf("%q is %v, written %q, read %v %v", s, d, FormatDuration(d), again, err)
		}
	})
}

func FuzzBalance(f *testing.F) {
	f.Add([]byte(`{"id":"23445","type":"MODIRECTPAYG","dataRemaininginMB":123.0,"timeRemaining":"P23DT23H","locations":["US"]}`))
	f.Add([]byte(`{"id":7,"type":"NONE","dataRemainingInMB":0,"timeRemaining":"PT0S"}`))
	f.Add([]byte(`{"id":["` + strings.Repeat("\xff", 150) + `"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b, again Balance
		if json.Unmarshal(data, &b) != nil {
			return
		}
		out, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if twice, _ := json.Marshal(again); !bytes.Equal(out, twice) {
			t.Fatalf("%s\n%s", out, twice)
		}
	})
}

func TestMicroLimits(t *testing.T) {
	var m MicroLimits
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range MicroPerHour {
		if wait := m.Take(iccid, now.Add(time.Duration(i)*time.Minute)); wait != 0 {
			t.Fatalf("request %d has to wait %v", i, wait)
		}
	}
	if wait := m.Take(iccid, now.Add(30*time.Minute)); wait != 30*time.Minute {
		t.Errorf("the seventh of an hour waits %v", wait)
	}
	if wait := m.Take("8949", now.Add(30*time.Minute)); wait != 0 {
		t.Errorf("another SIM waits %v", wait)
	}
	for i := range MicroPerDay - MicroPerHour {
		if wait := m.Take(iccid, now.Add(2*time.Hour+time.Duration(i)*time.Minute)); wait != 0 {
			t.Fatalf("request %d has to wait %v", MicroPerHour+i, wait)
		}
	}
	if wait := m.Take(iccid, now.Add(5*time.Hour)); wait != 19*time.Hour {
		t.Errorf("the eleventh of a day waits %v", wait)
	}
	if wait := m.Take(iccid, now.Add(24*time.Hour)); wait != 0 {
		t.Errorf("a day later: %v", wait)
	}
	if wait := m.Take(iccid, now.Add(-1e4*time.Hour)); wait != 0 {
		t.Errorf("with the clock set back: %v", wait)
	}
}
