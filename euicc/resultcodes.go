package euicc

// cardResult is the function of the card and the result that it answered with,
// both with the specification's names.
type cardResult struct{ function, name string }

const (
	garbled  = "if it happens again the modem garbles long commands: try a smaller block size"
	toOther  = "a test card needs a test server and a live card a live one; see the card's issuers with `dynamod card`"
	powerOff = "power the card off and on and try again; if it comes back report card make and firmware"
	listThem = "`dynamod profiles` lists what is there"
)

// cardResults are the results of ES10a, ES10b and ES10c, each with the section of
// SGP.22 that has it; the numbers are in annex H and in package es10. Install
// errors have a table of their own, installReasons.
var cardResults = map[cardResult]Diagnosis{
	// 5.7.4 ES10a.SetDefaultDpAddress.
	{"setDefaultDpAddress", "undefinedError"}: {"the card does not take the address", RetryNow, powerOff},

	// 5.7.5 ES10b.PrepareDownload, DownloadErrorCode.
	{"prepareDownload", "invalidCertificate"}:   {"the card refuses the certificate with which the server signs profiles", RetryNow, garbled},
	{"prepareDownload", "invalidSignature"}:     {"the card refuses the server's signature below the order", RetryNow, garbled},
	{"prepareDownload", "unsupportedCurve"}:     {"the card does not support the server's elliptic curve", RetryNever, "the operator has to name a server for this card"},
	{"prepareDownload", "noSessionContext"}:     {"the card has no session any more", RetryNow, "something else has used the card in between; a new session may work"},
	{"prepareDownload", "invalidTransactionId"}: {"the order is for another session than the card's", RetryNow, "something else has used the card in between; a new session may work"},
	{"prepareDownload", "undefinedError"}:       {"the card refuses the order and does not say why", RetryNow, powerOff},

	// 5.7.9 to 5.7.11 ES10b, notifications.
	{"listNotification", "undefinedError"}:             {"the card cannot list its reports", RetryNow, powerOff},
	{"retrieveNotificationsList", "noResultAvailable"}: {"the card has no such report", RetryNever, "`dynamod notifications` lists what is there"},
	{"retrieveNotificationsList", "undefinedError"}:    {"the card cannot give its reports", RetryNow, powerOff},
	{"removeNotificationFromList", "nothingToDelete"}:  {"the card has no such report any more", RetryNever, "`dynamod notifications` lists what is there"},
	{"removeNotificationFromList", "undefinedError"}:   {"the card cannot remove the report", RetryNow, powerOff},

	// 5.7.13 ES10b.AuthenticateServer, AuthenticateErrorCode.
	{"authenticateServer", "invalidCertificate"}:     {"the card does not trust the server's certificate", RetryNever, toOther},
	{"authenticateServer", "invalidSignature"}:       {"the card refuses the server's signature", RetryNow, garbled},
	{"authenticateServer", "unsupportedCurve"}:       {"the card does not support the server's elliptic curve", RetryNever, "the operator has to name a server for this card"},
	{"authenticateServer", "noSessionContext"}:       {"the card has no session any more", RetryNow, "something else has used the card in between; a new session may work"},
	{"authenticateServer", "invalidOid"}:             {"the server's object identifier is not the one that the card expects", RetryNever, "report this with the name of the server"},
	{"authenticateServer", "euiccChallengeMismatch"}: {"the server signed another challenge than the card's", RetryNow, garbled},
	{"authenticateServer", "ciPKUnknown"}:            {"the card does not know the issuer that the server chose", RetryNever, toOther},
	{"authenticateServer", "undefinedError"}:         {"the card refuses the server and does not say why", RetryNow, powerOff},

	// 5.7.14 ES10b.CancelSession.
	{"cancelSession", "invalidTransactionId"}: {"the card does not have this session any more", RetryNever, "there is nothing left to cancel on the card"},
	{"cancelSession", "undefinedError"}:       {"the card does not end the session", RetryNow, powerOff},

	// 5.7.15 ES10c.GetProfilesInfo.
	{"getProfilesInfo", "incorrectInputValues"}: {"the card does not understand what it is asked for", RetryNever, "report card make and firmware"},
	{"getProfilesInfo", "undefinedError"}:       {"the card cannot list its profiles", RetryNow, powerOff},
	{"getProfilesInfo", "noResultAvailable"}:    {"the card has no such profile", RetryNever, listThem},

	// 5.7.16 ES10c.EnableProfile.
	{"enableProfile", "iccidOrAidNotFound"}:        {"the card has no such profile", RetryNever, listThem},
	{"enableProfile", "profileNotInDisabledState"}: {"the profile is enabled already", RetryNever, listThem},
	{"enableProfile", "disallowedByPolicy"}:        {"the profile that is enabled must not be disabled (policy rule PPR1)", RetryNever, "only its operator can lift that rule"},
	{"enableProfile", "wrongProfileReenabling"}:    {"after a test profile the card enables only the profile that was in use before", RetryAsk, "enable that one first"},
	{"enableProfile", "catBusy"}:                   {"the card's toolkit is busy", RetryLater, "wait and try again, or without refresh; else power the card off and on"},
	{"enableProfile", "undefinedError"}:            {"the card does not enable the profile and does not say why", RetryNow, "some cards refuse a refresh: try without; else power the card off and on"},

	// 5.7.17 ES10c.DisableProfile.
	{"disableProfile", "iccidOrAidNotFound"}:       {"the card has no such profile", RetryNever, listThem},
	{"disableProfile", "profileNotInEnabledState"}: {"the profile is disabled already", RetryNever, listThem},
	{"disableProfile", "disallowedByPolicy"}:       {"the profile must not be disabled (policy rule PPR1)", RetryNever, "only its operator can lift that rule"},
	{"disableProfile", "catBusy"}:                  {"the card's toolkit is busy", RetryLater, "wait and try again, or without refresh; else power the card off and on"},
	{"disableProfile", "undefinedError"}:           {"the card does not disable the profile and does not say why", RetryNow, "some cards refuse a refresh: try without; else power the card off and on"},

	// 5.7.18 ES10c.DeleteProfile.
	{"deleteProfile", "iccidOrAidNotFound"}:        {"the card has no such profile", RetryNever, listThem},
	{"deleteProfile", "profileNotInDisabledState"}: {"the profile is enabled", RetryAsk, "enable another one, or disable it, first"},
	{"deleteProfile", "disallowedByPolicy"}:        {"the profile must not be deleted (policy rule PPR2)", RetryNever, "only its operator can lift that rule; `dynamod card reset` deletes it all the same"},
	{"deleteProfile", "undefinedError"}:            {"the card does not delete the profile and does not say why", RetryNow, powerOff},

	// 5.7.19 ES10c.eUICCMemoryReset.
	{"eUICCMemoryReset", "nothingToDelete"}: {"there is nothing to reset", RetryNever, listThem},
	{"eUICCMemoryReset", "catBusy"}:         {"the card's toolkit is busy", RetryLater, "wait and try again; else power the card off and on"},
	{"eUICCMemoryReset", "undefinedError"}:  {"the card does not reset its memory and does not say why", RetryNow, powerOff},

	// 5.7.21 ES10c.SetNickname.
	{"setNickname", "iccidNotFound"}:  {"the card has no such profile", RetryNever, listThem},
	{"setNickname", "undefinedError"}: {"the card does not take the nickname", RetryNever, "try a shorter name; else report card make and firmware"},
}

// DiagnoseResult returns what a card's result means, given the specification's
// names of function and result ("" for a number that it does not have).
func DiagnoseResult(function, name string) Diagnosis {
	if d, ok := cardResults[cardResult{function, name}]; ok {
		return d
	}
	return Diagnosis{"the card refuses, its reason is not in the specification", RetryNever, "report card make and firmware with the number"}
}
