package dynamo

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"dynamod/euicc"
)

// envelope is what a bridge posts, around the arguments of a call.
func envelope(call, args string) string {
	return `{"transactionId": "t-1", "state": "s-1", "operation": "op-1", "call": "` + call + `", "args": ` + args + `}`
}

// Arguments as the published pages have them, by generation.
const (
	metaComplete = `{"userAccount":"New","purchaseInstrument":"New","line":"New","moDirectStatus":"Complete","planName":"MyPlan"}`
	gen2         = `{"ver":"1","purchaseResult":"{\"userAccount\":\"New\",\"purchaseInstrument\":\"New\",\"line\":\"New\",\"moDirectStatus\":\"Complete\",\"planName\":\"MyPlan\"}",` +
		`"success":true,"iccid":"8988247000101997790","activationCode":"1$smdp.example$MATCHINGID","transactionId":"t-1"}`
	gen1 = `{"ver":"1","purchaseResult":{"userAccount":"New","purchaseInstrument":"Existing","lineType":"New","modirectStatus":"Complete","planName":"MyPlan"},` +
		`"success":true,"Iccid":"8988247000101997790","activationCode":"1$smdp.example$MATCHINGID","transactionId":"t-1","orderId":"o-7","eId":"` + testEID + `"}`
	gen2Abandoned = `{"ver":"1","purchaseResult":"{\"userAccount\":\"Bailed\",\"purchaseInstrument\":\"None\",\"line\":\"None\",\"moDirectStatus\":\"None\",\"planName\":\"\"}",` +
		`"success":false,"activationCode":"","iccid":"","transactionId":"t-1"}`
)

var (
	metaNew  = PurchaseMetadata{ShareNew, ShareNew, ShareNew, PurchaseComplete, "MyPlan"}
	testCode = euicc.ActivationCode{Address: "smdp.example", MatchingID: "MATCHINGID"}
)

