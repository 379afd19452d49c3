package dynamo

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// object reads a JSON object by the lower-case names of its fields, because the
// published documents do not agree on their case. A field that is there twice, in
// whatever case, is an error: nobody could say which one is meant.
func (r *callbackReader) object(what string, raw []byte) (map[string]json.RawMessage, bool) {
	if !utf8.Valid(raw) {
		r.fail(ResultInvalidJSON, "%s is not UTF-8", what)
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		r.fail(ResultInvalidJSON, "%s is not a JSON object", what)
		return nil, false
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		tok, err := d.Token()
		name, _ := tok.(string)
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			r.fail(ResultInvalidJSON, "%s is not JSON", what)
			return nil, false
		}
		name = strings.ToLower(name)
		if _, twice := out[name]; twice {
			r.fail(ResultInvalidJSON, "%s has a field twice", what)
			return nil, false
		}
		out[name] = value
	}
	if _, err := d.Token(); err != nil {
		r.fail(ResultInvalidJSON, "%s is not JSON", what)
		return nil, false
	}
	if d.More() {
		r.fail(ResultInvalidJSON, "there is something behind %s", what)
		return nil, false
	}
	return out, true
}

// text is a field that is a string, null, or not there.
func (r *callbackReader) text(f map[string]json.RawMessage, name string) string {
	raw, ok := f[name]
	if !ok || string(raw) == "null" {
		return ""
	}
	s, ok := jsonString(raw)
	if !ok {
		r.fail(ResultInvalidJSON, "%s is not a string", name)
	}
	return strings.TrimSpace(s)
}

// either is a field that has two published names.
func (r *callbackReader) either(f map[string]json.RawMessage, a, b string) string {
	if f[a] != nil && f[b] != nil {
		r.fail(ResultInvalidJSON, "%s is there as %s too", a, b)
	}
	if f[a] != nil {
		return r.text(f, a)
	}
	return r.text(f, b)
}

func jsonString(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	return s, json.Unmarshal(raw, &s) == nil
}

// The shapes that Envelope writes: generation 3.
type (
	jsonEnvelope struct {
		TransactionID string `json:"transactionId"`
		State         string `json:"state"`
		Operation     string `json:"operation,omitempty"`
		Call          string `json:"call"`
		Args          []any  `json:"args"`
	}
	jsonMetadata struct {
		UserAccount        Share          `json:"userAccount,omitempty"`
		PurchaseInstrument Share          `json:"purchaseInstrument,omitempty"`
		Line               Share          `json:"line,omitempty"`
		Status             PurchaseStatus `json:"moDirectStatus,omitempty"`
		PlanName           string         `json:"planName"`
	}
	// jsonResult is generation 1's and 2's, for what generation 3 cannot say.
	jsonResult struct {
		Version        string       `json:"ver"`
		PurchaseResult jsonMetadata `json:"purchaseResult"`
		Success        bool         `json:"success"`
		ICCID          string       `json:"iccid"`
		ActivationCode string       `json:"activationCode"`
		TransactionID  string       `json:"transactionId"`
		OrderID        string       `json:"orderId,omitempty"`
		EID            string       `json:"eId,omitempty"`
	}
)

// Envelope is the callback as ParseCallback reads it, with the activation code in
// it: it is for a portal's side, and for what is sealed. Generation 3 is written,
// and generation 2 for a download that names the profile's ICCID, an EID or an order.
func (c Callback) Envelope() []byte {
	e := jsonEnvelope{TransactionID: c.TransactionID, State: c.State, Operation: c.Operation}
	m := jsonMetadata(c.Metadata)
	code := c.SMDP
	if c.Code.Address != "" {
		code = strings.TrimPrefix(c.Code.Reveal(), "LPA:") // as the callbacks have it
	}
	minutes := func(d time.Duration) int { return int(d / time.Minute) }
	switch {
	case c.EID != "" || c.OrderID != "" || c.Kind == KindDownload && c.ICCID != "":
		e.Call = "DataMart.notifyPurchaseResult"
		e.Args = []any{jsonResult{"1", m, true, c.ICCID, code, c.TransactionID, c.OrderID, c.EID}}
	case c.Kind == KindDownload && c.RegisterAfter > 0:
		e.Call, e.Args = "MobilePlans.notifyPurchaseWithProfileDownload", []any{m, code, minutes(c.RegisterAfter)}
	case c.Kind == KindDownload && (c.Delay > 0 || c.SMDP != ""):
		e.Call, e.Args = "MobilePlansInlineOperations.notifyProfileDownload", []any{m, code, minutes(c.Delay)}
	case c.Kind == KindDownload:
		e.Call, e.Args = "MobilePlansInlineOperations.notifyProfileDownload", []any{m, code}
	case c.Kind == KindUseProfile:
		e.Call, e.Args = "MobilePlansInlineOperations.notifyBalanceAddition", []any{m, c.ICCID}
	case c.Kind == KindBalance:
		e.Call, e.Args = "MobilePlansInlineOperations.notifyBalanceAddition", []any{m}
	case c.Kind == KindCancel:
		e.Call, e.Args = "MobilePlansInlineOperations.notifyOperationCancel", []any{map[string]string{"Id": c.Operation}}
	default:
		e.Call, e.Args = "MobilePlans.notifyCancelledPurchase", []any{m}
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic("dynamo: " + err.Error()) // strings and numbers only
	}
	return b
}
