// Package es9p is the client's side of ES9+, the interface between LPA and
// SM-DP+ (SGP.22 5.6), and of ES11, between LPA and SM-DS (5.8): one HTTPS POST
// per function, JSON both ways (6.5.2).
//
// A function is a request type with Execute, which posts it to a server and
// returns the decoded response. A status code of the server is a *StatusError;
// *TLSError, *HTTPError and *BodyError tell the other failures apart.
//
// GetBoundProfilePackage alone answers with a Package that is read while it
// arrives, for packages are long and cards slow. Client.Connect opens a connection
// ahead of the first request.
//
//	client, err := es9p.NewClient(es9p.Config{Roots: ci.Pool(roots)})
//	defer client.Close()
//	r, err := es9p.InitiateAuthentication{Challenge: challenge, Info1: info1, Address: smdp}.Execute(ctx, client, smdp)
//	if e, ok := errors.AsType[*es9p.StatusError](err); ok {
//		fmt.Println(euicc.DiagnoseStatus(e.Subject, e.Reason).Advice)
//	}
package es9p
