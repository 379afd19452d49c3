package dynamo

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"dynamod/euicc"
)

// Kind is what a portal asks for.
type Kind string

// The kinds of callbacks.
const (
	// KindDownload: download the profile of Code, or of SMDP, install and enable it.
	KindDownload Kind = "download"
	// KindUseProfile: the plan is for ICCID, a profile that is on the card; enable it.
	KindUseProfile Kind = "use-profile"
	// KindBalance: something was added to the balance of the line that is in use.
	KindBalance Kind = "balance"
	// KindNoPurchase: nothing was bought, and nothing changes.
	KindNoPurchase Kind = "no-purchase"
	// KindCancel: the delayed download of Operation is not wanted any more.
	KindCancel Kind = "cancel"
)

// Callback is what a portal sent back, of any generation.
type Callback struct {
	Kind Kind
	// TransactionID and State are those that the visit began with.
	TransactionID, State string
	// Operation is MobilePlansOperationContext's Id, which the bridge on the
	// portal's page made for this call; for KindCancel it is the call that is meant.
	Operation string
	Metadata  PurchaseMetadata
	Code      euicc.ActivationCode // no way of printing shows its matching ID
	SMDP      string               // address, where a delayed download has no code
	ICCID     string               // without filler
	EID       string               // generation 1 only
	OrderID   string               // generation 1 only
	// Delay is how long to wait before the download; RegisterAfter how long after
	// it the network will take the profile: a registration fails until then.
	Delay, RegisterAfter time.Duration
}

// CallbackError says why a callback was refused. Its text shows nothing of what
// was sent.
type CallbackError struct {
	Result ActivationResult // for the portal
	Text   string
}

func (e *CallbackError) Error() string { return e.Text }

// Hint says who can do something about it.
func (e *CallbackError) Hint() string { return "docs/dynamo.md has the calls; tell the operator" }

// Limits of a callback, ours: none is published.
const (
	MaxCallback   = 16 << 10
	maxOperation  = 64
	maxDelay      = 90 * 24 * time.Hour
	registerSteps = 15 * time.Minute
)

// The calls by their published names; the first of each kind is the one that is
// written.
var calls = map[string]func(*callbackReader, arguments, *Callback){
	"mobileplansinlineoperations.notifyprofiledownload":            (*callbackReader).profileDownload,
	"mobileplansinlineprofiledownload.notifyinlineprofiledownload": (*callbackReader).profileDownload,
	"mobileplansinlineprofile.notifyinlineprofiledownload":         (*callbackReader).profileDownload,
	"mobileplansinlineoperations.notifyoperationcancel":            (*callbackReader).operationCancel,
	"mobileplansinlineoperations.notifybalanceaddition":            (*callbackReader).balanceAddition,
	"mobileplans.notifybalanceaddition":                            (*callbackReader).balanceAddition,
	"mobileplans.notifypurchasewithprofiledownload":                (*callbackReader).purchaseWithProfileDownload,
	"mobileplans.notifycancelledpurchase":                          (*callbackReader).cancelledPurchase,
	"datamart.notifypurchaseresult":                                (*callbackReader).purchaseResult, // generation 2
	"window.external.notify":                                       (*callbackReader).purchaseResult, // generation 1
}

// ParseCallback reads a callback in its envelope:
//
//	{"transactionId": "...", "state": "...", "operation": "...",
//	 "call": "MobilePlansInlineOperations.notifyProfileDownload",
//	 "args": [{"moDirectStatus": "Complete", ...}, "1$smdp.example$MATCHING-ID"]}
//
// call is one of the published names and args its arguments in their order, or an
// object that has them by name. The spellings and cases in which the published
// documents differ are all accepted. An error is a *CallbackError.
func ParseCallback(data []byte) (Callback, error) {
	r := &callbackReader{}
	c := r.envelope(data)
	if r.err != nil {
		return Callback{}, r.err
	}
	return c, nil
}

type callbackReader struct{ err *CallbackError }

func (r *callbackReader) fail(result ActivationResult, format string, args ...any) {
	if r.err == nil {
		r.err = &CallbackError{Result: result, Text: fmt.Sprintf(format, args...)}
	}
}

