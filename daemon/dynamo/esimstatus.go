package dynamo

import (
	"strings"

	"dynamod/daemon/status"
)

// ESimOperationStatus is what an operation on an eSIM came to, in the numbers and
// names of Windows.Networking.NetworkOperators. The names are what the portal gets
// in X-MP-LPAError-Codes.
type ESimOperationStatus int

// The published values.
const (
	Success                            ESimOperationStatus = 0
	NotAuthorized                      ESimOperationStatus = 1
	NotFound                           ESimOperationStatus = 2
	PolicyViolation                    ESimOperationStatus = 3
	InsufficientSpaceOnCard            ESimOperationStatus = 4
	ServerFailure                      ESimOperationStatus = 5
	ServerNotReachable                 ESimOperationStatus = 6
	TimeoutWaitingForUserConsent       ESimOperationStatus = 7
	IncorrectConfirmationCode          ESimOperationStatus = 8
	ConfirmationCodeMaxRetriesExceeded ESimOperationStatus = 9
	CardRemoved                        ESimOperationStatus = 10
	CardBusy                           ESimOperationStatus = 11
	Other                              ESimOperationStatus = 12
	CardGeneralFailure                 ESimOperationStatus = 13
	ConfirmationCodeMissing            ESimOperationStatus = 14
	InvalidMatchingID                  ESimOperationStatus = 15
	NoEligibleProfileForThisDevice     ESimOperationStatus = 16
	OperationAborted                   ESimOperationStatus = 17
	EIDMismatch                        ESimOperationStatus = 18
	ProfileNotAvailableForNewBinding   ESimOperationStatus = 19
	ProfileNotReleasedByOperator       ESimOperationStatus = 20
	OperationProhibitedByProfileClass  ESimOperationStatus = 21
	ProfileNotPresent                  ESimOperationStatus = 22
	NoCorrespondingRequest             ESimOperationStatus = 23
	TimeoutWaitingForResponse          ESimOperationStatus = 24
	ICCIDAlreadyExists                 ESimOperationStatus = 25
	ProfileProcessingError             ESimOperationStatus = 26
	ServerNotTrusted                   ESimOperationStatus = 27
	ProfileDownloadMaxRetriesExceeded  ESimOperationStatus = 28
)

var esimStatusNames = [...]string{
	"Success", "NotAuthorized", "NotFound", "PolicyViolation", "InsufficientSpaceOnCard", "ServerFailure", "ServerNotReachable",
	"TimeoutWaitingForUserConsent", "IncorrectConfirmationCode", "ConfirmationCodeMaxRetriesExceeded", "CardRemoved", "CardBusy", "Other",
	"CardGeneralFailure", "ConfirmationCodeMissing", "InvalidMatchingId", "NoEligibleProfileForThisDevice", "OperationAborted", "EidMismatch",
	"ProfileNotAvailableForNewBinding", "ProfileNotReleasedByOperator", "OperationProhibitedByProfileClass", "ProfileNotPresent",
	"NoCorrespondingRequest", "TimeoutWaitingForResponse", "IccidAlreadyExists", "ProfileProcessingError", "ServerNotTrusted",
	"ProfileDownloadMaxRetriesExceeded",
}

// String returns the published name.
func (s ESimOperationStatus) String() string {
	if s < 0 || int(s) >= len(esimStatusNames) {
		return "Other"
	}
	return esimStatusNames[s]
}

// StatusOf is the status of a run's problem; of none it is Success. A problem of
// the time after the profile was enabled, such as a denied registration, is Success
// too: the portal learns of that as a registration state.
//
// The published table has names and no definitions. For the codes of SGP.22 that
// say the same thing the name decides; where two would do, the one is taken that
// makes a portal do the right thing (a new order, a later try, a card to be looked at).
func StatusOf(p *status.Problem) ESimOperationStatus {
	if p == nil {
		return Success
	}
	if p.Code == "deadline" && p.Stage == "waiting" {
		return TimeoutWaitingForUserConsent
	}
	if p.Cause != nil { // the modem's own word says more than that the card cannot be talked to
		switch p.Cause.CME { // 3GPP TS 27.007, 9.2.1
		case "10", "13":
			return CardRemoved
		case "14":
			return CardBusy
		}
	}
	if s, ok := esimStatuses[p.Code]; ok {
		return s
	}
	for _, f := range esimStatusFamilies {
		if strings.HasPrefix(p.Code, f.prefix) {
			return f.status
		}
	}
	return Other
}

