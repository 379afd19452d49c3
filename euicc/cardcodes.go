package euicc

import (
	"fmt"

	"dynamod/euicc/apdu"
)

// BPPCommand is the part of a Bound Profile Package at which an installation
// failed (SGP.22 BppCommandId, 2.5.6). -1 stands for none.
type BPPCommand int

// The commands of a Bound Profile Package.
const (
	InitialiseSecureChannel BPPCommand = 0
	ConfigureISDP           BPPCommand = 1
	StoreMetadata           BPPCommand = 2
	StoreMetadata2          BPPCommand = 3
	ReplaceSessionKeys      BPPCommand = 4
	LoadProfileElements     BPPCommand = 5
)

// String returns the specification's name of the command.
func (c BPPCommand) String() string {
	return named(int(c), "initialiseSecureChannel", "configureISDP", "storeMetadata", "storeMetadata2", "replaceSessionKeys", "loadProfileElements")
}

// BPPReason is why an installation failed (SGP.22 ErrorReason, 2.5.6). -1 stands
// for none.
type BPPReason int

// The reasons for a failed installation.
const (
	ReasonIncorrectInput    BPPReason = 1
	ReasonInvalidSignature  BPPReason = 2
	ReasonTransactionID     BPPReason = 3
	ReasonCRT               BPPReason = 4
	ReasonRemoteOperation   BPPReason = 5
	ReasonProfileClass      BPPReason = 6
	ReasonSCP03tStructure   BPPReason = 7
	ReasonSCP03tSecurity    BPPReason = 8
	ReasonICCIDExists       BPPReason = 9
	ReasonMemory            BPPReason = 10
	ReasonInterruption      BPPReason = 11
	ReasonPEProcessing      BPPReason = 12
	ReasonDataMismatch      BPPReason = 13
	ReasonTestProfileNAAKey BPPReason = 14
	ReasonPPRNotAllowed     BPPReason = 15
	ReasonUnknownError      BPPReason = 127
)

// installReasons carry the specification's name, our code and what to do; SGP.22
// 2.5.6, ErrorReason, with 3.1.3.3 for what may be tried again: the server takes
// any of these results for the order's end, except where the card was interrupted
// or had no room.
var installReasons = map[BPPReason]struct {
	code string
	Diagnosis
}{
	ReasonIncorrectInput:    {"incorrect-input", Diagnosis{"the card refuses a value in the profile package", RetryNewCode, "the operator's profile does not suit this card; report both numbers"}},
	ReasonInvalidSignature:  {"signature", Diagnosis{"the card refuses the server's signature in the profile package", RetryNewCode, "the order is used up: ask the operator for a new code, and tell of the signature"}},
	ReasonTransactionID:     {"transaction-id", Diagnosis{"the profile package belongs to another session", RetryNewCode, "the order is used up: ask the operator for a new code"}},
	ReasonCRT:               {"crt", Diagnosis{"the card does not support the key agreement of the profile package", RetryNever, "the operator's server does not suit this card"}},
	ReasonRemoteOperation:   {"remote-operation", Diagnosis{"the card does not support the operation of the profile package", RetryNever, "the operator's server does not suit this card"}},
	ReasonProfileClass:      {"profile-class", Diagnosis{"the card does not take profiles of this class", RetryNever, "this is a test or provisioning profile that the card refuses: ask for an operational one"}},
	ReasonSCP03tStructure:   {"scp03t-structure", Diagnosis{"the profile package came to the card in bad shape", RetryNewCode, "the order is used up: ask for a new code; if it happens again the modem garbles commands: try a smaller block size"}},
	ReasonSCP03tSecurity:    {"scp03t-security", Diagnosis{"the profile package came to the card with a wrong checksum", RetryNewCode, "the order is used up: ask for a new code; if it happens again the modem garbles commands: try a smaller block size"}},
	ReasonICCIDExists:       {"iccid-exists", Diagnosis{"a profile with this ICCID is on the card already", RetryNever, "enable the one that is there, or delete it and ask for a new code"}},
	ReasonMemory:            {"memory", Diagnosis{"the card has not enough memory for this profile", RetryAsk, "delete a profile that is not needed and try again"}},
	ReasonInterruption:      {"interruption", Diagnosis{"the installation was interrupted", RetryNow, "a new session may work; look at the power supply of modem and card"}},
	ReasonPEProcessing:      {"pe-processing", Diagnosis{"the card cannot process an element of the profile", RetryNewCode, "card firmware and profile do not suit each other; repeating only uses up the order"}},
	ReasonDataMismatch:      {"data-mismatch", Diagnosis{"the profile's own data contradict its metadata", RetryNewCode, "the operator's profile is faulty"}},
	ReasonTestProfileNAAKey: {"naa-key", Diagnosis{"the test profile has keys that the card does not allow", RetryNever, "the test profile is faulty"}},
	ReasonPPRNotAllowed:     {"ppr-not-allowed", Diagnosis{"the card's rules do not allow the policy rules of this profile", RetryNever, "the operator of this profile may not set policy rules on this card"}},
	ReasonUnknownError:      {"unknown", Diagnosis{"the card could not install the profile and does not say why", RetryNewCode, "the order is used up: ask for a new code; if it happens again report card make and firmware"}},
}

