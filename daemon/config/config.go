// Package config reads dynamod.toml into one validated Config.
//
// The file is decoded strictly into raw structs of pointers, in which unset is
// told apart from zero, and these are parsed into typed values. Everything that
// is wrong is reported at once, each with file, line, column and a hint.
//
// The file holds no secrets: PIN and APN password are named by path
// (pin_file, password_file), see ReadSecret. configs/reference.toml documents
// every key with its unit and default.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dynamod/configs/cosa"
	"dynamod/netlink/reach"
)

// Auto is the value of keys that are found out at run time.
const Auto = "auto"

// NoSlot is the value of sim_slot where there is none.
const NoSlot = -1

// Config is a valid configuration.
type Config struct {
	// Instance is the NAME of dynamod@NAME, "" for the only one.
	Instance string
	// Unknown is what LoadKnown has left out, up to 20 entries.
	Unknown Errors

	Board      Board
	Modem      Modem
	LPA        LPA
	APN        APN
	Bearer     Bearer
	Fallback   Fallback
	Uplink     Uplink
	Reach      Reach
	Activation Activation
	State      State
	Operators  Operators
	Hook       Hook
	Webhook    Webhook
	Dynamo     Dynamo
	Time       Time
	Log        Log
}

// Board says which box the modem is in.
type Board struct {
	Name string // of a definition, or Auto
	Dir  string // directory of *.toml with further definitions; see LoadBoards
}

// Modem says which modem, and how to talk to it.
type Modem struct {
	Port    string // name of the AT port as port.Open takes it, or Auto
	Baud    int    // bit/s; for USB ports without meaning
	Dialect string // name of the modem family, or Auto
	// Dialects is a directory of *.toml with further modem families, and
	// changes of the built-in ones; see LoadDialects.
	Dialects string
	PINFile  string // file that holds the SIM PIN, "" for none
	SIMSlot  int    // slot to use, counted as the vendor counts; NoSlot leaves it as it is
	// APDUTimeout is how long the modem may take for one card command, 0 for
	// the modem family's own limit.
	APDUTimeout time.Duration
}

// LPA is for profile download.
type LPA struct {
	Via     string                    // interface to reach the SM-DP+ through, or Auto
	CISet   string                    // CILive or CITest, never both
	CI      []string                  // PEM files with further CI roots
	Resolve map[string]netip.AddrPort // host, lower case -> address to dial; TLS still verifies the host
	MinFree int                       // bytes of memory that the card should have free, for a warning
	AIDs    [][]byte                  // further AIDs of the ISD-R, tried after the standard one
	Overlap bool                      // send segments to the card while the rest is still arriving
	SMDS    []string                  // discovery servers, asked in turn in place of the card's own
	Proxy   *url.URL                  // HTTP proxy for the way to servers, nil for none

	// AllowPrivate lets servers have addresses of this machine or of private
	// networks. Those in Resolve may have them anyway.
	AllowPrivate bool
}

// The sets of CI roots.
const (
	CILive = "live"
	CITest = "test"
)

// APN is the connection to use in place of the operator settings, if Set.
type APN struct {
	Set          bool // [apn] apn is there
	Name         string
	ICCID        string // only for this profile; "" for every one
	Username     string
	PasswordFile string // file that holds the password, "" for none
	IPType       cosa.IPType
	Auth         cosa.Auth
}

// Bearer is for the data connection.
type Bearer struct {
	Roaming  Roaming
	KeepUp   bool          // leave the link up at exit
	Deadline time.Duration // for one try, until there is an address
	// NetworkAssigned allows an empty APN as the last try.
	NetworkAssigned bool
	// DataAPNInAttach allows the operator settings' APNs for data in the attach's
	// context, where the modem carries no other.
	DataAPNInAttach bool
	// PPP is PPPOff, Auto, or the port that is dialled on: a path or a place on USB.
	PPP string
	// Recovery is the last rung that may be taken when the modem fails, one of
	// RecoveryRungs.
	Recovery string
}

// PPPOff is the value of [bearer] ppp that takes the modem's network interface.
const PPPOff = "off"

// RecoveryRungs are the values of [bearer] recovery, mildest first.
var RecoveryRungs = []string{"off", "card", "radio", "modem", "port", "power"}

