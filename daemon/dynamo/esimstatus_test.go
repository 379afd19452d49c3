package dynamo

import (
	"fmt"
	"strings"
	"testing"

	"dynamod/daemon/status"
	"dynamod/euicc"
)

// TestESimStatusNames holds the published numbers to their names
// (Windows.Networking.NetworkOperators.ESimOperationStatus).
func TestESimStatusNames(t *testing.T) {
	const published = `Success 0, NotAuthorized 1, NotFound 2, PolicyViolation 3, InsufficientSpaceOnCard 4, ServerFailure 5, ServerNotReachable 6,
		TimeoutWaitingForUserConsent 7, IncorrectConfirmationCode 8, ConfirmationCodeMaxRetriesExceeded 9, CardRemoved 10, CardBusy 11, Other 12,
		CardGeneralFailure 13, ConfirmationCodeMissing 14, InvalidMatchingId 15, NoEligibleProfileForThisDevice 16, OperationAborted 17,
		EidMismatch 18, ProfileNotAvailableForNewBinding 19, ProfileNotReleasedByOperator 20, OperationProhibitedByProfileClass 21,
		ProfileNotPresent 22, NoCorrespondingRequest 23, TimeoutWaitingForResponse 24, IccidAlreadyExists 25, ProfileProcessingError 26,
		ServerNotTrusted 27, ProfileDownloadMaxRetriesExceeded 28`
	n := 0
	for entry := range strings.SplitSeq(published, ",") {
		var name string
		var value int
		if _, err := fmt.Sscan(entry, &name, &value); err != nil {
			t.Fatal(err)
		}
		if got := ESimOperationStatus(value).String(); got != name {
			t.Errorf("%d is %s, want %s", value, got, name)
		}
		n++
	}
	if n != len(esimStatusNames) {
		t.Errorf("%d names are published, there are %d", n, len(esimStatusNames))
	}
	if got := ESimOperationStatus(29).String(); got != "Other" {
		t.Errorf("an unknown number is %s", got)
	}
}

// TestStatusOf goes through what can come of a download: the rows of SGP.22 (ES9+
// 5.6.1 to 5.6.5, ErrorReason 2.5.6, the results of ES10), TLS, the line, the person.
func TestStatusOf(t *testing.T) {
	for _, tt := range []struct {
		code string
		want string
	}{
		{"es9p-1.2.1-2.1", "ServerFailure"}, {"es9p-1.2.2-2.1", "ServerFailure"},
		{"es9p-8.8.1-3.8", "ServerFailure"}, {"es9p-8.8.2-3.1", "ServerNotTrusted"}, {"es9p-8.8.3-3.1", "ServerFailure"}, {"es9p-8.8.4-3.7", "ServerNotTrusted"},
		{"es9p-8.1.2-6.1", "NotAuthorized"}, {"es9p-8.1.2-6.3", "NotAuthorized"}, {"es9p-8.1.3-6.1", "NotAuthorized"}, {"es9p-8.1.3-6.3", "NotAuthorized"},
		{"es9p-8.1.4-6.1", "NotAuthorized"}, {"es9p-8.1-6.1", "CardGeneralFailure"}, {"es9p-8.1-4.8", "InsufficientSpaceOnCard"},
		{"es9p-8.1.1-2.1", "NoEligibleProfileForThisDevice"}, {"es9p-8.1.1-2.2", "InvalidMatchingId"}, {"es9p-8.1.1-3.8", "EidMismatch"}, {"es9p-8.1.1-3.10", "EidMismatch"},
		{"es9p-8.2-1.2", "ProfileNotReleasedByOperator"}, {"es9p-8.2-3.7", "ProfileNotAvailableForNewBinding"},
		{"es9p-8.2.5-4.3", "NoEligibleProfileForThisDevice"}, {"es9p-8.2.5-3.7", "NoEligibleProfileForThisDevice"},
		{"es9p-8.2.6-3.8", "InvalidMatchingId"}, {"es9p-8.2.6-3.10", "InvalidMatchingId"},
		{"es9p-8.8.5-4.10", "NoCorrespondingRequest"}, {"es9p-8.8.5-6.4", "ProfileDownloadMaxRetriesExceeded"},
		{"es9p-8.10.1-3.9", "ServerFailure"}, {"es9p-8.11.1-3.9", "NotAuthorized"},
		{"es9p-8.2.7-2.2", "ConfirmationCodeMissing"}, {"es9p-8.2.7-3.8", "IncorrectConfirmationCode"}, {"es9p-8.2.7-6.4", "ConfirmationCodeMaxRetriesExceeded"},
		{"es9p-8.9-5.1", "ServerNotReachable"}, {"es9p-8.9.5-3.9", "NotFound"}, {"es9p-9.9.9-9.9", "ServerFailure"},

		{"install-incorrect-input", "ProfileProcessingError"}, {"install-iccid-exists", "IccidAlreadyExists"}, {"install-memory", "InsufficientSpaceOnCard"},
		{"install-interruption", "OperationAborted"}, {"install-profile-class", "OperationProhibitedByProfileClass"}, {"install-ppr-not-allowed", "PolicyViolation"},
		{"install-pe-processing", "ProfileProcessingError"}, {"install-99", "ProfileProcessingError"}, {"memory", "InsufficientSpaceOnCard"},

		{"es10-authenticateServer-ciPKUnknown", "ServerNotTrusted"}, {"es10-authenticateServer-undefinedError", "CardGeneralFailure"},
		{"es10-prepareDownload-invalidSignature", "ServerNotTrusted"}, {"es10-enableProfile-iccidOrAidNotFound", "ProfileNotPresent"},
		{"es10-enableProfile-disallowedByPolicy", "PolicyViolation"}, {"es10-enableProfile-catBusy", "CardBusy"},
		{"es10-enableProfile-wrongProfileReenabling", "OperationProhibitedByProfileClass"}, {"es10-enableProfile-undefinedError", "CardGeneralFailure"},
		{"sw-6985", "CardGeneralFailure"}, {"sw-6A84", "InsufficientSpaceOnCard"}, {"card-transport", "CardGeneralFailure"}, {"no-result", "CardGeneralFailure"},

		{"tls-expired", "ServerNotTrusted"}, {"tls-unknown-ca", "ServerNotTrusted"}, {"tls-wrong-host", "ServerNotTrusted"}, {"tls-handshake", "ServerNotReachable"},
		{"server-expired", "ServerNotTrusted"}, {"ci-other-set", "ServerNotTrusted"}, {"ci-none", "ServerNotTrusted"}, {"net-private", "ServerNotTrusted"},
		{"net-dns", "ServerNotReachable"}, {"net-unreachable", "ServerNotReachable"}, {"net-timeout", "TimeoutWaitingForResponse"}, {"proxy-407", "ServerNotReachable"},
		{"http-503", "ServerFailure"}, {"http-redirect", "ServerFailure"}, {"body-truncated", "ServerFailure"}, {"bpp-malformed", "ServerFailure"},

		{"rejected", "OperationAborted"}, {"cancelled", "OperationAborted"}, {"timeout", "TimeoutWaitingForResponse"}, {"confirmation-code-missing", "ConfirmationCodeMissing"},
		{"no-way-back", "PolicyViolation"}, {"no-sim", "CardRemoved"}, {"wrong-clock", "Other"}, {"no-modem", "Other"}, {"made-up", "Other"},
		{"registration-denied", "Success"}, {"no-data", "Success"},
	} {
		if got := StatusOf(&status.Problem{Code: tt.code}).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.code, got, tt.want)
		}
	}
	for _, tt := range []struct {
		p    *status.Problem
		want ESimOperationStatus
	}{
		{nil, Success},
		{&status.Problem{Code: "deadline", Stage: "waiting"}, TimeoutWaitingForUserConsent},
		{&status.Problem{Code: "deadline", Stage: "downloading"}, TimeoutWaitingForResponse},
		{&status.Problem{Code: "card-transport", Cause: &status.Cause{CME: "13"}}, CardRemoved},
		{&status.Problem{Code: "card-transport", Cause: &status.Cause{CME: "14"}}, CardBusy},
		{&status.Problem{Code: "sw-6F00", Cause: &status.Cause{CME: "10"}}, CardRemoved},
		{&status.Problem{Code: "no-apn"}, Success},
	} {
		if got := StatusOf(tt.p); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.p, got, tt.want)
		}
	}
	for r := euicc.BPPReason(1); r <= 127; r++ { // every reason for a failed installation has a status that says so
		code, _ := euicc.DiagnoseInstall(r)
		if s := StatusOf(&status.Problem{Code: code}); s == Other || s == Success {
			t.Errorf("%s: %s", code, s)
		}
	}
}

