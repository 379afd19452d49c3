// Package bsp protects the parts of a Bound Profile Package between SM-DP+ and
// eUICC (SGP.22, 2.6.4: BPP Protection, called SCP03t before v3; GlobalPlatform
// Card Specification Amendment D and F).
//
// DeriveKeys turns the agreed ECKA secret into session keys, New makes one end
// of the secure channel: the server seals what the card opens, TLV by TLV and in
// the same order. A Session belongs to one goroutine.
//
//	keys, err := bsp.DeriveKeys(secret, 0x88, 16, hostID, eid)
//	session := bsp.New(keys)
package bsp
