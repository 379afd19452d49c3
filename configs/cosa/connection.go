package cosa

import (
	"sort"
	"strings"
)

// Flag is a boolean that may be unset: a record that says nothing is told apart
// from one that states the default.
type Flag uint8

// The values of a Flag.
const (
	FlagUnset Flag = iota
	FlagOn
	FlagOff
)

// FlagOf returns FlagOn or FlagOff.
func FlagOf(b bool) Flag {
	if b {
		return FlagOn
	}
	return FlagOff
}

// Or returns the flag's value, or def where it is unset.
func (f Flag) Or(def bool) bool {
	switch f {
	case FlagOn:
		return true
	case FlagOff:
		return false
	}
	return def
}

// Connection is one APN of an operator with everything needed to activate it.
// The zero value of each field means "the record does not say"; the methods
// give the value to use.
type Connection struct {
	APN          string   // 0..100 characters; empty: the network assigns one
	FriendlyName string   // what to call it before a person
	Purposes     Purposes // none: internet
	IPType       IPType
	// RoamingIPType replaces IPType while roaming. Some networks are IPv6-only
	// at home and need IPv4v6 abroad.
	RoamingIPType IPType
	Auth          Auth
	Username      string
	Password      Secret
	AlwaysOn      Flag        // default on
	Roaming       RoamingRule // default anywhere
	Order         int         // AutoConnectOrder, from 1; 0: after the ordered ones, in list order
	Enabled       Flag        // default on
	AcT           AcTs        // access technologies it may be used on; none: all
	MTU           int         // bytes, 0: what the network says
	Plan          string      // "prepaid", "postpaid" or "prepaid,postpaid": a hint for a person, never matched
	Ext           Ext
}

// For tells whether the connection serves purpose p. A record without purposes
// serves internet (COSA's default for PurposeGroups).
func (c *Connection) For(p Purpose) bool {
	if c.Purposes == 0 {
		return p == Internet
	}
	return c.Purposes.Has(p)
}

// EffectiveIPType is the IP type to ask for: RoamingIPType while roaming if it
// is set, else IPType, else IPv4v6. COSA's own default is IPv4, but a record
// that says nothing does not mean "IPv4 only"; asking for both lets the network
// answer with what it has (TS 24.301 causes 50 and 51).
func (c *Connection) EffectiveIPType(roaming bool) IPType {
	if roaming && c.RoamingIPType != IPTypeUnset {
		return c.RoamingIPType
	}
	if c.IPType != IPTypeUnset {
		return c.IPType
	}
	return IPv4v6
}

// Credentials gives the authentication to use. A user name without a method
// means CHAP (as ModemManager and shill read it); method none means that stored
// credentials are not sent (CM_CellularEntries CSP, AuthType).
func (c *Connection) Credentials() (auth Auth, username string, password Secret) {
	switch {
	case c.Auth == AuthNone, c.Auth == AuthUnset && c.Username == "" && c.Password == "":
		return AuthNone, "", ""
	case c.Auth == AuthUnset, c.Auth == AuthAuto:
		return CHAP, c.Username, c.Password
	case c.Auth == PAPOrCHAP:
		return CHAP, c.Username, c.Password
	}
	return c.Auth, c.Username, c.Password
}

// Key names the connection among those of one operator: APN (case-folded, as
// APNs compare: TS 23.003, 9.1), user name and method, without the password, so
// that it can be kept as the last good one of an ICCID. 23 operators have one
// APN under several user names, so the APN alone would not do.
func (c *Connection) Key() string {
	auth, user, _ := c.Credentials()
	key := strings.ToLower(c.APN)
	if user != "" {
		key += "|" + user + "|" + auth.String()
	}
	return key
}

// bearer is what a connection asks the network for.
type bearer struct {
	apn, user     string
	password      Secret
	auth          Auth
	home, roaming IPType
}

func (c *Connection) bearer() bearer {
	auth, user, password := c.Credentials()
	return bearer{strings.ToLower(c.APN), user, password, auth, c.EffectiveIPType(false), c.EffectiveIPType(true)}
}

// ExtField is one fact of a source that has no field of its own.
type ExtField struct{ Key, Value string }

// Ext keeps such facts, sorted by key.
type Ext []ExtField

// Get returns the value of key, or "".
func (e Ext) Get(key string) string {
	for i := range e {
		if e[i].Key == key {
			return e[i].Value
		}
	}
	return ""
}

// Sort brings the fields into the order that an Ext has.
func (e Ext) Sort() {
	sort.Slice(e, func(i, j int) bool { return e[i].Key < e[j].Key })
}

// Ext keys that the embedded database uses on an OperatorProfile. USSD codes
// are separated by blanks; CODE in a top-up code stands for the voucher's
// number; an SMS is "NUMBER" or "NUMBER TEXT", several are separated by "; ". The
// pattern is of the answer to the first balance code: its words around {KB}, {MB} or
// {GB}; the embedded database has none.
const (
	ExtBalanceUSSD = "balance-ussd"
	ExtBalanceSMS  = "balance-sms"
	ExtTopUpUSSD   = "topup-ussd"

	ExtBalancePattern = "balance-pattern"
)
