package smdpsim

import (
	"bytes"
	"fmt"

	"dynamod/euicc/bertlv"
	"dynamod/euicc/sgp26"
)

// Reasons of CancelSession that leave the order alive (SGP.22 5.7.14).
const (
	cancelPostponed = 1
	cancelTimeout   = 2
)

// cancelSession is ES9+.CancelSession (SGP.22 5.6.5). The order lives on after
// "postponed" and "timeout"; any other reason ends it.
func (s *Server) cancelSession(req *request) (response, error) {
	raw, err := decode64("cancelSessionResponse", req.CancelSessionResponse)
	if err != nil {
		return nil, err
	}
	answer, err := parseCancelSessionResponse(raw)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	ss, err := s.findSession(req.TransactionID)
	if err != nil {
		return nil, err
	}
	if !ss.authenticated {
		return nil, fail(codeSignature, "no eUICC has been authenticated in this session")
	}
	if answer.refused {
		return nil, fail(codeSignature, fmt.Sprintf("the eUICC did not cancel: error %d", answer.errorCode))
	}
	if err := sgp26.VerifySignature(ss.euicc, answer.signed.Raw, answer.signature.Value); err != nil {
		return nil, fail(codeSignature, "euiccCancelSessionSigned: "+err.Error())
	}
	if oid, err := oidString(answer.oid); err != nil || oid != s.oid {
		return nil, fail(codeOID, "the eUICC names another SM-DP+ OID")
	}
	if !bytes.Equal(answer.transactionID, ss.id) {
		return nil, fail(codeTransactionUnknown, "the eUICC signed another transaction ID")
	}
	delete(s.sessions, ss.name)
	o := ss.order
	o.cancelReason = answer.reason
	o.canceled = true
	if answer.reason != cancelPostponed && answer.reason != cancelTimeout && o.live() {
		s.end(o, StateCanceled)
	}
	s.log.Info("canceled", "iccid", short(o.Metadata.ICCID), "reason", answer.reason, "order", string(o.State))
	return response{}, nil
}

// cancelSessionResponse is CancelSessionResponse (BF41), decoded.
type cancelSessionResponse struct {
	refused   bool
	errorCode int64

	signed, signature bertlv.Element
	transactionID     []byte
	oid               []byte // content of smdpOid
	reason            int64
}

func parseCancelSessionResponse(raw []byte) (*cancelSessionResponse, error) {
	e, err := bertlv.Expect(raw, 0xBF41)
	if err != nil {
		return nil, fmt.Errorf("cancelSessionResponse: %w", err)
	}
	a := new(cancelSessionResponse)
	if _, ok := e.Find(0x81); ok {
		a.refused = true
		a.errorCode = findInt(e, 0x81)
		return a, nil
	}
	parts, err := signedParts(e, 2)
	if err != nil {
		return nil, fmt.Errorf("cancelSessionResponse: %w", err)
	}
	a.signed, a.signature = parts[0], parts[1]
	for tag, to := range map[bertlv.Tag]*[]byte{0x80: &a.transactionID, 0x81: &a.oid} {
		v, ok := a.signed.Find(tag)
		if !ok {
			return nil, fmt.Errorf("euiccCancelSessionSigned has no element %s", tag)
		}
		*to = v.Value
	}
	a.reason = findInt(a.signed, 0x82)
	return a, nil
}
