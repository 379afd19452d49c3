// Package status holds the one read model that every face of the daemon reads:
// a snapshot of what is, and the stream of what changed. Parts write into it;
// nobody is called back.
package status

import "time"

// State is the link as a user of the router sees it.
type State string

// The link's states.
const (
	Up      State = "up"      // the reach check passes through the link
	Limited State = "limited" // there is an address, but only a portal answers
	Down    State = "down"
)

// Outcome is how an activation ended.
type Outcome string

// The outcomes of a run; empty while it goes on.
const (
	Committed  Outcome = "committed"   // up on the new profile
	RolledBack Outcome = "rolled-back" // up on, or back to, the previous one
	Failed     Outcome = "failed"
	Installed  Outcome = "installed" // on the card and disabled, as was asked for
)

// Snapshot is everything that a face shows. Pointers are nil while unknown.
type Snapshot struct {
	Version      string        `json:"version"`
	Time         time.Time     `json:"time"`
	Started      time.Time     `json:"started"`
	State        State         `json:"state"`
	Reason       string        `json:"reason,omitempty"` // why the link is not up, in one line
	Advice       string        `json:"advice,omitempty"` // what to do about it
	Run          *Run          `json:"run,omitempty"`    // the current activation, or the last
	Modem        *Modem        `json:"modem,omitempty"`
	Card         *Card         `json:"card,omitempty"`
	SIM          *SIM          `json:"sim,omitempty"`
	Registration *Registration `json:"registration,omitempty"`
	Signal       *Signal       `json:"signal,omitempty"`
	Cells        []Cell        `json:"cells,omitempty"` // that serve the modem: one, or an LTE and a 5G cell
	Link         *Link         `json:"link,omitempty"`
	Reach        *Reach        `json:"reach,omitempty"`
	Outbox       Outbox        `json:"outbox"`
	Webhooks     *Webhooks     `json:"webhooks,omitempty"` // nil where none waits
	Balance      *Balance      `json:"balance,omitempty"`  // the last one that was asked for
	Visit        *Visit        `json:"visit,omitempty"`    // the last one to an operator's portal
	Garden       *Garden       `json:"garden,omitempty"`   // nil but for a line that only reaches its operator's portal
	Recovery     *Recovery     `json:"recovery,omitempty"`
	Fallback     *Fallback     `json:"fallback,omitempty"`   // nil where it is off, or has nothing to say
	SIMChange    *SIMChange    `json:"sim_change,omitempty"` // the last one since the daemon was started
	Door         *Door         `json:"hook,omitempty"`       // the API over TCP; nil where it is not wanted
	Warnings     []string      `json:"warnings,omitempty"`   // what is wrong with the box itself, such as a file that cannot be read
}

// Webhooks are messages about the ends of runs that wait for their receivers.
type Webhooks struct {
	Pending int    `json:"pending"`
	Error   string `json:"error,omitempty"` // why a delivery failed
}

// Door is the HTTP API over TCP.
type Door struct {
	Listen      string `json:"listen"`
	Fingerprint string `json:"fingerprint,omitempty"` // SHA-256 of the certificate, in hex
	Error       string `json:"error,omitempty"`       // why nobody can come in
}

// Run is one activation. It holds no secret: the code is known by its address only.
type Run struct {
	ID       string  `json:"id"`
	State    string  `json:"state"` // the activation's state; see docs/architecture.md
	Waiting  string  `json:"waiting,omitempty"`
	Outcome  Outcome `json:"outcome,omitempty"`
	SMDP     string  `json:"smdp,omitempty"`
	ICCID    string  `json:"iccid,omitempty"`
	Provider string  `json:"provider,omitempty"` // service provider's name in the profile's metadata
	Profile  string  `json:"profile,omitempty"`
	Class    string  `json:"class,omitempty"` // test, provisioning, operational
	// PolicyRules of the profile: ppr1 (it cannot be disabled), ppr2 (it cannot
	// be deleted), joined by "+".
	PolicyRules string     `json:"policy_rules,omitempty"`
	Previous    string     `json:"previous,omitempty"`     // ICCID of the way back
	BackTo      string     `json:"back_to,omitempty"`      // ICCID of another one that it went back to
	InstallOnly bool       `json:"install_only,omitempty"` // the profile is left disabled
	Why         string     `json:"why,omitempty"`          // it began, where nobody asked for it: fallback: ..., return: ...
	APN         string     `json:"apn,omitempty"`
	APNReason   string     `json:"apn_reason,omitempty"`
	Progress    *Progress  `json:"progress,omitempty"`
	Error       *Problem   `json:"error,omitempty"`
	Resumes     int        `json:"resumes,omitempty"` // how often a restart took it up again
	Started     time.Time  `json:"started"`
	Ended       *time.Time `json:"ended,omitempty"`
	Figures     *Figures   `json:"figures,omitempty"`
}

