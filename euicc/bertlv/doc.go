// Package bertlv reads and writes BER-TLV data objects (ISO/IEC 8825-1, as
// SGP.22 and ISO/IEC 7816-4 use them: definite lengths only).
//
// Reading never copies: an Element's Value and Raw alias the input. Writing
// goes through Builder, which nests without a buffer per node, or through the
// Append and Encode functions for a single object.
//
// Tags are written as their bytes read as one number, the way the
// specifications print them: 0x5A, 0x5F37, 0xBF38.
//
//	e, err := bertlv.Expect(response, 0xBF2D)
//	for profile, err := range e.Children() {
//		iccid, ok := profile.Find(0x5A)
//	}
//	request := new(bertlv.Builder).Open(0xBF3E).Put(0x5C, []byte{0x5A}).Close().Bytes()
package bertlv
