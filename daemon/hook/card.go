package hook

import (
	"net/http"

	"dynamod/daemon/hook/access"
	"dynamod/daemon/status"
	"dynamod/euicc"
)

// Card is everything that the eUICC says about itself.
type Card struct {
	EID             string   `json:"eid"`
	SVN             string   `json:"svn"` // SGP.22 version
	HighestSVN      string   `json:"highest_svn,omitempty"`
	ProfileVersions []string `json:"profile_versions"` // of the profile package (SIMalliance, TCA)
	Firmware        string   `json:"firmware"`
	Category        string   `json:"category"`
	Apps            int64    `json:"apps,omitempty"`
	FreeNVM         int64    `json:"free_memory"` // bytes; -1 when it does not say
	FreeRAM         int64    `json:"free_ram"`
	RSP             []string `json:"rsp_capability"`
	UICC            []string `json:"uicc_capability"`
	TS102241        string   `json:"ts102241,omitempty"`
	GlobalPlatform  string   `json:"globalplatform,omitempty"`
	PPVersion       string   `json:"pp_version"`
	SASNumber       string   `json:"sas_number,omitempty"`
	PlatformLabel   string   `json:"platform_label,omitempty"`
	DiscoveryURL    string   `json:"discovery_url,omitempty"`
	TRE             []string `json:"tre_properties,omitempty"`
	TREReference    string   `json:"tre_reference,omitempty"`
	DefaultSMDP     string   `json:"default_smdp,omitempty"`
	RootSMDS        string   `json:"root_smds,omitempty"`
	Issuers         []Issuer `json:"issuers"`
	ForbiddenRules  string   `json:"forbidden_rules,omitempty"` // policy rules that no profile may have
	Rules           []Rule   `json:"rules"`                     // rules authorisation table
	Extra           []Object `json:"extra,omitempty"`           // data objects that this version does not know
}

// Issuer is a certificate issuer (CI) that the card names.
type Issuer struct {
	KeyID string `json:"key_id"`
	Name  string `json:"name,omitempty"`
	// Verifies: the card verifies servers with it. Signs: it has a certificate
	// below it. Trusted: this box trusts servers of it, too.
	Verifies bool `json:"verifies"`
	Signs    bool `json:"signs"`
	Trusted  bool `json:"trusted"`
}

// Rule is a line of the rules authorisation table.
type Rule struct {
	Rules     string     `json:"rules"` // ppr1, ppr2, joined by "+"
	Operators []Operator `json:"operators"`
	Consent   bool       `json:"consent"` // the user has to agree
}

// Operator is whom a rule is for; a digit E stands for any.
type Operator struct {
	MCC  string `json:"mcc"`
	MNC  string `json:"mnc"`
	GID1 string `json:"gid1,omitempty"`
	GID2 string `json:"gid2,omitempty"`
}

// Object is a data object in hex.
type Object struct {
	Tag   string `json:"tag"`
	Value string `json:"value"`
}

// Profile is everything that the card has about one profile.
type Profile struct {
	status.Profile
	AID           string     `json:"aid,omitempty"` // of its ISD-P
	Owner         *Operator  `json:"owner,omitempty"`
	Notifications []Notified `json:"notifications,omitempty"`
	Icon          *Icon      `json:"icon,omitempty"`
	SMDPData      string     `json:"smdp_data,omitempty"` // the SM-DP+'s own, in hex
	Extra         []Object   `json:"extra,omitempty"`
}

// Notified is where the card reports which operations to.
type Notified struct {
	Operations string `json:"operations"`
	Address    string `json:"address"`
}

// Icon is a profile's icon.
type Icon struct {
	Type string `json:"type"` // image/png, image/jpeg
	Data []byte `json:"data"` // base64 in JSON
}

func (s *Server) card(w http.ResponseWriter, r *http.Request) {
	c, err := s.daemon.Card(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, c)
}

func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	iccid, ok := pathICCID(w, r)
	if !ok {
		return
	}
	p, err := s.daemon.Profile(r.Context(), iccid)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, p)
}

// defaultSMDPRequest is the body of PUT /v1/card/default-smdp.
type defaultSMDPRequest struct {
	Address *string `json:"address"` // host name of the server; "" for none
}

func (s *Server) defaultSMDP(w http.ResponseWriter, r *http.Request) {
	var body defaultSMDPRequest
	switch {
	case !s.read(w, r, &body):
	case body.Address == nil:
		writeProblem(w, http.StatusUnprocessableEntity, &status.Problem{Code: "bad-address", Text: "the body names no address", Advice: `{"address": "smdp.example.com"}, or "" for none`})
	default:
		s.done(w, s.daemon.SetDefaultSMDP(r.Context(), *body.Address))
	}
}

// ResetRequest is the body of POST /v1/card/reset.
type ResetRequest struct {
	What    []string `json:"what"`    // operational, test, default-smdp
	Confirm string   `json:"confirm"` // the EID
	Force   bool     `json:"force,omitempty"`
}

// resetCard asks for the EID: what a reset deletes is gone, and another card may
// be in the slot than the one that was meant.
func (s *Server) resetCard(w http.ResponseWriter, r *http.Request) {
	var body ResetRequest
	if !s.read(w, r, &body) {
		return
	}
	eid, err := euicc.ParseEID(body.Confirm)
	if err != nil {
		writeProblem(w, http.StatusPreconditionRequired, &status.Problem{
			Code: "confirm-reset", Text: "what is reset is deleted for good, and activation codes may be used up",
			Advice: `repeat the card's EID: {"what": ["operational"], "confirm": "EID"}`,
		})
		return
	}
	access.Forced(r.Context(), "force", body.Force)
	s.done(w, s.daemon.ResetCard(r.Context(), eid, body.What, body.Force))
}