func TestResultOf(t *testing.T) {
	// MobilePlansActivationError, whole
	const published = "success notAuthorized notFound policyViolation insufficientSpaceOnCard serverFailure serverNotReachable " +
		"timeoutWaitingForUserConsent incorrectConfirmationCode confirmationCodeMaxRetriesExceeded cardRemoved cardBusy other cardGeneralFailure " +
		"confirmationCodeMissing invalidMatchingId noEligibleProfileForThisDevice operationAborted eidMismatch profileNotAvailableForNewBinding " +
		"profileNotReleasedByOperator operationProhibitedByProfileClass profileNotPresent noCorrespondingRequest unknownError lpaInitializationError " +
		"modemNotFound localSettingsAccessFailed invalidJson invalidActivationCode invalidIccid"
	known := map[string]bool{}
	for name := range strings.FieldsSeq(published) {
		known[name] = true
	}
	for code := range esimStatuses {
		if r := ResultOf(&status.Problem{Code: code}); !known[string(r)] {
			t.Errorf("%s: %q is not published", code, r)
		}
	}
	for code, want := range map[string]ActivationResult{
		"es9p-8.2.6-3.8": "invalidMatchingId", "es9p-8.1.1-3.8": "eidMismatch", "no-modem": "modemNotFound", "net-timeout": "serverNotReachable",
		"tls-expired": "unknownError", "install-iccid-exists": "unknownError", "no-data": "success",
	} {
		if got := ResultOf(&status.Problem{Code: code}); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
	if ResultOf(nil) != "success" {
		t.Error(ResultOf(nil))
	}
}

func TestRegistrationOf(t *testing.T) {
	for state, want := range map[string]RegistrationState{ // the words of +CEREG's <stat>, TS 27.007 10.1.22
		"home": "home", "roaming": "roaming", "searching": "searching", "denied": "denied", "idle": "deregistered", "unknown": "none", "": "none",
		"home, SMS only": "home", "roaming, SMS only": "roaming", "emergency only": "deregistered", "disaster roaming": "roaming",
	} {
		if got := RegistrationOf(state); got != want {
			t.Errorf("%q: %s, want %s", state, got, want)
		}
	}
}
