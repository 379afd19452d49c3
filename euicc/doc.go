// Package euicc holds the terms of remote SIM provisioning for consumer devices
// (GSMA SGP.22): identities, the activation code, profiles, notifications, and
// an Error that tells a field engineer what to do. It does no I/O.
//
// Its children speak to the card (apdu, es10), to the server (es9p), know whom
// to trust (ci), and run the procedures (lpa). Who only wants a profile on a
// card starts with lpa.Open.
//
//	code, err := euicc.ParseActivationCode(text)
//	fmt.Println(code.Address, code) // the matching ID is hidden
//	if e, ok := errors.AsType[*euicc.Error](err); ok && e.Retry == euicc.RetryNewCode {
//		fmt.Println(e.Code, e.Advice)
//	}
//
// Section numbers are those of SGP.22 v2.5 unless another document is named.
package euicc