// esimStatuses are by the stable codes of problems. Those of a server are SGP.22's
// subject and reason, see package euicc for what each says.
var esimStatuses = map[string]ESimOperationStatus{
	"es9p-8.1-4.8":   InsufficientSpaceOnCard,
	"es9p-8.1-6.1":   CardGeneralFailure,
	"es9p-8.1.1-2.1": NoEligibleProfileForThisDevice,
	"es9p-8.1.1-2.2": InvalidMatchingID,
	"es9p-8.1.1-3.1": EIDMismatch, "es9p-8.1.1-3.8": EIDMismatch, "es9p-8.1.1-3.10": EIDMismatch,
	"es9p-8.2.1-3.1": EIDMismatch, "es9p-8.2.1-3.10": EIDMismatch,
	"es9p-8.1.2-6.1": NotAuthorized, "es9p-8.1.2-6.3": NotAuthorized, "es9p-8.1.3-6.1": NotAuthorized, "es9p-8.1.3-6.3": NotAuthorized,
	"es9p-8.1.4-6.1": NotAuthorized, "es9p-8.11.1-3.9": NotAuthorized,
	"es9p-8.2-1.2": ProfileNotReleasedByOperator,
	"es9p-8.2-3.7": ProfileNotAvailableForNewBinding,
	// ES2+: the order's profile has another state than the order
	"es9p-8.2.1-1.2": ProfileNotAvailableForNewBinding, "es9p-8.2.1-3.3": ProfileNotAvailableForNewBinding, "es9p-8.2.1-3.5": ProfileNotAvailableForNewBinding,
	"es9p-8.2.1-3.9": NotFound,
	"es9p-8.2.5-1.2": NoEligibleProfileForThisDevice, "es9p-8.2.5-3.7": NoEligibleProfileForThisDevice, "es9p-8.2.5-3.8": NoEligibleProfileForThisDevice,
	"es9p-8.2.5-3.9": NoEligibleProfileForThisDevice, "es9p-8.2.5-4.3": NoEligibleProfileForThisDevice,
	"es9p-8.2.6-3.1": InvalidMatchingID, "es9p-8.2.6-3.3": InvalidMatchingID, "es9p-8.2.6-3.8": InvalidMatchingID, "es9p-8.2.6-3.10": InvalidMatchingID,
	"es9p-8.2.7-2.2": ConfirmationCodeMissing, "es9p-8.2.7-3.8": IncorrectConfirmationCode, "es9p-8.2.7-6.4": ConfirmationCodeMaxRetriesExceeded,
	"es9p-8.8.2-3.1": ServerNotTrusted, "es9p-8.8.4-3.7": ServerNotTrusted, "es9p-8.8-3.10": ServerNotTrusted,
	"es9p-8.9.2-3.1": ServerNotTrusted, "es9p-8.9.4-3.7": ServerNotTrusted,
	"es9p-8.8.5-4.10": NoCorrespondingRequest,
	"es9p-8.8.5-6.4":  ProfileDownloadMaxRetriesExceeded,
	"es9p-8.9-5.1":    ServerNotReachable,
	"es9p-8.9.5-3.9":  NotFound, "no-event": NotFound,

	"install-iccid-exists": ICCIDAlreadyExists, "install-memory": InsufficientSpaceOnCard, "memory": InsufficientSpaceOnCard,
	"install-profile-class": OperationProhibitedByProfileClass, "install-ppr-not-allowed": PolicyViolation, "ppr-not-allowed": PolicyViolation,
	"install-interruption": OperationAborted,

	"es10-authenticateServer-invalidCertificate": ServerNotTrusted, "es10-authenticateServer-invalidSignature": ServerNotTrusted,
	"es10-authenticateServer-ciPKUnknown": ServerNotTrusted, "es10-authenticateServer-invalidOid": ServerNotTrusted,
	"es10-authenticateServer-euiccChallengeMismatch": ServerNotTrusted,
	"es10-prepareDownload-invalidCertificate":        ServerNotTrusted, "es10-prepareDownload-invalidSignature": ServerNotTrusted,
	"es10-prepareDownload-invalidTransactionId": ServerFailure,
	"es10-enableProfile-iccidOrAidNotFound":     ProfileNotPresent, "es10-disableProfile-iccidOrAidNotFound": ProfileNotPresent,
	"es10-deleteProfile-iccidOrAidNotFound": ProfileNotPresent, "es10-setNickname-iccidNotFound": ProfileNotPresent,
	"es10-enableProfile-disallowedByPolicy": PolicyViolation, "es10-disableProfile-disallowedByPolicy": PolicyViolation,
	"es10-deleteProfile-disallowedByPolicy":     PolicyViolation,
	"es10-enableProfile-wrongProfileReenabling": OperationProhibitedByProfileClass,
	"es10-enableProfile-catBusy":                CardBusy, "es10-disableProfile-catBusy": CardBusy, "es10-eUICCMemoryReset-catBusy": CardBusy,
	"sw-6A84": InsufficientSpaceOnCard,

	"confirmation-code-missing": ConfirmationCodeMissing,
	"metadata-mismatch":         ServerFailure, "bpp-malformed": ServerFailure,
	"net-timeout": TimeoutWaitingForResponse, "timeout": TimeoutWaitingForResponse, "deadline": TimeoutWaitingForResponse,
	"net-private": ServerNotTrusted, "tls-handshake": ServerNotReachable,

	"rejected": OperationAborted, "cancelled": OperationAborted, "cancelled-late": OperationAborted, "interrupted": OperationAborted, "ended": OperationAborted,
	"request-lost":    NoCorrespondingRequest,
	"outcome-unknown": CardGeneralFailure, "no-result": CardGeneralFailure, "card-transport": CardGeneralFailure,
	"ppr1-enabled": PolicyViolation, "no-way-back": PolicyViolation, "ppr1-not-alone": PolicyViolation,
	"test-profile-enabled": OperationProhibitedByProfileClass,
	"no-sim":               CardRemoved, "sim-lost": CardRemoved,
	"busy":       CardBusy,
	"bad-answer": ConfirmationCodeMissing,

	// the profile is enabled, and then:
	"no-data": Success, "no-apn": Success, "not-registered": Success, "registration-denied": Success, "attach-only": Success,
	"limited": Success, "roaming-off": Success, "no-interface": Success, "not-reported": Success,
}

