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

// Fault makes an APDU go wrong, or as many as Times says.
type Fault struct {
	// At counts the APDUs that match, from when the fault was set: 1 is the
	// next one; 0 counts as 1.
	At int
	// Times is on how many matching APDUs it acts; 0 counts as 1.
	Times int
	// Tag, when not 0, counts only blocks of STORE DATA that begin with it, such
	// as BF31: the first block of that function.
	Tag bertlv.Tag
	// LastBlock counts the last block of Tag's function in place of the first: the
	// one with which a card executes it.
	LastBlock bool

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
	PINLocked      bool          // PIN1 is enabled, whatever the profile says
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
	tag, block := c.block(cmd)
	var due Fault
	kept := c.faults[:0]
	for _, f := range c.faults {
		if (f.Kind == FaultSlow) != slow || !f.matches(tag, block) {
			kept = append(kept, f)
			continue
		}
		switch {
		case f.At > 1:
			f.At--
			kept = append(kept, f)
		case due.Kind != FaultNone:
			kept = append(kept, f)
		default:
			due = f
			if f.Times > 1 {
				f.At, f.Times = 0, f.Times-1
				kept = append(kept, f)
			}
		}
	}
	c.faults = kept
	if due.Kind != FaultNone {
		c.strike(due.Kind.String())
	}
	return due
}

// strike counts an effect of a fault.
func (c *Card) strike(name string) {
	if c.stats.Struck == nil {
		c.stats.Struck = make(map[string]int)
	}
	c.stats.Struck[name]++
}

// Places of a block of STORE DATA in its function; a function may be one block.
const (
	firstBlock = 1 << iota
	lastBlock
)

// block returns the function of which cmd is a block of STORE DATA, and its place
// in it (SGP.22 5.7.2). A later block does not name its function: the first one
// on the same channel did.
func (c *Card) block(cmd []byte) (tag bertlv.Tag, place int) {
	parsed, err := apdu.ParseCommand(cmd)
	if err != nil || parsed.INS != 0xE2 {
		return 0, 0
	}
	if parsed.P2 == 0 {
		place = firstBlock
		if tag, _, _, err = bertlv.Header(parsed.Data); err != nil {
			tag = 0
		}
		c.chained[parsed.CLA] = tag
	}
	if parsed.P1&0x80 != 0 {
		place |= lastBlock
	}
	return c.chained[parsed.CLA], place
}

func (f Fault) matches(tag bertlv.Tag, place int) bool {
	if f.Tag == 0 {
		return true
	}
	want := firstBlock
	if f.LastBlock {
		want = lastBlock
	}
	return tag == f.Tag && place&want != 0
}
