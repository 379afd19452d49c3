package dynamo

import (
	"encoding/json"
	"slices"
	"strings"
)

// PurchaseStatus is MobilePlansMoDirectStatus: what a visit to the portal came to.
type PurchaseStatus string

// The published values; the generations differ in the last three.
const (
	PurchaseComplete     PurchaseStatus = "Complete"
	PurchaseServiceError PurchaseStatus = "ServiceError"
	PurchaseInvalidSIM   PurchaseStatus = "InvalidSIM"
	PurchaseLogOnFailed  PurchaseStatus = "LogOnFailed"
	PurchaseFailed       PurchaseStatus = "PurchaseFailed"
	PurchaseClientError  PurchaseStatus = "ClientError"
	PurchaseBillingError PurchaseStatus = "BillingError"
	PurchaseNone         PurchaseStatus = "None"
	PurchaseBailed       PurchaseStatus = "Bailed"
	PurchaseCancelled    PurchaseStatus = "Cancelled" // of samples only
)

var purchaseStatuses = []PurchaseStatus{
	PurchaseComplete, PurchaseServiceError, PurchaseInvalidSIM, PurchaseLogOnFailed, PurchaseFailed, PurchaseClientError, PurchaseBillingError,
	PurchaseNone, PurchaseBailed, PurchaseCancelled,
}

// Share is what of a purchase was new: MobilePlansUserAccount,
// MobilePlansPurchaseInstrument and MobilePlansLineType have the same values.
type Share string

// The published values. A value that nobody published reads as "".
const (
	ShareNew      Share = "New"
	ShareExisting Share = "Existing"
	ShareBailed   Share = "Bailed"
	ShareNone     Share = "None"
)

var shares = []Share{ShareNew, ShareExisting, ShareBailed, ShareNone}

// PurchaseMetadata is what the portal tells of the purchase.
type PurchaseMetadata struct {
	UserAccount, PurchaseInstrument, Line Share
	Status                                PurchaseStatus
	PlanName                              string
}

// maxPlanName is a bound of ours; none is published.
const maxPlanName = 200

// metadata reads a purchaseMetaData or purchaseResult, an object or a string that
// holds one.
func (r *callbackReader) metadata(raw json.RawMessage) PurchaseMetadata {
	var m PurchaseMetadata
	if len(raw) == 0 || string(raw) == "null" {
		return m
	}
	if text, ok := jsonString(raw); ok {
		raw = json.RawMessage(text)
	}
	f, ok := r.object("purchaseMetaData", raw)
	if !ok {
		return m
	}
	m.UserAccount = foldedValue(shares, r.text(f, "useraccount"))
	m.PurchaseInstrument = foldedValue(shares, r.text(f, "purchaseinstrument"))
	m.Line = foldedValue(shares, r.either(f, "line", "linetype"))
	m.PlanName = r.text(f, "planname")
	if len(m.PlanName) > maxPlanName || strings.ContainsFunc(m.PlanName, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.fail(ResultInvalidJSON, "the plan's name is too long or has control characters")
	}
	if s := r.text(f, "modirectstatus"); s != "" {
		if m.Status = foldedValue(purchaseStatuses, s); m.Status == "" {
			r.fail(ResultInvalidJSON, "moDirectStatus has a value that is not known")
		}
	}
	return m
}

// foldedValue finds the published value, whatever its case.
func foldedValue[T ~string](known []T, s string) T {
	if i := slices.IndexFunc(known, func(k T) bool { return strings.EqualFold(string(k), s) }); i >= 0 {
		return known[i]
	}
	return ""
}
