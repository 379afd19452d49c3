package status

import "time"

// Balance is what the operator says is left on a line. It is asked for on demand, and
// when something has happened to the line.
type Balance struct {
	ICCID string `json:"iccid"`
	// Text says it in one line. Words are the operator's own as they came, where it
	// has said so itself.
	Text   string `json:"text"`
	Words  string `json:"words,omitempty"`
	Source string `json:"source"` // api, ussd
	// Type is the operator's: MODIRECT (an account without a number), MODIRECTPAYG
	// and PAYG (prepaid), NONE (nothing is left), NOTSUPPORTED (no balance for this
	// SIM); "" where the operator names none, or another one.
	Type          string   `json:"type"`
	DataMB        *float64 `json:"data_mb,omitempty"`        // megabytes that are left
	TimeRemaining string   `json:"time_remaining,omitempty"` // ISO 8601 duration: "P23DT23H"
	UsedUp        bool     `json:"used_up"`
	Low           bool     `json:"low,omitempty"`       // at most 100 MB or 2 days are left
	Locations     []string `json:"locations,omitempty"` // where it can be used; none is everywhere

	At    time.Time `json:"at"`              // when the operator said so
	Stale bool      `json:"stale,omitempty"` // a later question came to nothing
	Error string    `json:"error,omitempty"` // why
	// NextIn is how many seconds nobody is asked again.
	NextIn int `json:"next_in,omitempty"`
}

// Where a balance comes from.
const (
	BalanceAPI  = "api"  // the operator's, or the directory service
	BalanceUSSD = "ussd" // a code of the operator's record
)

// Garden is the walled garden of a line that only reaches its operator's portal, while
// it does and a record of operators.d has that portal.
type Garden struct {
	Operator string `json:"operator"` // ID of its record, which a visit takes
	Name     string `json:"name"`     // as people know it
	Portal   string `json:"portal"`   // its URL, where the line is topped up
	// Interface is the one by which nothing leaves but to the hosts of Hosts, name
	// servers and our own servers; "" without a wall.
	Interface string   `json:"interface,omitempty"`
	Hosts     []string `json:"hosts,omitempty"`
	Missing   []string `json:"missing,omitempty"` // hosts that have no address
	Error     string   `json:"error,omitempty"`   // why there is no wall
}