// DiagnoseInstall returns our stable code and the meaning of a failed
// installation's reason.
func DiagnoseInstall(r BPPReason) (code string, d Diagnosis) {
	if row, ok := installReasons[r]; ok {
		return "install-" + row.code, row.Diagnosis
	}
	return fmt.Sprintf("install-%d", int(r)), Diagnosis{"the card could not install the profile, its reason is not in the specification", RetryNever, "report card make and firmware with both numbers"}
}

// statusWords are the status words that field engineers meet: ISO/IEC 7816-4
// 5.6, ETSI TS 102 221 10.2.1, and SGP.22 5.7.1 for the ISD-R.
var statusWords = map[apdu.Status]Diagnosis{
	0x6700: {"the card refuses the length of the command", RetryNow, "try a smaller block size"},
	0x6881: {"the card does not support this logical channel", RetryNow, "close other users of the card or power it off and on"},
	0x6982: {"the card refuses the command: security status", RetryNow, "power the card off and on"},
	0x6985: {"the card refuses the command in its present state", RetryNow, "the session or its channel is gone, or the card waits for a reset: power it off and on"},
	0x6A80: {"the card refuses the data of the command", RetryNow, "if it happens again the modem garbles commands: try a smaller block size"},
	0x6A81: {"the card has no free logical channel", RetryNow, "close stale channels or power the card off and on"},
	0x6A82: {"the card has no such application", RetryNever, "it is no eUICC, or the modem hides it"},
	0x6A84: {"the card has not enough memory", RetryAsk, "delete a profile that is not needed and try again"},
	0x6A88: {"the card does not find what the command refers to", RetryNow, "a new session may work"},
	0x6D00: {"the application on the card does not know the command", RetryNever, "the wrong application is selected: it is no ISD-R"},
	0x6E00: {"the application on the card does not know this class of command", RetryNever, "the wrong application or channel is selected"},
	0x6F00: {"the card failed inside", RetryNow, "power the card off and on"},
}

// modemErrors are the codes of +CME ERROR with which modems answer card commands
// (3GPP TS 27.007, 9.2.1).
var modemErrors = map[int]Diagnosis{
	0:  {"the modem failed", RetryNow, "it may have lost the card: restart the modem"},
	3:  {"the modem does not allow card commands", RetryNever, "its firmware keeps the card away from this port: try another port"},
	4:  {"the modem does not support card commands", RetryNever, "its firmware keeps the card away from this port: try another port"},
	10: {"the modem sees no card", RetryAsk, "look at the slot, and whether the modem uses it"},
	11: {"the card wants its PIN", RetryAsk, "name the file with the PIN in [modem] pin_file"},
	12: {"the card wants its PUK", RetryAsk, "the PIN was wrong too often: unblock it with the operator's PUK"},
	13: {"the modem has lost the card", RetryNow, "power the card off and on, or restart the modem"},
	14: {"the card is busy", RetryLater, "wait and try again"},
	15: {"the modem takes the card for a wrong one", RetryAsk, "the modem may be locked to another operator"},
	30: {"the modem has no network service for it", RetryLater, "wait for registration and try again"},
}

// DiagnoseModem returns what the code of a +CME ERROR to a card command means,
// and whether it is one with a meaning of its own.
func DiagnoseModem(code int) (Diagnosis, bool) {
	d, ok := modemErrors[code]
	return d, ok
}

// DiagnoseSW returns what a status word other than 9000 and 91xx means.
func DiagnoseSW(sw apdu.Status) Diagnosis {
	if d, ok := statusWords[sw]; ok {
		return d
	}
	return Diagnosis{"the card refuses the command", RetryNow, "power the card off and on; report the status word if it comes back"}
}
