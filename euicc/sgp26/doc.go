// Package sgp26 makes and verifies a test PKI shaped as GSMA SGP.26 shapes its
// test certificates (the profiles are those of SGP.22 4.5.2): a CI that signs
// the EUM and the SM-DP+ certificates, and an EUM that signs the eUICC's. All
// keys are on NIST P-256.
//
// A simulated card and a simulated server share nothing but this package's
// certificates; each can be given somebody else's instead, see Load.
//
//	ci, err := sgp26.NewCI(time.Now())
//	eum, err := sgp26.NewEUM(ci, time.Now())
//	card, err := sgp26.NewEUICC(eum, "89049032000001000000000000000017", time.Now())
//	err = card.Export(dir, "euicc")
package sgp26
