// Package cosa finds the operator settings for a SIM: which APN, with which
// credentials and IP type, and why.
//
// COSA is Microsoft's Country and Operator Settings Asset. The records here
// (OperatorProfile, Target, Connection) have the shape of its entries; the
// data is not Microsoft's. It comes from two places:
//
//   - the embedded database (data/operators.tsv), converted from Debian's
//     mobile-broadband-provider-info, which is in the public domain;
//   - files of the operator or integrator (operators.d), see package importer.
//
// Use:
//
//	db, err := cosa.Load()                          // embedded
//	file, problems := importer.Read("mine.json", r)
//	db, err = db.With(file.Profiles)
//	decision := db.Match(cosa.SIM{IMSI: imsi, MNCLength: n, ICCID: iccid, ...})
//	list, err := decision.Candidates(cosa.Request{Roaming: cosa.Home})
//
// Nothing is ever guessed. No record means an error that says "APN needed" and
// where to put one; several records that the SIM cannot tell apart mean an
// ambiguous Decision with all of them in a fixed order.
//
// # Order
//
// Matches are sorted by a total order, so the same SIM and the same records
// always give the same list:
//
//  1. source: admin, user, operator, modem, local file, database. A match in a
//     higher source hides the lower ones unless its record sets allowFallback.
//     The modem's own context is no record: it has its place among the
//     candidates, and hides nothing.
//  2. the keys that matched, as a bitwise sum (Keys), so that a more telling key
//     beats any number of less telling ones: ICCID, IMSI, GID1, GID2, PNN, SPN,
//     MCC+MNC, MCC.
//  3. the narrower range, the longer prefix, an exact GID before a prefix.
//  4. rank, then uiOrder, then id.
//
// A record with a further key (an MVNO's) therefore replaces its host's.
//
// MCC and MNC are strings everywhere: 222-10 and 222-010 are two networks
// (3GPP TS 23.003, 2.2: the MNC has two or three digits).
//
// Everything here is a pure function on immutable data: no I/O, no state, safe
// for concurrent use.
package cosa
