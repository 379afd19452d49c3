// Package es10 has the functions that an eUICC offers to the LPA: ES10a, ES10b
// and ES10c (SGP.22 5.7), one file each.
//
// A function is a request type with Execute, which sends it to the ISD-R and
// returns the decoded response. Bytes gives the encoded request, UnmarshalBinary
// decodes a response, for who brings a transport of his own. Unknown data
// objects in a response are never an error.
//
// An answer that reports an error is a *ResultError; a status word is an
// *apdu.StatusError.
//
//	ch, err := apdu.Open(ctx, modem, isdr, apdu.Options{}) // modem is an apdu.Transport
//	eid, err := es10.GetEID{}.Execute(ctx, ch)
//	list, err := es10.GetProfilesInfo{}.Execute(ctx, ch)
//	for _, p := range list.Profiles {
//		fmt.Println(eid.EID, p.ICCID, p.State)
//	}
package es10
