package status

import "time"

// VisitState is how far a visit to an operator's portal is.
type VisitState string

// The states of a visit.
const (
	VisitOpen     VisitState = "open"      // nothing has come back that changes anything
	VisitWaiting  VisitState = "waiting"   // a download, or the profile's use, is for later: Due
	VisitBusy     VisitState = "busy"      // what was bought is being carried out
	VisitDone     VisitState = "done"      // it was
	VisitFailed   VisitState = "failed"    // it could not be
	VisitNoChange VisitState = "nothing"   // nothing was bought, or the delayed download is not wanted any more
	VisitTopUp    VisitState = "topped-up" // something was added to the line that is in use
)

// Visit is a visit to an operator's portal that was begun here.
type Visit struct {
	Transaction string     `json:"transaction_id"`
	Operator    string     `json:"operator"` // ID of its record
	Brand       string     `json:"brand,omitempty"`
	State       VisitState `json:"state"`
	Begun       time.Time  `json:"begun"`
	Plan        string     `json:"plan,omitempty"` // what was bought, in the operator's words
	Due         *time.Time `json:"due,omitempty"`
	Run         string     `json:"run,omitempty"` // the activation that carries it out
	Error       *Problem   `json:"error,omitempty"`

	// What the portal's listeners are told, once there is something to be told.
	Activation   *VisitActivation   `json:"activation,omitempty"`
	Registration *VisitRegistration `json:"registration,omitempty"`
}

// VisitActivation is what profileActivationCompleteScript gets, in published words.
type VisitActivation struct {
	Result string `json:"activationResult"` // MobilePlansActivationError
	ICCID  string `json:"iccid"`
}

// VisitRegistration is what registrationChangedScript gets, in published words.
type VisitRegistration struct {
	State string `json:"networkRegistrationState"` // MobilePlansNetworkRegistrationState
	ICCID string `json:"iccid"`
}
