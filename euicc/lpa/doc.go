// Package lpa is a Local Profile Assistant: the procedures of SGP.22 over a card
// and a server. It keeps nothing on disk, and no goroutine outlives the call that
// started it; what has to outlive a crash, the transaction ID of an Order, is the
// caller's to note between the steps.
//
//	card, err := lpa.Open(ctx, lpa.Config{Transport: modem})
//	code, err := euicc.ParseActivationCode(text)
//	order, err := card.Authenticate(ctx, code)
//	result, err := order.Download(ctx, "", nil)
//	err = card.Enable(ctx, order.Metadata.ICCID, true)
//
// Where there is no activation code, Discover asks a discovery server and
// AuthenticateEvent takes up what it knows; a server by its address alone, such as
// the card's default SM-DP+ (Info), is an ActivationCode without matching ID.
// Nothing falls back from one way to another. Between Authenticate and Download
// the caller decides: Order.Metadata says what would be installed, CheckPolicy
// whether the card allows its policy rules.
//
// The installation result is also a notification: send it with Deliver and then
// remove it with RemoveNotification.
//
// After a crash or a lost line FindResult tells whether the profile arrived, and
// CancelSession ends a session that did not come to a result. Nothing that
// changes the card is ever repeated here.
//
// All errors are *euicc.Error.
package lpa