// Progress is how far the profile's download is, in bytes and segments to the card.
type Progress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
	// Segments of the package that the card has taken, and how many there are: 0
	// while the rest of it is still arriving.
	Segments      int `json:"segments,omitempty"`
	TotalSegments int `json:"total_segments,omitempty"`
}

// Figures are what an activation cost.
type Figures struct {
	APDUs         int   `json:"apdus"`
	APDUBytes     int   `json:"apdu_bytes"` // both ways
	HTTPRequests  int   `json:"http_requests"`
	TLSHandshakes int   `json:"tls_handshakes"`
	ElapsedMS     int64 `json:"elapsed_ms"` // from the request to traffic
}

// Problem is an error for people and programs.
type Problem struct {
	Code   string `json:"code"` // stable, for programs: "smdp-8.2.6-3.8", "no-apn"
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
	Retry  string `json:"retry,omitempty"` // now, later, ask, new-code, never
	Stage  string `json:"stage,omitempty"`
	Cause  *Cause `json:"cause,omitempty"` // what card, server or modem said, where it was one of them
}

// Cause is what card, server or modem answered, in their own numbers.
type Cause struct {
	Function   string `json:"function"`              // of SGP.22
	Subject    string `json:"subject,omitempty"`     // status code of the server
	Reason     string `json:"reason,omitempty"`      //
	SW         string `json:"sw,omitempty"`          // status word of the card, hex
	CME        string `json:"cme,omitempty"`         // code of the modem's +CME ERROR
	BPPCommand string `json:"bpp_command,omitempty"` // at which an installation failed
	BPPReason  int    `json:"bpp_reason,omitempty"`  // why, SGP.22 ErrorReason
	Unknown    bool   `json:"unknown,omitempty"`     // it may have been done all the same
}

// Error makes a Problem usable as an error on the client's side of the hook.
func (p *Problem) Error() string { return p.Text }

// Hint returns the line that is printed below the error.
func (p *Problem) Hint() string { return p.Advice }

// Modem is the modem and its AT port.
type Modem struct {
	Port         string `json:"port"`
	Present      bool   `json:"present"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Revision     string `json:"revision,omitempty"`
	IMEI         string `json:"imei,omitempty"` // shortened
	Dialect      string `json:"dialect,omitempty"`
	SIMSlot      *int   `json:"sim_slot,omitempty"` // active one, as the vendor counts
	Error        string `json:"error,omitempty"`

	Data *NetFunction `json:"data,omitempty"` // nil where the kernel does not tell
}

// NetFunction is how a modem's packets reach this machine.
type NetFunction struct {
	Kind      string `json:"kind"` // ecm, ncm, rndis, raw-ip, qmi, mbim, none
	Interface string `json:"interface,omitempty"`
	Driver    string `json:"driver,omitempty"` // the kernel's
}

// Card is the eUICC.
type Card struct {
	EID        string    `json:"eid,omitempty"`
	SVN        string    `json:"svn,omitempty"`         // SGP.22 version that the card implements
	FreeMemory int       `json:"free_memory,omitempty"` // non-volatile, in bytes
	Default    string    `json:"default_smdp,omitempty"`
	Profiles   []Profile `json:"profiles"`
	Error      string    `json:"error,omitempty"`
}

// Profile is one profile on the card.
type Profile struct {
	ICCID    string `json:"iccid"`
	State    string `json:"state"` // enabled, disabled
	Class    string `json:"class"` // test, provisioning, operational
	Provider string `json:"provider,omitempty"`
	Name     string `json:"name,omitempty"`
	Nickname string `json:"nickname,omitempty"`
	// PolicyRules are as in Run.
	PolicyRules string `json:"policy_rules,omitempty"`
}

// SIM is the enabled profile as the modem reads it.
type SIM struct {
	State    string `json:"state"` // ready, pin, no-profile, absent, ...
	ICCID    string `json:"iccid,omitempty"`
	IMSI     string `json:"imsi,omitempty"` // shortened
	HomePLMN string `json:"home_plmn,omitempty"`
	SPN      string `json:"spn,omitempty"`
	PINTries *int   `json:"pin_tries,omitempty"` // that the PIN has left, of a card that waits for it
}

// Registration is the packet-switched registration.
type Registration struct {
	Status   string `json:"status"` // home, roaming, searching, denied, ...
	AcT      string `json:"act,omitempty"`
	PLMN     string `json:"plmn,omitempty"`
	Operator string `json:"operator,omitempty"`
	Cause    int    `json:"reject_cause,omitempty"`
}

// Signal is the received signal; nil fields are unknown.
type Signal struct {
	RSSI *float64 `json:"rssi,omitempty"` // dBm
	RSRP *float64 `json:"rsrp,omitempty"` // dBm
	RSRQ *float64 `json:"rsrq,omitempty"` // dB
	SINR *float64 `json:"sinr,omitempty"` // dB
}

// Cell is a cell that serves the modem; nil and empty fields are unknown.
type Cell struct {
	RAT      string   `json:"rat"` // gsm, umts, lte, 5g
	PLMN     string   `json:"plmn,omitempty"`
	AreaCode string   `json:"area_code,omitempty"` // TAC or LAC, hexadecimal
	CellID   string   `json:"cell_id,omitempty"`   // hexadecimal
	PCI      *int     `json:"pci,omitempty"`
	ARFCN    *int     `json:"arfcn,omitempty"`
	Band     int      `json:"band,omitempty"`
	RSRP     *float64 `json:"rsrp,omitempty"` // dBm
	RSRQ     *float64 `json:"rsrq,omitempty"` // dB
	SINR     *float64 `json:"sinr,omitempty"` // dB
}

// Link is the data link on the router's side.
type Link struct {
	// Bootstrap: its profile is the last resort. The router has neither a route nor
	// name servers by this link, which carries what is dynamod's own.
	Bootstrap bool      `json:"bootstrap,omitempty"`
	Interface string    `json:"interface"`
	Addresses []string  `json:"addresses"`
	Gateway   string    `json:"gateway,omitempty"`
	DNS       []string  `json:"dns,omitempty"`
	MTU       int       `json:"mtu,omitempty"`
	APN       string    `json:"apn"`
	APNReason string    `json:"apn_reason,omitempty"`
	Source    string    `json:"source,omitempty"` // dhcp, contrdp, ...
	Since     time.Time `json:"since"`
}

// Reach is the last reach check through the link.
type Reach struct {
	Result string `json:"result"` // ok, limited, none
	// Cause is what is in between when it is not ok: portal, walled-garden,
	// name-servers, no-link.
	Cause   string        `json:"cause,omitempty"`
	Target  string        `json:"target,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	RTTMS   float64       `json:"rtt_ms,omitempty"`
	Targets []ReachTarget `json:"targets,omitempty"` // those that were asked, in turn
	At      time.Time     `json:"at"`
}

