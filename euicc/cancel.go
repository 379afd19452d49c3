package euicc

// CancelReason says why a session ends without a profile (SGP.22
// CancelSessionReason, 5.7.14).
type CancelReason int

// The reasons. The server keeps the order after CancelPostponed and
// CancelTimeout and may void it after the others (3.0.2).
const (
	CancelEndUserRejection CancelReason = 0
	CancelPostponed        CancelReason = 1
	CancelTimeout          CancelReason = 2
	CancelPPRNotAllowed    CancelReason = 3
	CancelMetadataMismatch CancelReason = 4
	CancelLoadBPPError     CancelReason = 5
	CancelUndefined        CancelReason = 127
)

// String returns the specification's name of the reason.
func (r CancelReason) String() string {
	if r == CancelUndefined {
		return "undefinedReason"
	}
	return named(int(r), "endUserRejection", "postponed", "timeout", "pprNotAllowed", "metadataMismatch", "loadBppExecutionError")
}

// MarshalText returns the text of String.
func (r CancelReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