func (r *callbackReader) envelope(data []byte) (c Callback) {
	if len(data) > MaxCallback {
		r.fail(ResultInvalidJSON, "the callback has %d bytes, at most %d are allowed", len(data), MaxCallback)
		return c
	}
	f, ok := r.object("the callback", data)
	if !ok {
		return c
	}
	c.TransactionID, c.State, c.Operation = r.text(f, "transactionid"), r.text(f, "state"), r.text(f, "operation")
	if len(c.TransactionID) > MaxTransactionID || len(c.Operation) > maxOperation || len(c.State) > 2*maxOperation {
		r.fail(ResultInvalidJSON, "transactionId, state or operation is too long")
	}
	read, ok := calls[strings.ToLower(r.text(f, "call"))]
	switch {
	case strings.EqualFold(r.text(f, "call"), "MobilePlans.notifyPurchaseDelayedProfile"):
		r.fail(ResultInvalidJSON, "notifyPurchaseDelayedProfile was withdrawn in 2018")
	case !ok:
		r.fail(ResultInvalidJSON, "the callback is none of the published calls")
	}
	if r.err != nil {
		return c
	}
	read(r, r.arguments(f["args"]), &c)
	if c.Kind != "" && c.Kind != KindCancel && c.Metadata.Status == "" {
		r.fail(ResultInvalidJSON, "moDirectStatus is missing")
	}
	if c.Kind != KindCancel && c.Metadata.Status != PurchaseComplete && r.err == nil {
		// whatever else is in it: nothing was bought
		c = Callback{Kind: KindNoPurchase, TransactionID: c.TransactionID, State: c.State, Operation: c.Operation, Metadata: c.Metadata}
	}
	return c
}

// arguments are a call's, by position or by name.
type arguments struct {
	list  []json.RawMessage
	named map[string]json.RawMessage
}

func (a arguments) get(at int, name string) json.RawMessage {
	if a.named != nil {
		return a.named[name]
	}
	if at < len(a.list) && string(a.list[at]) != "null" {
		return a.list[at]
	}
	return nil
}

func (r *callbackReader) arguments(raw json.RawMessage) (a arguments) {
	if strings.HasPrefix(string(raw), "{") {
		a.named, _ = r.object("args", raw)
		return a
	}
	if len(raw) > 0 && (json.Unmarshal(raw, &a.list) != nil || len(a.list) > 8) {
		r.fail(ResultInvalidJSON, "args is neither a list of arguments nor an object of them")
	}
	return a
}

func (r *callbackReader) profileDownload(a arguments, c *Callback) {
	c.Kind = KindDownload
	c.Metadata = r.metadata(a.get(0, "purchasemetadata"))
	c.Delay = r.minutes("downloadDelay", a.get(2, "downloaddelay"))
	code := r.value("activationCode", a.get(1, "activationcode"))
	if c.Metadata.Status != PurchaseComplete {
		return
	}
	if a.get(2, "downloaddelay") != nil && !strings.Contains(code, "$") { // "activation code or SM-DP+ address"
		address, err := euicc.ParseAddress(code)
		if err != nil {
			r.fail(ResultInvalidActivationCode, "the activation code cannot be read: %v", err)
		}
		c.SMDP = address
		return
	}
	c.Code = r.code(code)
}

func (r *callbackReader) purchaseWithProfileDownload(a arguments, c *Callback) {
	c.Kind = KindDownload
	c.Metadata = r.metadata(a.get(0, "purchasemetadata"))
	code := r.value("activationCode", a.get(1, "activationcode"))
	after := r.minutes("networkRegistrationInterval", a.get(2, "networkregistrationinterval"))
	if after > 0 {
		after = max(after.Round(registerSteps), registerSteps)
	}
	c.RegisterAfter = after
	if c.Metadata.Status == PurchaseComplete {
		c.Code = r.code(code)
	}
}

func (r *callbackReader) balanceAddition(a arguments, c *Callback) {
	c.Metadata = r.metadata(a.get(0, "purchasemetadata"))
	c.ICCID = r.iccid(r.value("iccid", a.get(1, "iccid")))
	c.Kind = KindBalance
	if c.ICCID != "" {
		c.Kind = KindUseProfile
	}
}