// ReachTarget is one target of a reach check.
type ReachTarget struct {
	Target string  `json:"target"`
	Result string  `json:"result"`           // ok, limited, none
	Stage  string  `json:"stage"`            // dns, tcp, http: the step that failed, or the last
	Reason string  `json:"reason,omitempty"` // why it is not ok
	TookMS float64 `json:"took_ms"`
}

// Outbox counts the notifications that wait for their receiver.
type Outbox struct {
	Pending int        `json:"pending"`
	Oldest  *time.Time `json:"oldest,omitempty"`
	Error   string     `json:"error,omitempty"` // why the last delivery failed
	Alarm   string     `json:"alarm,omitempty"` // too many wait, or one too long
}

// RecoveryState is how far the mending of a modem is.
type RecoveryState string

// The states of the recovery; empty while nothing is wrong.
const (
	Watching RecoveryState = "watching" // something is wrong, not yet for long
	Climbing RecoveryState = "climbing" // a rung was taken; does it help?
	HeldOff  RecoveryState = "held-off" // a rung is due, and an eSIM operation has the modem
	GivenUp  RecoveryState = "given-up" // nothing helped; begun again at Next
)

// Recovery is what is wrong with the modem, and what was done about it since the
// daemon was started.
type Recovery struct {
	State   RecoveryState `json:"state,omitempty"`
	Symptom string        `json:"symptom,omitempty"` // see docs/recovery.md
	Reason  string        `json:"reason,omitempty"`
	Advice  string        `json:"advice,omitempty"`
	Next    *time.Time    `json:"next,omitempty"`  // when a climb that was given up is begun again
	Rungs   []RungUse     `json:"rungs,omitempty"` // mildest first
}

// RungUse is how often one rung was taken.
type RungUse struct {
	Rung   string    `json:"rung"`
	Count  int       `json:"count"`
	Last   time.Time `json:"last"`
	Reason string    `json:"reason,omitempty"` // of the last time
	Error  string    `json:"error,omitempty"`  // of the last time
}

// Fallback is what happens to a profile that dies.
type Fallback struct {
	Preferred string     `json:"preferred,omitempty"` // ICCID of the profile that another one stands in for
	Reason    string     `json:"reason,omitempty"`    // why there is no switch that would be due
	Next      *time.Time `json:"next,omitempty"`      // when there is one, if nothing changes
}

// SIMChangeKind is the kind of the journal's records of a SIM that has changed
// without an activation; they hold a SIMChange.
const SIMChangeKind = "sim-changed"

// SIMChange is a change of the SIM's ICCID that no activation has made.
type SIMChange struct {
	From string    `json:"from"` // ICCID
	To   string    `json:"to"`
	At   time.Time `json:"at"`
}
