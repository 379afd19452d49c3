package smdpsim

import "errors"

// code is a subject and a reason code of SGP.22 5.2.6.
type code struct{ subject, reason string }

func (c code) String() string { return c.subject + "/" + c.reason }

// The status codes that the servers send, by the function's section; those of
// InitiateAuthentication are in serverRole.
var (
	codeContentType   = code{"1.2.1", "2.1"} // 6.5.1.1
	codeAdminProtocol = code{"1.2.2", "2.1"} // 6.5.1.1
	codeElementBad    = code{"1.3.1", "2.1"}
	codeElementAbsent = code{"1.3.1", "2.2"}

	codeEUMInvalid         = code{"8.1.2", "6.1"} // 5.6.3
	codeEUMExpired         = code{"8.1.2", "6.3"}
	codeEUICCInvalid       = code{"8.1.3", "6.1"}
	codeEUICCExpired       = code{"8.1.3", "6.3"}
	codeSignature          = code{"8.1", "6.1"} // also 5.6.2 and 5.6.5
	codeMemory             = code{"8.1", "4.8"}
	codeCIUnknown          = code{"8.11.1", "3.9"}
	codeNotReleased        = code{"8.2", "1.2"}
	codeMatchingID         = code{"8.2.6", "3.8"}
	codeEID                = code{"8.1.1", "3.8"}
	codeOrderExpired       = code{"8.8.5", "4.10"}
	codeOrderRetries       = code{"8.8.5", "6.4"}
	codeTransactionUnknown = code{"8.10.1", "3.9"} // also 5.6.2 and 5.6.5

	codeConfirmationMissing = code{"8.2.7", "2.2"} // 5.6.2
	codeConfirmationRefused = code{"8.2.7", "3.8"}
	codeConfirmationRetries = code{"8.2.7", "6.4"}
	codeAlreadyBound        = code{"8.2", "3.7"}

	codeOID = code{"8.8", "3.10"} // 5.6.5

	codeNoEvent   = code{"8.9.5", "3.9"} // 5.8.2
	codeEventHere = code{"8.9.5", "3.3"} // 5.9.1, ES12.RegisterEvent
)

// statusError ends a function with functionExecutionStatus "Failed".
type statusError struct {
	code    code
	message string // for a person; never a secret
}

func (e *statusError) Error() string { return e.code.String() + ": " + e.message }

func fail(c code, message string) error { return &statusError{c, message} }

// asStatus turns any error into a status: what is none is the request's form.
func asStatus(err error) *statusError {
	var se *statusError
	if errors.As(err, &se) {
		return se
	}
	return &statusError{codeElementBad, err.Error()}
}
