// Package apdu carries command APDUs (ISO/IEC 7816-4) to the applications of a
// UICC over whatever the modem offers.
//
// A Transport is one way to reach the card; it opens logical channels. A
// Channel, made by Open, is one logical channel with an application selected:
// it does what every caller needs, GET RESPONSE, wrong Le and the chaining of
// STORE DATA.
//
//	ch, err := apdu.Open(ctx, modem, isdr, apdu.Options{}) // modem is a Transport
//	defer ch.Close()
//	eid, err := ch.StoreData(ctx, []byte{0xBF, 0x3E, 3, 0x5C, 1, 0x5A})
//	if e, ok := errors.AsType[*apdu.StatusError](err); ok {
//		log.Printf("the card answered %s", e.SW)
//	}
package apdu