func (r *callbackReader) cancelledPurchase(a arguments, c *Callback) {
	c.Metadata = r.metadata(a.get(0, "purchasemetadata"))
	if c.Metadata.Status == PurchaseComplete {
		c.Metadata.Status = PurchaseCancelled
	}
}

func (r *callbackReader) operationCancel(a arguments, c *Callback) {
	c.Kind = KindCancel
	raw := a.get(0, "operationcontext")
	id, isText := jsonString(raw)
	if !isText && raw != nil {
		f, _ := r.object("operationContext", raw)
		id = r.text(f, "id")
	}
	if c.Operation = id; id == "" || len(id) > maxOperation {
		r.fail(ResultInvalidJSON, "notifyOperationCancel names no operation")
	}
}

// purchaseResult reads generation 1 and 2: one argument, the JSON text of the
// result, or the result itself.
func (r *callbackReader) purchaseResult(a arguments, c *Callback) {
	f := a.named
	if f == nil {
		raw := a.get(0, "")
		if text, ok := jsonString(raw); ok {
			raw = json.RawMessage(text)
		}
		if f, _ = r.object("the result", raw); f == nil {
			return
		}
	}
	if id := r.text(f, "transactionid"); id != "" && id != c.TransactionID {
		r.fail(ResultInvalidJSON, "the result is of another transaction than its envelope")
	}
	for _, name := range []string{"purchaseresult", "purchasemetadata"} {
		if raw, ok := f[name]; ok {
			c.Metadata = r.metadata(raw)
		}
	}
	switch success := r.truth(f["success"]); {
	case success && c.Metadata.Status == "":
		r.fail(ResultInvalidJSON, "moDirectStatus is missing")
	case !success && c.Metadata.Status == PurchaseComplete:
		c.Metadata.Status = PurchaseNone
	}
	if c.Metadata.Status != PurchaseComplete {
		return
	}
	c.EID, c.OrderID, c.ICCID = r.text(f, "eid"), r.text(f, "orderid"), r.iccid(r.text(f, "iccid"))
	if len(c.OrderID) > maxPlanName {
		r.fail(ResultInvalidJSON, "orderId is too long")
	}
	switch code := r.text(f, "activationcode"); {
	case code != "":
		c.Kind, c.Code = KindDownload, r.code(code)
	case c.ICCID != "":
		c.Kind = KindUseProfile
	default:
		c.Kind = KindBalance
	}
}

func (r *callbackReader) code(text string) euicc.ActivationCode {
	c, err := euicc.ParseActivationCode(text)
	if err != nil {
		r.fail(ResultInvalidActivationCode, "the activation code cannot be read: %v", err)
	}
	return c
}

func (r *callbackReader) iccid(text string) string {
	if text == "" {
		return ""
	}
	c, err := euicc.ParseICCID(text)
	if err != nil {
		r.fail(ResultInvalidICCID, "the ICCID cannot be read: %v", err)
	}
	return c.String()
}

// minutes reads an unsigned number of minutes.
func (r *callbackReader) minutes(name string, raw json.RawMessage) time.Duration {
	if raw == nil {
		return 0
	}
	var n float64
	if err := json.Unmarshal(raw, &n); err != nil || n < 0 || n != math.Trunc(n) || n > maxDelay.Minutes() {
		r.fail(ResultInvalidJSON, "%s is not a number of minutes from 0 to %.0f", name, maxDelay.Minutes())
		return 0
	}
	return time.Duration(n) * time.Minute
}

func (r *callbackReader) truth(raw json.RawMessage) bool {
	s := string(raw)
	if text, ok := jsonString(raw); ok {
		s = strings.ToLower(text)
	}
	return s == "true"
}

func (r *callbackReader) value(name string, raw json.RawMessage) string {
	s, ok := jsonString(raw)
	if !ok && raw != nil {
		r.fail(ResultInvalidJSON, "%s is not a string", name)
	}
	return strings.TrimSpace(s)
}
