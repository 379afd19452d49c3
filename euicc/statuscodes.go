package euicc

// statusCode is the pair that an RSP server answers with: subject and reason
// (SGP.22 5.2.6). They are strings: 3.10 is not 3.1.
type statusCode struct{ subject, reason string }

// statusCodes are the errors of ES9+ and ES11. Each row names the function whose
// table of specific status codes in SGP.22 has it; 5.2.6.2 has the rest.
var statusCodes = map[statusCode]Diagnosis{
	// 5.2.6.1 and 5.2.6.2, of any function.
	{"1.2.1", "2.1"}: {"the server does not accept our content type", RetryNever, "report this as a defect of dynamod"},
	{"1.2.2", "2.1"}: {"the server does not accept our protocol version", RetryNever, "report this with the name of the server"},

	// 5.6.1 ES9+.InitiateAuthentication.
	{"8.8.1", "3.8"}: {"the server does not know itself by this address", RetryNever, "compare the SM-DP+ address of the activation code with the operator's"},
	{"8.8.2", "3.1"}: {"card and server share no certificate issuer", RetryNever, "a test card needs a test server and a live card a live one; see the card's issuers with `dynamod diag`"},
	{"8.8.3", "3.1"}: {"the server does not support the card's version of SGP.22", RetryNever, "the operator has to name a server for this card's version"},
	{"8.8.4", "3.7"}: {"the server has no certificate from an issuer that the card trusts", RetryNever, "a test card needs a test server and a live card a live one; see the card's issuers with `dynamod diag`"},

	// 5.6.3 ES9+.AuthenticateClient.
	{"8.1.2", "6.1"}:  {"the server refuses the certificate of the card's maker", RetryNever, "the operator's server does not accept this make of card, or it is a test card"},
	{"8.1.2", "6.3"}:  {"for the server the certificate of the card's maker has expired", RetryNever, "the clock of the server may be wrong; ask the operator"},
	{"8.1.3", "6.1"}:  {"the server refuses the card's certificate", RetryNever, "the operator's server does not accept this card, or it is a test card"},
	{"8.1.3", "6.3"}:  {"for the server the card's certificate has expired", RetryNever, "the clock of the server may be wrong; ask the operator"},
	{"8.1.4", "6.1"}:  {"the card's EID is outside the range of its maker's certificate", RetryNever, "the card's certificates are faulty; use another card"},
	{"8.1", "6.1"}:    {"the server refuses the card's signature", RetryNow, "if it happens again the modem garbles long commands: try a smaller block size"},
	{"8.1", "4.8"}:    {"the card has not enough memory for this profile", RetryAsk, "delete a profile that is not needed and try again"},
	{"8.1.1", "2.1"}:  {"the server does not support this EID", RetryNewCode, "ask the operator for a code for this card's EID"},
	{"8.1.1", "2.2"}:  {"the order needs an EID and has none", RetryNewCode, "the code has no matching ID and no order is bound to this EID: ask the operator for a code"},
	{"8.1.1", "3.1"}:  {"the profile is bound to another card's EID", RetryNewCode, "this code belongs to another device: compare the EID with the order"},
	{"8.1.1", "3.8"}:  {"the order is for another card's EID", RetryNewCode, "this code belongs to another device: compare the EID with the order"},
	{"8.1.1", "3.10"}: {"the profile is bound to another card's EID", RetryNewCode, "this code belongs to another device: compare the EID with the order"},
	{"8.2", "1.2"}:    {"the operator has not released the profile yet", RetryLater, "the operator has to release the order"},
	{"8.2.1", "3.1"}:  {"the profile is bound to another card's EID", RetryNewCode, "this code belongs to another device: compare the EID with the order"},
	{"8.2.1", "3.10"}: {"the profile is bound to another card's EID", RetryNewCode, "this code belongs to another device: compare the EID with the order"},
	{"8.2.5", "4.3"}:  {"the operator has no profile for this kind of device", RetryNever, "the order excludes this device or card: compare its TAC and capabilities with the operator's list"},
	{"8.2.6", "3.3"}:  {"the matching ID conflicts with another order", RetryNewCode, "ask the operator for a new code"},
	{"8.2.6", "3.8"}:  {"the server refuses the matching ID", RetryNewCode, "the code is mistyped, used or withdrawn; do not try again, tries are counted"},
	{"8.2.6", "3.10"}: {"the matching ID belongs to another profile", RetryNewCode, "ask the operator for a new code"},
	{"8.8.5", "4.10"}: {"the order has expired", RetryNewCode, "ask the operator for a new code"},
	{"8.8.5", "6.4"}:  {"the order was tried too often", RetryNewCode, "ask the operator for a new code"},
	{"8.10.1", "3.9"}: {"the server does not know the session any more", RetryNow, "too much time passed between two steps; a new session may work"},
	{"8.11.1", "3.9"}: {"the server does not trust the issuer of the card's certificates", RetryNever, "a test card needs a test server and a live card a live one"},

	// 5.6.2 ES9+.GetBoundProfilePackage.
	{"8.2", "3.7"}:   {"the server does not bind this profile again", RetryNewCode, "the code was used before: look whether the profile is on the card, else ask the operator for a new code"},
	{"8.2.5", "3.7"}: {"the operator has no profile left for this order", RetryLater, "the operator has to refill the stock of profiles"},
	{"8.2.7", "2.2"}: {"the server asks for a confirmation code", RetryAsk, "enter the confirmation code that came with the order"},
	{"8.2.7", "3.8"}: {"the server refuses the confirmation code", RetryAsk, "check the confirmation code; tries are counted"},
	{"8.2.7", "6.4"}: {"the confirmation code was wrong too often", RetryNewCode, "ask the operator for a new code"},

	// 5.6.5 ES9+.CancelSession.
	{"8.8", "3.10"}: {"the object identifier of the server is not the one that was signed", RetryNever, "report this with the name of the server"},

	// 5.3 ES2+, the operator's side of an order; servers have been seen to let
	// these through.
	{"8.2.1", "1.2"}: {"the operator may not use this profile", RetryNewCode, "ask the operator for a new code"},
	{"8.2.1", "3.3"}: {"the profile of this order is not available", RetryNewCode, "ask the operator for a new code"},
	{"8.2.1", "3.5"}: {"the profile of this order cannot be released", RetryNewCode, "ask the operator for a new code"},
	{"8.2.1", "3.9"}: {"the server does not know the profile of this order", RetryNewCode, "ask the operator for a new code"},
	{"8.2.5", "1.2"}: {"the operator may not use this type of profile", RetryNewCode, "ask the operator for a new code"},
	{"8.2.5", "3.8"}: {"the profile of this order is of another type", RetryNewCode, "ask the operator for a new code"},
	{"8.2.5", "3.9"}: {"the server does not know the type of profile", RetryNewCode, "ask the operator for a new code"},
	{"8.2.6", "3.1"}: {"the matching ID belongs to another profile", RetryNewCode, "ask the operator for a new code"},

	// 5.8.1 and 5.8.2 ES11, and 5.3 for what a server reports of an SM-DS.
	{"8.9", "4.2"}:   {"the discovery server failed", RetryLater, "use an activation code instead"},
	{"8.9", "5.1"}:   {"the discovery server cannot be reached", RetryLater, "use an activation code instead"},
	{"8.9.1", "3.8"}: {"the discovery server does not know itself by this address", RetryNever, "compare the SM-DS address with the operator's"},
	{"8.9.2", "3.1"}: {"card and discovery server share no certificate issuer", RetryNever, "use an activation code instead"},
	{"8.9.3", "3.1"}: {"the discovery server does not support the card's version of SGP.22", RetryNever, "use an activation code instead"},
	{"8.9.4", "3.7"}: {"the discovery server has no certificate from an issuer that the card trusts", RetryNever, "use an activation code instead"},
	{"8.9.5", "3.3"}: {"the discovery server has this event already", RetryNever, "the operator has to correct the order"},
	{"8.9.5", "3.9"}: {"the discovery server has no such event for this card", RetryLater, "the operator may not have registered the order yet; use an activation code"},
}