// Roaming says where data may be used.
type Roaming string

// The values of [bearer] roaming.
const (
	RoamingAllow    Roaming = "allow"
	RoamingDomestic Roaming = "domestic" // not outside the home country
	RoamingDeny     Roaming = "deny"
)

// Uplink is for the network interface.
type Uplink struct {
	Interface    string       // or Auto
	Apply        string       // ApplySelf or ApplyNetifd
	Metric       int          // of the default route
	Table        int          // routing table of our own, 0 for none
	DefaultRoute bool         // also in the main table
	DNSFile      string       // resolv.conf form; "" for none
	DNS          []netip.Addr // name servers where the network names none
	MTU          int          // bytes, 0 for the network's
	Masquerade   bool
}

// Who applies what the uplink should be.
const (
	ApplySelf   = "self"
	ApplyNetifd = "netifd"
)

// Reach is for the check that traffic crosses the link.
type Reach struct {
	Targets  []string      // see reach.Check; any one will do
	Timeout  time.Duration // for one target
	Interval time.Duration // between checks of a link that works; 0: only after a change
}

// Activation is for a run from activation code to link.
type Activation struct {
	Deadline   time.Duration // from the switch to traffic; then back to the previous profile
	Hold       time.Duration // that the new link has to last before the previous profile is given up
	KeepTrying bool          // with no previous profile: keep the new one enabled and go on
	Limits     Limits
}

// Limits are the times that a run has for each of the states that are not within
// its deadline.
type Limits struct {
	Accepted      time.Duration // for a way to the server, the clock and the card
	Authenticated time.Duration
	Agreed        time.Duration // for what is checked before a download; an answer has Waiting
	Waiting       time.Duration // for an answer
	Downloading   time.Duration
	Installed     time.Duration // for the reports to be copied off the card
	Reporting     time.Duration // the installation, over the present link
	Notifying     time.Duration // for the reports of the switch to be copied, and what is due delivered
}

// State says where files are kept.
type State struct {
	Dir string // what must survive a power cut
	Run string // what need not
	// Helper is the socket of `dynamod helper`, for a daemon that is not root.
	Helper string
}

// Operators is for operator settings.
type Operators struct {
	Dir string // *.json, see configs/cosa
}

// Webhook is for messages about the ends of runs.
type Webhook struct {
	URL        string // where each run is told, "" for nowhere
	SecretFile string // holds the key of the signatures; "" for no messages
	CA         string // PEM file with the issuers of receivers' certificates, "" for the system's
	// AllowPrivate lets receivers have addresses of this machine or of private
	// networks.
	AllowPrivate bool
	AllowHTTP    bool // http:// beside https://
}

// Dynamo is for plans and their balances.
type Dynamo struct {
	Directory string // URL of the directory service, "" for none
	TokenFile string // holds the router's token for it
	CA        string // PEM file with its issuers, "" for the system's
	Country   string // ISO 3166-1 alpha-2, lower case: where the router is while no network tells; "" if nobody says
	// Catalogue is a file with a list of operators, "" for none, that CatalogueKey has
	// signed, an Ed25519 public key.
	Catalogue    string
	CatalogueKey string
	Staging      bool // the catalogue is one of the staging environment
	// WalledGarden keeps a line that only reaches its operator's portal to that.
	WalledGarden bool
}

// Hook is for the HTTP API.
type Hook struct {
	Socket string // path of the unix socket
	Group  string // group that may use it; "" for the daemon's own

	// Over TCP, with TLS.
	Listen      string   // address and port, such as ":8443"; "" for none
	Certificate string   // PEM files; "" for a self-made one
	Key         string   // with Certificate
	ClientCA    string   // PEM file with issuers of client certificates, "" for none
	Hosts       []string // lower case: names that the router is called by
}

// Time is for the clock.
type Time struct {
	NTP []string // servers, asked only if the system's clock is not set
	Set bool     // set the system's clock then
}

// Log is for the daemon's log on stderr.
type Log struct {
	Level  slog.Level
	Format string // LogText or LogJSON
}

// The formats of the log.
const (
	LogText = "text"
	LogJSON = "json"
)