// esimStatusFamilies are for what the table does not name.
var esimStatusFamilies = []struct {
	prefix string
	status ESimOperationStatus
}{
	{"es9p-", ServerFailure},
	{"install-", ProfileProcessingError},
	{"es10-", CardGeneralFailure},
	{"sw-", CardGeneralFailure},
	{"tls-", ServerNotTrusted},
	{"server-", ServerNotTrusted}, // its certificate for the card, by our clock
	{"ci-", ServerNotTrusted},
	{"net-", ServerNotReachable},
	{"proxy-", ServerNotReachable},
	{"http-", ServerFailure},
	{"body-", ServerFailure},
}

// ActivationResult is MobilePlansActivationError, what a portal's listener gets
// once a download is over.
type ActivationResult string

// The values that are not the name of an ESimOperationStatus.
const (
	ResultUnknownError          ActivationResult = "unknownError"
	ResultModemNotFound         ActivationResult = "modemNotFound"
	ResultInvalidJSON           ActivationResult = "invalidJson"
	ResultInvalidActivationCode ActivationResult = "invalidActivationCode"
	ResultInvalidICCID          ActivationResult = "invalidIccid"
	resultServerNotReachable    ActivationResult = "serverNotReachable"
)

// ResultOf is the activation result of a run's problem. The listeners' enumeration
// is older than the LPA's and lacks its last five names.
func ResultOf(p *status.Problem) ActivationResult {
	if p != nil && p.Code == "no-modem" {
		return ResultModemNotFound
	}
	switch s := StatusOf(p); s {
	case TimeoutWaitingForResponse:
		return resultServerNotReachable
	case ICCIDAlreadyExists, ProfileProcessingError, ServerNotTrusted, ProfileDownloadMaxRetriesExceeded:
		return ResultUnknownError
	default:
		name := s.String()
		return ActivationResult(strings.ToLower(name[:1]) + name[1:])
	}
}

// RegistrationState is MobilePlansNetworkRegistrationState, of the listeners.
type RegistrationState string

// The published values.
const (
	RegistrationNone         RegistrationState = "none"
	RegistrationDeregistered RegistrationState = "deregistered"
	RegistrationSearching    RegistrationState = "searching"
	RegistrationHome         RegistrationState = "home"
	RegistrationRoaming      RegistrationState = "roaming"
	RegistrationPartner      RegistrationState = "partner"
	RegistrationDenied       RegistrationState = "denied"
)

// RegistrationOf is the listeners' word for a registration in the words of
// status.Registration. "partner" is never said: no modem tells a partner network
// from any other abroad.
func RegistrationOf(state string) RegistrationState {
	word, _, _ := strings.Cut(state, ",") // "home, SMS only"
	switch word {
	case "home", "searching", "denied", "roaming":
		return RegistrationState(word)
	case "disaster roaming":
		return RegistrationRoaming
	case "idle", "emergency only":
		return RegistrationDeregistered
	}
	return RegistrationNone
}