// reasons are the reason codes alone, for pairs that no table has (SGP.22
// 5.2.6.2).
var reasons = map[string]Diagnosis{
	"1.1":  {"not authorised", RetryNever, "ask the operator"},
	"1.2":  {"not allowed", RetryNever, "ask the operator"},
	"2.1":  {"a value is not valid", RetryNever, "report this with the name of the server"},
	"2.2":  {"a value is missing", RetryNever, "report this with the name of the server"},
	"2.3":  {"a value is missing that the others make necessary", RetryNever, "report this with the name of the server"},
	"3.1":  {"not supported", RetryNever, "ask the operator"},
	"3.3":  {"already in use", RetryNewCode, "ask the operator"},
	"3.5":  {"not possible in its present state", RetryNewCode, "ask the operator"},
	"3.7":  {"not available", RetryLater, "ask the operator"},
	"3.8":  {"refused", RetryNewCode, "ask the operator"},
	"3.9":  {"unknown", RetryNever, "ask the operator"},
	"3.10": {"it belongs to something else", RetryNewCode, "ask the operator"},
	"4.1":  {"not possible now", RetryLater, "try again later"},
	"4.2":  {"failed while it was carried out", RetryLater, "try again later"},
	"4.3":  {"stopped", RetryNever, "ask the operator"},
	"4.8":  {"not enough memory", RetryAsk, "delete a profile that is not needed and try again"},
	"4.10": {"its time has passed", RetryNewCode, "ask the operator for a new code"},
	"5.1":  {"not reachable", RetryLater, "try again later"},
	"5.3":  {"no answer in time", RetryLater, "try again later"},
	"6.1":  {"verification failed", RetryNever, "ask the operator"},
	"6.3":  {"expired", RetryNever, "ask the operator"},
	"6.4":  {"tried too often", RetryNewCode, "ask the operator for a new code"},
}

// DiagnoseStatus returns what a server's status code means. Codes that no table
// has get the meaning of their reason.
func DiagnoseStatus(subject, reason string) Diagnosis {
	if d, ok := statusCodes[statusCode{subject, reason}]; ok {
		return d
	}
	if d, ok := reasons[reason]; ok {
		d.Text = "the server answers: " + d.Text
		return d
	}
	return Diagnosis{"the server answers with a status code that is not in the specification", RetryNever, "ask the operator what the code means"}
}
