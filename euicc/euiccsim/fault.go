package euiccsim

import (
	"time"

	"dynamod/euicc/apdu"
	"dynamod/euicc/bertlv"
)

// FaultKind is what goes wrong with one APDU.
type FaultKind byte

// The kinds of faults.
const (
	FaultNone          FaultKind = iota
	FaultStatus                  // the card answers SW and does nothing
	FaultLost                    // the card executes the command; its answer is lost
	FaultMute                    // the card neither executes nor answers
	FaultPowerCut                // power fails before the command; silent until reset
	FaultPowerCutAfter           // power fails after the command, before its answer
	FaultSlow                    // the card takes Delay before it executes the command
)

// Fault makes one APDU go wrong, once.
type Fault struct {
	// At counts the APDUs that match, from when the fault was set: 1 is the
	// next one; 0 counts as 1.
	At int
	// Tag, when not 0, counts only blocks of STORE DATA that begin with it, such
	// as BF31: the first block of that function.
	Tag   bertlv.Tag
	Kind  FaultKind
	SW    apdu.Status   // of FaultStatus
	Delay time.Duration // of FaultSlow
}

// Behaviour are lasting peculiarities and faults of a card.
type Behaviour struct {
	NoISDR bool // an ordinary UICC: SELECT does not find the ISD-R
	// NeedCapability hides the ISD-R until TERMINAL CAPABILITY has come after
	// the reset, as some cards do.
	NeedCapability bool
	Delay          time.Duration // before each command
	WrongSignature bool          // the card's signatures do not verify
	NoMemory       bool          // no profile fits
	CATBusy        bool          // enable and disable with refresh end with catBusy
	RefuseRefresh  bool          // enable and disable with refresh end with undefinedError
	// KeepSession refuses a new challenge (6985) while a download session is
	// open; without it a new challenge drops the session.
	KeepSession bool
	// NewKeyAlways makes a new one-time key pair where the server would re-use
	// the old one (bppEuiccOtpk).
	NewKeyAlways bool
	// Surplus puts data objects into answers that SGP.22 v2 does not know, as
	// later cards do.
	Surplus bool
}

// SetFault replaces the list of faults; without arguments it clears it.
func (c *Card) SetFault(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append([]Fault(nil), faults...)
}

// SetBehaviour replaces the lasting peculiarities.
func (c *Card) SetBehaviour(b Behaviour) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behaviour = b
}

// FaultsSet returns the faults that are still to act.
func (c *Card) FaultsSet() []Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Fault(nil), c.faults...)
}

// Behaviour returns the lasting peculiarities.
func (c *Card) Behaviour() Behaviour {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.behaviour
}

// nextFault counts cmd against the faults that are slow, or against all others,
// and returns the one that is due.
func (c *Card) nextFault(cmd []byte, slow bool) Fault {
	var due Fault
	kept := c.faults[:0]
	for _, f := range c.faults {
		if (f.Kind == FaultSlow) != slow || !f.matches(cmd) {
			kept = append(kept, f)
			continue
		}
		if f.At > 1 || due.Kind != FaultNone {
			f.At--
			kept = append(kept, f)
			continue
		}
		due = f
	}
	c.faults = kept
	return due
}

func (f Fault) matches(cmd []byte) bool {
	if f.Tag == 0 {
		return true
	}
	parsed, err := apdu.ParseCommand(cmd)
	if err != nil || parsed.INS != 0xE2 || parsed.P2 != 0 {
		return false
	}
	tag, _, _, err := bertlv.Header(parsed.Data)
	return err == nil && tag == f.Tag
}
