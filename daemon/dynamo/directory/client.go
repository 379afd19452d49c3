package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/durable"
	"dynamod/daemon/dynamo/call"
	"dynamod/daemon/dynamo/moapi"
)

// Client asks the directory service for a router. It is safe for concurrent use,
// and its errors are *call.Error.
type Client struct {
	*call.Caller
	base  string
	cache string // directory, "" for no cache
	now   func() time.Time
}

// NewClient returns a client of the service at base, such as
// "https://directory.example", that shows the router's token. What the service
// lists is kept in the directory cache, one file.
func NewClient(base, token, cache string, rt http.RoundTripper, newID func() string, now func() time.Time) *Client {
	return &Client{base: base, cache: cache, now: now, Caller: call.New("the directory service", rt, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token)
	}, newID, now)}
}

// Query is where operators are looked for: by the serving network where the router
// is registered, else by its configured country.
type Query struct {
	Country     string // ISO 3166-1 alpha-2
	MCCMNC      string // five or six digits
	ESIMCapable bool
}

func (q Query) values() url.Values {
	v := url.Values{"eid-capable": {fmt.Sprint(q.ESIMCapable)}}
	if q.MCCMNC != "" {
		v.Set("mccmnc", q.MCCMNC)
	} else if q.Country != "" {
		v.Set("country", strings.ToLower(q.Country))
	}
	return v
}

// Listing is what the service listed, now or earlier.
type Listing struct {
	Operators []cosa.OperatorProfile
	Skipped   []string  // records that could not be used
	At        time.Time // when it was last known to be so
	// Err is why it is an earlier list: the service could not be asked.
	Err error
}

// cached is the list of the last query.
type cached struct {
	Key  string          `json:"key"` // of service and query
	ETag string          `json:"etag"`
	At   time.Time       `json:"at"`
	List json.RawMessage `json:"operators"`
}

// maxCache bounds the cache's file, and what is kept in it.
const maxCache = 48 << 10

// Operators lists the operators for a place. Where the service has nothing new, or
// cannot be asked, the list is that of the cache; with nothing there either it is
// an error.
func (c *Client) Operators(ctx context.Context, q Query) (*Listing, error) {
	sum := sha256.Sum256([]byte(c.base + "\x00" + q.values().Encode()))
	key := hex.EncodeToString(sum[:8])
	have, err := c.readCache()
	if err != nil || have.Key != key {
		have = cached{}
	}
	header := http.Header{}
	if have.ETag != "" {
		header.Set("If-None-Match", have.ETag)
	}
	a, err := c.Do(ctx, call.Request{Op: "operators", Method: "GET", URL: call.Join(c.base, "v1", "operators"), Query: q.values(), Header: header})
	if err == nil && a.Status != http.StatusNotModified {
		var answer struct {
			Operators json.RawMessage `json:"operators"`
		}
		var l *Listing
		if err = json.Unmarshal(a.Body, &answer); err == nil {
			l, err = c.listing(answer.Operators, c.now(), nil)
		}
		if err == nil {
			// A list that cannot be kept is good for now.
			_ = c.writeCache(cached{key, a.Header.Get("ETag"), l.At, answer.Operators})
			return l, nil
		}
		err = &call.Error{Op: "operators", Code: call.CodeMalformed, Text: "the answer of the directory service cannot be decoded", Err: err}
	}
	if have.Key == "" {
		return nil, err
	}
	if err == nil {
		have.At = c.now()
		_ = c.writeCache(have)
	}
	l, lerr := c.listing(have.List, have.At, err)
	if lerr != nil {
		return nil, errors.Join(err, lerr)
	}
	return l, nil
}

func (c *Client) listing(raw json.RawMessage, at time.Time, why error) (*Listing, error) {
	list, skipped, err := decode(raw)
	return &Listing{list, skipped, at, why}, err
}

// Kept is the last list that the service gave, for whatever place, nil where none is
// kept: of its operators visits may be open.
func (c *Client) Kept() *Listing {
	have, err := c.readCache()
	if err != nil || have.Key == "" {
		return nil
	}
	l, err := c.listing(have.List, have.At, nil)
	if err != nil {
		return nil
	}
	return l
}

func (c *Client) cacheFile() string { return filepath.Join(c.cache, "operators.json") }

func (c *Client) readCache() (have cached, err error) {
	if c.cache == "" {
		return have, nil
	}
	f, err := os.Open(c.cacheFile())
	if err != nil {
		return have, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCache+1))
	if err == nil {
		err = json.Unmarshal(data, &have)
	}
	return have, err
}

func (c *Client) writeCache(have cached) error {
	if c.cache == "" {
		return nil
	}
	data, err := json.Marshal(have)
	if err != nil {
		return err
	}
	if len(data) > maxCache {
		return durable.Remove(c.cacheFile()) // better than the list of another place
	}
	return durable.WriteFile(c.cacheFile(), data, 0o600)
}

// Owner is whose a phone number is.
type Owner struct {
	MCCMNC string // of the network
	// How the service knows: "portability", from a register of ported numbers, or
	// "prefix", from the numbering plan alone.
	How      string
	Operator *cosa.OperatorProfile // nil where that network's operator sells nothing by a portal
}

// Lookup finds the operator of a phone number in the form of E.164, "+4915112345678".
func (c *Client) Lookup(ctx context.Context, msisdn string) (*Owner, error) {
	number, err := ParseMSISDN(msisdn)
	if err != nil {
		return nil, &call.Error{Op: "lookup", Code: call.CodeBadRequest, Text: err.Error()}
	}
	var answer struct {
		MCCMNC    string          `json:"mccmnc"`
		How       string          `json:"how"`
		Operators json.RawMessage `json:"operators"`
	}
	err = c.Decode(ctx, call.Request{Op: "lookup", Method: "GET", URL: call.Join(c.base, "v1", "lookup"), Query: url.Values{"msisdn": {number}}}, &answer)
	if err != nil {
		return nil, err
	}
	o := &Owner{MCCMNC: answer.MCCMNC, How: answer.How}
	if len(answer.Operators) > 0 {
		list, _, err := decode(answer.Operators)
		if err != nil {
			return nil, &call.Error{Op: "lookup", Code: call.CodeMalformed, Text: "the answer of the directory service cannot be decoded", Err: err}
		}
		if len(list) > 0 {
			o.Operator = &list[0]
		}
	}
	return o, nil
}

// ParseMSISDN reads a phone number: a plus sign and at most 15 digits (ITU-T E.164,
// 6.2). What people write between the digits is dropped.
func ParseMSISDN(s string) (string, error) {
	s = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", "/", "", "\u00a0", "").Replace(s)
	digits, ok := strings.CutPrefix(s, "+")
	if !ok {
		return "", errors.New("a phone number begins with + and the country's code")
	}
	if len(digits) < 7 || len(digits) > 15 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
		return "", errors.New("a phone number has 7 to 15 digits behind the +, and does not begin with 0 there")
	}
	return "+" + digits, nil
}

// Balances asks for a SIM's balances, by way of the service.
func (c *Client) Balances(ctx context.Context, iccid string, q moapi.BalanceQuery) ([]moapi.Balance, error) {
	var out struct{ Balances []moapi.Balance }
	err := c.Decode(ctx, call.Request{Op: "balance", Method: "GET", URL: call.SIMPath(call.Join(c.base, "v1"), iccid, "balance"), Query: q.Values()}, &out)
	return out.Balances, err
}
