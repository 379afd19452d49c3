// Package euiccsim is a simulated UICC with an eUICC on it: the card side of
// SGP.22 v2 (ISD-R with ES10a, ES10b and ES10c, ES8+ towards the SM-DP+) and of
// ETSI TS 102 221 (logical channels, file system, proactive REFRESH).
//
// It knows its counterparts only from the specifications: it verifies real
// certificates and signatures, agrees real keys, decrypts real Bound Profile
// Packages and shows the USIM files of the profile package that it installed.
// New makes a Card; APDU is its slot, Open, Transmit and Close make it an
// apdu.Transport. PIN1 is the profile package's and asked for if that enables it,
// but access conditions of files are not enforced: every reader sees every file.
//
//	card, err := euiccsim.New(euiccsim.Config{EID: eid, EUICC: identity, EUM: maker.Cert, CI: issuers})
//	client, err := lpa.Open(ctx, lpa.Config{Transport: card})
//	card.SetFault(euiccsim.Fault{Tag: 0xBF31, Kind: euiccsim.FaultLost})
//	fmt.Println(card.Installed(), card.Stats().APDUs)
package euiccsim