func TestParseCallback(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Callback // transaction, state and operation are the envelope's
	}{
		{"gen 3: download", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[`+metaComplete+`, "1$smdp.example$MATCHINGID"]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode}},
		{"gen 3: code with its prefix", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[`+metaComplete+`, "LPA:1$smdp.example$MATCHINGID", null]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode}},
		{"gen 3: delayed download", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[`+metaComplete+`, "1$smdp.example$MATCHINGID", 90]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode, Delay: 90 * time.Minute}},
		{"gen 3: delayed download, SM-DP+ address", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[`+metaComplete+`, "smdp.example", 15]`), Callback{Kind: KindDownload, Metadata: metaNew, SMDP: "smdp.example", Delay: 15 * time.Minute}},
		{"gen 3: arguments by name", envelope("MobilePlansInlineOperations.notifyProfileDownload", `{"purchaseMetadata": `+metaComplete+`, "activationCode": "1$smdp.example$MATCHINGID"}`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode}},
		{"gen 3: metadata as text", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[`+strconv.Quote(metaComplete)+`, "1$smdp.example$MATCHINGID"]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode}},
		{"gen 3: enumerations of the samples", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[{"userAccount":"new","purchaseInstrument":"none","lineType":"bailed","modirectstatus":"complete","planName":"P"}, "1$smdp.example$MATCHINGID"]`),
			Callback{Kind: KindDownload, Metadata: PurchaseMetadata{ShareNew, ShareNone, ShareBailed, PurchaseComplete, "P"}, Code: testCode}},
		{"gen 3: required metadata only", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[{"moDirectStatus":"Complete","planName":"P"}, "1$smdp.example$MATCHINGID"]`), Callback{Kind: KindDownload, Metadata: PurchaseMetadata{Status: PurchaseComplete, PlanName: "P"}, Code: testCode}},
		{"gen 3: balance", envelope("MobilePlansInlineOperations.notifyBalanceAddition", `[`+metaComplete+`]`), Callback{Kind: KindBalance, Metadata: metaNew}},
		{"gen 3: balance of another profile", envelope("MobilePlansInlineOperations.notifyBalanceAddition", `[`+metaComplete+`, "8988247000101997790F"]`), Callback{Kind: KindUseProfile, Metadata: metaNew, ICCID: "8988247000101997790"}},
		{"gen 3: legacy name of it", envelope("MobilePlans.notifyBalanceAddition", `[`+metaComplete+`, "8988247000101997790"]`), Callback{Kind: KindUseProfile, Metadata: metaNew, ICCID: "8988247000101997790"}},
		{"gen 3: legacy names of the download", envelope("MobilePlansInlineProfile.notifyInlineProfileDownload", `[`+metaComplete+`, "1$smdp.example$MATCHINGID"]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode}},
		{"gen 3: legacy names of the download, too", envelope("MobilePlansInlineProfileDownload.notifyInlineProfileDownload", `[`+metaComplete+`, "1$smdp.example$MATCHINGID"]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode}},
		{"gen 3: operation cancelled", envelope("MobilePlansInlineOperations.notifyOperationCancel", `[{"Id": "op-9"}]`), Callback{Kind: KindCancel, Operation: "op-9"}},
		{"gen 3: operation cancelled by its Id", envelope("MobilePlansInlineOperations.notifyOperationCancel", `["op-9"]`), Callback{Kind: KindCancel, Operation: "op-9"}},
		{"asynchronous: 5 minutes are 15", envelope("MobilePlans.notifyPurchaseWithProfileDownload", `[`+metaComplete+`, "1$smdp.example$MATCHINGID", 5]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode, RegisterAfter: 15 * time.Minute}},
		{"asynchronous: 40 minutes are 45", envelope("MobilePlans.notifyPurchaseWithProfileDownload", `[`+metaComplete+`, "1$smdp.example$MATCHINGID", 40]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode, RegisterAfter: 45 * time.Minute}},
		{"asynchronous: 0 is at once", envelope("MobilePlans.notifyPurchaseWithProfileDownload", `[`+metaComplete+`, "1$smdp.example$MATCHINGID", 0]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode}},
		{"cancelled purchase", envelope("MobilePlans.notifyCancelledPurchase", `[{"moDirectStatus":"cancelled","planName":""}]`), Callback{Kind: KindNoPurchase, Metadata: PurchaseMetadata{Status: PurchaseCancelled}}},
		{"cancelled purchase without a status", envelope("MobilePlans.notifyCancelledPurchase", `[{}]`), Callback{Kind: KindNoPurchase}},
		{"cancelled purchase without metadata", envelope("MobilePlans.notifyCancelledPurchase", `[]`), Callback{Kind: KindNoPurchase}},
		{"cancelled purchase that says Complete", envelope("MobilePlans.notifyCancelledPurchase", `[`+metaComplete+`]`), Callback{Kind: KindNoPurchase, Metadata: PurchaseMetadata{ShareNew, ShareNew, ShareNew, PurchaseCancelled, "MyPlan"}}},
		{"payment failed, with a code all the same", envelope("MobilePlansInlineOperations.notifyProfileDownload", `[{"moDirectStatus":"BillingError","planName":""}, "1$smdp.example$MATCHINGID"]`), Callback{Kind: KindNoPurchase, Metadata: PurchaseMetadata{Status: PurchaseBillingError}}},

		{"gen 2: text", envelope("DataMart.notifyPurchaseResult", `[`+strconv.Quote(gen2)+`]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode, ICCID: "8988247000101997790"}},
		{"gen 2: object", envelope("DataMart.notifyPurchaseResult", `[`+gen2+`]`), Callback{Kind: KindDownload, Metadata: metaNew, Code: testCode, ICCID: "8988247000101997790"}},
		{"gen 2: abandoned", envelope("DataMart.notifyPurchaseResult", `[`+gen2Abandoned+`]`), Callback{Kind: KindNoPurchase, Metadata: PurchaseMetadata{ShareBailed, ShareNone, ShareNone, PurchaseNone, ""}}},
		{"gen 2: profile that is there", envelope("DataMart.notifyPurchaseResult", `[`+strings.Replace(gen2, "1$smdp.example$MATCHINGID", "", 1)+`]`), Callback{Kind: KindUseProfile, Metadata: metaNew, ICCID: "8988247000101997790"}},
		{"gen 2: neither code nor profile", envelope("DataMart.notifyPurchaseResult", `[{"purchaseResult":`+metaComplete+`,"success":true}]`), Callback{Kind: KindBalance, Metadata: metaNew}},
		{"gen 2: no success, Complete all the same", envelope("DataMart.notifyPurchaseResult", `[`+strings.Replace(gen2, `"success":true`, `"success":false`, 1)+`]`), Callback{Kind: KindNoPurchase, Metadata: PurchaseMetadata{ShareNew, ShareNew, ShareNew, PurchaseNone, "MyPlan"}}},
		{"gen 1", envelope("window.external.notify", `[`+strconv.Quote(gen1)+`]`), Callback{Kind: KindDownload, Metadata: PurchaseMetadata{ShareNew, ShareExisting, ShareNew, PurchaseComplete, "MyPlan"}, Code: testCode, ICCID: "8988247000101997790", EID: testEID, OrderID: "o-7"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCallback([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.TransactionID, tt.want.State = "t-1", "s-1"
			if tt.want.Operation == "" {
				tt.want.Operation = "op-1"
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			again, err := ParseCallback(got.Envelope())
			if err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("written as %s\nread as %+v %v", got.Envelope(), again, err)
			}
		})
	}
}

func TestParseCallbackRefuses(t *testing.T) {
	download := "MobilePlansInlineOperations.notifyProfileDownload"
	for _, tt := range []struct {
		name, in string
		result   ActivationResult
		text     string
	}{
		{"not JSON", `{`, ResultInvalidJSON, "the callback is not JSON"},
		{"a list", `[]`, ResultInvalidJSON, "the callback is not a JSON object"},
		{"two", envelope(download, `[]`) + `{}`, ResultInvalidJSON, "there is something behind the callback"},
		{"not UTF-8", "{\"call\": \"\xff\"}", ResultInvalidJSON, "the callback is not UTF-8"},
		{"large", `{"a": "` + strings.Repeat("x", MaxCallback) + `"}`, ResultInvalidJSON, "the callback has 16393 bytes, at most 16384 are allowed"},
		{"another call", envelope("alert", `[]`), ResultInvalidJSON, "the callback is none of the published calls"},
		{"withdrawn call", envelope("MobilePlans.notifyPurchaseDelayedProfile", `[]`), ResultInvalidJSON, "notifyPurchaseDelayedProfile was withdrawn in 2018"},
		{"call twice, in two cases", `{"call": "a", "Call": "b"}`, ResultInvalidJSON, "the callback has a field twice"},
		{"arguments of no kind", envelope(download, `5`), ResultInvalidJSON, "args is neither a list of arguments nor an object of them"},
		{"no metadata", envelope(download, `[null, "1$smdp.example$SECRETID"]`), ResultInvalidJSON, "moDirectStatus is missing"},
		{"unknown status", envelope(download, `[{"moDirectStatus": "Done"}, "1$smdp.example$SECRETID"]`), ResultInvalidJSON, "moDirectStatus has a value that is not known"},
		{"status as a number", envelope(download, `[{"moDirectStatus": 1}, "1$smdp.example$SECRETID"]`), ResultInvalidJSON, "modirectstatus is not a string"},
		{"both names of the line", envelope(download, `[{"moDirectStatus": "Complete", "line": "New", "lineType": "None"}, "1$smdp.example$SECRETID"]`), ResultInvalidJSON, "line is there as linetype too"},
		{"no code", envelope(download, `[`+metaComplete+`]`), ResultInvalidActivationCode, "the activation code cannot be read: malformed activation code: it is empty"},
		{"no code at all in what there is", envelope(download, `[`+metaComplete+`, "SECRETID"]`), ResultInvalidActivationCode, "the activation code cannot be read: malformed activation code: no $ between its fields; it starts with LPA:1$"},
		{"code as an object", envelope(download, `[`+metaComplete+`, {"code": "SECRETID"}]`), ResultInvalidJSON, "activationCode is not a string"},
		{"another format of code", envelope(download, `[`+metaComplete+`, "2$smdp.example$SECRETID"]`), ResultInvalidActivationCode, "the activation code cannot be read: malformed activation code: unknown format, only 1 is defined"},
		{"neither code nor address", envelope(download, `[`+metaComplete+`, "SECRET_ID", 5]`), ResultInvalidActivationCode, "the activation code cannot be read: the address is no fully qualified domain name"},
		{"delay below zero", envelope(download, `[`+metaComplete+`, "1$smdp.example$SECRETID", -1]`), ResultInvalidJSON, "downloadDelay is not a number of minutes from 0 to 129600"},
		{"half a minute", envelope(download, `[`+metaComplete+`, "1$smdp.example$SECRETID", 0.5]`), ResultInvalidJSON, "downloadDelay is not a number of minutes from 0 to 129600"},
		{"delay that overflows", envelope(download, `[`+metaComplete+`, "1$smdp.example$SECRETID", 1e300]`), ResultInvalidJSON, "downloadDelay is not a number of minutes from 0 to 129600"},
		{"delay as text", envelope(download, `[`+metaComplete+`, "1$smdp.example$SECRETID", "5"]`), ResultInvalidJSON, "downloadDelay is not a number of minutes from 0 to 129600"},
		{"bad ICCID", envelope("MobilePlansInlineOperations.notifyBalanceAddition", `[`+metaComplete+`, "89882470"]`), ResultInvalidICCID, "the ICCID cannot be read: malformed ICCID: 8 digits, not 18 to 20"},
		{"cancel of nothing", envelope("MobilePlansInlineOperations.notifyOperationCancel", `[]`), ResultInvalidJSON, "notifyOperationCancel names no operation"},
		{"result of another transaction", envelope("DataMart.notifyPurchaseResult", `[`+strings.Replace(gen2, `"t-1"`, `"t-2"`, 1)+`]`), ResultInvalidJSON, "the result is of another transaction than its envelope"},
		{"success without a status", envelope("DataMart.notifyPurchaseResult", `[{"success": true, "activationCode": "1$smdp.example$SECRETID"}]`), ResultInvalidJSON, "moDirectStatus is missing"},
		{"plan's name with an escape", envelope(download, `[{"moDirectStatus": "Complete", "planName": "\u001b[2J"}, "1$smdp.example$SECRETID"]`), ResultInvalidJSON, "the plan's name is too long or has control characters"},
		{"long transaction", `{"transactionId": "` + strings.Repeat("x", 65) + `", "call": "` + download + `"}`, ResultInvalidJSON, "transactionId, state or operation is too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseCallback([]byte(tt.in))
			e, ok := errors.AsType[*CallbackError](err)
			if !ok || e.Result != tt.result || e.Text != tt.text {
				t.Errorf("%+v, %v\nwant %s: %s", c, err, tt.result, tt.text)
			}
			if !reflect.DeepEqual(c, Callback{}) || err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%+v %v", c, err)
			}
		})
	}
}

// TestCallbackHidesTheCode prints a callback in every way.
func TestCallbackHidesTheCode(t *testing.T) {
	c, err := ParseCallback([]byte(envelope("MobilePlansInlineOperations.notifyProfileDownload", `[`+metaComplete+`, "1$smdp.example$SECRETID"]`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %q", c, c, c.Code)} {
		if strings.Contains(text, "SECRETID") {
			t.Error(text)
		}
	}
}

func FuzzParseCallback(f *testing.F) {
	for _, call := range []string{"MobilePlansInlineOperations.notifyProfileDownload", "MobilePlans.notifyPurchaseWithProfileDownload", "MobilePlansInlineOperations.notifyBalanceAddition"} {
		f.Add([]byte(envelope(call, `[`+metaComplete+`, "1$smdp.example$MATCHINGID", 30]`)))
		f.Add([]byte(envelope(call, `{"purchaseMetaData": `+metaComplete+`, "iccid": "8988247000101997790"}`)))
	}
	f.Add([]byte(envelope("DataMart.notifyPurchaseResult", `[`+strconv.Quote(gen2)+`]`)))
	f.Add([]byte(envelope("window.external.notify", `[`+gen1+`]`)))
	f.Add([]byte(envelope("MobilePlansInlineOperations.notifyOperationCancel", `[{"Id": "op"}]`)))
	f.Add([]byte(envelope("MobilePlans.notifyCancelledPurchase", `[]`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCallback(data)
		if err != nil {
			if _, ok := errors.AsType[*CallbackError](err); !ok || !reflect.DeepEqual(c, Callback{}) {
				t.Fatalf("%+v %v", c, err)
			}
			return
		}
		switch {
		case c.Kind == KindDownload && (c.Code.Address == "") == (c.SMDP == ""):
			t.Fatalf("a download of nothing, or of two: %+v", c)
		case c.Kind == KindUseProfile && c.ICCID == "", c.Kind == KindCancel && c.Operation == "", c.Kind == "":
			t.Fatalf("%+v", c)
		case c.Kind != KindCancel && (c.Kind == KindNoPurchase) == (c.Metadata.Status == PurchaseComplete):
			t.Fatalf("bought and not bought: %+v", c)
		case c.Kind == KindNoPurchase && (c.Code.Address != "" || c.ICCID != "" || c.SMDP != ""):
			t.Fatalf("no purchase, and something to install: %+v", c)
		}
		again, err := ParseCallback(c.Envelope())
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("read %+v\nwritten %s\nread again %+v %v", c, c.Envelope(), again, err)
		}
	})
}
