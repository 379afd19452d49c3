package hook

import (
	"net/http"
	"time"

	"dynamod/configs/cosa"
	"dynamod/daemon/status"
)

// APN tells which connections there are for the SIM in the modem, and why. It
// holds no password.
type APN struct {
	SIM        APNSIM          `json:"sim"`
	Network    APNNetwork      `json:"network"`
	Settings   cosa.Rationale  `json:"settings"` // as `dynamod apn lookup --json` prints it
	Reasons    []string        `json:"reasons"`  // the same for people, a line each
	Candidates []APNCandidate  `json:"candidates"`
	Attach     *APNAttach      `json:"attach,omitempty"`
	Problem    *status.Problem `json:"problem,omitempty"` // why nothing is tried
}

// APNSIM is what the SIM tells of itself.
type APNSIM struct {
	ICCID      string `json:"iccid"`
	IMSI       string `json:"imsi"`                 // shortened
	MNCLength  int    `json:"mnc_length,omitempty"` // 2 or 3
	SPN        string `json:"spn,omitempty"`
	PNN        string `json:"pnn,omitempty"`
	GID1       string `json:"gid1,omitempty"`
	GID2       string `json:"gid2,omitempty"`
	Incomplete bool   `json:"incomplete,omitempty"` // a file could not be read yet
}

// APNNetwork is where the modem is registered.
type APNNetwork struct {
	Registration string `json:"registration"`
	PLMN         string `json:"plmn,omitempty"`
	Roaming      string `json:"roaming,omitempty"` // such as "roaming abroad"
	Allowed      bool   `json:"allowed"`           // [bearer] roaming allows data there
}

// APNCandidate is one connection to try, in the order of the list.
type APNCandidate struct {
	APN       string     `json:"apn"` // "": the network assigns one
	Name      string     `json:"name,omitempty"`
	Operator  string     `json:"operator,omitempty"`
	IPType    string     `json:"ip_type"` // that is asked for first
	Auth      string     `json:"auth"`
	Username  string     `json:"username,omitempty"`
	Plan      string     `json:"plan,omitempty"`
	Source    string     `json:"source"`
	Reason    string     `json:"reason"`
	LastGood  bool       `json:"last_good,omitempty"`
	Active    bool       `json:"active,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"` // it failed, and is tried again then
	NotTried  string     `json:"not_tried,omitempty"`  // why it is left out on this modem
}

// APNAttach is the context that the modem registers with.
type APNAttach struct {
	Context int        `json:"context"` // number in the modem
	APN     string     `json:"apn"`     // of its definition
	Used    string     `json:"used,omitempty"`
	IPType  string     `json:"ip_type"`
	Shared  bool       `json:"shared,omitempty"` // the modem carries no other: data takes it
	Reason  string     `json:"reason"`
	Record  *APNRecord `json:"record,omitempty"`
}

// APNRecord is the operator settings' connection for the attach.
type APNRecord struct {
	APN    string `json:"apn"`
	Reason string `json:"reason"`
}

func (s *Server) apn(w http.ResponseWriter, r *http.Request) {
	a, err := s.daemon.ExplainAPN(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, a)
}
