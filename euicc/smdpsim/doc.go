// Package smdpsim is an SM-DP+ and an SM-DS (SGP.22 v2.5): http.Handlers that
// serve ES9+ and ES11 with real certificates, signatures, key agreement and
// profile protection, and that any LPA can use. The SM-DP+ binds whatever
// unprotected profile package it is given; both keep orders, events and sessions
// in memory, verify what cards send back, and can be told to misbehave
// (SetFault) and to write their answers as odd servers do (SetForm).
//
// The steps: New, AddOrder for each profile, then serve Handler behind
// TLSConfig. For discovery NewSMDS first, with Config.SMDS naming it.
//
//	server, err := smdpsim.New(smdpsim.Config{Address: "smdp.example.com", CI: issuer})
//	code, err := server.AddOrder(smdpsim.Order{UPP: profile, MatchingID: "TOKEN"})
//	s := &http.Server{Handler: server.Handler(), TLSConfig: server.TLSConfig()}
//	err = s.ListenAndServeTLS("", "")
package smdpsim
