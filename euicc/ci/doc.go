// Package ci knows the certificate issuers (CI) of remote SIM provisioning: the
// live ones and the test ones, which are never mixed. A server's TLS chain has
// to end in an issuer whose key the card lists too (SGP.22 2.6.6.2, 6.1).
//
//	info, err := es10.GetEUICCInfo1{}.Execute(ctx, card)
//	roots, err := ci.Select(ci.Live, info.VerificationCIs)
//	client, err := es9p.NewClient(es9p.Config{Roots: ci.Pool(roots)})
package ci
