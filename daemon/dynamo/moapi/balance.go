package moapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/dynamo/call"
)

// Type is what kind of a balance it is.
type Type string

// The published types.
const (
	TypePostpaid     Type = "MODIRECT"     // an account; there is nothing to count
	TypePrepaid      Type = "MODIRECTPAYG" // the numbers are to be shown
	TypePAYG         Type = "PAYG"         // generation 1's name of it
	TypeNone         Type = "NONE"         // nothing is left, or nothing was bought
	TypeNotSupported Type = "NOTSUPPORTED" // the operator knows the SIM, and has no balance for it
)

var types = []Type{TypePostpaid, TypePrepaid, TypePAYG, TypeNone, TypeNotSupported}

// Balance is one of a SIM's.
type Balance struct {
	ID   string
	Type Type // "" for one that is not published
	// Data is what remains, in megabytes, Time how long; nil where the operator
	// does not say.
	Data *float64
	Time *time.Duration
	// Locations are where it can be used, ISO 3166-1 alpha-2; none is everywhere.
	Locations []string
	// Words are the operator's own, where a person is meant to read them: the answer to
	// a USSD code. An API has none.
	Words string
}

// UsedUp tells whether nothing is left: also where time is left and no data, or the
// other way round.
func (b *Balance) UsedUp() bool {
	return b.Type == TypeNone ||
		b.Type != TypePostpaid && b.Type != TypeNotSupported && (b.Data != nil && *b.Data <= 0 || b.Time != nil && *b.Time <= 0)
}

// BalanceQuery narrows a question for balances.
type BalanceQuery struct {
	Location string // ISO 3166-1 alpha-2; "" for all that are active
	Limit    int    // 0 for all
	Full     bool   // all properties, where the operator has more than the basic ones
}

// Values are the parameters of the query.
func (q BalanceQuery) Values() url.Values {
	v := url.Values{"fieldsTemplate": {"basic"}}
	if q.Full {
		v.Set("fieldsTemplate", "full")
	}
	if q.Location != "" {
		v.Set("location", strings.ToUpper(q.Location)) // the operator's comparison minds the case
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// Balances asks for the balances of a SIM.
func (c *Client) Balances(ctx context.Context, iccid string, q BalanceQuery) ([]Balance, error) {
	base, err := c.base("balances", c.api.BalanceURL)
	if err != nil {
		return nil, err
	}
	var out struct{ Balances []Balance }
	err = c.Decode(ctx, call.Request{Op: "balances", Method: "GET", URL: call.SIMPath(base, iccid, "balances"), Query: q.Values()}, &out)
	return out.Balances, err
}

// jsonBalance is a balance on the wire. encoding/json does not mind case, so that
// dataRemainingInMB, as the text of the specification has it, and dataRemaininginMB,
// as its examples have it, are both read.
type jsonBalance struct {
	ID        json.RawMessage `json:"id,omitempty"`
	Type      string          `json:"type"`
	Data      *float64        `json:"dataRemainingInMB,omitempty"`
	Time      *string         `json:"timeRemaining,omitempty"`
	Locations []string        `json:"locations,omitempty"`
}

const maxText = 200 // of an identifier

// UnmarshalJSON reads a balance of the API.
func (b *Balance) UnmarshalJSON(data []byte) error {
	var j jsonBalance
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*b = Balance{Type: published(j.Type), Locations: j.Locations}
	if len(j.ID) > 0 && json.Unmarshal(j.ID, &b.ID) != nil { // some write a number
		b.ID = strings.ToValidUTF8(string(j.ID), "\uFFFD")
	}
	if len(b.ID) > maxText {
		return fmt.Errorf("the id of a balance is longer than %d bytes", maxText)
	}
	if j.Data != nil {
		if *j.Data < 0 || math.IsInf(*j.Data, 0) {
			return fmt.Errorf("dataRemainingInMB is below zero")
		}
		b.Data = j.Data
	}
	if j.Time != nil {
		d, err := ParseDuration(*j.Time)
		if err != nil {
			return fmt.Errorf("timeRemaining is %w", err)
		}
		b.Time = &d
	}
	return nil
}

// MarshalJSON writes a balance as the text of the specification has it.
func (b Balance) MarshalJSON() ([]byte, error) {
	j := jsonBalance{Type: string(b.Type), Data: b.Data, Locations: b.Locations}
	if b.ID != "" {
		j.ID, _ = json.Marshal(b.ID)
	}
	if b.Time != nil {
		s := FormatDuration(*b.Time)
		j.Time = &s
	}
	return json.Marshal(j)
}

func published(s string) Type {
	t := Type(strings.ToUpper(strings.TrimSpace(s)))
	if slices.Contains(types, t) {
		return t
	}
	return ""
}