// Where things are unless the file says otherwise.
const (
	DefaultPath  = "/etc/dynamod/dynamod.toml"
	defaultState = "/var/lib/dynamod"
	defaultRun   = "/run/dynamod"
	socketName   = "dynamod.sock"
	dnsName      = "resolv.conf"
)

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Board:    Board{Name: Auto, Dir: "/etc/dynamod/boards.d"},
		Modem:    Modem{Port: Auto, Baud: 115200, Dialect: Auto, Dialects: "/etc/dynamod/dialects.d", SIMSlot: NoSlot},
		LPA:      LPA{Via: Auto, CISet: CILive, MinFree: 64 << 10, Overlap: true},
		Dynamo:   Dynamo{WalledGarden: true},
		Bearer:   Bearer{Roaming: RoamingAllow, KeepUp: true, Deadline: 90 * time.Second, NetworkAssigned: true, Recovery: "power", PPP: PPPOff},
		Fallback: Fallback{After: 30 * time.Minute, Hold: time.Hour, Return: 12 * time.Hour},
		Uplink: Uplink{
			Interface: Auto, Apply: ApplySelf, Metric: 700, Table: 700, DefaultRoute: true,
			DNSFile: defaultRun + "/" + dnsName,
		},
		Reach: Reach{
			Targets: slices.Clone(reach.DefaultTargets),
			Timeout: 10 * time.Second, Interval: 5 * time.Minute,
		},
		Activation: Activation{Deadline: 5 * time.Minute, Hold: 30 * time.Second, Limits: Limits{
			Accepted: 5 * time.Minute, Authenticated: 10 * time.Minute, Agreed: 5 * time.Minute, Waiting: 24 * time.Hour,
			Downloading: 30 * time.Minute, Installed: 5 * time.Minute, Reporting: 30 * time.Second,
			Notifying: time.Minute,
		}},
		State:     State{Dir: defaultState, Run: defaultRun, Helper: "/run/dynamod-helper.sock"},
		Operators: Operators{Dir: "/etc/dynamod/operators.d"},
		Hook:      Hook{Socket: defaultRun + "/" + socketName},
		Time:      Time{NTP: []string{"pool.ntp.org"}},
		Log:       Log{Level: slog.LevelInfo, Format: LogText},
	}
}

// ForInstance returns the configuration of dynamod@NAME: a copy in which "@NAME"
// is added to the state and run directories, and to the socket and the DNS file
// where these are not below the run directory. Metric and table are the file's:
// instances need different ones. NAME is 1 to 16 of a-z, 0-9 and hyphen.
func (c *Config) ForInstance(name string) (*Config, error) {
	if err := checkInstance(name); err != nil {
		return nil, err
	}
	out := *c
	out.Instance = name
	out.State.Dir += "@" + name
	out.State.Run += "@" + name
	out.Hook.Socket = instancePath(c.Hook.Socket, c.State.Run, name)
	out.Uplink.DNSFile = instancePath(c.Uplink.DNSFile, c.State.Run, name)
	return &out, nil
}

// PathFor returns the configuration file of an instance: DefaultPath, or with a
// name "/etc/dynamod/dynamod@NAME.toml".
func PathFor(instance string) (string, error) {
	if instance == "" {
		return DefaultPath, nil
	}
	if err := checkInstance(instance); err != nil {
		return "", err
	}
	return instancePath(DefaultPath, "", instance), nil
}

func checkInstance(name string) error {
	if name == "" || len(name) > 16 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("instance name %q is not 1 to 16 of a-z, 0-9 and hyphen", name)
	}
	return nil
}

// instancePath moves a path below run along with it, and puts the name before
// the ending of any other.
func instancePath(path, run, name string) string {
	if path == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(path, run+"/"); ok && run != "" {
		return run + "@" + name + "/" + rest
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "@" + name + ext
}

// Connection is what [apn] asks for, false if it asks for nothing. The password is
// the caller's to read and to put in.
func (a *APN) Connection() (cosa.Connection, bool) {
	return cosa.Connection{APN: a.Name, Username: a.Username, IPType: a.IPType, Auth: a.Auth}, a.Set
}
